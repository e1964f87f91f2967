"""Parts that generators of images share: sizes by resolution, seeds, sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError, check_choice, check_seeds

NOISE_MODES = ("const", "random", "none")
BATCH = 8  # images sampled at a time


def resolutions(img_resolution: int) -> list[int]:
    """4, 8, ... up to a power of two.

    Raises:
        StyleLoomError: no power of two, or below 4.
    """
    if img_resolution < 4 or img_resolution & (img_resolution - 1):
        raise StyleLoomError(f"img_resolution is {img_resolution}; it must be a power of two, at least 4")
    return [2**power for power in range(2, img_resolution.bit_length())]


def widths(img_resolution: int, channel_base: int, channel_max: int, channels: Sequence[int] | None) -> dict[int, int]:
    """Channels by resolution: those given, from 4 px upwards, or min(channel_base / resolution, channel_max).

    Raises:
        StyleLoomError: not a number for each resolution.
    """
    sides = resolutions(img_resolution)
    if channels is None:
        channels = [min(channel_base // side, channel_max) for side in sides]
    if min(channels, default=0) < 1:
        raise StyleLoomError(
            f"channels are {list(channels)}, from 4 px up; each must be at least 1: raise channel_base or channel_max"
        )
    if len(channels) != len(sides):
        raise StyleLoomError(f"{len(channels)} channels given; {img_resolution} px has {len(sides)} resolutions, from 4 px up")
    return dict(zip(sides, channels, strict=True))


def channel_options(channels: dict[int, int]) -> dict[str, Any]:
    """The arguments from which :func:`widths` makes these channels: base and maximum, or all of them."""
    side, most = max(channels), max(channels.values())
    base = max([width * resolution for resolution, width in channels.items() if width < most], default=most * side)
    if widths(side, base, most, None) == channels:
        return dict(channel_base=base, channel_max=most)
    return dict(channels=[channels[resolution] for resolution in sorted(channels)])


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """Z of each seed, as all StyleGAN code draws it: [N, z_dim].

    Raises:
        StyleLoomError: a seed below 0 or above 2^32 - 1.
    """
    check_seeds(seeds)
    drawn = [np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]
    return torch.from_numpy(np.concatenate(drawn)).float() if drawn else torch.empty(0, z_dim)


def check_ws(ws: Tensor, num_ws: int) -> None:
    """Raise StyleLoomError unless latents are [N, num_ws, w_dim]."""
    if ws.ndim != 3 or ws.shape[1] != num_ws:
        raise StyleLoomError(f"latents of shape {list(ws.shape)}; this network takes [N, {num_ws}, w_dim]")


def to_image(image: Tensor, *, clamp: bool = True) -> Tensor:
    """Convert a network's output, [N, 1 or 3, H, W] in [-1, 1], to RGB images [N, 3, H, W] in [0, 1].

    Args:
        image: output of the network.
        clamp: cut what lies outside; not where a gradient has to bring it back.
    """
    if image.shape[1] not in (1, 3):
        raise StyleLoomError(f"this generator's images have {image.shape[1]} channels; gray ones and RGB can be shown")
    image = image.add(1).div(2)
    return (image.clamp(0, 1) if clamp else image).expand(-1, 3, -1, -1)


def reduced(image: Tensor, side: int) -> Tensor:
    """Images [N, C, R, R] of at most ``side`` pixels a side, larger ones by the mean of each area, as NVIDIA's projector does."""
    return nn.functional.interpolate(image, side, mode="area") if image.shape[-1] > side else image


def slerp(first: Tensor, second: Tensor, share: float | Tensor) -> Tensor:
    """Between vectors along the sphere (Shoemake 1985): [N, D] each, and a share or [N, 1] shares -> [N, D]; lengths go along."""
    lengths = [each.norm(dim=1, keepdim=True) for each in (first, second)]
    a, b = first / lengths[0], second / lengths[1]
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    if bool((angle.sin() < 1e-6).any()):
        return first.lerp(second, share)
    between = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()
    return between * lengths[0].lerp(lengths[1], share)


