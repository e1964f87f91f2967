"""The loop over networks: what every training here has in common.

One process, several, several GPUs or several nodes run the same loop, launched by Lightning Fabric. Examples are pure
functions of (seed, step) (see ``data``) and torch's own random numbers are seeded anew at each step, so the state of a run
is its step number, its networks, averages and optimizers, and a resumed run ends bit for bit where an uninterrupted
one does.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from styleloom.core.checkpoint import read_state, save_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_folder, lock_folder, replacing
from styleloom.core.memory import keep_memory
from styleloom.core.run import Run
from styleloom.data import datasets as data
from styleloom.loops.task import Phase, Task, Training, TrainingStep

from .run_log import RunLog

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MODEL, BEST, SNAPSHOTS = "model.safetensors", "best.safetensors", "snapshots"
STATE = "state.safetensors"
PATIENCE = 20  # steps in a row without a finite gradient before a run gives up


def fit(task: Task, training: Training, run: Run, fabric: Fabric) -> Iterator[TrainingStep]:
    """Train, a step at a time; SIGINT and SIGTERM end the loop after the present step, with everything saved.

    Into ``run.out`` go ``state.safetensors``, ``model.safetensors``, the last models in ``snapshots/``, where quality is
    measured ``best.safetensors``, ``log.jsonl``, ``samples/`` and, where tensorboard is installed, its event files.

    Args:
        task: what is trained.
        training: cadence and sizes.
        run: folder, and whether to continue from the state in it.
        fabric: the fabric from :meth:`~styleloom.core.run.Hardware.launch`.

    Yields:
        :class:`TrainingStep` after each step.

    Raises:
        StyleLoomError: a run is in ``out`` already, it had other settings, a batch that processes or parts cannot share,
            a disk that is full, or gradients that stay infinite.
    """
    keep_memory()
    # The first process alone writes, and keeps others out before anything is read.
    if fabric.is_global_zero:
        check_folder(run.folder)
    with lock_folder(run.folder) if fabric.is_global_zero else nullcontext():
        yield from _steps(task, training, run, fabric)
    fabric.barrier()


def _steps(task: Task, training: Training, run: Run, fabric: Fabric) -> Iterator[TrainingStep]:
    """Restore a run or begin it, and take its steps, as :func:`fit` says."""
    out = run.folder
    batch_size = training.batch
    averages = {name: deepcopy(task.networks[name]).requires_grad_(False).eval() for name in task.averages}
    rates = {name: [group["lr"] for group in phase.optimizer.param_groups] for name, phase in task.phases.items()}
    settings = json.loads(json.dumps(dict(task.settings) | asdict(training) | dict(examples=task.count)))
    done, earlier, best = _restore(task, averages, settings, out, run.resume)
    shown = {**task.networks, **averages}
    log = RunLog(out, done, training.log_every) if fabric.is_global_zero else None
    rank, world = fabric.global_rank, fabric.world_size
    gpu = fabric.device.type == "cuda"
    # Load batches ahead of the steps.
    source = data.batches(
        task.items,
        task.count,
        lambda step: task.sample_indices(step, batch_size),
        seed=training.seed,
        first=done,
        rank=rank,
        world=world,
        workers=8 if gpu else 1,
        pin=gpu,
    )
    # Take steps until the end, or until a signal asks to stop.
    start, skipped = time.perf_counter(), 0
    misses = dict.fromkeys(task.phases, 0)
    first_index = task.sample_indices(done, batch_size).start
    with _stop_signals() as asked_to_stop:
        for step, batch in zip(range(done, training.num_steps), source, strict=False):
            _check_shares(len(task.sample_indices(step, batch_size)), world, training.accumulate)
            stats = task.before_step(step)
            torch.manual_seed(mixed_seed(training.seed, step, rank))
            batch = tuple(part.to(fabric.device, non_blocking=True) for part in batch)
            # Update each network in turn.
            losses: dict[str, float] = {}
            for name, phase in task.phases.items():
                if step % phase.every:
                    continue
                for group, lr in zip(phase.optimizer.param_groups, rates[name], strict=True):
                    group["lr"] = lr * task.schedule(step)
                terms = _gradients(phase, batch, training.accumulate, fabric)
                losses |= terms
                if all(math.isfinite(value) for value in terms.values()) and _clip(phase.optimizer, training.clip):
                    phase.optimizer.step()
                    misses[name] = 0
                else:
                    misses[name] += 1
                    skipped += 1
            # Give up where no gradient stays finite.
            if lost := [name for name, count in misses.items() if count >= PATIENCE]:
                raise StyleLoomError(
                    f"no finite gradient in {PATIENCE} updates of {lost[0]} in a row, at step {step + 1}; the last checkpoint is "
                    f"in {out}: use a smaller learning rate, clip gradients, or precision fp32"
                )
            # Agree on buffers, average weights, and learn whether to stop.
            _share_buffers(task.networks.values(), fabric)
            for name, decay in task.averages.items():
                _average(averages[name], task.networks[name], decay(step))
            stopped = _anyone(asked_to_stop(), fabric)
            last = stopped or step + 1 == training.num_steps
            # Report.
            seconds = time.perf_counter() - start
            images = task.sample_indices(step, batch_size).stop
            rate = (images - first_index) / seconds
            damaged = tuple(dict.fromkeys(name for names in task.damaged for name in names))
            tick = TrainingStep(
                step + 1, training.num_steps, losses | stats, earlier + seconds, rate, images, skipped, damaged, stopped
            )
            # Measure, sample and save.
            if log is not None:
                log.write(tick, last)
                if task.measure_every and ((step + 1) % task.measure_every == 0 or last):
                    with _evaluating(shown.values()), torch.no_grad():
                        figures = task.measure(shown)
                    log.measured(step + 1, figures)
                    if (figure := next(iter(figures.values()))) < best:
                        best = figure
                        task.export(shown, out / BEST)
                if (step + 1) % training.sample_every == 0 or last:
                    with _evaluating(shown.values()), torch.no_grad():
                        sheet = task.sheet(shown)
                    if sheet is not None:
                        log.image(sheet, step + 1)
                if (step + 1) % training.save_every == 0 or last:
                    state = dict(step=step + 1, seconds=earlier + seconds, settings=settings, best=best)
                    save_state(out / STATE, state | _states(task, averages))
                    task.export(shown, out / MODEL)
                    _keep_snapshot(out, step + 1, training.keep_snapshots)
            yield tick
            if stopped:
                break


def _keep_snapshot(out: Path, step: int, count: int) -> None:
    """Copy the latest model into ``snapshots/``, and keep the last ``count`` of them."""
    folder = out / SNAPSHOTS
    if count and (out / MODEL).exists():
        check_folder(folder)
        with replacing(folder / f"{step:06d}.safetensors") as temporary:
            shutil.copyfile(out / MODEL, temporary)
    for old in sorted(folder.glob("[0-9]*.safetensors"))[: -count or None]:
        old.unlink()


def _check_shares(batch: int, world: int, parts: int) -> None:
    if batch % (world * parts):
        raise StyleLoomError(
            f"a batch of {batch} cannot be shared by {world} processes in {parts} parts; use a multiple of {world * parts}"
        )


def _share_buffers(networks: Iterable[nn.Module], fabric: Fabric) -> None:
    """Average floating-point buffers over the processes: what each found on its share becomes what all found.

    A module whose ``own_buffers`` is true keeps its own: what is no mean, such as a pool of images, must not be mixed.
    """
    modules = [module for network in networks for module in network.modules() if not getattr(module, "own_buffers", False)]
    buffers = [each for module in modules for each in module.buffers(recurse=False) if each.is_floating_point()]
    if fabric.world_size > 1 and buffers:
        flat = fabric.all_reduce(torch.cat([each.flatten() for each in buffers]), reduce_op="mean")
        for buffer, piece in zip(buffers, flat.split([each.numel() for each in buffers]), strict=True):  # type: ignore[union-attr]
            buffer.copy_(piece.view(buffer.shape))


def _gradients(phase: Phase, batch: tuple[Tensor, ...], accumulate: int, fabric: Fabric) -> dict[str, float]:
    """Leave the whole batch's gradient in the optimizer's parameters; the mean of each loss."""
    parameters = [parameter for group in phase.optimizer.param_groups for parameter in group["params"]]
    phase.optimizer.zero_grad()
    sums: dict[str, Tensor] = {}
    parts = [tuple(field[start::accumulate] for field in batch) for start in range(accumulate)]
    for part in parts:
        with fabric.autocast():
            terms = phase.loss(*part)
        fabric.backward(torch.stack([term.float() for term in terms.values()]).sum() / len(parts))
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=fabric.device)) + term.detach().float() / len(parts)
    if fabric.world_size > 1:
        # One vector of everything: a single exchange, and no wrapper around networks that have more than a forward. What a
        # loss does not depend on has no gradient in any process, and Adam passes it over.
        reached = [parameter for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in reached if p.grad is not None] + [torch.stack(list(sums.values()))])
        flat = fabric.all_reduce(flat, reduce_op="mean")  # type: ignore[assignment]
        for parameter, piece in zip(reached, flat.split([p.numel() for p in reached] + [len(sums)]), strict=False):
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
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for copy, original in zip(average.buffers(), network.buffers(), strict=True):
        copy.copy_(original)


def _states(task: Task, averages: Mapping[str, nn.Module]) -> dict[str, Any]:
    return dict(
        networks={name: network.state_dict() for name, network in task.networks.items()},
        averages={name: network.state_dict() for name, network in averages.items()},
        optimizers={name: optimizer.state_dict() for name, optimizer in _optimizers(task).items()},
    )


def _optimizers(task: Task) -> dict[str, torch.optim.Optimizer]:
    """Each optimizer once, by the first phase that has it."""
    optimizers: dict[str, torch.optim.Optimizer] = {}
    for name, phase in task.phases.items():
        if not any(phase.optimizer is other for other in optimizers.values()):
            optimizers[name] = phase.optimizer
    return optimizers


def _restore(
    task: Task, averages: Mapping[str, nn.Module], settings: dict[str, Any], out: Path, resume: bool
) -> tuple[int, float, float]:
    """Put a run's state in place, if there is one; the number of steps done, their seconds, and the best figure so far."""
    state = out / STATE
    if not state.exists():
        return 0, 0.0, math.inf
    if not resume:
        raise StyleLoomError(f"{out} holds a run already; resume it, or choose another folder")
    saved = read_state(state)
    # A longer run, and other cadences, change no step that was taken.
    free = {"num_steps", "log_every", "sample_every", "save_every", "measure_every", "keep_snapshots", *task.free}
    before = saved["settings"]
    changed = [name for name in sorted({*before, *settings} - free) if before.get(name) != settings.get(name)]
    changed = ["method"] if "method" in changed else changed  # others have other settings
    if changed:
        differences = "; ".join(f"{name} was {before.get(name)!r}, now {settings.get(name)!r}" for name in changed)
        raise StyleLoomError(f"{out} was begun with other settings: {differences}; use the same ones, or another folder")
    for name, network in task.networks.items():
        network.load_state_dict(saved["networks"][name])
    for name, network in averages.items():
        network.load_state_dict(saved["averages"][name])
    for name, optimizer in _optimizers(task).items():
        optimizer.load_state_dict(saved["optimizers"][name])
    return saved["step"], saved.get("seconds", 0.0), saved.get("best", math.inf)


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


def mixed_seed(*numbers: int) -> int:
    """One 63-bit seed of several numbers."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return mixed
