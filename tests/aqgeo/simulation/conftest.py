"""One small simulated archive with its truth, shared by all tests of the room."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import shapely

from aqgeo.catalog import Grid, Region
from aqgeo.period import Period
from aqgeo.simulation import archive
from aqgeo.simulation.plan import Settings

# Friday to Wednesday: weekdays and a weekend.
PERIOD = Period.parse("2024-06-07/2024-06-13")
SETTINGS = Settings(seed=7, levels=("l1c", "l2a"))


class Archive(NamedTuple):
    folder: Path
    summary: dict[str, Any]

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def truth(self) -> Path:
        return self.folder / "truth"


def make_region(side_deg: float = 0.11) -> Region:
    area = shapely.box(15.0, 47.0, 15.0 + 1.4 * side_deg, 47.0 + side_deg)
    crs = "EPSG:32633"
    grids = {"surface_reflectance": Grid(crs, 60), "no2_column": Grid(crs, 4000)}
    return Region("small", "Small, simulated", area, grids)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    return Archive(
        folder, archive.write_archive(make_region(), PERIOD, folder, SETTINGS, workers=2)
    )
