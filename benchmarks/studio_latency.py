"""Seconds that a visitor of the studio waits, in a real browser: ``python -m benchmarks.studio_latency``.

The studio is started in an empty folder; the clock runs from the command to a page whose button can be clicked. Then, with one
client: twenty moves of a slider of a face that was found, at 128 px, from the key to the new picture; twenty one-pass paintings
of a photograph of 512 px, from the click to the comparison; pictures a second of the drawing that follows the pen, over five
seconds of drawing. Results go to ``results/studio_latency.json``: medians and 95th percentiles.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gatys import processor

import styleloom as sl

RESULTS = Path(__file__).parent / "results" / "studio_latency.json"
PORT, TIMES = 7985, 20
HERE = f"http://127.0.0.1:{PORT}/"
SHOWN = "[...document.querySelectorAll('.small .result img')].find(each => each.offsetParent)?.getAttribute('src')"
PAINTED = "document.querySelector('.compare img')?.getAttribute('src')"


def figures(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return dict(median=round(statistics.median(seconds), 3), p95=round(float(np.percentile(seconds, 95)), 3), times=len(seconds))


def sliders(page: Any, face: Path) -> list[float]:
    """Seconds of each move of a slider."""
    page.get_by_role("tab", name="Edit a face").click()
    page.locator(".tabitem:visible .photo input[type=file]").first.set_input_files(face)
    page.wait_for_selector("sl-faces button >> visible=true", timeout=60_000)
    page.get_by_label("Show Adam's curve beside it").uncheck()
    page.get_by_role("button", name="Find it").click()
    page.wait_for_function(f"{SHOWN} !== undefined", timeout=90_000)
    slider = page.locator(".sliders input[type=range] >> visible=true").first
    slider.focus()
    seconds = []
    for number in range(TIMES):
        before, began = page.evaluate(SHOWN), time.perf_counter()
        page.keyboard.press("ArrowRight" if number % 10 < 5 else "ArrowLeft")
        page.wait_for_function(f"before => {SHOWN} !== before", arg=before, timeout=30_000)
        seconds.append(time.perf_counter() - began)
        time.sleep(0.3)
    return seconds


def paintings(page: Any, photo: Path) -> list[float]:
    """Seconds of each painting."""
    page.get_by_role("tab", name="Stylize").click()
    page.locator(".tabitem:visible .photo input[type=file]").first.set_input_files(photo)
    page.wait_for_selector(".preview img >> visible=true", timeout=60_000)
    seconds = []
    for _ in range(TIMES + 1):
        before, began = page.evaluate(PAINTED), time.perf_counter()
        page.get_by_role("button", name="Paint", exact=True).click()
        changed = f"before => ({PAINTED} ?? before) !== before || (before === null && {PAINTED} !== undefined)"
        page.wait_for_function(changed, arg=before, timeout=60_000)
        page.wait_for_function("document.querySelector('.compare img').complete")
        seconds.append(time.perf_counter() - began)
        time.sleep(0.6)  # a second click within half a second is none
    return seconds[1:]  # the first loads the network


def drawing(page: Any, seconds: float) -> float:
    """Pictures a second while the pen moves."""
    page.get_by_role("tab", name="Draw").click()
    page.wait_for_selector("sl-draw .pair img[src]", timeout=60_000)
    time.sleep(1)
    answers = []
    page.on("response", lambda answer: answers.append(1) if answer.url.endswith("/v1/translate") else None)
    box = page.locator("sl-draw canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        page.mouse.move(box["x"] + 60 + 140 * (now % 1), box["y"] + 60 + 40 * (now % 3))
    page.mouse.up()
    return round(len(answers) / seconds, 2)


def main() -> None:
    """Start the studio and visit it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place, sync_playwright() as api:
        face, photo = Path(place) / "face.png", Path(place) / "photo.png"
        sl.write(sl.bundled("astronaut")[..., :256, 96:352], face)
        sl.write(sl.bundled("astronaut"), photo)
        browser = api.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        began = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "styleloom",
            "studio",
            "--folder",
            f"{place}/studio",
            "--port",
            str(PORT),
            "--no-browser",
        ]
        studio = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                page.goto(HERE)
                break
            except Exception:
                time.sleep(0.1)
        page.get_by_role("button", name="Paint", exact=True).wait_for()
        found: dict[str, Any] = dict(processor=processor(), start_to_page=round(time.perf_counter() - began, 2))
        found["slider"] = figures(sliders(page, face))
        found["painting_512"] = figures(paintings(page, photo))
        found["drawing_pictures_a_second"] = drawing(page, 5.0)
        browser.close()
        studio.terminate()
        studio.wait(30)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
