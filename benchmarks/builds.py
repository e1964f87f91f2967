"""Two checkouts of StyleLoom side by side: are their outputs the same to the bit, and how fast is each?

    git worktree add ../before e2f7199
    python -m benchmarks.builds identical --other ../before
    python -m benchmarks.builds speed --other ../before --photos folder/ --video video.mp4 --runs 5
    python -m benchmarks.builds passes --other ../before --photos folder/ --runs 5

``identical`` runs twenty commands with each and compares every file that they write. ``speed`` runs three commands in turn,
first one checkout, then the other, and takes medians: a folder in one style, a video that is steadied, and the first picture.
The caches of drawings are warm in both. Each command is a process of its own, as a user starts it. ``passes`` times
``ghiasi.stylize`` within such processes, with the style embedded beforehand, and takes their peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from styleloom.data import images
from styleloom.data.bundled import bundled

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "builds.json"
DRAFT = "--preset draft --size 96 --steps 3 --first-steps 3"
COMMANDS = {
    "gatys": f"stylize cat.png swirls -o out.png {DRAFT}",
    "gatys, colors matched": f"stylize cat.png a.png -o out.png {DRAFT} --keep-color matching",
    "ghiasi": "stylize cat.png a.png -o out.png --method ghiasi",
    "ghiasi, strength": "stylize cat.png a.png -o out.png --method ghiasi --alpha 0.5",
    "ghiasi, colors kept": "stylize cat.png a.png -o out.png --method ghiasi --keep-color luminance",
    "ghiasi, a folder": "stylize photos a.png -o out --method ghiasi",
    "adain": "stylize cat.png a.png -o out.png --method adain",
    "adain, colors matched": "stylize cat.png a.png -o out.png --method adain --keep-color matching",
    "dumoulin": "stylize cat.png wave -o out.png --method dumoulin",
    "johnson": "stylize cat.png johnson-mosaic -o out.png --method johnson",
    "a mask": "stylize cat.png a.png -o out.png --method ghiasi --mask mask.png",
    "upscale": "upscale small.png -o out.png",
    "generate": "generate toonfaces-64 --seeds 0-3 -o out",
    "mix": "mix toonfaces-64 --rows 2,5 --cols 1,3 -o out.png",
    "invert": "invert toonfaces-64 face.png -o out --num-steps 3",
    "edit": "edit toonfaces-64 7 -o out.png --direction smile=2",
    "inpaint": "inpaint toonfaces-64 face.png -o out.png --mask box:20,20,40,40 --num-steps 3 --align center",
    "translate": "translate colorize-portrait face.png -o out.png",
    "data styles": "data styles --size 64 -o out",
    "train johnson": "train johnson photos --style a.png --out out --num-steps 2 --size 64 --width 4 --batch 2 --device cpu",
}


def program(checkout: Path, command: list[str], folder: Path) -> float:
    """Seconds that a command takes with a checkout, as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "STYLELOOM_CACHE": str(folder.parent / "cache")}
    mark = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "styleloom", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=1800
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command)}: {done.stderr[-500:]}")
    return time.perf_counter() - mark


def prepared(folder: Path) -> None:
    """Small inputs of the commands."""
    folder.mkdir()
    for name, side in (("cat", 160), ("astronaut", 144)):
        images.write(images.resize_to_fit(bundled(name), side), folder / f"{name}.png")
    images.write(images.resize_to_fit(bundled("coffee"), 48), folder / "small.png")
    images.write(bundled("astronaut")[..., :220, 120:340], folder / "face.png")
    for name, style in (("a", "coffee"), ("b", "rocket")):
        images.write(images.resize_to_fit(bundled(style), 128), folder / f"{name}.png")
    mask = bundled("cat")[..., :1, :1].expand(1, 3, *images.fitted_size(bundled("cat"), 160)).clone().zero_()
    mask[..., 20:60] = 1
    images.write(mask, folder / "mask.png")
    (folder / "photos").mkdir()
    for name in ("cat", "rocket", "coffee"):
        images.write(images.resize_to_fit(bundled(name), 120), folder / "photos" / f"{name}.png")


