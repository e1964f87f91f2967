"""``styleloom serve`` and ``styleloom studio``: the HTTP API, and the studio in a browser."""

from __future__ import annotations

import importlib
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from styleloom.core.errors import StyleLoomError

from .options import Common

OPEN_AFTER = 1.0  # s that a server takes to answer, once it says its address


def serve(
    *,
    folder: Path = Path("styleloom-service"),
    runs: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str = "",
    device: str = "cpu",
    max_upload: int = 64,
    max_pixels: int = 24_000_000,
    max_frames: int = 600,
    max_seconds: int = 1_800,
    max_queue: int = 100,
    max_jobs: int = 8,
    keep_minutes: int = 60,
) -> None:
    """Serve the verbs over HTTP: POST /v1/stylize and others; the description is at /v1/openapi.json.

    Args:
        folder: folder of the jobs' database and files.
        runs: folder of trainings, whose models clients may use as run:ID; by default in the folder.
        host: address to listen at; any but this machine's own demands a token.
        port: port to listen at.
        token: secret that every request must carry, as "Authorization: Bearer TOKEN".
        device: cpu, cuda, cuda:1 or mps.
        max_upload: largest request, in MiB.
        max_pixels: refuse images of more pixels.
        max_frames: frames of a video at most.
        max_seconds: seconds that a job may compute.
        max_queue: jobs that may wait, of all clients together.
        max_jobs: jobs that a client may have open.
        keep_minutes: minutes after which results are deleted.
    """
    settings = dict(max_seconds=max_seconds, max_queue=max_queue, max_jobs=max_jobs, keep_minutes=keep_minutes)
    settings |= dict(max_upload=max_upload, max_pixels=max_pixels, max_frames=max_frames)

    def say(address: str) -> None:
        print(f"{address}v1/openapi.json describes the service; Ctrl-C ends it", flush=True)

    _listen("service", "create_app", say, folder=folder, runs=runs, host=host, port=port, token=token, device=device, **settings)


def studio(
    *,
    folder: Path = Path("styleloom-studio"),
    runs: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str = "",
    device: str = "cpu",
    max_upload: int = 64,
    max_pixels: int = 24_000_000,
    max_frames: int = 1_800,
    keep_minutes: int = 60,
    no_browser: bool = False,
) -> None:
    """Open the studio: style transfer, generators, edits of faces and translation in a browser, without a network.

    Args:
        folder: folder of jobs and results.
        runs: folder of trainings; by default in the folder.
        host: address to listen at; any but this machine's own demands a token.
        port: port to listen at.
        token: secret that visitors must give.
        device: cpu, cuda, cuda:1 or mps.
        max_upload: largest upload, in MiB.
        max_pixels: refuse images of more pixels.
        max_frames: frames of a video at most.
        keep_minutes: minutes after which results are deleted.
        no_browser: open no browser.
    """
    settings = dict(max_upload=max_upload, max_pixels=max_pixels, max_frames=max_frames, keep_minutes=keep_minutes)

    def say(address: str) -> None:
        print(f"open {address} in a browser; Ctrl-C ends the studio", flush=True)
        if not no_browser:
            threading.Timer(OPEN_AFTER, webbrowser.open, (address,)).start()

    _listen(
        "studio", "create_studio", say, folder=folder, runs=runs, host=host, port=port, token=token, device=device, **settings
    )


def _listen(extra: str, make: str, say: Callable[[str], None], *, device: str, **settings: Any) -> None:
    """Serve the application that ``make`` of ``styleloom.EXTRA.app`` makes of settings, until Ctrl-C.

    Raises:
        StyleLoomError: the extra is not installed, there is no such device, or settings, port or folder cannot be used.
    """
    try:
        from styleloom.service.listen import listen
        from styleloom.service.settings import ServiceSettings

        create = getattr(importlib.import_module(f"styleloom.{extra}.app"), make)
    except ImportError as error:
        raise StyleLoomError(f"{error.name} is not installed; install it with: pip install 'styleloom[{extra}]'") from error
    chosen = ServiceSettings(device=device, **settings)
    Common(device=device).torch_device()  # refuses one that is not here
    listen(create, chosen, say)
