"""Images, masks and styles that a user names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.data import bundled as samples
from styleloom.data import color, images
from styleloom.data.masks import is_shape, shape_mask
from styleloom.data.sources import is_image
from styleloom.data.stores import address_of, listed


@dataclass
class Found:
    """Images that names stand for.

    Attributes:
        files: paths and bundled names, each once.
        passed_over: names of files that were not taken, with the reason.
    """

    files: list[str] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)


def find(source: PathLike, *, more: Collection[str] = ()) -> list[str]:
    """The images that a name stands for, as :func:`find_all` finds them."""
    return find_all(source, more=more).files


def find_all(sources: PathLike | Sequence[PathLike], *, more: Collection[str] = (), recursive: bool = False) -> Found:
    """Find the images of names: a file or a bundled name is itself, a folder or a glob its images.

    Hidden files, such as the resource forks that macOS puts beside images, are no images.

    Args:
        sources: files, bundled names, folders and globs, and addresses of those in stores.
        more: further suffixes of files that are taken.
        recursive: take the images of the folders in a folder too.

    Raises:
        StyleLoomError: a name that stands for nothing.
    """
    found = Found()
    for source in [sources] if isinstance(sources, str | Path) else sources:
        path = Path(source)
        if address := address_of(source):
            named = listed(address, recursive=recursive)
            files = [each for each in named if is_image(each.rpartition("/")[2], more)]
            found.passed_over |= dict.fromkeys(set(named) - set(files), "no image that can be read")
            if not files:
                raise StyleLoomError(f"{address} holds no image ({', '.join(sorted(images.SUFFIXES))})")
        elif path.is_dir():
            files = _images_in(path, more, recursive, found)
            if not files:
                inside = "; `recursive` looks into its folders" if any(each.is_dir() for each in path.iterdir()) else ""
                raise StyleLoomError(f"the folder {path} holds no image ({', '.join(sorted(images.SUFFIXES))}){inside}")
        elif path.exists() or str(source) in samples.NAMES:
            files = [str(source)]
        else:
            matches = sorted(glob(str(source)))  # noqa: PTH207 (absolute ones too)
            files = [each for each in matches if is_image(Path(each).name, more) and not Path(each).is_dir()]
            if not files:
                names = ", ".join(samples.NAMES)
                raise StyleLoomError(f"no such image: {source}; give a file, a folder, a glob, or one of {names}")
        found.files += files
    found.files = list(dict.fromkeys(found.files))
    return found


def _images_in(folder: Path, more: Collection[str], recursive: bool, found: Found) -> list[str]:
    """The images of a folder; what is not taken is noted in ``found``."""
    files: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir():
            if recursive:
                files += _images_in(path, more, recursive, found)
            else:
                found.passed_over[str(path)] = "a folder; `recursive` takes its images too"
        elif is_image(path.name, more):
            files.append(str(path))
        elif path.suffix.lower() not in (".txt", ".json", ".csv", ".md"):
            found.passed_over[str(path)] = f"{path.suffix or 'no suffix'} is no image that can be read"
    return files


def open_image(source: PathLike, max_pixels: int = images.MAX_PIXELS, as_bytes: bool = False) -> Tensor:
    """The image [1, 3, H, W] behind a file name or a bundled name; a file wins."""
    return samples.read(str(source), max_pixels=max_pixels, as_bytes=as_bytes)


def open_mask(source: PathLike, max_pixels: int = images.MAX_PIXELS) -> Tensor:
    """A mask [1, 1, H, W] from the brightness of an image: white is 1, black and transparent are 0."""
    return color.rgb_to_yiq(images.read(source, max_pixels=max_pixels, paper=0.0))[:, :1].clamp(0, 1)


Region = Callable[[Tensor], Tensor]
"""An image [1, C, H, W] to a mask [1, 1, H, W]."""


def open_region(source: PathLike, max_pixels: int = images.MAX_PIXELS) -> Region:
    """A mask of whatever size a photograph has: an image, which is resized, or a shape in pixels of the photograph.

    Raises:
        StyleLoomError: no such image; of a shape, when it is drawn.
    """
    if is_shape(source):
        return lambda photo: shape_mask(str(source), photo.shape[3], photo.shape[2])
    mask = open_mask(source, max_pixels)
    return lambda photo: images.resize(mask, photo.shape[2:])


def open_style(style: PathLike | Tensor, max_pixels: int, device: torch.device) -> list[Tensor]:
    """The style images that a tensor, a name, a folder or a glob stands for."""
    if isinstance(style, Tensor):
        return [style.to(device)]
    return [open_image(path, max_pixels).to(device) for path in find(style)]
