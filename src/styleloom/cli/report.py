"""What the program says: a progress bar with losses and ETA, lines of text, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from styleloom.blocks.descend import Progress as LoopProgress

from .options import Common

Item = TypeVar("Item", bound=LoopProgress)


def first_process() -> bool:
    """Whether this is the one of several processes on a machine that speaks for all."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


class Report:
    """Speaks as ``--quiet`` and ``--json`` ask: text and bars on stderr, the JSON object on stdout."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.console = Console(stderr=True, quiet=common.quiet or common.json, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line of text."""
        self.console.print(text, markup=False)

    def outcome(self, **values: Any) -> None:
        """Print the JSON object, when it was asked for."""
        if self.common.json:
            json.dump(values, sys.stdout)
            sys.stdout.write("\n")

    def watch(self, loop: Iterable[Item], title: str) -> Iterator[Item]:
        """Pass a loop's items on and show how far it is, its losses and its ETA."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        with Progress(*columns, console=self.console, disable=self.console.quiet or not self.console.is_terminal) as bar:
            task = bar.add_task(title, total=None, losses="")
            for item in loop:
                losses = "  ".join(f"{name} {value:.4g}" for name, value in item.losses.items())
                if rate := getattr(item, "rate", 0):
                    losses = f"{rate:.3g} pictures/s  {losses}"
                bar.update(task, completed=item.index, total=item.total, losses=losses)
                yield item
