"""The truth of a simulated archive, as cubes that no reader of the archive sees."""

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.spectra import BANDS_L2A
from aqgeo.simulation.world import World

SCENE_PIXEL_M = 60
CLASSES = {0: "clear", 1: "thick cloud", 2: "thin cloud", 3: "cloud shadow"}
"""CloudSEN12's."""
_VARIABLES = {"columns": ("no2_column", "mol m-2"), "air": ("no2_concentration", "ug m-3")}
_TOGETHER = 30  # times that are written at once: each writing costs a tenth of a second


class Truth:
    """The groups of `truth.zarr`, each a cube that grows in time.

    `scenes`: clear-sky surface reflectance (B01 to B12 without B10) and the class `cloud`, 60 m.
    `columns`: `no2_column` in mol m-2 at each Sentinel-5P overpass, seen or not, 250 m.
    `air`: `no2_concentration` in ug m-3, mean of each day, roads' increment included, 250 m.
    """

    def __init__(self, path: Path, world: World) -> None:
        """Make an empty store at a path that does not exist."""
        zarr.create_group(path, zarr_format=3)
        self._path = path
        self._inner, self._air = inner(world)
        self._scenes = _coarser(world.grid)
        self._waiting: dict[str, list[tuple[datetime, FloatArray]]] = {"columns": [], "air": []}

    def add_scene(self, when: datetime, ground: FloatArray, clouds: NDArray[np.uint8]) -> None:
        """Add a scene: (band, y, x) reflectance and (y, x) classes on pixels of 60 m."""
        variables = {
            band: cube.values(layer[None], "1")
            for band, layer in zip(BANDS_L2A, ground, strict=True)
        }
        variables["cloud"] = cube.classes(clouds[None], CLASSES)
        cube.append(cube.make(variables, _times([when]), self._scenes), self._path / "scenes")

    def add_column(self, when: datetime, column: FloatArray) -> None:
        """Add the column of an overpass, (y, x) on the world's air grid."""
        self._add("columns", when, column)

    def add_day(self, day: date, concentration: FloatArray) -> None:
        """Add the mean concentration of a day, (y, x) on the world's air grid."""
        self._add("air", datetime(day.year, day.month, day.day), concentration)

    def close(self) -> None:
        """Write what still waits."""
        for group in self._waiting:
            self._flush(group)

    def _add(self, group: str, when: datetime, field: FloatArray) -> None:
        self._waiting[group].append((when, field[self._inner]))
        if len(self._waiting[group]) == _TOGETHER:
            self._flush(group)

    def _flush(self, group: str) -> None:
        if self._waiting[group]:
            times, fields = zip(*self._waiting[group], strict=True)
            name, unit = _VARIABLES[group]
            ds = cube.make({name: cube.values(np.stack(fields), unit)}, _times(times), self._air)
            cube.append(ds, self._path / group)
            self._waiting[group].clear()


def _times(moments: Iterable[datetime]) -> NDArray[np.datetime64]:
    return np.array([when.replace(tzinfo=None) for when in moments], "datetime64[s]")


def inner(world: World) -> tuple[tuple[slice, slice], GeoBox]:
    """Return the part of the air grid that covers the domain."""
    air, box = world.air_grid, world.grid.extent.boundingbox
    left, top = (~air.affine) * (box.left, box.top)
    right, bottom = (~air.affine) * (box.right, box.bottom)
    part = slice(int(top), -int(-bottom // 1)), slice(int(left), -int(-right // 1))
    return part, air[part]


def _coarser(grid: GeoBox) -> GeoBox:
    factor = SCENE_PIXEL_M // round(grid.affine.a)
    rows, cols = (n // factor for n in grid.shape)
    return GeoBox((rows, cols), grid.affine * Affine.scale(factor), grid.crs)
