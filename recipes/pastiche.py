"""The bundled styles that ship: ``pastiche-16``, all of them in one network, and ``johnson-*``, one in a network of its own.

    python -m recipes.pastiche photos256.zip --teachers teachers/ --out runs/pastiche-16
    python -m recipes.pastiche photos256.zip --teachers teachers/ --alone mosaic --out runs/johnson-mosaic

Both begin with ``anystyle``: its convolutions, and the scales and shifts that it predicts for the styles. Then all of it is
trained on these styles, with the same loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from recipes.anystyle import Teachers
from torch import Tensor

import styleloom as sl
from styleloom.core.progress import Losses
from styleloom.core.run import Hardware, Run
from styleloom.loops.task import TrainingStep
from styleloom.papers import dumoulin, ghiasi, johnson

SIZE = 256  # of the squares
SIDE = 384  # at which styles are looked at; 512, larger strokes, where a network has one to learn
WEIGHT = 2.0  # of the style
CADENCE: dict[str, Any] = dict(log_every=20, save_every=50, sample_every=100, lr=1e-3, ema_decay=0.99)
LOSS = replace(ghiasi.RECIPES["default"], style_weight=6.0)


def baked(names: list[str], images: list[Tensor]) -> dumoulin.StyleNet:
    """anystyle's network with the norms that it predicts for these styles."""
    model = ghiasi.load()
    sizes = {name: model.config[name] for name in ("width", "blocks", "deep_blocks", "deep_width")}
    network = dumoulin.StyleNet(names, **sizes)
    network.network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        norms = model.norms(torch.cat([model.embed(image) for image in images]), WEIGHT)
    for place, (scale, shift) in enumerate(norms):
        network.gamma[place].data.copy_(scale)
        network.beta[place].data.copy_(shift)
    return network


def distance(features: Any, painted: Tensor, content: Tensor, looks: Sequence[Tensor]) -> Losses:
    """anystyle's loss, with a square of each style image at the same random position."""
    weight = torch.full((len(looks),), WEIGHT, device=painted.device)
    top, left = torch.randint(looks[0].shape[-1] - SIZE + 1, (2,)).tolist()
    squares = torch.cat(list(looks)).to(painted)[..., top : top + SIZE, left : left + SIZE]
    return ghiasi.objective(features, painted, content, squares, weight, LOSS)


def train_all(photos: Path, features: Any, batch: int, num_steps: int, **options: Any) -> Iterator[TrainingStep]:
    """Every bundled style in one network."""
    names = list(sl.STYLES)
    images = [sl.draw(name, SIDE) for name in names]
    recipe = dumoulin.DumoulinRecipe(size=SIZE, batch=batch, num_steps=num_steps, **CADENCE)

    def objective(painted: Tensor, content: Tensor, style: Tensor) -> Losses:
        return distance(features, painted, content, [images[int(index)] for index in style])

    styles = dict(zip(names, images, strict=True))
    yield from dumoulin.train(photos, styles, recipe, base=baked(names, images), objective=objective, **options)


def train_alone(photos: Path, name: str, features: Any, batch: int, num_steps: int, **options: Any) -> Iterator[TrainingStep]:
    """One bundled style in a network of its own."""
    recipe = replace(johnson.RECIPES["predicted"], batch=batch, num_steps=num_steps, **CADENCE)
    yield from ghiasi.train_for_style(
        photos, sl.draw(name, recipe.style_size), ghiasi.load(), recipe, features=features, **options
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--alone", choices=list(sl.STYLES), help="a network for this style")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--num-steps", type=int, default=1200)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    teachers = Teachers(given.teachers).requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    options = dict(
        run=Run(given.out, license="Apache-2.0", hardware=Hardware(given.device, precision=given.precision), resume=given.resume)
    )
    if given.alone:
        run = train_alone(given.photos, given.alone, teachers, given.batch, given.num_steps, **options)
    else:
        run = train_all(given.photos, teachers, given.batch, given.num_steps, **options)
    for tick in run:
        if tick.index % 20 == 0:
            print(tick.index, {name: round(value, 3) for name, value in tick.losses.items()}, flush=True)
