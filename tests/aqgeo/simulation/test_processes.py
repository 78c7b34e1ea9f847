"""A pool's processes do not outlive the process that started them, even one that is killed."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil

PARENT = """
import os, time
from aqgeo.simulation import processes
if __name__ == "__main__":
    with processes.pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600)
        time.sleep(600)
"""


def test_workers_end_with_a_killed_parent(
    until: Callable[..., Any], root: Any, tmp_path: Any
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, "utf-8")
    how = {"stdout": subprocess.PIPE, "text": True, "env": {"PYTHONPATH": str(root)}}
    with subprocess.Popen([sys.executable, str(script)], **how) as parent:
        try:
            worker = int(parent.stdout.readline())
            assert psutil.pid_exists(worker)
        finally:
            parent.kill()
    until(lambda: not psutil.pid_exists(worker), "the worker's end")
