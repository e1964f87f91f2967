"""Output of the program: a progress bar with losses and ETA and lines of text, or one JSON object a line."""

from __future__ import annotations

import csv
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from styleloom import __version__
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.core.progress import Progress as LoopProgress
from styleloom.jobs import Event, Finished, ItemDone, ItemFailed, Noted, Progressed

from . import status
from .options import Common
from .status import SomeFailed, with_options

Loop = TypeVar("Loop", bound=LoopProgress)
TABLES = (".csv", ".tsv", ".txt")
QUIET = 30.0  # s between two lines about progress, where there is no terminal


def made_with() -> dict[str, Any]:
    """Versions and settings that results were made with: packages, and the command with all its options."""
    packages = ("torch", "numpy", "pillow", "scipy", "torchmetrics")
    return dict(
        versions=dict(styleloom=__version__, python=platform.python_version()) | {name: version(name) for name in packages},
        command=["styleloom", *status.arguments],
    )


def _columns(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of a table's columns: tables within a row one by one, lists with spaces."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _columns(value, f"{prefix}{name}.")
        else:
            yield prefix + name, " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def asks(common: Common) -> bool:
    """Whether somebody is at the terminal to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not (common.quiet or common.json)


class Report:
    """Speaks as ``--quiet`` and ``--json`` ask: text and bars on stderr, JSON on stdout."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.last_line = time.monotonic()  # when a line about progress was last printed
        status.log_to(common.log_file)
        if common.csv is not None:
            check_parent(common.csv)
            if common.csv.exists() and common.csv.suffix.lower() not in TABLES:
                raise StyleLoomError(f"{common.csv} exists and is no .csv, so no table replaces it; name another file")
        self.bar: Progress | None = None  # the one that is drawn
        self.console = Console(stderr=True, quiet=common.quiet or common.json, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line of text."""
        self.console.print(text, markup=False)
        status.log(text)

    def ask(self, question: str) -> bool:
        """The answer of whoever sits at the terminal; no bar is drawn meanwhile."""
        if self.bar is not None:
            self.bar.stop()
        answer: bool = typer.confirm(question, default=True, err=True)
        if self.bar is not None:
            self.bar.start()
        return answer

    def json(self, values: dict[str, Any]) -> None:
        """Print a JSON object on a line, when that was asked for."""
        if self.common.json:
            print(json.dumps(values), flush=True)

    def outcome(self, rows: Sequence[Mapping[str, Any]] = (), /, **values: Any) -> None:
        """Print the JSON object about the outcome and write the table, where they were asked for: of rows, or of one."""
        self.json(values | made_with())
        self.table(rows or [values])

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of values to the CSV file, where one was asked for; tables within a row become columns ``a.b``."""
        if self.common.csv is None:
            return
        flat = [dict(_columns(row)) for row in rows]
        names = list(dict.fromkeys(name for row in flat for name in row))
        with replacing(self.common.csv) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(flat)

    def watch(self, loop: Iterable[Loop], title: str) -> Iterator[Loop]:
        """Pass a loop's items on and show how far it is, its losses and its ETA."""
        with self._bar() as bar:
            task = bar.add_task(title, total=None, losses="")
            for item in loop:
                self._advance(bar, task, item, getattr(item, "rate", 0))
                yield item

    def follow(self, events: Iterable[Event], tell: Callable[[ItemDone], str], outcome: Callable[[Finished], str]) -> Finished:
        """Draw the events of a job.

        Args:
            events: events of the job.
            tell: a line about an item that is done.
            outcome: a line about the whole, or nothing.

        Raises:
            SomeFailed: some of several could not.
        """
        last: Progressed | None = None
        finished = Finished(0, 0, {}, 0.0)
        rows: list[dict[str, Any]] = []
        try:
            with self._bar() as bar:
                task = bar.add_task("", total=None, losses="")
                for event in events:
                    if not isinstance(event, Finished):
                        self.json(event.as_dict())
                    if isinstance(event, Progressed):
                        last = event
                        bar.update(task, description=event.item)
                        self._advance(bar, task, event)
                    elif isinstance(event, Noted):
                        self.say(f"note: {event.item}: {with_options(event.text)}")
                    elif isinstance(event, ItemFailed):
                        rows.append(dict(item=event.item, failed=event.reason))
                    elif isinstance(event, ItemDone):
                        last = None
                        row = dict(item=event.item, out=" ".join(event.out), seconds=event.seconds, skipped=event.skipped)
                        rows.append(row | event.values)
                        if text := f"{event.item}: done before" if event.skipped else tell(event):
                            self.say(text)
                    elif isinstance(event, Finished):
                        finished = event
        except KeyboardInterrupt:
            where = f" at step {last.index} of {last.total}" if last is not None else ""
            self.say(f"stopped{where}; the same command goes on")
            raise
        finally:
            if rows:
                self.table(rows)
        return self._conclude(finished, outcome)

    def _conclude(self, finished: Finished, outcome: Callable[[Finished], str]) -> Finished:
        if text := outcome(finished):
            self.say(text)
        self.json(finished.as_dict() | made_with())
        if finished.failed:
            total = finished.done + finished.skipped + len(finished.failed)
            for name, reason in finished.failed.items():
                print(f"failed: {name}: {with_options(reason)}", file=sys.stderr)
                status.log(f"failed: {name}: {with_options(reason)}")
            print(f"error: {len(finished.failed)} of {total} could not be done", file=sys.stderr)
            raise SomeFailed
        return finished

    def _bar(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        self.bar = Progress(*columns, console=self.console, disable=self.console.quiet or not self.console.is_terminal)
        return self.bar

    def _advance(self, bar: Progress, task: Any, step: LoopProgress | Progressed, rate: float = 0.0) -> None:
        losses = "  ".join(f"{name} {value:.4g}" for name, value in step.losses.items())
        losses = f"{rate:.3g} images/s  {losses}" if rate else losses
        now = time.monotonic()
        if not self.console.is_terminal and now - self.last_line > QUIET and step.total:  # where there is no bar
            self.last_line = now
            left = step.seconds / max(1, step.index) * (step.total - step.index)
            name = getattr(step, "item", "")
            self.say(f"{name + ': ' if name else ''}{step.index} of {step.total}, {left:.0f} s left  {losses}".rstrip())
        bar.update(task, completed=step.index, total=step.total, losses=losses)
