"""Several processes on one folder: each item is claimed by the process that works on it, so that nothing is done twice."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .events import Item

FOLDER = ".styleloom-claims"
STALE = 24 * 3600.0  # s after which a claim of another machine is taken to be left behind


class Claims:
    """Claims of items in an output folder, as files that only one process can create.

    Args:
        folder: folder of the outputs; without one there is a single output, and nothing is claimed.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder / FOLDER if folder is not None else None
        self.own: set[Path] = set()
        self.others: list[str] = []

    def taking(self, items: Sequence[Item], settled: Callable[[Item], bool]) -> Sequence[Item]:
        """Items that are claimed one by one as they are taken.

        Those that another process works on, or has finished (``settled``), are passed over and noted in ``others``.
        """
        return _Taking(items, self, settled)

    def take(self, item: Item) -> bool:
        """Claim an item; False where another process has it."""
        if self.folder is None:
            return True
        path = self._path(item.name)
        for _ in range(3):  # once more, where a claim was left behind or another process has just removed the folder
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileNotFoundError:
                continue
            except FileExistsError:
                if not _is_left_behind(path):
                    return False
                path.unlink(missing_ok=True)
                continue
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{socket.gethostname()} {os.getpid()}")
            self.own.add(path)
            return True
        return False

    def release(self, name: str) -> None:
        """Give an item up, which is done or has failed."""
        if self.folder is not None and (path := self._path(name)) in self.own:
            path.unlink(missing_ok=True)
            self.own.discard(path)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:24]

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.own:
            path.unlink(missing_ok=True)
        if self.folder is not None and self.folder.is_dir():
            with contextlib.suppress(OSError):  # others are still at work
                self.folder.rmdir()


class _Taking(Sequence[Item]):
    def __init__(self, items: Sequence[Item], claims: Claims, settled: Callable[[Item], bool]) -> None:
        self.items, self.claims, self.settled = items, claims, settled
        self.taken: dict[str, bool] = {}  # decided once, however often the items are listed

    def __iter__(self) -> Iterator[Item]:
        for item in self.items:
            if item.name not in self.taken:
                self.taken[item.name] = self._take(item)
            if self.taken[item.name]:
                yield item

    def _take(self, item: Item) -> bool:
        taken = self.claims.take(item)
        if taken and self.settled(item):
            self.claims.release(item.name)
            taken = False
        if not taken:
            self.claims.others.append(item.name)
        return taken

    def __getitem__(self, index: int) -> Item:  # type: ignore[override]
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


def _is_left_behind(path: Path) -> bool:
    """Whether the process that made a claim is gone: it does not run on this machine, or the claim is a day old."""
    try:
        host, _, number = path.read_text().partition(" ")
        age = time.time() - path.stat().st_mtime
    except OSError:
        return True  # released just now
    if host != socket.gethostname() or not number.isdecimal():
        return age > STALE
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
