"""One small simulated archive, shared by all tests of the room."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import shapely

from aqgeo.catalog import Grid, Region
from aqgeo.period import Period
from aqgeo.simulation import archive, world
from aqgeo.simulation.world import World

SEED = 7
# Friday to Wednesday: five scenes, weekdays and a weekend.
PERIOD = Period.parse("2024-06-07/2024-06-13")


class Archive(NamedTuple):
    folder: Path
    summary: dict[str, Any]
    told: list[str]


def make_region(side_deg: float = 0.11) -> Region:
    area = shapely.box(15.0, 47.0, 15.0 + 1.4 * side_deg, 47.0 + side_deg)
    crs = "EPSG:32633"
    grids = {"surface_reflectance": Grid(crs, 60), "no2_column": Grid(crs, 4000)}
    return Region("small", "Small, simulated", area, grids)


@pytest.fixture(scope="session")
def region() -> Region:
    return make_region()


@pytest.fixture(scope="session")
def period() -> Period:
    return PERIOD


@pytest.fixture(scope="session")
def place(region: Region) -> World:
    return world.build(archive.domain(region), SEED)


@pytest.fixture(scope="session")
def small(region: Region, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    told: list[str] = []
    summary = archive.write_archive(region, PERIOD, folder, seed=SEED, progress=told.append)
    return Archive(folder, summary, told)
