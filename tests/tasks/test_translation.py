"""Translation at any size: padded, tiled without a seam, masked to the bit, several samples, and jobs over files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.program import outcome, run
from torch import nn

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.channels import read_channels
from styleloom.data.derive import canny, rgb_to_lab
from styleloom.data.labels import instance_numbers
from styleloom.nn.translation import ResNetGenerator, UNet, initialize
from styleloom.nn.translator import Translator
from styleloom.papers import cyclegan, pix2pix
from styleloom.papers.pix2pixhd import InstanceEncoder, boundaries
from styleloom.tasks.translation import translate


def network(kind: str = "resnet", in_channels: int = 3, out_channels: int = 3, **options: object) -> nn.Module:
    torch.manual_seed(0)
    if kind == "resnet":
        made: nn.Module = ResNetGenerator(in_channels, out_channels, width=4, blocks=2, **options)  # type: ignore[arg-type]
    else:
        made = UNet(in_channels, out_channels, width=4, depth=6, **options)  # type: ignore[arg-type]
    initialize(made, 0.3)
    return made.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for index in range(3):
        torch.manual_seed(index)
        images.write(torch.rand(1, 3, 50, 70), f"photos/{index}.png")
    cyclegan.save(Translator({"B": network(), "A": network()}, size=64), Path("cycle.safetensors"), "CC0-1.0")
    pix2pix.save(Translator({"B": network("unet", norm="batch")}, size=64), Path("pairs.safetensors"))


def test_any_size_comes_back_at_its_own() -> None:
    model = sl.load("cycle.safetensors", Translator)
    for height, width in ((64, 64), (61, 95), (7, 200), (1, 1)):
        image = torch.rand(2, 3, height, width)
        made = sl.translate(model, image)
        assert made.shape == image.shape and made.min() >= 0 and made.max() <= 1
    whole = torch.rand(1, 3, 64, 64)
    expected = model.networks["B"](whole * 2 - 1).add(1).div(2)
    torch.testing.assert_close(sl.translate(model, whole), expected)
    torch.testing.assert_close(sl.translate(model, whole, to="A"), model.networks["A"](whole * 2 - 1).add(1).div(2))


def test_tiles_leave_no_seam() -> None:
    """Norms take the whole image's statistics, so tiles are what the whole would be."""
    model = sl.load("cycle.safetensors", Translator)
    image = torch.rand(1, 3, 200, 256)
    torch.testing.assert_close(translate(model, image, tile=96), translate(model, image, tile=0), atol=2e-4, rtol=0)


def test_what_is_outside_of_the_mask_stays_to_the_bit() -> None:
    image, mask = torch.rand(1, 3, 64, 80), torch.zeros(1, 1, 64, 80)
    mask[..., 20:40] = 1
    made = sl.translate("cycle.safetensors", image, mask=mask)
    outside = (mask == 0).expand_as(image)
    assert torch.equal(made[outside], image[outside])
    assert torch.equal(made[~outside], sl.translate("cycle.safetensors", image)[~outside])


