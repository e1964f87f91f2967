"""Photographs, latents and seeds edited from the command line; what it refuses, in one line."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.cli.program import outcome
from tests.cli.program import run as program

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.frames import Frame
from styleloom.nn import mtcnn
from styleloom.papers import directions, stylegan2
from styleloom.tasks.alignment import Aligner

SMALL = ["--num-steps", "3", "--device", "cpu"]


def run(*arguments: Any) -> int:
    """The program's exit status."""
    return program(*[str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small generator, directions of it, and a photograph."""
    folder = tmp_path_factory.mktemp("editing")
    torch.manual_seed(0)
    recipe = stylegan2.StyleGAN2Recipe(resolution=32, channel_base=256, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    generator = stylegan2.networks(recipe)[0]
    generator.w_avg.copy_(generator.estimate_w_avg(500))
    stylegan2.save(generator, folder / "g.safetensors")
    generator = stylegan2.load(folder / "g.safetensors")
    directions.save(directions.ganspace(generator, 3, samples=200), folder / "d.safetensors", "CC0-1.0")
    photo = images.resize(generator.generate([5]), (60, 60))
    wide = torch.rand(1, 3, 60, 100)
    wide[..., 20:80] = photo
    images.write(wide, folder / "photo.png")
    return folder


def test_edit_seeds_latents_and_photographs(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    ws = generator.map([7])
    sl.save_latents(tmp_path / "seven.safetensors", ws, generator)
    given = ["--directions", home / "d.safetensors", "--direction", "pc0=2", "--direction=pc1=-1"]
    sources = ["3", tmp_path / "seven.safetensors", home / "photo.png"]
    assert run("edit", home / "g.safetensors", *sources, "-o", tmp_path / "out", *given, *SMALL, "--json") == 0
    told = outcome(capsys)
    assert told["done"] == 3
    found = directions.load(home / "d.safetensors")
    wanted = ws + 2 * found["pc0"].vector - found["pc1"].vector
    edited = sl.load_latents(tmp_path / "out" / "seven.safetensors", generator)
    torch.testing.assert_close(edited.ws, wanted)
    torch.testing.assert_close(images.read(tmp_path / "out" / "seven.png"), next(generator.render(wanted)), atol=0.003, rtol=0)
    # The photograph keeps its size, and what is beside the square.
    before, after = images.read(home / "photo.png"), images.read(tmp_path / "out" / "photo.png")
    assert before.shape == after.shape
    assert torch.equal(before[..., :20], after[..., :20]) and torch.equal(before[..., 80:], after[..., 80:])
    assert not torch.equal(before[..., 40:60], after[..., 40:60])
    latents = sl.load_latents(tmp_path / "out" / "photo.safetensors", generator)
    assert latents.frame == Frame(50.0, 30.0, 60, 0.0, 100, 60) and latents.photo == str(home / "photo.png")
    # Latents that stand for a photograph are put back into it.
    again = ["edit", home / "g.safetensors", tmp_path / "out" / "photo.safetensors", "-o", tmp_path / "again.png"]
    assert run(*again, "--directions", home / "d.safetensors", "--direction", "pc0=0", *SMALL) == 0
    assert torch.equal(images.read(tmp_path / "again.png"), before)
    # A second run has nothing to do.
    assert run("edit", home / "g.safetensors", *sources, "-o", tmp_path / "out", *given, *SMALL, "--json") == 0
    assert outcome(capsys)["skipped"] == 3


def test_express_cross_and_morph(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = home / "g.safetensors"
    generator = stylegan2.load(model)
    a, b, c = generator.map([1, 2, 3], truncation_psi=0.7).split(1)
    assert (
        run("express", model, "1", "-o", tmp_path / "e", "--neutral", "2", "--expressive", "3", "--strength", "0.5", *SMALL) == 0
    )
    torch.testing.assert_close(sl.load_latents(tmp_path / "e" / "seed0001.safetensors", generator).ws, a + 0.5 * (c - b))
    assert run("cross", model, "1", "-o", tmp_path / "c", "--style", "2", "--layers", "0-2", *SMALL) == 0
    torch.testing.assert_close(
        sl.load_latents(tmp_path / "c" / "seed0001.safetensors", generator).ws, torch.cat([a[:, :3], b[:, 3:]], 1)
    )
    assert run("cross", model, "1", "-o", tmp_path / "splits.png", "--style", "2", "--sheet", *SMALL) == 0
    assert images.read(tmp_path / "splits.png").shape[-1] == 9 * 36 - 4
    assert run("morph", model, "1", "2", "-o", tmp_path / "strip.png", "--frames", "4", "--columns", "5", *SMALL) == 0
    strip = images.read(tmp_path / "strip.png")
    torch.testing.assert_close(strip[..., :32], next(generator.render(a)), atol=0.003, rtol=0)
    torch.testing.assert_close(strip[..., -32:], next(generator.render(b)), atol=0.003, rtol=0)
    assert run("morph", model, "1", "2", "-o", tmp_path / "way.gif", "--frames", "3", "--loop", *SMALL) == 0
    assert (tmp_path / "way.gif").stat().st_size > 0


def test_what_was_inverted_is_put_back(home: Path, tmp_path: Path) -> None:
    """The latents of ``invert`` know their square and their photograph."""
    before = images.read(home / "photo.png")
    assert run("invert", home / "g.safetensors", home / "photo.png", "-o", tmp_path / "i", *SMALL) == 0
    latents = sl.load_latents(tmp_path / "i" / "photo.safetensors", stylegan2.load(home / "g.safetensors"))
    assert latents.frame == Frame(50.0, 30.0, 60, 0.0, 100, 60) and set(latents.metrics) >= {"psnr"}
    edit = ["edit", home / "g.safetensors", tmp_path / "i" / "photo.safetensors", "--directions", home / "d.safetensors", *SMALL]
    for strength in (0, 1):
        assert run(*edit, "-o", tmp_path / f"{strength}.png", "--direction", f"pc0={strength}") == 0
    after = images.read(tmp_path / "1.png")
    assert torch.equal(images.read(tmp_path / "0.png"), before) and after.shape == before.shape
    assert torch.equal(after[..., :20], before[..., :20]) and not torch.equal(after[..., 40:60], before[..., 40:60])


def test_an_edit_is_confined_to_a_mask(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = images.read(home / "photo.png")
    edit = [
        "edit",
        home / "g.safetensors",
        home / "photo.png",
        "--directions",
        home / "d.safetensors",
        "--direction",
        "pc0=2",
        *SMALL,
    ]
    drawn = torch.zeros(1, 3, 60, 100)
    drawn[..., 20:40, 40:60] = 1
    images.write(drawn, tmp_path / "mask.png")
    whole = tmp_path / "whole.png"
    assert run(*edit, "-o", whole) == 0
    for name, mask in (("shape", "box:40,20,60,40"), ("file", tmp_path / "mask.png")):
        out = tmp_path / f"{name}.png"
        assert run(*edit, "-o", out, "--mask", mask) == 0
        made = images.read(out)
        outside = torch.ones(60, 100, dtype=torch.bool)
        outside[20:40, 40:60] = False
        assert torch.equal(made[..., outside], before[..., outside])
        assert torch.equal(made[..., 26:34, 46:54], images.read(whole)[..., 26:34, 46:54])
        assert not torch.equal(made[..., 26:34, 46:54], before[..., 26:34, 46:54])
    capsys.readouterr()
    for more, message in (
        (["--mask", "box:0,0,1"], "is no shape"),
        (["--mask", tmp_path / "none.png"], "no such image"),
        (["--mask", "box:0,0,100,60"], "covers everything"),
        (["--mask", "box:0,0,9,9", "--paste", "none"], "leave one out"),
    ):
        assert run(*edit, "-o", tmp_path / "x.png", *more) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "x.png").exists()


def test_inpaint_leaves_the_rest(home: Path, tmp_path: Path) -> None:
    before = images.read(home / "photo.png")
    common = ["inpaint", home / "g.safetensors", home / "photo.png", *SMALL]
    assert run(*common, "-o", tmp_path / "hole.png", "--mask", "box:40,20,60,40") == 0
    after = images.read(tmp_path / "hole.png")
    changed = (before != after).any(1)[0]
    assert bool(changed[22:38, 42:58].all())
    changed[20:40, 40:60] = False
    assert not bool(changed.any())
    second = tmp_path / "other.png"
    images.write(torch.rand(1, 3, 60, 100), second)
    ways: dict[str, list[Any]] = {
        "shift": ["--shift", "6,0"],
        "crossover": ["--other", second, "--mask", "box:50,0,100,60"],
        "copy": ["--mask", "box:40,20,50,30", "--shift", "8,8"],
        "style": ["--mask", "box:40,20,60,40", "--other", second],
    }
    for mode, more in ways.items():
        assert run(*common, "-o", tmp_path / f"way-{mode}.png", "--mode", mode, *more) == 0, mode
        made = images.read(tmp_path / f"way-{mode}.png")
        assert made.shape[-1] == (32 if mode == "shift" else 100)
        if mode in ("crossover", "copy"):
            assert torch.equal(made[..., :20], before[..., :20])
    drawn = before.clone()
    drawn[:, :, 28:32, 45:55] = 1
    images.write(drawn, tmp_path / "drawn.png")
    assert run(*common, "-o", tmp_path / "scribble.png", "--mode", "scribble", "--other", tmp_path / "drawn.png") == 0
    made = images.read(tmp_path / "scribble.png")
    assert torch.equal(made[:, :, :15], before[:, :, :15]) and not torch.equal(made[:, :, 28:32], before[:, :, 28:32])


def test_tuning_for_a_photograph(home: Path, tmp_path: Path) -> None:
    given = ["--directions", home / "d.safetensors", "--direction", "pc0=1", "--paste", "none", *SMALL]
    for name, more in {"plain": [], "tuned": ["--tune", "5"]}.items():
        assert run("edit", home / "g.safetensors", home / "photo.png", "-o", tmp_path / f"{name}.png", *given, *more) == 0
    assert not torch.equal(images.read(tmp_path / "plain.png"), images.read(tmp_path / "tuned.png"))


def test_directions(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = home / "g.safetensors"
    for method in ("sefa", "ganspace"):
        assert run("directions", "fit", model, "-o", tmp_path / f"{method}.safetensors", "--method", method, "--count", 2,
                   "--layers", "2-3", "--device", "cpu") == 0  # fmt: skip
    found = directions.load(tmp_path / "sefa.safetensors")
    assert list(found) == ["sefa0", "sefa1"] and not bool(found["sefa0"].vector[4:].any())
    generator = stylegan2.load(model)
    w = generator.map(range(60))[:, 0]
    rows = "\n".join(f"{seed},{int(w[seed, 1] > w[:, 1].median())},{float(w[seed, 2])}" for seed in range(60))
    (tmp_path / "labels.csv").write_text(f"seed,big,number\n{rows}\n")
    assert (
        run("directions", "fit", model, "-o", tmp_path / "l.safetensors", "--labels", tmp_path / "labels.csv", "--device", "cpu")
        == 0
    )
    labeled = directions.load(tmp_path / "l.safetensors")
    assert int(labeled["big"].vector[0].abs().argmax()) == 1 and int(labeled["number"].vector[0].abs().argmax()) == 2
    for place, name in enumerate(("dark", "light")):
        (tmp_path / "two" / name).mkdir(parents=True)
        for seed in range(3):
            images.write((generator.generate([seed]) + place).clamp(0, 1) / 2, tmp_path / "two" / name / f"{seed}.png")
    assert (
        run("directions", "fit", model, "-o", tmp_path / "two.safetensors", "--labels", tmp_path / "two", "--device", "cpu") == 0
    )
    (tmp_path / "two" / "light" / "cut.png").write_bytes(b"\x89PNG\r\n")
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "two")
    arguments = ("-o", tmp_path / "zipped.safetensors", "--labels", tmp_path / "zipped.zip", "--device", "cpu")
    assert run("directions", "fit", model, *arguments) == 0
    assert "passed over" in capsys.readouterr().err
    made = [directions.load(tmp_path / f"{name}.safetensors") for name in ("two", "zipped")]
    assert list(made[0]) == list(made[1]) == ["light"] and torch.equal(made[0]["light"].vector, made[1]["light"].vector)
    capsys.readouterr()
    assert run("directions", "show", model, "--directions", home / "d.safetensors", "--json", "--device", "cpu") == 0
    assert set(outcome(capsys)["directions"]) == {"pc0", "pc1", "pc2"}
    assert run("directions", "sheet", model, "--directions", home / "d.safetensors", "-o", tmp_path / "s.png", "--columns", 3,
               "--seeds", "1,2", "--device", "cpu") == 0  # fmt: skip
    assert images.read(tmp_path / "s.png").shape[2:] == (6 * 36 - 4, 3 * 36 - 4)


def test_bad_input_is_one_line(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, photo, out = home / "g.safetensors", home / "photo.png", tmp_path / "o.png"
    torch.manual_seed(5)
    other = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=32, channel_base=256, channel_max=16, z_dim=8, w_dim=8))[0]
    other.w_avg.fill_(1.0)
    sl.save_latents(tmp_path / "alien.safetensors", other.map([1]), other)
    images.write(torch.zeros(1, 3, 60, 100), tmp_path / "black.png")
    images.write(torch.ones(1, 3, 60, 100), tmp_path / "white.png")
    np.savez(tmp_path / "two.npz", w=np.zeros((2, 8, 8), dtype=np.float32))
    (tmp_path / "one" / "a").mkdir(parents=True)
    images.write(torch.rand(1, 3, 32, 32), tmp_path / "one" / "a" / "0.png")
    known = ["--directions", home / "d.safetensors", "--direction", "pc0=1"]
    for arguments, message in (
        (("edit", model, tmp_path / "alien.safetensors", "-o", out, *known), "holds latents of another generator"),
        (
            ("edit", model, "1", "-o", out, "--directions", home / "d.safetensors", "--direction", "grin=1"),
            "no direction 'grin'; there are pc0",
        ),
        (("edit", model, "1", "-o", out, "--direction", "grin"), "'grin' is no direction and strength; write it as smile=2"),
        (("edit", model, "1", "-o", out, *known, "--direction", "pc0=2"), "the direction pc0 is given twice"),
        (("edit", model, "1", "-o", out), "nothing to change; give a direction"),
        (("edit", model, tmp_path / "two.npz", "-o", out, *known), "latents of 2 images; wanted one"),
        (("edit", model, photo, "-o", out, *known, "--box", "1,2,3"), "the box has 3 numbers"),
        (("edit", model, photo, "-o", out, *known, "--box", "500,0,600,50"), "is no part of a photograph of 100 x 60 px"),
        (("edit", model, photo, "-o", photo, *known), "is among the sources and would be overwritten"),
        (("inpaint", model, photo, "-o", out, "--mask", tmp_path / "black.png"), "covers nothing"),
        (("inpaint", model, photo, "-o", out, "--mask", tmp_path / "white.png"), "covers everything"),
        (
            ("inpaint", model, photo, "-o", out, "--mask", "box:0,0,10,60"),
            "the mask, within the square that is edited, covers nothing",
        ),
        (("inpaint", model, photo, "-o", out), "mode fill needs --mask"),
        (
            ("inpaint", model, photo, "-o", out, "--mode", "shift", "--shift", "4,0", "--mask", "box:0,0,9,9"),
            "mode shift does not use --mask",
        ),
        (("morph", model, "1", "2", "-o", out, "--tune", "5"), "--tune is for edit, express and cross"),
        (("inpaint", model, photo, "-o", out, "--mask", "box:1,1,9,9", "--tune", "5"), "--tune is for edit, express and cross"),
        (("morph", model, "1", "-o", out), "1 image to morph; give two or more"),
        (("morph", model, "1", "2", "-o", out, "--easing", "smooth"), "even steps have no easing"),
        (("cross", model, "1", "--style", "2", "-o", out, "--layers", "9"), "layers 9 are not there; this generator has 0-7"),
        (("align", model, photo, "-o", tmp_path / "a", "--mode", "sideways"), "unknown align 'sideways'"),
        (("directions", "fit", model, "-o", tmp_path / "d.safetensors"), "interfacegan needs --labels or --labeler"),
        (
            ("directions", "fit", model, "-o", tmp_path / "d.safetensors", "--labels", tmp_path / "one"),
            "has 1 classes; wanted two",
        ),
        (
            ("directions", "fit", model, "-o", tmp_path / "d.safetensors", "--method", "sefa", "--labels", "x"),
            "--labels does nothing",
        ),
        (
            ("directions", "fit", model, "-o", tmp_path / "d.safetensors", "--method", "sefa", "--name", "smile"),
            "--name does nothing",
        ),
        (
            (
                "directions",
                "fit",
                model,
                "-o",
                tmp_path / "d.safetensors",
                "--method",
                "import",
                "--layers",
                "2-3",
                "--file",
                "x",
            ),
            "--layers does nothing",
        ),
        (
            ("directions", "fit", model, "-o", tmp_path / "d.safetensors", "--labels", "x", "--labeler", "toonfaces-attributes"),
            "leave one out",
        ),
        (
            ("directions", "fit", model, "-o", tmp_path / "d.safetensors", "--labeler", "toonfaces-attributes"),
            "tells images of 64 px",
        ),
        (("directions", "sheet", model, "-o", out), "there are none for this generator"),
    ):
        assert run(*arguments, "--device", "cpu") == 2, message
        error = capsys.readouterr().err
        assert error.startswith("error:") and message in error and error.count("\n") == 1, error
        assert not out.exists()


needs_faces = pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")


@needs_faces
def test_the_detector_finds_a_known_face() -> None:
    data = pytest.importorskip("skimage.data")
    photo = images.as_images(data.astronaut())
    (face,) = mtcnn.find(photo)
    left, top, right, bottom = face.box
    assert left < 225 < right and top < 120 < bottom and face.score > 0.9
    eye, other, nose, *_ = face.landmarks
    assert (float(eye[0]), float(other[0])) == pytest.approx((205, 243), abs=8) and float(eye[1]) < float(nose[1])
    half = images.resize(photo, (256, 256))
    (smaller,) = mtcnn.find(half)
    torch.testing.assert_close(smaller.landmarks * 2, face.landmarks, atol=5, rtol=0)
    assert mtcnn.find(torch.rand(1, 3, 64, 64)) == [] == mtcnn.find(torch.zeros(1, 3, 5, 300))


@needs_faces
def test_alignment_brings_the_eyes_where_the_generator_has_them(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    images.write(images.as_images(data.astronaut()), tmp_path / "astronaut.png")
    assert run("align", "portraits-128", tmp_path / "astronaut.png", "-o", tmp_path / "a", "--device", "cpu") == 0
    crop = images.read(tmp_path / "a" / "astronaut.png")
    assert crop.shape == (1, 3, 128, 128)
    assert json.loads((tmp_path / "a" / "astronaut.json").read_text())["how"] == "face"
    wanted = Aligner(sl.load("portraits-128")).wanted()
    (face,) = mtcnn.find(crop)
    torch.testing.assert_close(face.landmarks[:2] / 128, wanted[:2], atol=0.04, rtol=0)


@needs_faces
def test_a_face_is_inverted_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ["--num-steps", "2", "--device", "cpu"]
    assert run("invert", "portraits-128", "astronaut", "-o", tmp_path, "--align", "face", *steps) == 0
    frame = sl.load_latents(tmp_path / "astronaut.safetensors", stylegan2.load("portraits-128")).frame
    expected = Aligner(stylegan2.load("portraits-128"), "face")(sl.bundled("astronaut")).frame
    assert frame is not None and asdict(frame) == pytest.approx(asdict(expected), abs=1e-3)
    assert abs(frame.x - 225) < 20 and abs(frame.y - 120) < 30 and 120 < frame.side < 300
    images.write(torch.ones(1, 3, 64, 64), tmp_path / "mask.png")
    masked = ["--align", "auto", "--mask", tmp_path / "mask.png"]
    assert run("invert", "portraits-128", "astronaut", "-o", tmp_path / "m", *masked, *steps) == 2
    assert "a mask is of the middle of each photograph" in capsys.readouterr().err


@needs_faces
def test_no_face(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("align", "portraits-128", home / "photo.png", "-o", tmp_path / "a", "--mode", "face", "--device", "cpu") == 2
    assert "no face was found; say where it is with --box" in capsys.readouterr().err
    assert run("align", home / "g.safetensors", home / "photo.png", "-o", tmp_path / "b", "--landmarks", "1,2,3,4,5,6,7,8,9,9",
               "--device", "cpu") == 2  # fmt: skip
    assert "show no face that the detector finds" in capsys.readouterr().err


def test_a_replaced_face_is_noticed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    command = ["cross", home / "g.safetensors", "3", "--style", tmp_path / "style.safetensors", "-o", f"{tmp_path}/out/", *SMALL]
    for seed in (7, 8):
        sl.save_latents(tmp_path / "style.safetensors", generator.map([seed]), generator)
        assert run(*command) == (0 if seed == 7 else 2)
        assert ("exists already" in capsys.readouterr().err) == (seed == 8)  # made of another face
        assert run(*command, *(["--overwrite"] if seed == 8 else []), "--json") == 0
        told = outcome(capsys)
        assert (told["done"], told["skipped"]) == ((0, 1) if seed == 7 else (1, 0))


def test_processes_share_a_folder_of_seeds(home: Path, tmp_path: Path) -> None:
    """What one has not begun yet is left to the others."""
    seeds = [str(seed) for seed in range(40)]
    made = sl.jobs.generate(home / "g.safetensors", range(40), out=tmp_path / "made")
    edited = sl.jobs.edit(home / "g.safetensors", seeds, {}, out=tmp_path / "edited", psi=0.5)
    for events, folder in ((made, tmp_path / "made"), (edited, tmp_path / "edited")):
        next(event for event in events if isinstance(event, sl.jobs.ItemDone))
        assert len(list((folder / ".styleloom-claims").iterdir())) < 20
        assert sum(isinstance(event, sl.jobs.ItemDone) for event in events) == 39


def test_limits_hold_for_photographs(home: Path, tmp_path: Path) -> None:
    few = sl.jobs.Limits("cpu", max_pixels=50)
    with pytest.raises(StyleLoomError, match="pixels"):
        list(sl.jobs.edit(home / "g.safetensors", home / "photo.png", {}, out=tmp_path / "a.png", psi=0.5, limits=few))


def test_no_verb_writes_over_what_it_reads(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, photos = tmp_path / "g.safetensors", tmp_path / "photos"
    shutil.copy(home / "g.safetensors", model)
    photos.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(home / "photo.png", photos / name)
    before = {path: path.read_bytes() for path in (model, *photos.iterdir())}
    for arguments in (
        ("directions", "fit", model, "-o", model, "--method", "sefa"),
        ("directions", "sheet", model, "-o", photos / "a.png", "--directions", photos / "a.png"),
        ("convert", model, "-o", model),
        ("data", "inspect", photos, "--sheet", photos / "a.png"),
        ("compare", photos, photos, "--csv", photos / "b.png"),
    ):
        assert run(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert error.startswith("error:") and error.count("\n") == 1, error
        assert all(path.read_bytes() == content for path, content in before.items())


def test_what_was_not_found_is_noted(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No eigenbasis for the inversion of a photograph, told once; of seeds nothing is inverted."""
    edit = ["edit", home / "g.safetensors", "--psi", "0.5", *SMALL]
    shutil.copy(home / "photo.png", tmp_path / "other.png")
    assert run(*edit, home / "photo.png", tmp_path / "other.png", "-o", f"{tmp_path}/two/") == 0
    assert capsys.readouterr().err.count("has no eigenbasis yet") == 1
    assert run(*edit, "3", "-o", tmp_path / "seed.png") == 0
    assert "eigenbasis" not in capsys.readouterr().err


@needs_faces
def test_a_photograph_without_a_face_is_told_of_by_every_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.write(torch.rand(1, 3, 96, 120), tmp_path / "no.png")
    photo, small = tmp_path / "no.png", ["--num-steps", "1", "--device", "cpu"]
    for arguments in (
        ("invert", "portraits-128", photo, "--align", "auto", "-o", f"{tmp_path}/i/", *small),
        ("inpaint", "portraits-128", photo, "--mask", "box:40,40,70,70", "-o", tmp_path / "p.png", *small),
        ("align", "portraits-128", photo, "-o", tmp_path / "a"),
    ):
        assert run(*arguments) == 0
        assert "no face was found, so the square in the middle is taken" in capsys.readouterr().err
