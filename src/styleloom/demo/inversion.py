"""The demo's inversions: faces that no network was trained on, found again in twenty steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.data import images
from styleloom.data.bundled import portraits
from styleloom.drawn import toonfaces
from styleloom.nn.generators import Generator
from styleloom.papers import stylegan2
from styleloom.papers.image2stylegan import InversionStep
from styleloom.tasks import inversion

NUM_STEPS, SHOWN = 20, (1, 3, 5, 10, 20)
UNSEEN = range(1_000_400, 1_000_408)  # faces beyond those of any training, and of the benchmark of inversion
SIDE = 128  # that images are enlarged to


def cartoons() -> Tensor:
    """[8, 3, 64, 64] in [0, 1]."""
    return toonfaces.render([toonfaces.attributes(seed) for seed in UNSEEN])


TARGETS: dict[str, Callable[[], Tensor]] = {"toonfaces-64": cartoons, "portraits-128": portraits}
GATE = "gate on Adam"
GATES = {"toonfaces-64": "toonfaces-64-gate"}  # optimizers that were trained a step at a time


# Optimizers: color of the curve, and settings.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam at 0.01": ("#8c857a", dict(optimizer="adam", tuned=False)),
    GATE: ("#c98a1b", dict(optimizer="learned")),
    "Adam, tuned": ("#3f7fb5", dict(optimizer="adam")),
    "learned": ("#c2413a", dict(optimizer="learned")),
}


def descents(generator: Generator, targets: Tensor, gate: str | None = None) -> dict[str, list[InversionStep]]:
    """Losses of each of ``WAYS`` from the mean face, step by step, and the last images; of the gate too, where there is one."""
    tools = inversion.tools_of(generator)
    gated = inversion.tools_of(generator, learned=gate) if gate else None
    return {
        title: list(inversion.steps(generator, targets, inversion.configure(num_steps=NUM_STEPS, **settings), used))
        for title, (_, settings) in WAYS.items()
        if (used := gated if title == GATE else tools)
    }


def inverted(folder: Path, model: str, device: torch.device) -> str:
    """Invert a few faces with each optimizer, and write what they come to into a folder; the HTML that shows it."""
    targets = TARGETS[model]()
    each = descents(stylegan2.load(model).to(device), targets, GATES.get(model))
    learned, adam = ([_enlarged(step.image) for step in each[title]] for title in ("learned", "Adam, tuned"))
    rows = {"the face": _enlarged(targets)}
    rows |= {f"learned, after {step}": learned[step] for step in SHOWN}
    rows[f"Adam at 0.01, after {NUM_STEPS}"] = _enlarged(each["Adam at 0.01"][-1].image)
    rows[f"Adam, tuned, after {NUM_STEPS}"] = adam[-1]
    lines = []
    for index, (label, shown) in enumerate(rows.items()):
        name = f"{model}-inversion-{index}.png"
        images.write(images.grid([shown]), folder / name)
        lines.append(f'<div class="row"><span>{escape(label)}</span><img src="{name}" alt="{escape(label)}"></div>')
    animation = f"{model}-inversion.gif"
    pairs = zip(adam, learned, strict=True)
    images.write_gif([images.grid([above[:6], below[:6]]) for above, below in pairs], folder / animation, rate=4)
    curves = {title: steps[-1].history.median(1).values.tolist() for title, steps in each.items()}
    caption = f"Median loss of {len(targets)} faces by step."
    return (
        f'<figure class="wide">{"".join(lines)}<figcaption>From the mean face. Each row: the eight faces after so many '
        f"steps.</figcaption></figure>"
        f"<figure>{chart(curves)}<figcaption>{caption}</figcaption></figure>"
        f'<figure><img src="{animation}" alt="the descents"><figcaption>Step by step: above tuned Adam, below the learned '
        f"optimizer.</figcaption></figure>"
    )


def chart(curves: dict[str, list[float]]) -> str:
    """Losses by step of some of ``WAYS``, their axis logarithmic, as SVG."""
    width, height, left, bottom, right, top = 460, 300, 50, 34, 98, 12
    levels = {title: [math.log10(max(value, 1e-6)) for value in curve] for title, curve in curves.items()}
    low, high = min(map(min, levels.values())) - 0.05, max(map(max, levels.values())) + 0.05
    last = max(map(len, levels.values())) - 1

    def across(step: float) -> float:
        return left + (width - left - right) * step / last

    def down(level: float) -> float:
        return top + (height - top - bottom) * (high - level) / (high - low)

    parts = []
    for tick in (m * 10**e for e in range(-6, 3) for m in (1, 2, 5)):
        if low <= math.log10(tick) <= high:
            y = down(math.log10(tick))
            parts.append(f'<path d="M{left},{y:.1f}H{width - right}" stroke="currentColor" opacity=".15"/>')
            parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for step in range(0, last + 1, 5):
        parts.append(f'<text x="{across(step):.1f}" y="{height - 14}" text-anchor="middle">{step}</text>')
    below = 0.0  # each name beside the end of its curve, and no name on another
    for title, level in sorted(levels.items(), key=lambda item: -item[1][-1]):
        points = " ".join(f"{across(step):.1f},{down(value):.1f}" for step, value in enumerate(level))
        color = WAYS[title][0]
        below = max(below + 15, down(level[-1]) + 4)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.2"/>')
        parts.append(f'<text x="{width - right + 6}" y="{below:.1f}" fill="{color}">{escape(title)}</text>')
    return f'<svg viewBox="0 0 {width} {height}" font-size="12" fill="currentColor">{"".join(parts)}</svg>'


def _enlarged(small: Tensor) -> Tensor:
    return images.resize(small.cpu(), (SIDE, SIDE))
