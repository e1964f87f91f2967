"""Verbs that are the same for several papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .blocks.errors import StyleLoomError
from .papers import gatys

METHODS = {"gatys": gatys}


def stylize(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    method: str = "gatys",
    *,
    preset: str = "best",
    weights: Sequence[float] | None = None,
    mask: Tensor | Sequence[Tensor] | None = None,
    keep_color: bool | str = False,
    **options: Any,
) -> Tensor:
    """Repaint pictures in the style of others.

    Args:
        content: [N, 3, H, W] in [0, 1]; each picture is painted by itself.
        style: [1, 3, h, w] in [0, 1], or several of any sizes.
        method: ``"gatys"``.
        preset: a named set of the method's settings, e.g. ``gatys.PRESETS``.
        weights: share of each style; equal when not given.
        mask: [1, 1, H, W] in [0, 1] a style, of the content's size: where it is painted. One mask serves two styles:
            the second is painted where the first is not.
        keep_color: ``True`` or ``"luminance"`` keeps the content's colours and paints brightness only; ``"matching"``
            gives the style the content's palette first.
        **options: any setting of the method, e.g. ``size=1024`` (see ``gatys.Config``), or ``init`` and ``features``.

    Returns:
        [N, 3, H', W'] in [0, 1].

    Raises:
        StyleLoomError: unknown method, preset or setting, or what the method itself refuses.

    Source: the module of the method names its paper.
    """
    if method not in METHODS:
        raise StyleLoomError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    module = METHODS[method]
    inputs = {name: options.pop(name) for name in ("init", "features") if name in options}
    if keep_color:
        options["keep_color"] = "luminance" if keep_color is True else keep_color
    masks = [mask] if isinstance(mask, Tensor) else mask
    return module.stylize(content, style, module.configure(preset, **options), weights=weights, masks=masks, **inputs)
