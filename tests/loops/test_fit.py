"""The training loop: exact resume, processes that share a batch, clean stops, and what is refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.checkpoint import read_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import lock_folder
from styleloom.core.run import Hardware, Run
from styleloom.loops.fit import STATE, _share_buffers, fit
from styleloom.loops.run_log import LOG
from styleloom.loops.task import Phase, Task, Training, TrainingStep, warmed

TOY = Training(num_steps=10, batch=4, log_every=1, sample_every=100, save_every=5, seed=3)


def toy(
    out: Path,
    training: Training,
    *,
    resume: bool = False,
    processes: int = 1,
    lr: float = 0.05,
    scale: float = 1.0,
    count: int = 7,
) -> Iterator[TrainingStep]:
    """A small regression with dropout, Adam and an average."""
    fabric = Hardware("cpu", processes=processes).launch()
    torch.manual_seed(training.seed)
    dropout = 0.0 if processes > 1 or scale != 1 else 0.3
    network = nn.Sequential(nn.Linear(6, 16), nn.Dropout(dropout), nn.Tanh(), nn.Linear(16, 1))

    def loss(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"square": (network(x) - y).square().mean() * scale}

    class Toy(Task):
        def item(self, index: int, rng: RandomState) -> tuple[Tensor, Tensor]:
            x = torch.from_numpy(rng.randn(6)).float()
            x[5] = index
            return x, 2 * x[:1] + index

    task = Toy()
    task.networks, task.count = {"network": network}, count
    task.phases = {"all": Phase(torch.optim.Adam(network.parameters(), lr=lr), loss)}
    task.averages, task.settings = {"network": warmed(0.9)}, dict(lr=lr)
    return fit(task, training, run=Run(out, resume=resume), fabric=fabric)


def flat(state: dict[str, Any]) -> list[Tensor]:
    found = []
    for value in state.values():
        found += flat(value) if isinstance(value, dict) else [value] if isinstance(value, Tensor) else []
    return found


def assert_same(a: Path, b: Path, tolerance: float = 0) -> None:
    left, right = flat(read_state(a / STATE)), flat(read_state(b / STATE))
    assert len(left) == len(right) > 8
    for x, y in zip(left, right, strict=True):
        torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def test_ten_steps_are_five_and_five(tmp_path: Path) -> None:
    list(toy(tmp_path / "whole", TOY))
    list(toy(tmp_path / "halves", replace(TOY, num_steps=5)))
    ticks = list(toy(tmp_path / "halves", TOY, resume=True))
    assert [tick.index for tick in ticks] == [6, 7, 8, 9, 10]
    assert_same(tmp_path / "whole", tmp_path / "halves")
    logs = [[json.loads(line) for line in (tmp_path / name / LOG).read_text().splitlines()] for name in ("whole", "halves")]
    assert [row["square"] for row in logs[0]] == [row["square"] for row in logs[1]]


def test_a_run_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    list(toy(tmp_path / "whole", TOY))
    for tick in toy(tmp_path / "killed", TOY):
        if tick.index == 8:  # three steps after the checkpoint
            break
    list(toy(tmp_path / "killed", TOY, resume=True))
    assert_same(tmp_path / "whole", tmp_path / "killed")
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / LOG).read_text().splitlines()]
    assert steps == list(range(1, 11))


def test_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    list(toy(tmp_path / "one", replace(TOY, num_steps=4), scale=2))
    list(toy(tmp_path / "two", replace(TOY, num_steps=4, accumulate=2), scale=2))
    assert_same(tmp_path / "one", tmp_path / "two", tolerance=1e-5)


def test_loss_falls(tmp_path: Path) -> None:
    losses = [tick.losses["square"] for tick in toy(tmp_path, replace(TOY, num_steps=150, save_every=500))]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_average_follows_the_weights(tmp_path: Path) -> None:
    list(toy(tmp_path / "run", TOY))
    state = read_state(tmp_path / "run" / STATE)
    now, mean = state["networks"]["network"]["0.weight"], state["averages"]["network"]["0.weight"]
    torch.manual_seed(TOY.seed)
    start = nn.Linear(6, 16).weight
    assert 0 < (mean - start).norm() < (now - start).norm()


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    ticks = []
    for tick in toy(tmp_path / "run", TOY):
        ticks.append(tick)
        if tick.index == 2:
            os.kill(os.getpid(), signal.SIGTERM)
    assert ticks[-1].index == 3 and ticks[-1].stopped and not ticks[-2].stopped
    assert read_state(tmp_path / "run" / STATE)["step"] == 3
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_changed_settings_are_refused_by_name(tmp_path: Path) -> None:
    list(toy(tmp_path, TOY))
    with pytest.raises(StyleLoomError, match=r"lr was 0.05, now 0.1"):
        list(toy(tmp_path, TOY, resume=True, lr=0.1))
    with pytest.raises(StyleLoomError, match="examples was 7, now 8"):
        list(toy(tmp_path, TOY, resume=True, count=8))
    with pytest.raises(StyleLoomError, match="holds a run already"):
        list(toy(tmp_path, TOY))


def test_nan_is_skipped_and_gives_up_in_the_end(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="no finite gradient in 20 updates"):
        list(toy(tmp_path, replace(TOY, num_steps=50), scale=float("nan")))


def test_batches_that_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="a batch of 4 cannot be shared by 1 processes in 3 parts"):
        list(toy(tmp_path, replace(TOY, accumulate=3)))
    with pytest.raises(StyleLoomError, match="batch is 0"):
        replace(TOY, batch=0)


def test_two_processes_are_one(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\nfrom tests.loops.test_fit import TOY, toy\n"
        "list(toy(Path(sys.argv[1]), replace(TOY, num_steps=5), processes=int(sys.argv[2]), scale=2))\n"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        command = [sys.executable, str(script), str(tmp_path / str(processes)), str(processes)]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
    # Sums in another order: equal to within rounding.
    assert_same(tmp_path / "1", tmp_path / "2", tolerance=1e-5)


def test_bf16_is_refused_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleloom.core.precision.bf16_is_fast", lambda: False)
    with pytest.raises(StyleLoomError, match="no bf16 instructions"):
        Hardware("cpu", precision="bf16").launch()
    with pytest.raises(StyleLoomError, match="unknown precision 'fp8'; choose one of fp32, bf16"):
        Hardware("cpu", precision="fp8").launch()
    with pytest.raises(StyleLoomError, match="processes is 0; it must be a whole number, at least 1"):
        Hardware("cpu", processes=0).launch()
    with pytest.raises(StyleLoomError, match="several processes cannot share cuda:1; use device cuda"):
        Hardware("cuda:1", processes=2).launch()


def test_a_folder_has_one_training_and_a_clock_that_goes_on(tmp_path: Path) -> None:
    first = toy(tmp_path, TOY)
    next(first)
    with pytest.raises(StyleLoomError, match="another process is at work in"):
        next(toy(tmp_path, TOY))
    first.close()  # type: ignore[attr-defined]
    assert not (tmp_path / ".lock").exists()
    *_, last = toy(tmp_path, TOY)
    more = replace(TOY, num_steps=12)
    ticks = list(toy(tmp_path, more, resume=True))
    assert ticks[0].index == 11 and ticks[0].seconds > last.seconds * 0.5
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert seconds == sorted(seconds) and len(seconds) == 12


def test_buffers_are_shared_but_for_those_of_ones_own() -> None:
    class Halves:
        world_size = 2

        def all_reduce(self, flat: Tensor, reduce_op: str) -> Tensor:
            assert reduce_op == "mean"
            return flat / 2

    class Pool(nn.BatchNorm1d):
        own_buffers = True

    shared, own = nn.BatchNorm1d(3), Pool(3)
    network = nn.Sequential(shared, own)
    _share_buffers([network], Halves())  # type: ignore[arg-type]
    assert torch.equal(shared.get_buffer("running_var"), torch.full((3,), 0.5))
    assert torch.equal(own.get_buffer("running_var"), torch.ones(3))


def test_a_run_at_work_is_left_alone_by_a_second_one(tmp_path: Path) -> None:
    list(toy(tmp_path, replace(TOY, num_steps=5)))
    with (tmp_path / LOG).open("a") as file:
        file.write(json.dumps(dict(step=9)) + "\n")
    before = (tmp_path / LOG).read_text()
    with lock_folder(tmp_path), pytest.raises(StyleLoomError, match="another process is at work in"):
        list(toy(tmp_path, TOY, resume=True))
    assert (tmp_path / LOG).read_text() == before


def test_a_half_written_line_of_the_log_is_dropped(tmp_path: Path) -> None:
    list(toy(tmp_path, replace(TOY, num_steps=5)))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 6, "ima')
    list(toy(tmp_path, TOY, resume=True))
    assert [json.loads(line)["step"] for line in (tmp_path / LOG).read_text().splitlines()] == [*range(1, 11)]
