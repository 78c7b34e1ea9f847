"""The world: where it lies, which seed and preset it grows from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.simulation.presets import Preset

AIR_PIXEL_M = 250
AIR_MARGIN_M = 40_000
BLOCK_M = 15_360
"""Side of the squares that work is cut into: a multiple of 10, 20 and 60 m pixels."""


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated instruments look at.

    All that lies in it is a function of seed, preset and place, so a larger domain holds the
    smaller one's land, roads and weather unchanged.
    """

    seed: int
    """Seed that everything follows from."""
    grid: GeoBox
    """The domain: north-up pixels of 10 m or 20 m, edges on multiples of 60 m, CRS in metres."""
    preset: Preset
    """Kind of world."""

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the domain's centre in degrees."""
        west, south, east, north = grids.lonlat_bbox(self.grid)
        return (west + east) / 2, (south + north) / 2

    @property
    def pixel_m(self) -> int:
        """Pixel size of the domain in metres."""
        return round(self.grid.affine.a)

    @property
    def air_grid(self) -> GeoBox:
        """Pixels of 250 m on their multiples, a margin of 40 km around the domain."""
        box = self.grid.extent.boundingbox
        left, bottom = (
            math.floor((v - AIR_MARGIN_M) / AIR_PIXEL_M) for v in (box.left, box.bottom)
        )
        right, top = (math.ceil((v + AIR_MARGIN_M) / AIR_PIXEL_M) for v in (box.right, box.top))
        corner = Affine(AIR_PIXEL_M, 0, left * AIR_PIXEL_M, 0, -AIR_PIXEL_M, top * AIR_PIXEL_M)
        return GeoBox((top - bottom, right - left), corner, self.grid.crs)

    def to_lonlat(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes in degrees of points in metres of the CRS."""
        transformer = pyproj.Transformer.from_crs(str(self.grid.crs), "EPSG:4326", always_xy=True)
        lon, lat = transformer.transform(x, y)
        return lon, lat

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield (rows, columns) of the squares that work is cut into."""
        side = BLOCK_M // self.pixel_m
        rows, cols = self.grid.shape
        for r in range(0, rows, side):
            for c in range(0, cols, side):
                yield slice(r, min(r + side, rows)), slice(c, min(c + side, cols))
