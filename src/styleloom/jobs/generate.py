"""Jobs of generators: generate, evaluate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import PathLike
from styleloom.core.settings import Range
from styleloom.data import images, video
from styleloom.data.records import holds_records
from styleloom.data.sources import split_zip
from styleloom.models import load_generator
from styleloom.nn.generators import BATCH, Generator
from styleloom.nn.vgg_files import EMBEDDED
from styleloom.tasks import evaluation, sampling
from styleloom.tasks.evaluation import LABELER, METRICS

from .engine import Job, digest, run, watched
from .events import Event, Item, ItemDone
from .outputs import LIMITS, Engine, Limits, Outputs, check_output_folder

FIGURES = ("mean", "noise")
SPACES = ("w", "z")
GIF = ".gif"


def generate(
    model: PathLike | Generator,
    seeds: Sequence[int] = range(16),
    *,
    out: PathLike | Outputs,
    truncation_psi: float | Sequence[float] = 1.0,
    truncation_cutoff: int | None = None,
    label: int | None = None,
    noise_mode: str = "const",
    columns: int | None = None,
    frames: int = 48,
    rate: int = 24,
    space: str = "w",
    loop: bool = True,
    figure: str | None = None,
    precision: str = "fp32",
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Make images of seeds: a folder of them, a sheet, or a video that goes from seed to seed.

    Args:
        model: a generator, or the name or file of one.
        seeds: whole numbers from 0.
        out: a folder gets a file a seed, an image's suffix a sheet, .mp4, .webm or .gif a video.
        truncation_psi: 0 is the mean image, 1 no truncation; several make a sheet with a row a seed.
        truncation_cutoff: how many layers, from the coarsest, are truncated; all by default.
        label: class of the images, for networks that have classes.
        noise_mode: const, random or none.
        columns: images side by side in a sheet.
        frames: frames from one seed to the next, of a video.
        rate: frames a second, of a video.
        space: w goes straight through w, z along the sphere in z, in a video.
        loop: come back to the first seed, in a video.
        figure: mean for the image of the mean w, noise for what noise decides (of the first seed).
        precision: fp32, or bf16 for the four highest resolutions of a StyleGAN2.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model, or an output that cannot be.
    """
    # Check what is asked for.
    outputs = Outputs.of(out)
    psis = list(truncation_psi) if isinstance(truncation_psi, list | tuple) else [float(truncation_psi)]  # type: ignore[arg-type]
    is_moving = outputs.path.suffix.lower() == GIF or video.is_video(outputs.path)
    single = outputs.is_file() or is_moving
    seeds = list(seeds) if single else list(dict.fromkeys(seeds))
    check_choice("space", space, SPACES)
    if figure is not None:
        check_choice("figure", figure, FIGURES)
    if len(psis) > 1 and (is_moving or outputs.path.suffix.lower() not in images.WRITABLE):
        raise StyleLoomError(f"several truncations make a sheet; give an image to write, not {outputs.path}")
    if is_moving and outputs.path.suffix.lower() != GIF:
        video.check_video(outputs.path)
    elif (single or figure is not None) and not is_moving:
        images.check_writable(outputs.path)
    elif not is_moving:
        check_output_folder(outputs.path)
    if columns is not None:
        Range(1).check("`columns`", columns)
    # Load the generator.
    generator = model if isinstance(model, Generator) else load_generator(model, limits.device, precision)
    options: dict[str, Any] = dict(truncation_psi=psis[0], truncation_cutoff=truncation_cutoff)

    # A sheet, a figure or a video is one item; otherwise each seed is one.
    def sheet() -> Tensor:
        if figure == "mean":
            return sampling.mean_image(generator, noise_mode=noise_mode)
        if figure == "noise":
            return sampling.noise_figure(generator, seeds[0], label, truncation_psi=psis[0])
        if len(psis) > 1:
            cutoff: dict[str, Any] = dict(truncation_cutoff=truncation_cutoff, noise_mode=noise_mode)
            return sampling.truncation_sheet(generator, seeds, psis, label, **cutoff)
        made = generator.generate(seeds, label, noise_mode=noise_mode, **options)
        return images.grid(list(made.split(columns or min(8, len(seeds)))))

    def whole(items: Sequence[Item]) -> Iterator[Event]:
        mark = time.perf_counter()
        if is_moving:
            ways = sampling.walk(generator, seeds, label, frames=frames, space=space, loop=loop, **options)
            drawn = (next(generator.render(ws, noise_mode=noise_mode)) for ws in ways)
            last = yield from watched("frames", video.write_video(drawn, outputs.path, rate=rate))
            count = last.index
        else:
            images.write(sheet(), outputs.path)
            count = 1 if figure is not None else len(seeds) * len(psis)
        values = dict(count=count, resolution=generator.resolution)
        yield ItemDone(str(outputs.path), (str(outputs.path),), round(time.perf_counter() - mark, 3), values)

    # An image for each seed.
    def each(items: Sequence[Item]) -> Iterator[Event]:
        pending = iter(items)
        while part := list(islice(pending, BATCH)):  # bit by bit, since other processes may take the next
            mark = time.perf_counter()
            chosen = [int(item.name) for item in part]
            ws = generator.map(chosen, label, **options)
            for item, image in zip(part, generator.render(ws, noise_mode=noise_mode, seeds=chosen), strict=True):
                images.write(image, item.targets[0])
                now = time.perf_counter()
                yield ItemDone(item.name, (str(item.targets[0]),), round(now - mark, 3))
                mark = now

    # Run the job.
    one = single or figure is not None
    whole_settings = (seeds, psis, figure, (frames, rate, space, loop) if is_moving else columns) if one else ()
    job = Job(
        "generate",
        [Item(str(outputs.path), (outputs.path,))]
        if one
        else [Item(str(seed), (outputs.path / f"seed{seed:04d}.png",)) for seed in seeds],
        whole if one else each,
        settings=digest(options, label, noise_mode, precision, whole_settings, tensors=generator.state_dict().values()),
        folder=None if one else outputs.path,
        sources=[] if isinstance(model, Generator) else [model],
        summary=lambda done: (
            dict(out=str(outputs.path), count=len(done), resolution=generator.resolution)
            | (done[0].values if one and done else {})
        ),
    )
    yield from run(job, outputs)


