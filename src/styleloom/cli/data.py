"""``styleloom data``: images to work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum, auto
from pathlib import Path

import torch
from torch import Tensor

from styleloom import jobs
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import check_folder
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.data.archives import survey, write_archive
from styleloom.data.classes import labels_of
from styleloom.data.datasets import ImageFiles, squared
from styleloom.drawn import painterly
from styleloom.drawn import toonfaces as toonfaces_
from styleloom.jobs import ItemDone
from styleloom.jobs.engine import check_apart

from .options import Common, Existing
from .report import Report


def styles(*, out: Path = Path("styles"), size: int = 512, seed: int = 0, variations: int = 1, common: Common) -> None:
    """Draw the sixteen bundled style images into a folder, or thousands of variations of them.

    Args:
        out: folder to write them to.
        size: side in pixels.
        seed: 0 for the images as they were composed; others rearrange them and turn their hues.
        variations: draw each with so many seeds, from the first one on.
    """
    report = Report(common)
    folder = check_folder(out)
    written = []
    for number in range(seed, seed + variations):
        for name in painterly.STYLES:
            target = folder / (f"{name}.png" if variations == 1 else f"{name}-{number}.png")
            images.write(painterly.draw(name, size, number), target)
            written.append(str(target))
            report.say(f"wrote {target}")
    report.outcome(images=written)


class Square(StrEnum):
    """The way in which an image becomes a square."""

    crop = auto()
    pad = auto()
    stretch = auto()


COMMONEST = 8  # sizes listed
SHEET, COLUMNS, TILE = 64, 16, 64  # images of a contact sheet, of a row, and their side
FACES = 250  # drawn at a time


def prepare(
    source: list[str],
    *,
    out: Path,
    size: int = 256,
    square: Square = Square.crop,
    skip: int = 0,
    count: int | None = None,
    conditional: bool = False,
    existing: Existing,
    common: Common,
) -> None:
    """Make a data set to train on: squares of one size in a zip, without loss, as NVIDIA's dataset_tool does.

    Args:
        source: folders, zips or images.
        out: the .zip to write.
        size: side in pixels.
        square: crop keeps the middle of an image, pad repeats its border, stretch squeezes its longer side.
        skip: leave out so many images at the beginning.
        count: take so many after these; all by default.
        conditional: keep classes, of dataset.json or of sub-folders.
    """
    report = Report(common)
    events = jobs.prepare(
        source, out=existing.outputs(out), size=size, square=square, skip=skip, count=count, conditional=conditional
    )

    def tell(event: ItemDone) -> str:
        lines = [f"passed over {name}: {reason}" for name, reason in event.values["damaged"].items()]
        return "\n".join([*lines, f"wrote {out}: {event.values['images']} images of {size} x {size}"])

    report.follow(events, tell, lambda finished: "")


def inspect(source: list[str], *, sheet: Path | None = None, conditional: bool = False, common: Common) -> None:
    """Tell what is in a data set: how many images, of what sizes and classes, and which cannot be read.

    Args:
        source: folders, zips or images.
        sheet: an image to write with a sample of them.
        conditional: count classes too, of dataset.json or of sub-folders.
    """
    report = Report(common)
    if sheet is not None:
        images.check_writable(sheet)
        check_apart([sheet], source)
    every = ImageFiles(source)
    *_, last = report.watch(survey(every), title="inspect")
    sizes = sorted(last.sizes.items(), key=lambda item: -item[1])
    readable = sum(number for _, number in sizes)
    report.say(f"{readable} images, {len(every.damaged)} that cannot be read")
    for (width, height), number in sizes[:COMMONEST]:
        report.say(f"    {number} of {width} x {height}")
    if len(sizes) > COMMONEST:
        report.say(f"    {sum(number for _, number in sizes[COMMONEST:])} of {len(sizes) - COMMONEST} other sizes")
    for name, reason in every.damaged.items():
        report.say(f"    damaged: {name}: {reason}")
    classes: dict[str, int] = {}
    if conditional:
        labels, names = labels_of(every.locations)
        counted = Counter(labels)
        classes = {name: counted[place] for place, name in enumerate(names)}
        for name, number in classes.items():
            report.say(f"    class {name}: {number}")
    if sheet is not None and readable:
        step = max(1, len(every) // SHEET)
        tiles = torch.stack([squared(every[index], TILE) for index in range(0, len(every), step)][:SHEET])
        rows = [row for row in tiles.split(COLUMNS) if len(row) == COLUMNS] or [tiles]
        images.write(images.grid(rows), sheet)
        report.say(f"wrote {sheet}")
    by_size = {f"{width}x{height}": number for (width, height), number in sizes}
    report.outcome(images=readable, sizes=by_size, damaged=dict(every.damaged), classes=classes, sheet=str(sheet or "") or None)


def toonfaces(
    *,
    out: Path,
    size: int = 64,
    count: int = 10_000,
    seed: int = 0,
    label: str | None = None,
    common: Common,
) -> None:
    """Draw cartoon faces whose attributes are known: a data set in a zip, or a folder of images.

    Args:
        out: the .zip, or the folder, to write.
        size: side in pixels, from 16.
        count: how many faces.
        seed: seed of the first face; the others follow.
        label: the attribute, such as hair or glasses, that is their class in a zip.
    """
    report = Report(common)
    Range(1, 2**32).check("--count", count)
    Range(0, 2**32 - count).check("--seed", seed)
    Range(16).check("--size", size)
    if label is not None:
        check_choice("label", label, toonfaces_.CHOICES)
        if out.suffix.lower() != ".zip":
            raise StyleLoomError(f"--label {label} is kept in a .zip, and {out} is a folder; write to a .zip")

    def faces() -> Iterator[tuple[Tensor, int | None]]:
        for start in range(seed, seed + count, FACES):
            several = [toonfaces_.attributes(number) for number in range(start, min(start + FACES, seed + count))]
            labels = toonfaces_.targets(several)[label].tolist() if label is not None else [None] * len(several)
            yield from zip(toonfaces_.render(several, size), labels, strict=True)

    if out.suffix.lower() == ".zip":
        for _ in report.watch(write_archive(out, faces(), count), title="toonfaces"):
            pass
    else:
        folder = check_folder(out)
        for number, (image, _) in enumerate(faces(), seed):
            images.write(image, folder / f"face{number:06d}.png")
    report.say(f"wrote {out}: {count} faces of {size} x {size}")
    report.outcome(out=str(out), images=count, size=size)
