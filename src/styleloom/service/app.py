"""The routes of the service."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from styleloom import __version__
from styleloom.core.errors import StyleLoomError
from styleloom.data.images import SUFFIXES
from styleloom.data.video import READABLE

from .openapi import ANSWERS, body
from .problems import Problem, problem
from .request import RESULTS, SO_FAR
from .security import Guard, owner_of
from .settings import ServiceSettings
from .store import JobStore, StoredJob
from .supervisor import Supervisor, store_of
from .verbs import EXAMPLES, FILES, MANY, OPTIONS, VERBS
from .worker import JOBS

POLL = 0.05  # s between two looks at a job that is waited for
MEBIBYTE = 2**20


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application: ``POST /v1/VERB``, jobs, health and metrics. Its worker starts and ends with it.

    Args:
        settings: see :class:`ServiceSettings`.

    Raises:
        StyleLoomError: settings that cannot be, such as an open host without a token.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.supervisor.start()
        yield
        await anyio.to_thread.run_sync(service.supervisor.stop)

    app = FastAPI(
        title="StyleLoom", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json",
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_upload * MEBIBYTE)  # of bodies without a length
    app.add_middleware(Guard, settings=settings)
    for verb in VERBS:
        described = (VERBS[verb].__doc__ or "").strip()
        app.add_api_route(
            f"/v1/{verb}", partial(_submit, service, verb), methods=["POST"], name=verb, summary=described, description=described,
            openapi_extra=body(verb), responses=ANSWERS, response_model=None,
        )  # fmt: skip
    routes: list[tuple[str, str, Callable[..., Awaitable[Response]], str]] = [
        ("GET", "/v1/jobs", service.listing, "The client's own jobs; it sends X-Client or a cookie."),
        ("GET", "/v1/jobs/{id}", service.job, "A job."),
        ("DELETE", "/v1/jobs/{id}", service.cancel, "Cancel a job that is open; delete the results of one that is not."),
        ("GET", "/v1/jobs/{id}/events", service.events, "A job's events, as server-sent events."),
        ("GET", "/v1/jobs/{id}/files/{name}", service.file, "A result by its name."),
        ("GET", "/v1/jobs/{id}/sources/{name}", service.source, "A file that the job was given."),
        ("GET", "/healthz", service.health, "Whether the service works."),
        ("GET", "/metrics", service.metrics, "Figures in the format of Prometheus."),
    ]
    for method, path, route, described in routes:
        app.add_api_route(path, route, methods=[method], summary=described, response_model=None)
        if method == "GET" and route is not service.events:  # what probes and downloaders ask
            app.add_api_route(path, route, methods=["HEAD"], include_in_schema=False, response_model=None)
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(HTTPException, _told_of_http)
    return app


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem(error.status, error.detail, error.headers)


async def _told_of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {
        404: "nothing is at this address; see /v1/openapi.json",
        405: "this address takes other methods; see /v1/openapi.json",
    }
    return problem(error.status_code, told.get(error.status_code, str(error.detail)), error.headers)


async def _submit(service: Service, verb: str, request: Request) -> Response:
    return await service.submit(verb, request)


class Service:
    """Submits, follows and ends jobs.

    Args:
        settings: settings of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.store: JobStore = store_of(settings)
        self.supervisor = Supervisor(settings, self.store)
        self.began = time.time()
        self.closing = False  # the server is about to end, so streams end

    async def submit(self, verb: str, request: Request) -> Response:
        """Queue a job; answer with its image where it is ready soon, else with the job."""
        owner, key = owner_of(request), request.headers.get("idempotency-key")
        if key is not None and not owner:
            raise Problem(400, "an Idempotency-Key is a client's own; send X-Client, a secret of yours, with it")
        kind = request.headers.get("content-type", "")
        if not kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
            raise Problem(415, f"the body is {kind or 'of no kind'}; send a form (multipart/form-data) with files and options")
        await self._check_room(owner)
        id = secrets.token_hex(16)
        home = self.settings.folder / JOBS / id
        try:
            async with request.form(max_files=16, max_fields=16, max_part_size=MEBIBYTE) as form:
                options = _options_of(verb, form)
                files, names = await self._saved(verb, form, home)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        job = await aside(self.store.add, verb, dict(files=files, options=options, names=names), owner, key, id)
        if job.id != id:  # this key was used before
            shutil.rmtree(home, ignore_errors=True)
            if (job.verb, job.options["options"]) != (verb, options):
                raise Problem(409, f"this Idempotency-Key was used for a {job.verb} with other options; send another key")
        wait = 0.0 if "respond-async" in request.headers.get("prefer", "") else self.settings.wait_seconds
        job = await self._waited(job, wait)
        if job.state == "failed":
            raise Problem(422, job.error or "it failed")
        headers = {"Location": f"/v1/jobs/{job.id}"}
        if job.state == "done" and len(job.files) == 1:
            return FileResponse(self.path_of(job, job.files[0]), headers=headers)
        return JSONResponse(await self._described(job), 202 if job.is_open else 200, headers)

    async def add(self, verb: str, options: Mapping[str, Any], files: Mapping[str, Sequence[Path]], owner: str) -> StoredJob:
        """Queue a job of files that are here already, which are copied.

        Raises:
            Problem: options that the verb has not, or too many jobs.
        """
        _check_options(verb, options)
        await self._check_room(owner)
        id = secrets.token_hex(16)
        home = self.settings.folder / JOBS / id
        home.mkdir(parents=True)
        names = {
            field: [own_name(verb, field, index, path.name) for index, path in enumerate(paths, 1)]
            for field, paths in files.items()
        }
        for field, paths in files.items():
            for path, name in zip(paths, names[field], strict=True):
                await anyio.to_thread.run_sync(shutil.copyfile, path, home / name)
        given = {own: given_name(path.name) for field in files for own, path in zip(names[field], files[field], strict=True)}
        content = dict(files=names, options=dict(options), names=given)
        added: StoredJob = await aside(self.store.add, verb, content, owner, None, id)
        return added

    async def _check_room(self, owner: str) -> None:
        counts = await aside(self.store.counts)
        waiting = counts.get("queued", 0)
        if waiting >= self.settings.max_queue:
            raise Problem(503, f"{waiting} jobs are waiting, as many as may; try again later", {"Retry-After": "10"})
        if owner and len(await aside(self.store.jobs, owner, states=("queued", "running"))) >= self.settings.max_jobs:
            raise Problem(429, f"{self.settings.max_jobs} of your jobs are open, as many as may; wait for one, or cancel it")

    async def _saved(self, verb: str, form: FormData, home: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Write uploaded files into a job's folder, under names of our own: these by field, and what each came as."""
        names: dict[str, list[str]] = {}
        given: dict[str, str] = {}
        for field, upload in form.multi_items():
            if field == "options":
                continue
            if field not in FILES[verb]:
                raise Problem(422, f"{verb} takes no {field!r}; it takes {', '.join([*FILES[verb], 'options'])}")
            if not isinstance(upload, UploadFile):
                raise Problem(422, f"{field!r} is text; send a file")
            name = own_name(verb, field, len(names.get(field, ())) + 1, upload.filename or "")
            home.mkdir(parents=True, exist_ok=True)
            with (home / name).open("wb") as file:
                while chunk := await upload.read(MEBIBYTE):
                    await anyio.to_thread.run_sync(file.write, chunk)
            names.setdefault(field, []).append(name)
            given[name] = given_name(upload.filename or name)
        missing = [field for field, is_needed in FILES[verb].items() if is_needed and field not in names]
        if missing:
            raise Problem(422, f"{verb} wants a file as {missing[0]!r}, and none came")
        return names, given

    async def _waited(self, job: StoredJob, seconds: float) -> StoredJob:
        """A job when it is over, or after so many seconds."""
        end = time.monotonic() + seconds
        while job.is_open and time.monotonic() < end:
            await asyncio.sleep(POLL)
            job = await aside(self.store.get, job.id) or job
        return job

    async def _job(self, request: Request, id: str) -> StoredJob:
        """A job that the client may see."""
        job: StoredJob | None = await aside(self.store.get, id)
        if job is None or (job.owner and job.owner != owner_of(request)):
            raise Problem(404, "no such job; jobs are kept for an hour, for the client that made them")
        return job

    def path_of(self, job: StoredJob, name: str) -> Path:
        """The path of a job's result."""
        return self.settings.folder / JOBS / job.id / RESULTS / name

    async def _described(self, job: StoredJob) -> dict[str, Any]:
        """A job as clients see it."""
        here = f"/v1/jobs/{job.id}"
        described = dict(
            id=job.id, verb=job.verb, state=job.state, created=job.created, started=job.started, finished=job.finished,
            error=job.error, url=here, events=f"{here}/events", files={name: f"{here}/files/{name}" for name in job.files},
        )  # fmt: skip
        if job.state == "queued":
            earlier = [each for each in await aside(self.store.jobs, states=("queued",)) if each.created < job.created]
            described["position"] = len(earlier) + 1
        return described

    async def listing(self, request: Request) -> Response:
        """The client's own jobs."""
        owner = owner_of(request)
        found = await aside(self.store.jobs, owner) if owner else []
        return JSONResponse([await self._described(job) for job in found])

    async def job(self, request: Request, id: str) -> Response:
        """A job."""
        return JSONResponse(await self._described(await self._job(request, id)))

    async def cancel(self, request: Request, id: str) -> Response:
        """Cancel a job, or delete what it made."""
        job = await self._job(request, id)
        if job.is_open:
            await aside(self.store.cancel, id)
            job = await self._waited(await self._job(request, id), 5.0)
            return JSONResponse(await self._described(job), 202 if job.is_open else 200)
        shutil.rmtree(self.settings.folder / JOBS / id, ignore_errors=True)
        await aside(self.store.remove, id)
        return Response(status_code=204)

    async def file(self, request: Request, id: str, name: str) -> Response:
        """A result by its name, or the picture so far of a job that is not done."""
        job = await self._job(request, id)
        if name in job.files:
            return FileResponse(self.path_of(job, name))
        if name == SO_FAR:
            try:  # read at once: it is replaced while the job goes on
                return Response(await anyio.to_thread.run_sync(self.path_of(job, name).read_bytes), media_type="image/png")
            except OSError:
                pass
        raise Problem(404, f"the job has no file of that name; it has {', '.join(job.files) or 'none yet'}")

    async def source(self, request: Request, id: str, name: str) -> Response:
        """An uploaded file of a job, as its client sent it."""
        job = await self._job(request, id)
        if name not in [each for names in job.options["files"].values() for each in names]:
            raise Problem(404, "the job was given no file of that name")
        return FileResponse(self.settings.folder / JOBS / job.id / name)

    async def events(self, request: Request, id: str) -> Response:
        """A job's events, after ``Last-Event-ID``; the last one is done, failed or cancelled."""
        job = await self._job(request, id)
        given = request.headers.get("last-event-id", "0")
        after = int(given) if given.isascii() and given.isdigit() else 0
        if not job.is_open and after > len(await aside(self.store.events, id)):
            return Response(status_code=204)  # tells a browser to stop asking
        return StreamingResponse(self._stream(id, after), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _stream(self, id: str, after: int) -> AsyncIterator[str]:
        number = after
        while not self.closing:
            job: StoredJob | None = await aside(self.store.get, id)
            for number, content in await aside(self.store.events, id, after):
                after = number
                yield _event(number, content.pop("event"), content)
            if job is None:
                yield _event(number + 1, "cancelled", {})
                return
            if not job.is_open:
                end = dict(error=job.error) if job.error else dict(files=[f"/v1/jobs/{id}/files/{name}" for name in job.files])
                yield _event(number + 1, job.state, end)
                return
            await asyncio.sleep(POLL)

    async def health(self) -> Response:
        """Whether the worker lives."""
        worker = self.supervisor.worker
        alive = worker is not None and worker.poll() is None
        return JSONResponse(dict(status="ok" if alive else "starting", version=__version__), 200 if alive else 503)

    async def metrics(self) -> Response:
        """Figures in the text format of Prometheus."""
        counts = await aside(self.store.counts)
        lines = ["# HELP styleloom_jobs Jobs by state.", "# TYPE styleloom_jobs gauge"]
        states = ("queued", "running", "done", "failed", "cancelled")
        lines += [f'styleloom_jobs{{state="{state}"}} {counts.get(state, 0)}' for state in states]
        lines += ["# HELP styleloom_worker_restarts_total Workers that died.", "# TYPE styleloom_worker_restarts_total counter"]
        lines += [f"styleloom_worker_restarts_total {max(0, self.supervisor.restarts)}"]
        lines += ["# HELP styleloom_uptime_seconds Seconds since the start.", "# TYPE styleloom_uptime_seconds gauge"]
        lines += [f"styleloom_uptime_seconds {time.time() - self.began:.1f}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _event(number: int, kind: str, content: dict[str, Any]) -> str:
    """One server-sent event; browsers drop events without data."""
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(content)}\n\n"


def _options_of(verb: str, form: FormData) -> dict[str, Any]:
    if len(form.getlist("options")) > 1:
        raise Problem(422, "options came twice; send one JSON object")
    text = form.get("options", "{}")
    try:
        options = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise Problem(422, f"options are no JSON object; send one such as {json.dumps(EXAMPLES[verb])}")
    _check_options(verb, options)
    return options


def _check_options(verb: str, options: Mapping[str, Any]) -> None:
    """Raise Problem where a verb has no such option."""
    if unknown := [name for name in options if name not in OPTIONS[verb]]:
        raise Problem(422, f"{verb} has no option {unknown[0]!r}; it has {', '.join(OPTIONS[verb])}")


def own_name(verb: str, field: str, index: int, given: str) -> str:
    """A name of our own for an uploaded file, with its suffix where that is known."""
    suffix = Path(given).suffix.lower()
    known = {".safetensors"} if field == "latents" else {*SUFFIXES}
    if MANY.get(verb) == field:
        known |= {".zip", *READABLE}
    return f"{field}-{index}{suffix if suffix in known else '.png'}"


def given_name(name: str) -> str:
    """The name that a file came with, as it may be shown: the last part, printable, and not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable())[-80:] or "file"


async def aside(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The result of a function that waits for the disk, in a thread."""
    try:
        return await anyio.to_thread.run_sync(partial(function, *arguments, **options))
    except StyleLoomError as error:
        raise Problem(422, str(error)) from error
