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
from .datasets import ImageFiles


def write_archive(out: str | Path, examples: Iterable[tuple[Tensor | bytes, int | None]], total: int) -> Iterator[Progress]:
    """Write images as they come, without loss, into a zip that StyleGAN code reads.

    It holds PNGs in folders of a thousand, and classes in ``dataset.json``. It is there whole in the end or not at all.

    Args:
        out: a ``.zip``.
        examples: images [3, H, W] in [0, 1], or of 8-bit numbers, or PNG files' contents, each with its class or None.
        total: how many there will be at most.

    Yields:
        Progress after each image.

    Raises:
        StyleLoomError: another suffix, no images, or a disk that is full.
    """
    out = Path(out)
    if out.suffix.lower() != ".zip":
        raise StyleLoomError(f"cannot write {out}: a data set is a .zip")
    check_parent(out)
    labels: list[list[str | int]] = []
    count = 0
    with replacing(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for image, label in examples:
                name = f"{count // 1000:05d}/img{count:08d}.png"
                archive.writestr(name, image if isinstance(image, bytes) else images.encoded(image))
                count += 1
                if label is not None:
                    labels.append([name, label])
                yield Progress(count, total)
            archive.writestr("dataset.json", json.dumps({"labels": labels or None}))
        if not count:
            raise StyleLoomError(f"no images for {out}")


@dataclass(frozen=True)
class Survey(Progress):
    """Findings on a set of images so far.

    Attributes:
        sizes: how many images there are of each (width, height).
        damaged: reasons why the others could not be read, ``{name: reason}``.
    """

    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)


def survey(dataset: ImageFiles) -> Iterator[Survey]:
    """Read each image of a set, whole, and count."""
    sizes: Counter[tuple[int, int]] = Counter()
    for index in range(len(dataset)):
        image = dataset.read(index)
        if image is not None:
            sizes[(image.shape[2], image.shape[1])] += 1
        yield Survey(index + 1, len(dataset), sizes=sizes, damaged=dataset.damaged)
