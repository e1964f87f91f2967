"""Outputs of a job that go to an object store: what is there, and work whose files are stored as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from styleloom.data.stores import Store

from .events import Event, Item, ItemDone

Work = Callable[[Sequence[Item]], Iterator[Event]]


@dataclass
class Storing:
    """The store of a job's outputs, or none.

    Attributes:
        store: the store; None: outputs stay on this machine.
        there: names of the files that were in it when the job began.
    """

    store: Store | None
    there: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.there = self.store.names() if self.store is not None else set()

    def has(self, path: Path) -> bool:
        """Whether an output is there: in the store, where there is one. What a dead worker left in the mirror was not stored."""
        if self.store is None:
            return path.exists()
        return path.relative_to(self.store.mirror).as_posix() in self.there

    def fetch(self, path: Path) -> None:
        """Take a file of the store into the mirror."""
        if self.store is not None:
            path.unlink(missing_ok=True)
            self.store.get(path)

    def keep(self, path: Path) -> None:
        """Store a file of the mirror."""
        if self.store is not None:
            self.store.put(path)

    def work(self, work: Work) -> Work:
        """Work whose outputs are stored, and then gone from this machine."""
        return work if self.store is None else _Stored(work, self.store)


@dataclass(frozen=True)
class _Stored:
    """Work whose outputs go to a store; it can be sent to other machines."""

    work: Work
    store: Store

    def __call__(self, items: Sequence[Item]) -> Iterator[Event]:
        self.store.mirror.mkdir(parents=True, exist_ok=True)
        for event in self.work(items):
            if isinstance(event, ItemDone) and not event.skipped:
                for path in map(Path, event.out):
                    self.store.put(path)
                    path.unlink()
                event = ItemDone(event.item, tuple(self.store.of(Path(each)) for each in event.out), event.seconds, event.values)
            yield event
