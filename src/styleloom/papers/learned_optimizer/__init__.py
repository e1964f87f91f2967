"""A learned optimizer for inversion: a network proposes the steps of the descent, and is trained on descents.

Image2StyleGAN descends with Adam, which knows nothing of generators. Train a network to propose the steps instead. It sees the
gradients so far, the present w, the target and the present image. Training a network to do it in one pass, applied to optimizing
a tensor, gives a trained optimizer.

There are two ways of training, each with its networks:

- Through whole descents, to first order: ``OptimizerRecipe(network="loom")``, ours (``loom.py``), and ``"lstm"`` (``lstm.py``).
  For a descent w_0, w_1, ... the sum of log losses has the gradient
  sum_t <d log L_t / d w_t, d w_t / d theta>, when the gradients that
  enter the network are taken as given. These gradients are computed anyway, so no graph of the generator is kept, and descents of
  a hundred steps fit in memory. The log gives every image the same weight. Only the reported loss is used, so photographs serve
  as well as generated images.
- One step at a time: ``OptimizerRecipe(network="gate")`` (``gate.py``). The network is updated after each step of a descent, by
  the image's loss and by the distance to the w that made the image. It learns on generated images, and looks one step ahead.

At run time each is a ``torch.optim.Optimizer`` in the same loop as Adam: :class:`Learned`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, final

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, OneOf, Range, Rate, Share, Weight
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.loops.fit import fit
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn.generators import Generator, check_classless, check_made_for, generator_id, mixed_from, mixing_layer
from styleloom.nn.layers import placed
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan import INITS
from styleloom.papers.image2stylegan.objective import Encoder, Objective, Observation, Weights, render

from .base import Network as Network
from .base import Schedule as Schedule
from .base import State
from .gate import Gate as Gate
from .loom import Loom as Loom
from .loom import StepNetwork
from .lstm import CoordinatewiseLSTM as CoordinatewiseLSTM
from .optimizer import KIND as KIND
from .optimizer import NETWORKS as NETWORKS
from .optimizer import Learned as Learned
from .optimizer import factory as factory
from .optimizer import load as load
from .optimizer import save as save
from .optimizer import transferred as transferred

LOOM_ONLY = (
    *("embedding", "channels", "widest", "use_momenta", "use_quasi_newton", "use_time_features", "pretrain_fraction"),
    *("anneal_start", "step_decay_start", "fallback_step"),
)
GATE_ONLY = ("latent_weight",)
MIXING = 0.5  # share of the generated images that mix two w
SHOWN = 8  # images of a sheet
EPOCH = 10_000  # images of an epoch, where all are generated; the next epoch has other latents


@dataclass(frozen=True)
class OptimizerRecipe(Training):
    """Settings for training a learned optimizer.

    Args:
        network: "loom" or "lstm" (Andrychowicz 2016), through whole descents, or "gate", one step at a time.
        hidden: width of its layers.
        embedding: of loom: learned numbers for each coordinate.
        inner_lr: rate of Adam that loom starts from and gate multiplies; factor of lstm's output.
        channels, widest: of loom: first and largest number of channels of the step network; 0 channels: there is none.
        use_momenta, use_quasi_newton, use_time_features: of loom: its inputs besides Adam's direction.
        pretrain_fraction: of loom: share of the training, at first, in which the step network learns from pairs of generated
            images.
        unroll_length: steps of the longest descents.
        first_unroll_length: of the shortest. Most descents are short, since their first steps gain most; longer ones come in over
            the first half of the training after the pretraining.
        anneal_start: of loom: step at which its learned terms begin to fade out, which leaves Adam; 0: never. By default
            ``unroll_length``, or the base's where that is longer. Raise it where validation images gain by it.
        step_decay_start: of loom: step after which its steps shrink as 1 / sqrt(step); 0: never. By default 60, or the base's.
            First-order training does not see that smaller steps would stop a descent from oscillating.
        fallback_step: of loom: step after which plain Adam on w takes over, at a decaying rate; 0: never. By default the base's,
            or never.
        synthetic: share of images that the generator makes for the training.
        starts: where descents start, in turn: mean, random, encoder.
        latent_weight: of gate: weight of the mean squared difference from the w that made an image.
        pixel_weight: weight of the mean squared difference of pixels.
        perceptual_weight: weight of that of features.
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
    use_momenta: bool = True
    use_quasi_newton: bool = True
    use_time_features: bool = True
    pretrain_fraction: Share = 0.3
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
        for names, network in ((LOOM_ONLY, "loom"), (GATE_ONLY, "gate")):
            for field in fields(self):
                if field.name in names and self.network != network and getattr(self, field.name) != field.default:
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
    "lstm": OptimizerRecipe(network="lstm", hidden=20, inner_lr=0.1, synthetic=1.0),
    # One step at a time, on 5,000 generated images, ten at a time, a hundred steps each, from Adam at 0.01.
    "seed": OptimizerRecipe(
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


class _OpenDescents(nn.Module):
    """Descents that go on from one step of a training to the next, in buffers, so that runs resume in their middle."""

    def __init__(self, network: Gate, count: int, image: tuple[int, int, int]) -> None:
        super().__init__()
        shape = (count, network.num_ws, network.w_dim)
        for name in ("ws", "target_ws", "gradient"):
            self.register_buffer(name, torch.zeros(shape))
        for name, value in network.init_state(count).items():
            self.register_buffer(f"state_{name}", value.clone())
        self.register_buffer("target", torch.zeros(count, *image))

    @property
    def state(self) -> State:
        return {name.removeprefix("state_"): value for name, value in self.named_buffers() if name.startswith("state_")}

    @torch.no_grad()
    def put(self, values: Mapping[str, Tensor], state: State) -> None:
        for name, value in {**values, **{f"state_{name}": value for name, value in state.items()}}.items():
            getattr(self, name).copy_(value)


@own_random_state
def train(
    generator: Generator,
    recipe: OptimizerRecipe = RECIPES["default"],
    *,
    run: Run,
    data: str | Path | Sequence[str | Path] | None = None,
    basis: Eigenbasis | None = None,
    encoder: Encoder | None = None,
    base: Network | None = None,
) -> Iterator[TrainingStep]:
    """Train an optimizer for a generator, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        generator: of any paper, without classes.
        recipe: see :class:`OptimizerRecipe`.
        run: folder, license, hardware, and whether to resume.
        data: folders or zips of images of the generator's kind, unless the recipe has ``synthetic`` 1.
        basis: of the generator, for loom.
        encoder: images in [0, 1] to ws, for descents that start from it.
        base: a trained network to go on from; its sizes hold, not the recipe's, and a loom's own basis.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step; ``descent`` is the mean log10 loss of a descent.

    Raises:
        StyleLoomError: something that the recipe needs is missing, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    check_classless(generator)
    # Check that basis, encoder, data and recipe go together.
    if isinstance(base, Loom):
        if basis is not None and not torch.equal(basis.vectors.to(base.vectors), base.vectors):
            raise StyleLoomError("base was trained in another eigenbasis; leave basis out to go on in its own, or train anew")
        basis = base.basis
    if recipe.synthetic < 1 and data is None:
        raise StyleLoomError("no images; give some of the generator's kind, or train on generated ones with synthetic 1")
    if recipe.network == "loom" and basis is None:
        raise StyleLoomError("this recipe wants an eigenbasis of the generator; compute it first")
    if "encoder" in recipe.starts and encoder is None:
        raise StyleLoomError("descents are to start from an encoder, and there is none; train one, or use starts mean,random")
    if basis is not None:
        check_made_for("this eigenbasis", basis.generator, generator)
    if recipe.network == "gate" and run.hardware.processes * run.hardware.nodes * recipe.accumulate > 1:
        raise StyleLoomError("a gate's descents go on from step to step, all at once; use processes 1 and accumulate 1")
    # Prepare the generator, the data and the network.
    fabric = run.hardware.launch()
    device = fabric.device
    torch.manual_seed(recipe.seed)
    maker: Any = placed(generator, device, frozen=True)
    photos = SquareImages(data, maker.resolution) if data is not None and recipe.synthetic < 1 else None
    network = _network(recipe, maker, basis) if base is None else copy.deepcopy(base)
    check_made_for("this optimizer", network.config["generator"], maker)
    if not isinstance(network, NETWORKS[recipe.network]):
        raise StyleLoomError(f"base is no {recipe.network}, which the recipe trains; give one of these, or another recipe")
    if isinstance(network, Loom):
        network.reschedule(recipe.schedule(None if base is None else base.schedule))
    network.to(device).requires_grad_(True)
    features = load_features().prepare(device, torch.float32)
    losses = _Losses(maker, features, recipe, encoder, network)

    task = OptimizerTask(photos, maker, recipe, network, losses, run.license)
    task.settings = asdict(recipe) | dict(method=KIND, network=network.config, tools=_tools_id(maker, basis, encoder))
    yield from fit(task, recipe, run, fabric)


@final
class OptimizerTask(Task):
    """Training of an optimizer: a photograph in, the loss of a descent to it out.

    Args:
        photos: real images, where not all are generated.
        generator: frozen, on its device.
        recipe: see :class:`OptimizerRecipe`.
        network: the one to train.
        losses: of descents with it.
        license: noted in the model file.
    """

    def __init__(
        self,
        photos: SquareImages | None,
        generator: Any,
        recipe: OptimizerRecipe,
        network: Network,
        losses: _Losses,
        license: str,
    ) -> None:
        self.photos, self.generator, self.recipe, self.losses, self.license = photos, generator, recipe, losses, license
        side = generator.resolution
        self.blank = torch.zeros(3, side, side)
        self.networks: dict[str, nn.Module] = {"optimizer": network}
        if isinstance(network, Gate):  # its descents go on from step to step
            losses.open_descents = _OpenDescents(network, recipe.batch, (3, side, side)).to(generator.device)
            self.networks["descents"] = losses.open_descents
        optimizer = torch.optim.Adam(network.parameters(), recipe.lr, (0.9, 0.99))
        self.phases = {"optimizer": Phase(optimizer, losses.next_step if isinstance(network, Gate) else losses.whole_descent)}
        self.averages = {} if isinstance(network, Gate) else {"optimizer": warmed(0.98)}
        self.count, self.damaged = (EPOCH, []) if photos is None else (len(photos), [photos.damaged])
        if photos is None:
            self.shown = generator.generate(range(SHOWN))
        else:
            kept = [photos[index] for index in range(min(SHOWN, len(photos)))]
            self.shown = torch.stack(kept).to(generator.device)

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        """A photograph, three z, whether to use a generated image instead, and the layer where its two w change."""
        generator, recipe = self.generator, self.recipe
        z = torch.from_numpy(rng.randn(3, generator.z_dim)).float()
        is_synthetic, cutoff = rng.rand() < recipe.synthetic, mixing_layer(rng, generator.num_ws, MIXING)
        photo = self.blank if self.photos is None else self.photos[index]
        return photo, z, torch.tensor(is_synthetic), torch.tensor(cutoff)

    def sample_indices(self, step: int, batch: int) -> range:
        first = step // self.recipe.batch_steps * batch
        return range(first, first + batch)

    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    def before_step(self, step: int) -> dict[str, float]:
        return self.losses.before_step(step)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        """Targets, and the images of descents from the mean w."""
        generator, optimizer = self.generator, networks["optimizer"]
        objective = Objective(generator, self.shown, self.losses.features, self.recipe.weights)
        ws = generator.w_avg.expand(len(self.shown), generator.num_ws, -1)
        state = optimizer.init_state(len(self.shown))
        for _ in range(self.recipe.unroll_length):
            update, state = optimizer(ws, *self.losses.gradient(objective, ws), state)
            ws = ws + update
        return images.grid([self.shown, render(generator, ws)])

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["optimizer"], path, self.license)


def _tools_id(generator: Generator, basis: Eigenbasis | None, encoder: Encoder | None) -> str:
    """A digest of what a training uses; an encoder is known by its output for the mean image."""
    tensors = [] if basis is None else [basis.vectors]
    if encoder is not None:
        with torch.no_grad():
            tensors.append(encoder(render(generator, generator.w_avg.expand(1, generator.num_ws, -1)).float()))
    return fingerprint([], tensors)[:16]


def _network(recipe: OptimizerRecipe, generator: Generator, basis: Eigenbasis | None) -> Network:
    common: dict[str, Any] = dict(num_ws=generator.num_ws, w_dim=generator.w_dim, generator=generator_id(generator))
    common |= dict(hidden=recipe.hidden, lr=recipe.inner_lr)
    if recipe.network != "loom":
        return NETWORKS[recipe.network](**common)
    names = ("embedding", "channels", "widest", "use_momenta", "use_quasi_newton", "use_time_features")
    own = {name: getattr(recipe, name) for name in names}
    return Loom(basis, resolution=generator.resolution, w_avg=generator.w_avg, **common, **own)


class _Losses:
    """The losses of a training: of descents with the network, on batches of images."""

    def __init__(
        self, generator: Any, features: Features, recipe: OptimizerRecipe, encoder: Encoder | None, network: Network
    ) -> None:
        self.generator, self.features, self.recipe = generator, features, recipe
        self.encoder, self.network = encoder, network
        self.open_descents: Any = None
        self.step = 0

    def before_step(self, step: int) -> dict[str, float]:
        """Note the step of the training."""
        self.step = step
        return {"unroll_length": float(self.recipe.unroll_length_at(step))}

    @torch.no_grad()
    def _begin(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> tuple[Objective, Tensor, Tensor]:
        """The objective of a batch, the ws to start from, and those that made the generated images."""
        recipe, generator = self.recipe, self.generator
        first, second, third = (generator.mapping(each).float() for each in z.unbind(1))
        target_ws, targets = mixed_from(first, second, cutoff), image.clone()
        if is_synthetic.any():
            targets[is_synthetic] = render(generator, target_ws[is_synthetic]).float()
        start = recipe.starts[self.step // recipe.batch_steps % len(recipe.starts)]
        if start == "encoder":
            ws = self.encoder(targets)  # type: ignore[misc]
        else:
            ws = third if start == "random" else generator.w_avg.expand(len(z), generator.num_ws, -1)
        return Objective(generator, targets, self.features, recipe.weights), ws.clone(), target_ws

    def gradient(self, objective: Objective, ws: Tensor) -> tuple[Tensor, Observation]:
        """D L / d ws, and what the network sees."""
        ws = ws.detach().requires_grad_(True)
        with torch.enable_grad():
            image, terms = objective(ws)
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()
        assert ws.grad is not None
        return ws.grad.float(), objective.observe(image, losses.sum(0))

    def pretraining(self, network: Loom, step_network: StepNetwork, z: Tensor) -> Losses:
        """Pretraining loss: the fraction of the distance between two latents that the predicted step does not cover."""
        generator = self.generator
        with torch.no_grad():
            ws = torch.cat([generator.mapping(each).float() for each in z.unbind(1)])
            # Half of them mix two w.
            ws = mixed_from(ws, ws.roll(1, 0), torch.arange(len(ws), device=z.device) % (2 * generator.num_ws) + 1)
            distance = torch.linspace(0.05, 1, len(ws), device=z.device)[:, None, None]
            ws = torch.cat([ws, torch.lerp(ws, ws.roll(2, 0), distance)])
            image = render(generator, ws).float()
        weight = network.curvature.sqrt()
        losses = []
        for shift in (len(ws) // 2, len(ws) // 2 + 1, 1):
            with torch.autocast(ws.device.type, enabled=False):
                w = network.whiten(ws)
                target = w.roll(shift, 0) - w
                step, _ = step_network(w.clamp(-5, 5), torch.zeros_like(w), image.roll(shift, 0), image)
            left = (weight * (target - step).square()).sum(1) / (weight * target.square()).sum(1).clamp(min=1e-6)
            losses.append(left.mean())
        return {"pairs": torch.stack(losses).mean()}

    def whole_descent(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """The mean log10 loss of a descent, with the first-order gradient."""
        if self.step < self.recipe.pretrain_steps and isinstance(self.network, Loom) and self.network.step_network is not None:
            return self.pretraining(self.network, self.network.step_network, z)
        objective, ws, _ = self._begin(image, z, is_synthetic, cutoff)
        state = self.network.init_state(len(ws))
        length = self.recipe.unroll_length_at(self.step)
        total: Tensor | float = 0.0
        for step in range(length + 1):
            gradient, observation = self.gradient(objective, ws)
            if step:
                log_gradient = gradient / observation.losses.clamp(min=1e-8)[:, None, None]  # d log L / d w
                surrogate = (log_gradient * ws).sum((1, 2)).mean() / length
                total = total + surrogate - surrogate.detach() + observation.losses.log10().mean() / length
            if step < length:
                with torch.autocast(ws.device.type, enabled=False):
                    update, state = self.network(ws.detach(), gradient, observation, state)
                ws = ws + update
        return {"descent": total}  # type: ignore[dict-item]

    def next_step(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """The loss after one more step, and the distance from the w that made the image."""
        descents, recipe = self.open_descents, self.recipe
        if self.step % recipe.batch_steps == 0:
            objective, ws, target_ws = self._begin(image, z, is_synthetic, cutoff)
            gradient, _ = self.gradient(objective, ws)
            values = dict(ws=ws, target_ws=target_ws, gradient=gradient, target=objective.targets)
            descents.put(values, self.network.init_state(len(ws)))
        else:
            objective = Objective(self.generator, descents.target, self.features, recipe.weights)
        unseen: Any = None  # a gate sees no images
        update, state = self.network(descents.ws.clone(), descents.gradient.clone(), unseen, descents.state)
        ws = descents.ws.clone() + update
        gradient, observation = self.gradient(objective, ws)
        descents.put(dict(ws=ws.detach(), gradient=gradient), state)
        surrogate = (gradient * ws).sum((1, 2)).mean()
        return {
            "image": surrogate - surrogate.detach() + observation.losses.mean(),
            "latent": recipe.latent_weight * (ws - descents.target_ws).square().mean((1, 2)).mean(),
        }
