"""A folder to work in, for every test of the program."""

from pathlib import Path

import pytest
import torch

from styleloom.data import images


@pytest.fixture(autouse=True)
def images_in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, with a photograph, a style and a mask."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for name in ("photo.png", "style.png"):
        images.write(images.resize(torch.rand(1, 3, 6, 8, generator=generator), (48, 64)), name)
    mask = torch.zeros(1, 3, 48, 64)
    mask[..., :32] = 1
    images.write(mask, "mask.png")
