"""How many steps, and seconds, inversion takes with one optimizer and with another.

    python -m benchmarks.inversion toonfaces-64 held-out.zip --tune
    python -m benchmarks.inversion toonfaces-64 held-out.zip --learned gate=toonfaces-64-gate
    python -m benchmarks.inversion toonfaces-64 held-out.zip --long

All minimize the same loss: the mean squared difference of pixels in [0, 1], and 0.07 times that of vgg19-lite's features, which
makes both terms about equal at the mean w. Images are held-out ones, in W+; the first 16 of the file are for tuning, 200 others
for the figures. An image's loss after some steps is the lowest so far, as an inversion keeps the best. Of each optimizer and
start, how many steps it takes to the loss that Adam and SGD have after 100, at the papers' rate of 0.01 and tuned: the median of
images, with an interval of 95% from 1,000 bootstraps, the 90th percentile, and the share that never came there. Optimizers of
which a rough place is enough invert the first 16 images.

``--tune`` searches settings on the 16 by chance, 30 of each, and 6 of those of which a rough place is enough; with ``--near
MODEL`` only what was best there is tried, at half, one and twice its rate; ``--long`` takes
1,000 steps on 16 images; with ``--full`` every optimizer inverts all 200, in either. Losses of every image are kept in
``results/inversion_losses/``: a benchmark goes on from where it was interrupted, and two processes share one with ``--start``.
Results go to ``results/inversion_<model>.json``, ``inversion_<model>_tuning.json`` and ``inversion_long_<model>.json``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gatys import processor
from numpy.random import RandomState
from scipy.stats import wilcoxon
from torch import Tensor

from styleloom.core.checkpoint import fingerprint
from styleloom.core.files import replacing
from styleloom.core.memory import keep_memory
from styleloom.data.datasets import SquareImages
from styleloom.loops.eigenbasis import EigenAdam
from styleloom.models import load_generator
from styleloom.nn.generators import Generator
from styleloom.papers import image2stylegan, learned_optimizer
from styleloom.papers.image2stylegan import INITS, OPTIMIZERS, Factory, InversionConfig
from styleloom.papers.learned_optimizer import Loom, Network
from styleloom.tasks import inversion
from styleloom.tasks.inversion import Tools

RESULTS = Path(__file__).parent / "results"
VALIDATION, FIRST_TEST, FEW = range(16), 100, 16
MARKS = (0, 5, 10, 20, 30, 50, 100)
GOALS = ("adam .01", "adam tuned", "sgd .01", "sgd tuned")
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)  # of the seconds that tuned Adam takes for all steps
TUNED = ("adam", "adam-eigenbasis", "sgd")
COARSE = ("nag", "adagrad", "rmsprop", "lbfgs")
TRIALS = 30


@dataclass(frozen=True)
class Case:
    """What a benchmark of inversion is about: a generator with its tools, its name as files have it, and held-out images."""

    generator: Generator
    tools: Tools
    name: str
    held_out: SquareImages


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Arguments of a benchmark of inversion, to begin with: a model and held-out images."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("held_out")
    return parser


def case_of(options: argparse.Namespace) -> Case:
    """What they say."""
    keep_memory()
    generator: Generator = load_generator(options.model).requires_grad_(False)
    tools, name = inversion.tools_of(generator), Path(options.model).stem.replace("-", "_")
    return Case(generator, tools, name, SquareImages(options.held_out, generator.resolution))


def drawn(name: str, rng: RandomState) -> dict[str, Any]:
    """Settings of an optimizer, by chance: a rate over three decades, and Adam's decays."""
    middle = {"sgd": 300.0, "nag": 30.0, "adagrad": 0.3, "rmsprop": 0.03, "lbfgs": 0.3, "adam": 0.1, "adam-eigenbasis": 0.3}[name]
    settings: dict[str, Any] = dict(lr=float(f"{middle * 10 ** rng.uniform(-1.5, 1.5):.2g}"))
    if name.startswith("adam"):
        settings["betas"] = (float(rng.choice([0.5, 0.7, 0.8, 0.9])), float(rng.choice([0.8, 0.9, 0.95, 0.99, 0.999])))
    if name == "lbfgs":
        settings["max_iter"] = 1
    if name == "nag":
        settings |= dict(momentum=float(rng.choice([0.5, 0.8, 0.9, 0.95])), nesterov=True)
    return settings


def settings_of(model: str) -> dict[str, dict[str, Any]]:
    """The tuned settings of each optimizer."""
    tuned = json.loads((RESULTS / f"inversion_{model}_tuning.json").read_text())
    return {name: found["settings"] for name, found in tuned.items()}


