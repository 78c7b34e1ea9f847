"""The road network: what traffic each pixel carries."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import rasterio.features
from odc.geo.geobox import GeoBox
from shapely.geometry import LineString

from aqgeo.simulation.noise import FloatArray

Point = tuple[float, float]

# Vehicles per day (simulation-facts, section 7; recalled): motorway 50-120 thousand, primary
# 15-40, secondary 5-15, local streets .2-2.
MOTORWAY, PRIMARY, SECONDARY, STREET = 60_000.0, 20_000.0, 8_000.0, 2_500.0


@dataclass(frozen=True, slots=True)
class Road:
    """One road."""

    line: LineString
    """Course in metres of the grid's CRS."""
    vehicles: float
    """Vehicles per day."""


def network(
    city: Point, towns: list[Point], radius_m: float, reach_m: float, rng: np.random.Generator
) -> list[Road]:
    """Return the main roads: a ring and its motorways, radial roads, roads between towns.

    Args:
        city: centre of the city, metres.
        towns: centres of the other towns, metres.
        radius_m: radius of the ring motorway.
        reach_m: length of motorways, past the edge of the domain.
        rng: source of the numbers.
    """
    roads = [Road(_curve(a, b, rng), SECONDARY) for a, b in pairwise(towns)]
    roads += [Road(_curve(city, town, rng), PRIMARY) for town in towns]
    start = rng.uniform(0, math.tau)
    for angle in start + np.arange(5) * math.tau / 5:
        roads.append(Road(_curve(city, _polar(city, 2.5 * radius_m, angle), rng), PRIMARY))
    for angle in start + np.arange(3) * math.tau / 3 + 0.5:
        gate = _polar(city, radius_m, angle)
        roads.append(Road(_curve(gate, _polar(city, reach_m, angle), rng), MOTORWAY))
    ring = [_polar(city, radius_m * rng.uniform(0.92, 1.08), a) for a in np.arange(24) / 24 * 6.283]
    return [*roads, Road(LineString([*ring, ring[0]]), MOTORWAY)]


def streets(city: Point, radius_m: float, spacing_m: float, angle: float) -> list[Road]:
    """Return two families of parallel streets around the centre of the city."""
    found = []
    for turn in (angle, angle + math.pi / 2):
        along = (math.cos(turn), math.sin(turn))
        for offset in np.arange(-radius_m, radius_m, spacing_m):
            x, y = city[0] - along[1] * offset, city[1] + along[0] * offset
            ends = [(x + s * radius_m * along[0], y + s * radius_m * along[1]) for s in (-1, 1)]
            found.append(Road(LineString(ends), STREET))
    return found


def burn(roads: list[Road], grid: GeoBox) -> FloatArray:
    """Return (y, x) vehicles per day; where roads cross, the busier one counts."""
    ordered = sorted(roads, key=lambda road: road.vehicles)
    image = rasterio.features.rasterize(
        [(road.line, road.vehicles) for road in ordered],
        out_shape=grid.shape.yx,
        transform=grid.affine,
        all_touched=True,
        dtype="float32",
    )
    return image  # type: ignore[no-any-return]


def _polar(centre: Point, distance: float, angle: float) -> Point:
    return centre[0] + distance * math.cos(angle), centre[1] + distance * math.sin(angle)


def _curve(start: Point, end: Point, rng: np.random.Generator) -> LineString:
    """Return a gently winding line between two points."""
    (x0, y0), (x1, y1) = start, end
    t = np.linspace(0, 1, 33)
    bend = rng.normal(0, 0.04) * np.sin(math.pi * t) + rng.normal(0, 0.02) * np.sin(3 * math.pi * t)
    return LineString(
        np.column_stack(
            [x0 + (x1 - x0) * t - (y1 - y0) * bend, y0 + (y1 - y0) * t + (x1 - x0) * bend]
        )
    )
