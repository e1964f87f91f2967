"""TIFF files: the same numbers in training and at use, whatever the layout; raw files are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.channels import read_channels

RGB = np.kron(np.random.RandomState(0).randint(0, 255, (10, 16, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
GRAY = RGB[..., 0]
WRITE: dict[str, tuple[Callable[[Path], object], np.ndarray]] = {
    "lzw": (lambda path: Image.fromarray(RGB).save(path, compression="tiff_lzw"), RGB / 255),
    "palette": (
        lambda path: Image.fromarray(GRAY // 64 * 64).convert("P").save(path),
        np.repeat((GRAY // 64 * 64)[..., None], 3, 2) / 255,
    ),
    "white is zero": (lambda path: tifffile.imwrite(path, 255 - GRAY, photometric="miniswhite"), GRAY[..., None] / 255),
    "white is zero, 16 bits": (
        lambda path: tifffile.imwrite(path, 65535 - GRAY.astype(np.uint16) * 257, photometric="miniswhite"),
        GRAY[..., None] / 255,
    ),
    "turned by its tag": (
        lambda path: Image.fromarray(RGB).save(path, tiffinfo={274: 6}),
        np.rot90(RGB, -1) / 255,
    ),
    "32 bits": (
        lambda path: tifffile.imwrite(path, GRAY.astype(np.uint32) * 16843009, photometric="minisblack"),
        GRAY[..., None] / 255,
    ),
    "planes of 16 bits": (
        lambda path: tifffile.imwrite(
            path, np.moveaxis(RGB.astype(np.uint16) * 257, 2, 0).copy(), photometric="rgb", planarconfig="separate"
        ),
        RGB / 255,
    ),
    "planes of 8 bits": (
        lambda path: tifffile.imwrite(path, RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        RGB / 255,
    ),
    "one bit": (lambda path: Image.fromarray(GRAY > 128).save(path), (GRAY > 128)[..., None].astype(float)),
    "floats": (lambda path: tifffile.imwrite(path, (RGB / 255).astype(np.float32), photometric="rgb"), RGB / 255),
}


@pytest.mark.parametrize("name", WRITE)
def test_training_and_use_read_the_same_numbers(name: str, tmp_path: Path) -> None:
    write, right = WRITE[name]
    write(tmp_path / "image.tif")
    wanted = torch.from_numpy(np.ascontiguousarray(right)).float().permute(2, 0, 1)[None]
    torch.testing.assert_close(read_channels(tmp_path / "image.tif"), wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(images.read(tmp_path / "image.tif"), wanted.expand(-1, 3, -1, -1), rtol=0, atol=1e-6)


def test_cmyk_is_the_same_in_both(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "image.tif")
    assert torch.equal(read_channels(tmp_path / "image.tif"), images.read(tmp_path / "image.tif"))


def test_signed_numbers_and_raw_files_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "signed.tif", GRAY.astype(np.int16) - 100, photometric="minisblack")
    with pytest.raises(StyleLoomError, match="signed numbers"):
        images.read(tmp_path / "signed.tif")
    tag = (50706, 1, 4, bytes([1, 4, 0, 0]), True)
    tifffile.imwrite(tmp_path / "photo.dng", RGB, photometric="rgb", extratags=[tag])
    with pytest.raises(StyleLoomError, match=r"raw file, of which only a preview of 64 x 40 px"):
        images.read(tmp_path / "photo.dng")


@pytest.mark.parametrize("shape", [(3, 64, 64), (3, 128, 128), (2, 40, 48)])
def test_arrays_with_planes_first(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.RandomState(0).rand(*shape).astype(np.float32)
    np.save(tmp_path / "planes.npy", array)
    np.save(tmp_path / "last.npy", np.moveaxis(array, 0, 2))
    assert torch.equal(read_channels(tmp_path / "planes.npy")[0], torch.from_numpy(array))
    assert torch.equal(read_channels(tmp_path / "last.npy")[0], torch.from_numpy(array))
