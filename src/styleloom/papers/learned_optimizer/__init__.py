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
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.checkpoint import fingerprint
from styleloom.core.errors import StyleLoomError
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.loops.fit import fit
from styleloom.loops.task import Phase, Task, TrainingStep, cosine, warmed
from styleloom.nn.generators import Generator, check_classless, check_made_for, generator_id, mixing_layer
from styleloom.nn.layers import placed
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan.objective import Encoder, Objective, render

from .base import Network as Network
from .base import Schedule as Schedule
from .gate import Gate as Gate
from .loom import Loom as Loom
from .losses import DescentLosses, OpenDescents
from .lstm import CoordinatewiseLSTM as CoordinatewiseLSTM
from .optimizer import KIND as KIND
from .optimizer import NETWORKS as NETWORKS
from .optimizer import Learned as Learned
from .optimizer import factory as factory
from .optimizer import load as load
from .optimizer import save as save
from .optimizer import transferred as transferred
from .recipe import GATE_ONLY as GATE_ONLY
from .recipe import LOOM_ONLY as LOOM_ONLY
from .recipe import RECIPES as RECIPES
from .recipe import OptimizerRecipe as OptimizerRecipe

MIXING = 0.5  # share of the generated images that mix two w
SHOWN = 8  # images of a sheet
EPOCH = 10_000  # images of an epoch, where all are generated; the next epoch has other latents


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
    losses = DescentLosses(maker, features, recipe, encoder, network)

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
        losses: losses of descents with it.
        license: noted in the model file.
    """

    def __init__(
        self,
        photos: SquareImages | None,
        generator: Any,
        recipe: OptimizerRecipe,
        network: Network,
        losses: DescentLosses,
        license: str,
    ) -> None:
        self.photos, self.generator, self.recipe, self.losses, self.license = photos, generator, recipe, losses, license
        side = generator.resolution
        self.blank = torch.zeros(3, side, side)
        self.networks: dict[str, nn.Module] = {"optimizer": network}
        if isinstance(network, Gate):  # its descents go on from step to step
            losses.open_descents = OpenDescents(network, recipe.batch, (3, side, side)).to(generator.device)
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

    @override
    def sample_indices(self, step: int, batch: int) -> range:
        first = step // self.recipe.batch_steps * batch
        return range(first, first + batch)

    @override
    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    @override
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

    @override
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
