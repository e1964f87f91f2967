"""ProGAN, StyleGAN and StyleGAN2 as networks: options, growing, losses, seeds; and the official layout as an oracle."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmarks import official_stylegan2 as official
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.nn import generators, losses, resample
from styleloom.papers import progan, stylegan, stylegan2
from styleloom.papers.stylegan2 import architecture as stylegan2_architecture

SMALL: dict[str, Any] = dict(channel_base=64, channel_max=8)


def small(module: Any, **changes: Any) -> Any:
    torch.manual_seed(0)
    extra = {} if module is progan else dict(w_dim=8)
    return module.networks(type(module.RECIPES["64"])(**(SMALL | dict(resolution=16, z_dim=8) | extra | changes)))


@pytest.mark.parametrize("module", [progan, stylegan, stylegan2])
def test_a_seed_is_an_image_in_any_batch(module: Any) -> None:
    generator, _ = small(module)
    for noise_mode in ("const", "random"):
        several = generator.generate([5, 3, 7], noise_mode=noise_mode)
        assert several.shape == (3, 3, 16, 16)
        torch.testing.assert_close(generator.generate([3], noise_mode=noise_mode), several[1:2], atol=1e-5, rtol=0)
    z = np.random.RandomState(3).randn(1, 8)
    torch.testing.assert_close(generator.map([3]), generator.mapping(torch.from_numpy(z).float()))
    with pytest.raises(StyleLoomError, match="seed -1 is none"):
        generator.generate([-1])
    with pytest.raises(StyleLoomError, match="has no classes"):
        generator.generate([1], 2)


@pytest.mark.parametrize("module", [progan, stylegan, stylegan2])
def test_classes(module: Any) -> None:
    generator, discriminator = module.networks(type(module.RECIPES["64"])(**SMALL, resolution=8, z_dim=8), 3)
    several = generator.generate([1, 1], [0, 2])
    assert not torch.allclose(several[0], several[1])
    torch.testing.assert_close(generator.generate([1], 2), several[1:], atol=1e-5, rtol=0)
    with pytest.raises(StyleLoomError, match="wants a class: 0 to 2"):
        generator.generate([1])
    with pytest.raises(StyleLoomError, match="wanted one of 0 to 2 for each"):
        generator.generate([1], 3)
    assert discriminator(several, torch.eye(3)[:2]).shape == (2, 4 if module is progan else 1)


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        (progan, dict(pixel_norm=False)),
        (progan, dict(equalized=False)),
        (progan, dict(mbstd_group_size=0)),
        (stylegan, dict(blur=False)),
        (stylegan, dict(mapping_layers=0)),
        (stylegan, dict(styles=False, const_input=False)),
        (stylegan, dict(const_input=False)),
        (stylegan, dict(noise=False)),
        (stylegan2, dict(normalization="instance")),
        (stylegan2, dict(normalization="none")),
        (stylegan2, dict(architecture="orig", discriminator_architecture="orig")),
        (stylegan2, dict(architecture="resnet", discriminator_architecture="skip")),
    ],
)
def test_each_line_of_the_ablations_learns(module: Any, changes: dict[str, Any]) -> None:
    """A few steps of both networks: losses stay finite, every parameter that takes part gets a gradient."""
    generator, discriminator = small(module, **changes)
    z = torch.randn(4, 8)
    image = generator.synthesis(generator.mapping(z), noise_mode="random")
    assert image.shape == (4, 3, 16, 16)
    assert 1e-3 < float(image.detach().std()) < 1e3
    discriminator(image).mean().backward()
    unused = {name for name, p in generator.named_parameters() if p.grad is None}
    grown = {f"synthesis.b{side}.torgb.{part}" for side in (4, 8) for part in ("weight", "bias")}  # of lower levels
    assert unused <= grown
    assert all(p.grad.isfinite().all() for p in generator.parameters() if p.grad is not None)


def test_growing_fades_from_the_image_before_to_the_new_one() -> None:
    for module in (progan, stylegan):
        generator, discriminator = small(module)
        with torch.no_grad():
            ws = generator.map([1, 2])
            old, new = (generator.synthesis(ws, noise_mode="const", lod=lod) for lod in (1, 0))
            between = generator.synthesis(ws, noise_mode="const", lod=0.25)
            assert old.shape == (2, 3, 8, 8)
            wanted = 0.25 * F.interpolate(old, scale_factor=2, mode="nearest") + 0.75 * new
            torch.testing.assert_close(between, wanted, atol=1e-5, rtol=0)
            torch.testing.assert_close(
                discriminator(between, lod=0.999), discriminator(F.avg_pool2d(between, 2), lod=1), atol=1e-2, rtol=1e-2
            )
        with pytest.raises(StyleLoomError, match="lod is 3; it must be from 0"):
            generator.synthesis(ws, lod=3)
        with pytest.raises(StyleLoomError, match="this discriminator takes 8 px at lod 1"):
            discriminator(new, lod=1)


def test_the_schedule_of_growing() -> None:
    recipe = progan.ProGANRecipe(resolution=16, stable_kimg=600, fade_kimg=600)
    found = [progan.Growth(recipe, 4).lod_after(kimg) for kimg in (0, 599, 900, 1200, 1800, 2100, 2400, 9999)]
    assert found == pytest.approx([2, 2, 1.5, 1, 1, 0.5, 0, 0])
    assert progan.Growth(stylegan.StyleGANRecipe(resolution=16), 8).lod_after(900) == pytest.approx(0.5)  # from 8 px
    assert progan.Growth(stylegan.StyleGANRecipe(resolution=16, growing=False), 8).lod_after(0) == 0


def test_doubling_and_halving_with_a_convolution_are_what_they_say() -> None:
    x, weight, bias = torch.randn(2, 3, 5, 6), torch.randn(4, 3, 3, 3), torch.randn(4)
    wanted = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)
    torch.testing.assert_close(resample.nearest_convolution(x, weight, bias), wanted, atol=1e-5, rtol=1e-5)
    x = torch.randn(2, 3, 6, 8)
    wanted = F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)
    torch.testing.assert_close(resample.boxed_convolution(x, weight, bias), wanted, atol=1e-5, rtol=1e-5)


def test_small_maps_are_doubled_by_a_product_of_matrices() -> None:
    kernel = resample.fir()
    for width, side in ((48, 4), (8, 16)):  # kernels far larger than the map, and not
        x, weight = (torch.randn(shape, dtype=torch.float64) for shape in ((2, width, side, side), (width, width, 3, 3)))
        x.requires_grad_(), weight.requires_grad_()
        wanted = resample.filtered(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), kernel, (1, 1), gain=4)
        found = resample.convolved(x, weight, kernel, up=2)
        torch.testing.assert_close(found, wanted)
        slope = torch.randn_like(wanted)
        for one, other in zip(*(torch.autograd.grad(each, (x, weight), slope) for each in (found, wanted)), strict=True):
            torch.testing.assert_close(one, other)


def test_losses_of_progan() -> None:
    real, made = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [-1.0]])
    torch.testing.assert_close(progan.wgan_generator_loss(made), -made)
    torch.testing.assert_close(progan.wgan_discriminator_loss(real, made), made - real + 0.001 * real**2)
    slope = torch.randn(3, 4, 4)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    scores = (x * slope).sum((1, 2, 3))[:, None]
    torch.testing.assert_close(losses.gradient_penalty(scores, x), ((slope.norm() - 1) ** 2).expand(2))


def test_mixing_follows_its_probability() -> None:
    first, second = torch.zeros(4000, 6, 1), torch.ones(4000, 6, 1)
    found = stylegan.mixed(first, second, 0.9, torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)))[:, :, 0]
    assert bool((found[:, 1:] >= found[:, :-1]).all())  # the first w, then the second
    assert bool((found[:, 0] == 0).all())
    changed = found.sum(1) > 0
    assert abs(float(changed.float().mean()) - 0.9) < 0.02
    counts = torch.bincount(found[changed].sum(1).long(), minlength=6)[1:]
    assert bool((counts > 600).all())  # each place about as often


def test_the_mean_w() -> None:
    generator, _ = small(stylegan)
    mean = generator.estimate_w_avg(5000)
    assert (mean - generator.map(range(3000))[:, 0].mean(0)).norm() < 0.1 * generator.map(range(100))[:, 0].std(0).norm()


@pytest.mark.parametrize("large", [2**24, 1])
def test_stylegan2_is_the_official_layout(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images, logits and all gradients, with images computed together and one by one."""
    monkeypatch.setattr(stylegan2_architecture, "LARGE", large)
    generator, discriminator = small(stylegan2)
    for network in (generator, discriminator):
        for p in network.parameters():
            p.data = torch.randn_like(p) if p.ndim < 2 else p.data
    ws = torch.randn(4, generator.num_ws, 8)
    gradients: list[list[Tensor]] = []
    for image in (generator.synthesis(ws, noise_mode="const"), official.synthesis(generator.synthesis, ws)):
        logits = discriminator(image) if not gradients else official.discriminator(discriminator, image)
        parameters = [
            p for name, p in (*generator.named_parameters(), *discriminator.named_parameters()) if not name.startswith("mapping")
        ]
        loss = stylegan2.generator_loss(logits).sum()
        gradients.append([image, logits, *torch.autograd.grad(loss, parameters)])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_of_ws_are_those_of_the_official_layout(frozen: bool) -> None:
    """Of one image, whose weights are its own unless they are frozen."""
    generator, _ = small(stylegan2)
    generator.requires_grad_(not frozen)
    ws = torch.randn(1, generator.num_ws, 8, requires_grad=True)
    made = generator.synthesis(ws, noise_mode="const"), official.synthesis(generator.synthesis, ws)
    found, wanted = (torch.autograd.grad(image.square().sum(), ws)[0] for image in made)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_explicit_noise_and_images_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, _ = small(stylegan2)
    for name, p in generator.named_parameters():
        if name.endswith("noise_strength"):
            p.data.fill_(0.5)
    ws = generator.map([1, 2, 3])
    noise = [torch.randn(3, 1, side, side) for side in (4, 8, 8, 16, 16)]
    with torch.no_grad():
        together = generator.synthesis(ws, noise=noise)
        monkeypatch.setattr(stylegan2_architecture, "LARGE", 1)
        torch.testing.assert_close(generator.synthesis(ws, noise=noise), together, atol=1e-4, rtol=0)


