"""PSNR, SSIM and the distance of features against their formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from styleloom.metrics.image import perceptual_distance, psnr, ssim
from styleloom.nn.vgg import Features


def test_psnr_is_its_formula() -> None:
    truth = torch.rand(1, 3, 20, 30) * 0.8
    assert psnr(truth + 0.1, truth) == pytest.approx(20, abs=1e-3)  # an error of .1: -10 log10 .01 dB
    image = torch.rand(1, 3, 20, 30)
    assert psnr(image, truth) == pytest.approx(-10 * math.log10(F.mse_loss(image, truth)), abs=1e-3)


def test_ssim_is_one_for_equals_and_its_formula_for_flat_images() -> None:
    truth = torch.rand(1, 3, 32, 32)
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(torch.rand(1, 3, 32, 32), truth) < 0.2
    # Without variance only the term of the means is left.
    expected = (2 * 0.4 * 0.6 + 0.01**2) / (0.4**2 + 0.6**2 + 0.01**2)
    assert ssim(torch.full((1, 3, 32, 32), 0.4), torch.full((1, 3, 32, 32), 0.6)) == pytest.approx(expected, abs=1e-5)


def test_perceptual_distance_is_a_sum_of_cosines() -> None:
    torch.manual_seed(0)
    features = Features(convs=(1, 1), widths=(6, 8))
    image, truth = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    layers = ("conv1_1", "conv2_1")
    found, wanted = features(image, layers), features(truth, layers)
    # |a - b|^2 = 2 - 2 cos(a, b) for vectors of unit length.
    expected = sum((2 - 2 * F.cosine_similarity(found[layer], wanted[layer])).mean().item() for layer in layers)
    assert perceptual_distance(features, image, truth, layers) == pytest.approx(expected, rel=1e-5)
    assert perceptual_distance(features, truth, truth, layers) == 0
