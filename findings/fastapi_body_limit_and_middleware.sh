#!/usr/bin/env bash
# fastapi 0.165.0, starlette 1.10.0: a request over FastAPI(max_body_size=...) is answered before any middleware of add_middleware runs.
# So an application whose middleware adds security headers to all that it sends has one kind of answer without them. (Either way the
# answer is text/plain, whatever an exception handler for HTTPException makes of errors.)
# It seems natural that a limit of the application's is inside of its middleware, as its routes and their errors are. What helps:
# starlette's RequestBodyLimitMiddleware, added before the others, and so inside of them; a check of Content-Length in one's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q fastapi==0.165.0 starlette==1.10.0 python-multipart==0.0.34 httpx==0.28.1 httpx2==2.16.2
cat > "$folder/run.py" <<'PY'
import fastapi
import starlette
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

print("fastapi", fastapi.__version__, "starlette", starlette.__version__)


class Headers:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def more(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-own", b"yes")]
            await send(message)

        await self.app(scope, receive, more)


def answer(inside: bool):
    app = FastAPI() if inside else FastAPI(max_body_size=1000)
    if inside:
        app.add_middleware(RequestBodyLimitMiddleware, max_body_size=1000)
    app.add_middleware(Headers)

    @app.exception_handler(HTTPException)
    async def told(request: Request, error: HTTPException):
        return JSONResponse({"detail": error.detail}, error.status_code, media_type="application/problem+json")

    @app.post("/")
    async def take(request: Request):
        return len(await request.body())

    found = TestClient(app).post("/", content=bytes(2000))
    print("inside" if inside else "max_body_size", found.status_code, found.headers["content-type"], found.headers.get("x-own"))
    return found


outer, inner = answer(False), answer(True)
assert outer.status_code == inner.status_code == 413
assert "x-own" not in outer.headers and outer.headers["content-type"].startswith("text/plain")
assert inner.headers["x-own"] == "yes"
PY
"$folder/venv/bin/python" "$folder/run.py"
