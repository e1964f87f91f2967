"""The studio in a real browser: what a visitor does, and what no visitor can."""

import html
import json
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from styleloom.drawn.painterly import STYLES

from .conftest import HERE, free_port, needs_browser, opened, upload


@needs_browser
def test_a_photograph_is_painted_and_can_be_downloaded(page: Any, photo: Path, tmp_path: Path) -> None:
    upload(page, photo)
    page.get_by_role("button", name="Paint", exact=True).click()
    page.wait_for_selector(".compare img", timeout=60_000)
    with page.expect_download() as download:
        page.get_by_text("Download the full size").click()
    download.value.save_as(tmp_path / "painted.png")
    assert (tmp_path / "painted.png").read_bytes().startswith(b"\x89PNG")
    page.get_by_text("Do the same without the studio").click()
    assert "styleloom stylize photo.jpg --style watercolor" in page.locator(".commands").inner_text()


@needs_browser
def test_what_is_missing_is_told_in_a_line(page: Any) -> None:
    page.get_by_role("button", name="Paint", exact=True).click()
    page.wait_for_selector("text=Choose a photograph first.")


@needs_browser
def test_faces_are_generated_mixed_and_walked_between(page: Any) -> None:
    opened(page, "Generate")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(".wall button", timeout=60_000)
    assert page.locator(".wall button").count() == 16
    for number in (1, 6):
        page.get_by_label(f"choose seed {number}", exact=True).click()
    page.get_by_role("button", name="Mix", exact=True).click()
    page.wait_for_selector("img[alt='pose and shape of seed 1, all else of seed 6']", timeout=30_000)
    page.get_by_role("button", name="A walk between").click()
    page.wait_for_selector("video", timeout=90_000)


@needs_browser
def test_a_face_is_found_and_edited_with_a_slider(page: Any, photo: Path) -> None:
    opened(page, "Edit a face")
    upload(page, photo, shown="sl-faces button")
    page.get_by_role("button", name="Find it").click()
    page.wait_for_selector(".curve .second", timeout=90_000)  # Adam's, beside the learned optimizer's
    shown = page.locator(".small .result img >> visible=true")
    before = shown.get_attribute("src")
    box = page.locator(".sliders input[type=range]").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle)
    page.mouse.up()
    now = "[...document.querySelectorAll('.small .result img')].find(each => each.offsetParent).getAttribute('src')"
    changed = f"before => {now} !== before"
    page.wait_for_function(changed, arg=before, timeout=20_000)
    assert "smile +" in (shown.get_attribute("alt") or "")
    before = shown.get_attribute("src")
    page.locator(".sliders input[type=range]").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(changed, arg=before, timeout=20_000)


