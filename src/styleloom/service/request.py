"""A job's request as its verb takes it: uploaded files, checked options, and models by name."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styleloom.core.checkpoint import read_config, zoo_names
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.settings import Range
from styleloom.data.sources import is_image, open_zip
from styleloom.data.video import is_video
from styleloom.jobs.events import Event, Progressed
from styleloom.jobs.outputs import Limits

RESULTS, SO_FAR, ALL = "results", "result.png", "results.zip"
MODEL = "model.safetensors"  # of a run
RUN, RUN_NAME = "run:", re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
UNPACKED, MADE = "unpacked", "made"  # folders of a job: of a zip that came, and of what goes into one
MOST_FILES = 2_000  # of a zip
GENERATORS = ("stylegan2", "stylegan", "progan")
MODELS = {
    **dict.fromkeys(("generate", "mix", "invert", "edit", "express", "inpaint", "morph"), GENERATORS),
    "translate": ("pix2pix", "pix2pixhd", "cyclegan"),
    "johnson": ("johnson",),
    "upscale": ("super-resolution",),
}
"""Kinds of models that a verb takes."""


@dataclass(frozen=True)
class Runs:
    """Trainings whose models a client may use.

    Attributes:
        folder: folder of runs, by id; None: there are none.
        owner: the client; runs of other clients are not there for it.
    """

    folder: Path | None = None
    owner: str = ""

    def ids(self) -> list[str]:
        """Ids of the runs that have a model."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(path.parent.name for path in self.folder.glob(f"*/{MODEL}") if self.may_use(path.parent.name))

    def may_use(self, id: str) -> bool:
        """Whether a run is there for this client: its own, or one that no client made."""
        if self.folder is None or not RUN_NAME.fullmatch(id):
            return False
        owner = self.folder / id / OWNER
        return not owner.exists() or owner.read_text(encoding="utf-8") == self.owner

    def path(self, id: str) -> Path:
        """Path of a run's model."""
        assert self.folder is not None
        return self.folder / id / MODEL


OWNER = "owner.txt"  # in a run's folder: the digest of its client


def models_of(verb: str, runs: Runs = Runs()) -> list[str]:
    """Names of the models that a verb takes: those of the zoo, and ``run:ID`` for those that were trained here."""
    kinds = MODELS[verb]
    names = [name for name in zoo_names() if read_config(name)[0] in kinds]
    for id in runs.ids():
        try:
            is_kind = read_config(runs.path(id))[0] in kinds
        except StyleLoomError:
            continue  # it is being written, or is no model
        names += [f"{RUN}{id}"] if is_kind else []
    return names


