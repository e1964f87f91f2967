"""Styles of planes and pieces: each a function (rng, S) -> canvas [S, S, 3]."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from .brush import (
    Array,
    blend,
    cells,
    colors,
    dry_brush,
    grid,
    noise,
    polygon,
    ramp,
    relief,
    sample,
    scattered,
    segment,
    sheet,
    step,
    strokes,
    unit,
)


def stained_glass(rng: RandomState, size: int) -> Array:
    """Leaded glass: a rose of jewel-colored panes with light behind them."""
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
    return dry_brush(rng, canvas, 9000, 0.012, 0.5)


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
    canvas = sheet(rng, size, "efe3c8", 0.02)
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
        corners = np.array([apex, apex + length * unit(angle - spread), apex + length * unit(angle + spread)])
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
        canvas = blend(canvas, black, step(width - segment(x, y, a, a + length * unit(angle)), px))
    for _ in range(9):
        c, r, start = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.25), rng.uniform(0, 6.3)
        arc = np.abs(np.hypot(x - c[0], y - c[1]) - r)
        canvas = blend(canvas, black, step(np.cos(np.arctan2(y - c[1], x - c[0]) - start) - 0.2, 0.02) * step(0.003 - arc, px))
    return dry_brush(rng, canvas, 5000, 0.010, 0.35)


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
    tint = np.clip(sample(ground, at) * rng.uniform(0.93, 1.06, (count, 1)), 0, 1).astype(np.float32)
    strokes(canvas, rng, at=at, angle=turn, length=size * 0.04, width=size * 0.009, color=tint, opacity=0.4, height=height)
    canvas = blend(canvas, colors("121214")[0], 0.9 * bars)
    crackle = cells(scattered(rng, 900, relax=1), x, y)[1]
    canvas = blend(canvas, colors("6a6250")[0], 0.22 * step(0.0012 - crackle, px))
    return relief(canvas, height, 0.25)


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


def cutouts(rng: RandomState, size: int) -> Array:
    """Painted paper cut into leaves and seaweed, pasted on squares of bright color."""
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
            along = start + 0.028 * k * unit(angle + 0.10 * k)
            for side in (-1, 1):
                tip = along + 0.055 * (1 - k / 11) * unit(angle + 0.1 * k + side * 1.0)
                canvas = blend(canvas, color, step(0.011 * (1 - k / 12) - segment(x, y, along, tip), px))
    gouache = np.zeros((size, size), dtype=np.float32)
    brushed = canvas.astype(np.float32).copy()
    count = 5000
    at = rng.uniform(0, 1, (count, 2))
    tint = np.clip(sample(canvas, at) * rng.uniform(0.9, 1.1, (count, 1)), 0, 1).astype(np.float32)
    turn = 0.6 * np.sin(5 * at[:, 0] + 3 * at[:, 1]) + rng.normal(0, 0.2, count)
    strokes(brushed, rng, at=at, angle=turn, length=size * 0.05, width=size * 0.012, color=tint, opacity=0.3, height=gouache)
    edges = np.abs(np.gradient(canvas.mean(-1))[0]) + np.abs(np.gradient(canvas.mean(-1))[1])
    return relief(blend(brushed, canvas, np.clip(edges * 20, 0, 1)), gouache, 0.2)
