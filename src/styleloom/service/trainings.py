"""Trainings that clients start: one at a time, each a process of ``styleloom train``, whose run is kept below the folder of runs.

A run's wish (to go on, or to stop) is in its ``training.json``, so that it outlives the server. The supervisor's thread looks at
the wishes and begins or stops the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import replacing
from styleloom.core.settings import Range
from styleloom.data.sources import is_image, open_zip

from .request import MODEL, OWNER, Runs
from .settings import ServiceSettings

TRAINER = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
from styleloom.cli import main
main(sys.argv[1:])
"""
WISHES, ERRORS = "training.json", "errors.txt"
GO, STOP, DONE, FAILED = "go", "stop", "done", "failed"
PATIENCE = 60.0  # s that a training has to save what it has
POINTS = 200  # of a curve


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    Attributes:
        verb: of ``styleloom train``.
        files: fields of its files, each a zip of images, or an image for the style.
        options: options of the verb, by field, with their limits.
        fixed: options that are not a client's.
    """

    verb: str
    files: tuple[str, ...]
    options: Mapping[str, tuple[float, float]]
    fixed: Mapping[str, Any] = field(default_factory=dict)


EPOCHS_ALONE = dict(decay_epochs=0, schedule="cosine", log_every=5, sample_every=50, save_every=50)
KINDS = {
    "generator": Kind(
        "stylegan2",
        ("images",),
        dict(resolution=(16, 256), kimg=(0.1, 25_000)),
        dict(log_every=5, sample_every=50, save_every=50),
    ),
    "style": Kind(
        "johnson",
        ("images", "style"),
        dict(num_steps=(1, 100_000)),
        dict(base="anystyle", log_every=5, sample_every=25, save_every=25),
    ),
    "pairs": Kind("pix2pix", ("images",), dict(epochs=(1, 1000)), EPOCHS_ALONE),
    "domains": Kind("cyclegan", ("images", "other"), dict(epochs=(1, 1000)), EPOCHS_ALONE),
}
"""Kinds of trainings by name."""


@dataclass(frozen=True)
class Training:
    """A run that a client began.

    Attributes:
        id: its name.
        kind: see ``KINDS``.
        arguments: command line after ``styleloom train``.
        wish: go, stop, done or failed.
        created: seconds since 1970.
        error: why it failed, in one line.
    """

    id: str
    kind: str
    arguments: tuple[str, ...]
    wish: str = GO
    created: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Progress:
    """State of a training.

    Attributes:
        training: the run.
        state: running, waiting, stopping, stopped, done or failed.
        curves: losses by name, a number each logged step.
        steps: the steps of these.
        rate: images a second.
        sheet: path of the newest sheet of samples, where there is one.
        has_model: whether it has a model that can be used.
    """

    training: Training
    state: str
    curves: Mapping[str, Sequence[float]]
    steps: Sequence[int]
    rate: float
    sheet: Path | None
    has_model: bool


class Trainings:
    """Starts, stops and tells of trainings.

    Args:
        settings: settings of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings, self.folder = settings, settings.runs_folder
        self.process: subprocess.Popen[bytes] | None = None
        self.running = ""
        self.stopping = 0.0  # when the process was asked to end
        self.lock = threading.Lock()

    def start(self, owner: str, kind: str, files: Mapping[str, Path], options: Mapping[str, float]) -> Training:
        """Begin a run.

        Args:
            owner: digest of the client.
            kind: see ``KINDS``.
            files: files by field, which are copied into the run's folder.
            options: numbers by name.

        Raises:
            StyleLoomError: an unknown kind, files that are missing, options out of range, or too many runs.
        """
        check_choice("kind", kind, KINDS)
        made = KINDS[kind]
        if missing := [name for name in made.files if name not in files]:
            raise StyleLoomError(f"a training of this kind wants a file as {missing[0]!r}, and none came")
        for name, value in options.items():
            check_choice("option", name, made.options)
            Range(*made.options[name]).check(f"`{name}`", value)
        for name in made.files:
            if files[name].suffix.lower() == ".zip":
                with open_zip(files[name]) as archive:
                    if not any(is_image(each) for each in archive.namelist()):
                        raise StyleLoomError("the zip holds no image; send one with pictures")
        if len(own := [each for each in self.of(owner) if each.wish == GO]) >= self.settings.max_jobs:
            raise StyleLoomError(f"{len(own)} of your trainings wait or run, as many as may; stop one")
        id = f"{made.verb}-{time.strftime('%Y%m%d')}-{secrets.token_hex(3)}"
        home = self.folder / id / "data"
        home.mkdir(parents=True)
        paths = {}
        for name in made.files:
            paths[name] = home / f"{name}{files[name].suffix.lower()}"
            shutil.copyfile(files[name], paths[name])
        arguments = [made.verb, str(paths["images"])]
        for name in made.files[1:]:
            arguments += [f"--{name}", str(paths[name])]
        for name, value in (dict(made.fixed) | dict(options)).items():
            number = f"{value:g}" if isinstance(value, float) else str(value)
            arguments += [f"--{name.replace('_', '-')}", number]
        training = Training(id, kind, tuple(arguments), GO, time.time())
        (self.folder / id / OWNER).write_text(owner, encoding="utf-8")
        self._note(training)
        return training

    def of(self, owner: str) -> list[Training]:
        """A client's runs, the newest first."""
        found = [self._read(path.parent.name) for path in self.folder.glob(f"*/{WISHES}")]
        runs = Runs(self.folder, owner)
        return sorted((each for each in found if each and runs.may_use(each.id)), key=lambda each: -each.created)

    def wish(self, owner: str, id: str, wish: str) -> None:
        """Stop a run, or let it go on.

        Raises:
            StyleLoomError: there is no such run of this client.
        """
        with self.lock:
            training = self._own(owner, id)
            if training.wish != DONE:
                self._note(Training(**asdict(training) | dict(wish=wish, error="")))

    def remove(self, owner: str, id: str) -> None:
        """Delete a run and all that is in it.

        Raises:
            StyleLoomError: there is no such run of this client, or it is at work.
        """
        with self.lock:
            self._own(owner, id)
            if id == self.running:
                raise StyleLoomError("the training is at work; stop it first")
            shutil.rmtree(self.folder / id)

    def progress(self, owner: str, id: str) -> Progress:
        """Tell the state of a run.

        Raises:
            StyleLoomError: there is no such run of this client.
        """
        training, home = self._own(owner, id), self.folder / id
        rows: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):
            for line in (home / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # the last one may be half written
                    rows.append(json.loads(line))
        rows = [row for row in rows if "rate" in row]
        names = [name for name in (rows[-1] if rows else {}) if name not in ("step", "images", "seconds", "rate", "skipped")]
        thin = rows[:: max(1, len(rows) // POINTS)]
        curves = {name: [float(row[name]) for row in thin if name in row] for name in names}
        sheets = sorted((home / "run" / "samples").glob("*.png"))
        state = {GO: "waiting", STOP: "stopped"}.get(training.wish, training.wish)
        if id == self.running:
            state = "running" if training.wish == GO else "stopping"
        rate = float(rows[-1]["rate"]) if rows else 0.0
        steps = [int(row["step"]) for row in thin]
        return Progress(training, state, curves, steps, rate, sheets[-1] if sheets else None, (home / MODEL).exists())

    def look(self) -> None:
        """Begin what is wished for, stop what is not, note what ended; called again and again, by one thread."""
        with self.lock:
            if self.process is not None:
                self._tend(self.process)
            if self.process is None:
                waiting = [self._read(path.parent.name) for path in self.folder.glob(f"*/{WISHES}")]
                wished = sorted((each for each in waiting if each and each.wish == GO), key=lambda each: each.created)
                if wished:
                    self._spawn(wished[0])

    def close(self) -> None:
        """Stop the process; its run goes on when the service starts anew."""
        with self.lock:
            if self.process is not None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                self._publish(self.running)
                self.process, self.running = None, ""

    def _tend(self, process: subprocess.Popen[bytes]) -> None:
        training = self._read(self.running)
        code = process.poll()
        if code is None:
            self._publish(self.running)
            if training is None or training.wish != GO:
                if not self.stopping:
                    self.stopping = time.monotonic()
                    process.send_signal(signal.SIGTERM)
                elif time.monotonic() - self.stopping > PATIENCE:
                    process.kill()
            return
        self._publish(self.running)
        if training is not None and training.wish == GO and not self.stopping:  # wished for anew meanwhile, it goes on
            error = "" if code == 0 else _last_line(self.folder / self.running / ERRORS)
            self._note(Training(**asdict(training) | dict(wish=DONE if code == 0 else FAILED, error=error)))
        self.process, self.running, self.stopping = None, "", 0.0

    def _spawn(self, training: Training) -> None:
        home = self.folder / training.id
        out = home / "run"
        command = [sys.executable, "-c", TRAINER, "train", *training.arguments, "--out", str(out)]
        command += ["--device", self.settings.device, "--quiet", *(["--resume"] if (out / "state.safetensors").exists() else [])]
        with (home / ERRORS).open("wb") as errors:
            quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
            self.process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        self.running, self.stopping = training.id, 0.0
        if hasattr(os, "setpriority"):  # what clients wait for goes first
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.process.pid, 10)

    def _publish(self, id: str) -> None:
        """Put a run's model where clients' verbs find it."""
        made, shown = self.folder / id / "run" / MODEL, self.folder / id / MODEL
        with contextlib.suppress(OSError):
            if made.exists() and (not shown.exists() or shown.stat().st_mtime_ns != made.stat().st_mtime_ns):
                with replacing(shown) as temporary:
                    shutil.copy2(made, temporary)

    def _own(self, owner: str, id: str) -> Training:
        training = self._read(id) if Runs(self.folder, owner).may_use(id) else None
        if training is None:
            raise StyleLoomError("there is no such training; it may have been deleted")
        return training

    def _read(self, id: str) -> Training | None:
        try:
            content = json.loads((self.folder / id / WISHES).read_text(encoding="utf-8"))
            return Training(**content | dict(arguments=tuple(content["arguments"])))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _note(self, training: Training) -> None:
        with replacing(self.folder / training.id / WISHES) as temporary:
            temporary.write_text(json.dumps(asdict(training), indent=1), encoding="utf-8")


def _last_line(path: Path) -> str:
    """The last line of what a process said, without where it came from."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    text = lines[-1] if lines else "it ended without a word"
    return text.replace(f"{path.parent}{os.sep}", "").removeprefix("error: ")
