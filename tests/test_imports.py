"""Imports run down the rooms only, and a paper knows only papers published before it."""

import ast
from pathlib import Path

import pytest

import styleloom

ROOT = Path(styleloom.__file__).parent
TIERS = {
    name: tier
    for tier, names in enumerate(
        (
            ("core",),
            ("drawn",),
            ("data",),
            ("nn",),
            ("metrics",),
            ("loops",),
            ("papers",),
            ("converters",),
            ("models", "onnx", "hub"),
            ("tasks",),
            ("jobs",),
            ("demo",),
            ("cluster",),
            ("service",),
            ("studio",),
            ("cli",),
            ("zoo",),
        )
    )
    for name in names
}
YEARS = {
    "gatys": 2016,
    "johnson": 2016,
    "super_resolution": 2016,
    "dumoulin": 2017,
    "ghiasi": 2017,
    "adain": 2017,
    "pix2pix": 2017,
    "cyclegan": 2017,
    "pix2pixhd": 2018,
    "progan": 2018,
    "stylegan": 2019,
    "image2stylegan": 2019,
    "stylegan2": 2020,
    "ada": 2020,
    "indomain": 2020,
    "local_edit": 2020,
    "directions": 2021,
    "pti": 2022,
    "learned_optimizer": 2026,
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in TIERS)


def imported(path: Path) -> set[str]:
    """Modules of styleloom that a file imports anywhere, as dotted names below the package."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("styleloom.") for name in found if name.startswith("styleloom.")}


def tier(parts: tuple[str, ...]) -> int:
    return TIERS[parts[0]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_direction(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts
    for name in imported(path):
        parts = tuple(name.split("."))
        if parts[0] not in TIERS:
            continue
        assert tier(parts) <= tier(own), f"{'.'.join(own)} imports {name}, which lies above it"
        if own[0] == parts[0] == "papers" and len(parts) > 1 and parts[1] in YEARS and parts[1] != own[1]:
            assert YEARS[parts[1]] <= YEARS[own[1]], f"{own[1]} imports {parts[1]}, which is younger"


def test_every_paper_has_a_year() -> None:
    papers = ROOT / "papers"
    found = {path.stem for path in papers.glob("*.py")} | {path.parent.name for path in papers.glob("*/__init__.py")}
    assert found - {"__init__"} == set(YEARS)


def test_only_files_of_images_use_pillow_and_only_pth_unpickles() -> None:
    for path in ROOT.rglob("*.py"):
        names = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        names |= {
            alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for alias in node.names
        }
        relative = str(path.relative_to(ROOT))
        if any(name == "PIL" or name.startswith("PIL.") for name in names):
            assert relative in ("data/images.py", "data/output.py")
        if "pickle" in names or "torch.load(" in path.read_text():
            assert relative in ("core/pth.py", "core/pickles.py"), path


def test_files_have_at_most_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert not {name: length for name, length in lengths.items() if length > 400}
