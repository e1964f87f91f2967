"""The database of jobs: each ends once, whoever dies."""

import threading
from pathlib import Path

import pytest

from styleloom.service.store import ATTEMPTS, JobStore


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite")


def test_a_job_goes_through_its_states(store: JobStore) -> None:
    job = store.add("upscale", {"options": {}})
    assert job.state == "queued" and job.is_open
    taken = store.take("one")
    assert taken is not None and (taken.id, taken.state, taken.worker) == (job.id, "running", "one")
    assert store.take("two") is None
    assert store.finish(job.id, "one", "done", files=["result.png"])
    ended = store.get(job.id)
    assert ended is not None and ended.files == ["result.png"] and not ended.is_open
    assert not store.finish(job.id, "one", "failed"), "a job ends once"
    assert store.counts() == {"done": 1}


def test_a_worker_that_was_given_up_ends_nothing(store: JobStore) -> None:
    job = store.add("upscale", {})
    store.take("first")
    store.give_back("first")
    store.take("second")
    assert not store.finish(job.id, "first", "failed", error="late")
    assert store.finish(job.id, "second", "done")


def test_a_job_that_kills_its_workers_fails_in_the_end(store: JobStore) -> None:
    job = store.add("upscale", {})
    for number in range(ATTEMPTS):
        assert store.take(str(number)) is not None
        store.give_back(str(number))
    ended = store.get(job.id)
    assert ended is not None and ended.state == "failed" and "its worker died 3 times" in (ended.error or "")


def test_cancelled_jobs(store: JobStore) -> None:
    waiting, running = store.add("upscale", {}), store.add("upscale", {})
    store.take("one")
    store.cancel(waiting.id)  # it is the one that runs
    store.cancel(running.id)
    states = [each.state for each in (store.get(waiting.id), store.get(running.id)) if each is not None]
    assert states == ["running", "cancelled"]
    store.give_back("one")
    assert {each.state for each in store.jobs()} == {"cancelled"}


def test_an_idempotency_key_is_one_job(store: JobStore) -> None:
    first, second = (store.add("upscale", {}, "me", "k") for _ in range(2))
    assert first.id == second.id != store.add("upscale", {}, "you", "k").id
    assert len(store.jobs("me")) == 1


def test_many_workers_take_each_job_once(store: JobStore) -> None:
    wanted = {store.add("upscale", {}).id for _ in range(60)}
    taken: list[str] = []

    def work(name: str) -> None:
        while (job := store.take(name)) is not None:
            taken.append(job.id)
            store.note(job.id, {"event": "started"})
            store.finish(job.id, name, "done")
        store.close()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted) and store.counts() == {"done": 60}


def test_events_are_numbered(store: JobStore) -> None:
    job = store.add("upscale", {})
    for index in range(3):
        store.note(job.id, {"event": "progressed", "index": index})
    assert [number for number, _ in store.events(job.id)] == [1, 2, 3]
    assert [content["index"] for _, content in store.events(job.id, after=1)] == [1, 2]
    store.take("one")
    store.finish(job.id, "one", "done")
    assert store.forget(before=0) == [] and store.forget(before=2e12) == [job.id] and store.events(job.id) == []
