"""Land: what covers the ground, how high it lies, who lives on it."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.special
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, roads, settlements, terrain
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.terrain import Terrain
from aqgeo.simulation.world import World

(
    WATER, FOREST, CONIFER, CROPLAND, GRASS, BARE, SAND, LOOSE_URBAN, DENSE_URBAN, INDUSTRY, ROAD,
) = range(1, 12)  # fmt: skip
_DETAIL_M = 20  # borders of forests and meadows have no detail below this
_BEACH_M = 5.0  # beaches lie lower than this
# Persons per km2 from which an area looks loosely and densely built.
_LOOSE, _DENSE = 900.0, 4500.0
_FIELD_M, _FIELD_TURN = (240.0, 360.0), 0.35


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


def draw(world: World, grid: GeoBox) -> Land:
    """Return the land of any window; what lies there depends on the place alone."""
    seed, preset = world.seed, world.preset
    ground = terrain.terrain(grid, seed, preset)
    people = settlements.population(grid, seed, preset)
    vehicles = roads.burn(seed, preset, grid)
    vehicles[ground.sea] = 0
    return Land(
        grid=grid,
        cover=_cover(world, grid, ground, people, vehicles),
        lot=_lots(grid, seed),
        texture=_texture(grid, seed),
        elevation=ground.elevation,
        population=people,
        vehicles=vehicles,
    )


def _cover(
    world: World, grid: GeoBox, ground: Terrain, people: FloatArray, vehicles: FloatArray
) -> NDArray[np.uint8]:
    wild, lush, kind, wet = (
        _landscape(grid, world.seed, name, outer)
        for name, outer in (("wild", 6_000), ("lush", 3_000), ("kind", 8_000), ("wet", 9_000))
    )
    # Forests keep to the hills, the more so conifers.
    preset = world.preset
    height = (ground.elevation - terrain.mean_m(preset)) / np.float32(2.5 * preset.relief_m)
    cover = np.full(grid.shape.yx, CROPLAND, "uint8")
    cover[lush > 0.6] = GRASS
    cover[lush < -1.9] = BARE
    cover[kind > _sand_level(preset.sand)] = SAND
    forest = wild + height > 0.45
    cover[forest] = np.where(kind[forest] + 2 * height[forest] > 0.3, CONIFER, FOREST)
    cover[(wet < -2.1) & (people < 1500)] = WATER
    if preset.sea:
        cover[ground.shore_m < _BEACH_M] = SAND
    cover[(people > _LOOSE) & (cover != WATER)] = LOOSE_URBAN
    cover[people > _DENSE] = DENSE_URBAN
    cover[terrain.rivers(grid, world.seed) | ground.sea] = WATER
    for site in settlements.works(world.seed, preset, settlements.bounds_of(grid)):
        _paint(cover, grid, site)
    cover[vehicles > 0] = ROAD
    return cover


def _sand_level(share: float) -> float:
    """Return the bound that a standard normal number exceeds with that chance."""
    return math.inf if share <= 0 else math.sqrt(2) * float(scipy.special.erfinv(1 - 2 * share))


def _landscape(grid: GeoBox, seed: int, name: str, outer_m: float) -> FloatArray:
    draw = partial(noise.field, seed=seed, purpose=name, slope=3.2, outer_m=outer_m)
    return noise.refined(grid, _DETAIL_M, draw)


def _paint(cover: NDArray[np.uint8], grid: GeoBox, site: settlements.Works) -> None:
    """Cover a rectangle with industry, water aside."""
    reach = math.hypot(site.half_length, site.half_width)
    col, row = (~grid.affine) * (site.x, site.y)
    span = reach / grid.affine.a
    rows = slice(max(math.floor(row - span), 0), max(math.ceil(row + span), 0))
    cols = slice(max(math.floor(col - span), 0), max(math.ceil(col + span), 0))
    part = cover[rows, cols]
    x = (np.arange(part.shape[1]) + cols.start + 0.5 - col) * grid.affine.a
    y = (row - np.arange(part.shape[0])[:, None] - rows.start - 0.5) * grid.affine.a
    c, s = math.cos(site.turn), math.sin(site.turn)
    inside = np.abs(x * c + y * s) < site.half_length
    inside &= np.abs(y * c - x * s) < site.half_width
    part[inside & (part != WATER)] = INDUSTRY


def _lots(grid: GeoBox, seed: int) -> FloatArray:
    """Return a random number for each field: bricks of 240 m x 360 m with bent hedges."""
    rows, cols = grid.shape
    bend = noise.refined(
        grid, 80, lambda g: noise.field(g, seed, "hedges", slope=4, outer_m=1500, inner_m=500)
    )
    x = grid.affine.c + (np.arange(cols) + 0.5) * grid.affine.a
    y = grid.affine.f + (np.arange(rows)[:, None] + 0.5) * grid.affine.e
    c, s = math.cos(_FIELD_TURN), math.sin(_FIELD_TURN)
    u = np.floor((x * c + y * s + 60 * bend) / _FIELD_M[0]).astype("int64")
    shift = _hashed(u, np.int64(seed))
    v = np.floor((y * c - x * s + 60 * bend) / _FIELD_M[1] + shift).astype("int64")
    return _hashed(u * 1_000_003 + v, np.int64(seed + 1)).astype("float32")


def _hashed(numbers: NDArray[np.int64], seed: np.int64) -> NDArray[np.float64]:
    """Return numbers from 0 to 1 that look random (the mixer of splitmix64)."""
    with np.errstate(over="ignore"):
        z = numbers.astype("uint64") + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) / float(2**53)


def _texture(grid: GeoBox, seed: int) -> FloatArray:
    """Return a mix of patches and of pixel-to-pixel variation."""
    patches = _landscape(grid, seed, "patches", 2_000)
    return np.float32(0.8) * patches + np.float32(0.6) * noise.white(grid, seed, "grain")
