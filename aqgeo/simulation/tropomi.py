"""What TROPOMI would measure over a known truth: columns, kernels, quality."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import airmass, swath_noise
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.swath import Swath

Values = dict[str, NDArray[Any]]

_COLUMN = "nitrogendioxide_tropospheric_column"
_STRATOSPHERE = "nitrogendioxide_stratospheric_column"
_SLANT = "nitrogendioxide_slant_column_density"
_TOTAL, _SUMMED = "nitrogendioxide_total_column", "nitrogendioxide_summed_total_column"
_SEA_LEVEL_PA = 101_325.0
_DARK = 88.0  # no retrieval above (processing.szaMax of the real files)
_LOST = 0.01  # share of pixels without retrieval (section 4: qa 0)
_BLOCK = 64  # scanlines at a time, which bounds the memory
# Reported precision: p^2 = (1.5e-5)^2 + (.34 V)^2, kernel .27 (section 4, measured). 1.7 makes the
# slant part, with that of the stratosphere, the first term.
_REPORTED_SLANT, _REPORTED_COLUMN, _REPORTED_KERNEL = 1.7, 0.34, 0.27


@dataclass(frozen=True, slots=True)
class Footprints:
    """The truth in each pixel; arrays are (s, p), or numbers where it is the same everywhere."""

    column: FloatArray
    """True tropospheric column averaged over the footprint, mol m-2."""
    cloud_fraction: FloatArray
    """Effective cloud fraction, 0 to 1."""
    cloud_height_m: FloatArray
    """Height of the cloud's top above ground."""
    elevation_m: FloatArray
    """Height of the ground above the sea."""
    land: NDArray[np.bool_]
    """Whether the footprint is land."""
    snow: NDArray[np.bool_]
    """Whether snow or ice covers it."""
    albedo: FloatArray
    """Albedo of the ground in the NO2 window, 0 to 1."""
    wind: tuple[float, float] = (0.0, 0.0)
    """Wind at 10 m eastward and northward, m s-1; copied into the file."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Sizes of the errors of a retrieval (simulation-facts, section 4)."""

    slant: float = 8.6e-6
    """Slant column noise of a 7 km pixel at sun zenith 45 over dark ground, mol m-2 (recalled)."""
    stripes: float = 5e-7
    """Row to row offset left after de-striping, mol m-2 of slant column (recalled)."""
    stratosphere: float = 3.3e-6
    """Smooth error of the assumed stratospheric column, mol m-2 (reported, measured)."""
    profile: float = 0.15
    """Log-normal error of the AMF by the a-priori profile, which kernels remove; with `scene` it
    makes .25 (recalled), shared like the reported .34 and .27 (measured)."""
    scene: float = 0.20
    """Log-normal error of the AMF by cloud and albedo, which kernels keep."""
    clean_bias: float = 0.05
    """Relative bias of clean columns (rural Pandora +4 to +10 %)."""
    polluted_bias: float = -0.30
    """Relative bias of very polluted columns by a coarse a-priori profile (v2: -15 to -30 %)."""
    bias_scale: float = 5e-5
    """Column half way between both, mol m-2 (a choice)."""
    scale_km: float = 75.0
    """Length over which the AMF's error is alike (50 to 100 km, recalled)."""
    scale_days: float = 10.0
    """Time over which it is alike (days to weeks, recalled)."""


ERRORS = Errors()
"""Errors of the real product."""
NO_ERRORS = Errors(0, 0, 0, 0, 0, 0, 0)
"""A retrieval that knows the truth."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How well a pixel is seen; (s, p) but for the kernel."""

    true: FloatArray
    """Air mass factor of the troposphere for the true profile."""
    known: FloatArray
    """The one that the retrieval uses."""
    stratosphere: FloatArray
    """That of the stratosphere."""
    total: FloatArray
    """That of the whole air, with the a-priori profile."""
    clear: FloatArray
    """That of the troposphere if there were no cloud."""
    cloudy: FloatArray
    """That of the troposphere if there were cloud only."""
    kernel: FloatArray
    """(s, p, 34) kernel of the total column."""
    top: NDArray[np.int32]
    """Index of the highest tropospheric layer."""


