"""Sources of edits: photographs, which are inverted, files of latents, and seeds."""

from __future__ import annotations

from collections.abc import Generator as Coroutine
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.data.frames import Frame
from styleloom.models import load_generator
from styleloom.nn.generators import Generator, generator_id, to_image
from styleloom.nn.layers import placed
from styleloom.papers import pti
from styleloom.papers.image2stylegan import InversionConfig, InversionStep
from styleloom.tasks import inversion
from styleloom.tasks.alignment import Aligned, Aligner
from styleloom.tasks.inversion import Tools
from styleloom.tasks.latents import load_latents

from .events import Event, ItemFailed, Noted, Progressed
from .inputs import find_all, open_image
from .outputs import Limits

NUM_STEPS = 50  # of the inversions of photographs
# Small steps from other latents: what differs between two images of one face, and little else.
NEAR: dict[str, Any] = dict(optimizer="adam", lr=0.03, num_steps=30, prior_weight=0.0, noise_steps=0)
LATENTS = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Source:
    """Something to edit.

    Attributes:
        name: what it was named by.
        ws: [1, num_ws, w_dim].
        noise: noise maps [1, 1, H, W] of the image, where it has some of its own.
        target: [1, 3, R, R], the square of the photograph that it stands for; of others their image.
        photo: [1, 3, H, W], the photograph, where it is one.
        frame: the square of the photograph.
        how: the square was found: "face", "box", "center" ...; "seed" or "latents".
        metrics: how near the inversion came.
    """

    name: str
    ws: Tensor
    noise: tuple[Tensor, ...]
    target: Tensor
    photo: Tensor | None = None
    frame: Frame | None = None
    how: str = "latents"
    metrics: dict[str, float] | None = None