def test_noise_is_a_seed_and_statistics_a_choice() -> None:
    model = sl.load("pairs.safetensors", Translator)
    image = torch.rand(1, 3, 64, 64)
    state = torch.get_rng_state()
    first, again, other = (translate(model, image, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again) and not torch.equal(first, other)
    saved, batch = (translate(model, image, statistics=name) for name in ("saved", "batch"))
    assert not torch.allclose(saved, batch, atol=1e-3)
    model.networks["B"].train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    expected = model.networks["B"](image * 2 - 1).add(1).div(2)
    torch.testing.assert_close(batch, expected)


def test_models_of_photographs_make_their_own_input() -> None:
    image = torch.rand(1, 3, 64, 64)
    edges = Translator({"B": network(in_channels=1)}, derive="edges")
    drawn = canny(image[0])[None]
    torch.testing.assert_close(translate(edges, image), translate(edges, drawn.expand(-1, 3, -1, -1), drawing=True))
    gray = Translator({"B": network(in_channels=1, out_channels=2)}, derive="gray")
    colored = translate(gray, image)
    lightness = [rgb_to_lab(each)[:, 0] for each in (image, colored)]
    inside = ((colored > 0.01) & (colored < 0.99)).all(1)  # where no color had to be clipped
    torch.testing.assert_close(lightness[0][inside], lightness[1][inside], atol=0.1, rtol=0)
    labels = Translator({"B": network(in_channels=2)}, labels=((0, 0, 0), (255, 255, 255)))
    assert translate(labels, image).shape == image.shape


def test_a_folder_is_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("translate", "cycle.safetensors", "photos", "-o", "out", "--json", "--device", "cpu") == 0
    assert outcome(capsys)["done"] == 3
    expected = images.to_uint8(sl.translate("cycle.safetensors", "photos/1.png"))
    assert (images.to_uint8(images.read("out/1.png")) == expected).all()
    assert run("translate", "cycle.safetensors", "photos", "-o", "out", "--json", "--device", "cpu") == 0
    assert outcome(capsys)["skipped"] == 3
    assert (
        run("translate", "pairs.safetensors", "photos/0.png", "-o", "many.png", "--samples", "2", "--json", "--device", "cpu")
        == 0
    )
    assert not Path("many.png").exists() and not torch.equal(*(images.read(f"many-{place}.png") for place in (1, 2)))


def test_a_video_keeps_its_size_and_its_frames() -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'styleloom[video]'")
    frames = [torch.rand(3, 40, 48) for _ in range(3)]
    images.write_gif(frames, "film.gif")
    assert run("translate", "cycle.safetensors", "film.gif", "-o", "out.gif", "--device", "cpu", "--quiet") == 0
    assert images.animated("out.gif") and images.read("out.gif").shape == (1, 3, 40, 48)
    assert run("translate", "cycle.safetensors", "film.gif", "-o", "two.gif", "--samples", "2", "--device", "cpu", "--quiet") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pairs.safetensors", "photos/0.png", "--to", "A"], "this model makes B, not 'A'"),
        (["cycle.safetensors", "photos/0.png", "--to", "C"], "this model makes A and B, not 'C'"),
        (["cycle.safetensors", "photos/0.png", "--samples", "2"], "this model has neither dropout nor codes"),
        (["cycle.safetensors", "photos/0.png", "--drawing"], "this model takes no drawings"),
        (["cycle.safetensors", "five.npy"], "the image has 5 channels; the network that makes B takes 3"),
        (["adain-lite", "photos/0.png"], "holds a AdaIN; wanted a Translator"),
        (["nothing", "photos/0.png"], "no model 'nothing'"),
        (["cycle.safetensors", "photos/0.png", "--statistics", "none"], "unknown statistics 'none'"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("five.npy", np.random.default_rng(0).random((32, 32, 5)))
    assert run("translate", *arguments, "-o", "out.png", "--device", "cpu") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and message in told
    assert not Path("out.png").exists()


def test_training_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    small = [
        "--size",
        "16",
        "--load-size",
        "18",
        "--width",
        "4",
        "--num-steps",
        "2",
        "--discriminator-layers",
        "1",
        "--device",
        "cpu",
        "--quiet",
    ]
    assert run("train", "pix2pix", "photos", "--derive", "edges", "-o", "run", "--depth", "3", *small) == 0
    assert run("translate", "run/model.safetensors", "photos/0.png", "-o", "edges.png", "--device", "cpu", "--quiet") == 0
    cycle = ["--blocks", "1", "--pool-size", "2"]
    assert run("train", "cyclegan", "photos", "--other", "photos", "-o", "cycle", *cycle, *small) == 0
    assert run("train", "--resume", "-o", "cycle", "--quiet") == 0  # finished already
    for arguments, message in (
        (["cyclegan", "photos", "-o", "x"], "holds one domain; give the other one too"),
        (["pix2pix", "photos", "--other", "nowhere", "-o", "x"], "domain B: no such folder or file: nowhere"),
        (
            ["pix2pix", "photos", "-o", "x", "--labels", "none.csv", "--derive", "edges"],
            "it takes no second folder, no label table",
        ),
    ):
        capsys.readouterr()
        assert run("train", *arguments, *(["--depth", "3"] if arguments[0] == "pix2pix" else []), *small) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1 and not Path("x").exists()


def test_instances_have_boundaries_and_codes() -> None:
    torch.manual_seed(0)
    G, E = network(in_channels=3 + 1 + 2), InstanceEncoder(3, 2, width=4, downsamplings=2)
    model = Translator({"B": G, "codes": E}, instances=True).eval().requires_grad_(False)
    image, numbers = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    numbers[..., 16:] = 1
    other = torch.rand(1, 3, 32, 32)
    made = translate(model, image, instances=numbers, codes_of=other)
    codes = E(other * 2 - 1, numbers)
    expected = G(torch.cat([image * 2 - 1, boundaries(numbers), codes], 1)).add(1).div(2)
    torch.testing.assert_close(made, expected)
    with pytest.raises(StyleLoomError, match="this model needs instances"):
        translate(model, image)
    with pytest.raises(StyleLoomError, match="this model makes B, not 'codes'"):
        translate(model, image, to="codes")
    with pytest.raises(StyleLoomError, match="this model has no use for instances"):
        translate("cycle.safetensors", image, instances=numbers)


def test_label_maps_with_instances_have_many_answers(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("labels", "streets", "maps"):
        Path(folder).mkdir()
    for index in range(2):
        labels, numbers = torch.zeros(1, 3, 32, 48), torch.zeros(1, 3, 32, 48)
        labels[:, 0, :, :24], labels[:, 2, :, 24:], numbers[..., 24:] = 1, 1, 7 / 255
        images.write(labels, f"labels/{index}.png")
        images.write(numbers, f"maps/{index}.png")
        images.write(torch.rand(1, 3, 32, 48), f"streets/{index}.png")
    Path("table.csv").write_text("road,255,0,0\nsky,0,0,255\n")
    small = ["--width", "4", "--encoder-width", "4", "--downsamplings", "2", "--blocks", "1", "--scales", "1", "--quiet"]
    small += ["--discriminator-width", "4", "--perceptual-weight", "0", "--size", "32", "--load-size", "32", "--num-steps", "1"]
    given = ["labels", "--other", "streets", "--labels", "table.csv", "--instances", "maps", "--codes", "2", "--device", "cpu"]
    assert run("train", "pix2pixhd", *given, "--usual-codes", "3", "-o", "run", *small) == 0
    model = sl.load("run/model.safetensors", Translator)
    assert model.networks["codes"].usual.shape == (2, 3, 2) and model.stochastic
    command = ["translate", "run/model.safetensors", "labels", "--device", "cpu"]
    assert run(*command, "-o", "made", "--instances", "maps", "--samples", "2", "--seed", "5") == 0
    numbers = (images.read("maps/1.png")[:, :1] * 255).round()
    every = [translate(model, images.read("labels/1.png"), instances=numbers, seed=seed) for seed in range(5, 15)]
    assert len({tuple(each.flatten().tolist()) for each in every}) > 2
    for number in (1, 2):
        torch.testing.assert_close(images.read(f"made/1-{number}.png"), every[number - 1], rtol=0, atol=1 / 255)
    capsys.readouterr()
    Path("maps/1.png").rename("lone.png")
    images.write(torch.rand(1, 3, 8, 8), "tiny.png")
    for more, message in (
        (["labels", "--instances", "maps"], "images without a map in maps: labels/1.png; add them"),
        (["labels", "--instances", "lone.png"], "lone.png is one map for 2 images; give a folder of maps with their names"),
        (["labels/0.png"], "this model needs instances"),
        (["labels/0.png", "--instances", "tiny.png"], "the map of instances has 8 x 8 px, the image 48 x 32"),
        (["labels/0.png", "--instances", "no.png"], "no.png"),
    ):
        assert run("translate", "run/model.safetensors", *more, "-o", "x.png" if more[0].endswith("png") else "x") == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1, told
        assert not Path("x").exists() and not Path("x.png").exists()


def test_maps_of_instances_of_16_bits_keep_their_numbers() -> None:
    numbers = np.array([[0, 1000], [1001, 2000]], dtype=np.uint16)
    Image.fromarray(numbers).save("deep.png")
    np.save("deep.npy", numbers)
    for name in ("deep.png", "deep.npy"):
        assert instance_numbers(read_channels(name)[0]).tolist() == [[[0, 1], [2, 3]]], name
    colors = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]])[:, None] / 255
    assert len(instance_numbers(colors).unique()) == 4


