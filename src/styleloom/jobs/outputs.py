"""Where jobs write, what they refuse, and how a finished item is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom import __version__
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.output import DEFAULT, Output, write_channels

from .events import Event, Item, ItemDone

PathLike = str | Path


@dataclass(frozen=True)
class Outputs:
    """Where a job writes, in which format, and what it does with files that exist.

    Attributes:
        path: a file, or a folder for several files.
        format: quality, depth and metadata of images.
        overwrite: do everything again and replace what exists.
        skip_existing: keep files that exist, whatever made them.
    """

    path: Path
    format: Output = DEFAULT
    overwrite: bool = False
    skip_existing: bool = False

    @classmethod
    def of(cls, out: PathLike | Outputs) -> Outputs:
        """Outputs as they are, or the default ones at a path."""
        return out if isinstance(out, Outputs) else cls(Path(out))


@dataclass(frozen=True)
class Limits:
    """What a job computes on, and the largest image that it reads.

    Attributes:
        device: device of the networks.
        max_pixels: images with more pixels are refused.
    """

    device: str | torch.device = "cpu"
    max_pixels: int = images.MAX_PIXELS


LIMITS = Limits()


def software(verb: str) -> str:
    """What is noted in an image that this program makes."""
    return f"StyleLoom {__version__} {verb}"


def written(item: Item, image: Tensor, seconds: float, verb: str, output: Output) -> Iterator[Event]:
    """Write an image [1, C, H, W] and yield its event."""
    (target,) = item.targets
    write_channels(image, target, output, source=item.name, software=software(verb))
    yield ItemDone(item.name, (str(target),), round(seconds, 3), dict(size=f"{image.shape[3]} x {image.shape[2]}"))


def images_summary(done: Sequence[ItemDone], device: str | torch.device) -> dict[str, Any]:
    """What there is to tell of all images."""
    rows = [dict(content=each.item, out=each.out[0], seconds=each.seconds) | each.values for each in done]
    return dict(device=str(device), images=rows)


def targets_of(
    contents: Sequence[str],
    asked: PathLike | Sequence[PathLike],
    out: Path,
    output: Output = DEFAULT,
    *,
    arrays: bool = False,
) -> tuple[list[Path], Path | None]:
    """Where each image goes, and the folder, where there are several; every name is checked, nothing is made.

    Args:
        contents: the images.
        asked: what they were asked for by: a single file goes to a file, anything else into a folder.
        out: the file, or the folder.
        output: how they are written.
        arrays: a file may be ``.npy``.
    """
    single = isinstance(asked, str | Path) and list(contents) == [str(asked)]
    if single and not out.is_dir():
        output.check(out, arrays=arrays)
        return [out], None
    check_output_folder(out)
    targets = [out / f"{name}.{output.suffix}" for name in distinct_names(contents)]
    for target in targets:
        output.check_format(target)
    return targets, out


def distinct_names(contents: Sequence[str]) -> list[str]:
    """A name for each file without its suffix; those that several share get their suffix too, or their folder.

    ``p.jpg`` beside ``p.png`` become ``p-jpg`` and ``p-png``; ``a/p.jpg`` and ``b/p.jpg`` become ``a-p`` and ``b-p``.
    """
    paths = [Path(source) for source in contents]
    names = [path.stem for path in paths]
    for other in (lambda path: f"{path.stem}-{path.suffix[1:]}", lambda path: f"{path.parent.name}-{path.stem}"):
        if len(set(names)) == len(names):
            break
        tried = [other(path) if names.count(path.stem) > 1 else name for path, name in zip(paths, names, strict=True)]
        if len(set(tried)) > len(set(names)):
            names = tried
    return names


def check_output_folder(out: Path) -> None:
    """Raise StyleLoomError where several outputs cannot go into ``out``: it is a file, or called like an image."""
    if out.exists() and not out.is_dir():
        raise StyleLoomError(f"cannot make the folder {out}: a file is in the way")
    if not out.is_dir() and out.suffix.lower() in images.SUFFIXES:
        raise StyleLoomError(f"several images go into a folder, and {out} is called like an image; give a folder")
