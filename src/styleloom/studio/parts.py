"""Parts of the page that tabs share: results, a slider from before to after, commands, curves."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

EMPTY = '<div class="empty">{}</div>'
"""The place of a result that is not there yet."""


def empty(text: str) -> str:
    """The place of a result, with a line on how to get one."""
    return EMPTY.format(html.escape(text))


def result(address: str, alt: str, *, download: str = "Download the full size") -> str:
    """A result with a link to its file."""
    address, alt = html.escape(address), html.escape(alt)
    return f'<figure class="result"><img src="{address}" alt="{alt}"></figure>' + links({download: address})


def compare(before: str, after: str, alt: str) -> str:
    """Two images over one another with a slider between them, and a link to the second."""
    before, after, alt = html.escape(before), html.escape(after), html.escape(alt)
    slide = "this.parentElement.style.setProperty('--cut', this.value + '%')"
    return (
        f'<figure class="result compare" style="--cut: 50%"><img src="{after}" alt="{alt}">'
        f'<img class="before" src="{before}" alt="the photograph before">'
        f'<input type="range" min="0" max="100" value="50" aria-label="from before to after" oninput="{slide}"></figure>'
    ) + links({"Download the full size": after})


def links(addresses: Mapping[str, str]) -> str:
    """Links to files, side by side."""
    parts = [
        f'<a class="download" href="{html.escape(each)}" download>{html.escape(name)}</a>' for name, each in addresses.items()
    ]
    return f'<p class="links">{"".join(parts)}</p>'


def commands(program: str, python: str, settings: Mapping[str, Any]) -> str:
    """The same on the command line and in Python, and the settings as JSON."""
    blocks = {"Command line": program, "Python": python, "Settings": json.dumps(settings, indent=1)}
    parts = [f"<h4>{name}</h4><pre><code>{html.escape(text)}</code></pre>" for name, text in blocks.items()]
    return f'<details class="commands"><summary>Do the same without the studio</summary>{"".join(parts)}</details>'


def curve(losses: Sequence[float], others: Sequence[float] = (), width: int = 320, height: int = 90) -> str:
    """Losses by step as a line, on a logarithmic scale; a second line is dashed."""
    import math

    lines = [[math.log10(max(each, 1e-6)) for each in line] for line in (losses, others)]
    values = [value for line in lines for value in line]
    if len(lines[0]) < 2:
        return ""
    least, most = min(values), max(values) + 1e-9
    longest = max(map(len, lines)) - 1

    def points(line: Sequence[float]) -> str:
        return " ".join(
            f"{index / longest * width:.1f},{(most - value) / (most - least) * height:.1f}" for index, value in enumerate(line)
        )

    second = f'<polyline class="second" points="{points(lines[1])}"/>' if len(lines[1]) > 1 else ""
    label = f"loss from {losses[0]:.4f} to {losses[-1]:.4f}"
    return (
        f'<figure class="curve"><svg viewBox="-2 -2 {width + 4} {height + 4}" role="img" aria-label="{label}">{second}'
        f'<polyline points="{points(lines[0])}"/></svg><figcaption>{label}</figcaption></figure>'
    )
