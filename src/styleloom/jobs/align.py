"""The job of alignment: faces cut out as a generator's own images are cut."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike, replacing
from styleloom.core.settings import Range
from styleloom.data.output import write as write_output
from styleloom.models import load_generator
from styleloom.nn.generators import Generator, generator_id
from styleloom.tasks.alignment import Aligner

from .engine import Job, digest, run
from .events import Event, Item, ItemDone, ItemFailed, Noted
from .inputs import find_all, open_image
from .outputs import LIMITS, Limits, Outputs, check_output_folder, software
from .sources import stem_of


def align(
    model: PathLike | Generator,
    photos: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    mode: str = "auto",
    box: Sequence[float] = (),
    landmarks: Sequence[float] = (),
    size: int = 0,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Cut the faces of photographs out as a generator's own images are cut.

    Args:
        model: a generator, or the name or file of one; its images say how faces lie.
        photos: photographs, folders or globs of them.
        out: folder to write to: NAME.png, and NAME.json, where in the photograph it lies.
        mode, box, landmarks: see :class:`~styleloom.tasks.alignment.Aligner`.
        size: side in pixels; 0: the generator's.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model, no detector, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    check_output_folder(outputs.path)
    Range(0, 8192).check("`size`", size, whole=True)
    sources = find_all(photos).files
    generator = model if isinstance(model, Generator) else load_generator(model, limits.device)
    aligner = Aligner(generator, mode, box, landmarks)
    side = size or generator.resolution

    # Cut the square out of each photograph.
    def work(pending: Sequence[Item]) -> Iterator[Event]:
        for item in pending:
            mark = time.perf_counter()
            try:
                photo = open_image(item.name, limits.max_pixels)
                aligned = aligner(photo)
                if aligned.nobody_chose:
                    yield Noted(item.name, aligned.remark)
                crop = aligned.crop(photo, side)
                write_output(crop, item.targets[0], outputs.format, source=item.name, software=software("align"))
                with replacing(item.targets[1]) as path:
                    path.write_text(json.dumps(dict(photo=item.name, how=aligned.how, **asdict(aligned.frame)), indent=1) + "\n")
            except StyleLoomError as error:
                yield ItemFailed(item.name, str(error))
                continue
            values = dict(framed=aligned.how, size=f"{side} x {side}")
            yield ItemDone(item.name, tuple(map(str, item.targets)), round(time.perf_counter() - mark, 3), values)

    # Run the job.
    items = [
        Item(name, tuple(outputs.path / f"{stem_of(name)}{end}" for end in (f".{outputs.format.suffix}", ".json")))
        for name in sources
    ]
    settings = digest(generator_id(generator), mode, list(box), list(landmarks), side, asdict(outputs.format))
    read = [*sources, *([] if isinstance(model, Generator) else [model])]
    job = Job("align", items, work, settings=settings, folder=outputs.path, sources=read)
    yield from run(job, outputs)
