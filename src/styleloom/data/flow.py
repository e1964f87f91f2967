"""Motion between the frames of a video, and painted frames that are steadied along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.shapes import Float, Shaped, UInt8

from . import color, images
from .images import floats, like

FLOW_SIZE = 256  # longer side at which motion is looked for
DOUBT = 0.06  # difference of brightness, along the motion, at which the motion is half trusted


class Steady:
    """Mixes each painted frame with the one before it, moved along the optical flow, where that is to be trusted."""

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.previous: tuple[Tensor, Tensor] | None = None

    def __call__(self, frame: UInt8[Tensor, "1 3 h w"], painted: Shaped[Tensor, "1 3 H W"]) -> Shaped[Tensor, "1 3 H W"]:
        """Frame [1, 3, H, W] and what was painted of it [1, 3, H', W'], of bytes -> the same, steadied."""
        if not self.strength or min(frame.shape[-2:]) < 32:
            return painted
        small = gray(frame)
        result = floats(painted)
        if self.previous is not None:
            last, last_result = self.previous
            flow = motion(small, last)
            trust = torch.exp(-np.log(2) * ((warped(last, flow) - small) / DOUBT).square())
            size = tuple(result.shape[-2:])
            along = warped(last_result, F.interpolate(flow, size, mode="bilinear"))
            share = self.strength * F.interpolate(trust, size, mode="bilinear")
            result = torch.lerp(result, along, share)
        self.previous = small, result
        return like(result, painted)


def gray(frame: UInt8[Tensor, "1 3 H W"]) -> Float[Tensor, "1 1 h w"]:
    """Brightness of a frame of bytes [1, 3, H, W], no longer than ``FLOW_SIZE``: [1, 1, h, w] in [0, 1]."""
    return images.resize_to_fit(color.luma(frame), min(FLOW_SIZE, max(frame.shape[-2:])))


def motion(frame: Float[Tensor, "1 1 h w"], before: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 2 h w"]:
    """Find where each pixel of a frame was in the one before: gray [1, 1, H, W] in [0, 1] each -> flow [1, 2, H, W].

    The flow is (x, y) as shares of width and height. DIS: Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
    ECCV 2016, of OpenCV.

    Raises:
        StyleLoomError: OpenCV is not installed.
    """
    cv2 = _opencv()
    finder = cv2.DISOpticalFlow_create(0)  # its preset "ultrafast", but
    finder.setFinestScale(0)  # to single pixels: without, painted strokes creep
    pixels = [(each[0, 0].cpu() * 255).round().to(torch.uint8).numpy() for each in (frame, before)]
    height, width = frame.shape[-2:]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # frames are painted meanwhile, and several find the motion in a small image no sooner
    try:
        flow = finder.calc(*pixels, None) / np.array([width, height], np.float32)
    finally:
        cv2.setNumThreads(threads)
    return torch.from_numpy(flow.astype(np.float32)).permute(2, 0, 1)[None].to(frame.device)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise StyleLoomError("steady videos need OpenCV: pip install 'styleloom[video]', or smooth 0") from error
    return cv2


def warped(image: Float[Tensor, "1 c h w"], flow: Float[Tensor, "1 2 h w"]) -> Float[Tensor, "1 c h w"]:
    """The image [1, C, H, W] that a flow [1, 2, H, W] leads to: each pixel taken from where it was; borders are repeated.

    Bicubic, at 32 places between two pixels (OpenCV).

    Raises:
        StyleLoomError: OpenCV is not installed.
    """
    cv2 = _opencv()
    height, width = image.shape[-2:]
    x, y = flow[0].cpu().numpy() * np.array([width, height], np.float32)[:, None, None]
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    pixels = image[0].permute(1, 2, 0).contiguous().cpu().numpy()
    moved = cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).reshape(pixels.shape)
    return torch.from_numpy(moved).permute(2, 0, 1)[None].to(image.device)
