"""``styleloom average``: one model of several."""

from __future__ import annotations

from pathlib import Path

from styleloom.core import checkpoint
from styleloom.jobs.engine import check_apart

from .options import Common
from .report import Report


def average(models: list[str], *, out: Path, common: Common) -> None:
    """Average the weights of models that were trained from the same one, which is often better than each of them.

    Args:
        models: two or more, names from "styleloom zoo" or model files; what is no weight is the first one's.
        out: model file to write, a .safetensors.
    """
    report = Report(common)
    check_apart([out], models)
    count = checkpoint.average(models, out)
    report.say(f"wrote {out}  (of {len(models)} models, {count:,} numbers)")
    report.outcome(out=str(out), models=models, numbers=count)
