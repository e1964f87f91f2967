"""Generators on the command line: folders, sheets, films, figures, mixing, conversion, and mistakes in one line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.cli.program import run
from torch import Tensor

import styleloom as sl
from styleloom.papers import progan, stylegan2


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    torch.manual_seed(0)
    common = dict(resolution=16, channel_base=64, channel_max=8, z_dim=8)
    generator, judge = stylegan2.networks(stylegan2.Recipe(**common, w_dim=8))  # type: ignore[arg-type]
    stylegan2.save(generator, Path("g.safetensors"), judge)
    progan.save(progan.networks(progan.Recipe(**common))[0], Path("p.safetensors"))  # type: ignore[arg-type]
    yield


def size(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def as_bytes(image: Tensor) -> Tensor:
    return (image * 255).round()


def test_a_folder_gets_a_file_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "g.safetensors", "-o", "out", "--seeds", "3,5-6", "--psi", "0.5", "--json") == 0
    assert json.loads(capsys.readouterr().out)["count"] == 3
    assert sorted(path.name for path in Path("out").iterdir()) == ["seed0003.png", "seed0005.png", "seed0006.png"]
    wanted = sl.stylegan2.load("g.safetensors").generate([5], truncation_psi=0.5)
    torch.testing.assert_close(sl.read("out/seed0005.png"), as_bytes(wanted) / 255, atol=1.01 / 255, rtol=0)


def test_sheets() -> None:
    assert run("generate", "p.safetensors", "-o", "sheet.png", "--seeds", "0-9", "--columns", "5", "--quiet") == 0
    assert size("sheet.png") == (5 * 20 - 4, 2 * 20 - 4)
    assert run("generate", "g.safetensors", "-o", "sheet.png", "--seeds", "0-1", "--psi", "1:-1:5") == 0
    assert size("sheet.png") == (5 * 20 - 4, 2 * 20 - 4)
    assert run("mix", "g.safetensors", "-o", "mix.png", "--rows", "1-2", "--cols", "3,4,5", "--layers", "0-2") == 0
    assert size("mix.png") == (4 * 20 - 4, 3 * 20 - 4)


def test_films_and_figures() -> None:
    assert run("generate", "g.safetensors", "-o", "walk.gif", "--seeds", "1-2", "--frames", "3", "--space", "z") == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 6  # type: ignore[attr-defined]
    assert run("generate", "g.safetensors", "-o", "walk.gif", "--seeds", "1-2", "--frames", "3", "--once") == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]
    pytest.importorskip("av")
    assert run("generate", "g.safetensors", "-o", "walk.mp4", "--seeds", "1-2", "--frames", "3") == 0
    import av

    with av.open("walk.mp4") as video:
        assert sum(1 for _ in video.decode(video=0)) == 6
    assert run("generate", "g.safetensors", "-o", "mean.png", "--figure", "mean") == 0
    assert run("generate", "g.safetensors", "-o", "noise.png", "--figure", "noise", "--seeds", "4") == 0
    assert size("noise.png") == (4 * 20 - 4, 2 * 20 - 4)


def test_back_to_nvidias_names() -> None:
    assert run("convert", "g.safetensors", "-o", "nv.safetensors", "--to", "nvidia") == 0
    from safetensors.torch import load_file

    assert "G_ema.synthesis.b16.conv0.noise_strength" in load_file("nv.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "a"], "'a' are no seeds; write them as 0-15"),
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "9-1"], "'9-1' are no seeds"),
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "0-999999999"], "more than 100,000 seeds"),
        (["generate", "g.safetensors", "-o", "x.png", "--psi", "1:2"], "'1:2' is no truncation"),
        (["generate", "g.safetensors", "-o", "x", "--psi", "1:0:3"], "several truncations make a sheet"),
        (["generate", "g.safetensors", "-o", "x.xyz"], "unknown picture format '.xyz'"),
        (["generate", "g.safetensors", "-o", "x.avi"], "unknown film format '.avi'"),
        (["generate", "g.safetensors", "-o", "x.png", "--label", "1"], "this network has no classes"),
        (["generate", "g.safetensors", "-o", "x.mp4", "--seeds", "1"], "1 seeds and 48 frames between"),
        (["generate", "upscale-x4", "-o", "x.png"], "upscale-x4 is no generator of pictures"),
        (["generate", "none", "-o", "x.png"], "no model 'none'"),
        (["generate", "p.safetensors", "-o", "x.png", "--figure", "noise"], "this progan generator has no noise"),
        (["mix", "g.safetensors", "-o", "x.png", "--layers", "fine"], "fine layers begin at 8, and this generator has 0-5"),
        (["mix", "p.safetensors", "-o", "x.png", "--layers", "0-3"], "layers 0-3 are not there; this generator has 0-0"),
        (["convert", "p.safetensors", "-o", "x.safetensors", "--to", "nvidia"], "wanted a model of kind 'stylegan2'"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not [path for path in Path().iterdir() if path.name.startswith(("x", ".x"))]
