"""Data sets as zips: written in the layout of NVIDIA's dataset_tool, and looked through for what is wrong with them."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.core.progress import Progress

from . import images
from .datasets import Pictures


def write_archive(out: str | Path, pictures: Iterable[tuple[Tensor, int | None]], total: int) -> Iterator[Progress]:
    """Write pictures as they come, without loss, into a zip that StyleGAN code reads: PNGs in folders of a thousand, classes in
    ``dataset.json``. It is there whole in the end or not at all.

    Args:
        out: a ``.zip``.
        pictures: each [3, H, W] in [0, 1], or of bytes, with its class or None.
        total: how many there will be at most.

    Yields:
        Progress after each picture.

    Raises:
        StyleLoomError: another suffix, no pictures, or a disk that is full.
    """
    out = Path(out)
    if out.suffix.lower() != ".zip":
        raise StyleLoomError(f"cannot write {out}: a data set is a .zip")
    check_parent(out)
    labels: list[list[str | int]] = []
    count = 0
    with replacing(out) as beside:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
            for picture, label in pictures:
                name = f"{count // 1000:05d}/img{count:08d}.png"
                archive.writestr(name, images.encoded(picture))
                count += 1
                if label is not None:
                    labels.append([name, label])
                yield Progress(count, total)
            archive.writestr("dataset.json", json.dumps({"labels": labels or None}))
        if not count:
            raise StyleLoomError(f"no pictures for {out}")


@dataclass(frozen=True)
class Survey(Progress):
    """What was found out about a set of pictures so far.

    Attributes:
        sizes: how many pictures there are of each (width, height).
        damaged: of the others, ``{name: reason}``.
    """

    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)


def survey(pictures: Pictures) -> Iterator[Survey]:
    """Read each picture of a set, whole, and count."""
    sizes: Counter[tuple[int, int]] = Counter()
    for index in range(len(pictures)):
        picture = pictures.read(index)
        if picture is not None:
            sizes[(picture.shape[2], picture.shape[1])] += 1
        yield Survey(index + 1, len(pictures), sizes=sizes, damaged=pictures.damaged)
