"""The reader of VGG's layers, against the same convolutions strung together by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from styleloom.core.errors import StyleLoomError
from styleloom.nn.vgg import VGG16_CONVS, VGG19_CONVS, Features


def test_activations_are_those_of_plain_convolutions(tiny: Features, image: torch.Tensor) -> None:
    first, second, third = tiny.convs.values()
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    conv1_1 = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), first.weight, first.bias)
    conv1_2 = F.conv2d(conv1_1.relu(), second.weight, second.bias, padding=1)
    conv2_1 = F.conv2d(F.max_pool2d(conv1_2.relu(), 2), third.weight, third.bias, padding=1)
    found = tiny(image, ("relu2_1", "conv1_1", "conv2_1", "relu1_2"))
    assert list(found) == ["relu2_1", "conv1_1", "conv2_1", "relu1_2"]
    for name, wanted in {"conv1_1": conv1_1, "relu1_2": conv1_2.relu(), "conv2_1": conv2_1, "relu2_1": conv2_1.relu()}.items():
        assert torch.allclose(found[name], wanted, atol=1e-5), name


def test_average_pooling_and_reflection(image: torch.Tensor) -> None:
    network = Features(convs=(1, 1), widths=(4, 6), pooling="average", padding="reflect", mean=(0, 0, 0), std=(1, 1, 1))
    first, second = network.convs.values()
    x = F.avg_pool2d(F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), first.weight, first.bias).relu(), 2)
    wanted = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), second.weight, second.bias)
    assert torch.allclose(network(image, ("conv2_1",))["conv2_1"], wanted, atol=1e-5)


def test_the_layers_of_vgg16_and_vgg19() -> None:
    sixteen, nineteen = (Features(convs=convs, widths=(1,) * 5) for convs in (VGG16_CONVS, VGG19_CONVS))
    assert len(sixteen.convs) == 13 and len(nineteen.convs) == 16
    assert set(sixteen.layers) < set(nineteen.layers)
    assert "relu3_4" in nineteen.layers and "relu3_4" not in sixteen.layers


def test_nothing_is_computed_below_the_deepest_layer(tiny: Features) -> None:
    pixel = torch.rand(1, 3, 1, 1)  # one pixel cannot be pooled, so reaching block 2 would fail
    assert tiny(pixel, ("relu1_2",))["relu1_2"].shape == (1, 4, 1, 1)


def test_gradients_reach_the_image(tiny: Features, image: torch.Tensor) -> None:
    network = tiny.double()
    patch = image[..., :4, :4].double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: tuple(network(x, ("conv1_2", "relu2_1")).values()), (patch,))


def test_unknown_layers_are_named(tiny: Features, image: torch.Tensor) -> None:
    with pytest.raises(StyleLoomError, match=r"unknown layers \['relu9'\]; this network has conv1_1, relu1_1, .*, relu2_1"):
        tiny(image, ("relu1_1", "relu9"))


@pytest.mark.parametrize(("padding", "minimum"), [("zeros", 16), ("reflect", 32)])
def test_minimum_size(padding: str, minimum: int) -> None:
    network = Features(widths=(1,) * 5, padding=padding)
    assert network.minimum_size(["relu1_1", "relu5_1"]) == minimum
    network(torch.rand(1, 3, minimum, minimum), ("relu5_1",))
    with pytest.raises(StyleLoomError, match=rf"too small for relu5_1; it needs {minimum} px"):
        network(torch.rand(1, 3, minimum - 1, 99), ("relu5_1",))


@pytest.mark.parametrize(
    "options", [{"pooling": "median"}, {"padding": "wrap"}, {"widths": (1, 2)}], ids=["pooling", "padding", "widths"]
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(StyleLoomError):
        Features(**options)


def test_read_sees_each_layer_and_gives_the_same_gradient(tiny: Features, image: torch.Tensor) -> None:
    layers = ("relu1_1", "conv1_2", "relu2_1")
    gradients = []
    for read in (None, lambda layer, x: (layer, x.square().mean())):
        leaf = image.clone().requires_grad_(True)
        found = tiny(leaf, layers, read=read)
        terms = [found[layer].square().mean() for layer in layers] if read is None else [found[layer][1] for layer in layers]
        assert read is None or [found[layer][0] for layer in layers] == list(layers)
        torch.stack(terms).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_a_network_that_is_rounded_is_another(tiny: Features) -> None:
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    device = torch.device("cpu")
    ready = tiny.prepare(device, torch.float32)
    assert ready.prepare(device, torch.float32) is ready
    rounded = tiny.prepare(device, torch.bfloat16)
    assert {value.dtype for value in rounded.parameters()} == {torch.bfloat16}
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
