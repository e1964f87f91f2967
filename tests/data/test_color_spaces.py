"""Other primaries and HDR as sRGB: values of the standards, and round trips by independent formulas."""

import numpy as np
import pytest

from styleloom.data.color_spaces import to_srgb

BARS = np.array([(200, 30, 30), (30, 180, 40), (40, 60, 210), (220, 200, 40), (128, 128, 128)], float)[None] / 255


def linear(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def test_display_p3() -> None:
    found = to_srgb(np.array([[[200, 30, 60]]]) / 255, "Display P3") * 255
    np.testing.assert_allclose(found[0, 0], (218, 0, 54), atol=1)


def test_srgb_is_itself() -> None:
    np.testing.assert_allclose(to_srgb(BARS, "sRGB"), BARS, atol=1e-6)


@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
def test_hdr_graded_at_diffuse_white_comes_back(transfer: str) -> None:
    wide = linear(BARS) @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    if transfer == "PQ":  # SMPTE ST 2084
        light = wide * 203 / 10000
        m1, m2 = 2610 / 16384, 2523 / 32
        coded = ((3424 / 4096 + 2413 / 128 * light**m1) / (1 + 2392 / 128 * light**m1)) ** m2
    else:  # ARIB STD-B67
        scene = wide * 0.265
        curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)
    np.testing.assert_allclose(to_srgb(coded, "BT.2020", transfer), BARS, atol=0.02)


def test_bright_light_is_compressed_and_keeps_its_order() -> None:
    codes = np.linspace(0, 1, 64)
    gray = to_srgb(np.repeat(codes[None, :, None], 3, 2), "BT.2020", "PQ")[0, :, 1]
    assert (np.diff(gray) >= -1e-6).all() and gray[0] == pytest.approx(0) and gray[-1] == pytest.approx(1, abs=0.01)
