"""Sentinel-2 L2A scenes of the world, one Cloud-Optimized GeoTIFF a band."""

import math
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import clouds, noise, sun
from aqgeo.simulation.clouds import Clouds
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.world import (
    CROPLAND,
    DENSE_URBAN,
    FOREST,
    GRASS,
    INDUSTRY,
    LOOSE_URBAN,
    PIXEL_M,
    ROAD,
    WATER,
    World,
)

BASELINE = "05.10"
SCALE, OFFSET = 1e-4, -0.1  # (DN - 1000)/10000 from baseline 04.00 on (simulation-facts, section 1)
BANDS = ("B02", "B03", "B04", "B08")
_GREEN_CROP, _STUBBLE, _BARE = 9, 10, 11
# Mean reflectance of B02, B03, B04, B08, spread between pixels (simulation-facts, section 2).
SPECTRA = {
    WATER: ((0.045, 0.054, 0.025, 0.008), 0.10),
    FOREST: ((0.020, 0.045, 0.025, 0.38), 0.15),
    GRASS: ((0.04, 0.070, 0.055, 0.33), 0.20),
    LOOSE_URBAN: ((0.065, 0.088, 0.090, 0.26), 0.30),  # half town, half garden
    DENSE_URBAN: ((0.090, 0.105, 0.130, 0.188), 0.30),
    INDUSTRY: ((0.153, 0.169, 0.192, 0.270), 0.35),
    ROAD: ((0.065, 0.075, 0.090, 0.119), 0.20),
    _GREEN_CROP: ((0.030, 0.059, 0.033, 0.451), 0.15),
    _STUBBLE: ((0.107, 0.137, 0.161, 0.315), 0.20),
    _BARE: ((0.096, 0.128, 0.163, 0.231), 0.25),
}
_SCL_LAND = {WATER: 6, FOREST: 4, GRASS: 4, _GREEN_CROP: 4}  # all else is 5, not vegetated
# Thick cloud relative to its mean over the four bands (simulation-facts, section 2; measured).
_CLOUD_COLOUR = (1.06, 0.99, 0.95, 1.0)
# Shadow: between diffuse light plus edge light (recalled) and the measured factors of section 2.
_SHADOW = (0.72, 0.68, 0.62, 0.50)
_NOISE = 0.0013  # 1 sigma by the signal-to-noise ratio in orbit (simulation-facts, section 1)
_SHADOW_LIGHT = 0.7  # shadow where less than this of the direct sunlight arrives


@dataclass(frozen=True, slots=True)
class Scene:
    """One planned acquisition."""

    day: date
    """Date of the overpass, UTC."""
    platform: str
    """`S2A` or `S2B`."""
    cover: float
    """Fraction of the domain under cloud, 0 to 1."""

    def when(self, world: World) -> datetime:
        """Return the instant of the overpass, UTC."""
        return sun.overpass(self.day, *world.lonlat, satellite="sentinel-2")


def sky(world: World, scene: Scene) -> Clouds:
    """Return the true clouds over the world's grid."""
    angles = sun.position(scene.when(world), *world.lonlat)
    return clouds.draw(
        world.seed, scene.day, world.grid.shape.yx, PIXEL_M, cover=scene.cover, sun=angles
    )


def material(world: World) -> NDArray[np.uint8]:
    """Return (y, x) codes of what is seen: land cover with cropland split by its state."""
    crop = world.crop + np.uint8(_GREEN_CROP)
    return np.where(world.land_cover == CROPLAND, crop, world.land_cover)


def write(world: World, scene: Scene, folder: Path, stem: str) -> dict[str, float]:
    """Write `<stem>_<band>.tif` of a scene.

    Returns:
        Shares of the classes of the scene classification in percent, by class code as text.
    """
    seen, air = material(world), sky(world, scene)
    mu = math.cos(math.radians(sun.position(scene.when(world), *world.lonlat)[0]))
    up = clouds.reflectance(air.thickness, mu)
    through = (1 - up) * (1 - clouds.reflectance(air.thickness, 1.0))
    for number, band in enumerate(BANDS):
        ground = _ground(world, seen, air.sunlight, number)
        # Two-stream cloud of reflectance R above the ground (simulation-facts, section 3;
        # recalled): R + T(sun) T(view) ground / (1 - R ground).
        rho = up * np.float32(_CLOUD_COLOUR[number]) + through * ground / (1 - up * ground)
        rng = noise.stream(world.seed, "detector", scene.day.toordinal(), number)
        rho += np.float32(_NOISE) * rng.standard_normal(rho.shape, dtype="float32")
        dn = np.clip(np.rint((rho - OFFSET) / SCALE), 1, 65534).astype("uint16")
        _write_cog(folder / f"{stem}_{band}.tif", dn, world.grid, "AVERAGE")
    scl = classify(world, scene, seen, air)
    _write_cog(folder / f"{stem}_SCL.tif", scl, world.grid, "MODE")
    counts = np.bincount(scl.ravel(), minlength=12)
    return {str(code): 100 * float(n) / scl.size for code, n in enumerate(counts)}


def classify(world: World, scene: Scene, seen: NDArray[np.uint8], air: Clouds) -> NDArray[np.uint8]:
    """Return the scene classification: the truth, with some of Sen2Cor's mistakes.

    Mistakes (simulation-facts, section 1): thin cloud missed, bright roofs taken for cloud, shadow
    missed or called dark area.
    """
    rng = noise.stream(world.seed, "scl", scene.day.toordinal())
    shape = seen.shape
    coarse = noise.fractal((-(-shape[0] // 5), -(-shape[1] // 5)), rng, slope=2)
    doubt = noise.upsample(coarse, 5, (shape[0], shape[1]))
    lookup = np.full(_BARE + 1, 5, "uint8")
    for code, scl_code in _SCL_LAND.items():
        lookup[code] = scl_code
    scl = lookup[seen]
    shadow = (air.sunlight < _SHADOW_LIGHT) & (doubt < 1.3)
    scl[shadow] = np.where(doubt[shadow] < -1.8, 2, 3)
    scl[(seen == INDUSTRY) & (world.texture > 2.2)] = 8
    thickness = air.thickness * np.exp(np.float32(0.25) * doubt)
    for least, code in ((0.15, 7), (0.3, 10), (1.5, 8), (5.0, 9)):
        scl[thickness > least] = code
    return scl


def _ground(world: World, seen: NDArray[np.uint8], sunlight: FloatArray, number: int) -> FloatArray:
    """Return (y, x) reflectance of the ground in a band, darker in shadow."""
    mean, spread = np.zeros((2, _BARE + 1), "float32")
    for code, (spectrum, sigma) in SPECTRA.items():
        mean[code], spread[code] = spectrum[number] * np.exp(-(sigma**2) / 2), sigma
    dim = np.float32(_SHADOW[number])
    lit = dim + (1 - dim) * sunlight
    return np.asarray(mean[seen] * np.exp(spread[seen] * world.texture) * lit)


def _write_cog(path: Path, data: NDArray[np.generic], grid: GeoBox, resampling: str) -> None:
    """Write one band; overviews are averages, or the most frequent class."""
    rows, cols = grid.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=cols,
        height=rows,
        count=1,
        dtype=data.dtype,
        nodata=0,
        crs=str(grid.crs),
        transform=grid.affine,
        compress="DEFLATE",
        level=1,
        predictor="YES",
        overview_resampling=resampling,
        blocksize=512,
    ) as target:
        target.write(data, 1)
