"""Training images: what is read, passed over and refused; the order; crops."""

import json
import struct
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.random import RandomState

from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.archives import survey, write_archive
from styleloom.data.datasets import ImageFiles, SquareImages, batches, order, random_crop, recolored, squared, stacked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of one gray each, one of them in a sub-folder, and a damaged one."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name, gray in (("a.png", 0.2), ("c.jpg", 0.6), ("sub/d.png", 0.8)):
        images.write(torch.full((1, 3, 20, 30), gray), tmp_path / "images" / name)
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_damaged_images_are_named_and_passed_over(folder: Path) -> None:
    dataset = ImageFiles(folder)
    assert len(dataset) == 4
    grays = [round(dataset[index].mean().item(), 1) for index in range(4)]
    assert grays[0::2][0] == 0.2 and grays[2:] == [0.6, 0.8]
    assert grays[1] in (0.2, 0.6, 0.8) and round(dataset[1].mean().item(), 1) == grays[1]  # another, always the same
    assert list(dataset.damaged) == [str(folder / "b.png")]


def test_zips_and_reduced_copies(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(folder / "a.png", "x/a.png")
    dataset = ImageFiles([tmp_path / "set.zip", folder / "c.jpg"], shorter=10)
    assert dataset[0].shape == (3, 10, 15) and len(dataset) == 2
    torch.testing.assert_close(dataset[0], dataset[0])
    assert abs(dataset[1].mean().item() - 0.6) < 0.01


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StyleLoomError, match="no image in"):
        ImageFiles(tmp_path / "empty")
    with pytest.raises(StyleLoomError, match="no such folder"):
        ImageFiles(tmp_path / "nowhere")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(StyleLoomError, match="cannot read"):
        ImageFiles(tmp_path / "bad.zip")
    (tmp_path / "empty" / "x.png").write_bytes(b"no image")
    with pytest.raises(StyleLoomError, match="none of the 1 images"):
        ImageFiles(tmp_path / "empty")[0]