@dataclass(frozen=True)
class Contender:
    """An optimizer with settings of its own, or a learned one."""

    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    network: Network | None = None


def factory_of(contender: Contender, tools: Tools) -> Factory:
    """What makes the optimizer."""
    if contender.network is not None:
        return learned_optimizer.factory(contender.network)
    made = OPTIMIZERS[contender.name].make
    more = {"basis": tools.basis} if made is EigenAdam else {}
    return lambda params, descent: made(params, **contender.settings, **more)


def key_of(contender: Contender, count: int, start: str, tools: Tools, num_steps: int) -> str:
    """What losses are kept under: it changes with all that they depend on, but for code, generator and images, of which it
    knows the count. (Images drawn on another processor may differ in a last bit.)"""
    used: list[Tensor] = []
    config: Mapping[str, Any] = {}
    if contender.network is not None:
        config = contender.network.config
        used += contender.network.state_dict().values()
    elif OPTIMIZERS[contender.name].make is EigenAdam and tools.basis is not None:
        used.append(tools.basis.vectors)
    if start == "encoder" and tools.encoder is not None:
        used += tools.encoder.state_dict().values()
    return fingerprint([contender.name, dict(contender.settings), config, count, num_steps], used)[:8]


def untouched(data: SquareImages, count: int) -> Tensor:
    """So many images for the figures, none of which was tuned on: [N, 3, R, R]."""
    end = FIRST_TEST + count
    assert len(data) >= end, f"{len(data)} images; {end} are needed"
    return torch.stack([data[index] for index in range(FIRST_TEST, end)])


def curves(
    generator: Generator, targets: Tensor, factory: Factory, start: str, tools: Tools, *, num_steps: int = 100, batch: int = 16
) -> Tensor:
    """Losses [num_steps + 1, N], the lowest so far."""
    config, reader = (
        InversionConfig(init=start, num_steps=num_steps),
        tools.encoder.of(generator) if tools.encoder is not None else None,
    )
    parts = []
    for first in range(0, len(targets), batch):
        options: dict[str, Any] = dict(optimizer=factory, encoder=reader)
        if start == "random":
            options["init"] = generator.map(range(10**6 + first, 10**6 + first + len(targets[first : first + batch]))).clone()
        loop = image2stylegan.steps(generator, targets[first : first + batch], config, **options)
        found = torch.stack([step.each for step in loop])
        parts.append(torch.cat([found, found[-1:].expand(num_steps + 1 - len(found), -1)]).cummin(0).values)
    return torch.cat(parts, 1)


def reached(losses: Tensor, goals: Tensor) -> np.ndarray[Any, Any]:
    """The first step at which each image has its goal's loss; infinite where it never does."""
    there = losses <= goals
    first = there.float().argmax(0).double()
    found: np.ndarray[Any, Any] = torch.where(there.any(0), first, torch.inf).numpy()
    return found


def medians(losses: Tensor) -> Tensor:
    """Of images, by step: [steps + 1, N] -> [steps + 1]."""
    return losses.quantile(0.5, dim=1)


def bootstrapped(values: np.ndarray[Any, Any], seed: int = 0) -> list[Any]:
    """Medians of 1,000 draws of as many, with replacement."""
    rng = RandomState(seed)
    return [np.median(rng.choice(values, len(values))) for _ in range(1000)]


def told(steps: np.ndarray[Any, Any], seed: int = 0) -> dict[str, Any]:
    """Median with its interval, 90th percentile, and the share that never came there."""
    medians = bootstrapped(steps, seed)
    figures = dict(median=np.median(steps), least=np.percentile(medians, 2.5, method="nearest"))
    figures |= dict(most=np.percentile(medians, 97.5, method="nearest"), tenth=np.percentile(steps, 90, method="nearest"))
    plain = {name: (float(value) if math.isfinite(value) else None) for name, value in figures.items()}
    return plain | dict(never=float(np.isinf(steps).mean()))


def seconds_a_step(
    generator: Generator, targets: Tensor, factories: Mapping[str, Factory], tools: Tools, rounds: int = 5
) -> dict[str, dict[str, float]]:
    """Median seconds of a step, of one image and of sixteen, taken in turns; what comes before the first is left out."""
    found: dict[str, dict[str, list[float]]] = {name: {"1": [], "16": []} for name in factories}
    for _ in range(rounds):
        for name, factory in factories.items():
            for count in (1, 16):
                config = InversionConfig(num_steps=10)
                loop = image2stylegan.steps(generator, targets[:count], config, optimizer=factory, basis=tools.basis)
                began = next(loop).seconds
                *_, tenth, _ = loop
                found[name][str(count)].append((tenth.seconds - began) / 9)
    return {name: {count: float(np.median(each)) for count, each in times.items()} for name, times in found.items()}


