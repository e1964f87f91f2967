"""A cluster of two workers on this machine: deaths, stores, cost over the local engine, and memory of the driver.

    python -m benchmarks.cluster photos256.zip

1. 500 photographs are stylized while a worker is killed three times, and the driver once, which is then started again: every
   output must be there, none written twice, all equal to the local engine's to the bit.
2. The same from a store to a store, on a server of S3 on this machine (moto).
3. 200 photographs of 512 px by Ray and by the local engine with as many threads, in turn, three times; and eight, which are
   nearly all start: what the others take beyond that is compared.
4. 100,000 names, by work that copies: peak memory of the driver.

Results go to ``results/cluster.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gatys import processor

import styleloom as sl
from styleloom.cluster import RayEngine
from styleloom.core.memory import keep_memory
from styleloom.data.datasets import ImageFiles
from styleloom.jobs import Finished, Item, ItemDone, Job, Outputs, run

RESULTS = Path(__file__).parent / "results" / "cluster.json"
STYLE = "swirls"
START = 8  # photographs of a job that is nearly all start
DRIVER = """
import sys
import styleloom as sl
from styleloom.cluster import RayEngine
from styleloom.jobs import Finished, Outputs
for event in sl.jobs.stylize(sys.argv[1], "swirls", out=Outputs(sys.argv[2], engine=RayEngine(workers=2)), method="ghiasi"):
    if isinstance(event, Finished):
        print(event.done, event.skipped, len(event.failed), flush=True)
"""


def photographs(source: Path, folder: Path, count: int, side: int) -> Path:
    """A folder of so many photographs."""
    folder.mkdir()
    images = ImageFiles(source)
    for index in range(count):
        image = images.find(index)[1][None]
        sl.write(sl.resize_to_fit(image, side), folder / f"p{index:04}.jpg")
    return folder


def workers_of(driver: int) -> list[int]:
    """Process ids of the actors below a driver."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and b"Worker" in command:
            found.append(int(path.name))
    return found


def with_deaths(source: str, out: str, watched: Path | None, total: int, there: Any) -> dict[str, Any]:
    """A job whose worker is killed three times and whose driver once."""
    rewritten: set[str] = set()
    seen: dict[str, int] = {}
    stop = threading.Event()

    def watch() -> None:
        while watched is not None and not stop.wait(0.1):
            for path in watched.glob("*.png"):
                inode = path.stat().st_ino
                if seen.setdefault(path.name, inode) != inode:
                    rewritten.add(path.name)
                    seen[path.name] = inode

    thread = threading.Thread(target=watch)
    thread.start()
    killed, starts, began = 0, 0, time.monotonic()
    chance = random.Random(0)
    while True:
        starts += 1
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, source, out], stdout=subprocess.PIPE, text=True)
        while driver.poll() is None:
            time.sleep(0.2)
            done = there()
            if killed < 3 and done > (killed + 1) * total * 0.15 and (pids := workers_of(driver.pid)):
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed += 1
                time.sleep(2)
            if starts == 1 and done > 0.7 * total:
                driver.kill()
        told = driver.stdout.read().split() if driver.stdout else []
        if driver.returncode == 0:
            break
        assert starts < 4, "the driver ends by itself"
        time.sleep(6)  # the cluster of a dead driver ends
    stop.set()
    thread.join()
    last = dict(zip(("done", "skipped", "failed"), map(int, told), strict=True))
    seconds = round(time.monotonic() - began, 1)
    return dict(workers_killed=killed, drivers=starts, rewritten=len(rewritten), last=last, seconds=seconds)


def deaths(source: Path, folder: Path, count: int) -> dict[str, Any]:
    """On this machine's disk, and from store to store."""
    photos = photographs(source, folder / "photos", count, 256)
    local = folder / "local"
    for _ in sl.jobs.stylize(str(photos), STYLE, out=local, method="ghiasi"):
        pass

    def equal(read: Any) -> int:
        return sum(read(path.name) == path.read_bytes() for path in local.glob("*.png"))

    out = folder / "ray"
    on_disk = with_deaths(str(photos), str(out), out, count, lambda: len(list(out.glob("*.png"))))
    on_disk["equal_to_local"] = equal(lambda name: (out / name).read_bytes())
    # The same on a server of S3.
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= dict(
        AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL=f"http://{host}:{port}"
    )
    s3 = fsspec.filesystem("s3")
    s3.mkdir("pictures")
    s3.put(f"{photos}/", "pictures/in/", recursive=True)

    def there() -> int:
        s3.invalidate_cache()
        return sum(name.endswith(".png") for name in s3.find("pictures/out"))

    on_store = with_deaths("s3://pictures/in", "s3://pictures/out/", None, count, there)
    s3.invalidate_cache()
    on_store["equal_to_local"] = equal(lambda name: s3.cat_file(f"pictures/out/{name}"))
    server.stop()
    return dict(photographs=count, disk=on_disk, s3=on_store)


def cost(source: Path, folder: Path, count: int, runs: int) -> dict[str, Any]:
    """Seconds of both engines, in turn."""
    photos = photographs(source, folder / "photos512", count, 512)
    keep_memory()  # as the program does
    engine = RayEngine(workers=2)
    import ray

    engine._connect(ray)
    few = sorted(map(str, photos.iterdir()))[:START]
    seconds: dict[str, list[float]] = dict(local=[], ray=[], local_start=[], ray_start=[])
    for number in range(runs + 1):
        for name, of in (("local", None), ("ray", engine)):
            for part, given in (("_start", few), ("", [str(photos)])):
                out = folder / f"cost-{name}"
                shutil.rmtree(out, ignore_errors=True)
                *_, last = sl.jobs.stylize(given, STYLE, out=Outputs(out, engine=of), method="ghiasi")
                assert isinstance(last, Finished)
                if number:  # the first is warming up
                    seconds[f"{name}{part}"].append(last.seconds)
    ray.shutdown()
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    beyond = (middle["ray"] - middle["ray_start"]) / (middle["local"] - middle["local_start"])
    whole = middle["ray"] / middle["local"]
    return dict(photographs=count, seconds=seconds, ratio=round(whole, 3), ratio_beyond_start=round(beyond, 3))


class Copy:
    """Work that writes a byte."""

    def __call__(self, items: Sequence[Item]) -> Iterator[Any]:
        for item in items:
            item.targets[0].write_bytes(b"x")
            yield ItemDone(item.name, (str(item.targets[0]),))


def names(folder: Path, count: int) -> dict[str, Any]:
    """Peak memory of a driver of so many names."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    out = folder / "names"
    items = [Item(f"memory/p{number:06}.jpg", (out / f"p{number:06}.png",)) for number in range(count)]
    began = time.monotonic()
    *_, last = run(Job("copy", items, Copy(), settings="x", folder=out), Outputs(out, engine=RayEngine(workers=2)))
    assert isinstance(last, Finished) and last.done == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(names=count, seconds=round(time.monotonic() - began, 1), peak_of_driver=round(peak))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--only", choices=("deaths", "cost", "names"))
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["processor"] = processor()
    parts: dict[str, Any] = dict(  # names first, while this process is small
        names=lambda place: names(place, options.count or 100_000),
        cost=lambda place: cost(options.photos, place, options.count or 200, 3),
        deaths=lambda place: deaths(options.photos, place, options.count or 500),
    )
    for part, measure in parts.items():
        if options.only in (None, part):
            with tempfile.TemporaryDirectory() as place:
                found[part] = measure(Path(place))
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
