"""Zips, videos and several photographs in one job of the service; mixing, faces and expressions; garbage and full disks."""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

import styleloom as sl
from styleloom.core.checkpoint import resolve
from styleloom.data.images import encoded
from styleloom.data.video import write_video
from styleloom.drawn import toonfaces
from styleloom.jobs.events import Event, Progressed
from styleloom.service.app import create_app
from styleloom.service.request import Request, Runs, unpacked
from styleloom.service.settings import ServiceSettings
from styleloom.service.store import JobStore
from styleloom.service.worker import work

from .test_service import HERE, ended, picture, post

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    settings = ServiceSettings(folder=home, max_upload=1, max_pixels=1_000_000, max_frames=12, wait_seconds=60)
    with TestClient(create_app(settings), base_url=HERE) as made:
        yield made


def zipped(**files: bytes) -> bytes:
    """A zip of files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def face(number: int, side: int = 64) -> bytes:
    """A PNG of a drawn face."""
    return encoded(toonfaces.render(toonfaces.attributes(number), side).view(3, side, side))


def send(client: TestClient, verb: str, field: str, name: str, content: bytes, **options: object) -> dict[str, object]:
    """Do a job to its end."""
    answer = client.post(
        f"/v1/{verb}", data={"options": json.dumps(options)}, files={field: (name, content)}, headers={"prefer": "respond-async"}
    )
    assert answer.status_code == 202, answer.text
    return ended(client, f"/v1/jobs/{answer.json()['id']}")


def test_a_zip_comes_back_as_a_zip_and_a_bad_file_stops_no_other(client: TestClient) -> None:
    content = zipped(**{"a/one.png": picture(), "two.jpg": picture(), "notes.txt": b"no picture", "three.png": b"garbage"})
    job = send(client, "stylize", "content", "photos.zip", content, style_name=["swirls"])
    assert job["state"] == "done" and set(job["files"]) == {"results.zip", "failures.json"}  # type: ignore[call-overload]
    files = job["files"]
    with zipfile.ZipFile(io.BytesIO(client.get(files["results.zip"]).content)) as archive:  # type: ignore[index]
        assert sorted(archive.namelist()) == ["one.png", "two.png"]
        made = sl.read(io.BytesIO(archive.read("one.png")))
    wanted = sl.stylize(sl.read(io.BytesIO(picture())), "swirls", "ghiasi")
    assert float((made - wanted).abs().max()) < 2 / 255
    (failure,) = client.get(files["failures.json"]).json()  # type: ignore[index]
    assert failure["item"] == "three.png" and "/" not in failure["reason"]
    events = client.get(f"/v1/jobs/{job['id']}/events").text
    assert '"item": "one.png"' in events and "event: item_failed" in events


def test_several_photographs_come_back_as_a_zip(client: TestClient) -> None:
    files = [("image", ("a.png", picture(32, 24))), ("image", ("b.png", picture(24, 32)))]
    answer = client.post("/v1/upscale", data={"options": "{}"}, files=files)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        sizes = [Image.open(io.BytesIO(archive.read(name))).size for name in sorted(archive.namelist())]
        assert sorted(archive.namelist()) == ["a.png", "b.png"]
    assert sizes == [(128, 96), (96, 128)]
    wrong = [("image", ("a.png", picture(32, 24))), ("image", ("letter.png", b"no picture"))]
    job = client.post("/v1/upscale", data={"options": "{}"}, files=wrong).json()
    (failure,) = client.get(job["files"]["failures.json"]).json()
    assert failure["item"] == "letter.png" and "letter.png" in failure["reason"] and "image-2" not in failure["reason"]


@pytest.mark.parametrize(("frames", "state"), [(6, "done"), (20, "failed")])
def test_a_video_comes_back_as_a_video(client: TestClient, tmp_path: Path, frames: int, state: str) -> None:
    clip = tmp_path / "clip.mp4"
    for _ in write_video([torch.rand(1, 3, 48, 64) for _ in range(frames)], clip, rate=12):
        pass
    job = send(client, "stylize", "content", "clip.mp4", clip.read_bytes(), style_name=["swirls"])
    assert job["state"] == state, job
    if state == "done":
        assert list(job["files"]) == ["result.mp4"]  # type: ignore[call-overload]
    else:
        assert "more than 12 frames" in str(job["error"]) and job["files"] == {}


def test_zips_that_are_none_or_too_large_are_refused(client: TestClient, tmp_path: Path) -> None:
    for content, told in (
        (b"no zip at all", "zip"),
        (zipped(**{"notes.txt": b"text"}), "holds 0 images"),
        (zipped(), "holds 0 images"),
    ):
        job = send(client, "stylize", "content", "photos.zip", content, style_name=["swirls"])
        assert job["state"] == "failed" and told in str(job["error"]) and "\n" not in str(job["error"]), job
    (tmp_path / "large.zip").write_bytes(zipped(**{"large.png": bytes(5_000)}))
    with pytest.raises(sl.StyleLoomError, match="unpacks to more than"):
        unpacked(tmp_path / "large.zip", tmp_path / "out", max_bytes=4_000)
    (tmp_path / "up.zip").write_bytes(zipped(**{"../../up.png": picture(), "b/up.png": picture()}))
    inside = unpacked(tmp_path / "up.zip", tmp_path / "in", max_bytes=10**6)
    assert [path.relative_to(tmp_path / "in") for path in inside] == [Path("up.png"), Path("up-2.png")]


def test_mixing_is_that_of_the_library(client: TestClient) -> None:
    answer = post(client, "mix", {"model": "toonfaces-64", "content": 3, "style": 4, "layers": "coarse", "truncation_psi": 1})
    assert answer.status_code == 200, answer.text
    generator = sl.load("toonfaces-64")
    wanted = next(generator.render(sl.cross(generator, generator.map([3]), generator.map([4]), "coarse")))
    assert float((sl.read(io.BytesIO(answer.content)) - wanted).abs().max()) < 1.5 / 255


def test_images_come_apart_when_asked(client: TestClient) -> None:
    job = client.post(
        "/v1/generate", data={"options": json.dumps(dict(model="toonfaces-64", seeds=[1, 2], separate=True))}
    ).json()
    assert job["state"] == "done" and sorted(job["files"]) == ["seed0001.png", "seed0002.png"]


def test_faces_are_found_and_one_is_edited(client: TestClient) -> None:
    from styleloom.data.bundled import bundled
    from styleloom.nn import mtcnn

    if not mtcnn.available():
        pytest.skip("no detector: pip install styleloom[faces]")
    content = encoded(bundled("astronaut")[0])
    answer = post(client, "faces", {}, None, photo=content)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    wanted = max(mtcnn.find(bundled("astronaut")), key=lambda each: each.size)
    assert found["width"] == 512 and found["faces"][0]["box"] == pytest.approx(wanted.box, abs=1.5)
    options = dict(model="portraits-128", num_steps=2, changes={"smile": 1.0}, landmarks=found["faces"][0]["landmarks"])
    edited = post(client, "edit", options, None, photo=content)
    assert edited.status_code == 200, edited.text
    changed = (sl.read(io.BytesIO(edited.content)) - sl.read(io.BytesIO(content))).abs().amax((0, 1))
    left, top, right, bottom = (int(each) for each in wanted.box)
    assert changed[top:bottom, left:right].max() > 0.05 and changed[300:].max() == 0
    wrong = post(client, "edit", options | dict(landmarks=[1, 2]), None, photo=content)
    assert wrong.status_code == 422 and "wanted 10 numbers" in wrong.json()["detail"]


def test_an_expression_is_taken_over(client: TestClient) -> None:
    options = dict(model="toonfaces-64", num_steps=1, paste="none")
    answer = post(client, "express", options, None, photo=face(1), neutral=face(2), expressive=face(3))
    assert answer.status_code == 200 and Image.open(io.BytesIO(answer.content)).size == (64, 64), answer.text


def garbage() -> Iterator[tuple[str, bytes]]:
    """Thirty files that are no pictures, or broken ones."""
    random.seed(0)
    png, jpeg = picture(), io.BytesIO()
    Image.open(io.BytesIO(png)).save(jpeg, "JPEG")
    for suffix in ("png", "jpg", "gif", "webp", "tiff", "bmp"):
        yield f"empty.{suffix}", b""
        yield f"text.{suffix}", b"a letter, not a picture\n" * 20
        yield f"noise.{suffix}", random.randbytes(4_000)
    for name, content in (("png", png), ("jpg", jpeg.getvalue())):
        yield f"half.{name}", content[: len(content) // 2]
        yield f"head.{name}", content[:24]
        yield f"zeros.{name}", content[:60] + bytes(len(content))
    yield "json.png", b'{"picture": false}'
    yield "html.jpg", b"<!doctype html><title>no picture</title>"
    yield "svg.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
    yield "pdf.jpg", b"%PDF-1.7\n"
    yield "array.png", np.arange(10).tobytes()
    yield "zip.png", zipped(a=b"b")


def test_garbage_is_answered_with_one_line_and_leaves_nothing(client: TestClient, home: Path) -> None:
    kinds = list(garbage())
    assert len(kinds) == 30
    for name, content in kinds:
        answer = client.post("/v1/upscale", data={"options": "{}"}, files={"image": (name, content)})
        assert answer.status_code == 422, (name, answer.text)
        detail = answer.json()["detail"]
        assert "\n" not in detail and str(home) not in detail and len(detail) < 400, (name, detail)
    left = list((home / "jobs").glob("*/results/*"))
    made = {path.parent.parent.name for path in left}
    failed = {job.id for job in JobStore(home / "jobs.sqlite").jobs(states=("failed",))}
    assert not made & failed


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from styleloom.service import verbs

    store = JobStore(tmp_path / "jobs.sqlite")
    job = store.add("upscale", dict(files={}, options={}), "", None, "one")
    assert store.take("worker") is not None

    def full(request: Request) -> Iterator[Event]:
        (request.out / "half.png").write_bytes(b"half")
        yield Progressed("image", 1, 2, {}, 0.1)
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(verbs.VERBS, "upscale", full)
    request = Request(tmp_path / "job", {}, {}, sl.jobs.Limits(), 1)
    work(store, job, request, "worker")
    ended = store.get("one")
    assert ended is not None and ended.state == "failed" and ended.error == "the disk refused: No space left on device"
    assert not (tmp_path / "job" / "results").exists()


def test_a_job_that_is_cancelled_ends_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from styleloom.service import verbs

    store = JobStore(tmp_path / "jobs.sqlite")
    job = store.add("upscale", dict(files={}, options={}), "", None, "one")
    assert store.take("worker") is not None
    steps = []

    def long(request: Request) -> Iterator[Event]:
        for index in range(1, 11):
            steps.append(index)
            if index == 2:
                store.cancel("one")
            yield Progressed("image", index, index, {}, 0.1)

    monkeypatch.setitem(verbs.VERBS, "upscale", long)
    work(store, job, Request(tmp_path / "job", {}, {}, sl.jobs.Limits(), 1), "worker")
    ended = store.get("one")
    assert ended is not None and ended.state == "cancelled" and steps == [1, 2]


def test_runs_are_their_owners_alone(tmp_path: Path) -> None:
    for name, owner in (("mine", "me"), ("yours", "you"), ("shared", "")):
        (tmp_path / name).mkdir()
        shutil.copyfile(resolve("toonfaces-64"), tmp_path / name / "model.safetensors")
        if owner:
            (tmp_path / name / "owner.txt").write_text(owner)
    (tmp_path / "empty").mkdir()
    assert Runs(tmp_path, "me").ids() == ["mine", "shared"] and Runs(tmp_path, "").ids() == ["shared"] and Runs().ids() == []
    request = Request(tmp_path, {}, dict(model="run:mine"), sl.jobs.Limits(), 1, runs=Runs(tmp_path, "me"))
    assert request.model("generate", "portraits-128") == str(tmp_path / "mine" / "model.safetensors")
    for name in ("run:yours", "run:../mine", "run:", "run:empty", str(tmp_path / "mine" / "model.safetensors")):
        with pytest.raises(sl.StyleLoomError, match="unknown model"):
            Request(tmp_path, {}, dict(model=name), sl.jobs.Limits(), 1, runs=Runs(tmp_path, "me")).model("generate", "x")
