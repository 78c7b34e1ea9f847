"""Land: what covers the ground, how high it lies, who lives on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation.noise import FloatArray

(
    WATER, FOREST, CONIFER, CROPLAND, GRASS, BARE, SAND, LOOSE_URBAN, DENSE_URBAN, INDUSTRY, ROAD,
) = range(1, 12)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Land:
    """The ground on one grid of 10 m or 20 m pixels; arrays are (y, x)."""

    grid: GeoBox
    """Where."""
    cover: NDArray[np.uint8]
    """Class codes WATER to ROAD."""
    lot: FloatArray
    """A number from 0 to 1 that all pixels of one agricultural field share, evenly spread."""
    texture: FloatArray
    """Variation of brightness: patches and grain, standard deviation 1."""
    elevation: FloatArray
    """Height above the sea in m; 0 where there is sea."""
    population: FloatArray
    """Persons per km2."""
    vehicles: FloatArray
    """Vehicles a day on roads, 0 elsewhere."""
