"""A small region with its archive and maps, a cluster, and the command line called in process."""

import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PERIOD = "2024-06-03/2024-06-06"
# Boxes west, south, east, north: inside the land of demo; on the border of two Sentinel-2 tiles.
BOXES = {"small": (13.80, 39.40, 14.05, 39.58), "tiles": (15.30, 45.85, 15.75, 46.10)}


class Made(NamedTuple):
    """A region's maps made in process."""

    work: Any
    results: dict[str, Path]

    @property
    def archive(self) -> Path:
        from aqgeo.period import Period

        return self.work.simulated_archive("small", Period.parse(PERIOD)) / "archive"


class Told(NamedTuple):
    """What the command line said."""

    code: int
    out: list[str]
    err: list[str]


@pytest.fixture(scope="session")
def catalogs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's catalogs with two more regions."""
    folder = tmp_path_factory.mktemp("catalogs") / "catalogs"
    shutil.copytree(root / "catalogs", folder)
    path = folder / "regions.geojson"
    content = json.loads(path.read_text("utf-8"))
    grids = content["features"][0]["properties"]["grids"]
    for name, (w, s, e, n) in BOXES.items():
        about = {"title": name.capitalize(), "grids": grids}
        about |= {"sources": ["simulated"]} if name == "small" else {}
        ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        feature = {"type": "Feature", "id": name, "properties": about, "geometry": shape}
        content["features"].append(feature)
    path.write_text(json.dumps(content), "utf-8")
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two local workers."""
    from pipelines.cluster import Cluster

    with Cluster(workers=2) as made:
        yield made


@pytest.fixture(scope="session")
def make(catalogs: Path, cluster: Any) -> Callable[..., Made]:
    """Return a function that runs the chain for a region below a folder."""
    from pipelines import chain
    from pipelines.workspace import Workspace

    def run(out: Path, *, region: str = "small", period: str = PERIOD, **how: Any) -> Made:
        work = Workspace(out, catalogs=catalogs)
        how = {"cluster": cluster, **how}
        return Made(work, chain.run(chain.steps(work, region, period, **how)))

    return run


@pytest.fixture(scope="session")
def small(catalogs: Path, make: Callable[..., Made], once: Callable[..., tuple[Path, Any]]) -> Made:
    """The maps of the region small; read only."""
    from pipelines.workspace import Workspace

    def fill(out: Path) -> dict[str, str]:
        return {name: str(path) for name, path in make(out).results.items()}

    out, results = once("small", fill)
    paths = {name: Path(path) for name, path in results.items()}
    return Made(Workspace(out, catalogs=catalogs), paths)


@pytest.fixture(scope="module")
def dask(
    begin: Callable[..., Any], until: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a scheduler with two workers, three processes of their own."""
    from distributed import Client

    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    place = ("--host", "127.0.0.1", "--no-dashboard")
    told = ("--scheduler-file", file)
    with (folder / "log").open("w") as log, ExitStack() as stack:

        def run(*words: object) -> None:
            how = {"stdout": log, "stderr": log, "cwd": folder}
            process = begin("dask", *words, *told, *place, **how)
            stack.callback(process.wait)
            stack.callback(process.kill)

        run("scheduler", "--port", "0")
        address = until(lambda: _address(file), "the scheduler's address")
        for _ in range(2):
            run("worker", "--nthreads", "1", "--no-nanny", "--local-directory", folder)
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2)
        yield address


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Return a function that calls the command line in this process, logging errors only."""
    from pipelines import cli

    def call(*words: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["aqgeo", "-q", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfd.readouterr()
        for room in ("aqgeo", "pipelines"):  # -q is for this call only
            logging.getLogger(room).setLevel(logging.NOTSET)
        return Told(int(end.value.code or 0), out.splitlines(), err.splitlines())

    return call


@pytest.fixture(scope="session")
def copy() -> Callable[[Path, Path], Path]:
    """Return a function that copies a folder without copying bytes: replace files, edit none."""

    def link(source: Path, target: Path) -> Path:
        return Path(shutil.copytree(source, target, copy_function=os.link))

    return link


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return a function that gives the SHA-256 of every .tif below a folder, by its path."""

    def hashed(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*.tif"))
        }

    return hashed


@pytest.fixture(scope="session")
def times() -> Callable[..., dict[str, int]]:
    """Return a function that gives the time of change of every file below folders."""

    def seen(*folders: Path) -> dict[str, int]:
        paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime_ns for path in paths if path.suffix != ".lock"}

    return seen


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[str]]:
    """Return a function that lists what a killed or failed stage may leave."""

    def found(folder: Path) -> list[str]:
        kinds = (".*.part", ".*.old", ".*.json.*")
        return [str(p.relative_to(folder)) for kind in kinds for p in folder.rglob(kind)]

    return found


def _address(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text("utf-8"))["address"])
    except (OSError, ValueError):
        return None
