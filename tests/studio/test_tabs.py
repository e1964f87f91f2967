"""Tabs of the studio in a real browser: brushes, drawings, folders, trainings, and the arc; and that everybody can use them."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import styleloom as sl
from styleloom.data.images import encoded, write
from styleloom.drawn import toonfaces

from .conftest import needs_browser, opened, upload

TABS = ("Stylize", "Generate", "Edit a face", "Draw", "Video and folders", "Train", "Learn")


@needs_browser
def test_a_part_of_a_photograph_is_painted(page: Any, photo: Path, tmp_path: Path) -> None:
    upload(page, photo)
    page.get_by_text("Paint a part of it").click()
    page.wait_for_selector("sl-brush canvas")
    page.get_by_label("fill a part").select_option("Left half")
    time.sleep(0.5)
    page.get_by_role("button", name="Paint", exact=True).click()
    page.wait_for_selector(".compare img", timeout=60_000)
    with page.expect_download() as download:
        page.get_by_text("Download the full size").click()
    assert download.value.suggested_filename == "face-watercolor.png"
    download.value.save_as(tmp_path / "painted.png")
    changed = (sl.read(tmp_path / "painted.png") - sl.read(photo)).abs().mean((0, 1, 2))
    assert changed[:100].mean() > 0.03 and changed[-100:].max() < 2 / 255


@needs_browser
def test_what_is_no_picture_is_told_in_a_line(page: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("a letter, not a picture")
    page.locator(".photo input[type=file]").first.set_input_files(tmp_path / "letter.png")
    page.wait_for_selector("text=not an image that can be read")
    assert str(tmp_path) not in page.content()


@needs_browser
def test_a_picture_that_browsers_do_not_know_is_shown(page: Any, photo: Path, tmp_path: Path) -> None:
    write(sl.read(photo), tmp_path / "photo.tiff")
    upload(page, tmp_path / "photo.tiff")
    shown = page.locator(".preview img").first
    assert shown.get_attribute("src").endswith(".jpg") and shown.evaluate("each => each.naturalWidth") == 256


@needs_browser
def test_a_face_is_filled_and_morphed(page: Any, photo: Path) -> None:
    opened(page, "Edit a face")
    upload(page, photo, shown="sl-faces button")
    assert page.get_by_label("choose face 1").get_attribute("aria-pressed") == "true"
    page.get_by_text("Make a part anew").click()
    page.wait_for_selector("sl-brush canvas >> visible=true")
    page.get_by_label("fill a part").select_option("Middle")
    time.sleep(0.5)
    page.get_by_role("button", name="Make it anew").click()
    page.wait_for_selector("img[alt='the photograph, filled'] >> visible=true", timeout=120_000)
    page.get_by_text("Morph into another face").click()
    page.locator(".tabitem:visible .photo input[type=file]").last.set_input_files(photo)
    time.sleep(1)
    page.get_by_role("button", name="Morph", exact=True).click()
    page.wait_for_selector("video >> visible=true", timeout=120_000)


@needs_browser
def test_the_portrait_follows_the_pen_and_the_keys(page: Any) -> None:
    opened(page, "Draw")
    shown = page.locator("sl-draw .pair img")
    page.wait_for_selector("sl-draw .pair img[src]", timeout=30_000)
    drawn = page.locator("sl-draw canvas")
    for act in ("pen", "keys"):
        time.sleep(1)
        before = shown.get_attribute("src")
        if act == "pen":
            box = drawn.bounding_box()
            page.mouse.move(box["x"] + 60, box["y"] + 60)
            page.mouse.down()
            page.mouse.move(box["x"] + 200, box["y"] + 90, steps=8)
            page.mouse.up()
        else:
            drawn.focus()
            for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown", " "):
                page.keyboard.press(key)
        page.wait_for_function(
            "before => document.querySelector('sl-draw .pair img').getAttribute('src') !== before", arg=before, timeout=20_000
        )
    assert shown.evaluate("each => each.naturalWidth") == 128


@needs_browser
def test_folders_come_back_as_a_zip(page: Any, photo: Path, tmp_path: Path) -> None:
    opened(page, "Video and folders")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photo, "a.png")
        archive.write(photo, "b.png")
        archive.writestr("c.png", "broken")
    page.locator(".tabitem:visible input[type=file]").first.set_input_files(tmp_path / "photos.zip")
    time.sleep(1)
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector("text=Download the zip", timeout=60_000)
    assert "1 failed" in page.locator(".tabitem:visible .status").first.inner_text()
    assert "not an image" in page.locator(".items").inner_text()
    with page.expect_download() as download:
        page.get_by_text("Download the zip").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert sorted(archive.namelist()) == ["a.png", "b.png"]


@needs_browser
def test_a_training_is_begun_watched_and_stopped(page: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for number in range(8):
            archive.writestr(f"{number}.png", encoded(toonfaces.render(toonfaces.attributes(number), 16).view(3, 16, 16)))
    opened(page, "Train")
    page.locator(".tabitem:visible input[type=file]").first.set_input_files(tmp_path / "faces.zip")
    time.sleep(1)
    page.get_by_label("Size in pixels").click()
    page.get_by_role("option", name="16", exact=True).click()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector(".curves svg >> visible=true", timeout=120_000)
    page.get_by_role("button", name="Stop").locator("visible=true").click()
    page.wait_for_selector("text=/stylegan2-.*: stopped/", timeout=60_000)
    opened(page, "Generate")
    page.get_by_role("combobox", name="Generator").click()
    page.get_by_role("option", name="run:stylegan2").first.click()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector(".wall img", timeout=60_000)
    opened(page, "Train")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Yes, delete stylegan2").click()
    page.wait_for_selector("text=Deleted.")


@needs_browser
def test_the_arc_makes_its_pictures(page: Any) -> None:
    opened(page, "Learn")
    makers = page.get_by_role("button", name="Make its picture")
    assert makers.count() == 7
    for number in (2, 3, 5):
        makers.nth(number).click()
        page.wait_for_selector(f".chapter >> nth={number} >> .result img", timeout=90_000)
    links = page.locator(".chapter .file a")
    for number in range(7):
        address = links.nth(number).get_attribute("href")
        assert page.evaluate("async address => (await (await fetch(address)).text()).slice(0, 3)", address) == '"""', address


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_every_tab(browser: Any, address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install axe-playwright-python")
    context = browser.new_context(viewport=dict(width=1280, height=900), color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}?__theme={scheme}")
    page.wait_for_selector("text=Paint")
    found = {}
    for tab in TABS:
        opened(page, tab)
        time.sleep(0.5)
        for each in axe.Axe().run(page).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found[f"{tab}: {each['id']}"] = [node["html"][:160] for node in each["nodes"]][:3]
    context.close()
    assert not found, json.dumps(found, indent=1)
