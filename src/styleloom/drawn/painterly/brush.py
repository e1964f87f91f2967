"""Tools of the style images: palettes, noise, fields, shapes and brush strokes on a float canvas [S, S, 3] in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState

Array = np.ndarray


def _nearest(points: Array) -> Any:
    """A tree of points that finds the nearest."""
    from scipy.spatial import cKDTree  # a tenth of a second to import

    return cKDTree(points)


def colors(*codes: str) -> Array:
    """Hexadecimal RGB codes -> [N, 3] in [0, 1]."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], dtype=np.float32)


def turn_hue(palette: Array, angle: float) -> Array:
    """Turn a palette's hues by ``angle`` radians about the gray axis, keeping lightness: [..., 3] -> [..., 3]."""
    gray = palette.mean(-1, keepdims=True)
    chroma = palette - gray
    axis = np.ones(3, dtype=np.float32) / np.sqrt(3)
    turned = chroma * np.cos(angle) + np.cross(np.broadcast_to(axis, chroma.shape), chroma) * np.sin(angle)
    return np.clip(gray + turned, 0, 1).astype(np.float32)


def grid(size: int) -> tuple[Array, Array]:
    """Pixel centers: x to the right and y downwards, [S, S] each in (0, 1)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    return x, y


def noise(rng: RandomState, size: int, cells: int, octaves: int = 4, roughness: float = 0.5) -> Array:
    """Smooth fractal noise of ``cells`` bumps a side: [S, S] in about [-1, 1]."""
    total, strength, spread = np.zeros((size, size), dtype=np.float32), 1.0, 0.0
    for _ in range(octaves):
        lattice = torch.from_numpy(rng.uniform(-1, 1, (1, 1, cells + 3, cells + 3)).astype(np.float32))
        padded = size * (cells + 3) // cells
        layer = F.interpolate(lattice, (padded, padded), mode="bicubic", align_corners=False)[0, 0].numpy()
        start = (padded - size) // 2
        total += strength * layer[start : start + size, start : start + size]
        spread, strength, cells = spread + strength**2, strength * roughness, cells * 2
        if cells > size // 2:
            break
    return (1.6 * total / np.sqrt(spread)).astype(np.float32)


def step(value: Array, width: float | Array) -> Array:
    """A soft threshold at 0: 0 below ``-width``, 1 above ``width``."""
    t = np.clip(value / (2 * width) + 0.5, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def blend(canvas: Array, color: Array, cover: Array) -> Array:
    """Lay ``color`` ([3] or [S, S, 3]) over the canvas where ``cover`` [S, S] is 1."""
    return canvas + cover[..., None] * (color - canvas)


def ramp(value: Array, palette: Array) -> Array:
    """Colors along a palette: [...] in [0, 1] -> [..., 3]."""
    index = np.clip(value, 0, 1) * (len(palette) - 1)
    low = np.minimum(index.astype(int), len(palette) - 2)
    share = (index - low)[..., None].astype(np.float32)
    return palette[low] * (1 - share) + palette[low + 1] * share


def cells(points: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Voronoi cells of points [P, 2]: the index of each pixel's cell and its distance to the cell's border, [S, S] each."""
    distance, index = _nearest(points).query(np.stack([x, y], -1), k=2)
    first, second = points[index[..., 0]], points[index[..., 1]]
    between = np.linalg.norm(second - first, axis=-1)
    border = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / np.maximum(2 * between, 1e-6)
    return index[..., 0], border.astype(np.float32)


def scattered(rng: RandomState, count: int, relax: int = 2) -> Array:
    """Points [count, 2] in the unit square, kept apart by a few steps towards the middles of their cells (Lloyd)."""
    points = rng.uniform(0, 1, (count, 2))
    x, y = grid(96)
    for _ in range(relax):
        owner = _nearest(points).query(np.stack([x, y], -1))[1].ravel()
        size = np.maximum(np.bincount(owner, minlength=count), 1)
        middles = np.stack([np.bincount(owner, axis.ravel(), minlength=count) / size for axis in (x, y)], -1)
        points = np.where((np.bincount(owner, minlength=count) > 0)[:, None], middles, points)
    return points


def segment(x: Array, y: Array, a: Array, b: Array) -> Array:
    """Distance to the line segment from a to b, [S, S]."""
    ax, ay, bx, by = *a, *b
    dx, dy = bx - ax, by - ay
    along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.hypot(x - ax - along * dx, y - ay - along * dy)


def polygon(x: Array, y: Array, corners: Array) -> Array:
    """Signed distance to a polygon [P, 2], positive inside, [S, S]."""
    inside = np.zeros(x.shape, dtype=bool)
    distance = np.full(x.shape, np.inf, dtype=np.float32)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        distance = np.minimum(distance, segment(x, y, a, b))
        crosses = (a[1] > y) != (b[1] > y)
        rise = b[1] - a[1] if b[1] != a[1] else 1e-9
        inside ^= crosses & (x < (b[0] - a[0]) * (y - a[1]) / rise + a[0])
    return np.where(inside, distance, -distance)


