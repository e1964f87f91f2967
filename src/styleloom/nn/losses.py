"""Loss functions of tensors: content, style, smoothness and a discriminator's.

Style is what is left of a feature map when positions are forgotten. Here that is a pair of moments over positions, the
mean [N, C] and the second moment [N, C, C] (the Gram matrix divided by the number of positions), and every style loss
compares such pairs. A weight map makes it the style of a region.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import check_choice
from styleloom.core.shapes import Float


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of feature vectors over positions; what is derived from them is computed once.

    Attributes:
        mean: [N, C], E[f].
        second: [N, C, C], E[f f^T]: the Gram matrix over the number of positions.
    """

    mean: Tensor
    second: Tensor

    @cached_property
    def energy(self) -> Float[Tensor, " n"]:
        """[N], E|f|^2."""
        return self.second.diagonal(dim1=1, dim2=2).sum(1).clamp_min(_TINY)

    @cached_property
    def covariance(self) -> Float[Tensor, "n c c"]:
        """[N, C, C], E[f f^T] - E[f] E[f]^T."""
        return self.second - self.mean[:, :, None] * self.mean[:, None, :]

    @cached_property
    def root(self) -> Float[Tensor, "n c c"]:
        """[N, C, C], the symmetric square root of the covariance."""
        values, vectors = _eigh(self.covariance)
        return (vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.mT).to(self.covariance)


