"""Training images: folders and zips, read, cut and turned the same way in every run and on every worker.

Which images make up batch t, and how each is cut, is a pure function of (seed, t, place in the batch). So a run resumes
exactly from its step number alone, and however many processes share a batch, it is the same batch.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data import color
from styleloom.data.classes import labels_of
from styleloom.data.sources import files_below, is_image, open_zip, split_zip, training_part

from . import images
from .channels import ARRAYS, read_channels
from .records import holds_records, open_records
from .stores import address_of, listed

Read = Callable[[], Tensor]
Item = Callable[[int, RandomState], tuple[Tensor, ...]]
Many = Callable[[Sequence[int], Sequence[RandomState]], tuple[Tensor, ...]]
KEPT = 2**32  # bytes of reduced images that a set keeps in memory


class ImageFiles:
    """Images [3, H, W] in [0, 1] of folders and zips, by number; damaged ones are counted, named and passed over.

    Args:
        sources: folders (searched in depth), ``.zip`` files, image files, StyleGAN's TFRecords or WebDataset's tars (files or
            their folder), or folders of rosinality's LMDB; folders, zips and images of object stores, too.
        shorter: reduce larger images to this shorter side as they are read, and keep them (as 8-bit numbers) in memory.
        channels: take ``.npy`` arrays and all channels and bits of TIFF files: images are [C, H, W].

    Raises:
        StyleLoomError: a source that is not there, or no image in any of them.

    Attributes:
        damaged: ``{name: reason}`` of the images that could not be read so far.
        locations: locations of each image, its folder or zip and its name in there.
    """

    def __init__(self, sources: Sequence[str | Path] | str | Path, *, shorter: int | None = None, channels: bool = False) -> None:
        self.shorter = shorter
        self._channels = channels
        self.damaged: dict[str, str] = {}
        self.locations: list[tuple[Path, str]] = []
        self._readers: list[tuple[str, Read]] = []
        self._kept: dict[int, Tensor] = {}
        self._room = KEPT
        sources = [sources] if isinstance(sources, str | Path) else list(sources)
        self._sources = sources
        for source in sources:
            self._add(Path(source))
        if not self._readers:
            raise StyleLoomError(f"no image in {', '.join(map(str, sources))}; wanted {', '.join(sorted(images.SUFFIXES))}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes open the sources anew."""
        return partial(ImageFiles, shorter=self.shorter, channels=self._channels), (self._sources,)

    def _add(self, source: Path) -> None:
        file, inside = split_zip(source)
        if holds_records(source):
            for name, record in open_records(source).items():
                label = f"{source}/{name}"
                self._readers.append((label, _from_record(record, label, self._read)))
                self.locations.append((source, name))
        elif source.is_dir():
            names = [name for name in files_below(source) if self._wanted(name)]
            for name in training_part(names):
                path = source / name
                self._readers.append((str(path), lambda path=path: self._read(path)))  # type: ignore[misc]
                self.locations.append((source, name))
        elif file is not None:
            archive = open_zip(file)
            members = {name.replace("\\", "/").removeprefix(inside): name for name in sorted(archive.namelist())}
            wanted = [name for name, member in members.items() if member.replace("\\", "/").startswith(inside)]
            for name in training_part([name for name in wanted if self._wanted(name)]):
                label = f"{address_of(file) or file}/{inside}{name}"
                self._readers.append((label, _from_zip(archive, members[name], label, self._read)))
                self.locations.append((source, name))
        elif source.is_file():
            self._readers.append((str(source), lambda: self._read(source)))
            self.locations.append((source.parent, source.name))
        elif address := address_of(source):
            addresses = [each for each in listed(address, recursive=True) if self._wanted(each.rpartition("/")[2])]
            for each in training_part(addresses):
                self._readers.append((each, lambda each=each: self._read(each)))  # type: ignore[misc]
                self.locations.append((source, each.removeprefix(address).lstrip("/")))
        else:
            raise StyleLoomError(f"no such folder or file: {source}")

    def _wanted(self, name: str) -> bool:
        return is_image(name, ARRAYS if self._channels else ())

    def _read(self, file: Any, name: str | None = None) -> Tensor:
        return read_channels(file, name=name) if self._channels else images.read(file, name=name)

    def __len__(self) -> int:
        return len(self._readers)

    def __getitem__(self, index: int) -> Tensor:
        """Image [3, H, W]; in the place of a damaged one, any other that can be read, always the same."""
        return self.find(index)[1]

    def find(self, index: int, rng: RandomState | None = None, among: Sequence[int] | None = None) -> tuple[int, Tensor]:
        """The number of the image that is found at ``index``, and it.

        In the place of a damaged one stands any other, each as often as another: wherever the damaged ones lie, no image is
        seen more often than the rest.

        Args:
            index: index of the image; beyond the last one it begins anew.
            rng: chooses the other; unless given, it follows from ``index``.
            among: numbers to choose from; all by default.
        """
        index %= len(self)
        image = self.read(index)
        if image is not None:
            return index, image
        rng = rng if rng is not None else RandomState([index, len(self)])
        left = list(range(len(self)) if among is None else among)
        while left:
            index = left.pop(rng.randint(len(left)))
            if (image := self.read(index)) is not None:
                return index, image
        raise self.unreadable()

    def unreadable(self) -> StyleLoomError:
        """The error for a set of which no image can be read."""
        name, reason = next(iter(self.damaged.items()))
        return StyleLoomError(f"none of the {len(self)} images can be read, for example {name}: {reason}")

    def kept(self, index: int) -> Tensor | None:
        """Image [3, H, W] of 8-bit numbers, where it was read before and is kept."""
        return self._kept.get(index)

    def read(self, index: int) -> Tensor | None:
        """Image [3, H, W]; None where it is damaged."""
        name, reader = self._readers[index]
        if name in self.damaged:
            return None
        if index in self._kept:
            return self._kept[index].float() / 255
        try:
            image = reader()
        except (StyleLoomError, OSError) as error:
            self.damaged[name] = str(error)
            return None
        if self.shorter is None:
            return self._keep_exactly(index, image[0])
        height, width = image.shape[-2:]
        scale = min(1, self.shorter / min(height, width))
        image = images.resize(image, (round(height * scale), round(width * scale)))
        kept = torch.from_numpy(images.to_uint8(image)).permute(2, 0, 1)
        if self._room >= kept.numel():
            self._room -= kept.numel()
            self._kept[index] = kept
        return kept.float() / 255

    def _keep_exactly(self, index: int, image: Tensor) -> Tensor:
        """Keep an image [C, H, W] of 8-bit numbers, where all channels are read; others are read again each time."""
        numbers = (image * 255).round()
        if self._channels and self._room >= image.numel() and torch.equal(numbers / 255, image):
            self._room -= image.numel()
            self._kept[index] = numbers.to(torch.uint8)
        return image


