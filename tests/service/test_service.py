"""The service over HTTP, with a worker of its own: results, refusals, clients apart, and workers that die."""

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.nn.mtcnn import available
from styleloom.service.app import create_app
from styleloom.service.listen import bound, listen
from styleloom.service.openapi import options_of
from styleloom.service.settings import ServiceSettings
from styleloom.service.verbs import EXAMPLES, FILES, OPTIONS, VERBS

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
HERE = "http://127.0.0.1"


def picture(width: int = 96, height: int = 64) -> bytes:
    """A PNG with a gradient."""
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    settings = ServiceSettings(folder=home, max_upload=1, max_pixels=1_000_000, max_jobs=3, wait_seconds=60)
    with TestClient(create_app(settings), base_url=HERE) as made:
        yield made


def post(
    client: TestClient, verb: str, options: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **files: bytes
) -> Any:
    uploads = [(name, (f"{name}.png", content)) for name, content in files.items()]
    data = {"options": json.dumps(options or {})}
    return client.post(f"/v1/{verb}", data=data, files=uploads or {"": b""} if uploads else None, headers=headers or {})


def ended(client: TestClient, address: str, headers: dict[str, str] | None = None, seconds: float = 60) -> dict[str, Any]:
    """A job when it is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job: dict[str, Any] = client.get(address, headers=headers or {}).json()
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"{address} did not end")


def test_a_picture_comes_back_as_the_library_makes_it(client: TestClient, tmp_path: Path) -> None:
    answer = post(client, "stylize", {"style_name": ["swirls"], "alpha": 0.8}, content=picture())
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png", answer.text
    (tmp_path / "photo.png").write_bytes(picture())
    (tmp_path / "made.png").write_bytes(answer.content)
    wanted = sl.stylize(sl.read(tmp_path / "photo.png"), "swirls", "ghiasi", alpha=0.8)
    assert float((sl.read(tmp_path / "made.png") - wanted).abs().max()) < 2 / 255


def test_small_verbs(client: TestClient) -> None:
    sizes = {}
    quick = dict(method="gatys", preset="quick", style_name=["wave"], size=64, first_steps=2)
    for verb, options, files in (
        ("stylize", quick | (dict(keep_faces=True) if available() else {}), dict(content=picture())),
        ("upscale", {}, dict(image=picture(32, 24))),
        ("translate", {"model": "edges2portrait"}, dict(image=picture(128, 128))),
        ("generate", {"model": "toonfaces-64", "seeds": [3, 4]}, {}),
    ):
        answer = post(client, verb, options, None, **files)
        assert answer.status_code == 200, answer.text
        sizes[verb] = Image.open(io.BytesIO(answer.content)).size
    assert sizes["upscale"] == (128, 96) and sizes["translate"] == (128, 128) and sizes["stylize"] == (64, 43)


def test_long_work_is_a_job_that_can_be_followed(client: TestClient) -> None:
    answer = post(client, "invert", {"model": "toonfaces-64", "num_steps": 3}, {"prefer": "respond-async"}, photo=picture())
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == job["url"] and job["state"] in ("queued", "running")
    text = client.get(job["events"]).text
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    kinds, numbers = [each["event"] for each in events], [int(each["id"]) for each in events]
    assert kinds[0] == "started" and kinds[-1] == "done" and numbers == list(range(1, len(events) + 1))
    assert all(json.loads(each["data"]) is not None for each in events)
    # Asked again with the last number, there is nothing more: a browser stops.
    assert client.get(job["events"], headers={"last-event-id": str(numbers[-1])}).status_code == 204
    later = client.get(job["events"], headers={"last-event-id": str(numbers[-2])}).text
    assert later.count("event:") == 1 and "event: done" in later
    files = ended(client, job["url"])["files"]
    assert "photo-1.png" in files and client.get(files["photo-1.png"]).headers["content-type"] == "image/png"
    assert client.delete(job["url"]).status_code == 204 and client.get(job["url"]).status_code == 404


@pytest.mark.parametrize(
    ("verb", "options", "files", "status", "told"),
    [
        ("stylize", {}, {}, 422, "wants a file as 'content'"),
        ("stylize", {}, {"content": picture()}, 422, "no style"),
        ("stylize", {"style_name": ["swirls"], "size": 10**8}, {"content": picture()}, 422, "`size`"),
        ("stylize", {"style_name": ["/etc/hostname"]}, {"content": picture()}, 422, "unknown style_name"),
        ("stylize", {"features": "/etc/hostname"}, {"content": picture()}, 422, "has no option 'features'"),
        ("stylize", {"method": "johnson", "style_name": ["x.safetensors"]}, {"content": picture()}, 422, "unknown style_name"),
        ("generate", {"model": "hf://a/b/c.safetensors"}, {}, 422, "unknown model"),
        ("generate", {"seeds": ["one"]}, {}, 422, "wanted whole numbers"),
        ("generate", {"frames": 10_000}, {}, 422, "`frames`"),
        ("upscale", {}, {"image": b"no image at all"}, 422, "cannot read image.png"),
        ("upscale", {}, {"image": picture(2000, 600)}, 422, "1,000,000"),
        ("upscale", {}, {"photo": picture()}, 422, "takes no 'photo'"),
        ("upscale", {}, {"image": bytes(2**20 + 1000)}, 413, "at most 1 MiB"),
        ("edit", {"changes": {"wings": 2}, "model": "toonfaces-64"}, {"photo": picture()}, 422, "wings"),
        ("edit", {}, {}, 422, "edit wants one file"),
        ("stylize", {"style_name": ["swirls"], "alpha": None}, {"content": picture()}, 422, "alpha"),
        ("translate", {"size": 7}, {"image": picture()}, 422, "`size` is 7"),
        ("translate", {"drawing": "x"}, {"image": picture()}, 422, "wanted true or false"),
        ("stylize", {"method": "johnson"}, {"content": picture(), "style": picture()}, 422, "styles of its own, by name"),
        ("stylize", {"style_name": ["swirls"], "keep_faces": True}, {"content": picture()}, 422, "`keep_faces` is for gatys"),
        ("stylize", {"style_name": ["swirls"], "keep_faces": "yes"}, {"content": picture()}, 422, "keep_faces"),
        ("nothing", {}, {}, 404, "nothing is at this address"),
    ],
)  # fmt: skip
def test_refusals_are_problems_in_one_line(
    client: TestClient, home: Path, verb: str, options: dict[str, Any], files: dict[str, bytes], status: int, told: str
) -> None:
    answer = post(client, verb, options, None, **files)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and told in problem["detail"] and "\n" not in problem["detail"]
    assert str(home) not in answer.text, "no path of the server"
    left = [path for path in (home / "jobs").glob("*/results/*") if "jobs" not in path.name]
    assert all(path.stat().st_size for path in left)


def test_a_hole_is_filled(client: TestClient) -> None:
    face, mask = sl.load("toonfaces-64").generate([3]), torch.zeros(1, 3, 64, 64)
    mask[..., 24:40, 20:44] = 1
    pictures = {}
    for name, image in (("photo", face), ("mask", mask)):
        file = io.BytesIO()
        Image.fromarray((image[0].permute(1, 2, 0) * 255).byte().numpy()).save(file, "PNG")
        pictures[name] = file.getvalue()
    answer = post(client, "inpaint", {"model": "toonfaces-64", "num_steps": 3}, None, **pictures)
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).size == (64, 64)


def test_one_server_a_folder(client: TestClient, home: Path) -> None:
    """A second one would take the first one's jobs."""
    with pytest.raises(StyleLoomError, match="another process is at work in"):
        create_app(ServiceSettings(folder=home))
    with pytest.raises(StyleLoomError, match="cannot keep jobs in"):
        create_app(ServiceSettings(folder=Path("/proc/styleloom")))


