"""Output paths, limits, and the record of a finished item."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from styleloom import __version__
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.data import images, video
from styleloom.data.output import ARRAY, DEFAULT, Output, write_channels
from styleloom.data.stores import Store, address_of
from styleloom.data.video import Spread

from .events import Event, Item, ItemDone


class Engine(Protocol):
    """Does a job's work elsewhere."""

    def __call__(self, job: Any, items: Sequence[Item], /) -> Iterator[Event]:
        """Events of the items of a :class:`~styleloom.jobs.engine.Job`."""

    def mapped(self, function: Callable[[Tensor], Tensor], images: Iterable[Tensor], /) -> Iterator[Tensor]:
        """Results of a function, in the order of the images."""


@dataclass(frozen=True)
class Outputs:
    """Path and format of a job's outputs, and its handling of files that exist.

    Attributes:
        path: a file, or a folder for several files; on this machine, or an address of a store.
        format: quality, depth and metadata of images.
        overwrite: do everything again and replace what exists.
        skip_existing: keep files that exist, whatever made them.
        is_folder: the path is a folder, also where a single file is asked for.
        shard: the part of the items to do, such as 3 of 20.
        engine: does the work elsewhere, such as :class:`styleloom.cluster.RayEngine`; None: in this process.
        store: object store that the outputs go to, where ``path`` is an address such as "s3://bucket/folder"; made by itself.
    """

    path: Path
    format: Output = DEFAULT
    overwrite: bool = False
    skip_existing: bool = False
    is_folder: bool = False
    shard: tuple[int, int] = (1, 1)
    engine: Engine | None = None
    store: Store | None = None

    def __post_init__(self) -> None:
        number, count = self.shard
        if not 1 <= number <= count:
            raise StyleLoomError(f"shard {number} of {count}; the parts are numbered from 1, such as 3/20")
        if isinstance(self.path, str):  # as callers without types write it
            object.__setattr__(self, "is_folder", self.is_folder or self.path.endswith(("/", os.sep)))
            object.__setattr__(self, "path", Path(self.path))
        if self.store is None and (address := address_of(self.path)):
            self._mirror(address)

    def _mirror(self, address: str) -> None:
        """Write to a folder on this machine, whose files go on to a store."""
        address = address.rstrip("/")
        is_file = self.path.suffix.lower() in (*images.WRITABLE, *video.FORMATS, ".gif", ARRAY, ".zip") and not self.is_folder
        folder, _, name = address.rpartition("/") if is_file else (address, "", "")
        known = hashlib.sha256(folder.encode()).hexdigest()[:16]
        mirror = Path(tempfile.gettempdir()) / f"styleloom-store-{known}"
        mirror.mkdir(exist_ok=True)
        object.__setattr__(self, "store", Store(folder, mirror))
        object.__setattr__(self, "path", mirror / name if is_file else mirror)

    @classmethod
    def of(cls, out: PathLike | Outputs) -> Outputs:
        """Outputs as they are, or the default ones at a path; one that ends in a slash is a folder."""
        return out if isinstance(out, Outputs) else cls(Path(out), is_folder=str(out).endswith(("/", os.sep)))

    @property
    def spread(self) -> Spread | None:
        """The map that paints the frames of a video elsewhere; None: there is no engine."""
        return None if self.engine is None else self.engine.mapped

    def is_file(self, *, arrays: bool = False) -> bool:
        """Whether the path is meant as one file: it has a suffix of letters, known or not, and is no folder."""
        known = self.path.suffix.lower() in (*images.WRITABLE, *((ARRAY,) if arrays else ()))
        return (known or self.path.suffix[1:].isalpha()) and not self.is_folder and not self.path.is_dir()


@dataclass(frozen=True)
class Limits:
    """Device of a job, and the largest image that it reads.

    Attributes:
        device: device of the networks.
        max_pixels: images with more pixels are refused.
    """

    device: str | torch.device = "cpu"
    max_pixels: int = images.MAX_PIXELS


LIMITS = Limits()


def software(verb: str) -> str:
    """Name and version of this program, as noted in images."""
    return f"StyleLoom {__version__} {verb}"


def written(item: Item, image: Tensor, seconds: float, verb: str, output: Output) -> Iterator[Event]:
    """Write an image [1, C, H, W] and yield its event."""
    (target,) = item.targets
    if not target.parent.exists():  # a folder in the output folder
        target.parent.mkdir(parents=True, exist_ok=True)
    write_channels(image, target, output, source=item.name, software=software(verb))
    yield ItemDone(item.name, (str(target),), round(seconds, 3), dict(size=f"{image.shape[3]} x {image.shape[2]}"))


def images_summary(done: Sequence[ItemDone], device: str | torch.device) -> dict[str, Any]:
    """Summary of all images of a job."""
    rows = [dict(content=each.item, out=each.out[0], seconds=each.seconds) | each.values for each in done]
    return dict(device=str(device), images=rows)


def targets_of(
    contents: Sequence[str],
    asked: PathLike | Sequence[PathLike],
    outputs: Outputs,
    *,
    arrays: bool = False,
) -> tuple[list[Path], Path | None]:
    """Output path of each image, and the folder where there are several. Every name is checked; nothing is created.

    Args:
        contents: the images.
        asked: what they were asked for by: a single file goes to a file, anything else into a folder. Images of the folders in
            an asked folder keep these folders.
        outputs: the file, or the folder, and the format.
        arrays: a file may be ``.npy``.
    """
    several = [asked] if isinstance(asked, str | Path) else list(asked)
    single = isinstance(asked, str | Path) and list(contents) == [str(asked)]
    out = outputs.path
    if single and not out.is_dir() and not outputs.is_folder:
        outputs.format.check(out, arrays=arrays)
        return [out], None
    check_output_folder(out)
    folders = [Path(each) for each in several if Path(each).is_dir()]
    targets = []
    for content, name in zip(contents, distinct_names(contents), strict=True):
        below = next((Path(content).relative_to(each).parent for each in folders if Path(content).is_relative_to(each)), Path())
        targets.append(out / below / f"{name}.{outputs.format.suffix}")
        outputs.format.check_format(targets[-1])
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
