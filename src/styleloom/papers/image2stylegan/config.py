"""Settings of an inversion, and their presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import PRECISIONS
from styleloom.core.settings import Count, CountOrNone, OneOf, Range, Rate, Seed, Share, Weight, configured

from .objective import COMPARED_SIDE, Weights

SPACES = ("w_plus", "w", "z")


INITS = ("mean", "random", "encoder")


@dataclass(frozen=True)
class InversionConfig(Weights):
    """Settings for inverting images.

    Args:
        space: "w_plus" (a w for each layer), "w" (one for all of them) or "z".
        init: start from the "mean" w, from the w of "random" seeds, or from what an "encoder" says.
        optimizer: "sgd", "nag", "adagrad", "rmsprop", "adam", "adam-eigenbasis" or "lbfgs"; "styleloom invert" also takes
            "learned", and "auto", the best that there is for a generator, which is its default.
        lr: step size, instead of the tuned one.
        tuned: settings found best, or else those of the papers.
        num_steps: largest number of steps.
        noise_steps: steps on the noise maps, after those on w.
        noise_lr: Adam's rate for them.
        noise_weight: weight of what keeps them noise; it is no part of an image's own loss. 0: they take up what w cannot.
        patience: an image is done when its loss fell by less than ``tolerance`` of it in so many steps; 0: never.
        tolerance: share of its loss by which an image has to improve within ``patience`` steps.
        batch: images at a time.
        compared_side: larger images are reduced to this many pixels a side before they are compared, as in NVIDIA's projector.
        precision: "fp32" or "bf16" for the perceptual network; from the command line for a StyleGAN2's highest resolutions too.
        seed: seed of random starts.
    """

    space: Annotated[str, OneOf(SPACES)] = "w_plus"
    init: Annotated[str, OneOf(INITS)] = "mean"
    optimizer: str = "adam"
    lr: Rate | None = None
    tuned: bool = True
    num_steps: CountOrNone = 100
    noise_steps: CountOrNone = 0
    noise_lr: Rate = 0.5
    noise_weight: Weight = 0.0
    patience: CountOrNone = 0
    tolerance: Share = 0.01
    batch: Count = 16
    compared_side: Annotated[int, Range(16)] = COMPARED_SIDE
    precision: Annotated[str, OneOf(PRECISIONS)] = "fp32"
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space == "z" and self.init != "random":
            raise StyleLoomError(f"init is {self.init}, which the space z has none of; use init random, or space w or w_plus")


PRESETS = {
    "default": InversionConfig(),
    # Section 4: equal weights, Adam at 0.01, 5,000 steps from the mean w.
    "paper": InversionConfig(tuned=False, num_steps=5000, perceptual_weight=4.0),
    # Zhu et al. 2020, Section 3.3 and the authors' code: 100 steps from the encoder, near to what it says of the result.
    "in-domain": InversionConfig(tuned=False, init="encoder", in_domain_weight=2.0),
    # The framework of the learned optimizer's gate: the same without that term.
    "seed": InversionConfig(tuned=False, init="encoder"),
}


def configure(preset: str = "default", **settings: Any) -> InversionConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`InversionConfig` refuses.
    """
    return configured(PRESETS, preset, settings)
