"""The job that makes a data set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.data.archives import write_archive
from styleloom.data.classes import labels_of
from styleloom.data.datasets import ImageFiles, squared
from styleloom.data.stores import address_of

from .engine import Job, digest, run, watched
from .events import Event, Item, ItemDone, ItemFailed
from .outputs import Outputs


def prepare(
    sources: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    size: int = 256,
    square: str = "crop",
    skip: int = 0,
    count: int | None = None,
    conditional: bool = False,
) -> Iterator[Event]:
    """Make a data set to train on: squares of one size in a zip, without loss.

    Args:
        sources: folders, zips or images.
        out: the .zip to write.
        size: side in pixels.
        square: crop, pad or stretch, see :func:`~styleloom.data.datasets.squared`.
        skip: leave out so many images at the beginning.
        count: take so many that can be read after these; all by default.
        conditional: keep classes, of dataset.json or of sub-folders.

    Yields:
        :class:`~styleloom.jobs.events.Event`; images that cannot be read are in the values of the zip's
        :class:`~styleloom.jobs.events.ItemDone`, under ``"damaged"``.

    Raises:
        StyleLoomError: no image in the sources, none that can be read, or classes that do not fit.
    """
    outputs = Outputs.of(out)
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    for name, number, least in (("`size`", size, 4), ("`skip`", skip, 0), ("`count`", 1 if count is None else count, 1)):
        Range(least).check(name, number)
    every = ImageFiles(several)
    labels, names = labels_of(every.locations) if conditional else ([], [])
    chosen = range(len(every))[skip:]
    if not chosen:
        raise StyleLoomError(f"`skip` {skip} leaves none of {len(every)} images")
    most = len(chosen) if count is None else min(count, len(chosen))

    # The square of each image, as a PNG file's bytes, with its class.
    def encoded(index: Tensor) -> Tensor:
        image = every.read(int(index))
        content = b"" if image is None else images.encoded(squared(image, size, square))
        return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)

    def squares() -> Iterator[tuple[bytes, int | None]]:
        spread = outputs.spread or map
        taken = 0
        for index, content in zip(chosen, spread(encoded, map(torch.tensor, chosen)), strict=True):
            if len(content):
                taken += 1
                yield content.numpy().tobytes(), labels[index] if conditional else None
            else:
                every.read(index)  # notes what is wrong with it
            if taken == most:
                break
        if len(every.damaged) == len(every):
            raise every.unreadable()

    def work(items: Sequence[Item]) -> Iterator[Event]:
        mark = time.perf_counter()
        try:
            last = yield from watched("prepare", write_archive(outputs.path, squares(), most))
        except StyleLoomError as error:
            yield ItemFailed(str(outputs.path), str(error))
            return
        values = dict(images=last.index, size=size, classes=names, damaged=dict(every.damaged))
        yield ItemDone(str(outputs.path), (str(outputs.path),), round(time.perf_counter() - mark, 3), values)

    # Run the job.
    stamps = sorted({_stamp(path, name) for path, name in every.locations})
    job = Job(
        "prepare",
        [Item(str(outputs.path), (outputs.path,))],
        work,
        settings=digest(stamps, size, square, skip, count, labels, names),
        sources=several,
        summary=lambda done: dict(out=str(outputs.path)) | (done[0].values if done else {}),
        spreads_itself=True,
    )
    yield from run(job, outputs)


def _stamp(source: Path, name: str) -> tuple[str, int, int]:
    """Text and numbers that change with a file: a zip, or an image in a folder. Images of stores are known by their names."""
    if address_of(source):
        return f"{source}/{name}", 0, 0
    file = source if source.is_file() else source / name
    return str(file), file.stat().st_size, file.stat().st_mtime_ns
