"""Classes of training images, from ``dataset.json`` or the names of folders."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from styleloom.core.errors import StyleLoomError
from styleloom.data.sources import split_zip

CLASSES = 10_000  # that any set may have; larger ones as many as images


def labels_of(locations: Sequence[tuple[Path, str]]) -> tuple[list[int], list[str]]:
    """Each image's class by number, and the classes' names; see :class:`SquareImages`, also for what is refused."""
    tables = {source: _table(source) for source, _ in locations}
    folders = {source: _class_folders([name for other, name in locations if other == source]) for source in tables}
    labels: list[str | int] = []
    for source, name in locations:
        table = tables[source]
        label = _whole(table.get(name)) if table is not None else folders[source].get(name)
        if not isinstance(label, str | int):
            reason = (
                f"dataset.json has {label!r}" if table is not None else "it is in no sub-folder, and there is no dataset.json"
            )
            raise StyleLoomError(f"{source}: no class for {name}: {reason}; give each image one whole number, or a sub-folder")
        labels.append(label)
    if all(isinstance(label, int) for label in labels):
        numbers = [int(label) for label in labels]
        most = max(len(numbers), CLASSES) - 1
        if wrong := [number for number in numbers if not 0 <= number <= most]:
            raise StyleLoomError(f"class {wrong[0]} in dataset.json; classes are numbered from 0, here to {most} at most")
        return numbers, [str(number) for number in range(max(numbers) + 1)]
    names = sorted({str(label) for label in labels})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)  # folder 10 comes after folder 2
    return [names.index(str(label)) for label in labels], names


def _class_folders(names: Sequence[str]) -> dict[str, str]:
    """The folder that says an image's class: the highest, below those that all images of the source share."""
    parts = {name: PurePosixPath(name).parts for name in names}
    while parts and min(map(len, parts.values())) > 2 and len({each[0] for each in parts.values()}) == 1:
        parts = {name: each[1:] for name, each in parts.items()}
    return {name: each[0] for name, each in parts.items() if len(each) > 1}


def _whole(label: Any) -> Any:
    """A class of ``dataset.json`` as a whole number, where it is one: written as 2.0, or as a vector with a single 1."""
    if isinstance(label, float) and label.is_integer():
        return int(label)
    if isinstance(label, list) and label and sorted(label) == [0] * (len(label) - 1) + [1]:
        return label.index(1)
    return label


def _table(source: Path) -> dict[str, Any] | None:
    """The labels of a source's ``dataset.json`` by name, or None where there is no such file."""
    expected = 'wanted {"labels": [[name, class], ...]}'
    try:
        archived, inside = split_zip(source)
        if archived is not None:
            with zipfile.ZipFile(archived) as archive:
                table = f"{inside}dataset.json"
                text = archive.read(table).decode() if table in archive.namelist() else ""
        else:
            path = source / "dataset.json"
            text = path.read_text() if path.exists() else ""
        whole = json.loads(text) if text else None
        if whole is not None and not isinstance(whole, dict):
            raise StyleLoomError(f"{source}: dataset.json is a {type(whole).__name__}; {expected}")
        return None if whole is None else dict(whole.get("labels") or {})
    except (OSError, ValueError, TypeError) as error:
        raise StyleLoomError(f"{source}: dataset.json cannot be read: {error}; {expected}") from error
