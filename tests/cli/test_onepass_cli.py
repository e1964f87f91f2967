"""One-pass methods, training and conversion from the command line."""

import shutil
from pathlib import Path

import pytest
import torch
from benchmarks.public_networks import ExamplesNet
from tests.cli.program import outcome, run
from tests.conftest import Oracles

import styleloom as sl
from styleloom.core.checkpoint import license_of, read_tensors
from styleloom.data import images
from styleloom.nn import transform_net
from styleloom.papers import dumoulin, johnson

TINY = ["--num-steps", "2", "--batch", "2", "--size", "32", "--device", "cpu"]


@pytest.fixture
def photos() -> str:
    """A folder of three photographs, one of them damaged."""
    Path("photos").mkdir()
    for index in range(2):
        images.write(torch.rand(1, 3, 40, 50), f"photos/{index}.png")
    Path("photos/broken.png").write_bytes(b"no image")
    return "photos"


def test_train_and_stylize_with_adain(photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "adain", photos, "--style", photos, "--out", "run", "--json", *TINY]
    assert run(*command) == 0
    told = outcome(capsys)
    assert told["steps"] == 2 and told["damaged"] == ["photos/broken.png"]
    assert run(*command) == 2
    assert "run holds a run already; resume it, or choose another folder" in capsys.readouterr().err
    assert run(*command, "--resume", "--style-weight", "7") == 2
    assert "style_weight was 4.0, now 7.0" in capsys.readouterr().err
    assert run(*command, "--resume", "--num-steps", "3") == 0
    capsys.readouterr()
    painting = ["stylize", "photo.png", "style.png", "--method", "adain", "--model", "run/model.safetensors", "--device", "cpu"]
    assert run(*painting, "-o", "out.png", "--json") == 0
    assert outcome(capsys)["method"] == "adain"
    assert images.read("out.png").shape == images.read("photo.png").shape
    assert run(*painting, "-o", "tiled.png", "--tile", "32") == 0
    assert (images.read("tiled.png") - images.read("out.png")).abs().mean() < 1 / 255


def test_train_johnson_and_dumoulin(photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "johnson", photos, "--style", "style.png", "--width", "4", "--out", "j", "--quiet", *TINY) == 0
    assert run("stylize", "photo.png", "j/model.safetensors", "--method", "johnson", "-o", "j.png", "--device", "cpu") == 0
    assert isinstance(johnson.load("j/model.safetensors"), transform_net.TransformNet)
    begun = ["--base", "anystyle", "--lr", "1e-9", "--out", "begun", "--quiet", *TINY]
    assert run("train", "johnson", photos, "--style", "style.png", *begun) == 2
    assert "size is 32; the loss looks at halves of squares of 64 px or more" in capsys.readouterr().err
    assert run("train", "johnson", photos, "--style", "style.png", *begun, "--size", "64", "--style-size", "96") == 0
    network, style = sl.ghiasi.load(), images.read("style.png")
    predicted = johnson.stylize(images.read("photo.png"), network.network_of(images.resize_to_fit(style, 96), 2.0))
    found = johnson.stylize(images.read("photo.png"), "begun/model.safetensors")
    torch.testing.assert_close(found, predicted, rtol=0, atol=0.02)  # half precision
    styles = ["--style", "style.png", "--style", "photo.png"]
    assert run("train", "dumoulin", photos, *styles, "--width", "4", "--out", "d", "--quiet", *TINY) == 0
    more = ["--base", "d/model.safetensors", "--width", "4", "--out", "more", "--quiet", *TINY]
    assert run("train", "dumoulin", photos, "--style", "mask.png", *more) == 0
    assert dumoulin.load("more/joined.safetensors").styles == ("style", "photo", "mask")
    model = ["--method", "dumoulin", "--model", "more/joined.safetensors", "--device", "cpu"]
    assert run("stylize", "photo.png", "--style", "style", "--style", "mask", *model, "--weights", "1,3", "-o", "d.png") == 0
    capsys.readouterr()
    assert run("stylize", "photo.png", "wave", *model, "-o", "e.png") == 2
    assert "unknown styles ['wave']; this network has style, photo, mask" in capsys.readouterr().err
    assert not Path("e.png").exists()


