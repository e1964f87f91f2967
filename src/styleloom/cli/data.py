"""``styleloom data``: pictures to work with."""

from __future__ import annotations

from pathlib import Path

from styleloom import painterly
from styleloom.blocks import images

from .options import Common, check_folder
from .report import Report


def styles(*, out: Path = Path("styles"), size: int = 512, seed: int = 0, common: Common) -> None:
    """Draw the sixteen bundled style pictures into a folder.

    Args:
        out: folder to write them to.
        size: side in pixels.
        seed: 0 for the pictures as they were composed; others rearrange them and turn their hues.
    """
    report = Report(common)
    folder = check_folder(out)
    written = []
    for name in painterly.STYLES:
        target = folder / f"{name}.png"
        images.write(painterly.draw(name, size, seed), target)
        written.append(str(target))
        report.say(f"wrote {target}")
    report.outcome(pictures=written)
