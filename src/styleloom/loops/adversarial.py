"""A generator trained against a discriminator: what the recipes of ProGAN, StyleGAN and StyleGAN2 share.

Every random number belongs to one image: it is drawn from a seed that comes with the image's place in the endless row
of examples. So a batch is the same in one process or in several, in one part or in many, and in a resumed run.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, cast, final

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import precision_on
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Range
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.loops.task import LoopSettings, Phase, Task, Training, TrainingStep
from styleloom.metrics.distribution import Distance, Embedding
from styleloom.nn.generators import Generator, ModelFiles

from .fit import fit

SHOWN, COLUMNS = 32, 8  # samples of a sheet, and of a row
SWEEP = (0.7, 0.4, 0.0)  # truncations of its last rows
Kimg = Annotated[float, Range(above=0, most=1e9)]
KimgOrNone = Annotated[float, Range(0, 1e9)]
PASSED = ("kimg", "measure_images")


@dataclass(frozen=True)
class GANRecipe(LoopSettings):
    """Fields that every recipe of a generator has.

    Args:
        resolution: side of the images, a power of two.
        kimg: thousands of real images shown to the discriminator in all.
        mirror: show each image as its mirror image half of the time.
        conditional: learn the classes of ``dataset.json`` or of sub-folders.
        freeze: how many of the discriminator's highest resolutions keep their weights, to fine-tune on few images
            (Mo et al. 2020, FreezeD).
        measure_every: steps between two Fréchet distances, by the bundled features; 0: none.
        measure_images: how many real and made images they compare.
    """

    resolution: Count = 256
    kimg: Kimg = 25_000.0
    mirror: bool = False
    conditional: bool = False
    freeze: CountOrNone = 0
    measure_every: CountOrNone = 0
    measure_images: Annotated[int, Range(2)] = 2_000


class RunningStatistics(nn.Module):
    """Memory of a training between steps, in buffers: numbers, and means over the images of a step.

    Args:
        means: ``{name: shape}`` of the means that are gathered.
        numbers: ``{name: value}`` at the start.
    """

    def __init__(self, means: Mapping[str, Sequence[int]], numbers: Mapping[str, float] | None = None) -> None:
        super().__init__()
        for name, shape in means.items():
            self.register_buffer(f"{name}_sum", torch.zeros(tuple(shape)))
            self.register_buffer(f"{name}_count", torch.zeros(()))
        for name, value in (numbers or {}).items():
            self.register_buffer(name, torch.tensor(value))

    @torch.no_grad()
    def add(self, name: str, values: Tensor) -> None:
        """Gather what each image showed: [N, *shape]."""
        self.get_buffer(f"{name}_sum").add_(values.detach().sum(0))
        self.get_buffer(f"{name}_count").add_(len(values))

    def take(self, name: str) -> Tensor | None:
        """The mean of what was gathered, which is forgotten then; None where there is nothing, or nothing finite."""
        total, count = self.get_buffer(f"{name}_sum"), self.get_buffer(f"{name}_count")
        mean = total / count
        total.zero_()
        count.zero_()
        return mean if mean.isfinite().all() else None


@dataclass(frozen=True)
class GANSetup:
    """A paper's part of a training.

    Attributes:
        generator, discriminator: the two networks.
        statistics: what is remembered between steps.
        phases: the updates of a step; their losses take real images [N, C, H, W] in [-1, 1], classes [N, c_dim] and seeds [N].
        average: decay of the generator's running mean at a step.
        before_step: see :class:`~styleloom.loops.task.Task`.
        batch: real images a step, the fewest where that changes ...
        sample_indices: ... as it says, see :class:`~styleloom.loops.task.Task`.
        schedule: likewise.
    """

    generator: Generator
    discriminator: nn.Module
    statistics: RunningStatistics
    phases: Mapping[str, Phase]
    average: Callable[[int], float]
    before_step: Callable[[int], dict[str, float]]
    batch: int
    sample_indices: Callable[[int], range] | None = None
    schedule: Callable[[int], float] = lambda step: 1.0


def steps_of(setup: GANSetup, kimg: float) -> int:
    """Steps until so many thousands of images were seen."""
    most = max(1, math.ceil(1000 * kimg / setup.batch))
    if setup.sample_indices is None:
        return most
    return 1 + bisect.bisect_left(range(most), 1000 * kimg, key=lambda step: setup.sample_indices(step).stop)  # type: ignore[misc]


R = TypeVar("R", bound=GANRecipe)
Recipe = TypeVar("Recipe", bound=GANRecipe, contravariant=True)


class Train(Protocol[Recipe]):
    """The signature of a paper's ``train``; see :func:`trainer`."""

    def __call__(
        self,
        data: str | Path | Sequence[str | Path],
        recipe: Recipe = ...,
        *,
        run: Run,
        base: str | Path | None = None,
    ) -> Iterator[TrainingStep]:
        """Train; see :func:`trainer`."""
        ...


