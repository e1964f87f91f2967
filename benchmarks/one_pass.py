"""One-pass methods: seconds an image against the same networks run as public repositories run them.

    python -m benchmarks.one_pass

Networks have random weights, which is all that time asks for. ``public`` is pytorch/examples' network and naoto0804's
encoder and decoder: NCHW, fp32, ``nn.InstanceNorm2d``, the style encoded anew for each image. Variants take turns in
one run, A B C A B C; ratios are those of medians. Results go to ``results/one_pass.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.gatys import processor
from benchmarks.public_networks import ExamplesNet, naoto_decoder, naoto_vgg
from torch import Tensor

from styleloom.nn import transform_net
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import adain

RESULTS = Path(__file__).parent / "results"
Variant = Callable[[Tensor], Any]


def variants() -> dict[str, dict[str, Variant]]:
    """Families of the same network; the first of each is the baseline."""
    torch.manual_seed(0)
    examples = ExamplesNet().eval()
    network = transform_net.TransformNet().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(network, dynamic=False)
    encoder, decoder = naoto_vgg()[:31].eval(), naoto_decoder().eval()
    style = torch.rand(1, 3, 512, 512)

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3), keepdim=True), (x.flatten(2).var(2) + 1e-5).sqrt()[..., None, None]

    def public_adain(image: Tensor) -> Tensor:
        x, y = encoder(image), encoder(style)
        (mean, spread), (style_mean, style_spread) = moments(x), moments(y)
        return decoder((x - mean) / spread * style_spread + style_mean)

    full = _painter(Features(convs=(2, 2, 4, 1), widths=(64, 128, 256, 512), padding="reflect"))
    lite = _painter(load_features())
    return {
        "johnson": {"public": lambda image: examples(image * 255), "ours": network, "ours compiled": compiled},
        "adain": {"public": public_adain, "ours, full width": full(style), "ours, lite": lite(style)},
    }


def _painter(encoder: Features) -> Callable[[Tensor], Variant]:
    model = adain.AdaIN(encoder).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def paint(style: Tensor) -> Variant:
        moments = [model.style(style)]  # once, not an image
        return lambda image: model.decode(model.restyle(model.encode(image), moments, [1.0]))

    return paint


@torch.inference_mode()
def measure(sizes: list[int], rounds: int) -> dict[str, Any]:
    """Medians and their ratios to the first variant of each family."""
    report: dict[str, Any] = {}
    for size in sizes:
        image = torch.rand(1, 3, size, size)
        for family, members in variants().items():
            seconds: dict[str, list[float]] = {name: [] for name in members}
            for turn in range(rounds + 2):
                for name, run in members.items():
                    mark = time.perf_counter()
                    run(image)
                    if turn >= 2:  # plans, compilation
                        seconds[name].append(time.perf_counter() - mark)
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            base = medians["public"]
            report.setdefault(str(size), {})[family] = {
                name: dict(seconds=round(median, 4), times_fewer_than_public=round(base / median, 2))
                for name, median in medians.items()
            }
            print(size, family, report[str(size)][family], flush=True)
    return report


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    machine = dict(processor=processor(), threads=torch.get_num_threads(), torch=torch.__version__)
    result = dict(machine=machine, one_pass=measure(options.sizes, options.rounds))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "one_pass.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
