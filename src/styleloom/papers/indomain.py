"""Zhu, Shen, Zhao and Zhou, "In-Domain GAN Inversion for Real Image Editing", ECCV 2020.

Image2StyleGAN takes a hundred steps or more, and often ends at latents far from those that the generator was trained on: edits of
them fail. So train an encoder from real images to latents, by the images that the generator makes of them. Descend from its
output, with a term that keeps the latents near the encoder's output for their own image.

Differs from the paper:
    - the encoder has the architecture of the generator's discriminator, and outputs a w for each layer ("W+");
    - features are those of vgg19-lite, with the weight of ``image2stylegan``;
    - it may correct itself over several passes (``iterations``; Alaluf et al. 2021, "ReStyle").
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, Range, Share, Weight
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.loops.fit import fit
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn.equalized import FullyConnected
from styleloom.nn.generators import Generator, check_classless, generator_id, mixed_from, mixing_layer, to_image, widths
from styleloom.nn.layers import placed
from styleloom.nn.losses import r1_penalty
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan.objective import Objective, Weights, render
from styleloom.papers.stylegan2.discriminator import DiscriminatorBlock

from .stylegan import discriminator_loss, generator_loss

KIND = "encoder"
MIXING = 0.9  # share of the generated images that mix two w
SHOWN = 8  # images of a sheet


class Encoder(nn.Module):
    """Images to latents: residual blocks down to 4 px, and a dense layer to all of a generator's w.

    Args:
        resolution: side of the images, a power of two from 8.
        num_ws, w_dim: number of layers and size of w of the generator.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max).
        iterations: passes; with several, each sees the image and the reconstruction so far.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    def __init__(
        self,
        resolution: int,
        num_ws: int,
        w_dim: int,
        *,
        channel_base: int = 2048,
        channel_max: int = 128,
        iterations: int = 1,
        generator: str = "",
    ) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.config = dict(
            resolution=resolution,
            num_ws=num_ws,
            w_dim=w_dim,
            channel_base=channel_base,
            channel_max=channel_max,
            iterations=iterations,
            generator=generator,
        )
        self.num_ws, self.w_dim, self.iterations = num_ws, w_dim, iterations
        width = widths(resolution, channel_base, channel_max, None)
        sides = sorted(width, reverse=True)[:-1]
        channels = 3 if iterations == 1 else 6
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(width[s] if s < resolution else 0, width[s], width[s // 2], channels, architecture="resnet")
            for s in sides
        )
        self.dense = FullyConnected(16 * width[4], num_ws * w_dim)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3 or 6, R, R] in [-1, 1] -> [N, num_ws, w_dim], to be added to the present ws."""
        x: Tensor | None = None
        for block in self.blocks:
            x, image = block(x, image)
        ws: Tensor = self.dense(x.flatten(1))  # type: ignore[union-attr]
        return ws.view(-1, self.num_ws, self.w_dim)

    def iterate(self, generator: Generator, image: Tensor) -> Iterator[Tensor]:
        """Ws [N, num_ws, w_dim] after each pass over images [N, 3, R, R] in [-1, 1]."""
        ws = self.w_avg.expand(len(image), self.num_ws, -1)
        for _ in range(self.iterations):
            inputs = image
            if self.iterations > 1:
                with torch.no_grad():
                    output = render(generator, ws) * 2 - 1
                inputs = torch.cat([image, output], 1)
            ws = ws.detach() + self(inputs)
            yield ws

    def encode(self, generator: Generator, image: Tensor) -> Tensor:
        """Ws [N, num_ws, w_dim] of images [N, 3, R, R] in [0, 1]."""
        *_, ws = self.iterate(generator, image * 2 - 1)
        return ws

    def of(self, generator: Generator) -> Callable[[Tensor], Tensor]:
        """Images to ws, with this generator, on the images' device."""
        return lambda image: self.to(image.device).encode(generator, image)