def test_reduced_precision() -> None:
    generator, discriminator = small(stylegan2)
    with torch.no_grad():
        ws = generator.map(range(4))
        image = generator.synthesis(ws, noise_mode="const")
        logits = discriminator(image)
        for part in (generator.synthesis, discriminator):
            stylegan2.reduce_precision(part, num_resolutions=2)
        reduced = generator.synthesis(ws, noise_mode="const")
        assert reduced.dtype == discriminator(image).dtype == torch.float32
        assert 0 < (reduced - image).abs().mean() < 0.02 * image.std()
        assert (discriminator(image) - logits).abs().max() < 0.1 * logits.abs().mean()
        stylegan2.reduce_precision(generator.synthesis, torch.float32, 2)
        torch.testing.assert_close(generator.synthesis(ws, noise_mode="const"), image)


def test_demodulation_lets_no_spike_pass_and_a_norm_does() -> None:
    """A spike in one pixel of a map: instance norm lets it set all the others, demodulation does not look at it."""
    torch.manual_seed(0)
    x, styles, weight = torch.randn(1, 8, 16, 16), torch.ones(1, 8), torch.randn(8, 8, 3, 3)
    spiked = x.clone()
    spiked[:, :, 8, 8] += 1000
    away = (slice(None), slice(None), slice(0, 4), slice(0, 4))
    with torch.no_grad():
        for normalization, share in (("demodulate", 1.0), ("instance", 0.05)):
            layer = stylegan2_architecture.SynthesisLayer(8, 8, 4, 16, normalization=normalization)
            layer.weight.copy_(weight)
            layer.affine.weight.zero_()
            plain, with_spike = (layer(each, torch.zeros(1, 4), None)[away] for each in (x, spiked))
            assert float(with_spike.std() / plain.std()) == pytest.approx(share, abs=0.05)
    assert styles.shape == (1, 8)