def relief(canvas: Array, height: Array, strength: float) -> Array:
    """Light a canvas from the upper left as if ``height`` [S, S] stood out of it."""
    slope = np.roll(height, (1, 1), (0, 1)) - np.roll(height, (-1, -1), (0, 1))
    return np.clip(canvas * (1 - strength * slope[..., None]), 0, 1)


def strokes(
    canvas: Array,
    rng: RandomState,
    *,
    at: Array,
    angle: Array,
    length: Array | float,
    width: Array | float,
    color: Array,
    bend: Array | float = 0.0,
    bristle: float = 0.25,
    opacity: float = 0.95,
    height: Array | None = None,
) -> None:
    """Paint bristled strokes one over the other, in place.

    Args:
        canvas: [S, S, 3].
        at: middles of the strokes, [N, 2] in [0, 1], x then y.
        angle: directions in radians, [N].
        length, width: in pixels, [N] or one for all.
        color: [N, 3].
        bend: curvature over the whole length, in radians.
        bristle: how far single hairs differ in lightness.
        opacity: opacity of the paint.
        height: [S, S], receives the thickness of the paint for :func:`relief`.
    """
    size = len(canvas)
    count = len(at)
    lengths, widths, bends = (np.broadcast_to(np.asarray(v, dtype=np.float32), (count,)) for v in (length, width, bend))
    hairs = noise(rng, 256, 24, octaves=3)
    for i in range(count):
        reach = int(np.ceil(lengths[i] / 2 + widths[i])) + 1
        cx, cy = at[i, 0] * size, at[i, 1] * size
        left, right = max(0, int(cx) - reach), min(size, int(cx) + reach + 1)
        top, bottom = max(0, int(cy) - reach), min(size, int(cy) + reach + 1)
        if left >= right or top >= bottom:
            continue
        px = np.arange(left, right, dtype=np.float32) + 0.5 - cx
        py = (np.arange(top, bottom, dtype=np.float32) + 0.5 - cy)[:, None]
        c, s = np.cos(angle[i]), np.sin(angle[i])
        u, v = (px * c + py * s) / (lengths[i] / 2), -px * s + py * c
        v = (v - bends[i] * lengths[i] / 8 * (u * u - 0.5)) / (widths[i] / 2)
        row = hairs[(np.clip(v, -1.5, 1.5) * 40 + 17 * i).astype(int) % 256, ((u * 12).astype(int) + 29 * i) % 256]
        taper = np.clip(1.15 - np.abs(v) - 0.25 * np.abs(u) ** 3, 0, None) * widths[i] / 2
        ends = np.clip(1 - np.abs(u) + 0.18 * row, 0, None) * lengths[i] / 2
        cover = np.clip(np.minimum(taper, ends), 0, 1) * opacity
        paint = np.clip(color[i] * (1 + bristle * row[..., None]), 0, 1)
        patch = canvas[top:bottom, left:right]
        patch += cover[..., None] * (paint - patch)
        if height is not None:
            bump = height[top:bottom, left:right]
            bump += cover * (0.6 + 0.4 * row + 0.3 * (1 - v * v) - bump)


def sample(field: Array, at: Array) -> Array:
    """Values of a field [S, S, ...] at points [N, 2]."""
    size = len(field)
    column, row = (np.clip(at * size, 0, size - 1)).astype(int).T
    return field[row, column]


def sheet(rng: RandomState, size: int, color: str, grain: float = 0.03) -> Array:
    """Draw a sheet of paper of one color with fibers: [size, size, 3]."""
    fibres = noise(rng, size, 64, octaves=3, roughness=0.8) + 0.7 * rng.uniform(-1, 1, (size, size))
    return np.clip(colors(color)[0] * (1 + grain * fibres[..., None]), 0, 1).astype(np.float32)


def dry_brush(rng: RandomState, target: Array, count: int, width: float, opacity: float) -> Array:
    """Go over an image with short strokes of its own colors, across its gradients."""
    size = len(target)
    canvas = target.astype(np.float32).copy()
    gray = target.mean(-1)
    gy, gx = np.gradient(noise(rng, size, 6) * 0.05 + gray)
    at = rng.uniform(0, 1, (count, 2))
    angle = np.arctan2(sample(gx, at), -sample(gy, at))
    tint = np.clip(sample(target, at) * rng.uniform(0.88, 1.12, (count, 1)), 0, 1).astype(np.float32)
    length = size * width * rng.uniform(1.5, 3.5, count)
    strokes(canvas, rng, at=at, angle=angle, length=length, width=size * width, color=tint, bristle=0.22, opacity=opacity)
    return canvas


def unit(angle: float) -> Array:
    """Vector of length 1 at an angle in radians: [2]."""
    return np.array([np.cos(angle), np.sin(angle)])
