"""A studio in a process of its own, a browser, and a visitor's page that watches what it asks for."""

import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from styleloom.data.bundled import bundled
from styleloom.data.images import write


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what Gradio leaves open in the test that made it, where its warnings are expected."""
    yield
    gc.collect()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HERE = "http://127.0.0.1"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio in a process of its own."""
    port, folder = free_port(), tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "styleloom", "studio", "--folder", str(folder), "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, "the studio ended"
            time.sleep(0.1)
    yield f"{HERE}:{port}/"
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "face.png"
    write(bundled("astronaut")[..., 0:256, 96:352], path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    with playwright.sync_playwright() as api:
        made = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a test that failed: its page is told."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A new visitor's page; it may ask nothing of other hosts, and log no error. What it shows is told if the test fails."""
    context = browser.new_context(viewport=dict(width=1280, height=900))
    made = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    made.on(
        "request",
        lambda request: outside.append(request.url) if not request.url.startswith((address, "data:", "blob:")) else None,
    )
    made.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    made.goto(address)
    made.wait_for_selector("text=Paint")
    yield made
    if request.node.stash.get(FAILED, False):
        shown = made.locator("body").inner_text()
        jobs = made.evaluate("async () => (await fetch('/v1/jobs')).text()")
        sys.stderr.write(f"the page: {shown}\nits jobs: {jobs}\n")
    context.close()
    left = ("AbortError", "Connection errored out")  # of a page that was left while its work went on
    assert not outside and not [error for error in errors if not any(each in error for each in left)]


def opened(page: Any, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


def upload(page: Any, path: Path, *, place: int = 0, shown: str = ".preview img") -> None:
    """Give a file to a place for photographs of the open tab, and wait until it is shown."""
    page.locator(".tabitem:visible .photo input[type=file]").nth(place).set_input_files(path)
    page.wait_for_selector(f"{shown} >> visible=true", timeout=60_000)
