"""The mapping network of StyleGAN2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.nn import generators
from styleloom.nn.equalized import FullyConnected, normalized


class MappingNetwork(nn.Module):
    """z, and the embedding of a class, to w.

    Args:
        z_dim: size of z; 0: none.
        c_dim: number of classes; 0: none.
        w_dim: size of w.
        num_ws: copies of w that are given out, or None for [N, w_dim] and no truncation.
        num_layers: dense layers.
        embed_features: size of a class's embedding, w_dim by default.
        layer_features: size of the layers between, w_dim by default.
        lr_multiplier: how much slower than the others these layers learn.
        w_avg_beta: decay of the running mean of w; None: none is kept.
        joint: bring z and the class's embedding to unit length together, not each by itself.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        *,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, c_dim, w_dim, num_ws, num_layers
        self.w_avg_beta, self.joint = w_avg_beta, joint
        embedded = (embed_features or w_dim) if c_dim else 0
        if c_dim:
            self.embed = FullyConnected(c_dim, embedded)
        sizes = [z_dim + embedded, *[layer_features or w_dim] * (num_layers - 1), w_dim]
        for index in range(num_layers):
            layer = FullyConnected(sizes[index], sizes[index + 1], lr_multiplier=lr_multiplier, activate=True)
            self.add_module(f"fc{index}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """[N, z_dim] and [N, c_dim] -> ws [N, num_ws, w_dim], drawn to the mean by ``truncation_psi`` in the first layers."""
        parts = [z.float()] if self.z_dim and z is not None else []
        if self.c_dim:
            if c is None:
                raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
            parts.append(self.embed(c.float()))
        x = normalized(torch.cat(parts, 1)) if self.joint else torch.cat([normalized(part) for part in parts], 1)
        for index in range(self.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        if self.num_ws is None:
            return x
        ws = x[:, None].expand(-1, self.num_ws, -1)
        if self.w_avg_beta is None:
            return ws
        return generators.truncated(ws, self.w_avg, truncation_psi, truncation_cutoff)
