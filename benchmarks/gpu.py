"""What one NVIDIA card does: generators, styles, descents and training.

    python -m benchmarks.gpu --seconds 120 --out results.json

Networks have random weights. Each figure is the median of repeated runs after a warm-up, timed by the card's own events; variants
of one network take turns. The official layout is that of ``benchmarks/official_stylegan2.py``: a convolution an image in one
grouped convolution, NCHW, fp32 (on Ampere and later, TF32 where that is named). What does not fit into the seconds is left out,
and named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks import official_stylegan2 as official
from benchmarks.generators import networks
from torch import Tensor

import styleloom as sl
from styleloom.core.run import Hardware, Run
from styleloom.nn import transform_net
from styleloom.papers import ghiasi, johnson, stylegan2
from styleloom.tasks import inversion

BATCH = 32
Action = Callable[[], Any]


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let matrix products and convolutions round their inputs to TF32, or not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def generator_runs(resolution: int) -> dict[str, Action]:
    """A batch of images of ws, by layout and precision."""
    generator = networks(resolution, 16384)[0].cuda().eval().requires_grad_(False)
    ws = torch.randn(BATCH, generator.num_ws, generator.w_dim, device="cuda")
    plain = networks(resolution, 16384)[0].cuda().eval().requires_grad_(False)
    ours = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = networks(resolution, 16384)[0].cuda().eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stylegan2.reduce_precision(half.synthesis, num_resolutions=9)

    def precisely(run: Action, allowed: bool) -> Action:
        def timed() -> Any:
            with tf32(allowed):
                return run()

        return timed

    def whole(network: stylegan2.Generator) -> Tensor:
        return network.synthesis(ws, "const")

    compiled = torch.compile(half.synthesis, dynamic=False)
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            whole(half)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.inference_mode(), torch.cuda.graph(graph):
        whole(half)
    return {
        "official layout, fp32": precisely(lambda: official.synthesis(plain.synthesis, ws), False),
        "official layout, tf32": precisely(lambda: official.synthesis(plain.synthesis, ws), True),
        "fp32": precisely(lambda: whole(ours), False),
        "tf32": precisely(lambda: whole(ours), True),
        "bf16": lambda: whole(half),
        "bf16, CUDA graph": graph.replay,
        "bf16, compiled": lambda: compiled(ws, "const"),
    }


def milliseconds(runs: dict[str, Action], rounds: int, deadline: float) -> dict[str, float]:
    """Median time of each, taking turns; fewer rounds where time runs out."""
    found: dict[str, list[float]] = {}
    with torch.inference_mode():
        for name, run in list(runs.items()):
            try:
                for _ in range(2):
                    run()
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
                del runs[name]
        for _ in range(rounds):
            for name, run in runs.items():
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                run()
                end.record()
                torch.cuda.synchronize()
                found.setdefault(name, []).append(start.elapsed_time(end))
            if time.monotonic() > deadline:
                break
    return {name: statistics.median(times) for name, times in found.items()}


def style_runs(side: int) -> dict[str, Action]:
    """One pass over a photograph of that side."""
    content, style = torch.rand(1, 3, side, side, device="cuda"), torch.rand(1, 3, 384, 384, device="cuda")
    anystyle = ghiasi.AnyStyle(sl.load_features("vgg19-lite")).eval().requires_grad_(False).cuda()
    adain = sl.adain.AdaIN(sl.load_features("vgg19-lite")).eval().requires_grad_(False).cuda()
    network = transform_net.TransformNet().eval().requires_grad_(False).cuda()
    return {
        "ghiasi": lambda: ghiasi.stylize(content, style, ghiasi.configure(tile=4096), model=anystyle),
        "ghiasi, bf16": lambda: ghiasi.stylize(content, style, ghiasi.configure(tile=4096, precision="bf16"), model=anystyle),
        "adain": lambda: sl.adain.stylize(content, style, sl.adain.configure(tile=4096), model=adain),
        "johnson": lambda: johnson.stylize(content, network, johnson.configure(tile=4096)),
    }


def seconds_a_step(ticks: Iterator[Any], warm: int, count: int, deadline: float) -> float:
    """Median time between the ticks of a loop."""
    times = []
    for place, _ in enumerate(ticks):
        torch.cuda.synchronize()
        times.append(time.perf_counter())
        if place >= warm + count or time.monotonic() > deadline:
            break
    return statistics.median(after - before for before, after in zip(times[warm:-1], times[warm + 1 :], strict=True))


def descents(deadline: float) -> dict[str, float]:
    """Milliseconds of a step of Gatys at 512 px and of an inversion of 1 and of 16 images at 128 px."""
    content, style = torch.rand(1, 3, 512, 512, device="cuda"), torch.rand(1, 3, 512, 512, device="cuda")
    config = sl.gatys.configure("draft", size=512, first_size=512, first_steps=60)
    found = {"gatys, 512 px": 1e3 * seconds_a_step(sl.gatys.steps(content, style, config), 10, 40, deadline)}
    generator = networks(128, 4096, 192)[0].cuda().eval().requires_grad_(False)
    for count in (1, 16):
        targets = torch.rand(count, 3, 128, 128, device="cuda")
        steps = inversion.steps(generator, targets, inversion.configure(optimizer="adam", num_steps=60, batch=count))
        found[f"inversion, 128 px, {count}"] = 1e3 * seconds_a_step(steps, 10, 40, deadline)
    return found


def training(data: Path, deadline: float) -> dict[str, float]:
    """Thousands of images a second in the training of a StyleGAN2 of 128 px, by batch."""
    found = {}
    for batch in (32, 64):
        recipe = replace(stylegan2.RECIPES["64-small"], resolution=128, channel_base=4096, batch=batch, augment=True)
        with tempfile.TemporaryDirectory() as out:
            run = stylegan2.train(data, recipe, run=Run(out, hardware=Hardware("cuda", precision="bf16")))
            found[f"batch {batch}"] = batch / 1000 / seconds_a_step(run, 32, 32, deadline)
            run.close()  # type: ignore[attr-defined]
    return found


def main(seconds: float, out: Path, data: Path | None) -> None:
    """Measure, and write what there is after each part."""
    begin = time.monotonic()
    results: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "left_out": []}

    def part(name: str, share: float, measure: Callable[[float], Any]) -> None:
        if time.monotonic() > begin + seconds:
            results["left_out"].append(name)
            return
        try:
            results[name] = measure(time.monotonic() + share * seconds)
        except Exception as error:
            results[name] = f"{type(error).__name__}: {str(error)[:300]}"
        print(name, results[name], flush=True)
        out.write_text(json.dumps(results, indent=1))

    def images_a_second(resolution: int) -> Callable[[float], dict[str, float]]:
        def measure(deadline: float) -> dict[str, float]:
            found = milliseconds(generator_runs(resolution), 15, deadline)
            return {name: round(BATCH / time * 1e3, 1) for name, time in found.items()}

        return measure

    if data is not None:
        part("training of StyleGAN2, 128 px, kimg/s", 0.25, lambda deadline: training(data, deadline))
    for resolution in (128, 256):
        part(f"G, {resolution} px, batch {BATCH}, images/s", 0.15, images_a_second(resolution))

    def milliseconds_a_pass(side: int) -> Callable[[float], dict[str, float]]:
        return lambda deadline: milliseconds(style_runs(side), 10, deadline)

    for side in (512, 1024, 2048):
        part(f"one pass, {side} px, ms", 0.1, milliseconds_a_pass(side))
    part("descents, ms a step", 0.2, descents)
    results["seconds"] = round(time.monotonic() - begin, 1)
    out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    parser.add_argument("--data", type=Path, help="images for the training to be timed on")
    given = parser.parse_args()
    main(given.seconds, given.out, given.data)
