"""Instance norm, its statistics, and convolutions, against torch's own and independent formulas."""

import torch
import torch.nn.functional as F
from torch import nn

from styleloom.blocks.layers import Conv, channel_moments, instance_norm


def test_instance_norm_is_torchs() -> None:
    x, scale, shift = torch.randn(2, 3, 5, 7), torch.randn(3), torch.randn(3)
    wanted = F.instance_norm(x, weight=scale, bias=shift)
    torch.testing.assert_close(instance_norm(x, scale, shift), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(instance_norm(x, scale.expand(2, 3), shift.expand(2, 3)), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(instance_norm(x, scale, shift, channel_moments(x)), wanted, rtol=1e-4, atol=1e-5)


def test_each_picture_has_its_own_scale() -> None:
    x, scale, shift = torch.randn(2, 3, 5, 7), torch.randn(2, 3), torch.randn(2, 3)
    found = instance_norm(x, scale, shift)
    for index in range(2):
        torch.testing.assert_close(found[index : index + 1], instance_norm(x[index : index + 1], scale[index], shift[index]))


def test_gradients() -> None:
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(instance_norm, (x, scale, shift))


def test_conv_reflects_and_upsamples() -> None:
    conv = Conv(2, 4, 3, up=2)
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(2, 4, 3))
    plain[2].load_state_dict(conv.state_dict())
    x = torch.randn(1, 2, 5, 6)
    torch.testing.assert_close(conv(x), plain(x))
    assert Conv(2, 4, 9, stride=2)(torch.randn(1, 2, 20, 16)).shape == (1, 4, 10, 8)
    assert Conv(2, 4, 3, padded=False)(x).shape == (1, 4, 3, 4)
