"""Keeps a worker alive, ends jobs that are cancelled or take too long, and removes old files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import uuid

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import lock_folder

from .settings import ServiceSettings
from .store import JobStore
from .trainings import Trainings
from .worker import DATABASE, JOBS

WORKER = "import sys; from styleloom.service.worker import main; main(sys.argv[1:])"
LOOK = 0.1  # s between two looks at the worker
WISHES = 1.0  # s between two looks at what trainings are wished for, which reads their files
GRACE = 1.0  # s that a job has to end between two of its steps, before its worker is ended
SWEEP = 30.0  # s between two sweeps of old files
UPLOADS, PREVIEWS = "uploads", "previews"  # of the studio's pages


class Supervisor:
    """A thread that looks after one worker process.

    Args:
        settings: settings of the service.
        store: its database.
    """

    def __init__(self, settings: ServiceSettings, store: JobStore) -> None:
        self.settings, self.store = settings, store
        self.lock = contextlib.ExitStack()  # one server a folder: another would take its jobs
        self.lock.enter_context(lock_folder(settings.folder))
        self.stopped = threading.Event()
        self.worker: subprocess.Popen[bytes] | None = None
        self.name = ""
        self.restarts = -1
        self.looked = self.swept = 0.0  # when this was last done
        self.asked: dict[str, float] = {}  # when jobs were found to be cancelled
        self.trainings = Trainings(settings)
        self.thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin; what a server that died left running is queued again."""
        self.store.give_back()
        self._spawn()
        self.thread.start()

    def stop(self) -> None:
        """End the worker. A job that it runs is queued again, and goes on when the service starts anew."""
        self.stopped.set()
        self.thread.join()
        self._kill()
        self.trainings.close()
        self.store.give_back()
        self.store.close()
        self.lock.close()

    def _spawn(self) -> None:
        settings, self.name = self.settings, uuid.uuid4().hex
        command = [sys.executable, "-c", WORKER, str(settings.folder), "--name", self.name, "--parent", str(os.getpid())]
        limits = {"--max-pixels": settings.max_pixels, "--max-frames": settings.max_frames, "--max-bytes": settings.max_unpacked}
        for flag, value in (limits | {"--device": settings.device, "--runs": settings.runs_folder}).items():
            command += [flag, str(value)]
        self.worker = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.restarts += 1

    def _kill(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.kill()
        if self.worker is not None:
            self.worker.wait()

    def _run(self) -> None:
        while not self.stopped.wait(LOOK):
            try:
                self._look()
            except Exception:  # a full disk must not end the care for the worker
                traceback.print_exc()
        self.store.close()

    def _look(self) -> None:
        """Care for the worker, and now and then for trainings and what is left over."""
        if self._overdue():
            self._kill()
        if self.worker is None or self.worker.poll() is not None:
            self.store.give_back(self.name)
            self._spawn()
        if time.monotonic() - self.looked > WISHES:
            self.looked = time.monotonic()
            self.trainings.look()  # here, since a child is told of the end of the thread that began it
        if time.monotonic() - self.swept > SWEEP:
            self.swept = time.monotonic()
            self.sweep()

    def _overdue(self) -> bool:
        """Whether the running job was cancelled or takes too long."""
        for job in self.store.jobs(states=("running",)):
            if job.cancel and time.monotonic() - self.asked.setdefault(job.id, time.monotonic()) > GRACE:
                return True
            if job.started is not None and time.time() - job.started > self.settings.max_seconds:
                limit = f"it took longer than {self.settings.max_seconds} s; try a smaller image or fewer steps"
                self.store.finish(job.id, job.worker or "", "failed", error=limit)
                return True
        return False

    def sweep(self) -> None:
        """Remove jobs that ended long ago, folders that belong to none, and old uploads of pages, whole or broken off."""
        self.asked.clear()
        before = time.time() - 60 * self.settings.keep_minutes
        for id in self.store.forget(before):
            shutil.rmtree(self.settings.folder / JOBS / id, ignore_errors=True)
        folder = self.settings.folder
        for path in (*(folder / UPLOADS).glob("**/*"), *(folder / PREVIEWS).glob("*")):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
        for folder in (self.settings.folder / JOBS).glob("*"):
            with contextlib.suppress(OSError):
                old = time.time() - folder.stat().st_mtime > 60 * self.settings.keep_minutes
                if old and self.store.get(folder.name) is None:
                    shutil.rmtree(folder, ignore_errors=True)


def store_of(settings: ServiceSettings) -> JobStore:
    """The database of a service; its folder is made where there is none.

    Raises:
        StyleLoomError: the folder cannot be used.
    """
    try:
        (settings.folder / JOBS).mkdir(parents=True, exist_ok=True)
        return JobStore(settings.folder / DATABASE)
    except (OSError, sqlite3.Error) as error:
        raise StyleLoomError(f"cannot keep jobs in {settings.folder}: {error}; give another --folder") from error
