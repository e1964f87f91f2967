"""The worker process of the service: takes jobs from the database one after the other, and keeps models loaded between them."""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from styleloom.core.errors import StyleLoomError
from styleloom.core.memory import keep_memory
from styleloom.jobs.events import Event, Finished, ItemDone, ItemFailed, Noted, Progressed
from styleloom.jobs.outputs import Limits

from .store import JobStore, StoredJob
from .verbs import RESULTS, VERBS, Request

DATABASE, JOBS = "jobs.sqlite", "jobs"
IDLE, NOTES = 0.05, 0.2  # s between two looks for a job, and between two notes of progress
_DIE_WITH_PARENT = 1  # of prctl(2): PR_SET_PDEATHSIG


def request_of(job: StoredJob, folder: Path, limits: Limits, max_frames: int) -> Request:
    """A stored job as its verb takes it."""
    home = folder / JOBS / job.id
    files = {field: [home / name for name in names] for field, names in job.options["files"].items()}
    return Request(home, files, job.options["options"], limits, max_frames)


def work(store: JobStore, job: StoredJob, request: Request, worker: str) -> None:
    """Do a job, and note its events and its end."""
    request.out.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    try:
        for event in _seldom(VERBS[job.verb](request)):
            if isinstance(event, ItemFailed):
                reasons.append(event.reason)
            store.note(job.id, _public(event))
    except StyleLoomError as error:
        reasons.append(str(error))
    except OSError as error:
        reasons.append(f"the disk refused: {error.strerror}")
    except MemoryError:
        reasons.append("out of memory; try a smaller image")
    except (TypeError, ValueError) as error:
        traceback.print_exc()
        given = ", ".join(f"{name} {value!r}" for name, value in request.options.items())
        reasons.append(f"an option has a value of a kind that it does not take, among {given}: {str(error).splitlines()[0]}")
    except Exception as error:  # a fault of ours ends this job, not the worker
        traceback.print_exc()
        reasons.append(f"the service failed at this ({type(error).__name__}); its log says more")
    names = sorted(path.name for path in request.out.iterdir() if path.is_file() and not path.name.startswith("."))
    if reasons:
        shutil.rmtree(request.out, ignore_errors=True)
        store.finish(job.id, worker, "failed", error=_without_paths(reasons[0], request.folder))
    else:
        store.finish(job.id, worker, "done", files=names)


def _seldom(events: Iterator[Event]) -> Iterator[Event]:
    """Events, but of progress only a few a second."""
    last = 0.0
    for event in events:
        now = time.monotonic()
        if not isinstance(event, Progressed) or now - last >= NOTES or event.index == event.total:
            last = now
            yield event


def _public(event: Event) -> dict[str, Any]:
    """An event without the server's paths."""
    if isinstance(event, ItemDone):
        values = {name: each for name, each in event.values.items() if isinstance(each, int | float | str | list | dict)}
        return dict(
            event="item_done", seconds=event.seconds, values={n: v for n, v in values.items() if n not in ("out", "content")}
        )
    if isinstance(event, ItemFailed):
        return dict(event="item_failed")
    if isinstance(event, Finished):
        return dict(event="finished", seconds=event.seconds)
    if isinstance(event, Progressed):
        return dict(event="progressed", index=event.index, total=event.total, losses=event.losses, seconds=event.seconds)
    if isinstance(event, Noted):
        return dict(event="noted", text=event.text)
    return dict(event="started")


def _without_paths(text: str, folder: Path) -> str:
    return text.replace(f"{folder / RESULTS}{os.sep}", "").replace(f"{folder}{os.sep}", "").replace(str(folder), "the job")


def main(arguments: list[str]) -> None:
    """Run until the server ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--max-frames", type=int, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends its workers
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    keep_memory()
    store, parent = JobStore(options.folder / DATABASE), os.getppid()
    limits = Limits(options.device, options.max_pixels)
    while os.getppid() == parent:
        if (job := store.take(options.name)) is None:
            time.sleep(IDLE)
            continue
        work(store, job, request_of(job, options.folder, limits, options.max_frames), options.name)
