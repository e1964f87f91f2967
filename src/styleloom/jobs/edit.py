"""Jobs of editing: edit, express, cross."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import PathLike
from styleloom.data import images
from styleloom.data.frames import Frame
from styleloom.data.masks import blend, check_mask, feathered
from styleloom.data.output import write as write_output
from styleloom.nn.generators import Generator
from styleloom.papers import pti
from styleloom.papers.directions import Direction
from styleloom.papers.local_edit import FEATHER
from styleloom.tasks import editing
from styleloom.tasks.latents import save_latents
from styleloom.tasks.sampling import layer_range

from .engine import Job, digest, run, watched
from .events import Event, Item, ItemDone, ItemFailed
from .inputs import Region, open_region
from .outputs import LIMITS, Limits, Outputs, check_output_folder, software
from .sources import LOADING, EditSession, LoadOptions, Source, names_of, open_session, opened, rendered, stem_of

PASTES = ("difference", "whole", "none")
PRIOR_WEIGHT = 0.02  # of inversions of which only what an edit changes is put back: cleaner edits, at 2 dB
Move = Callable[[Source], Tensor]
"""A subject to its new ws."""


@dataclass(frozen=True)
class PasteOptions:
    """Options for putting an edited image back into a photograph.

    Args:
        paste: "difference" adds to the photograph what changed, so that its own detail stays; "whole" replaces the face; "none"
            writes the generator's image.
        mask: change the photograph only there: an image, white there, or a shape in pixels of the photograph:
            box:left,top,right,bottom, ellipse:x,y,half width,half height, polygon:x,y,x,y,...
        beside: write what was and what became of it side by side.
    """

    paste: str = "difference"
    mask: str | None = None
    beside: bool = False

    def __post_init__(self) -> None:
        check_choice("paste", self.paste, PASTES)
        if self.mask is not None and self.paste == "none":
            raise StyleLoomError("a mask says where a photograph changes, and paste none writes no photograph; leave one out")

    @property
    def prior_weight(self) -> float:
        """Prior weight of the inversion: where only changes are put back, edits are to be clean."""
        return PRIOR_WEIGHT if self.paste == "difference" else 0.0

    def __call__(self, photo: Tensor, frame: Frame, image: Tensor, before: Tensor | None, region: Region | None) -> Tensor:
        """The photograph [1, 3, H, W] with an edited image in its frame, or with what differs in it from ``before``."""
        pasted = frame.paste(photo, image, instead_of=before)
        if region is None:
            return pasted
        mask = region(photo)
        check_mask(mask)
        return blend(photo, pasted, feathered(mask, FEATHER * frame.side))


PASTING = PasteOptions()


def edit(
    model: PathLike | Generator,
    sources: PathLike | Sequence[PathLike],
    changes: Mapping[str, float],
    *,
    out: PathLike | Outputs,
    directions: Sequence[PathLike] = (),
    layers: str = "all",
    psi: float = 1.0,
    pasting: PasteOptions = PASTING,
    loading: LoadOptions = LOADING,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Edit photographs, latents or seeds along directions, and put photographs back together.

    Args:
        model: a generator, or the name or file of one.
        sources: photographs, folders or globs of them, files of latents, and seeds.
        changes: strengths by names of directions.
        out: an image for one source, or a folder, which gets NAME.png and NAME.safetensors, the new latents.
        directions: files of further directions.
        layers: layers that are moved: coarse, middle, fine, all, or numbers as 0-3.
        psi: then pull latents towards the mean: 1 leaves them, 0 is the mean image.
        pasting: how it is put back, see :class:`PasteOptions`.
        loading: see :class:`LoadOptions`.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model or direction, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    session = open_session(model, loading, limits, pasting.prior_weight)
    known = editing.directions_of(session.generator, directions)
    options: dict[str, Any] = dict(layers=layers, truncation_psi=psi, directions=known)
    asked: dict[Direction | str, float] = {name: strength for name, strength in changes.items()}  # noqa: C416 (wider keys)
    if not changes and psi == 1:
        raise StyleLoomError(f"nothing to change; give a direction ({', '.join(known) or 'none yet'}) and its strength, or psi")
    editing.edit(session.generator, session.generator.map([0]), asked, **options)  # refuses before the work

    def move(subject: Source) -> Tensor:
        return editing.edit(session.generator, subject.ws, asked, **options)

    tensors = [known[name].vector for name in changes]
    settings = (dict(changes), layers, psi)
    yield from _edited(
        "edit", session, sources, lambda: _constant(move), outputs, pasting, settings, tensors, read=directions,
    )  # fmt: skip


def express(
    model: PathLike | Generator,
    sources: PathLike | Sequence[PathLike],
    neutral: PathLike,
    expressive: PathLike,
    *,
    out: PathLike | Outputs,
    strength: float = 1.0,
    layers: str = "all",
    pasting: PasteOptions = PASTING,
    loading: LoadOptions = LOADING,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Give faces the expression of another one: w1 + strength (w3 - w2).

    Args:
        model: a generator, or the name or file of one.
        sources: the faces: photographs, folders or globs of them, files of latents, and seeds.
        neutral, expressive: another face without the expression and with it.
        out: an image for one source, or a folder.
        strength: 0 changes nothing.
        layers: layers that are moved: coarse, middle, fine, all, or numbers as 0-3.
        pasting, loading, limits: see :func:`edit`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model or face, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    session = open_session(model, loading, limits, pasting.prior_weight)
    layer_range(layers, session.generator.num_ws)

    def prepare() -> Coroutine[Event, None, Move]:
        first = yield from opened(session, str(neutral))
        second = yield from opened(session, str(expressive), first.ws)
        return lambda subject: editing.express(session.generator, subject.ws, first.ws, second.ws, strength, layers=layers)

    pair = [str(neutral), str(expressive)]
    yield from _edited(
        "express", session, sources, prepare, outputs, pasting, (pair, strength, layers), [], read=pair,
    )  # fmt: skip


def cross(
    model: PathLike | Generator,
    sources: PathLike | Sequence[PathLike],
    style: PathLike,
    *,
    out: PathLike | Outputs,
    layers: str = "coarse",
    sheet: bool = False,
    beside: bool = False,
    loading: LoadOptions = LOADING,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Style transfer between latents: some layers of each source, all others of one style.

    Args:
        model: a generator, or the name or file of one.
        sources: photographs, folders or globs of them, files of latents, and seeds.
        style: one of these.
        out: an image for one source, or a folder.
        layers: the source's: coarse, middle, fine, all, or numbers as 0-3.
        sheet: instead, all ways to split the layers, side by side.
        beside, loading, limits: see :func:`edit`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model or face, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    session = open_session(model, loading, limits)
    layer_range(layers, session.generator.num_ws)
    if sheet and beside:
        raise StyleLoomError("a sheet of all splits has both faces at its ends; leave beside out")

    def prepare() -> Coroutine[Event, None, Move]:
        other = yield from opened(session, str(style))
        if sheet:
            return lambda subject: editing.splits(session.generator, subject.ws, other.ws)
        return lambda subject: editing.cross(session.generator, subject.ws, other.ws, layers)

    yield from _edited(
        "cross", session, sources, prepare, outputs, PasteOptions("none", beside=beside), (str(style), layers, sheet), [],
        read=[str(style)],
    )  # fmt: skip


def _constant(move: Move) -> Coroutine[Event, None, Move]:
    yield from ()
    return move


def _edited(
    verb: str,
    session: EditSession,
    sources: PathLike | Sequence[PathLike],
    prepare: Callable[[], Coroutine[Event, None, Move]],
    outputs: Outputs,
    pasting: PasteOptions,
    settings: Any,
    tensors: Sequence[Tensor],
    *,
    read: Sequence[PathLike],
) -> Iterator[Event]:
    """The job of a change of latents that is the same for each source."""
    out = outputs.path
    # Resolve sources and outputs.
    region = open_region(pasting.mask, session.loading.max_pixels) if pasting.mask is not None else None
    masks = [pasting.mask] if pasting.mask is not None else []
    chosen = names_of(sources)
    if not chosen:
        raise StyleLoomError("nothing to edit; give photographs, files of latents or seeds")
    one = len(chosen) == 1 and outputs.is_file()
    if one:
        outputs.format.check(out)
        items = [Item(chosen[0], (out,))]
    else:
        check_output_folder(out)
        items = [
            Item(name, tuple(out / f"{stem_of(name)}{end}" for end in (f".{outputs.format.suffix}", ".safetensors")))
            for name in chosen
        ]

    # Edit each source as it is opened.
    def work(pending: Sequence[Item]) -> Iterator[Event]:
        move = yield from prepare()
        items_of: dict[str, Item] = {}

        def names() -> Iterator[str]:
            for item in pending:  # one by one, since other processes may take the next
                items_of[item.name] = item
                yield item.name

        # Events and failures go on as they are.
        mark = time.perf_counter()
        for each in session.opener(names()):
            if not isinstance(each, Source):
                yield each
                continue
            generator = session.generator
            try:
                if session.tuning is not None and each.photo is not None:
                    tuned = yield from watched(
                        f"tuning to {each.name}", pti.steps(generator, each.target, each.ws, session.tuning)
                    )
                    generator = tuned.generator or generator
                item = items_of[each.name]
                ws = move(each)
                image = _result(generator, each, ws, pasting, region)
                source = each.name if each.photo is not None else None
                write_output(image, item.targets[0], outputs.format, source=source, software=software(verb))
                if len(item.targets) > 1:
                    save_latents(item.targets[1], ws, generator, each.noise, frame=each.frame, photo=source or "")
            except StyleLoomError as error:
                yield ItemFailed(each.name, str(error))
                continue
            values = dict(framed=each.how, size=f"{image.shape[3]} x {image.shape[2]}", **(each.metrics or {}))
            now = time.perf_counter()
            yield ItemDone(each.name, tuple(map(str, item.targets)), round(now - mark, 3), values)
            mark = now

    # Run the job.
    job = Job(
        verb,
        items,
        work,
        settings=digest(
            settings, asdict(pasting), asdict(outputs.format), session.digest, tensors=tensors, files=[*masks, *read]
        ),
        folder=None if one else out,
        sources=[
            *(name for name in chosen if not name.isdigit()),
            *(each for each in read if not str(each).isdigit()),
            *masks,
            *session.read,
        ],
        summary=lambda done: dict(out=str(out), count=len(done)),
    )
    yield from run(job, outputs)


def _result(generator: Generator, subject: Source, ws: Tensor, pasting: PasteOptions, region: Region | None) -> Tensor:
    """The image to write for a source and its new latents."""
    noise = [each.expand(len(ws), -1, -1, -1) for each in subject.noise]
    image = rendered(generator, ws, noise)
    if len(ws) > 1:
        return images.grid([image])
    before, photo = subject.target, subject.photo
    if photo is not None and subject.frame is not None and pasting.paste != "none":
        inverted = rendered(generator, subject.ws, subject.noise) if pasting.paste == "difference" else None
        image = pasting(photo, subject.frame, image, inverted, region)
        before = photo
    return images.grid([torch.cat([before.cpu(), image])]) if pasting.beside else image
