"""The program, run in this process."""

import json
from typing import Any

import pytest

from styleloom.cli import main


def run(*arguments: str) -> int:
    """The program's exit status."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the last line of ``--json`` says, the values of a job's last event among it."""
    *events, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert not events or (events[0]["event"], last["event"]) == ("started", "finished")
    return last | last.get("values", {})
