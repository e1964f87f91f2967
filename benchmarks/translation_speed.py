"""CycleGAN and pix2pix beside the public layout, written plainly: NCHW, fp32, one pass after the other.

    OMP_NUM_THREADS=2 python -m benchmarks.translation_speed

Steps and inference at 256 px, batch 1, 64 channels, nine residual blocks or a U-Net of eight levels, with random weights. The
contestants take turns, each time in a process of its own; figures are medians and ratios of medians. "Plain" is torch as it is,
"memory kept" has the allocator told to keep freed memory, as ``styleloom`` does it (``core/memory.py``). The machine's limit is
the fp32 and bf16 rate of a large matrix product over the multiplications that a pass takes. Results go to
``results/translation_speed.json``.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.memory import keep_memory
from styleloom.loops.task import Phase
from styleloom.nn.translation import ImagePool, PatchGAN, ResNetGenerator, UNet
from styleloom.papers import cyclegan, pix2pix

SIDE, ROUNDS = 256, 3
RUNS = dict(step=3, inference=10)  # of each round
RESULTS = Path(__file__).parent / "results" / "translation_speed.json"


class PlainBlock(nn.Module):
    """The public layout's residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
            layers += [] if last else [nn.ReLU(True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        return x + self.layers(x)


def plain_resnet(width: int = 64, blocks: int = 9) -> nn.Module:
    """The public layout's generator of CycleGAN."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU(True)]
    for wide in (width, 2 * width):
        layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * wide), nn.ReLU(True)]
    layers += [PlainBlock(4 * width) for _ in range(blocks)]
    for wide in (4 * width, 2 * width):
        up = nn.ConvTranspose2d(wide, wide // 2, 3, stride=2, padding=1, output_padding=1)
        layers += [up, nn.InstanceNorm2d(wide // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


class PlainLevel(nn.Module):
    """The public layout's level of a U-Net, around the next one."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None, inputs: int, outermost: bool, dropout: bool) -> None:
        super().__init__()
        down = [nn.Conv2d(inputs, inner, 4, 2, 1, bias=False)]
        up = nn.ConvTranspose2d(inner * (2 if inside is not None else 1), outer, 4, 2, 1, bias=outermost)
        before: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2, True)]
        norm: list[nn.Module] = [nn.BatchNorm2d(inner)] if inside is not None and not outermost else []
        after: list[nn.Module] = [nn.Tanh()] if outermost else [nn.BatchNorm2d(outer), *([nn.Dropout(0.5)] if dropout else [])]
        core = [inside] if inside is not None else []
        self.layers, self.outermost = nn.Sequential(*before, *down, *norm, *core, nn.ReLU(True), up, *after), outermost

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> what the level outside takes."""
        return self.layers(x) if self.outermost else torch.cat([x, self.layers(x)], 1)


def plain_unet(width: int = 64, depth: int = 8) -> nn.Module:
    """The public layout's generator of pix2pix."""
    widths = [min(2**level, 8) * width for level in range(depth)]
    inside: nn.Module | None = None
    for level in reversed(range(depth)):
        outer = widths[level - 1] if level else 3
        inside = PlainLevel(outer, widths[level], inside, outer, not level, 4 <= level < depth - 1)
    assert inside is not None
    return inside


def plain_patches(inputs: int, norm: type[nn.Module], width: int = 64) -> nn.Module:
    """The public layout's discriminator of 70 px patches."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for wide, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += [nn.Conv2d(wide, 2 * wide, 4, stride, 1), norm(2 * wide), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


def plain_cyclegan() -> Callable[[Tensor, Tensor], None]:
    """A step as the public code takes it: each pass by itself."""
    G, back = plain_resnet(), plain_resnet()
    D_Y, D_X = (plain_patches(3, nn.InstanceNorm2d) for _ in range(2))
    generators = torch.optim.Adam([*G.parameters(), *back.parameters()], 2e-4, betas=(0.5, 0.999))
    discriminators = torch.optim.Adam([*D_Y.parameters(), *D_X.parameters()], 2e-4, betas=(0.5, 0.999))

    def against(logits: Tensor, real: float) -> Tensor:
        return F.mse_loss(logits, torch.full_like(logits, real))

    def step(x: Tensor, y: Tensor) -> None:
        made_y, made_x = G(x), back(y)
        again_x, again_y = back(made_y), G(made_x)
        _learn(D_Y, D_X, on=False)
        generators.zero_grad()
        loss = 5 * F.l1_loss(G(y), y) + 5 * F.l1_loss(back(x), x) + against(D_Y(made_y), 1) + against(D_X(made_x), 1)
        (loss + 10 * F.l1_loss(again_x, x) + 10 * F.l1_loss(again_y, y)).backward()
        generators.step()
        _learn(D_Y, D_X, on=True)
        discriminators.zero_grad()
        for D, real, made in ((D_Y, y, made_y), (D_X, x, made_x)):
            (0.5 * (against(D(real), 1) + against(D(made.detach()), 0))).backward()
        discriminators.step()

    return step


def plain_pix2pix() -> Callable[[Tensor, Tensor], None]:
    """A step as the public code takes it."""
    G, D = plain_unet(), plain_patches(6, nn.BatchNorm2d)
    of_G, of_D = (torch.optim.Adam(each.parameters(), 2e-4, betas=(0.5, 0.999)) for each in (G, D))

    def against(logits: Tensor, real: float) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step(x: Tensor, y: Tensor) -> None:
        made = G(x)
        _learn(D, on=True)
        of_D.zero_grad()
        fake = against(D(torch.cat([x, made.detach()], 1)), 0)
        (0.5 * (fake + against(D(torch.cat([x, y], 1)), 1))).backward()
        of_D.step()
        _learn(D, on=False)
        of_G.zero_grad()
        (against(D(torch.cat([x, made], 1)), 1) + 100 * F.l1_loss(made, y)).backward()
        of_G.step()

    return step


def _learn(*networks: nn.Module, on: bool) -> None:
    for network in networks:
        network.requires_grad_(on)


def ours(phases: dict[str, Phase], precision: str) -> Callable[[Tensor, Tensor], None]:
    """A step as the loop over networks takes it."""

    def step(x: Tensor, y: Tensor) -> None:
        for phase in phases.values():
            phase.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                terms = phase.loss(x, y)
            torch.stack([term.float() for term in terms.values()]).sum().backward()
            phase.optimizer.step()

    return step


def laid(network: nn.Module) -> Any:
    """A network in the channels-last layout."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def our_phases(which: str) -> dict[str, Phase]:
    """Of the papers' own recipes."""

    if which == "pix2pix":
        return pix2pix.phases_of(laid(UNet()), laid(PatchGAN(6)), ImagePool(0, (6, SIDE, SIDE)), pix2pix.Pix2PixRecipe())
    networks = {name: laid(ResNetGenerator()) for name in "GF"} | {
        name: laid(PatchGAN(norm="instance")) for name in ("D_X", "D_Y")
    }
    pools = {name: ImagePool(50, (3, SIDE, SIDE)) for name in ("pool_X", "pool_Y")}
    return cyclegan.phases_of(**networks, **pools, recipe=cyclegan.CycleGANRecipe())


