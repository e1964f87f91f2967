"""``styleloom studio``: the studio in a browser."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path

from styleloom.core.errors import StyleLoomError


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
        import uvicorn

        from styleloom.service.settings import ServiceSettings
        from styleloom.studio.app import create_studio
    except ImportError as error:
        raise StyleLoomError(f"{error.name} is not installed; install it with: pip install 'styleloom[studio]'") from error
    settings = ServiceSettings(
        folder=folder, host=host, port=port, token=token, device=device, max_upload=max_upload, max_pixels=max_pixels,
        keep_minutes=keep_minutes,
    )  # fmt: skip
    app = create_studio(settings)
    address = f"http://{host}:{port}/"
    print(f"open {address} in a browser; Ctrl-C ends the studio", flush=True)
    if not no_browser:
        threading.Timer(1.5, webbrowser.open, (address,)).start()
    uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)).run()
