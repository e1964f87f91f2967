"""Sixteen painterly pictures, drawn from nothing but a random state: each a function (rng, S) -> canvas [S, S, 3]."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from .brush import Array, blend, cells, colors, grid, noise, polygon, ramp, relief, scattered, segment, step, strokes


def _sample(field: Array, at: Array) -> Array:
    """Values of a field [S, S, ...] at points [N, 2]."""
    size = len(field)
    column, row = (np.clip(at * size, 0, size - 1)).astype(int).T
    return field[row, column]


def _paper(rng: RandomState, size: int, color: str, grain: float = 0.03) -> Array:
    fibres = noise(rng, size, 64, octaves=3, roughness=0.8) + 0.7 * rng.uniform(-1, 1, (size, size))
    return np.clip(colors(color)[0] * (1 + grain * fibres[..., None]), 0, 1).astype(np.float32)


def swirls(rng: RandomState, size: int) -> Array:
    """A night sky of strokes along eddies, with glowing stars over dark hills."""
    x, y = grid(size)
    u, v = np.ones_like(x), 0.25 * np.sin(7 * x)
    light = 0.35 + 0.25 * noise(rng, size, 3)
    for cx, cy, radius, spin in ((0.42, 0.36, 0.2, 1), (0.68, 0.5, 0.13, -1), (0.16, 0.55, 0.12, 1)):
        dx, dy = x - cx, y - cy
        pull = 6 * spin * np.exp(-(dx * dx + dy * dy) / (2 * radius**2)) / radius
        u, v = u - pull * dy, v + pull * dx
        ring = np.hypot(dx, dy) / radius
        light = light + 0.3 * np.cos(7 * ring) * np.exp(-(ring**2) / 2)
    stars = [(0.12, 0.12), (0.3, 0.1), (0.55, 0.13), (0.74, 0.2), (0.9, 0.12), (0.9, 0.42), (0.07, 0.36)]
    glow = np.zeros_like(x)
    for cx, cy in stars:
        dx, dy = x - cx, y - cy
        near = np.exp(-(dx * dx + dy * dy) / (2 * 0.05**2))
        u, v = u - 60 * near * dy, v + 60 * near * dx
        glow = np.maximum(glow, np.exp(-(dx * dx + dy * dy) / (2 * 0.028**2)))
    hills = y - (0.78 + 0.05 * np.sin(9 * x + 1) + 0.04 * np.sin(21 * x))
    sky = ramp(light, colors("0b1a4a", "14357f", "2a62b8", "5f9ad0", "b9d5d8", "e9e2b0"))
    sky = blend(sky, colors("f7d54a")[0], np.clip(1.3 * glow, 0, 1))
    land = ramp(0.5 + 0.5 * noise(rng, size, 8), colors("0a1a24", "123a44", "1c5a58", "4b7f5a"))
    target = blend(sky, land, step(hills, 0.01))
    angle = np.where(hills > 0, 0.5 * np.sin(8 * x), np.arctan2(v, u))
    canvas = np.tile(colors("14357f"), (size, size, 1)).reshape(size, size, 3)
    height = np.zeros((size, size), dtype=np.float32)
    for width, count in ((0.030, 2200), (0.017, 5200), (0.011, 5200)):
        at = rng.uniform(0, 1, (count, 2))
        tint = np.clip(_sample(target, at) * rng.uniform(0.75, 1.25, (count, 1)) + rng.uniform(-0.05, 0.05, (count, 3)), 0, 1)
        length = width * size * rng.uniform(3, 5.5, count)
        turn = _sample(angle, at) + rng.normal(0, 0.08, count)
        strokes(canvas, rng, at=at, angle=turn, length=length, width=width * size, color=tint, bristle=0.3, height=height)
    return relief(canvas, height, 0.45)


def wave(rng: RandomState, size: int) -> Array:
    """Woodblock waves: outlined bands of Prussian blue with clawed foam, a pale sky and a low sun."""
    x, y = grid(size)
    px = 1.5 / size
    canvas = _paper(rng, size, "eadfc4", 0.025)
    sky = ramp(np.clip(1.2 - 2.2 * y, 0, 1), colors("eadfc4", "e3cfa6", "c7b79a"))
    canvas = canvas * sky / colors("eadfc4")[0]
    canvas = blend(canvas, colors("d9583b")[0], step(0.085 - np.hypot(x - 0.73, y - 0.23), px))
    blues = colors("8fb4c4", "5c90ad", "35688f", "1f4a77", "142f5c", "0f2247")
    for layer in range(7):
        base = 0.30 + 0.105 * layer
        phase, tall = rng.uniform(0, 6.3), 0.055 + 0.012 * layer
        t = 2 * np.pi * x * (1.2 + 0.18 * layer) + phase
        crest = base - tall * (np.abs(np.sin(t / 2)) ** 0.7 * 1.7 - 0.5) - 0.02 * np.sin(3.1 * t)
        depth = y - crest
        body = step(depth, px)
        color = blues[min(layer, 5)]
        # Ribs follow the crest and thin out downwards, as cut in wood.
        ribs = np.sin(2 * np.pi * (depth * 26 + 0.6 * np.sin(t)))
        canvas = blend(canvas, color, body)
        canvas = blend(canvas, np.clip(color * 1.55 + 0.12, 0, 1), body * step(ribs - 0.35, 0.25) * step(0.14 - depth, 0.03))
        foam = 0.030 + 0.016 * np.sin(5 * t) * np.sin(2.3 * t) + 0.010 * noise(rng, size, 26, octaves=2)
        canvas = blend(canvas, colors("f4efe0")[0], body * step(foam - depth, px))
        canvas = blend(canvas, colors("10224a")[0], step(0.0035 - np.abs(depth), px))
        canvas = blend(canvas, colors("10224a")[0], body * step(0.0022 - np.abs(depth - foam), px))
        for _ in range(70):
            cx = rng.uniform(0, 1)
            cy = crest[0, min(size - 1, int(cx * size))] - rng.uniform(0, 0.05)
            radius = rng.uniform(0.0025, 0.007)
            canvas = blend(canvas, colors("f4efe0")[0], step(radius - np.hypot(x - cx, y - cy), px))
    grain = noise(rng, size, 5, octaves=1)
    wood = np.sin(2 * np.pi * (y * 60 + 2.5 * grain))
    return np.clip(canvas * (1 + 0.018 * wood[..., None]), 0, 1)


def stained_glass(rng: RandomState, size: int) -> Array:
    """Leaded glass: a rose of jewel-coloured panes with light behind them."""
    x, y = grid(size)
    dx, dy = x - 0.5, y - 0.5
    points = [(0.5, 0.5)]
    for ring, count in ((0.09, 8), (0.17, 12), (0.26, 16), (0.36, 24)):
        turn = rng.uniform(0, 1)
        points += [(0.5 + ring * np.cos(a), 0.5 + ring * np.sin(a)) for a in 2 * np.pi * (np.arange(count) + turn) / count]
    outside = scattered(rng, 130, relax=3)
    points += [tuple(p) for p in outside if np.hypot(*(p - 0.5)) > 0.42]
    index, border = cells(np.array(points), x, y)
    palette = colors("b3122b", "e0401f", "f2a516", "f7d65a", "0f7a4a", "19a37c", "1152a8", "2a86d6", "5b2a91", "9b3fa5", "e9e3cf")
    chosen = palette[rng.randint(len(palette), size=len(points))]
    chosen[1:9], chosen[9:21] = palette[3], palette[0]
    chosen[21:37:2], chosen[22:37:2], chosen[37:61] = palette[6], palette[2], palette[4]
    chosen = np.clip(chosen * rng.uniform(0.8, 1.2, (len(points), 1)), 0, 1).astype(np.float32)
    streak = noise(rng, size, 10, octaves=5, roughness=0.65)
    light = 0.92 + 0.28 * streak - 0.5 * np.hypot(dx, dy) + 5 * np.clip(border, 0, 0.05)
    glass = chosen[index] * light[..., None]
    glass = np.clip(glass + 0.22 * np.clip(streak - 0.4, 0, 1)[..., None], 0, 1)
    lead = step(0.0065 - np.minimum(border, np.abs(np.hypot(dx, dy) - 0.415)), 1.2 / size)
    metal = colors("17161a")[0] * (1 + 0.6 * np.clip(noise(rng, size, 40), 0, 1))[..., None]
    return np.clip(blend(glass, metal, lead), 0, 1)


def pointillism(rng: RandomState, size: int) -> Array:
    """A river bank in dots of pure colour, each dot beside its complement."""
    x, y = grid(size)
    sky = ramp(y / 0.42, colors("7fb2e5", "b9d3ea", "f6e3b5"))
    water = ramp((y - 0.42) / 0.3, colors("8fc1cf", "4a8fc0", "2c6aa5"))
    grass = ramp((y - 0.6) / 0.4, colors("b7c94a", "6aa53b", "2f7a3a"))
    shore = 0.64 + 0.08 * np.sin(4 * x + 0.6)
    target = np.where((y < 0.42)[..., None], sky, water)
    target = np.where((y > shore)[..., None], grass, target)
    for cx, cy, radius in ((0.16, 0.34, 0.15), (0.30, 0.38, 0.1), (0.86, 0.36, 0.14), (0.74, 0.4, 0.07)):
        crown = radius * (1 + 0.25 * noise(rng, size, 9)) - np.hypot(x - cx, (y - cy) * 1.2)
        tree = ramp(0.5 + 2.2 * ((cx - x) + (cy - y)), colors("1d4a3a", "2f7a3a", "8fb53a", "e2d45a"))
        target = blend(target, tree, step(crown, 0.01))
    target = blend(target, colors("f7b23a")[0], 0.9 * np.exp(-((x - 0.55) ** 2 + (y - 0.36) ** 2) / (2 * 0.06**2)))
    canvas = _paper(rng, size, "f3ead2", 0.02)
    spots = 17000
    at = rng.uniform(0, 1, (spots, 2))
    tint = _sample(target, at)
    kind = rng.uniform(0, 1, spots)
    tint = np.where((kind < 0.14)[:, None], 1 - 0.9 * tint, tint)  # the complement
    pure = tint.mean(1, keepdims=True) + 1.7 * (tint - tint.mean(1, keepdims=True))
    pure = np.clip(pure + rng.normal(0, 0.07, (spots, 3)), 0, 1).astype(np.float32)
    width = size * rng.uniform(0.009, 0.015, spots)
    turn = rng.uniform(0, np.pi, spots)
    strokes(canvas, rng, at=at, angle=turn, length=1.3 * width, width=width, color=pure, bristle=0.1, opacity=0.93)
    return canvas


def cubism(rng: RandomState, size: int) -> Array:
    """Overlapping facets in ochre, umber and slate, each shaded from one edge, with arcs and drawn lines."""
    x, y = grid(size)
    palette = colors("3a2f28", "6b4f36", "a07a4a", "cba76a", "e6d3a3", "8a9490", "5c6b73", "2f3b45", "b8602f", "d8c9b0")
    canvas = ramp(0.5 + 0.4 * noise(rng, size, 3), palette[[1, 2, 5, 4]])
    px = 1.2 / size
    for index in range(95):
        scale = 0.30 * (1 - index / 130)
        middle = 0.5 + rng.normal(0, 0.24, 2)
        count = rng.randint(3, 6)
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        corners = middle + scale * rng.uniform(0.35, 1, (count, 1)) * np.stack([np.cos(angles), np.sin(angles)], -1)
        inside = polygon(x, y, corners)
        direction = rng.uniform(0, 2 * np.pi)
        shade = ((x - middle[0]) * np.cos(direction) + (y - middle[1]) * np.sin(direction)) / scale
        color = palette[rng.randint(len(palette))] * np.clip(0.95 + 0.55 * shade, 0.45, 1.35)[..., None]
        canvas = blend(canvas, np.clip(color, 0, 1), step(inside, px) * 0.86)
        canvas = blend(canvas, colors("1f1915")[0], 0.75 * step(0.0022 - np.abs(inside), px) * step(shade + 0.3, 0.5))
    for _ in range(9):
        cx, cy, radius = *rng.uniform(0.2, 0.8, 2), rng.uniform(0.05, 0.2)
        arc = np.abs(np.hypot(x - cx, y - cy) - radius)
        half = step(np.cos(np.arctan2(y - cy, x - cx) - rng.uniform(0, 6.3)), 0.1)
        canvas = blend(canvas, colors("1a1512")[0], 0.85 * half * step(0.003 - arc, px))
    return _dry_brush(rng, canvas, 9000, 0.012, 0.5)


def _dry_brush(rng: RandomState, target: Array, count: int, width: float, opacity: float) -> Array:
    """Go over a picture with short strokes of its own colours, across its gradients."""
    size = len(target)
    canvas = target.astype(np.float32).copy()
    grey = target.mean(-1)
    gy, gx = np.gradient(noise(rng, size, 6) * 0.05 + grey)
    at = rng.uniform(0, 1, (count, 2))
    angle = np.arctan2(_sample(gx, at), -_sample(gy, at))
    tint = np.clip(_sample(target, at) * rng.uniform(0.88, 1.12, (count, 1)), 0, 1).astype(np.float32)
    length = size * width * rng.uniform(1.5, 3.5, count)
    strokes(canvas, rng, at=at, angle=angle, length=length, width=size * width, color=tint, bristle=0.22, opacity=opacity)
    return canvas


def ink_wash(rng: RandomState, size: int) -> Array:
    """Mountains in mist on rice paper: washes that fade downwards, bare branches and a seal."""
    x, y = grid(size)
    canvas = _paper(rng, size, "efe8d8", 0.03)
    ink = colors("1b1c20")[0]
    for layer in range(6):
        base = 0.20 + 0.13 * layer
        ridge = (
            base
            + 0.10 * noise(rng, size, 3 + layer, octaves=6, roughness=0.55)[size // 2][None, :]
            + 0.03 * np.sin(6 * x + layer)
        )
        depth = y - ridge
        tone = (0.20 + 0.13 * layer) * np.exp(-np.clip(depth, 0, None) / (0.05 + 0.015 * layer))
        streaks = 0.75 + 0.35 * noise(rng, size, 12, octaves=5, roughness=0.7)
        canvas = blend(canvas, ink, np.clip(step(depth, 0.004) * tone * streaks, 0, 1))
        edge = np.exp(-((depth / 0.004) ** 2)) * (0.15 + 0.1 * layer) * np.clip(0.6 + noise(rng, size, 20), 0, 1)
        canvas = blend(canvas, ink, np.clip(edge, 0, 1))
    count = 260
    at = np.stack([rng.uniform(0, 1, count), 0.62 + 0.36 * rng.uniform(0, 1, count) ** 0.7], -1)
    tint = np.tile(ink, (count, 1)) * rng.uniform(0.6, 2.2, (count, 1)).astype(np.float32)
    turn, length = rng.normal(-1.2, 0.35, count), size * rng.uniform(0.03, 0.09, count)
    strokes(
        canvas, rng, at=at, angle=turn, length=length, width=size * 0.006, color=tint, bend=rng.normal(0, 1.2, count), opacity=0.7
    )
    branch(canvas, rng, (0.98, 0.08), 2.75, 0.30, 0.022 * size, ink)
    px = 1.5 / size
    seal = step(0.032 - np.maximum(np.abs(x - 0.1), np.abs(y - 0.12)) + 0.002 * noise(rng, size, 60), px)
    marks = step(np.sin(150 * (x - 0.1)) * np.sin(115 * (y - 0.12)) + 0.1, 0.1)
    return np.clip(blend(canvas, colors("b8322a")[0], seal * (0.35 + 0.6 * marks)), 0, 1)


def branch(
    canvas: Array, rng: RandomState, start: tuple[float, float], angle: float, length: float, width: float, ink: Array
) -> None:
    """A bare branch that forks until it is thin, in place."""
    if width < 1 or length < 0.01:
        return
    end = (start[0] + length * np.cos(angle), start[1] + length * np.sin(angle))
    middle = np.array([[(start[0] + end[0]) / 2, (start[1] + end[1]) / 2]])
    strokes(
        canvas, rng, at=middle, angle=np.array([angle]), length=length * len(canvas) * 1.1, width=width,
        color=ink[None] * 1.2, bend=float(rng.normal(0, 0.5)), bristle=0.5, opacity=0.85,
    )  # fmt: skip
    for _ in range(2 if width > 2 else 3):
        branch(canvas, rng, end, angle + rng.normal(0, 0.5), length * rng.uniform(0.5, 0.8), width * 0.62, ink)


def mosaic(rng: RandomState, size: int) -> Array:
    """Tesserae laid along the lines of a sun and its rays, in grout."""
    x, y = grid(size)
    cx, cy = 0.5, 0.46
    radius, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    rings = np.round(radius / 0.024)
    count = np.maximum(np.round(2 * np.pi * rings * 1.05), 1)
    spot = np.floor((angle / (2 * np.pi) + 0.37 * rings) * count)
    key = (rings * 4099 + spot).astype(np.int64)
    local_a = np.mod((angle / (2 * np.pi) + 0.37 * rings) * count, 1) - 0.5
    edge = np.minimum(0.5 - np.abs(radius / 0.024 - rings), (0.5 - np.abs(local_a)) * np.where(rings > 0, 1, 9)) * 0.024
    tile_radius, tile_angle = rings * 0.024, 2 * np.pi * ((spot + 0.5) / count - 0.37 * rings)
    ray = 0.5 + 0.5 * np.cos(12 * tile_angle)
    sun = ramp(tile_radius / 0.17, colors("fff0b8", "f7c63c", "e8862a", "c8442a"))
    rays = np.where((ray > 0.55)[..., None], colors("e6a63a")[0], colors("1f6f8f")[0])
    sea = ramp((tile_radius - 0.34) / 0.4, colors("2b8aa0", "1f5f8f", "17406f", "2f9a8f", "e7dcc0"))
    tiles = np.where((tile_radius < 0.17)[..., None], sun, np.where((tile_radius < 0.33)[..., None], rays, sea))
    tiles = np.where(((tile_radius > 0.33) & (tile_radius < 0.37))[..., None], colors("8f2a24")[0], tiles)
    hashed = np.stack([np.mod(np.sin(key * k) * 43758.5, 1) for k in (12.9898, 78.233, 37.719)], -1)
    tiles = np.clip(tiles * (0.72 + 0.5 * hashed[..., :1]) + 0.1 * (hashed - 0.5), 0, 1).astype(np.float32)
    height = np.clip(edge / 0.006, 0, 1).astype(np.float32)
    grout = colors("d8cdb8")[0] * (0.8 + 0.1 * noise(rng, size, 60))[..., None]
    canvas = blend(grout.astype(np.float32), tiles, step(edge - 0.0024, 1.2 / size))
    return relief(canvas, height + 0.08 * noise(rng, size, 80), 0.35)


def geometric(rng: RandomState, size: int) -> Array:
    """Circles, wedges, grids and rods afloat on a warm ground."""
    x, y = grid(size)
    px = 1.2 / size
    canvas = _paper(rng, size, "efe3c8", 0.02)
    canvas = np.clip(canvas * (1 + 0.12 * noise(rng, size, 3)[..., None] * colors("ffd9a0")[0]), 0, 1)
    palette = colors("d7312e", "f2b632", "1f4e9c", "14171c", "2f8f6b", "e9773a", "7a3f8c", "79b8d9", "f4d7c4")
    black = palette[3]
    for _ in range(7):
        cx, cy, r = *rng.uniform(0.1, 0.9, 2), rng.uniform(0.06, 0.2)
        d = np.hypot(x - cx, y - cy)
        halo = palette[rng.randint(len(palette))]
        canvas = blend(canvas, halo, 0.45 * np.exp(-((np.clip(d - r, 0, None) / 0.05) ** 2)))
        for k, share in enumerate((1, 0.78, 0.5, 0.24)):
            canvas = blend(canvas, palette[(rng.randint(len(palette)) + k) % len(palette)], step(r * share - d, px))
        canvas = blend(canvas, black, step(0.004 - np.abs(d - r), px))
    for _ in range(9):
        apex, angle, spread, length = rng.uniform(0, 1, 2), rng.uniform(0, 6.3), rng.uniform(0.1, 0.35), rng.uniform(0.2, 0.5)
        corners = np.array([apex, apex + length * _unit(angle - spread), apex + length * _unit(angle + spread)])
        fade = np.clip(1 - np.hypot(x - apex[0], y - apex[1]) / length, 0.15, 1)
        canvas = blend(canvas, palette[rng.randint(len(palette))], 0.8 * fade * step(polygon(x, y, corners), px))
    for _ in range(5):
        corner, angle, cell, n = rng.uniform(0.05, 0.8, 2), rng.uniform(-0.6, 0.6), rng.uniform(0.018, 0.03), rng.randint(3, 6)
        a = ((x - corner[0]) * np.cos(angle) + (y - corner[1]) * np.sin(angle)) / cell
        b = (-(x - corner[0]) * np.sin(angle) + (y - corner[1]) * np.cos(angle)) / cell
        inside = step(np.minimum(np.minimum(a, n - a), np.minimum(b, n - b)) * cell, px)
        checker = palette[(np.floor(a).astype(int) * 3 + np.floor(b).astype(int) * 5) % len(palette)]
        canvas = blend(canvas, checker, inside)
    for _ in range(26):
        a, angle, length = rng.uniform(0, 1, 2), rng.uniform(0, 6.3), rng.uniform(0.15, 0.7)
        width = rng.choice([0.0016, 0.0028, 0.006])
        canvas = blend(canvas, black, step(width - segment(x, y, a, a + length * _unit(angle)), px))
    for _ in range(9):
        c, r, start = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.25), rng.uniform(0, 6.3)
        arc = np.abs(np.hypot(x - c[0], y - c[1]) - r)
        canvas = blend(canvas, black, step(np.cos(np.arctan2(y - c[1], x - c[0]) - start) - 0.2, 0.02) * step(0.003 - arc, px))
    return _dry_brush(rng, canvas, 5000, 0.010, 0.35)


def _unit(angle: float) -> Array:
    return np.array([np.cos(angle), np.sin(angle)])


def primaries(rng: RandomState, size: int) -> Array:
    """A grid of black bars with planes of red, yellow and blue, hand-painted on canvas."""
    x, y = grid(size)
    px = 1.2 / size
    canvas = np.tile(colors("efece2")[0], (size, size, 1))
    rectangles = [(0.0, 0.0, 1.0, 1.0)]
    for _ in range(26):  # split the largest plane again and again
        index = int(np.argmax([(r[2] - r[0]) * (r[3] - r[1]) * (0.6 + rng.uniform()) for r in rectangles]))
        left, top, right, bottom = rectangles.pop(index)
        share = rng.choice([0.3, 0.4, 0.6, 0.7])
        if right - left > bottom - top:
            cut = left + share * (right - left)
            rectangles += [(left, top, cut, bottom), (cut, top, right, bottom)]
        else:
            cut = top + share * (bottom - top)
            rectangles += [(left, top, right, cut), (left, cut, right, bottom)]
    palette = colors("c9211e", "f1c21b", "1f3f94", "efece2", "efece2", "dfe3e6", "16161a")
    ground = canvas.copy()
    bars = np.zeros_like(x)
    for left, top, right, bottom in rectangles:
        inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - top, bottom - y))
        ground = blend(ground, palette[rng.choice(len(palette), p=[0.17, 0.15, 0.16, 0.22, 0.12, 0.12, 0.06])], step(inside, px))
        bars = np.maximum(bars, step(0.007 - np.abs(inside), px))
    ground = blend(ground, colors("121214")[0], bars)
    height = np.zeros((size, size), dtype=np.float32)
    canvas = ground.astype(np.float32).copy()
    count = 7000
    at = rng.uniform(0, 1, (count, 2))
    turn = np.where(rng.uniform(size=count) < 0.5, 0, np.pi / 2) + rng.normal(0, 0.05, count)
    tint = np.clip(_sample(ground, at) * rng.uniform(0.93, 1.06, (count, 1)), 0, 1).astype(np.float32)
    strokes(canvas, rng, at=at, angle=turn, length=size * 0.04, width=size * 0.009, color=tint, opacity=0.4, height=height)
    canvas = blend(canvas, colors("121214")[0], 0.9 * bars)
    crackle = cells(scattered(rng, 900, relax=1), x, y)[1]
    canvas = blend(canvas, colors("6a6250")[0], 0.22 * step(0.0012 - crackle, px))
    return relief(canvas, height, 0.25)


def drip(rng: RandomState, size: int) -> Array:
    """Flung enamel: looping threads, pools and spatter in black, white, ochre and teal on raw canvas."""
    weave = np.sin(np.arange(size) * 2.1)[None, :] * np.sin(np.arange(size) * 2.1)[:, None]
    canvas = np.clip(_paper(rng, size, "c9b48d", 0.06) * (1 + 0.04 * weave[..., None]), 0, 1).astype(np.float32)
    height = np.zeros((size, size), dtype=np.float32)
    palette = colors("16130f", "f1ece0", "8c6a3a", "2f6f78", "16130f", "b5452c", "d9b44a", "f1ece0")
    for index in range(64):
        color = palette[index % len(palette)]
        count = 420
        speed = np.cumsum(rng.normal(0, 0.35, count))
        heading = rng.uniform(0, 6.3) + np.cumsum(rng.normal(0, 0.05, count)) + 1.5 * np.sin(speed / 9)
        pace = 0.0045 * rng.uniform(0.6, 1.5)
        path = rng.uniform(-0.1, 1.1, 2) + np.cumsum(pace * np.stack([np.cos(heading), np.sin(heading)], -1), 0)
        flow = rng.uniform(0.0016, 0.0052) * (1 + 0.8 * np.sin(np.linspace(0, rng.uniform(5, 30), count))) + 0.0009
        tint = np.tile(color, (count, 1))
        strokes(
            canvas, rng, at=path, angle=heading, length=size * (pace * 1.9 + flow), width=2 * size * flow,
            color=tint, bristle=0.06, opacity=1.0, height=height,
        )  # fmt: skip
        spots = 46
        near = path[rng.randint(count, size=spots)] + rng.normal(0, 0.02, (spots, 2))
        width = size * rng.exponential(0.0028, spots) + 1
        turn = rng.uniform(0, 3, spots)
        strokes(
            canvas, rng, at=near, angle=turn, length=width * 1.4, width=width, color=tint[:spots], bristle=0.05, height=height
        )
    return relief(canvas, height, 0.5)


def watercolor(rng: RandomState, size: int) -> Array:
    """Transparent blooms that bleed into each other, darker along their drying edges, on rough paper."""
    x, y = grid(size)
    paper = _paper(rng, size, "fbf8f0", 0.02)
    absorbed = np.zeros((size, size, 3), dtype=np.float32)
    palette = colors("e4577a", "f49a3c", "f6d04d", "5fb58a", "3d8fd1", "6a5acd", "c65bb0", "2f6f9f")
    for index in range(46):
        cx, cy, radius = *rng.uniform(0, 1, 2), rng.uniform(0.05, 0.19)
        wobble = 0.32 * noise(rng, size, 4, octaves=6, roughness=0.6)
        inside = 1 - np.hypot(x - cx, (y - cy) * rng.uniform(0.8, 1.25)) / radius + wobble
        wash = step(inside, 0.02 + 0.10 * rng.uniform() ** 3)
        rim = np.exp(-((inside / 0.045) ** 2)) * (inside > -0.02)
        pigment = 0.40 + 0.22 * noise(rng, size, 9, octaves=5, roughness=0.7) + 0.25 * np.clip(inside, 0, 1)
        density = np.clip(wash * pigment + 0.35 * rim, 0, 1.3) * rng.uniform(0.6, 1.1)
        absorbed += density[..., None] * -np.log(np.clip(palette[index % len(palette)], 0.06, 1))
    for _ in range(500):  # spatter
        cx, cy, radius = *rng.uniform(0, 1, 2), rng.exponential(0.0022) + 0.0008
        left, right = (int(np.clip((cx + k * radius * 2) * size, 0, size)) for k in (-1, 1))
        top, bottom = (int(np.clip((cy + k * radius * 2) * size, 0, size)) for k in (-1, 1))
        drop = step(radius - np.hypot(x[top:bottom, left:right] - cx, y[top:bottom, left:right] - cy), 1 / size)
        absorbed[top:bottom, left:right] += 0.6 * drop[..., None] * -np.log(np.clip(palette[rng.randint(8)], 0.06, 1))
    tooth = noise(rng, size, 70, octaves=3, roughness=0.8)
    return np.clip(paper * np.exp(-absorbed * (1 + 0.22 * tooth[..., None])), 0, 1)


def impasto(rng: RandomState, size: int) -> Array:
    """A wheat field under a red evening sky, laid on with a knife so thick that it throws shadows."""
    x, y = grid(size)
    sky = ramp(y / 0.5 + 0.12 * noise(rng, size, 4), colors("3a2a5c", "8a2f4f", "d9472b", "f58a2a", "fbd25a"))
    field = ramp((y - 0.5) * 2 + 0.25 * noise(rng, size, 9), colors("f3cf55", "dba12f", "b9772a", "7d4a24", "4a5a2a"))
    sun = np.exp(-((x - 0.62) ** 2 + (y - 0.42) ** 2) / (2 * 0.055**2))
    horizon = y - 0.5 - 0.02 * np.sin(8 * x)
    target = blend(sky, field, step(horizon, 0.01))
    target = blend(target, colors("fff0b0")[0], np.clip(1.4 * sun, 0, 1) * (horizon < 0))
    canvas = target.astype(np.float32).copy()
    height = np.zeros((size, size), dtype=np.float32)
    for width, count in ((0.06, 700), (0.036, 1600), (0.022, 2200)):
        at = rng.uniform(0, 1, (count, 2))
        low = at[:, 1] > 0.5
        turn = np.where(low, -np.pi / 2 + 0.9 * (at[:, 0] - 0.5), 0.25 * np.sin(9 * at[:, 0])) + rng.normal(0, 0.3, count)
        tint = np.clip(_sample(target, at) * rng.uniform(0.7, 1.3, (count, 1)) + rng.normal(0, 0.05, (count, 3)), 0, 1)
        length = width * size * rng.uniform(1.6, 3, count)
        strokes(
            canvas, rng, at=at, angle=turn, length=length, width=width * size, color=tint.astype(np.float32),
            bristle=0.4, opacity=1.0, height=height,
        )  # fmt: skip
    return relief(canvas, height, 0.9)


def engraving(rng: RandomState, size: int) -> Array:
    """Copperplate: swelling lines and cross-hatching that model hills, a sky and a great sphere."""
    x, y = grid(size)
    tone = 0.25 + 0.25 * y + 0.14 * noise(rng, size, 4)
    bend = 0.04 * noise(rng, size, 3, octaves=2)
    for cx, cy, r in ((0.36, 0.42, 0.22), (0.74, 0.68, 0.15), (0.8, 0.24, 0.09), (0.16, 0.84, 0.12)):
        d = np.hypot(x - cx, y - cy) / r
        inside = step(1 - d, 0.01)
        z = np.sqrt(np.clip(1 - d * d, 0, 1))
        light = np.clip(0.15 + 0.85 * (-0.55 * (x - cx) / r - 0.55 * (y - cy) / r + 0.65 * z), 0, 1)
        tone = tone * (1 - inside) + inside * (0.92 - 0.9 * light)
        bend = bend * (1 - inside) + inside * (0.09 * z * r / 0.2 + 0.02 * (x - cx))
        shadow = np.exp(-(((x - cx - 0.7 * r) / (1.2 * r)) ** 2 + ((y - cy - r) / (0.22 * r)) ** 2))
        tone = tone + 0.5 * shadow * (1 - inside)
    tone = np.clip(tone, 0.03, 0.97)
    lines = np.zeros_like(x)
    for angle, start, pitch in ((0.10, 0.0, 88), (1.15, 0.30, 92), (-0.85, 0.55, 96), (1.7, 0.75, 96)):
        across = -np.sin(angle) * x + np.cos(angle) * y + bend
        saw = np.abs(np.mod(across * pitch, 1) - 0.5) * 2
        need = np.clip((tone - start) * 1.7, 0, 0.93)
        lines = np.maximum(lines, step(need - saw, 1.4 * pitch / size) * (need > 0.02))
    canvas = _paper(rng, size, "efe4cb", 0.035)
    wear = np.clip(0.93 + 0.12 * noise(rng, size, 50), 0, 1)
    return np.clip(blend(canvas, colors("231a17")[0], lines * wear), 0, 1)


def gilded(rng: RandomState, size: int) -> Array:
    """Gold leaf with spirals, eyes and little rectangles, over a ground of bronze."""
    x, y = grid(size)
    px = 1.2 / size
    leaf = 0.5 + 0.3 * noise(rng, size, 6, octaves=6, roughness=0.65) + 0.12 * rng.uniform(-1, 1, (size, size))
    canvas = ramp(leaf, colors("7a4f16", "b98422", "dcae3c", "f3d679", "fff2b8"))
    index, border = cells(scattered(rng, 60, relax=3), x, y)
    kind, key = rng.randint(4, size=60)[index], rng.uniform(0, 1, (60, 3))[index]
    dark, white = colors("2a1a10")[0], colors("f3ead0")[0]
    palette = colors("1f4f6a", "7a1f2a", "2f6a4a", "1a1410", "c9541f", "d9d2c0")
    tint = palette[(key[..., 0] * len(palette)).astype(int) % len(palette)]
    canvas = blend(canvas, tint, 0.55 * step(border - 0.004, px) * (kind == 3))
    canvas = blend(canvas, dark, 0.8 * step(0.0022 - border, px))
    bricks_a = np.mod(x * 34 + key[..., 1] * 5, 1) - 0.5
    bricks_b = np.mod(y * 22 + key[..., 2] * 5, 1) - 0.5
    brick = step(0.36 - np.maximum(np.abs(bricks_a) * 1.3, np.abs(bricks_b)), 0.03)
    shade = palette[((np.floor(x * 34 + key[..., 1] * 5) * 7 + np.floor(y * 22 + key[..., 2] * 5) * 3) % 6).astype(int)]
    canvas = blend(canvas, shade, 0.85 * brick * (kind == 1) * step(border - 0.006, px))
    for _ in range(26):
        cx, cy, radius, turn = *rng.uniform(0, 1, 2), rng.uniform(0.045, 0.115), rng.uniform(0, 6.3)
        d, a = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
        disc = step(radius - d, px)
        coil = np.abs(np.mod(d / 0.019 - (a + turn) / (2 * np.pi), 1) - 0.5) * 2
        metal = ramp(0.75 + 0.35 * noise(rng, size, 20), colors("b98422", "f3d679", "fff2b8"))
        canvas = blend(canvas, metal, disc)
        canvas = blend(canvas, dark, disc * step(0.30 - coil, 0.1))
        canvas = blend(canvas, dark, step(0.003 - np.abs(d - radius), px))
    for _ in range(34):
        cx, cy, w, h = *rng.uniform(0, 1, 2), rng.uniform(0.016, 0.034), 0.5
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        almond = w - dx - (dy / h) ** 2 / w
        canvas = blend(canvas, white, step(almond, px))
        canvas = blend(canvas, dark, np.maximum(step(0.003 - np.abs(almond), px), step(0.28 * w - np.hypot(dx, dy), px)))
    return relief(canvas, 0.4 * noise(rng, size, 90, octaves=2), 0.25)


def marbling(rng: RandomState, size: int) -> Array:
    """Paints floated on water, combed into feathers and curls."""
    x, y = grid(size)
    u, v = x.copy(), y.copy()
    for cx, cy, turn, reach in ((0.3, 0.35, 2.6, 0.13), (0.72, 0.62, -2.9, 0.15), (0.55, 0.15, 2.0, 0.09), (0.2, 0.8, -2.2, 0.1)):
        dx, dy = u - cx, v - cy
        angle = turn * np.exp(-(dx * dx + dy * dy) / (2 * reach**2))
        u, v = cx + dx * np.cos(angle) - dy * np.sin(angle), cy + dx * np.sin(angle) + dy * np.cos(angle)
    tooth = np.abs(np.mod(u * 9, 1) - 0.5) * 2
    v = v + 0.075 * np.exp(-tooth * 2.6) * np.where(np.mod(np.floor(u * 9), 2) > 0, 1, -1) + 0.02 * noise(rng, size, 5)
    u = u + 0.045 * np.sin(2 * np.pi * v * 3)
    band = v * 26 + 0.9 * noise(rng, size, 4, octaves=2)
    palette = colors("123a5a", "e9dfc6", "c8412e", "f0b642", "1f7f7a", "f4efe2", "16213a", "d9774a", "8fb8b0")
    order = rng.randint(len(palette), size=64)
    order[1:][order[1:] == order[:-1]] = 1
    which = np.floor(band).astype(int) % 64
    share = step(np.mod(band, 1) - 0.93, 26 * 1.6 / size + 0.02)
    canvas = palette[order[which]] * (1 - share[..., None]) + palette[order[(which + 1) % 64]] * share[..., None]
    vein = np.abs(np.mod(band, 1) - 0.5)
    canvas = blend(canvas, colors("10151f")[0], 0.55 * step(vein - 0.47, 0.02))
    stones = cells(scattered(rng, 700, relax=1), u * 0.5 + 0.25, np.mod(v, 1))[1]
    canvas = blend(canvas, colors("f8f4e8")[0], 0.5 * step(stones - 0.012, 0.003))
    return np.clip(canvas * (1 + 0.05 * noise(rng, size, 60)[..., None]), 0, 1)


def cutouts(rng: RandomState, size: int) -> Array:
    """Painted paper cut into leaves and seaweed, pasted on squares of bright colour."""
    x, y = grid(size)
    px = 1.2 / size
    palette = colors("e63b2e", "f7b52c", "1f5fb0", "2f9a63", "f08fa8", "111318", "f6f1e4", "7b3f98", "38b6c9", "f27a2a")
    columns, rows = 4, 4
    tile = (np.floor(x * columns) + columns * np.floor(y * rows)).astype(int)
    ground = np.array([rng.choice(10) for _ in range(columns * rows)])
    canvas = palette[ground][tile].astype(np.float32)
    for index in range(columns * rows):
        cx, cy = (index % columns + 0.5) / columns, (index // columns + 0.5) / rows
        choices = [k for k in range(10) if k != ground[index]]
        for scale, color in zip((1.0, 0.55), rng.choice(choices, 2, replace=False), strict=True):
            dx, dy = x - cx - rng.normal(0, 0.01), y - cy - rng.normal(0, 0.01)
            d, a = np.hypot(dx, dy), np.arctan2(dy, dx) + rng.uniform(0, 6.3)
            lobes = rng.choice([5, 6, 7, 9])
            reach = (
                scale * 0.105 * (0.62 + 0.38 * np.sin(lobes * a) + 0.10 * np.sin(2 * a + 1) + 0.06 * np.sin(2 * lobes * a + 2))
            )
            shape = reach - d
            drop = scale * 0.105 * (0.62 + 0.38 * np.sin(lobes * (a + 0.03))) - np.hypot(dx - 0.004, dy - 0.005)
            canvas = blend(canvas, canvas * 0.72, 0.6 * step(drop, 0.006))
            canvas = blend(canvas, palette[color], step(shape, px))
    for _ in range(12):
        start, angle = rng.uniform(0, 1, 2), rng.uniform(0, 6.3)
        color = palette[rng.randint(10)]
        for k in range(9):
            along = start + 0.028 * k * _unit(angle + 0.10 * k)
            for side in (-1, 1):
                tip = along + 0.055 * (1 - k / 11) * _unit(angle + 0.1 * k + side * 1.0)
                canvas = blend(canvas, color, step(0.011 * (1 - k / 12) - segment(x, y, along, tip), px))
    gouache = np.zeros((size, size), dtype=np.float32)
    brushed = canvas.astype(np.float32).copy()
    count = 5000
    at = rng.uniform(0, 1, (count, 2))
    tint = np.clip(_sample(canvas, at) * rng.uniform(0.9, 1.1, (count, 1)), 0, 1).astype(np.float32)
    turn = 0.6 * np.sin(5 * at[:, 0] + 3 * at[:, 1]) + rng.normal(0, 0.2, count)
    strokes(brushed, rng, at=at, angle=turn, length=size * 0.05, width=size * 0.012, color=tint, opacity=0.3, height=gouache)
    edges = np.abs(np.gradient(canvas.mean(-1))[0]) + np.abs(np.gradient(canvas.mean(-1))[1])
    return relief(blend(brushed, canvas, np.clip(edges * 20, 0, 1)), gouache, 0.2)