def inference(network: nn.Module, precision: str = "fp32") -> Callable[[Tensor, Tensor], None]:
    """One pass."""
    network.eval()
    if precision == "bf16":
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.to(torch.bfloat16)

    def run(x: Tensor, y: Tensor) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            network(x)

    return run


CONTESTANTS: dict[str, dict[str, Callable[[], Callable[[Tensor, Tensor], None]]]] = {
    "ResNet-9, inference": {
        "plain": lambda: inference(plain_resnet()),
        "fp32": lambda: inference(laid(ResNetGenerator())),
        "bf16": lambda: inference(laid(ResNetGenerator()), "bf16"),
    },
    "U-Net, inference": {
        "plain": lambda: inference(plain_unet()),
        "fp32": lambda: inference(laid(UNet())),
        "bf16": lambda: inference(laid(UNet()), "bf16"),
    },
    "pix2pix, step": {
        "plain": plain_pix2pix,
        "fp32": lambda: ours(our_phases("pix2pix"), "fp32"),
        "bf16": lambda: ours(our_phases("pix2pix"), "bf16"),
    },
    "CycleGAN, step": {
        "plain": plain_cyclegan,
        "fp32": lambda: ours(our_phases("cyclegan"), "fp32"),
        "bf16": lambda: ours(our_phases("cyclegan"), "bf16"),
    },
}


def timed(what: str, who: str, kept: bool) -> tuple[list[float], float]:
    """Seconds of a few runs, in a process of their own, and its peak RSS in GiB."""
    if kept:
        keep_memory()
    torch.manual_seed(0)
    run = CONTESTANTS[what][who]()
    x, y = (torch.rand(1, 3, SIDE, SIDE) * 2 - 1 for _ in range(2))
    seconds = []
    for _ in range(RUNS["step" if "step" in what else "inference"] + 1):
        begin = time.perf_counter()
        run(x, y)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def product_rate(dtype: torch.dtype) -> float:
    """Multiplications and additions a second of a large matrix product, in billions."""
    a, b = (torch.rand(2048, 2048).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begin)
    return 2 * 2048**3 / min(seconds) / 1e9


def resnet_work(width: int = 64, blocks: int = 9) -> float:
    """Multiplications and additions of a pass of the residual generator, in billions."""
    parts: Iterable[float] = (
        2 * SIDE**2 * width * 3 * 49,
        2 * (SIDE / 2) ** 2 * 2 * width * width * 9,
        2 * (SIDE / 4) ** 2 * 8 * width * width * 9,
        blocks * 2 * 2 * (SIDE / 4) ** 2 * 16 * width * width * 9,
        2 * (SIDE / 4) ** 2 * 8 * width * width * 9,
        2 * (SIDE / 2) ** 2 * 2 * width * width * 9,
    )
    return 2 * sum(parts) / 2 / 1e9


def main() -> None:
    """Race them all."""
    results: dict[str, Any] = dict(threads=torch.get_num_threads(), torch=torch.__version__)
    with torch.no_grad():
        kinds = dict(fp32=torch.float32, bf16=torch.bfloat16)
        results["matrix product, G/s"] = {name: round(product_rate(kind), 1) for name, kind in kinds.items()}
    results["work of ResNet-9, G"] = round(resnet_work(), 1)
    for what, contestants in CONTESTANTS.items():
        entries = {name: (name, True) for name in contestants} | {
            "plain": ("plain", False),
            "plain, memory kept": ("plain", True),
        }
        times: dict[str, list[float]] = {name: [] for name in entries}
        peaks = dict.fromkeys(entries, 0.0)
        for _ in range(ROUNDS):
            for name, (who, kept) in entries.items():
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    seconds, peak = pool.submit(timed, what, who, kept).result()
                times[name] += seconds
                peaks[name] = max(peaks[name], peak)
        medians = {name: round(statistics.median(each), 4) for name, each in times.items()}
        faster = {name: round(medians["plain"] / value, 2) for name, value in medians.items() if name != "plain"}
        peaks = {name: round(value, 2) for name, value in peaks.items()}
        results[what] = {"seconds": medians, "times faster than plain": faster, "peak RSS, GiB": peaks}
        print(what, results[what], flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
