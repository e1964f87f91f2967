"""Object stores: addresses, listings, images read and written, and jobs from one store to another that go on."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import stores
from styleloom.data.datasets import SquareImages
from styleloom.jobs import Finished, ItemFailed, Outputs

fsspec = pytest.importorskip("fsspec", reason="no fsspec: pip install 'styleloom[stores]'")


@pytest.fixture(params=["memory", "file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty folder of each kind of store."""
    if request.param == "file":
        yield f"file://{tmp_path}/store"
        return
    if request.param == "memory":
        system = fsspec.filesystem("memory")
        system.store.clear()
        yield "memory://store"
        system.store.clear()
        return
    moto = pytest.importorskip("moto.server", reason="no moto: pip install moto[server]")
    pytest.importorskip("s3fs", reason="no s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in dict(
        ACCESS_KEY_ID="x", SECRET_ACCESS_KEY="x", ENDPOINT_URL=f"http://{host}:{port}", DEFAULT_REGION="us-east-1"
    ).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.filesystem("s3").clear_instance_cache()
    bucket = f"pictures-{uuid.uuid4().hex[:8]}"  # the server's memory outlives it
    fsspec.filesystem("s3").mkdir(bucket)
    yield f"s3://{bucket}/store"
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def filled(place: str, count: int = 3) -> str:
    """A folder of pictures, one of them broken, and a text."""
    system, root = fsspec.core.url_to_fs(f"{place}/in")
    system.makedirs(root, exist_ok=True)
    for number in range(count):
        with system.open(f"{root}/p{number}.png", "wb") as file:
            file.write(picture(number))
    for name in ("broken.png", "notes.txt"):
        with system.open(f"{root}/{name}", "wb") as file:
            file.write(b"no picture")
    return f"{place}/in"


def picture(number: int) -> bytes:
    from styleloom.data.images import encoded

    return encoded(sl.draw(list(sl.STYLES)[number], 64)[0])


def test_paths_that_lost_a_slash_are_addresses() -> None:
    assert stores.address_of(Path("s3://bucket/a b/c.png")) == "s3://bucket/a b/c.png"
    assert stores.address_of("file:///tmp/x") == stores.address_of(Path("file:///tmp/x")) == "file:///tmp/x"
    for none in ("C:/photos", "/tmp/x", "photos/a.png", Path("photos"), 3, "a:b"):
        assert stores.address_of(none) == ""


def test_what_is_there_is_listed_and_read(place: str) -> None:
    folder = filled(place)
    names = [name.rpartition("/")[2] for name in stores.listed(folder)]
    assert names == ["broken.png", "notes.txt", "p0.png", "p1.png", "p2.png"]
    assert [each[-6:] for each in stores.listed(f"{folder}/p*.png")] == ["p0.png", "p1.png", "p2.png"]
    assert sl.read(f"{folder}/p1.png").equal(sl.read(stores.read_bytes(f"{folder}/p1.png")))
    with pytest.raises(StyleLoomError, match=r"broken\.png: not an image"):
        sl.read(f"{folder}/broken.png")
    with pytest.raises(StyleLoomError, match="nothing at"):
        sl.read(f"{folder}/nowhere.png")


def test_a_job_goes_from_store_to_store_and_on(place: str, tmp_path: Path) -> None:
    folder = filled(place)
    out = f"{place}/out"
    events = list(sl.jobs.stylize(folder, "swirls", out=f"{out}/", method="ghiasi"))
    last = events[-1]
    assert isinstance(last, Finished) and last.done == 3 and len(last.failed) == 1
    assert [name.rpartition("/")[2] for name in stores.listed(out)] == [".styleloom.jsonl", "p0.png", "p1.png", "p2.png"]
    # Equal to what the same job writes on disk.
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"p{number}.png").write_bytes(picture(number))
    for _ in sl.jobs.stylize(str(tmp_path / "in"), "swirls", out=tmp_path / "out", method="ghiasi"):
        pass
    for number in range(3):
        assert stores.read_bytes(f"{out}/p{number}.png").getvalue() == (tmp_path / "out" / f"p{number}.png").read_bytes()
    # Again: nothing is done twice, and nothing lies about on this machine.
    again = list(sl.jobs.stylize(folder, "swirls", out=f"{out}/", method="ghiasi"))
    last = again[-1]
    assert isinstance(last, Finished) and last.done == 0 and last.skipped == 3
    system, root = fsspec.core.url_to_fs(out)
    system.rm(f"{root}/p1.png")
    third = list(sl.jobs.stylize(folder, "swirls", out=f"{out}/", method="ghiasi"))[-1]
    assert isinstance(third, Finished) and (third.done, third.skipped) == (1, 2)
    with pytest.raises(StyleLoomError, match="exists already"):
        list(sl.jobs.stylize(folder, "wave", out=f"{out}/", method="ghiasi"))


def test_what_was_written_and_not_stored_is_done_again(place: str) -> None:
    """A worker died between writing a file here and storing it."""
    folder, out = filled(place), Outputs(Path(f"{place}/out"))
    assert out.store is not None
    (out.store.mirror / "p1.png").write_bytes(b"left behind")
    last = list(sl.jobs.stylize(folder, "swirls", out=out, method="ghiasi"))[-1]
    assert isinstance(last, Finished) and last.done == 3
    assert sl.read(f"{place}/out/p1.png").shape == (1, 3, 64, 64) and not (out.store.mirror / "p1.png").exists()


def test_folders_and_zips_of_stores_are_data_sets(place: str, tmp_path: Path) -> None:
    for number in range(3):
        sl.write(sl.draw("wave", 64, number), tmp_path / f"{number}.png")
        with fsspec.open(f"{place}/in/{number}.png", "wb") as file:
            file.write((tmp_path / f"{number}.png").read_bytes())
    for out in (str(tmp_path / "set.zip"), f"{place}/set.zip"):
        *_, last = sl.jobs.prepare(f"{place}/in", out=out, size=32)
        assert isinstance(last, Finished) and last.values["images"] == 3
    here, there = SquareImages(tmp_path / "set.zip", 32), SquareImages(f"{place}/set.zip", 32)
    assert len(there) == 3 and all(torch.equal(here[index], there[index]) for index in range(3))
    assert torch.equal(SquareImages(f"{place}/in", 32)[1], here[1])


def test_one_picture_goes_to_a_store(place: str) -> None:
    folder = filled(place, 1)
    for event in sl.jobs.upscale(f"{folder}/p0.png", out=f"{place}/large.png"):
        assert not isinstance(event, ItemFailed), event
    assert sl.read(f"{place}/large.png").shape == (1, 3, 256, 256)


def test_stores_that_cannot_be_used_are_told_in_a_line() -> None:
    for address, told in (("nowhere://bucket/x.png", "no address of a store"), ("memory://empty/x.png", "nothing at")):
        with pytest.raises(StyleLoomError, match=told) as error:
            sl.read(address)
        assert "\n" not in str(error.value)
