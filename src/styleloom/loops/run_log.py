"""The log of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_folder, replacing
from styleloom.data import images

if TYPE_CHECKING:
    from styleloom.loops.task import TrainingStep

LOG = "log.jsonl"


def _step_of(line: str) -> float:
    """The step that a line is of; infinite for one that was half written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class RunLog:
    """``log.jsonl``, sheets of samples, and TensorBoard's files where it is installed.

    Args:
        out: folder of the run.
        done: steps that were taken before.
        every: steps between two lines.
    """

    def __init__(self, out: Path, done: int, every: int) -> None:
        self.path, self.every = out / LOG, every
        self.samples = out / "samples"
        if self.path.exists():  # lines of steps that will be taken again
            lines = [line for line in self.path.read_text().splitlines() if _step_of(line) <= done]
            with replacing(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines))
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board: Any = SummaryWriter(str(out), purge_step=done)
        except ImportError:
            self.board = None

    def write(self, tick: TrainingStep, last: bool) -> None:
        """A line of a step, if it is its turn or the last one."""
        if tick.index % self.every and not last:
            return
        row: dict[str, Any] = dict(step=tick.index, images=tick.images, seconds=round(tick.seconds, 2))
        row |= dict(rate=round(tick.rate, 2)) | tick.losses | (dict(skipped=tick.skipped) if tick.skipped else {})
        self._append(row)
        self._scalars("loss", tick.losses, tick.index)

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """A line of the quality at a step."""
        self._append({"step": step, **figures})
        self._scalars("quality", figures, step)

    def _append(self, row: Mapping[str, Any]) -> None:
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise StyleLoomError(f"cannot write {self.path}: {error.strerror}") from error

    def _scalars(self, group: str, figures: Mapping[str, float], step: int) -> None:
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(f"{group}/{name}", value, step)
            self.board.flush()

    def image(self, sheet: Tensor, step: int) -> None:
        """A sheet of samples [1, 3, H, W] at a step."""
        check_folder(self.samples)
        images.write(sheet.cpu(), self.samples / f"{step:06d}.png")
