"""Presets, settings changed by name, and the values that settings may have, declared beside them."""

from __future__ import annotations

import functools
import math
import operator
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar

from .errors import StyleLoomError, check_choice

Settings = TypeVar("Settings")


def configured(presets: Mapping[str, Settings], preset: str, settings: Mapping[str, Any], what: str = "preset") -> Settings:
    """Change some settings of a preset, a frozen dataclass; ``what`` is its name in errors.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that the dataclass refuses.
    """
    check_choice(what, preset, presets)
    known = [field.name for field in fields(presets[preset])]  # type: ignore[arg-type]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise StyleLoomError(f"unknown settings {unknown}; choose from {', '.join(known)}")
    return replace(presets[preset], **settings)  # type: ignore[type-var]


@dataclass(frozen=True)
class Range:
    """The values that a number may have.

    Args:
        least, most: lowest and highest.
        above, below: numbers that it lies between, instead of these.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def check(self, name: str, value: Any, whole: bool = False) -> None:
        """Raise StyleLoomError unless a value is a finite number, or a whole one, of the range."""
        kind = Integral if whole else Real
        fits = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
        limits = ((self.least, operator.ge), (self.most, operator.le), (self.above, operator.gt), (self.below, operator.lt))
        if not fits or not all(limit is None or compare(value, limit) for limit, compare in limits):
            raise StyleLoomError(f"{name} is {value}; it must be {'a whole number, ' if whole else ''}{self}")

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least:.10g} to {self.most:.10g}"
        words = dict(least="at least", above="above", most="at most", below="below")
        limits = [f"{word} {getattr(self, name):.10g}" for name, word in words.items() if getattr(self, name) is not None]
        return " and ".join(limits) or "a number"


class OneOf:
    """The names that a setting may have."""

    def __init__(self, choices: Iterable[str]) -> None:
        self.choices = tuple(choices)

    def check(self, name: str, value: Any, whole: bool = False) -> None:
        """Raise StyleLoomError unless a value is one of them."""
        check_choice(name, value, self.choices)


Share = Annotated[float, Range(0, 1)]
Decay = Annotated[float, Range(0, below=1)]
Weight = Annotated[float, Range(0, 1e12)]
Rate = Annotated[float, Range(above=0, most=1e6)]
Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]
"""A count, with 0 for none."""
LearningRate = Annotated[float, Range(above=0, most=1)]
Seed = Annotated[int, Range(0, 2**32 - 1)]


@dataclass(frozen=True)
class Checked:
    """A dataclass whose values are checked when it is made, by the :class:`Range` and :class:`OneOf` of their annotations.

    ``Annotated[int, Range(1)]`` is a field of whole numbers; ``| None`` and ``tuple[..., ...]`` of such serve as well.

    Raises:
        StyleLoomError: a value that its annotation excludes.
    """

    def __post_init__(self) -> None:
        for name, several, whole, limit in _limits(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            for each in value if several else [value]:
                if each is not None:
                    limit.check(name.removesuffix("s") if several else name, each, whole)


@functools.cache
def _limits(kind: type) -> list[tuple[str, bool, bool, Range | OneOf]]:
    """Name of each annotated field, whether it is a tuple, whether its numbers are whole, and its limit."""
    limits = []
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        several = typing.get_origin(hint) is tuple
        for part in (hint, *typing.get_args(hint)):
            if typing.get_origin(part) is Annotated:
                ranges = [each for each in part.__metadata__ if isinstance(each, Range | OneOf)]
                limits += [(name, several, part.__origin__ is int, limit) for limit in ranges]
    return limits
