"""Arguments before they are parsed: options from a file, images from standard input, and an image to standard output."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from styleloom.core.errors import StyleLoomError

from .options import ALIASES

STANDARD = "-"
OUT = ("--out", *ALIASES["out"])
CONFIG = "--config"
HEIC_BRANDS = (b"heic", b"heix", b"mif1", b"msf1")


def configured(arguments: Sequence[str], program: Any) -> list[str]:
    """Arguments with the options of a file, ``--config FILE``, added; options of the command line win.

    Args:
        arguments: arguments of the program.
        program: its click command, of which the verb's options are read.

    Raises:
        StyleLoomError: no such file, it is no table of options, or it names an option that the verb does not have.
    """
    words, file = _without_config(arguments)
    if file is None:
        return words
    verb = program
    for word in words:
        if word not in getattr(verb, "commands", {}):
            break
        verb = verb.commands[word]
    parameters = {parameter.name: parameter for parameter in verb.params}
    named = {word.partition("=")[0] for word in words}
    added: list[str] = []
    for key, value in _table(file).items():
        name = str(key).replace("-", "_")
        parameter = parameters.get(name)
        if parameter is None or name in ("config", "help"):
            known = ", ".join(each.replace("_", "-") for each in parameters if each != "config")
            raise StyleLoomError(f"{file}: {verb.name} has no option {key!r}; it has {known}")
        if not named & {*parameter.opts, *parameter.secondary_opts}:
            added += _words(parameter, value, file)
    return [*words, *added]


def _without_config(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    words: list[str] = []
    file: Path | None = None
    expected = False
    for word in arguments:
        if expected or word.startswith(f"{CONFIG}="):
            file, expected = Path(word.removeprefix(f"{CONFIG}=")), False
        elif word == CONFIG:
            expected = True
        else:
            words.append(word)
    if expected:
        raise StyleLoomError(f"{CONFIG} needs a file, a table of options as YAML or JSON")
    return words, file


def _table(file: Path) -> dict[Any, Any]:
    try:
        table = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise StyleLoomError(f"cannot read {file}: {reason}") from error
    if not isinstance(table, dict):
        raise StyleLoomError(f"{file} holds no table of options; write lines such as method: ghiasi")
    return table


def _words(parameter: Any, value: Any, file: Path) -> list[str]:
    """An option of a file as it stands on a command line."""
    option = parameter.opts[0]
    if value is None:
        return []
    if isinstance(value, dict):
        raise StyleLoomError(f"{file}: {parameter.name} is a table; give a value, or a list of values")
    if isinstance(value, bool):
        off = parameter.secondary_opts[:1]
        return [option] if value else [*off]
    values = [str(each) for each in (value if isinstance(value, list) else [value])]
    if parameter.param_type_name == "argument":
        return values
    values = values if parameter.multiple else [",".join(values)]
    return [f"{option}={each}" if option.startswith("--") else each for each in values]


@contextmanager
def piped(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Arguments in which a temporary file stands for each ``-``: standard input, or after ``-o`` standard output.

    Raises:
        StyleLoomError: nothing is piped in, ``--json`` wants standard output too, or no single image was written.
    """
    if STANDARD not in arguments:
        yield list(arguments)
        return
    words: list[str] = []
    out: Path | None = None
    with tempfile.TemporaryDirectory(prefix="styleloom-") as folder:
        for previous, word in pairwise(["", *arguments]):
            if word != STANDARD:
                words.append(word)
            elif previous in OUT:
                if "--json" in arguments:
                    raise StyleLoomError("--json and -o - both write to standard output; give a file to one of them")
                out = Path(folder) / f"standard-output.{_suffix(arguments)}"
                words.append(str(out))
            else:
                words.append(str(_standard_input(Path(folder))))
        yield words
        if out is not None:
            if not out.is_file():
                raise StyleLoomError("-o - takes a single image, and this command made none; give a path to write to")
            sys.stdout.buffer.write(out.read_bytes())
            sys.stdout.buffer.flush()


def _suffix(arguments: Sequence[str]) -> str:
    """The format of an image for standard output: that of ``--suffix``, or PNG."""
    after = [word for previous, word in pairwise(arguments) if previous == "--suffix"]
    glued = [word.partition("=")[2] for word in arguments if word.startswith("--suffix=")]
    return (after + glued + ["png"])[0]


def _standard_input(folder: Path) -> Path:
    """Standard input as a file, read once."""
    files = list(folder.glob("standard-input*"))
    if files:
        return files[0]
    data = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    if not data:
        raise StyleLoomError("- is an image from standard input, and nothing came; pipe one in, or give a file")
    suffix = ".heic" if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS else ""
    file = folder / f"standard-input{suffix}"
    file.write_bytes(data)
    return file
