"""Gatys style transfer: seconds an iteration, memory, and time to a given loss.

    python benchmarks/gatys.py iterations     # full-width VGG-19 with random weights, 256 and 512 px, and vgg19-lite
    python benchmarks/gatys.py time-to-loss   # vgg19-lite: plain L-BFGS at full size against coarse to fine

``public`` is written the way public implementations are: an ``nn.Sequential`` VGG-19 in the NCHW layout with content and
style losses as modules inside it, out-of-place ReLUs, ``torch.optim.LBFGS`` with its defaults (a history of 100), the
image clamped in the closure. Every variant takes turns with the others in one run, A B C A B C, and ratios are those of
medians. Peak memory is that of a process that runs one variant alone. Variants in bf16 run where the processor has
instructions for it. Results go to ``results/gatys_*.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.precision import bf16_is_fast
from styleloom.data.bundled import bundled
from styleloom.data.images import resize, resize_to_fit
from styleloom.nn.vgg import VGG19_CONVS, VGG_WIDTHS, Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import gatys

RESULTS = Path(__file__).parent / "results"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
OURS = gatys.configure(
    "paper",
    content_layers=("relu4_2",),
    style_layers=STYLE_LAYERS,
    pooling="max",
    init="content",
    normalize=True,
    content_weight=0.01,
    style_weight=1.0,
    first_steps=10_000,
)


class StyleLoss(nn.Module):
    """Passes its input on and keeps the Gram loss, as public implementations do."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = self.gram(target).detach()
        self.loss = torch.zeros(())

    @staticmethod
    def gram(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        flat = x.view(n * c, h * w)
        return torch.mm(flat, flat.t()).div(n * c * h * w)

    def forward(self, x: Tensor) -> Tensor:
        self.loss = F.mse_loss(self.gram(x), self.target)
        return x


class ContentLoss(nn.Module):
    """Passes its input on and keeps the squared difference to the content's features."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target.detach()
        self.loss = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.loss = F.mse_loss(x, self.target)
        return x


def random_vgg() -> Features:
    """VGG-19 up to relu5_1 with random weights that keep the scale of activations."""
    torch.manual_seed(0)
    network = Features(convs=(*VGG19_CONVS[:4], 1), widths=VGG_WIDTHS)
    for conv in network.convs.values():
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return network.requires_grad_(False).eval()


def public(size: int, features: Callable[[], Features]) -> Iterator[float]:
    """Seconds of each evaluation of the closure of a plain implementation."""
    network = features()
    content, style = images(size)
    model: nn.Sequential = nn.Sequential()
    losses: list[Any] = []
    block = "1"
    x, y = ((image - network.mean) / network.std for image in (content, style))
    for name, source in network.convs.items():
        if name[0] != block:
            model.append(nn.MaxPool2d(2))
            block = name[0]
        conv = nn.Conv2d(source.in_channels, source.out_channels, 3, padding=1)
        conv.weight, conv.bias = source.weight, source.bias
        model.append(conv)
        model.append(nn.ReLU(inplace=False))
        if f"relu{name}" in STYLE_LAYERS:
            losses.append(StyleLoss(model(y)))
            model.append(losses[-1])
        if name == "4_2":
            losses.append(ContentLoss(model(x)))
            model.append(losses[-1])
    painted = content.clone().requires_grad_(True)
    # One evaluation a step, so that the variants can take turns; the arithmetic of an iteration is the same.
    optimizer = torch.optim.LBFGS([painted], max_iter=1)

    def closure() -> Tensor:
        with torch.no_grad():
            painted.clamp_(0, 1)
        optimizer.zero_grad()
        model((painted - network.mean) / network.std)
        total = torch.stack([loss.loss * (1 if isinstance(loss, ContentLoss) else 1e3) for loss in losses]).sum()
        total.backward()
        return total

    while True:
        mark = time.perf_counter()
        optimizer.step(closure)
        yield time.perf_counter() - mark


def ours(size: int, features: Callable[[], Features], **settings: Any) -> Iterator[float]:
    """Seconds of each step of ``gatys.steps`` at one scale."""
    content, style = images(size)
    config = replace(OURS, size=size, first_size=size, **settings)
    loop = gatys.steps(content, style, config, features=features())
    while True:
        mark = time.perf_counter()
        next(loop)
        yield time.perf_counter() - mark


def images(size: int) -> tuple[Tensor, Tensor]:
    """A square content and style image."""
    return resize(bundled("astronaut"), (size, size)), resize(bundled("swirls"), (size, size))


VARIANTS: dict[str, Callable[[int], Iterator[float]]] = {
    "public": lambda size: public(size, random_vgg),
    "full fp32": lambda size: ours(size, random_vgg),
    "full fp32 compile": lambda size: ours(size, random_vgg, compile=True),
    "full bf16": lambda size: ours(size, random_vgg, precision="bf16"),
    "full bf16 compile": lambda size: ours(size, random_vgg, precision="bf16", compile=True),
    "public lite": lambda size: public(size, load_features),
    "lite fp32": lambda size: ours(size, load_features),
    "lite bf16": lambda size: ours(size, load_features, precision="bf16"),
}
if not bf16_is_fast():
    VARIANTS = {name: make for name, make in VARIANTS.items() if "bf16" not in name}


def iterations(rounds: int) -> dict[str, Any]:
    """Interleaved seconds an iteration, ratios to ``public`` and peak memory."""
    report: dict[str, Any] = {}
    for size in (256, 512):
        print(f"{size} px", flush=True)
        loops = {name: make(size) for name, make in VARIANTS.items()}
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for loop in loops.values():  # warm up: compilation, first allocations
            for _ in range(3):
                next(loop)
        for _ in range(rounds):
            for name, loop in loops.items():
                next(loop)  # back in the caches after the others
                seconds[name] += [next(loop), next(loop)]
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        report[str(size)] = {
            name: dict(
                seconds=round(median, 4),
                times_fewer_than_public=round(medians["public"] / median, 2),
                peak_mib=peak_memory(name, size),
            )
            for name, median in medians.items()
        }
        print(json.dumps(report[str(size)], indent=1), flush=True)
    return report


def peak_memory(name: str, size: int) -> int:
    """Peak resident memory in MiB of a process that runs six iterations of a variant, above one that only imports."""
    command = [sys.executable, __file__, "memory", "--size", str(size), "--variant"]
    peaks = [
        int(subprocess.run([*command, kind], capture_output=True, text=True, check=True).stdout) for kind in (name, "nothing")
    ]
    return peaks[0] - peaks[1]


def bf16_quality() -> dict[str, Any]:
    """What bf16 costs: 60 L-BFGS steps at 256 px with full-width VGG-19, both images judged by the fp32 objective."""
    content, style = images(256)
    results = {}
    for precision in ("fp32", "bf16"):
        config = replace(OURS, size=256, first_size=256, first_steps=60, precision=precision)
        results[precision] = gatys.stylize(content, style, config, features=random_vgg())
    discriminator = replace(OURS, size=256, first_size=256, first_steps=1)
    losses = {
        name: next(iter(gatys.steps(content, style, discriminator, init=image, features=random_vgg()))).losses["total"]
        for name, image in results.items()
    }
    start = next(iter(gatys.steps(content, style, discriminator, features=random_vgg()))).losses["total"]
    difference = (results["fp32"] - results["bf16"]).abs().mean().item()
    return dict(start=start, fp32_loss_of=losses, mean_difference_in_255ths=round(255 * difference, 3))


def time_to_loss(size: int, plain_steps: int) -> dict[str, Any]:
    """vgg19-lite: seconds to the losses that plain L-BFGS at full size has after a sixth, a third and all of its steps."""
    content, style = bundled("astronaut"), bundled("swirls")
    plain = replace(OURS, size=size, first_size=size, first_steps=plain_steps)
    fine = replace(OURS, size=size, first_size=size // 2, first_steps=80, steps=60)
    variants = {
        "plain, from noise": replace(plain, init="noise"),
        "plain, from the content": plain,
        "coarse to fine, L-BFGS anew at each scale": fine,
        "coarse to fine, Adam carried over": replace(fine, optimizer="adam", lr=0.02),
    }
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, config in variants.items():
        lowest, curves[name] = float("inf"), []
        for step in gatys.steps(resize_to_fit(content, size), style, config, features=load_features()):
            if max(step.size) == size:
                lowest = min(lowest, step.losses["total"])
                curves[name].append((round(step.seconds, 2), lowest))
        print(name, curves[name][-1], flush=True)
    report: dict[str, Any] = {name: dict(seconds=curve[-1][0], loss=curve[-1][1]) for name, curve in curves.items()}
    for name in ("plain, from noise", "plain, from the content"):
        for steps in (plain_steps // 6, plain_steps // 3, plain_steps):
            seconds, loss = curves[name][steps - 1]
            reached = {
                other: next((seconds for seconds, value in curve if value <= loss), None) for other, curve in curves.items()
            }
            report[name][f"at {steps}"] = dict(seconds=seconds, loss=loss, seconds_to_it=reached)
    return report


def processor() -> str:
    """Its name, and whether it multiplies bf16 in hardware."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, {'with' if 'amx_bf16' in str(lines) else 'without'} AMX bf16"


def main() -> None:
    """Run one benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["iterations", "time-to-loss", "memory"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--variant", default="public")
    options = parser.parse_args()
    if options.what == "memory":
        if options.variant in VARIANTS:
            loop = VARIANTS[options.variant](options.size)
            for _ in range(6):
                next(loop)
        status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory before exec
        print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
        return
    machine = dict(processor=processor(), threads=torch.get_num_threads(), torch=torch.__version__)
    if options.what == "iterations":
        bf16 = bf16_quality() if bf16_is_fast() else None
        result = dict(machine=machine, iterations=iterations(options.rounds), bf16=bf16)
    else:
        result = dict(machine=machine, time_to_loss=time_to_loss(options.size, plain_steps=300))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"gatys_{options.what.replace('-', '_')}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
