"""The demo's inversions: faces that no network was trained on, found again in twenty steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from styleloom import inversion, toonfaces
from styleloom.blocks import images
from styleloom.blocks.checkpoint import zoo_names
from styleloom.papers import image2stylegan, learned_optimizer, stylegan2
from styleloom.papers.image2stylegan import Config, Factory, optimizer_named
from styleloom.samples import portraits

NUM_STEPS, SHOWN = 20, (1, 3, 5, 10, 20)
UNSEEN = range(1_000_400, 1_000_408)  # faces beyond those of any training, tuning or test
SIDE = 128  # that pictures are enlarged to


def cartoons() -> Tensor:
    """[8, 3, 64, 64] in [0, 1]."""
    return toonfaces.render([toonfaces.attributes(seed) for seed in UNSEEN])


TARGETS: dict[str, Callable[[], Tensor]] = {"toonfaces-64": cartoons, "portraits-64": portraits}


@dataclass(frozen=True)
class Way:
    """An optimizer, in words and on the page."""

    title: str
    color: str
    factory: Factory


def found(folder: Path, model: str, device: torch.device) -> str:
    """Invert a few faces with each optimizer, and write what they come to into a folder; the HTML that shows it."""
    generator = stylegan2.load(model).to(device)
    tools, targets = inversion.tools_of(generator), TARGETS[model]()
    assert tools.learned is not None
    config = Config(num_steps=NUM_STEPS)
    ways = [
        Way("Adam at 0.01", "#8c857a", optimizer_named(replace(config, tuned=False))),
        Way("Adam, tuned", "#3f7fb5", optimizer_named(config)),
        Way("learned", "#c2413a", learned_optimizer.factory(tools.learned)),
    ]
    if f"{model}-gate" in zoo_names():
        gate = learned_optimizer.load(f"{model}-gate")
        ways.insert(1, Way("gate on Adam", "#c98a1b", learned_optimizer.factory(gate)))
    losses, frames = {}, {}
    for way in ways:
        steps = list(image2stylegan.steps(generator, targets, config, optimizer=way.factory))
        losses[way.title] = torch.stack([step.each for step in steps]).median(1).values.tolist()
        frames[way.title] = [_enlarged(step.image) for step in steps]
    learned = frames["learned"]
    rows = {"the face": _enlarged(targets)}
    rows |= {f"learned, after {step}": learned[step] for step in SHOWN}
    rows |= {f"{title}, after {NUM_STEPS}": each[-1] for title, each in frames.items() if title != "learned"}
    lines = []
    for index, (label, pictures) in enumerate(rows.items()):
        name = f"{model}-inversion-{index}.png"
        images.write(images.grid([pictures]), folder / name)
        lines.append(f'<div class="row"><span>{escape(label)}</span><img src="{name}" alt="{escape(label)}"></div>')
    film = f"{model}-inversion.gif"
    pairs = zip(frames["Adam, tuned"], learned, strict=True)
    images.write_gif([images.grid([above[:6], below[:6]]) for above, below in pairs], folder / film, rate=4)
    told = f"Median loss of {len(targets)} faces by step."
    return (
        f'<figure class="wide">{"".join(lines)}<figcaption>From the mean face. Each row: the eight faces after so many '
        f"steps.</figcaption></figure>"
        f"<figure>{chart({way.title: (way.color, losses[way.title]) for way in ways})}<figcaption>{told}</figcaption></figure>"
        f'<figure><img src="{film}" alt="the descents"><figcaption>Step by step: above tuned Adam, below the learned '
        f"optimizer.</figcaption></figure>"
    )


def chart(curves: dict[str, tuple[str, list[float]]]) -> str:
    """Losses by step, their axis logarithmic, as SVG; of each curve its colour and its values."""
    width, height, left, bottom, right, top = 460, 300, 50, 34, 98, 12
    values = [math.log10(max(value, 1e-6)) for _, curve in curves.values() for value in curve]
    low, high = min(values) - 0.05, max(values) + 0.05
    last = max(len(curve) for _, curve in curves.values()) - 1

    def at(step: float, value: float) -> str:
        x = left + (width - left - right) * step / last
        return f"{x:.1f},{top + (height - top - bottom) * (high - value) / (high - low):.1f}"

    parts = []
    for tick in (m * 10**e for e in range(-6, 3) for m in (1, 2, 5)):
        level = math.log10(tick)
        if low <= level <= high:
            x, y = at(0, level).split(",")
            parts.append(f'<path d="M{x},{y}H{width - right}" stroke="currentColor" opacity=".15"/>')
            parts.append(f'<text x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for step in range(0, last + 1, 5):
        x = at(step, low).split(",")[0]
        parts.append(f'<text x="{x}" y="{height - 14}" text-anchor="middle">{step}</text>')
    below = 0.0  # each name beside the end of its curve, and no name on another
    for title, (color, curve) in sorted(curves.items(), key=lambda item: -item[1][1][-1]):
        points = [at(step, math.log10(max(value, 1e-6))) for step, value in enumerate(curve)]
        below = max(below + 15, float(points[-1].split(",")[1]) + 4)
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" stroke-width="2.2"/>')
        parts.append(f'<text x="{width - right + 6}" y="{below:.1f}" fill="{color}">{escape(title)}</text>')
    return f'<svg viewBox="0 0 {width} {height}" font-size="12" fill="currentColor">{"".join(parts)}</svg>'


def _enlarged(pictures: Tensor) -> Tensor:
    return images.resize(pictures.cpu(), (SIDE, SIDE))
