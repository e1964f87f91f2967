"""The job of image translation."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.data import video
from styleloom.data.bundled import bundled, is_bundled
from styleloom.data.channels import read_channels
from styleloom.data.images import floats
from styleloom.data.labels import instance_numbers
from styleloom.data.output import ARRAY
from styleloom.models import load
from styleloom.nn.layers import placed
from styleloom.nn.translator import Translator
from styleloom.tasks.translation import read_input
from styleloom.tasks.translation import translate as translated

from .engine import Job, digest, one_by_one, run, video_by_frames
from .events import Event, Item, ItemDone
from .inputs import Found, find_all, open_region
from .outputs import LIMITS, Limits, Outputs, images_summary, targets_of, written

MOST_SAMPLES = 100


def translate(
    content: PathLike | Sequence[PathLike],
    model: PathLike | Translator,
    *,
    out: PathLike | Outputs,
    to: str = "B",
    mask: PathLike | None = None,
    samples: int = 1,
    seed: int = 0,
    statistics: str = "saved",
    drawing: bool = False,
    instances: PathLike | None = None,
    size: int = 0,
    tile: int = 1024,
    smooth: float = 0.0,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Translate images, folders of them, or a video, into a model's other domain.

    Args:
        content: images, folders or globs of them; or a video.
        model: a model from :func:`styleloom.load`, or the name or file of one.
        out: image or video to write; for several images a folder.
        to: the domain to make, "B" or "A".
        mask: where the result is wanted: a gray image, white there, or a shape in pixels: box:left,top,right,bottom,
            ellipse:x,y,half width,half height.
        samples: images to make of each, with other noise, of a model with dropout or codes of instances; 1: one without noise.
        seed: seed of the first sample's noise.
        statistics: "saved", or "batch" to let batch norm use each image's own.
        drawing: content is what the model takes (lines, black on white), not photographs.
        instances: a map of instances, another gray or color for each, or a folder of maps with the images' names, for models of
            pix2pixHD that see their boundaries.
        size: shorter side to work at; 0: each image's own.
        tile: larger images are translated in tiles of so many pixels; 0: never.
        smooth: how much of each frame of a video is the one before it, moved along.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model or domain, samples of a model without noise, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    device = torch.device(limits.device)
    # Load the model and check the options against it.
    network = placed(model if isinstance(model, Translator) else load(model, Translator), device)
    network.to_domain(to)
    if not 1 <= samples <= MOST_SAMPLES:
        raise StyleLoomError(f"samples is {samples}; it must be from 1 to {MOST_SAMPLES}")
    if samples > 1 and not network.stochastic:
        raise StyleLoomError("this model has neither dropout nor codes, so it makes one image of each; leave `samples` out")
    is_video = isinstance(content, str | Path) and video.is_video(content)
    if is_video and (samples > 1 or mask):
        raise StyleLoomError("a video is translated once, and whole; leave `samples` and `mask` out")
    found = Found([str(content)]) if is_video else find_all(content, more=(ARRAY,))
    # Resolve inputs and outputs.
    contents = found.files
    targets, folder = (
        ([video.check_video(outputs.path)], None) if is_video else targets_of(contents, content, outputs, arrays=True)
    )
    region = open_region(mask, limits.max_pixels) if mask else None
    if is_video and instances:
        raise StyleLoomError("a map of instances is of one image; leave `instances` out")
    maps = _maps_of(contents, Path(instances)) if instances else {}
    options = dict(to=to, statistics=statistics, drawing=drawing, size=size, tile=tile)

    def targets_of_samples(target: Path) -> tuple[Path, ...]:
        if samples == 1:
            return (target,)
        return tuple(target.with_name(f"{target.stem}-{index}{target.suffix}") for index in range(1, samples + 1))

    # Translate one item, once or several times with other noise.
    def one(item: Item) -> Iterator[Event]:
        if is_video:
            painted = video_by_frames(
                item, lambda frames: _frames(network, frames.to(device), options), smooth, spread=outputs.spread
            )
            yield from painted
            return
        named = is_bundled(item.name)
        image = bundled(item.name) if named else read_input(item.name, network, to, limits.max_pixels)
        image = image.to(device)
        drawn = region(image).to(device) if region else None
        numbers = instance_numbers(read_channels(maps[item.name])[0])[None].to(device) if maps else None
        mark = time.perf_counter()
        events: list[Event] = []
        for index, target in enumerate(item.targets):
            noise = seed + index if samples > 1 or network.draws_codes else None
            made = translated(network, image, mask=drawn, seed=noise, instances=numbers, **options)  # type: ignore[arg-type]
            events = list(written(Item(item.name, (target,)), made, 0.0, "translate", outputs.format))
        done = events[-1]
        assert isinstance(done, ItemDone)
        yield ItemDone(item.name, tuple(map(str, item.targets)), round(time.perf_counter() - mark, 3), done.values)

    def work(items: Sequence[Item]) -> Iterator[Event]:
        for item in items:
            yield from one_by_one(item, one)

    # Run the job.
    job = Job(
        "translate",
        [Item(source, targets_of_samples(target)) for source, target in zip(contents, targets, strict=True)],
        work,
        settings=digest(
            options,
            samples,
            seed,
            smooth if is_video else 0,
            asdict(outputs.format),
            tensors=network.state_dict().values(),
            files=[*([mask] if mask else []), *maps.values()],
        ),
        folder=folder,
        passed_over=found.passed_over,
        sources=[
            *contents,
            *([model] if not isinstance(model, Translator) else []),
            *([mask] if mask else []),
            *map(str, maps.values()),
        ],
        summary=lambda done: images_summary(done, device),
        spreads_itself=is_video,
    )
    yield from run(job, outputs)


def _maps_of(contents: Sequence[str], instances: Path) -> dict[str, Path]:
    """The map of instances of each image: a file, or those of a folder with the images' names.

    Raises:
        StyleLoomError: an image has none.
    """
    if not instances.is_dir() and len(contents) > 1:
        raise StyleLoomError(f"{instances} is one map for {len(contents)} images; give a folder of maps with their names")
    if not instances.is_dir():
        return dict.fromkeys(contents, instances)
    of_stem = {path.stem: path for path in sorted(instances.iterdir())}
    if lone := [name for name in contents if Path(name).stem not in of_stem]:
        more = ", ..." if len(lone) > 5 else ""
        raise StyleLoomError(f"images without a map in {instances}: {', '.join(lone[:5])}{more}; add them")
    return {name: of_stem[Path(name).stem] for name in contents}


def _frames(network: Translator, frames: Tensor, options: dict[str, object]) -> Tensor:
    """Frames of 8-bit numbers translated: [N, 3, H, W] -> the same."""
    made = translated(network, floats(frames), **options)  # type: ignore[arg-type]
    if made.shape[1] not in (1, 3):
        raise StyleLoomError(f"the result has {made.shape[1]} channels, which no video holds; translate single images")
    made = made.expand(-1, 3, -1, -1)
    return (made * 255).round().to(torch.uint8)
