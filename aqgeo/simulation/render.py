"""One window of a scene: digital numbers by level and band, classes, truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import classification, instrument, radiometry, zoom
from aqgeo.simulation.atmosphere import Atmosphere
from aqgeo.simulation.classification import Evidence
from aqgeo.simulation.clouds import Sky
from aqgeo.simulation.land import Land
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.radiometry import Correction
from aqgeo.simulation.spectra import BANDS_L1C, BANDS_L2A, RESOLUTION_M
from aqgeo.simulation.surface import MARGIN_M, TRUTH_M, Ground, Season

SCL_M = 20
"""Pixels of the scene classification."""
_TOA = ("B02", "B03", "B04", "B8A", "B10", "B11", "B12")
_BOA = ("B02", "B03", "B04", "B8A", "B11")


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What is the same in every window of a scene."""

    seed: int
    """Seed of the world."""
    day: int
    """Ordinal of the date."""
    season: Season
    """The ground's looks, sun and satellite."""
    air: Atmosphere
    """The clear atmosphere."""
    correction: Correction
    """What the L2A processor takes it for."""
    baseline: str
    """Processing baseline; sets the offset of the digital numbers."""
    levels: Sequence[str]
    """`l1c`, `l2a` or both."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One window of a scene."""

    numbers: dict[str, dict[str, NDArray[np.uint16]]]
    """(y, x) digital numbers by level and band, each on its own pixels."""
    scl: NDArray[np.uint8]
    """(y, x) scene classification on 20 m."""
    labels: NDArray[np.uint8]
    """(y, x) CloudSEN12 classes on the finest pixels."""
    truth: FloatArray
    """(band, y, x) reflectance under a clear sky on 60 m, bands of L2A."""
    classes: NDArray[np.uint8]
    """(y, x) most frequent label on 60 m."""


def render(
    land: Land, sky: Sky, guess: FloatArray, smoke: FloatArray | None, scene: Acquisition
) -> Picture:
    """Return one window of a scene.

    Args:
        land: on the window widened by `MARGIN_M`.
        sky: on the window.
        guess: (y, x) share of direct sunlight on 20 m where the processor expects shadow.
        smoke: (y, x) optical thickness on the window, or None.
        scene: what all windows share.
    """
    pixel = round(land.grid.affine.a)
    window = zoom.widen(land.grid, -MARGIN_M // pixel)
    ground = Ground(land, scene.season)
    mu = scene.season.angles.mu
    fine = radiometry.light(sky, mu, smoke)
    lights = {f: fine.shrink(f) for f in {_factor(b, pixel) for b in BANDS_L1C}}
    labels = sky.classes()
    truth = np.empty((len(BANDS_L2A), *_on(window, TRUTH_M).shape), "float32")
    numbers: dict[str, dict[str, NDArray[np.uint16]]] = {level: {} for level in scene.levels}
    toa20: dict[str, FloatArray] = {}
    for band in BANDS_L1C:
        factor = _factor(band, pixel)
        if band == "B10":
            toa = radiometry.cirrus_band(_inner(land.elevation, pixel, factor), lights[factor])
        else:
            clear, truth[BANDS_L2A.index(band)] = ground.band(band, factor)
            shaded = radiometry.seen(clear, band, lights[factor])
            toa = radiometry.top(shaded, band, lights[factor], scene.air)
        where = _on(window, pixel * factor)
        instrument.add_noise(toa, band, where, mu, (scene.seed, scene.day))
        _encode(numbers, toa, band, scene)
        if band in _TOA:
            toa20[band] = _to_scl(toa, pixel * factor)
    evidence = _evidence(toa20, guess, ground, window, scene)
    return Picture(
        numbers, classification.classify(evidence), labels, truth, mode(labels, TRUTH_M // pixel)
    )


def mode(labels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the most frequent of the classes 0 to 3 in blocks; the lowest where two are."""
    shares = [zoom.shrink((labels == c).astype("float32"), factor) for c in range(4)]
    return np.asarray(np.argmax(shares, axis=0), dtype="uint8")


def _encode(
    numbers: dict[str, dict[str, NDArray[np.uint16]]],
    toa: FloatArray,
    band: str,
    scene: Acquisition,
) -> None:
    if "l1c" in numbers:
        numbers["l1c"][band] = instrument.encode(toa, scene.baseline)
    if "l2a" in numbers and band in BANDS_L2A:
        numbers["l2a"][band] = instrument.encode(scene.correction.ground(toa, band), scene.baseline)


def _evidence(
    toa: dict[str, FloatArray],
    guess: FloatArray,
    ground: Ground,
    window: GeoBox,
    scene: Acquisition,
) -> Evidence:
    boa = {band: scene.correction.ground(toa[band], band) for band in _BOA}
    pixel = round(window.affine.a)
    relief = _inner(ground.relief, pixel, SCL_M // pixel)
    doubt = zoom.field(_on(window, SCL_M), 2, scene.seed, "scl", scene.day, slope=2.0, outer_m=2000)
    return Evidence(toa, boa, guess, relief, doubt)


def _factor(band: str, pixel: int) -> int:
    return max(RESOLUTION_M[band] // pixel, 1)


def _on(window: GeoBox, pixel_m: int) -> GeoBox:
    return zoom.coarsen(window, pixel_m // round(window.affine.a))


def _inner(wide: FloatArray, pixel: int, factor: int) -> FloatArray:
    """Return a wide array without margin, on pixels `factor` times as large."""
    margin = MARGIN_M // pixel
    return zoom.shrink(wide[margin:-margin, margin:-margin], factor)


def _to_scl(toa: FloatArray, pixel_m: int) -> FloatArray:
    """Return a band on the pixels of the scene classification."""
    if pixel_m > SCL_M:
        return np.repeat(np.repeat(toa, pixel_m // SCL_M, axis=0), pixel_m // SCL_M, axis=1)
    return zoom.shrink(toa, SCL_M // pixel_m)
