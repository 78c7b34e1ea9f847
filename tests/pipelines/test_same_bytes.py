"""One seed gives one set of bytes, however and wherever the work is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

PERIOD = "2024-06-03/2024-06-06"


def test_another_folder_and_one_worker_give_the_same_bytes(
    small: Any, make: Callable[..., Any], digests: Callable[..., Any], tmp_path: Path
) -> None:
    from pipelines.cluster import Cluster

    with Cluster(workers=1) as alone:
        other = make(tmp_path, cluster=alone)
    assert len(digests(small.work.maps)) == 20
    assert digests(other.work.maps) == digests(small.work.maps)
    assert digests(other.archive) == digests(small.archive)


def test_another_seed_gives_another_land(
    small: Any, make: Callable[..., Any], digests: Callable[..., Any], tmp_path: Path
) -> None:
    from pipelines.simulate import simulate
    from pipelines.workspace import Workspace

    work = Workspace(tmp_path, catalogs=small.work.catalogs)
    other = simulate(work, "small", PERIOD, seed=1).parent
    one, two = digests(small.archive), digests(other)
    assert set(one.values()).isdisjoint(two.values())


def test_a_scheduler_of_ones_own_gives_the_same_bytes(
    dask: str, small: Any, make: Callable[..., Any], digests: Callable[..., Any], tmp_path: Path
) -> None:
    from distributed import Client

    from pipelines.cluster import Cluster

    archive = small.archive / "catalog.json"
    with Client(dask, set_as_default=False) as client:
        with Cluster(dask) as remote:
            made = make(tmp_path, archive=archive, cluster=remote)
        # The scheduler outlives the map: it is not ours to stop.
        assert len(client.scheduler_info()["workers"]) == 2
    assert digests(made.work.maps) == digests(small.work.maps)


def test_the_command_line_uses_the_scheduler_that_it_is_told(
    dask: str, small: Any, demo: Any, tell: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("ingest", "demo", "--period", "2024-06-03/2024-06-06", "--archive", small.archive)
    told = tell(*words, "--collection", "sentinel-5p-l2-no2", "--scheduler", dask, "--out", out)
    assert told.code == 0
    assert told.err == []
    assert [Path(line).resolve().name for line in told.out] == ["ingest-sentinel-5p-l2-no2"]
