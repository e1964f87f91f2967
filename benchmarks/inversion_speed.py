"""A step of inversion against the same step written the way public projectors are.

    python -m benchmarks.inversion_speed

"Public" is Adam on w of one tensor for all images, the generator in the official layout (:mod:`benchmarks.official_stylegan2`:
grouped convolutions, NCHW) and the perceptual network plainly, NCHW, on image and target at each step, as in-domain inversion's
code does (NVIDIA's projector looks at the target once); "ours" is :func:`styleloom.papers.image2stylegan.steps` with Adam, which
keeps freed memory for the next feature map as ``styleloom`` itself does (``core/memory.py``); "public, memory kept" is the
public way with that alone. First losses agree, which is checked. ``bf16`` computes generator and perceptual network so, on
processors that can. The variants take turns, each time in a process of its own; ratios are those of medians. Results go to
``results/inversion_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks import official_stylegan2 as official
from benchmarks.gatys import processor
from torch import Tensor

from styleloom.core.memory import keep_memory
from styleloom.core.precision import bf16_is_fast
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import stylegan2
from styleloom.papers.image2stylegan import LAYERS, OPTIMIZERS, InversionConfig, steps

RESULTS = Path(__file__).parent / "results"
STEPS = 10


def generator_of(resolution: int) -> stylegan2.Generator:
    """toonfaces-64, or one of 128 px with random weights, of 8192 / 256 channels."""
    if resolution == 64:
        return stylegan2.load("toonfaces-64").requires_grad_(False)
    torch.manual_seed(0)
    made = stylegan2.Generator(img_resolution=resolution, synthesis_kwargs=dict(channel_base=8192, channel_max=256))
    made.w_avg.copy_(made.estimate_w_avg(1000))
    return made.eval().requires_grad_(False)


def plain_features(network: Features, image: Tensor) -> list[Tensor]:
    """The layers' activations, computed as public code does."""
    found, block = [], "1"
    x = (image - network.mean) / network.std
    for name, conv in network.convs.items():
        if name[0] != block:
            x, block = F.max_pool2d(x, 2), name[0]
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
        if f"conv{name}" in LAYERS:
            found.append(x)
            if len(found) == len(LAYERS):
                break
        x = F.relu(x)
    return found


def public(generator: stylegan2.Generator, features: Features, targets: Tensor, config: InversionConfig) -> Iterator[Tensor]:
    """The losses [N] of each step."""
    ws = generator.w_avg.expand(len(targets), generator.num_ws, -1).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([ws], **OPTIMIZERS["adam"].tuned)
    while True:
        optimizer.zero_grad()
        image = (official.synthesis(generator.synthesis, ws) + 1) / 2
        loss = config.pixel_weight * F.mse_loss(image, targets, reduction="none").mean((1, 2, 3))
        pairs = zip(plain_features(features, image), plain_features(features, targets), strict=True)
        parts = [F.mse_loss(*pair, reduction="none").mean((1, 2, 3)) for pair in pairs]
        loss = loss + config.perceptual_weight * torch.stack(parts).mean(0)
        loss.sum().backward()
        optimizer.step()
        yield loss.detach()


def ours(generator: stylegan2.Generator, features: Features, targets: Tensor, config: InversionConfig) -> Iterator[Tensor]:
    """The losses [N] of each step."""
    for step in steps(generator, targets, config, features=features):
        yield step.each


def seconds_a_step(variant: str, resolution: int, batch: int) -> tuple[float, list[float]]:
    """Median seconds of a step, the first one left out, and the losses that it began with, in a process of its own."""
    if variant != "public":
        keep_memory()
    generator, mode = generator_of(resolution), public if variant.startswith("public") else ours
    targets = generator.generate(range(batch))
    if variant.endswith("bf16"):
        stylegan2.reduce_precision(generator.synthesis)
    precision = "bf16" if variant.endswith("bf16") else "fp32"
    loop, times = mode(generator, load_features(), targets, InversionConfig(num_steps=1000, precision=precision)), []
    losses = next(loop).tolist()
    for _ in range(STEPS):
        began = time.perf_counter()
        next(loop)
        times.append(time.perf_counter() - began)
    return statistics.median(times), losses


def measured(resolution: int, batch: int, rounds: int) -> dict[str, Any]:
    """Seconds of each variant, and their ratios."""
    variants = ["public", "public, memory kept", "ours", *(["ours, bf16"] if bf16_is_fast() else [])]
    times: dict[str, list[float]] = {name: [] for name in variants}
    losses = {}
    for _ in range(rounds):
        for name in variants:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                found, losses[name] = alone.submit(seconds_a_step, name, resolution, batch).result()
            times[name].append(found)
    torch.testing.assert_close(torch.tensor(losses["ours"]), torch.tensor(losses["public"]), rtol=1e-2, atol=1e-5)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {name: round(medians["public"] / value, 2) for name, value in medians.items()}
    return dict(seconds={name: round(value, 4) for name, value in medians.items()}, times_fewer=ratios)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[str, Any] = dict(processor=processor(), threads=torch.get_num_threads(), rounds=rounds)
    for resolution in (64, 128):
        for batch in (1, 8):
            found[f"{resolution} px, batch {batch}"] = measured(resolution, batch, rounds)
            print(resolution, batch, found[f"{resolution} px, batch {batch}"], flush=True)
    (RESULTS / "inversion_speed.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
