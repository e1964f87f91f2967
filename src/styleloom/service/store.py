"""Jobs of the service in an SQLite database: they survive the server and its workers.

A job is queued, running, done, failed or cancelled. Every change names the state that it starts from, so that a worker that was
given up cannot finish a job that another one has taken.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists jobs (
    id text primary key, owner text not null, verb text not null, options text not null, state text not null,
    key text, created real not null, started real, finished real, worker text, attempts integer not null default 0,
    error text, files text not null default '[]', cancel integer not null default 0
);
create unique index if not exists keys on jobs (owner, key) where key is not null;
create index if not exists states on jobs (state, created);
create table if not exists events (job text not null, number integer not null, content text not null, primary key (job, number));
"""
ATTEMPTS = 3  # times that a job may take its worker with it before it counts as failed
OPEN, CLOSED = ("queued", "running"), ("done", "failed", "cancelled")


@dataclass(frozen=True)
class StoredJob:
    """A job as it is in the database.

    Attributes:
        id: random name, of 128 bits.
        owner: digest of its client; "" where anyone who knows the id may see it.
        verb, options: what is done, with which options.
        state: queued, running, done, failed or cancelled.
        created, started, finished: seconds since 1970.
        error: why it failed, in one line.
        files: names of its results.
        cancel: whether it is to be cancelled.
        worker: the worker that runs it.
    """

    id: str
    owner: str
    verb: str
    options: dict[str, Any]
    state: str
    created: float
    started: float | None
    finished: float | None
    error: str | None
    files: list[str]
    cancel: bool
    worker: str | None

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in OPEN


COLUMNS = "id, owner, verb, options, state, created, started, finished, error, files, cancel, worker"


def _job(row: tuple[Any, ...]) -> StoredJob:
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    values |= dict(options=json.loads(values["options"]), files=json.loads(values["files"]), cancel=bool(values["cancel"]))
    return StoredJob(**values)


