"""Inversion against plain formulas, and what must hold of batches, starts, stops and resumed runs."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.loops.eigenbasis import Eigenbasis, eigenbasis
from styleloom.nn.vgg import Features
from styleloom.papers import image2stylegan, stylegan2
from styleloom.papers.image2stylegan import LAYERS, OPTIMIZERS, InversionConfig, Objective, steps
from styleloom.papers.image2stylegan.objective import noise_regularizer

SIDE = 16


@pytest.fixture(scope="module")
def targets(generator: stylegan2.Generator) -> Tensor:
    return generator.generate([3, 4, 5])


@pytest.fixture(scope="module")
def basis(generator: stylegan2.Generator) -> Eigenbasis:
    *_, last_one = eigenbasis(generator, lambda image: [(image, 1.0)], samples=64)
    assert last_one.basis is not None
    return last_one.basis


def last(*arguments: Any, **options: Any) -> image2stylegan.InversionStep:
    *_, found = steps(*arguments, **options)
    return found


def test_terms_are_their_formulas(generator: stylegan2.Generator, features: Features, targets: Tensor) -> None:
    values = dict(pixel=2.0, perceptual=0.5, feature_distance=0.3, prior=0.1, in_domain=0.2)
    weights = {f"{name}_weight": value for name, value in values.items()}
    ws = generator.map([7, 8, 9])

    def encoder(image: Tensor) -> Tensor:
        return image.mean((2, 3)).sum(1)[:, None, None].expand_as(ws)

    image, terms = Objective(generator, targets, features, InversionConfig(**weights), encoder=encoder)(ws)  # type: ignore[arg-type]
    raw = (generator.synthesis(ws, noise_mode="const") + 1) / 2
    torch.testing.assert_close(image, raw)
    for row in range(3):
        ours, wanted = features(raw[row : row + 1], LAYERS), features(targets[row : row + 1], LAYERS)
        pairs = [(ours[layer], wanted[layer]) for layer in LAYERS]
        unit = [tuple(each / each.norm(dim=1, keepdim=True) for each in pair) for pair in pairs]
        plain = dict(
            pixel=2.0 * F.mse_loss(raw[row], targets[row]),
            perceptual=0.5 * sum(F.mse_loss(a, b) for a, b in pairs) / 4,
            feature_distance=0.3 * sum((a - b).square().sum(1).mean() for a, b in unit),
            prior=0.1 * (ws[row] - generator.w_avg).square().mean(),
            in_domain=0.2 * (ws[row] - raw[row].mean((1, 2)).sum()).square().mean(),
        )
        for name, value in plain.items():
            torch.testing.assert_close(terms[name][row], torch.as_tensor(value), rtol=1e-4, atol=1e-6)


def test_a_mask_leaves_only_what_it_shows(generator: stylegan2.Generator, features: Features, targets: Tensor) -> None:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., :8] = 1
    ws = generator.map([7, 8, 9])
    config = InversionConfig(perceptual_weight=0)
    found = Objective(generator, targets, features, config, masks=mask)(ws)[1]["pixel"]
    image = (generator.synthesis(ws, noise_mode="const") + 1) / 2
    torch.testing.assert_close(found, (image - targets)[..., :8].square().mean((1, 2, 3)))
    changed = targets.clone()
    changed[..., 8:] = 0
    torch.testing.assert_close(Objective(generator, changed, features, config, masks=mask)(ws)[1]["pixel"], found)


@torch.no_grad()
def test_features_do_not_see_what_a_mask_hides(generator: stylegan2.Generator, features: Features) -> None:
    """Latents that make what is shown have no loss, whatever a target has elsewhere, and one mask an image may differ."""
    ws = generator.map([7, 8])
    image = (generator.synthesis(ws, noise_mode="const") + 1) / 2
    masks = torch.zeros(2, 1, SIDE, SIDE)
    masks[0, :, :, :8], masks[1, :, 8:] = 1, 0.5
    hidden = torch.where(masks > 0, image, torch.rand(2, 3, SIDE, SIDE))
    config = InversionConfig(feature_distance_weight=1.0)
    terms = Objective(generator, hidden, features, config, masks=masks)(ws)[1]
    assert set(terms) == {"pixel", "perceptual", "feature_distance"} and all(float(term.max()) < 1e-9 for term in terms.values())
    shown = hidden.clone()
    shown[:, :, 12:, :4] = 1 - shown[:, :, 12:, :4]
    assert all(float(term.min()) > 1e-4 for term in Objective(generator, shown, features, config, masks=masks)(ws)[1].values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_comes_nearer(
    name: str, generator: stylegan2.Generator, features: Features, targets: Tensor, basis: Eigenbasis
) -> None:
    eigen = name == "adam-eigenbasis"
    for space, init in (("w_plus", "mean"), ("w", "random"), ("z", "random"))[: 1 if eigen else 3]:
        # Images of 16 px have far larger gradients.
        slower: dict[str, Any] = {name: dict(lr=lr) for name, lr in (("sgd", 10.0), ("nag", 3.0))}.get(name, {})
        chosen = image2stylegan.configure(optimizer=name, num_steps=30, space=space, init=init, **slower)
        found = list(steps(generator, targets[:1], chosen, features=features, basis=basis))
        assert found[-1].each[0] < 0.8 * found[0].each[0], space
        assert found[-1].ws.shape == (1, generator.num_ws, 8)


BOTH = ("toonfaces_64", "portraits_64")


@pytest.mark.parametrize(
    ("name", "models"),
    [*((name, BOTH[:1]) for name in ("sgd", "nag", "adagrad", "rmsprop", "lbfgs")), ("adam", BOTH), ("adam-eigenbasis", BOTH)],
)
def test_tuned_settings_are_those_that_were_found(name: str, models: tuple[str, ...]) -> None:
    """The best on all of these by ``benchmarks/inversion.py --tune``, which tries the same settings on each."""
    scores: dict[str, float] = {}
    for model in models:
        file = Path(__file__).parents[2] / "benchmarks" / "results" / f"inversion_{model}_tuning.json"
        for trial in json.loads(file.read_text())[name]["trials"]:
            settings = json.dumps(trial["settings"])
            scores[settings] = scores.get(settings, 0) + trial["score"]
    assert json.loads(min(scores, key=scores.__getitem__)) == {
        key: list(value) if isinstance(value, tuple) else value for key, value in OPTIMIZERS[name].tuned.items()
    }


def test_images_of_a_batch_do_not_meet(generator: stylegan2.Generator, features: Features, targets: Tensor) -> None:
    config = InversionConfig(num_steps=10)
    together = last(generator, targets, config, features=features)
    for row in range(3):
        alone = last(generator, targets[row : row + 1], config, features=features)
        torch.testing.assert_close(alone.ws[0], together.ws[row], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(alone.each[0], together.each[row], atol=1e-5, rtol=1e-3)


def test_an_image_that_rests_leaves_and_the_others_do_not_notice(
    generator: stylegan2.Generator, features: Features, targets: Tensor
) -> None:
    first = generator.map([3, 8, 9]).clone()  # the first is there already
    targets = torch.cat([(generator.synthesis(first[:1], noise_mode="const") + 1) / 2, targets[1:]])
    config = InversionConfig(num_steps=40, patience=3, tolerance=0.02, lr=0.02)
    found = list(steps(generator, targets, config, features=features, init=first))
    assert found[0].active == (0, 1, 2) and 0 not in found[8].active and 1 in found[8].active
    torch.testing.assert_close(found[-1].ws[0], first[0])  # the best it had
    others = list(steps(generator, targets[1:], config, features=features, init=first[1:]))
    torch.testing.assert_close(others[8].ws[0], found[8].ws[1], atol=1e-3, rtol=1e-3)


def test_latents_to_start_from_may_be_of_another_precision_and_have_a_history(
    generator: stylegan2.Generator, features: Features, targets: Tensor
) -> None:
    first = generator.map([7, 8, 9])
    plain = last(generator, targets, InversionConfig(num_steps=2), features=features, init=first)
    found = last(
        generator, targets, InversionConfig(num_steps=2), features=features, init=first.double().requires_grad_(True) * 1
    )
    assert torch.equal(found.ws, plain.ws)


def test_losses_of_the_end_are_told(generator: stylegan2.Generator, features: Features, targets: Tensor) -> None:
    found = list(steps(generator, targets, InversionConfig(num_steps=4, lr=0.05), features=features))
    assert [step.index for step in found] == [1, 2, 3, 4, 4]
    assert found[-1].losses["total"] == pytest.approx(float(found[-1].each.sum()))
    terms = Objective(generator, targets, features, InversionConfig())(found[-1].ws)[1]
    torch.testing.assert_close(sum(terms.values()), found[-1].each)
    torch.testing.assert_close(found[-1].image, ((generator.synthesis(found[-1].ws, noise_mode="const") + 1) / 2).clamp(0, 1))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_resume_is_exact(
    optimizer: str, generator: stylegan2.Generator, features: Features, targets: Tensor, tmp_path: Path
) -> None:
    """Also of a batch that an image has left."""
    targets = targets[:1] if optimizer == "lbfgs" else targets
    config = InversionConfig(optimizer=optimizer, num_steps=12, patience=2, tolerance=0.2)
    whole = last(generator, targets, config, features=features)
    for step in steps(generator, targets, config, features=features, state=tmp_path / "run", state_every=5):
        if step.index == 7:  # two steps after the checkpoint
            break
    assert optimizer == "lbfgs" or len(step.active) < len(targets)
    found = last(generator, targets, config, features=features, state=tmp_path / "run", state_every=5)
    assert torch.equal(found.ws, whole.ws) and torch.equal(found.each, whole.each) and found.active == whole.active
    other = deepcopy(features)
    next(other.parameters()).mul_(2)
    for changed, network in ((InversionConfig(num_steps=9), features), (config, other)):
        with pytest.raises(StyleLoomError, match="run with other images or settings"):
            next(steps(generator, targets, changed, features=network, state=tmp_path / "run"))


def test_noise_follows_w_and_brings_the_image_nearer(
    generator: stylegan2.Generator, features: Features, targets: Tensor, tmp_path: Path
) -> None:
    generator = deepcopy(generator)
    for name, strength in generator.named_parameters():
        if name.endswith("noise_strength"):
            strength.data.fill_(0.3)
    config = InversionConfig(num_steps=6, noise_steps=8)
    found = list(steps(generator, targets, config, features=features))
    without, end = found[6], found[-1]
    assert torch.equal(without.ws, end.ws) and not without.noise and len(end.noise) == generator.num_ws - 1
    assert bool((end.each < 0.9 * without.each).all()) and end.index == end.total == 14
    terms = Objective(generator, targets, features, config)(end.ws, end.noise)[1]
    torch.testing.assert_close(sum(terms.values()), end.each)
    held = last(generator, targets, InversionConfig(num_steps=6, noise_steps=8, noise_weight=1.0), features=features)
    assert sum(noise_regularizer(held.noise)) < sum(noise_regularizer(end.noise))
    terms = Objective(generator, targets, features, config)(held.ws, held.noise)[1]
    torch.testing.assert_close(sum(terms.values()), held.each)  # what is told is how near the images are
    resting = last(generator, targets, InversionConfig(num_steps=40, noise_steps=2, patience=1, tolerance=1.0), features=features)
    assert len(resting.history) == 41 + 3 and torch.equal(resting.history[3], resting.history[40])
    drawn = (generator.synthesis(end.ws, noise=list(end.noise)) + 1) / 2
    torch.testing.assert_close(end.image, drawn.clamp(0, 1))
    for stop in (4, 10):  # in each of the two descents
        run = tmp_path / f"{stop}"
        for step in steps(generator, targets, config, features=features, state=run, state_every=2):
            if step.index == stop + 1:
                break
        again = last(generator, targets, config, features=features, state=run, state_every=2)
        assert all(torch.equal(a, b) for a, b in zip(again.noise, end.noise, strict=True)) and torch.equal(again.ws, end.ws)
    silent = stylegan2.Generator(8, 0, 8, 16, 3, synthesis_kwargs=dict(channel_base=64, channel_max=8, use_noise=False))
    with pytest.raises(StyleLoomError, match="this generator has no noise maps"):
        next(steps(silent, targets, config, features=features))


def test_the_regularizer_of_noise_is_its_formula() -> None:
    """Karras et al. 2020 (StyleGAN2), Appendix D, with plain sums."""
    torch.manual_seed(0)
    maps = [torch.randn(2, 1, 32, 32), torch.randn(2, 1, 8, 8)]
    wanted = np.zeros(2)
    for row in range(2):
        for each in maps:
            noise = each[row, 0].double().numpy()
            while True:
                side = len(noise)
                for down, right in ((1, 0), (0, 1)):
                    pairs = [noise[y, x] * noise[y - down, x - right] for y in range(side) for x in range(side)]
                    wanted[row] += (sum(pairs) / side**2) ** 2
                if side == 8:
                    break
                # Four numbers of unit variance have a mean of half of it.
                noise = noise.reshape(side // 2, 2, side // 2, 2).mean((1, 3)) * 2
    np.testing.assert_allclose(noise_regularizer(maps).numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(space="s"), "unknown space 's'; choose one of w_plus, w, z"),
        (dict(space="z"), "init is mean, which the space z has none of"),
        (dict(pixel_weight=0, perceptual_weight=0), "all 0, so nothing is asked for"),
        (dict(pixel_weight=float("nan")), "pixel_weight is nan"),
        (dict(lr=0.0), "lr is 0.0; it must be above 0"),
        (dict(noise_lr=-1.0), "noise_lr is -1.0; it must be above 0"),
        (dict(tolerance=float("nan")), "tolerance is nan"),
        (dict(num_steps=2.5), "num_steps is 2.5; it must be a whole number"),
        (dict(num_steps=-1), "num_steps is -1"),
        (dict(optimizer="newton"), "unknown optimizer 'newton'; choose one of sgd, nag"),
        (dict(optimizer="lbfgs"), "lbfgs inverts one image at a time, and 3 were given"),
        (dict(init="encoder"), "this generator has none; train one"),
        (dict(in_domain_weight=1.0), "this generator has no encoder; train one"),
        (dict(optimizer="adam-eigenbasis"), "adam-eigenbasis wants the generator's eigenbasis"),
    ],
)
def test_mistakes(
    change: dict[str, Any], message: str, generator: stylegan2.Generator, features: Features, targets: Tensor
) -> None:
    with pytest.raises(StyleLoomError, match=message):
        next(steps(generator, targets, InversionConfig(**change), features=features))
    with pytest.raises(StyleLoomError, match=r"init has shape \[1, 8\]; wanted \[3, 6, 8\] in the space w_plus"):
        next(steps(generator, targets, features=features, init=torch.zeros(1, 8)))


def test_an_empty_mask_and_an_image_that_is_none(generator: stylegan2.Generator, features: Features, targets: Tensor) -> None:
    with pytest.raises(StyleLoomError, match="the mask is black everywhere"):
        next(steps(generator, targets, features=features, masks=torch.zeros(1, 1, 8, 8)))
    with pytest.raises(StyleLoomError, match="the mask has values that are no numbers"):
        next(steps(generator, targets, features=features, masks=torch.full((1, 1, 8, 8), torch.nan)))
    classes = stylegan2.Generator(8, 2, 8, 16, 3, synthesis_kwargs=dict(channel_base=64, channel_max=8))
    untruth: Any = "faces.png"
    for maker, images, message in (
        (generator, targets[0], r"of shape \[3, 16, 16\]; wanted floats \[N, 3, H, W\]"),
        (generator, targets[:0], r"of shape \[0, 3, 16, 16\]; wanted floats"),
        (generator, targets * 255, r"images have values from .* to .*; wanted 0 to 1"),
        (generator, targets * torch.nan, "images have values from nan to nan; wanted 0 to 1"),
        (generator, untruth, "the images are a str; read them with"),
        (untruth, targets, "the generator is a str; load one with"),
        (classes, targets, "this generator has 2 classes"),
    ):
        with pytest.raises(StyleLoomError, match=message):
            next(steps(maker, images, features=features))
    for num_steps in (0, 1):
        with pytest.raises(StyleLoomError, match="not finite at the first step"):
            next(
                steps(
                    generator,
                    targets,
                    InversionConfig(num_steps=num_steps),
                    features=features,
                    init=torch.full((3, 6, 8), torch.nan),
                )
            )
