"""The program as a user meets it: results, JSON, and mistakes told in one line with exit status 2."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cli.program import outcome, run

from styleloom.data import images, output

FAST = ["--size", "64", "--first-size", "45", "--first-steps", "3", "--steps", "2", "--device", "cpu"]


def test_stylize_writes_an_image_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stylize", "photo.png", "style.png", "-o", "out.png", *FAST, "--json") == 0
    told = outcome(capsys)
    assert told["method"] == "gatys" and told["images"][0]["steps"] == 5
    assert set(told["images"][0]["losses"]) == {"content", "style", "tv", "total"}
    assert images.read("out.png").shape == (1, 3, 48, 64)
    assert sorted(path.name for path in Path().glob("[!.]*")) == ["mask.png", "out.png", "photo.png", "style.png"]


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stylize", "photo.png", "style.png", "-o", "out.png", *FAST, "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_seed_gives_the_same_file() -> None:
    for name in ("a.png", "b.png"):
        assert run("stylize", "photo.png", "style.png", "-o", name, *FAST, "--init", "noise", "--seed", "3", "--quiet") == 0
    assert run("stylize", "photo.png", "style.png", "-o", "c.png", *FAST, "--init", "noise", "--seed", "4", "--quiet") == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_several_styles_with_weights_and_a_mask() -> None:
    common = ("photo.png", "--style", "style.png", "--style", "mosaic", "-o")
    assert run("stylize", *common, "a.png", *FAST, "--weights", "0.3,0.7", "--quiet") == 0
    assert run("stylize", *common, "b.png", *FAST, "--mask", "mask.png", "--quiet") == 0
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()


def test_folders_go_to_folders() -> None:
    Path("in").mkdir()
    Path("photo.png").rename("in/one.png")
    images.write(torch.rand(1, 3, 40, 40), "in/two.jpg")
    assert run("stylize", "in", "style.png", "-o", "out", *FAST, "--quiet") == 0
    assert run("stylize", "in/*.png", "style.png", "-o", "globbed", *FAST, "--quiet") == 0
    assert sorted(path.name for path in Path("out").glob("[!.]*")) == ["one.png", "two.png"]
    assert (Path("globbed") / "one.png").read_bytes() == (Path("out") / "one.png").read_bytes()


def interruptible() -> None:
    """Let SIGINT end a process, whatever it inherits."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    slow = [*FAST, "--steps", "120", "--seed", "1"]
    assert run("stylize", "photo.png", "style.png", "-o", "whole.png", *slow, "--quiet") == 0
    command = [sys.executable, "-m", "styleloom", "stylize", "photo.png", "style.png", "-o", "out.png", *slow]
    # A test run in the background ignores the signal, and its children would too.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible)
    while not Path("out.png.state").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "the same command goes on" in said, said
    assert images.read("out.png").shape[-2:] in ((34, 45), (48, 64))  # the best so far, of either scale
    assert run("stylize", "photo.png", "style.png", "-o", "out.png", *slow, "--resume", "--quiet") == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert not Path("out.png.state").exists()


def test_previews_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write = output.write

    def count(image: torch.Tensor, path: Path, *arguments: Any, **options: Any) -> None:
        written.append(path)
        write(image, path, *arguments, **options)

    monkeypatch.setattr(importlib.import_module("styleloom.jobs.stylize"), "write_output", count)
    assert run("stylize", "photo.png", "style.png", "-o", "out.png", *FAST, "--preview-every", "2", "--quiet") == 0
    assert len(written) == 3  # after 2 and 4 of 5 steps, and the end


