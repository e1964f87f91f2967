"""Toonfaces: cartoon faces drawn from numbers, a data set without end whose every attribute is known.

A seed is a face. Its attributes can be read, changed and drawn again, so there are pairs of one face, with and without a
smile, for what photographs never tell: whether an edit changed only what it should. Shapes are signed distances, so edges
are smooth at any size, and faces are drawn many at a time.

    faces = render([attributes(seed) for seed in range(16)], size=256)
    smiling = render(replace(attributes(3), smile=1.0))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError

from .attributes import CHOICES as CHOICES
from .attributes import NAMES as NAMES
from .attributes import PALETTES as PALETTES
from .attributes import RANGES as RANGES
from .attributes import SKIN as SKIN
from .attributes import Attributes as Attributes
from .attributes import attributes as attributes
from .attributes import targets as targets

INK, TEETH, LIPS = "2a1c22", "fdfaf3", "b8484e"
CENTER = 0.1  # of heads, around which they lean, so that faces stay aligned
HATS = dict(beanie="cf4a52", cap="3b57a0")
FRAMES = "33272f"  # of glasses


def render(faces: Attributes | Sequence[Attributes], size: int = 64) -> Tensor:
    """Draw faces.

    Args:
        faces: one or several.
        size: side of the images in pixels, from 16.

    Returns:
        [N, 3, H, W] in [0, 1], H = W = size.

    Raises:
        StyleLoomError: no face, or a size below 16.
    """
    faces = [faces] if isinstance(faces, Attributes) else list(faces)
    if not faces or size < 16:
        raise StyleLoomError(f"{len(faces)} faces of {size} px; wanted at least one face, and 16 px")
    some = max(1, 2**17 // size**2)  # as many as stay in the processor's cache
    return torch.cat([_Drawing(faces[start : start + some], size).draw() for start in range(0, len(faces), some)])


def _rgb(color: str) -> list[float]:
    return [int(color[place : place + 2], 16) / 255 for place in (0, 2, 4)]


class _Drawing:
    """Some faces being drawn. Coordinates reach from -1 to 1, rightwards and downwards."""

    def __init__(self, faces: Sequence[Attributes], size: int) -> None:
        self.size = size
        self.known = targets(faces)
        self.at = {name: value.float().view(-1, 1, 1) for name, value in self.known.items() if name in RANGES}
        line = (torch.arange(size) + 0.5) * (2 / size) - 1
        self.x, self.y = line.view(1, 1, -1), line.view(1, -1, 1)
        angle = 0.16 * self.at["tilt"]
        sine, cosine = angle.sin(), angle.cos()
        self.hx = cosine * self.x + sine * (self.y - CENTER)  # [N, S, S], the head's own coordinates
        self.hy = CENTER - 0.05 - sine * self.x + cosine * (self.y - CENTER)
        self.turn = 0.32 * self.at["yaw"]
        self.width = 0.43 + 0.05 * self.at["face_width"]
        self.hair = self.color("hair_color")
        table, place = torch.tensor([_rgb(color) for color in SKIN]), self.known["skin"] * (len(SKIN) - 1)
        low = place.floor().long().clamp(0, len(SKIN) - 2)
        self.skin = table[low].lerp(table[low + 1], (place - low)[:, None].float()).view(-1, 3, 1, 1)
        self.shadow = self.skin * torch.tensor([0.78, 0.70, 0.72]).view(3, 1, 1)
        self.face = torch.empty(0)  # the signed distance of the head
        self.image = torch.empty(len(faces), 3, size, size)

    def draw(self) -> Tensor:
        """[N, 3, size, size]."""
        self.background()
        for style, behind, _ in self.hairdos():
            with self.those("hair", style) as some:
                behind(some)
        self.body()
        self.ears()
        self.head()
        with self.those("beard", "full") as some:
            some.beard()
        self.mouth()
        with self.those("beard", "moustache", "full") as some:
            some.moustache()
        self.nose()
        self.eyes()
        for style, _, front in self.hairdos():
            with self.those("hair", style) as some:
                front(some)
        self.brows()
        for shape in ("round", "square"):
            with self.those("glasses", shape) as some:
                some.glasses(shape)
        with self.those("hat", "beanie") as some:
            some.beanie()
        with self.those("hat", "cap") as some:
            some.cap()
        return self.image.clamp_(0, 1)

    # Tools.

    @contextmanager
    def those(self, name: str, *choices: str) -> Iterator[_Drawing]:
        """The faces whose attribute is one of the choices, to draw on alone."""
        indices = torch.tensor([index for index, choice in enumerate(CHOICES[name]) if choice in choices])
        rows = torch.isin(self.known[name], indices).nonzero()[:, 0]
        some = copy(self)
        some.known = {key: value[rows] for key, value in self.known.items()}
        some.at = {key: value[rows] for key, value in self.at.items()}
        for key in ("hx", "hy", "turn", "width", "hair", "skin", "shadow", "image"):
            setattr(some, key, getattr(self, key)[rows])
        some.face = self.face[rows] if len(self.face) else self.face
        if len(rows):
            yield some
            self.image[rows] = some.image
        else:
            yield some

    def color(self, name: str) -> Tensor:
        """[N, 3, 1, 1] of an attribute's palette."""
        table = torch.tensor([_rgb(PALETTES[name][choice]) for choice in CHOICES[name]])
        return table[self.known[name]].view(-1, 3, 1, 1)

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of a part of the image, which is all that a small shape needs to be drawn in."""
        low, high = (lambda value: int((value + 1) / 2 * self.size)), (lambda value: math.ceil((value + 1) / 2 * self.size))
        return slice(max(0, low(top)), min(self.size, high(bottom))), slice(max(0, low(left)), min(self.size, high(right)))

    def paint(
        self,
        distance: Tensor,
        color: Tensor | str,
        share: Tensor | float = 1.0,
        place: Any = (slice(None), slice(None)),
        soft: float = 0,
    ) -> None:
        """Lay a color over the image where a signed distance is below 0, softly over ``soft`` or else one pixel."""
        cover = (distance * (-1 / (soft or 2 / self.size))).add_(0.5).clamp_(0, 1)
        if isinstance(share, Tensor) or share != 1:
            cover = cover * share
        if isinstance(color, str):
            color = torch.tensor(_rgb(color)).view(1, 3, 1, 1)
        part = self.image[:, :, *place]
        part.lerp_(color.expand_as(part), cover[:, None])

    def turned(self, x: Tensor | float, depth: float = 0.36) -> Tensor:
        """Position [N, 1, 1] of a point of the face, ``depth`` in front of its axis, when the head turns."""
        return x * self.turn.cos() + depth * self.turn.sin()

    # Parts, from the back to the front.

    def background(self) -> None:
        color = self.color("background")
        light = 1.02 - 0.1 * self.y + 0.07 * self.at["light"] * self.x
        self.image.copy_(color * light[:, None])
        glow = (self.x.square() + (self.y + 0.05).square()).sqrt() - 0.82
        self.paint(glow, color.lerp(torch.ones(1), 0.35), 0.75, soft=0.02 + 2 / self.size)

    def hairdos(self) -> tuple[tuple[str, Callable[[_Drawing], None], Callable[[_Drawing], None]], ...]:
        """Each with what is painted behind the head, and in front of it."""
        return (
            ("short", lambda some: None, _Drawing.short),
            ("bob", lambda some: some.falling(-0.02, 0.5, 0.36, 0.0), lambda some: some.parted(0.36)),
            ("long", lambda some: some.falling(0.28, 0.86, 0.42, 0.06), lambda some: some.parted(0.86)),
            ("curly", _Drawing.curls_behind, _Drawing.curls),
            ("bunches", _Drawing.bunches, lambda some: some.parted(0.0)),
        )

    def falling(self, middle: float, reach: float, radius: float, wider: float) -> None:
        side = (self.hx - 0.5 * self.turned(0, -0.2)).abs()
        width = self.width + 0.1
        width = width + wider * (self.hy + 0.2).clamp(0, 1) if wider else width
        self.paint(_box(side, self.hy - middle, width, reach, radius), self.hair * 0.72)

    def curls_behind(self) -> None:
        x, y = self.hx, self.hy
        wave = 0.035 * torch.sin(12 * torch.atan2(y + 0.12, x))
        self.paint(((x / 1.04).square() + (y + 0.14).square()).sqrt() - self.width - 0.21 + wave, self.hair * 0.72)

    def bunches(self) -> None:
        place = self.window(-1, -0.65, 1, 0.5)
        side, y = (self.hx[:, *place] - 0.5 * self.turned(0, -0.2)).abs(), self.hy[:, *place]
        self.paint(_ellipse(side - self.width - 0.17, y + 0.02, 0.19, 0.27), self.hair * 0.72, place=place)
        self.paint(_ellipse(side - self.width - 0.05, y + 0.15, 0.06, 0.07), "cf4a52", place=place)

    def body(self) -> None:
        place = self.window(-1, 0.4, 1, 1)
        x, y = self.x[:, :, place[1]], self.y[:, place[0]]
        shirt = self.color("shirt")
        lit = 1 + 0.12 * self.at["light"] * x
        self.paint(_box(x.abs(), y - 1.28, 0.78, 0.56, 0.4), shirt * lit[:, None], place=place)
        self.paint(_ellipse(x, y - 0.79, 0.27, 0.13), shirt * 0.8, place=place)
        neck = _box(x.abs(), y - 0.62, 0.17, 0.26, 0.12)
        self.paint(torch.minimum(_ellipse(x, y - 0.77, 0.2, 0.1), neck), self.skin * 0.97, place=place)
        chin = _ellipse(self.hx[:, *place], self.hy[:, *place] - 0.1, self.width, 0.62)
        self.paint(torch.maximum(neck, chin), self.shadow, 0.9, place)

    def ears(self) -> None:
        place = self.window(-0.85, -0.35, 0.85, 0.55)
        for side in (-1, 1):
            x, y, center = self.hx[:, *place], self.hy[:, *place], self.turned(side * self.width, -0.1) + side * 0.015
            self.paint(_ellipse(x - center, y - 0.06, 0.09, 0.13), self.skin * 0.96, place=place)
            self.paint(_ellipse(x - center - side * 0.01, y - 0.06, 0.045, 0.075), self.shadow, 0.8, place)
        with self.those("earrings", "gold") as some:
            for side in (-1, 1):
                x, y, center = some.hx[:, *place], some.hy[:, *place], some.turned(side * some.width, -0.1) + side * 0.035
                some.paint(((x - center).square() + (y - 0.24).square()).sqrt() - 0.05, "f2c230", place=place)

    def head(self) -> None:
        x, y = self.hx, self.hy - 0.04
        self.face = _ellipse(x * (1 + 0.3 * y.clamp(min=0).square()), y, self.width, 0.55)
        facing = (x / self.width - 0.35 * self.turn) * self.at["light"] - 0.25 * y
        self.paint(self.face, self.skin * (1 + 0.16 * facing.clamp(-1, 1))[:, None])
        place = self.window(-0.75, -0.1, 0.75, 0.45)
        x, y, within = x[:, *place], y[:, *place], (-12 * self.face[:, *place]).clamp(0, 1)
        for side in (-1, 1):
            cheek = _ellipse(x - self.turned(side * 0.25, 0.3), y - 0.17, 0.11, 0.08)
            self.paint(cheek, self.skin * torch.tensor([1.0, 0.68, 0.64]).view(3, 1, 1), 0.55 * within, place, soft=0.1)

    def beard(self) -> None:
        place = self.window(-0.75, -0.05, 0.75, 0.85)
        x, y = self.hx[:, *place] - 0.3 * self.turned(0), self.hy[:, *place]
        inner = _ellipse(x, y + 0.02, self.width * 0.8, 0.36)
        self.paint(torch.maximum(self.face[:, *place] - 0.012, -inner).maximum(0.1 - y), self.hair * 0.88, place=place)

    def mouth(self) -> None:
        at = self.at
        place = self.window(-0.6, 0.1, 0.65, 0.72)
        x, y = self.hx[:, *place] - self.turned(0, 0.37), self.hy[:, *place] - 0.36
        half = (0.17 + 0.05 * at["mouth_width"]) * self.turn.cos()
        lift = 0.07 * at["smile"]  # of the corners above the middle
        across = (x / half).square()
        bow = lift * (1 - 2 * across.clamp(max=1))
        inside = torch.minimum(torch.maximum(x, -half), half)
        bent = lift * (1 - 2 * (inside / half).square())
        self.paint(_length(x - inside, y - bent) - 0.022, LIPS, place=place)
        gap = (0.012 + 0.1 * at["mouth_open"]) * (1 - across).clamp(min=0).sqrt()
        lips = torch.maximum((y - bow).abs() - gap, x.abs() - half)
        opened = at["mouth_open"].clamp(0, 0.12) / 0.12
        self.paint(lips - 0.022, LIPS, opened, place)
        self.paint(lips, "6a1f2a", opened, place)
        self.paint(torch.maximum(lips, y - bow + 0.35 * gap), TEETH, opened, place)

    def moustache(self) -> None:
        place = self.window(-0.5, 0.05, 0.55, 0.55)
        side, y = (self.hx[:, *place] - self.turned(0, 0.42)).abs() - 0.085, self.hy[:, *place] - 0.255
        self.paint(_ellipse(side, y - 0.5 * side.square() - 0.12 * side, 0.105, 0.05), self.hair * 0.8, place=place)

    def nose(self) -> None:
        place = self.window(-0.45, -0.15, 0.5, 0.4)
        grown = 1 + 0.38 * self.at["nose_size"]
        x, y = self.hx[:, *place] - self.turned(0, 0.46), self.hy[:, *place] - 0.14
        tip = _ellipse(x, y, 0.075 * grown, 0.062 * grown)
        bridge = _ellipse(x + 0.03 * self.turn, y + 0.07 * grown, 0.035 * grown, 0.12 * grown)
        self.paint(torch.minimum(tip, bridge), self.shadow, 0.85, place)
        shine = _ellipse(x - 0.02 * self.at["light"], y - 0.005, 0.04 * grown, 0.03 * grown)
        self.paint(shine, TEETH, 0.28, place, soft=0.04)

    def eyes(self) -> None:
        at = self.at
        size = 0.115 + 0.025 * at["eye_size"]
        iris = self.color("eye_color")
        for side in (-1, 1):
            place = self.window(*((-0.62, -0.4, 0.2, 0.26) if side < 0 else (-0.2, -0.4, 0.66, 0.26)))
            center = self.turned(side * (0.19 + 0.025 * at["eye_distance"]), 0.34)
            x, y = self.hx[:, *place] - center, self.hy[:, *place] + 0.06
            white = _ellipse(x, y, size * (0.97 - 0.22 * side * self.turn), size * 1.05)
            self.paint(white - 0.016, INK, 0.85, place)
            self.paint(white, TEETH, place=place)
            look = x - 0.07 * self.turn
            middle = _length(look, y)
            self.paint(torch.maximum(middle - 0.66 * size, white), iris, place=place)
            self.paint(middle - 0.33 * size, INK, place=place)
            self.paint(_length(look + 0.2 * size, y + 0.25 * size) - 0.16 * size, "ffffff", place=place)

    def brows(self) -> None:
        at = self.at
        half = 0.105
        for side in (-1, 1):
            place = self.window(*((-0.68, -0.58, 0.15, 0.0) if side < 0 else (-0.15, -0.58, 0.72, 0.0)))
            x, y = self.hx[:, *place] - self.turned(side * 0.2, 0.33), self.hy[:, *place] + 0.265 + 0.045 * at["brow_height"]
            inside = x.clamp(-half, half)
            bent = -side * 0.38 * at["brow_angle"] * inside + 1.6 * inside.square()
            self.paint(_length(x - inside, y - bent) - 0.03, self.hair * 0.62, place=place)

    def lit_hair(self) -> Tensor:
        shine = self.hx / self.width * self.at["light"] - 0.8 * (self.hy + 0.3)
        return self.hair * (1 + 0.14 * shine.clamp(-1, 1))[:, None]

    def short(self) -> None:
        x, y, shift = self.hx, self.hy, 0.35 * self.turned(0)
        cap = torch.maximum(_ellipse(x, y + 0.06, self.width + 0.045, 0.54), y + 0.06)
        fringe = (x - shift - 0.12) * 0.28 + y + 0.32 - 0.55 * (x - shift).square()
        sides = (self.width - 0.045 - x.abs()).maximum(y - 0.02)
        self.paint(torch.maximum(cap, torch.minimum(fringe, sides)), self.lit_hair())

    def parted(self, reach: float) -> None:
        x, y, shift = self.hx, self.hy, 0.35 * self.turned(0)
        cut = _ellipse(x - shift, y - 0.16, self.width * 0.86, 0.52)
        shape = torch.maximum(_ellipse(x, y + 0.06, self.width + 0.05, 0.55), -cut)
        shape = torch.maximum(shape, y - (0.02 if reach else 0.0))
        if reach:
            side = ((x - 0.9 * shift).abs() - self.width * 0.985).abs()
            lock = _box(side, y - reach / 2 + 0.12, 0.075, reach / 2 + 0.14, 0.07)
            shape = torch.minimum(shape, torch.maximum(lock, -0.2 - y))
        self.paint(shape, self.lit_hair())

    def curls(self) -> None:
        x, y, shift = self.hx, self.hy, 0.35 * self.turned(0)
        wave = 0.03 * torch.sin(14 * torch.atan2(y + 0.1, x))
        outer = (x.square() + (y + 0.16).square()).sqrt() - self.width - 0.14 + wave
        cut = _ellipse(x - shift, y - 0.19, self.width * 0.86, 0.54)
        self.paint(torch.maximum(outer, -cut).maximum(y - 0.12), self.lit_hair())

    def glasses(self, shape: str) -> None:
        place = self.window(-0.75, -0.4, 0.8, 0.32)
        all_x, y = self.hx[:, *place], self.hy[:, *place] + 0.05
        centers = [self.turned(side * 0.2, 0.36) for side in (-1, 1)]
        for side, center in zip((-1, 1), centers, strict=True):
            x = all_x - center
            frame = _length(x, y) - 0.185 if shape == "round" else _box(x.abs(), y, 0.18, 0.15, 0.05)
            self.paint(frame, "dff1ff", 0.22, place)
            self.paint(frame.abs() - 0.021, FRAMES, place=place)
            edge, outer = self.turned(side * self.width, 0.0), center + side * 0.19
            middle, half = (edge + outer) / 2, (edge - outer).abs() / 2
            self.paint(_box((all_x - middle).abs(), y + 0.02, half, 0.02, 0.0), FRAMES, place=place)
        middle, half = (centers[0] + centers[1]) / 2, ((centers[1] - centers[0]) / 2 - 0.18).clamp(min=0.012)
        self.paint(_box((all_x - middle).abs(), y + 0.02, half, 0.021, 0.0), FRAMES, place=place)

    def cloth(self, place: tuple[slice, slice], color: str, factor: float = 1.0) -> Tensor:
        lit = 1 + 0.16 * (self.hx[:, *place] / self.width * self.at["light"]).clamp(-1, 1)
        return torch.tensor(_rgb(color)).view(1, 3, 1, 1) * factor * lit[:, None]

    def beanie(self) -> None:
        place = self.window(-1, -1, 1, 0.1)
        x, y, white = self.hx[:, *place], self.hy[:, *place], self.cloth(place, "f2e8dc")
        self.paint(_length(x, y + 0.86) - 0.1, white, place=place)
        bowl = torch.maximum(_ellipse(x, y + 0.36, self.width + 0.075, 0.48), y + 0.4)
        self.paint(bowl, self.cloth(place, HATS["beanie"]), place=place)
        self.paint(_box(x.abs(), y + 0.44 - 0.12 * x.square(), self.width + 0.085, 0.08, 0.07), white, place=place)

    def cap(self) -> None:
        place = self.window(-1, -1, 1, 0.1)
        x, y, dark = self.hx[:, *place], self.hy[:, *place], self.cloth(place, HATS["cap"], 0.72)
        crown = torch.maximum(_ellipse(x, y + 0.38, self.width + 0.07, 0.44), y + 0.43)
        self.paint(crown, self.cloth(place, HATS["cap"]), place=place)
        peak = torch.maximum(_ellipse(x - 0.39 * self.turned(0), y + 0.46, self.width + 0.03, 0.1), -0.46 - y)
        self.paint(peak, dark, place=place)
        self.paint(_length(x, y + 0.82) - 0.035, dark, place=place)


def _length(x: Tensor, y: Tensor) -> Tensor:
    return torch.addcmul(x * x, y, y).sqrt_()


def _ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """About the signed distance of an ellipse with half axes a and b."""
    least = torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
    return (_length(x / a, y / b) - 1) * least


def _box(side: Tensor, y: Tensor, half_width: Tensor | float, half_height: float, radius: float) -> Tensor:
    """The signed distance of a rectangle with rounded corners, of |x| and y."""
    dx, dy = side - half_width + radius, y.abs() - half_height + radius
    return _length(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0) - radius