def evaluate(
    model: PathLike | Generator,
    data: PathLike | Sequence[PathLike] | None = None,
    *,
    metrics: Sequence[str] = ("fd", "kid", "pr"),
    samples: int = 10_000,
    truncation_psi: float = 1.0,
    seeds: Sequence[int] = (0,),
    features: PathLike = EMBEDDED,
    attributes: PathLike = LABELER,
    resolution: int = 0,
    engine: Engine | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Measure a generator, once for each seed; the last event's ``values`` hold all figures, and their means.

    Args:
        model: a generator, or the name or file of one; or a folder or zip of made images.
        data: folders or zips of real images that it was not trained on.
        metrics: see :func:`styleloom.evaluate`, as all the others but ``seeds``.
        samples: images made, and real ones at most.
        truncation_psi: truncation of the images that are compared with real ones.
        seeds: repeat all with other latents.
        features: network that images are compared by.
        attributes: network that tells attributes, for separability.
        resolution: side that images are compared at, where made images are given; 0: their own.
        engine: computes the features of images elsewhere, such as :class:`styleloom.cluster.RayEngine`; None: in this process.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`, an item a seed.

    Raises:
        StyleLoomError: what :func:`styleloom.evaluate` refuses.
    """
    if not metrics:
        raise StyleLoomError(f"no metric; choose some of {', '.join(METRICS)}")
    generator: Generator | PathLike
    if isinstance(model, str | Path) and (Path(model).is_dir() or split_zip(Path(model))[0] or holds_records(Path(model))):
        generator = model
    else:
        generator = model if isinstance(model, Generator) else load_generator(model, limits.device)
        if resolution:
            raise StyleLoomError("`resolution` is for folders of made images; a generator's images have its own")
    options: dict[str, Any] = dict(samples=samples, truncation_psi=truncation_psi, features=features)
    options |= dict(attributes=attributes, resolution=resolution, spread=map if engine is None else engine.mapped)

    def work(items: Sequence[Item]) -> Iterator[Event]:
        for item in items:
            mark = time.perf_counter()
            loop = evaluation.evaluate(generator, data, metrics, seed=int(item.name), **options)
            last = yield from watched(f"seed {item.name}", loop)
            values = dict(
                figures=last.figures,
                images=last.images,
                made=last.made or samples,
                features=last.features,
                perceptual=last.perceptual,
            )
            yield ItemDone(item.name, (), round(time.perf_counter() - mark, 3), values)

    def summary(done: Sequence[ItemDone]) -> dict[str, Any]:
        runs = [each.values for each in done]
        if not runs:
            return {}
        figures = {name: [each["figures"][name] for each in runs if name in each["figures"]] for name in runs[0]["figures"]}
        counts = {key: runs[-1][key] for key in ("images", "made", "features", "perceptual")}
        means = {name: statistics.mean(each) for name, each in figures.items()}
        return dict(samples=samples, psi=truncation_psi, **counts, figures=figures, means=means)

    yield from run(Job("evaluate", [Item(str(seed)) for seed in seeds], work, summary=summary))
