"""Translation networks: norms' gradients to the second order, statistics of another image, residual outputs."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from styleloom.core.errors import StyleLoomError
from styleloom.nn.losses import gradient_penalty
from styleloom.nn.translation import (
    InstanceNorm,
    PatchGAN,
    ResNetGenerator,
    UNet,
    generator_config,
    inference_mode_of,
    initialize,
    made_generator,
    statistics_of,
)


def test_the_quick_gradient_is_the_gradient() -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(3)
    x = torch.randn(2, 3, 5, 6, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(norm(x), F.instance_norm(x))
    assert torch.autograd.gradcheck(norm, (x,))
    assert torch.autograd.gradgradcheck(norm, (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_survives_what_overwrites_its_result(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 8).to(dtype).requires_grad_()
    other = x.detach().float().requires_grad_()
    weights = torch.randn(2, 4, 8, 8)
    (F.relu(InstanceNorm(4)(x), inplace=True) * weights.to(dtype)).sum().backward()
    (F.relu(F.instance_norm(other)) * weights).sum().backward()
    assert x.grad is not None and other.grad is not None
    torch.testing.assert_close(x.grad.float(), other.grad, atol=1e-5 if dtype == torch.float32 else 0.1, rtol=0.05)


def test_a_penalty_on_gradients_goes_through_it() -> None:
    """Its gradient by finite differences, along a random direction."""
    torch.manual_seed(0)
    D = PatchGAN(2, width=3, layers=1, norm="instance").double()
    x = torch.rand(1, 2, 16, 16, dtype=torch.double, requires_grad=True)
    weight = D.convs[1].weight
    assert isinstance(weight, torch.Tensor)
    gradient_penalty(D(x), x).sum().backward()
    assert weight.grad is not None
    direction = torch.randn_like(weight)
    values = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            weight += step * direction
        values.append(gradient_penalty(D(x), x).sum().item())
        with torch.no_grad():
            weight -= step * direction
    assert (values[0] - values[1]) / 2e-5 == pytest.approx((weight.grad * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_statistics_of_an_image_are_its_own(norm: str) -> None:
    """With those of the image itself nothing changes; with another's, it does; afterwards all is as before."""
    torch.manual_seed(0)
    network = ResNetGenerator(3, 3, width=4, blocks=1, norm=norm).eval().requires_grad_(False)
    x, other = torch.rand(1, 3, 32, 32), 0.2 * torch.rand(1, 3, 32, 32)
    with inference_mode_of(network, batch_statistics=True):
        own = network(x)
        with statistics_of(network, x):
            torch.testing.assert_close(network(x), own, atol=1e-5, rtol=0)
        with statistics_of(network, other):
            assert not torch.allclose(network(x), own, atol=1e-3)
        torch.testing.assert_close(network(x), own)


@pytest.mark.parametrize("kind", [UNet, ResNetGenerator])
def test_a_residual_network_starts_as_the_identity(kind: Any) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = dict(width=4, depth=3) if kind is UNet else dict(width=4, blocks=1)
    network, plain = kind(3, 3, residual=True, **sizes).eval(), kind(3, 3, **sizes).eval()
    initialize(network)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(network(x), x)
    again = made_generator(generator_config(network))
    assert again.residual and torch.equal(again.eval()(x), again(x))
    # With the weights of a plain one, it adds what that one gives.
    network.load_state_dict(plain.state_dict())
    torch.testing.assert_close(network(x), x + plain(x))
    with pytest.raises(StyleLoomError, match="from 1 to 3 channels; it needs as many"):
        kind(1, 3, residual=True, **sizes)
