"""StyleGAN2 against the same networks in the official layout: forward passes and training steps.

    python -m benchmarks.generators            speed at 256 px; a run of a quarter of an hour
    python -m benchmarks.generators --resolution 64 --channel-base 2048 --channel-max 192 --batch 16     of the preset 64-small
    python -m benchmarks.generators precision  bf16 against fp32: agreement, and the losses of a short training run

The official layout (:mod:`benchmarks.official_stylegan2`) has a convolution an image in one grouped convolution, NCHW,
and is written plainly. Widths are paper256's, weights random. Each variant lives in a process of its own, since what one
does with memory would help the others; they take turns, A B C A B C, and ratios are those of medians. ``memory kept`` is
what ``styleloom train`` and the other commands do, see :mod:`styleloom.core.memory`; for the official layout, too, to
show how much of the gain that is. ``full step`` is a step of training as it is on the average: R1 in each 16th and the path
length penalty in each 4th. Results go to ``results/generators_speed_<resolution>.json`` and
``results/generators_precision.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from benchmarks import official_stylegan2 as official
from benchmarks.gatys import processor
from torch import Tensor

from styleloom.core.memory import keep_memory
from styleloom.nn.losses import r1_penalty
from styleloom.papers import stylegan2
from styleloom.papers.stylegan2 import Discriminator, Generator

RESULTS = Path(__file__).parent / "results"
VARIANTS = {
    "official": dict(layout="official", bf16=False, keep=False),
    "official, memory kept": dict(layout="official", bf16=False, keep=True),
    "ours": dict(layout="ours", bf16=False, keep=False),
    "ours, memory kept": dict(layout="ours", bf16=False, keep=True),
    "ours, bf16": dict(layout="ours", bf16=True, keep=False),
    "ours, bf16, memory kept": dict(layout="ours", bf16=True, keep=True),
}
WORK = ("forward, batch 1", "forward", "D forward", "step", "R1 step", "path step, half the batch")
FULL = {"step": 1.0, "R1 step": 1 / 16, "path step, half the batch": 1 / 4}


@dataclass(frozen=True)
class Size:
    """What is measured: resolution, widths and images at a time."""

    resolution: int
    channel_base: int
    channel_max: int = 512
    batch: int = 4


def networks(resolution: int, channel_base: int, channel_max: int = 512) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with random weights, noise included."""
    torch.manual_seed(0)
    widths: dict[str, Any] = dict(channel_base=channel_base, channel_max=channel_max)
    generator = Generator(img_resolution=resolution, synthesis_kwargs=widths)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.1)
    return generator, Discriminator(img_resolution=resolution, **widths)


Passes = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def passes(generator: Generator, discriminator: Discriminator, layout: str) -> Passes:
    """ws to images, and images to logits, in a layout."""
    if layout == "official":
        return lambda ws: official.synthesis(generator.synthesis, ws), lambda image: official.discriminator(discriminator, image)
    return lambda ws: generator.synthesis(ws, noise_mode="const"), discriminator