def truncated(ws: Tensor, w_avg: Tensor, truncation_psi: float, truncation_cutoff: int | None = None) -> Tensor:
    """Draw ws [N, num_ws, w_dim] to the mean [w_dim], in the first ``truncation_cutoff`` layers, or in all."""
    cutoff = ws.shape[1] if truncation_cutoff is None else truncation_cutoff
    if not 0 <= cutoff <= ws.shape[1]:
        raise StyleLoomError(f"truncation_cutoff is {cutoff}; it must be from 0 to {ws.shape[1]}, the number of layers")
    if truncation_psi == 1:
        return ws
    return torch.cat([w_avg.lerp(ws[:, :cutoff], truncation_psi), ws[:, cutoff:]], 1)


def mixed_from(first: Tensor, second: Tensor, layer: Tensor) -> Tensor:
    """Style mixing: of ws [N, num_ws, w_dim] the second's from each image's ``layer`` [N] on, the first's below it."""
    index = torch.arange(first.shape[1], device=first.device)
    return torch.where((index < layer[:, None])[:, :, None], first, second)


def mixing_layer(rng: np.random.RandomState, num_ws: int, mixing: float) -> int:
    """Style mixing of one image: the layer from which on it takes its second w, 1 to num_ws - 1; num_ws: it does not mix.

    Args:
        rng: decides.
        num_ws: number of layers that take a w of their own.
        mixing: share of the images that mix.
    """
    return int(rng.randint(1, num_ws)) if num_ws > 1 and rng.rand() < mixing else num_ws


def sample_ws(generator: Generator, seeds: Sequence[int], *, mixing: float = 0.0) -> Tensor:
    """Ws [N, num_ws, w_dim] of seeds; a share ``mixing`` of them takes a second w from a random layer on."""
    ws = generator.map(seeds)
    if not mixing:
        return ws
    rng = np.random.RandomState(seeds[0])
    layers = [mixing_layer(rng, generator.num_ws, mixing) for _ in seeds]
    return mixed_from(ws, generator.map([seed + 2**31 for seed in seeds]), torch.tensor(layers, device=ws.device))


