"""``styleloom studio``: the studio in a browser."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path

from styleloom.core.errors import StyleLoomError

from .options import Common

OPEN_AFTER = 4.0  # s that the studio takes to start


def studio(
    *,
    folder: Path = Path("styleloom-studio"),
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str = "",
    device: str = "cpu",
    max_upload: int = 64,
    max_pixels: int = 24_000_000,
    keep_minutes: int = 60,
    no_browser: bool = False,
) -> None:
    """Open the studio: style transfer, generators, edits of faces and translation in a browser, without a network.

    Args:
        folder: folder of jobs and results.
        host: address to listen at; any but this machine's own demands a token.
        port: port to listen at.
        token: secret that visitors must give.
        device: cpu, cuda, cuda:1 or mps.
        max_upload: largest upload, in MiB.
        max_pixels: refuse images of more pixels.
        keep_minutes: minutes after which results are deleted.
        no_browser: open no browser.
    """
    try:
        from styleloom.service.listen import listen
        from styleloom.service.settings import ServiceSettings
        from styleloom.studio.app import create_studio
    except ImportError as error:
        raise StyleLoomError(f"{error.name} is not installed; install it with: pip install 'styleloom[studio]'") from error
    settings = ServiceSettings(
        folder=folder, host=host, port=port, token=token, device=device, max_upload=max_upload, max_pixels=max_pixels,
        keep_minutes=keep_minutes,
    )  # fmt: skip
    Common(device=device).torch_device()  # refuses one that is not here
    if not no_browser:
        threading.Timer(OPEN_AFTER, webbrowser.open, (f"http://127.0.0.1:{port}/",)).start()
    listen(create_studio, settings, lambda at: print(f"open {at} in a browser; Ctrl-C ends the studio", flush=True))