def observe(
    swath: Swath,
    seed: int,
    footprints: Footprints,
    *,
    mixing_height_m: FloatArray | float = 1000.0,
    errors: Errors = ERRORS,
) -> Values:
    """Return the measured variables by their names in the file, without those of geolocation.

    The slant column is the true column times the air mass factor of its true profile, the column
    of the stratosphere, and noise; the retrieval divides by an air mass factor that knows neither
    profile nor scene exactly. All noise belongs to orbit, line and pixel, all smooth errors to
    place and time: a piece of an orbit has the values of the whole. Left out: sun glint, South
    Atlantic anomaly, aerosol, errors of the cloud's height beside those of the AMF.

    Args:
        swath: pixels of an orbit.
        seed: seed of the world.
        footprints: truth in each pixel.
        mixing_height_m: height of the mixed layer above ground, (s, p) or one number.
        errors: sizes of the errors.

    Returns:
        Arrays (s, p), averaging_kernel (s, p, 34); NaN where there is no retrieval; qa_value in
        hundredths.
    """
    known = {
        name: np.broadcast_to(np.asarray(getattr(footprints, name)), swath.shape)
        for name in ("column", "cloud_fraction", "cloud_height_m", "elevation_m", "albedo", "snow")
    }
    zenith = swath.sun[0]
    surface = airmass.pressure(_SEA_LEVEL_PA, known["elevation_m"])
    cloud_pa = airmass.pressure(surface, known["cloud_height_m"])
    radiance = airmass.radiance_fraction(known["cloud_fraction"], known["albedo"])
    scene = {
        **known,
        "lat": swath.centres[..., 1],
        "zenith": zenith,
        "geometry": airmass.geometric(zenith, swath.view[0]),
        "surface": surface,
        "cloud_pa": cloud_pa,
        "radiance": radiance,
        "mixing": np.broadcast_to(airmass.pressure(surface, mixing_height_m), swath.shape),
        "stratosphere": stratosphere(swath),
        "bias": _bias(swath, seed, known["column"], errors),
    }
    sight = _sight(scene)
    found = _retrieve(swath, seed, scene, sight, errors)
    lot = swath_noise.uniform(swath, seed, "lot")
    failed = (zenith > _DARK) | (lot > 1 - _LOST)
    scene_pa = radiance * cloud_pa + (1 - radiance) * surface
    found["qa_value"] = _quality(scene, scene_pa, found, lot)
    for values in found.values():
        if values.dtype.kind == "f":
            values[failed] = np.nan
    found["qa_value"][failed] = 0
    # Error codes of the low byte (recalled): 7 sun too low, 54 out of range.
    found["processing_quality_flags"] = np.where(
        zenith > _DARK, 7, np.where(lot > 1 - _LOST, 54, 0)
    ).astype("uint32")
    return {**found, **_inputs(footprints, scene, scene_pa)}


def stratosphere(swath: Swath) -> FloatArray:
    """Return stratospheric columns (s, p), mol m-2.

    Fit by eye to the 13 Delhi files: 3.7e-5 in December to 5.7e-5 in June; higher and with more
    season toward the poles (recalled).
    """
    sine = np.sin(np.radians(swath.centres[..., 1]))
    season = math.cos(math.tau * (swath.scan_start.timetuple().tm_yday - 160) / 365)
    moles = 3.6e-5 + 3.4e-5 * sine**2 + (1.6e-5 * sine + 2.0e-5 * sine**3) * season
    return np.asarray(moles, "float32")


def _sight(scene: Values) -> Sight:
    parts = [
        _sight_of({k: v[at : at + _BLOCK] for k, v in scene.items()})
        for at in range(0, len(scene["column"]), _BLOCK)
    ]
    names = Sight.__slots__
    return Sight(*(np.concatenate([getattr(part, n) for part in parts]) for n in names))


