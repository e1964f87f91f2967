"""The loop over networks: what every training here has in common.

One process, several, several GPUs or several nodes run the same loop, launched by Lightning Fabric. Examples are pure
functions of (seed, step) (see ``data``) and torch's own random numbers are seeded anew at each step, so the state of a run
is its step number, its networks, averages and optimizers, and a resumed run ends bit for bit where an uninterrupted
one does.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from . import data, images
from .checkpoint import read_state, save_state
from .descend import Losses, Progress
from .errors import StyleLoomError, check_choice
from .memory import keep_memory
from .precision import precision_on

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MODEL = "model.safetensors"
STATE = "state.safetensors"
LOG = "log.jsonl"
PATIENCE = 20  # steps in a row without a finite gradient before a run gives up


@dataclass(frozen=True)
class Training:
    """What is the same in every recipe.

    Args:
        num_steps: updates in all.
        batch: examples an update, of all processes together.
        accumulate: parts that a process works through its share of a batch in: less memory, the same update.
        clip: longest gradient, by its L2 norm; longer ones are scaled down. 0: none.
        seed: of weights, of the order of the pictures and of all that is random.
        log_every: steps between two lines of the log.
        sample_every: steps between two sheets of samples.
        save_every: steps between two checkpoints.
    """

    num_steps: int = 40_000
    batch: int = 4
    accumulate: int = 1
    clip: float = 0.0
    seed: int = 0
    log_every: int = 50
    sample_every: int = 500
    save_every: int = 500

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch", "accumulate", "log_every", "sample_every", "save_every"):
            if getattr(self, name) < 1:
                raise StyleLoomError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True)
class Hardware:
    """What a run is computed on.

    Args:
        device: cpu, cuda, mps, or auto for the best there is.
        processes: processes, or GPUs, on each machine.
        nodes: machines; start the same command on each with the MASTER_ADDR, MASTER_PORT and NODE_RANK of Lightning.
        precision: fp32, or bf16 for mixed precision.
    """

    device: str = "auto"
    processes: int = 1
    nodes: int = 1
    precision: str = "fp32"

    def launch(self) -> Fabric:
        """Start the processes; everything after this line runs in each of them.

        Raises:
            StyleLoomError: an unknown precision, or bf16 on a processor without instructions for it.
        """
        from lightning_fabric import Fabric  # seconds to import, and only training needs it

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process
        precisions: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}
        check_choice("precision", self.precision, precisions)
        several = self.processes * self.nodes > 1
        fabric = Fabric(
            accelerator=self.device,
            devices=self.processes,
            num_nodes=self.nodes,
            strategy="ddp" if several else "auto",
            precision=precisions[self.precision],
        )
        precision_on(fabric.device, self.precision)
        fabric.launch()
        return fabric


ONE_PROCESS = Hardware()


@dataclass(frozen=True)
class Phase:
    """One of the updates that make up a step, such as a discriminator's.

    Attributes:
        optimizer: over the parameters that are updated.
        loss: weighted, named terms of a batch's fields; their sum is descended on.
        every: take this update each so many steps.
    """

    optimizer: torch.optim.Optimizer
    loss: Callable[..., Losses]
    every: int = 1


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes:
        networks: trained networks, by name, on their device.
        phases: the updates of a step, by name, in their order.
        item: makes one example, a tuple of tensors, of the number of a picture and a random state of its own.
        count: how many pictures there are.
        averages: ``{name of a network: decay}`` of exponential moving averages of weights.
        schedule: factor of every learning rate at a step, counted from 0.
        sample: makes a sheet [1, 3, H, W] in [0, 1] of the networks, averaged where they are.
        export: writes a model file of the networks, averaged where they are.
        settings: plain values that a resumed run must share.
        damaged: of each set of pictures, those that could not be read so far, with reasons.
    """

    networks: Mapping[str, nn.Module]
    phases: Mapping[str, Phase]
    item: data.Item
    count: int
    averages: Mapping[str, float] = field(default_factory=dict)
    schedule: Callable[[int], float] = lambda step: 1.0
    sample: Callable[[Mapping[str, nn.Module]], Tensor] | None = None
    export: Callable[[Mapping[str, nn.Module], Path], None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    damaged: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Tick(Progress):
    """Progress of a training.

    Attributes:
        rate: examples a second, of all processes together.
        damaged: names of pictures passed over so far.
        stopped: the run was asked to stop, has saved its state, and this is its last tick.
    """

    rate: float = 0.0
    damaged: tuple[str, ...] = ()
    stopped: bool = False


def cosine(step: int, steps: int) -> float:
    """A schedule from 1 to 0.02 over a run."""
    return 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def fit(task: Task, training: Training, *, out: Path, fabric: Fabric, resume: bool = False) -> Iterator[Tick]:
    """Train, a step at a time; SIGINT and SIGTERM end the loop after the present step, with everything saved.

    Into the folder ``out`` go ``state.safetensors``, ``model.safetensors``, ``log.jsonl``, ``samples/`` and, where
    tensorboard is installed, its event files.

    Args:
        task: what is trained.
        training: cadence and sizes.
        out: folder of the run.
        fabric: from :meth:`Hardware.launch`.
        resume: go on from the state in ``out``, if there is one.

    Yields:
        :class:`Tick` after each step.

    Raises:
        StyleLoomError: a run is in ``out`` already, it had other settings, a batch that processes or parts cannot share,
            a disk that is full, or gradients that stay infinite.
    """
    keep_memory()
    share = training.batch // (fabric.world_size * training.accumulate)
    if share * fabric.world_size * training.accumulate != training.batch:
        raise StyleLoomError(
            f"a batch of {training.batch} cannot be shared by {fabric.world_size} processes in {training.accumulate} parts; "
            f"use a multiple of {fabric.world_size * training.accumulate}"
        )
    averages = {name: deepcopy(task.networks[name]).requires_grad_(False).eval() for name in task.averages}
    rates = {name: [group["lr"] for group in phase.optimizer.param_groups] for name, phase in task.phases.items()}
    settings = json.loads(json.dumps(dict(task.settings) | asdict(training)))
    done = _restore(task, averages, settings, out, resume)
    shown = {**task.networks, **averages}
    chief = fabric.is_global_zero
    log = _Log(out, done, training) if chief else None
    source = data.batches(
        task.item, task.count, training.batch, seed=training.seed, first=done, rank=fabric.global_rank, world=fabric.world_size
    )
    start, misses = time.perf_counter(), 0
    first = done
    with _stop_signals() as asked_to_stop:
        for step, batch in zip(range(done, training.num_steps), source, strict=False):
            torch.manual_seed(_mixed(training.seed, step, fabric.global_rank))
            batch = tuple(part.to(fabric.device) for part in batch)
            losses: dict[str, float] = {}
            for name, phase in task.phases.items():
                if step % phase.every:
                    continue
                for group, lr in zip(phase.optimizer.param_groups, rates[name], strict=True):
                    group["lr"] = lr * task.schedule(step)
                found = _gradients(phase, batch, share, fabric)
                losses |= found
                if all(math.isfinite(value) for value in found.values()) and _clip(phase.optimizer, training.clip):
                    phase.optimizer.step()
                    misses = 0
                else:
                    misses += 1
            if misses >= PATIENCE:
                raise StyleLoomError(
                    f"no finite gradient in {misses} updates in a row, at step {step + 1}; the last checkpoint is in {out}: "
                    f"use a smaller learning rate, clip gradients, or precision fp32"
                )
            for name, decay in task.averages.items():
                _average(averages[name], task.networks[name], min(decay, (1 + step) / (10 + step)))
            stopped = _anyone(asked_to_stop(), fabric)
            last = stopped or step + 1 == training.num_steps
            seconds = time.perf_counter() - start
            rate = training.batch * (step + 1 - first) / seconds
            damaged = tuple(dict.fromkeys(name for found in task.damaged for name in found))
            tick = Tick(step + 1, training.num_steps, losses, seconds, rate, damaged, stopped)
            if log is not None:
                log.write(tick, last)
                if task.sample is not None and ((step + 1) % training.sample_every == 0 or last):
                    with _evaluating(shown.values()), torch.no_grad():
                        log.picture(task.sample(shown), step + 1)
                if (step + 1) % training.save_every == 0 or last:
                    state = dict(step=step + 1, settings=settings) | _states(task, averages)
                    save_state(out / STATE, state)
                    if task.export is not None:
                        task.export(shown, out / MODEL)
            yield tick
            if stopped:
                break
    fabric.barrier()


def _gradients(phase: Phase, batch: tuple[Tensor, ...], share: int, fabric: Fabric) -> dict[str, float]:
    """Leave the whole batch's gradient in the optimizer's parameters; the mean of each loss."""
    parameters = [parameter for group in phase.optimizer.param_groups for parameter in group["params"]]
    phase.optimizer.zero_grad()
    sums: dict[str, Tensor] = {}
    parts = list(zip(*(field.split(share) for field in batch), strict=True))
    for part in parts:
        with fabric.autocast():
            terms = phase.loss(*part)
        fabric.backward(torch.stack([term.float() for term in terms.values()]).sum() / len(parts))
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=fabric.device)) + term.detach().float() / len(parts)
    if fabric.world_size > 1:
        # One vector of everything: a single exchange, and no wrapper around networks that have more than a forward.
        pieces: list[Tensor] = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([piece.flatten() for piece in pieces] + [torch.stack(list(sums.values()))])
        flat = fabric.all_reduce(flat, reduce_op="mean")  # type: ignore[assignment]
        for parameter, piece in zip(parameters, flat.split([p.numel() for p in parameters] + [len(sums)]), strict=False):
            parameter.grad = piece.view(parameter.shape)
        sums = dict(zip(sums, flat[-len(sums) :], strict=True))
    return {name: value.item() for name, value in sums.items()}


