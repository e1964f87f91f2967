"""Smoke test of a wheel: installed alone into an empty environment, away from any checkout, a verb of each family is run.

python recipes/smoke.py dist/ [options of pip]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LARGEST = 100 * 10**6  # bytes of the wheel
VERBS = (
    "--version",
    "zoo",
    "data styles --size 64 --out styles",
    "stylize coffee swirls --method ghiasi -o painted.png",
    "stylize coffee wave --preset draft --first-steps 2 --steps 1 --first-size 48 --size 64 -o gatys.png",
    "upscale styles -o large",
    "translate edges2portrait astronaut -o portrait.png",
    "generate toonfaces-64 --seeds 0-3 -o faces",
    "invert toonfaces-64 faces/seed0000.png --num-steps 2 -o found",
    "edit portraits-128 1 --direction smile=2 -o smile.png",
    "cross toonfaces-64 1 --style 2 -o crossed.png",
    "inpaint toonfaces-64 faces/seed0000.png --mask box:10,10,30,30 --num-steps 2 -o filled.png",
    "compare faces faces",
    "train stylegan2 faces --resolution 16 --kimg 0.02 --out run",
    "directions show toonfaces-64",
)
TORCH = ("torch==2.13.0",)


def main(folder: Path, options: list[str]) -> None:
    """Build an environment, install, run."""
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    assert wheel.stat().st_size < LARGEST, wheel.stat().st_size
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB; {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        venv.create(home / "venv", with_pip=True)
        pip = [str(home / "venv" / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *options]
        subprocess.run([*pip, *TORCH, str(wheel.resolve())], check=True, cwd=home)
        for words in VERBS:
            ran = subprocess.run(
                [str(home / "venv" / "bin" / "styleloom"), *words.split()], capture_output=True, text=True, cwd=home
            )
            print("ok  " if ran.returncode == 0 else "FAIL", words, flush=True)
            assert ran.returncode == 0, ran.stderr
        left = subprocess.run([*pip[:3], "list"], capture_output=True, text=True, cwd=home, check=True).stdout
        assert "gradio" not in left and "ray" not in left.split()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
