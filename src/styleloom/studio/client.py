"""Jobs of the studio's page: checked uploads in, progress and addresses of results out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.service.app import POLL, Service, aside, own_name
from styleloom.service.problems import Problem
from styleloom.service.request import SO_FAR, Runs, models_of
from styleloom.service.security import CLIENT_COOKIE, owner_of_secret
from styleloom.service.store import StoredJob


@dataclass(frozen=True)
class Update:
    """State of a job that is followed.

    Attributes:
        text: one line for people.
        job: its id.
        files: addresses of its results by name, or of the picture so far.
        values: figures of its last item.
        losses: the loss at each step that was noted.
        items: names of the images that are done, or what failed, with why; "" for those that went well.
        done: whether it ended well.
    """

    text: str
    job: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    losses: Sequence[float] = ()
    items: Mapping[str, str] = field(default_factory=dict)
    done: bool = False


def checked(path: str | None, uploads: Path, what: str = "a picture") -> Path:
    """The path of an upload of this server; no other file can be named.

    Raises:
        gr.Error: there is none, or it is no upload.
    """
    if not path:
        raise gr.Error(f"Choose {what} first.", print_exception=False)
    resolved = Path(path).resolve()
    if not resolved.is_relative_to(uploads.resolve()) or not resolved.is_file():
        raise gr.Error(f"{what.capitalize()} is no longer there: please load it again.", print_exception=False)
    return resolved


def owner_of_page(request: gr.Request) -> str:
    """The owner of a page's jobs, by its cookie."""
    return owner_of_secret(request.cookies.get(CLIENT_COOKIE, ""))


async def follow(
    service: Service,
    verb: str,
    options: Mapping[str, Any],
    files: Mapping[str, Sequence[Path]],
    request: gr.Request,
    *,
    alone: str = "",
) -> AsyncIterator[Update]:
    """Queue a job and follow it to its end.

    Args:
        service: the service that does it.
        verb, options, files: as the API takes them.
        request: request of the page, whose cookie tells the owner.
        alone: a name under which a page follows one job at a time; one that is not finished ends without a word.

    Yields:
        :class:`Update`; the last one is done, unless the job failed or another one took its place.

    Raises:
        gr.Error: the job was refused or failed, with its one-line reason.
    """
    try:
        job = await service.add(verb, options, files, owner_of_page(request))
    except Problem as problem:
        raise gr.Error(for_people(problem.detail), print_exception=False) from problem
    place = request.session_hash, alone
    before = OPEN.get(place) if alone else None
    if alone:
        OPEN[place] = job.id, files
    after, text = 0, "Waiting ..."
    values: dict[str, Any] = {}
    losses: list[float] = []
    items: dict[str, str] = {}
    try:
        if before is not None:
            await aside(service.store.cancel, before[0])
        while True:
            now: StoredJob | None = await aside(service.store.get, job.id)  # before its events, so that none is missed at its end
            for number, content in await aside(service.store.events, job.id, after):
                after = number
                if content["event"] == "progressed":
                    text = f"Step {content['index']} of {content['total']}"
                    losses += [content["losses"]["total"]] if "total" in content["losses"] else []
                values = content.get("values", values)
                if content["event"] in ("item_done", "item_failed"):
                    items[content["item"]] = content.get("reason", "")
            if alone and not _is_open(place, job):
                return
            if now is None or now.state in ("failed", "cancelled"):
                reason = "It was stopped." if now is None or now.state == "cancelled" else for_people(now.error or "It failed.")
                yield Update(reason, job.id, {}, values, tuple(losses), items)
                title = "Not done" if now is not None and now.state == "failed" else "Stopped"
                raise gr.Error(reason, print_exception=False, title=title)
            if now.state == "done":
                yield Update(_took(now), job.id, _addresses(now), values, tuple(losses), items, done=True)
                return
            waiting = await aside(_waiting, service, now) if now.state == "queued" else text
            yield Update(waiting, job.id, _so_far(service, now), values, tuple(losses), items)
            await asyncio.sleep(3 * POLL)
    except (asyncio.CancelledError, GeneratorExit):
        service.store.cancel(job.id)
        raise
    finally:
        if _is_open(place, job):
            del OPEN[place]


