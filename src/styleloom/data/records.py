"""Data sets in files of many images: TFRecords (NVIDIA's, for TensorFlow), LMDB (rosinality's) and tars (WebDataset's shards).

TFRecord files are read without TensorFlow. These and LMDB hold every image at several resolutions; the largest is taken.
"""

from __future__ import annotations

import json
import re
import struct
import tarfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import cache_folder, replacing

from .sources import is_image

Records = dict[str, Callable[[], "Tensor | BytesIO"]]
"""By name, what reads an image: uint8 [1, C, H, W], or an image file's content."""
LMDB_FILE = "data.mdb"
TFRECORDS, TAR = ".tfrecords", ".tar"
LENGTHS = {1: 8, 5: 4}  # bytes of a field of protobuf's fixed-size wire types
LARGEST_RECORD = 2**30


def holds_records(source: Path) -> bool:
    """Whether a folder or file is a data set of records."""
    if source.is_file():
        return source.suffix.lower() in (TFRECORDS, TAR)
    return source.is_dir() and (
        (source / LMDB_FILE).is_file() or any(source.glob(f"*{TFRECORDS}")) or any(source.glob(f"*{TAR}"))
    )


def open_records(source: Path) -> Records:
    """The images of a data set of records, in their order.

    Args:
        source: folder of TFRecord files or of tars, one such file, or folder of an LMDB.

    Raises:
        StyleLoomError: damaged, empty, or LMDB without the extra.
    """
    if source.is_dir() and (source / LMDB_FILE).is_file():
        return _lmdb(source)
    records: Records = {}
    for shard in sorted(source.glob(f"*{TAR}")) if source.is_dir() else [source] if source.suffix.lower() == TAR else []:
        records |= _tar(shard)
    if records:
        return records
    files = sorted(source.glob(f"*{TFRECORDS}")) if source.is_dir() else [source]
    for file in _largest(files):
        for index, (start, length) in enumerate(_offsets(file)):
            records[f"{file.name}/{index}"] = _reader(file, start, length)
    return records


def _tar(file: Path) -> Records:
    """The images of a tar, read from where they lie."""

    def reader(start: int, size: int) -> Callable[[], Tensor | BytesIO]:
        def read() -> BytesIO:
            with file.open("rb") as stream:
                stream.seek(start)
                return BytesIO(stream.read(size))

        return read

    return {f"{file.name}/{name}": reader(start, size) for name, start, size in _tar_index(file)}


def _tar_index(file: Path) -> Iterable[tuple[str, int, int]]:
    """Name, place and size of each image of a tar.

    A tar has no table of contents, so all of its headers are read. One process of a machine does so, the others wait, and later
    runs find the result in the cache.
    """
    try:
        known = file.stat()
        key = fingerprint([str(file.resolve()), known.st_size, known.st_mtime_ns], [])
        index = cache_folder() / "tars" / f"{key[:32]}.json"
        try:
            index.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(index.with_suffix(".lock")):
                if not index.exists():
                    found = _members(file)
                    with replacing(index) as temporary:
                        temporary.write_text(json.dumps(found), encoding="utf-8")
            return map(tuple, json.loads(index.read_text(encoding="utf-8")))
        except (OSError, StyleLoomError):  # nothing can be kept there
            return _members(file)
    except (OSError, tarfile.TarError) as error:
        raise StyleLoomError(f"cannot read {file}: {error}; wanted a tar that is not compressed") from error


def _members(file: Path) -> list[tuple[str, int, int]]:
    with tarfile.open(file, "r:") as archive:
        return [(each.name, each.offset_data, each.size) for each in archive if each.isfile() and is_image(each.name)]


def _largest(files: list[Path]) -> list[Path]:
    """Files of the highest resolution among ``name-r02.tfrecords`` to ``name-r10.tfrecords``; all where names tell none."""
    levels = {file: int(match[1]) for file in files if (match := re.search(r"-r(\d\d)$", file.stem))}
    top = max(levels.values(), default=0)
    return [file for file in files if levels.get(file, top) == top]