class Generator(nn.Module):
    """A mapping network from z to ws and a synthesis network from ws to images; papers' generators are made of it.

    Attributes:
        z_dim: size of z.
        c_dim: number of classes; 0: none.
        w_dim: size of w.
        num_ws: copies of w that ``synthesis`` takes.
        resolution: side of the images.
    """

    mapping: nn.Module
    synthesis: nn.Module

    def __init__(self, config: dict[str, Any], *, z_dim: int, c_dim: int, w_dim: int, num_ws: int, resolution: int) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.resolution = z_dim, c_dim, w_dim, num_ws, resolution

    @property
    def w_avg(self) -> Tensor:
        """The mean of w: [w_dim]."""
        average: Tensor = self.mapping.w_avg  # type: ignore[assignment]
        return average

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        return next(self.parameters()).device

    @property
    def noise_maps(self) -> list[Tensor]:
        """Each layer's noise map as it was trained, [H, W]; empty for a generator without noise."""
        return [value for name, value in self.synthesis.named_buffers() if name.endswith("noise_const")]

    @property
    def noise_sides(self) -> list[int]:
        """The side of each layer's noise map."""
        return [each.shape[-1] for each in self.noise_maps]

    def one_hot(self, classes: int | Sequence[int] | None, count: int) -> Tensor | None:
        """Classes as [count, c_dim] of 0 and 1; one class serves all, None where there are none.

        Raises:
            StyleLoomError: no such class, a number of classes that does not fit, or classes for a network without.
        """
        if classes is None and not self.c_dim:
            return None
        if classes is None:
            raise StyleLoomError(f"this network wants a class: 0 to {self.c_dim - 1}")
        if not self.c_dim:
            raise StyleLoomError("this network has no classes")
        several = [classes] if isinstance(classes, int | np.integer) else list(classes)
        chosen = [int(each) for each in several] * (count if len(several) == 1 else 1)
        if len(chosen) != count or not all(0 <= each < self.c_dim for each in chosen):
            raise StyleLoomError(f"classes {classes} given for {count} images; wanted one of 0 to {self.c_dim - 1} for each")
        return nn.functional.one_hot(torch.tensor(chosen), self.c_dim).float().to(self.device)

    @torch.no_grad()
    def map(
        self,
        seeds: Sequence[int],
        classes: int | Sequence[int] | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Ws [N, num_ws, w_dim] of seeds.

        Args:
            seeds: z is ``numpy.random.RandomState(seed).randn(1, z_dim)``.
            classes: class of each image, or one for all, in networks that have them.
            truncation_psi: 0 is the mean w, 1 none of it.
            truncation_cutoff: how many layers, from the coarsest, are truncated; all by default.

        Raises:
            StyleLoomError: a seed or a class that there is none of.
        """
        z = latents(seeds, self.z_dim).to(self.device)
        ws: Tensor = self.mapping(z, self.one_hot(classes, len(seeds)), truncation_psi, truncation_cutoff)
        return ws

    def layers_up_to(self, side: int) -> int:
        """Count the first layers that :meth:`image_at` depends on: all, in networks that make no smaller images."""
        return self.num_ws

    def image_at(self, ws: Tensor, side: int) -> Tensor:
        """Images [N, C, side, side] of ws [N, num_ws, w_dim], nominally in [-1, 1], with the trained noise.

        Larger images are reduced. Networks that make an image at each resolution compute no further than they have to.
        """
        image: Tensor = self.synthesis(ws, noise_mode="const")
        return reduced(image, side)

    @torch.no_grad()
    def render(self, ws: Tensor, *, noise_mode: str = "const", seeds: Sequence[int] | None = None) -> Iterator[Tensor]:
        """Images [1, 3, H, W] in [0, 1] of ws [N, num_ws, w_dim], one after the other, computed in small batches.

        Args:
            ws: latents.
            noise_mode: ``"const"``, ``"random"`` or ``"none"``.
            seeds: seeds of each image's random noise, so that it does not depend on the batch; 0, 1, ... by default.
        """
        check_choice("noise_mode", noise_mode, NOISE_MODES)
        if noise_mode == "random":
            seeds = list(range(len(ws)) if seeds is None else seeds)
            if len(seeds) != len(ws):
                raise StyleLoomError(f"{len(seeds)} seeds of noise for {len(ws)} images; wanted one for each")
            for each, seed in zip(ws.split(1), seeds, strict=True):
                noise = torch.Generator(self.device).manual_seed(int(seed))
                yield to_image(self.synthesis(each, noise_mode=noise_mode, generator=noise))
            return
        for part in ws.split(BATCH):
            yield from to_image(self.synthesis(part, noise_mode=noise_mode)).split(1)

    def generate(
        self,
        seeds: Sequence[int],
        classes: int | Sequence[int] | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
    ) -> Tensor:
        """Images of seeds: [N, 3, H, W] in [0, 1]; see :meth:`map` and :meth:`render` for the arguments and errors."""
        ws = self.map(seeds, classes, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return torch.cat(list(self.render(ws, noise_mode=noise_mode, seeds=seeds)))

    @torch.no_grad()
    def estimate_w_avg(self, count: int = 10_000, seed: int = 0) -> Tensor:
        """The mean w of ``count`` latents, classes in turn: [w_dim]; for networks whose file has none."""
        total = torch.zeros(self.w_dim, dtype=torch.float64)
        noise = np.random.RandomState(seed)
        for start in range(0, count, 1000):
            size = min(1000, count - start)
            z = torch.from_numpy(noise.randn(size, self.z_dim)).float().to(self.device)
            c = self.one_hot([(start + i) % self.c_dim for i in range(size)], size) if self.c_dim else None
            total += self.mapping(z, c)[:, 0].double().sum(0).cpu()
        return (total / count).float()


def generator_id(generator: Generator) -> str:
    """Short hash that identifies a generator.

    It is taken of the mean w in half precision, or, if that is zero, of the first weight matrix.
    """
    shape = [generator.num_ws, generator.w_dim, generator.resolution]
    known = generator.w_avg if generator.w_avg.any() else next(each for each in generator.synthesis.parameters() if each.ndim > 1)
    return checkpoint.fingerprint(shape, [known.half()])[:16]


def check_classless(generator: Generator) -> None:
    """Raise StyleLoomError if a generator's images are of several classes, so that w alone does not tell what they are."""
    if generator.c_dim:
        raise StyleLoomError(f"this generator has {generator.c_dim} classes; only ones without can be inverted")


def check_made_for(what: str, made_for: str, generator: Generator) -> None:
    """Raise StyleLoomError unless ``made_for`` is the :func:`generator_id` of this generator, or empty: of any."""
    if made_for not in ("", generator_id(generator)):
        raise StyleLoomError(f"{what} was made for another generator, whose latents mean something else; make one for this")


def arguments(scope: dict[str, Any]) -> dict[str, Any]:
    """A constructor's arguments, from its ``locals()``, as plain values to rebuild the network from."""
    given = {name: value for name, value in scope.items() if name not in ("self", "__class__")}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()}


