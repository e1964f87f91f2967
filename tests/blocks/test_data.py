"""Training pictures: what is read, passed over and refused; the order; crops."""

import zipfile
from itertools import islice
from pathlib import Path

import pytest
import torch
from numpy.random import RandomState

from styleloom.blocks import images
from styleloom.blocks.data import Pictures, batches, order, random_crop, recolored
from styleloom.blocks.errors import StyleLoomError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of one grey each, one of them in a sub-folder, and a damaged one."""
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    for name, grey in (("a.png", 0.2), ("c.jpg", 0.6), ("sub/d.png", 0.8)):
        images.write(torch.full((1, 3, 20, 30), grey), tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_damaged_pictures_are_named_and_passed_over(folder: Path) -> None:
    pictures = Pictures(folder)
    assert len(pictures) == 4
    greys = [round(pictures[index].mean().item(), 1) for index in range(4)]
    assert greys == [0.2, 0.6, 0.6, 0.8]  # in the place of the damaged one, the next
    assert list(pictures.damaged) == [str(folder / "b.png")]


def test_zips_and_reduced_copies(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(folder / "a.png", "x/a.png")
    pictures = Pictures([tmp_path / "set.zip", folder / "c.jpg"], shorter=10)
    assert pictures[0].shape == (3, 10, 15) and len(pictures) == 2
    torch.testing.assert_close(pictures[0], pictures[0])
    assert abs(pictures[1].mean().item() - 0.6) < 0.01


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StyleLoomError, match="no picture in"):
        Pictures(tmp_path / "empty")
    with pytest.raises(StyleLoomError, match="no such folder"):
        Pictures(tmp_path / "nowhere")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(StyleLoomError, match="cannot read"):
        Pictures(tmp_path / "bad.zip")
    (tmp_path / "empty" / "x.png").write_bytes(b"no picture")
    with pytest.raises(StyleLoomError, match="none of the 1 pictures"):
        Pictures(tmp_path / "empty")[0]


def test_order_is_shuffled_epochs() -> None:
    whole = order(5, seed=1, first=0, many=15)
    assert [sorted(whole[i : i + 5]) for i in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert whole[:5] != whole[5:10]
    assert order(5, seed=1, first=3, many=6) == whole[3:9]


def test_batches_resume_and_are_shared() -> None:
    def item(index: int, rng: RandomState) -> tuple[torch.Tensor, ...]:
        return torch.tensor(float(index)), torch.tensor(rng.uniform())

    def take(**options: int) -> list[tuple[torch.Tensor, ...]]:
        return list(islice(batches(item, 5, lambda step: range(4 * step, 4 * step + 4), seed=2, **options), 3))

    whole = take()
    for later, wanted in zip(take(first=1), whole[1:], strict=False):
        assert torch.equal(later[0], wanted[0]) and torch.equal(later[1], wanted[1])
    for step, (left, right) in enumerate(zip(take(rank=0, world=2), take(rank=1, world=2), strict=True)):
        assert torch.equal(torch.stack([left[1], right[1]], 1).flatten(), whole[step][1])


def test_crops_are_parts_of_the_picture() -> None:
    picture = torch.linspace(0, 1, 40 * 60).view(1, 40, 60).expand(3, -1, -1)
    cut = random_crop(picture, 40, RandomState(0), flip=False)
    left = (cut[0, 0, 0] * (40 * 60 - 1)).round().int().item()
    torch.testing.assert_close(cut, picture[:, :, left : left + 40])
    assert random_crop(picture, 16, RandomState(1)).shape == (3, 16, 16)
    assert torch.equal(random_crop(picture, 16, RandomState(1)), random_crop(picture, 16, RandomState(1)))


def test_recolored_keeps_the_layout() -> None:
    picture = torch.rand(3, 12, 12)
    found = recolored(picture, RandomState(3))
    assert found.shape == picture.shape and found.min() >= 0 and found.max() <= 1 and not torch.equal(found, picture)
    grey = recolored(torch.full((3, 4, 4), 0.5), RandomState(3))
    torch.testing.assert_close(grey, torch.full((3, 4, 4), 0.5), atol=1e-3, rtol=0)