def trainer(
    files: ModelFiles[Any, Any],
    networks: Callable[[Any, int], tuple[Any, Any]],
    rules: Callable[[Any, Any, Any], GANSetup],
    default: R,
    embedding: Callable[..., Embedding],
    reduce_precision: Callable[[Any, torch.dtype], None] | None = None,
) -> Train[R]:
    """A paper's ``train``.

    Args:
        files: the paper's model files.
        networks: makes generator and discriminator of a recipe and a number of classes.
        rules: makes the :class:`GANSetup` of a recipe and the two, on their device.
        default: recipe of those who give none.
        embedding: loads the features that quality is measured by.
        reduce_precision: lets a network compute in a 16-bit type; unless given, torch's mixed precision does.
    """

    @own_random_state
    def train(
        data: str | Path | Sequence[str | Path],
        recipe: R = default,
        *,
        run: Run,
        base: str | Path | None = None,
    ) -> Iterator[TrainingStep]:
        """Train a generator, a step at a time, into ``model.safetensors`` of the run's folder.

        Args:
            data: folders or zips of images.
            recipe: the paper's ``Recipe``.
            run: folder, license, hardware, and whether to resume.
            base: begin with this model's weights, wherever names and shapes are the same, instead of random ones.

        Yields:
            :class:`~styleloom.loops.task.TrainingStep` after each step.

        Raises:
            StyleLoomError: folders without images, classes that do not fit, or what :func:`~styleloom.loops.fit.fit` refuses.
        """
        if not isinstance(recipe, type(default)):
            raise StyleLoomError(f"recipe is {recipe!r:.60}; wanted a {type(default).__name__}, such as RECIPES has")
        loop = replace(run.hardware, precision="fp32") if reduce_precision is not None else run.hardware
        fabric = loop.launch()
        dataset = SquareImages(data, recipe.resolution, conditional=recipe.conditional)
        torch.manual_seed(recipe.seed)
        generator, discriminator = networks(recipe, len(dataset.classes))
        Range(0, len(resolutions_of(discriminator)) - 1).check("freeze", recipe.freeze, whole=True)
        if base is not None:
            begin_with(files, base, generator, discriminator)
        dtype = precision_on(fabric.device, run.hardware.precision)
        for network in (generator, discriminator):
            network.to(fabric.device, memory_format=torch.channels_last)
        if reduce_precision is not None:
            reduce_precision(generator.synthesis, dtype)
            reduce_precision(discriminator, dtype)
        setup = rules(recipe, generator, discriminator)
        _check_groups(discriminator, setup.batch, fabric.world_size * recipe.accumulate)
        settings = asdict(recipe) | dict(method=files.kind, base=str(base or ""), classes=dataset.classes)
        task = GANTask(recipe, files, setup, dataset, embedding, run.license, settings)
        cadence = {field.name: getattr(recipe, field.name) for field in fields(LoopSettings)}
        training = Training(num_steps=steps_of(setup, recipe.kimg), batch=setup.batch, **cadence)
        yield from fit(task, training, run, fabric)

    return train


