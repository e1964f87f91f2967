"""StyleGAN2 against what NVIDIA's code gave: mapping, truncation, synthesis, mixing, logits, losses, penalties."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import Oracles
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.nn import losses
from styleloom.papers import stylegan2
from styleloom.papers.stylegan2 import Discriminator, Generator

Expected = dict[str, Tensor]


@pytest.fixture
def oracle(oracles: Oracles) -> Path:
    return oracles / "nv_uncond64"


def networks(oracle: Path, name: str = "G_ema") -> tuple[Generator, Discriminator, Expected]:
    """A generator, the discriminator, and what the official ones gave."""
    config = json.loads((oracle / "config.json").read_text())
    synthesis: dict[str, Any] = config["G"].pop("synthesis_kwargs")
    del synthesis["num_fp16_res"]
    generator = Generator(**config["G"], synthesis_kwargs=synthesis)
    generator.load_state_dict(load_file(oracle / f"{name}.state_dict.safetensors"))
    del config["D"]["block_kwargs"]
    discriminator = Discriminator(**config["D"])
    discriminator.load_state_dict(load_file(oracle / "D.state_dict.safetensors"))
    with np.load(oracle / f"expected_{name}.npz") as arrays:
        expected = {key: torch.from_numpy(array) for key, array in arrays.items() if array.dtype.kind == "f"}
    return generator.eval(), discriminator.eval(), expected


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.float().reshape(wanted.shape), wanted.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["G_ema", "G"])
@torch.no_grad()
def test_generator_is_nvidias(oracle: Path, name: str) -> None:
    generator, discriminator, expected = networks(oracle, name)
    z = expected["z"].float()
    ws = generator.mapping(z)
    close(ws[:, 0], expected["w"])
    close(generator.mapping(z, truncation_psi=0.5)[:, 0], expected["w_psi05"])
    close(generator.mapping(z, truncation_psi=0.5, truncation_cutoff=4), expected["ws_psi05_cut4"])
    close(generator.synthesis(ws, noise_mode="const"), expected["img_const"])
    close(generator.synthesis(ws, noise_mode="const"), expected["img_const_unfused"])
    close(generator.synthesis(ws, noise_mode="none"), expected["img_none"])
    close(generator.synthesis(generator.mapping(z, truncation_psi=0.7), noise_mode="const"), expected["img_psi07_const"])
    mixed = torch.cat([ws[0:2, :4], ws[2:4, 4:]], 1)
    close(generator.synthesis(mixed, noise_mode="const"), expected["img_mix4_const"])
    if name == "G_ema":
        close(discriminator(expected["img_const"]), expected["logits_on_img_const"])


def test_training_terms_are_nvidias(oracle: Path) -> None:
    generator, discriminator, _ = networks(oracle, "G")
    with np.load(oracle / "expected_train_terms.npz") as arrays:
        official = dict(arrays)
    expected = {key: torch.from_numpy(array) for key, array in official.items() if array.dtype.kind == "f"}
    with np.load(oracle / "expected_G.npz") as arrays:
        z = torch.from_numpy(arrays["z"]).float()
    real = expected["real"].float().requires_grad_()
    ws = generator.mapping(z)
    image = generator.synthesis(ws, noise_mode="const")
    real_logits, logits = discriminator(real), discriminator(image)
    close(real_logits, expected["logits_real"])
    close(stylegan2.generator_loss(logits).mean(), expected["loss_Gmain"].mean())
    close(stylegan2.discriminator_loss(real_logits, logits).mean(), expected["loss_Dmain"].mean())
    r1 = losses.r1_penalty(real_logits, real)
    close(r1, expected["r1_penalty"])
    # The official noise is divided by the side of the image, and the batch shrunk to two.
    ws = generator.mapping(z[:2])
    lengths = stylegan2.path_lengths(generator.synthesis(ws, noise_mode="const"), ws, 64 * expected["pl_noise"].float())
    close(lengths, expected["pl_lengths"])
    mean = 0.01 * lengths.mean()  # of a running mean that begins at 0 with a decay of .01
    close(mean, expected["pl_mean"])
    penalty = (lengths - mean).square()
    close(penalty, expected["pl_penalty"])
    for norms, names, loss, network in (
        ("gradnorm_Dr1", "D_param_names", 5 * r1.mean(), discriminator),
        ("gradnorm_Gpl", "G_param_names", 2 * penalty.mean(), generator),
        ("gradnorm_Gmain", "G_param_names", stylegan2.generator_loss(logits).mean(), generator),
    ):
        parameters = dict(network.named_parameters())
        order = [parameters[name] for name in official[names]]
        gradients = torch.autograd.grad(loss, order, allow_unused=True, retain_graph=True)
        found = torch.stack([gradient.norm() if gradient is not None else torch.zeros(()) for gradient in gradients])
        torch.testing.assert_close(found, expected[norms].float(), rtol=1e-3, atol=1e-4)


def test_errors() -> None:
    with pytest.raises(StyleLoomError, match="img_resolution is 48; it must be a power of two"):
        Generator(img_resolution=48)
    with pytest.raises(StyleLoomError, match="unknown architecture 'plain'; choose one of orig, skip, resnet"):
        Discriminator(img_resolution=16, architecture="plain")
    generator = Generator(8, 3, 8, 16, synthesis_kwargs={"channel_max": 8})
    with pytest.raises(StyleLoomError, match=r"wants a class, \[N, 3\]"):
        generator.mapping(torch.randn(1, 8))
    with pytest.raises(StyleLoomError, match="unknown noise_mode 'loud'"):
        generator.synthesis(torch.randn(1, generator.num_ws, 8), noise_mode="loud")


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
def test_architectures_and_classes_train(architecture: str) -> None:
    torch.manual_seed(0)
    generator = Generator(8, 3, 8, 16, synthesis_kwargs={"channel_max": 8, "architecture": architecture})
    discriminator = Discriminator(3, 16, channel_max=8, architecture=architecture)
    assert generator.num_ws == 6
    c = torch.eye(3)
    image = generator.synthesis(generator.mapping(torch.randn(3, 8), c), noise_mode="random")
    assert image.shape == (3, 3, 16, 16)
    stylegan2.generator_loss(discriminator(image, c)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())