@needs_browser
def test_a_long_painting_can_be_stopped(page: Any, photo: Path) -> None:
    upload(page, photo)
    page.get_by_label("Method").click()
    page.get_by_text("Gatys, by optimization").click()
    page.get_by_role("button", name="Paint", exact=True).click()
    page.wait_for_selector("img[alt='the painting so far']", timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("text=What was painted so far, if anything, stays.", timeout=60_000)
    source = page.locator("img[alt='the painting so far']").get_attribute("src")
    assert page.evaluate("async source => (await fetch(source)).status", source) == 200
    page.reload()
    page.wait_for_selector("text=Paint")
    jobs = page.evaluate("async () => (await fetch('/v1/jobs')).json()")
    end = time.monotonic() + 20
    while any(job["state"] in ("queued", "running") for job in jobs) and time.monotonic() < end:
        time.sleep(0.2)
        jobs = page.evaluate("async () => (await fetch('/v1/jobs')).json()")
    assert [job["state"] for job in jobs] == ["cancelled"]


@needs_browser
def test_a_browser_enters_with_the_token(browser: Any, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "styleloom", "studio", "--folder", str(tmp_path), "--port", str(port), "--no-browser"]
    process = subprocess.Popen([*command, "--host", "0.0.0.0", "--token", "a long enough secret"], stdout=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{HERE}:{port}/")
    for token, wanted in (("wrong", "text=That is another token."), ("a long enough secret", "text=Paint")):
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        page.wait_for_selector(wanted)
    context.close()
    process.terminate()
    process.wait(20)


@needs_browser
def test_nothing_lies_beyond_the_edge_of_a_telephone(browser: Any, address: str) -> None:
    context = browser.new_context(viewport=dict(width=390, height=844))
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("text=Paint")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@needs_browser
def test_visitors_see_nothing_of_each_other(page: Any, browser: Any, address: str) -> None:
    opened(page, "Generate")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(".wall img", timeout=60_000)
    source = page.locator(".wall img").first.get_attribute("src")
    other = browser.new_context().new_page()
    other.goto(address)
    statuses = other.evaluate(
        "async source => [(await fetch(source)).status, (await (await fetch('/v1/jobs')).json()).length]", source
    )
    assert statuses == [404, 0]
    other.context.close()


@pytest.mark.filterwarnings("ignore")
def test_files_of_the_server_cannot_be_had(tmp_path: Path) -> None:
    from styleloom.service.settings import ServiceSettings
    from styleloom.studio.app import create_studio

    (tmp_path / "private.txt").write_text("nobody's business")
    app = create_studio(ServiceSettings(folder=tmp_path / "studio"))
    client = TestClient(app, base_url=HERE)
    for path in (tmp_path / "private.txt", tmp_path / "studio" / "jobs.sqlite", Path("pyproject.toml").resolve()):
        answer = client.get(f"/gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
    assert client.post("/gradio_api/upload", headers={"origin": "http://elsewhere.example"}).status_code == 403
    assert client.get("/studio/styles/swirls.jpg").status_code == 200
    assert client.get("/studio/styles/..%2Fstudio.css").status_code == 404
    page = client.get("/")
    assert page.status_code == 200 and "styleloom_client" in page.cookies and "HttpOnly" in page.headers["set-cookie"]


@pytest.mark.filterwarnings("ignore")
def test_no_route_shows_one_client_another_ones_things(tmp_path: Path) -> None:
    """Two sessions, on each route that names something: what one made is not there for the other."""
    from styleloom.service.security import owner_of_secret
    from styleloom.service.settings import ServiceSettings
    from styleloom.studio.app import create_studio

    settings = ServiceSettings(folder=tmp_path / "studio", wait_seconds=60)
    with TestClient(create_studio(settings), base_url=HERE) as client:
        mine, yours = {"x-client": "mine"}, {"x-client": "yours"}
        data = {"options": json.dumps(dict(model="toonfaces-64", seeds=[1]))}
        client.post("/v1/generate", data=data, headers=mine)
        (job,) = client.get("/v1/jobs", headers=mine).json()
        image = next(iter(job["files"].values()))
        sent = client.post("/v1/faces", data={"options": "{}"}, files={"photo": ("a.png", b"no picture")}, headers=mine)
        assert sent.status_code == 422
        other = next(each for each in client.get("/v1/jobs", headers=mine).json() if each["verb"] == "faces")
        run = settings.runs_folder / "mine"
        (run / "run" / "samples").mkdir(parents=True)
        for path in (run / "model.safetensors", run / "run" / "samples" / "000050.png"):
            path.write_bytes(b"mine")
        (run / "owner.txt").write_text(owner_of_secret("mine"))
        preview = settings.folder / "previews" / f"{owner_of_secret('mine')[:16]}-0123456789abcdef.jpg"
        preview.write_bytes(b"mine")
        named = {
            "/v1/jobs/{id}": [job["url"], other["url"]],
            "/v1/jobs/{id}/events": [job["events"]],
            "/v1/jobs/{id}/files/{name}": [image],
            "/v1/jobs/{id}/sources/{name}": [f"{other['url']}/sources/photo-1.png"],
            "/studio/previews/{name}.jpg": [f"/studio/previews/{preview.name}"],
            "/studio/runs/{id}/{name}": ["/studio/runs/mine/model.safetensors", "/studio/runs/mine/000050.png"],
        }
        for addresses in named.values():
            for address in addresses:
                assert client.get(address, headers=mine).status_code == 200, address
                assert client.get(address, headers=yours).status_code == 404, address
                assert client.get(address).status_code == 404, address
        assert client.get("/v1/jobs", headers=yours).json() == []
        assert client.delete(job["url"], headers=yours).status_code == 404
        assert client.get(image, headers=mine).status_code == 200
        # No route with a name of a client's thing was forgotten.
        shared = {"/studio/styles/{name}.jpg", "/studio/drawings/{number}.png", "/studio/source/{file:path}", "/v1/{rest:path}"}
        paths = {getattr(route, "path", "") for route in client.app.routes}  # type: ignore[attr-defined]
        assert {path for path in paths if "{" in path} == set(named) | shared


@pytest.mark.filterwarnings("ignore")
def test_an_open_studio_asks_for_its_token(tmp_path: Path) -> None:
    from styleloom.service.settings import ServiceSettings
    from styleloom.studio.app import create_studio

    token = "a long enough secret"
    app = create_studio(ServiceSettings(folder=tmp_path, host="0.0.0.0", token=token))
    client = TestClient(app, base_url="http://studio.example", follow_redirects=False)
    assert client.get("/").headers["location"] == "/login" and client.get("/config").status_code == 401
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    entered = client.post("/login", data={"token": token})
    assert entered.status_code == 303 and client.get("/").status_code == 200


def test_the_commands_that_are_shown_exist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each names its verb and options rightly: what is missing is only the photograph."""
    from styleloom.cli import main
    from styleloom.studio import batch, draw, edit, generate, stylize

    monkeypatch.chdir(tmp_path)
    shown = [
        stylize._commands(dict(method="ghiasi", keep_color="luminance", alpha=0.5, stroke_size=320), ["swirls"], []),
        stylize._commands(dict(method="gatys", preset="draft", first_steps=100), ["swirls", "wave"], []),
        stylize._commands(dict(method="gatys", preset="quick", keep_faces=True), ["wave"], []),
        generate._commands(dict(seeds=[1, 2], model="no-such", truncation_psi=0.5)),
        edit._commands({"smile": 2.0, "age": -1.0}),
        draw._commands(dict(model="edges2portrait", drawing=True)),
        draw._commands(dict(model="toon-hair", to="A")),
        batch._commands("upscale", {}),
        batch._commands("stylize", dict(style_name=["swirls"], method="ghiasi", alpha=0.5)),
    ]
    for text in shown:
        command = html.unescape(text).split("<code>")[1].split("</code>")[0]
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command)[1:])
        told = capsys.readouterr().err
        assert end.value.code == 2 and any(name in told for name in ("photo.jpg", "portrait.jpg", "no-such", "photos")), (
            command,
            told,
        )


def test_a_method_shows_the_inputs_that_it_has() -> None:
    from styleloom.nn.mtcnn import available
    from styleloom.studio.stylize import METHODS, Choices, _fitting

    for label, (method, preset) in METHODS.items():
        strength, stroke, faces, steps = (each["visible"] for each in _fitting(label))
        assert strength == stroke == (method != "gatys") and steps == ((method, preset) == ("gatys", "best"))
        assert faces == (method == "gatys" and available())
        options = Choices("photo.jpg", ["wave"], None, 0.5, "", label, "of the painting", 320, "", 50, True).options(0)
        assert ("alpha" in options) == ("stroke_size" in options) == strength
        assert ("first_steps" in options) == steps and options.get("keep_faces", False) == faces


def test_each_style_has_its_thumbnail() -> None:
    import styleloom.studio

    assert {path.stem for path in (Path(styleloom.studio.__path__[0]) / "thumbnails").glob("*.jpg")} == set(STYLES)
