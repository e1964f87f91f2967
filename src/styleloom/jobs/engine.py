"""Run a job over many files and yield events.

A job lists its items, each an input and the files that become of it. :func:`run` checks these before any work, passes over what a
manifest says is done, and goes on when one item fails. The manifest lies beside the outputs and is written after each item, so a
job that is stopped, or killed, goes on where it was, and the same command does nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_folder
from styleloom.core.progress import Progress
from styleloom.data import video
from styleloom.data.stores import address_of, version_of
from styleloom.data.video_in import notes_on

from .claims import Claims
from .events import Event, Finished, Item, ItemDone, ItemFailed, Noted, Progressed, Started
from .ledger import Ledger
from .outputs import Outputs
from .storing import Storing, Work

Step = TypeVar("Step", bound=Progress)
MANIFEST = ".styleloom.jsonl"
STORE_EVERY = 2.0  # s between two times that a manifest goes to a store
NO_FILES = Outputs(Path())


@dataclass(frozen=True)
class Job:
    """A verb and what it is done on, all resolved: models, options and names of files.

    Attributes:
        verb: name of the verb.
        items: all of them.
        work: does some of the items, one after the other or several at once; yields :class:`Progressed`, :class:`ItemDone` and
            :class:`ItemFailed`.
        settings: digest of everything but the items that the outputs depend on; "" where there are no outputs.
        folder: folder of the outputs, where there are several.
        sources: files that are read, which no output may overwrite.
        state: state of a target, the file in which unfinished work is kept.
        summary: makes ``values`` of :class:`Finished`, of the items that are done.
        passed_over: files that are not taken, with reasons.
        spreads_itself: its work stays in this process, and has an engine do parts of it.
    """

    verb: str
    items: Sequence[Item]
    work: Work
    settings: str = ""
    folder: Path | None = None
    sources: Sequence[str | Path] = ()
    state: Callable[[Path], Path] | None = None
    summary: Callable[[Sequence[ItemDone]], dict[str, Any]] = lambda done: {}
    passed_over: Mapping[str, str] = field(default_factory=dict)
    spreads_itself: bool = False


def digest(*settings: Any, tensors: Iterable[Tensor] = (), files: Iterable[str | Path] = ()) -> str:
    """A short digest of plain values, tensors, and the contents of files; what is no file counts by its name."""
    contents = [_content(Path(file)) or str(file) for file in files]
    return fingerprint([json.loads(json.dumps(each, default=str)) for each in (*settings, *contents)], list(tensors))


def _content(path: Path) -> str:
    """Digest of a file's bytes, or of the version of a store's file; "" where there is none."""
    if address := address_of(path):
        return version_of(address)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def run(job: Job, outputs: Outputs = NO_FILES) -> Iterator[Event]:
    """Do what is left of a job.

    Args:
        job: see :class:`Job`.
        outputs: what happens to files that exist already.

    Yields:
        Events: one :class:`Started`, those of the work, one :class:`Finished`.

    Raises:
        StyleLoomError: outputs that would overwrite a source, each other, or files that this job did not make; and in the end,
            where the only item could not be done, or none of them for one and the same reason.
    """
    # This shard's items, and their targets.
    began = time.perf_counter()
    number, count = outputs.shard
    job = replace(job, items=list(job.items)[number - 1 :: count])
    check_apart([target for item in job.items for target in item.targets], job.sources)
    storing = Storing(outputs.store)
    manifest = _Manifest(job, outputs.overwrite, storing)
    job = replace(job, work=storing.work(job.work))
    if outputs.overwrite and job.state is not None:
        for item in job.items:
            for target in item.targets:
                job.state(target).unlink(missing_ok=True)
    ledger, items = ledger_of(job), {item.name: item for item in job.items}
    finished, pending = _told_apart(job, outputs, manifest, ledger)
    if not outputs.overwrite:
        _check_free(job, pending, storing.has)
    # Work on the rest; note each outcome in the manifest.
    yield Started(job.verb, len(job.items), len(pending))
    yield from (Noted(name, f"passed over: {reason}") for name, reason in job.passed_over.items())
    yield from finished.values()
    outcomes = dict(finished)
    failed: dict[str, str] = {}
    with _folder(job.folder if pending else None), Claims(job.folder) as claims:
        claimed = claims.taking(pending, manifest.settled)
        engine = None if job.spreads_itself else outputs.engine
        events = job.work(claimed) if engine is None else engine(job, list(claimed))
        for event in events if pending else ():
            if isinstance(event, ItemDone):
                outcomes[event.item] = event
                manifest.add(event, items[event.item])
            elif isinstance(event, ItemFailed):
                failed[event.item] = event.reason
            yield event
            if isinstance(event, ItemDone | ItemFailed):
                claims.release(event.item)
        yield from (Noted(name, "another process works on it") for name in claims.others)
        manifest.store()
        ledger.remove()
    # Sum up.
    if failed and not outcomes and len(set(failed.values())) == 1:  # the only item, or a mistake that is not the items'
        raise StyleLoomError(next(iter(failed.values())))
    summary = job.summary([outcomes[item.name] for item in job.items if item.name in outcomes])
    yield Finished(len(outcomes) - len(finished), len(finished), failed, round(time.perf_counter() - began, 3), summary)


def ledger_of(job: Job) -> Ledger:
    """The ledger of a job."""
    return Ledger.of(job.folder, digest(job.verb, job.settings))


def _told_apart(job: Job, outputs: Outputs, manifest: _Manifest, ledger: Ledger) -> tuple[dict[str, ItemDone], list[Item]]:
    """The items that are done, and those that are not."""
    has = manifest.storing.has
    if outputs.overwrite:
        ledger.remove()
    finished: dict[str, ItemDone] = {}
    pending: list[Item] = []
    for item in job.items:
        if (before := manifest.finished(item)) is not None:
            finished[item.name] = before
        elif (ended := ledger.taken_over(item, has)) is not None:  # by workers whose driver did not live to note it
            finished[item.name] = replace(ended, skipped=True)
            manifest.add(ended, item)
        elif outputs.skip_existing and item.targets and all(map(has, item.targets)):
            finished[item.name] = ItemDone(item.name, tuple(map(str, item.targets)), skipped=True)
        else:
            pending.append(item)
    return finished, pending


@contextmanager
def _folder(path: Path | None) -> Iterator[None]:
    """Make a folder for outputs; one that was made for nothing goes again."""
    made = path is not None and not path.exists()
    if path is not None:
        check_folder(path)
    try:
        yield
    finally:
        if path is not None and made and not any(path.iterdir()):
            path.rmdir()


def watched(item: str, loop: Iterable[Step]) -> Generator[Event, None, Step]:
    """A loop's progress as events; the value of ``yield from`` is the last step.

    Raises:
        StyleLoomError: the loop had no step.
    """
    step: Step | None = None
    for step in loop:
        yield Progressed(item, step.index, step.total, dict(step.losses), round(step.seconds, 3))
    if step is None:
        raise StyleLoomError(f"{item}: there was nothing to do")
    return step


def one_by_one(item: Item, work: Callable[[Item], Iterator[Event]]) -> Iterator[Event]:
    """The work on one item; what it refuses fails it."""
    try:
        yield from work(item)
    except StyleLoomError as error:
        yield ItemFailed(item.name, str(error))


def video_by_frames(
    item: Item, paint: Callable[[Tensor], Tensor], smooth: float, *, parallel: bool = False, spread: video.Spread | None = None
) -> Iterator[Event]:
    """Paint a video; see :func:`styleloom.data.video.repaint`."""
    (target,) = item.targets
    loop = video.repaint(item.name, target, paint, smooth=smooth, parallel=parallel, spread=spread)
    last = yield from watched(target.name, loop)
    notes = notes_on(item.name)
    values = dict(frames=last.index) | (dict(notes=notes) if notes else {})
    yield ItemDone(item.name, (str(target),), round(last.seconds, 2), values)


def check_apart(targets: Sequence[Path], sources: Sequence[str | Path]) -> None:
    """Raise StyleLoomError where a file would be written twice, or over one that is read, in a folder or through links too."""
    read, files = {Path(source).resolve() for source in sources}, {_file(source) for source in sources} - {None}
    targets_so_far: set[Path] = set()
    for target in targets:
        resolved = target.resolve()
        inside = target.exists() and any(each in resolved.parents for each in read if each.is_dir())
        if resolved in read or _file(target) in files or inside:
            raise StyleLoomError(f"{target} is among the sources and would be overwritten; write to another place")
        if resolved in targets_so_far:
            raise StyleLoomError(f"{target} would be written twice; rename the sources")
        targets_so_far.add(resolved)


def _file(path: str | Path) -> tuple[int, int] | None:
    """Identity of a file that all its names share, hard links too; None where there is no file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_free(job: Job, pending: Sequence[Item], has: Callable[[Path], bool]) -> None:
    """Raise StyleLoomError where something is in the way of an output that this job did not begin."""
    begun = [item for item in pending if job.state and any(job.state(target).exists() for target in item.targets)]
    taken = [target for item in pending if item not in begun for target in item.targets if has(target)]
    check_absent(taken)


