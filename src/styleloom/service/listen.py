"""Starts an application of the service at its address, and says where that is."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from styleloom.core.errors import StyleLoomError

from .settings import ServiceSettings

SECONDS = 2  # that open pages and streams have to end


def bound(settings: ServiceSettings) -> socket.socket:
    """A socket at the address of the settings; port 0 takes one that is free.

    Raises:
        StyleLoomError: the address cannot be listened at.
    """
    made = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
    except OSError as error:
        made.close()
        reason = error.strerror or error
        raise StyleLoomError(f"cannot listen at {settings.host}:{settings.port}: {reason}; give another --port") from error
    return made


def listen(make: Callable[[ServiceSettings], FastAPI], settings: ServiceSettings, say: Callable[[str], None]) -> None:
    """Make an application and serve it until Ctrl-C.

    Args:
        make: makes the application of the settings.
        settings: settings of the service.
        say: is told the address, once it is about to answer.

    Raises:
        StyleLoomError: the port is taken, or the folder cannot be used.
    """
    with bound(settings) as listening:
        app = make(settings)
        host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
        say(f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SECONDS)
        logging.getLogger("uvicorn.error").addFilter(lambda record: not _is_of_the_end(record))
        _Server(config, app).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that tells the service's streams when it is to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.service = app.state.service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.closing = True
        super().handle_exit(sig, frame)


def _is_of_the_end(record: logging.LogRecord) -> bool:
    """Whether a line of the log only says that an open page was cut off when the server ended."""
    kind = record.exc_info[0] if record.exc_info else None
    return (kind is not None and issubclass(kind, asyncio.CancelledError)) or "graceful shutdown exceeded" in record.getMessage()