def _sight_of(scene: Values) -> Sight:
    levels = airmass.interfaces(scene["surface"])
    top = airmass.tropopause_layer(levels, scene["lat"])
    column = np.maximum(scene["column"], np.float32(1e-9))  # shapes the profile only
    partial = airmass.profile(column, scene["mixing"], levels, top)
    geometry, share = scene["geometry"], scene["radiance"][..., None]
    clear = airmass.clear(levels, scene["albedo"])
    cloudy = airmass.cloudy(levels, scene["cloud_pa"])
    one, two = (geometry * (b * partial).sum(axis=-1) / column for b in (clear, cloudy))
    boxes = share * cloudy + (1 - share) * clear
    true = scene["radiance"] * two + (1 - scene["radiance"]) * one
    known = true / scene["bias"]
    # The stratosphere is seen alike throughout.
    high = geometry * boxes[..., 28:].mean(axis=-1)
    above, below = scene["stratosphere"], np.float32(0.7) * column  # a coarse a-priori column
    total = (known * below + high * above) / (below + above)
    boxes *= (geometry / total)[..., None]
    return Sight(true, known, high, total, one, two, np.asarray(boxes, "float32"), top)


def _bias(swath: Swath, seed: int, column: FloatArray, errors: Errors) -> FloatArray:
    """Return by which factor the a-priori profile makes columns too high."""
    polluted = column / (column + np.float32(errors.bias_scale))
    factor = 1 + errors.clean_bias + (errors.polluted_bias - errors.clean_bias) * polluted
    factor = factor * _lognormal(swath, seed, "profile", errors.profile, errors)
    return np.asarray(factor, "float32")


def _lognormal(swath: Swath, seed: int, name: str, sigma: float, errors: Errors) -> FloatArray:
    if not sigma:
        return np.ones(swath.shape, "float32")
    near = {"km": errors.scale_km, "days": errors.scale_days}
    # One time a granule: seconds do not matter to what lives for days.
    field = swath_noise.smooth(swath.centres, swath.scan_start, seed, name, **near)
    return np.asarray(np.exp(np.float32(sigma) * field))


def _retrieve(swath: Swath, seed: int, scene: Values, sight: Sight, errors: Errors) -> Values:
    """Return columns, precisions and air mass factors."""
    light = np.cos(np.radians(np.minimum(scene["zenith"], 89)))
    light = light * airmass.reflectance(scene["cloud_fraction"], scene["albedo"])
    # Photon noise; 8.6e-6 holds for 1.08 s, sun zenith 45 and reflectance .18 (assumed).
    sigma = np.sqrt(1.08 / swath.line_s * 0.7 * 0.18 / light).astype("float32")
    sigma = np.float32(errors.slant) * np.clip(sigma, 0.5, 4)
    amf = sight.known * _lognormal(swath, seed, "scene", errors.scene, errors)
    wrong = swath_noise.smooth(swath.centres, swath.scan_start, seed, "assumed", km=800, days=3)
    wrong *= np.float32(errors.stratosphere)
    stripes = np.float32(errors.stripes) * swath_noise.stripes(swath, seed)
    slant = scene["column"] * sight.true + scene["stratosphere"] * sight.stratosphere
    slant = slant + sigma * swath_noise.normal(swath, seed) + stripes
    assumed = scene["stratosphere"] + wrong
    column = (slant - assumed * sight.stratosphere) / amf
    reported = np.float32(_REPORTED_SLANT) * sigma
    strato = np.full(column.shape, errors.stratosphere, "float32")
    base = np.hypot(reported, strato * sight.stratosphere) / amf
    full = np.maximum(column, 0)
    precision = np.hypot(base, np.float32(_REPORTED_COLUMN) * full)
    return {
        _COLUMN: column,
        f"{_COLUMN}_precision": precision,
        f"{_COLUMN}_precision_kernel": np.hypot(base, np.float32(_REPORTED_KERNEL) * full),
        "averaging_kernel": sight.kernel,
        "air_mass_factor_troposphere": amf,
        "air_mass_factor_total": sight.total,
        "air_mass_factor_stratosphere": sight.stratosphere,
        "air_mass_factor_clear": sight.clear,
        "air_mass_factor_cloudy": sight.cloudy,
        "tm5_tropopause_layer_index": sight.top,
        _STRATOSPHERE: assumed,
        f"{_STRATOSPHERE}_precision": strato,
        _SUMMED: column + assumed,
        f"{_SUMMED}_precision": np.hypot(precision, strato),
        _TOTAL: slant / sight.total,
        f"{_TOTAL}_precision": np.hypot(reported / sight.total, np.float32(0.25) * full),
        f"{_TOTAL}_precision_kernel": reported / sight.total,
        _SLANT: slant,
        f"{_SLANT}_precision": sigma,
        f"{_SLANT}_stripe_amplitude": stripes + np.zeros_like(slant),
        "cloud_fraction_crb_nitrogendioxide_window": scene["cloud_fraction"].astype("float32"),
        "cloud_radiance_fraction_nitrogendioxide_window": scene["radiance"].copy(),
    }


