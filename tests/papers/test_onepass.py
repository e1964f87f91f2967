"""Johnson, Dumoulin and AdaIN: counts, statistics, mixtures, tiles, files, and short trainings whose loss falls."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import styleloom as sl
from styleloom.core import precision
from styleloom.core.checkpoint import read_tensors
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Run
from styleloom.data import color, images
from styleloom.data.tiles import by_tiles
from styleloom.loops.task import TrainingStep
from styleloom.nn import transform_net
from styleloom.nn.vgg import Features
from styleloom.papers import adain, dumoulin, ghiasi, johnson


@pytest.fixture
def photo() -> Tensor:
    """A smooth colorful image of odd sides, [1, 3, 173, 267]."""
    torch.manual_seed(5)
    return images.resize(torch.rand(1, 3, 9, 12), (173, 267))


@pytest.fixture
def painter() -> adain.AdaIN:
    """AdaIN with a narrow random encoder and decoder."""
    torch.manual_seed(0)
    return adain.AdaIN(Features(convs=(2, 2, 4, 1), widths=(4, 6, 8, 8), padding="reflect")).eval()


@pytest.fixture
def network() -> transform_net.TransformNet:
    """A narrow random transformation network whose norms do something."""
    torch.manual_seed(0)
    network = transform_net.TransformNet(width=4, blocks=2, output="sigmoid")
    for parameter in [*network.scales, *network.shifts]:
        parameter.data += 0.3 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture
def pastiche() -> dumoulin.StyleNet:
    """A narrow random network of three styles."""
    torch.manual_seed(0)
    network = dumoulin.StyleNet(["a", "b", "c"], width=4, blocks=2)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture
def anystyle() -> ghiasi.AnyStyle:
    torch.manual_seed(4)
    sizes: dict[str, Any] = dict(embedding=6, hidden=8, width=4, blocks=1, deep_blocks=1, deep_width=8)
    model = ghiasi.AnyStyle(Features(convs=(1, 1, 1, 1, 1), widths=(4, 4, 6, 6, 6), padding="reflect"), **sizes)
    for parameter in model.norms_of.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


def test_parameters_are_those_of_the_papers() -> None:
    # pytorch/examples' TransformerNet has 1,679,235 parameters.
    assert sum(parameter.numel() for parameter in transform_net.TransformNet().parameters()) == 1_679_235
    # Dumoulin: 2 x 1,603 normalized channels a style, 2,560 of them in the residual part; under 0.2% of the network.
    network = dumoulin.StyleNet(["one"])
    assert network.parameters_per_style == 3_206 == sum(p.numel() for p in [*network.gamma, *network.beta])
    assert 2 * sum(network.network.channels[3:13]) == 2_560
    assert network.parameters_per_style / sum(p.numel() for p in network.network.parameters()) < 0.002


@pytest.mark.parametrize("settings", [{}, {"upsample": "transpose", "padding": "border", "output": "tanh"}])
def test_any_size(settings: dict[str, str]) -> None:
    network = transform_net.TransformNet(width=4, **settings)  # type: ignore[arg-type]
    for size in ((64, 80), (61, 83)):
        assert network(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_adain_is_equation_8() -> None:
    x, y = torch.randn(2, 3, 5, 7, dtype=torch.float64), 2 + 3 * torch.randn(2, 3, 4, 4, dtype=torch.float64)
    found = adain.adain(x, adain.unbiased_moments(y))
    deviation = lambda t: (t.flatten(2).var(2) + 1e-5).sqrt()[..., None, None]  # noqa: E731
    mean = lambda t: t.mean((2, 3), keepdim=True)  # noqa: E731
    torch.testing.assert_close(found, deviation(y) * (x - mean(x)) / deviation(x) + mean(y), rtol=1e-4, atol=1e-5)


def test_alpha_and_shares(painter: adain.AdaIN) -> None:
    content, style, other = torch.rand(1, 3, 32, 40), torch.rand(1, 3, 40, 24), torch.rand(1, 3, 24, 24) ** 3
    x = painter.encode(content)
    styles = [painter.style(style), painter.style(other)]
    torch.testing.assert_close(painter.restyle(x, styles, [0.5, 0.5], alpha=0), x)
    first, second = (painter.restyle(x, [each], [1.0]) for each in styles)
    torch.testing.assert_close(painter.restyle(x, styles, [0.25, 0.75]), 0.25 * first + 0.75 * second)
    masks = [torch.zeros(1, 1, 32, 40), torch.ones(1, 1, 32, 40)]
    masks[0][..., :16], masks[1][..., :16] = 1, 0
    parted = painter.restyle(x, styles, [0.5, 0.5], masks=masks)
    torch.testing.assert_close(parted[..., :2], first[..., :2])
    torch.testing.assert_close(parted[..., 2:], second[..., 2:])


@pytest.mark.parametrize("tile", [64, 128])
def test_adain_by_tiles_is_the_whole(painter: adain.AdaIN, photo: Tensor, tile: int) -> None:
    style = torch.rand(1, 3, 48, 48)
    whole = adain.stylize(photo, style, adain.AdaINConfig(tile=0, keep_color="luminance"), model=painter)
    parts = adain.stylize(photo, style, adain.AdaINConfig(tile=tile, keep_color="luminance"), model=painter)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-4)
    assert whole.std() > 0.01


def test_adain_of_bytes(painter: adain.AdaIN, photo: Tensor) -> None:
    style = torch.rand(1, 3, 48, 48)
    bytes_ = (photo * 255).round().to(torch.uint8)
    found = adain.stylize(bytes_, style, adain.AdaINConfig(tile=64), model=painter)
    assert found.dtype == torch.uint8
    assert (found.float() / 255 - adain.stylize(photo, style, model=painter)).abs().mean() < 1 / 255


def test_johnson_by_tiles_given_the_same_statistics(network: transform_net.TransformNet, photo: Tensor) -> None:
    statistics = network.statistics(photo)
    whole = network(photo, statistics=statistics)
    torch.testing.assert_close(network(photo), whole, rtol=1e-3, atol=1e-4)
    parts = by_tiles(lambda window: network(window.cut(photo), statistics=statistics), photo, 64, network.reach)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    # The image is its own thumbnail here, so tiles change nothing.
    torch.testing.assert_close(johnson.stylize(photo, network, johnson.JohnsonConfig(tile=64)), whole, rtol=0, atol=1e-5)


def test_mixtures_of_styles_are_mixtures_of_numbers(pastiche: dumoulin.StyleNet, photo: Tensor) -> None:
    mixed = dumoulin.StyleNet(["mixed"], width=4, blocks=2)
    mixed.network.load_state_dict(pastiche.network.state_dict())
    for own, theirs in zip([*mixed.gamma, *mixed.beta], [*pastiche.gamma, *pastiche.beta], strict=True):
        own.data = (0.25 * theirs[0] + 0.75 * theirs[2])[None]
    found = dumoulin.stylize(photo, ["a", "c"], weights=[1, 3], model=pastiche)
    torch.testing.assert_close(found, dumoulin.stylize(photo, "mixed", model=mixed), rtol=0, atol=1e-5)
    left = torch.zeros(1, 1, 173, 267)
    left[..., :100] = 1
    parted = dumoulin.stylize(photo, ["a", "c"], masks=[left], model=pastiche)
    torch.testing.assert_close(parted[..., :90], dumoulin.stylize(photo, "a", model=pastiche)[..., :90])
    torch.testing.assert_close(parted[..., 110:], dumoulin.stylize(photo, "c", model=pastiche)[..., 110:])


def test_a_network_of_one_style_paints_as_the_network_of_many(
    pastiche: dumoulin.StyleNet, anystyle: ghiasi.AnyStyle, photo: Tensor, tmp_path: Path
) -> None:
    style = torch.rand(1, 3, 40, 48)
    johnson.save(pastiche.network_of("b"), tmp_path / "b.safetensors")
    for alone, many in (
        (pastiche.network_of("b"), dumoulin.stylize(photo, "b", model=pastiche)),
        (
            anystyle.network_of(style, 2.0),
            ghiasi.stylize(photo, style, ghiasi.GhiasiConfig(style_size=0, style_weight=2.0), model=anystyle),
        ),
    ):
        torch.testing.assert_close(johnson.stylize(photo, alone), many, rtol=0, atol=1e-5)
    saved = johnson.stylize(photo, tmp_path / "b.safetensors")
    torch.testing.assert_close(saved, johnson.stylize(photo, pastiche.network_of("b")), rtol=0, atol=0.01)  # half precision
    with pytest.raises(StyleLoomError, match="unknown styles"):
        pastiche.network_of("d")


def test_a_network_of_one_style_learns_from_what_was_predicted(anystyle: ghiasi.AnyStyle, photo: Tensor, tmp_path: Path) -> None:
    images.write(photo, tmp_path / "photo.png")
    style = torch.rand(1, 3, 80, 300) ** 3  # whose squares are cut from an enlarged image
    recipe = replace(johnson.RECIPES["predicted"], num_steps=12, batch=2, size=64, style_size=128, lr=1e-2, log_every=1)

    run = ghiasi.train_for_style(tmp_path, style, anystyle, recipe, run=Run(tmp_path / "run"))
    found = [float(tick.losses["style"]) + float(tick.losses["color"]) for tick in run]
    assert sum(found[-4:]) < 0.9 * sum(found[:4])
    assert isinstance(johnson.load(tmp_path / "run" / "model.safetensors"), transform_net.TransformNet)


def test_a_style_embedding_is_of_its_statistics(anystyle: ghiasi.AnyStyle, photo: Tensor) -> None:
    # Statistics know no place: an image of four copies, reflected so that no border differs, has the embedding of one.
    tile = images.resize(photo, (32, 48))
    mirrored = torch.cat([tile, tile.flip(3)], 3)
    four = torch.cat([mirrored, mirrored.flip(2)], 2)
    sixteen = torch.cat([torch.cat([four, four], 3)] * 2, 2)
    torch.testing.assert_close(anystyle.embed(sixteen), anystyle.embed(four), rtol=0.02, atol=2e-3)
    assert not torch.allclose(anystyle.embed(four), anystyle.embed(1 - four), atol=1e-2)


def test_any_style_mixes_its_embeddings(anystyle: ghiasi.AnyStyle, photo: Tensor) -> None:
    styles = [torch.rand(1, 3, 40, 48), torch.rand(1, 3, 48, 40) ** 3]
    config = ghiasi.GhiasiConfig(style_size=0, style_weight=2.0)
    one, other = (anystyle.embed(style) for style in styles)
    mixed = ghiasi.stylize(photo, styles, config, weights=[1, 3], model=anystyle)
    torch.testing.assert_close(mixed, anystyle.network(photo, anystyle.norms(0.25 * one + 0.75 * other, 2.0)), rtol=0, atol=3e-5)
    # Half of the strength: half way to the photograph's own style.
    half = ghiasi.stylize(photo, styles[0], replace(config, alpha=0.5), model=anystyle)
    own = anystyle.embed(photo)
    between = anystyle.network(photo, anystyle.norms(0.5 * (one + own), 2.0))
    torch.testing.assert_close(half, torch.lerp(photo, between, 0.5**ghiasi.EVEN), rtol=0, atol=3e-5)
    assert torch.equal(ghiasi.stylize(photo, styles[0], replace(config, alpha=0), model=anystyle), photo)
    assert (ghiasi.stylize(photo, styles[0], replace(config, style_weight=0.5), model=anystyle) - mixed).abs().max() > 1e-3
    left = torch.zeros(1, 1, 173, 267)
    left[..., :100] = 1
    parted = ghiasi.stylize(photo, styles, config, masks=[left], model=anystyle)
    torch.testing.assert_close(parted[..., :90], ghiasi.stylize(photo, styles[0], config, model=anystyle)[..., :90])
    torch.testing.assert_close(parted[..., 110:], ghiasi.stylize(photo, styles[1], config, model=anystyle)[..., 110:])
    with pytest.raises(StyleLoomError, match="style_weight is 5"):
        ghiasi.configure(style_weight=5)


def test_reach_is_how_far_a_pixel_looks(anystyle: ghiasi.AnyStyle) -> None:
    network = anystyle.network
    norms = anystyle.norms(torch.zeros(1, 6))
    image = torch.rand(1, 3, 304, 304)
    statistics = network.statistics(image, norms)
    image.requires_grad_()
    network(image, norms, statistics)[0, :, 152, 152].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().amax((0, 1, 3)).nonzero().flatten()
    assert max(152 - int(rows.min()), int(rows.max()) - 152) <= network.reach


def test_a_batch_changes_nothing(
    painter: adain.AdaIN, pastiche: dumoulin.StyleNet, anystyle: ghiasi.AnyStyle, photo: Tensor
) -> None:
    batch, style = torch.cat([photo, photo.flip(3) ** 2]), torch.rand(1, 3, 48, 48)
    for paint in (
        lambda content: adain.stylize(content, style, model=painter),
        lambda content: dumoulin.stylize(content, "b", model=pastiche),
        lambda content: ghiasi.stylize(content, style, model=anystyle),
        lambda content: ghiasi.stylize(content, style, ghiasi.configure(alpha=0.6), model=anystyle),
    ):
        torch.testing.assert_close(paint(batch)[1:], paint(batch[1:]), rtol=0, atol=5e-4)  # sums of other lengths


@pytest.mark.parametrize("method", [johnson, dumoulin])
def test_styles_of_a_network_cannot_be_recolored(method: Any) -> None:
    with pytest.raises(StyleLoomError, match="recolors style images"):
        method.configure(keep_color="matching")


def test_keep_color_and_alpha(network: transform_net.TransformNet, photo: Tensor) -> None:
    kept = johnson.stylize(photo, network, johnson.JohnsonConfig(keep_color="luminance"))
    inside = ((kept > 0.01) & (kept < 0.99)).all(1, keepdim=True)
    chroma = lambda image: color.rgb_to_yiq(image)[:, 1:]  # noqa: E731
    assert ((chroma(kept) - chroma(photo)).abs() * inside).max() < 1e-4
    torch.testing.assert_close(johnson.stylize(photo, network, johnson.JohnsonConfig(alpha=0)), photo)


@pytest.mark.parametrize("keep_color", ["luminance", "matching"])
def test_kept_colors_bring_the_light_of_the_photograph(photo: Tensor, keep_color: str) -> None:
    """Where brightness has a veil of another brightness over it, the veil goes and the brushwork stays."""
    ramp = torch.linspace(0.3, 0.7, photo.shape[-1]).expand(1, 3, photo.shape[-2], -1)
    brushwork = 0.05 * (torch.arange(photo.shape[-1]) % 2 * 2 - 1)
    veiled = (ramp + brushwork + torch.linspace(-0.2, 0.2, photo.shape[-2])[:, None]).clamp(0, 1)
    lit = color.keep_light(veiled.clone(), ramp, keep_color)
    before, after = ((each - brushwork - ramp).abs().mean() for each in (veiled, lit))
    assert after < 0.1 * before
    inner = (lit - lit.mean((2, 3), keepdim=True))[..., 8:-8, 8:-8]
    assert float((inner[..., 1:] - inner[..., :-1]).abs().mean()) > 0.08  # of 0.1 from stripe to stripe
    whole, below = (veiled * 255).round().byte(), (ramp * 255).round().byte()
    torch.testing.assert_close(color.keep_light(whole, below, keep_color) / 255, lit, atol=0.005, rtol=0)
    assert color.keep_light(veiled, ramp, "none") is veiled


Make = Callable[[], nn.Module]
Save = Callable[..., None]
Load = Callable[[Path], nn.Module]
SAVED: list[tuple[Make, Save, Load]] = [
    (lambda: transform_net.TransformNet(width=4), johnson.save, johnson.load),
    (lambda: dumoulin.StyleNet(["x", "y"], width=4), dumoulin.save, dumoulin.load),
    (lambda: adain.AdaIN(Features(convs=(2, 2, 3, 1), widths=(4, 4, 4, 4))), lambda model, path: model.save(path), adain.load),
    (lambda: adain.AdaIN(sl.load_features(), source="vgg19-lite"), lambda model, path: model.save(path), adain.load),
    (
        lambda: ghiasi.AnyStyle(sl.load_features(), source="vgg19-lite", width=4, deep_width=8),
        lambda model, path: model.save(path),
        ghiasi.load,
    ),
]


@pytest.mark.parametrize(
    ("make", "save", "load"), SAVED, ids=["johnson", "dumoulin", "adain", "adain without its encoder", "ghiasi"]
)
def test_files(
    make: Callable[[], nn.Module], save: Callable[..., None], load: Callable[[Path], nn.Module], tmp_path: Path
) -> None:
    model = make()
    save(model, tmp_path / "m.safetensors")
    for name, value in load(tmp_path / "m.safetensors").state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name].half().float())


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    johnson.save(transform_net.TransformNet(width=4), tmp_path / "m.safetensors")
    with pytest.raises(StyleLoomError, match="holds 'johnson', wanted a model of kind 'adain'"):
        adain.load(tmp_path / "m.safetensors")


def test_mistakes(pastiche: dumoulin.StyleNet, photo: Tensor) -> None:
    with pytest.raises(StyleLoomError, match=r"unknown styles \['z'\]; this network has a, b, c"):
        dumoulin.stylize(photo, "z", model=pastiche)
    with pytest.raises(StyleLoomError, match="by name"):
        sl.stylize(photo, photo, method="dumoulin", model=pastiche)
    with pytest.raises(StyleLoomError, match="no such image: nowhere"):
        sl.stylize(photo, "nowhere", method="adain")
    with pytest.raises(StyleLoomError, match="alpha is 2"):
        sl.stylize(photo, photo, method="adain", alpha=2)
    with pytest.raises(StyleLoomError, match="tile is 100"):
        adain.configure(tile=100)
    with pytest.raises(StyleLoomError, match="unknown method 'magic'; choose one of gatys, johnson, dumoulin, ghiasi, adain"):
        sl.stylize(photo, photo, method="magic")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six small photographs."""
    (tmp_path / "photos").mkdir()
    for index in range(6):
        torch.manual_seed(index)
        images.write(images.resize(torch.rand(1, 3, 4, 5), (48, 60)), tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def test_trainings_learn_and_resume_exactly(folder: Path, tmp_path: Path) -> None:
    short: dict[str, Any] = dict(num_steps=24, batch=2, size=32, save_every=12, sample_every=24)
    style = images.resize(torch.rand(1, 3, 5, 5), (40, 40))
    decoding = adain.AdaINRecipe(optimizer="adam", decay="paper", lr=5e-3, **short)
    sizes: dict[str, Any] = dict(embedding=8, hidden=8, width=4, blocks=1, deep_blocks=1, deep_width=8)
    painting = ghiasi.GhiasiRecipe(**(short | sizes | dict(size=64)), lr=2e-2, own_style=0.0)
    loops: dict[str, Callable[..., Iterator[TrainingStep]]] = {
        "johnson": lambda **options: johnson.train(folder, style, johnson.JohnsonRecipe(width=4, **short), **options),
        "dumoulin": lambda **options: dumoulin.train(
            folder,
            {"one": style, "two": 1 - style},
            dumoulin.DumoulinRecipe(width=4, lr=5e-3, **short),
            **options,
        ),
        "adain": lambda **options: adain.train(folder, [folder], decoding, **options),
        "ghiasi": lambda **options: ghiasi.train(folder, folder, painting, **options),
    }
    for name, train in loops.items():
        losses = [sum(tick.losses.values()) for tick in train(run=Run(tmp_path / name))]
        assert sum(losses[-5:]) < 0.8 * sum(losses[:5]), name
        half = tmp_path / f"{name}-half"
        for tick in train(run=Run(half)):
            if tick.index == 15:  # three steps after the checkpoint
                break
        list(train(run=Run(half, resume=True)))
        whole, resumed = (read_tensors(out / "model.safetensors")[0] for out in (tmp_path / name, half))
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name
        assert (half / "samples" / "000024.png").exists()


def test_a_style_is_added_by_its_own_numbers(folder: Path, pastiche: dumoulin.StyleNet, tmp_path: Path) -> None:
    style = images.resize(torch.rand(1, 3, 5, 5), (40, 40))
    recipe = dumoulin.DumoulinRecipe(num_steps=6, batch=2, size=32, lr=1e-2, save_every=6, sample_every=6)
    list(dumoulin.train(folder, {"new": style}, recipe, run=Run(tmp_path / "run"), base=pastiche))
    added = dumoulin.load(tmp_path / "run" / "model.safetensors")
    for own, theirs in zip(added.network.parameters(), pastiche.network.parameters(), strict=True):
        assert torch.equal(own, theirs.half().float())
    assert not torch.allclose(added.gamma[0], pastiche.gamma[0].mean(0), atol=1e-3)
    dumoulin.save(pastiche, tmp_path / "base.safetensors")
    joined = dumoulin.join(dumoulin.load(tmp_path / "base.safetensors"), added)
    assert joined.styles == ("a", "b", "c", "new")
    content = F.interpolate(style, (32, 32))
    torch.testing.assert_close(dumoulin.stylize(content, "new", model=joined), dumoulin.stylize(content, "new", model=added))


def test_bf16_is_near_fp32(
    painter: adain.AdaIN,
    pastiche: dumoulin.StyleNet,
    anystyle: ghiasi.AnyStyle,
    network: transform_net.TransformNet,
    photo: Tensor,
    monkeypatch: Any,
) -> None:
    settings, style = {"precision": "bf16"}, torch.rand(1, 3, 48, 48)
    paints: list[Callable[[dict[str, Any]], Tensor]] = [
        lambda given: adain.stylize(photo, style, adain.AdaINConfig(**given), model=painter),
        lambda given: dumoulin.stylize(photo, "b", dumoulin.DumoulinConfig(**given), model=pastiche),
        lambda given: ghiasi.stylize(photo, style, ghiasi.GhiasiConfig(**given), model=anystyle),
        lambda given: johnson.stylize(photo, network, johnson.JohnsonConfig(**given)),
    ]
    monkeypatch.setattr(precision, "bf16_is_fast", lambda: False)
    with pytest.raises(StyleLoomError, match="no bf16 instructions"):
        paints[0](settings)
    monkeypatch.setattr(precision, "bf16_is_fast", lambda: True)
    for paint in paints:
        full = paint({})
        for tile in (0, 64):
            half = paint(settings | {"tile": tile})
            assert half.dtype == torch.float32
            assert 0 < (half - full).abs().mean() < 3 / 255  # narrow random networks magnify it; tests/test_zoo.py has 1 / 255
        torch.testing.assert_close(paint({}), full, rtol=0, atol=0)  # the network itself is as it was


def test_the_styles_of_a_network_may_be_trained_further(pastiche: dumoulin.StyleNet, photo: Tensor, tmp_path: Path) -> None:
    images.write(photo, tmp_path / "photo.png")
    recipe = dumoulin.DumoulinRecipe(num_steps=1, batch=2, size=32, ema_decay=0)
    styles = {name: torch.rand(1, 3, 48, 48) for name in pastiche.styles}
    for _ in dumoulin.train(tmp_path, styles, recipe, run=Run(tmp_path / "run"), base=pastiche):
        pass
    found = dumoulin.load(tmp_path / "run" / "model.safetensors")
    for one, other in zip(found.parameters(), pastiche.parameters(), strict=True):
        assert 0 < (one - other).abs().max() < 0.05


def test_training_may_start_from_a_trained_network(
    painter: adain.AdaIN, network: transform_net.TransformNet, photo: Tensor, tmp_path: Path
) -> None:
    images.write(photo, tmp_path / "photo.png")
    settings: dict[str, Any] = dict(num_steps=1, batch=2, size=32, lr=1e-12, ema_decay=0)
    for _ in adain.train(tmp_path, tmp_path, adain.AdaINRecipe(**settings), run=Run(tmp_path / "a"), base=painter):
        pass
    style = torch.rand(1, 3, 48, 48)
    found = adain.stylize(photo, style, adain.configure(model=str(tmp_path / "a" / "model.safetensors")))
    torch.testing.assert_close(found, adain.stylize(photo, style, model=painter), rtol=0, atol=0.01)  # half precision
    for _ in johnson.train(tmp_path, style, johnson.JohnsonRecipe(**settings), run=Run(tmp_path / "j"), base=network):
        pass
    found = johnson.stylize(photo, tmp_path / "j" / "model.safetensors")
    torch.testing.assert_close(found, johnson.stylize(photo, network), rtol=0, atol=0.01)


@pytest.mark.parametrize("size", [(2, 3), (1, 500), (4, 40), (7, 7), (24, 33000)])
def test_thin_images(
    size: tuple[int, int],
    painter: adain.AdaIN,
    pastiche: dumoulin.StyleNet,
    anystyle: ghiasi.AnyStyle,
    network: transform_net.TransformNet,
) -> None:
    """An image of any shape is painted, or refused in one line."""
    content, style = torch.rand(1, 3, *size), torch.rand(1, 3, 48, 48)
    paints: list[Callable[[], Tensor]] = [
        lambda: johnson.stylize(content, network),
        lambda: dumoulin.stylize(content, "a", model=pastiche),
        lambda: ghiasi.stylize(content, style, model=anystyle),
        lambda: adain.stylize(content, style, model=painter),
    ]
    for paint in paints:
        try:
            painted = paint()
        except StyleLoomError as error:
            assert "too small" in str(error)
        else:
            assert painted.shape == content.shape and painted.isfinite().all()


def test_strokes_of_another_size(
    painter: adain.AdaIN, anystyle: ghiasi.AnyStyle, network: transform_net.TransformNet, photo: Tensor
) -> None:
    """Painted small and enlarged; what is carried up is the photograph's own detail, and nothing where there is none."""
    style = torch.rand(1, 3, 48, 48)
    smooth = images.resize(images.resize(photo, (8, 12)), photo.shape[-2:])
    paints: list[Callable[[Tensor, int], Tensor]] = [
        lambda content, size: johnson.stylize(content, network, johnson.configure(stroke_size=size)),
        lambda content, size: ghiasi.stylize(content, style, ghiasi.configure(stroke_size=size), model=anystyle),
        lambda content, size: adain.stylize(content, style, adain.configure(stroke_size=size), model=painter),
    ]
    for paint in paints:
        differences = []
        for content in (smooth, photo):
            enlarged = images.resize(paint(images.resize_to_fit(content, 128), 0), content.shape[-2:])
            differences.append((paint(content, 128) - enlarged.clamp(0, 1)).abs().mean())
        assert differences[0] < 0.5 * differences[1]
        torch.testing.assert_close(paint(photo, 4000), paint(photo, 0))


def test_settings_that_would_do_nothing(
    folder: Path, pastiche: dumoulin.StyleNet, network: transform_net.TransformNet, tmp_path: Path
) -> None:
    """What the network to start from has decided cannot be asked for; dumoulin has no options of johnson's layers."""
    style = torch.rand(1, 3, 40, 40)
    other: list[dict[str, Any]] = [dict(width=8), dict(upsample="transpose"), dict(padding="border"), dict(output="tanh")]
    for changed in other:
        recipe = johnson.JohnsonRecipe(num_steps=1, batch=2, size=32, **changed)
        with pytest.raises(StyleLoomError, match=f"{next(iter(changed))} is .* the network to start from has"):
            list(johnson.train(folder, style, recipe, run=Run(tmp_path / "j"), base=network))
    with pytest.raises(StyleLoomError, match="width is 16, and the network to start from has 4"):
        list(
            dumoulin.train(
                folder, {"new": style}, dumoulin.DumoulinRecipe(num_steps=1, width=16), run=Run(tmp_path / "d"), base=pastiche
            )
        )
    assert not {"upsample", "padding", "output"} & {each.name for each in fields(dumoulin.DumoulinRecipe)}