def test_a_mask_on_the_command_line_is_an_image_or_a_shape() -> None:
    mask = torch.zeros(1, 3, 64, 80)
    mask[..., 20:40] = 1
    images.write(torch.rand(1, 3, 64, 80), "whole.png")
    images.write(mask, "mask.png")
    before = images.read("whole.png")
    made = []
    for name, given in (("file", "mask.png"), ("shape", "box:20,0,40,64")):
        assert run("translate", "cycle.safetensors", "whole.png", "-o", f"{name}.png", "--mask", given, "--device", "cpu") == 0
        made.append(images.read(f"{name}.png"))
    assert torch.equal(made[0], made[1]) and torch.equal(made[0][..., 40:], before[..., 40:])
    assert not torch.equal(made[0][..., 20:40], before[..., 20:40])


def test_a_mask_needs_the_same_channels() -> None:
    model = Translator({"B": network(out_channels=1)})
    with pytest.raises(StyleLoomError, match="a mask needs a result with the channels of the image"):
        translate(model, torch.rand(1, 3, 64, 64), mask=torch.ones(1, 1, 64, 64))


def test_colors_of_label_maps_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    colors = [(index, index, index) for index in range(34)]
    model = Translator({"B": network(in_channels=34)}, size=64, labels=colors)
    labels = torch.zeros(1, 3, 128, 128)
    labels[..., 64:] = 20 / 255
    labels[..., 40:80, 30:100] = 7 / 255
    seen: list[torch.Tensor] = []
    network_ = model.networks["B"]
    network_.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    translate(model, labels, size=64)
    assert seen[0].argmax(1).unique().tolist() == [0, 7, 20]