@final
class GANTask(Task):
    """Training of a generator against a discriminator, of whatever paper.

    Args:
        recipe: the paper's.
        files: the paper's model files.
        setup: networks, updates and schedules.
        dataset: real images.
        embedding: loads the features that quality is measured by.
        license: noted in the model file.
        settings: see :class:`~styleloom.loops.task.Task`.
    """

    free = PASSED

    def __init__(
        self,
        recipe: Any,
        files: ModelFiles[Any, Any],
        setup: GANSetup,
        dataset: SquareImages,
        embedding: Callable[..., Embedding],
        license: str,
        settings: Mapping[str, Any],
    ) -> None:
        self.recipe, self.files, self.setup, self.license = recipe, files, setup, license
        self.dataset, self.embedding, self.settings = dataset, embedding, settings
        self.networks = {"G": setup.generator, "D": setup.discriminator, "statistics": setup.statistics}
        self.phases, self.averages, self.measure_every = setup.phases, {"G": setup.average}, recipe.measure_every
        self.count, self.damaged = len(dataset), [dataset.damaged]
        self.example, self.examples = dataset.example(recipe.mirror), dataset.examples(recipe.mirror)
        self.distance: Distance | None = None

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.example(index, rng)

    @override
    def items(self, indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[Tensor, ...]:
        return self.examples(indices, rngs)

    @override
    def sample_indices(self, step: int, batch: int) -> range:
        own = self.setup.sample_indices
        return super().sample_indices(step, batch) if own is None else own(step)

    @override
    def schedule(self, step: int) -> float:
        return self.setup.schedule(step)

    @override
    def before_step(self, step: int) -> dict[str, float]:
        return self.setup.before_step(step)

    @override
    def measure(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        if self.distance is None:  # read the images when they are first compared with
            embedding = self.embedding(device=self.setup.generator.device)
            self.distance = Distance(self.dataset, self.recipe.measure_images, embedding)
        return {"fd": self.distance(self._current(networks))}

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        return sheet(self._current(networks))

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        self.files.save(self._current(networks), path, self.setup.discriminator, self.license)

    def _current(self, networks: Mapping[str, nn.Module]) -> Generator:
        """The averaged generator, grown as far as the one that learns."""
        average: Any = networks["G"]
        generator: Any = self.setup.generator
        discriminator: Any = self.setup.discriminator
        for network in (average.synthesis, discriminator):
            if hasattr(network, "lod"):
                network.lod = generator.synthesis.lod
                average.config["synthesis_kwargs"]["lod"] = discriminator.config["lod"] = network.lod
        return cast(Generator, average)


def _check_groups(discriminator: nn.Module, batch: int, parts: int) -> None:
    """Raise StyleLoomError where a part of a batch is less than a group of images whose spread the discriminator sees."""
    spreading: list[Any] = [module for module in discriminator.modules() if getattr(module, "num_channels", 0)]
    group = min(max([module.group_size or batch for module in spreading], default=1), batch)
    if parts > 1 and batch // parts % group:
        raise StyleLoomError(
            f"a batch of {batch} in {parts} parts leaves {batch // parts} images to groups of {group}, whose spread the "
            f"discriminator sees; use a batch of {group * parts}, or fewer processes or parts"
        )


def resolutions_of(discriminator: nn.Module) -> list[int]:
    """The sides of a discriminator's blocks, the highest first."""
    return sorted((int(name[1:]) for name, _ in discriminator.named_children() if name[1:].isdigit()), reverse=True)


def trained(discriminator: nn.Module, freeze: int) -> list[nn.Parameter]:
    """A discriminator's parameters but for those of its ``freeze`` highest resolutions."""
    kept = tuple(f"b{side}." for side in resolutions_of(discriminator)[:freeze])
    return [parameter for name, parameter in discriminator.named_parameters() if not name.startswith(kept)]


def only(parameters: Iterable[nn.Parameter], *networks: nn.Module) -> None:
    """Let gradients reach these parameters of the networks and no others."""
    for network in networks:
        network.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)


def transfer(network: nn.Module, other: nn.Module) -> None:
    """Copy the parameters and buffers of another network that have the same name and shape.

    Raises:
        StyleLoomError: there are none.
    """
    own, theirs = network.state_dict(), other.state_dict()
    fitting = {name: value for name, value in theirs.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise StyleLoomError(f"nothing of the {type(other).__module__} network given fits into the one to train")
    network.load_state_dict(own | fitting)


def begin_with(files: ModelFiles[Any, Any], base: str | Path, generator: nn.Module, discriminator: nn.Module) -> None:
    """Start from a model file's generator and, where it has one, its discriminator.

    Raises:
        StyleLoomError: no such model, or one of which nothing fits.
    """
    tensors, config = checkpoint.read_model(base, files.kind)
    source = files.build(base, "G", tensors, config)
    transfer(generator, source)
    theirs = source.state_dict()
    for name, block in generator.named_modules():
        if getattr(block, "architecture", "") == "skip" and f"{name}.torgb.weight" not in theirs:
            block.get_parameter("torgb.weight").data.zero_()  # a finer image that is added: nothing, at first
    if config.get("D"):
        transfer(discriminator, files.build(base, "D", tensors, config))


def sheet(generator: Generator) -> Tensor:
    """Samples at psi 1, and below, of the first of them, a sweep of truncations: [1, 3, H, W]."""
    classes = [index % generator.c_dim for index in range(SHOWN)] if generator.c_dim else None
    made = generator.generate(range(SHOWN), classes)
    first = classes[:COLUMNS] if classes else None
    swept = [generator.generate(range(COLUMNS), first, truncation_psi=psi) for psi in SWEEP]
    return images.grid([*made.split(COLUMNS), *swept])
