"""The ledger: what is over is told, what dies again and again is given up, and the next run takes over what was finished."""

from pathlib import Path

from styleloom.jobs import Finished, Item, ItemDone, ItemFailed, Job, Outputs, run
from styleloom.jobs.engine import ledger_of
from styleloom.jobs.ledger import ATTEMPTS, Ledger


def test_a_ledger_tells_what_is_over(tmp_path: Path) -> None:
    items = [Item(str(number), (tmp_path / f"{number}.txt",)) for number in range(3)]
    ledger = Ledger(tmp_path / "ledger")
    over, todo = ledger.left(items)
    assert not over and todo == items
    done = ItemDone("0", (str(items[0].targets[0]),), 1.5, dict(size="3 x 4"))
    ledger.note(done)
    ledger.note(ItemFailed("1", "broken"))
    items[2].targets[0].write_text("written, and its worker died")
    over, todo = Ledger(tmp_path / "ledger").left(items)
    assert not todo and over == [done, ItemFailed("1", "broken"), ItemDone("2", (str(items[2].targets[0]),))]
    fresh = Item("3", (tmp_path / "3.txt",))
    for _ in range(ATTEMPTS):
        assert ledger.left([fresh]) == ([], [fresh])
    (failed,) = ledger.left([fresh])[0]
    assert isinstance(failed, ItemFailed) and "died" in failed.reason


def test_the_next_run_takes_over_what_workers_finished(tmp_path: Path) -> None:
    """A driver died: one item is noted, one only written, one was only begun, and one had failed."""
    items = [Item(str(number), (tmp_path / "out" / f"{number}.txt",)) for number in range(4)]
    done: list[str] = []

    def work(pending):  # type: ignore[no-untyped-def]
        for item in pending:
            done.append(item.name)
            item.targets[0].write_text(item.name)
            yield ItemDone(item.name, tuple(map(str, item.targets)))

    job = Job("copy", items, work, settings="x", folder=tmp_path / "out")
    (tmp_path / "out").mkdir()
    ledger = ledger_of(job)
    assert ledger.left(items) == ([], items)
    for number in (0, 1):
        items[number].targets[0].write_text("earlier")
    ledger.note(ItemDone("0", (str(items[0].targets[0]),), 2.5, dict(size="3 x 4")))
    ledger.note(ItemFailed("3", "it was broken then"))
    *events, last = run(job, Outputs(tmp_path / "out"))
    assert isinstance(last, Finished) and (last.done, last.skipped) == (2, 2) and not last.failed
    assert done == ["2", "3"] and items[0].targets[0].read_text() == "earlier"
    assert ItemDone("0", (str(items[0].targets[0]),), 2.5, dict(size="3 x 4"), skipped=True) in events
    assert not ledger.folder.exists()
    *_, last = run(job, Outputs(tmp_path / "out"))
    assert isinstance(last, Finished) and last.skipped == 4
