"""Long functions are divided by headings."""

import ast
import itertools
from pathlib import Path

import styleloom

ROOT = Path(styleloom.__file__).parent
LONG, STRETCH = 60, 30  # code lines of a function that wants headings, and of the longest stretch without one


def code_lines(function: ast.FunctionDef, lines: list[str]) -> list[int]:
    """Lines of a function that are neither blank, comments nor part of a docstring."""
    docstrings: set[int] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstrings |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    whole = range(function.lineno, (function.end_lineno or 0) + 1)
    return [n for n in whole if n not in docstrings and lines[n - 1].strip() and not lines[n - 1].strip().startswith("#")]


def test_long_functions_have_headings() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        lines = path.read_text().splitlines()
        for function in ast.walk(ast.parse("\n".join(lines))):
            if not isinstance(function, ast.FunctionDef) or len(code := code_lines(function, lines)) <= LONG:
                continue
            body = function.body[ast.get_docstring(function) is not None].lineno
            headings = [n for n in range(body, code[-1]) if lines[n - 1].strip().startswith("#")]
            ends = [body, *headings, code[-1] + 1]
            stretches = [sum(first <= n < last for n in code) for first, last in itertools.pairwise(ends)]
            assert max(stretches) <= STRETCH, f"{path.name}, {function.name}: {max(stretches)} lines without a heading"
