"""Dask: a local cluster started at first need, or an existing one by its address."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import Progress

from aqgeo.errors import WorkspaceError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
MEMORY = "3GiB"


class Cluster:
    """Where heavy stages run. Nothing starts before the first task does."""

    def __init__(
        self, scheduler: str | None = None, *, workers: int | None = None, memory: str = MEMORY
    ) -> None:
        """Remember the settings.

        Args:
            scheduler: address of a running scheduler; its workers must see the same files.
            workers: processes of the local cluster, one thread each; one for each core if None.
            memory: cap on the memory of all local workers together.
        """
        self._address = scheduler
        self._workers = workers or os.cpu_count() or 1
        self._memory = memory
        self._local: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def client(self) -> Iterator["Client"]:
        """Yield a client. Dask's notion of a current one is shared by all threads: none is set."""
        from distributed import Client

        # Its log of every connection is for those who run clusters.
        logging.getLogger("distributed").setLevel(logging.WARNING)
        address = self._start()
        try:
            client = Client(address, set_as_default=False, timeout="10s")
        except (OSError, TimeoutError, ValueError) as err:
            raise WorkspaceError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or "
                "leave --scheduler out to use a local cluster"
            ) from err
        with client:
            yield client

    def run(self, lazy: Any, label: str) -> Any:
        """Return the computed value of a lazy one, with a progress bar on stderr."""
        from distributed.diagnostics.progressbar import ProgressBar

        class Bar(ProgressBar):  # type: ignore[misc]
            def _draw_bar(self, remaining: int, all: int, **_: Any) -> None:
                progress.update(task, completed=all - remaining, total=all)

        with self.client() as client, _progress() as progress:
            task = progress.add_task(label, total=None)
            future = client.compute(lazy)
            client.sync(Bar([future], client.scheduler.address).listen)
            return future.result()

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
        from dask.utils import parse_bytes
        from distributed import LocalCluster

        with self._lock:
            if self._local is None:
                self._local = LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    memory_limit=parse_bytes(self._memory) // self._workers,
                    dashboard_address="127.0.0.1:0",
                    env={"DASK_LOGGING__DISTRIBUTED": "warning"},
                )
            return str(self._local.scheduler_address)


def track(items: list[T], label: str) -> Iterable[T]:
    """Yield items with a progress bar on stderr."""
    with _progress() as progress:
        yield from progress.track(items, description=label)


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True)
