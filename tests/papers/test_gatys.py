"""Painting with a tiny network: the loss falls, runs resume exactly, controls do what they say."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data.color import rgb_to_yiq
from styleloom.data.images import resize
from styleloom.nn.losses import moments, wasserstein_loss
from styleloom.nn.vgg import Features
from styleloom.papers import gatys

CONFIG = gatys.configure(
    size=32,
    first_size=16,
    first_steps=6,
    steps=4,
    content_layers=("relu2_1",),
    style_layers=("relu1_1", "relu2_1"),
)
LBFGS = replace(CONFIG, optimizer="lbfgs", lr=1.0, ema_decay=0.0, style_loss="gram")


@pytest.fixture
def style() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return resize(torch.rand(1, 3, 10, 10, generator=generator), (40, 36))


@pytest.mark.parametrize("config", [CONFIG, LBFGS], ids=["adam", "lbfgs"])
def test_the_loss_falls_at_every_scale(tiny: Features, image: Tensor, style: Tensor, config: gatys.GatysConfig) -> None:
    config = replace(config, first_steps=25, steps=25)
    totals: dict[tuple[int, int], list[float]] = {}
    for step in gatys.steps(image, style, config, features=tiny):
        totals.setdefault(step.size, []).append(step.losses["total"])
    assert list(totals) == [(12, 16), (17, 23), (24, 32)]
    first = totals[12, 16]
    assert first[-1] < 0.5 * first[0]
    assert all(min(values[-5:]) <= values[0] for values in totals.values())
    assert step.index == step.total == 75 and step.image.shape == (1, 3, 24, 32)
    assert step.image.min() >= 0 and step.image.max() <= 1


@pytest.mark.parametrize("stop", [1, 6, 7, 10, 13, 14])
@pytest.mark.parametrize("config", [CONFIG, LBFGS], ids=["adam", "lbfgs"])
def test_resumed_is_uninterrupted(
    tmp_path: Path, tiny: Features, image: Tensor, style: Tensor, config: gatys.GatysConfig, stop: int
) -> None:
    whole = gatys.stylize(image, style, config, features=tiny)
    state = tmp_path / "run.state"
    for step in gatys.steps(image, style, config, features=tiny, state=state, state_every=1):
        if step.index == stop:
            break
    rest = list(gatys.steps(image, style, config, features=tiny, state=state, state_every=1))
    assert [step.index for step in rest] == (list(range(stop + 1, 15)) or [14])
    assert torch.equal(rest[-1].image, whole)


def test_a_state_of_another_run_is_refused(tmp_path: Path, tiny: Features, image: Tensor, style: Tensor) -> None:
    state = tmp_path / "run.state"
    next(iter(gatys.steps(image, style, CONFIG, features=tiny, state=state, state_every=1)))
    with pytest.raises(StyleLoomError, match="belongs to a run with other images or settings"):
        next(iter(gatys.steps(image, 1 - style, CONFIG, features=tiny, state=state)))


def test_a_seed_gives_the_same_image_in_any_batch(tiny: Features, image: Tensor, style: Tensor) -> None:
    config = replace(CONFIG, init="noise", seed=5)
    alone = gatys.stylize(image, style, config, features=tiny)
    batch = gatys.stylize(torch.cat([1 - image, image]), style, config, features=tiny)
    assert torch.equal(batch[1:], alone)
    assert not torch.equal(alone, gatys.stylize(image, style, replace(config, seed=6), features=tiny))


def test_lbfgs_keeps_the_image_of_lowest_loss(tiny: Features, image: Tensor, style: Tensor) -> None:
    config = replace(LBFGS, first_size=32, first_steps=12)
    losses, images, before = [], [], resize(image, (24, 32))
    for step in gatys.steps(image, style, config, features=tiny):
        losses.append(step.losses["total"])
        images.append(step.image)
    lowest = losses.index(min(losses))
    assert torch.equal(images[-1], images[lowest])
    assert torch.equal(images[0], before)  # the only one whose loss is known after a step is the one it began with


def test_shares_of_styles(tiny: Features, image: Tensor, style: Tensor) -> None:
    other = 1 - style
    both = gatys.stylize(image, [style, other], CONFIG, features=tiny, weights=[1, 0])
    assert torch.allclose(both, gatys.stylize(image, style, CONFIG, features=tiny), atol=1e-4)
    half = gatys.stylize(image, [style, other], CONFIG, features=tiny)
    assert not torch.allclose(both, half, atol=1e-2)


def test_a_style_is_painted_where_its_mask_is(tiny: Features, image: Tensor) -> None:
    red, blue = (
        torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 24, 32).clone() for color in ([0.9, 0.1, 0.1], [0.1, 0.1, 0.9])
    )
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., :16] = 1
    config = replace(CONFIG, first_size=32, first_steps=120, content_weight=0.0, tv_weight=0.0)
    painted = gatys.stylize(image, [red, blue], config, features=tiny, masks=[mask])
    left, right = painted[..., 2:13].mean((0, 2, 3)), painted[..., 19:30].mean((0, 2, 3))
    assert left[0] > left[2] + 0.25 and right[2] > right[0] + 0.25


def test_luminance_keeps_the_colors_of_the_content(tiny: Features, style: Tensor) -> None:
    content = 0.45 + 0.1 * torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    painted = gatys.stylize(content, style, replace(CONFIG, keep_color="luminance", size=32), features=tiny)
    inside = (painted > 0).all(1) & (painted < 1).all(1)
    difference = (rgb_to_yiq(painted)[:, 1:] - rgb_to_yiq(content)[:, 1:]).abs().amax(1)
    assert inside.float().mean() > 0.9 and difference[inside].max() < 1e-4


def test_matching_recolors_the_style(tiny: Features, image: Tensor, style: Tensor) -> None:
    plain = gatys.stylize(image, style, replace(CONFIG, first_steps=40), features=tiny)
    matched = gatys.stylize(image, style, replace(CONFIG, first_steps=40, keep_color="matching"), features=tiny)
    wanted = image.mean((0, 2, 3))
    assert (matched.mean((0, 2, 3)) - wanted).norm() < (plain.mean((0, 2, 3)) - wanted).norm()


def test_starts_where_it_is_told(tiny: Features, image: Tensor, style: Tensor) -> None:
    start = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(2))
    config = replace(LBFGS, first_size=32, first_steps=1)
    assert torch.equal(gatys.stylize(image, style, config, features=tiny, init=start), start)


def test_presets_name_layers_of_vgg19() -> None:
    network = Features(widths=(1,) * 5)
    for preset in gatys.PRESETS.values():
        network.check_layers([*preset.content_layers, *preset.style_layers])
    paper = gatys.PRESETS["paper"]
    assert (paper.optimizer, paper.pooling, paper.init, paper.style_weight / paper.content_weight) == (
        "lbfgs",
        "average",
        "noise",
        1e3,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; choose one of lbfgs, adam"),
        ({"style_loss": "x"}, "unknown style_loss 'x'; choose one of gram, wasserstein"),
        ({"size": -1}, "size is -1; it must be a whole number, at least 0"),
        ({"content_weight": -1.0}, "content_weight is -1.0"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "both 0"),
        ({"style_layer_weights": (1.0,)}, "2 style_layers but 1 style_layer_weights"),
        ({"style_layer_weights": (0.0, 0.0)}, "not all 0"),
        ({"style_layers": ()}, "no style_layers"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"lr": float("nan")}, "lr is nan"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(StyleLoomError, match=message):
        replace(CONFIG, **settings)  # type: ignore[arg-type]


def test_unknown_presets_and_settings() -> None:
    with pytest.raises(StyleLoomError, match="unknown preset 'bets'; choose one of best, draft"):
        gatys.configure("bets")
    with pytest.raises(StyleLoomError, match=r"unknown settings \['stpes'\]"):
        gatys.configure(stpes=3)
    assert gatys.configure(style_layers=("relu1_1", "relu2_1")).layer_shares() == [0.5, 0.5]


def test_inputs_that_do_not_fit(tiny: Features, image: Tensor, style: Tensor) -> None:
    mask = torch.ones(1, 1, 24, 32)
    wrong: list[tuple[dict[str, object], str]] = [
        ({"masks": [mask[..., :-1], mask]}, r"mask 1 has shape \[1, 1, 24, 31\]; wanted \[1, 1, 24, 32\]"),
        ({"masks": [mask] * 3}, "3 masks for 2 styles"),
        ({"masks": [mask, 0 * mask]}, "mask 2 is empty"),
        ({"masks": [mask]}, "mask 2 is empty"),
        ({"weights": [0, 0]}, "not all 0"),
        ({"weights": [1, -1]}, "must be 0 or above"),
        ({"weights": [1]}, "1 weights for 2 styles"),
        ({"init": image[0]}, r"init is .* of shape \[3, 24, 32\]"),
    ]
    for options, message in wrong:
        with pytest.raises(StyleLoomError, match=message):
            gatys.stylize(image, [style, style], CONFIG, features=tiny, **options)
    with pytest.raises(StyleLoomError, match="no style image"):
        gatys.stylize(image, [], CONFIG, features=tiny)
    with pytest.raises(StyleLoomError, match=r"wanted a float \[1, 3, H, W\]"):
        gatys.stylize((image * 255).to(torch.uint8), style, CONFIG, features=tiny)
    with pytest.raises(StyleLoomError, match="smaller than 2 pixels, which the layers need, at size 1; give a size of 3"):
        gatys.stylize(image, style, replace(CONFIG, size=1), features=tiny)
    with pytest.raises(StyleLoomError, match="unknown layers"):
        gatys.stylize(image, style, replace(CONFIG, content_layers=("relu4_2",)), features=tiny)


def test_a_result_has_no_frame() -> None:
    """The border is no more saturated than the inside, as far as photograph and style are not."""

    def edge_to_inside(image: Tensor) -> float:
        saturation = (image.amax(1) - image.amin(1))[0]
        edge = torch.ones_like(saturation, dtype=torch.bool)
        edge[4:-4, 4:-4] = False
        return float(saturation[edge].mean() / saturation[~edge].mean())

    content, style = sl.resize_to_fit(sl.bundled("cat"), 144), sl.draw("wave", 144)
    settings: dict[str, Any] = dict(size=0, first_size=100, first_steps=40, steps=30)
    ratios = {margin: edge_to_inside(sl.stylize(content, style, margin=margin, **settings)) for margin in (0, 12)}
    allowed = 1.25 * max(edge_to_inside(content), edge_to_inside(style))
    assert ratios[12] < allowed < ratios[0], (ratios, allowed)


def test_the_photographs_size_is_kept() -> None:
    photo = torch.rand(1, 3, 50, 70)
    settings: dict[str, Any] = dict(first_size=70, first_steps=1, content_layers=("relu1_1",), style_layers=("relu1_1",))
    assert sl.stylize(photo, photo, **settings).shape == photo.shape
    large = gatys.steps(torch.rand(1, 3, 8, 1200), photo, gatys.configure(**(settings | dict(first_size=1024))))
    assert next(large).image.shape == (1, 3, 7, 1024)


def test_a_content_mask_keeps_what_it_shows(tiny: Features, image: Tensor) -> None:
    """The content's features are nearer where the mask is white, and the objective is the weighted mean of squares."""
    style = image.flip(1).roll(5, 3)
    layers: dict[str, Any] = dict(
        content_layers=("relu1_2",), style_layers=("relu1_1", "relu2_1"), style_layer_weights=(1.0, 1.0)
    )
    config = gatys.GatysConfig(size=32, first_size=32, first_steps=40, content_weight=0.02, margin=0, **layers)
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., :16] = 1
    errors = {}
    for name, kept in (("without", None), ("with", mask)):
        painted = gatys.stylize(image, style, config, features=tiny, content_mask=kept)
        difference = (tiny(painted, ["relu1_2"])["relu1_2"] - tiny(image, ["relu1_2"])["relu1_2"]).square()
        errors[name] = float(difference[..., :14].mean()), float(difference[..., 18:].mean())
    assert errors["with"][0] < 0.6 * errors["without"][0] and errors["with"][1] > 0.8 * errors["without"][1]
    losses = next(gatys.steps(image, style, config, features=tiny, content_mask=mask, init=style)).losses
    loose, features = 1 - 0.9 * mask, tiny(style, config.style_layers)
    terms = []
    for layer in config.style_layers:
        area = torch.nn.functional.interpolate(loose, features[layer].shape[-2:], mode="area")
        terms.append(wasserstein_loss(moments(features[layer], area), moments(features[layer])) / 2)
    assert losses["style"] == pytest.approx(float(sum(terms)), rel=1e-3) and losses["style"] > 0
    first = losses["content"]
    x, y = (tiny(each, ["relu1_2"])["relu1_2"].double() for each in (style, image))
    weight = 1 + 8 * mask.double()
    assert first == pytest.approx(0.02 * float((weight * (x - y).square()).mean() / y.square().mean()), rel=1e-4)
    with pytest.raises(StyleLoomError, match="content_mask has shape"):
        next(gatys.steps(image, style, config, features=tiny, content_mask=mask[..., :5]))


def test_a_scale_that_diverges_does_not_spoil_the_next(
    tiny: Features, image: Tensor, style: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = gatys.objective_of, list[int]()

    def spoiled(*given: Any) -> Any:
        objective = real(*given)

        def evaluate(canvas: Tensor) -> Any:
            calls.append(1)
            losses = objective(canvas)
            return {name: loss * float("nan") for name, loss in losses.items()} if len(calls) == 3 else losses

        return evaluate

    monkeypatch.setattr(gatys, "objective_of", spoiled)
    *_, last = gatys.steps(image, style, CONFIG, features=tiny)
    assert last.image.isfinite().all() and all(math.isfinite(value) for value in last.losses.values())
