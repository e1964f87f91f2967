"""Instance norm, its statistics, and convolutions, against torch's own and independent formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from styleloom.nn import layers, winograd
from styleloom.nn.layers import Conv, channel_moments, instance_norm


def test_instance_norm_is_torchs() -> None:
    x, scale, shift = torch.randn(2, 3, 5, 7), torch.randn(3), torch.randn(3)
    wanted = F.instance_norm(x, weight=scale, bias=shift)
    torch.testing.assert_close(instance_norm(x, scale, shift), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(instance_norm(x, scale.expand(2, 3), shift.expand(2, 3)), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(instance_norm(x, scale, shift, channel_moments(x)), wanted, rtol=1e-4, atol=1e-5)


def test_each_image_has_its_own_scale() -> None:
    x, scale, shift = torch.randn(2, 3, 5, 7), torch.randn(2, 3), torch.randn(2, 3)
    found = instance_norm(x, scale, shift)
    for index in range(2):
        torch.testing.assert_close(found[index : index + 1], instance_norm(x[index : index + 1], scale[index], shift[index]))


def test_gradients() -> None:
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(instance_norm, (x, scale, shift))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("outputs", "kernel", "up"), [(4, 3, 2), (3, 9, 1), (8, 9, 1), (4, 3, 1)])
def test_conv_is_upsampling_reflection_and_convolution(outputs: int, kernel: int, up: int, bias: bool) -> None:
    conv = Conv(2, outputs, kernel, up=up, bias=bias).double()
    plain = nn.Sequential(
        nn.Upsample(scale_factor=up), nn.ReflectionPad2d(kernel // 2), nn.Conv2d(2, outputs, kernel, bias=bias)
    ).double()
    plain[2].load_state_dict(conv.state_dict())
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(conv(x), plain(x))
    for found, wanted in zip(
        torch.autograd.grad(conv(x).square().sum(), list(conv.parameters())),
        torch.autograd.grad(plain(x).square().sum(), list(plain.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)
    x.requires_grad_()
    assert torch.autograd.gradcheck(conv, x)


def test_conv_sizes() -> None:
    x = torch.randn(1, 2, 5, 6)
    assert Conv(2, 4, 9, stride=2)(torch.randn(1, 2, 20, 16)).shape == (1, 4, 10, 8)
    assert Conv(2, 4, 3, padded=False)(x).shape == (1, 4, 3, 4)
    assert Conv(2, 3, 9, padded=False)(torch.randn(1, 2, 20, 16)).shape == (1, 3, 12, 8)
    with pytest.raises(ValueError, match="up is 3"):
        Conv(2, 4, 3, up=3)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("strip", [1, 2000, 10**9])
def test_large_kernels_of_few_outputs_are_convolved_in_strips(padded: bool, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "STRIP", strip)
    torch.manual_seed(0)
    conv = Conv(5, 3, 9, padded=padded)
    x = torch.randn(2, 5, 23, 17, requires_grad=True)
    found = conv(x)
    wanted = F.conv2d(F.pad(x, (4,) * 4, mode="reflect") if padded else x, conv.weight, conv.bias)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    g = torch.randn_like(wanted)
    for one, other in zip(*(torch.autograd.grad(each, (x, *conv.parameters()), g) for each in (found, wanted)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(12, 16), (35, 50), (3, 5)])
def test_winograd_is_a_convolution_with_its_gradients(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    height, width = size
    inputs = [torch.randn(2, 12, height + 2, width + 2), torch.randn(7, 12, 3, 3), torch.randn(7)]
    x, weight, bias = (each.requires_grad_() for each in inputs)
    doubles = [each.detach().double().requires_grad_() for each in inputs]
    found, wanted = winograd.convolve(x, weight, bias), F.conv2d(doubles[0], doubles[1], doubles[2])
    assert found.is_contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        torch.testing.assert_close(winograd.convolve(x, weight, bias), found, rtol=0, atol=0)
    g = torch.randn_like(found)
    slopes = torch.autograd.grad(found, inputs, g, create_graph=True)
    of_doubles = torch.autograd.grad(wanted, doubles, g.double(), create_graph=True)
    plain = torch.autograd.grad(winograd.convolve(x, weight, bias), inputs, g)
    curves = torch.autograd.grad(slopes[0].square().sum() + slopes[1].square().sum(), inputs[:2])
    of_slopes = torch.autograd.grad(of_doubles[0].square().sum() + of_doubles[1].square().sum(), doubles[:2])
    for one, other in zip([found, *slopes, *plain, *curves], [wanted, *of_doubles, *of_doubles, *of_slopes], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5 * float(other.detach().abs().max()))


def test_winograd_of_what_pays() -> None:
    torch.manual_seed(0)
    conv, x = Conv(192, 200, 3), torch.randn(1, 192, 64, 64)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert winograd.pays(padded, conv.weight)
    wanted = F.conv2d(padded.double(), conv.weight.double(), conv.bias.double())  # type: ignore[union-attr]
    torch.testing.assert_close(conv(x).double(), wanted, rtol=0, atol=2e-4)
    assert not winograd.pays(padded[..., :34, :34], conv.weight)  # too few pixels
    assert not winograd.pays(padded.bfloat16(), conv.weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(padded, conv.weight)


@pytest.mark.parametrize("size", [(8, 12), (8, 10), (6, 12), (7, 9)])
@pytest.mark.parametrize("batch", [1, 2])
def test_what_winograd_gives_may_be_changed_in_place(batch: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 4, size[0] + 2, size[1] + 2, requires_grad=True)
    weight, bias = torch.randn(5, 4, 3, 3, requires_grad=True), torch.randn(5, requires_grad=True)
    found = F.relu(winograd.convolve(x, weight, bias), inplace=True)
    wanted = F.relu(F.conv2d(x, weight, bias))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    for one, other in zip(
        *(torch.autograd.grad(each.square().sum(), (x, weight, bias)) for each in (found, wanted)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-2)
