"""Emission of nitrogen oxides into the air."""

from collections.abc import Mapping
from dataclasses import dataclass

from odc.geo.geobox import GeoBox

from aqgeo.simulation.noise import FloatArray


@dataclass(frozen=True, slots=True)
class Inventory:
    """NOx by source on one grid of 250 m pixels."""

    grid: GeoBox
    """Where: the domain and a margin of 40 km."""
    sources: Mapping[str, FloatArray]
    """(y, x) mol m-2 s-1 as NO2, mean of the year: traffic, homes, industry, stacks, fires."""
    street: FloatArray
    """(y, x) increment of the NO2 concentration by near traffic, mean over each pixel and the week, ug m-3."""
