"""Pools of processes that end with the process that started them."""

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool whose processes are fresh and do not outlive this one.

    Fresh, since HDF5 and threads keep locks that a fork would copy. If this process is killed, its
    workers must not go on writing into a folder that the next run fills.
    """
    context = get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = parent_process()
    # A key press reaches all processes of a terminal; this one's parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
