"""Training pictures: folders and zips, read, cut and turned the same way in every run and on every worker.

Which pictures make up batch t, and how each is cut, is a pure function of (seed, t, place in the batch). So a run resumes
exactly from its step number alone, and however many processes share a batch, it is the same batch.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

from . import images
from .errors import StyleLoomError

Read = Callable[[], Tensor]


class Pictures:
    """Pictures [3, H, W] in [0, 1] of folders and zips, by number; damaged ones are counted, named and passed over.

    Args:
        sources: folders (searched in depth), ``.zip`` files or picture files.
        shorter: reduce larger pictures to this shorter side as they are read, and keep them (as 8-bit numbers) in memory.

    Raises:
        StyleLoomError: a source that is not there, or no picture in any of them.

    Attributes:
        damaged: ``{name: reason}`` of the pictures that could not be read so far.
    """

    def __init__(self, sources: Sequence[str | Path] | str | Path, *, shorter: int | None = None) -> None:
        self.shorter = shorter
        self.damaged: dict[str, str] = {}
        self._readers: list[tuple[str, Read]] = []
        self._kept: dict[int, Tensor] = {}
        sources = [sources] if isinstance(sources, str | Path) else list(sources)
        for source in sources:
            self._add(Path(source))
        if not self._readers:
            raise StyleLoomError(f"no picture in {', '.join(map(str, sources))}; wanted {', '.join(sorted(images.SUFFIXES))}")

    def _add(self, source: Path) -> None:
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.suffix.lower() in images.SUFFIXES:
                    self._readers.append((str(path), lambda path=path: images.read(path)))  # type: ignore[misc]
        elif source.suffix.lower() == ".zip":
            try:
                archive = zipfile.ZipFile(source)
            except (OSError, zipfile.BadZipFile) as error:
                raise StyleLoomError(f"cannot read {source}: {error}") from error
            for name in sorted(archive.namelist()):
                if Path(name).suffix.lower() in images.SUFFIXES:
                    self._readers.append((f"{source}/{name}", _from_zip(archive, name)))
        elif source.is_file():
            self._readers.append((str(source), lambda: images.read(source)))
        else:
            raise StyleLoomError(f"no such folder or file: {source}")

    def __len__(self) -> int:
        return len(self._readers)

    def __getitem__(self, index: int) -> Tensor:
        """Picture [3, H, W]; in the place of a damaged one, the next that can be read."""
        for offset in range(len(self)):
            found = self._read((index + offset) % len(self))
            if found is not None:
                return found
        raise StyleLoomError(f"none of the {len(self)} pictures can be read, for example {next(iter(self.damaged.items()))}")

    def _read(self, index: int) -> Tensor | None:
        name, reader = self._readers[index]
        if name in self.damaged:
            return None
        if index in self._kept:
            return self._kept[index].float() / 255
        try:
            picture = reader()
        except (StyleLoomError, OSError, zipfile.BadZipFile) as error:
            self.damaged[name] = str(error)
            return None
        if self.shorter is None:
            return picture[0]
        height, width = picture.shape[-2:]
        scale = min(1, self.shorter / min(height, width))
        picture = images.resize(picture, (round(height * scale), round(width * scale)))
        self._kept[index] = torch.from_numpy(images.to_uint8(picture)).permute(2, 0, 1)
        return self._kept[index].float() / 255


def _from_zip(archive: zipfile.ZipFile, name: str) -> Read:
    return lambda: images.read(io.BytesIO(archive.read(name)))


def order(count: int, seed: int, first: int, many: int) -> list[int]:
    """Places ``first .. first + many`` of an endless row of shuffled epochs of ``count`` items."""
    found: list[int] = []
    while len(found) < many:
        epoch, start = divmod(first + len(found), count)
        shuffled = RandomState([seed, epoch]).permutation(count)
        found += shuffled[start : start + many - len(found)].tolist()
    return found


def random_crop(picture: Tensor, size: int, rng: RandomState, *, flip: bool = True, smallest: float = 0.5) -> Tensor:
    """A square of random place and of ``smallest`` to all of the shorter side, scaled to ``size``: [3, H, W] -> [3, S, S]."""
    height, width = picture.shape[-2:]
    shorter = min(height, width)
    side = max(1, min(shorter, round(max(size, shorter * smallest) + rng.uniform() * (shorter - max(size, shorter * smallest)))))
    top, left = rng.randint(0, height - side + 1), rng.randint(0, width - side + 1)
    cut = picture[:, top : top + side, left : left + side]
    cut = images.resize(cut[None], (size, size))[0] if side != size else cut
    return cut.flip(2) if flip and rng.uniform() < 0.5 else cut


def recolored(picture: Tensor, rng: RandomState) -> Tensor:
    """The same picture in other colours: hues turned, saturation and contrast changed, at times inverted. [3, H, W]."""
    angle, saturation, contrast = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.6), rng.uniform(0.7, 1.3)
    yiq = images.rgb_to_yiq(picture[None])
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=picture.dtype) * saturation
    luma = yiq[:, :1] if rng.uniform() < 0.85 else 1 - yiq[:, :1]
    luma = (luma - 0.5) * contrast + 0.5
    colors = torch.einsum("ij,njhw->nihw", turn, yiq[:, 1:])
    return images.yiq_to_rgb(torch.cat([luma, colors], 1)).clamp(0, 1)[0]


Item = Callable[[int, RandomState], tuple[Tensor, ...]]


def batches(
    item: Item, count: int, batch: int, *, seed: int, first: int = 0, rank: int = 0, world: int = 1, ahead: int = 2
) -> Iterator[tuple[Tensor, ...]]:
    """Batches first, first + 1, ... without end: stacked fields of ``item(index, rng)``, this process's share of each.

    Args:
        item: makes one example, a tuple of tensors, of picture ``index``, with a random state of its own.
        count: how many pictures there are.
        batch: examples of all processes together; a multiple of ``world``.
        ahead: batches made beforehand by a second thread.
    """
    if batch % world:
        raise StyleLoomError(f"a batch of {batch} cannot be shared by {world} processes; use a multiple of {world}")
    share = batch // world

    def make(step: int) -> tuple[Tensor, ...]:
        places = range(step * batch + rank * share, step * batch + (rank + 1) * share)
        chosen = order(count, seed, places.start, share)
        items = [item(index, RandomState([seed, place % 2**32])) for index, place in zip(chosen, places, strict=True)]
        return tuple(torch.stack(parts) for parts in zip(*items, strict=True))

    with ThreadPoolExecutor(1) as pool:
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