def _clip(optimizer: torch.optim.Optimizer, longest: float) -> bool:
    """Shorten the gradient where asked to; whether it is finite."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if longest and norm > longest:
        torch._foreach_mul_(gradients, longest / norm)
    return bool(norm.isfinite())


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for copy, original in zip(average.buffers(), network.buffers(), strict=True):
        copy.copy_(original)


def _states(task: Task, averages: Mapping[str, nn.Module]) -> dict[str, Any]:
    return dict(
        networks={name: network.state_dict() for name, network in task.networks.items()},
        averages={name: network.state_dict() for name, network in averages.items()},
        optimizers={name: phase.optimizer.state_dict() for name, phase in task.phases.items()},
    )


def _restore(task: Task, averages: Mapping[str, nn.Module], settings: dict[str, Any], out: Path, resume: bool) -> int:
    """Make the run's folder, or put its state in place; the number of steps done."""
    state = out / STATE
    if not state.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StyleLoomError(f"cannot make the folder {out}: {error.strerror}") from error
        return 0
    if not resume:
        raise StyleLoomError(f"{out} holds a run already; resume it, or choose another folder")
    saved = read_state(state)
    # A longer run, and other cadences, change no step that was taken.
    free = {"num_steps", "log_every", "sample_every", "save_every"}
    before = saved["settings"]
    changed = [name for name in sorted({*before, *settings} - free) if before.get(name) != settings.get(name)]
    if changed:
        told = "; ".join(f"{name} was {before.get(name)!r}, now {settings.get(name)!r}" for name in changed)
        raise StyleLoomError(f"{out} was begun with other settings: {told}; use the same ones, or another folder")
    for name, network in task.networks.items():
        network.load_state_dict(saved["networks"][name])
    for name, network in averages.items():
        network.load_state_dict(saved["averages"][name])
    for name, phase in task.phases.items():
        phase.optimizer.load_state_dict(saved["optimizers"][name])
    step: int = saved["step"]
    return step


