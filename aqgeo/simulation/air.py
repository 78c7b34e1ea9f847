"""NO2 in the air: hourly columns by transport and decay, concentrations at the ground."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.period import Period
from aqgeo.simulation import sun
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import AIR_MARGIN_M, AIR_PIXEL_M, World

FREE_TROPOSPHERE = 5e-6
"""Column above the boundary layer, mol m-2: .3-.8e-5 (simulation-facts, section 5; recalled)."""
BACKGROUND = 1.7e-5
"""Column that the wind brings from elsewhere, mol m-2: with the above, rural Europe's 2-4e-5."""
NOX_PER_NO2 = 1.32
"""At 13:30, after Beirle 2011 (recalled); kept for all hours."""
MICROGRAMS_PER_MOL = 46e6
_DIFFUSION = 200.0  # m2 s-1, .1 x wind x pixel (simulation-facts, section 5; recalled)
_STACK_AT_GROUND = 0.2  # share of a tall plume that has come down near by; illustrative
_RIM_M = 16_000  # emptied every hour; both rims together are wider than an hour's way of the wind
_SPIN_UP = timedelta(hours=24)
# Traffic by local solar hour (simulation-facts, section 5; recalled), Saturday and Sunday.
_HOURS = (0, 3, 6, 8, 13, 17, 22, 24)
_TRAFFIC = (0.35, 0.15, 0.8, 1.7, 1.3, 1.8, 0.6, 0.35)
_WEEK = (1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.65)
_MEAN_TRAFFIC = float(np.mean(np.interp(np.arange(24) + 0.5, _HOURS, _TRAFFIC)) * np.mean(_WEEK))


@dataclass(frozen=True, slots=True)
class Hour:
    """The air during one hour, on the world's air grid."""

    start: datetime
    """Begin of the hour, UTC."""
    column: FloatArray
    """(y, x) tropospheric NO2 column at the end of the hour, mol m-2."""
    concentration: FloatArray
    """(y, x) NO2 at the ground away from roads, ug m-3."""
    traffic: float
    """Traffic relative to its mean of the week; scales the increment beside roads."""


def hours(world: World, weather: Weather, period: Period) -> Iterator[Hour]:
    """Yield the air of every hour of a period in order.

    dV/dt + u.grad V = K lap V + E - V/tau is solved exactly for each hour in Fourier space, since
    wind, lifetime and emission are constant during the hour. One day before the period is run too.
    """
    wave_x, wave_y = _wavenumbers(world.air_grid)
    rim = _rim(world.air_grid)
    sources = {k: _spectrum(v, wave_x, wave_y) for k, v in world.emission.items()}
    state = np.zeros((2, *world.air_grid.shape.yx), "float32")  # low sources, stacks; NOx
    start = period.start - _SPIN_UP
    while start < period.end:
        middle = start + timedelta(minutes=30)
        u, v = weather.wind(middle)
        rate = 1 / lifetime_s(middle, weather) + _DIFFUSION * (wave_x**2 + wave_y**2)
        rate = (rate + 1j * (u * wave_x + v * wave_y)).astype("complex64")
        factor = traffic(middle, weather.lon)
        low = sources["traffic"] * np.float32(factor) + sources["homes"] + sources["industry"]
        decay = np.exp(-3600 * rate)
        gain = (1 - decay) / rate * np.stack([low, sources["stacks"]])
        spectrum = scipy.fft.rfft2(state) * decay + gain
        state = np.maximum(scipy.fft.irfft2(spectrum, s=state.shape[1:]), 0) * rim
        if start >= period.start:
            yield _hour(start, state, weather, factor)
        start += timedelta(hours=1)


def traffic(when: datetime, lon: float) -> float:
    """Return traffic relative to its mean of the week."""
    day = float(np.interp(sun.solar_hour(when, lon), _HOURS, _TRAFFIC))
    return day * _WEEK[when.weekday()] / _MEAN_TRAFFIC