MISTAKES = {
    "missing content": (["nothing.png", "style.png"], "no such image: nothing.png"),
    "missing style": (["photo.png", "nothing.png"], "no such image: nothing.png"),
    "no style at all": (["photo.png"], "one image and no --style"),
    "unreadable content": (["broken.png", "style.png"], "cannot read broken.png"),
    "bomb": (["photo.png", "style.png", "--max-pixels", "100"], "64 x 48 pixels, more than 100;"),
    "unknown method": (["photo.png", "style.png", "--method", "magic"], "unknown method 'magic'; choose one of gatys"),
    "unknown preset": (["photo.png", "style.png", "--preset", "worst"], "unknown preset 'worst'"),
    "another's preset": (
        ["photo.png", "style.png", "--method", "adain", "--preset", "quick"],
        "preset 'quick' is for gatys; adain",
    ),
    "no content mask": (["photo.png", "style.png", "--content-mask", "face"], 'no such content mask: face; give "faces", a gray'),
    "unknown option": (["photo.png", "style.png", "--nope"], "--nope"),
    "unknown layers": (
        ["photo.png", "style.png", "--style-layers", "relu9"],
        "unknown layers ['relu9']; this network has conv1_1",
    ),
    "unknown device": (["photo.png", "style.png", "--device", "abacus"], "unknown device 'abacus'"),
    "absent device": (["photo.png", "style.png", "--device", "cuda:77"], "device"),
    "unknown features": (["photo.png", "style.png", "--features", "vgg99"], "no model 'vgg99'"),
    "size below the network's minimum": (["photo.png", "style.png", "--size", "20"], "smaller than 32 pixels"),
    "weights of zero": (["photo.png", "style.png", "--weights", "0"], "not all 0"),
    "weights that are no numbers": (["photo.png", "style.png", "--weights", "a,b"], "--weights 'a,b' is no list of numbers"),
    "mask of the wrong size": (["photo.png", "style.png", "--mask", "small.png"], "mask 1 has shape [1, 1, 9, 9]"),
    "size that is no number": (["photo.png", "style.png", "--size", "big"], "--size"),
    "negative preview": (["photo.png", "style.png", "--preview-every", "-1"], "--preview-every is -1"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(Path("photo.png").read_bytes()[:60])
    images.write(torch.ones(1, 3, 9, 9), "small.png")
    before = sorted(path.name for path in Path().iterdir())
    assert run("stylize", *arguments, "-o", "out.png", *(["--device", "cpu"] if "--size" in arguments else FAST[:-2])) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err, captured.err
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize("out", ["out.xyz", "no/folder/out.png", "photo.png/out.png"])
def test_an_output_that_cannot_be_is_refused_before_painting(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    assert run("stylize", "photo.png", "style.png", "-o", out, "--size", "4000", "--device", "cpu") == 2
    assert "cannot write" in capsys.readouterr().err
    assert time.perf_counter() - began < 30


def test_a_full_disk_keeps_the_old_image() -> None:
    images.write(torch.ones(1, 3, 8, 8), "out.png")
    before = Path("out.png").read_bytes()
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300));"
        "from styleloom.cli import main; main(sys.argv[1:])"
    )
    arguments = ["stylize", "photo.png", "style.png", "-o", "out.png", "--overwrite", *FAST]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: cannot write out.png") and done.stderr.count("\n") == 1, done.stderr
    assert Path("out.png").read_bytes() == before


def test_data_styles_and_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "styles", "--out", "drawn", "--size", "64", "--json") == 0
    assert len(outcome(capsys)["images"]) == len(list(Path("drawn").glob("*.png"))) == 16
    assert run("zoo", "--json") == 0
    assert "vgg19-lite" in [model["name"] for model in outcome(capsys)["models"]]
    Path("file").write_text("")
    assert run("data", "styles", "--out", "file") == 2
    assert "a file is in the way" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == "0.3.0"
    assert run("stylize", "--help") == 0
    text = capsys.readouterr().out
    for option in ("--style-weight", "--keep-color", "--resume", "--device", "--json", "--seed"):
        assert option in text
    assert "[faces]" in text  # brackets are no markup


def test_demo_makes_a_page_whose_images_exist(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    from styleloom.demo import editing as demo_editing
    from styleloom.demo import faces as demo_faces
    from styleloom.demo import inversion as demo_inversion
    from styleloom.papers import gatys

    monkeypatch.setattr(demo_editing, "STEPS", 2)
    monkeypatch.setattr(demo_editing, "FRAMES", 2)
    monkeypatch.setattr(demo_faces, "FRAMES", 2)
    monkeypatch.setattr(demo_inversion, "NUM_STEPS", 2)
    monkeypatch.setattr(demo_inversion, "SHOWN", (1, 2))
    for preset in ("draft", "quick"):
        layers = dict(content_layers=("relu1_1",), style_layers=("relu1_1",))
        monkeypatch.setitem(gatys.PRESETS, preset, gatys.configure(preset, first_steps=2, steps=1, first_size=64, **layers))
    demo = importlib.import_module("styleloom.demo.page")
    pages: list[tuple[int, int, bool]] = []

    def page_so_far(*arguments: Any, page: Any = demo._page) -> str:
        text: str = page(*arguments)
        sources = re.findall(r'src="([^"]+)"', text)
        assert all((Path("demo") / source).is_file() for source in sources)
        pages.append((len(sources), text.count(">to come<"), 'http-equiv="refresh"' in text))
        return text

    monkeypatch.setattr(demo, "_page", page_so_far)
    assert run("demo", "--out", "demo", "--size", "64", "--json", "--device", "cpu") == 0
    shown, waiting, refresh = zip(*pages, strict=True)
    assert len(pages) > 20 and list(shown) == sorted(shown) and list(waiting) == sorted(waiting, reverse=True)
    assert waiting[0] > 20 and waiting[-1] == 0 and refresh == (*[True] * (len(pages) - 1), False)
    told = outcome(capsys)
    page = Path(told["page"]).read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) > 30 and all((Path("demo") / source).is_file() for source in sources)
    assert "http://" not in page and "https://" not in page
