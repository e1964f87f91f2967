"""The examples run, and do what they say; so do the chapters of the documentation."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import styleloom as sl

ROOT = Path(__file__).parents[1]


def example(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_is_painted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    sl.write(sl.draw("wave", 64), tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    example("paint_a_folder").main(str(tmp_path / "in"), "swirls", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert (tmp_path / "out" / "a.png").exists() and "b.png failed:" in said


def test_a_painter_paints(tmp_path: Path) -> None:
    sl.write(sl.draw("wave", 64), tmp_path / "a.png")
    example("my_own_painter").main("swirls", str(tmp_path / "a.png"))
    wanted = sl.stylize(sl.read(tmp_path / "a.png"), "swirls", "ghiasi", alpha=0.9)
    assert float((sl.read(tmp_path / "a-painted.png") - wanted).abs().max()) < 1 / 255


def test_a_face_smiles(tmp_path: Path) -> None:
    sl.write(sl.bundled("astronaut")[..., :256, 96:352], tmp_path / "a.png")
    example("edit_a_face").main(str(tmp_path / "a.png"), str(tmp_path / "b.png"), steps=3)
    assert float((sl.read(tmp_path / "b.png") - sl.read(tmp_path / "a.png")).abs().max()) > 0.03


def test_optimizers_are_compared(tmp_path: Path) -> None:
    sl.write(
        next(sl.load("toonfaces-64", sl.Generator).render(sl.load("toonfaces-64", sl.Generator).map([5]))), tmp_path / "a.png"
    )
    reached = example("my_own_optimizer").main(str(tmp_path / "a.png"), steps=8)
    assert reached["learned"] < reached["adam"] and set(reached) == {"learned", "adam", "RAdam"}


@pytest.mark.parametrize("chapter", sorted((ROOT / "docs" / "learn").glob("plot_*.py")), ids=lambda path: path.stem)
def test_a_chapter_runs(chapter: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'styleloom[plot]'")
    environment = os.environ | {"MPLBACKEND": "Agg"}
    ran = subprocess.run([sys.executable, str(chapter)], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ran.returncode == 0, ran.stderr
