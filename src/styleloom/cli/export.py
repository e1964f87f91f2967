"""``styleloom export``: models for other runtimes."""

from __future__ import annotations

from pathlib import Path

from styleloom import models
from styleloom.onnx import export as export_

from .options import Common
from .report import Report


def export(model: str, *, out: Path, to: str = "B", statistics: str = "saved", common: Common) -> None:
    """Write a one-pass model as an ONNX file that takes batches and images of any size.

    Args:
        model: a name from "styleloom zoo", or a model file.
        out: file to write, a .onnx.
        to: the domain that a translator makes, B or A.
        statistics: saved, or batch for each batch's own in a translator's batch norms.
    """
    report = Report(common)
    inputs = export_(models.load(model), out, to=to, statistics=statistics)
    shapes = ", ".join(f"{name} {shape}" for name, shape in inputs.items()).replace("'", "")
    report.say(f"wrote {out}  ({out.stat().st_size / 1e6:.1f} MB; takes {shapes})")
    report.outcome(out=str(out), inputs=inputs)
