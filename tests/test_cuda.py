"""What a graphics card computes is what a processor does; without a card these are skipped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import styleloom as sl
from styleloom.core.random import SampleRandom
from styleloom.core.run import Hardware, Run
from styleloom.nn.resample import convolved, fir
from styleloom.papers import ghiasi

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA graphics card")


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in full fp32, not in TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def both(network: nn.Module, run: Callable[[Any, torch.device], Tensor], atol: float) -> None:
    """Compare what ``run`` makes of a network on either device."""
    here = run(network.to("cpu"), torch.device("cpu")).detach()
    there = run(network.to("cuda"), torch.device("cuda")).detach().cpu()
    torch.testing.assert_close(there, here, atol=atol, rtol=1e-4)


@pytest.mark.parametrize("method", ["progan", "stylegan", "stylegan2"])
def test_generators(method: str) -> None:
    module = getattr(sl, method)
    torch.manual_seed(0)
    recipe = replace(module.RECIPES["64"], resolution=64)
    generator, discriminator = module.networks(recipe)
    both(generator, lambda G, device: G.generate([1, 2]), 1e-3)
    images = torch.randn(4, 3, 64, 64)
    both(discriminator, lambda D, device: D(images.to(device), None), 1e-3)


def test_filtered_convolutions() -> None:
    x, weight, kernel = torch.randn(2, 5, 16, 16), torch.randn(7, 5, 3, 3), fir()
    for up, down in ((2, 1), (1, 2)):
        here = convolved(x, weight, kernel, up=up, down=down)
        there = convolved(x.cuda(), weight.cuda(), kernel.cuda(), up=up, down=down)
        torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)


def test_random_numbers() -> None:
    seeds = torch.tensor([3, 2**31 - 1])
    here, there = SampleRandom(seeds, 1), SampleRandom(seeds, 1, "cuda")
    assert torch.equal(there.uniform(50).cpu(), here.uniform(50))
    torch.testing.assert_close(there.normal(50).cpu(), here.normal(50), atol=1e-5, rtol=1e-4)


def test_one_pass_methods() -> None:
    content, style = sl.bundled("cat")[..., :160, :200], sl.draw("swirls", 128)
    both(sl.johnson.load("johnson-swirls"), lambda net, device: sl.johnson.stylize(content.to(device), net), 2e-3)
    both(sl.dumoulin.load(), lambda net, device: sl.dumoulin.stylize(content.to(device), "wave", model=net), 2e-3)
    both(sl.adain.load(), lambda net, device: sl.adain.stylize(content.to(device), style.to(device), model=net), 2e-3)
    torch.manual_seed(0)
    anystyle = ghiasi.AnyStyle(sl.load_features("vgg19-lite")).eval().requires_grad_(False)
    both(anystyle, lambda net, device: ghiasi.stylize(content.to(device), style.to(device), model=net), 2e-3)


def test_gatys() -> None:
    content, style = sl.bundled("cat")[..., :96, :128], sl.draw("swirls", 96)
    config = sl.gatys.configure("draft", size=128, first_size=128, first_steps=4)
    here = [step.losses["total"] for step in sl.gatys.steps(content, style, config)]
    there = [step.losses["total"] for step in sl.gatys.steps(content.cuda(), style.cuda(), config)]
    assert there == pytest.approx(here, rel=0.02)


def test_inversion() -> None:
    torch.manual_seed(0)
    G = sl.stylegan2.networks(sl.stylegan2.RECIPES["32-small"])[0].eval().requires_grad_(False)
    target = G.generate([5])
    for optimizer in ("adam", "lbfgs"):
        G.to("cpu")
        here = sl.invert(G, target, num_steps=5, optimizer=optimizer)
        there = sl.invert(G.to("cuda"), target.cuda(), num_steps=5, optimizer=optimizer)
        torch.testing.assert_close(there.losses.cpu(), here.losses, atol=1e-3, rtol=2e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_of_a_generator(tmp_path: Path, precision: str) -> None:
    (tmp_path / "data").mkdir()
    for index, name in enumerate(("swirls", "wave", "mosaic", "drip") * 2):
        sl.write(sl.draw(name, 64, seed=index), tmp_path / "data" / f"{index}.png")
    recipe = replace(sl.stylegan2.RECIPES["32-small"], batch=8, kimg=0.04, augment=True, log_every=1)
    losses = {}
    for device in ("cpu", "cuda"):
        hardware = Hardware(device, precision="fp32" if device == "cpu" else precision)
        ticks = list(sl.stylegan2.train(tmp_path / "data", recipe, run=Run(tmp_path / device, hardware=hardware)))
        losses[device] = torch.tensor([[tick.losses["G"], tick.losses["D"]] for tick in ticks])
    torch.testing.assert_close(losses["cuda"][:3], losses["cpu"][:3], atol=0.02 if precision == "fp32" else 0.2, rtol=0)


def test_training_of_any_style(tmp_path: Path) -> None:
    for folder in ("styles", "photos"):
        (tmp_path / folder).mkdir()
    for index, name in enumerate(("swirls", "wave")):
        sl.write(sl.draw(name, 96, seed=index), tmp_path / "styles" / f"{index}.png")
        sl.write(sl.bundled(("cat", "astronaut")[index])[..., :96, :96], tmp_path / "photos" / f"{index}.png")
    recipe = ghiasi.GhiasiRecipe(num_steps=3, batch=2, size=64, width=8, deep_width=16, log_every=1)
    losses = {}
    for device in ("cpu", "cuda"):
        run = ghiasi.train(
            tmp_path / "photos", tmp_path / "styles", recipe, run=Run(tmp_path / device, hardware=Hardware(device))
        )
        losses[device] = torch.tensor([tick.losses["content"] for tick in run])
    torch.testing.assert_close(losses["cuda"][:2], losses["cpu"][:2], atol=2e-2, rtol=0)
