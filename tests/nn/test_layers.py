"""Instance norm, its statistics, and convolutions, against torch's own and independent formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from styleloom.nn import winograd
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


@pytest.mark.parametrize("size", [(12, 16), (35, 50), (3, 5)])
def test_winograd_is_a_convolution(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = Conv(192, 200, 3)
    x = torch.randn(2, 192, *size)
    wanted = F.conv2d(F.pad(x.double(), (1, 1, 1, 1), mode="reflect"), conv.weight.double(), conv.bias.double())  # type: ignore[union-attr]
    with torch.inference_mode():
        assert winograd.pays(x, conv.weight)
        found = conv(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-4)
    assert not winograd.pays(x, conv.weight)  # gradients are asked for
    torch.testing.assert_close(conv(x).double(), wanted, rtol=0, atol=2e-5)
