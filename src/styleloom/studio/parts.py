"""Parts of the page that tabs share: results, a slider from before to after, commands, curves."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

EMPTY = '<div class="empty">{}</div>'
"""The place of a result that is not there yet."""


def empty(text: str) -> str:
    """The place of a result, with a line on how to get one."""
    return EMPTY.format(html.escape(text))


def plain(address: str, alt: str) -> str:
    """A picture."""
    return f'<figure class="result"><img src="{html.escape(address)}" alt="{html.escape(alt)}"></figure>'


def result(address: str, alt: str, *, download: str = "Download the full size", name: str = "") -> str:
    """A picture or video with a link to its file, which is saved under a name."""
    if address.endswith((".mp4", ".webm")):
        shown = f'<video src="{html.escape(address)}" aria-label="{html.escape(alt)}" controls loop autoplay muted></video>'
        return f'<figure class="result">{shown}</figure>' + links({download: (address, name)})
    return plain(address, alt) + links({download: (address, name)})


def compare(before: str, after: str, alt: str, name: str = "") -> str:
    """Two images over one another with a slider between them, and a link to the second."""
    link = links({"Download the full size": (after, name)})
    before, after, alt = html.escape(before), html.escape(after), html.escape(alt)
    slide = "this.parentElement.style.setProperty('--cut', this.value + '%')"
    return (
        f'<figure class="result compare" style="--cut: 50%"><img src="{after}" alt="{alt}">'
        f'<img class="before" src="{before}" alt="the photograph before">'
        f'<input type="range" min="0" max="100" value="50" aria-label="from before to after" oninput="{slide}"></figure>'
    ) + link


def links(addresses: Mapping[str, tuple[str, str]]) -> str:
    """Links to files, side by side: the text of each, its address, and the name that it is saved under."""
    parts = [
        f'<a class="download" href="{html.escape(address)}" download="{html.escape(name)}">{html.escape(text)}</a>'
        for text, (address, name) in addresses.items()
    ]
    return f'<p class="links">{"".join(parts)}</p>'


def commands(program: str, python: str, settings: Mapping[str, Any]) -> str:
    """The same on the command line and in Python, and the settings as JSON."""
    written = json.dumps(settings, indent=1)
    blocks = {"Command line": program, "Python": python, "Settings": written}
    parts = [f"<h4>{name}</h4><pre><code>{html.escape(text)}</code></pre>" for name, text in blocks.items()]
    link = links({"Download the settings": (f"data:application/json,{quote(written)}", "settings.json")})
    return f'<details class="commands"><summary>Do the same without the studio</summary>{"".join(parts)}{link}</details>'


def brush(address: str, field: str, label: str) -> str:
    """A picture to paint a mask on; the mask goes to a hidden field."""
    return f'<sl-brush src="{html.escape(address)}" field="{field}" label="{html.escape(label)}"></sl-brush>'


def faces(address: str, width: int, height: int, found: Sequence[Mapping[str, Any]], field: str) -> str:
    """A photograph whose faces can be chosen, and a square drawn; the choice goes to a hidden field."""
    boxes = html.escape(json.dumps(list(found)))
    count = {0: "No face was found: drag a square around one.", 1: "One face was found."}.get(
        len(found), f"{len(found)} faces were found: choose one."
    )
    return (
        f'<sl-faces src="{html.escape(address)}" width="{width}" height="{height}" field="{field}" faces="{boxes}"></sl-faces>'
        f'<p class="status">{count}</p>'
    )


def wall(addresses: Mapping[int, str], fields: Sequence[str]) -> str:
    """Pictures to choose two of; their numbers go to two fields."""
    buttons = [
        f'<button type="button" data-pair="{",".join(fields)}" data-value="{seed}" aria-label="choose seed {seed}">'
        f'<img src="{html.escape(address)}" alt="seed {seed}" loading="lazy"></button>'
        for seed, address in addresses.items()
    ]
    return f'<div class="wall">{"".join(buttons)}</div>'


def table(rows: Sequence[tuple[str, str]], heads: tuple[str, str]) -> str:
    """Two columns of text."""
    if not rows:
        return ""
    body = "".join(f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in rows)
    return f'<table class="items"><tr><th scope="col">{heads[0]}</th><th scope="col">{heads[1]}</th></tr>{body}</table>'


def _points(values: Sequence[float], ends: tuple[float, float], steps: int, width: int, height: int) -> str:
    """Points of a line between the least and the most, for an axis of so many steps."""
    least, most = ends
    span = (most - least) or 1.0
    return " ".join(f"{index / steps * width:.1f},{(most - value) / span * height:.1f}" for index, value in enumerate(values))


def line(values: Sequence[float], width: int = 320, height: int = 70) -> str:
    """Numbers as a line from the least to the most."""
    points = _points(values, (min(values), max(values)), len(values) - 1, width, height)
    label = f"from {values[0]:.4g} to {values[-1]:.4g}"
    return (
        f'<svg viewBox="-2 -2 {width + 4} {height + 4}" role="img" aria-label="{label}"><polyline points="{points}"/></svg>'
        f"<small>{label}</small>"
    )


def curve(losses: Sequence[float], others: Sequence[float] = (), width: int = 320, height: int = 90) -> str:
    """Losses by step as a line, on a logarithmic scale; a second line is dashed."""
    lines = [[math.log10(max(each, 1e-6)) for each in line] for line in (losses, others)]
    values = [value for line in lines for value in line]
    if len(lines[0]) < 2:
        return ""
    first, second = (_points(line, (min(values), max(values)), max(map(len, lines)) - 1, width, height) for line in lines)
    second = f'<polyline class="second" points="{second}"/>' if len(lines[1]) > 1 else ""
    label = f"loss from {losses[0]:.4f} to {losses[-1]:.4f}"
    label += f"; Adam, dashed, to {others[-1]:.4f}" if len(lines[1]) > 1 else ""
    return (
        f'<figure class="curve"><svg viewBox="-2 -2 {width + 4} {height + 4}" role="img" aria-label="{label}">{second}'
        f'<polyline points="{first}"/></svg><figcaption>{label}</figcaption></figure>'
    )
