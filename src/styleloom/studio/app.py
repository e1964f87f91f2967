"""The studio's application: the service, and a page on it."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from styleloom.drawn.painterly import STYLES
from styleloom.service.app import Service, aside, create_app
from styleloom.service.problems import Problem
from styleloom.service.request import MODEL, Runs
from styleloom.service.security import CLIENT_COOKIE, TOKEN_COOKIE, owner_of, same_secret
from styleloom.service.settings import ServiceSettings
from styleloom.service.supervisor import UPLOADS

from . import batch, draw, edit, generate, learn, stylize, train
from .photos import Photos

HERE = Path(__file__).parent
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.rose,
    neutral_hue=gr.themes.colors.stone,
    font=("ui-sans-serif", "system-ui", "sans-serif"),
    font_mono=("ui-monospace", "monospace"),
    radius_size=gr.themes.sizes.radius_md,
).set(
    slider_color="#b3382c",
    color_accent="#b3382c",
    checkbox_background_color_selected="#b3382c",
    checkbox_background_color_selected_dark="#b3382c",
    body_background_fill="#faf7f2",
    body_background_fill_dark="#1b1816",
    block_background_fill="#fffdfa",
    block_background_fill_dark="#242019",
)
SCRIPT = '<script src="/studio/studio.js" defer></script>'
TITLE = """<header class="title"><h1>StyleLoom</h1><p>Image style, from Gatys to a learned optimizer.
Everything stays on this machine.</p></header>"""
LOGIN = """<!doctype html><html lang="en"><title>StyleLoom</title><meta name="viewport" content="width=device-width">
<body style="font: 16px system-ui; max-width: 24rem; margin: 4rem auto; padding: 0 1rem"><h1>StyleLoom</h1>
<form method="post"><label>Token <input name="token" type="password" autofocus required></label> <button>Open</button></form>"""


def create_studio(settings: ServiceSettings) -> FastAPI:
    """The service's application with the studio at its root.

    Args:
        settings: settings of the service.

    Raises:
        StyleLoomError: settings that cannot be, such as an open host without a token.
    """
    app = create_app(settings)  # first, since it refuses a folder that another server works in
    uploads = settings.folder / UPLOADS
    shutil.rmtree(uploads, ignore_errors=True)  # of the last start
    uploads.mkdir(parents=True)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads.resolve())
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    service: Service = app.state.service
    photos = Photos(service, uploads)
    page = _page(service, photos)
    page.has_launched = True  # so that Gradio checks paths as in a launch of its own
    page.queue(api_open=False, max_size=settings.max_queue)

    @app.middleware("http")
    async def client(request: Request, call_next) -> Response:  # type: ignore[no-untyped-def]
        """Give each browser a secret of its own, by which it has its jobs."""
        answer: Response = await call_next(request)
        if request.url.path == "/" and CLIENT_COOKIE not in request.cookies:
            answer.set_cookie(CLIENT_COOKIE, secrets.token_urlsafe(24), httponly=True, samesite="strict")
        return answer

    _add_files(app, photos, settings)

    @app.get("/login")
    async def login() -> Response:
        """Ask for the token."""
        return HTMLResponse(LOGIN)

    @app.post("/login")
    async def enter(request: Request) -> Response:
        """Keep the token in a cookie."""
        async with request.form(max_fields=2, max_files=0) as form:
            given = str(form.get("token", ""))
        if not same_secret(given, settings.token):
            return HTMLResponse(LOGIN + "<p>That is another token.</p>", 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(TOKEN_COOKIE, given, httponly=True, samesite="strict")
        return answer

    @app.api_route("/v1/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def unknown(rest: str) -> Response:
        """Refuse addresses below /v1 that are no route, which the page would answer otherwise."""
        raise Problem(404, "nothing is at this address; see /v1/openapi.json")

    css = (HERE / "studio.css").read_text(encoding="utf-8") + _thumbnails()
    mounted: FastAPI = gr.mount_gradio_app(
        app, page, "/", theme=THEME, css=css, show_error=False, allowed_paths=[], run_history=False, footer_links=[],
        max_file_size=f"{settings.max_upload}mb", ssr_mode=False, pwa=False, head=SCRIPT,
    )  # fmt: skip
    return mounted


def _add_files(app: FastAPI, photos: Photos, settings: ServiceSettings) -> None:
    """Add the routes of files that the page shows."""

    @app.get("/studio/styles/{name}.jpg")
    async def style(name: str) -> Response:
        """A bundled style, small."""
        if name not in STYLES:
            raise Problem(404, "there is no such style")
        return FileResponse(HERE / "thumbnails" / f"{name}.jpg", headers={"Cache-Control": "max-age=86400"})

    @app.get("/studio/studio.js")
    async def script() -> Response:
        """The parts of the page that follow the pointer."""
        return FileResponse(HERE / "studio.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    @app.get("/studio/drawings/{number}.png")
    async def drawing(number: int) -> Response:
        """A drawing to begin with."""
        return Response(await aside(draw.drawing, number), media_type="image/png")

    @app.get("/studio/previews/{name}.jpg")
    async def preview(name: str, request: Request) -> Response:
        """A small copy of a picture that this client uploaded."""
        return _file(photos.previews.path(name, owner_of(request)))

    @app.get("/studio/source/{file:path}")
    async def source(file: str) -> Response:
        """The source of a chapter, to read."""
        return _file(learn.source_of(file), "text/plain; charset=utf-8")

    @app.get("/studio/runs/{id}/{name}")
    async def of_run(id: str, name: str, request: Request) -> Response:
        """The model of a client's training, or one of its sheets of samples."""
        if not Runs(settings.runs_folder, owner_of(request)).may_use(id):
            raise Problem(404, "there is no such training")
        home = settings.runs_folder / id
        if name == MODEL:
            return _file(home / MODEL)
        return _file(home / "run" / "samples" / name if name.removesuffix(".png").isdigit() else None)


def _thumbnails() -> str:
    """Rules that show each style on its own box to tick."""
    return "".join(
        f'#styles label:nth-of-type({index}) {{ background-image: url("/studio/styles/{name}.jpg"); }}\n'
        for index, name in enumerate(STYLES, 1)
    )


def _file(path: Path | None, kind: str | None = None) -> Response:
    """A file, where there is one."""
    if path is None or not path.is_file():
        raise Problem(404, "there is no such file")
    return FileResponse(path, media_type=kind)


def _page(service: Service, photos: Photos) -> gr.Blocks:
    """All tabs."""
    uploads = photos.uploads
    with gr.Blocks(analytics_enabled=False, title="StyleLoom", delete_cache=(600, 3600)) as page:
        gr.HTML(TITLE)
        with gr.Tab("Stylize"):
            stylize.tab(service, photos)
        with gr.Tab("Generate") as own:
            generate.tab(service, own)
        with gr.Tab("Edit a face"):
            edit.tab(service, photos)
        with gr.Tab("Draw") as own:
            draw.tab(service, photos, own)
        with gr.Tab("Video and folders"):
            batch.tab(service, uploads)
        with gr.Tab("Train") as own:
            train.tab(service, uploads, own)
        with gr.Tab("Learn"):
            learn.tab(service, photos)
    return page
