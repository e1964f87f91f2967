"""The network of several styles, one set of scales and shifts each, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.nn import transform_net
from styleloom.nn.layers import Moment

KIND = "dumoulin"


class StyleNet(nn.Module):
    """One transformation network and, for each style, a scale and a shift of every normalized channel.

    Args:
        styles: names of the styles.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
    """

    def __init__(
        self, styles: Sequence[str], *, width: int = 32, blocks: int = 5, deep_blocks: int = 0, deep_width: int = 128
    ) -> None:
        super().__init__()
        if not styles or len(set(styles)) < len(styles):
            raise StyleLoomError(f"styles {list(styles)} must be at least one, of different names")
        self.styles = tuple(styles)
        # Convolutions without bias, N(0, .01); the last one normalized too, then a sigmoid (Table 1 and 5).
        self.network = transform_net.TransformNet(
            width=width,
            blocks=blocks,
            output="sigmoid",
            own_norms=False,
            bias=False,
            deep_blocks=deep_blocks,
            deep_width=deep_width,
        )
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        self.gamma = nn.ParameterList([torch.ones(len(styles), channels) for channels in self.network.channels])
        self.beta = nn.ParameterList([torch.zeros(len(styles), channels) for channels in self.network.channels])

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of a network with the same convolutions."""
        names = ("width", "blocks", "deep_blocks", "deep_width")
        return {name: int(self.network.config[name]) for name in names if name in self.network.config}  # type: ignore[call-overload]

    @property
    def parameters_per_style(self) -> int:
        """Numbers that make a style."""
        return 2 * sum(self.network.channels)

    def norms(self, shares: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scales and shifts of mixtures of styles (Section 3.3): shares [N, styles] -> pairs of [N, C]."""
        return [(shares @ gamma, shares @ beta) for gamma, beta in zip(self.gamma, self.beta, strict=True)]

    def forward(self, image: Tensor, shares: Tensor, statistics: Sequence[Moment] | None = None) -> Tensor:
        """[N, 3, H, W] in [0, 1] and shares [N, styles] that sum to 1 -> [N, 3, H, W] in [0, 1]."""
        return self.network(image, self.norms(shares), statistics)

    def network_of(self, style: str) -> transform_net.TransformNet:
        """Johnson's network for one of the styles, which paints as this one does.

        Raises:
            StyleLoomError: a style that this network lacks.
        """
        return self.network.with_norms(self.norms(self.shares_of({style: 1.0})))

    def shares_of(self, weights: Mapping[str, float]) -> Tensor:
        """``{style: weight}`` -> [1, styles], scaled to sum to 1.

        Raises:
            StyleLoomError: a style that this network lacks, or weights that are negative or all 0.
        """
        unknown = [name for name in weights if name not in self.styles]
        if unknown:
            raise StyleLoomError(f"unknown styles {unknown}; this network has {', '.join(self.styles)}")
        row = torch.tensor([[float(weights.get(name, 0)) for name in self.styles]])
        if not (row >= 0).all() or not 0 < row.sum() < float("inf"):
            raise StyleLoomError(f"weights {dict(weights)} must be 0 or above, and not all 0")
        return row / row.sum()


def join(*networks: StyleNet) -> StyleNet:
    """One network with the styles of several that share their convolutions, as a base and those added to it do.

    Raises:
        StyleLoomError: their convolutions differ, or two styles have one name.
    """
    first = networks[0].network
    for other in networks[1:]:
        if any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.network.parameters(), strict=True)):
            raise StyleLoomError("these networks have different convolutions; only styles added to one base can be joined")
    joined = StyleNet(
        [name for network in networks for name in network.styles],
        **networks[0].sizes,
    )
    joined.network.load_state_dict(first.state_dict())
    for index in range(len(first.channels)):
        joined.gamma[index].data = torch.cat([network.gamma[index].data for network in networks])
        joined.beta[index].data = torch.cat([network.beta[index].data for network in networks])
    return joined


def save(network: StyleNet, path: Path, license: str = "unknown") -> None:
    """Write a model file; ``license``: what it may be used for, noted in it."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    config = dict(styles=list(network.styles)) | network.sizes
    checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path = "pastiche-16") -> StyleNet:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: StyleNet(**config))
