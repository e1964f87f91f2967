"""Files of a data set: folders in depth, zips and the folders in them, and the part for training."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from styleloom.core.errors import StyleLoomError

from . import images
from .stores import address_of, opened


def files_below(folder: Path) -> list[str]:
    """Relative names of all files of a folder and of those in it, linked folders too, sorted."""
    names: list[str] = []
    visited: set[Path] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = Path(root).resolve()
        if real in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real)
        names += [(Path(root) / name).relative_to(folder).as_posix() for name in files]
    return sorted(names, key=PurePosixPath)


def split_zip(source: Path) -> tuple[Path | None, str]:
    """The zip of a source and the folder in it that is meant, as in ``horse2zebra.zip/trainA``; None where there is no zip."""
    for file in (source, *source.parents):
        if file.suffix.lower() == ".zip" and (file == source or file.is_file() or address_of(source)):
            inside = source.relative_to(file).as_posix()
            return file, "" if inside == "." else f"{inside}/"
    return None, ""


def open_zip(file: Path) -> zipfile.ZipFile:
    """Open a zip, of this machine or of a store.

    Raises:
        StyleLoomError: it cannot be read.
    """
    try:
        address = address_of(file)
        return zipfile.ZipFile(opened(address) if address else file)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise StyleLoomError(f"cannot read {file}: {error}") from error


PARTS = ("val", "valid", "validation", "test")  # folders beside train that are kept for measuring


def training_part(names: Sequence[str]) -> list[str]:
    """The images of a data set that are for training: those in its folder ``train``, where val or test stand beside it."""
    tops = [PurePosixPath(name).parts for name in names]
    while tops and all(len(parts) > 1 for parts in tops) and len({parts[0] for parts in tops}) == 1:
        tops = [parts[1:] for parts in tops]
    folders = {parts[0] for parts in tops if len(parts) > 1}
    if "train" not in folders or not folders & set(PARTS):
        return list(names)
    return [name for name, parts in zip(names, tops, strict=True) if len(parts) > 1 and parts[0] == "train"]


def is_image(name: str, more: Collection[str] = ()) -> bool:
    """Whether a file is an image by its name, or has one of ``more`` suffixes.

    Hidden files, and those that macOS puts beside images, are none.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in (*images.SUFFIXES, *more)
