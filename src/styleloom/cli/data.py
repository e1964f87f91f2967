"""``styleloom data``: pictures to work with."""

from __future__ import annotations

from pathlib import Path

from styleloom import painterly
from styleloom.blocks import images

from .options import Common, check_folder
from .report import Report


def styles(*, out: Path = Path("styles"), size: int = 512, seed: int = 0, variations: int = 1, common: Common) -> None:
    """Draw the sixteen bundled style pictures into a folder, or thousands of variations of them.

    Args:
        out: folder to write them to.
        size: side in pixels.
        seed: 0 for the pictures as they were composed; others rearrange them and turn their hues.
        variations: draw each with so many seeds, from the first one on.
    """
    report = Report(common)
    folder = check_folder(out)
    written = []
    for number in range(seed, seed + variations):
        for name in painterly.STYLES:
            target = folder / (f"{name}.png" if variations == 1 else f"{name}-{number}.png")
            images.write(painterly.draw(name, size, number), target)
            written.append(str(target))
            report.say(f"wrote {target}")
    report.outcome(pictures=written)
