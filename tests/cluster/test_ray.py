"""The engine on Ray: equal to the local one, one bad file among the others, and workers that die."""

import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data.video import write_video
from styleloom.data.video_in import frames_of, open_video
from styleloom.drawn import toonfaces
from styleloom.jobs import Finished, Item, ItemDone, Job, Outputs, run

ray = pytest.importorskip("ray", reason="no Ray: pip install 'styleloom[scale]'")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """An engine on a cluster of two workers that all tests share."""
    from styleloom.cluster import RayEngine

    before = signal.getsignal(signal.SIGTERM)
    made = RayEngine(workers=2)
    made._connect(ray)
    yield made
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


def outcome(events: Iterator[Any]) -> Finished:
    """The last event of a job."""
    *_, last = events
    assert isinstance(last, Finished)
    return last


def test_it_makes_what_the_local_engine_makes(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        sl.write(sl.draw(list(sl.STYLES)[number], 64 + number), tmp_path / "in" / f"p{number}.png")
    (tmp_path / "in" / "broken.png").write_text("no picture")
    made = {}
    for name, of in (("local", None), ("ray", engine)):
        out = Outputs(tmp_path / name, engine=of)
        last = outcome(sl.jobs.stylize(str(tmp_path / "in"), "swirls", out=out, method="ghiasi"))
        assert last.done == 6 and [Path(each).name for each in last.failed] == ["broken.png"]
        made[name] = {path.name: path.read_bytes() for path in sorted((tmp_path / name).glob("*.png"))}
    assert len(made["ray"]) == 6 and made["ray"] == made["local"]
    # Begun on one, it goes on with the other.
    (tmp_path / "ray" / "p3.png").unlink()
    last = outcome(sl.jobs.stylize(str(tmp_path / "in"), "swirls", out=tmp_path / "ray", method="ghiasi"))
    assert (last.done, last.skipped) == (1, 5) and not list((tmp_path / "ray").glob(".styleloom-ledger*"))


def test_a_video_has_no_seams(engine: Any, tmp_path: Path) -> None:
    """Frames that were painted elsewhere are steadied and encoded as all others."""
    pytest.importorskip("av", reason="no PyAV: pip install 'styleloom[video]'")
    source = tmp_path / "a.mp4"
    for _ in write_video([sl.draw("wave", 64)[..., shift : shift + 48, :48] for shift in range(10)], source):
        pass
    films = []
    for name, of in (("local", None), ("ray", engine)):
        last = outcome(sl.jobs.stylize(source, "swirls", out=Outputs(tmp_path / f"{name}.mkv", engine=of), method="ghiasi"))
        assert last.done == 1
        with open_video(tmp_path / f"{name}.mkv") as reader:
            films.append([frame.image for frame in frames_of(reader, source)])
    assert len(films[0]) == len(films[1]) == 10
    for one, other in zip(*films, strict=True):
        assert (one.float() - other.float()).abs().mean() < 1


class Copies:
    """Work that copies, and notes each write; slow, so that it can be killed."""

    def __init__(self, log: Path, seconds: float) -> None:
        self.log, self.seconds = log, seconds

    def __call__(self, items: Sequence[Item]) -> Iterator[Any]:
        for item in items:
            (self.log / f"pid-{os.getpid()}").touch()
            time.sleep(self.seconds)
            with (self.log / "writes").open("a") as file:
                file.write(f"{item.name}\n")
            item.targets[0].write_text(item.name)
            yield ItemDone(item.name, (str(item.targets[0]),))


def job(tmp_path: Path, count: int, work: Any) -> Job:
    """A job of so many names."""
    out = tmp_path / "out"
    items = [Item(f"{number}", (out / f"{number}.txt",)) for number in range(count)]
    return Job("copy", items, work, settings="copies", folder=out)


def by_value(work: Any) -> Any:
    """Work that workers need no test module for."""
    ray.cloudpickle.register_pickle_by_value(__import__(Copies.__module__, fromlist=["Copies"]))
    return work


def test_workers_that_die_lose_and_double_nothing(engine: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    killed: list[int] = []

    def kill() -> None:
        end = time.monotonic() + 60
        while len(killed) < 2 and time.monotonic() < end:
            time.sleep(0.5)
            for path in sorted(log.glob("pid-*"), key=lambda path: path.stat().st_mtime)[-1:]:
                pid = int(path.name.removeprefix("pid-"))
                if pid not in killed:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    last = outcome(run(job(tmp_path, 60, by_value(Copies(log, 0.05))), Outputs(tmp_path / "out", engine=engine)))
    thread.join()
    assert last.done == 60 and not last.failed and killed
    writes = (log / "writes").read_text().split()
    assert sorted(set(writes), key=int) == [str(number) for number in range(60)]
    assert len(writes) <= 60 + len(killed)  # only what was being written when its worker died is written again


def test_a_cluster_that_is_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    from styleloom.cluster import RayEngine

    if ray.is_initialized():
        pytest.skip("a cluster is connected")
    with pytest.raises(StyleLoomError, match="cannot reach"):
        RayEngine("127.0.0.1:1")._connect(ray)


def test_a_data_set_and_features_are_the_same_as_those_made_here(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, face in enumerate(toonfaces.render([toonfaces.attributes(seed) for seed in range(60)], 64).split(1)):
        sl.write(face, tmp_path / "in" / f"p{number:02d}.png")
    (tmp_path / "in" / "p30.png").write_text("no picture")
    figures = {}
    for name, of in (("local", None), ("ray", engine)):
        out = Outputs(tmp_path / f"{name}.zip", engine=of)
        last = outcome(sl.jobs.prepare(str(tmp_path / "in"), out=out, size=32))
        assert [Path(each).name for each in last.values["damaged"]] == ["p30.png"] and last.values["images"] == 59
        measured = sl.jobs.evaluate("toonfaces-64", str(out.path), metrics=["fd"], samples=64, engine=of)
        figures[name] = outcome(measured).values["figures"]
    with zipfile.ZipFile(tmp_path / "ray.zip") as there, zipfile.ZipFile(tmp_path / "local.zip") as here:
        assert there.namelist() == here.namelist() and all(there.read(each) == here.read(each) for each in here.namelist())
    assert figures["ray"]["fd"] == pytest.approx(figures["local"]["fd"], rel=1e-6)


def test_a_job_whose_items_others_have_claimed_starts_no_cluster() -> None:
    from styleloom.cluster import RayEngine

    def work(items: Sequence[Item]) -> Iterator[Any]:
        raise AssertionError

    assert list(RayEngine("127.0.0.1:1")(Job("stylize", [], work), [])) == []


def test_workers_fit_the_cluster_and_one_that_dies_again_and_again_is_told() -> None:
    from styleloom.cluster import RayEngine

    class Cluster:
        exceptions = ray.exceptions

        @staticmethod
        def cluster_resources() -> dict[str, float]:
            return {"CPU": 9.0}

        @staticmethod
        def get(call: Any) -> Any:
            raise ray.exceptions.RayActorError

    assert RayEngine(threads=2)._room(Cluster) == 4 and RayEngine(threads=16)._room(Cluster) == 1
    with pytest.raises(StyleLoomError, match="a worker died 5 times at one image"):
        RayEngine._result(Cluster, None)