def test_widths() -> None:
    assert generators.widths(16, 64, 8, None) == {4: 8, 8: 8, 16: 4}
    for channels in ({4: 8, 8: 8, 16: 4}, {4: 8, 8: 8, 16: 8}, {4: 8, 8: 6, 16: 6}):
        options = generators.channel_options(channels)
        made = generators.widths(16, options.get("channel_base", 0), options.get("channel_max", 0), options.get("channels"))
        assert made == channels
    with pytest.raises(StyleLoomError, match="2 channels given; 16 px has 3 resolutions"):
        generators.widths(16, 64, 8, [8, 8])
    with pytest.raises(StyleLoomError, match="it must be a power of two"):
        generators.resolutions(20)


def test_presets_are_the_papers() -> None:
    assert stylegan2.RECIPES["paper256"].channel_base == 16384
    assert stylegan2.RECIPES["paper256"].mbstd_group_size == 8
    assert replace(stylegan2.RECIPES["256"], batch=32).gamma == pytest.approx(0.0002 * 256**2 / 32)
    modules: tuple[Any, ...] = (progan, stylegan, stylegan2)
    # Millions of numbers, as the papers have them for 1024 px.
    for module, in_generator, in_judge in zip(modules, (23.1, 26.2, 30.37), (23.1, 23.1, 29.01), strict=True):
        networks = module.networks(module.RECIPES["1024"])
        for network, wanted in zip(networks, (in_generator, in_judge), strict=True):
            assert sum(p.numel() for p in network.parameters()) == pytest.approx(wanted * 1e6, rel=0.01)
    assert math.isclose(stylegan.RECIPES["128"].style_mixing_prob, 0.9)


def test_what_does_not_fit_is_said() -> None:
    generator, discriminator = small(stylegan2)
    ws = generator.map([1])
    for call, message in (
        (lambda: generator.synthesis(ws[:, :3]), r"latents of shape \[1, 3, 8\]; this network takes \[N, 6, w_dim\]"),
        (lambda: generator.synthesis(ws, noise=[]), "0 maps of noise; wanted one for each of 5 convolutions"),
        (lambda: discriminator(torch.zeros(1, 3, 8, 8)), "this discriminator takes 16 px"),
        (lambda: discriminator(torch.zeros(6, 3, 16, 16)), "6 images cannot be shared by groups of 4"),
        (lambda: generator.generate([1.5]), "seed 1.5 is none"),
        (lambda: list(generator.render(ws, noise_mode="random", seeds=[1, 2])), "2 seeds of noise for 1 images"),
        (lambda: stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=128, channel_base=64)), "each must be at least 1"),
    ):
        with pytest.raises(StyleLoomError, match=message):
            call()
