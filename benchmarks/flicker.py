"""How much a stylized video flickers: differences between frames, beyond those of the motion.

    python -m benchmarks.flicker --contents content/ --paintings paintings/

A camera pans over a photograph by whole pixels, so that the motion is known to the bit, with a sensor's noise of 2 of 255 in each
frame. Each frame is moved back by the motion and compared with the one before it: the mean absolute difference, as a share of the
mean absolute difference of a painted frame from its own mean, so that a dull result wins nothing. Once frame by frame, once
steadied as ``styleloom stylize`` does for videos by default. Results go to ``results/flicker.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import styleloom as sl
from styleloom.data import images
from styleloom.data.flow import Steady

RESULTS = Path(__file__).parent / "results" / "flicker.json"
SIZE, FRAMES = (320, 448), 8
STEP = (2, 4)  # rows and columns from one frame to the next
NOISE = 2 / 255
SMOOTH = 0.7  # the default of videos
SCENES = 4
Painter = Callable[[Tensor], Tensor]


def pan(photo: Tensor, seed: int) -> Iterator[Tensor]:
    """Frames [1, 3, *SIZE] of bytes."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(FRAMES):
        top, left = (index * step for step in STEP)
        frame = photo[..., top : top + SIZE[0], left : left + SIZE[1]]
        noisy = frame + NOISE * torch.randn(frame.shape, generator=generator)
        yield (noisy.clamp(0, 1) * 255).round().to(torch.uint8)


def flicker(frames: list[Tensor]) -> float:
    """Of painted frames [1, 3, *SIZE] of bytes, with the motion of :func:`pan`."""
    rows, columns = STEP
    floats = [frame / 255 for frame in frames]
    differences, spreads = [], []
    for before, after in itertools.pairwise(floats[2:]):  # the first two have little before them to be steadied by
        there, here = before[..., rows:, columns:], after[..., :-rows, :-columns]
        differences.append(float((there - here).abs().mean()))
        spreads.append(float((after - after.mean((2, 3), keepdim=True)).abs().mean()))
    return statistics.mean(differences) / statistics.mean(spreads)


def painters(style: Tensor) -> dict[str, Painter]:
    """Each one-pass method, for a painting, or for a bundled style where it knows no others."""
    return {
        "photograph": lambda frame: frame,
        "adain-lite": lambda frame: sl.stylize(frame, style, method="adain"),
        "anystyle": lambda frame: sl.stylize(frame, style, method="ghiasi"),
        "pastiche-16": lambda frame: sl.stylize(frame, "wave", method="dumoulin"),
        "johnson-swirls": lambda frame: sl.stylize(frame, "johnson-swirls", method="johnson"),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    options = parser.parse_args()
    photos, styles = (sorted(folder.glob("*.jpg"))[:SCENES] for folder in (options.contents, options.paintings))
    found: dict[str, dict[str, list[float]]] = {}
    for seed, (photo, style) in enumerate(zip(photos, styles, strict=True)):
        whole = sl.read(photo)
        whole = images.resize(whole, (SIZE[0] + FRAMES * STEP[0], SIZE[1] + FRAMES * STEP[1]))
        for name, paint in painters(images.resize_to_fit(sl.read(style), 512)).items():
            frames = list(pan(whole, seed))
            painted = [paint(frame) for frame in frames]
            steady = Steady(SMOOTH)
            steadied = [steady(frame, image) for frame, image in zip(frames, painted, strict=True)]
            figures = found.setdefault(name, {"frame by frame": [], "steadied": []})
            figures["frame by frame"].append(flicker(painted))
            figures["steadied"].append(flicker(steadied))
            print(photo.stem, name, *(round(each[-1], 4) for each in figures.values()), flush=True)
    means = {name: {mode: round(statistics.mean(each), 4) for mode, each in ways.items()} for name, ways in found.items()}
    RESULTS.write_text(json.dumps(means, indent=1) + "\n")


if __name__ == "__main__":
    main()
