"""Coded colors of other primaries and transfers as sRGB: wide gamuts and HDR, by FFmpeg's and AVIF's numbers (ITU-T H.273)."""

from __future__ import annotations

import numpy as np

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
WIDE_PRIMARIES = {9: "BT.2020", 12: "Display P3"}
WHITE = 203.0  # cd/m2 of diffuse white in HDR (ITU-R BT.2408)
KNEE = 0.75  # of white: brighter light is compressed
TO_SRGB = {
    "BT.2020": np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32),
    "Display P3": np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0196, -0.0786, 1.0979]], np.float32),
    "sRGB": np.eye(3, dtype=np.float32),
}
"""Light of other primaries to light of sRGB's (ITU-R BT.2087; SMPTE EG 432-1)."""


def to_srgb(coded: np.ndarray, primaries: str, transfer: str = "sRGB") -> np.ndarray:
    """Convert coded colors to sRGB; HDR is tone-mapped, with diffuse white at 1.

    Args:
        coded: [H, W, 3] in [0, 1].
        primaries: a name in ``TO_SRGB``.
        transfer: ``"sRGB"``, ``"PQ"`` or ``"HLG"``.

    Returns:
        [H, W, 3] in [0, 1].
    """
    light = {"PQ": _pq_light, "HLG": _hlg_light, "sRGB": _srgb_light}[transfer](coded) @ TO_SRGB[primaries].T
    if transfer != "sRGB":
        light = _compressed(light)
    light = light.clip(0, 1)
    result: np.ndarray = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return result


def _srgb_light(coded: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return result


def _pq_light(coded: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: coded values in [0, 1] to light, 1 at diffuse white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = coded ** (1 / m2)
    light: np.ndarray = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (10_000 / WHITE)
    return light


def _hlg_light(coded: np.ndarray) -> np.ndarray:
    """ARIB STD-B67 without the display's gamma: coded values in [0, 1] to light, 1 at diffuse white (75% of the signal)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    light: np.ndarray = scene / 0.265
    return light


def _compressed(rgb: np.ndarray) -> np.ndarray:
    """Light [H, W, 3] in [0, 1]: above the knee the brightest channel is compressed, and the others with it."""
    peak = np.maximum(rgb.max(-1, keepdims=True), 1e-6)
    over = np.maximum(peak - KNEE, 0)
    mapped = np.where(peak > KNEE, KNEE + (1 - KNEE) * (1 - np.exp(-over * 3 / (1 - KNEE) / 2)), peak)
    result: np.ndarray = rgb * mapped / peak
    return result
