"""Images to latents with what was made for a generator, and the verbs that make it."""

import io
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.cli.program import outcome
from tests.cli.program import run as program

from styleloom.cli.options import Common
from styleloom.cli.report import Report
from styleloom.core import checkpoint
from styleloom.core.checkpoint import license_of
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.jobs.engine import MANIFEST
from styleloom.metrics.image import ssim
from styleloom.nn.generators import generator_id
from styleloom.papers import learned_optimizer, progan, stylegan2
from styleloom.papers.image2stylegan import InversionConfig, InversionStep
from styleloom.papers.learned_optimizer import LoomAny, basis
from styleloom.tasks import inversion
from styleloom.tasks.latents import load_latents, save_latents


def run(*arguments: Any) -> int:
    """The program's exit status."""
    return program(*[str(argument) for argument in arguments])


TINY = ["--channels", "4", "--widest", "8", "--batch", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small generator, images of it, and all that is made for it on the command line."""
    folder = tmp_path_factory.mktemp("inversion")
    torch.manual_seed(0)
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    generator, discriminator = stylegan2.networks(recipe)
    generator.w_avg.copy_(generator.estimate_w_avg(1000))
    stylegan2.save(generator, folder / "g.safetensors", discriminator, "CC-BY-SA-4.0")
    (folder / "faces").mkdir()
    for seed, image in enumerate(stylegan2.load(folder / "g.safetensors").generate(range(20, 28))):
        images.write(image, folder / "faces" / f"{seed}.png")
    model = folder / "g.safetensors"
    assert run("train", "eigenbasis", model, "-o", folder / "basis.safetensors", "--samples", 100, "--device", "cpu") == 0
    assert run("train", "encoder", folder / "faces", "--generator", model, "-o", folder / "e", "--num-steps", 3, "--batch", 4,
               "--channel-max", 8, "--device", "cpu") == 0  # fmt: skip
    assert run("train", "learned-optimizer", folder / "faces", "--generator", model, "-o", folder / "l", "--num-steps", 3,
               "--unroll-length", 6, "--basis", folder / "basis.safetensors", "--encoder", folder / "e" / "model.safetensors",
               *TINY) == 0  # fmt: skip
    return folder


def made_for(home: Path) -> dict[str, Path]:
    return dict(
        encoder=home / "e" / "model.safetensors", basis=home / "basis.safetensors", learned=home / "l" / "model.safetensors"
    )


def test_what_is_made_of_a_generator_has_its_license(home: Path) -> None:
    assert {license_of(path) for path in made_for(home).values()} == {"CC-BY-SA-4.0"}


def test_the_best_that_there_is(home: Path) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    wanted = generator.generate([20, 21, 22])
    tools = inversion.tools_of(generator, **made_for(home))
    found = inversion.invert(generator, wanted, tools=tools, num_steps=8, batch=2)
    assert found.optimizer == "learned" and found.losses.shape == (9, 3) and found.ws.shape == (3, generator.num_ws, 8)
    torch.testing.assert_close(found.image, torch.cat(list(generator.render(found.ws))))
    for row in range(3):
        error = (found.image[row] - wanted[row]).square().mean()
        assert float(found.metrics["psnr"][row]) == pytest.approx(float(-10 * error.log10()), abs=1e-3)
        blank = (generator.render(generator.w_avg.expand(1, generator.num_ws, -1)).__next__()[0] - wanted[row]).square().mean()
        assert float(found.metrics["left"][row]) == pytest.approx(float(error / blank), rel=1e-3)
    assert inversion.optimizer_for(InversionConfig(optimizer="auto", space="w"), tools) == "adam"
    config = InversionConfig(optimizer="auto")
    assert inversion.optimizer_for(config, inversion.Tools(basis=tools.basis)) == "adam-eigenbasis"
    assert inversion.optimizer_for(config, inversion.Tools()) == "adam"
    assert inversion.optimizer_for(InversionConfig(optimizer="auto", lr=0.1), tools) == "adam-eigenbasis"
    with pytest.raises(StyleLoomError, match="a learned optimizer has no rate of its own"):
        inversion.optimizer_for(InversionConfig(optimizer="learned", lr=0.1), tools)
    assert [inversion.configure(preset).optimizer for preset in ("default", "paper", "seed")] == ["auto", "adam", "adam"]
    half = inversion.invert(generator, wanted.half(), tools=tools, num_steps=1)
    assert half.ws.dtype == torch.float32
    begun = inversion.invert(generator, wanted, tools=tools, num_steps=0, init="encoder")
    assert tools.encoder is not None
    torch.testing.assert_close(begun.ws, tools.encoder.encode(generator, wanted))


def test_photographs_of_any_shape_and_what_is_written(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    images.write(torch.rand(1, 3, 40, 70), photos / "wide.jpg")
    images.write(torch.rand(1, 3, 30, 16), photos / "tall.png")
    out = tmp_path / "out"
    given = ["--learned", made_for(home)["learned"]]
    line = ("invert", home / "g.safetensors", photos, "-o", out, "--num-steps", 5, "--device", "cpu", "--video", "--json", *given)
    assert run(*line) == 0
    told = outcome(capsys)
    assert told["optimizer"] == "learned" and set(told["images"]) == {"wide", "tall"}
    names = {path.name for path in out.iterdir()} - {MANIFEST}  # nothing of an unfinished run is left
    ends = (".png", "-beside.png", ".mp4", ".safetensors")
    assert names == {"metrics.json"} | {f"{name}{end}" for name in ("wide", "tall") for end in ends}
    generator = stylegan2.load(home / "g.safetensors")
    found = load_latents(out / "tall.safetensors", generator)
    assert found.noise == ()
    drawn = torch.cat(list(generator.render(found.ws)))
    torch.testing.assert_close(images.read(out / "tall.png"), drawn, atol=0.003, rtol=0)
    middle = images.read(photos / "tall.png")[:, :, 7:23]
    assert told["images"]["tall"]["psnr"] == pytest.approx(-10 * float((drawn - middle).square().mean().log10()), abs=0.05)
    assert len(json.loads((out / "metrics.json").read_text())["losses"]["wide"]) == 6


def test_a_generator_without_tools_gets_a_basis_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anyone's generator: a basis is made where it is asked for, kept, and used by all that inverts; before it, Adam serves."""
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(basis, "IMAGES", 64)
    monkeypatch.setattr(basis, "SAMPLES", 40)
    model, photo = home / "g.safetensors", sorted((home / "faces").iterdir())[0]
    line = ("invert", model, photo, "--num-steps", 4, "--device", "cpu", "--json")
    assert run(*line, "-o", tmp_path / "without") == 0
    assert outcome(capsys)["optimizer"] == "adam"
    assert run(*line, "-o", tmp_path / "made", "--make-basis") == 0
    assert outcome(capsys)["optimizer"] == "learned"
    kept = list((tmp_path / "cache" / "bases").iterdir())
    assert len(kept) == 1 and kept[0].suffix == ".safetensors", "and no state of an estimate is left"
    assert run(*line, "-o", tmp_path / "again") == 0
    assert outcome(capsys)["optimizer"] == "learned"
    generator = stylegan2.load(model)
    tools = inversion.tools_of(generator)
    assert isinstance(tools.learned, LoomAny) and tools.maps is not None
    # A basis that lies elsewhere is taken by name.
    elsewhere = kept[0].rename(tmp_path / "elsewhere.safetensors")
    assert run(*line, "-o", tmp_path / "named", "--basis", elsewhere) == 0
    assert outcome(capsys)["optimizer"] == "learned"
    elsewhere.rename(kept[0])
    # A damaged one is made anew.
    kept[0].write_bytes(kept[0].read_bytes()[:2000])
    assert run(*line, "-o", tmp_path / "damaged", "--optimizer", "adam") == 0
    assert run(*line, "-o", tmp_path / "anew", "--make-basis") == 0
    assert outcome(capsys)["optimizer"] == "learned"
    assert run("train", "learned-optimizer", home / "faces", "--generator", model, "--base", "loom-any", "-o", tmp_path / "own",
               "--num-steps", 2, "--batch", 2, "--unroll-length", 5, "--device", "cpu") == 0  # fmt: skip
    assert learned_optimizer.load(tmp_path / "own" / "model.safetensors").config["generator"] == generator_id(generator)


def test_what_is_wrong_is_told_before_a_basis_is_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(basis, "SAMPLES", 10**6)  # it would take days
    model, photo = home / "g.safetensors", home / "faces" / "0.png"
    (tmp_path / "bad.png").write_bytes(b"nothing")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "0.png").write_bytes(b"another's")
    torch.manual_seed(0)
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    stylegan2.save(stylegan2.networks(recipe, c_dim=3)[0], tmp_path / "classes.safetensors")
    for arguments, message in (
        ((model, photo, "-o", tmp_path / "taken"), "0.png exists already"),
        ((model, tmp_path / "bad.png", "-o", tmp_path / "out"), "bad.png"),
        ((model, photo, "-o", tmp_path / "out", "--init", "encoder"), "has no encoder"),
        ((model, photo, "-o", tmp_path / "out", "--encoder", home / "e" / "model.safetensors"), "would not be used"),
        ((model, photo, "-o", tmp_path / "out", "--optimizer", "learned", "--lr", "1"), "has no rate of its own"),
        ((tmp_path / "classes.safetensors", photo, "-o", tmp_path / "out"), "this generator has 3 classes"),
    ):
        assert run("invert", *arguments, "--make-basis", "--device", "cpu") == 2, message
        error = capsys.readouterr().err
        assert error.startswith("error:") and message in error and error.count("\n") == 1, error
    monkeypatch.setenv("STYLELOOM_CACHE", str(tmp_path / "bad.png" / "below a file"))
    assert run("invert", model, photo, "-o", tmp_path / "out", "--make-basis", "--device", "cpu") == 2
    assert "a file is in the way" in capsys.readouterr().err