class JobStore:
    """The database, for any number of threads and processes.

    Args:
        path: file of the database; it is made where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.local = threading.local()
        self._connection().executescript(SCHEMA)

    def _connection(self) -> sqlite3.Connection:
        """The thread's own connection."""
        connection: sqlite3.Connection | None = getattr(self.local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            self.local.connection = connection
        return connection

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes."""
        connection = self._connection()
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")

    def close(self) -> None:
        """Close this thread's connection."""
        if (connection := getattr(self.local, "connection", None)) is not None:
            connection.close()
            self.local.connection = None

    def add(self, verb: str, options: Mapping[str, Any], owner: str = "", key: str | None = None, id: str = "") -> StoredJob:
        """Queue a job; of an owner and an idempotency key there is one alone, however often it is added."""
        with self._open() as connection:
            if key is not None:
                query = f"select {COLUMNS} from jobs where owner = ? and key = ?"
                if (row := connection.execute(query, (owner, key)).fetchone()) is not None:
                    return _job(row)
            values = (id or secrets.token_hex(16), owner, verb, json.dumps(options), key, time.time())
            connection.execute(
                "insert into jobs (id, owner, verb, options, state, key, created) values (?, ?, ?, ?, 'queued', ?, ?)", values
            )
            return _job(connection.execute(f"select {COLUMNS} from jobs where id = ?", values[:1]).fetchone())

    def get(self, id: str) -> StoredJob | None:
        """The job of an id."""
        row = self._connection().execute(f"select {COLUMNS} from jobs where id = ?", (id,)).fetchone()
        return None if row is None else _job(row)

    def jobs(self, owner: str | None = None, *, states: tuple[str, ...] = OPEN + CLOSED) -> list[StoredJob]:
        """Jobs in some states, of one owner or of all, the oldest first."""
        marks = ", ".join("?" * len(states))
        query = f"select {COLUMNS} from jobs where state in ({marks})" + ("" if owner is None else " and owner = ?")
        values = (*states, *(() if owner is None else (owner,)))
        rows = self._connection().execute(f"{query} order by created", values).fetchall()
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Numbers of jobs by state."""
        return dict(self._connection().execute("select state, count(*) from jobs group by state").fetchall())

    def take(self, worker: str) -> StoredJob | None:
        """Give the oldest queued job to a worker."""
        oldest = "select id from jobs where state = 'queued' order by created limit 1"
        if self._connection().execute(oldest).fetchone() is None:
            return None
        with self._open() as connection:
            row = connection.execute(oldest).fetchone()
            if row is None:
                return None
            update = "update jobs set state = 'running', worker = ?, started = ?, attempts = attempts + 1 where id = ?"
            connection.execute(update, (worker, time.time(), row[0]))
            return _job(connection.execute(f"select {COLUMNS} from jobs where id = ?", row).fetchone())

    def finish(self, id: str, worker: str, state: str, *, error: str | None = None, files: list[str] | None = None) -> bool:
        """End a job that a worker runs; False where it no longer is that worker's."""
        with self._open() as connection:
            update = (
                "update jobs set state = ?, error = ?, files = ?, finished = ? where id = ? and worker = ? and state = 'running'"
            )
            values = (state, error, json.dumps(files or []), time.time(), id, worker)
            return connection.execute(update, values).rowcount == 1

    def cancel(self, id: str) -> None:
        """Cancel a job that waits; ask for the end of one that runs."""
        with self._open() as connection:
            update = "update jobs set state = 'cancelled', finished = ? where id = ? and state = 'queued'"
            connection.execute(update, (time.time(), id))
            connection.execute("update jobs set cancel = 1 where id = ? and state = 'running'", (id,))

    def is_cancelled(self, id: str) -> bool:
        """Whether a job that runs is asked to end."""
        row = self._connection().execute("select cancel from jobs where id = ?", (id,)).fetchone()
        return row is None or bool(row[0])

    def give_back(self, worker: str | None = None) -> None:
        """Queue again what a dead worker ran, or any worker; cancelled jobs end, and so do those that keep killing workers."""
        whose, values = ("", ()) if worker is None else (" and worker = ?", (worker,))
        now = time.time()
        with self._open() as connection:
            end = "update jobs set state = ?, error = ?, finished = ? where state = 'running'"
            connection.execute(f"{end} and cancel = 1{whose}", ("cancelled", None, now, *values))
            died = f"its worker died {ATTEMPTS} times, perhaps for lack of memory; try a smaller image"
            connection.execute(f"{end} and attempts >= {ATTEMPTS}{whose}", ("failed", died, now, *values))
            connection.execute(f"update jobs set state = 'queued', worker = null where state = 'running'{whose}", values)

    def note(self, id: str, content: Mapping[str, Any]) -> None:
        """Add an event to a job's log."""
        with self._open() as connection:
            query = "insert into events select ?, coalesce(max(number), 0) + 1, ? from events where job = ?"
            connection.execute(query, (id, json.dumps(content), id))

    def events(self, id: str, after: int = 0) -> list[tuple[int, dict[str, Any]]]:
        """Numbers and contents of a job's events after one of them."""
        query = "select number, content from events where job = ? and number > ? order by number"
        rows = self._connection().execute(query, (id, after)).fetchall()
        return [(number, json.loads(content)) for number, content in rows]

    def remove(self, id: str) -> None:
        """Remove a job that is over."""
        with self._open() as connection:
            connection.execute("delete from events where job = ?", (id,))
            connection.execute("delete from jobs where id = ? and state in ('done', 'failed', 'cancelled')", (id,))

    def forget(self, before: float) -> list[str]:
        """Remove jobs that ended before a time, and return their ids."""
        with self._open() as connection:
            rows = connection.execute("select id from jobs where finished < ?", (before,)).fetchall()
            connection.executemany("delete from events where job = ?", rows)
            connection.executemany("delete from jobs where id = ?", rows)
        return [row[0] for row in rows]
