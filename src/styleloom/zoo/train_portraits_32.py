"""Train ``portraits-32``, a small StyleGAN2 for tests and demonstrations, on portraits of 32 px.

python -m styleloom.zoo.train_portraits_32 --portraits portraits128.zip --out runs/portraits-32
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.blocks import images
from styleloom.blocks.data import Pictures
from styleloom.blocks.fit import ONE_PROCESS, Phase, Task, Training, fit
from styleloom.papers import stylegan2

RECIPE = replace(stylegan2.PRESETS["32-small"], r1_gamma=0.02, lr=0.0025)
HELD_OUT = 500  # the last pictures of the zip, which are not trained on


class Averages(nn.Module):
    """What the penalties remember."""

    def __init__(self) -> None:
        super().__init__()
        self.pl_mean: Tensor
        self.register_buffer("pl_mean", torch.zeros(()))


def phases(
    recipe: stylegan2.Recipe, generator: stylegan2.Generator, judge: stylegan2.Discriminator, memory: Averages
) -> dict[str, Phase]:
    """The paper's four updates: losses and lazy penalties of generator and discriminator."""

    def made(count: int, update: bool = False) -> tuple[Tensor, Tensor]:
        z = torch.randn(2, count, recipe.z_dim)
        first = generator.mapping(z[0], update_average=update)
        ws = stylegan2.mixed(first, generator.mapping(z[1]), recipe.mixing_prob)
        return generator.synthesis(ws, noise_mode="random"), ws

    def learner(network: nn.Module) -> None:
        generator.requires_grad_(network is generator)
        judge.requires_grad_(network is judge)

    def of_generator(real: Tensor) -> dict[str, Tensor]:
        learner(generator)
        image, _ = made(len(real), update=True)
        return {"G": stylegan2.generator_loss(judge(image)).mean()}

    def of_paths(real: Tensor) -> dict[str, Tensor]:
        learner(generator)
        image, ws = made(len(real) // recipe.pl_batch_shrink)
        lengths = stylegan2.path_lengths(image, ws, torch.randn_like(image))
        mean = memory.pl_mean.lerp(lengths.mean(), recipe.pl_decay)
        memory.pl_mean.copy_(mean.detach())
        return {"path": (lengths - mean).square().mean() * recipe.pl_weight * recipe.pl_interval}

    def of_judge(real: Tensor) -> dict[str, Tensor]:
        learner(judge)
        with torch.no_grad():
            image, _ = made(len(real))
        return {"D": stylegan2.discriminator_loss(judge(real), judge(image)).mean()}

    def of_r1(real: Tensor) -> dict[str, Tensor]:
        learner(judge)
        real = real.detach().requires_grad_()
        return {"r1": stylegan2.r1_penalty(judge(real), real).mean() * (recipe.gamma / 2) * recipe.r1_interval}

    def adam(network: nn.Module, interval: int) -> torch.optim.Optimizer:
        c = interval / (interval + 1)  # lazy regularisation takes that many more steps
        return torch.optim.Adam(network.parameters(), recipe.lr * c, (0.0, 0.99**c), eps=1e-8)

    of_g, of_d = adam(generator, recipe.pl_interval), adam(judge, recipe.r1_interval)
    return {
        "G": Phase(of_g, of_generator),
        "path": Phase(of_g, of_paths, recipe.pl_interval),
        "D": Phase(of_d, of_judge),
        "r1": Phase(of_d, of_r1, recipe.r1_interval),
    }


def example(pictures: Pictures, side: int) -> Callable[[int, RandomState], tuple[Tensor]]:
    """A picture of the set, flipped or not: [3, side, side] in [-1, 1]."""

    def item(index: int, rng: RandomState) -> tuple[Tensor]:
        picture = pictures[index] * 2 - 1
        return (picture.flip(2) if rng.rand() < 0.5 else picture,)

    return item


def sheet(generator: stylegan2.Generator) -> Tensor:
    """Sixty-four samples: [1, 3, H, W]."""
    made = generator.generate(range(64), truncation_psi=1.0)
    return images.grid([made[start : start + 16] for start in range(0, 64, 16)])


def main() -> None:
    """Train, resuming where the folder has a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    options = parser.parse_args()
    torch.manual_seed(0)
    generator, judge = stylegan2.networks(RECIPE)
    for network in (generator, judge):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    memory = Averages()
    pictures = Pictures(options.portraits, shorter=RECIPE.resolution)
    task = Task(
        networks={"G": generator, "D": judge, "memory": memory},
        phases=phases(RECIPE, generator, judge, memory),
        item=example(pictures, RECIPE.resolution),
        count=len(pictures) - HELD_OUT,
        averages={"G": 0.5 ** (RECIPE.batch / (1000 * RECIPE.average_kimg))},
        sample=lambda networks: sheet(networks["G"]),  # type: ignore[arg-type]
        export=lambda networks, path: stylegan2.save(networks["G"], path, networks["D"], "CC-BY-4.0"),  # type: ignore[arg-type]
        settings=asdict(RECIPE) | dict(method=stylegan2.KIND),
        damaged=[pictures.damaged],
    )
    training = Training(num_steps=options.steps, batch=RECIPE.batch, log_every=50, sample_every=500, save_every=500)
    for tick in fit(task, training, out=options.out, fabric=ONE_PROCESS.launch(), resume=True):
        if tick.stopped:
            break


if __name__ == "__main__":
    main()
