"""Several processes on one folder: an item belongs to one of them, and what was left behind is taken up."""

import os
import socket
from pathlib import Path

import pytest

from styleloom.jobs.claims import FOLDER, Claims
from styleloom.jobs.events import Item

ITEMS = [Item(name, (Path(f"{name}.png"),)) for name in "abc"]


def test_two_processes_share_the_items(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        first = iter(one.taking(ITEMS, lambda item: False))
        second = iter(two.taking(ITEMS, lambda item: False))
        assert next(first).name == "a"
        assert [next(second).name, next(first).name] == ["b", "c"]
        assert list(second) == [] and two.others == ["a", "c"]
        one.release("a")
        assert two.take(ITEMS[0])
    assert not (tmp_path / FOLDER).exists()


def test_what_another_has_finished_is_passed_over(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        taken = list(claims.taking(ITEMS, lambda item: item.name == "b"))
    assert [item.name for item in taken] == ["a", "c"] and claims.others == ["b"]


def test_a_claim_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    with Claims(tmp_path) as claims:
        assert claims.take(ITEMS[0])
        (path,) = (tmp_path / FOLDER).iterdir()
        path.write_text(f"{socket.gethostname()} {os.getpid()}")
        with Claims(tmp_path) as other:
            assert not other.take(ITEMS[0])
            path.write_text(f"{socket.gethostname()} {gone}")
            assert other.take(ITEMS[0])


def test_a_single_output_is_not_claimed(tmp_path: Path) -> None:
    with Claims(None) as one, Claims(None) as two:
        assert one.take(ITEMS[0]) and two.take(ITEMS[0])


def test_items_may_be_listed_twice(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        items = claims.taking(ITEMS, lambda item: False)
        assert list(items) == list(items) == ITEMS


def test_a_folder_that_another_process_removes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.open, [True]

    def opened(path: Path, *flags: int) -> int:
        if left and left.pop():
            path.parent.rmdir()
        return real(path, *flags)

    monkeypatch.setattr(os, "open", opened)
    with Claims(tmp_path) as claims:
        assert claims.take(ITEMS[0])
