"""``pastiche-16``: the sixteen bundled styles in one network, begun with what ``anystyle`` predicts for them.

    python -m recipes.pastiche photos256.zip --teachers teachers/ --out runs/pastiche-16

The convolutions are those of ``anystyle``, a style's scales and shifts the ones that it predicts. Then all of it is trained on
the sixteen styles alone, with the same loss.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from recipes.anystyle import Teachers
from torch import Tensor

import styleloom as sl
from styleloom.core.progress import Losses
from styleloom.loops.fit import Hardware
from styleloom.papers import dumoulin, ghiasi

SIDE = 384  # at which styles are looked at
WEIGHT = 2.0  # of the style


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--num-steps", type=int, default=1200)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    teachers = Teachers(given.teachers).requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    names = list(sl.STYLES)
    images = [sl.draw(name, SIDE) for name in names]
    cadence: dict[str, Any] = dict(log_every=20, save_every=50, sample_every=200)
    recipe = dumoulin.Recipe(size=256, batch=given.batch, num_steps=given.num_steps, lr=1e-3, ema_decay=0.99, **cadence)
    loss = replace(ghiasi.RECIPES["default"], style_weight=6.0)

    def objective(painted: Tensor, content: Tensor, style: Tensor) -> Losses:
        looks = torch.cat([images[int(index)] for index in style]).to(painted)
        weight = torch.full((len(style),), WEIGHT, device=painted.device)
        top, left = torch.randint(SIDE - recipe.size + 1, (2,)).tolist()
        looks = looks[..., top : top + recipe.size, left : left + recipe.size]
        return ghiasi.objective(teachers, painted, content, looks, weight, loss)

    run = dumoulin.train(
        given.photos,
        dict(zip(names, images, strict=True)),
        recipe,
        out=given.out,
        base=baked(names, images),
        objective=objective,
        licence="Apache-2.0",
        hardware=Hardware(given.device, precision=given.precision),
        resume=given.resume,
    )
    for tick in run:
        if tick.index % 20 == 0:
            print(tick.index, {name: round(value, 3) for name, value in tick.losses.items()}, flush=True)