G = TypeVar("G", bound=nn.Module)
D = TypeVar("D", bound=nn.Module)


class ModelFiles(Generic[G, D]):
    """Model files of a paper's generators and discriminators."""

    def __init__(self, kind: str, generator: type[G], discriminator: type[D]) -> None:
        self.kind, self.generator, self.discriminator = kind, generator, discriminator

    def save(self, generator: G, path: Path, discriminator: D | None = None, license: str = "unknown") -> None:
        """Write a model file in half precision: a generator, and the discriminator that goes on teaching it.

        Args:
            generator: written as ``G.`` in the file.
            path: a ``.safetensors``.
            discriminator: written as ``D.`` in the file.
            license: what the file may be used for.
        """
        parts: dict[str, Any] = {"G": generator, "D": discriminator}
        states = {key: net.state_dict() for key, net in parts.items() if net is not None}
        tensors = {f"{key}.{name}": value.half() for key, state in states.items() for name, value in state.items()}
        config = {key: net.config if net is not None else None for key, net in parts.items()}
        checkpoint.save_model(path, tensors, kind=self.kind, config=config, license=license)

    def load(self, name: str | Path) -> G:
        """A generator, in fp32.

        Args:
            name: name of a model in the zoo, a path or ``hf://owner/repo/file``.

        Raises:
            StyleLoomError: no such model, or one of another kind.
        """
        network: G = self._loaded(name, "G")
        return network

    def load_discriminator(self, name: str | Path) -> D:
        """The discriminator beside a generator, in fp32.

        Args:
            name: name of a model in the zoo, a path or ``hf://owner/repo/file``.

        Raises:
            StyleLoomError: no such model, one of another kind, or one without a discriminator.
        """
        network: D = self._loaded(name, "D")
        return network

    def _loaded(self, name: str | Path, key: str) -> Any:
        tensors, config = checkpoint.read_model(name, self.kind)
        if not config.get(key):
            raise StyleLoomError(f"{name} holds no {'generator' if key == 'G' else 'discriminator'}")
        return self.build(name, key, tensors, config)

    def build(self, name: str | Path, key: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Any:
        """The network ``"G"`` or ``"D"`` of what a model file holds.

        Raises:
            StyleLoomError: tensors that do not fit the config.
        """
        own = {index[2:]: tensor for index, tensor in tensors.items() if index.startswith(f"{key}.")}
        with checkpoint.rebuilding(name):
            network = (self.generator if key == "G" else self.discriminator)(**config[key])
            network.load_state_dict(own)
        return network.float().eval()
