"""A race with NVIDIA's projector: seconds to the loss that its 1,000 steps reach.

    git clone https://github.com/NVlabs/stylegan2-ada-pytorch /tmp/official
    python -m benchmarks.projector /tmp/official photos/ --photos 2

Their ``project`` runs as it is, on the CPU, on their own network classes with the weights of ``portraits-128`` and a block
more, which makes it a generator of 256 px. Only its perceptual network is another, since VGG16's file is not at hand: both
compare images by the same vector, pixels and vgg19-lite's features weighted as an inversion weights them, times the root of 5,
so that their distance begins where LPIPS does. Ours inverts from the mean w with ``loom-any``, which has never seen this
generator; its eigenbasis and descent maps are made first, and their seconds reported apart.

For each photograph the two take turns. Results go to ``results/projector.json``: the loss of their result, seconds of their
1,000 steps, seconds of ours until the same loss and its loss at the end, seconds of a step of each; and the peak memory of
60 steps of each, in a process of its own, with the basis at hand.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.gatys import processor
from benchmarks.peak_memory import peak_mib
from torch import Tensor, nn

from styleloom.core.memory import keep_memory
from styleloom.data.datasets import SquareImages
from styleloom.nn.vgg_files import load_features
from styleloom.papers import image2stylegan, learned_optimizer, stylegan2
from styleloom.papers.image2stylegan import Factory, InversionConfig
from styleloom.papers.image2stylegan.objective import LAYERS, Objective, Weights
from styleloom.papers.learned_optimizer import LoomAny
from styleloom.tasks.tools import prepare

RESULTS = Path(__file__).parent / "results"
SCALE = 5.0  # of the loss: their distance then begins where LPIPS does


def enlarged(name: str = "portraits-128") -> stylegan2.Generator:
    """A generator with one resolution more, whose block adds nothing yet: its images are those of the old one, twice as large."""
    old = stylegan2.load(name)
    config: dict[str, Any] = json.loads(json.dumps(old.config))
    config["img_resolution"] *= 2
    torch.manual_seed(0)
    new = stylegan2.Generator(**config)
    state = new.state_dict() | dict(old.state_dict())
    last = f"synthesis.b{config['img_resolution']}.torgb"
    state |= {f"{last}.{part}": torch.zeros_like(state[f"{last}.{part}"]) for part in ("weight", "bias")}
    new.load_state_dict(state)
    return new.eval().requires_grad_(False)


class Compared(nn.Module):
    """The vector that both compare images by; it is called as their VGG16 is."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.weights = load_features().prepare(torch.device("cpu"), torch.float32), Weights()

    def forward(self, images: Tensor, resize_images: bool = False, return_lpips: bool = True) -> Tensor:
        """Images [N, 3, H, W] in [0, 255] -> [N, numbers]."""
        image = images / 255
        parts = [(self.weights.pixel_weight / image[0].numel()) ** 0.5 * image.flatten(1)]
        for each in self.features(image, LAYERS).values():
            scale = (self.weights.perceptual_weight / len(LAYERS) / each[0].numel()) ** 0.5
            parts.append(scale * each.flatten(1))
        return SCALE**0.5 * torch.cat(parts, 1)


@contextlib.contextmanager
def official(folder: Path, compared: nn.Module) -> Iterator[Any]:
    """Their modules, with their perceptual network replaced."""
    sys.path.insert(0, str(folder))
    dnnlib, projector = importlib.import_module("dnnlib"), importlib.import_module("projector")
    opened, loaded = dnnlib.util.open_url, torch.jit.load
    dnnlib.util.open_url = lambda url: contextlib.nullcontext(None)
    torch.jit.load = lambda file: compared  # type: ignore
    try:
        yield projector
    finally:
        dnnlib.util.open_url, torch.jit.load = opened, loaded
        sys.path.remove(str(folder))


