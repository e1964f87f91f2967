"""Values that settings may have: each declared field refuses what lies outside, names itself, and takes its ends."""

import importlib
import math
import typing
from dataclasses import MISSING, dataclass, fields, replace
from typing import Annotated, Any

import pytest

from styleloom.core.errors import StyleLoomError
from styleloom.core.settings import Checked, Count, Decay, OneOf, Rate, Share, configured
from styleloom.loops.task import Training
from styleloom.papers import MODULES

PAPERS = [importlib.import_module(f"styleloom.papers.{name}") for name in MODULES]
RECIPES = [
    type(next(iter(getattr(paper, table).values())))
    for paper in PAPERS
    for table in ("RECIPES", "PRESETS")
    if hasattr(paper, table)
]


@dataclass(frozen=True)
class Settings(Checked):
    steps: Count = 3
    share: Share = 0.5
    decay: Decay = 0.9
    lr: Rate | None = None
    mode: Annotated[str, OneOf(("fast", "slow"))] = "fast"
    modes: tuple[Annotated[str, OneOf(("fast", "slow"))], ...] = ("fast",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(steps=0), "steps is 0; it must be a whole number, at least 1"),
        (dict(steps=2.0), "steps is 2.0; it must be a whole number, at least 1"),
        (dict(steps=True), "steps is True; it must be a whole number, at least 1"),
        (dict(share=1.5), "share is 1.5; it must be from 0 to 1"),
        (dict(share=math.nan), "share is nan; it must be from 0 to 1"),
        (dict(share="half"), "share is half; it must be from 0 to 1"),
        (dict(decay=1.0), "decay is 1.0; it must be at least 0 and below 1"),
        (dict(lr=0.0), "lr is 0.0; it must be above 0 and at most 1000000"),
        (dict(mode="lazy"), "unknown mode 'lazy'; choose one of fast, slow"),
        (dict(modes=("fast", "lazy")), "unknown mode 'lazy'; choose one of fast, slow"),
    ],
)
def test_values_outside_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleLoomError) as error:
        Settings(**change)
    assert str(error.value) == message


def test_ends_belong_to_the_range() -> None:
    settings = configured({"default": Settings()}, "default", dict(steps=1, share=1, decay=0, lr=1e6, modes=("slow", "fast")))
    assert settings == Settings(1, 1, 0, 1e6, "fast", ("slow", "fast"))


def numbers(kind: type) -> list[tuple[str, Any]]:
    """Names of the fields of a dataclass that hold numbers, with their annotations."""
    hints = typing.get_type_hints(kind, include_extras=True)
    plain = typing.get_type_hints(kind)
    return [
        (field.name, hints[field.name])
        for field in fields(kind)
        if field.default is not MISSING and {int, float} & {plain[field.name], *typing.get_args(plain[field.name])}
    ]


@pytest.mark.parametrize("kind", [*RECIPES, Training], ids=lambda kind: kind.__module__ + "." + kind.__name__)
def test_every_number_of_every_recipe_is_bounded(kind: type) -> None:
    """Field by field: no recipe takes nan, and none takes what its annotation excludes."""
    recipe: Any = kind()
    for name, hint in numbers(kind):
        several = typing.get_origin(hint) is tuple
        with pytest.raises(StyleLoomError, match=f"^{name.removesuffix('s') if several else name} is nan; it must be"):
            replace(recipe, **{name: (math.nan,) if several else math.nan})
        for part in (hint, *typing.get_args(hint)):
            for limit in getattr(part, "__metadata__", ()):
                for value in (limit.least, limit.most):
                    outside = None if value is None else value - 1 if value is limit.least else value + 1
                    if outside is not None:
                        with pytest.raises(StyleLoomError, match=name.removesuffix("s") if several else name):
                            replace(recipe, **{name: (outside,) if several else outside})
