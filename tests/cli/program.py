"""The program, run in this process."""

import pytest

from styleloom.cli import main


def run(*arguments: str) -> int:
    """The program's exit status."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)
