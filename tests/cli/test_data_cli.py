"""Data sets, training of generators and their evaluation on the command line."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.cli.program import outcome, run

from styleloom.core.checkpoint import license_of
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.drawn import toonfaces

SMALL = ("--recipe", "32-small", "--channel-base", "128", "--channel-max", "16", "--z-dim", "16", "--quiet", "--batch", "4")
STYLED = ("--w-dim", "16", "--mapping-layers", "2")


@pytest.fixture
def faces() -> str:
    assert run("data", "toonfaces", "-o", "faces.zip", "--count", "60", "--size", "32", "--label", "hair", "--quiet") == 0
    return "faces.zip"


def test_toonfaces_and_their_classes(faces: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = SquareImages(faces, 32, conditional=True)
    drawn = toonfaces.render([toonfaces.attributes(seed) for seed in range(60)], 32)
    assert len(found) == 60
    assert torch.equal((found[7] * 255).round(), (drawn[7] * 255).round())
    places = [list(toonfaces.CHOICES["hair"]).index(toonfaces.attributes(seed).hair) for seed in range(60)]
    assert found.labels == places
    assert run("data", "toonfaces", "-o", "folder", "--count", "3", "--seed", "5", "--json") == 0
    assert outcome(capsys)["images"] == 3
    assert sorted(path.name for path in Path("folder").iterdir()) == [f"face00000{seed}.png" for seed in (5, 6, 7)]
    for options, message in (
        (("--label", "smile"), "unknown label 'smile'; choose one of hair"),
        (("--count", "0"), "--count is 0"),
        (("--size", "4"), "--size is 4; it must be at least 16"),
        (("--seed", "4294967295", "--count", "2"), "--seed is 4294967295; it must be from 0 to 4294967294"),
    ):
        assert run("data", "toonfaces", "-o", "bad.zip", *options) == 2
        assert message in capsys.readouterr().err and not Path("bad.zip").exists()
    assert run("data", "toonfaces", "-o", "elsewhere", "--label", "hair") == 2
    assert "elsewhere is a folder; write to a .zip" in capsys.readouterr().err and not Path("elsewhere").exists()


def test_prepare_and_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    for name, size in {"cat/a.png": (20, 30), "cat/b.jpg": (40, 40), "dog/c.png": (10, 8)}.items():
        Path("set", name).parent.mkdir(parents=True, exist_ok=True)
        images.write(torch.rand(1, 3, size[1], size[0]), Path("set", name))
    Path("set/dog/broken.png").write_bytes(b"nothing")
    assert run("data", "prepare", "set", "-o", "set.zip", "--size", "16", "--conditional", "--json") == 0
    told = outcome(capsys)
    assert told["images"] == 3 and told["classes"] == ["cat", "dog"] and list(told["damaged"]) == ["set/dog/broken.png"]
    with zipfile.ZipFile("set.zip") as archive:
        assert json.loads(archive.read("dataset.json"))["labels"] == [
            ["00000/img00000000.png", 0],
            ["00000/img00000001.png", 0],
            ["00000/img00000002.png", 1],
        ]
    assert SquareImages("set.zip", 16)[2].shape == (3, 16, 16)
    assert run("data", "inspect", "set", "set.zip", "--sheet", "sheet.png", "--json") == 0
    told = outcome(capsys)
    assert told["images"] == 6 and told["sizes"] == {"16x16": 3, "20x30": 1, "40x40": 1, "10x8": 1}
    assert len(told["damaged"]) == 1
    with Image.open("sheet.png") as image:
        assert image.size[0] > 5 * 64
    assert run("data", "inspect", "set", "--conditional") == 0
    assert "class cat: 2" in capsys.readouterr().err
    assert run("data", "prepare", "set", "-o", "set.zip", "--skip", "9") == 2
    assert "leaves none of 4 images" in capsys.readouterr().err
    assert run("data", "prepare", "set", "-o", "set.zip", "--count", "-1") == 2
    assert "--count is -1; it must be at least 1" in capsys.readouterr().err
    before = Path("set.zip").read_bytes()
    assert run("data", "prepare", "set.zip", "-o", "set.zip", "--size", "8") == 2
    assert "set.zip is among the sources" in capsys.readouterr().err and Path("set.zip").read_bytes() == before
    assert run("data", "prepare", "set/dog/broken.png", "-o", "none.zip") == 2
    assert "none of the 1 images can be read, for example set/dog/broken.png: " in capsys.readouterr().err
    assert run("data", "prepare", "photo.png", "-o", "one.zip", "--conditional") == 2
    assert "no class for photo.png" in capsys.readouterr().err and not Path("one.zip").exists()


@pytest.mark.parametrize("method", ["progan", "stylegan", "stylegan2"])
def test_train_resume_and_evaluate(method: str, faces: str, capsys: pytest.CaptureFixture[str]) -> None:
    styled = STYLED if method != "progan" else ()
    growing = ("--fade-kimg", "0.004", "--stable-kimg", "0.004") if method != "stylegan2" else ()
    options = (faces, "-o", "run", *SMALL, *styled, *growing)
    assert run("train", method, *options, "--kimg", "0.012", "--measure-every", "2", "--measure-images", "20") == 0
    assert run("train", method, *options, "--kimg", "0.012") == 2
    assert "holds a run already" in capsys.readouterr().err
    assert run("train", method, *options, "--kimg", "0.02", "--resume", "--json") == 0
    told = outcome(capsys)
    assert told["steps"] == 5 and told["images"] == 20 and not told["stopped"]
    assert any("fd" in json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines())
    assert Path("run/best.safetensors").is_file()
    with Image.open("run/samples/000005.png") as image:
        assert image.size[0] > 8 * 16
    assert run("evaluate", "run/model.safetensors", faces, "--samples", "60", "--seeds", "0,1", "--json") == 0
    told = outcome(capsys)
    assert set(told["figures"]) == {"fd", "kid", "precision", "recall"} and all(
        len(each) == 2 for each in told["figures"].values()
    )
    assert told["features"].startswith("vgg19-lite")


def test_fine_tuning_from_a_model(faces: str) -> None:
    assert run("train", "stylegan2", faces, "-o", "tuned", "--recipe", "32-small", "--base", "portraits-128", "--kimg", "0.004",
               "--batch", "4", "--freeze", "2", "--quiet") == 0  # fmt: skip
    assert license_of("tuned/model.safetensors") == license_of("portraits-128") == "CC-BY-4.0"


def test_latent_spaces_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "toonfaces-64", "--metrics", "ppl,separability", "--samples", "100", "--json") == 0
    told = outcome(capsys)
    figures = {name: values[0] for name, values in told["figures"].items()}
    assert {"ppl_z_full", "ppl_z_end", "ppl_w_full", "ppl_w_end", "score_z", "score_w"} < set(figures)
    told_of = {name.removeprefix("separability_w_") for name in figures if name.startswith("separability_w_")}
    assert len(told_of) > 15 and told_of <= {*toonfaces.NAMES}
    assert min(figures.values()) >= 0 and told["features"] == "" and told["perceptual"] == "vgg19-lite"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("toonfaces-64", "--metrics", "ppl,lpips"),
            "unknown metric 'lpips'; choose some of fd, fid, kid, pr, ppl",
        ),
        (("toonfaces-64", "faces.zip", "--metrics", "fid"), "fid is the Fréchet distance of Inception's features; use fd"),
        (("toonfaces-64",), "fd compares with real images; give a folder or zip of them"),
        (("toonfaces-64", "--metrics", ","), "no metric; choose some of fd"),
        (("toonfaces-64", "--metrics", "ppl", "--samples", "3"), "samples is 3; it must be at least 50"),
        (("toonfaces-64", "photo.png"), "the number of real images is 1; it must be at least 50"),
        (("toonfaces-64", "photo.png", "--psi", "nan"), "truncation_psi is nan; it must be from -10 to 10"),
        (("adain-lite", "photo.png"), "is no generator"),
        (("toonfaces-64", "nowhere"), "no such folder or file: nowhere"),
    ],
)
def test_what_cannot_be_evaluated(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("data", "styles", "--size", "64", "--quiet") == 0
    assert len(list((tmp_path / "styles").glob("*.png"))) == 16