def test_arrays_are_taken_at_use_as_in_training() -> None:
    pix2pix.save(Translator({"B": network(in_channels=1, out_channels=1)}, size=32), Path("gray.safetensors"))
    Path("arrays").mkdir()
    for index in range(2):
        np.save(f"arrays/{index}.npy", np.random.RandomState(index).rand(32, 40).astype(np.float32))
    assert run("translate", "gray.safetensors", "arrays", "-o", "made", "--quiet") == 0
    with Image.open("made/0.png") as made:
        assert made.mode == "L" and made.size == (40, 32)
    assert run("translate", "gray.safetensors", "arrays/0.npy", "-o", "made.npy", "--quiet") == 0
    model = sl.load("gray.safetensors", Translator)
    wanted = sl.translate(model, torch.from_numpy(np.load("arrays/0.npy"))[None, None])
    torch.testing.assert_close(torch.from_numpy(np.load("made.npy"))[None, None], wanted)
    torch.testing.assert_close(sl.translate(model, "arrays/0.npy"), wanted)
    colors = [(index, index, index) for index in range(4)]
    pix2pix.save(Translator({"B": network(in_channels=4)}, size=32, labels=colors), Path("labels.safetensors"))
    np.save("ids.npy", np.random.RandomState(0).randint(0, 4, (32, 32)).astype(np.uint8))
    assert run("translate", "labels.safetensors", "ids.npy", "-o", "from-ids.png", "--quiet") == 0


@pytest.mark.parametrize(("channels", "name", "mode"), [(4, "made.png", "RGBA"), (2, "made.png", "LA")])
def test_opacity_goes_in_and_out(channels: int, name: str, mode: str) -> None:
    pix2pix.save(Translator({"B": network(in_channels=4, out_channels=channels)}, size=32), Path("alpha.safetensors"))
    pixels = np.random.RandomState(0).randint(0, 255, (32, 32, 4), np.uint8)
    Image.fromarray(pixels).save("in.png")
    assert run("translate", "alpha.safetensors", "in.png", "-o", name, "--quiet") == 0
    model = sl.load("alpha.safetensors", Translator)
    wanted = sl.translate(model, torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    with Image.open(name) as made:
        assert made.mode == mode
        found = torch.from_numpy(np.array(made)).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.003)


def test_many_channels_are_tiff_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    pix2pix.save(Translator({"B": network(out_channels=5)}, size=32), Path("five.safetensors"))
    assert run("translate", "five.safetensors", "photos/0.png", "-o", "made.tif", "--quiet") == 0
    assert read_channels("made.tif").shape == (1, 5, 50, 70)
    assert run("translate", "five.safetensors", "photos/0.png", "-o", "made.png", "--quiet") == 2
    assert "PNG has no 5 channels; write TIFF or .npy" in capsys.readouterr().err
