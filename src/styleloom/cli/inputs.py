"""Pictures named on the command line: files, folders, globs and bundled names."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from torch import Tensor

from styleloom import samples
from styleloom.blocks import images
from styleloom.blocks.errors import StyleLoomError
from styleloom.blocks.files import check_folder


def find(text: str) -> list[str]:
    """The pictures that an argument stands for: a path or a bundled name gives itself, a folder or glob its pictures.

    Raises:
        StyleLoomError: nothing there.
    """
    path = Path(text)
    if path.is_dir():
        found = sorted(str(item) for item in path.iterdir() if item.suffix.lower() in images.SUFFIXES)
        if not found:
            raise StyleLoomError(f"the folder {path} holds no picture ({', '.join(sorted(images.SUFFIXES))})")
        return found
    if path.exists() or text in samples.NAMES:
        return [text]
    found = sorted(item for item in glob(text) if Path(item).suffix.lower() in images.SUFFIXES)  # noqa: PTH207 (absolute ones too)
    if not found:
        raise StyleLoomError(f"no such picture: {text}; give a file, a folder, a glob, or one of {', '.join(samples.NAMES)}")
    return found


def open_picture(text: str, max_pixels: int = images.MAX_PIXELS, as_bytes: bool = False) -> Tensor:
    """The picture [1, 3, H, W] behind a file name or a bundled name; a file wins."""
    if not Path(text).exists() and text in samples.NAMES:
        return samples.sample(text)
    return images.read(text, max_pixels=max_pixels, as_bytes=as_bytes)


def open_mask(text: str, max_pixels: int) -> Tensor:
    """A mask [1, 1, H, W] from the brightness of a picture: white is 1."""
    return images.rgb_to_yiq(images.read(text, max_pixels=max_pixels))[:, :1].clamp(0, 1)


def targets_of(contents: list[str], asked: str, out: Path) -> list[Path]:
    """Where each picture goes; everything is checked before anything is painted."""
    if contents == [asked] and not out.is_dir():
        return [images.check_writable(out)]
    check_folder(out)
    names = [Path(source).stem for source in contents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StyleLoomError(f"several photographs are called {', '.join(twice)} but for their suffix; rename them")
    targets = [images.check_writable(out / f"{name}.png") for name in names]
    check_apart(targets, contents)
    return targets


def check_apart(targets: Sequence[Path], sources: Sequence[str]) -> None:
    """Raise StyleLoomError where a file would be written twice, or over one that is read."""
    places, read = set(), {Path(source).resolve() for source in sources}
    for target in targets:
        place = target.resolve()
        if place in read:
            raise StyleLoomError(f"{target} is among the sources and would be overwritten; write to another place")
        if place in places:
            raise StyleLoomError(f"{target} would be written twice; rename the photographs")
        places.add(place)