def test_folder_is_painted_in_batches(photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.png").unlink()
    images.write(torch.rand(1, 3, 30, 40), "photos/2.png")
    command = ["stylize", photos, "style.png", "--method", "adain", "--device", "cpu"]
    assert run(*command, "-o", "many", "--json") == 0
    assert [Path(each["out"]).name for each in outcome(capsys)["images"]] == ["0.png", "1.png", "2.png"]
    assert run(*command, "-o", "single", "--batch", "1", "--quiet") == 0
    for index in range(3):
        one, other = (images.read(f"{folder}/{index}.png") for folder in ("many", "single"))
        assert one.shape == images.read(f"photos/{index}.png").shape
        assert (one - other).abs().max() <= 1 / 255


def test_video(capsys: pytest.CaptureFixture[str]) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'styleloom[video]'")
    with av.open("clip.mp4", "w") as moving:
        stream = moving.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            pixels = images.to_uint8(images.read("photo.png"))
            moving.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        moving.mux(stream.encode(None))
    assert run("stylize", "clip.mp4", "style.png", "-o", "out.mp4", "--method", "adain", "--json", "--device", "cpu") == 0
    assert outcome(capsys)["images"][0]["frames"] == 5
    with av.open("out.mp4") as moving:
        assert [(frame.width, frame.height) for frame in moving.decode(video=0)] == [(64, 48)] * 5
    for arguments, message in (
        (["clip.mp4", "style.png", "-o", "x.mp4"], "gatys paints no videos"),
        (["clip.mp4", "style.png", "-o", "x.png", "--method", "adain"], "unknown video format '.png'"),
        (["photo.png", "style.png", "-o", "x.mp4", "--method", "adain"], "unknown image format '.mp4'"),
    ):
        assert run("stylize", *arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_upscaler_is_trained_used_and_exported(photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "upscaler", photos, "--width", "4", "--blocks", "1", "--out", "run", "--quiet", *TINY) == 0
    model = "run/model.safetensors"
    assert run("upscale", "photo.png", "-o", "large.png", "--model", model, "--device", "cpu") == 0
    assert images.read("large.png").shape == (1, 3, 192, 256)
    capsys.readouterr()
    assert run("stylize", "photo.png", model, "--method", "johnson", "-o", "x.png") == 2
    assert "holds 'super-resolution', wanted a model of kind 'johnson'" in capsys.readouterr().err
    assert run("upscale", "nowhere.png", "-o", "x.png", "--model", model) == 2
    assert run("export", model, "-o", "x.pb") == 2
    assert "an ONNX file is called .onnx" in capsys.readouterr().err


def test_convert_stylegan2(oracles: Oracles, capsys: pytest.CaptureFixture[str]) -> None:
    source = oracles / "nv_uncond64" / "network-nosrc.pkl"
    assert run("convert", str(source), "-o", "model.safetensors", "--json") == 0
    assert outcome(capsys)["kind"] == "stylegan2"
    assert isinstance(sl.load("model.safetensors"), sl.stylegan2.Generator)


def test_convert(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(ExamplesNet().state_dict(), "candy.pth")
    assert run("convert", "candy.pth", "-o", "candy.safetensors", "--json") == 0
    assert outcome(capsys)["kind"] == "johnson"
    assert run("stylize", "photo.png", "candy.safetensors", "--method", "johnson", "-o", "out.png", "--device", "cpu") == 0
    capsys.readouterr()
    for arguments, message in (
        (["convert", "photo.png", "-o", "x.safetensors"], "photo.png is a PNG image; wanted a .pth"),
        (["convert", "candy.pth", "-o", "x.pth"], "a model file is called .safetensors"),
        (["convert", "nowhere.pth", "-o", "x.safetensors"], "no such file"),
        (["stylize", "photo.png", "style.png", "--method", "johnson", "-o", "x.png"], "style.png"),
        (
            ["stylize", "photo.png", "wave", "--method", "adain", "--start", "photo.png", "-o", "x.png"],
            "adain paints in one pass",
        ),
        (["train", "adain", "nowhere", "--style", "nowhere", "--out", "r"], "no such folder or file: nowhere"),
        (["train", "johnson", ".", "--style", "style.png", "--out", "r", "--recipe", "best"], "unknown recipe 'best'"),
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not Path(arguments[-1]).exists()


def test_average(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        torch.save(ExamplesNet().state_dict(), f"{name}.pth")
        assert run("convert", f"{name}.pth", "-o", f"{name}.safetensors", "--quiet") == 0
    assert run("average", "a.safetensors", "b.safetensors", "-o", "mean.safetensors", "--json") == 0
    assert outcome(capsys)["numbers"] == sum(p.numel() for p in johnson.load("mean.safetensors").parameters())
    weights = [next(johnson.load(f"{name}.safetensors").parameters()) for name in ("a", "b", "mean")]
    torch.testing.assert_close(weights[2], (weights[0] + weights[1]) / 2)
    assert run("average", "a.safetensors", "b.safetensors", "-o", "a.safetensors") == 2
    assert "among the sources" in capsys.readouterr().err


def test_licenses_are_those_given_or_the_bases(photos: str) -> None:
    """Nobody's license is made up: a model has the one that was given, or its base's, or none that is known."""
    small = ["--width", "4", "--quiet", *TINY]
    assert run("train", "johnson", photos, "--style", "style.png", "--out", "none", *small) == 0
    assert license_of("none/model.safetensors") == "unknown"
    assert run("train", "johnson", photos, "--style", "style.png", "--out", "given", "--license", "CC0", *small) == 0
    assert license_of("given/model.safetensors") == "CC0"
    base = ["--base", "given/model.safetensors", "--quiet", *TINY]
    assert run("train", "johnson", photos, "--style", "photo.png", "--out", "child", *base) == 0
    assert license_of("child/model.safetensors") == "CC0"
    assert license_of("johnson-swirls") == "Apache-2.0"
    # A picture of the same network before it learned more is another picture.
    paint = ["stylize", f"{photos}/0.png", "given/model.safetensors", "--method", "johnson", "-o", "painted/", "--quiet"]
    assert run(*paint) == 0 == run(*paint)
    shutil.copy("child/model.safetensors", "given/model.safetensors")
    assert run(*paint) == 2


def test_a_run_goes_on_from_its_folder_alone(
    photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path.cwd()
    images.write(torch.rand(1, 3, 40, 40), "style.png")
    for name in ("train", "default"):  # folders that are called like words of the command
        Path(name).mkdir()
    command = [
        "train",
        "johnson",
        photos,
        "--style",
        "style.png",
        "--recipe",
        "default",
        "--width",
        "4",
        *TINY,
        "--save-every",
        "1",
    ]
    assert run(*command, "--out", "whole", "--quiet") == 0
    assert run(*command, "--out", "whole", "--resume", "--num-steps", "5", "--quiet") == 0
    assert run(*command, "--out", "parts", "--keep-snapshots", "2", "--quiet") == 0
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert run("train", "--resume", "--out", str(home / "parts"), "--num-steps", "5", "--quiet") == 0
    assert run("train", "johnson", "--resume", "--out", str(home / "parts"), "--quiet") == 0  # it is finished
    monkeypatch.chdir(home)
    whole, parts = (read_tensors(Path(name) / "model.safetensors")[0] for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    assert sorted(path.name for path in Path("parts/snapshots").iterdir()) == ["000004.safetensors", "000005.safetensors"]
    assert Path("parts/snapshots/000005.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()
    capsys.readouterr()
    assert run("train", "adain", "--resume", "--out", "parts") == 2
    assert "parts holds a run of johnson, not of adain; use styleloom train johnson" in capsys.readouterr().err
    assert run("train", "--resume", "--out", "nowhere") == 2
    assert "nowhere holds no run to resume; name the method" in capsys.readouterr().err