OPEN: dict[tuple[str | None, str], tuple[str, Mapping[str, Sequence[Path]]]] = {}
"""By page and name, the one job that is followed: its id and its files."""


def _is_open(place: tuple[str | None, str], job: StoredJob) -> bool:
    return place in OPEN and OPEN[place][0] == job.id


async def leave(service: Service, request: gr.Request, *names: str, keep: Path | None = None) -> bool:
    """End what a page follows under these names, without a word.

    The page's own ``cancels`` may arrive late, and end the job that was asked for next: the server knows which one is old.

    Args:
        service: the service that does it.
        request: request of the page.
        names: ``alone`` of the jobs.
        keep: jobs about this file go on.

    Returns:
        Whether one goes on.
    """
    places = [place for name in names if (place := (request.session_hash, name)) in OPEN]
    old = [place for place in places if keep is None or not any(keep in files for files in OPEN[place][1].values())]
    ended = [OPEN.pop(place)[0] for place in old]  # before anything is awaited: others change OPEN too
    for job in ended:
        await aside(service.store.cancel, job)
    return len(old) < len(places)


def for_people(text: str) -> str:
    """An error as it is told on a page, where there are no options by name."""
    return text.replace("; raise `max_pixels`, or reduce it", "; make it smaller").replace("`", "")


def _so_far(service: Service, job: StoredJob) -> dict[str, str]:
    """The address of the picture so far; it changes with the picture, so that browsers load it again."""
    path = service.path_of(job, SO_FAR)
    try:
        return {SO_FAR: f"/v1/jobs/{job.id}/files/{SO_FAR}?{path.stat().st_mtime_ns}"}
    except OSError:
        return {}


def _took(job: StoredJob) -> str:
    return f"Done in {(job.finished or 0) - (job.started or 0):.1f} s"


def _waiting(service: Service, job: StoredJob) -> str:
    ahead = sum(each.created < job.created for each in service.store.jobs(states=("queued", "running")))
    return f"Waiting, {ahead} before you" if ahead else "Starting ..."


def _addresses(job: StoredJob) -> dict[str, str]:
    return {name: f"/v1/jobs/{job.id}/files/{name}" for name in job.files}


def kept(service: Service, job: str, name: str, request: gr.Request) -> Path:
    """The path of a result of the page's own job, to go on with.

    Raises:
        gr.Error: there is none, or it is another client's.
    """
    found = service.store.get(job) if job else None
    if found is None or found.owner != owner_of_page(request) or name not in found.files:
        raise gr.Error("That result is gone. Please make it again.", print_exception=False)
    return service.path_of(found, name)


def source_address(job: str, verb: str, field: str, source: Path) -> str:
    """Address of the file that a job was given as a field."""
    return f"/v1/jobs/{job}/sources/{own_name(verb, field, 1, source.name)}"


def models_for(service: Service, verb: str, request: gr.Request) -> list[str]:
    """Names of the models that a page may use for a verb: those that ship, and its own trainings."""
    return models_of(verb, Runs(service.settings.runs_folder, owner_of_page(request)))


def model_choice(service: Service, verb: str, default: str, label: str, tab: gr.Tab) -> gr.Dropdown:
    """A choice of models, which is made anew whenever its tab is opened: trainings may have ended."""
    choice = gr.Dropdown(models_of(verb), value=default, label=label, allow_custom_value=True)

    def anew(request: gr.Request) -> Any:
        return gr.Dropdown(choices=models_for(service, verb, request))

    tab.select(anew, None, choice, show_progress="hidden")
    return choice
