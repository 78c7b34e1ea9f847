"""Emission of nitrogen oxides into the air, by source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.simulation import roads, settlements
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.world import World

_KG_PER_MOL, _YEAR_S, _DAY_S = 0.046, 3.156e7, 86_400
# Fleet mean .35-.45 g/km in 2019 (simulation-facts, section 5; recalled).
_G_PER_VEHICLE_KM = 0.4
# 4-12 kg NOx per head and year in all (recalled), of which homes and trade about a fifth.
_HOMES_KG_PER_HEAD = 2.0
# Illustrative: gives industry some 15 % of a city's total (sectors: PMC6164929).
_WORKS_KG_PER_M2_YEAR = 0.25
_FIRE_KG_S = 0.03  # illustrative: a fire that TROPOMI just sees (.03-.11 kg/s, Beirle 2019)
_PEOPLE_M = 160


@dataclass(frozen=True, slots=True)
class Inventory:
    """NOx by source on one grid of 250 m pixels."""

    grid: GeoBox
    """Where: the domain and a margin of 40 km."""
    sources: Mapping[str, FloatArray]
    """(y, x) mol m-2 s-1 as NO2, mean of the year: traffic, homes, industry, stacks, fires."""
    traffic: FloatArray
    """(y, x) vehicle metres per day and square metre of ground."""


def inventory(world: World) -> Inventory:
    """Return what a world emits on its air grid."""
    grid, (seed, preset) = world.air_grid, (world.seed, world.preset)
    bounds = settlements.bounds_of(grid)
    area = grid.affine.a**2
    driven = roads.traffic(seed, preset, grid) * np.float32(1000 / area)
    stacks = [(p.x, p.y, p.nox_kg_s) for p in settlements.plants(seed, preset, bounds)]
    fires = [(x, y, s * _FIRE_KG_S) for x, y, s in settlements.fires(seed, preset, bounds)]
    works = [
        (w.x, w.y, 4 * w.half_length * w.half_width * _WORKS_KG_PER_M2_YEAR / _YEAR_S)
        for w in settlements.works(seed, preset, bounds)
    ]
    kg = {  # kg m-2 s-1
        "traffic": driven * (_G_PER_VEHICLE_KM * 1e-6 / _DAY_S),
        "homes": population(world) * (_HOMES_KG_PER_HEAD * 1e-6 / _YEAR_S),
        "industry": points(grid, works) / area,
        "stacks": points(grid, stacks) / area,
        "fires": points(grid, fires) / area,
    }
    sources = {name: (v / _KG_PER_MOL).astype("float32") for name, v in kg.items()}
    return Inventory(grid, sources, driven)


def population(world: World) -> FloatArray:
    """Return persons per km2 on the air grid."""
    grid = world.air_grid
    left, bottom, right, top = grid.pad(2).boundingbox
    cols = math.floor(left / _PEOPLE_M), math.ceil(right / _PEOPLE_M)
    rows = math.floor(-top / _PEOPLE_M), math.ceil(-bottom / _PEOPLE_M)
    corner = Affine(_PEOPLE_M, 0, cols[0] * _PEOPLE_M, 0, -_PEOPLE_M, -rows[0] * _PEOPLE_M)
    fine = GeoBox((rows[1] - rows[0], cols[1] - cols[0]), corner, grid.crs)
    people = settlements.population(fine, world.seed, world.preset)
    x = grid.affine.c + (np.arange(grid.shape[1]) + 0.5) * grid.affine.a
    y = grid.affine.f + (np.arange(grid.shape[0]) + 0.5) * grid.affine.e
    at = np.meshgrid(
        (corner.f - y) / _PEOPLE_M - 0.5, (x - corner.c) / _PEOPLE_M - 0.5, indexing="ij"
    )
    found = scipy.ndimage.map_coordinates(people, at, order=1, mode="nearest")
    return np.asarray(found, "float32")


def points(grid: GeoBox, found: list[tuple[float, float, float]]) -> FloatArray:
    """Return sums of (easting, northing, amount) in each pixel."""
    total = np.zeros(grid.shape.yx, "float32")
    for x, y, amount in found:
        col, row = (~grid.affine) * (x, y)
        if 0 <= row < total.shape[0] and 0 <= col < total.shape[1]:
            total[int(row), int(col)] += amount
    return total