def test_requests_that_are_no_forms_or_no_addresses(client: TestClient) -> None:
    assert client.post("/v1/generate", json={"seeds": [1]}).status_code == 415
    assert client.get("/v1/jobs", headers={"origin": "http://["}).status_code == 400
    job = post(client, "generate", {"model": "toonfaces-64", "seeds": [1]}, {"prefer": "respond-async"}).json()
    assert client.get(job["events"], headers=[(b"last-event-id", "\u00b2".encode())]).status_code == 200
    assert client.head("/healthz").status_code == 200
    keyed = {"x-client": "keys", "idempotency-key": "k", "prefer": "respond-async"}
    post(client, "generate", {"model": "toonfaces-64", "seeds": [1]}, keyed)
    assert post(client, "generate", {"model": "toonfaces-64", "seeds": [2]}, keyed).status_code == 409


def test_clients_see_their_own_jobs_alone(client: TestClient) -> None:
    mine, yours = {"x-client": "secret of mine"}, {"x-client": "secret of yours"}
    job = post(client, "generate", {"model": "toonfaces-64", "seeds": [1]}, mine | {"prefer": "respond-async"}).json()
    name = next(iter(ended(client, job["url"], mine)["files"]))
    assert [each["id"] for each in client.get("/v1/jobs", headers=mine).json()] == [job["id"]]
    assert client.get("/v1/jobs", headers=yours).json() == [] == client.get("/v1/jobs").json()
    for headers in (yours, {}):
        for method, address in (("get", ""), ("get", "/events"), ("get", f"/files/{name}"), ("delete", "")):
            assert getattr(client, method)(f"{job['url']}{address}", headers=headers).status_code == 404, address
    assert client.get(f"{job['url']}/files/{name}", headers=mine).status_code == 200
    assert client.get(f"{job['url']}/files/..%2F..%2Fjobs.sqlite", headers=mine).status_code == 404


