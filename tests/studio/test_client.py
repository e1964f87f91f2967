"""What a page follows: one job of a name at a time, until its photograph is another one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs the extra [studio]")

from styleloom.service.store import JobStore, StoredJob
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
