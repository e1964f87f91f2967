"""A learned optimizer for inversion: a network proposes the steps of the descent, and is trained on descents.

Image2StyleGAN descends with Adam, which knows nothing of generators. Train a network to propose the steps instead. It sees the
gradients so far, the present w, the target and the present image.

There are two ways of training, each with its networks:

- Through whole descents, to first order: ``OptimizerRecipe(network="loom")``, ours (``loom.py``), ``"lstm"`` (``lstm.py``), and
  ``"landscape"`` (``landscape.py``), which descends in a learned space. For a descent w_0, w_1, ... the sum of log losses has the
  gradient sum_t <d log L_t / d w_t, d w_t / d theta>, when the gradients that enter the network are taken as given. These
  gradients are computed anyway, so no graph of the generator is kept, and descents of a hundred steps fit in memory. The log
  gives every image the same weight. Only the reported loss is used, so photographs serve as well as generated images.
- One step at a time: ``OptimizerRecipe(network="gate")`` (``gate.py``). The network is updated after each step of a descent, by
  the image's loss and by the distance to the w that made the image. It learns on generated images, and looks one step ahead.

At run time each is a ``torch.optim.Optimizer`` in the same loop as Adam: :class:`Learned`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import StyleLoomError
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.data.datasets import SquareImages
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.loops.fit import fit
from styleloom.loops.task import TrainingStep
from styleloom.nn.generators import Generator, check_classless, check_made_for, generator_id
from styleloom.nn.layers import placed
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE, Encoder, render

from .base import Network as Network
from .base import Schedule as Schedule
from .gate import Gate as Gate
from .landscape import Landscape as Landscape
from .loom import Loom as Loom
from .loom_any import LoomAny as LoomAny
from .losses import DescentLosses
from .lstm import CoordinatewiseLSTM as CoordinatewiseLSTM
from .optimizer import KIND as KIND
from .optimizer import NETWORKS as NETWORKS
from .optimizer import Learned as Learned
from .optimizer import factory as factory
from .optimizer import load as load
from .optimizer import save as save
from .optimizer import transferred as transferred
from .optimizer import with_new_step_network as with_new_step_network
from .recipe import GATE_ONLY as GATE_ONLY
from .recipe import LOOM_INPUTS, LOOM_SIZES
from .recipe import LOOM_ONLY as LOOM_ONLY
from .recipe import RECIPES as RECIPES
from .recipe import SCHEDULE_ONLY as SCHEDULE_ONLY
from .recipe import OptimizerRecipe as OptimizerRecipe
from .supervised import SupervisedDescent as SupervisedDescent
from .task import OptimizerTask, TrainingGenerator


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
        generator: a generator of any paper, without classes.
        recipe: see :class:`OptimizerRecipe`.
        run: folder, license, hardware, and whether to resume.
        data: folders or zips of images of the generator's kind, unless the recipe has ``synthetic`` 1.
        basis: eigenbasis of the generator, for loom.
        encoder: images in [0, 1] to ws, for descents that start from it.
        base: a trained network to go on from; its sizes hold, not the recipe's, and a loom's own basis.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step; ``descent`` is the mean log10 loss of a descent.

    Raises:
        StyleLoomError: something that the recipe needs is missing, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    check_classless(generator)
    # Check that basis, encoder, data and recipe go together.
    if recipe.network == "loom-any":
        raise StyleLoomError("train() makes an optimizer of one generator's own kind; train loom-any with train_any()")
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
    frozen: Any = placed(generator, device, frozen=True)
    photos = SquareImages(data, frozen.resolution) if data is not None and recipe.synthetic < 1 else None
    network = _network(recipe, frozen, basis) if base is None else copy.deepcopy(base)
    check_made_for("this optimizer", network.config["generator"], frozen)
    if not isinstance(network, NETWORKS[recipe.network]):
        raise StyleLoomError(f"base is no {recipe.network}, which the recipe trains; give one of these, or another recipe")
    if isinstance(network, Loom):
        network.reschedule(recipe.schedule(None if base is None else base.schedule))
    network.to(device).requires_grad_(True)
    features = load_features().prepare(device, torch.float32)
    losses = DescentLosses(frozen, features, recipe, encoder, network)

    task = OptimizerTask([TrainingGenerator(frozen, losses, photos)], recipe, network, run.license)
    task.settings = asdict(recipe) | dict(method=KIND, network=network.config, tools=_tools_id(frozen, basis, encoder))
    yield from fit(task, recipe, run, fabric)


@dataclass(frozen=True)
class Source:
    """A generator to train an optimizer of any generator on, with what was made for it.

    Attributes:
        generator: a generator of any paper, without classes.
        basis: its eigenbasis.
        maps: its descent maps; without them their steps are 0.
        data: folders or zips of images of its kind; without any, all its images are generated.
    """

    generator: Generator
    basis: Eigenbasis
    maps: SupervisedDescent | None = None
    data: str | Path | Sequence[str | Path] | None = None


@own_random_state
def train_any(
    sources: Sequence[Source], recipe: OptimizerRecipe = RECIPES["any"], *, run: Run, base: Network | None = None
) -> Iterator[TrainingStep]:
    """Train one optimizer on many generators, in turn; the model is ``model.safetensors`` in the run's folder.

    Args:
        sources: generators of any papers and sizes. One alone makes the network its own.
        recipe: see :class:`OptimizerRecipe`; its network is "loom-any".
        run: folder, license, hardware, and whether to resume.
        base: a trained network to go on from.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step; ``descent`` is the mean log10 loss of a descent.

    Raises:
        StyleLoomError: no generator, a basis or maps of another one, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    if not sources:
        raise StyleLoomError("no generators to train on; give one or several, each with its eigenbasis and descent maps")
    if recipe.network != "loom-any" or "encoder" in recipe.starts:
        raise StyleLoomError('an optimizer of any generator wants the recipe "any", and starts mean or random')
    if base is not None and not isinstance(base, LoomAny):
        raise StyleLoomError("base is no loom-any, which the recipe trains; give one of these, or another recipe")
    fabric = run.hardware.launch()
    device = fabric.device
    torch.manual_seed(recipe.seed)
    made_for = generator_id(sources[0].generator) if len(sources) == 1 else ""
    network = LoomAny(hidden=recipe.hidden, lr=recipe.inner_lr, schedule=recipe.schedule(None), generator=made_for)
    if base is not None:
        network = LoomAny(**base.config | dict(schedule=recipe.schedule(base.schedule), generator=made_for))
        network.load_state_dict(base.state_dict())
    network.to(device).requires_grad_(True)
    features = load_features().prepare(device, torch.float32)
    generators, identities = [], []
    for source in sources:
        check_classless(source.generator)
        generator: Any = placed(source.generator, device, frozen=True)
        own = network.bound(generator, source.basis, source.maps)
        photos = SquareImages(source.data, generator.resolution) if source.data is not None and recipe.synthetic < 1 else None
        generators.append(TrainingGenerator(generator, DescentLosses(generator, features, recipe, None, own), photos))
        identities.append(_tools_id(generator, source.basis, None))
    task = OptimizerTask(generators, recipe, network, run.license)
    task.settings = asdict(recipe) | dict(method=KIND, network=network.config, tools=identities)
    yield from fit(task, recipe, run, fabric)


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
    own = {name: getattr(recipe, name) for name in (*LOOM_SIZES, *LOOM_INPUTS)}
    return Loom(basis, resolution=min(generator.resolution, COMPARED_SIDE), w_avg=generator.w_avg, **common, **own)
