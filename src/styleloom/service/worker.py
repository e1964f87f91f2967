"""The worker process of the service: takes jobs from the database one after the other, and keeps models loaded between them."""

from __future__ import annotations

import argparse
import ctypes
import json
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
from styleloom.core.memory import keep_memory, return_memory
from styleloom.jobs.events import Event, Finished, ItemDone, ItemFailed, Noted, Progressed
from styleloom.jobs.outputs import Limits

from .request import MADE, RESULTS, UNPACKED, Request, Runs
from .store import JobStore, StoredJob
from .verbs import VERBS

DATABASE, JOBS = "jobs.sqlite", "jobs"
FAILURES = "failures.json"  # what could not be done of several images, and why
IDLE, NOTES = 0.05, 0.2  # s between two looks for a job, and between two notes of progress
RETURN_AFTER = 1.0  # s without a job, after which memory goes back to the system
_DIE_WITH_PARENT = 1  # of prctl(2): PR_SET_PDEATHSIG


def request_of(job: StoredJob, options: argparse.Namespace) -> Request:
    """A stored job as its verb takes it."""
    home = options.folder / JOBS / job.id
    files = {field: [home / name for name in names] for field, names in job.options["files"].items()}
    limits = Limits(options.device, options.max_pixels)
    runs = Runs(options.runs, job.owner)
    return Request(
        home, files, job.options["options"], limits, options.max_frames, options.max_bytes, runs, job.options.get("names", {})
    )


def work(store: JobStore, job: StoredJob, request: Request, worker: str) -> None:
    """Do a job, and note its events and its end."""
    request.out.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    failures: list[dict[str, str]] = []
    done = 0
    try:
        for event in _seldom(VERBS[job.verb](request)):
            done += isinstance(event, ItemDone)
            public = {name: _with_given_names(each, request) for name, each in _public(event, request.folder).items()}
            if isinstance(event, ItemFailed):
                failures.append(dict(item=public["item"], reason=public["reason"]))
            store.note(job.id, public)
            if store.is_cancelled(job.id):
                store.finish(job.id, worker, "cancelled")
                return
        if failures and not done:
            reasons.append(failures[0]["reason"])
        elif failures:  # some of several
            (request.out / FAILURES).write_text(json.dumps(failures, indent=1))
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
        if "can't allocate memory" in str(error):
            reasons.append("out of memory; try a smaller image")
        reasons.append(f"the service failed at this ({type(error).__name__}); its log says more")
    names = sorted(path.name for path in request.out.iterdir() if path.is_file() and not path.name.startswith("."))
    if reasons:
        shutil.rmtree(request.out, ignore_errors=True)
        store.finish(job.id, worker, "failed", error=_with_given_names(_without_paths(reasons[0], request.folder), request))
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


def _public(event: Event, folder: Path) -> dict[str, Any]:
    """An event without the server's paths."""
    if isinstance(event, ItemDone):
        values = {name: each for name, each in event.values.items() if isinstance(each, int | float | str | list | dict)}
        values = {name: each for name, each in values.items() if name not in ("out", "content")}
        return dict(event="item_done", item=Path(event.item).name, seconds=event.seconds, values=values)
    if isinstance(event, ItemFailed):
        return dict(event="item_failed", item=Path(event.item).name, reason=_without_paths(event.reason, folder))
    if isinstance(event, Finished):
        return dict(event="finished", seconds=event.seconds)
    if isinstance(event, Progressed):
        return dict(event="progressed", index=event.index, total=event.total, losses=event.losses, seconds=event.seconds)
    if isinstance(event, Noted):
        return dict(event="noted", text=event.text)
    return dict(event="started")


def _with_given_names(value: Any, request: Request) -> Any:
    """A text with the names that the client's files came with, in the place of our own."""
    if isinstance(value, str):
        for own, given in request.given_names.items():
            value = value.replace(own, given)
    return value


def _without_paths(text: str, folder: Path) -> str:
    for inside in (RESULTS, UNPACKED, MADE):
        text = text.replace(f"{folder / inside}{os.sep}", "")
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), "the job")


def main(arguments: list[str]) -> None:
    """Run until the server ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--max-frames", type=int, required=True)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--runs", type=Path)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends its workers
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    keep_memory()
    store = JobStore(options.folder / DATABASE)
    idle_since: float | None = None  # None: nothing was done since memory was returned
    while os.getppid() == options.parent:  # the server may have died before this process asked to die with it
        if (job := store.take(options.name)) is None:
            time.sleep(IDLE)
            if idle_since is not None and time.monotonic() - idle_since > RETURN_AFTER:
                idle_since = None
                return_memory()
            continue
        work(store, job, request_of(job, options), options.name)
        idle_since = time.monotonic()
