"""The road network: what traffic each road carries."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, settlements, terrain
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.presets import Preset
from aqgeo.simulation.settlements import CITY, TOWN, VILLAGE, Bounds, Settlement

# Vehicles per day (simulation-facts, section 7; recalled): motorway 50-120 thousand, primary
# 15-40, secondary 5-15, local streets .2-2.
MOTORWAY, PRIMARY, SECONDARY, STREET = 60_000.0, 18_000.0, 5_000.0, 2_000.0
_BETWEEN = {CITY: MOTORWAY, TOWN: 9_000.0, VILLAGE: 2_500.0}
_STEPS = ((1, 0), (0, 1), (1, 1), (1, -1))  # squares that a settlement's roads lead to
_DIAGONALS = 0.3  # share of diagonal roads that exist
_STREET_M = {CITY: 400.0, TOWN: 250.0}
_STREET_DENSITY = 1200.0  # streets where at least so many persons per km2 live

Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Road:
    """One road."""

    line: Line
    """(point, 2) eastings and northings in metres of the CRS."""
    vehicles: float
    """Vehicles per day."""


def network(seed: int, preset: Preset, bounds: Bounds) -> Iterator[Road]:
    """Yield the roads that may touch bounds (left, bottom, right, top in metres)."""
    for rank in (VILLAGE, TOWN, CITY):
        size = settlements.CELL_M[rank]
        for place in settlements.near(seed, preset, rank, bounds, 1.6 * size):
            yield from _outward(seed, preset, place)
    for rank in (TOWN, CITY):
        reach = settlements.CELL_M[rank] / 2
        for place in settlements.near(seed, preset, rank, bounds, reach):
            yield from _local(seed, place)


def burn(seed: int, preset: Preset, grid: GeoBox) -> FloatArray:
    """Return (y, x) vehicles per day; where roads cross, the busier one counts."""
    image = np.zeros(grid.shape.yx, "float32")
    # Three points a pixel leave no gap; a road's points do not depend on the window.
    for road in network(seed, preset, settlements.bounds_of(grid)):
        rows, cols = _pixels(_spread(road.line, grid.affine.a / 3)[0], grid)
        np.maximum.at(image, (rows, cols), np.float32(road.vehicles))
    return image


def traffic(seed: int, preset: Preset, grid: GeoBox, step_m: float = 50.0) -> FloatArray:
    """Return vehicle kilometres per day in each pixel, (y, x); roads at sea carry none.

    Args:
        seed: seed of the world.
        preset: kind of world.
        grid: north-up pixels of any size.
        step_m: length of the pieces that a road is counted by.
    """
    spots, weights = [], []
    for road in network(seed, preset, settlements.bounds_of(grid)):
        points, length = _spread(road.line, step_m)
        spots.append(points)
        weights.append(np.full(len(points), road.vehicles * length / 1000))
    if not spots:
        return np.zeros(grid.shape.yx, "float32")
    points, km = np.concatenate(spots), np.concatenate(weights)
    inside = _inside(points, grid)
    points, km = points[inside], km[inside]
    km[terrain.in_sea(points[:, 0], points[:, 1], seed, preset)] = 0
    total = np.zeros(grid.shape.yx)
    np.add.at(total, _pixels(points, grid), km)
    return total.astype("float32")


@lru_cache(maxsize=16384)
def _outward(seed: int, preset: Preset, place: Settlement) -> tuple[Road, ...]:
    """Return the roads from a settlement to those of its rank east and north of it."""
    found = []
    for number, (right, up) in enumerate(_STEPS):
        col, row = place.cell[0] + right, place.cell[1] + up
        other = settlements.settlement(seed, preset, place.rank, col, row)
        rng = noise.stream(seed, "roads", place.rank, *place.cell, number)
        if other is None or (number > 1 and rng.random() > _DIAGONALS):
            continue
        start, end = np.array([place.x, place.y]), np.array([other.x, other.y])
        if place.rank == CITY:  # a motorway ends at the ring
            way = (end - start) / np.hypot(*(end - start))
            start, end = start + way * _ring_m(place), end - way * _ring_m(other)
        busy = _BETWEEN[place.rank] * min(float(rng.lognormal(-0.05, 0.3)), 1.6)
        found.append(Road(_curve(start, end, rng), busy))
    return tuple(found)


@lru_cache(maxsize=4096)
def _local(seed: int, place: Settlement) -> tuple[Road, ...]:
    """Return a place's own roads: streets, for a city a ring and radial roads too."""
    rng = noise.stream(seed, "streets", place.rank, *place.cell)
    found = list(_streets(place))
    if place.rank != CITY:
        return tuple(found)
    ring, centre = _ring_m(place), np.array([place.x, place.y])
    size = math.sqrt(place.people / 1e6)
    count = int(rng.integers(6, 9))
    for angle in rng.uniform(0, 1) + np.arange(count) * math.tau / count:
        away = centre + 1.8 * ring * np.array([math.cos(angle), math.sin(angle)])
        found.append(Road(_curve(centre, away, rng), PRIMARY * min(size, 1.5)))
    angles = np.arange(25) * math.tau / 24
    radius = ring * np.append(rng.uniform(0.93, 1.07, 24), 0)
    radius[-1] = radius[0]
    circle = centre + np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    return (*found, Road(circle, MOTORWAY * min(size, 1.5)))


