"""Seconds and peak memory of a piece of work."""

import threading
import time
from types import TracebackType

import psutil

_EVERY_S = 0.2


class Meter:
    """Measures this process and all its children while it is entered.

    Memory is the sum of the processes' resident sets, looked at every 0.2 s: what they share counts
    for each of them, other work of the same process counts too, workers on other machines do not.
    """

    def __enter__(self) -> "Meter":
        """Start measuring."""
        self._start = time.perf_counter()
        self._own = psutil.Process()
        self._peak = _memory(self._own)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop measuring."""
        self._stop.set()
        self._thread.join()

    def read(self) -> dict[str, float]:
        """Return the seconds since the start and the peak of memory in MiB."""
        self._peak = max(self._peak, _memory(self._own))
        seconds = time.perf_counter() - self._start
        return {"seconds": round(seconds, 2), "peak_mib": round(self._peak / 2**20, 1)}

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._peak = max(self._peak, _memory(self._own))


def _memory(own: psutil.Process) -> int:
    total = 0
    try:
        processes = [own, *own.children(recursive=True)]
    except psutil.Error:  # a child has ended while they were listed
        processes = [own]
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total
