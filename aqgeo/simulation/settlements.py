"""Settlements: cities, towns and villages, their people and their power plants."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, terrain
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.presets import Preset

CITY, TOWN, VILLAGE = range(3)
Bounds = tuple[float, float, float, float]

CELL_M = (48_000.0, 12_000.0, 4_000.0)
"""Side of the squares that hold at most one city, one town, one village each."""
RURAL_DENSITY = 30.0
"""Persons per km2 of open land, order of rural Europe (recalled)."""
_SMOOTH_M = 80  # population has no detail below this
# Share of squares that have one; people at the centre per km2 and decay per km by Clark's law
# D(r) = D0 exp(-b r): b .1-.25 big, .3-.6 small cities (simulation-facts, section 7; constants
# recalled), steeper for towns and villages.
_CHANCE = (0.92, 0.8, 0.75)
_DENSITY = ((7_000, 15_000), (2_500, 6_000), (600, 1_800))
_DECAY = ((0.26, 0.45), (0.9, 1.4), (2.2, 3.2))
# NOx of a plant in kg/s: coal with catalyst .06-.1, without .4-.8, gas .02-.06; stacks in m
# (simulation-facts, section 5; recalled); lignite without catalyst is left out.
_ESTATES = {CITY: (8, 15), TOWN: (0, 3)}  # industrial estates of a city and of a town
_FUELS = (("coal", 0.04, 0.09, 150.0), ("gas", 0.015, 0.045, 60.0), ("waste", 0.004, 0.01, 80.0))


@dataclass(frozen=True, slots=True)
class Settlement:
    """A place where people live, about one centre."""

    rank: int
    """CITY, TOWN or VILLAGE."""
    cell: tuple[int, int]
    """Column and row of its square; rows run northward."""
    x: float
    """Easting of the centre in metres of the CRS."""
    y: float
    """Northing."""
    density: float
    """Persons per km2 at the centre."""
    decay: float
    """By which density falls, per km."""
    turn: float
    """Direction of its streets in radians."""

    @property
    def people(self) -> float:
        """Inhabitants: 2 pi D0 / b^2 (Clark 1951)."""
        return math.tau * self.density / self.decay**2

    def radius_m(self, density: float) -> float:
        """Return the distance at which that many persons per km2 are left, m; 0 if nowhere."""
        return 1000 * max(math.log(self.density / density), 0.0) / self.decay


@dataclass(frozen=True, slots=True)
class Plant:
    """A power plant with one stack."""

    x: float
    """Easting in metres of the CRS."""
    y: float
    """Northing."""
    fuel: str
    """coal, gas or waste."""
    nox_kg_s: float
    """NOx as NO2, mean of the year, kg/s."""
    stack_m: float
    """Height of the stack in m."""


@dataclass(frozen=True, slots=True)
class Works:
    """An industrial estate: a rectangle."""

    x: float
    """Easting of the centre in metres of the CRS."""
    y: float
    """Northing."""
    half_length: float
    """Half of its length in m."""
    half_width: float
    """Half of its width in m."""
    turn: float
    """Direction of its length in radians."""


@lru_cache(maxsize=65536)
def settlement(seed: int, preset: Preset, rank: int, col: int, row: int) -> Settlement | None:
    """Return the settlement of a square, if it has one on dry land."""
    rng = noise.stream(seed, "settlement", rank, col, row)
    chance, u, v, turn = rng.random(4)
    size = CELL_M[rank]
    x, y = (col + 0.25 + 0.5 * u) * size, (row + 0.25 + 0.5 * v) * size
    density, decay = rng.uniform(*_DENSITY[rank]), rng.uniform(*_DECAY[rank])
    at = np.array([x]), np.array([y])
    if chance > _CHANCE[rank] or terrain.in_sea(*at, seed, preset)[0]:
        return None
    decay /= math.sqrt(preset.people)
    return Settlement(rank, (col, row), x, y, density, decay, turn * math.pi / 2)


def near(seed: int, preset: Preset, rank: int, bounds: Bounds, reach_m: float) -> list[Settlement]:
    """Return the settlements of a rank whose squares lie within a distance of bounds.

    Args:
        seed: seed of the world.
        preset: kind of world.
        rank: CITY, TOWN or VILLAGE.
        bounds: left, bottom, right, top in metres of the CRS.
        reach_m: distance.
    """
    left, bottom, right, top = bounds
    found = (
        settlement(seed, preset, rank, col, row)
        for row in _cells(bottom - reach_m, top + reach_m, rank)
        for col in _cells(left - reach_m, right + reach_m, rank)
    )
    return [s for s in found if s is not None]


def population(grid: GeoBox, seed: int, preset: Preset) -> FloatArray:
    """Return persons per km2, (y, x), on pixels of 10 m times a power of two."""
    return noise.refined(grid, _SMOOTH_M, lambda coarse: _density(coarse, seed, preset))


def _density(grid: GeoBox, seed: int, preset: Preset) -> FloatArray:
    patchy = noise.field(grid, seed, "people", slope=2.6, outer_m=4_000, inner_m=200)
    x, y = _centres(grid)
    density = np.full(grid.shape.yx, RURAL_DENSITY * preset.people, "float32")
    for rank, reach in ((CITY, 40_000), (TOWN, 9_000), (VILLAGE, 3_000)):
        for place in near(seed, preset, rank, bounds_of(grid), reach):
            # None beyond its reach, so that a window needs only what is near.
            col, row = np.searchsorted(x, place.x - reach), np.searchsorted(-y, -place.y - reach)
            cols = slice(col, np.searchsorted(x, place.x + reach))
            rows = slice(row, np.searchsorted(-y, -place.y + reach))
            km = np.hypot(
                x[None, cols] - np.float32(place.x), y[rows, None] - np.float32(place.y)
            ) / np.float32(1000)
            share = np.exp(np.float32(-place.decay) * km)
            share -= np.float32(math.exp(-place.decay * reach / 1000))
            density[rows, cols] += np.float32(place.density) * np.maximum(share, 0)
    return np.asarray(density * np.exp(np.float32(0.4) * patchy - np.float32(0.08)))


def works(seed: int, preset: Preset, bounds: Bounds) -> list[Works]:
    """Return the industrial estates that may touch bounds: by cities, towns and at power plants."""
    left, bottom, right, top = bounds
    wide = (left - 1000, bottom - 1000, right + 1000, top + 1000)
    found = [Works(plant.x, plant.y, 250, 250, 0.0) for plant in plants(seed, preset, wide)]
    for rank, reach in ((CITY, 20_000), (TOWN, 5_000)):
        for place in near(seed, preset, rank, wide, reach):
            rng = noise.stream(seed, "works", rank, *place.cell)
            edge = place.radius_m(1_500)
            for _ in range(int(rng.integers(*_ESTATES[rank]))):
                angle, away = rng.uniform(0, math.tau), edge * rng.uniform(0.7, 1.25)
                x, y = place.x + away * math.cos(angle), place.y + away * math.sin(angle)
                length, width = rng.uniform(120, 420, 2)
                found.append(Works(x, y, length, width, place.turn))
    wet = terrain.in_sea(
        np.array([w.x for w in found]), np.array([w.y for w in found]), seed, preset
    )
    return [w for w, sea in zip(found, wet, strict=True) if not sea and within(wide, w.x, w.y)]


def plants(seed: int, preset: Preset, bounds: Bounds) -> list[Plant]:
    """Return the power plants within bounds: two by each city, on its outskirts."""
    found = []
    for city in near(seed, preset, CITY, bounds, 30_000):
        rng = noise.stream(seed, "plants", *city.cell)
        angle = rng.uniform(0, math.tau)
        for number in range(int(rng.integers(1, 3))):
            fuel, low, high, stack = _FUELS[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
            away = rng.uniform(9_000, 16_000)
            x = city.x + away * math.cos(angle + 2.5 * number)
            y = city.y + away * math.sin(angle + 2.5 * number)
            found.append(Plant(x, y, fuel, rng.uniform(low, high), stack))
    wet = terrain.in_sea(
        np.array([p.x for p in found]), np.array([p.y for p in found]), seed, preset
    )
    return [p for p, w in zip(found, wet, strict=True) if not w and within(bounds, p.x, p.y)]


def fires(seed: int, preset: Preset, bounds: Bounds) -> list[tuple[float, float, float]]:
    """Return easting, northing and strength (mean 1) of the fires of a preset within bounds."""
    found = []
    for row in _cells(bounds[1], bounds[3], TOWN):
        for col in _cells(bounds[0], bounds[2], TOWN):
            rng = noise.stream(seed, "fires", col, row)
            if rng.random() < preset.fires * (CELL_M[TOWN] / 100_000) ** 2:
                u, v = rng.random(2)
                at = (col + u) * CELL_M[TOWN], (row + v) * CELL_M[TOWN]
                found.append((*at, float(rng.lognormal(-0.32, 0.8))))
    return [fire for fire in found if within(bounds, fire[0], fire[1])]


def bounds_of(grid: GeoBox) -> Bounds:
    """Return left, bottom, right, top of a grid in metres of its CRS."""
    box = grid.boundingbox
    return box.left, box.bottom, box.right, box.top


def within(bounds: Bounds, x: float, y: float) -> bool:
    """Tell whether a point lies in bounds (left, bottom, right, top)."""
    left, bottom, right, top = bounds
    return left <= x < right and bottom <= y < top


def _cells(low: float, high: float, rank: int) -> Iterator[int]:
    size = CELL_M[rank]
    return iter(range(math.floor(low / size), math.floor(high / size) + 1))


def _centres(grid: GeoBox) -> tuple[FloatArray, FloatArray]:
    """Return eastings and northings of pixel centres in metres; float32 keeps .5 m."""
    rows, cols = grid.shape
    x = grid.affine.c + (np.arange(cols) + 0.5) * grid.affine.a
    y = grid.affine.f + (np.arange(rows) + 0.5) * grid.affine.e
    return x.astype("float32"), y.astype("float32")
