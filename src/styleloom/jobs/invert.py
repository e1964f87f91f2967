"""The job of inversion: photographs into a generator's latent space."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike, check_folder, replacing
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.data import video as video_
from styleloom.data.video_in import pyav
from styleloom.models import load_generator
from styleloom.nn.generators import Generator, check_classless, generator_id
from styleloom.nn.layers import placed
from styleloom.papers import image2stylegan
from styleloom.papers.learned_optimizer import LoomAny
from styleloom.tasks import inversion
from styleloom.tasks.alignment import Aligned, Aligner
from styleloom.tasks.inversion import Inversion, Tools
from styleloom.tasks.latents import save_latents
from styleloom.tasks.tools import prepare, seconds_to_prepare

from .engine import Job, check_absent, check_apart, digest, run, watched
from .events import Event, Finished, Item, ItemDone, ItemFailed, Noted, Progressed, Started
from .inputs import find_all, open_image, open_mask
from .outputs import LIMITS, Limits, Outputs, check_output_folder

MARK, STATES = ".job", ".state-*"


def invert(
    model: PathLike | Generator,
    photos: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    preset: str = "default",
    encoder: PathLike | None = None,
    basis: PathLike | None = None,
    learned: PathLike | None = None,
    make_basis: bool | Callable[[str], bool] = False,
    mask: PathLike | None = None,
    align: str = "center",
    box: Sequence[float] = (),
    landmarks: Sequence[float] = (),
    video: bool = False,
    curves: bool = False,
    limits: Limits = LIMITS,
    **settings: Any,
) -> Iterator[Event]:
    """Find a generator's latents for photographs.

    Into the folder go, of each photograph, NAME.safetensors (its latents, and noise maps), NAME.png (their image) and
    NAME-beside.png (the photograph and that image), and metrics.json of all.

    Args:
        model: a generator, or the name or file of one.
        photos: photographs, folders or globs of them.
        out: folder to write to.
        preset: where the settings start from, see :func:`styleloom.tasks.inversion.configure`.
        encoder, basis, learned: made for this generator; the bundled ones by default.
        make_basis: make an eigenbasis first where there is none of this generator, and keep it; or a function that is told how
            long that takes, and decides.
        mask: a gray image, white where photographs are to be met; the square in its middle is taken.
        align: which square of a photograph is taken: "center", in the middle; "face", where the extra [faces] finds one; "auto":
            "face", or else "center". It is noted in the file of latents, so that an edit finds its way back.
        box: left, top, right, bottom of the square, in pixels of the photograph, instead.
        landmarks: x, y of the eyes, nose and corners of the mouth, from the left of the photograph, instead.
        video: write NAME.mp4 of each descent.
        curves: write curves.png, the losses by step; needs matplotlib.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.
        settings: settings of :class:`~styleloom.papers.image2stylegan.InversionConfig`.

    Yields:
        :class:`~styleloom.jobs.events.Event`; what is stopped goes on when the job is run again.

    Raises:
        StyleLoomError: no such model, tools of another generator, unknown settings, or a folder with other results.
    """
    outputs = Outputs.of(out)
    config = inversion.configure(preset, **settings)
    Range(1).check("`max_pixels`", limits.max_pixels)
    sources = find_all(photos).files
    check_output_folder(outputs.path)
    ends = (".safetensors", ".png", "-beside.png", *([".mp4"] if video else []))
    items = [Item(source, tuple(outputs.path / f"{Path(source).stem}{end}" for end in ends)) for source in sources]
    # Refuse outputs that would overwrite what is read.
    read = [*sources, *(each for each in (encoder, basis, learned, mask) if each)]
    read += [] if isinstance(model, Generator) else [model]
    of_all = [outputs.path / "metrics.json", *([outputs.path / "curves.png"] if curves else [])]
    check_apart([*of_all, *(target for item in items for target in item.targets)], read)
    if video:
        pyav()
    plot = _pyplot() if curves else None
    # Load the generator and its tools, and check the options against them.
    generator = model if isinstance(model, Generator) else load_generator(model, limits.device, config.precision)
    generator = placed(generator, generator.device, frozen=True)  # once, and not for each batch
    check_classless(generator)
    tools = inversion.tools_of(generator, encoder=encoder, basis=basis, learned=learned)
    inversion.check_encoder(config, tools)
    inversion.check_rate(config)
    aligner = Aligner(generator, align, tuple(box), tuple(landmarks))
    if mask is not None and (align != "center" or box or landmarks):
        raise StyleLoomError("a mask is of the middle of each photograph, and another square is asked for; leave one out")
    # Frame the mask as photographs are framed.
    shown = None
    if mask is not None:
        shown = inversion.center_square(open_mask(mask, limits.max_pixels), generator.resolution).to(generator.device)
    # Make an eigenbasis, where there is none and it is wanted, once all else is known to be right.
    noted = ""
    serves = config.space == "w_plus" and config.optimizer in ("auto", "learned", "adam-eigenbasis")
    if make_basis is True and not serves:
        raise StyleLoomError(f"`make_basis` does nothing for {config.optimizer} in the space {config.space}; leave it out")
    if tools.basis is None and serves:
        _check_used(config, config.optimizer, tools, dict(encoder=encoder))
        if make_basis is True or (make_basis and make_basis(_told_of_basis(generator))):
            _check_worth(items, outputs, limits.max_pixels)
            yield Started("eigenbasis", 1, 1)
            yield from watched("eigenbasis and descent maps", prepare(generator))
            tools = inversion.tools_of(generator, encoder=encoder, learned=learned)
        elif config.optimizer == "auto":
            noted = "it has no eigenbasis yet, so Adam inverts; with one, by `make_basis`, it takes far fewer steps"
    # Choose the optimizer.
    optimizer = inversion.optimizer_for(config, tools)
    _check_used(config, optimizer, tools, dict(learned=learned, basis=basis, encoder=encoder))
    square = [align, list(box), list(landmarks)] if box or landmarks else align
    settings_digest = digest(asdict(config), generator_id(generator), square, video, tensors=_tensors(tools, shown))
    order = {source: index for index, source in enumerate(sources)}

    # Invert photographs that follow one another at once.
    def work(pending: Sequence[Item]) -> Iterator[Event]:
        group: list[tuple[Item, Tensor, Aligned]] = []
        for item in pending:
            index = order[item.name]
            if group and (len(group) == config.batch or index != order[group[-1][0].name] + 1):
                yield from invert_group(group)
                group = []
            try:
                photo = open_image(item.name, limits.max_pixels)
                aligned = aligner(photo)
            except StyleLoomError as error:
                yield ItemFailed(item.name, str(error))
                continue
            if aligned.nobody_chose:
                yield Noted(item.name, aligned.remark)
            group.append((item, aligned.crop(photo, generator.resolution), aligned))
        if group:
            yield from invert_group(group)

    def invert_group(group: list[tuple[Item, Tensor, Aligned]]) -> Iterator[Event]:
        """Invert images that follow one another at once."""
        targets = torch.cat([target for _, target, _ in group]).to(generator.device)
        first = order[group[0][0].name]
        state = outputs.path / f".state-{first}"
        frames: list[Tensor] = []
        begun = 0
        written: set[str] = set()
        # Descend on all of them.
        try:
            loop = inversion.steps(generator, targets, config, tools, first=first, masks=shown, state=state)
            for step in loop:
                begun = begun or step.index
                if video:
                    frames.append((step.image * 255).round().byte().cpu())
                title = f"{optimizer}, {len(targets)} at once"
                yield Progressed(title, step.index, step.total, dict(step.losses), round(step.seconds, 3))
            # Write what was found of each photograph.
            result = inversion.outcome(generator, targets, step, optimizer, shown)
            for row, (item, _, aligned) in enumerate(group):
                values = _values(result, row)
                _write(item, generator, result, row, aligned, values["metrics"])
                values |= dict(masked=shown is not None, seconds=result.seconds / len(group), framed=aligned.how)
                if video:
                    _write_video(item.targets[-1], result.target[row].cpu(), [frame[row] for frame in frames])
                    values |= dict(video_begins=begun)
                yield ItemDone(item.name, tuple(map(str, item.targets)), round(result.seconds / len(group), 3), values)
                written.add(item.name)
            state.unlink(missing_ok=True)
        except StyleLoomError as error:
            yield from (ItemFailed(item.name, str(error)) for item, *_ in group if item.name not in written)

    # Run the job, and write figures of all photographs at its end.
    job = Job("invert", items, work, settings=settings_digest, folder=outputs.path, sources=read)
    values_of: dict[str, dict[str, Any]] = {}
    with _kept_states(outputs.path, settings_digest, outputs.overwrite):
        for event in run(job, outputs):
            if isinstance(event, ItemFailed | ItemDone) and noted:
                yield Noted(Path(str(model)).name, noted)
                noted = ""
            if isinstance(event, ItemDone) and event.values:
                values_of[event.item] = event.values
            if isinstance(event, Finished) and values_of:
                outcome = _outcome({item.name: values_of[item.name] for item in items if item.name in values_of}, optimizer)
                with replacing(outputs.path / "metrics.json") as path:
                    path.write_text(json.dumps(outcome, indent=1) + "\n")
                if plot is not None:
                    _draw(plot, outcome["losses"], outputs.path / "curves.png")
                for file in of_all if outputs.store is not None else ():
                    outputs.store.put(file)  # type: ignore[union-attr]
                short = {key: value for key, value in outcome.items() if key != "losses"}
                event = replace(event, values=dict(out=str(outputs.path), **short))
            yield event


def _outcome(values_of: Mapping[str, dict[str, Any]], optimizer: str) -> dict[str, Any]:
    """Content of metrics.json: metrics and losses of each photograph."""
    names = {source: Path(source).stem for source in values_of}
    return dict(
        optimizer=optimizer,
        seconds=round(sum(values["seconds"] for values in values_of.values()), 2),
        images={names[source]: values["metrics"] for source, values in values_of.items()},
        losses={names[source]: values["losses"] for source, values in values_of.items()},
    )


def _check_worth(items: Sequence[Item], outputs: Outputs, max_pixels: int) -> None:
    """Raise StyleLoomError where an inversion would come to nothing: files in the way, or no photograph that can be read."""
    if not outputs.overwrite and not outputs.skip_existing:
        check_absent([target for item in items for target in item.targets if target.exists()])
    reason: StyleLoomError | None = None
    for item in items:
        try:
            open_image(item.name, max_pixels)
        except StyleLoomError as error:
            reason = reason or error
        else:
            return
    if reason is not None:
        raise reason


def _told_of_basis(generator: Generator) -> str:
    """A sentence on how long an eigenbasis takes."""
    minutes = seconds_to_prepare(generator) / 60
    return f"this generator has no eigenbasis yet; one takes about {max(1, round(minutes))} min, once"


def _check_used(
    config: image2stylegan.InversionConfig, optimizer: str, tools: Tools, given: Mapping[str, PathLike | None]
) -> None:
    """Raise StyleLoomError where a tool is named that this inversion does not use."""
    encodes = config.init == "encoder" or config.in_domain_weight > 0
    follows_basis = optimizer == "adam-eigenbasis" or (optimizer == "learned" and isinstance(tools.learned, LoomAny))
    uses = dict(learned=optimizer == "learned", basis=follows_basis, encoder=encodes)
    for name, tool in given.items():
        if tool and not uses[name]:
            raise StyleLoomError(
                f"{name} (--{name}) would not be used: the optimizer is {optimizer}, from the start {config.init}; leave it out"
            )


def _tensors(tools: Tools, mask: Tensor | None) -> list[Tensor]:
    """All numbers that an inversion depends on, but the generator's and the photographs'."""
    tensors = [] if mask is None else [mask]
    for network in (tools.encoder, tools.learned):
        tensors += [] if network is None else list(network.state_dict().values())
    return tensors + ([] if tools.basis is None else [tools.basis.vectors])


@contextmanager
def _kept_states(out: Path, settings: str, overwrite: bool) -> Iterator[None]:
    """Keep the states of one job in its folder while it is worked on; those of another are refused."""
    mark = out / MARK
    if overwrite:
        _forget(out)
    if any(out.glob(STATES)) and (not mark.exists() or mark.read_text() != settings):
        raise StyleLoomError(
            f"{out} has the beginning of a run of other settings; use the same ones, another folder, or `overwrite` to begin anew"
        )
    fresh = not out.exists()
    check_folder(out)
    mark.write_text(settings)
    try:
        yield
    finally:
        if not any(out.glob(STATES)):
            _forget(out)
        if fresh and not any(out.iterdir()):
            out.rmdir()


def _forget(out: Path) -> None:
    for path in (out / MARK, *out.glob(STATES)):
        path.unlink(missing_ok=True)


def _values(result: Inversion, row: int) -> dict[str, Any]:
    """Figures of one image, for its event."""
    return dict(
        metrics={key: round(float(value[row]), 6) for key, value in result.metrics.items()},
        losses=[round(float(loss), 6) for loss in result.losses[:, row]],
    )


def _beside(target: Tensor, image: Tensor) -> Tensor:
    pair: Tensor = images.grid([torch.stack([target, image])], gap=0)
    return pair


def _write(item: Item, generator: Generator, result: Inversion, row: int, aligned: Aligned, metrics: dict[str, float]) -> None:
    latents, image, comparison = item.targets[:3]
    noise = [each[row : row + 1] for each in result.noise]
    save_latents(latents, result.ws[row : row + 1], generator, noise, frame=aligned.frame, photo=item.name, metrics=metrics)
    images.write(result.image[row : row + 1], image)
    images.write(_beside(result.target[row], result.image[row]), comparison)


def _write_video(path: Path, target: Tensor, frames: Sequence[Tensor]) -> None:
    """Write the descent as a video; one that only a resumed run's last step is left of stays as it was."""
    if len(frames) == 1 and path.exists():
        return
    for _ in video_.write_video((_beside(target, frame / 255) for frame in frames), path):
        pass


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise StyleLoomError("curves need matplotlib: pip install 'styleloom[plot]'") from error
    return pyplot


def _draw(plot: Any, losses: Mapping[str, Sequence[float]], path: Path) -> None:
    figure, axes = plot.subplots(figsize=(8, 5), layout="constrained")
    for name, curve in list(losses.items())[:20]:
        axes.semilogy(curve, label=name)
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plot.close(figure)
