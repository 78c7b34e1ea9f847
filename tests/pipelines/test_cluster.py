"""The cluster's manners when a task fails."""

import os
import time
from pathlib import Path
from typing import Any

import dask
import pytest

from aqgeo.errors import WorkspaceError
from pipelines.cluster import Cluster


def _writes(folder: Path) -> None:
    (folder / "begun").touch()
    time.sleep(1)  # stands for a chunk that is being written
    (folder / "ended").touch()


def _fails(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    raise OSError(28, "No space left on device")


def _dies(_: Path) -> None:
    os._exit(1)


def _together(*parts: Any) -> None:
    """Wait for all parts."""


def test_no_task_writes_any_more_when_a_failure_is_told(cluster: Cluster, tmp_path: Path) -> None:
    parts = [dask.delayed(task)(tmp_path) for task in (_writes, _fails)]
    with pytest.raises(OSError, match="No space left"):
        cluster.run(dask.delayed(_together)(*parts), "Failing")
    assert (tmp_path / "ended").exists()


def test_workers_that_keep_dying_are_told_as_want_of_memory(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        Cluster(workers=1, memory="1GiB") as fragile,
        pytest.raises(WorkspaceError, match=r"died again and again .* more than --memory 1GiB"),
    ):
        fragile.run(dask.delayed(_dies)(tmp_path), "Dying")
    assert capfd.readouterr().err == ""
