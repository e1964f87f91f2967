"""Checks of the inputs of style transfer before anything is computed: images, masks and shares of several styles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError


def check_images(content: Tensor, styles: Sequence[Tensor], init: Tensor | None = None) -> None:
    """Raise StyleLoomError unless every one is a float [1, 3, H, W] and there is at least one style."""
    _check_image("content", content)
    check_styles(styles)
    if init is not None:
        _check_image("init", init)


def check_styles(styles: Sequence[Tensor]) -> None:
    """Raise StyleLoomError unless there is a style and every one is a float [1, 3, H, W]."""
    if not styles:
        raise StyleLoomError("no style image; give at least one")
    for index, style in enumerate(styles, 1):
        _check_image(f"style {index}", style)


def _check_image(name: str, image: Tensor) -> None:
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] != 3 or not image.is_floating_point():
        raise StyleLoomError(f"{name} is {image.dtype} of shape {list(image.shape)}; wanted a float [1, 3, H, W] in [0, 1]")


def check_masks(
    masks: Sequence[Tensor] | None, num_styles: int, content: Tensor, size: tuple[int, ...] | None = None, name: str = ""
) -> list[Tensor] | None:
    """One mask [1, 1, H, W] a style, on the content's device and of its size (or ``size``); a single one serves two styles.

    Messages call a mask ``name``, by default "mask" and its number.

    Raises:
        StyleLoomError: the wrong number or size of masks, or one that is empty or negative.
    """
    if masks is None:
        return None
    if len(masks) == 1 and num_styles == 2:
        masks = [masks[0], 1 - masks[0]]
    if len(masks) != num_styles:
        raise StyleLoomError(f"{len(masks)} masks for {num_styles} styles; give one mask a style")
    height, width = size or content.shape[-2:]
    for index, mask in enumerate(masks, 1):
        called = name or f"mask {index}"
        if tuple(mask.shape) != (1, 1, height, width):
            raise StyleLoomError(f"{called} has shape {list(mask.shape)}; wanted [1, 1, {height}, {width}], the content's size")
        if not mask.max() <= 1 + 1e-3:
            raise StyleLoomError(f"{called} has values up to {float(mask.max()):g}; wanted 0 to 1")
        if not mask.min() >= 0 or not mask.max() > 0:
            raise StyleLoomError(f"{called} is empty or negative; it must be above 0 where it is to hold")
    return [mask.to(content.device, torch.float32) for mask in masks]


def shares_of(weights: Sequence[float], name: str, count: int | None = None) -> list[float]:
    """Weights scaled to sum to 1.

    Raises:
        StyleLoomError: not ``count`` of them, a negative one, or all of them 0.
    """
    if count is not None and len(weights) != count:
        raise StyleLoomError(f"{len(weights)} {name} for {count} styles; give one a style")
    total = sum(weights)
    if not all(0 <= weight < math.inf for weight in weights) or not total > 0:
        raise StyleLoomError(f"{name} {list(weights)} must be 0 or above, and not all 0")
    return [weight / total for weight in weights]