def main() -> None:
    """Measure and write the results."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=200)
    several: dict[str, Any] = dict(type=named, nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--learned", **several, help="more learned optimizers")
    parser.add_argument("--transferred", **several, help="ones that were learned on other generators")
    parser.add_argument("--rough", **several, help="learned ones of which a rough place is enough")
    parser.add_argument("--only", nargs="*", help="labels of those compared, for example 'adam tuned'; or names to --tune")
    parser.add_argument("--start", choices=INITS, nargs="*", help="find losses from these alone, and write no results")
    parser.add_argument("--kept", action="store_true", help="measure nothing more: add what is kept to the results")
    parser.add_argument("--runs", type=Path, default=RESULTS / "inversion_losses", help="folder of losses")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--near", help="tune from what was best for another generator")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    if options.only and not (options.start or options.tune):
        parser.error("--only finds losses, and writes no results: say from which --start")
    case = case_of(options)
    generator, tools, name = case.generator, case.tools, case.name
    if options.tune:
        targets = torch.stack([case.held_out[index] for index in VALIDATION])
        tuned(
            generator,
            targets,
            tools,
            RESULTS / f"inversion_{name}_tuning.json",
            settings_of(options.near) if options.near else {},
            options.only or (),
        )
        return
    settings = settings_of(name)
    contenders = contenders_of(generator, tools, settings, options.learned, options.transferred)
    rough = {} if options.long else rough_ones(settings, options.rough)
    if options.only:
        contenders, rough = ({label: each[label] for label in each if label in options.only} for each in (contenders, rough))
    count, num_steps = (16, 1000) if options.long and not options.full else (options.images, 1000 if options.long else 100)
    targets = untouched(case.held_out, count)
    marks = [*MARKS, 300, 1000] if options.long else MARKS
    kind = f"{'long_' if options.long else ''}{name}"
    starts = options.start or (INITS if tools.encoder is not None else INITS[:2])
    losses: dict[str, dict[str, Tensor]] = {start: {} for start in starts}
    for start in starts:
        for label, contender in {**contenders, **rough}.items():
            few = label in rough and not options.full
            chosen = targets[:FEW] if few else targets
            key = key_of(contender, len(chosen), start, tools, num_steps)
            file = options.runs / kind / f"{start}-{label.replace(' ', '-')}-{key}.npy"
            if not file.exists():
                if options.kept:
                    continue
                factory = factory_of(contender, tools)
                found = curves(generator, chosen, factory, start, tools, num_steps=num_steps, batch=together(contender))
                file.parent.mkdir(parents=True, exist_ok=True)
                with replacing(file) as beside, beside.open("wb") as whole:
                    np.save(whole, found.numpy())
            losses[start][label] = torch.from_numpy(np.load(file)).float()
            print(start, label, [f"{value:.5f}" for value in medians(losses[start][label])[list(marks)].tolist()], flush=True)
    if options.start:
        return
    result: dict[str, Any] = dict(model=options.model, images=count, steps=num_steps, settings=settings)
    result |= dict(processor=processor(), threads=torch.get_num_threads())
    file = RESULTS / f"inversion_{kind}.json"
    before: dict[str, Any] = json.loads(file.read_text()) if options.kept and file.exists() else {}
    if before:
        result |= {name: before[name] for name in ("processor", "threads", "seconds a step")}
    else:
        factories = {label: factory_of(contender, tools) for label, contender in contenders.items()}
        result["seconds a step"] = seconds_a_step(generator, targets, factories, tools)
    seconds = {label: each["16"] for label, each in result["seconds a step"].items()}
    result |= {
        start: before.get(start, {}) | compared(each, marks, seconds) for start, each in losses.items() if "adam tuned" in each
    }
    file.write_text(json.dumps(result, indent=1) + "\n")


def contenders_of(
    generator: Generator,
    tools: Tools,
    settings: Mapping[str, dict[str, Any]],
    learned: Sequence[tuple[str, str]] = (),
    transferred: Sequence[tuple[str, str]] = (),
) -> dict[str, Contender]:
    """The optimizers that are compared in full; ``learned`` and ``transferred`` are names and files."""
    found = {f"{name} .01": Contender(name, OPTIMIZERS[name].fixed) for name in ("sgd", "adam")}
    found |= {f"{name} tuned": Contender(name, settings[name]) for name in TUNED if name in settings}
    networks: dict[str, Network] = dict(learned=tools.learned) if tools.learned is not None else {}
    networks |= {label: learned_optimizer.load(path) for label, path in learned}
    for label, path in transferred:
        network = learned_optimizer.load(path)
        assert isinstance(network, Loom) and tools.basis is not None
        networks[label] = learned_optimizer.transferred(network, generator, tools.basis)
    return found | {label: Contender(network=network) for label, network in networks.items()}


def rough_ones(settings: Mapping[str, dict[str, Any]], learned: Sequence[tuple[str, str]] = ()) -> dict[str, Contender]:
    """The other optimizers of torch, as they are and tuned coarsely, and learned ones, names and files."""
    found = {}
    for name in (name for name in COARSE if name in settings):
        found[f"{name} fixed"] = Contender(name, OPTIMIZERS[name].fixed)
        found[f"{name} tuned"] = Contender(name, settings[name])
    return found | {label: Contender(network=learned_optimizer.load(path)) for label, path in learned}


def named(text: str) -> tuple[str, str]:
    """NAME=FILE -> its name and its file."""
    label, _, path = text.partition("=")
    return label, path


def tuned(
    generator: Generator, targets: Tensor, tools: Tools, file: Path, near: Mapping[str, dict[str, Any]], only: Sequence[str]
) -> None:
    """Write the best settings of each optimizer, by the mean of log losses after 100 steps from the mean w; go on with a file.

    ``only`` names some of them. What was tried before is not tried again.
    """
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in only or near or (*TUNED, *COARSE):
        rng, trials = RandomState(0), list[dict[str, Any]](found.get(name, {}).get("trials", []))
        count = TRIALS if name in TUNED else TRIALS // 5
        tried = [near[name] | dict(lr=factor * near[name]["lr"]) for factor in (0.5, 1, 2)] if near else None
        known = [trial["settings"] for trial in trials]
        for settings in tried or [drawn(name, rng) for _ in range(count)]:
            if json.loads(json.dumps(settings)) in known:
                continue
            contender = Contender(name, settings)
            losses = curves(generator, targets, factory_of(contender, tools), "mean", tools, batch=together(contender))
            score = losses[-1].clamp(min=1e-8).nan_to_num(1e3).log10().mean().item()
            trials.append(dict(settings=settings, score=round(score, 4)))
            print(name, trials[-1], flush=True)
            found[name] = min(trials, key=lambda trial: trial["score"]) | dict(trials=trials)
            file.write_text(json.dumps(found, indent=1) + "\n")


def together(contender: Contender) -> int:
    """Images that an optimizer takes at a time."""
    return 1 if contender.name and OPTIMIZERS[contender.name].alone else 16


def compared(losses: Mapping[str, Tensor], marks: Any, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Of each contender its median losses at the marks, and the steps to what others have at the end. With the seconds of a step,
    which have the optimizer's own share in them, also the median loss in a share of the time that tuned Adam takes, and how many
    times less time than that the median image needs for what tuned Adam comes to."""
    best = losses["adam tuned"]
    found: dict[str, Any] = {}
    for label, each in losses.items():
        count = each.shape[1]
        reaches = {goal: reached(each, losses[goal][-1, :count]) for goal in GOALS if goal in losses}
        middle = medians(each)
        here: dict[str, Any] = dict(
            images=count,
            losses={str(mark): float(f"{middle[mark]:.5g}") for mark in marks},
            curve=[float(f"{value:.4g}") for value in middle],
            to={goal: told(steps) for goal, steps in reaches.items()},
            lower_than_tuned={str(mark): round(float((each[mark] < best[mark, :count]).float().mean()), 4) for mark in marks},
            worst=float(each[-1].max()),
        )
        if label != "adam tuned":
            here["p"] = float(wilcoxon(each[-1].log().numpy(), best[-1, :count].log().numpy()).pvalue)
        if label in seconds:
            whole = (len(best) - 1) * seconds["adam tuned"]
            afforded = {share: min(len(each) - 1, int(share * whole / seconds[label] + 1e-6)) for share in SHARES}
            here["in_share_of_seconds"] = {str(share): float(f"{middle[step]:.5g}") for share, step in afforded.items()}
            needed = float(np.median(reaches["adam tuned"])) * seconds[label]
            here["times_fewer_seconds"] = round(whole / needed, 2) if 0 < needed < math.inf else None
        found[label] = here
    return found


if __name__ == "__main__":
    main()
