"""The world: land, people, roads and what they emit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyproj
import scipy.ndimage
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.simulation import noise, roads
from aqgeo.simulation.noise import FloatArray

WATER, FOREST, CROPLAND, GRASS, LOOSE_URBAN, DENSE_URBAN, INDUSTRY, ROAD = range(1, 9)
PIXEL_M = 20
AIR_PIXEL_M = 500
AIR_MARGIN_M = 40_000
_COARSE = 5  # land is drawn on pixels of 100 m

# Clark's law D(r) = D0 exp(-b r); constants of a big city (simulation-facts, section 7; recalled).
_CITY_DENSITY, _CITY_DECAY_KM = 12_000.0, 0.25
_RURAL_DENSITY = 40.0  # persons per km2, order of rural Europe (recalled)
# 4-12 kg NOx per head and year (recalled); sectors after PMC6164929: transport 46 %, industry 15 %;
# energy stands apart as two power plants. Shares of the rest, rounded.
_KG_PER_HEAD, _KG_PER_MOL, _YEAR_S = 9.5, 0.046, 3.156e7
_SHARES = {"traffic": 0.6, "homes": 0.22, "industry": 0.18}
# A coal plant with catalyst .06-.1 kg/s, a gas plant .02-.06 kg/s (simulation-facts, 5; recalled).
_PLANTS_KG_S = (0.06, 0.03)
# Traffic minus background stations: +12 ug m-3 in towns (simulation-facts, section 5; measured),
# met beside roads of some 25 thousand vehicles a day.
_KERB_PER_VEHICLE = 12 / 25_000
# Half gone at 50-100 m, background at 200-500 m (simulation-facts, section 5; recalled).
_NEAR_M, _FAR_M, _NEAR_SHARE = 40, 150, 0.75


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated instruments look at; arrays are (y, x)."""

    seed: int
    """Seed that everything follows from."""
    grid: GeoBox
    """Pixels of 20 m."""
    air_grid: GeoBox
    """Pixels of 500 m, the same upper left corner less a margin of 40 km on all sides."""
    land_cover: NDArray[np.uint8]
    """Class codes on `grid`."""
    crop: NDArray[np.uint8]
    """State of the field on `grid`: 0 green, 1 stubble, 2 bare soil."""
    texture: FloatArray
    """Brightness variation on `grid`, standard deviation 1."""
    population: FloatArray
    """Persons per km2 on `grid`."""
    street: FloatArray
    """Increment of the NO2 concentration by near traffic on `grid`, mean of the day, ug m-3."""
    emission: Mapping[str, FloatArray]
    """NOx by source on `air_grid`, mean of the week, mol m-2 s-1."""
    city: tuple[float, float]
    """Centre of the city in metres of the CRS."""

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the domain's centre in degrees."""
        west, south, east, north = grids.lonlat_bbox(self.grid)
        return (west + east) / 2, (south + north) / 2

    def to_lonlat(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes in degrees of points in metres of the CRS."""
        transformer = pyproj.Transformer.from_crs(str(self.grid.crs), "EPSG:4326", always_xy=True)
        lon, lat = transformer.transform(x, y)
        return lon, lat


def build(grid: GeoBox, seed: int) -> World:
    """Return the world on a grid of 20 m pixels."""
    rng = noise.stream(seed, "world")
    scale = min(1.0, min(grid.shape) * PIXEL_M / 50_000)  # small domains get small towns
    towns = _towns(grid, scale, rng)
    population = _population(grid, towns, rng)
    vehicles = _vehicles(grid, towns, population, scale, rng)
    plants = _plants(grid, towns[0][:2], rng)
    land_cover = _land_cover(grid, population, vehicles, plants, rng)
    return World(
        seed=seed,
        grid=grid,
        air_grid=_air_grid(grid),
        land_cover=land_cover,
        crop=_crop(grid, rng),
        texture=_texture(grid, rng),
        population=population,
        street=_street(vehicles),
        emission=_emission(grid, population, vehicles, land_cover, plants, scale),
        city=towns[0][:2],
    )


def to_air(world: World, field: FloatArray) -> FloatArray:
    """Return the mean of a field over the pixels of 500 m, 0 outside the domain."""
    return _on_air_grid(field, world.grid) / np.float32((AIR_PIXEL_M // PIXEL_M) ** 2)


def _air_grid(grid: GeoBox) -> GeoBox:
    rows, cols = (
        -(-n * PIXEL_M // AIR_PIXEL_M) + 2 * AIR_MARGIN_M // AIR_PIXEL_M for n in grid.shape
    )
    left, top = grid.affine.c - AIR_MARGIN_M, grid.affine.f + AIR_MARGIN_M
    return GeoBox((rows, cols), Affine(AIR_PIXEL_M, 0, left, 0, -AIR_PIXEL_M, top), grid.crs)


def _on_air_grid(field: FloatArray, grid: GeoBox) -> FloatArray:
    pad = AIR_MARGIN_M // AIR_PIXEL_M
    return np.pad(noise.block_sum(field, AIR_PIXEL_M // PIXEL_M), pad)


Town = tuple[float, float, float, float]
"""x, y in metres, density at the centre in persons per km2, its decay per km."""


def _towns(grid: GeoBox, scale: float, rng: np.random.Generator) -> list[Town]:
    """Return the city, near the middle of the domain, and six towns around it."""
    rows, cols = grid.shape
    middle = grid.affine * (cols / 2, rows / 2)
    size = min(rows, cols) * PIXEL_M
    city = middle[0] + rng.uniform(-0.08, 0.08) * size, middle[1] + rng.uniform(-0.08, 0.08) * size
    towns: list[Town] = [(*city, _CITY_DENSITY, _CITY_DECAY_KM / scale)]
    for angle in rng.uniform(0, 0.6) + np.arange(6) * math.tau / 6:
        distance = rng.uniform(0.26, 0.4) * size
        x, y = city[0] + distance * math.cos(angle), city[1] + distance * math.sin(angle)
        towns.append((x, y, rng.uniform(2500, 6000), rng.uniform(0.9, 1.4) / scale))
    return towns


def _offsets(grid: GeoBox, x: float, y: float, step: int = 1) -> tuple[FloatArray, FloatArray]:
    """Return eastward (1, x) and northward (y, 1) distance of pixel centres from a point in m."""
    rows, cols = (np.arange(-(-n // step)) for n in grid.shape)
    east = grid.affine.c + (cols + 0.5) * PIXEL_M * step - x
    north = grid.affine.f - (rows + 0.5) * PIXEL_M * step - y
    return east[None, :].astype("float32"), north[:, None].astype("float32")


def _population(grid: GeoBox, towns: list[Town], rng: np.random.Generator) -> FloatArray:
    shape = (-(-grid.shape[0] // _COARSE), -(-grid.shape[1] // _COARSE))
    patchy = np.exp(0.35 * noise.fractal(shape, rng, slope=2.5, outer=40))
    density = np.full(shape, _RURAL_DENSITY, "float32")
    for x, y, centre, decay in towns:
        km = np.hypot(*_offsets(grid, x, y, _COARSE)) / 1000
        density += (centre * np.exp(-decay * km)).astype("float32")
    return noise.upsample((density * patchy).astype("float32"), _COARSE, grid.shape.yx)


def _vehicles(
    grid: GeoBox,
    towns: list[Town],
    population: FloatArray,
    scale: float,
    rng: np.random.Generator,
) -> FloatArray:
    city = towns[0][:2]
    angle = float(rng.uniform(0, 1.5))
    lattice = roads.burn(roads.streets(city, 15_000 * scale, 500, angle), grid)
    lattice[population < 1500] = 0
    reach = 2.0 * max(grid.shape) * PIXEL_M
    main = roads.network(city, [t[:2] for t in towns[1:]], 7_000 * scale, reach, rng)
    return np.maximum(lattice, roads.burn(main, grid))


def _plants(
    grid: GeoBox, city: tuple[float, float], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return (row, column) of the two power plants, outside the city on opposite sides."""
    col, row = ~grid.affine * city
    size, angle = min(grid.shape), rng.uniform(0, math.tau)
    spots = [(angle, 0.27), (angle + 2.6, 0.3)]
    return [
        (int(row + d * size * math.sin(a)), int(col + d * size * math.cos(a))) for a, d in spots
    ]


def _land_cover(
    grid: GeoBox,
    population: FloatArray,
    vehicles: FloatArray,
    plants: list[tuple[int, int]],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    wild, lush, works, low = (_landscape(grid, rng, outer) for outer in (60, 30, 15, 80))
    cover = np.full(grid.shape.yx, CROPLAND, "uint8")
    cover[lush > 0.7] = GRASS
    cover[wild > 0.45] = FOREST
    cover[population > 900] = LOOSE_URBAN
    cover[population > 4500] = DENSE_URBAN
    cover[(works > 1.6) & (population > 300) & (population < 6000)] = INDUSTRY
    cover[((low < -2.0) & (population < 2000)) | _river(grid, rng)] = WATER
    cover[vehicles > 0] = ROAD
    half = 200 // PIXEL_M  # a plant's site is some 400 m wide
    for row, col in plants:
        cover[row - half : row + half, col - half : col + half] = INDUSTRY
    return cover


def _landscape(grid: GeoBox, rng: np.random.Generator, outer: float) -> FloatArray:
    shape = (-(-grid.shape[0] // _COARSE), -(-grid.shape[1] // _COARSE))
    return noise.upsample(noise.fractal(shape, rng, slope=3, outer=outer), _COARSE, grid.shape.yx)


def _river(grid: GeoBox, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the pixels of a river 160 m wide that winds from west to east."""
    rows, cols = grid.shape
    t = np.arange(cols) / cols
    waves = rng.normal(0, 0.03, 4)[:, None] * np.sin(math.tau * np.outer([1, 2, 3, 5], t) + 1)
    course = (rng.uniform(0.35, 0.65) + waves.sum(axis=0)) * rows
    return np.asarray(np.abs(np.arange(rows)[:, None] - course[None, :]) * PIXEL_M < 80)


def _crop(grid: GeoBox, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the state of fields of 240 m x 360 m, drawn field by field."""
    east, north = _offsets(grid, grid.affine.c, grid.affine.f)
    turn = rng.uniform(0, 1)
    u = ((east * math.cos(turn) + north * math.sin(turn)) / 240).astype("int32") % 256
    v = ((north * math.cos(turn) - east * math.sin(turn)) / 360).astype("int32") % 256
    states = rng.choice(3, size=(256, 256), p=[0.6, 0.25, 0.15])
    return np.asarray(states.astype("uint8")[v, u])


def _texture(grid: GeoBox, rng: np.random.Generator) -> FloatArray:
    """Return a mix of patches and of pixel-to-pixel variation."""
    grain = rng.standard_normal(grid.shape.yx, dtype="float32")
    return np.float32(0.8) * _landscape(grid, rng, 20) + np.float32(0.6) * grain


def _street(vehicles: FloatArray) -> FloatArray:
    """Return the NO2 increment beside roads; contributions of roads add up.

    A line one pixel wide has the peak 1 / (sigma sqrt(2 pi)) after a Gaussian filter of sigma
    pixels, hence the factor.
    """
    found = np.zeros_like(vehicles)
    for metres, share in ((_NEAR_M, _NEAR_SHARE), (_FAR_M, 1 - _NEAR_SHARE)):
        sigma = metres / PIXEL_M
        peak = share * _KERB_PER_VEHICLE * sigma * math.sqrt(math.tau)
        spread = scipy.ndimage.gaussian_filter(vehicles, sigma, truncate=3, mode="nearest")
        found += np.float32(peak) * spread
    return found


def _emission(
    grid: GeoBox,
    population: FloatArray,
    vehicles: FloatArray,
    land_cover: NDArray[np.uint8],
    plants: list[tuple[int, int]],
    scale: float,
) -> dict[str, FloatArray]:
    """Return NOx by source: each sector's total is spread by what it belongs to."""
    heads = float(population.sum(dtype="float64")) * (PIXEL_M / 1000) ** 2
    total = heads * _KG_PER_HEAD / _YEAR_S / _KG_PER_MOL / AIR_PIXEL_M**2  # mol s-1 per m2 of pixel
    works = (land_cover == INDUSTRY).astype("float32")
    spread = {"traffic": vehicles, "homes": population, "industry": works}
    found = {}
    for source, share in _SHARES.items():
        weight = _on_air_grid(spread[source], grid)
        found[source] = weight * np.float32(total * share / max(float(weight.sum()), 1e-9))
    stacks = np.zeros(grid.shape.yx, "float32")
    for spot, kg_s in zip(plants, _PLANTS_KG_S, strict=True):
        stacks[spot] = scale * kg_s / _KG_PER_MOL / AIR_PIXEL_M**2
    return {**found, "stacks": _on_air_grid(stacks, grid)}