def test_a_question_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody is asked, no bar is drawn over the question."""
    report, drawn = Report(Common()), list[bool]()
    report.console = Console(file=io.StringIO(), force_terminal=True)
    with report._bar() as bar:

        def confirm(*_: Any, **__: Any) -> bool:
            drawn.append(bar.live.is_started)
            return True

        monkeypatch.setattr("typer.confirm", confirm)
        assert report.ask("Make it now?") and bar.live.is_started
    assert drawn == [False]


def test_an_interrupted_run_goes_on(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = sorted((home / "faces").iterdir())[:2]
    given = [
        "--num-steps",
        30,
        "--optimizer",
        "adam",
        "--device",
        "cpu",
        "--batch",
        1,
        "--noise-steps",
        2,
        "--init",
        "random",
        "--video",
    ]
    line = ["invert", home / "g.safetensors", *photos, *given]
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert run(*line, "-o", whole) == 0

    def interrupted(*arguments: Any, first: int, **options: Any) -> Iterator[InversionStep]:
        for step in steps(*arguments, first=first, **options):
            yield step
            if first == 1 and step.index == 27:
                raise KeyboardInterrupt

    steps = inversion.steps
    monkeypatch.setattr(inversion, "steps", interrupted)
    assert run(*line, "-o", parted) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    before = {path: path.read_bytes() for path in parted.iterdir()}
    assert run(*line, "-o", parted, "--resume", "--lr", 0.1) == 2
    assert "has the beginning of a run of other settings" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in parted.iterdir()} == before
    assert run(*line, "-o", parted) == 0
    assert f"{photos[0]}: done before" in capsys.readouterr().err
    assert {path.name for path in parted.iterdir()} == {path.name for path in whole.iterdir()}
    moving = parted / f"{photos[0].stem}.mp4"
    assert moving.read_bytes() == before[moving]  # that of the image which was done already
    for photo in photos:
        first, second = (checkpoint.read_tensors(out / f"{photo.stem}.safetensors")[0] for out in (whole, parted))
        assert len(first) > 1 and all(torch.equal(value, second[name]) for name, value in first.items())
    told, again = (json.loads((out / "metrics.json").read_text()) for out in (whole, parted))
    assert told["losses"] == again["losses"] and told["images"] == again["images"]
    generator = stylegan2.load(home / "g.safetensors")
    found = load_latents(whole / f"{photos[1].stem}.safetensors", generator)
    image = generator.synthesis(found.ws, noise=found.noise).add(1).div(2).clamp(0, 1)
    torch.testing.assert_close(images.read(whole / f"{photos[1].stem}.png"), image, atol=0.003, rtol=0)


def test_no_photograph_is_lost(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("me.png", "me-beside.png"):
        images.write(torch.rand(1, 3, 16, 16), photos / name)
    line = ("invert", home / "g.safetensors", "--num-steps", 1, "--device", "cpu")
    assert run(*line, photos, "-o", photos) == 2
    assert "is among the sources and would be overwritten" in capsys.readouterr().err
    assert run(*line, photos, "-o", tmp_path / "new") == 2
    assert "me-beside.png would be written twice" in capsys.readouterr().err
    assert {path.name for path in photos.iterdir()} == {"me.png", "me-beside.png"}
    images.write(torch.rand(1, 3, 16, 16), tmp_path / "curves.jpg")
    assert run(*line, tmp_path / "curves.jpg", "-o", tmp_path / "new", "--curves") == 2
    assert "curves.png would be written twice" in capsys.readouterr().err
    assert run(*line, photos / "me.png", "-o", tmp_path / "found", "--optimizer", "sgd", "--lr", 1e5, "--num-steps", 3) == 0
    assert "nothing better was found than where it began" in capsys.readouterr().err


def test_a_mask_is_what_counts(home: Path) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    wanted = generator.generate([20])
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    spoiled = wanted.clone()
    spoiled[..., 8:] = 1 - spoiled[..., 8:]
    settings: dict[str, Any] = dict(masks=mask, num_steps=3, optimizer="adam", perceptual_weight=0)
    found = [inversion.invert(generator, each, **settings) for each in (wanted, spoiled)]
    for key in ("psnr", "left"):
        torch.testing.assert_close(found[1].metrics[key], found[0].metrics[key], atol=1e-3, rtol=1e-3)
    assert float(found[1].metrics["ssim"]) > 0.5 > float(ssim(found[1].image, spoiled))
    half = (found[0].image - wanted)[..., :8].square().mean()
    assert float(found[0].metrics["psnr"]) == pytest.approx(float(-10 * half.log10()), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--optimizer", "learned"),
            "there is no learned optimizer for this generator; make an eigenbasis for loom-any, by --make-basis",
        ),
        (("--optimizer", "newton"), "unknown optimizer 'newton'; choose one of auto, learned, sgd"),
        (("--optimizer", "adam-eigenbasis"), "wants the generator's eigenbasis"),
        (("--init", "encoder"), "init is encoder, and this generator has no encoder"),
        (("--learned", "OTHER"), "was made for another generator, whose latents mean something else"),
        (("--mask", "BLACK"), "the mask is black everywhere"),
        (("--make-basis", "--optimizer", "adam"), "--make-basis does nothing for adam in the space w_plus"),
        (("--make-basis", "--space", "w"), "--make-basis does nothing for auto in the space w"),
        (("--num-steps", "-1"), "num_steps is -1"),
        (("--batch", "0"), "batch is 0"),
        (("--basis", "nothing"), "no model 'nothing'"),
    ],
)
def test_mistakes(options: tuple[str, ...], message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.write(torch.zeros(1, 3, 16, 16), tmp_path / "black.png")
    torch.manual_seed(1)
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    other, _ = stylegan2.networks(recipe)
    other.w_avg.copy_(other.estimate_w_avg(1000))
    stylegan2.save(other, tmp_path / "other.safetensors")
    places = {"OTHER": home / "l" / "model.safetensors", "BLACK": tmp_path / "black.png"}
    model = tmp_path / "other.safetensors" if "OTHER" in options else home / "g.safetensors"
    chosen = [places.get(option, option) for option in options]
    out = tmp_path / "out"
    assert run("invert", model, home / "faces", "-o", out, "--device", "cpu", *chosen) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_images_start_from_seeds_of_their_own_in_any_batch(home: Path) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    wanted = generator.generate([20, 21, 22])
    for batch in (1, 3):
        found = inversion.invert(generator, wanted, num_steps=0, init="random", seed=5, batch=batch)
        torch.testing.assert_close(found.ws, generator.map([5, 6, 7]))


def test_what_was_made_for_another_generator_is_refused(home: Path) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    tools = inversion.tools_of(generator, **made_for(home))
    generator.w_avg.add_(1.0)
    for wrong, what in ((inversion.Tools(encoder=tools.encoder), "encoder"), (inversion.Tools(basis=tools.basis), "eigenbasis")):
        with pytest.raises(StyleLoomError, match=f"this {what} was made for another generator"):
            inversion.invert(generator, torch.rand(1, 3, 16, 16), tools=wrong, num_steps=1)
    with pytest.raises(StyleLoomError, match="2 masks for 3 images"):
        inversion.invert(generator, torch.rand(3, 3, 16, 16), masks=torch.ones(2, 1, 16, 16), num_steps=1)


def test_the_share_that_kept_directions_carry(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("train", "eigenbasis", home / "g.safetensors", "--samples", 40, "--device", "cpu", "--json")
    told = {}
    for keep in (0, 5):
        assert run(*line, "-o", tmp_path / "b.safetensors", "--keep", keep) == 0
        told[keep] = outcome(capsys)
    assert told[0]["share"] == pytest.approx(1) and told[0]["half"] == told[5]["half"] <= 5 and 0.5 < told[5]["share"] < 1
    assert run(*line, "-o", tmp_path / "c.safetensors", "--pixel-weight", 0, "--perceptual-weight", 0) == 2
    assert "nothing is asked for" in capsys.readouterr().err and not (tmp_path / "c.safetensors").exists()
    assert run("train", "eigenbasis", home / "g.safetensors", "-o", home / "g.safetensors", "--device", "cpu") == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_latents_of_another_generator(home: Path, tmp_path: Path) -> None:
    generator = stylegan2.load(home / "g.safetensors")
    save_latents(tmp_path / "ws.safetensors", generator.map([1]), generator)
    torch.manual_seed(1)
    other = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8))[0]
    other.w_avg.fill_(1.0)
    assert generator_id(other) != generator_id(generator)
    # Nothing maps to the w of ProGAN, whose mean is 0 in each of them.
    first, second = (progan.Generator(4, 0, 8, 3, synthesis_kwargs=dict(channel_base=32, channel_max=4)) for _ in range(2))
    assert generator_id(first) != generator_id(second)
    assert generator_id(first) == generator_id(deepcopy(first).half().float())
    with pytest.raises(StyleLoomError, match="latents of another generator"):
        load_latents(tmp_path / "ws.safetensors", other)


def test_a_damaged_photograph_is_named_and_the_others_are_done(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    images.write(torch.rand(1, 3, 16, 16), folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:60])
    assert run("invert", home / "g.safetensors", folder, "-o", out, "--device", "cpu", "--batch", "1", "--num-steps", "1") == 3
    told = capsys.readouterr().err
    assert "b.png: damaged" in told and "error: 1 of 2 could not be done" in told
    assert {path.name for path in out.glob("[!.]*")} == {"a.png", "a-beside.png", "a.safetensors", "metrics.json"}
    assert run("invert", home / "g.safetensors", folder / "b.png", "-o", out, "--device", "cpu", "--num-steps", "1") == 2
