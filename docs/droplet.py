"""Why StyleGAN2 took the norm away: draw ``droplet.png``.

    python docs/droplet.py

The droplet of StyleGAN's images is a spike in a feature map, by which a network sets the strength of everything else behind the
norm's back. A network of 64 px does not grow one by itself, so it is put there: into one pixel of the features of
``toonfaces-64`` at 32 px. Shown is the mean magnitude of the next layer's features, with a spike of 0, 10, 100 and 1,000 times
their spread: above with instance norm, as in StyleGAN, where all else fades; below with demodulation, which never looks at the
features and leaves all else as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.data import images
from styleloom.papers import stylegan2

SPIKES = (0, 10, 100, 1000)
SEED = 9


@torch.no_grad()
def magnitudes(generator: stylegan2.Generator, normalization: str) -> list[Tensor]:
    """Mean magnitude of the features at 64 px for each spike: [64, 64]."""
    network = generator.synthesis
    ws = generator.map([SEED], truncation_psi=0.7)
    noise = [None] * (2 * len(network.resolutions) - 1)
    x, _ = network._blocks(network.resolutions[:-1], None, None, ws, noise)
    block: Any = network.get_submodule(f"b{network.resolutions[-1]}")
    block.conv0.normalization = normalization
    found = []
    for spike in SPIKES:
        spiked = x.clone()
        spiked[:, :, 2, 2] += spike * x.std()
        found.append(block.conv0(spiked, ws[:, -3], None).abs().mean((0, 1)))
    return found


def main() -> None:
    """Write ``docs/droplet.png``."""
    generator = stylegan2.load("toonfaces-64")
    rows = []
    for normalization in ("instance", "demodulate"):
        maps = magnitudes(generator, normalization)
        brightest = maps[0].quantile(0.98)
        rows.append(torch.stack([(each / brightest).clamp(0, 1).expand(3, -1, -1) for each in maps]))
    sheet = images.grid([row.repeat_interleave(3, 2).repeat_interleave(3, 3) for row in rows], gap=8)
    images.write(sheet, Path(__file__).parent / "droplet.png")


if __name__ == "__main__":
    main()