class _Log:
    """``log.jsonl``, sheets of samples, and TensorBoard's files where it is installed."""

    def __init__(self, out: Path, done: int, training: Training) -> None:
        self.path, self.every = out / LOG, training.log_every
        self.samples = out / "samples"
        if self.path.exists():  # lines of steps that will be taken again
            lines = [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= done]
            self.path.write_text("".join(f"{line}\n" for line in lines))
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board: Any = SummaryWriter(str(out), purge_step=done)
        except ImportError:
            self.board = None

    def write(self, tick: Tick, last: bool) -> None:
        if tick.index % self.every and not last:
            return
        row = dict(step=tick.index, seconds=round(tick.seconds, 2), rate=round(tick.rate, 2)) | tick.losses
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise StyleLoomError(f"cannot write {self.path}: {error.strerror}") from error
        if self.board is not None:
            for name, value in tick.losses.items():
                self.board.add_scalar(f"loss/{name}", value, tick.index)
            self.board.flush()

    def picture(self, sheet: Tensor, step: int) -> None:
        self.samples.mkdir(exist_ok=True)
        images.write(sheet.cpu(), self.samples / f"{step:06d}.png")


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; a second one acts as usual."""
    asked: list[int] = []
    before: dict[int, Any] = {}

    def take(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _evaluating(networks: Any) -> Iterator[None]:
    modes = [(network, network.training) for network in networks]
    for network, _ in modes:
        network.eval()
    try:
        yield
    finally:
        for network, training in modes:
            network.train(training)


def _anyone(asked: bool, fabric: Fabric) -> bool:
    if fabric.world_size == 1:
        return asked
    return bool(fabric.all_reduce(torch.tensor(float(asked)), reduce_op="sum") > 0)  # type: ignore[operator]


def _mixed(*numbers: int) -> int:
    """One 63-bit seed of several numbers."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return mixed
