"""Pages of the site that are made: one of all commands, one for each model, the public names, and the errors with what to do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import styleloom
from styleloom.cli import GROUPS, VERBS
from styleloom.core.checkpoint import license_of, resolve, zoo_names

ROOT = Path(__file__).parents[1]
WIDTH = 88
TELLING = 3  # words of an error that says something without its names and numbers


def write(folder: Path) -> None:
    """Write all of them into a folder."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    pages = {"commands.md": commands(), "reference.rst": reference(), "errors.md": errors(), "licenses.md": licenses()}
    pages |= {"models/index.md": models(), "launch.md": (ROOT / "recipes" / "cluster.md").read_text(encoding="utf-8")}
    for name in zoo_names():
        pages[f"models/{name}.md"] = resolve(name).with_suffix(".md").read_text(encoding="utf-8")
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # what is unchanged is not built again
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """The help of every command."""
    calls = [[name] for name in VERBS] + [[group, name] for group, (_, verbs) in GROUPS.items() for name in verbs]
    parts = ["# Commands", "", "The help of each, as the program prints it.", ""]
    for words in calls:
        shown = [word.replace("_", "-") for word in words]
        code = "import sys; from styleloom.cli import main; main(sys.argv[1:])"
        environment = {"COLUMNS": str(WIDTH), "TERM": "dumb", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"}
        call = [sys.executable, "-c", code, *shown, "--help"]
        said = subprocess.run(call, capture_output=True, text=True, env=environment, check=True).stdout
        parts += [f"## styleloom {' '.join(shown)}", "", "```text", said.strip("\n"), "```", ""]
    return "\n".join(parts)


def models() -> str:
    """The list of the models that ship."""
    names = sorted(zoo_names())
    rows = [f"| [{name}]({name}.md) | {_first_sentence(resolve(name).with_suffix('.md'))} |" for name in names]
    entries = "\n".join(names)
    table = "\n".join(["| model | |", "|---|---|", *rows])
    intro = "Each ships with its card: data, license, training and measured quality. `styleloom zoo NAME` prints it."
    return f"# Models\n\n{intro}\n\n{table}\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def _first_sentence(card: Path) -> str:
    text = " ".join(card.read_text(encoding="utf-8").split("\n\n")[1].split())
    return re.split(r"(?<=[a-z)`])[.:] ", text)[0].rstrip(".") + "."


def reference() -> str:
    """The public names, by their docstrings."""
    parts = ["Reference", "=========", "", "Images are float tensors [N, 3, H, W] in [0, 1], RGB.", ""]
    for name in styleloom.__all__:
        value = getattr(styleloom, name)
        kind = "class" if isinstance(value, type) else "function" if callable(value) else ""
        if kind:
            parts += [f".. auto{kind}:: styleloom.{name}", ""]
        elif getattr(value, "__name__", "").startswith("styleloom."):
            title = f"styleloom.{name}"
            parts += [title, "-" * len(title), "", f".. automodule:: {value.__name__}", "   :no-members:", ""]
    return "\n".join(parts)


def licenses() -> str:
    """The licenses of the models that ship and of what the package needs."""
    rows = [f"| `{name}` | {license_of(name)} |" for name in sorted(zoo_names())]
    parts = ["# Licenses", "", "StyleLoom's code: Apache-2.0. `make sbom` lists everything as CycloneDX.", "", "## Models", ""]
    parts += [
        "| model | license |",
        "|---|---|",
        *rows,
        "",
        "## What the package needs",
        "",
        "| package | license |",
        "|---|---|",
    ]
    for text in requires("styleloom") or []:
        if "extra ==" in text:
            continue
        name = re.split(r"[<>=!~ \[;]", text)[0]
        told = metadata(name)
        named = told["License-Expression"] or next(
            (each.rpartition(":: ")[2] for each in told.get_all("Classifier") or [] if each.startswith("License")), ""
        )
        parts.append(f"| {name} | {named or (told['License'] or 'see the package').splitlines()[0]} |")
    return "\n".join(parts) + "\n"


ROOMS = dict(
    cli="Commands and options",
    cluster="Ray",
    converters="Files of other projects",
    core="Files, settings and models",
    data="Images, videos and data sets",
    drawn="Drawn styles and faces",
    hub="The hub",
    jobs="Folders and outputs",
    loops="Training",
    metrics="Measuring",
    models="Models",
    nn="Networks and faces",
    onnx="ONNX",
    papers="Methods",
    service="The service",
    studio="The studio",
    tasks="Style, inversion, editing and translation",
)
MEMORY = """## Out of memory

| doing | use |
|---|---|
| `stylize` by gatys | a smaller `--size`; memory grows with its square |
| `stylize` in one pass, `upscale`, `translate` | a smaller `--tile`; there is no seam, and colors change by a few levels |
| `invert` of a folder | a smaller `--batch` |
| `train` | a smaller `--batch`, or `--accumulate 2`, which takes the same steps in halves; `--precision bf16` on a GPU |
| `train eigenbasis`, `invert --make-basis` | `--memory 4` (GiB); it says before it begins what would fit |
| `--engine ray` | fewer `--workers`; each holds its own networks |

## Installation

On Linux, pip takes torch's build for NVIDIA cards, which is ten times as large as the one for CPUs. `make` and
`uv pip install --torch-backend auto .` take the build that fits the machine; so does the command of
[pytorch.org](https://pytorch.org/get-started/locally/) for "CPU", run before pip.

A torchvision that does not fit the installed torch breaks torchmetrics: uninstall it.
"""


def errors() -> str:
    """The errors that the library raises, by the room that they come from."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "src" / "styleloom").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "StyleLoomError" and node.args:
                room = path.relative_to(ROOT / "src" / "styleloom").parts[0].removesuffix(".py")
                text = re.sub(r"\s+", " ", _message(node.args[0])).replace("`", "")
                told = len(re.findall(r"[a-z]{2,}", text)) > TELLING
                if ";" in text and told and text not in found.setdefault(room, []):
                    found[room].append(text)
    parts = [
        "# Errors and what to do",
        "",
        "Each error is one line: what came, what was wanted, and after the semicolon what to do. Search this page for",
        "a few words of yours; names and numbers are dots here.",
        "",
        MEMORY.rstrip(),
    ]
    for room, texts in found.items():
        parts += ["", f"## {ROOMS[room]}", ""] + [f"- `{text}`" for text in sorted(texts, key=str.lower)]
    return "\n".join(parts) + "\n"


def _message(node: ast.expr) -> str:
    """The text of an error, with dots for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_message(each) if isinstance(each, ast.Constant) else "..." for each in node.values)
    if isinstance(node, ast.BinOp):
        return _message(node.left) + _message(node.right)
    return "..."