def digests(folder: Path) -> dict[str, str]:
    """Of each file that a command wrote, a digest of its tensors or pixels."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".png":
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(images.read(path).numpy().tobytes()).hexdigest()[:16]
        elif path.suffix == ".safetensors" and path.name != "state.safetensors":
            from safetensors.torch import load_file

            whole = hashlib.sha256()
            for name, tensor in sorted(load_file(path).items()):
                whole.update(name.encode() + tensor.numpy().tobytes())
            found[path.relative_to(folder).as_posix()] = whole.hexdigest()[:16]
    return found


def identical(other: Path, only: str) -> dict[str, Any]:
    """Run every command, or ``only`` one, with both checkouts and compare what they write."""
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as base:
        for number, (name, command) in enumerate(COMMANDS.items()):
            if only not in ("", name):
                continue
            written = []
            for label, checkout in (("this", ROOT), ("other", other)):
                folder = Path(base) / f"{number}-{label}"
                prepared(folder)
                before = digests(folder)
                program(checkout, command.split(), folder)
                written.append({key: value for key, value in digests(folder).items() if key not in before})
            same = bool(written[0]) and written[0] == written[1]
            report[name] = dict(command=command, files=len(written[0]), identical=same)
            print("same     " if same else "DIFFERENT", name, "" if same else written, flush=True)
    return report


def speed(other: Path, photos: Path, video: Path, runs: int, only: str) -> dict[str, Any]:
    """Medians of seconds, the two checkouts in turn."""
    count = sum(1 for _ in photos.iterdir())
    kinds = {
        f"folder of {count} photographs": f"stylize {photos.resolve()} swirls -o out --method ghiasi --overwrite",
        "video, steadied": f"stylize {video.resolve()} swirls -o out.mp4 --method ghiasi --overwrite",
        "first picture": "stylize cat.png swirls -o out.png --method ghiasi --overwrite",
    }
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "work"
        prepared(folder)
        for name, command in kinds.items():
            if only not in name:
                continue
            seconds: dict[str, list[float]] = {"this": [], "other": []}
            for run in range(runs + 1):
                for label, checkout in (("this", ROOT), ("other", other)):
                    taken = program(checkout, command.split(), folder)
                    if run:  # the first one warms caches
                        seconds[label].append(round(taken, 3))
            medians = {label: statistics.median(each) for label, each in seconds.items()}
            report[name] = dict(seconds=seconds, medians=medians, ratio=round(medians["other"] / medians["this"], 2))
            print(name, report[name], flush=True)
    return report


PASSES = """
import json, resource, statistics, sys, time
import styleloom as sl
from styleloom.papers import ghiasi
from styleloom.papers.ghiasi import AnyStyle
try:
    from styleloom.core.memory import keep_memory
    keep_memory()  # as the program does
except ImportError:
    pass
photograph, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
image = sl.resize(sl.read(photograph), (height, width))
model, style = ghiasi.load(), sl.read(sys.argv[4])
embedding = model.embed(sl.resize_to_fit(style, 384))
AnyStyle.embed = lambda self, image: embedding
seconds = []
for _ in range(6):
    mark = time.perf_counter()
    ghiasi.stylize(image, style, model=model)
    seconds.append(time.perf_counter() - mark)
print(json.dumps([statistics.median(seconds[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def passes(other: Path, photos: Path, runs: int) -> dict[str, Any]:
    """Medians of the seconds of a pass and of peak memory in MiB, the two checkouts in turn."""
    report: dict[str, Any] = {}
    photograph = sorted(photos.iterdir())[0].resolve()
    with tempfile.TemporaryDirectory() as base:
        prepared(folder := Path(base) / "work")
        for height, width in ((512, 512), (2000, 3000)):
            found: dict[str, list[Any]] = {"this": [], "other": []}
            for _ in range(runs):
                for label, checkout in (("this", ROOT), ("other", other)):
                    command = [sys.executable, "-c", PASSES, str(photograph), str(height), str(width), "a.png"]
                    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
                    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
                    found[label].append(json.loads(done.stdout))
            medians = {
                label: dict(
                    seconds=round(statistics.median(row[0] for row in rows), 4),
                    mib=round(statistics.median(row[1] for row in rows)),
                )
                for label, rows in found.items()
            }
            name = f"one pass, {width} x {height}"
            report[name] = medians | dict(ratio=round(medians["other"]["seconds"] / medians["this"]["seconds"], 2))
            print(name, report[name], flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("identical", "speed", "passes"))
    parser.add_argument("--other", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--only", default="", help="the one command to run, by its name; of ``speed`` by a part of it")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    if given.what == "identical":
        report = identical(given.other.resolve(), given.only)
    elif given.what == "passes":
        report = passes(given.other.resolve(), given.photos, given.runs)
    else:
        report = speed(given.other.resolve(), given.photos, given.video, given.runs, given.only)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {given.what: kept.get(given.what, {}) | report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