def test_order_is_shuffled_epochs() -> None:
    whole = order(5, seed=1, first=0, many=15)
    assert [sorted(whole[i : i + 5]) for i in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert whole[:5] != whole[5:10]
    assert order(5, seed=1, first=3, many=6) == whole[3:9]


def test_batches_resume_and_are_shared() -> None:
    def many(indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[torch.Tensor, ...]:
        return torch.tensor([float(index) for index in indices]), torch.tensor([rng.uniform() for rng in rngs])

    def take(**options: Any) -> list[tuple[torch.Tensor, ...]]:
        return list(islice(batches(many, 5, lambda step: range(4 * step, 4 * step + 4), seed=2, **options), 3))

    whole = take()
    for later, wanted in zip(take(first=1), whole[1:], strict=False):
        assert torch.equal(later[0], wanted[0]) and torch.equal(later[1], wanted[1])
    for step, (left, right) in enumerate(zip(take(rank=0, world=2), take(rank=1, world=2), strict=True)):
        assert torch.equal(torch.stack([left[1], right[1]], 1).flatten(), whole[step][1])


def test_crops_are_parts_of_the_image() -> None:
    image = torch.linspace(0, 1, 40 * 60).view(1, 40, 60).expand(3, -1, -1)
    cut = random_crop(image, 40, RandomState(0), flip=False)
    left = (cut[0, 0, 0] * (40 * 60 - 1)).round().int().item()
    torch.testing.assert_close(cut, image[:, :, left : left + 40])
    assert random_crop(image, 16, RandomState(1)).shape == (3, 16, 16)
    assert torch.equal(random_crop(image, 16, RandomState(1)), random_crop(image, 16, RandomState(1)))


def test_recolored_keeps_the_layout() -> None:
    image = torch.rand(3, 12, 12)
    found = recolored(image, RandomState(3))
    assert found.shape == image.shape and found.min() >= 0 and found.max() <= 1 and not torch.equal(found, image)
    gray = recolored(torch.full((3, 4, 4), 0.5), RandomState(3))
    torch.testing.assert_close(gray, torch.full((3, 4, 4), 0.5), atol=1e-3, rtol=0)


def a_set(folder: Path, names: dict[str, tuple[int, int]]) -> Path:
    for name, (width, height) in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(torch.rand(1, 3, height, width), folder / name)
    return folder


def test_classes_of_folders_and_of_dataset_json(tmp_path: Path) -> None:
    folder = a_set(tmp_path / "set", {"dog/a.png": (9, 8), "cat/deep/b.png": (8, 8), "dog/c.png": (8, 9)})
    found = SquareImages(folder, 8, conditional=True)
    assert found.classes == ["cat", "dog"] and [found.labels[i] for i in range(3)] == [0, 1, 1]
    image, c, seed = found.example(mirror=False)(1, RandomState(0))
    assert image.shape == (3, 8, 8) and image.min() < 0 and c.tolist() == [0, 1] and seed.dtype == torch.int64
    assert SquareImages(folder, 8).classes == [] and SquareImages(folder, 8).example(False)(0, RandomState(0))[1].shape == (0,)
    (folder / "dataset.json").write_text(json.dumps({"labels": [["dog/a.png", 2], ["cat/deep/b.png", 0], ["dog/c.png", 2]]}))
    found = SquareImages(folder, 8, conditional=True)
    assert found.classes == ["0", "1", "2"] and found.labels == [0, 2, 2]
    for text, message in (
        ('{"labels": [["dog/a.png", 2]]}', "no class for cat/deep/b.png: dataset.json has None"),
        (
            '{"labels": [["dog/a.png", [1.0, 2.0]], ["cat/deep/b.png", 0], ["dog/c.png", 1]]}',
            "give each image one whole number",
        ),
        ('{"labels": [["dog/a.png", -1], ["cat/deep/b.png", 0], ["dog/c.png", 1]]}', "class -1"),
        ("[}", "dataset.json cannot be read"),
        ("[3]", "dataset.json is a list; wanted"),
        ('{"labels": null}', "dataset.json has None"),
        ('{"labels": [["dog/a.png", 10000], ["cat/deep/b.png", 0], ["dog/c.png", 1]]}', "class 10000 .* to 9999 at most"),
    ):
        (folder / "dataset.json").write_text(text)
        with pytest.raises(StyleLoomError, match=message):
            SquareImages(folder, 8, conditional=True)


def test_mirror_images_are_half_of_them() -> None:
    class One:
        def find(self, index: int, rng: RandomState) -> tuple[int, torch.Tensor]:
            return 0, torch.linspace(0, 1, 8).expand(3, 8, 8)

    labeled = SquareImages.__new__(SquareImages)
    labeled.images, labeled.resolution, labeled.classes = One(), 8, []  # type: ignore[assignment]
    flipped = [bool(labeled.example(mirror=True)(0, RandomState([1, place]))[0][0, 0, 0] > 0) for place in range(400)]
    assert 150 < sum(flipped) < 250
    assert not any(bool(labeled.example(mirror=False)(0, RandomState(place))[0][0, 0, 0] > 0) for place in range(20))


def test_squares() -> None:
    image = torch.linspace(0, 1, 12).view(1, 1, 12).expand(3, 6, 12)
    torch.testing.assert_close(squared(image, 6), image[:, :, 3:9])
    padded = squared(image, 12, "pad")
    assert torch.equal(padded[:, 3:9], image) and torch.equal(padded[:, 0], image[:, 0])
    assert squared(image, 6, "stretch").shape == (3, 6, 6)
    assert squared(image.transpose(1, 2), 4).shape == (3, 4, 4)


def test_an_archive_has_nvidias_layout_and_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    dataset = torch.randint(0, 256, (1001, 3, 4, 4), dtype=torch.uint8)
    out = tmp_path / "set.zip"
    ticks = list(write_archive(out, ((image, index % 3) for index, image in enumerate(dataset)), 1001))
    assert ticks[-1].index == ticks[-1].total == 1001
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        assert names[0] == "00000/img00000000.png" and "00001/img00001000.png" in names
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert labels[4] == ["00000/img00000004.png", 1]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    found = SquareImages(out, 4, conditional=True)
    assert found.labels[:4] == [0, 1, 2, 0]
    for index in (0, 7, 1000):
        assert torch.equal((found[index] * 255).round().byte(), dataset[index])
    with pytest.raises(StyleLoomError, match=r"a data set is a \.zip"):
        list(write_archive(tmp_path / "set.tar", [], 0))
    with pytest.raises(StyleLoomError, match="no images for"):
        list(write_archive(tmp_path / "none.zip", [], 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_a_survey_counts_sizes_and_damaged_files(tmp_path: Path) -> None:
    folder = a_set(tmp_path, {"a.png": (9, 8), "b.png": (9, 8), "c.png": (5, 4)})
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:40])
    *_, found = survey(ImageFiles(folder))
    assert found.index == 4 and found.sizes == {(9, 8): 2, (5, 4): 1} and list(found.damaged) == [str(folder / "d.png")]


def test_no_more_is_kept_in_memory_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_set(tmp_path, {f"{name}.png": (8, 8) for name in "abcd"})
    monkeypatch.setattr("styleloom.data.datasets.KEPT", 2 * 3 * 64)
    dataset = ImageFiles(folder, shorter=8)
    first = [dataset[index].clone() for index in range(4)]
    assert len(dataset._kept) == 2
    assert all(torch.equal(dataset[index], first[index]) for index in range(4))


def test_damaged_images_do_not_bend_the_sampling(tmp_path: Path) -> None:
    """Wherever unreadable files lie, each readable image is seen as often as another."""
    for index in range(6):
        images.write(torch.full((1, 3, 8, 8), index / 10), tmp_path / f"{'abcxyz'[index]}.png")
    for index in range(6):  # all in a row, as twins of macOS that were not hidden would be
        (tmp_path / f"m{index}.png").write_bytes(b"no image")
    dataset = ImageFiles(tmp_path)
    seen = [0] * 6
    for place in range(3000):
        _, image = dataset.find(order(len(dataset), 0, place, 1)[0], RandomState([0, place]))
        seen[round(float(image.mean()) * 10)] += 1
    assert min(seen) > 0.85 * 500 and max(seen) < 1.15 * 500, seen


def test_what_macos_adds_is_no_image(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png", "dog/._b.png", "__MACOSX/cat/._a.png", ".trash/c.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(torch.rand(1, 3, 8, 8), tmp_path / "set" / name)
    (tmp_path / "set" / "folder.png").mkdir()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            if path.is_file():
                archive.write(path, str(path.relative_to(tmp_path / "set")))
    for source in (tmp_path / "set", tmp_path / "set.zip"):
        found = SquareImages(source, 8, conditional=True)
        assert len(found) == 2 and found.classes == ["cat", "dog"]


def classes(names: list[str], tmp_path: Path, table: Any = None) -> tuple[list[int], list[str]]:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.writestr(name, images.encoded(torch.rand(3, 8, 8)))
        if table is not None:
            archive.writestr("dataset.json", json.dumps({"labels": table}))
    found = SquareImages(tmp_path / "set.zip", 8, conditional=True)
    return found.labels, found.classes


def test_classes_as_people_pack_them(tmp_path: Path) -> None:
    assert classes([f"{number}/a.png" for number in (1, 2, 10)], tmp_path)[1] == ["1", "2", "10"]  # not 1, 10, 2
    assert classes(["animals/cat/a.png", "animals/dog/b.png"], tmp_path) == ([0, 1], ["cat", "dog"])  # zipped with the parent
    assert classes(["animals/cat/old/a.png", "animals/dog/b.png"], tmp_path)[1] == ["cat", "dog"]
    assert classes(["cat\\a.png", "dog\\b.png"], tmp_path)[1] == ["cat", "dog"]  # as some systems part folders
    assert classes(["a.png", "b.png"], tmp_path, [["a.png", 1.0], ["b.png", 0.0]])[0] == [1, 0]
    assert classes(["a.png", "b.png"], tmp_path, [["a.png", [0, 0, 1]], ["b.png", [1, 0, 0]]])[0] == [2, 0]
    for label in (0.5, [0.5, 0.5], [1, 1], None):
        with pytest.raises(StyleLoomError, match=r"no class for a\.png"):
            classes(["a.png"], tmp_path, [["a.png", label]])


def test_archives_that_cannot_be_unpacked(tmp_path: Path) -> None:
    """A damaged stream, an encrypted member and a method that Python lacks are damaged images, called by their names."""
    data = images.encoded(torch.rand(3, 40, 40))
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("good", "stream", "locked", "method"):
            archive.writestr(f"{name}.png", data)
        places = {info.filename: (info.header_offset, info.compress_size) for info in archive.infolist()}
        directory = archive.start_dir if hasattr(archive, "start_dir") else 0
    raw = bytearray((tmp_path / "set.zip").read_bytes())
    start = places["stream.png"][0] + 30 + len("stream.png")
    raw[start + 10 : start + 40] = b"\xff" * 30
    for name, offset, value in (("locked.png", 8, 1), ("method.png", 10, 99)):  # flags, and the method, in the central directory
        place = raw.index(name.encode(), directory) - 46
        struct.pack_into("<H", raw, place + offset, value)
        struct.pack_into("<H", raw, places[name][0] + offset - 2, value)
    (tmp_path / "set.zip").write_bytes(raw)
    dataset = ImageFiles(tmp_path / "set.zip")
    assert [dataset.read(index) is not None for index in range(4)] == [True, False, False, False]
    assert {Path(name).name for name in dataset.damaged} == {"locked.png", "method.png", "stream.png"}
    assert not any("BytesIO" in reason for reason in dataset.damaged.values())


@pytest.mark.parametrize("mirror", [True, False])
def test_a_batch_at_once_is_its_examples(tmp_path: Path, mirror: bool) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(5):
            images.write(torch.rand(1, 3, 16, 16), tmp_path / label / f"{index}.png")
    found = SquareImages(tmp_path, 16, conditional=True)
    item = found.example(mirror)

    def one_by_one(indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[torch.Tensor, ...]:
        return stacked(map(item, indices, rngs))

    alone, at_once = (
        list(islice(batches(many, 10, lambda step: range(8 * step, 8 * step + 8), seed=3), 4))
        for many in (one_by_one, found.examples(mirror))
    )
    assert found.images.kept(0) is not None
    for one, other in zip(alone, at_once, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
