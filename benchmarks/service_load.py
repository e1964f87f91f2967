"""Twenty clients at once on the service, and twenty deaths of its worker and server.

    python -m benchmarks.service_load                # two minutes of load, then the deaths

Each client submits small paintings, faces and enlargements one after the other, follows them, and cancels one in ten; meanwhile
the page of health, a status, a submission and a cancellation are timed every quarter of a second. A job that a client did not
cancel must end done, once; so must two heavy ones, descents of Gatys, that run among them. Then jobs are queued while worker
(15 times) and server (5 times) are killed at random moments: each must still end done, once, with a whole picture. Results go
to ``results/service_load.json``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from benchmarks.gatys import processor
from PIL import Image

RESULTS = Path(__file__).parent / "results"
PORT = 7996
ASYNC = {"prefer": "respond-async"}
WORK: tuple[tuple[str, dict[str, Any], tuple[int, int] | None], ...] = (
    ("stylize", {"style_name": ["swirls"]}, (256, 192)),
    ("generate", {"model": "toonfaces-64", "seeds": [1, 2, 3, 4]}, None),
    ("upscale", {}, (64, 64)),
)
FILES = {"stylize": "content", "upscale": "image"}


def picture(width: int, height: int) -> bytes:
    """A PNG of noise."""
    file = io.BytesIO()
    noise = np.random.RandomState(width).randint(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


PICTURES = {size: picture(*size) for _, _, size in WORK if size is not None}


class Server:
    """A service in a process of its own, on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; the seconds until it answers."""
        began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "styleloom",
            "serve",
            "--folder",
            str(self.folder),
            "--port",
            str(PORT),
            "--max-queue",
            "400",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{PORT}/healthz").status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def worker(self) -> int | None:
        """The process id of its worker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        several = [each for thread in threads for each in (thread / "children").read_text().split()]
        return int((several or children)[0]) if several or children else None

    def memory(self) -> float:
        """Resident memory of server and worker, in MiB."""
        assert self.process is not None
        total = 0.0
        for pid in (self.process.pid, self.worker()):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
        return total


def submit(client: httpx.Client, headers: dict[str, str], number: int) -> dict[str, Any]:
    """A job of the mix."""
    verb, options, size = WORK[number % len(WORK)]
    files = {FILES[verb]: ("x.png", PICTURES[size])} if size is not None else None
    answer = client.post(f"/v1/{verb}", data={"options": json.dumps(options)}, files=files, headers=headers | ASYNC)
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    return job


def ended(client: httpx.Client, job: dict[str, Any], headers: dict[str, str], seconds: float = 120) -> dict[str, Any]:
    """A job when it is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            now: dict[str, Any] = client.get(job["url"], headers=headers).json()
        except (httpx.TransportError, ValueError):  # the server is being killed
            time.sleep(0.2)
            continue
        if now["state"] not in ("queued", "running"):
            return now
        time.sleep(0.05)
    raise AssertionError(f"{job['url']} did not end")


def once(client: httpx.Client, job: dict[str, Any], headers: dict[str, str]) -> bool:
    """Whether a job ended done, once, with a whole picture."""
    events = client.get(job["events"], headers=headers).text
    picture = client.get(next(iter(job["files"].values())), headers=headers).content
    Image.open(io.BytesIO(picture)).load()
    return job["state"] == "done" and events.count("event: done") == 1 and events.count("event: finished") == 1


def load(server: Server, clients: int, seconds: float) -> dict[str, Any]:
    """Clients at work for so long."""
    stop = time.monotonic() + seconds
    outcomes: list[str] = []
    taken: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in ("health", "submit", "status", "cancel")}

    def visitor(name: int) -> None:
        headers, number = {"x-client": f"visitor {name}"}, name
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            while time.monotonic() < stop:
                number += 1
                try:
                    job = submit(client, headers, number)
                    if number % 10 == 0:
                        client.delete(job["url"], headers=headers)
                    job = ended(client, job, headers, 400)
                    good = (
                        job["state"] == "cancelled" if number % 10 == 0 and job["state"] != "done" else once(client, job, headers)
                    )
                    outcomes.append("good" if good else job["state"])
                except Exception as error:
                    outcomes.append(repr(error)[:200])

    def heavy() -> None:
        headers = {"x-client": "painter"}
        options = dict(method="gatys", style_name=["wave"], preset="draft", first_size=256, first_steps=150, steps=40)
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            for _ in range(2):
                files, data = {"content": ("x.png", PICTURES[256, 192])}, {"options": json.dumps(options)}
                job = client.post("/v1/stylize", data=data, files=files, headers=headers | ASYNC).json()
                done = ended(client, job, headers, 600)
                taken.append(done["finished"] - done["started"])
                outcomes.append("good" if once(client, done, headers) else done["state"])

    def timed(name: str, function: Callable[[], httpx.Response]) -> httpx.Response:
        began = time.monotonic()
        answer = function()
        times[name].append(time.monotonic() - began)
        return answer

    def watch() -> None:
        headers = {"x-client": "watcher"}
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            while time.monotonic() < stop:
                timed("health", lambda: client.get("/healthz"))
                data = {"options": json.dumps(WORK[1][1])}
                job = timed("submit", lambda data=data: client.post("/v1/generate", data=data, headers=headers | ASYNC)).json()  # type: ignore[misc]
                if "url" in job:
                    timed("status", lambda job=job: client.get(job["url"], headers=headers))  # type: ignore[misc]
                    timed("cancel", lambda job=job: client.delete(job["url"], headers=headers))  # type: ignore[misc]
                time.sleep(0.25)

    before = server.memory()
    threads = [threading.Thread(target=visitor, args=(number,)) for number in range(clients)] + [
        threading.Thread(target=each) for each in (watch, heavy)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(2)
    return dict(
        clients=clients, seconds=seconds, jobs=len(outcomes), good=outcomes.count("good"),
        heavy_seconds=[round(each, 1) for each in taken],
        others=sorted({each for each in outcomes if each != "good"}),
        p95={name: float(np.percentile(each, 95)) for name, each in times.items() if each},
        memory_before=before, memory_after=server.memory(),
    )  # fmt: skip


def deaths(server: Server, workers: int, servers: int) -> dict[str, Any]:
    """Jobs while worker and server are killed."""
    headers = {"x-client": "survivor"}
    rng = random.Random(0)
    client = httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60)
    jobs = []
    for number, kind in enumerate(rng.sample(["worker"] * workers + ["server"] * servers, workers + servers)):
        jobs += [submit(client, headers, 2 * number + each) for each in range(2)]
        time.sleep(rng.uniform(0, 1.5))
        if kind == "worker" and (pid := server.worker()) is not None:
            os.kill(pid, signal.SIGKILL)
        elif kind == "server":
            server.kill()
            server.start()
            client = httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60)
        for job in jobs[-2:]:
            ended(client, job, headers)
    over = [ended(client, job, headers) for job in jobs]
    return dict(kills=workers + servers, jobs=len(jobs), good=sum(once(client, job, headers) for job in over))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        result: dict[str, Any] = dict(processor=processor(), start=server.start())
        ended_first = submit(httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60), {}, 0)
        ended(httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60), ended_first, {})
        result["load"] = load(server, options.clients, options.seconds)
        print(result["load"], flush=True)
        result["deaths"] = deaths(server, 15, 5)
        print(result["deaths"], flush=True)
        server.kill()
    (RESULTS / "service_load.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
