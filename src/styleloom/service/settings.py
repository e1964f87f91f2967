"""Settings of the service: where it listens, who may use it, and how much of the machine a client may take."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from styleloom.core.errors import StyleLoomError
from styleloom.core.settings import Checked, Count, Range

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServiceSettings(Checked):
    """Settings of the service.

    Args:
        folder: folder of the database and of the jobs' files.
        runs: folder of trainings, whose models clients may use as run:ID; by default "runs" in ``folder``.
        host: address to listen at. Any but loopback demands a token.
        port: port to listen at; 0: any that is free.
        token: secret that every request must carry, as "Authorization: Bearer TOKEN" or in a cookie; "" for none.
        device: device of the networks: cpu, cuda, cuda:1 or mps.
        max_upload: largest request, in MiB.
        max_pixels: images of more pixels are refused.
        max_frames: frames of a video or morph at most.
        max_seconds: seconds that a job may compute.
        max_queue: jobs that may wait, of all clients together.
        max_jobs: jobs that a client may have waiting or running.
        keep_minutes: minutes after which results are deleted.
        wait_seconds: how long a request waits for its result before it is answered with a job to follow.
    """

    folder: Path = Path("styleloom-service")
    runs: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 7860
    token: str = ""
    device: str = "cpu"
    max_upload: Count = 64
    max_pixels: Count = 24_000_000
    max_frames: Count = 600
    max_seconds: Count = 1_800
    max_queue: Count = 100
    max_jobs: Count = 8
    keep_minutes: Count = 60
    wait_seconds: Annotated[float, Range(0, 300)] = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.host not in LOOPBACK and len(self.token) < 16:
            raise StyleLoomError(
                f"the host {self.host} can be reached from other machines; give a token of 16 characters or more, such as "
                f"{secrets.token_urlsafe(18)}, or use the host 127.0.0.1"
            )

    @property
    def runs_folder(self) -> Path:
        """Folder of trainings."""
        return self.runs if self.runs is not None else self.folder / "runs"

    @property
    def max_unpacked(self) -> int:
        """Bytes at most of what a zip unpacks to."""
        return 4 * self.max_upload * 2**20
