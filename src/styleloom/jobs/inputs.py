"""Images named by a user, and where what becomes of them goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from glob import glob
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data import bundled as samples
from styleloom.data import images
from styleloom.data.datasets import is_image
from styleloom.data.masks import is_shape, shape_mask

PathLike = str | Path


def find(source: PathLike, *, more: Collection[str] = ()) -> list[str]:
    """The images that a name stands for: a file or a bundled name gives itself, a folder or glob its images.

    Hidden files, such as the resource forks that macOS puts beside images, and folders are no images.

    Args:
        source: file, bundled name, folder or glob.
        more: further suffixes of files that are taken.

    Raises:
        StyleLoomError: nothing there.
    """
    text = str(source)
    path = Path(text)
    if path.is_dir():
        files = sorted(str(item) for item in path.iterdir() if is_image(item.name, more) and not item.is_dir())
        if not files:
            raise StyleLoomError(f"the folder {path} holds no image ({', '.join(sorted(images.SUFFIXES))})")
        return files
    if path.exists() or text in samples.NAMES:
        return [text]
    files = sorted(item for item in glob(text) if is_image(Path(item).name, more) and not Path(item).is_dir())  # noqa: PTH207 (absolute ones too)
    if not files:
        raise StyleLoomError(f"no such image: {text}; give a file, a folder, a glob, or one of {', '.join(samples.NAMES)}")
    return files


def find_all(sources: PathLike | Sequence[PathLike], *, more: Collection[str] = ()) -> list[str]:
    """The images of one or several names, each once."""
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    return list(dict.fromkeys(path for source in several for path in find(source, more=more)))


def open_image(source: PathLike, max_pixels: int = images.MAX_PIXELS, as_bytes: bool = False) -> Tensor:
    """The image [1, 3, H, W] behind a file name or a bundled name; a file wins."""
    text = str(source)
    if samples.is_bundled(text):
        return samples.bundled(text)
    return images.read(text, max_pixels=max_pixels, as_bytes=as_bytes)


def open_mask(source: PathLike, max_pixels: int = images.MAX_PIXELS) -> Tensor:
    """A mask [1, 1, H, W] from the brightness of an image: white is 1, black and transparent are 0."""
    return images.rgb_to_yiq(images.read(source, max_pixels=max_pixels, paper=0.0))[:, :1].clamp(0, 1)


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