@dataclass(frozen=True)
class Request:
    """A verb's work, made ready.

    Attributes:
        folder: folder of the job. Uploaded files lie in it; results go to ``results``.
        files: uploaded files by field, in their order.
        options: other fields.
        limits: device and largest image.
        max_frames: frames at most.
        max_bytes: bytes at most of what is unpacked.
        runs: trainings whose models may be named.
        given_names: names that files came with, by our own.
    """

    folder: Path
    files: Mapping[str, Sequence[Path]]
    options: Mapping[str, Any]
    limits: Limits
    max_frames: int
    max_bytes: int = 2**28
    runs: Runs = Runs()
    given_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.folder / RESULTS

    def one(self, field: str) -> Path:
        """The single file of a field."""
        given = self.files.get(field, ())
        if len(given) != 1:
            raise StyleLoomError(f"{len(given)} files given as {field!r}; send one")
        return given[0]

    def rest(self, *known: str) -> dict[str, Any]:
        """Options but some."""
        return {name: value for name, value in self.options.items() if name not in known}

    def number(self, name: str, default: float, least: float, most: float, *, whole: bool = False) -> float:
        """A number of the options, within limits."""
        value = self.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StyleLoomError(f"`{name}` is {value!r}; wanted a number from {least:g} to {most:g}")
        Range(least, most).check(f"`{name}`", value, whole=whole)
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """So many numbers of the options; none where the option is not there."""
        value = self.options.get(name, ())
        if value and (len(value) != count or not all(isinstance(each, int | float) for each in value)):
            raise StyleLoomError(f"`{name}` is {value!r}; wanted {count} numbers")
        return tuple(value)

    def flag(self, name: str) -> bool:
        """Whether an option is set."""
        value = self.options.get(name, False)
        if not isinstance(value, bool):
            raise StyleLoomError(f"`{name}` is {value!r}; wanted true or false")
        return value

    def names(self, name: str) -> list[Any]:
        """A list of the options, or a single value as one."""
        value = self.options.get(name, [])
        return value if isinstance(value, list) else [value]

    def frames(self, default: int) -> int:
        """The number of frames that is asked for."""
        return int(self.number("frames", default, 1, self.max_frames, whole=True))

    def model(self, verb: str, default: str) -> str:
        """The model that a verb is asked to take, as :meth:`named` has it."""
        return self.named(verb, str(self.options.get("model", default)), "model")

    def named(self, verb: str, name: str, option: str) -> str:
        """The name of a model of the zoo that a verb takes, or the path of one that was trained here."""
        check_choice(option, name, models_of(verb, self.runs))
        return str(self.runs.path(name.removeprefix(RUN))) if name.startswith(RUN) else name

    def made(self, field: str, do: Callable[[Path | list[Path], Path], Iterator[Event]]) -> Iterator[Event]:
        """Do something to each image of a field: one image to one, a video to a video, a zip or several to a zip.

        Args:
            field: field of the files.
            do: job of images and where they go to.
        """
        given = self.files.get(field, ())
        if len(given) == 1 and is_video(given[0]):
            moving = ".gif" if given[0].suffix == ".gif" else ".mp4"
            yield from self._bounded(do(given[0], self.out / f"result{moving}"))
        elif len(given) == 1 and given[0].suffix != ".zip":
            yield from do(given[0], self.out / "result.png")
        else:
            images = unpacked(given[0], self.folder / UNPACKED, self.max_bytes) if len(given) == 1 else list(given)
            made = self.folder / MADE
            yield from do(images, made)
            if made.is_dir():  # not where each of the images failed
                _pack(made, self.out / ALL, {Path(own).stem: Path(name).stem for own, name in self.given_names.items()})

    def _bounded(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Progressed) and event.index > self.max_frames:
                raise StyleLoomError(f"the video has more than {self.max_frames} frames; send a shorter one")
            yield event


def unpacked(file: Path, folder: Path, max_bytes: int) -> list[Path]:
    """The images of a zip, copied into a folder under their names; what else is in it is left out.

    Raises:
        StyleLoomError: it is no zip, holds no image or too many, or more bytes than may be.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    found: list[Path] = []
    left = max_bytes
    with open_zip(file) as archive:
        entries = [each for each in archive.infolist() if not each.is_dir() and is_image(Path(each.filename).name)]
        if not 1 <= len(entries) <= MOST_FILES:
            raise StyleLoomError(f"the zip holds {len(entries)} images; send one with 1 to {MOST_FILES}")
        for entry in entries:
            name = Path(entry.filename.replace("\\", "/")).name
            path = folder / name
            for number in range(2, MOST_FILES + 2):
                if not path.exists():
                    break
                path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
            try:
                with archive.open(entry) as source, path.open("wb") as target:
                    while chunk := source.read(2**20):
                        left -= len(chunk)
                        if left < 0:
                            raise StyleLoomError(f"the zip unpacks to more than {max_bytes / 2**20:.0f} MiB; send a smaller one")
                        target.write(chunk)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
                raise StyleLoomError(f"{name} in the zip cannot be unpacked: {error}; make the zip anew") from error
            found.append(path)
    return found


def _pack(folder: Path, target: Path, stems: Mapping[str, str]) -> None:
    """Put a folder's images into a zip, which is there whole or not at all; files of our names get those they came with."""
    taken: set[str] = set()
    partial = target.with_suffix(".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and is_image(path.name):
                name = f"{stems.get(path.stem, path.stem)}{path.suffix}"
                name = path.name if name in taken else name
                taken.add(name)
                archive.write(path, name)
    partial.replace(target)
    shutil.rmtree(folder)
