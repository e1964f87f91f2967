"""Generators on the command line: folders, sheets, videos, figures, mixing, conversion, and mistakes in one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.cli.program import outcome, run
from torch import Tensor

import styleloom as sl
from styleloom.core.precision import bf16_is_fast
from styleloom.papers import progan, stylegan2


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    torch.manual_seed(0)
    common = dict(resolution=16, channel_base=64, channel_max=8, z_dim=8)
    generator, discriminator = stylegan2.networks(stylegan2.StyleGAN2Recipe(**common, w_dim=8))  # type: ignore[arg-type]
    stylegan2.save(generator, Path("g.safetensors"), discriminator)
    progan.save(progan.networks(progan.ProGANRecipe(**common))[0], Path("p.safetensors"))  # type: ignore[arg-type]
    recipe = stylegan2.StyleGAN2Recipe(**common, w_dim=8)  # type: ignore[arg-type]
    stylegan2.save(stylegan2.networks(recipe, img_channels=4)[0], Path("four.safetensors"))
    stylegan2.save(stylegan2.networks(recipe, img_channels=1)[0], Path("gray.safetensors"))
    stylegan2.save(stylegan2.networks(recipe, 3)[0], Path("classes.safetensors"))
    generator.config["w_dim"] = 9
    stylegan2.save(generator, Path("other.safetensors"))
    Path("folder.pkl").mkdir()
    yield


def size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def as_bytes(image: Tensor) -> Tensor:
    return (image * 255).round()


def test_a_folder_gets_a_file_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "g.safetensors", "-o", "out", "--seeds", "3,5-6", "--psi", "0.5", "--json") == 0
    assert outcome(capsys)["count"] == 3
    assert sorted(path.name for path in Path("out").glob("[!.]*")) == ["seed0003.png", "seed0005.png", "seed0006.png"]
    wanted = sl.stylegan2.load("g.safetensors").generate([5], truncation_psi=0.5)
    torch.testing.assert_close(sl.read("out/seed0005.png"), as_bytes(wanted) / 255, atol=1.01 / 255, rtol=0)


def test_sheets() -> None:
    assert run("generate", "p.safetensors", "-o", "sheet.png", "--seeds", "0-9", "--columns", "5", "--quiet") == 0
    assert size("sheet.png") == (5 * 20 - 4, 2 * 20 - 4)
    assert run("generate", "g.safetensors", "-o", "sheet.png", "--seeds", "0-1", "--psi", "1:-1:5", "--overwrite") == 0
    assert size("sheet.png") == (5 * 20 - 4, 2 * 20 - 4)
    assert run("mix", "g.safetensors", "-o", "mix.png", "--rows", "1-2", "--cols", "3,4,5", "--layers", "0-2") == 0
    assert size("mix.png") == (4 * 20 - 4, 3 * 20 - 4)


@pytest.mark.skipif(not bf16_is_fast(), reason="this processor has no bf16 instructions")
def test_reduced_precision(capsys: pytest.CaptureFixture[str]) -> None:
    for precision in ("fp32", "bf16"):
        assert run("generate", "g.safetensors", "-o", f"{precision}.png", "--seeds", "1-4", "--precision", precision) == 0
    first, second = sl.read("fp32.png"), sl.read("bf16.png")
    assert 0 < (first - second).abs().mean() < 0.02
    assert run("generate", "p.safetensors", "-o", "x.png", "--precision", "bf16") == 2
    assert "bf16 is for StyleGAN2" in capsys.readouterr().err


def test_videos_and_figures() -> None:
    assert run("generate", "g.safetensors", "-o", "walk.gif", "--seeds", "1-2", "--frames", "3", "--space", "z") == 0
    with Image.open("walk.gif") as moving:
        assert moving.n_frames == 6  # type: ignore[attr-defined]
    assert run("generate", "g.safetensors", "-o", "walk.gif", "--seeds", "1-2", "--frames", "3", "--once", "--overwrite") == 0
    with Image.open("walk.gif") as moving:
        assert moving.n_frames == 4  # type: ignore[attr-defined]
    pytest.importorskip("av")
    assert run("generate", "g.safetensors", "-o", "walk.mp4", "--seeds", "1-2", "--frames", "3") == 0
    import av

    with av.open("walk.mp4") as video:
        assert sum(1 for _ in video.decode(video=0)) == 6
    assert run("generate", "g.safetensors", "-o", "mean.png", "--figure", "mean") == 0
    assert run("generate", "g.safetensors", "-o", "noise.png", "--figure", "noise", "--seeds", "4") == 0
    assert size("noise.png") == (5 * 20 - 4, 2 * 20 - 4)


def test_classes_and_gray_images() -> None:
    for arguments in (["--psi", "1:0:3"], ["--figure", "noise"], ["--seeds", "1-3"]):
        assert run("generate", "classes.safetensors", "-o", "c.png", "--label", "1", "--overwrite", *arguments) == 0
    assert run("mix", "classes.safetensors", "-o", "c.png", "--label", "1") == 0
    assert run("generate", "gray.safetensors", "-o", "gray", "--seeds", "1,1,2") == 0
    assert len(list(Path("gray").glob("*.png"))) == 2
    assert run("generate", "gray.safetensors", "-o", "gray.gif", "--seeds", "1,2", "--frames", "2") == 0


def test_back_to_nvidias_names() -> None:
    assert run("convert", "g.safetensors", "-o", "nv.safetensors", "--to", "nvidia") == 0
    from safetensors.torch import load_file

    assert "G_ema.synthesis.b16.conv0.noise_strength" in load_file("nv.safetensors")
    assert run("convert", "nv.safetensors", "-o", "again.safetensors") == 0  # and here again
    again, first = sl.stylegan2.load("again.safetensors"), sl.stylegan2.load("g.safetensors")
    torch.testing.assert_close(again.generate([1]), first.generate([1]))
    assert len(load_file("again.safetensors")) == len(load_file("g.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "a"], "'a' are no seeds; write them as 0-15"),
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "9-1"], "'9-1' are no seeds"),
        (["generate", "g.safetensors", "-o", "x.png", "--seeds", "0-999999999"], "more than 100,000 seeds"),
        (["generate", "g.safetensors", "-o", "x.png", "--psi", "1:2"], "'1:2' is no truncation"),
        (["generate", "g.safetensors", "-o", "x", "--psi", "1:0:3"], "several truncations make a sheet"),
        (["generate", "g.safetensors", "-o", "x.xyz"], "unknown image format '.xyz'"),
        (["generate", "g.safetensors", "-o", "x.avi"], "unknown video format '.avi'"),
        (["generate", "g.safetensors", "-o", "x.png", "--label", "1"], "this network has no classes"),
        (["generate", "g.safetensors", "-o", "x.mp4", "--seeds", "1"], "1 seeds and 48 frames between"),
        (["generate", "g.safetensors", "-o", "x.png", "--psi", "1e300"], "'1e300' is no truncation"),
        (["generate", "g.safetensors", "-o", "x.png", "--psi", "nan"], "'nan' is no truncation"),
        (["generate", "g.safetensors", "-o", "x.png", "--psi", "1:0:9999999"], "'1:0:9999999' is no truncation"),
        (["generate", "g.safetensors", "-o", "x.png", "--precision", "int4"], "unknown precision 'int4'"),
        (["generate", "g.safetensors", "-o", "x.png", "--columns", "-1"], "--columns is -1; it must be at least 1"),
        (["generate", "g.safetensors", "-o", "x", "--cutoff", "-1"], "truncation_cutoff is -1; it must be from 0 to 6"),
        (["generate", "g.safetensors", "-o", "x.png", "--cutoff", "99", "--psi", "1:0:3"], "truncation_cutoff is 99"),
        (["generate", "g.safetensors", "-o", "x.mp4", "--rate", "0"], "rate is 0; it must be from 1 to 100"),
        (["generate", "g.safetensors", "-o", "none/x.gif", "--frames", "500"], "there is no folder none"),
        (["generate", "four.safetensors", "-o", "x"], "images have 4 channels; gray ones and RGB can be shown"),
        (["generate", "classes.safetensors", "-o", "x.png", "--figure", "noise"], "this network wants a class: 0 to 2"),
        (["generate", "other.safetensors", "-o", "x.png"], "is damaged: its tensors are not those that its config asks for"),
        (["generate", "upscale-x4", "-o", "x.png"], "upscale-x4 is no generator of images"),
        (["generate", "none", "-o", "x.png"], "no model 'none'"),
        (["generate", "p.safetensors", "-o", "x.png", "--figure", "noise"], "this progan generator has no noise"),
        (["mix", "g.safetensors", "-o", "x.png", "--layers", "fine"], "fine layers begin at 8, and this generator has 0-5"),
        (["mix", "p.safetensors", "-o", "x.png", "--layers", "0-3"], "one w for all of its layers, so there is nothing to mix"),
        (["convert", "p.safetensors", "-o", "x.safetensors", "--to", "nvidia"], "wanted a model of kind 'stylegan2'"),
        (["convert", "g.safetensors", "-o", "g.safetensors", "--to", "nvidia"], "is among the sources and would be overwritten"),
        (["convert", "g.safetensors", "-o", "x.safetensors"], "is a stylegan2 of StyleLoom already"),
        (["convert", "net.pkl", "-o", "x.safetensors", "--to", "nvidia"], "convert it first, without --to nvidia"),
        (["convert", "net.pkl", "-o", "none/x.safetensors"], "there is no folder none; create it first"),
        (["convert", "folder.pkl", "-o", "x.safetensors"], "is a folder; wanted a file"),
        (["mix", "g.safetensors", "-o", "x.png", "--psi", "1:0:3"], "a sheet of mixing has one"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not [path for path in Path().iterdir() if path.name.startswith(("x", ".x"))]
