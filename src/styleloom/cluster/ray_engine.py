"""The engine on Ray Data: blocks of items out to actors, each of which holds a job's networks; events back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.memory import keep_memory
from styleloom.jobs.engine import Job, ledger_of
from styleloom.jobs.events import Event, Item, ItemDone, ItemFailed, Noted
from styleloom.jobs.ledger import ATTEMPTS, Ledger

BLOCK = 4  # items that a worker gets at once
QUEUED = 2  # blocks of a worker, the one that it does among them; more would leave the others idle at the end
MOST_BLOCKS = 2_000  # of a data set; larger jobs have larger blocks
STORE_MEMORY = 2**28  # bytes of Ray's object store on this machine
QUIET = ("ray", "ray.data", "ray.serve")


class RayEngine:
    """Does the items of a job on a Ray cluster.

    Args:
        address: address of a cluster, such as "ray://head:10001" or "auto"; "": a local one, for this job alone.
        workers: actors at most; 0: as many as the cluster has CPUs for.
        threads: threads of each.

    Raises:
        StyleLoomError: Ray is not installed.
    """

    def __init__(self, address: str = "", workers: int = 0, threads: int = 1) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
            raise StyleLoomError(f"Ray {reason}; install it with: pip install 'styleloom[scale]'") from error
        self.address, self.workers, self.threads = address, workers, threads

    def __call__(self, job: Job, items: Sequence[Item]) -> Iterator[Event]:
        """Events of the items, in order of completion, and what is noted beside them.

        Raises:
            StyleLoomError: the cluster cannot be reached, or the work cannot be sent to it.
        """
        import ray

        if not items:  # other processes have claimed them all
            return
        with self._connected(ray):
            yield from self._spread(ray, job, list(items), ledger_of(job))

    def mapped(self, function: Callable[[Tensor], Tensor], images: Iterable[Tensor]) -> Iterator[Tensor]:
        """Results of a function, in the order of the images; a worker that dies is started again, and its image done again.

        Args:
            function: goes to each worker once, with what it holds.
            images: taken one by one, a few ahead of the results.

        Raises:
            StyleLoomError: the cluster cannot be reached, or one image ended its worker again and again.
        """
        import ray

        with self._connected(ray):
            caller: Any = ray.remote(Caller).options(num_cpus=self.threads, max_restarts=-1, max_task_retries=ATTEMPTS - 1)
            content = ray.put(ray.cloudpickle.dumps(function))
            room = self._room(ray)
            workers: list[Any] = [caller.remote(self.threads) for _ in range(min(self.workers or room, room))]
            calls: deque[Any] = deque()
            for index, image in enumerate(images):
                calls.append(workers[index % len(workers)].call.remote(content, image.numpy()))
                if len(calls) > 2 * len(workers):
                    yield self._result(ray, calls.popleft())
            while calls:
                yield self._result(ray, calls.popleft())

    @staticmethod
    def _result(ray: Any, call: Any) -> Tensor:
        try:
            return torch.from_numpy(ray.get(call).copy())
        except ray.exceptions.RayActorError as error:
            raise StyleLoomError(f"a worker died {ATTEMPTS} times at one image, perhaps for lack of memory") from error

    def _room(self, ray: Any) -> int:
        """Count the actors that the cluster has CPUs for; one CPU feeds them."""
        return max(1, (int(ray.cluster_resources().get("CPU", 2)) - 1) // self.threads)

    @contextlib.contextmanager
    def _connected(self, ray: Any) -> Iterator[None]:
        """A cluster for as long as it is needed; one that was there stays."""
        handler = signal.getsignal(signal.SIGTERM)
        own = self._connect(ray)
        try:
            yield
        finally:
            if own:
                ray.shutdown()
                with contextlib.suppress(ValueError):  # not in the main thread, where Ray set none
                    signal.signal(signal.SIGTERM, handler)  # Ray leaves its own

    def _connect(self, ray: Any) -> bool:
        """Connect to the cluster, or start a local one; whether it is ours to end."""
        if ray.is_initialized():
            return False
        common: dict[str, Any] = dict(log_to_driver=False, logging_level=logging.ERROR)
        try:
            if self.address:
                ray.init(address=self.address, **common)
            else:
                os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
                os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of what Ray Data itself does
                workers = self.workers or max(1, (os.cpu_count() or 1) // self.threads)
                cpus = workers * self.threads + 1  # one for what feeds the workers
                with _quiet():
                    ray.init(num_cpus=cpus, object_store_memory=STORE_MEMORY, include_dashboard=False, **common)
        except (ConnectionError, ValueError, RuntimeError) as error:
            failed = f"cannot reach {self.address}" if self.address else "cannot start Ray here"
            raise StyleLoomError(f"{failed}: {_first_line(error)}") from error
        return True

    def _spread(self, ray: Any, job: Job, items: Sequence[Item], ledger: Ledger) -> Iterator[Event]:
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        try:
            work = ray.put(ray.cloudpickle.dumps(job.work))
        except Exception as error:  # whatever the closure holds
            raise StyleLoomError(f"{job.verb} cannot be sent to a cluster: {_first_line(error)}; use --engine local") from error
        workers = self.workers or self._room(ray)
        blocks = max(min(-(-len(items) // BLOCK), MOST_BLOCKS), min(workers, len(items)))
        rows = ray.data.from_items([dict(item=sent(item)) for item in items], override_num_blocks=blocks)
        spread = rows.map_batches(
            Worker,
            fn_constructor_args=(work, str(ledger.folder), self.threads),
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=QUEUED),
            num_cpus=self.threads,
        )
        over = set()
        for row in spread.iter_rows():
            for event in map(received, row["events"].splitlines()):
                if isinstance(event, ItemDone | ItemFailed):
                    if event.item in over:
                        continue
                    over.add(event.item)
                yield event
        yield from (ItemFailed(each.name, "the cluster lost it; run the job again") for each in items if each.name not in over)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray's start says on standard error which level its log has; what goes wrong is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a device)
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Worker:
    """An actor's work: the job's, with its networks, on blocks of items.

    Args:
        work: the pickled work, in the object store.
        ledger: folder of the job's ledger.
        threads: threads of torch.
    """

    def __init__(self, work: Any, ledger: str, threads: int) -> None:
        import ray

        keep_memory()
        torch.set_num_threads(threads)
        content = ray.get(work) if isinstance(work, ray.ObjectRef) else work
        self.work, self.ledger = ray.cloudpickle.loads(content), Ledger(Path(ledger))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do a block; one row with its events."""
        events, todo = self.ledger.left([taken for each in batch["item"] if isinstance(taken := received(each), Item)])
        if todo:
            try:
                for event in self.work(todo):
                    if isinstance(event, ItemDone | ItemFailed):
                        events.append(self.ledger.note(event))
                    elif isinstance(event, Noted):
                        events.append(event)
            except StyleLoomError as error:
                told = {event.item for event in events if isinstance(event, ItemDone | ItemFailed)}
                events += [self.ledger.note(ItemFailed(item.name, str(error))) for item in todo if item.name not in told]
        return {"events": ["\n".join(map(sent, events))]}


class Caller:
    """An actor that applies a function to images.

    Args:
        threads: threads of torch.
    """

    def __init__(self, threads: int) -> None:
        keep_memory()
        torch.set_num_threads(threads)
        self.function: Callable[[Tensor], Tensor] | None = None

    def call(self, function: bytes, image: Any) -> Any:
        """The result for an image, as arrays both, of a pickled function, which is always the same one."""
        if self.function is None:  # an actor that was started again begins here, too
            import ray

            loaded: Callable[[Tensor], Tensor] = ray.cloudpickle.loads(function)
            self.function = loaded
        return self.function(torch.from_numpy(image.copy())).numpy()


def sent(value: Item | Event) -> str:
    """An item or an event as a line of JSON."""
    return json.dumps({"kind": type(value).__name__} | asdict(value), default=str)


def received(text: str) -> Any:
    """The item or event of a line of JSON."""
    told = json.loads(text)
    kind = told.pop("kind")
    if kind == "Item":
        return Item(told["name"], tuple(map(Path, told["targets"])))
    if kind == "ItemDone":
        return ItemDone(**told | dict(out=tuple(told["out"])))
    return ItemFailed(**told) if kind == "ItemFailed" else Noted(**told)
