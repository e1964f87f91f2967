"""Training generators: exact resume, processes that share a batch, growing, adaptive augmentation, and what is refused."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from styleloom.core.checkpoint import read_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Run
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.drawn import toonfaces
from styleloom.loops.adversarial import begin_with, steps_of, transfer
from styleloom.loops.fit import MODEL, STATE
from styleloom.loops.run_log import LOG
from styleloom.loops.task import TrainingStep
from styleloom.nn.resample import fir, upsampled
from styleloom.papers import progan, stylegan, stylegan2

MODULES: dict[str, ModuleType] = {"progan": progan, "stylegan": stylegan, "stylegan2": stylegan2}
TINY: dict[str, Any] = dict(resolution=16, channel_base=128, channel_max=16, z_dim=16, log_every=1, sample_every=4, save_every=4)
STYLED: dict[str, Any] = dict(w_dim=16, mapping_layers=2)
# Growing: fading and new levels at every few steps, with batches that shrink.
GROWING: dict[str, Any] = dict(fade_kimg=0.03, stable_kimg=0.02)
RECIPES: dict[str, Any] = {
    "progan": progan.ProGANRecipe(**TINY, batch=(8, 4), **GROWING),
    "stylegan": stylegan.StyleGANRecipe(**TINY, **STYLED, batch=(8, 8, 4), lr=(0.001, 0.001, 0.002), **GROWING),
    "stylegan2": stylegan2.StyleGAN2Recipe(**TINY, **STYLED, batch=8, augment=True, ada_interval=2, ada_kimg=0.05, mirror=True),
}


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("faces")
    for seed, image in enumerate(toonfaces.render([toonfaces.attributes(seed) for seed in range(24)], 24)):
        target = folder / ("a" if seed % 3 else "b") / f"{seed}.png"
        target.parent.mkdir(exist_ok=True)
        images.write(image, target)
    return str(folder)


def run(name: str, faces: str, out: Path, kimg: float, **options: Any) -> list[TrainingStep]:
    changes = {key: options.pop(key) for key in list(options) if key in RECIPES[name].__dataclass_fields__}
    where = {key: options.pop(key) for key in ("hardware", "license", "resume") if key in options}
    return list(MODULES[name].train(faces, replace(RECIPES[name], kimg=kimg, **changes), run=Run(out, **where), **options))


def tensors(state: Any) -> Iterator[Tensor]:
    for value in state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []:
        if isinstance(value, Tensor):
            yield value
        else:
            yield from tensors(value)


def assert_same_networks(a: Path, b: Path, tolerance: float) -> None:
    """Equal but for sums in another order: on the average, and not at each place, because Adam enlarges tiny gradients."""
    left, right = (read_state(folder / STATE)["networks"] for folder in (a, b))
    for kind in ("G", "D"):
        for name, value in left[kind].items():
            assert (value - right[kind][name]).abs().mean() <= tolerance * max(1e-2, float(value.abs().mean())), (kind, name)


def assert_same(a: Path, b: Path) -> None:
    left, right = (list(tensors(read_state(folder / STATE))) for folder in (a, b))
    assert len(left) == len(right) > 50
    for x, y in zip(left, right, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("name", MODULES)
def test_resume_is_exact(name: str, faces: str, tmp_path: Path) -> None:
    """In the middle of a fade for those that grow; with an augmentation that adapts for the one that does not."""
    whole = run(name, faces, tmp_path / "whole", 0.1)
    run(name, faces, tmp_path / "halves", 0.05)
    run(name, faces, tmp_path / "halves", 0.1, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "halves")
    logs = [[json.loads(line) for line in (tmp_path / part / LOG).read_text().splitlines()] for part in ("whole", "halves")]
    figures = [[{key: row[key] for key in row if key not in ("seconds", "rate")} for row in log] for log in logs]
    assert figures[0] == figures[1]
    state = read_state(tmp_path / "whole" / STATE)
    assert (state["networks"]["G"]["mapping.w_avg"].abs().sum() > 0) == (name != "progan")
    if name == "stylegan2":
        assert 0 < whole[-1].losses["p"] <= 1
    else:
        levels = [tick.losses["lod"] for tick in whole]
        assert levels[0] == int(levels[0]) > 0 and any(level % 1 for level in levels) and levels == sorted(levels)[::-1]


SHARED: dict[str, dict[str, Any]] = {
    "progan": dict(mbstd_group_size=2),
    # Instance norm of the constant that StyleGAN begins with, which has no spread at all, shows rounding alone.
    "stylegan": dict(batch=(8,), const_input=False),
    "stylegan2": dict(mbstd_group_size=2),
}


@pytest.mark.parametrize("name", MODULES)
def test_two_processes_are_one(name: str, faces: str, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom styleloom.core.run import Hardware\n"
        "from tests.papers.test_gan_training import SHARED, run\n"
        "name, faces, out, processes = sys.argv[1:]\n"
        "run(name, faces, Path(out), 0.06, hardware=Hardware('cpu', processes=int(processes)), **SHARED[name])\n"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        command = [sys.executable, str(script), name, faces, str(tmp_path / str(processes)), str(processes)]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
    assert_same_networks(tmp_path / "1", tmp_path / "2", tolerance=5e-3)


def test_parts_of_a_batch_add_up(faces: str, tmp_path: Path) -> None:
    """Path length and R1 penalties, the mean of w and the augmentation included."""
    for parts in (1, 2):
        run("stylegan2", faces, tmp_path / str(parts), 0.06, accumulate=parts, mbstd_group_size=2)
    assert_same_networks(tmp_path / "1", tmp_path / "2", tolerance=1e-4)
    last = [json.loads((tmp_path / part / LOG).read_text().splitlines()[-1]) for part in ("1", "2")]
    assert last[0]["p"] == last[1]["p"] > 0


def test_images_come_nearer_to_the_real_ones(faces: str, tmp_path: Path) -> None:
    real = torch.stack([SquareImages(faces, 16)[index] for index in range(24)]).mean(0)

    def apart(out: Path) -> float:
        return float((stylegan2.load(out / MODEL).generate(range(64)).mean(0) - real).square().mean())

    run("stylegan2", faces, tmp_path / "run", 0.008, augment=False)
    before = apart(tmp_path / "run")
    run("stylegan2", faces, tmp_path / "more", 0.8, augment=False, sample_every=1000, lr=0.005)
    assert apart(tmp_path / "more") < 0.5 * before


def test_classes_are_learned_from_folders(faces: str, tmp_path: Path) -> None:
    for name in MODULES:
        run(name, faces, tmp_path / name, 0.02, conditional=True)
        generator = MODULES[name].load(tmp_path / name / MODEL)
        assert generator.c_dim == 2
        assert not torch.equal(generator.generate([1], 0), generator.generate([1], 1))
        with pytest.raises(StyleLoomError, match=r"begun with other settings: classes was .*conditional was True"):
            run(name, faces, tmp_path / name, 0.04, resume=True)


def test_fine_tuning_keeps_what_fits_and_freezes_the_rest(faces: str, tmp_path: Path) -> None:
    run("stylegan2", faces, tmp_path / "base", 0.016)
    base = tmp_path / "base" / MODEL
    before = stylegan2.load_discriminator(base).state_dict()
    # No step is large enough to be seen but those of weights that are not frozen.
    run("stylegan2", faces, tmp_path / "tuned", 0.016, base=base, freeze=2, lr=1e-3)
    after = stylegan2.load_discriminator(tmp_path / "tuned" / MODEL).state_dict()
    for name, value in before.items():
        frozen = name.startswith(("b16.", "b8."))
        assert torch.equal(after[name], value) == (frozen or "resample" in name), name
    # Of twice the resolution: its images are at first those of the base, enlarged.
    generator, discriminator = stylegan2.networks(replace(RECIPES["stylegan2"], resolution=32))
    begin_with(stylegan2.FILES, base, generator, discriminator)
    ws = torch.randn(2, generator.num_ws, 16)
    small = stylegan2.load(base).synthesis(ws[:, :6], noise_mode="none")
    torch.testing.assert_close(generator.synthesis(ws, noise_mode="none"), upsampled(small, fir()))
    assert torch.equal(discriminator.state_dict()["b4.out.weight"], before["b4.out.weight"])
    # Where it is the only image, and not one that is added, it starts like any other layer.
    generator, discriminator = stylegan2.networks(replace(RECIPES["stylegan2"], resolution=32, architecture="resnet"))
    begin_with(stylegan2.FILES, base, generator, discriminator)
    assert generator.get_parameter("synthesis.b32.torgb.weight").std() > 0.1  # 0 where it is added
    wider = replace(RECIPES["stylegan2"], resolution=32, channel_base=256)
    generator = stylegan2.networks(wider)[0]
    transfer(generator, stylegan2.load(base))
    own, theirs = generator.state_dict(), stylegan2.load(base).state_dict()
    assert torch.equal(own["synthesis.b8.conv0.weight"], theirs["synthesis.b8.conv0.weight"])
    assert own["synthesis.b32.conv0.weight"].abs().sum() > 0
    with pytest.raises(StyleLoomError, match=r"nothing of the .* network given fits"):
        transfer(torch.nn.Linear(3, 3), generator)


def test_levels_follow_the_papers_schedule() -> None:
    recipe = progan.ProGANRecipe(resolution=64)
    growth = progan.Growth(recipe, 4)
    step = 0
    seen: dict[int, list[int]] = {}
    place = 0
    while growth.lod(step) > 0:
        row = growth.sample_indices(step)
        assert row.start == place
        place = row.stop
        seen.setdefault(64 >> int(growth.lod(step)), []).append(len(row))
        step += 97
        place = growth.sample_indices(step).start
    assert {side: set(sizes) for side, sizes in seen.items()} == {4: {128}, 8: {128}, 16: {128}, 32: {64}, 64: {32}}
    # 4 px for 600 thousand images, then each level 600 thousand of fading and as many of rest.
    assert abs(growth.sample_indices(step).start - (600_000 + 3 * 1_200_000 + 600_000)) < 97 * 32
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    optimizer.state[torch.zeros(1)] = 1
    start = growth.levels[1][0]
    networks = torch.nn.Module(), torch.nn.Module()
    growth.before_step(start - 1, *networks, optimizer)
    assert optimizer.state and networks[0].lod == 4
    growth.before_step(start, *networks, optimizer)
    assert not optimizer.state


def test_reals_are_faded_as_images_are_made() -> None:
    real = torch.rand(2, 3, 16, 16)
    assert torch.equal(progan.faded(real, 0), real)
    torch.testing.assert_close(progan.faded(real, 1), real.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean((3, 5)))
    half = progan.faded(real, 0.25)
    low = progan.faded(real, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(half, 0.75 * real + 0.25 * low)


def test_length_of_a_run_is_told_in_images(faces: str) -> None:
    class Fixed:
        batch, sample_indices = 8, None

    assert steps_of(Fixed(), 0.1) == 13  # type: ignore[arg-type]
    growth = progan.Growth(progan.ProGANRecipe(resolution=64), 4)

    class Growing:
        batch, sample_indices = 4, growth.sample_indices

    steps = steps_of(Growing(), 1000)  # type: ignore[arg-type]
    assert growth.sample_indices(steps - 1).stop >= 1_000_000 > growth.sample_indices(steps - 2).stop


def test_what_cannot_be_trained_is_refused(faces: str, tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="freeze is 9; it must be a whole number, from 0 to 2"):
        run("stylegan2", faces, tmp_path, 0.01, freeze=9)
    with pytest.raises(StyleLoomError, match="in 3 parts leaves 2 images to groups of 4"):
        run("stylegan2", faces, tmp_path, 0.01, accumulate=3)
    # Parts smaller than the groups whose spread is seen would be trained otherwise than the whole.
    for name, batch in (("stylegan2", 4), ("stylegan", (8, 4)), ("progan", (4,))):
        with pytest.raises(StyleLoomError, match="a batch of 4 in 2 parts leaves 2 images to groups of 4"):
            run(name, faces, tmp_path, 0.01, accumulate=2, batch=batch)
    run("progan", faces, tmp_path / "none", 0.004, accumulate=2, batch=(4,), mbstd_group_size=0)
    with pytest.raises(StyleLoomError, match=r"recipe is '64-small'; wanted a ProGANRecipe"):
        next(progan.train(faces, "64-small", run=Run(tmp_path)))  # type: ignore[arg-type]
    (tmp_path / "set").mkdir()
    images.write(torch.rand(1, 3, 16, 16), tmp_path / "set" / "one.png")
    with pytest.raises(StyleLoomError, match=r"no class for one.png: it is in no sub-folder"):
        run("stylegan2", str(tmp_path / "set"), tmp_path / "out", 0.01, conditional=True)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("progan", dict(batch=(8, 0))),
        ("progan", dict(fade_kimg=math.nan)),
        ("stylegan", dict(lr=(0.001, -1.0))),
        ("stylegan", dict(resolution=4)),
        ("stylegan2", dict(kimg=math.inf)),
        ("stylegan2", dict(mapping_layers=0)),
        ("stylegan2", dict(style_mixing_prob=2.0)),
        ("stylegan2", dict(r1_interval=0)),
        ("stylegan2", dict(seed=-1)),
    ],
)
def test_numbers_without_sense_are_refused(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(StyleLoomError, match=f"{next(iter(change))} is .*; it must be "):
        replace(RECIPES[name], **change)


def test_a_set_smaller_than_the_batch_and_damaged_images(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        images.write(torch.rand(1, 3, 20, 30), tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    ticks = run("stylegan2", str(tmp_path), tmp_path / "out", 0.02)
    assert ticks[-1].damaged == (str(tmp_path / "bad.png"),) and ticks[-1].images == 24


def test_a_full_disk_leaves_the_checkpoint_before(faces: str, tmp_path: Path) -> None:
    run("stylegan2", faces, tmp_path / "run", 0.032)  # saved after four steps
    before = (tmp_path / "run" / STATE).read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path; from tests.papers.test_gan_training import run;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000));"
        "run('stylegan2', sys.argv[1], Path(sys.argv[2]), 0.1, resume=True, sample_every=100)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, faces, str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0 and "StyleLoomError: cannot write" in done.stderr
    assert (tmp_path / "run" / STATE).read_bytes() == before
    assert run("stylegan2", faces, tmp_path / "run", 0.048, resume=True)[-1].index == 6


def test_gradients_that_are_not_finite_are_counted_and_end_a_run(faces: str, tmp_path: Path) -> None:
    run("stylegan2", faces, tmp_path / "good", 0.016)
    broken = stylegan2.load(tmp_path / "good" / MODEL)
    broken.get_parameter("synthesis.b16.torgb.bias").data.fill_(float("nan"))
    stylegan2.save(broken, tmp_path / "nan.safetensors", stylegan2.load_discriminator(tmp_path / "good" / MODEL))
    found, recipe = 0, replace(RECIPES["stylegan2"], kimg=10, sample_every=1000)
    with pytest.raises(StyleLoomError, match=r"no finite gradient in 20 updates of (G|D|path) in a row.*smaller learning rate"):
        for tick in stylegan2.train(faces, recipe, run=Run(tmp_path / "out"), base=tmp_path / "nan.safetensors"):
            found = tick.skipped
    assert found >= 19 * 2
