"""``styleloom serve``: the HTTP API."""

from __future__ import annotations

from pathlib import Path

from styleloom.core.errors import StyleLoomError

from .options import Common


def serve(
    *,
    folder: Path = Path("styleloom-service"),
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str = "",
    device: str = "cpu",
    max_upload: int = 64,
    max_pixels: int = 24_000_000,
    max_seconds: int = 1_800,
    max_queue: int = 100,
    max_jobs: int = 8,
    keep_minutes: int = 60,
) -> None:
    """Serve the verbs over HTTP: POST /v1/stylize and others; the description is at /v1/openapi.json.

    Args:
        folder: folder of the jobs' database and files.
        host: address to listen at; any but this machine's own demands a token.
        port: port to listen at.
        token: secret that every request must carry, as "Authorization: Bearer TOKEN".
        device: cpu, cuda, cuda:1 or mps.
        max_upload: largest request, in MiB.
        max_pixels: refuse images of more pixels.
        max_seconds: seconds that a job may compute.
        max_queue: jobs that may wait, of all clients together.
        max_jobs: jobs that a client may have open.
        keep_minutes: minutes after which results are deleted.
    """
    try:
        from styleloom.service.app import create_app
        from styleloom.service.listen import listen
        from styleloom.service.settings import ServiceSettings
    except ImportError as error:
        raise StyleLoomError(f"{error.name} is not installed; install it with: pip install 'styleloom[service]'") from error
    settings = ServiceSettings(
        folder=folder, host=host, port=port, token=token, device=device, max_upload=max_upload, max_pixels=max_pixels,
        max_seconds=max_seconds, max_queue=max_queue, max_jobs=max_jobs, keep_minutes=keep_minutes,
    )  # fmt: skip
    Common(device=device).torch_device()  # refuses one that is not here
    listen(create_app, settings, lambda at: print(f"{at}v1/openapi.json describes the service; Ctrl-C ends it", flush=True))
