"""Attributes of drawn faces: names, ranges, how often each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor

from styleloom.core.errors import check_choice, check_seeds
from styleloom.core.settings import Range

CHOICES: dict[str, dict[str, float]] = {
    "hair": {"none": 0.1, "short": 0.25, "bob": 0.15, "long": 0.2, "curly": 0.15, "bunches": 0.15},
    "hair_color": {"black": 0.2, "brown": 0.25, "blond": 0.2, "red": 0.15, "white": 0.1, "blue": 0.1},
    "eye_color": {"brown": 0.4, "blue": 0.3, "green": 0.3},
    "glasses": {"none": 0.6, "round": 0.2, "square": 0.2},
    "beard": {"none": 0.65, "moustache": 0.15, "full": 0.2},
    "hat": {"none": 0.7, "beanie": 0.15, "cap": 0.15},
    "earrings": {"none": 0.7, "gold": 0.3},
    "shirt": {"white": 0.2, "red": 0.2, "navy": 0.2, "green": 0.2, "yellow": 0.2},
    "background": {"sky": 0.2, "mint": 0.2, "peach": 0.2, "lilac": 0.2, "sand": 0.2},
}
"""Attributes that are one of several, and how often each is drawn."""


RANGES: dict[str, tuple[float, float]] = {
    "skin": (0.0, 1.0),
    "face_width": (-1.0, 1.0),
    "eye_size": (-1.0, 1.0),
    "eye_distance": (-1.0, 1.0),
    "brow_angle": (-1.0, 1.0),
    "brow_height": (-1.0, 1.0),
    "nose_size": (-1.0, 1.0),
    "mouth_width": (-1.0, 1.0),
    "mouth_open": (0.0, 1.0),
    "smile": (-1.0, 1.0),
    "yaw": (-1.0, 1.0),
    "tilt": (-1.0, 1.0),
    "light": (-1.0, 1.0),
}
"""Attributes that are a number, and its range, in which each is as likely as another."""


PALETTES: dict[str, dict[str, str]] = {
    "hair_color": dict(black="2b2530", brown="5e3823", blond="e0b04c", red="bb4a24", white="d9d5d2", blue="3f6fc4"),
    "eye_color": dict(brown="6a4020", blue="3f83d0", green="3f9a55"),
    "shirt": dict(white="f2efe9", red="d2423f", navy="2f3f73", green="3e8f63", yellow="f0bf3c"),
    "background": dict(sky="9fd0ec", mint="a5dcc0", peach="f7bfa4", lilac="c9b6e6", sand="ead9a8"),
}


SKIN = ("553124", "96603c", "cb8f64", "efbb93", "fcdfc8")  # from skin 0 to 1


@dataclass(frozen=True)
class Attributes:
    """A face.

    Args:
        skin: 0 dark to 1 light.
        hair: none, short, bob, long, curly or bunches.
        hair_color: black, brown, blond, red, white or blue; of brows and beard too.
        face_width: -1 narrow to 1 round.
        eye_color: brown, blue or green.
        eye_size: -1 small to 1 large.
        eye_distance: -1 close to 1 wide.
        brow_angle: -1 worried to 1 angry.
        brow_height: -1 low to 1 raised.
        nose_size: -1 small to 1 large.
        mouth_width: -1 narrow to 1 wide.
        mouth_open: 0 closed to 1 open.
        smile: -1 sad to 1 happy.
        glasses: none, round or square.
        beard: none, moustache or full.
        hat: none, beanie or cap.
        earrings: none or gold.
        shirt: white, red, navy, green or yellow.
        background: sky, mint, peach, lilac or sand.
        yaw: -1 looking to the image's left to 1 to its right.
        tilt: -1 head leant to the image's left to 1 to its right.
        light: -1 from the image's left to 1 from its right.
    """

    skin: float = 0.8
    hair: str = "short"
    hair_color: str = "brown"
    face_width: float = 0.0
    eye_color: str = "brown"
    eye_size: float = 0.0
    eye_distance: float = 0.0
    brow_angle: float = 0.0
    brow_height: float = 0.0
    nose_size: float = 0.0
    mouth_width: float = 0.0
    mouth_open: float = 0.0
    smile: float = 0.5
    glasses: str = "none"
    beard: str = "none"
    hat: str = "none"
    earrings: str = "none"
    shirt: str = "navy"
    background: str = "sky"
    yaw: float = 0.0
    tilt: float = 0.0
    light: float = -0.5

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name, (low, high) in RANGES.items():
            Range(low, high).check(name, getattr(self, name))


NAMES = tuple(field.name for field in fields(Attributes))


def attributes(seed: int) -> Attributes:
    """The face of a seed.

    Args:
        seed: 0 to 2^32 - 1.

    Raises:
        StyleLoomError: no such seed.
    """
    check_seeds([seed])
    drawn = dict(zip(NAMES, RandomState(seed).rand(len(NAMES)).tolist(), strict=True))
    return Attributes(**{name: _drawn(name, value) for name, value in drawn.items()})


def _drawn(name: str, value: float) -> Any:
    """An attribute of a number in [0, 1)."""
    if name in RANGES:
        low, high = RANGES[name]
        return low + value * (high - low)
    for choice, share in CHOICES[name].items():
        value -= share
        if value < 0:
            return choice
    return choice


def targets(faces: Sequence[Attributes]) -> dict[str, Tensor]:
    """Attributes as tensors [N]: numbers as they are, choices by their place in :data:`CHOICES`."""
    values = {name: torch.tensor([getattr(face, name) for face in faces]) for name in RANGES}
    indices = {name: {choice: index for index, choice in enumerate(choices)} for name, choices in CHOICES.items()}
    return values | {name: torch.tensor([table[getattr(face, name)] for face in faces]) for name, table in indices.items()}
