"""A learned optimizer for inversion: the descent itself is done by a network, trained on descents.

Image2StyleGAN descends with Adam, which knows nothing of generators. Let a small network propose the steps instead, from the
gradients met so far, from where w is, and from what the picture still lacks, and train it on many descents: sentence two of this
toolkit, "train a network to do it", applied to sentence one, "optimize a tensor".

Two ways of training are here, each with the network it was made for (``learned_optimizer_networks``):

- ``Recipe(network="gate")``: a step at a time. The network is updated after each step of a descent, by the picture's loss and
  by the distance from the w that made it; so it learns on pictures that the generator made, and looks one step ahead.
- ``Recipe(network="loom")``, ours, and ``"lstm"``: through whole descents, to the first order. Of a descent w_0, w_1, ... the
  sum of log losses has the gradient sum_t <d log L_t / d w_t, d w_t / d theta>, if the gradients that go into the network are
  taken as given. These are computed on the way in any case, so that no graph of the generator is kept, and descents of a hundred
  steps fit in memory. Logs make every picture count alike; only the loss that is reported is used, so photographs serve as well.

At run time all are a ``torch.optim.Optimizer`` in the same loop as Adam: :class:`Learned`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import TINY, StyleLoomError, check_choice, check_limits
from styleloom.core.progress import Losses
from styleloom.data.datasets import SquareImages
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.loops.fit import ONE_PROCESS, Hardware, Phase, Task, Tick, Training, cosine, fit, warmed
from styleloom.nn.generator import Generator, check_classless, check_made_for, generator_id, mixed_from
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan import INITS
from styleloom.papers.image2stylegan.objective import Encoder, Objective, Weights, pictured

from .descent import KIND as KIND
from .descent import Learned as Learned
from .descent import factory as factory
from .descent import load as load
from .descent import save
from .descent import transferred as transferred
from .networks import NETWORKS, Eye, Gate, Loom, Network, State

MADE = 10_000  # pictures of an epoch, where all are made; their latents are other ones in the next


@dataclass(frozen=True)
class Recipe(Training):
    """How a learned optimizer is trained.

    Args:
        network: "loom" or "lstm" (Andrychowicz 2016), through whole descents, or "gate", a step at a time.
        hidden: width of its layers.
        embedding: of loom: numbers learned of each coordinate.
        inner_lr: the rate of Adam that it starts from (loom) or multiplies (gate), or what its word is multiplied by (lstm).
        channels, widest: of loom: channels of what looks at the pictures, at first and at most; 0: nothing does.
        momenta, newton, clock: of loom: what it sees besides Adam's direction.
        pairs: of loom: share of the training, at first, in which what looks at the pictures learns from pairs of made ones.
        unroll_length: steps of the longest descents.
        first_unroll_length: of the shortest; most are short, which makes for many pictures, and from the first steps of a descent
            there is most to gain. Long ones come by and by, over the first half of what follows the pairs.
        horizon: of loom: steps after which Adam takes over; 0: ``unroll_length``, or the base's where that is longer. What was
            learned may well serve for longer; raise it if validation pictures say so.
        settle: of loom: steps after which they shrink with the root of their number; 0: 60, or the base's. First-order training
            does not see that a descent which turns back and forth would gain by smaller ones; let validation pictures decide.
        rest: of loom: steps after which plain Adam goes on, on w itself, at a rate that falls; 0: the base's, or never.
        synthetic: share of pictures that the generator makes for it.
        starts: where descents start, in turn: mean, random, encoder.
        latent: of gate: weight of the mean squared difference from the w that made a picture.
        pixel: weight of the mean squared difference of pixels.
        perceptual: weight of that of features.
        lr: Adam's rate, which falls by a cosine.
    """

    num_steps: int = 1_600
    batch: int = 8
    clip: float = 1.0
    log_every: int = 10
    sample_every: int = 10_000_000
    save_every: int = 50
    network: str = "loom"
    hidden: int = 32
    embedding: int = 8
    inner_lr: float = 0.3
    channels: int = 32
    widest: int = 128
    momenta: bool = True
    newton: bool = True
    clock: bool = True
    pairs: float = 0.3
    unroll_length: int = 60
    first_unroll_length: int = 5
    horizon: int = 0
    settle: int = 0
    rest: int = 0
    synthetic: float = 0.5
    starts: tuple[str, ...] = INITS
    latent: float = 1.0
    pixel: float = 1.0
    perceptual: float = 0.07
    lr: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("network", self.network, NETWORKS)
        for start in self.starts:
            check_choice("start", start, INITS)
        for name, least, most in (
            ("unroll_length", 1, 1000),
            ("first_unroll_length", 1, 1000),
            ("horizon", 0, math.inf),
            ("settle", 0, math.inf),
            ("rest", 0, math.inf),
            ("synthetic", 0, 1),
            ("pairs", 0, 1),
            ("hidden", 1, math.inf),
            ("embedding", 1, math.inf),
            ("channels", 0, math.inf),
            ("widest", 1, math.inf),
            ("latent", 0, math.inf),
            ("inner_lr", TINY, math.inf),
            ("lr", TINY, 1),
        ):
            check_limits(name, getattr(self, name), least, most)
        if not self.starts:
            raise StyleLoomError(f"no start; descents are to start from {', '.join(INITS)}, one or several of them")
        if self.first_unroll_length > self.unroll_length:
            raise StyleLoomError(
                f"unroll_length is {self.unroll_length}, less than first_unroll_length, {self.first_unroll_length}; "
                "raise one or lower the other"
            )
        Weights(pixel=self.pixel, perceptual=self.perceptual)  # refuses what cannot be
        if self.network == "gate" and self.synthetic < 1:
            raise StyleLoomError("a gate learns from the w of made pictures alone; use synthetic 1")

    @property
    def pair_steps(self) -> int:
        """How many steps of the training are on pairs."""
        return round(self.pairs * self.num_steps) if self.network == "loom" and self.channels else 0

    def unroll_length_at(self, step: int) -> int:
        """Steps of the descents at a step of the training: by chance, their logarithm evenly."""
        whole = self.num_steps - self.pair_steps
        share = min(1.0, max(0, step - self.pair_steps) / max(1, whole // 2)) * RandomState([self.seed, step]).rand()
        return round(self.first_unroll_length * (self.unroll_length / self.first_unroll_length) ** share)


RECIPES = {
    "default": Recipe(),
    "lstm": Recipe(network="lstm", pairs=0.0, hidden=20, inner_lr=0.1, synthetic=1.0),
    # A step at a time, on 5,000 pictures that the generator made, ten at a time, a hundred steps each, from Adam at 0.01.
    "seed": Recipe(
        network="gate",
        num_steps=50_000,
        pairs=0.0,
        batch=10,
        clip=0.0,
        hidden=128,
        inner_lr=0.01,
        unroll_length=100,
        first_unroll_length=100,
        synthetic=1.0,
        starts=("encoder", "random"),
        # So that both terms are about equal where descents begin.
        latent=0.03,
        lr=1e-4,
        log_every=100,
        save_every=1000,
    ),
}


class _Descents(nn.Module):
    """Descents that go on from one step of a training to the next: what they need to, in buffers."""

    def __init__(self, network: Gate, count: int, picture: tuple[int, int, int]) -> None:
        super().__init__()
        shape = (count, network.num_ws, network.w_dim)
        for name in ("ws", "truth", "gradient"):
            self.register_buffer(name, torch.zeros(shape))
        for name, value in network.begin(count).items():
            self.register_buffer(f"state_{name}", value.clone())
        self.register_buffer("target", torch.zeros(count, *picture))

    @property
    def state(self) -> State:
        return {name.removeprefix("state_"): value for name, value in self.named_buffers() if name.startswith("state_")}

    @torch.no_grad()
    def put(self, values: Mapping[str, Tensor], state: State | None = None) -> None:
        for name, value in {**values, **{f"state_{name}": value for name, value in (state or {}).items()}}.items():
            getattr(self, name).copy_(value)


def train(
    generator: Generator,
    recipe: Recipe = RECIPES["default"],
    *,
    out: str | Path,
    data: str | Path | Sequence[str | Path] | None = None,
    basis: Eigenbasis | None = None,
    encoder: Encoder | None = None,
    base: Network | None = None,
    licence: str = "unknown",
    hardware: Hardware = ONE_PROCESS,
    resume: bool = False,
) -> Iterator[Tick]:
    """Train an optimizer for a generator, a step at a time; the model is ``out/model.safetensors``.

    Args:
        generator: of any paper, without classes.
        recipe: see :class:`Recipe`.
        out: folder of the run.
        data: folders or zips of pictures of the generator's kind, where the recipe wants other than made ones.
        basis: of the generator, for loom.
        encoder: pictures in [0, 1] to ws, where descents are to start from it.
        base: a trained network to go on from; its sizes hold, not the recipe's, and a loom's own basis.
        licence: what the model may be used for, noted in it.
        hardware: what it is computed on.
        resume: go on from the state in ``out``.

    Yields:
        :class:`~styleloom.loops.fit.Tick` after each step; its loss ``descent`` is the mean of log10 of a descent's losses.

    Raises:
        StyleLoomError: something that the recipe needs is missing, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    check_classless(generator)
    if isinstance(base, Loom):
        if basis is not None and not torch.equal(basis.vectors.to(base.vectors), base.vectors):
            raise StyleLoomError("base was trained in another eigenbasis; leave basis out to go on in its own, or train anew")
        basis = base.basis
    if recipe.synthetic < 1 and data is None:
        raise StyleLoomError("no pictures; give some of the generator's kind, or train on made ones with synthetic 1")
    if recipe.network == "loom" and basis is None:
        raise StyleLoomError("this recipe wants an eigenbasis of the generator; compute it first")
    if "encoder" in recipe.starts and encoder is None:
        raise StyleLoomError("descents are to start from an encoder, and there is none; train one, or use starts mean,random")
    if basis is not None:
        check_made_for("this eigenbasis", basis.generator, generator)
    if recipe.network == "gate" and hardware.processes * hardware.nodes * recipe.accumulate > 1:
        raise StyleLoomError("a gate's descents go on from step to step, all at once; use processes 1 and accumulate 1")
    fabric = hardware.launch()
    device = fabric.device
    torch.manual_seed(recipe.seed)
    maker: Any = generator.to(device, memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    pictures = SquareImages(data, maker.resolution) if data is not None and recipe.synthetic < 1 else None
    network = _network(recipe, maker, basis) if base is None else base
    check_made_for("this optimizer", network.config["generator"], maker)
    if not isinstance(network, NETWORKS[recipe.network]):
        raise StyleLoomError(f"base is no {recipe.network}, which the recipe trains; give one of these, or another recipe")
    if isinstance(network, Loom):
        own = network.config
        longest = max(recipe.unroll_length, 0 if base is None else own["horizon"])
        own |= dict(horizon=recipe.horizon or longest, settle=recipe.settle or own["settle"], rest=recipe.rest or own["rest"])
    network.to(device).requires_grad_(True)
    features = load_features().prepare(device, torch.float32)
    course = _Course(maker, features, recipe, encoder, network)

    side = maker.resolution
    nothing = torch.zeros(3, side, side)

    def item(index: int, rng: RandomState) -> tuple[Tensor, ...]:
        z = torch.from_numpy(rng.randn(3, maker.z_dim)).float()
        # Every other one of those that are made is mixed of two.
        made, cut = rng.rand() < recipe.synthetic, rng.randint(2) * rng.randint(maker.num_ws)
        return (nothing if pictures is None else pictures[index]), z, torch.tensor(made), torch.tensor(cut)

    optimizer = torch.optim.Adam(network.parameters(), recipe.lr, (0.9, 0.99))
    networks: dict[str, nn.Module] = {"optimizer": network}
    if isinstance(network, Gate):
        course.descents = networks["descents"] = _Descents(network, recipe.batch, (3, side, side)).to(device)
    every = recipe.unroll_length if isinstance(network, Gate) else 1  # steps that a batch of pictures serves

    def places(step: int) -> range:
        return range(step // every * recipe.batch, (step // every + 1) * recipe.batch)

    task = Task(
        networks=networks,
        phases={"optimizer": Phase(optimizer, course.one_step if isinstance(network, Gate) else course.whole)},
        item=item,
        count=len(pictures) if pictures is not None else MADE,
        sample_indices=places,
        before_step=course.begin,
        averages={} if isinstance(network, Gate) else {"optimizer": warmed(0.98)},
        schedule=lambda step: cosine(step, recipe.num_steps),
        export=lambda networks, path: save(networks["optimizer"], path, licence),  # type: ignore[arg-type]
        settings=asdict(recipe) | dict(method=KIND, network=network.config, tools=_known(maker, basis, encoder)),
        damaged=[pictures.damaged] if pictures is not None else [],
    )
    yield from fit(task, recipe, out=Path(out), fabric=fabric, resume=resume)


def _known(generator: Generator, basis: Eigenbasis | None, encoder: Encoder | None) -> str:
    """A digest of what a training uses, an encoder by what it says of the mean picture."""
    used = [] if basis is None else [basis.vectors]
    if encoder is not None:
        with torch.no_grad():
            used.append(encoder(pictured(generator, generator.w_avg.expand(1, generator.num_ws, -1)).float()))
    return fingerprint([], used)[:16]


def _network(recipe: Recipe, generator: Generator, basis: Eigenbasis | None) -> Network:
    common: dict[str, Any] = dict(num_ws=generator.num_ws, w_dim=generator.w_dim, generator=generator_id(generator))
    common |= dict(hidden=recipe.hidden, lr=recipe.inner_lr)
    if recipe.network != "loom":
        return NETWORKS[recipe.network](**common)
    names = ("embedding", "channels", "widest", "momenta", "newton", "clock")
    own = {name: getattr(recipe, name) for name in names}
    return Loom(basis, resolution=generator.resolution, w_avg=generator.w_avg, **common, **own)


class _Course:
    """Descents for a network to be trained on."""

    def __init__(self, generator: Any, features: Features, recipe: Recipe, encoder: Encoder | None, network: Network) -> None:
        self.generator, self.features, self.recipe = generator, features, recipe
        self.encoder, self.network = encoder, network
        self.weights = Weights(pixel=recipe.pixel, perceptual=recipe.perceptual)
        self.descents: Any = None
        self.step = 0

    def begin(self, step: int) -> dict[str, float]:
        """Take note of the step of the training."""
        self.step = step
        return {"unroll_length": float(self.recipe.unroll_length_at(step))}

    @torch.no_grad()
    def _lesson(self, picture: Tensor, z: Tensor, made: Tensor, cut: Tensor) -> tuple[Objective, Tensor, Tensor]:
        """What is wanted, where to begin, and the ws that it was made of, where it was."""
        recipe, generator = self.recipe, self.generator
        first, second, third = (generator.mapping(each).float() for each in z.unbind(1))
        truth, targets = mixed_from(second, first, cut), picture.clone()
        if made.any():
            targets[made] = pictured(generator, truth[made]).float()
        start = recipe.starts[self.step // (recipe.unroll_length if self.descents is not None else 1) % len(recipe.starts)]
        if start == "encoder":
            begins = self.encoder(targets)  # type: ignore[misc]
        else:
            begins = third if start == "random" else generator.w_avg.expand(len(z), generator.num_ws, -1)
        return Objective(generator, targets, self.features, self.weights), begins.clone(), truth

    def _slope(self, objective: Objective, ws: Tensor) -> Tensor:
        """d L / d ws, with the network's view of it in ``objective.sight``."""
        here = ws.detach().requires_grad_(True)
        with torch.enable_grad():
            _, terms = objective(here)
            torch.stack(list(terms.values())).sum().backward()
        assert here.grad is not None
        return here.grad.float()

    def pairs(self, network: Loom, eye: Eye, z: Tensor) -> Losses:
        """What the eye leaves of the way from one made picture to another, far ones and near, as a share of it."""
        generator = self.generator
        with torch.no_grad():
            ws = torch.cat([generator.mapping(each).float() for each in z.unbind(1)])
            # Half of them are mixed.
            ws = mixed_from(ws, ws.roll(1, 0), torch.arange(len(ws), device=z.device) % (2 * generator.num_ws) + 1)
            far = torch.linspace(0.05, 1, len(ws), device=z.device)[:, None, None]
            ws = torch.cat([ws, torch.lerp(ws, ws.roll(2, 0), far)])
            image = pictured(generator, ws).float()
        weight = network.curvature.sqrt()
        losses = []
        for shift in (len(ws) // 2, len(ws) // 2 + 1, 1):
            with torch.autocast(ws.device.type, enabled=False):
                place = network.place(ws)
                way = place.roll(shift, 0) - place
                step, _ = eye(place.clamp(-5, 5), torch.zeros_like(place), image.roll(shift, 0), image)
            left = (weight * (way - step).square()).sum(1) / (weight * way.square()).sum(1).clamp(min=1e-6)
            losses.append(left.mean())
        return {"pairs": torch.stack(losses).mean()}

    def whole(self, picture: Tensor, z: Tensor, made: Tensor, cut: Tensor) -> Losses:
        """The mean of log losses on whole descents, with the gradient of the first order."""
        if self.step < self.recipe.pair_steps and isinstance(self.network, Loom) and self.network.eye is not None:
            return self.pairs(self.network, self.network.eye, z)
        objective, ws, _ = self._lesson(picture, z, made, cut)
        state = self.network.begin(len(ws))
        length = self.recipe.unroll_length_at(self.step)
        total: Tensor | float = 0.0
        for step in range(length + 1):
            gradient = self._slope(objective, ws)
            sight = objective.sight
            if step:
                towards = gradient / sight.losses.clamp(min=1e-8)[:, None, None]
                told = (towards * ws).sum((1, 2)).mean() / length
                total = total + told - told.detach() + sight.losses.log10().mean().detach() / length
            if step < length:
                with torch.autocast(ws.device.type, enabled=False):
                    moved, state = self.network(ws.detach(), gradient, sight, state)
                ws = ws + moved
        return {"descent": total}  # type: ignore[dict-item]

    def one_step(self, picture: Tensor, z: Tensor, made: Tensor, cut: Tensor) -> Losses:
        """The loss of the next place, and its distance from the w that made the picture."""
        descents, recipe = self.descents, self.recipe
        if self.step % recipe.unroll_length == 0:
            objective, ws, truth = self._lesson(picture, z, made, cut)
            values = dict(ws=ws, truth=truth, gradient=self._slope(objective, ws), target=objective.targets)
            descents.put(values, self.network.begin(len(ws)))
        else:
            objective = Objective(self.generator, descents.target, self.features, self.weights)
        blind: Any = None  # a gate looks at no picture
        moved, state = self.network(descents.ws.clone(), descents.gradient.clone(), blind, descents.state)
        ws = descents.ws.clone() + moved
        gradient = self._slope(objective, ws)
        descents.put(dict(ws=ws.detach(), gradient=gradient), state)
        told = (gradient * ws).sum((1, 2)).mean()
        return {
            "picture": told - told.detach() + objective.sight.losses.mean(),
            "latent": recipe.latent * (ws - descents.truth).square().mean((1, 2)).mean(),
        }