def rendered(generator: Generator, ws: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
    """The images [N, 3, R, R] of latents, with their own noise maps or the generator's."""
    options: dict[str, Any] = dict(noise=list(noise)) if noise else dict(noise_mode="const")
    with torch.no_grad():
        return to_image(generator.synthesis(ws, **options)).cpu()


def is_photo(source: PathLike) -> bool:
    """Whether a source is a photograph, or a folder or glob of some, not latents or a seed."""
    text = str(source)
    return not text.isdigit() and Path(text).suffix.lower() not in LATENTS


def names_of(sources: PathLike | Sequence[PathLike]) -> list[str]:
    """The single subjects of files, folders, globs, bundled names, and seeds."""
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    found: list[str] = []
    for source in several:
        found += find_all(source).files if is_photo(source) else [str(source)]
    return list(dict.fromkeys(found))


def stem_of(name: str) -> str:
    """Name of a source's outputs, without suffix."""
    return f"seed{int(name):04d}" if name.isdigit() else Path(name).stem


@dataclass(frozen=True)
class LoadOptions:
    """Options for opening photographs, latents and seeds.

    Args:
        align: find the face of a photograph ("face"), take the square in the middle ("center"), or, by default, the first where
            there are a detector and a face ("auto").
        box: left, top, right, bottom of the square, in pixels of the photograph, instead.
        landmarks: x, y of the eyes, nose and corners of the mouth, from the left of the photograph, instead.
        truncation_psi: truncation of seeds: 0 is the mean image, 1 no truncation.
        num_steps: steps of the inversion of a photograph.
        prior_weight: how much the latents of a photograph are held near to the mean w. More makes edits cleaner, less meets the
            photograph better; by default 0.02 where only what changes is put back, else 0.
        noise_steps: after these, on noise maps, of a generator that has noise.
        tune: steps of pivotal tuning for each photograph, for images that the generator does not know; 0: none.
        tuning: a difference file of pivotal tuning, for the generator.
        max_pixels: refuse photographs of more pixels.
    """

    align: str = "auto"
    box: tuple[float, ...] = ()
    landmarks: tuple[float, ...] = ()
    truncation_psi: float = 0.7
    num_steps: int = NUM_STEPS
    prior_weight: float | None = None
    noise_steps: int = 0
    tune: int = 0
    tuning: str | None = None
    max_pixels: int = images.MAX_PIXELS


LOADING = LoadOptions()


@dataclass(frozen=True)
class SourceLoader:
    """Opens subjects: seeds and files at once, photographs by inversion, several at a time.

    Attributes:
        generator: the generator whose latents they become.
        config: settings of inversions.
        tools: encoder, eigenbasis, learned optimizer.
        aligner: finds the squares of photographs.
        truncation_psi: truncation of seeds.
        max_pixels: refuse photographs of more.
        near: [1, num_ws, w_dim], where inversions start from, instead of the encoder.
    """

    generator: Generator
    config: InversionConfig
    tools: Tools
    aligner: Aligner
    truncation_psi: float = 0.7
    max_pixels: int = images.MAX_PIXELS
    near: Tensor | None = None

    def __call__(self, names: Iterable[str]) -> Iterator[Event | Source]:
        """Subjects in the order of names, and between them progress and what could not be opened."""
        slow = self.config.optimizer == "auto" and self.tools.basis is None and self.near is None
        remark = "its generator has no eigenbasis yet, so Adam inverts; `styleloom invert --make-basis` makes one" if slow else ""
        group: list[tuple[str, Tensor, Aligned]] = []
        for name in names:
            try:
                if is_photo(name):
                    photo = open_image(name, self.max_pixels)
                    aligned = self.aligner(photo)
                    if aligned.nobody_chose:
                        yield Noted(name, aligned.remark)
                    group.append((name, photo, aligned))
                    if len(group) < self.config.batch:
                        continue
                    opened = None
                else:
                    opened = self._latents(name)
            except StyleLoomError as error:
                yield ItemFailed(name, str(error))
                continue
            yield from self._inverted(group, remark)
            remark = "" if group else remark  # once is enough
            group = []
            if opened is not None:
                yield opened
        yield from self._inverted(group, remark)

    def one(self, name: str, near: Tensor | None = None) -> Iterator[Event | Source]:
        """One subject, on which all others depend; a photograph near to latents [1, num_ws, w_dim], where they are given.

        Raises:
            StyleLoomError: it cannot be opened.
        """
        opener = self if near is None else replace(self, near=near, config=replace(self.config, **NEAR))
        for each in opener([name]):
            if isinstance(each, ItemFailed):
                raise StyleLoomError(f"{name}: {each.reason}")
            yield each

    def _latents(self, name: str) -> Source:
        generator = self.generator
        if name.isdigit():
            ws = generator.map([int(name)], truncation_psi=self.truncation_psi)
            return Source(name, ws, (), rendered(generator, ws), how="seed")
        latents = load_latents(name, generator)
        if len(latents.ws) != 1:
            raise StyleLoomError(f"{name} holds latents of {len(latents.ws)} images; wanted one")
        photo = _photo_of(latents.photo, Path(name), self.max_pixels) if latents.frame else None
        target = latents.frame.crop(photo, generator.resolution) if photo is not None and latents.frame else None
        image = rendered(generator, latents.ws, latents.noise)
        frame = latents.frame if photo is not None else None
        return Source(name, latents.ws, latents.noise, image if target is None else target, photo, frame)

    def _inverted(self, group: Sequence[tuple[str, Tensor, Aligned]], remark: str) -> Iterator[Event | Source]:
        if not group:
            return
        if remark:
            yield Noted(group[0][0], remark)
        side = self.generator.resolution
        targets = torch.cat([aligned.crop(photo, side) for _, photo, aligned in group])
        step: InversionStep | None = None
        device = self.generator.device
        start = None if self.near is None else self.near.to(device).expand(len(group), -1, -1)
        try:
            for step in inversion.steps(self.generator, targets.to(device), self.config, self.tools, init=start):
                yield Progressed(f"inverting {len(group)}", step.index, step.total, dict(step.losses), round(step.seconds, 3))
        except StyleLoomError as error:
            yield from (ItemFailed(name, str(error)) for name, *_ in group)
            return
        assert step is not None
        errors = (step.image.cpu() - targets).square().mean((1, 2, 3)).clamp(min=1e-12)
        for row, (name, photo, aligned) in enumerate(group):
            noise = tuple(each[row : row + 1] for each in step.noise)
            metrics = dict(psnr=round(float(-10 * errors[row].log10()), 3))
            yield Source(name, step.ws[row : row + 1], noise, targets[row : row + 1], photo, aligned.frame, aligned.how, metrics)


def _photo_of(name: str, latents: Path, max_pixels: int) -> Tensor | None:
    """The photograph that latents stand for: where it was, or beside them; None where it is gone."""
    for candidate in (Path(name), latents.parent / Path(name).name):
        if name and candidate.is_file():
            return open_image(candidate, max_pixels)
    return None


@dataclass(frozen=True)
class EditSession:
    """A generator with what is needed to edit with it, resolved once."""

    generator: Generator
    tools: Tools
    opener: SourceLoader
    loading: LoadOptions
    tuning: pti.PTIConfig | None
    read: tuple[PathLike, ...] = ()  # the files that it was made of

    @property
    def digest(self) -> tuple[Any, ...]:
        """Values that edits depend on."""
        return generator_id(self.generator), asdict(self.loading), asdict(self.opener.config)


def open_session(model: PathLike | Generator, loading: LoadOptions, limits: Limits, prior_weight: float = 0.0) -> EditSession:
    """A generator with its tools; photographs are held near to the mean w by ``prior_weight``, unless ``loading`` says how much.

    Raises:
        StyleLoomError: no such model or file, or settings that cannot be.
    """
    generator = model if isinstance(model, Generator) else load_generator(model, limits.device)
    generator = placed(generator, generator.device, frozen=True)
    if loading.tuning:
        generator = pti.tuned_by(generator, loading.tuning)
    loading = replace(loading, max_pixels=min(loading.max_pixels, limits.max_pixels))
    Range(1).check("`max_pixels`", loading.max_pixels)
    Range(-10, 10).check("truncation_psi", loading.truncation_psi)
    tools = inversion.tools_of(generator)
    config = inversion.configure(
        init="mean" if tools.encoder is None else "encoder",
        num_steps=loading.num_steps,
        noise_steps=loading.noise_steps,
        prior_weight=prior_weight if loading.prior_weight is None else loading.prior_weight,
    )
    aligner = Aligner(generator, loading.align, loading.box, loading.landmarks)
    opener = SourceLoader(generator, config, tools, aligner, loading.truncation_psi, loading.max_pixels)
    tuning = pti.PTIConfig(num_steps=loading.tune) if loading.tune else None
    files = (*(() if isinstance(model, Generator) else (model,)), *((loading.tuning,) if loading.tuning else ()))
    return EditSession(generator, tools, opener, loading, tuning, files)


def check_untuned(loading: LoadOptions) -> None:
    """Raise StyleLoomError where pivotal tuning is asked for, of a verb that has no use for it."""
    if loading.tune:
        raise StyleLoomError("`tune` is for edit, express and cross; leave it out")


def opened(session: EditSession, name: str, near: Tensor | None = None) -> Coroutine[Event, None, Source]:
    """One subject, with the events of its inversion; a photograph near to some latents."""
    names = names_of(name)
    if len(names) != 1:
        raise StyleLoomError(f"{name} are {len(names)} images; wanted one")
    found: Source | None = None
    for each in session.opener.one(names[0], near):
        if isinstance(each, Source):
            found = each
        else:
            yield each
    assert found is not None
    return found