def save(network: Encoder, path: Path, license: str = "unknown") -> None:
    """Write a model file in half precision.

    Args:
        network: to write.
        path: a ``.safetensors``.
        license: what it may be used for, noted in it.
    """
    checkpoint.save_model(
        path,
        {name: value.half() for name, value in network.state_dict().items()},
        kind=KIND,
        config=network.config,
        license=license,
    )


def load(name: str | Path) -> Encoder:
    """An encoder from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: Encoder(**config))


@dataclass(frozen=True)
class EncoderRecipe(Training):
    """Settings for training an encoder.

    Args:
        channel_base, channel_max: its layers have min(channel_base / resolution, channel_max) channels.
        iterations: passes of the encoder, each correcting the one before.
        pixel_weight: weight of the mean squared difference of pixels.
        perceptual_weight: weight of the mean squared difference of features.
        adversarial_weight: weight of the discriminator's loss on the reconstructions; 0: none.
        r1_gamma: weight of the discriminator's R1 penalty.
        synthetic: share of images that the generator makes for the training, whose w are known.
        latent_weight: weight of the mean squared difference from these w.
        lr: Adam's rate, which falls by a cosine.
    """

    num_steps: Count = 6_000
    batch: Count = 16
    channel_base: Count = 2048
    channel_max: Count = 128
    iterations: Annotated[int, Range(1, 20)] = 1
    pixel_weight: Weight = 1.0
    perceptual_weight: Weight = 0.07
    adversarial_weight: Weight = 0.0
    r1_gamma: Weight = 10.0
    synthetic: Share = 0.5
    latent_weight: Weight = 0.01
    lr: Annotated[float, Range(above=0, most=1)] = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights  # noqa: B018  refuses terms that are all 0

    @property
    def weights(self) -> Weights:
        """Weights of the terms that compare images."""
        return Weights(pixel_weight=self.pixel_weight, perceptual_weight=self.perceptual_weight)


RECIPES = {
    "default": EncoderRecipe(),
    # Section 4.1 and the authors' code: images alone, judged by the discriminator. (Their rate is constant.)
    "paper": EncoderRecipe(adversarial_weight=0.1, synthetic=0.0, latent_weight=0.0, lr=1e-4),
    "restyle": EncoderRecipe(iterations=3),
}


@own_random_state
def train(
    data: str | Path | Sequence[str | Path],
    generator: Generator,
    recipe: EncoderRecipe = RECIPES["default"],
    *,
    run: Run,
    discriminator: nn.Module | None = None,
) -> Iterator[TrainingStep]:
    """Train an encoder for a generator, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        data: folders or zips of images of the generator's kind.
        generator: a generator of any paper, without classes.
        recipe: see :class:`EncoderRecipe`.
        run: folder, license, hardware, and whether to resume.
        discriminator: the generator's discriminator, where the recipe has an adversarial term.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: a generator of classes, no discriminator where one is needed, folders without images, or what
            :func:`~styleloom.loops.fit.fit` refuses.
    """
    check_classless(generator)
    if recipe.adversarial_weight and discriminator is None:
        raise StyleLoomError("adversarial_weight is not 0, and this generator's file has no discriminator; use 0")
    # Prepare the generator, the discriminator and the data.
    fabric = run.hardware.launch()
    device = fabric.device
    torch.manual_seed(recipe.seed)
    maker: Any = placed(generator, device, frozen=True)
    critic: Any = copy.deepcopy(discriminator) if recipe.adversarial_weight else None
    if critic is not None:
        critic.to(device, memory_format=torch.channels_last).requires_grad_(True)
    # Make the encoder, and train it.
    sizes = dict(channel_base=recipe.channel_base, channel_max=recipe.channel_max, iterations=recipe.iterations)
    network = Encoder(maker.resolution, maker.num_ws, maker.w_dim, **sizes, generator=generator_id(maker))
    network.w_avg.copy_(maker.w_avg)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield from fit(EncoderTask(data, maker, recipe, network, critic, run.license), recipe, run, fabric)


@final
class EncoderTask(Task):
    """Training of an encoder: a photograph in, the loss of its reconstruction out.

    Args:
        data: folders or zips of images of the generator's kind.
        generator: frozen, on its device.
        recipe: see :class:`EncoderRecipe`.
        network: the one to train.
        discriminator: trained along, where the recipe has an adversarial term.
        license: noted in the model file.
    """

    def __init__(
        self,
        data: str | Path | Sequence[str | Path],
        generator: Any,
        recipe: EncoderRecipe,
        network: Encoder,
        discriminator: Any,
        license: str,
    ) -> None:
        self.generator, self.recipe, self.network, self.license = generator, recipe, network, license
        self.discriminator, self.dataset = discriminator, SquareImages(data, generator.resolution)
        self.features = load_features().prepare(generator.device, torch.float32)
        self.networks: dict[str, nn.Module] = {"encoder": network}
        self.phases = {"encoder": Phase(torch.optim.Adam(network.parameters(), recipe.lr), self.loss)}
        if discriminator is not None:
            self.networks["D"] = discriminator
            self.phases["D"] = Phase(torch.optim.Adam(discriminator.parameters(), 1e-4, (0.0, 0.99)), self.discriminator_loss)
        self.count, self.damaged = len(self.dataset), [self.dataset.damaged]
        self.averages = {"encoder": warmed(0.998)}
        self.settings = asdict(recipe) | dict(method=KIND, generator=generator_id(generator))
        self.shown = torch.stack([self.dataset[index] for index in range(SHOWN)]).to(generator.device)

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        """A photograph, two z, whether to use a generated image instead, and the layer where its two w change."""
        z = torch.from_numpy(rng.randn(2, self.generator.z_dim)).float()
        is_synthetic, cutoff = rng.rand() < self.recipe.synthetic, mixing_layer(rng, self.generator.num_ws, MIXING)
        return self.dataset[index], z, torch.tensor(is_synthetic), torch.tensor(cutoff)

    def _for_discriminator(self, image: Tensor) -> Tensor:
        """Images in [0, 1] as the discriminator takes them."""
        return (image if self.discriminator.config["img_channels"] == 3 else image.mean(1, keepdim=True)) * 2 - 1

    def loss(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """Loss of the encoder: of images, of latents that are known, and what the discriminator says."""
        generator, network, recipe = self.generator, self.network, self.recipe
        # Replace some photographs by generated images, whose w is known.
        target = image.clone()
        with torch.no_grad():
            first, second = (generator.mapping(each[is_synthetic]) for each in z.unbind(1))
            target_ws = mixed_from(first, second, cutoff[is_synthetic])
            if len(target_ws):
                target[is_synthetic] = render(generator, target_ws).float()
        # Compare images, latents and what the discriminator says at each iteration.
        objective = Objective(generator, target, self.features, recipe.weights)
        sums: Losses = {}
        for ws in network.iterate(generator, target * 2 - 1):
            output = render(generator, ws)
            terms = {name: term.mean() for name, term in objective.compare(output).items()}
            if recipe.synthetic and recipe.latent_weight:
                difference = (ws[is_synthetic] - target_ws).square().mean((1, 2))
                terms["latent"] = recipe.latent_weight * difference.sum() / (recipe.synthetic * len(image))
            if self.discriminator is not None:
                logits = self.discriminator(self._for_discriminator(output))
                terms["adversarial"] = recipe.adversarial_weight * generator_loss(logits).mean()
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=image.device)) + term / network.iterations
        return sums

    def discriminator_loss(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """Loss of the discriminator: real images against their reconstructions, with R1."""
        real = self._for_discriminator(image).requires_grad_(True)
        with torch.no_grad():
            output = self._for_discriminator(render(self.generator, self.network.encode(self.generator, image)))
        logits = self.discriminator(real)
        penalty = self.recipe.r1_gamma / 2 * r1_penalty(logits, real).mean()
        return {"D": discriminator_loss(logits, self.discriminator(output)).mean(), "r1": penalty}

    @override
    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        ws = networks["encoder"].encode(self.generator, self.shown)
        return images.grid([self.shown, to_image(self.generator.synthesis(ws, noise_mode="const"))])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["encoder"], path, self.license)
