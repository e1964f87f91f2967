"""The ``styleloom`` program: one file a verb; each parses, calls the library and prints."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from styleloom import __version__
from styleloom.core.errors import StyleLoomError, StyleLoomWarning
from styleloom.core.memory import keep_memory
from styleloom.core.openmp import wait_briefly

from . import status as state
from .given import OUT, configured, piped
from .options import command
from .status import SOME_FAILED, SomeFailed, first_process, with_options

VERBS = {
    "demo": "demo",
    "stylize": "stylize",
    "upscale": "upscale",
    "translate": "translate",
    "generate": "generate",
    "mix": "generate",
    "align": "edit",
    "invert": "invert",
    "edit": "edit",
    "morph": "edit",
    "express": "edit",
    "cross": "edit",
    "inpaint": "edit",
    "evaluate": "evaluate",
    "compare": "compare",
    "convert": "convert",
    "average": "average",
    "export": "export",
    "zoo": "zoo",
    "push": "push",
    "serve": "serve",
    "studio": "serve",
}
"""The file of each verb. It is imported when the verb is asked for, so that help does not load torch."""
GROUPS = {
    "directions": (
        "What a generator's images can be edited along.",
        dict.fromkeys(("fit", "show", "sheet", "measure"), "directions"),
    ),
    "data": ("Images to work with.", dict.fromkeys(("prepare", "inspect", "toonfaces", "styles"), "data")),
    "train": (
        "Train networks on images of your own.",
        dict.fromkeys(
            ("johnson", "dumoulin", "ghiasi", "adain", "upscaler", "pix2pix", "cyclegan", "pix2pixhd"),
            "train",
        )
        | dict.fromkeys(
            ("progan", "stylegan", "stylegan2", "encoder", "eigenbasis", "learned_optimizer"),
            "train_generators",
        ),
    ),
}


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


def _described(name: str, file: str) -> Callable[[], None]:
    """A placeholder for a verb in lists: its name and the first line of its help, read off its file."""

    def verb() -> None: ...

    verb.__name__, verb.__doc__ = name, (_docs(file)[name] or "").split("\n\n")[0]
    return verb


@functools.cache
def _docs(file: str) -> dict[str, str | None]:
    """Docstrings of the functions of a verb's file."""
    tree = ast.parse((Path(__file__).parent / f"{file}.py").read_text(encoding="utf-8"))
    return {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def _program(arguments: list[str]) -> typer.Typer:
    app = typer.Typer(name="styleloom", no_args_is_help=True, rich_markup_mode="rich", add_completion=False)

    @app.callback()
    def _root(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
    ) -> None:
        """Image style, from Gatys to StyleGAN inversion."""

    words = [word for word in arguments if not word.startswith("-")]

    def add(to: typer.Typer, verbs: dict[str, str], asked: str) -> None:
        for name, file in verbs.items():
            if name.replace("_", "-") == asked:
                command(to, getattr(importlib.import_module(f"{__name__}.{file}"), name))
            else:
                command(to, _described(name, file))

    add(app, VERBS, words[0] if words else "")
    for name, (text, verbs) in GROUPS.items():
        group = typer.Typer(no_args_is_help=True, help=text)
        add(group, verbs, words[1] if words[:1] == [name] and len(words) > 1 else "")
        app.add_typer(group, name=name)
    return app


def resumed(arguments: list[str]) -> list[str]:
    """``train --resume --out RUN`` with all that the run was begun with, which its folder holds; other calls as they are.

    Raises:
        StyleLoomError: the folder holds no run.
    """
    if arguments[:1] != ["train"] or "--resume" not in arguments or "--help" in arguments:
        return arguments
    methods = [name.replace("_", "-") for name in GROUPS["train"][1]]
    method, given = (arguments[1:2], arguments[2:]) if arguments[1:2] and arguments[1] in methods else ([], arguments[1:])
    outs = [value for word, value in pairwise(given) if word in OUT]
    if not outs or (given and not given[0].startswith("-")):
        return arguments  # the data are named, so that this is the whole command
    file = Path(outs[0]) / state.COMMAND
    if not file.is_file():
        raise StyleLoomError(f"{file.parent} holds no run to resume; name the method and the images to begin one")
    begun: list[str] = json.loads(file.read_text())
    if method and begun[1:2] != method:
        raise StyleLoomError(f"{file.parent} holds a run of {begun[1]}, not of {method[0]}; use styleloom train {begun[1]}")
    return [*begun, *given]


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken: what was begun is kept to go on with."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_as_notes(quiet: bool) -> Iterator[None]:
    """Print the warnings of StyleLoom in a line each."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, StyleLoomWarning):
            before(message, category, *place, **more)
        elif not quiet:
            print("note:", message, file=sys.stderr)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def main(arguments: list[str] | None = None) -> None:
    """Run the program.

    Exit status 0; 2 with one line on stderr for a mistake, or where the only input cannot be done; 3 where some or all of several
    cannot; 130 when interrupted.
    """
    keep_memory()
    wait_briefly()
    arguments = [str(each) for each in (sys.argv[1:] if arguments is None else arguments)]
    json_asked = "--json" in arguments
    try:
        with _sigterm_interrupts(), _warnings_as_notes("--quiet" in arguments), piped(resumed(arguments)) as words:
            program = typer.main.get_command(_program(words))
            state.arguments = configured(words, program)
            status = program.main(state.arguments, prog_name="styleloom", standalone_mode=False)
    except SomeFailed:
        sys.exit(SOME_FAILED)
    except (StyleLoomError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        message = with_options(message)
        if first_process():
            print("error:", message, file=sys.stderr)
            state.log(f"error: {message}")
            if json_asked:
                print(json.dumps(dict(event="error", reason=message)))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Abort:
        sys.exit(130)
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
            raise
        print(
            "error: out of memory; ask for smaller or fewer images",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
