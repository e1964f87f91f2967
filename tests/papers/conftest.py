"""A generator of 16 px and a perceptual network, both small and random, for the tests of inversion."""

import pytest
import torch

from styleloom.nn.vgg import Features
from styleloom.papers import stylegan2

SIDE = 16


@pytest.fixture(scope="module")
def generator() -> stylegan2.Generator:
    torch.manual_seed(0)
    made = stylegan2.Generator(
        8, 0, 8, SIDE, 3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=dict(channel_base=128, channel_max=16)
    )
    made.w_avg.copy_(made.estimate_w_avg(1000))
    return made.eval()


@pytest.fixture(scope="module")
def features() -> Features:
    torch.manual_seed(1)
    return Features(convs=(2, 2, 2, 2), widths=(4, 4, 6, 6)).requires_grad_(False)
