"""The picture of the studio: python docs/studio.py, which needs Chromium and the extra [studio]."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import styleloom as sl

PORT = 7997
HERE = Path(__file__).parent


def main() -> None:
    """Paint a photograph in the studio, and photograph the page."""
    with tempfile.TemporaryDirectory() as folder:
        photo, shot = Path(folder) / "photo.jpg", Path(folder) / "page.png"
        sl.write(sl.bundled("cat"), photo)
        command = [sys.executable, "-m", "styleloom", "studio", "--folder", f"{folder}/s", "--port", str(PORT), "--no-browser"]
        studio = subprocess.Popen(command)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                    break
            time.sleep(0.1)
        with sync_playwright() as api:
            browser = api.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=dict(width=1280, height=860))
            page.goto(f"http://127.0.0.1:{PORT}/")
            page.locator("input[type=file]").first.set_input_files(photo)
            time.sleep(2)
            page.get_by_role("button", name="Paint").click()
            page.wait_for_selector(".compare img", timeout=60_000)
            time.sleep(2)
            page.screenshot(path=shot)
            browser.close()
        studio.terminate()
        Image.open(shot).convert("RGB").save(HERE / "studio.jpg", quality=86)


if __name__ == "__main__":
    main()
