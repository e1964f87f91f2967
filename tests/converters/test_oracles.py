"""Generators of other projects, converted, against what the projects' own code gave."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.cli.program import run
from tests.conftest import Oracles
from torch import Tensor

import styleloom as sl
from styleloom import models
from styleloom.core.errors import StyleLoomError, StyleLoomWarning
from styleloom.papers import stylegan, stylegan2


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path) as stored:
        return {name: torch.from_numpy(value) for name, value in stored.items()}


def up_to(image: Tensor, side: int) -> Tensor:
    """The official code enlarges images of lower levels to the full resolution."""
    return F.interpolate(image, scale_factor=side // image.shape[3], mode="nearest")


@torch.no_grad()
def test_stylegan_of_tensorflow(oracles: Oracles, tmp_path: Path) -> None:
    sl.convert(oracles / "tf_sg1_128" / "karras2019-like.pkl", tmp_path / "g.safetensors")
    generator, discriminator = (
        sl.stylegan.load(tmp_path / "g.safetensors"),
        sl.stylegan.load_discriminator(tmp_path / "g.safetensors"),
    )
    expected = arrays(oracles / "tf_sg1_128" / "expected_Gs.npz")
    ws = generator.mapping(expected["z"])
    assert generator.num_ws == 12
    close(ws[:, 0], expected["w"])
    image = generator.synthesis(ws, noise_mode="const")
    close(image, expected["img_const"])
    few = generator.mapping(expected["z"], truncation_psi=0.7, truncation_cutoff=8)
    close(generator.synthesis(few, noise_mode="const"), expected["img_psi07_cut8_const"])
    for lod in (5.0, 4.0, 2.4, 1.0, 0.25):
        name = f"img_lod{lod:g}" if f"img_lod{lod:g}" in expected else f"img_lod{lod}"
        close(up_to(generator.synthesis(ws, noise_mode="const", lod=lod), 128), expected[name])
    close(discriminator(expected["img_const"]), expected["logits"])
    close(discriminator(F.avg_pool2d(expected["img_const"], 2), lod=1.6), expected["logits_lod1.6"])


@torch.no_grad()
def test_stylegan_of_rosinality(oracles: Oracles, tmp_path: Path) -> None:
    folder, file = oracles / "ros_sg1_64", tmp_path / "g.safetensors"
    expected = arrays(folder / "expected_g_running.npz")
    sl.convert(folder / "train_step-5.model", file)
    generator, discriminator = sl.stylegan.load(file), sl.stylegan.load_discriminator(file)
    assert generator.resolution == 64
    ws = generator.mapping(expected["z"])
    close(ws[:, 0], expected["w"])
    # What the project estimates anew from a few latents each time: ours is estimated, too, from more.
    assert (generator.w_avg - expected["mean_style"]).norm() < 0.1 * (expected["w"] - expected["mean_style"]).norm(dim=1).min()
    noise = [expected[f"noise_{index // 2}"] for index in range(10)]
    for step, alpha, name in ((4, 1, "img_step4"), (3, 1, "img_step3"), (0, 1, "img_step0"), (4, 0.3, "img_step4_alpha03"),
                              (2, 0.6, "img_step2_alpha06")):  # fmt: skip
        close(generator.synthesis(ws, noise=noise, lod=4 - step + 1 - alpha), expected[name])
    few = expected["mean_style"].lerp(ws, 0.7)
    close(generator.synthesis(few, noise=noise), expected["img_step4_psi07"])
    close(discriminator(expected["img_step4"]), expected["logits_step4"])
    close(discriminator(expected["img_step4"], lod=0.7), expected["logits_step4_alpha03"])
    close(discriminator(expected["img_step2"], lod=2.0), expected["logits_step2"])

    sl.convert(folder / "010000.model", file)
    close(sl.stylegan.load(file).synthesis(ws, noise=noise), expected["img_step4"])
    with pytest.raises(StyleLoomError, match="holds no discriminator"):
        sl.stylegan.load_discriminator(file)
    sl.convert(folder / "010000.model", file, resolution=16)
    small = sl.stylegan.load(file)
    assert small.resolution == 16
    close(small.synthesis(small.mapping(expected["z"]), noise=noise), expected["img_step2"])
    with pytest.raises(StyleLoomError, match="has layers for 4, 8, 16, 32, 64 px, none for 24"):
        sl.convert(folder / "010000.model", file, resolution=24)
    with pytest.raises(StyleLoomError, match="is a discriminator alone"):
        sl.convert(folder / "discriminator-no_from_rgb_activate.model", file)


@torch.no_grad()
def test_discriminator_of_rosinality_without_activation_of_rgb(oracles: Oracles, tmp_path: Path) -> None:
    folder = oracles / "ros_sg1_64"
    whole = torch.load(folder / "train_step-5.model", weights_only=True)
    discriminator = torch.load(folder / "discriminator-no_from_rgb_activate.model", weights_only=True)
    torch.save({"g_running": whole["g_running"], "discriminator": discriminator}, tmp_path / "train_step-5.model")
    sl.convert(tmp_path / "train_step-5.model", tmp_path / "g.safetensors")
    expected = arrays(folder / "expected_g_running.npz")
    found = sl.stylegan.load_discriminator(tmp_path / "g.safetensors")(expected["img_step4"])
    close(found, expected["logits_step4_norgbact"])


@pytest.mark.parametrize("file", ["train-000000.pt", "converted.pt", "converted-gen-disc.pt"])
@torch.no_grad()
def test_stylegan2_of_rosinality(oracles: Oracles, tmp_path: Path, file: str) -> None:
    folder = oracles / "ros_sg2_64"
    expected = arrays(folder / "expected_g_ema.npz")
    sl.convert(folder / file, tmp_path / "g.safetensors")
    generator = sl.stylegan2.load(tmp_path / "g.safetensors")
    ws = generator.mapping(expected["z"])
    close(ws[:, 0], expected["w"])
    close(generator.synthesis(ws, noise_mode="const"), expected["img_const"])
    explicit = [expected[f"explicit_noise_{index}"] for index in range(9)]
    close(generator.synthesis(ws, noise=explicit), expected["img_explicit_noise"])
    mixed = torch.cat([ws[0:2, :4], ws[2:4, 4:]], 1)
    close(generator.synthesis(mixed, noise_mode="const"), expected["img_mix4_const"])
    if file != "train-000000.pt":
        few = generator.mapping(expected["z"], truncation_psi=0.7)
        close(generator.synthesis(few, noise_mode="const"), expected["img_psi07_const"])
    else:  # the mean is not in the file: it is estimated
        mean = generator.map(range(2000))[:, 0].mean(0)
        assert (generator.w_avg - mean).norm() < 0.1 * (expected["w"] - mean).norm(dim=1).mean()
    if file != "converted.pt":
        discriminator = sl.stylegan2.load_discriminator(tmp_path / "g.safetensors")
        close(discriminator(expected["img_const"]), expected["logits_on_img_const"])


@torch.no_grad()
def test_nvidias_weights_under_rosinalitys_names(oracles: Oracles, tmp_path: Path) -> None:
    folder = oracles / "cross_nv_ros_64"
    expected = arrays(folder / "expected_rosinality.npz")
    sl.convert(folder / "nv_uncond64-as-rosinality.pt", tmp_path / "g.safetensors")
    sl.convert(oracles / "nv_uncond64" / "network-nosrc.pkl", tmp_path / "nv.safetensors")
    for file in ("g", "nv"):
        generator = stylegan2.load(tmp_path / f"{file}.safetensors")
        close(generator.synthesis(generator.mapping(expected["z"]), noise_mode="const"), expected["img_const"])
        few = generator.mapping(expected["z"], truncation_psi=0.7)
        close(generator.synthesis(few, noise_mode="const"), expected["img_psi07_const"])


@pytest.mark.parametrize("source", ["nv_uncond64/network-nosrc.pkl", "tf_legacy_sg2_64/network-snapshot-000000.pkl"])
def test_back_to_nvidias_names(oracles: Oracles, tmp_path: Path, source: str) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    from styleloom.converters.nvidia import save_as_nvidia

    sl.convert(oracles / source, tmp_path / "g.safetensors")
    assert save_as_nvidia(tmp_path / "g.safetensors", tmp_path / "nv.safetensors") == ["G_ema", "D"]
    found = load_file(tmp_path / "nv.safetensors")
    for part in ("G_ema", "D"):
        wanted = load_file(oracles / "nv_uncond64" / f"{part}.state_dict.safetensors")
        assert {name.removeprefix(f"{part}.") for name in found if name.startswith(f"{part}.")} == set(wanted)
        for name, value in wanted.items():
            torch.testing.assert_close(found[f"{part}.{name}"], value)
    with safe_open(tmp_path / "nv.safetensors", "pt") as file:
        assert '"img_resolution": 64' in file.metadata()["init_kwargs"]
    sl.convert(oracles / "ros_sg1_64" / "010000.model", tmp_path / "sg1.safetensors")
    with pytest.raises(StyleLoomError, match="wanted a model of kind 'stylegan2'"):
        save_as_nvidia(tmp_path / "sg1.safetensors", tmp_path / "nv.safetensors")


def test_files_that_are_not_whole(oracles: Oracles, tmp_path: Path) -> None:
    content: dict[str, Any] = torch.load(oracles / "ros_sg2_64" / "converted.pt", weights_only=True)
    del content["g_ema"]["convs.3.noise.weight"]
    torch.save(content, tmp_path / "g.pt")
    with pytest.raises(StyleLoomError, match=r"is not whole: no tensor 'convs\.3\.noise\.weight'"):
        sl.convert(tmp_path / "g.pt", tmp_path / "g.safetensors")
    whole = (oracles / "ros_sg2_64" / "converted.pt").read_bytes()
    (tmp_path / "g.pt").write_bytes(whole[:2000])
    with pytest.raises(StyleLoomError, match="damaged, or not a PyTorch file"):
        sl.convert(tmp_path / "g.pt", tmp_path / "g.safetensors")
    assert not (tmp_path / "g.safetensors").exists()


def test_models_are_loaded_by_their_kind(oracles: Oracles, tmp_path: Path) -> None:
    sl.convert(oracles / "ros_sg1_64" / "010000.model", tmp_path / "g.safetensors")
    assert isinstance(sl.load(tmp_path / "g.safetensors"), stylegan.Generator)


FILES = (
    "nv_uncond64/network-nosrc.pkl",
    "tf_sg1_128/karras2019-like.pkl",
    "ros_sg2_64/converted.pt",
    "ros_sg1_64/train_step-5.model",
)


@pytest.mark.parametrize("file", FILES)
def test_files_of_other_projects_are_taken_as_they_are(
    oracles: Oracles, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By each way to open a generator; converted once, in the cache, and nothing else is written."""
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "cache"))
    theirs = tmp_path / "theirs" / Path(file).name.replace(".pkl", ".PKL")  # as some systems write it
    theirs.parent.mkdir()
    shutil.copy(oracles / file, theirs)
    sl.convert(theirs, tmp_path / "ours.safetensors")
    wanted = sl.load(tmp_path / "ours.safetensors", sl.Generator).generate([3])
    torch.testing.assert_close(sl.load(theirs, sl.Generator).generate([3]), wanted)
    kept = list((tmp_path / "cache" / "converted").iterdir())
    assert len(kept) == 1
    monkeypatch.setattr(models, "convert_official", None)  # not again
    assert run("generate", str(theirs), "--seeds", "3", "-o", str(tmp_path / "three.png")) == 0
    torch.testing.assert_close(sl.read(tmp_path / "three.png"), wanted, atol=0.003, rtol=0)
    side = wanted.shape[-1]
    sl.write(torch.rand(1, 3, side, side), tmp_path / "photo.png")
    found = ["-o", f"{tmp_path}/found/", "--num-steps", "1", "--device", "cpu"]
    assert run("invert", str(theirs), str(tmp_path / "photo.png"), *found) == 0
    assert "no eigenbasis yet" in capsys.readouterr().err
    family = stylegan if "sg1" in file else stylegan2
    torch.testing.assert_close(family.load(theirs).generate([3]), wanted)
    assert run("average", str(theirs), str(tmp_path / "ours.safetensors"), "-o", str(tmp_path / "mean.safetensors")) == 0
    assert list(theirs.parent.iterdir()) == [theirs]


def test_a_file_of_another_project_that_is_none_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.pkl").write_bytes(b"nothing")
    assert run("generate", str(tmp_path / "x.pkl"), "--seeds", "3", "-o", str(tmp_path / "three.png")) == 2
    assert "x.pkl" in capsys.readouterr().err
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "x.pkl" / "below a file"))
    assert run("generate", str(tmp_path / "x.pkl"), "--seeds", "3", "-o", str(tmp_path / "three.png")) == 2
    assert "a file is in the way" in capsys.readouterr().err


def test_a_checkpoint_without_averaged_weights_is_told_of(oracles: Oracles, tmp_path: Path) -> None:
    content: dict[str, Any] = torch.load(oracles / "ros_sg2_64" / "train-000000.pt", weights_only=False)
    whole = sl.convert(oracles / "ros_sg2_64" / "train-000000.pt", tmp_path / "whole.safetensors")
    content.pop("g_ema")
    torch.save({name: content[name] for name in ("g", "d")}, tmp_path / "raw.pt")
    with pytest.warns(StyleLoomWarning, match="no averaged weights"):
        raw = sl.convert(tmp_path / "raw.pt", tmp_path / "raw.safetensors")
    assert raw["config"]["G"] == whole["config"]["G"]
