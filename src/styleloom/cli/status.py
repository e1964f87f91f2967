"""Exit of the program, and the one of several processes that speaks."""

from __future__ import annotations

import json
import os
import re
import time
from itertools import pairwise
from pathlib import Path

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing

SOME_FAILED = 3  # exit status where some or all of several items could not be done


class SomeFailed(Exception):
    """Some of several items could not be done, which was said already."""


def with_options(message: str) -> str:
    """A message in which the names of parameters, in backquotes as the library writes them, are options."""
    return re.sub("`([a-z][a-z_]*)`", lambda match: "--" + match[1].replace("_", "-"), " ".join(message.split()))


def first_process() -> bool:
    """Whether this is the one of several processes on a machine that speaks for all."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


log_path: Path | None = None
"""The file that lines of text are added to."""


def log_to(path: Path | None) -> None:
    """Set the file that lines of text are added to.

    Raises:
        StyleLoomError: it cannot be written.
    """
    global log_path
    log_path = path
    if path is not None:
        check_parent(path)
        log(" ".join(["styleloom", *arguments]))


def log(text: str) -> None:
    """Add a line to the log file, where there is one.

    Raises:
        StyleLoomError: it cannot be written.
    """
    if log_path is None:
        return
    try:
        with log_path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    except OSError as error:
        raise StyleLoomError(f"cannot write {log_path}: {error.strerror}") from error


COMMAND = "command.json"  # in the folder of a run
NAMING = (
    "--recipe", "--cfg", "--derive", "--layout", "--license", "--precision", "--device",
    "--network", "--norm", "--optimizer", "--decay", "--schedule", "--gan-mode", "--direction",
    "--upsample", "--pooling", "--padding", "--starts",
)  # fmt: skip
"""Options of trainings whose values are names, though a folder may be called like one."""


def note_command(out: Path) -> None:
    """Write down in a run's folder what the program was called with, so that ``--resume --out`` is enough to go on."""
    if arguments[:1] == ["train"]:
        words = [word for word in arguments if word != "--resume"]
        whole = [*words[:2], *(_lasting(word, before) for before, word in pairwise(words[1:]))]
        with replacing(out / COMMAND) as temporary:
            temporary.write_text(json.dumps(whole, indent=1) + "\n")


def _lasting(word: str, before: str) -> str:
    """A word of a command after another one; a path as it is called from any folder."""
    is_path = not word.startswith("-") and before not in NAMING and Path(word).exists()
    return str(Path(word).absolute()) if is_path else word


arguments: list[str] = []
"""Arguments of the program, for a run to note in its folder."""
