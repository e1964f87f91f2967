"""Security of the service: tokens, origins, and clients that see only their own jobs."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .problems import problem
from .settings import LOOPBACK, ServiceSettings

TOKEN_COOKIE, CLIENT_COOKIE = "styleloom_token", "styleloom_client"
OPEN_PATHS = ("/healthz", "/login")
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
}
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Guard:
    """Middleware that refuses requests from other sites, for other hosts, and without the token.

    Args:
        app: the application behind it.
        settings: settings of the service.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], settings: ServiceSettings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((n, v) for n, v in HEADERS.items() if n not in given)]
            await send(message)

        await (refusal or self.app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        try:
            name, site = urlsplit(f"//{host}").hostname or "", urlsplit(origin or "").netloc
        except ValueError:
            return problem(400, "the host or origin of the request is no address")
        if self.settings.host in LOOPBACK and name not in LOOPBACK:
            return problem(421, "this service answers on this machine alone; use 127.0.0.1")
        if origin is not None and site != host:
            return problem(403, "the request comes from another site's page")
        if self.settings.token and request.url.path not in OPEN_PATHS and not self.knows(request):
            if request.url.path == "/" and request.method == "GET":
                return RedirectResponse("/login", 303)
            return problem(401, "a token is wanted, as 'Authorization: Bearer TOKEN'", {"WWW-Authenticate": "Bearer"})
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.settings.max_upload * 2**20:
            return problem(413, f"the request has {length} bytes; at most {self.settings.max_upload} MiB are taken")
        return None

    def knows(self, request: Request) -> bool:
        """Whether a request carries the token; compared in constant time."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.cookies.get(TOKEN_COOKIE, "")
        return same_secret(given, self.settings.token)


def same_secret(given: str, wanted: str) -> bool:
    """Whether two secrets are equal; takes as long whatever they share."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def owner_of(request: Request) -> str:
    """The owner of a client's jobs, by its cookie or ``X-Client``; "" where it sends none: its jobs are known by id."""
    return owner_of_secret(request.cookies.get(CLIENT_COOKIE) or request.headers.get("x-client", ""))


def owner_of_secret(secret: str) -> str:
    """A digest of a client's own secret; "" for none."""
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""
