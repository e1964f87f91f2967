"""The methods beside one another: seconds and memory, losses, tiles.

    python -m benchmarks.methods table                             # 256, 512, 1024 px: seconds and peak memory, two pairs
    python -m benchmarks.methods tiles --contents content/         # 8,192 px in bounded memory; thumbnail statistics
    python -m benchmarks.methods losses --contents content/ --paintings paintings/ --teachers teachers/
                                                                   # AdaIN against Gatys at 50, 100 and 300 iterations

Every painting of ``table`` and every large image of ``tiles`` is made by a process of its own, whose peak memory is that
above a process that only imports; one-pass methods are timed at their second pass. ``losses`` judges 256 px paintings by
the true VGG-19 up to relu3_1: content as the mean squared difference at relu3_1 and style as that of means and standard
deviations at relu1_1, relu2_1 and relu3_1 (the AdaIN paper's measure) and of Gram matrices (Gatys's own), each as a share
of the target's mean square. Gatys descends with the same features as adain-lite, vgg19-lite, by L-BFGS from the content.
Results go to ``results/methods_*.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.gatys import processor
from recipes.vgg19_lite import read_teachers
from torch import Tensor

import styleloom as sl
from styleloom.nn.losses import content_loss, gram_loss, moments
from styleloom.nn.vgg import Features
from styleloom.papers import adain, gatys
from styleloom.tasks import painting

RESULTS = Path(__file__).parent / "results"
PAIRS = (("astronaut", "swirls"), ("coffee", "mosaic"))
JOHNSONS = {"swirls": "johnson-swirls", "mosaic": "johnson-mosaic"}
DESCENTS = {"gatys": "draft", "gatys quick": "quick"}
"""Presets of Gatys that are compared with one pass."""
LAYERS = ("relu1_1", "relu2_1", "relu3_1")
ITERATIONS = (50, 100, 300)


def painter(method: str, style: str) -> Callable[[Tensor], Tensor]:
    """A method and a bundled style, ready to paint."""
    if method in DESCENTS:
        features, image = sl.load_features(), sl.bundled(style)
        return lambda content: sl.stylize(
            content, image, preset=DESCENTS[method], size=max(content.shape[-2:]), features=features
        )
    images = [sl.bundled(style)]
    chosen: dict[str, Any] = {"johnson": JOHNSONS[style], "dumoulin": style, "ghiasi": images, "adain": images}
    return painting.painter(method, chosen[method], painting.METHODS[method].configure(stroke_size=0))


def one(method: str, size: int, pair: int) -> dict[str, float]:
    """Seconds of one painting, and this process's peak memory in MiB."""
    seconds = 0.0
    if method != "nothing":
        name, style = PAIRS[pair]
        content = large(size) if size > 2048 else sl.resize(sl.bundled(name), (size, size))
        paint = painter(method, style)
        for _ in range(1 if method in DESCENTS or size > 2048 else 2):
            mark = time.perf_counter()
            paint(content)
            seconds = time.perf_counter() - mark
    status = Path("/proc/self/status").read_text()
    return dict(seconds=round(seconds, 3), peak_mib=int(status.split("VmHWM:")[1].split()[0]) // 1024)


def large(size: int) -> Tensor:
    """A photograph repeated with changes of brightness, [1, 3, size, size] of 8-bit numbers."""
    part = (sl.resize(sl.bundled("astronaut"), (512, 512)) * 255).to(torch.uint8)
    image = torch.empty(1, 3, size, size, dtype=torch.uint8)
    for row, column in product(range(0, size, 512), repeat=2):
        turned = part.flip(3) if (row + column) // 512 % 2 else part
        image[..., row : row + 512, column : column + 512] = turned // (1 + row // 2048 % 2)
    return image


def apart(method: str, size: int, pair: int) -> dict[str, float]:
    """What :func:`one` finds in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.methods", "one", "--method", method, "--size", str(size), "--pair", str(pair)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def table() -> dict[str, Any]:
    """Seconds and peak memory of each method at each size and pair."""
    base = apart("nothing", 0, 0)["peak_mib"]
    report: dict[str, Any] = {}
    for size, method in product((256, 512, 1024), (*DESCENTS, *list(painting.METHODS)[1:])):
        found = [apart(method, size, pair) for pair in range(len(PAIRS))]
        report.setdefault(str(size), {})[method] = dict(
            seconds=[each["seconds"] for each in found], peak_mib=[each["peak_mib"] - base for each in found]
        )
        print(size, method, report[str(size)][method], flush=True)
    return report


@torch.inference_mode()
def tiles(contents: list[Path]) -> dict[str, Any]:
    """8,192 px in tiles; and, on enlarged photographs, tiles against the whole."""
    base = apart("nothing", 0, 0)["peak_mib"]
    report: dict[str, Any] = {}
    for method in ("johnson", "dumoulin", "adain"):
        found = apart(method, 8192, 0)
        differences = []
        for path in contents[:3]:
            photo = sl.resize_to_fit(sl.read(path), 1536)
            style: Any = {"johnson": "johnson-swirls", "dumoulin": "swirls", "adain": [sl.bundled("swirls")]}[method]
            whole, parts = (
                painting.painter(method, style, painting.METHODS[method].configure(tile=tile, stroke_size=0))(
                    (photo * 255).round().to(torch.uint8)
                )
                for tile in (0, 512)
            )
            differences.append((whole.float() - parts.float()).abs().mean().item())
        report[method] = dict(
            seconds_8192=found["seconds"],
            peak_mib_8192=found["peak_mib"] - base,
            mean_difference_to_untiled_of_255=round(statistics.mean(differences), 3),
        )
        print(method, report[method], flush=True)
    return report


class Judge:
    """Content and style of paintings under the true VGG-19, as shares of their targets."""

    def __init__(self, network: Features) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, painted: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
        """Losses of one painting, [1, 3, H, W] each."""
        found, wanted, kept = (self.network(image, LAYERS) for image in (painted, style, content))

        def spread(x: Tensor) -> Tensor:
            mean, variance = adain.unbiased_moments(x)
            return torch.cat([mean, variance.sqrt()], 1)

        means = [F.mse_loss(spread(found[k]), spread(wanted[k])) / spread(wanted[k]).square().mean() for k in LAYERS]
        grams = [gram_loss(moments(found[k]), moments(wanted[k])) for k in LAYERS]
        return dict(
            content=content_loss(found["relu3_1"], kept["relu3_1"]).item(),
            style_mean_std=torch.stack(means).mean().item(),
            style_gram=torch.stack(grams).mean().item(),
        )


def losses(contents: list[Path], paintings: list[Path], discriminator: Judge) -> dict[str, Any]:
    """Mean losses over all pairs of photographs and paintings, and how often AdaIN's style is no worse than Gatys's."""
    features, model = sl.load_features(), adain.load()
    config = gatys.configure("authors", size=256, steps=max(ITERATIONS))
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in ("content itself", "adain", *map(str, ITERATIONS))}
    seconds: dict[str, list[float]] = {"adain": [], str(max(ITERATIONS)): []}
    for photo, style_file in product(contents, paintings):
        content, style = (sl.resize_to_fit(sl.read(path), 256) for path in (photo, style_file))
        rows["content itself"].append(discriminator(content, content, style))
        mark = time.perf_counter()
        painted = adain.stylize(content, style, adain.configure(style_size=256), model=model)
        seconds["adain"].append(time.perf_counter() - mark)
        rows["adain"].append(discriminator(painted, content, style))
        for step in gatys.steps(content, [style], config, features=features):
            if step.index in ITERATIONS:
                rows[str(step.index)].append(discriminator(step.image, content, style))
        seconds[str(max(ITERATIONS))].append(step.seconds)
        print(
            photo.stem,
            style_file.stem,
            *(f"{name} {found[-1]['style_mean_std']:.3f}" for name, found in rows.items()),
            flush=True,
        )
    report: dict[str, Any] = {
        name: {key: round(statistics.mean(row[key] for row in found), 4) for key in found[0]} for name, found in rows.items()
    }
    for name in map(str, ITERATIONS):
        pairs = list(zip(rows["adain"], rows[name], strict=True))
        report[name]["pairs_where_adain_style_is_no_worse"] = sum(a["style_mean_std"] <= b["style_mean_std"] for a, b in pairs)
    return dict(pairs=len(rows["adain"]), seconds={name: round(statistics.median(s), 3) for name, s in seconds.items()}) | report


def main() -> None:
    """Run one benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "tiles", "losses", "one"])
    for name in ("contents", "paintings", "teachers"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--method", default="nothing")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pair", type=int, default=0)
    parser.add_argument("--photographs", type=int, default=10, help="how many of losses")
    options = parser.parse_args()
    if options.what == "one":
        print(json.dumps(one(options.method, options.size, options.pair)))
        return
    contents = sorted(options.contents.iterdir())[: options.photographs] if options.contents else []
    if options.what == "table":
        result = table()
    elif options.what == "tiles":
        result = tiles(contents)
    else:
        paintings = sorted(options.paintings.iterdir())[:10]
        result = losses(contents, paintings, Judge(read_teachers(options.teachers)[0]))
    machine = dict(processor=processor(), threads=torch.get_num_threads(), torch=torch.__version__)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"methods_{options.what}.json").write_text(
        json.dumps(dict(machine=machine) | {options.what: result}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