def lifetime_s(when: datetime, weather: Weather) -> float:
    """Return the lifetime of NOx in s.

    2.5 h e^((|lat| - 20)/28) by day, x 1.6 in winter, x 4 at night (simulation-facts, section 5;
    recalled, illustrative).
    """
    noon = 2.5 * math.exp((abs(weather.lat) - 20) / 28)
    season = math.cos(math.tau * (when.timetuple().tm_yday - 15) / 365)
    winter = 1.3 + 0.3 * season * math.copysign(1, weather.lat)
    return 3600 * noon * winter * (4 - 3 * weather.convection(when))


def sample(field: FloatArray, grid: GeoBox, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return a field at points by linear interpolation; the edge value outside.

    Args:
        field: (y, x) on `grid`.
        grid: north-up grid.
        x: eastings in metres of the grid's CRS, any shape, float64.
        y: northings, the same shape.
    """
    rows = (grid.affine.f - np.asarray(y)) / -grid.affine.e - 0.5
    cols = (np.asarray(x) - grid.affine.c) / grid.affine.a - 0.5
    found = scipy.ndimage.map_coordinates(field, [rows, cols], order=1, mode="nearest")
    return found.astype("float32")  # type: ignore[no-any-return]


def area_mean(
    field: FloatArray, grid: GeoBox, corners: NDArray[np.float64], points: int = 6
) -> FloatArray:
    """Return the mean of a field over four-sided areas, from points x points samples of each.

    Args:
        field: (y, x) on `grid`.
        grid: north-up grid.
        corners: (..., 4, 2) eastings and northings in metres, in order around each area.
        points: samples along a side.
    """
    t = (np.arange(points) + 0.5) / points
    s, t = (a.ravel() for a in np.meshgrid(t, t))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])
    spots = np.einsum("...cd,cn->...nd", corners, weights)
    return sample(field, grid, spots[..., 0], spots[..., 1]).mean(axis=-1)  # type: ignore[no-any-return]


def _hour(start: datetime, nox: FloatArray, weather: Weather, factor: float) -> Hour:
    """Return columns and concentrations of an hour.

    c = 46e6 f (V - V_ft) / H with the shape factor f of 1-1.5 at noon and 2-4 at night
    (simulation-facts, section 5; derived, f recalled).
    """
    middle = start + timedelta(minutes=30)
    low, stacks = nox / np.float32(NOX_PER_NO2)
    shape = 2.0 - 0.5 * weather.convection(middle)
    dilution = np.float32(MICROGRAMS_PER_MOL * shape / weather.mixing_height(middle))
    return Hour(
        start=start,
        column=low + stacks + np.float32(BACKGROUND + FREE_TROPOSPHERE),
        concentration=(low + np.float32(_STACK_AT_GROUND) * stacks + np.float32(BACKGROUND))
        * dilution,
        traffic=factor,
    )


def _wavenumbers(grid: GeoBox) -> tuple[FloatArray, FloatArray]:
    """Return eastward (1, k) and northward (k, 1) wavenumbers in rad/m; rows run southward."""
    rows, cols = grid.shape
    wave_x = math.tau * scipy.fft.rfftfreq(cols, AIR_PIXEL_M)[None, :]
    wave_y = -math.tau * scipy.fft.fftfreq(rows, AIR_PIXEL_M)[:, None]
    return wave_x.astype("float32"), wave_y.astype("float32")


def _spectrum(
    emission: FloatArray, wave_x: FloatArray, wave_y: FloatArray
) -> NDArray[np.complex64]:
    """Return the spectrum of an emission map, smoothed by one pixel so that points do not ring."""
    smooth = np.exp(-0.5 * AIR_PIXEL_M**2 * (wave_x**2 + wave_y**2))
    return scipy.fft.rfft2(emission) * smooth  # type: ignore[no-any-return]


def _rim(grid: GeoBox) -> FloatArray:
    """Return 1 inside and 0 in the rim: what leaves must not come back on the other side."""
    width, ramp = _RIM_M / AIR_PIXEL_M, (AIR_MARGIN_M - _RIM_M) / 2 / AIR_PIXEL_M
    sides = []
    for size in grid.shape:
        inside = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5)
        sides.append(np.clip((inside - width) / ramp, 0, 1))
    rim: FloatArray = np.minimum(sides[0][:, None], sides[1][None, :]).astype("float32")
    return rim