def _quality(
    scene: Values, scene_pa: FloatArray, found: Values, lot: FloatArray
) -> NDArray[np.uint8]:
    """Return qa_value in hundredths: a product of factors.

    Thresholds and factors are the qa_value settings in METADATA of the real files, but for snow:
    it is kept where the apparent pressure is that of the ground, which shows it to be free of
    cloud, else below .5 (section 4; its .88 and .45 are recalled).
    """
    snow, zenith = scene["snow"], scene["zenith"]
    rules = [
        (~snow & (scene["radiance"] > 0.5), 0.74),
        (~snow & (scene["albedo"] > 0.3), 0.20),
        (snow & (scene_pa >= 0.98 * scene["surface"]), 0.88),
        (snow & (scene_pa < 0.98 * scene["surface"]), 0.45),
        (scene_pa < 30_000, 0.25),
        (found["air_mass_factor_troposphere"] < 0.1 * scene["geometry"], 0.45),
        (found[f"{_SLANT}_precision"] > 33e-6, 0.15),
        (zenith > 81.2, 0.30),
        (zenith > 84.5, 0.10),
        (lot < 0.035, 0.90),  # warnings of interpolation, share as over Delhi (measured)
    ]
    qa = np.full(snow.shape, 100.0, "float32")
    for where, factor in rules:
        qa[where] *= np.float32(factor)
    return np.asarray(np.rint(qa), "uint8")


def _inputs(footprints: Footprints, scene: Values, scene_pa: FloatArray) -> Values:
    shape = scene["surface"].shape
    land = np.broadcast_to(footprints.land, shape)
    albedo = scene["albedo"].astype("float32")
    bright = airmass.reflectance(scene["cloud_fraction"], albedo) - np.float32(0.14)
    return {
        "surface_altitude": scene["elevation_m"].astype("float32"),
        "surface_altitude_precision": np.full(shape, 10, "float32"),
        "surface_pressure": scene["surface"],
        "surface_albedo": albedo,
        "surface_albedo_nitrogendioxide_window": albedo,
        "surface_classification": np.where(land, 0, 1).astype("uint8"),
        # 0 land without snow, 103 snow, 100 full sea ice, 255 ocean (section 4).
        "snow_ice_flag": np.where(
            land, np.where(scene["snow"], 103, 0), np.where(scene["snow"], 100, 255)
        ).astype("uint8"),
        "cloud_pressure_crb": scene["cloud_pa"],
        "cloud_albedo_crb": np.full(shape, 0.8, "float32"),
        "cloud_fraction_crb": scene["cloud_fraction"].astype("float32"),
        "scene_albedo": np.clip(bright / np.float32(0.8), 0, 1).astype("float32"),
        "apparent_scene_pressure": scene_pa,
        "eastward_wind": np.full(shape, footprints.wind[0], "float32"),
        "northward_wind": np.full(shape, footprints.wind[1], "float32"),
    }
