"""``styleloom demo``: the bundled photographs repainted, on a page to look at."""

from __future__ import annotations

from pathlib import Path

from styleloom.demo.page import make_page

from .options import Common
from .report import Report


def demo(*, out: Path = Path("styleloom-demo"), size: int = 384, precision: str = "fp32", seed: int = 0, common: Common) -> None:
    """Repaint the bundled photographs in the bundled styles, on a page to look at.

    Args:
        out: folder for the images and index.html.
        size: longer side of the images in pixels.
        precision: fp32, or bf16 where the processor is fast at it.
        seed: seed of whatever is random.
    """
    report = Report(common)
    seconds, names = make_page(out, common.torch_device(), report.say, report.watch, size=size, precision=precision, seed=seed)
    report.outcome(page=str(out / "index.html"), seconds=round(seconds, 1), images=names)
