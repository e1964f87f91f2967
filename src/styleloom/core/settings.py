"""Presets, and settings changed by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from .errors import StyleLoomError, check_choice

Settings = TypeVar("Settings")


def configured(presets: Mapping[str, Settings], preset: str, settings: Mapping[str, Any]) -> Settings:
    """A preset, a frozen dataclass, with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that the dataclass refuses.
    """
    check_choice("preset", preset, presets)
    known = [field.name for field in fields(presets[preset])]  # type: ignore[arg-type]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise StyleLoomError(f"unknown settings {unknown}; choose from {', '.join(known)}")
    return replace(presets[preset], **settings)  # type: ignore[type-var]
