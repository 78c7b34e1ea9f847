"""A day of whole TROPOMI orbits over a simple procedural globe.

It is there for size and for reading, not for science. Simplified: continents, clouds and heights
are sums of plane waves; a footprint has the value at its centre; clouds are one snapshot a day and
as high as a smooth field says; a city is one Gaussian source with a steady wind of the day and the
plume of an exponential decay; no plants, roads, ships or fires; snow by latitude and season alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from aqgeo.simulation import granule, noise, processes, swath, swath_noise, tropomi
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.swath import Swath
from aqgeo.simulation.tropomi import Footprints

CITIES = 1500
"""Places of cities on the globe; those in the sea have none."""
_KM_PER_DEG = 111.2
_REACH_KM = 400.0  # beyond it a plume is left out
_NEAR_LINES, _NEAR_PIXELS = 75, 118  # so many reach that far, of 5.5 and 3.4 km
# Scales of the octaves in km and their weights, scale ** (1/3): power falls as k ** -8/3
# (simulation-facts, section 3).
_LAND_KM = (2500.0, 900.0, 300.0)
_CLOUD_KM = (1600.0, 500.0, 160.0, 50.0)
_LAND_ABOVE = 0.5  # leaves 31 % of the globe
# Half of the sky has an effective fraction above .2, as measured frames are clear (section 3).
_CLOUD_OFFSET, _CLOUD_GAIN = 0.2, 0.8
_SEA_MOL_M2, _LAND_MOL_M2, _NORTH_MOL_M2 = 5e-6, 5e-6, 1.5e-5  # section 5: .5-1, rural 2-4
_KT_YEAR_MOL_S = 0.69  # 1 kt of NO2 a year (section 5)
_NOX_PER_NO2 = 1.32  # section 5
_MEDIAN_KT, _SPREAD = 12.0, 1.1  # emission of a city: log-normal, a few above 150 kt (section 5)
_CITY_KM = 10.0  # section 5: sigma 8 to 25 km
_SIDE_SPREAD = 0.15  # growth of a plume's width with distance (assumed)
_WIND_M_S = 5.0  # section 5: 3 to 8


@dataclass(frozen=True, slots=True)
class City:
    """A source of NO2 on one day."""

    place: NDArray[np.float64]
    """Lon and lat."""
    kt_a_year: float
    """Emission of NOx, counted as NO2."""
    wind: NDArray[np.float64]
    """Wind eastward and northward, m s-1."""


def write_day(day: date, folder: Path, *, seed: int, workers: int = 2) -> Iterator[Path]:
    """Write all orbits whose scan begins on a UTC day, 14 or 15; yield their paths in order.

    HDF5 lets one thread write at a time, so each worker is a process; the bytes do not depend on
    their number. A process needs about 1.7 GB.

    Args:
        day: day in UTC.
        folder: where the granules are written; it exists.
        seed: seed of the globe.
        workers: processes.
    """
    orbits = swath.orbits_of(day)
    with processes.pool(workers) as pool:
        count = len(orbits)
        yield from pool.map(write_orbit, orbits, [seed] * count, [folder] * count)


def write_orbit(orbit: int, seed: int, folder: Path) -> Path:
    """Write one whole orbit over the globe of a seed."""
    view = swath.whole(orbit)
    seen = tropomi.observe(view, seed, truth(view, seed))
    return granule.write(view, seen, folder, form="orbit")


def truth(view: Swath, seed: int) -> Footprints:
    """Return what lies below each pixel of a swath."""
    places, when, day = view.centres, view.scan_start, f"{view.scan_start:%Y%m%d}"
    high = _high(places, when, seed)
    land, lat = high > 0, view.centres[..., 1].astype("float32")
    season = math.cos(math.tau * (when.timetuple().tm_yday - 15) / 365)
    # Snow down to 50 degrees in winter, 75 in summer; sea ice 15 degrees nearer to the poles.
    edge = 62.5 - 12.5 * season * np.sign(lat) + np.where(land, 0, 15)
    snow = np.abs(lat) > edge
    cloud = _octaves(places, when, seed, f"clouds {day}", _CLOUD_KM)
    fraction = np.clip(np.float32(_CLOUD_GAIN) * (cloud + np.float32(_CLOUD_OFFSET)), 0, 1)
    tops = swath_noise.smooth(places, when, seed, f"tops {day}", km=300)
    return Footprints(
        column=_column(view, seed, land),
        cloud_fraction=fraction,
        cloud_height_m=np.clip(2500 * np.exp(np.float32(0.7) * tops), 300, 12_000),
        elevation_m=np.clip(np.where(land, 800 * high**2 + 50, 0), 0, 4000).astype("float32"),
        land=land,
        snow=snow,
        albedo=np.where(snow, 0.8, np.where(land, 0.05, 0.045)).astype("float32"),
        wind=(_WIND_M_S, 0.0),
    )


def cities(seed: int, when: datetime) -> list[City]:
    """Return the cities of a globe, with the wind of a day; evenly spread below 60 degrees."""
    rng = noise.stream(seed, "cities")
    lon = rng.uniform(-180, 180, CITIES)
    lat = np.degrees(np.arcsin(rng.uniform(-0.6, 0.87, CITIES)))
    size = _MEDIAN_KT * rng.lognormal(0, _SPREAD, CITIES)
    air = noise.stream(seed, "winds", when.toordinal())
    speed, angle = _WIND_M_S * air.lognormal(0, 0.3, CITIES), air.uniform(0, math.tau, CITIES)
    wind = np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=-1)
    places = np.stack([lon, lat], axis=-1)
    land = _high(places, when, seed) > 0
    found = [City(p, float(s), w) for p, s, w in zip(places, size, wind, strict=True)]
    return [city for city, dry in zip(found, land.tolist(), strict=True) if dry]


def _high(places: NDArray[np.float64], when: datetime, seed: int) -> FloatArray:
    """Return by how much places rise above the sea, in no unit; negative is sea."""
    return _octaves(places, when, seed, "continents", _LAND_KM) - np.float32(_LAND_ABOVE)


def _octaves(
    places: NDArray[np.float64],
    when: datetime,
    seed: int,
    purpose: str,
    scales: tuple[float, ...],
) -> FloatArray:
    weights = np.array(scales) ** (1 / 3)
    weights /= np.sqrt((weights**2).sum())
    found = np.zeros(places.shape[:-1], "float32")
    for km, weight in zip(scales, weights, strict=True):
        octave = swath_noise.smooth(places, when, seed, f"{purpose} {km:.0f}", km=km)
        found += np.float32(weight) * octave
    return found


def _column(view: Swath, seed: int, land: NDArray[np.bool_]) -> FloatArray:
    lat = view.centres[..., 1]
    north = _NORTH_MOL_M2 * np.exp(-(((lat - 42) / 15) ** 2))
    column = (_SEA_MOL_M2 + land * (_LAND_MOL_M2 + north)).astype("float32")
    there = cities(seed, view.scan_start)
    at, across = swath.locate(view.orbit, np.stack([c.place for c in there]))
    starts = zip((at - view.first_line).tolist(), (across - view.first_pixel).tolist(), strict=True)
    for city, (line, pixel) in zip(there, starts, strict=True):
        rows = slice(max(int(line - _NEAR_LINES), 0), max(int(line + _NEAR_LINES), 0))
        columns = slice(max(int(pixel - _NEAR_PIXELS), 0), max(int(pixel + _NEAR_PIXELS), 0))
        if column[rows, columns].size:
            column[rows, columns] += _plume(city, view.centres[rows, columns], view.scan_start)
    return column


def _plume(city: City, centres: NDArray[np.float64], when: datetime) -> FloatArray:
    """Return columns of a plume in mol m-2 (line density of section 5, Gaussian across)."""
    lon, lat = city.place.tolist()
    east = (centres[..., 0] - lon + 180) % 360 - 180
    east, north = east * _KM_PER_DEG * math.cos(math.radians(lat)), centres[..., 1] - lat
    north = north * _KM_PER_DEG
    speed = float(np.hypot(*city.wind))
    u, v = (city.wind / speed).tolist()
    x, y = u * east + v * north, u * north - v * east
    winter = math.cos(math.tau * (when.timetuple().tm_yday - 15) / 365) * math.copysign(1, lat)
    # Lifetime: 2.5 h e^((|lat| - 20) / 28), in winter 1.6 times that (section 5, recalled).
    seconds = 9000 * math.exp((abs(lat) - 20) / 28) * 1.6 ** max(winter, 0)
    moles = city.kt_a_year * _KT_YEAR_MOL_S * seconds / _NOX_PER_NO2
    reach, sigma = speed * seconds / 1000, _CITY_KM
    along = np.exp(np.clip(sigma**2 / (2 * reach**2) - x / reach, -60, 60))
    along *= erfc((sigma / reach - x / sigma) / math.sqrt(2)) / (2 * reach)
    width = sigma + _SIDE_SPREAD * np.maximum(x, 0)
    side = np.exp(-((y / width) ** 2) / 2) / (math.sqrt(2 * math.pi) * width)
    far = np.hypot(x, y) > _REACH_KM
    return np.asarray(np.where(far, 0, moles * along * side / 1e6), "float32")
