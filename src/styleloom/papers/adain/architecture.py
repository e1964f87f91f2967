"""Adaptive instance normalization, and the encoder and decoder around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.nn.layers import Conv, Moment, channel_moments, instance_norm
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import with_encoder

KIND = "adain"


CONTENT_LAYER = "relu4_1"


STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def adain(x: Tensor, style: Moment, content: Moment | None = None) -> Tensor:
    """AdaIN(x, y) = sigma(y) (x - mu(x)) / sigma(x) + mu(y) (Eq. 8).

    Args:
        x: features of the content, [N, C, H, W].
        style: mean and variance of the style's features, [N, C] each.
        content: mean and variance to use as those of ``x``.
    """
    mean, variance = style
    return instance_norm(x, (variance + _EPSILON).sqrt(), mean, content or unbiased_moments(x), eps=_EPSILON)


def unbiased_moments(x: Tensor) -> Moment:
    """Mean and unbiased variance over positions, as the authors' code has it: [N, C, H, W] -> [N, C] each."""
    mean, variance = channel_moments(x)
    positions = x.shape[2] * x.shape[3]
    return mean, variance * positions / max(1, positions - 1)


class AdaIN(nn.Module):
    """An encoder up to relu4_1, frozen, and the decoder that mirrors it.

    Args:
        encoder: see :class:`~styleloom.Features`.
        source: where the encoder came from, when it is not to be saved with the model.
    """

    def __init__(self, encoder: Features, *, source: str | None = None) -> None:
        super().__init__()
        encoder.check_layers(STYLE_LAYERS)
        self.encoder = encoder.requires_grad_(False).eval()
        self.source = source
        layers: list[nn.Module] = []
        block = CONTENT_LAYER[4]
        for name, conv in reversed(list(encoder.convs.items())):
            if name > CONTENT_LAYER[4:]:
                continue
            layers.append(Conv(conv.out_channels, conv.in_channels, 3, up=1 if name[0] == block else 2))
            block = name[0]
        self.decoder = nn.ModuleList(layers)

    def encode(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> features at relu4_1, [N, C, H / 8, W / 8]."""
        return self.encoder(image, (CONTENT_LAYER,))[CONTENT_LAYER]

    def decode(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> images [N, 3, 8 H, 8 W], not clipped."""
        *hidden, last = self.decoder
        for layer in hidden:
            x = F.relu(layer(x))
        out: Tensor = last(x)
        return out.float()

    def forward(self, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
        """Eq. 14 with one style an image: [N, 3, H, W], [N, 3, h, w] in [0, 1] -> [N, 3, H, W] in [0, 1].

        ``alpha`` is the strength: 0 gives the content back, 1 is the style in full.
        """
        x = self.restyle(self.encode(padded(content)), [self.style(style)], [1.0], alpha=alpha)
        return self.decode(x)[..., : content.shape[-2], : content.shape[-1]].clamp(0, 1)

    def style(self, image: Tensor) -> Moment:
        """All that a style image is to this network: mean and variance of its features, [N, C] each."""
        return unbiased_moments(self.encode(image))

    def restyle(
        self,
        x: Tensor,
        styles: Sequence[Moment],
        shares: Sequence[float],
        *,
        alpha: float = 1.0,
        masks: Sequence[Tensor] | None = None,
        content: Moment | None = None,
    ) -> Tensor:
        """The content's features in a mixture of styles, or in one a region: a weighted sum of AdaIN outputs (Eq. 15)."""
        content = content or unbiased_moments(x)
        parts = [adain(x, style, content) for style in styles]
        if masks is None:
            mixed = torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)
        else:
            areas = [share * F.interpolate(mask, x.shape[-2:], mode="area") for share, mask in zip(shares, masks, strict=True)]
            whole = torch.stack(areas).sum(0)
            mixed = torch.stack([area * part for area, part in zip(areas, parts, strict=True)]).sum(0) / whole.clamp_min(1e-6)
            mixed = torch.where(whole > 1e-6, mixed, x)  # where no style is asked for, the content stays
        return torch.lerp(x, mixed, alpha)

    def save(self, path: Path, license: str = "unknown") -> None:
        """Write a model file; with the encoder in it, unless that can be loaded from its source."""
        tensors = {f"decoder.{name}": value.half() for name, value in self.decoder.state_dict().items()}
        if self.source is None:
            tensors |= {f"encoder.{name}": value.half() for name, value in self.encoder.state_dict().items()}
        config = dict(source=self.source, encoder=self.encoder.config)
        checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path = "adain-lite") -> AdaIN:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> AdaIN:
        return AdaIN(Features(**config["encoder"]), source=config["source"])

    return checkpoint.rebuilt(name, KIND, make, with_encoder("encoder."))


_EPSILON = 1e-5


def padded(image: Tensor) -> Tensor:
    """Sides that the encoder can halve three times."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")
