"""Events that jobs yield, as plain dataclasses."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened in a job."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the kind of event under ``"event"``."""
        kind = re.sub("(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return {"event": kind, **asdict(self)}


@dataclass(frozen=True)
class Started(Event):
    """The job begins.

    Attributes:
        verb: what is done.
        total: items in all.
        pending: how many of these are not done yet.
    """

    verb: str
    total: int
    pending: int


@dataclass(frozen=True)
class Noted(Event):
    """A remark that users should see, on an item or on a file that is not taken.

    Attributes:
        item: name of the item.
        text: the remark, in one line.
    """

    item: str
    text: str


@dataclass(frozen=True)
class Progressed(Event):
    """Progress of the work on one item, or on several at once.

    Attributes:
        item: name of the item, or what is worked on.
        index: steps done.
        total: steps in all.
        losses: terms of a loss, by name.
        seconds: since the work on it began.
    """

    item: str
    index: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class ItemDone(Event):
    """An item is done and its files are written.

    Attributes:
        item: name of the item.
        out: the files.
        seconds: seconds that it took.
        values: what else there is to tell of it.
        skipped: it was done before.
    """

    item: str
    out: tuple[str, ...] = ()
    seconds: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False


@dataclass(frozen=True)
class ItemFailed(Event):
    """An item could not be done; the others go on.

    Attributes:
        item: name of the item.
        reason: why it failed, in one line.
    """

    item: str
    reason: str


@dataclass(frozen=True)
class Finished(Event):
    """The job is over.

    Attributes:
        done: items that were done now.
        skipped: items that had been done before.
        failed: names of the others, with reasons.
        seconds: seconds of the whole job.
        values: what there is to tell of all items together.
    """

    done: int
    skipped: int
    failed: dict[str, str]
    seconds: float
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One input and the files that become of it.

    Attributes:
        name: what it is called in events: a file, a bundled name, a seed.
        targets: the files to write.
    """

    name: str
    targets: tuple[Path, ...] = ()