def work(variant: dict[str, Any], size: Size) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    if variant["keep"]:
        keep_memory()
    generator, discriminator = networks(size.resolution, size.channel_base, size.channel_max)
    if variant["layout"] == "ours":
        for network in (generator, discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if variant["bf16"]:
        for part in (generator.synthesis, discriminator):
            stylegan2.reduce_precision(part, num_resolutions=9)
    synthesis, logits_of = passes(generator, discriminator, variant["layout"])
    ws = torch.randn(size.batch, generator.num_ws, generator.w_dim)
    real = torch.randn(size.batch, 3, size.resolution, size.resolution)
    parameters = [*generator.parameters(), *discriminator.parameters()]

    def train(learner: torch.nn.Module, loss: Callable[[], Tensor]) -> None:
        for network in (generator, discriminator):
            network.requires_grad_(network is learner)
        loss().backward()
        for parameter in parameters:
            parameter.grad = None

    def against_made() -> Tensor:
        with torch.no_grad():
            made = synthesis(ws)
        return stylegan2.discriminator_loss(logits_of(real), logits_of(made)).mean()

    def step() -> None:
        train(generator, lambda: stylegan2.generator_loss(logits_of(synthesis(ws))).mean())
        train(discriminator, against_made)

    def r1() -> Tensor:
        images = real.detach().requires_grad_()
        return r1_penalty(logits_of(images), images).mean()

    def path() -> Tensor:
        traced = ws[: size.batch // 2].detach().requires_grad_()
        image = synthesis(traced)
        return stylegan2.path_lengths(image, traced, torch.randn_like(image)).square().mean()

    def forward(run: Callable[[Tensor], Tensor], given: Tensor) -> Callable[[], Any]:
        def timed() -> Tensor:
            with torch.inference_mode():
                return run(given)

        return timed

    return dict(
        zip(
            WORK,
            (
                forward(synthesis, ws[:1]),
                forward(synthesis, ws),
                forward(logits_of, real),
                step,
                lambda: train(discriminator, r1),
                lambda: train(generator, path),
            ),
            strict=True,
        )
    )


def _worker(pipe: Connection, variant: dict[str, Any], size: Size, threads: int) -> None:
    torch.set_num_threads(threads)
    jobs = work(variant, size)
    while name := pipe.recv():
        mark = time.perf_counter()
        jobs[name]()
        pipe.send(time.perf_counter() - mark)


def measure(size: Size, rounds: int) -> dict[str, Any]:
    """Medians by work and variant, and their ratios to the official layout's."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    variants = VARIANTS if torch.ops.mkldnn._is_mkldnn_bf16_supported() else {n: v for n, v in VARIANTS.items() if not v["bf16"]}
    for name, variant in variants.items():
        ours, theirs = context.Pipe()
        arguments = (theirs, variant, size, torch.get_num_threads())
        context.Process(target=_worker, args=arguments, daemon=True).start()
        pipes[name] = ours
    report: dict[str, Any] = {}
    full = dict.fromkeys(pipes, 0.0)

    def compared(seconds: dict[str, float]) -> dict[str, Any]:
        return {
            name: dict(seconds=round(median, 3), times_fewer_than_official=round(seconds["official"] / median, 2))
            for name, median in seconds.items()
        }

    for job in WORK:
        seconds: dict[str, list[float]] = {name: [] for name in pipes}
        for turn in range(rounds + 1):
            for name, pipe in pipes.items():
                pipe.send(job)
                taken = pipe.recv()
                if turn:
                    seconds[name].append(taken)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        report[job] = compared(medians)
        full = {name: full[name] + FULL.get(job, 0) * medians[name] for name in full}
        print(job, report[job], flush=True)
    report["full step"] = compared(full)
    for pipe in pipes.values():
        pipe.send(None)
    return report


def agreement(resolution: int, channel_base: int) -> dict[str, float]:
    """Largest differences to the official layout, relative to the spread of its results."""
    generator, discriminator = networks(resolution, channel_base)
    ws = torch.randn(4, generator.num_ws, generator.w_dim)
    found = {}
    with torch.inference_mode():
        image = official.synthesis(generator.synthesis, ws)
        logits = official.discriminator(discriminator, image)
        for name, bf16 in (("fp32", False), ("bf16", True)):
            for part in (generator.synthesis, discriminator):
                stylegan2.reduce_precision(part, torch.bfloat16 if bf16 else torch.float32, 9)
            made = generator.synthesis(ws, noise_mode="const")
            found[f"images, {name}, largest"] = ((made - image).abs().max() / image.std()).item()
            found[f"images, {name}, mean"] = ((made - image).abs().mean() / image.std()).item()
            found[f"logits, {name}, largest"] = ((discriminator(image) - logits).abs().max() / logits.std()).item()
    return {name: float(f"{value:.2g}") for name, value in found.items()}


def losses(steps: int, every: int) -> dict[str, list[float]]:
    """Mean losses of the same short training run in fp32 and bf16: 32 px, colored discs on colored grounds."""
    found = {}
    for name, bf16 in (("fp32", False), ("bf16", True)):
        generator, discriminator = networks(32, 2048)
        if bf16:
            for part in (generator.synthesis, discriminator):
                stylegan2.reduce_precision(part, num_resolutions=9)
        learners = [torch.optim.Adam(net.parameters(), 2e-3, (0.0, 0.99)) for net in (generator, discriminator)]
        noise = torch.Generator().manual_seed(0)
        told: dict[str, list[float]] = {"G": [], "D": []}
        for _ in range(steps):
            ws = generator.mapping(torch.randn(16, 512, generator=noise))
            image = generator.synthesis(ws, noise_mode="const")
            loss = stylegan2.generator_loss(discriminator(image)).mean()
            _descend(learners[0], loss)
            told["G"].append(loss.item())
            loss = stylegan2.discriminator_loss(discriminator(_discs(16, 32, noise)), discriminator(image.detach())).mean()
            _descend(learners[1], loss)
            told["D"].append(loss.item())
        for net, values in told.items():
            found[f"{name}, {net}"] = [round(statistics.mean(values[at : at + every]), 3) for at in range(0, steps, every)]
    return found


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _discs(count: int, size: int, noise: torch.Generator) -> Tensor:
    """[count, 3, size, size] in [-1, 1]."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    x, y, radius = (torch.rand(3, count, 1, 1, generator=noise) * torch.tensor([1.0, 1.0, 0.5]).view(3, 1, 1, 1)).unbind(0)
    inside = torch.sigmoid(20 * (radius + 0.2 - ((columns - x + 0.5).square() + (rows - y + 0.5).square()).sqrt()))[:, None]
    colors = 2 * torch.rand(2, count, 3, 1, 1, generator=noise) - 1
    return inside * colors[0] + (1 - inside) * colors[1]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["speed", "precision"], default="speed")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--channel-base", type=int, default=16384)
    parser.add_argument("--channel-max", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    machine = dict(processor=processor(), threads=torch.get_num_threads(), torch=torch.__version__)
    size = Size(options.resolution, options.channel_base, options.channel_max, options.batch)
    if options.what == "speed":
        result = dict(machine=machine, **asdict(size), speed=measure(size, options.rounds))
        name = f"speed_{size.resolution}"
    else:
        close = agreement(size.resolution, size.channel_base)
        result, name = dict(machine=machine, agreement=close, losses=losses(options.steps, options.steps // 8)), "precision"
    print(json.dumps(result, indent=1))
    (RESULTS / f"generators_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
