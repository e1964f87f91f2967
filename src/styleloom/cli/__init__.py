"""The ``styleloom`` program: one file a verb; each parses, calls the library and prints."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from typer.exceptions import TyperException

from styleloom import __version__
from styleloom.core.errors import StyleLoomError
from styleloom.core.memory import keep_memory

from . import data as data_
from . import train
from .average import average
from .convert import convert
from .demo import demo
from .evaluate import evaluate
from .export import export
from .generate import generate, mix
from .invert import invert
from .options import command
from .report import SOME_FAILED, SomeFailed, first_process
from .stylize import stylize
from .upscale import upscale
from .zoo import zoo


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


def _program() -> typer.Typer:
    app = typer.Typer(name="styleloom", no_args_is_help=True, rich_markup_mode="rich", add_completion=False)

    @app.callback()
    def _root(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
    ) -> None:
        """Image style, from Gatys to StyleGAN inversion."""

    for verb in (demo, stylize, upscale, generate, mix, invert, evaluate, convert, average, export, zoo):
        command(app, verb)
    data = typer.Typer(no_args_is_help=True, help="Pictures to work with.")
    for source in (data_.prepare, data_.inspect, data_.toonfaces, data_.styles):
        command(data, source)
    app.add_typer(data, name="data")
    training = typer.Typer(no_args_is_help=True, help="Train networks on pictures of your own.")
    for method in (
        train.johnson,
        train.dumoulin,
        train.ghiasi,
        train.adain,
        train.upscaler,
        *train.GENERATORS,
        *train.FOR_GENERATORS,
    ):
        command(training, method)
    app.add_typer(training, name="train")
    return app


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


def main(arguments: list[str] | None = None) -> None:
    """Run the program.

    Exit status 0; 2 with one line on stderr for a mistake, or where the only input cannot be done; 3 where some or all of several
    cannot; 130 when interrupted.
    """
    keep_memory()
    json_asked = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        with _sigterm_interrupts():
            status = typer.main.get_command(_program()).main(arguments, prog_name="styleloom", standalone_mode=False)
    except SomeFailed:
        sys.exit(SOME_FAILED)
    except (StyleLoomError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        message = " ".join(message.split())
        if first_process():
            print("error:", message, file=sys.stderr)
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
            "error: out of memory; ask for smaller or fewer pictures",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
