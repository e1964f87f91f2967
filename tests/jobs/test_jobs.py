"""Jobs over many files: what is done is done once, nothing is lost, and one bad file stops nobody."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.program import outcome, run

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.jobs import Finished, ItemDone, ItemFailed, Noted, Started
from styleloom.jobs.engine import MANIFEST, Job, check_apart
from styleloom.jobs.engine import run as run_job
from styleloom.jobs.events import Item
from styleloom.jobs.inputs import open_mask
from styleloom.jobs.outputs import Outputs
from styleloom.nn import mtcnn
from styleloom.papers import stylegan2

ADAIN = ["--method", "adain", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of three photographs with everything that people's folders have beside them, and a style."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    torch.manual_seed(0)
    for index in range(3):
        images.write(torch.rand(1, 3, 40, 56), f"photos/{index}.png")
    images.write(torch.rand(1, 3, 48, 48), "style.png")


def soil() -> None:
    """Add what is no image, though it is called like one."""
    Path("photos/junk.jpg").write_bytes(b"junk")
    Path("photos/cut.png").write_bytes(Path("photos/0.png").read_bytes()[:80])
    Path("photos/sub.jpg").mkdir()
    Path("photos/._0.png").write_bytes(b"a resource fork")


def test_a_bad_file_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    soil()
    for verb in (["stylize", "photos", "style.png", *ADAIN], ["upscale", "photos", "--device", "cpu"]):
        out = Path(f"out-{verb[0]}")
        assert run(*verb, "-o", str(out), "--json") == 3
        told = outcome(capsys)
        assert sorted(told["failed"]) == ["photos/cut.png", "photos/junk.jpg"]
        assert (told["done"], told["skipped"]) == (3, 0)
        assert sorted(path.name for path in out.glob("*.png")) == ["0.png", "1.png", "2.png"]


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
def test_a_photograph_without_a_face_is_told() -> None:
    settings: dict[str, Any] = dict(preset="draft", size=48, steps=1, first_steps=1)
    kept, plain = (
        list(sl.jobs.stylize("photos/0.png", "style.png", out=f"kept{name}.png", content_mask=name, **settings))
        for name in ("faces", "")
    )
    assert [event.text for event in kept if isinstance(event, Noted)] == ["no face was found, so none is kept"]
    assert not [event for event in plain if isinstance(event, Noted)]


def test_the_only_input_is_bad(capsys: pytest.CaptureFixture[str]) -> None:
    soil()
    assert run("stylize", "photos/junk.jpg", "style.png", "-o", "out.png", *ADAIN) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: cannot read photos/junk.jpg") and told.count("\n") == 1
    assert run("stylize", "photos/junk.jpg", "style.png", "-o", "out.png", "--json", *ADAIN) == 2
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "error" and "photos/junk.jpg" in last["reason"]
    assert not Path("out.png").exists()


def test_a_second_run_does_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["stylize", "photos", "style.png", "-o", "out", "--json", *ADAIN]
    assert run(*command) == 0
    assert outcome(capsys)["done"] == 3
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    Path("out/1.png").unlink()
    images.write(torch.rand(1, 3, 40, 56), "photos/2.png")  # another image under the same name
    images.write(torch.rand(1, 3, 40, 56), "photos/3.png")
    assert run(*command) == 2  # what was made of the other 2.png is in the way
    assert "out/2.png exists already" in capsys.readouterr().err
    Path("out/2.png").unlink()
    assert run(*command) == 0
    told = outcome(capsys)
    assert (told["done"], told["skipped"]) == (3, 1)
    assert [Path(each["out"]).name for each in told["images"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert Path("out/0.png").stat().st_mtime_ns == before[Path("out/0.png")]
    # Other settings are another job.
    assert run(*command, "--alpha", "0.5") == 2
    assert "out/0.png, and 3 more, exists already" in capsys.readouterr().err
    assert run(*command, "--alpha", "0.5", "--skip-existing") == 0
    assert outcome(capsys)["skipped"] == 4
    assert run(*command, "--alpha", "0.5", "--overwrite") == 0
    assert outcome(capsys)["done"] == 4
    assert run(*command, "--overwrite", "--skip-existing") == 2


@pytest.mark.parametrize(
    ("command", "change"),
    [
        (["stylize", "photos/0.png", "style.png", "-o", "a.png", *ADAIN], ["--alpha", "0.5"]),
        (["upscale", "photos/0.png", "-o", "a.png"], ["--depth", "16"]),
        (["generate", "G.safetensors", "--seeds", "0-3", "-o", "a.png"], ["--columns", "2"]),
        (["generate", "G.safetensors", "--seeds", "0-1", "--frames", "2", "-o", "a.gif"], ["--frames", "3"]),
        (["morph", "G.safetensors", "1", "2", "--frames", "2", "-o", "a.gif"], ["--loop"]),
        (["data", "prepare", "photos", "-o", "a.zip", "--size", "16"], ["--square", "pad"]),
    ],
    ids=lambda each: " ".join(each[:2]),
)
def test_a_single_output_is_made_once(command: list[str], change: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=64, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    stylegan2.save(stylegan2.networks(recipe)[0], Path("G.safetensors"))
    out = next(Path(each) for each in command if each.startswith("a."))
    assert run(*command, "--json") == 0
    assert outcome(capsys)["done"] == 1
    before = out.stat().st_mtime_ns
    assert run(*command, "--json") == 0
    told = outcome(capsys)
    assert (told["done"], told["skipped"]) == (0, 1) and out.stat().st_mtime_ns == before
    assert run(*command, *change) == 2
    assert f"{out} exists already" in capsys.readouterr().err and out.stat().st_mtime_ns == before
    assert run(*command, *change, "--overwrite", "--json") == 0
    assert outcome(capsys)["done"] == 1 and out.stat().st_mtime_ns != before


def test_a_torn_manifest_loses_one_item(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["stylize", "photos", "style.png", "-o", "out", "--json", *ADAIN]
    assert run(*command) == 0
    capsys.readouterr()
    manifest = Path("out") / MANIFEST
    manifest.write_text(manifest.read_text()[:-40])
    Path("out/2.png").unlink()
    assert run(*command) == 0
    told = outcome(capsys)
    assert (told["done"], told["skipped"]) == (1, 2)


@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
@pytest.mark.parametrize("victim", ["photos/0.png", "style.png", "mask.png"])
def test_no_source_is_overwritten(link: str, victim: str, capsys: pytest.CaptureFixture[str]) -> None:
    images.write(torch.ones(1, 3, 40, 56), "mask.png")
    out = Path(victim)
    if link != "same":
        out = Path("link.png")
        (os.symlink if link == "symbolic" else os.link)(victim, out)
    before = Path(victim).read_bytes()
    for more in ([], ["--overwrite"]):
        command = ["stylize", "photos/0.png", "style.png", "--mask", "mask.png", "-o", str(out), *ADAIN, *more]
        assert run(*command) == 2
        assert "is among the sources and would be overwritten" in capsys.readouterr().err
        if victim == "photos/0.png":
            assert run("upscale", victim, "-o", str(out), *more) == 2
    assert Path(victim).read_bytes() == before


def test_several_images_do_not_go_into_something_called_like_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stylize", "photos/*.png", "style.png", "-o", "single.png", *ADAIN) == 2
    assert "single.png is called like an image" in capsys.readouterr().err
    assert not Path("single.png").exists()


def test_a_library_user_gets_the_events() -> None:
    soil()
    style = images.read("style.png")
    events = list(sl.jobs.stylize("photos", style, out="painted", method="adain", batch=2))
    assert isinstance(events[0], Started) and (events[0].total, events[0].pending) == (5, 5)
    assert {event.item for event in events if isinstance(event, ItemFailed)} == {"photos/cut.png", "photos/junk.jpg"}
    done = [event for event in events if isinstance(event, ItemDone)]
    assert [event.out for event in done] == [(f"painted/{index}.png",) for index in range(3)]
    assert isinstance(last := events[-1], Finished) and last.done == 3 and len(last.failed) == 2
    alone = sl.stylize(images.read("photos/1.png"), style, method="adain")
    torch.testing.assert_close(images.read("painted/1.png"), alone, atol=2 / 255, rtol=0)
    for event in sl.jobs.generate("toonfaces-64", [1, 2], out="faces"):
        json.dumps(event.as_dict())
    assert sorted(path.name for path in Path("faces").glob("*.png")) == ["seed0001.png", "seed0002.png"]


def job(work: Any, **options: Any) -> Job:
    return Job("try", [Item(name, (Path("o") / name,)) for name in "abc"], work, folder=Path("o"), **options)


def test_stopped_and_gone_on_with() -> None:
    """An interrupt in the middle keeps what is done; the next run begins there."""
    seen: list[str] = []

    def work(items: Any, stop: str = "b") -> Any:
        for item in items:
            if item.name == stop and not seen.count(stop):
                seen.append(stop)
                raise KeyboardInterrupt
            item.targets[0].write_text(item.name)
            seen.append(item.name)
            yield ItemDone(item.name, (str(item.targets[0]),), values=dict(name=item.name))

    with pytest.raises(KeyboardInterrupt):
        list(run_job(job(work)))
    *_, last = run_job(job(work, summary=lambda done: dict(names=[each.values["name"] for each in done])))
    assert isinstance(last, Finished) and (last.done, last.skipped) == (2, 1)
    assert last.values == dict(names=["a", "b", "c"])
    assert seen == ["a", "b", "b", "c"]


def test_overwriting_does_everything_again() -> None:
    done: list[str] = []

    def work(items: Any) -> Any:
        for item in items:
            item.targets[0].write_text(item.name)
            done.append(item.name)
            yield ItemDone(item.name, (str(item.targets[0]),))

    for overwrite in (False, False, True):
        list(run_job(job(work), Outputs(Path("o"), overwrite=overwrite)))
    assert done == ["a", "b", "c"] * 2


def test_a_mistake_of_the_whole_job_is_its_error() -> None:
    def work(items: Any) -> Any:
        for item in items:
            yield ItemFailed(item.name, "no such setting")

    with pytest.raises(StyleLoomError, match="no such setting"):
        list(run_job(job(work)))
    assert not Path("o").exists()


def test_check_apart_knows_twins() -> None:
    with pytest.raises(StyleLoomError, match="written twice"):
        check_apart([Path("a.png"), Path("photos/../a.png")], [])


def test_a_mask_drawn_in_white_on_nothing(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:5, 2:5] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    mask = open_mask(tmp_path / "mask.png")
    assert mask[0, 0, 2:5, 2:5].min() > 0.99 and mask.sum() == pytest.approx(9, abs=0.1)
