"""What holds for every method: damaged models in one line, arguments and random numbers left alone, no idle setting."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import styleloom as sl
from styleloom.core.checkpoint import resolve, zoo_names
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Hardware, Run
from styleloom.data import images
from styleloom.data.pairs import toons
from styleloom.loops import eigenbasis
from styleloom.loops.one_pass import OnePass
from styleloom.nn import transform_net
from styleloom.papers import (
    adain,
    cyclegan,
    dumoulin,
    gatys,
    ghiasi,
    image2stylegan,
    indomain,
    johnson,
    learned_optimizer,
    pix2pix,
    pix2pixhd,
    progan,
    stylegan,
    stylegan2,
    super_resolution,
)
from styleloom.tasks import inversion

CPU = Hardware("cpu")
SIDE = 16


def broken(name: str, folder: Path, how: str) -> Path:
    """A copy of a model with one thing wrong."""
    with safe_open(resolve(name), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    key = min((key for key in tensors if not key.startswith("D.")), key=lambda key: tensors[key].numel())
    if how == "tensor missing":
        del tensors[key]
    elif how == "tensor of another shape":
        tensors[key] = torch.zeros(3, 1, 4, 1, 5)
    elif how == "config empty":
        metadata["config"] = "{}"
    else:
        metadata["config"] = '{"width": "wide", "G": [], "network": 3, "encoder": {"convs": 5}, "resolution": null}'
    save_file(tensors, folder / "broken.safetensors", metadata)
    return folder / "broken.safetensors"


@pytest.mark.parametrize("how", ["tensor missing", "tensor of another shape", "config empty", "config of nonsense"])
@pytest.mark.parametrize("name", zoo_names())
def test_a_damaged_model_of_any_kind_is_one_line(name: str, how: str, tmp_path: Path) -> None:
    if (name, how) == ("upscale-x4", "config empty"):
        pytest.skip("its sizes are the defaults, so that the file is whole")
    with pytest.raises(StyleLoomError) as error:
        (sl.directions.load if name.endswith("-directions") else sl.load)(broken(name, tmp_path, how))
    assert "\n" not in str(error.value) and ("is damaged" in str(error.value) or "holds no generator" in str(error.value))


def test_a_damaged_eigenbasis_is_one_line(tmp_path: Path) -> None:
    basis = eigenbasis.Eigenbasis(torch.eye(6), torch.ones(6), torch.ones(6), 2, 3)
    basis.save(tmp_path / "basis.safetensors")
    assert torch.equal(eigenbasis.load(tmp_path / "basis.safetensors").vectors, torch.eye(6))
    replace(basis, num_ws=3).save(tmp_path / "other.safetensors")
    with pytest.raises(StyleLoomError, match="is damaged"):
        eigenbasis.load(tmp_path / "other.safetensors")


def test_a_model_of_another_class_is_refused() -> None:
    assert isinstance(sl.load("toonfaces-64", sl.stylegan2.Generator), sl.Generator)
    with pytest.raises(StyleLoomError, match=r"^upscale-x4 holds a Upscaler; wanted a Generator$"):
        sl.load("upscale-x4", sl.Generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("images")
    for index in range(8):
        images.write(images.resize(torch.rand(1, 3, 5, 5), (80, 80)), folder / f"{index}.png")
    return folder


def small_generator() -> stylegan2.Generator:
    sizes = dict(mapping_kwargs=dict(num_layers=2), synthesis_kwargs=dict(channel_base=128, channel_max=16))
    generator = stylegan2.Generator(8, 0, 8, SIDE, 3, **sizes)
    generator.w_avg.copy_(generator.estimate_w_avg(100))
    return generator


def small_basis(generator: stylegan2.Generator) -> eigenbasis.Eigenbasis:
    *_, last = eigenbasis.eigenbasis(generator, lambda image: [(image, 1.0)], samples=32)
    assert last.basis is not None
    return last.basis


def small_features() -> sl.Features:
    return sl.Features(convs=(1, 1, 1, 1, 1), widths=(4, 4, 6, 6, 6), padding="reflect")


LAYERS: dict[str, Any] = dict(content_layers=("relu4_1",), style_layers=("relu1_1",), style_layer_weights=(1.0,))
LOG: dict[str, Any] = dict(num_steps=2, batch=2, log_every=1, sample_every=1, save_every=1)
GAN: dict[str, Any] = dict(resolution=SIDE, channel_base=128, channel_max=16, z_dim=8, kimg=0.016, measure_every=1)
GAN |= dict(measure_images=4, log_every=1, sample_every=1, save_every=1, freeze=1)
STYLED: dict[str, Any] = dict(w_dim=8, mapping_layers=2)
NETWORK: dict[str, Any] = dict(width=4, blocks=1, deep_blocks=1, deep_width=8)
TRANSLATION: dict[str, Any] = dict(**LOG, size=16, load_size=18, width=4, discriminator_width=4, discriminator_layers=1)
TRANSLATION |= dict(pool_size=2, ema_decay=0.9)
RECIPES: dict[str, Any] = {
    "johnson": johnson.JohnsonRecipe(**LOG, size=32, width=4),
    "dumoulin": dumoulin.DumoulinRecipe(**LOG, size=32, **NETWORK),
    "adain": adain.AdaINRecipe(**LOG, size=32),
    "ghiasi": ghiasi.GhiasiRecipe(**LOG, size=64, embedding=6, hidden=8, **NETWORK),
    "super_resolution": super_resolution.UpscalerRecipe(**LOG, size=32, width=4, blocks=1),
    "indomain": indomain.EncoderRecipe(**LOG, channel_base=128, channel_max=16, adversarial_weight=0.1),
    "loom": learned_optimizer.OptimizerRecipe(
        **LOG | dict(num_steps=4), pretrain_fraction=0.5, unroll_length=3, first_unroll_length=2, starts=("mean",)
    ),
    "gate": replace(learned_optimizer.RECIPES["gate"], **LOG, unroll_length=2, first_unroll_length=2, starts=("mean",)),
    "pix2pix": pix2pix.Pix2PixRecipe(**TRANSLATION, depth=3),
    "cyclegan": cyclegan.CycleGANRecipe(**TRANSLATION, blocks=1),
    "pix2pixhd": pix2pixhd.Pix2PixHDRecipe(**TRANSLATION, blocks=1, downsamplings=2, perceptual_weight=0),
    "progan": progan.ProGANRecipe(**GAN, batch=(4, 4), fade_kimg=0.004, stable_kimg=0.004),
    "stylegan": stylegan.StyleGANRecipe(**GAN, **STYLED, batch=(4, 4), fade_kimg=0.004, stable_kimg=0.004),
    "stylegan2": stylegan2.StyleGAN2Recipe(**GAN, **STYLED, batch=4, augment=True, ada_interval=1),
}


def arguments_of(method: str, folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """What ``train`` of a method is given besides its recipe, with a model to start from where it takes one as a network."""
    if method == "johnson":
        return [folder, torch.rand(1, 3, 64, 64)], dict(base=transform_net.TransformNet(width=4))
    if method == "dumoulin":
        return [folder, {"a": torch.rand(1, 3, 64, 64)}], dict(base=dumoulin.StyleNet(["b"], **NETWORK))
    if method == "adain":
        return [folder, folder], dict(base=adain.AdaIN(small_features()))
    if method == "ghiasi":
        base = ghiasi.AnyStyle(small_features(), embedding=6, hidden=8, **NETWORK)
        return [folder, folder], dict(base=base, features=small_features())
    if method == "super_resolution":
        return [folder], {}
    if method in ("pix2pix", "cyclegan", "pix2pixhd"):
        return [toons("toonfaces:smile=-0.8:0.8", aligned=method != "cyclegan", count=4)], {}
    generator = small_generator()
    if method == "indomain":
        recipe = stylegan2.StyleGAN2Recipe(resolution=SIDE, channel_base=128, channel_max=16, z_dim=8, **STYLED)
        return [folder, generator], dict(discriminator=stylegan2.networks(recipe)[1])
    if method in ("loom", "gate"):
        basis = small_basis(generator) if method == "loom" else None
        started: Any = learned_optimizer._network(RECIPES[method], generator, basis)
        return [generator], dict(base=started, data=folder) if method == "loom" else dict(base=started)
    return [folder], {}


def train_of(method: str) -> Callable[..., Iterator[Any]]:
    module = learned_optimizer if method in ("loom", "gate") else getattr(sys.modules["styleloom.papers"], method)
    return module.train


def snapshot(arguments: list[Any]) -> list[Any]:
    """All there is to see of networks and tensors among the arguments."""
    seen: list[Any] = []
    for argument in arguments:
        if isinstance(argument, nn.Module):
            seen += [(name, each.clone(), each.stride()) for name, each in argument.state_dict().items()]
            seen += [parameter.requires_grad for parameter in argument.parameters()]
            seen += [module.training for module in argument.modules()]
            seen += [str(getattr(argument, "config", ""))]
        elif isinstance(argument, Tensor):
            seen.append(("", argument.clone(), argument.stride()))
    return seen


def same(before: list[Any], after: list[Any]) -> bool:
    """Whether two snapshots are equal."""
    pairs = zip(before, after, strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) and a[2] == b[2] if isinstance(a, tuple) else a == b for a, b in pairs)


@pytest.mark.parametrize("method", RECIPES)
def test_training_leaves_arguments_and_random_numbers_alone(method: str, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(11)
    arguments, options = arguments_of(method, folder)
    given = [*arguments, *options.values()]
    before, state = snapshot(given), torch.get_rng_state()
    ticks = 0
    for _ in train_of(method)(*arguments, RECIPES[method], run=Run(tmp_path / "run", hardware=CPU), **options):
        assert torch.equal(torch.get_rng_state(), state)
        ticks += 1
    assert ticks >= 2 and torch.equal(torch.get_rng_state(), state)
    assert same(before, snapshot(given))


def test_inversion_and_styles_leave_arguments_and_random_numbers_alone() -> None:
    torch.manual_seed(11)
    generator, features = small_generator(), sl.Features(convs=(2, 2, 2, 2), widths=(4, 4, 6, 6))
    targets, content, style = torch.rand(2, 3, SIDE, SIDE), torch.rand(1, 3, 40, 48), torch.rand(1, 3, 32, 32)
    painter, network = adain.AdaIN(small_features()), transform_net.TransformNet(width=4, blocks=1)
    upscaler = super_resolution.Upscaler(width=4, blocks=1)
    given = [generator, features, targets, content, style, painter, network, upscaler]
    before, state = snapshot(given), torch.get_rng_state()
    sl.invert(generator, targets, optimizer="adam", num_steps=2, features=features, tools=inversion.Tools())
    sl.invert(generator, targets, optimizer="adam", init="random", num_steps=1, noise_steps=1, tools=inversion.Tools())
    gatys.stylize(
        content,
        style,
        gatys.GatysConfig(size=40, first_size=32, first_steps=1, steps=1, init="noise", **LAYERS),
        features=features,
    )
    adain.stylize(content, style, adain.AdaINConfig(), model=painter)
    johnson.stylize(content, network, johnson.JohnsonConfig())
    sl.upscale(content, upscaler)
    assert torch.equal(torch.get_rng_state(), state) and same(before, snapshot(given))
    parameters = [parameter for each in given if isinstance(each, nn.Module) for parameter in each.parameters()]
    assert all(parameter.grad is None for parameter in parameters)


def watched(recipe: Any) -> tuple[Any, set[str]]:
    """A recipe of the same values, and the names of its fields that code reads, other than to list or check them all."""
    read: set[str] = set()
    names = {field.name for field in dataclasses.fields(recipe)}

    class Watched(type(recipe)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__")
            if name in names and caller not in ("dataclasses", "copy", "styleloom.core.settings"):
                read.add(name)
            return super().__getattribute__(name)

    return Watched(**{name: getattr(recipe, name) for name in names}), read


@pytest.mark.parametrize("method", RECIPES)
def test_every_field_of_every_recipe_is_used(method: str, folder: Path, tmp_path: Path) -> None:
    recipe, read = watched(RECIPES[method])
    read.clear()
    arguments, options = arguments_of(method, folder)
    options.pop("base", None)
    if method in ("adain", "ghiasi"):
        small = ghiasi.AnyStyle(small_features(), embedding=6, hidden=8, **NETWORK) if method == "ghiasi" else None
        options |= dict(base=small) if small else {}
    if method == "loom":
        options["basis"] = small_basis(arguments[0])
    list(train_of(method)(*arguments, recipe, run=Run(tmp_path / "run", hardware=CPU), **options))
    unused = {field.name for field in dataclasses.fields(recipe)} - read
    # Read where the network is made, which this run starts from; or refused.
    elsewhere = {
        "ghiasi": {"encoder", "features", "embedding", "hidden", "width", "blocks", "deep_blocks", "deep_width"},
        "pix2pix": {"blocks"},
        "cyclegan": {"depth", "max_width"},
        "pix2pixhd": {"local_blocks", "encoder_width", "features"},
        "loom": {*learned_optimizer.GATE_ONLY},
        "gate": {*learned_optimizer.LOOM_ONLY, *learned_optimizer.SCHEDULE_ONLY},
    }
    assert unused <= elsewhere.get(method, set()), unused


def test_every_field_of_every_configuration_is_used() -> None:
    features = sl.Features(convs=(2, 2, 2, 2), widths=(4, 4, 6, 6)).requires_grad_(False)
    content, style = torch.rand(1, 3, 48, 48), torch.rand(1, 3, 32, 32)
    config, read = watched(gatys.GatysConfig(size=40, first_size=32, first_steps=1, steps=1, init="noise", **LAYERS))
    gatys.stylize(content, style, config)
    assert {field.name for field in dataclasses.fields(config)} - read == set()
    config, read = watched(image2stylegan.InversionConfig(num_steps=1, noise_steps=1, init="random", noise_weight=1.0))
    list(image2stylegan.steps(small_generator(), torch.rand(1, 3, SIDE, SIDE), config, features=features))
    assert {field.name for field in dataclasses.fields(config)} - read == {"batch"}  # of those who give it batches
    networks: list[tuple[Any, OnePass, Callable[[Any, Any], Any]]] = [
        (
            transform_net.TransformNet(width=4),
            johnson.JohnsonConfig(),
            lambda network, config: johnson.stylize(content, network, config),
        ),
        (None, adain.AdaINConfig(), lambda _, config: adain.stylize(content, style, config)),
        (None, ghiasi.GhiasiConfig(), lambda _, config: ghiasi.stylize(content, style, config)),
        (None, dumoulin.DumoulinConfig(), lambda _, config: dumoulin.stylize(content, "wave", config)),
    ]
    for network, settings, paint in networks:
        config, read = watched(settings)
        paint(network, config)
        assert {field.name for field in dataclasses.fields(config)} - read == set(), type(settings)
