"""Attempts at the items of a job and what became of them, as files that outlive the worker.

A cluster does a block again whose worker died. What was finished before is told from here and not done twice, and an item that
takes its worker with it again and again is given up. Where the driver died, the next run of the job, on whatever engine, takes
over what its workers had finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from .events import Event, Item, ItemDone, ItemFailed

FOLDER = ".styleloom-ledger"
ATTEMPTS = 5  # at an item, before it is given up
GIVEN_UP = f"its worker died {ATTEMPTS} times at it, perhaps for lack of memory"


class Ledger:
    """The ledger of a job.

    Args:
        folder: folder that all workers see.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, folder: Path | None, job: str) -> Ledger:
        """The ledger of a job, beside its outputs.

        Args:
            folder: folder of the outputs.
            job: digest of the job.
        """
        return cls((folder or Path(tempfile.gettempdir())) / f"{FOLDER}-{job[:16]}")

    def taken_over(self, item: Item, has: Callable[[Path], bool]) -> ItemDone | None:
        """The end of an item that workers of an earlier run finished; None where they did not, and it is to be tried anew.

        Args:
            item: the item.
            has: whether an output is there.
        """
        if not self.folder.is_dir():
            return None
        known = self.known(item)
        if isinstance(known, ItemDone) and all(map(has, item.targets)):
            return known
        if known is None and self._path(item.name, "attempt-1").exists() and item.targets and all(map(has, item.targets)):
            return ItemDone(item.name, tuple(map(str, item.targets)))
        for path in self.folder.glob(f"{self._path(item.name, '').stem}.*"):
            path.unlink()
        return None

    def remove(self) -> None:
        """Remove it, when the job is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self, items: Sequence[Item]) -> tuple[list[Event], list[Item]]:
        """Events of the items that are over, and those that are to be done, of each of which an attempt is noted."""
        self.folder.mkdir(parents=True, exist_ok=True)
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
        path = self._path(event.item, "end")
        own = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        own.write_text(json.dumps(asdict(event), default=str), encoding="utf-8")
        own.replace(path)  # not forced to the disk: it is to outlive a worker, not the machine
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