def test_an_idempotency_key_is_done_once(client: TestClient) -> None:
    headers = {"x-client": "again", "idempotency-key": "one", "prefer": "respond-async"}
    ids = {post(client, "generate", {"model": "toonfaces-64", "seeds": [5]}, headers).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    del headers["x-client"]
    assert post(client, "generate", {}, headers).status_code == 400


def test_a_client_has_so_many_open_jobs(client: TestClient) -> None:
    headers = {"x-client": "busy", "prefer": "respond-async"}
    jobs = [post(client, "invert", {"model": "toonfaces-64", "num_steps": 60}, headers, photo=picture()) for _ in range(4)]
    assert [each.status_code for each in jobs[:3]] == [202] * 3 and jobs[3].status_code == 429
    for each in jobs[:3]:
        client.delete(each.json()["url"], headers=headers)
    assert {ended(client, each.json()["url"], headers)["state"] for each in jobs[:3]} == {"cancelled"}


def test_a_job_survives_its_worker(client: TestClient) -> None:
    supervisor = client.app.state.service.supervisor  # type: ignore[attr-defined]
    job = post(client, "invert", {"model": "toonfaces-64", "num_steps": 40}, {"prefer": "respond-async"}, photo=picture()).json()
    restarts = supervisor.restarts
    while client.get(job["url"]).json()["state"] != "running":
        time.sleep(0.02)
    os.kill(supervisor.worker.pid, signal.SIGKILL)
    done = ended(client, job["url"])
    assert done["state"] == "done" and done["files"] and supervisor.restarts == restarts + 1
    kinds = [line for line in client.get(job["events"]).text.splitlines() if line.startswith("event: ")]
    assert kinds.count("event: done") == 1 and kinds[-1] == "event: done"
    assert client.get("/healthz").json()["status"] == "ok"
    assert "styleloom_worker_restarts_total" in client.get("/metrics").text


def test_other_sites_and_hosts_are_refused(client: TestClient) -> None:
    assert client.get("/v1/jobs", headers={"origin": "http://elsewhere.example"}).status_code == 403
    assert client.get("/v1/jobs", headers={"origin": HERE}).status_code == 200
    assert client.get("/v1/jobs", headers={"host": "elsewhere.example"}).status_code == 421
    assert client.get("/v1/jobs").headers["x-content-type-options"] == "nosniff"


def test_an_open_host_demands_a_token(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="can be reached from other machines; give a token"):
        ServiceSettings(folder=tmp_path, host="0.0.0.0")
    settings = ServiceSettings(folder=tmp_path, host="0.0.0.0", token="a long enough secret")
    client = TestClient(create_app(settings), base_url="http://studio.example")
    assert client.get("/v1/jobs").status_code == 401 == client.get("/v1/openapi.json").status_code
    assert client.get("/v1/jobs", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/v1/jobs", headers={"authorization": "Bearer a long enough secret"}).status_code == 200
    assert client.get("/healthz").status_code == 503  # no worker, but no secret either


def test_a_client_made_from_the_description_works(client: TestClient) -> None:
    """Each verb is described with its files, its options and an example that is right."""
    description = client.get("/v1/openapi.json").json()
    for verb in VERBS:
        body = description["paths"][f"/v1/{verb}"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert set(body["properties"]) == {*FILES[verb], "options"}
        assert "type" in body["properties"]["options"]["contentSchema"]
        example = json.loads(body["properties"]["options"]["example"])
        assert example == EXAMPLES[verb] and set(example) <= set(OPTIONS[verb])
    kinds = {name: schema["type"] for name, schema in options_of("stylize").items()}
    assert (kinds["keep_faces"], kinds["content_layers"], kinds["style_layer_weights"]) == ("boolean", "array", "array")
    assert options_of("stylize")["style_layer_weights"]["items"] == {"type": "number"}
    # Fill in a body from the description alone, and send it.
    body = description["paths"]["/v1/generate"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    answer = client.post("/v1/generate", data={"options": body["properties"]["options"]["example"]})
    assert answer.status_code == 200 and Image.open(io.BytesIO(answer.content)).size[1] == 128


def test_an_error_beside_it_does_not_end_the_care_for_the_worker(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = client.app.state.service.supervisor  # type: ignore[attr-defined]
    asked: list[float] = []

    def refuse() -> None:
        asked.append(time.monotonic())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervisor.trainings, "look", refuse)
    end = time.monotonic() + 20
    while len(asked) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    before = supervisor.restarts
    os.kill(supervisor.worker.pid, signal.SIGKILL)
    while supervisor.restarts == before and time.monotonic() < end:
        time.sleep(0.05)
    assert supervisor.thread.is_alive() and supervisor.restarts == before + 1


def test_a_zip_of_images_that_all_fail_says_why(client: TestClient) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", b"nothing")
        archive.writestr("b.png", picture()[:60])
    answer = client.post(
        "/v1/stylize", data={"options": '{"style_name": ["swirls"]}'}, files=[("content", ("all.zip", file.getvalue()))]
    )
    if answer.status_code == 202:
        answer = client.get(answer.headers["location"])
    assert "disk" not in answer.text and "a.png" in answer.text


def test_a_free_port_is_told_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, told = ServiceSettings(folder=tmp_path, port=0), list[str]()
    with bound(settings) as one, bound(settings) as two:
        assert one.getsockname()[1] != two.getsockname()[1] and one.getsockname()[1]
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: told.append(f":{sockets[0].getsockname()[1]}/"))
    listen(create_app, settings, told.append)
    assert told[0].endswith(told[1])
