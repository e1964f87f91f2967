"""Color spaces and color transfer of images: luma, YIQ, matched palettes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from styleloom.core.shapes import Float, Shaped

from .sizes import enlarged, fitted_size, floats, like, reduce

KEEP_COLOR = ("none", "luminance", "matching")
LIGHT_SIDE = 32  # pixels of the longer side of what is low frequency


# NTSC's luma and two color differences, as in Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016.
_RGB_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.59590059, -0.27455667, -0.32134392], [0.21153661, -0.52273617, 0.31119955]])


def luma(image: Shaped[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Brightness [N, 1, H, W] in [0, 1] of [N, 3, H, W] in [0, 1] or of 8-bit numbers, a channel at a time: little memory."""
    total = torch.zeros(())
    for index, share in enumerate(_RGB_TO_YIQ[0].tolist()):
        total = total.to(image.device) + share * floats(image[:, index : index + 1])
    return total


def rgb_to_yiq(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """[N, 3, H, W] RGB in [0, 1] -> luma in [0, 1] and the color differences I in [-.596, .596], Q in [-.523, .523]."""
    return torch.einsum("ij,njhw->nihw", _RGB_TO_YIQ.to(image), image)


def yiq_to_rgb(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The inverse of :func:`rgb_to_yiq`: [N, 3, H, W] -> [N, 3, H, W], unclipped."""
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(_RGB_TO_YIQ.double()).to(image), image)


def keep_luminance(painted: Float[Tensor, "n 3 h w"], content: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The painted image's luma with the content's colors: both [N, 3, H, W] in [0, 1], of one size."""
    luma, colors = rgb_to_yiq(painted)[:, :1], rgb_to_yiq(content)[:, 1:]
    return yiq_to_rgb(torch.cat([luma, colors], dim=1)).clamp(0, 1)


def keep_light(painted: Tensor, content: Tensor, keep_color: str) -> Tensor:
    """Painted images, with the content's luma at low frequency where its colors are kept: light stays where it was, without fog.

    Args:
        painted: [N, 3, H, W] in [0, 1], or of 8-bit numbers; is changed in place.
        content: [N, 3, H, W], as ``painted``.
        keep_color: "none" changes nothing.
    """
    if keep_color == "none":
        return painted
    for result, image in zip(painted.split(1), content.split(1), strict=True):
        size = fitted_size(result, min(LIGHT_SIDE, max(result.shape[-2:])))
        difference = luma(reduce(image, size)) - luma(reduce(result, size))
        for rows, band in enlarged((difference + 1) / 2, result.shape[-2:]):
            lit = floats(result[..., rows, :]) + (2 * band - 1)
            if keep_color == "luminance":  # also where colors were cut off before
                lit = keep_luminance(lit, floats(image[..., rows, :]))
            result[..., rows, :] = like(lit.clamp_(0, 1), result)
    return painted


def match_color(image: Tensor, reference: Tensor) -> Tensor:
    """Give ``image`` the mean and covariance of ``reference``'s colors by the linear map nearest to the identity.

    x -> A (x - mean_x) + mean_y with A = Cx^-1/2 (Cx^1/2 Cy Cx^1/2)^1/2 Cx^-1/2, the optimal transport between two
    Gaussians, as "image analogies" matching in Gatys et al. 2016 (arXiv:1606.05897) but with a symmetric A.

    Args:
        image: [N, 3, H, W] in [0, 1].
        reference: [1 or N, 3, h, w] in [0, 1].

    Returns:
        [N, 3, H, W] in [0, 1]; colors that would leave the range are clipped.
    """
    pixels, target = image.double().flatten(2), reference.double().flatten(2)
    mean, target_mean = pixels.mean(2, keepdim=True), target.mean(2, keepdim=True)
    ridge = 1e-6 * torch.eye(3, dtype=torch.float64, device=image.device)  # a flat image has no covariance to invert
    covariance = (pixels - mean) @ (pixels - mean).mT / pixels.shape[2] + ridge
    target_covariance = (target - target_mean) @ (target - target_mean).mT / target.shape[2] + ridge
    root, inverse_root = _symmetric_power(covariance, 0.5), _symmetric_power(covariance, -0.5)
    transform = inverse_root @ _symmetric_power(root @ target_covariance @ root, 0.5) @ inverse_root
    return (transform @ (pixels - mean) + target_mean).view_as(image).to(image.dtype).clamp(0, 1)


def prepare_colors(content: Tensor, styles: Sequence[Tensor], keep_color: str) -> tuple[Tensor, list[Tensor]]:
    """The content and the styles prepared so that the content's colors survive (Gatys et al. 2016, arXiv:1606.05897).

    "luminance": luma by luma, of equal mean and spread; :func:`keep_luminance` gives the colors back at the end.
    "matching": the styles take the content's palette.
    """
    content = content_colors(content, keep_color)
    if keep_color == "none":
        return content, list(styles)
    return content, [match_color(_gray(style) if keep_color == "luminance" else style, content) for style in styles]


def content_colors(content: Float[Tensor, "n 3 h w"], keep_color: str) -> Float[Tensor, "n 3 h w"]:
    """The content as it is painted: in gray where only its luminance is painted, else as it is."""
    return _gray(content) if keep_color == "luminance" else content


def _gray(image: Tensor) -> Tensor:
    return rgb_to_yiq(image)[:, :1].expand(-1, 3, -1, -1).contiguous()


def _symmetric_power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag_embed(values.clamp_min(1e-12) ** exponent) @ vectors.mT