class SquareImages:
    """Square images of one size, and the class of each.

    Args:
        sources: see :class:`ImageFiles`.
        resolution: their side; the middle of others is cut out and resized.
        conditional: read classes, from a source's ``dataset.json`` (``{"labels": [[name, class], ...]}``, as NVIDIA's
            dataset_tool writes it) or else from the names of its sub-folders.

    Raises:
        StyleLoomError: what :class:`ImageFiles` refuses, or classes asked for that are not there for each image.

    Attributes:
        classes: their names; none unless ``conditional``.
        labels: each image's class, by number.
        damaged: see :class:`ImageFiles`.
    """

    def __init__(self, sources: Sequence[str | Path] | str | Path, resolution: int, *, conditional: bool = False) -> None:
        self.images, self.resolution = ImageFiles(sources, shorter=resolution), resolution
        self.damaged = self.images.damaged
        self.classes: list[str] = []
        self.labels: list[int] = []
        if conditional:
            self.labels, self.classes = labels_of(self.images.locations)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Image [3, resolution, resolution] in [0, 1]; in the place of a damaged one, the next that can be read."""
        return squared(self.images[index], self.resolution)

    def read(self, index: int) -> Tensor | None:
        """Image [3, resolution, resolution] in [0, 1]; None where it is damaged."""
        image = self.images.read(index)
        return None if image is None else squared(image, self.resolution)

    def example(self, mirror: bool) -> Item:
        """Make the function of a training example.

        It gives an image [3, S, S] in [-1, 1], its class [c_dim] of 0 and 1, and a seed of its own.
        """

        def item(index: int, rng: RandomState) -> tuple[Tensor, ...]:
            place, image = self.images.find(index, rng)
            image = squared(image, self.resolution) * 2 - 1
            if mirror and rng.rand() < 0.5:
                image = image.flip(2)
            c = torch.zeros(len(self.classes))
            if self.classes:
                c[self.labels[place]] = 1
            return image, c, torch.tensor(rng.randint(2**31))

        return item

    def examples(self, mirror: bool) -> Many:
        """Make the function of a whole batch of the examples of :meth:`example`; sets whose images have their size are fast."""
        one = self.example(mirror)

        def many(indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[Tensor, ...]:
            kept = [self.images.kept(index) for index in indices]
            side = (3, self.resolution, self.resolution)
            if any(each is None or tuple(each.shape) != side for each in kept):
                return stacked(one(index, rng) for index, rng in zip(indices, rngs, strict=True))
            images_ = torch.stack(kept).float() / 255 * 2 - 1  # type: ignore[arg-type]
            if mirror:
                turned = torch.tensor([rng.rand() < 0.5 for rng in rngs])
                images_[turned] = images_[turned].flip(3)
            c = torch.zeros(len(indices), len(self.classes))
            if self.classes:
                c[torch.arange(len(indices)), [self.labels[index] for index in indices]] = 1
            return images_, c, torch.tensor([rng.randint(2**31) for rng in rngs])

        return many


def stacked(examples: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """The fields of several examples, [N, ...] each."""
    return tuple(torch.stack(parts) for parts in zip(*examples, strict=True))


def squared(image: Tensor, side: int, mode: str = "crop") -> Tensor:
    """An image [3, H, W] as a square [3, side, side].

    Args:
        image: in [0, 1].
        side: in pixels.
        mode: ``"crop"`` keeps the middle, ``"pad"`` repeats the border, ``"stretch"`` squeezes the longer side.
    """
    height, width = image.shape[-2:]
    if mode == "crop":
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        image = image[:, top : top + short, left : left + short]
    elif mode == "pad":
        high, wide = max(0, width - height), max(0, height - width)
        around = (wide // 2, wide - wide // 2, high // 2, high - high // 2)
        image = F.pad(image[None], around, mode="replicate")[0]
    return images.resize(image[None], (side, side))[0] if image.shape[1:] != (side, side) else image


def _from_zip(archive: zipfile.ZipFile, name: str, file: str, read_image: Callable[..., Tensor]) -> Read:
    def read() -> Tensor:
        try:
            data = archive.read(name)
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
        ) as error:  # damaged, encrypted, or packed otherwise
            raise StyleLoomError(f"cannot read {file}: {error}") from error
        return read_image(io.BytesIO(data), name=file)

    return read


def _from_record(record: Callable[[], Tensor | io.BytesIO], name: str, read_image: Callable[..., Tensor]) -> Read:
    def read() -> Tensor:
        content = record()
        if isinstance(content, io.BytesIO):
            return read_image(content, name=name)
        image = content.float() / 255
        return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image

    return read


def order(count: int, seed: int, first: int, many: int) -> list[int]:
    """Places ``first .. first + many`` of an endless row of shuffled epochs of ``count`` items."""
    indices: list[int] = []
    while len(indices) < many:
        epoch, start = divmod(first + len(indices), count)
        shuffled = RandomState([seed, epoch]).permutation(count)
        indices += shuffled[start : start + many - len(indices)].tolist()
    return indices


def random_crop(
    image: Tensor, size: int, rng: RandomState, *, flip: bool = True, smallest: float = 0.5, enlarge: bool = False
) -> Tensor:
    """A square of random place and of ``smallest`` to all of the shorter side, scaled to ``size``: [3, H, W] -> [3, S, S].

    It is no smaller than ``size`` where the image allows, but with ``enlarge``.
    """
    height, width = image.shape[-2:]
    shorter = min(height, width)
    least = shorter * smallest if enlarge else max(size, shorter * smallest)
    side = max(1, min(shorter, round(least + rng.uniform() * (shorter - least))))
    top, left = rng.randint(0, height - side + 1), rng.randint(0, width - side + 1)
    cut = image[:, top : top + side, left : left + side]
    cut = images.resize(cut[None], (size, size))[0] if side != size else cut
    return cut.flip(2) if flip and rng.uniform() < 0.5 else cut


def recolored(image: Tensor, rng: RandomState) -> Tensor:
    """The same image in other colors: hues turned, saturation and contrast changed, at times inverted. [3, H, W]."""
    angle, saturation, contrast = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.6), rng.uniform(0.7, 1.3)
    yiq = color.rgb_to_yiq(image[None])
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=image.dtype) * saturation
    luma = yiq[:, :1] if rng.uniform() < 0.85 else 1 - yiq[:, :1]
    luma = (luma - 0.5) * contrast + 0.5
    colors = torch.einsum("ij,njhw->nihw", turn, yiq[:, 1:])
    return color.yiq_to_rgb(torch.cat([luma, colors], 1)).clamp(0, 1)[0]


def batches(
    many: Many,
    count: int,
    sample_indices: Callable[[int], range],
    *,
    seed: int,
    first: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 1,
    pin: bool = False,
) -> Iterator[tuple[Tensor, ...]]:
    """Batches first, first + 1, ... without end: this process's share of each.

    A process takes every ``world``-th example, so that groups of a discriminator's minibatch spread are the same however
    many processes there are.

    Args:
        many: makes stacked examples of images, by number, each with a random state of its own.
        count: how many images there are.
        sample_indices: sample indices of the examples of a batch, in the endless row of them.
        workers: threads that make batches beforehand, each its own.
        pin: put them where a GPU copies from without waiting.
    """

    def make(step: int) -> tuple[Tensor, ...]:
        row = sample_indices(step)
        chosen = order(count, seed, row.start, len(row))
        own = list(zip(chosen, row, strict=True))[rank::world]
        rngs = [RandomState([seed, place % 2**32]) for _, place in own]
        indices = [index for index, _ in own]
        batch = many(indices, rngs)
        return tuple(part.pin_memory() for part in batch) if pin else batch

    ahead = 2 * workers
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[tuple[Tensor, ...]]] = [pool.submit(make, first + offset) for offset in range(ahead)]
        step = first + ahead
        try:
            while True:
                ready = waiting.pop(0)
                waiting.append(pool.submit(make, step))
                step += 1
                yield ready.result()
        finally:
            for future in waiting:
                future.cancel()