def gram_matrix(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """[N, C, H, W] -> [N, C, C]: inner products of channels, divided by H W (Gatys et al. 2016, Eq. 3, normalized)."""
    flat = _positions(features)
    return _inner_products(flat) / flat.shape[1]


def moments(features: Tensor, weights: Tensor | None = None) -> Moments:
    """Mean and second moment of the feature vectors, over the image or over a region of it.

    Args:
        features: [N, C, H, W].
        weights: [N, 1, H, W], not negative and not all zero: how much each position counts.
    """
    if weights is None:
        return Moments(features.mean((2, 3)), gram_matrix(features))
    flat, share = _positions(features), _positions(weights)
    share = share / share.sum(1, keepdim=True)
    return Moments((flat * share).sum(1), _inner_products(flat * share.sqrt()))


def _positions(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H W, C], a view of channels-last maps."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _inner_products(flat: Tensor) -> Tensor:
    """flat^T flat, [N, P, C] -> [N, C, C], with half the usual work backwards.

    The product is symmetric, so its gradient flat (S + S^T) is one product, not two: let one factor alone carry it.
    """
    if flat.shape[0] == 1:  # one image, the usual case: a plain product is faster than a batch of one
        matrix = flat.squeeze(0)
        product = (matrix.detach().mT @ matrix).unsqueeze(0)
    else:
        product = flat.detach().mT @ flat
    return product + (product.mT - product.detach())


def blend_moments(parts: list[Moments], shares: list[float]) -> Moments:
    """The moments of a mixture that takes the given share (summing to 1) of its positions from each part."""
    mean = sum((share * part.mean for part, share in zip(parts, shares, strict=True)), torch.zeros(()))
    second = sum((share * part.second for part, share in zip(parts, shares, strict=True)), torch.zeros(()))
    return Moments(mean, second)


def content_loss(
    features: Float[Tensor, "n c h w"],
    target: Float[Tensor, "#n c h w"],
    *,
    normalize: bool = True,
    weight: Tensor | None = None,
) -> Float[Tensor, ""]:
    """Mean squared difference of feature maps, [N, C, H, W] each -> scalar (Gatys et al. 2016, Eq. 1 as a mean).

    ``normalize`` divides by the target's mean square, so that a weight means the same for any layer of any network. ``weight``
    [1, 1, H, W] is that of each position.
    """
    loss = F.mse_loss(features, target) if weight is None else (weight * (features - target).square()).mean()
    return loss / target.square().mean().clamp_min(_TINY) if normalize else loss


def gram_loss(output: Moments, target: Moments, *, normalize: bool = True) -> Float[Tensor, ""]:
    """Mean over pairs of channels of the squared difference of second moments -> scalar (Gatys et al. 2016, Eq. 4).

    With ``normalize`` it is the squared distance as a share of the target's own squared length, averaged over the batch.
    """
    loss = (output.second - target.second).square().mean((1, 2))
    return (loss / target.second.square().mean((1, 2)).clamp_min(_TINY) if normalize else loss).mean()


def wasserstein_loss(output: Moments, target: Moments, *, normalize: bool = True) -> Float[Tensor, ""]:
    """Squared 2-Wasserstein distance between the Gaussians of both moments, averaged over the batch -> scalar.

    |m - m*|^2 + tr(C) + tr(C*) - 2 tr (C*^1/2 C C*^1/2)^1/2 (Dowson and Landau 1982). ``normalize`` divides by the
    target's E|f|^2.
    """
    product = target.root @ output.covariance @ target.root
    traces = (output.covariance + target.covariance).diagonal(dim1=1, dim2=2).sum(1)
    loss = (output.mean - target.mean).square().sum(1) + traces - 2 * _trace_of_root(product)
    return (loss / target.energy if normalize else loss).mean()


def mean_loss(output: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Squared distance of means as a share of the target's own squared length -> [N]."""
    distance = (output.mean - target.mean).square().mean(1)
    return distance / target.mean.square().mean(1).clamp_min(_TINY)


def covariance_loss(output: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Squared distance of covariances as a share of the target's own squared length -> [N].

    The share is of a hundredth of the means' outer product too, since a plain style has next to no covariance.
    """
    distance = (output.covariance - target.covariance).square().mean((1, 2))
    own = target.covariance.square().mean((1, 2)) + 0.01 * target.mean.square().mean(1).square()
    return distance / own.clamp_min(_TINY)


def sliced_wasserstein(x: Float[Tensor, "n c h w"], y: Float[Tensor, "#n c h2 w2"], directions: int) -> Float[Tensor, " n"]:
    """Squared sliced 2-Wasserstein distance of feature vectors over positions, as a share of the variance of ``y`` -> [N].

    Mean over random directions of the squared differences of sorted projections (Pitie et al. 2005; Heitz et al. 2021).

    Args:
        x, y: [N, C, H, W], of as many positions.
        directions: how many, drawn from torch's random state.
    """
    axes = F.normalize(torch.randn(x.shape[1], directions, device=x.device), dim=0)
    ordered = [(axes.T @ each.flatten(2)).sort(2).values for each in (x, y)]  # [N, directions, H W]
    variance = y.var((2, 3), correction=0).mean(1) + 0.01 * y.mean((2, 3)).square().mean(1)
    return (ordered[0] - ordered[1]).square().mean((1, 2)) / variance.clamp_min(_TINY)


def _trace_of_root(matrix: Tensor) -> Tensor:
    """Tr A^1/2 of symmetric positive semi-definite matrices: [N, C, C] -> [N].

    Its gradient is A^-1/2 / 2, which the same eigenvalues give; those below a share of the largest count as that share.
    """
    with torch.no_grad():
        values, vectors = _eigh((matrix + matrix.mT) / 2)
        roots = values.clamp_min(0).sqrt()
        floored = torch.maximum(roots, _SHARE_OF_LARGEST * roots[:, -1:]).clamp_min(_TINY)
        gradient = (vectors / (2 * floored[:, None, :]) @ vectors.mT).to(matrix)
        trace = roots.sum(1).to(matrix)
    linear = (gradient * matrix).sum((1, 2))
    return linear + (trace - linear).detach()


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors in float64.

    In fp32, LAPACK can return nan for covariances of deep layers, whose eigenvalues span ten decades.
    """
    if matrix.device.type == "mps":  # has neither float64 nor eigh
        values, vectors = torch.linalg.eigh(matrix.cpu().double())
        return values.float().to(matrix.device), vectors.float().to(matrix.device)
    values, vectors = torch.linalg.eigh(matrix.double())
    return values, vectors


def total_variation(image: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Mean squared difference to the eight neighbors, borders replicated: [N, C, H, W] -> scalar.

    Diagonal neighbors count half, as far as they are (Crowson's nine-point form).
    """
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    height, width = image.shape[-2:]
    # Each pair of neighbors is met from both of its ends, so half of the directions tell all.
    total = image.new_zeros(())
    for dy, dx, share in ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5), (1, -1, 0.5)):
        neighbor = padded[:, :, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        total = total + share * F.mse_loss(neighbor, image)
    return total / 3


GAN_MODES = ("vanilla", "lsgan", "wgangp")


def gan_loss(logits: Float[Tensor, "*shape"], real: bool, mode: str = "vanilla") -> Float[Tensor, ""]:
    """GAN loss of the logits against the label real or fake -> scalar.

    Args:
        logits: logits of any shape.
        real: what they are to say.
        mode: ``"vanilla"`` (cross-entropy, Goodfellow et al. 2014), ``"lsgan"`` (squares, Mao et al. 2017) or ``"wgangp"``
            (the mean itself, Gulrajani et al. 2017).
    """
    check_choice("gan_mode", mode, GAN_MODES)
    logits = logits.float()
    if mode == "wgangp":
        return -logits.mean() if real else logits.mean()
    target = torch.full_like(logits, float(real))
    return F.mse_loss(logits, target) if mode == "lsgan" else F.binary_cross_entropy_with_logits(logits, target)


def gradient_penalty(logits: Float[Tensor, "*shape"], images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """(|dD(x)/dx| - 1)^2 of each image (Gulrajani et al. 2017, Eq. 3, without its weight).

    Args:
        logits: logits of ``images``, [N, ...].
        images: [N, C, H, W], real, made or between; they need a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return (gradient.flatten(1).norm(2, 1) - 1).square()


def r1_penalty(logits: Float[Tensor, "*shape"], real: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """|dD(x)/dx|^2 of each image (Mescheder et al. 2018): logits [N, 1] of ``real`` [N, C, H, W], with a gradient -> [N]."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3))


_TINY = 1e-12
_SHARE_OF_LARGEST = 1e-4
