"""Dask: a local cluster started at first need, or an existing one by its address."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)

from aqgeo.errors import WorkspaceError

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)
T = TypeVar("T")
MEMORY = "3GiB"
# What a worker takes with torch and a network in it, and a block to work on.
_EACH = 2**30


class Cluster:
    """Where heavy stages run. Nothing starts before the first task does."""

    def __init__(
        self, scheduler: str | None = None, *, workers: int | None = None, memory: str = MEMORY
    ) -> None:
        """Remember the settings.

        Args:
            scheduler: address of a running scheduler; its workers must see the same files.
            workers: processes of the local cluster, one thread each; if None one for each core, but
                no more than memory holds with a network in each.
            memory: cap on the memory of all local workers together.
        """
        self._address = scheduler
        self._workers = workers
        self._memory = memory
        self._local: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def client(self) -> Iterator["Client"]:
        """Yield a client. Dask's notion of a current one is shared by all threads: none is set."""
        from distributed import Client, KilledWorker

        # Its log of every connection is for those who run clusters; errors come back as exceptions.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        address = self._start()
        try:
            client = Client(address, set_as_default=False, timeout="10s")
        except (OSError, TimeoutError, ValueError) as err:
            raise WorkspaceError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or "
                "leave --scheduler out to use a local cluster"
            ) from err
        with client:
            _await_worker(client, address)
            try:
                yield client
            except KilledWorker as err:
                raise WorkspaceError(
                    f"a Dask worker died again and again ({err.last_worker.address}), most likely "
                    f"for want of memory: give more than --memory {self._memory}, or fewer "
                    "--workers"
                ) from err
            except BaseException:
                _drain(client)
                raise

    def run(self, lazy: Any, label: str) -> Any:
        """Return the computed value of a lazy one, with a progress bar on stderr."""
        from distributed.diagnostics.progressbar import ProgressBar

        class Bar(ProgressBar):  # type: ignore[misc]
            def _draw_bar(self, remaining: int, all: int, **_: Any) -> None:
                progress.update(task, completed=all - remaining, total=all)

        with self.client() as client, _progress() as progress:
            task = progress.add_task(label, total=None)
            future = client.compute(lazy)
            # The bar only looks on: what it misses of a quick failure must not keep us waiting.
            bar = Bar([future], client.scheduler.address).listen()
            looking = asyncio.run_coroutine_threadsafe(bar, client.loop.asyncio_loop)
            try:
                return future.result()
            except BaseException:
                future.cancel()
                raise
            finally:
                looking.cancel()

    def map(self, function: Callable[..., T], items: Iterable[Any], label: str) -> Iterator[T]:
        """Yield function(item) for each item, in order, computed ahead by a few items."""
        waiting = list(items)
        with self.client() as client, _progress() as progress:
            ahead = 2 * sum(client.nthreads().values()) or 2
            futures = [client.submit(function, item, pure=False) for item in waiting[:ahead]]
            for number in progress.track(range(len(waiting)), description=label):
                yield futures.pop(0).result()
                if number + ahead < len(waiting):
                    futures.append(client.submit(function, waiting[number + ahead], pure=False))

    def close(self) -> None:
        """Stop the local cluster, if one was started."""
        with self._lock:
            if self._local is not None:
                self._local.close()
                self._local = None

    def __enter__(self) -> "Cluster":
        """Return the cluster itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the local cluster."""
        self.close()

    def _start(self) -> str:
        if self._address is not None:
            return self._address
        from distributed import LocalCluster

        memory = bytes_of(self._memory)
        workers = self._workers or max(1, min(os.cpu_count() or 1, memory // _EACH))
        with self._lock:
            if self._local is None:
                self._local = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=memory // workers,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                    env={"DASK_LOGGING__DISTRIBUTED": "critical"},
                )
            return str(self._local.scheduler_address)


def bytes_of(memory: str) -> int:
    """Return the bytes that a text such as 3GiB means.

    Raises:
        WorkspaceError: it is no size.
    """
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(memory))
    except ValueError as err:
        raise WorkspaceError(f"memory {memory!r} is no size: write 3GiB") from err


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Yield items with a progress bar on stderr; a generator needs its total named."""
    with _progress() as progress:
        yield from progress.track(items, description=label, total=total)


@contextmanager
def report_bar(label: str, *, of_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, known of) that moves a progress bar on stderr."""
    columns = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (MofNCompleteColumn(),)
    with _progress(TextColumn("{task.description}"), BarColumn(), *columns) as progress:
        task = progress.add_task(label, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield report


def _await_worker(client: "Client", address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=60)
    except TimeoutError as err:
        raise WorkspaceError(
            f"the Dask scheduler at {address} has no worker: start one with `dask worker {address}`"
        ) from err


def _drain(client: "Client", seconds: float = 30) -> None:
    """Wait for tasks that are still running after one has failed, since they may write files."""
    deadline = time.monotonic() + seconds
    while any(client.run(_cancelled).values()) and time.monotonic() < deadline:
        time.sleep(0.1)


def _cancelled(dask_worker: Any) -> bool:
    return any(task.state == "cancelled" for task in dask_worker.state.tasks.values())


def _progress(*columns: ProgressColumn) -> Progress:
    """Return a progress bar; elsewhere than on a terminal it would leave empty lines in the log."""
    console = Console(stderr=True)
    shown = console.is_terminal and log.isEnabledFor(logging.WARNING)
    return Progress(*columns, console=console, transient=True, disable=not shown)
