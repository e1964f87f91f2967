"""``styleloom generate`` and ``styleloom mix``: images from a generator."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from styleloom import jobs
from styleloom.core.errors import StyleLoomError
from styleloom.data import images, video
from styleloom.jobs import Finished
from styleloom.jobs.engine import check_apart
from styleloom.models import load_generator
from styleloom.tasks import sampling

from .options import Common, Existing
from .report import Report


class Noise(StrEnum):
    """Noise of a generator's layers."""

    const = "const"
    random = "random"
    none = "none"


class Space(StrEnum):
    """The path of a video from seed to seed."""

    w = "w"
    z = "z"


class Figure(StrEnum):
    """Figures of a generator."""

    mean = "mean"
    noise = "noise"


def numbers(text: str) -> list[int]:
    """``"1,5-8"`` as [1, 5, 6, 7, 8].

    Raises:
        StyleLoomError: another text, or more than a hundred thousand.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise StyleLoomError(f"{text!r} are no seeds; write them as 0-15 or 1,5,7-9")
        if int(match[2] or match[1]) - int(match[1]) + len(seeds) >= 100_000:
            raise StyleLoomError(f"{text!r} are more than 100,000 seeds; make them in parts")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return seeds


def steps(text: str) -> list[float]:
    """``"0.7"`` as [0.7], and ``"1:-1:5"`` as five numbers from 1 to -1.

    Raises:
        StyleLoomError: another text.
    """
    parts = text.split(":")
    try:
        first, last = float(parts[0]), float(parts[1] if len(parts) > 1 else parts[0])
        count = int(parts[2]) if len(parts) > 1 else 1
        if len(parts) in (1, 3) and max(abs(first), abs(last)) <= 10 and 1 <= count <= 1000:
            return [first + (last - first) * i / max(1, count - 1) for i in range(count)]
    except (ValueError, IndexError):
        pass
    raise StyleLoomError(f"{text!r} is no truncation; write a number from -10 to 10, or 1:0:5 for five from 1 to 0")


def generate(
    model: str,
    *,
    out: Path,
    seeds: str = "0-15",
    psi: str = "1",
    cutoff: int | None = None,
    label: int | None = None,
    noise: Noise = Noise.const,
    columns: int | None = None,
    frames: int = 48,
    rate: int = 24,
    space: Space = Space.w,
    once: bool = False,
    figure: Figure | None = None,
    precision: str = "fp32",
    existing: Existing,
    common: Common,
) -> None:
    """Make images of seeds: a folder of them, a sheet, or a video that goes from seed to seed.

    The kind follows from the target: a folder gets a file a seed, an image's suffix a sheet, .mp4, .webm or .gif a video.

    Args:
        model: a name from "styleloom zoo", or a model file.
        out: folder, image or video to write.
        seeds: as 0-15 or 1,5,7-9.
        psi: truncation; 0 is the mean image, 1 no truncation; 1:0:5 for a sheet with five, a row a seed.
        cutoff: how many layers, from the coarsest, are truncated; all by default.
        label: class of the images, for networks that have classes.
        noise: const, random or none.
        columns: images side by side in a sheet.
        frames: frames from one seed to the next, of a video.
        rate: frames a second, of a video.
        space: w goes straight through w, z along the sphere in z, in a video.
        once: end a video at the last seed, instead of coming back to the first.
        figure: mean for the image of the mean w, noise for what noise decides (of the first seed).
        precision: fp32, or bf16 for the four highest resolutions of a StyleGAN2, where the processor is fast at it.
    """
    report = Report(common)
    events = jobs.generate(
        model,
        numbers(seeds),
        out=existing.outputs(out),
        truncation_psi=steps(psi),
        truncation_cutoff=cutoff,
        label=label,
        noise_mode=noise,
        columns=columns,
        frames=frames,
        rate=rate,
        space=space,
        loop=not once,
        figure=figure,
        precision=precision,
        limits=common.limits(),
    )
    is_moving = out.suffix.lower() == ".gif" or video.is_video(out)

    def outcome(finished: Finished) -> str:
        count, side = (finished.values.get(name) for name in ("count", "resolution"))
        what = "frame" if is_moving else "image"
        return f"wrote {out}  ({count} {what}{'s' * (count != 1)} of {side} px, {finished.seconds:.2f} s)"

    report.follow(events, lambda event: "", outcome)


def mix(
    model: str,
    *,
    out: Path,
    rows: str = "0-2",
    cols: str = "10-15",
    layers: str = "coarse",
    psi: str = "0.7",
    label: int | None = None,
    noise: Noise = Noise.const,
    common: Common,
) -> None:
    """Make a sheet of style mixing: images of the columns with some layers' styles of the rows (StyleGAN's Figure 3).

    Args:
        model: a name from "styleloom zoo", or a model file.
        out: image to write.
        rows: seeds whose styles are taken over.
        cols: seeds that take them.
        layers: coarse (4-8 px), middle (16-32 px), fine (from 64 px), all, or numbers as 0-3.
        psi: truncation.
        label: class of the images, for networks that have classes.
        noise: const, random or none.
    """
    report = Report(common)
    images.check_writable(out)
    check_apart([out], [model])
    psis = steps(psi)
    if len(psis) > 1:
        raise StyleLoomError(f"--psi {psi} are several truncations; a sheet of mixing has one")
    generator = load_generator(model, common.torch_device())
    sources = (numbers(rows), numbers(cols))
    strips = sampling.mixing_rows(generator, *sources, layers, label, truncation_psi=psis[0], noise_mode=noise)
    sheet = images.grid(strips)
    images.write(sheet, out)
    report.say(f"wrote {out}  ({sheet.shape[3]} x {sheet.shape[2]})")
    report.outcome(out=str(out), rows=sources[0], cols=sources[1], layers=layers)
