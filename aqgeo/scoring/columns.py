"""NO2 columns on the coarse and the fine grid against the truth."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import cube, scores
from aqgeo.scores import ESTIMATE, Row, Table, View
from aqgeo.scoring import fields, matching

_MICRO = 1e6  # mol to µmol
UNIT = "µmol m-2"
# A granule's time is the begin of its orbit, or later as far as its pass over the region; an orbit
# takes 101.5 min (Sentinel-5P: 227 orbits in 16 days). Clocks may differ by a minute.
_ORBIT, _CLOCK = np.timedelta64(101, "m"), np.timedelta64(1, "m")
COLUMNS = Table(
    "columns",
    "NO2 column",
    {"RMSE": UNIT, "bias": UNIT, "R": "1", "mass": "1"},
    note="Period mean against the mean of the truth over every overpass, cloudy or not, and over "
    "the overpasses and cells that were used. mass: sum of the estimate over that of the truth. "
    "The rules of the fine grid start from the coarse estimate.",
)
SIGMA = {"within 1 sigma": "1", "within 2 sigma": "1"}


@dataclass(frozen=True, slots=True)
class Truth:
    """Mean columns of the truth on one grid, µmol m-2."""

    all: np.ndarray
    """(y, x) over every overpass."""
    used: np.ndarray
    """(y, x) over the overpasses that were used, weighted as the estimate is; NaN without one."""
    why: str
    """Why `used` is not known."""


def score(
    coarse: xr.Dataset, orbits: xr.Dataset, fine: xr.Dataset | None, truth: xr.Dataset
) -> tuple[Table, list[Row], list[View]]:
    """Return the table of columns, rows on their sigma, and views.

    Args:
        coarse: cube of one time with `no2_column` in mol m-2 and `no2_column_sigma`.
        orbits: cube of the orbits that the coarse mean is made of, with `weight`.
        fine: cube of one time with `no2_column` on a finer grid, if it was made.
        truth: cube of every overpass with `no2_column` in mol m-2.
    """
    rows, sigma, views = _on_grid("coarse grid", coarse, orbits, truth, {})
    if fine is not None:
        where, old = cube.geobox(fine), coarse["no2_column"].isel(time=0)
        simple = {
            name: matching.onto(old, where, how=how) * _MICRO
            for name, how in (("bicubic", "cubic"), ("coarse cells repeated", "nearest"))
        }
        more, fine_sigma, views = _on_grid("fine grid", fine, orbits, truth, simple)
        rows, sigma = rows + more, sigma + fine_sigma
    return scores.filled(COLUMNS, rows), sigma, views


def _on_grid(
    name: str,
    made: xr.Dataset,
    orbits: xr.Dataset,
    truth: xr.Dataset,
    simple: dict[str, np.ndarray],
) -> tuple[list[Row], list[Row], list[View]]:
    where = cube.geobox(made)
    true = _truth(orbits, truth, where)
    found = made["no2_column"].isel(time=0).to_numpy() * _MICRO
    if not simple:
        simple = {"one value everywhere": np.full_like(found, np.nanmean(found))}
    methods = {ESTIMATE: found, **simple}
    both = np.all([np.isfinite(field) for field in methods.values()], axis=0)
    rows = []
    for against, field, why in (
        ("every overpass", true.all, ""),
        ("overpasses used", true.used, true.why),
    ):
        for method, estimate in methods.items():
            one = fields.compare(np.where(both, field, np.nan), estimate)
            values = {"RMSE": one.rmse, "bias": one.bias, "R": one.r, "mass": one.mass}
            head = against == "every overpass"
            what = f"{name}, {against}"
            rows.append(scores.row(what, method, one.n, values, why=why, headline=head))
    view = View(
        name="column",
        title=f"NO2 column, {name}",
        unit=UNIT,
        truth=true.all,
        found=found,
        error=found - true.all,
        pixel_m=abs(where.affine.a),
        caption="Mean of the period; the truth is the mean over every overpass.",
    )
    return rows, _sigma(name, made, true.all), [view]


def _sigma(name: str, made: xr.Dataset, true: np.ndarray) -> list[Row]:
    what = f"NO2 column, {name}"
    if "no2_column_sigma" not in made:
        values = dict.fromkeys(SIGMA, np.nan)
        return [scores.row(what, ESTIMATE, 0, values, why="the product has no sigma")]
    found, sigma = (
        made[v].isel(time=0).to_numpy() * _MICRO for v in ("no2_column", "no2_column_sigma")
    )
    n, *shares = fields.within_sigma(true, found, sigma)
    return [scores.row(what, ESTIMATE, n, dict(zip(SIGMA, shares, strict=True)), headline=True)]


def _truth(orbits: xr.Dataset, truth: xr.Dataset, where: GeoBox) -> Truth:
    """Return the truth's means on a grid, one overpass at a time."""
    times = matching.first_times(orbits.time.values - _CLOCK, truth.time.values, _ORBIT)
    why = _unmatched(times)
    total, used, weights = np.zeros((3, *where.shape.yx))
    for number in range(truth.sizes["time"]):
        layer = truth["no2_column"].isel(time=number)
        field = matching.onto(layer, where).astype("float64") * _MICRO
        total += field
        if number in times and not why:
            weight = orbits["weight"].isel(time=times.index(number))
            share = np.nan_to_num(matching.onto(weight, where, how="nearest"))
            used += np.where(share > 0, field * share, 0)
            weights += share
    mean = np.divide(used, weights, out=np.full(used.shape, np.nan), where=weights > 0)
    return Truth(total / truth.sizes["time"], mean, why)


def _unmatched(times: list[int]) -> str:
    if -1 in times:
        return "an orbit used is no overpass of the truth"
    if len(set(times)) < len(times):
        return "two orbits used are the same overpass of the truth"
    return ""
