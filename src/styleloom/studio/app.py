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
from styleloom.service.app import Service, create_app
from styleloom.service.problems import Problem
from styleloom.service.security import CLIENT_COOKIE, TOKEN_COOKIE, same_secret
from styleloom.service.settings import ServiceSettings

from . import draw, edit, generate, learn, stylize

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
    uploads = settings.folder / "uploads"
    shutil.rmtree(uploads, ignore_errors=True)  # of the last start
    uploads.mkdir(parents=True)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads.resolve())
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    app = create_app(settings)
    service: Service = app.state.service
    page = _page(service, uploads)
    page.has_launched = True  # so that Gradio checks paths as in a launch of its own
    page.queue(api_open=False, max_size=settings.max_queue)

    @app.middleware("http")
    async def client(request: Request, call_next) -> Response:  # type: ignore[no-untyped-def]
        """Give each browser a secret of its own, by which it has its jobs."""
        answer: Response = await call_next(request)
        if request.url.path == "/" and CLIENT_COOKIE not in request.cookies:
            answer.set_cookie(CLIENT_COOKIE, secrets.token_urlsafe(24), httponly=True, samesite="strict")
        return answer

    @app.get("/studio/styles/{name}.jpg")
    async def style(name: str) -> Response:
        """A bundled style, small."""
        if name not in STYLES:
            raise Problem(404, "there is no such style")
        return FileResponse(HERE / "thumbnails" / f"{name}.jpg", headers={"Cache-Control": "max-age=86400"})

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

    css = (HERE / "studio.css").read_text(encoding="utf-8") + _thumbnails()
    mounted: FastAPI = gr.mount_gradio_app(
        app, page, "/", theme=THEME, css=css, show_error=False, allowed_paths=[], run_history=False, footer_links=[],
        max_file_size=f"{settings.max_upload}mb", ssr_mode=False, pwa=False,
    )  # fmt: skip
    return mounted


def _thumbnails() -> str:
    """Rules that show each style on its own box to tick."""
    return "".join(
        f'#styles label:nth-of-type({index}) {{ background-image: url("/studio/styles/{name}.jpg"); }}\n'
        for index, name in enumerate(STYLES, 1)
    )


def _page(service: Service, uploads: Path) -> gr.Blocks:
    """All tabs."""
    with gr.Blocks(analytics_enabled=False, title="StyleLoom", delete_cache=(600, 3600)) as page:
        gr.HTML(TITLE)
        with gr.Tab("Stylize"):
            stylize.tab(service, uploads)
        with gr.Tab("Generate"):
            generate.tab(service, uploads)
        with gr.Tab("Edit a face"):
            edit.tab(service, uploads)
        with gr.Tab("Translate"):
            draw.tab(service, uploads)
        with gr.Tab("Learn"):
            learn.tab()
    return page
