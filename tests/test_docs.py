"""README and the documentation: code that runs, links that lead somewhere, a sentence for each file."""

import ast
import re
from pathlib import Path

import pytest
import torch

import styleloom
import styleloom as sl

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "wave"):
        sl.write(torch.rand(1, 3, 40, 56), f"{name}.jpg")
    for preset in ("best", "draft", "quick"):
        small = sl.gatys.configure(preset, first_size=64, first_steps=1, steps=1)
        monkeypatch.setitem(sl.gatys.PRESETS, preset, small)
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S))
    exec(compile(code.replace("size=512", "size=64").replace("size=256", "size=64"), "README.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"cat.jpg", "wave.jpg", "painted.png", "painted"}
    assert "'event': 'finished'" in capsys.readouterr().out


def test_readmes_python_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What README's code calls has the types that it relies on, by the library's own annotations."""
    mypy = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install 'styleloom[dev]'")
    if not (ROOT / ".mypy_cache").is_dir():
        pytest.skip("mypy has not run here yet, and takes minutes the first time")
    (tmp_path / "readme.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)))
    monkeypatch.chdir(ROOT)
    said, errors, status = mypy.run(["--config-file", "pyproject.toml", str(tmp_path / "readme.py")])
    assert status == 0, said + errors


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_the_overview_names_each_file() -> None:
    text = (ROOT / "docs" / "overview.md").read_text()
    root = Path(styleloom.__file__).parent
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        if path.name.startswith("__") or name.startswith(("cli/", "data/painterly/")):
            continue
        assert f"`{name}`" in text or f"`{path.name}`" in text, name
    for room, name in re.findall(r"`((?:\w+/)+)(\w+\.py)`", text):
        assert room == "tests/" or name == "mine.py" or (root / room / name).exists(), room + name


def test_no_docstring_opens_with_a_question_word() -> None:
    for path in Path(styleloom.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (text := ast.get_docstring(node)):
                assert text.split()[0] not in ("What", "Of", "Where", "Those", "How"), f"{path}: {text.splitlines()[0]}"
