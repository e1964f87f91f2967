"""The demo's inversions: cartoon faces that no network was trained on, found in latent space in twenty steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from styleloom import inversion, toonfaces
from styleloom.blocks import images
from styleloom.papers import learned_optimizer, stylegan2
from styleloom.papers.image2stylegan import Config

MODEL, SEEDS = "toonfaces-64", range(1_000_300, 1_000_308)
STEPS, SHOWN = 50, 20
SIDE = 128  # that pictures are enlarged to


@dataclass(frozen=True)
class Way:
    """An optimizer, in words and colour."""

    title: str
    color: str
    config: Config
    learned: str | None = None


WAYS = (
    Way("Adam at 0.01", "#a39c8f", Config(tuned=False)),
    Way("a gate on Adam, learned a step at a time", "#c98a1b", Config(optimizer="learned"), f"{MODEL}-gate"),
    Way("Adam, tuned", "#3f7fb5", Config()),
    Way("Adam in the eigenbasis", "#4c9a5f", Config(optimizer="adam-eigenbasis")),
    Way("learned through whole descents", "#c2413a", Config(optimizer="learned")),
)


def inverted(folder: Path, device: torch.device) -> str:
    """Write the figure of inversions into a folder; the HTML that shows it, with curves."""
    generator = stylegan2.load(MODEL).to(device)
    tools = inversion.tools_of(generator)
    targets = toonfaces.render([toonfaces.attributes(seed) for seed in SEEDS], generator.resolution).to(device)
    rows, lines = [targets], {}
    for way in WAYS:
        used = replace(tools, learned=learned_optimizer.load(way.learned)) if way.learned else tools
        found = list(inversion.steps(generator, targets, replace(way.config, num_steps=STEPS), used))
        rows.append(found[SHOWN].image)
        lines[way] = [float(step.each.median()) for step in found]
    enlarged = [images.resize(row.cpu(), (SIDE, SIDE)) for row in rows]
    images.write(images.grid(enlarged), folder / "inversion.png")
    caption = f"Above, faces that no network has seen. Below, what was found after {SHOWN} steps: " + ", ".join(
        f'<span style="color:{way.color}">{way.title}</span>' for way in WAYS
    )
    return (
        '<figure><img src="inversion.png" alt="faces, and their inversions">'
        f"<figcaption><span>{caption}.</span></figcaption></figure>"
        f"<figure>{curves(lines)}<figcaption>Median loss of the {len(targets)} faces by step, in the "
        "colours of the words beside it.</figcaption></figure>"
    )


def curves(lines: Mapping[Way, Sequence[float]], width: int = 560, height: int = 560) -> str:
    """Losses by step on a logarithmic scale, as an SVG."""
    left, below, pad = 54, 34, 14
    every = [math.log10(value) for line in lines.values() for value in line]
    low, high, last = min(every), max(every), max(len(line) for line in lines.values()) - 1

    def x(step: float) -> float:
        return left + step / last * (width - left - pad)

    def y(log: float) -> float:
        return pad + (high - log) / (high - low) * (height - below - pad)

    parts = []
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 2, 5):
            log = power + math.log10(digit)
            if low <= log <= high:
                parts.append(f'<line x1="{left}" x2="{width - pad}" y1="{y(log):.1f}" y2="{y(log):.1f}" class="rule"/>')
                parts.append(f'<text x="{left - 6}" y="{y(log) + 4:.1f}" text-anchor="end">{10**log:.2g}</text>')
    for step in range(0, last + 1, 10):
        parts.append(f'<text x="{x(step):.1f}" y="{height - 12}" text-anchor="middle">{step}</text>')
    parts.append(f'<line x1="{x(SHOWN):.1f}" x2="{x(SHOWN):.1f}" y1="{pad}" y2="{height - below}" class="rule"/>')
    for way, line in lines.items():
        points = " ".join(f"{x(step):.1f},{y(math.log10(value)):.1f}" for step, value in enumerate(line))
        parts.append(f'<polyline points="{points}" stroke="{way.color}"><title>{way.title}</title></polyline>')
    return f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="losses by step">{"".join(parts)}</svg>'
