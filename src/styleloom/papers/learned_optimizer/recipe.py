"""Settings of the training of optimizers, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated

from numpy.random import RandomState

from styleloom.core.errors import StyleLoomError
from styleloom.core.settings import Count, CountOrNone, OneOf, Range, Rate, Share, Weight
from styleloom.loops.task import Training
from styleloom.papers.image2stylegan import INITS
from styleloom.papers.image2stylegan.objective import Weights

from .base import Schedule
from .optimizer import NETWORKS

LOOM_SIZES = ("embedding", "channels", "widest", "step_hidden", "blocks", "rank")
LOOM_INPUTS = ("use_momenta", "use_quasi_newton", "use_time_features")
LOOM_ONLY = (*LOOM_SIZES, *LOOM_INPUTS, "pretrain_fraction", "pretrain_unroll_length")
SCHEDULE_ONLY = ("anneal_start", "step_decay_start", "fallback_step")
GATE_ONLY = ("latent_weight",)


@dataclass(frozen=True)
class OptimizerRecipe(Training):
    """Settings for training a learned optimizer.

    Args:
        network: "loom", "loom-any", "lstm" (Andrychowicz 2016) or "landscape" (Liu 2023), through whole descents, or "gate", one
            step at a time.
        hidden: width of the network's layers.
        embedding: for loom, learned numbers for each coordinate.
        inner_lr: rate of Adam that loom starts from and gate multiplies; factor of lstm's output; landscape's rate of
            gradient descent.
        channels: for loom, channels of the step network's first layer; 0: there is no step network.
        widest: for loom, the most channels of a layer of the step network.
        step_hidden: for loom, width of the step network's dense layers.
        blocks: for loom, residual blocks of the step network at each resolution up to 16.
        rank: for loom, rank of the matrix of the step network's second step; 0: the width of its dense layers.
        use_momenta: for loom, input several momenta, not Adam's direction alone.
        use_quasi_newton: for loom, input the step of L-BFGS, not the Gauss-Newton step alone.
        use_time_features: for loom, input time and loss.
        pretrain_fraction: for loom, share of the training, at first, in which the step network learns from pairs of generated
            images.
        pretrain_unroll_length: for loom, steps in a row that it learns from each pair, each from where the last one led.
        unroll_length: steps of the longest descents.
        first_unroll_length: steps of the shortest. Most descents are short, since their first steps gain most; longer ones come
            in over the first half of the training after the pretraining.
        anneal_start: for loom, step at which its learned terms begin to fade out, which leaves Adam; 0: never. By default
            ``unroll_length``, or the base's where that is longer. Raise it where validation images gain by it.
        step_decay_start: for loom, step after which its steps shrink as 1 / sqrt(step); 0: never. By default 60, or the base's.
            First-order training does not see that smaller steps would stop a descent from oscillating.
        fallback_step: for loom, step after which plain Adam on w takes over, at a decaying rate; 0: never. By default the base's,
            or never.
        synthetic: share of images that the generator makes for the training.
        starts: where descents start, in turn: mean, random, encoder.
        latent_weight: for gate, weight of the mean squared difference from the w that made an image.
        pixel_weight: weight of the mean squared difference of pixels.
        perceptual_weight: weight of the mean squared difference of features.
        lr: Adam's rate, which falls by a cosine.
    """

    num_steps: Count = 1_600
    batch: Count = 8
    clip: Weight = 1.0
    log_every: Count = 10
    save_every: Count = 50
    network: Annotated[str, OneOf(NETWORKS)] = "loom"
    hidden: Count = 32
    embedding: Count = 8
    inner_lr: Rate = 0.3
    channels: CountOrNone = 32
    widest: Count = 128
    step_hidden: Count = 256
    blocks: CountOrNone = 0
    rank: CountOrNone = 0
    use_momenta: bool = True
    use_quasi_newton: bool = True
    use_time_features: bool = True
    pretrain_fraction: Share = 0.3
    pretrain_unroll_length: Count = 1
    unroll_length: Annotated[int, Range(1, 1000)] = 60
    first_unroll_length: Annotated[int, Range(1, 1000)] = 5
    anneal_start: CountOrNone | None = None
    step_decay_start: CountOrNone | None = None
    fallback_step: CountOrNone | None = None
    synthetic: Share = 0.5
    starts: tuple[Annotated[str, OneOf(INITS)], ...] = INITS
    latent_weight: Weight = 1.0
    pixel_weight: Weight = 1.0
    perceptual_weight: Weight = 0.07
    lr: Annotated[float, Range(above=0, most=1)] = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.starts:
            raise StyleLoomError(f"no start; descents are to start from {', '.join(INITS)}, one or several of them")
        if self.first_unroll_length > self.unroll_length:
            raise StyleLoomError(
                f"unroll_length is {self.unroll_length}, less than first_unroll_length, {self.first_unroll_length}; "
                "raise one or lower the other"
            )
        if self.network == "gate" and self.synthetic < 1:
            raise StyleLoomError("a gate learns from the w of generated images alone; use synthetic 1")
        for names, networks in ((LOOM_ONLY, ("loom",)), (SCHEDULE_ONLY, ("loom", "loom-any")), (GATE_ONLY, ("gate",))):
            for field in fields(self):
                if field.name in names and self.network not in networks and getattr(self, field.name) != field.default:
                    raise StyleLoomError(f"{field.name} does nothing for the network {self.network}; leave it out")
        self.weights  # noqa: B018  refuses terms that are all 0

    @property
    def weights(self) -> Weights:
        """Weights of the terms of a descent."""
        return Weights(pixel_weight=self.pixel_weight, perceptual_weight=self.perceptual_weight)

    @property
    def pretrain_steps(self) -> int:
        """Steps of the training that are on pairs."""
        return round(self.pretrain_fraction * self.num_steps) if self.network == "loom" and self.channels else 0

    @property
    def batch_steps(self) -> int:
        """Steps of the training that a batch of images serves: a gate's descents go on from step to step."""
        return self.unroll_length if self.network == "gate" else 1

    def unroll_length_at(self, step: int) -> int:
        """Length of the descents at a step of the training: random, with a log-uniform distribution."""
        after_pretraining = self.num_steps - self.pretrain_steps
        progress = min(1.0, max(0, step - self.pretrain_steps) / max(1, after_pretraining // 2))
        share = progress * RandomState([self.seed, step]).rand()
        return round(self.first_unroll_length * (self.unroll_length / self.first_unroll_length) ** share)

    def schedule(self, base: Schedule | None) -> Schedule:
        """Schedule of the trained network: the recipe's, or the one that suits the network that it starts from."""
        given = {name: getattr(self, name) for name in ("anneal_start", "step_decay_start", "fallback_step")}
        schedule = base or Schedule(anneal_start=self.unroll_length)
        if schedule.anneal_start:
            schedule = replace(schedule, anneal_start=max(self.unroll_length, schedule.anneal_start))
        return replace(schedule, **{name: value for name, value in given.items() if value is not None})


RECIPES = {
    "default": OptimizerRecipe(),
    "any": OptimizerRecipe(network="loom-any", hidden=48, starts=("mean", "random")),
    "lstm": OptimizerRecipe(network="lstm", hidden=20, inner_lr=0.1, synthetic=1.0),
    "landscape": OptimizerRecipe(network="landscape", hidden=512, inner_lr=300.0, synthetic=1.0),
    # One step at a time, on 5,000 generated images, ten at a time, a hundred steps each, from Adam at 0.01.
    "gate": OptimizerRecipe(
        network="gate",
        num_steps=50_000,
        batch=10,
        clip=0.0,
        hidden=128,
        inner_lr=0.01,
        unroll_length=100,
        first_unroll_length=100,
        synthetic=1.0,
        starts=("encoder", "random"),
        # Both terms are about equal where descents begin.
        latent_weight=0.03,
        lr=1e-4,
        log_every=100,
        sample_every=5000,
        save_every=1000,
    ),
}
