"""Errors as RFC 9457 has them: problem details, with our one-line sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error to answer a request with.

    Args:
        status: HTTP status.
        detail: what came, what was wanted, what to do, in one line.
        headers: further headers.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response of media type ``application/problem+json``."""
    content = dict(type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)