def theirs(ours: stylegan2.Generator) -> nn.Module:
    """Their generator with our weights."""
    config = ours.config
    kwargs = dict(config["synthesis_kwargs"]) | dict(num_fp16_res=0)
    known = ("channel_base", "channel_max", "num_fp16_res", "architecture")
    made: nn.Module = importlib.import_module("training.networks").Generator(
        config["z_dim"], 0, config["w_dim"], config["img_resolution"], config["img_channels"],
        mapping_kwargs=dict(num_layers=config["mapping_kwargs"]["num_layers"]),
        synthesis_kwargs={name: value for name, value in kwargs.items() if name in known},
    ).eval()  # fmt: skip
    missing, unexpected = made.load_state_dict(ours.state_dict(), strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return made.requires_grad_(False)


def target_of(photos: SquareImages, index: int, side: int) -> Tensor:
    """A photograph at a generator's size, [1, 3, side, side]."""
    return nn.functional.interpolate(photos[index][None], side, mode="bicubic", antialias=True).clamp(0, 1)


def optimizer_of(generator: stylegan2.Generator, learned: str) -> Factory:
    """Our optimizer; basis and descent maps are made, or are at hand."""
    *_, tools = prepare(generator)
    trained = learned_optimizer.load(learned)
    assert isinstance(trained, LoomAny) and tools.basis is not None
    return learned_optimizer.factory(trained.bound(generator, tools.basis, tools.maps))


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Both on each photograph, in turn."""
    keep_memory()
    generator = enlarged()
    began = time.perf_counter()
    optimizer = optimizer_of(generator, options.learned)
    seconds_of_basis = time.perf_counter() - began
    features = load_features().prepare(torch.device("cpu"), torch.float32)
    side = generator.resolution
    photos = SquareImages(options.data, 128)
    rows = []
    with official(options.official, Compared()) as projector:
        copied = theirs(generator)
        for index in range(options.photos):
            target = target_of(photos, index, side)
            objective = Objective(generator, target, features, Weights())
            torch.manual_seed(index)
            began = time.perf_counter()
            ws = projector.project(copied, (255 * target[0]).round(), num_steps=options.steps, device=torch.device("cpu"))
            seconds = time.perf_counter() - began
            with torch.no_grad():
                goal = float(sum(objective(ws[-1:].float())[1].values()))
            reached, last = None, None
            config = InversionConfig(num_steps=options.ours)
            for last in image2stylegan.steps(generator, target, config, features=features, optimizer=optimizer):
                if reached is None and float(last.each[0]) <= goal:
                    reached = (last.index - 1, last.seconds)  # the loss is that before this step
            assert last is not None
            rows.append(
                dict(
                    photo=index, their_loss=goal, their_seconds=seconds, their_step=seconds / options.steps,
                    our_steps=None if reached is None else reached[0], our_seconds=None if reached is None else reached[1],
                    our_loss=float(last.each[0]), our_total_seconds=last.seconds, our_step=last.seconds / options.ours,
                    ratio=None if reached is None else seconds / reached[1],
                )
            )  # fmt: skip
            print(rows[-1], flush=True)
    return dict(processor=processor(), threads=torch.get_num_threads(), side=side, basis_seconds=seconds_of_basis, rows=rows)


def alone(options: argparse.Namespace) -> None:
    """Some steps of one of them."""
    keep_memory()
    generator, features = enlarged(), load_features().prepare(torch.device("cpu"), torch.float32)
    target = target_of(SquareImages(options.data, 128), 0, generator.resolution)
    if options.alone == "theirs":
        with official(options.official, Compared()) as projector:
            copied = theirs(generator)
            projector.project(copied, (255 * target[0]).round(), num_steps=options.ours, device=torch.device("cpu"))
        return
    optimizer = optimizer_of(generator, options.learned)  # the basis of the race before is kept
    config = InversionConfig(num_steps=options.ours)
    for _ in image2stylegan.steps(generator, target, config, features=features, optimizer=optimizer):
        pass


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("official", type=Path)
    parser.add_argument("data")
    parser.add_argument("--photos", type=int, default=2, help="0: measure memory alone")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--ours", type=int, default=60)
    parser.add_argument("--learned", default="loom-any")
    parser.add_argument("--alone", choices=("ours", "theirs"), help="some steps of one, in this process")
    options = parser.parse_args()
    if options.alone:
        alone(options)
        return
    file = RESULTS / "projector.json"
    found = race(options) if options.photos else json.loads(file.read_text())
    call = [
        sys.executable,
        "-m",
        "benchmarks.projector",
        str(options.official),
        options.data,
        "--ours",
        str(options.ours),
        "--alone",
    ]
    found["peak_mib"] = {side: round(peak_mib([*call, side])) for side in ("theirs", "ours")}
    file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
