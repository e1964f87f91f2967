"""The bundled styles that ship: ``pastiche-16``, all of them in one network, and ``johnson-*``, one in a network of its own.

    python -m recipes.pastiche photos256.zip --teachers teachers/ --out runs/pastiche-16
    python -m recipes.pastiche photos256.zip --teachers teachers/ --alone mosaic --out runs/johnson-mosaic

Both begin with ``anystyle``: its convolutions, and the scales and shifts that it predicts for the styles. Then all of it is
trained on these styles: ``pastiche-16`` with the losses of ``recipes.anystyle_calm``, half of its photographs magnified and some
under a drawn sky; ``johnson-*`` with the loss of the first ``anystyle``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.random import RandomState
from recipes.anystyle import Teachers
from recipes.anystyle_calm import Objective, magnified
from torch import Tensor

import styleloom as sl
from styleloom.core.progress import Losses
from styleloom.core.run import Hardware, Run
from styleloom.data.archives import write_archive
from styleloom.data.datasets import ImageFiles
from styleloom.loops.task import TrainingStep
from styleloom.papers import dumoulin, ghiasi, johnson

SIZE = 256  # of the squares
SIDE = 384  # at which styles are looked at; 512, larger strokes, where a network has one to learn
WEIGHT = 2.0  # of the style
CADENCE: dict[str, Any] = dict(log_every=20, save_every=50, sample_every=100, lr=1e-3, ema_decay=0.99)
LOSS = replace(ghiasi.RECIPES["default"], style_weight=6.0)


def baked(model: ghiasi.AnyStyle, names: list[str], images: list[Tensor]) -> dumoulin.StyleNet:
    """The network of an ``anystyle`` with the norms that it predicts for these styles."""
    sizes = {name: model.config[name] for name in ("width", "blocks", "deep_blocks", "deep_width")}
    network = dumoulin.StyleNet(names, **sizes)
    network.network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        norms = model.norms(torch.cat([model.embed(image) for image in images]), WEIGHT)
    for index, (scale, shift) in enumerate(norms):
        network.gamma[index].data.copy_(scale)
        network.beta[index].data.copy_(shift)
    return network


def train_all(
    photos: Path, model: ghiasi.AnyStyle, teachers: Teachers, batch: int, num_steps: int, run: Run
) -> Iterator[TrainingStep]:
    """Every bundled style in one network."""
    names = list(sl.STYLES)
    styles = [sl.draw(name, SIDE) for name in names]
    losses = Objective(teachers, LOSS, second=True)

    def objective(painted: Tensor, content: Tensor, style: Tensor) -> Losses:
        top, left = torch.randint(SIDE - SIZE + 1, (2,)).tolist()
        squares = torch.cat([styles[int(index)] for index in style]).to(painted)
        return losses(painted, content, squares[..., top : top + SIZE, left : left + SIZE], torch.full((len(style),), WEIGHT))

    calm = run.folder.with_suffix(".calm.zip")
    if not calm.exists():
        photographs = ImageFiles(photos)
        for _ in write_archive(calm, magnified_crops(photographs), len(photographs)):
            pass
    recipe = dumoulin.DumoulinRecipe(size=SIZE, batch=batch, num_steps=num_steps, **CADENCE)
    base = baked(model, names, styles)
    yield from dumoulin.train(
        [photos, calm], dict(zip(names, styles, strict=True)), recipe, run=run, base=base, objective=objective
    )


def magnified_crops(photographs: ImageFiles) -> Iterator[tuple[Tensor, None]]:
    """A magnified square of each photograph."""
    for index in range(len(photographs)):
        rng = RandomState([1, index])
        yield magnified(photographs.find(index, rng)[1], rng), None


def train_alone(
    photos: Path, model: ghiasi.AnyStyle, name: str, teachers: Teachers, batch: int, num_steps: int, run: Run
) -> Iterator[TrainingStep]:
    """One bundled style in a network of its own."""
    recipe = replace(johnson.RECIPES["predicted"], batch=batch, num_steps=num_steps, **CADENCE)
    style = sl.draw(name, recipe.style_size)
    yield from ghiasi.train_for_style(photos, style, model, recipe, features=teachers, run=run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--alone", choices=list(sl.STYLES), help="a network for this style")
    parser.add_argument("--base", default="anystyle", help="an anystyle to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--num-steps", type=int, default=1200)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    teachers = Teachers(given.teachers).requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(given.out, license="Apache-2.0", hardware=Hardware(given.device, precision=given.precision), resume=given.resume)
    model = ghiasi.load(given.base)
    if given.alone:
        steps = train_alone(given.photos, model, given.alone, teachers, given.batch, given.num_steps, run)
    else:
        steps = train_all(given.photos, model, teachers, given.batch, given.num_steps, run)
    for tick in steps:
        if tick.index % 20 == 0:
            print(tick.index, {name: round(value, 3) for name, value in tick.losses.items()}, flush=True)
