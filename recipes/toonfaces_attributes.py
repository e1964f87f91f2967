"""Train ``toonfaces-attributes``, which tells the attributes of a cartoon face, and judge it on faces that it did not see.

python -m recipes.toonfaces_attributes --out runs/toonfaces-attributes
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from styleloom.core.run import Hardware, Run
from styleloom.data import images
from styleloom.drawn import toonfaces
from styleloom.loops.fit import fit
from styleloom.loops.task import Phase, Task, Training, cosine, warmed
from styleloom.nn import labeler as labeler
from styleloom.nn.labeler import Labeler

SIDE = 64
HELD_OUT = range(1_000_000, 1_005_000)
REDUCED, NOISY = 0.25, 0.5  # shares of images that are made worse


@dataclass(frozen=True)
class Recipe(Training):
    """How it is trained.

    Args:
        faces: renders that it is trained on, of seeds from 0.
        lr: AdamW's step size, which falls by a cosine.
        decay: AdamW's weight decay.
        noise: largest spread of noise on the images.
    """

    num_steps: int = 16_000
    batch: int = 64
    log_every: int = 100
    sample_every: int = 10**9
    save_every: int = 1_000
    faces: int = 100_000
    clip: float = 1.0
    lr: float = 1.2e-3
    decay: float = 1e-2
    noise: float = 0.03


def scaled(known: Mapping[str, Tensor]) -> Tensor:
    """Numbers [N, len(RANGES)] from -1 to 1."""
    ranges = toonfaces.RANGES
    return torch.stack([2 * (known[name] - low) / (high - low) - 1 for name, (low, high) in ranges.items()], 1).float()


def rendered(seeds: range) -> tuple[Tensor, Tensor, Tensor]:
    """Faces of seeds as bytes [N, 3, S, S], their numbers, and the places of their choices [N, choices]."""
    faces_seen, numbers, choices = [], [], []
    for start in range(seeds.start, seeds.stop, 500):
        faces = [toonfaces.attributes(seed) for seed in range(start, min(start + 500, seeds.stop))]
        known = toonfaces.targets(faces)
        faces_seen.append((toonfaces.render(faces, SIDE) * 255).round().byte())
        numbers.append(scaled(known))
        choices.append(torch.stack([known[name] for name in toonfaces.CHOICES], 1))
    return torch.cat(faces_seen), torch.cat(numbers), torch.cat(choices)


def losses(network: Labeler, image: Tensor, numbers: Tensor, choices: Tensor) -> dict[str, Tensor]:
    """Squared error of the numbers, and cross-entropy of the choices."""
    found, logits = network(image)
    wrong = [F.cross_entropy(each, place) for each, place in zip(logits.values(), choices.unbind(1), strict=True)]
    return {"numbers": 4 * F.mse_loss(found, numbers), "choices": torch.stack(wrong).mean()}


@torch.inference_mode()
def quality(network: Labeler, seeds: range = HELD_OUT) -> dict[str, float]:
    """R^2 of each number and accuracy of each choice on faces of seeds."""
    faces_seen, numbers, choices = rendered(seeds)
    told = [network.predict(part.float() / 255) for part in faces_seen.split(250)]
    found = {name: torch.cat([each[name] for each in told]) for name in told[0]}
    result = {}
    for name, truth in zip(toonfaces.RANGES, numbers.unbind(1), strict=True):
        result[name] = float(1 - (found[name] - truth).square().sum() / (truth - truth.mean()).square().sum())
    for name, place in zip(toonfaces.CHOICES, choices.unbind(1), strict=True):
        result[name] = float((found[name] == place).float().mean())
    return {name: round(value, 4) for name, value in result.items()}


def example(faces_seen: Tensor, numbers: Tensor, choices: Tensor, noise: float) -> Callable[[int, RandomState], Any]:
    """A face, at times noisy or enlarged from half its size, so that images that are not drawn so cleanly can be told too."""

    def item(index: int, rng: RandomState) -> tuple[Tensor, Tensor, Tensor]:
        image = faces_seen[index].float() / 255
        if rng.rand() < REDUCED:
            image = images.resize(F.avg_pool2d(image[None], 2), (SIDE, SIDE))[0]
        if rng.rand() < NOISY:
            image = image + noise * rng.rand() * torch.from_numpy(rng.standard_normal(image.shape)).float()
        return image, numbers[index], choices[index]

    return item


@final
class LabelerTask(Task):
    """Training of a labeler on drawn faces."""

    def __init__(self, recipe: Recipe, network: Labeler) -> None:
        self.recipe = recipe
        self.example = example(*rendered(range(recipe.faces)), recipe.noise)
        optimizer = torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=recipe.decay)
        self.networks = {"network": network}
        self.phases = {"all": Phase(optimizer, lambda *fields: losses(network, *fields))}
        self.count, self.averages, self.settings = recipe.faces, {"network": warmed(0.998)}, asdict(recipe)

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.example(index, rng)

    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        labeler.save(networks["network"], path, "Apache-2.0")


def main() -> None:
    """Train, resuming where the folder has a run, and write the quality on held-out faces beside the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    recipe = Recipe()
    torch.manual_seed(recipe.seed)
    network = Labeler(SIDE, list(toonfaces.RANGES), {name: list(each) for name, each in toonfaces.CHOICES.items()})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = LabelerTask(recipe, network)
    for tick in fit(task, recipe, run=Run(options.out, resume=True), fabric=Hardware(precision=options.precision).launch()):
        if tick.stopped:
            return
    found = quality(labeler.load(options.out / "model.safetensors"))
    (options.out / "quality.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
