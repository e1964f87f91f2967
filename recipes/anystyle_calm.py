"""``anystyle``, second edition: half the width, and calm places of the photograph stay as calm as the painting's.

    python -m recipes.anystyle_calm paintings.zip drawn/ photos256.zip --teachers teachers/ --base old.safetensors --out runs/a
    python -m recipes.anystyle_calm ... --base runs/a/model.safetensors --out runs/b --stage second --num-steps 3000 --lr 0.001

The base is an ``anystyle`` of width 32. Half of its channels are pruned by the norms of their kernels, and the rest is trained
further. Contents are crops of photographs at 1 to 8 times their size, a third of the magnified ones under a drawn sky. Beside the
losses of ``recipes.anystyle`` stand three: style by place (calm places against the painting's calm places, the rest against the
rest), the energy of texture in calm places by octaves, and light and dark at low frequency. ``--stage second`` asks for textures
in calm places by the first layers alone, lets large blots there follow the photograph, and weighs style less where little of a
photograph is busy. Of every fifteenth artist nothing is trained on.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from recipes.anystyle import Teachers
from torch import Tensor

from styleloom.core.progress import Losses
from styleloom.core.run import Hardware, Run
from styleloom.data import color, images
from styleloom.data.datasets import random_crop, stacked
from styleloom.loops.fit import fit
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, cosine, warmed
from styleloom.nn.losses import covariance_loss, mean_loss, moments, sliced_wasserstein, total_variation
from styleloom.papers import ghiasi
from styleloom.papers.ghiasi import CONTENT_LAYERS, DIRECTIONS, STYLE_LAYERS, WEIGHTS, AnyStyle, GhiasiRecipe, style_loss
from styleloom.papers.ghiasi.training import Examples, normalized, parameter_groups

SIZE = 256
CALM, SOFTNESS = 0.045, 0.008  # deviation of luma below which a place is calm, and how gradually
OCTAVES = 6
LARGE = 3  # octaves from here on follow the photograph in calm places, in the second stage
DEEP = ("relu4_1", "relu5_1")
FAINT = 1e-5  # mean square of a texture that counts for nothing


def packed(paintings: Path, drawn: Path, out: Path) -> Path:
    """A zip of style images with a folder for each artist and each drawn style, without every fifteenth artist."""
    with zipfile.ZipFile(paintings) as source, zipfile.ZipFile(out, "w") as target:
        rows = list(csv.DictReader(io.StringIO(source.read("paintings.csv").decode())))
        artists = sorted({row["artist"] for row in rows})
        held_out = {artist for index, artist in enumerate(artists) if index % 15 == 7}
        for row in rows:
            if row["artist"] not in held_out:
                folder = f"artist-{artists.index(row['artist']):03}"
                target.writestr(f"{folder}/{Path(row['file']).name}", source.read(row["file"]))
        for path in sorted(drawn.glob("*.png")):
            target.write(path, f"{path.stem.rsplit('-', 1)[0]}/{path.name}")
    return out


def pruned(base: AnyStyle, width: int) -> AnyStyle:
    """A network of fewer channels, with the kernels of the largest norms of another one's.

    Layers whose outputs are added keep the same channels, those whose norms are largest together.
    """
    network: Any = base.network
    new = AnyStyle(base.predictor.encoder, source=base.source, **(base.config | dict(width=width)))

    def squares(convolution: Any) -> Tensor:
        return convolution.weight.flatten(1).square().sum(1)

    def largest(of: Tensor, count: int) -> Tensor:
        return of.topk(count).indices.sort().values

    first, second = largest(squares(network.down[0]), width), largest(squares(network.down[1]), 2 * width)
    added = [network.down[2], network.deep[-1], *network.residual[1::2]]
    shared = largest(torch.stack([squares(each) for each in added]).sum(0), 4 * width)
    # Outputs and inputs that each convolution keeps.
    kept: dict[str, tuple[Tensor, Tensor | None]] = {
        "down.0": (first, None),
        "down.1": (second, first),
        "down.2": (shared, second),
    }
    every, last = torch.arange(network.deep[0].weight.shape[0]), len(network.deep) - 1
    for index in range(last + 1):
        kept[f"deep.{index}"] = (shared if index == last else every, shared if index == 0 else every)
    for index in range(0, len(network.residual), 2):
        middle = largest(squares(network.residual[index]), 4 * width)
        kept[f"residual.{index}"], kept[f"residual.{index + 1}"] = (middle, shared), (shared, middle)
    up = largest(squares(network.up[0]), 2 * width), largest(squares(network.up[1]), width)
    kept |= {"up.0": (up[0], shared), "up.1": (up[1], up[0]), "last": (torch.arange(3), up[1])}
    # Copy them, and the rows of the layer that predicts their norms.
    theirs, state = base.state_dict(), new.state_dict()
    for name in state:
        if name.startswith("network."):
            outputs, inputs = kept[name.removeprefix("network.").rsplit(".", 1)[0]]
            state[name] = theirs[name][outputs] if inputs is None else theirs[name][outputs][:, inputs]
        elif not name.startswith("norms_of"):
            state[name] = theirs[name]
    starts = np.cumsum([0, *network.channels])
    rows = torch.cat([start + outputs for start, (outputs, _) in zip(starts[:-1], kept.values(), strict=True)])
    rows = torch.cat([rows, rows + starts[-1]])
    for name in ("norms_of.weight", "norms_of.bias"):
        state[name] = theirs[name][rows]
    new.load_state_dict(state)
    return new


def deviation(image: Tensor, window: int) -> Tensor:
    """Deviation of luma in a square around each place, at half size: [N, 3, H, W] -> [N, 1, H / 2, W / 2]."""
    luma = color.luma(image.float())
    square, luma = F.avg_pool2d(luma.square(), 2), F.avg_pool2d(luma, 2)

    def blurred(plane: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(plane, (window // 2,) * 4, mode="reflect"), window, 1)

    return (blurred(square) - blurred(luma).square()).clamp_min(0).sqrt()


def calm_places(content: Tensor) -> Tensor:
    """Soft mask of the calm places of photographs: [N, 3, H, W] -> [N, 1, H / 4, W / 4]."""
    highest = F.max_pool2d(F.max_pool2d(deviation(content, 9), 2), 3, 1, 1)
    return torch.sigmoid((CALM - highest) / SOFTNESS)


def calmest(style: Tensor, share: Tensor) -> Tensor:
    """Soft mask of the calmest share [N] of paintings: [N, 3, H, W] -> [N, 1, H / 4, W / 4]."""
    spread = F.avg_pool2d(deviation(style, 13), 2)
    ranks = spread.flatten(1).argsort(1).argsort(1).float() / spread[0].numel()
    return torch.sigmoid((share[:, None] - ranks) / 0.03).view_as(spread)


def octave_energies(image: Tensor, mask: Tensor) -> list[Tensor]:
    """Mean square of each octave of images under a mask, finest first: [N] each."""
    energies, level = [], image.float()
    for _ in range(OCTAVES):
        smaller = F.avg_pool2d(level, 2)
        band = level - F.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
        energy = band.square().mean(1, keepdim=True)
        weights = F.adaptive_avg_pool2d(mask, (energy.shape[2], energy.shape[3]))
        energies.append((energy * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp_min(1e-3))
        level = smaller
    return energies


def style_by_place(
    output: Mapping[str, Tensor], target: Mapping[str, Tensor], calm: Tensor, calm_style: Tensor, share: Tensor, second: bool
) -> Tensor:
    """Distances of features in calm places and in the others, weighed by their shares: [N]."""
    terms = []
    for layer in output:
        x, y = output[layer].float(), target[layer].float()
        of_calm = share * ((0.2 if layer in DEEP else 0.8) if second else 1.0)
        for weight, of_x, of_y in ((of_calm, calm, calm_style), (1 - share, 1 - calm, 1 - calm_style)):
            masks = [F.adaptive_avg_pool2d(mask, (part.shape[2], part.shape[3])) + 1e-3 for mask, part in ((of_x, x), (of_y, y))]
            with torch.autocast("cpu", enabled=False):
                p, q = moments(x, masks[0]), moments(y, masks[1])
                terms.append(2 * weight * (mean_loss(p, q).log1p() + covariance_loss(p, q).log1p()))
    return torch.stack(terms).sum(0) / (2 * len(output))


def light_and_dark(painted: Tensor, content: Tensor) -> Tensor:
    """One minus the correlation of luma at 1/16 of the size, less where the photograph has hardly any contrast: [N]."""
    a, b = (F.avg_pool2d(color.luma(image.float()), 16) for image in (painted, content))
    a, b = a - a.mean((2, 3), keepdim=True), b - b.mean((2, 3), keepdim=True)
    contrast = b.square().mean((1, 2, 3))
    correlation = (a * b).mean((1, 2, 3)) / (a.square().mean((1, 2, 3)) * contrast + 1e-8).sqrt()
    return (1 - correlation) * contrast / (contrast + 4e-4)


class Objective:
    """The losses of what a model paints.

    Args:
        teachers: perceptual network of the recipe.
        recipe: with the weight of the style.
        second: the losses of the second stage.
    """

    def __init__(self, teachers: Teachers, recipe: GhiasiRecipe, second: bool) -> None:
        self.teachers, self.recipe, self.second = teachers, recipe, second

    def __call__(self, painted: Tensor, content: Tensor, style: Tensor, weight: Tensor) -> Losses:
        """Weighed terms of images [N, 3, H, W] in [0, 1] and weights [N] of the style."""
        # Targets: features, and how much texture calm places may have.
        small, teachers = self.teachers.small, self.teachers
        with torch.no_grad():
            content_target, target = small(content, tuple(CONTENT_LAYERS)), small(style, STYLE_LAYERS)
            target_half = teachers(F.avg_pool2d(style, 2), STYLE_LAYERS)
            calm = calm_places(content)
            share = calm.mean((1, 2, 3)).clamp(0.05, 0.9)
            calm_style = calmest(style, share)
            allowed = octave_energies(style, calm_style)
            if self.second:
                own = octave_energies(content, calm)
                allowed = [each if k < LARGE else 0.15 * each + own[k] for k, each in enumerate(allowed)]
        # Content and style, at full and at half size.
        output, half = small(painted, STYLE_LAYERS), F.avg_pool2d(painted, 2)
        output_half = teachers(half, STYLE_LAYERS)
        kept = torch.zeros_like(weight)
        for layer, part in CONTENT_LAYERS.items():
            difference = normalized(output[layer]) - normalized(content_target[layer])
            kept = kept + part * difference.square().mean((1, 2, 3))
        busy = 1 - 0.8 * share if self.second else torch.ones_like(share)
        everywhere = (style_loss(output, target) + style_loss(output_half, target_half)) * busy
        by_place = style_by_place(output, target, calm, calm_style, share, self.second)
        by_place = by_place + style_by_place(output_half, target_half, calm, calm_style, share, self.second)
        # Colors, calm places, light and dark.
        with torch.autocast("cpu", enabled=False):
            colors = sliced_wasserstein(F.avg_pool2d(half.float(), 2), F.avg_pool2d(style, 4), DIRECTIONS).log1p() * busy
            excess = [
                F.relu(((energy + FAINT) / (limit + FAINT)).log()) * (1.5 if self.second and k >= LARGE else 1.0)
                for k, (energy, limit) in enumerate(zip(octave_energies(painted, calm), allowed, strict=True))
            ]
            blots = torch.stack(excess).mean(0) * calm.mean((1, 2, 3)).clamp_max(0.5) * 2
        of_style = self.recipe.style_weight * 2 * weight / (1 + weight)
        of_content = 2 / (1 + weight)
        return {
            "content": (of_content * kept).mean(),
            "style": (of_style * everywhere).mean() / 2,
            "by_place": (of_style * by_place).mean() / 2,
            "color": (of_style * colors).mean(),
            "calm": (2.0 if self.second else 1.0) * blots.mean(),
            "light": (of_content * light_and_dark(painted, content)).mean(),
            "tv": 0.5 * total_variation(painted),
        }


@final
class CalmTask(Task):
    """Training of a model on crops with calm places.

    Args:
        photos, styles: zips of photographs and of style images.
        model: the one to train.
        recipe: steps and rates.
        objective: losses.
    """

    def __init__(self, photos: Path, styles: Path, model: AnyStyle, recipe: GhiasiRecipe, objective: Objective) -> None:
        def loss(content: Tensor, style: Tensor, weight: Tensor) -> Losses:
            return objective(model(content, style, weight), content, style, weight)

        self.recipe = recipe
        self.examples = Examples(photos, styles, recipe)
        groups = parameter_groups(model, recipe.lr)
        self.networks = {"model": model}
        self.phases = {"model": Phase(OPTIMIZERS[recipe.optimizer](groups, recipe.lr), loss)}
        self.count, self.averages = len(self.examples.photographs), {"model": warmed(recipe.ema_decay)}
        self.settings = asdict(recipe) | dict(method="anystyle, calm")
        self.shown = stacked(self.item(index, RandomState([0, index]))[:2] for index in range(8))

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        photograph = self.examples.photographs.find(index, rng)[1]
        cut = magnified(photograph, rng)
        look = random_crop(photograph, SIZE, rng) if rng.uniform() < 0.08 else self.examples.look(rng, 0.15)
        return cut, look, torch.tensor(WEIGHTS ** rng.uniform(-1, 1), dtype=torch.float32)

    def schedule(self, step: int) -> float:
        return min(1, (step + 1) / 100) * cosine(step, self.recipe.num_steps)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        painted = [networks["model"](*self.shown, weight) for weight in (1 / WEIGHTS, 1.0, WEIGHTS)]
        return images.grid([*self.shown, *painted])

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        networks["model"].save(path, "Apache-2.0")


def magnified(photograph: Tensor, rng: RandomState) -> Tensor:
    """A crop at 1 to 8 times its size, a third of the magnified ones under a drawn sky: [3, H, W] -> [3, S, S]."""
    scale = rng.uniform()
    if scale < 0.45:
        return random_crop(photograph, SIZE, rng)
    cut = random_crop(photograph, SIZE, rng, smallest=0.3 if scale < 0.8 else 0.12, enlarge=True)
    if rng.uniform() >= 0.35:
        return cut
    top, other = (torch.tensor(rng.uniform(0.15, 1, 3), dtype=torch.float32)[:, None, None] for _ in range(2))
    bottom = top + (other - top) * float(rng.uniform(0, 0.5))
    y, x = torch.meshgrid(torch.linspace(0, 1, SIZE), torch.linspace(0, 1, SIZE), indexing="ij")
    slope = y + float(rng.uniform(-0.5, 0.5)) * x
    horizon = float(rng.uniform(0.25, 0.8)) + 0.06 * torch.sin(9 * x * float(rng.uniform(0.5, 2)) + float(rng.uniform(0, 6)))
    above = torch.sigmoid((horizon - y) * float(rng.uniform(20, 200)))
    grain = 0.008 * torch.from_numpy(rng.randn(3, SIZE, SIZE)).float()
    return (cut * (1 - above) + (top * (1 - slope) + bottom * slope) * above + grain).clamp(0, 1)


def main() -> None:
    """Train, resuming where the folder holds a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("drawn", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", choices=("first", "second"), default="first")
    parser.add_argument("--num-steps", type=int, default=4800)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args()
    # The losses, the network, and the data.
    teachers = Teachers(options.teachers).requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sizes: dict[str, Any] = dict(num_steps=options.num_steps, batch=4, lr=options.lr, ema_decay=0.998, style_weight=4.0)
    recipe = replace(ghiasi.RECIPES["default"], optimizer="muon", log_every=20, save_every=100, **sizes)
    torch.manual_seed(0)
    base = ghiasi.load(options.base)
    model = pruned(base, 16) if options.stage == "first" else base
    model.requires_grad_(True)
    model.predictor.encoder.requires_grad_(False)
    styles = packed(options.paintings, options.drawn, options.out.with_suffix(".styles.zip"))
    # Train.
    objective = Objective(teachers, recipe, options.stage == "second")
    task = CalmTask(options.photos, styles, model.to(memory_format=torch.channels_last), recipe, objective)  # type: ignore[call-overload]
    fabric = Hardware(precision="bf16").launch()
    for tick in fit(task, recipe, Run(options.out, "Apache-2.0", resume=True), fabric):
        if tick.index % 20 == 0:
            print(tick.index, {name: round(value, 3) for name, value in tick.losses.items()}, f"{tick.rate:.2f}/s", flush=True)


if __name__ == "__main__":
    main()