def check_absent(taken: Sequence[Path]) -> None:
    """Raise StyleLoomError where there are files in the way of outputs."""
    if taken:
        others = f", and {len(taken) - 1} more," if len(taken) > 1 else ""
        raise StyleLoomError(
            f"{taken[0]}{others} exists already; write to another place, replace it with `overwrite`, or keep it with "
            "`skip_existing`"
        )


class _Manifest:
    """The finished items of a job: a line of JSON an item, added when it is done, in a hidden file beside the outputs."""

    def __init__(self, job: Job, overwrite: bool, storing: Storing) -> None:
        self.job, self.storing = job, storing
        folders = [target.parent for item in job.items for target in item.targets[:1]]
        self.path = (job.folder or folders[0]) / MANIFEST if folders else None
        self.entries: dict[tuple[str, ...], Any] = {}
        self.keys: dict[str, str] = {}
        self.stored = time.monotonic()
        self.overwrite = overwrite
        if self.path is not None:
            storing.fetch(self.path)
        self._read()

    def _read(self) -> None:
        if self.path is None or self.overwrite or not self.path.exists():
            return
        for line in self.path.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                self.entries[entry["item"], *entry["out"]] = entry
            except (ValueError, TypeError, KeyError):
                continue  # a line that a full disk or a power cut left unfinished: that item is not done

    def _key(self, item: Item) -> str:
        """Digest of the job and of the file that an item is read from."""
        if item.name not in self.keys:
            source = Path(item.name)
            content = "" if source in item.targets else _content(source)
            self.keys[item.name] = digest(self.job.verb, self.job.settings, content)
        return self.keys[item.name]

    def finished(self, item: Item) -> ItemDone | None:
        """The event of an item that was done before, of the same file and settings, and whose outputs are still there."""
        entry = self.entries.get((item.name, *(target.name for target in item.targets)))
        if entry is None or entry["job"] != self._key(item) or not all(map(self.storing.has, item.targets)):
            return None
        return ItemDone(item.name, tuple(map(str, item.targets)), entry["seconds"], entry["values"], skipped=True)

    def settled(self, item: Item) -> bool:
        """Whether another process has finished an item since the manifest was read."""
        if all(map(self.storing.has, item.targets)):
            self._read()
        return self.finished(item) is not None

    def add(self, event: ItemDone, item: Item) -> None:
        """Write down that an item is done."""
        if self.path is None:
            return
        entry = dict(item=event.item, out=[target.name for target in item.targets], seconds=event.seconds, values=event.values)
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(entry | dict(job=self._key(item))) + "\n")
        except OSError as error:
            raise StyleLoomError(f"cannot write {self.path}: {error.strerror}") from error
        if time.monotonic() - self.stored > STORE_EVERY:
            self.store()

    def store(self) -> None:
        """Store the manifest beside the outputs, where these are in a store."""
        self.stored = time.monotonic()
        if self.path is not None and self.path.exists():
            self.storing.keep(self.path)