def _streets(place: Settlement) -> Iterator[Road]:
    """Yield two families of parallel streets where people live densely; every fourth is busier."""
    radius, spacing = place.radius_m(_STREET_DENSITY), _STREET_M[place.rank]
    count = int(radius / spacing)
    for turn in (place.turn, place.turn + math.pi / 2):
        along = np.array([math.cos(turn), math.sin(turn)])
        aside = np.array([-along[1], along[0]])
        for number in range(-count, count + 1):
            half = math.sqrt(max(radius**2 - (number * spacing) ** 2, 0))
            middle = np.array([place.x, place.y]) + aside * number * spacing
            line = np.stack([middle - along * half, middle + along * half])
            main = number % 4 == 0 and place.rank == CITY
            yield Road(line, SECONDARY * 1.6 if main else STREET)


def _ring_m(city: Settlement) -> float:
    """Return the radius of a city's ring motorway."""
    return 1600 / city.decay


def _curve(start: Line, end: Line, rng: np.random.Generator) -> Line:
    """Return a gently winding line between two points."""
    t = np.linspace(0, 1, 33)
    bend = rng.normal(0, 0.05) * np.sin(math.pi * t) + rng.normal(0, 0.03) * np.sin(3 * math.pi * t)
    (x0, y0), (x1, y1) = start, end
    x, y = x0 + (x1 - x0) * t - (y1 - y0) * bend, y0 + (y1 - y0) * t + (x1 - x0) * bend
    return np.column_stack([x, y])


def _inside(points: Line, grid: GeoBox) -> NDArray[np.bool_]:
    """Tell which points lie in a grid."""
    left, bottom, right, top = settlements.bounds_of(grid)
    x, y = points.T
    return np.asarray((x >= left) & (x < right) & (y > bottom) & (y <= top))


def _pixels(points: Line, grid: GeoBox) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the points that lie in a grid."""
    x, y = points[_inside(points, grid)].T
    rows = ((y - grid.affine.f) / grid.affine.e).astype(np.intp)
    return rows, ((x - grid.affine.c) / grid.affine.a).astype(np.intp)


def _spread(line: Line, step_m: float) -> tuple[Line, float]:
    """Return points evenly spread along a line, each for a piece of the length returned."""
    pieces = np.hypot(*np.diff(line, axis=0).T)
    total = float(pieces.sum())
    count = max(math.ceil(total / step_m), 1)
    at = (np.arange(count) + 0.5) * total / count
    along = np.concatenate([[0], np.cumsum(pieces)])
    points = np.column_stack([np.interp(at, along, line[:, k]) for k in (0, 1)])
    return points, total / count
