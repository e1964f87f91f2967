"""Seconds of the common calls, by pytest-benchmark: one build beside another.

    pytest benchmarks/timed.py -p no:xdist --benchmark-autosave
    pytest benchmarks/timed.py -p no:xdist --benchmark-compare

The first keeps the figures of this build in ``.benchmarks/``, the second runs another build and sets them side by side, on the
same machine. ``make bench`` writes ``results/timed.json``. Each call is warm: networks are loaded, and one call went before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import styleloom as sl

Bench = Callable[..., Any]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def threads() -> None:
    """As many as the machine has, whatever the environment says of OpenMP."""
    torch.set_num_threads(os.cpu_count() or 1)


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """A drawn one of 512 px, [1, 3, 512, 512]."""
    return sl.draw("impasto", 512)


def timed(benchmark: Bench, call: Callable[[], Any], rounds: int = 5) -> None:
    """A call, after one that is not counted."""
    benchmark.pedantic(call, rounds=rounds, warmup_rounds=1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "method, style", [("johnson", "johnson-mosaic"), ("dumoulin", "wave"), ("ghiasi", "wave"), ("adain", "wave")]
)
def test_one_pass_at_512(benchmark: Bench, photograph: Tensor, method: str, style: str) -> None:
    timed(benchmark, lambda: sl.stylize(photograph, style, method))


def test_gatys_at_256(benchmark: Bench) -> None:
    content, style = sl.draw("impasto", 256), sl.draw("wave", 256)
    timed(benchmark, lambda: sl.stylize(content, style, preset="draft", size=256, steps=10), 3)


@pytest.mark.parametrize("model", ["toonfaces-64", "portraits-128"])
def test_sixteen_samples(benchmark: Bench, model: str) -> None:
    generator = sl.load(model, sl.Generator)
    timed(benchmark, lambda: generator.generate(range(16)))


@pytest.mark.parametrize("optimizer", ["adam", "learned"])
def test_ten_steps_of_inversion(benchmark: Bench, optimizer: str) -> None:
    generator = sl.load("toonfaces-64", sl.Generator)
    target = generator.generate([7])
    timed(benchmark, lambda: sl.invert(generator, target, num_steps=10, init="mean", optimizer=optimizer))


def test_translation(benchmark: Bench) -> None:
    edges = torch.rand(1, 3, 128, 128)
    timed(benchmark, lambda: sl.translate("edges2portrait", edges))


def test_upscaling_to_1024(benchmark: Bench) -> None:
    small = sl.draw("impasto", 256)
    timed(benchmark, lambda: sl.upscale(small), 3)
