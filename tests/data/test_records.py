"""TFRecords, LMDB and tars as data sets."""

import os
import struct
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from styleloom import StyleLoomError
from styleloom.data import images
from styleloom.data.datasets import ImageFiles, SquareImages
from styleloom.data.images import encoded
from styleloom.data.records import open_records


def example_class() -> Any:
    """TensorFlow's ``Example`` message, declared anew; its bytes are made by Google's own protobuf library."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, int, int, str]) -> Any:
        made = file.message_type.add(name=name)
        for label, number, kind, count, type_name in fields:
            made.field.add(name=label, number=number, type=kind, label=count, type_name=type_name or None)
        return made

    many, one = field.LABEL_REPEATED, field.LABEL_OPTIONAL
    message("BytesList", ("value", 1, field.TYPE_BYTES, many, ""))
    message("Int64List", ("value", 1, field.TYPE_INT64, many, ""))
    message(
        "Feature",
        ("bytes_list", 1, field.TYPE_MESSAGE, one, ".t.BytesList"),
        ("int64_list", 3, field.TYPE_MESSAGE, one, ".t.Int64List"),
    )
    features = message("Features", ("feature", 1, field.TYPE_MESSAGE, many, ".t.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=one)
    entry.field.add(name="value", number=2, type=field.TYPE_MESSAGE, label=one, type_name=".t.Feature")
    message("Example", ("features", 1, field.TYPE_MESSAGE, one, ".t.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def write_records(path: Path, pictures: list[np.ndarray]) -> None:
    """Pictures [C, H, W] of bytes as NVIDIA's ``dataset_tool`` writes them; checksums are left 0, which are not read."""
    example = example_class()
    with path.open("wb") as file:
        for picture in pictures:
            record = example()
            record.features.feature["shape"].int64_list.value.extend(picture.shape)
            record.features.feature["data"].bytes_list.value.append(picture.tobytes())
            content = record.SerializeToString()
            file.write(struct.pack("<QI", len(content), 0) + content + struct.pack("<I", 0))


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.RandomState(0)
    return [rng.randint(0, 256, (3, 16, 16), dtype=np.uint8) for _ in range(4)]


def test_tfrecords_of_the_highest_resolution(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_records(tmp_path / "faces-r04.tfrecords", pictures)
    write_records(tmp_path / "faces-r03.tfrecords", [each[:, ::2, ::2] for each in pictures])
    read = ImageFiles(tmp_path)
    assert len(read) == 4
    for index, picture in enumerate(pictures):
        assert torch.equal(read[index], torch.from_numpy(picture).float() / 255)
    assert len(ImageFiles(tmp_path / "faces-r03.tfrecords")) == 4
    assert SquareImages(tmp_path, 8)[0].shape == (3, 8, 8)


def test_tfrecords_of_gray_and_encoded_images(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_records(tmp_path / "digits.tfrecords", [pictures[0][:1]])
    assert torch.equal(ImageFiles(tmp_path)[0], torch.from_numpy(pictures[0][:1]).float().expand(3, -1, -1) / 255)
    record = example_class()()
    record.features.feature["image/encoded"].bytes_list.value.append(images.encoded(torch.from_numpy(pictures[1])))
    content = record.SerializeToString()
    (tmp_path / "digits.tfrecords").write_bytes(struct.pack("<QI", len(content), 0) + content + struct.pack("<I", 0))
    assert torch.equal(ImageFiles(tmp_path)[0], torch.from_numpy(pictures[1]).float() / 255)


def test_damaged_tfrecords(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    file = tmp_path / "a.tfrecords"
    write_records(file, pictures[:2])
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(StyleLoomError, match="does not end"):
        ImageFiles(file)
    half = bytearray(whole)
    half[12:40] = bytes([255]) * 28  # the first message is none
    file.write_bytes(bytes(half))
    read = ImageFiles(file)
    assert torch.equal(read[0], torch.from_numpy(pictures[1]).float() / 255)  # another in its place
    assert "no tf.train.Example" in next(iter(read.damaged.values()))


def test_lmdb_of_the_highest_resolution(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "faces"), map_size=2**24) as environment, environment.begin(write=True) as view:
        for index, picture in enumerate(pictures):
            view.put(f"8-{index:05}".encode(), images.encoded(torch.from_numpy(picture[:, ::2, ::2].copy())))
            view.put(f"16-{index:05}".encode(), images.encoded(torch.from_numpy(picture)))
        view.put(b"length", b"4")
    read = ImageFiles(tmp_path / "faces")
    assert [torch.equal(read[index], torch.from_numpy(picture).float() / 255) for index, picture in enumerate(pictures)] == [
        True
    ] * 4
    with lmdb.open(str(tmp_path / "empty"), map_size=2**20):
        pass
    with pytest.raises(StyleLoomError, match="no images"):
        open_records(tmp_path / "empty")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("its headers are read again")


def test_tars_of_images_are_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "cache"))
    """Shards as WebDataset has them: images and other files side by side, in the order of the shards."""
    wanted = []
    for shard in range(2):
        with tarfile.open(tmp_path / f"shard-{shard:03}.tar", "w") as archive:
            for number in range(3):
                image = torch.rand(3, 8, 8)
                for name, content in ((f"{number:04}.png", encoded(image)), (f"{number:04}.cls", b"1")):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, BytesIO(content))
                wanted.append((image * 255).round() / 255)
    files = ImageFiles(tmp_path)
    assert len(files) == 6 and len(ImageFiles(tmp_path / "shard-001.tar")) == 3
    for number, image in enumerate(wanted):
        torch.testing.assert_close(files[number], image)
    # Its headers are read once; a tar that changes is read anew.
    with monkeypatch.context() as patched:
        patched.setattr(tarfile, "open", refuse)
        assert len(ImageFiles(tmp_path / "shard-001.tar")) == 3
        os.utime(tmp_path / "shard-001.tar", (1, 1))
        with pytest.raises(AssertionError, match="read again"):
            ImageFiles(tmp_path / "shard-001.tar")
    # Where nothing can be kept, they are read each time.
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "shard-000.tar" / "below a file"))
    assert len(ImageFiles(tmp_path / "shard-001.tar")) == 3
    (tmp_path / "broken.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(StyleLoomError, match=r"broken\.tar"):
        ImageFiles(tmp_path / "broken.tar")
