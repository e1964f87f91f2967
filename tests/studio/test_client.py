"""What a page follows: one job of a name at a time, until its photograph is another one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs the extra [studio]")

from styleloom.service.store import JobStore, StoredJob
from styleloom.service.trainings import Progress, Training
from styleloom.studio import generate, parts, train
from styleloom.studio.client import OPEN, Update, follow, leave


def service_at(folder: Path) -> Any:
    """A service without a worker: its jobs wait."""
    store = JobStore(folder / "jobs.sqlite")

    async def add(verb: str, options: dict[str, Any], files: dict[str, Any], owner: str) -> StoredJob:
        return store.add(verb, options, owner)

    return SimpleNamespace(store=store, add=add, path_of=lambda job, name: folder / job.id / name)


def page_of_one() -> Any:
    return SimpleNamespace(session_hash="page", cookies={})


async def followed(updates: AsyncIterator[Update]) -> list[Update]:
    return [update async for update in updates]


def test_a_search_ends_without_a_word_once_the_photograph_is_another(tmp_path: Path) -> None:
    service, page = service_at(tmp_path), page_of_one()
    photo, other = tmp_path / "a.png", tmp_path / "b.png"

    async def visit() -> tuple[bool, str, bool, str, list[Update]]:
        task = asyncio.create_task(followed(follow(service, "invert", {}, dict(photo=[photo]), page, alone="invert")))
        while ("page", "invert") not in OPEN:
            await asyncio.sleep(0.01)
        job = OPEN["page", "invert"][0]
        kept = await leave(service, page, "invert", "race", keep=photo)
        during = service.store.get(job).state
        left = await leave(service, page, "invert", "race", keep=other)
        return kept, during, left, service.store.get(job).state, await asyncio.wait_for(task, 20)

    kept, during, left, after, updates = asyncio.run(visit())
    assert (kept, during, left, after) == (True, "queued", False, "cancelled")
    assert ("page", "invert") not in OPEN and not any(update.done for update in updates)


def test_the_next_job_of_a_name_takes_the_place_of_the_last(tmp_path: Path) -> None:
    service, page = service_at(tmp_path), page_of_one()

    async def visit() -> list[str]:
        first = asyncio.create_task(followed(follow(service, "invert", {}, {}, page, alone="invert")))
        while ("page", "invert") not in OPEN:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(followed(follow(service, "invert", {}, {}, page, alone="invert")))
        await asyncio.wait_for(first, 20)
        states = [job.state for job in service.store.jobs()]
        await leave(service, page, "invert")
        await asyncio.wait_for(second, 20)
        return states

    assert asyncio.run(visit()) == ["cancelled", "queued"]


def test_what_a_job_says_in_its_last_moment_is_not_missed(tmp_path: Path) -> None:
    service, page = service_at(tmp_path), page_of_one()
    events = service.store.events

    def late(id: str, after: int) -> list[Any]:
        found: list[Any] = events(id, after)
        if not found and service.store.get(id).state == "queued":  # it ends just after its events were asked for
            service.store.take("worker")
            service.store.note(id, dict(event="item_done", item="a.png", values=dict(psnr=20.0)))
            service.store.finish(id, "worker", "done", files=[])
        return found

    service.store.events = late
    *_, last = asyncio.run(followed(follow(service, "invert", {}, {}, page)))
    assert last.done and last.values == dict(psnr=20.0) and last.items == {"a.png": ""}


def test_a_wall_that_crosses_ten_thousand_keeps_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(9998, 10002)
    found: dict[int, str] = {}

    async def done(*_: Any, **__: Any) -> AsyncIterator[Update]:
        yield Update("", "job", {f"seed{seed:04d}.png": str(seed) for seed in seeds}, {}, (), {}, done=True)

    monkeypatch.setattr(generate, "follow", done)
    monkeypatch.setattr(parts, "wall", lambda images, names: found.update(images))

    async def made() -> None:
        async for _ in generate.Gallery(SimpleNamespace()).images("toonfaces-64", 9998, 4, 0.7, page_of_one()):  # type: ignore[arg-type]
            pass

    asyncio.run(made())
    assert found == {seed: str(seed) for seed in seeds}


def test_a_trained_style_is_told_with_the_command_that_paints_with_it(tmp_path: Path) -> None:
    for kind, told in (("style", f"{tmp_path}/a/model.safetensors --method johnson"), ("generator", "Choose run:a in the other")):
        progress = Progress(Training("a", kind, ()), "done", {}, [9], 1.0, None, has_model=True)
        assert told in train._line(progress, tmp_path)
