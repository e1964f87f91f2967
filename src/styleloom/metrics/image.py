"""Distances between an image and the true one: PSNR, SSIM, features; and scores of label maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from styleloom.core.shapes import Float
from styleloom.nn.vgg import Features


def psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of one image, infinite where both are equal: [1, 3, H, W] in [0, 1] each."""
    from skimage.metrics import peak_signal_noise_ratio  # takes a second to import

    if torch.equal(image, truth):
        return math.inf

    return float(peak_signal_noise_ratio(truth.cpu().numpy(), image.cpu().numpy(), data_range=1))


def ssim(image: Tensor, truth: Tensor) -> float:
    """Structural similarity of one image, up to 1: [1, 3, H, W] in [0, 1] each.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with its Gaussian window.
    """
    from skimage.metrics import structural_similarity

    first, second = (each[0].permute(1, 2, 0).cpu().numpy() for each in (image, truth))
    return float(
        structural_similarity(
            first, second, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def perceptual_distance(
    features: Features, image: Float[Tensor, "n 3 h w"], truth: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> float:
    """The mean of :func:`perceptual_distances`: [N, 3, H, W] in [0, 1] each."""
    return float(perceptual_distances(features, image, truth, layers).mean())


@torch.inference_mode()
def perceptual_distances(
    features: Features, image: Float[Tensor, "n 3 h w"], truth: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> Float[Tensor, " n"]:
    """Squared difference of features of unit length at each position, summed over layers: [N, 3, H, W] in [0, 1] each -> [N].

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, Eq. 1, with equal weights
    for all channels (their "uncalibrated" distance).
    """
    output, target = features(image, layers), features(truth, layers)
    parts = [(unit(output[layer]) - unit(target[layer])).square().sum(1).mean((1, 2)) for layer in layers]
    return torch.stack(parts).sum(0)


def label_scores(numbers: Tensor, truth: Tensor, count: int) -> dict[str, float]:
    """Accuracy of classes, as in Long et al. 2015 and Isola et al. 2017.

    Args:
        numbers, truth: class numbers, of one shape.
        count: how many classes there are; those that the truth has not count for nothing.

    Returns:
        ``per_pixel`` accuracy, ``per_class`` accuracy, and ``iou``, the mean intersection over union of classes.
    """
    confusion = torch.bincount(truth.flatten() * count + numbers.flatten(), minlength=count * count).view(count, count).double()
    right, there, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    present = there > 0
    return {
        "per_pixel": float(right.sum() / there.sum()),
        "per_class": float((right / there.clamp_min(1))[present].mean()),
        "iou": float((right / (there + predicted - right).clamp_min(1))[present].mean()),
    }


def unit(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Features [N, C, H, W] at unit length; where there are none, 0, and so is the gradient."""
    return x / x.square().sum(1, keepdim=True).add(1e-20).sqrt()
