"""NO2 in the air: hourly columns by transport and decay, concentrations at the ground."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.period import Period
from aqgeo.simulation import activity, chemistry, transport
from aqgeo.simulation.emission import Inventory
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.transport import Budget, Flow
from aqgeo.simulation.weather import Weather

FREE_TROPOSPHERE = 5e-6
"""Column above the boundary layer, mol m-2: .3-.8e-5 (simulation-facts, section 5; recalled)."""
# Emission of the country around, mol m-2 s-1: makes the column of rural Europe (2-4e-5 with the
# free troposphere; recalled) and is 1.5 t of NOx per km2 and year.
_AROUND = 1.0e-9
# NO2 thins out upward inside the mixed layer too, since it lives hours and starts at the ground;
# air from far away less so. These depths give the measured effective height (94-280 m for the day's
# mean over the column of 13:30), the contrast of town and country and the daily cycle (all
# simulation-facts, sections 5 and 6) with mixing heights of up to 2 km.
_DEPTH_M, _DEPTH_AROUND_M = 240.0, 450.0
_LEAK = 0.03  # of the layer at the ground, lost to that above in an hour by shear; illustrative
_MICROGRAMS_PER_MOL = 46e6
_SPIN_UP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Hour:
    """The air during one hour, on the inventory's grid."""

    start: datetime
    """Begin of the hour, UTC."""
    column: FloatArray
    """(y, x) tropospheric NO2 column at the end of the hour, mol m-2."""
    concentration: FloatArray
    """(y, x) NO2 at the ground away from roads, ug m-3."""
    traffic: float
    """Traffic relative to its mean of the week; scales the increment beside roads."""
    budget: Budget
    """Where the NOx of the grid's own sources went."""


def hours(inventory: Inventory, weather: Weather, period: Period) -> Iterator[Hour]:
    """Yield the air of every hour of a period in order.

    There are two layers: the mixed one at the ground; above it the rest of yesterday's, and the
    plumes of stacks and fires. One wind carries both. As the mixed layer grows and collapses they
    exchange air. The air far and wide has the same chemistry and mixing but no wind. One day
    before the period is run too.

    Args:
        inventory: sources on a grid of square pixels with a margin of 40 km.
        weather: the weather.
        period: from full hour to full hour.
    """
    flow = Flow(inventory.grid, inventory.sources)
    air = flow.calm()
    around = np.array([0.0, 2e-5])  # the air far and wide, both layers, NOx mol m-2
    start = period.start - _SPIN_UP
    height = weather.mixing_height(start)
    while start < period.end:
        middle = start + timedelta(minutes=30)
        at_work = activity.activity(middle, weather)
        loss = 1 / chemistry.lifetime_s(middle, weather)
        before, height = height, weather.mixing_height(middle)
        for layers in (air, around):
            _exchange(layers, before, height, weather.day_height(middle))
        air, budget = flow.step(air, at_work, weather.wind(middle), loss)
        around *= transport.aged(1.0, loss)
        source = _AROUND * (0.75 * at_work["traffic"] + 0.25 * at_work["homes"])
        around[0] += transport.grown(source, loss)
        if start >= period.start:
            fields = _no2(air, around, height, chemistry.nox_per_no2(middle, weather))
            yield Hour(start, *fields, at_work["traffic"], budget)
        start += timedelta(hours=1)


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


def _no2(
    air: FloatArray, around: NDArray[np.float64], height: float, nox_per_no2: float
) -> tuple[FloatArray, FloatArray]:
    """Return column in mol m-2 and concentration at the ground in ug m-3, both (y, x).

    Args:
        air: (2, y, x) NOx from the grid's sources in the mixed layer and above, mol m-2.
        around: (2,) the same for the air far and wide.
        height: of the mixed layer, m.
        nox_per_no2: their ratio.
    """
    near, far = around.tolist()
    column = (air[0] + air[1] + (near + far)) / nox_per_no2 + FREE_TROPOSPHERE
    ground = air[0] * (1 / height + 1 / _DEPTH_M) + near * (1 / height + 1 / _DEPTH_AROUND_M)
    return column, ground * (_MICROGRAMS_PER_MOL / nox_per_no2)


def _exchange(layers: NDArray[Any], before: float, height: float, top: float) -> None:
    """Move air between the mixed layer and that above, in place, as the height changes.

    What a growing layer takes in is its share of what lies between it and the day's top; what a
    collapsing one leaves behind is what it no longer reaches.

    Args:
        layers: (2, ...) amounts in the mixed layer and above.
        before: the mixed layer's height so far, m.
        height: its height from now on.
        top: its greatest height of the day.
    """
    if height >= before:
        room = top - before
        moved = layers[1] * (min((height - before) / room, 1.0) if room > 0 else 1.0)
    else:
        moved = layers[0] * (height / before - 1)
    moved -= _LEAK * layers[0]
    layers[0] += moved
    layers[1] -= moved
