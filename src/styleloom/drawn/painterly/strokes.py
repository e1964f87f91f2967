"""Styles of strokes, washes and grain: each a function (rng, S) -> canvas [S, S, 3]."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from .brush import Array, blend, cells, colors, grid, noise, ramp, relief, sample, scattered, sheet, step, strokes


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
        tint = np.clip(sample(target, at) * rng.uniform(0.75, 1.25, (count, 1)) + rng.uniform(-0.05, 0.05, (count, 3)), 0, 1)
        length = width * size * rng.uniform(3, 5.5, count)
        turn = sample(angle, at) + rng.normal(0, 0.08, count)
        strokes(canvas, rng, at=at, angle=turn, length=length, width=width * size, color=tint, bristle=0.3, height=height)
    return relief(canvas, height, 0.45)


def wave(rng: RandomState, size: int) -> Array:
    """Woodblock waves: outlined bands of Prussian blue with clawed foam, a pale sky and a low sun."""
    x, y = grid(size)
    px = 1.5 / size
    canvas = sheet(rng, size, "eadfc4", 0.025)
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


def pointillism(rng: RandomState, size: int) -> Array:
    """A river bank in dots of pure color, each dot beside its complement."""
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
    canvas = sheet(rng, size, "f3ead2", 0.02)
    spots = 17000
    at = rng.uniform(0, 1, (spots, 2))
    tint = sample(target, at)
    kind = rng.uniform(0, 1, spots)
    tint = np.where((kind < 0.14)[:, None], 1 - 0.9 * tint, tint)  # the complement
    pure = tint.mean(1, keepdims=True) + 1.7 * (tint - tint.mean(1, keepdims=True))
    pure = np.clip(pure + rng.normal(0, 0.07, (spots, 3)), 0, 1).astype(np.float32)
    width = size * rng.uniform(0.009, 0.015, spots)
    turn = rng.uniform(0, np.pi, spots)
    strokes(canvas, rng, at=at, angle=turn, length=1.3 * width, width=width, color=pure, bristle=0.1, opacity=0.93)
    return canvas


def ink_wash(rng: RandomState, size: int) -> Array:
    """Mountains in mist on rice paper: washes that fade downwards, bare branches and a seal."""
    x, y = grid(size)
    canvas = sheet(rng, size, "efe8d8", 0.03)
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


def drip(rng: RandomState, size: int) -> Array:
    """Flung enamel: looping threads, pools and spatter in black, white, ochre and teal on raw canvas."""
    weave = np.sin(np.arange(size) * 2.1)[None, :] * np.sin(np.arange(size) * 2.1)[:, None]
    canvas = np.clip(sheet(rng, size, "c9b48d", 0.06) * (1 + 0.04 * weave[..., None]), 0, 1).astype(np.float32)
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
    paper = sheet(rng, size, "fbf8f0", 0.02)
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
        tint = np.clip(sample(target, at) * rng.uniform(0.7, 1.3, (count, 1)) + rng.normal(0, 0.05, (count, 3)), 0, 1)
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
    canvas = sheet(rng, size, "efe4cb", 0.035)
    wear = np.clip(0.93 + 0.12 * noise(rng, size, 50), 0, 1)
    return np.clip(blend(canvas, colors("231a17")[0], lines * wear), 0, 1)


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
