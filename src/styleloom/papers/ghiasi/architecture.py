"""The style predictor, and the painting network whose norms it sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.nn import transform_net
from styleloom.nn.losses import moments
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import with_encoder

KIND = "ghiasi"


LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


PROJECTED = 16  # channels of a layer that correlations are taken of


WEIGHTS = 4.0  # the style term's weight is trained from 1 / this to this


class StylePredictor(nn.Module):
    """A style image to its embedding.

    Args:
        encoder: frozen features, see :class:`~styleloom.Features`.
        size: numbers of the embedding.
        hidden: numbers of the layer before.
    """

    def __init__(self, encoder: Features, size: int, hidden: int) -> None:
        super().__init__()
        self.center: Tensor
        self.spread: Tensor
        encoder.check_layers(LAYERS)
        self.encoder = encoder.requires_grad_(False).eval()
        widths = [encoder.convs[layer[4:]].out_channels for layer in LAYERS]
        self.projections = nn.ParameterList([nn.init.orthogonal_(torch.empty(PROJECTED, width)) for width in widths])
        count = 3 + 6 + sum(2 * width for width in widths)
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        pairs = PROJECTED * (PROJECTED + 1) // 2
        self.layers = nn.Sequential(nn.Linear(count + len(widths) * pairs, hidden), nn.SiLU(), nn.Linear(hidden, size))

    def forward(self, style: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, size]."""
        plain, correlations = self._statistics(style)
        embedding: Tensor = self.layers(torch.cat([(plain - self.center) / self.spread, correlations], 1))
        return embedding

    @torch.no_grad()
    def standardize(self, styles: Sequence[Tensor]) -> None:
        """Take the mean and deviation of the statistics of these images, [1, 3, H, W] each, as 0 and 1."""
        plain = torch.cat([self._statistics(style)[0] for style in styles])
        self.center.copy_(plain.mean(0))
        self.spread.copy_(plain.std(0) + 1e-3)

    def _statistics(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of colors and features, and correlations of projected features: [N, count], [N, 5 pairs]."""
        outputs = self.encoder(style, LAYERS)
        with torch.autocast(style.device.type, enabled=False):  # squares of means are taken off squares
            return self._summary(style.float(), {layer: each.float() for layer, each in outputs.items()})

    def _summary(self, style: Tensor, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        colors = moments(style)
        rows, columns = torch.triu_indices(3, 3)
        plain, correlations = [colors.mean, colors.covariance[:, rows, columns]], []
        rows, columns = torch.triu_indices(PROJECTED, PROJECTED)
        for layer, projection in zip(LAYERS, self.projections, strict=True):
            layer_moments = moments(outputs[layer])
            deviation = layer_moments.covariance.diagonal(dim1=1, dim2=2).clamp_min(1e-8).sqrt()
            plain += [layer_moments.mean, deviation]
            projected = projection @ layer_moments.covariance @ projection.T
            scale = deviation.square().mean(1)[:, None]
            correlations.append(projected[:, rows, columns] / scale)
        return torch.cat(plain, 1), torch.cat(correlations, 1)


class AnyStyle(nn.Module):
    """Dumoulin's network and the two that predict its scales and shifts: style image -> embedding -> norms.

    Args:
        encoder: frozen features, see :class:`~styleloom.Features`.
        source: where the encoder came from, when it is not to be saved with the model.
        embedding, hidden: sizes of a style's embedding and of the layers before and after it.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
    """

    def __init__(
        self,
        encoder: Features,
        *,
        source: str | None = None,
        embedding: int = 128,
        hidden: int = 192,
        width: int = 32,
        blocks: int = 3,
        deep_blocks: int = 4,
        deep_width: int = 128,
    ) -> None:
        super().__init__()
        self.source = source
        self.config = dict(
            embedding=embedding, hidden=hidden, width=width, blocks=blocks, deep_blocks=deep_blocks, deep_width=deep_width
        )
        self.predictor = StylePredictor(encoder, embedding, hidden)
        self.network = transform_net.TransformNet(
            width=width,
            blocks=blocks,
            output="sigmoid",
            own_norms=False,
            bias=False,
            deep_blocks=deep_blocks,
            deep_width=deep_width,
        )
        self.hidden = nn.Linear(embedding + 1, hidden)
        self.norms_of = nn.Linear(hidden, 2 * sum(self.network.channels))
        nn.init.normal_(self.norms_of.weight, std=0.01)
        nn.init.zeros_(self.norms_of.bias)

    def embed(self, style: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> embeddings [N, embedding]."""
        return self.predictor(style)

    def norms(self, embedding: Tensor, style_weight: float | Tensor = 1.0) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of every normalization: [N, embedding] -> pairs of [N, C].

        Args:
            embedding: the embedding of a style, or a mixture of several.
            style_weight: weight of the style term to paint for, 1/4 to 4; or [N], one each.
        """
        weight = torch.as_tensor(style_weight, dtype=embedding.dtype, device=embedding.device).expand(embedding.shape[0])
        inputs = torch.cat([embedding, weight.log()[:, None] / math.log(WEIGHTS)], 1)
        both = self.norms_of(F.silu(self.hidden(inputs)))
        scales, shifts = both.float().chunk(2, 1)
        channels = list(self.network.channels)
        return list(zip((1 + scales).split(channels, 1), shifts.split(channels, 1), strict=True))

    @torch.no_grad()
    def network_of(self, style: Tensor, style_weight: float = 1.0) -> transform_net.TransformNet:
        """Johnson's network for one style, as it is predicted: [1, 3, H, W] in [0, 1]; to be used, or trained on."""
        return self.network.with_norms(self.norms(self.embed(style), style_weight))

    def forward(self, content: Tensor, style: Tensor, style_weight: float | Tensor = 1.0) -> Tensor:
        """[N, 3, H, W] and [N, 3, h, w] in [0, 1] -> [N, 3, H, W] in [0, 1]."""
        return self.network(content, self.norms(self.embed(style), style_weight))

    def save(self, path: Path, license: str = "unknown") -> None:
        """Write a model file; with the encoder in it, unless that can be loaded from its source."""
        own = {name: value for name, value in self.state_dict().items() if not (self.source and name.startswith(ENCODER))}
        tensors = {name: value.half() for name, value in own.items()}
        config = dict(source=self.source, encoder=self.predictor.encoder.config, network=self.config)
        checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


ENCODER = "predictor.encoder."


def load(name: str | Path = "anystyle") -> AnyStyle:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> AnyStyle:
        return AnyStyle(Features(**config["encoder"]), source=config["source"], **config["network"])

    return checkpoint.rebuilt(name, KIND, make, with_encoder(ENCODER))
