"""NO2 columns pixel by pixel: real ones, and the numbers that describe noise and structure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.spatial
import xarray as xr

from benchmarks.realism_distances import Values

CLEAN = 3e-5
"""Mean of two neighbours in mol m-2 below which their difference is mostly noise."""
_NEIGHBOURS_KM = 9.0
KM_PER_DEGREE = 111.2
_BINS_KM = np.array([4, 7, 11, 16, 23, 32, 45, 64, 90])
FITTED_KM = (9.0, 54.0)
"""Middles of the distances over which the slope of the variogram is taken."""


@dataclass(frozen=True, slots=True)
class Variogram:
    """Half the mean squared difference of columns by distance, over their variance."""

    km: Values
    """(n,) distance in km."""
    share: Values
    """(n,) semivariance over the variance, 1."""
    slope: float
    """Exponent of distance between FITTED_KM; 0 is white, 2 is smooth."""


def cities(data: Path) -> pd.DataFrame:
    """Return native pixels of three cities on four days: site, orbit, lat, lon, column.

    The set does not say whether it was filtered by quality; holes suggest so.
    """
    path = data / "s5p_pixels_3cities" / "s5p_l2_no2_pixels.csv.gz"
    names = {"city": "site", "overpass_start_utc": "orbit", "no2_trop_mol_m2": "column"}
    return pd.read_csv(path).rename(columns=names)[["site", "orbit", "lat", "lon", "column"]]


def delhi(data: Path) -> pd.DataFrame:
    """Return all pixels of 198 granules over Delhi, with qa, precision and air mass factor."""
    path = data / "s5p_l2_delhi" / "s5p_l2_no2_delhi_pixels_201908_202104.csv.gz"
    names = {
        "no2_trop_mol_m2": "column", "no2_trop_precision": "precision", "qa_value": "qa",
        "amf_trop": "amf",
    }  # fmt: skip
    table = pd.read_csv(path).rename(columns=names).dropna(subset=["qa"])
    return table.assign(site="delhi")


def noise(table: pd.DataFrame) -> float:
    """Return the random error of one pixel in mol m-2, from neighbours where the air is clean.

    The median absolute difference of nearest neighbours, as a standard deviation; real structure
    between neighbours is in it. NaN for fewer than 50 pairs.
    """
    found = []
    for _, orbit in table.groupby(["site", "orbit"]):
        values = orbit["column"].to_numpy()
        if len(values) < 2:
            continue
        km, other = scipy.spatial.cKDTree(_places(orbit)).query(_places(orbit), k=2)
        pair = values, values[other[:, 1]]
        kept = (km[:, 1] < _NEIGHBOURS_KM) & (np.mean(pair, axis=0) < CLEAN)
        found.append(np.abs(np.subtract(*pair))[kept])
    every = np.concatenate(found) if found else np.empty(0)
    return float(np.median(every) / 0.6745 / np.sqrt(2)) if every.size >= 50 else np.nan


def variogram(table: pd.DataFrame) -> Variogram:
    """Return the variogram of a table's sites and orbits, each weighing the same."""
    rows = []
    for _, orbit in table.groupby(["site", "orbit"]):
        values = orbit["column"].to_numpy()
        if len(values) < 150 or values.var() == 0:
            continue
        every = np.arange(len(values))[:: max(1, len(values) // 1000)]
        i, j = np.triu_indices(len(every), 1)
        places = _places(orbit)[every]
        km = np.hypot(*(places[i] - places[j]).T)
        half = (values[every][i] - values[every][j]) ** 2 / 2 / values.var()
        total, count = (np.histogram(km, _BINS_KM, weights=w)[0] for w in (half, None))
        rows.append(np.where(count >= 30, total / np.maximum(count, 1), np.nan))
    middle = np.sqrt(_BINS_KM[1:] * _BINS_KM[:-1])
    if not rows:
        return Variogram(middle, np.full(middle.shape, np.nan), np.nan)
    seen = ~np.isnan(rows).all(axis=0)
    share = np.full(middle.shape, np.nan)
    share[seen] = np.nanmean(np.array(rows)[:, seen], axis=0)
    return Variogram(middle, share, _slope(middle, share, FITTED_KM))


def daily_fields(data: Path) -> Values:
    """Return (time, y, x) daily columns in mol m-2 on 0.25 degree, South-East Asia, every 12th day.

    They reach where no simulated domain does: one is compared with windows of theirs.
    """
    with xr.open_dataset(data / "s5p_daily_sea" / "s5p_no2_sea_daily_2020-03_2021-09.nc") as ds:
        return np.asarray(ds["no2_trop"].isel(time=slice(0, None, 12)).values)


def grid_variogram(fields: Values, cell_km: float) -> Variogram:
    """Return the variogram of fields along rows and columns.

    Args:
        fields: (time, y, x) columns, NaN where there are no data.
        cell_km: side of a cell.
    """
    lags = np.array([n for n in (1, 2, 3, 4, 6, 8, 10) if n < min(fields.shape[1:])])
    half = []
    for lag in lags:
        steps = (fields[:, lag:] - fields[:, :-lag], fields[..., lag:] - fields[..., :-lag])
        half.append(np.nanmean(np.concatenate([step.ravel() for step in steps]) ** 2) / 2)
    km, share = lags * cell_km, np.array(half) / np.nanvar(fields)
    return Variogram(km, share, _slope(km, share, (km[0], km[-1])))


def common_slopes(
    real: Variogram, simulated: Variogram
) -> tuple[float, float, tuple[float, float]]:
    """Return both slopes over the distances that both variograms reach, and these in km."""
    span = max(real.km[0], simulated.km[0]), min(real.km[-1], simulated.km[-1])
    return _slope(real.km, real.share, span), _slope(simulated.km, simulated.share, span), span


def precision_fit(table: pd.DataFrame) -> tuple[float, float]:
    """Return a in mol m-2 and b of precision ** 2 = a ** 2 + (b column) ** 2, by medians."""
    known = table.dropna(subset=["column", "precision"])
    known = known[(known["qa"] > 0.5) & (known["column"] > 0)]
    if len(known) < 100:
        return np.nan, np.nan
    groups = pd.qcut(known["column"], 10, duplicates="drop")
    middle = known.groupby(groups, observed=True)[["column", "precision"]].median().to_numpy()
    design = np.stack([np.ones(len(middle)), middle[:, 0] ** 2], axis=1)
    weights = 1 / middle[:, 1] ** 2
    found = np.linalg.lstsq(design * weights[:, None], np.ones(len(middle)), rcond=None)[0]
    a, b = np.sqrt(np.maximum(found, 0))
    return float(a), float(b)


def qa_shares(table: pd.DataFrame) -> dict[str, float]:
    """Return the share of pixels by quality: clear (above 0.75), cloudy (0.5 to 0.75), bad."""
    qa = table["qa"].dropna().to_numpy()
    if not qa.size:
        return dict.fromkeys(("clear", "cloudy", "bad"), np.nan)
    clear, usable = (qa > 0.75).mean(), (qa > 0.5).mean()
    return {
        "clear": float(clear), "cloudy": float(usable - clear), "bad": float(1 - usable),
    }  # fmt: skip


def _places(table: pd.DataFrame) -> Values:
    """Return (n, 2) easting and northing in km."""
    lat, lon = (table[name].to_numpy() for name in ("lat", "lon"))
    return KM_PER_DEGREE * np.stack([lon * np.cos(np.radians(lat.mean())), lat], axis=1)


def _slope(km: Values, share: Values, span: tuple[float, float]) -> float:
    kept = (km >= span[0] - 1) & (km <= span[1] + 1) & np.isfinite(share) & (share > 0)
    if kept.sum() < 3:
        return np.nan
    return float(np.polyfit(np.log(km[kept]), np.log(share[kept]), 1)[0])
