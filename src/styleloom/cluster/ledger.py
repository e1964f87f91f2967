"""Attempts at the items of a job and what became of them, as files that outlive the worker.

A cluster does a block again whose worker died. What was finished before is told from here and not done twice, and an item that
takes its worker with it again and again is given up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from styleloom.core.files import replacing
from styleloom.jobs.events import Event, Item, ItemDone, ItemFailed

FOLDER = ".styleloom-ledger"
ATTEMPTS = 5  # at an item, before it is given up
GIVEN_UP = f"its worker died {ATTEMPTS} times at it, perhaps for lack of memory"


class Ledger:
    """The ledger of a job.

    Args:
        folder: folder that all workers see; made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def left(self, items: Sequence[Item]) -> tuple[list[Event], list[Item]]:
        """Events of the items that are over, and those that are to be done, of each of which an attempt is noted."""
        over: list[Event] = []
        todo: list[Item] = []
        for item in items:
            if (known := self.known(item)) is not None:
                over.append(known)
                continue
            number = self._begin(item)
            if number > 1 and self._was_written(item):
                over.append(self.note(ItemDone(item.name, tuple(map(str, item.targets)))))
            elif number > ATTEMPTS:
                over.append(self.note(ItemFailed(item.name, GIVEN_UP)))
            else:
                todo.append(item)
        return over, todo

    def known(self, item: Item) -> Event | None:
        """The end of an item; None where it has none yet."""
        try:
            told = json.loads(self._path(item.name, "end").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return ItemFailed(**told) if "reason" in told else ItemDone(**told | dict(out=tuple(told["out"])))

    def note(self, event: ItemDone | ItemFailed) -> Event:
        """Note the end of an item."""
        with replacing(self._path(event.item, "end")) as temporary:
            temporary.write_text(json.dumps(asdict(event), default=str), encoding="utf-8")
        return event

    def _begin(self, item: Item) -> int:
        """The number of an attempt that begins now."""
        for number in range(1, ATTEMPTS + 2):
            try:
                os.close(os.open(self._path(item.name, f"attempt-{number}"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return number
        return ATTEMPTS + 1

    def _was_written(self, item: Item) -> bool:
        """Whether an earlier attempt wrote all outputs: they are put in place whole, so what is there is whole."""
        try:
            began = self._path(item.name, "attempt-1").stat().st_mtime_ns
            return bool(item.targets) and all(target.stat().st_mtime_ns >= began for target in item.targets)
        except OSError:
            return False

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.{kind}"