def _offsets(file: Path) -> Iterator[tuple[int, int]]:
    """Place and length of each record of a TFRecord file.

    A record is its length (8 bytes), a checksum of that (4), its data, and a checksum of these (4).
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        position = 0
        while position < size:
            stream.seek(position)
            head = stream.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else size
            if length > LARGEST_RECORD or position + length + 16 > size:
                raise StyleLoomError(f"{file} is damaged, or no TFRecord file: a record at byte {position} does not end in it")
            yield position + 12, length
            position += length + 16


def _reader(file: Path, start: int, length: int) -> Callable[[], Tensor | BytesIO]:
    def read() -> Tensor | BytesIO:
        with file.open("rb") as stream:
            stream.seek(start)
            return _image(stream.read(length), file)

    return read


def _image(record: bytes, file: Path) -> Tensor | BytesIO:
    """The image of a serialized ``tf.train.Example``: ``shape`` and ``data`` (raw bytes, CHW), or an encoded image.

    Raises:
        StyleLoomError: neither is in it.
    """
    try:
        features = dict(_features(record))
    except (IndexError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StyleLoomError(f"{file}: a record is no tf.train.Example") from error
    data = next((features[name] for name in ("data", "image/encoded", "image_raw", "image") if name in features), None)
    if not isinstance(data, bytes):
        raise StyleLoomError(f"{file}: a record holds {', '.join(features) or 'nothing'}; wanted shape and data")
    shape = features.get("shape")
    if not isinstance(shape, list):
        return BytesIO(data)
    if len(shape) != 3 or int(np.prod(shape)) != len(data) or min(shape) < 1:
        raise StyleLoomError(f"{file}: an image of {len(data)} bytes is said to have the shape {shape}")
    return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(1, *shape).copy())


def _features(record: bytes) -> Iterator[tuple[str, bytes | list[int] | None]]:
    """Names and values of an Example: ``Example.features`` (1) is a map (1) of names (1) to ``Feature`` (2)."""
    for number, features in _fields(record):
        for inner, entry in _fields(features) if number == 1 else ():
            if inner == 1:
                pair = dict(_fields(entry))
                yield pair[1].decode(), _value(pair[2])


def _value(feature: bytes) -> bytes | list[int] | None:
    """The value of a ``Feature``: its first bytes (1), or its integers (3), packed or not."""
    for number, content in _fields(feature):
        if number == 1:
            return next((value for inner, value in _fields(content) if inner == 1), b"")
        if number == 3:
            numbers: list[int] = []
            for _, value in _fields(content):
                if isinstance(value, int):
                    numbers.append(value)
                    continue
                position = 0
                while position < len(value):
                    each, position = _varint(value, position)
                    numbers.append(each)
            return numbers
    return None


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and contents of a protobuf message's fields: bytes, or an int of a varint."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        length = LENGTHS.get(kind, 0)
        if kind == 2:
            length, position = _varint(message, position)
        elif kind not in LENGTHS:
            raise ValueError(f"wire type {kind}")
        if position + length > len(message):
            raise ValueError("a field does not end in its message")
        yield number, message[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _lmdb(folder: Path) -> Records:
    """The images of an LMDB as ``prepare_data.py`` of rosinality's StyleGAN code writes it: keys ``256-00000`` and ``length``."""
    try:
        import lmdb
    except ImportError as error:
        raise StyleLoomError(f"{folder} is an LMDB, which needs the extra: pip install 'styleloom[lmdb]'") from error
    try:
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
        with environment.begin() as view, view.cursor() as cursor:
            keys = [bytes(key).decode() for key in cursor.iternext(values=False) if re.fullmatch(rb"\d+-\d+", bytes(key))]
    except lmdb.Error as error:
        raise StyleLoomError(f"cannot read {folder}: {error}") from error
    if not keys:
        raise StyleLoomError(f"{folder} holds no images; wanted keys such as 256-00000, as rosinality's prepare_data.py writes")
    top = max(int(key.split("-")[0]) for key in keys)

    def reader(key: str) -> Callable[[], BytesIO]:
        def read() -> BytesIO:
            with environment.begin() as view:
                return BytesIO(view.get(key.encode()) or b"")

        return read

    return {key: reader(key) for key in keys if int(key.split("-")[0]) == top}
