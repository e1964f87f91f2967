"""Networks of pytorch-CycleGAN-and-pix2pix and pix2pixHD: outputs, losses and training steps of the official code."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.cli.program import run
from torch import Tensor, nn

import styleloom as sl
from styleloom.converters.translation import as_state_dict, read_translator, translator_of
from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import read_state_dict
from styleloom.loops import translation
from styleloom.nn.losses import gan_loss, gradient_penalty
from styleloom.nn.translation import Dropout, ImagePool, PatchGAN, ResNetGenerator, UNet, inference_mode_of
from styleloom.papers import cyclegan, pix2pix
from styleloom.papers.pix2pixhd import InstanceEncoder, LocalEnhancer, MultiScale

CASES = {
    "resnet9_in_ngf8_64": ("latest_net_G_A.pth", ResNetGenerator),
    "unet128_bn_dropout_ngf8": ("latest_net_G.pth", UNet),
    "patchgan70_in_ndf8": ("latest_net_D.pth", PatchGAN),
    "p2phd_global_ngf4_64": ("latest_net_G.pth", ResNetGenerator),
}


def close(output: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_outputs_of_the_official_code(oracles: Any, name: str) -> None:
    folder, (file, kind) = oracles / name, CASES[name]
    network, io = read_translator(folder / file), load_file(folder / "io.safetensors")
    assert type(network) is kind
    with torch.no_grad():
        close(network(io["input"]), io["expected_eval"])
        if "expected_batchstats" in io:
            with inference_mode_of(network, batch_statistics=True):
                close(network(io["input"]), io["expected_batchstats"])
                close(network(io["input"][:1]), io["expected_batchstats_b1"])
            close(network(io["input"]), io["expected_eval"])  # and saved ones again


@pytest.mark.parametrize("name", CASES)
def test_and_back_under_its_names(oracles: Any, name: str) -> None:
    path = oracles / name / CASES[name][0]
    theirs, ours = read_state_dict(path), as_state_dict(read_translator(path))
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_losses_of_the_official_code(oracles: Any) -> None:
    folder = oracles / "patchgan70_in_ndf8"
    D, io = read_translator(folder / "latest_net_D.pth"), load_file(folder / "io.safetensors")
    for mode in ("vanilla", "lsgan", "wgangp"):
        for real in (True, False):
            close(gan_loss(D(io["input"]), real, mode)[None], io[f"loss_{mode}_{'real' if real else 'fake'}"])
    x = io["input"].requires_grad_(True)
    close(10 * gradient_penalty(D(x), x).mean().detach()[None], io["gp_real_lambda10"])


def learning(path: Path) -> nn.Module:
    """A network that trains, without dropout, as the recorded steps have it."""
    network = read_translator(path).train().requires_grad_(True)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    return network


def step(phases: dict[str, Any], x: Tensor, y: Tensor) -> dict[str, float]:
    """Take a step, as the loop over networks does; every term of the losses."""
    losses: dict[str, float] = {}
    for phase in phases.values():
        phase.optimizer.zero_grad()
        terms = phase.loss(x, y)
        torch.stack(list(terms.values())).sum().backward()
        phase.optimizer.step()
        losses |= {name: value.item() for name, value in terms.items()}
    return losses


def test_three_steps_of_pix2pix(oracles: Any) -> None:
    folder = oracles / "step_pix2pix_vanilla_L1"
    io, expected = load_file(folder / "io.safetensors"), json.loads((folder / "meta.json").read_text())["losses"]
    G, D = learning(folder / "init_net_G.pth"), learning(folder / "init_net_D.pth")
    phases = pix2pix.phases_of(G, D, ImagePool(0, (6, 128, 128)), pix2pix.Pix2PixRecipe())
    for index, theirs in enumerate(expected):
        ours = step(phases, io[f"A{index}"], io[f"B{index}"])
        assert ours["G"] == pytest.approx(theirs["G_GAN"], rel=1e-5)
        assert ours["L1"] == pytest.approx(theirs["G_L1"], rel=1e-5)
        assert 2 * ours["D_real"] == pytest.approx(theirs["D_real"], rel=1e-5)
        assert 2 * ours["D_made"] == pytest.approx(theirs["D_fake"], rel=1e-5)


@pytest.mark.parametrize("together", [True, False])
def test_three_steps_of_cyclegan(oracles: Any, together: bool) -> None:
    folder = oracles / "step_cyclegan_lsgan_idt"
    io, expected = load_file(folder / "io.safetensors"), json.loads((folder / "meta.json").read_text())["losses"]
    named = dict(G="G_A", F="G_B", D_Y="D_A", D_X="D_B")  # D_A judges what G_A makes, images of B
    networks: dict[str, Any] = {name: learning(folder / f"init_net_{theirs}.pth") for name, theirs in named.items()}
    pools: dict[str, Any] = {name: ImagePool(50, (3, 64, 64)) for name in ("pool_X", "pool_Y")}
    recipe = (
        cyclegan.CycleGANRecipe() if together else cyclegan.CycleGANRecipe(norm="batch")
    )  # which sees x and y one after the other
    phases = cyclegan.phases_of(**networks, **pools, recipe=recipe)
    pairs = dict(G="G_A", F="G_B", cycle_x="cycle_A", cycle_y="cycle_B", identity_y="idt_A", identity_x="idt_B")
    for index, theirs in enumerate(expected):
        with torch.no_grad():
            close(networks["G"](io[f"A{index}"]), io[f"fake_B{index}"])
        ours = step(phases, io[f"A{index}"], io[f"B{index}"])
        assert {name: ours[name] for name in pairs} == pytest.approx({name: theirs[pairs[name]] for name in pairs}, rel=1e-5)
        for own, other in (("D_Y", "D_A"), ("D_X", "D_B")):
            assert ours[f"{own}_made"] + ours[f"{own}_real"] == pytest.approx(theirs[other], rel=1e-5)


def test_learning_rates_and_the_pool_of_the_official_code(oracles: Any) -> None:
    recorded = json.loads((oracles / "schedules_and_pool.json").read_text())
    rates = recorded["lr_at_epoch_index"]
    cases = {
        "linear_100_100_from1": ("linear", 0, 100, 100),
        "linear_3_2_from1": ("linear", 0, 3, 2),
        "linear_100_100_from151": ("linear", 150, 100, 100),
        "step_50": ("step", 0, 100, 100),
        "cosine_100": ("cosine", 0, 100, 100),
    }
    assert cases.keys() == rates.keys()
    for name, (schedule, first, epochs, decay) in cases.items():
        ours = [2e-4 * translation.learning_rate(schedule, first + epoch, epochs, decay) for epoch in range(len(rates[name]))]
        assert ours == pytest.approx(rates[name], rel=1e-12, abs=1e-18), name
    expected = recorded["image_pool"]
    rng, pool = random.Random(expected["python_random_seed"]), ImagePool(expected["pool_size"], (1, 1, 1))
    assert [int(pool.query(torch.full((1, 1, 1, 1), float(number)), rng)) for number in range(40)] == expected["returned"]


@pytest.mark.parametrize(
    "network",
    [
        UNet(3, 3, width=4, depth=8, norm="batch"),
        UNet(3, 1, width=4, depth=5, norm="instance"),
        UNet(4, 3, width=4, depth=6, norm="none"),
        UNet(3, 3, width=4, depth=7, norm="batch", max_width=12),
        ResNetGenerator(3, 3, width=4, blocks=6),
        ResNetGenerator(3, 2, width=4, blocks=9, norm="batch", dropout=True),
        ResNetGenerator(3, 2, width=4, blocks=6, norm="instance", dropout=True),
        ResNetGenerator(1, 3, width=4, blocks=9, norm="none"),
        ResNetGenerator(5, 3, width=4, blocks=9, downsamplings=4, norm="batch", always_bias=True),
        *(PatchGAN(6, width=4, layers=layers, norm=norm) for layers in (0, 1, 3, 5) for norm in ("batch", "instance", "none")),
        MultiScale(6, width=4, num=3),
        MultiScale(6, width=4, num=2, norm="batch"),
        LocalEnhancer(5, 3, width=4, blocks=3, local_blocks=2, downsamplings=3),
        InstanceEncoder(3, 3, width=4, downsamplings=4),
    ],
    ids=lambda network: f"{type(network).__name__}-{network.config.get('norm')}",
)  # fmt: skip
def test_the_architecture_is_read_off_names_and_shapes(network: nn.Module) -> None:
    """Also from DataParallel, and with the statistics that old files keep beside instance norm."""
    tensors = as_state_dict(network)
    has_norm = isinstance(network, ResNetGenerator) and network.config["norm"] == "instance"
    stale = {f"model.2.{name}": torch.zeros(4) for name in ("running_mean", "running_var") if has_norm}
    read = translator_of({f"module.{key}": value for key, value in (stale | tensors).items()})
    assert type(read) is type(network)
    same = {
        name: value for name, value in network.config.items() if name not in ("dropout", "always_bias", "padding", "max_width")
    }
    assert {name: read.config[name] for name in same} == same
    x = torch.rand(1, network.config["in_channels"], 256, 256) * 2 - 1
    given = (x, torch.zeros(1, 1, 256, 256)) if isinstance(network, InstanceEncoder) else (x,)
    with torch.no_grad():
        network.eval()
        own, other = network(*given), read(*given)
    for one, two in zip(own, other, strict=True):
        torch.testing.assert_close(one, two)


def test_the_command_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CycleGAN of two files becomes one model, and goes back to the same tensors."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    both = {name: as_state_dict(ResNetGenerator(3, 3, width=4, blocks=6)) for name in "AB"}
    for name, state in both.items():
        torch.save(state, f"latest_net_G_{name}.pth")
    torch.save(as_state_dict(PatchGAN(3, width=4)), "D.pth")
    command = ["convert", "latest_net_G_A.pth", "--other", "latest_net_G_B.pth", "-o", "model.safetensors", "--quiet"]
    assert run(*command) == 0
    image = torch.rand(1, 3, 32, 32)
    expected = translator_of(both["A"])(image * 2 - 1).add(1).div(2)
    # Model files are of half precision only where we train them ourselves.
    torch.testing.assert_close(sl.translate("model.safetensors", image), expected, atol=1e-5, rtol=0)
    assert run("convert", "model.safetensors", "--to", "junyanz", "-o", "theirs", "--quiet") == 0
    for name, state in both.items():
        written = read_state_dict(Path(f"theirs/latest_net_G_{name}.pth"))
        assert written.keys() == state.keys() and all(torch.equal(written[key], state[key]) for key in state)
    assert run("convert", "D.pth", "-o", "d.safetensors", "--quiet") == 2
    assert run("convert", "model.safetensors", "--to", "junyanz", "-o", "theirs", "--quiet") == 2  # they are there already


def test_what_is_no_such_network_is_refused() -> None:
    whole = as_state_dict(ResNetGenerator(3, 3, width=4, blocks=6))
    with pytest.raises(StyleLoomError, match=r"is not whole: it lacks model\.13.conv_block\.5\.weight"):
        translator_of({key: value for key, value in whole.items() if key != "model.13.conv_block.5.weight"})
    with pytest.raises(StyleLoomError, match="holds more than a ResNetGenerator: extra"):
        translator_of(whole | {"extra": torch.zeros(1)})
    with pytest.raises(StyleLoomError, match="is no network of pytorch-CycleGAN-and-pix2pix or pix2pixHD"):
        translator_of({"conv.weight": torch.zeros(1, 1, 3, 3)})
    with pytest.raises(StyleLoomError, match="upsample nearest"):
        as_state_dict(ResNetGenerator(3, 3, width=4, blocks=1, upsample="nearest"))
