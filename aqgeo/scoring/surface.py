"""Surface NO2, its sigma and its air quality class against the truth."""

from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import aqi, cube, scores
from aqgeo.scores import ESTIMATE, Row, Table, View
from aqgeo.scoring import classes, fields, matching, rules

UNIT = "µg m-3"
AWAY_M = 3000.0
"""Cells farther than this from every station are 'away from stations', m. Our own choice: about
half a pixel of Sentinel-5P, within which a station tells of its cell."""
SURFACE = Table(
    "surface",
    "Surface NO2",
    {"R2": "1", "R": "1", "MAE": UNIT, "bias": UNIT, "RMSE": UNIT},
    note="Period mean against the truth: of every cell by its area mean, of stations by the truth "
    "at the very place, without the instruments' errors. Stations that the model was fitted on "
    "are held out, for it and for the simple rules.",
)
AQI = Table(
    "aqi",
    "Air quality class",
    {"same class": "1", "within one class": "1"},
    note="Class of the period mean, against the class of the true mean.",
)
SIGMA = ("within 1 sigma", "within 2 sigma")
_MEAN, _NEAR = "mean of stations", "inverse squared distance"
_NO_STATIONS = "no table of stations lies beside the estimate"


@dataclass(frozen=True, slots=True)
class _Ground:
    """Stations that lie in the estimate, with what the map and simple rules say of each."""

    at: np.ndarray
    """(n, 2) places in the grid's CRS."""
    types: np.ndarray
    """(n,) station types."""
    true: np.ndarray
    """(n,) truth, µg m-3."""
    methods: dict[str, np.ndarray]
    """(n,) estimates by method; held out where the station was used, µg m-3."""
    sigma: np.ndarray
    """(n,) one-sigma of the product's estimate, µg m-3."""


def score(
    estimate: xr.Dataset,
    stations: gpd.GeoDataFrame | None,
    truth: xr.Dataset,
    network: pd.DataFrame,
) -> tuple[list[Table], list[Row], list[View]]:
    """Return tables of surface NO2 and its class, rows on sigma, and views.

    Args:
        estimate: cube of one time with `no2_surface`, `no2_surface_sigma` and `aqi_class`.
        stations: station_id, station_type, no2 (measured mean), used, predicted, sigma, geometry.
        truth: cube of days with `no2_concentration` in µg m-3.
        network: location_id, lon, lat, no2 (true mean) of every station.
    """
    where = cube.geobox(estimate)
    mean = truth["no2_concentration"].mean("time", keep_attrs=True).astype("float32")
    true = matching.onto(mean, where)
    found = estimate["no2_surface"].isel(time=0).to_numpy()
    cells, places = matching.centres(where), _places(network, where)
    away = (rules.distance_to_nearest(cells, places) > AWAY_M).reshape(found.shape)
    methods = {ESTIMATE: found, **_rules_at_cells(stations, where, cells)}
    both = np.isfinite(true) & np.isfinite(found)
    kinds = {"all cells": both, f"cells over {AWAY_M / 1000:g} km from any station": both & away}
    rows = list(_field_rows(kinds, true, methods))
    ground = _ground(stations, network, where)
    rows += list(_station_rows(ground))
    tables = [scores.filled(SURFACE, rows), scores.filled(AQI, _aqi_rows(estimate, true, methods))]
    sigma = list(_sigma_rows(estimate, kinds, true, ground))
    return tables, sigma, [_view(where, true, found), _aqi_view(where, estimate, true)]


def _places(network: pd.DataFrame, where: GeoBox) -> np.ndarray:
    points = gpd.GeoSeries.from_xy(network["lon"], network["lat"], crs="EPSG:4326")
    return _xy(points, where)


def _xy(points: gpd.GeoSeries, where: GeoBox) -> np.ndarray:
    moved = points.to_crs(str(where.crs))
    return np.column_stack([moved.x, moved.y])


def _rules_at_cells(
    stations: gpd.GeoDataFrame | None, where: GeoBox, cells: np.ndarray
) -> dict[str, np.ndarray]:
    if stations is None or not stations["used"].any():
        return {}
    used = stations[stations["used"]]
    values = used["no2"].to_numpy()
    near = rules.inverse_distance(values, _xy(used.geometry, where), cells)
    shape = where.shape.yx
    return {_MEAN: np.full(shape, values.mean()), _NEAR: near.reshape(shape)}


def _ground(
    stations: gpd.GeoDataFrame | None, network: pd.DataFrame, where: GeoBox
) -> _Ground | None:
    """Join what the estimate says at stations with the truth there."""
    if stations is None or stations.empty:
        return None
    truth = dict(zip(network["location_id"].astype(str), network["no2"], strict=True))
    used = stations["used"].to_numpy()
    at, measured = _xy(stations.geometry, where), stations["no2"].to_numpy()
    mean, near = np.full((2, len(stations)), np.nan)
    if used.sum() > 1:
        mean[:], near[:] = (
            measured[used].mean(),
            rules.inverse_distance(measured[used], at[used], at),
        )
        mean[used], near[used] = rules.leave_one_out(measured[used], at[used])
    predicted = stations["predicted"].to_numpy()
    return _Ground(
        at=at,
        types=stations["station_type"].astype(str).to_numpy(),
        true=stations["station_id"].astype(str).map(truth).to_numpy("float64"),
        methods={ESTIMATE: predicted, _MEAN: mean, _NEAR: near},
        sigma=stations["sigma"].to_numpy(),
    )


def _field_rows(
    kinds: dict[str, np.ndarray], true: np.ndarray, methods: dict[str, np.ndarray]
) -> Iterator[Row]:
    for what, inside in kinds.items():
        why = "" if inside.any() else "there is no such cell"
        for method, field in methods.items():
            yield _row(what, method, np.where(inside, true, np.nan), field, why=why)


def _station_rows(ground: _Ground | None) -> Iterator[Row]:
    if ground is None:
        yield scores.row(
            "stations", ESTIMATE, 0, dict.fromkeys(SURFACE.units, np.nan), why=_NO_STATIONS
        )
        return
    for kind in sorted(set(ground.types)):
        here = ground.types == kind
        for method, values in ground.methods.items():
            yield _row(f"{kind} stations", method, ground.true[here], values[here])


def _row(what: str, method: str, true: np.ndarray, found: np.ndarray, *, why: str = "") -> Row:
    one = fields.compare(true, found)
    values = {"R2": one.r2, "R": one.r, "MAE": one.mae, "bias": one.bias, "RMSE": one.rmse}
    if what.endswith("stations") and method == _MEAN:
        # The mean of the others falls as a station rises: its R is -1 and says nothing.
        values["R"], why = np.nan, why or "R says nothing of a mean of the other stations"
    shown = what.startswith(("all", "cells", "background"))
    return scores.row(what, method, one.n, values, why=why, headline=shown)


def _sigma_rows(
    estimate: xr.Dataset, kinds: dict[str, np.ndarray], true: np.ndarray, ground: _Ground | None
) -> Iterator[Row]:
    found, sigma = (
        estimate[name].isel(time=0).to_numpy() for name in ("no2_surface", "no2_surface_sigma")
    )
    for what, inside in kinds.items():
        n, *shares = fields.within_sigma(np.where(inside, true, np.nan), found, sigma)
        values = dict(zip(SIGMA, shares, strict=True))
        yield scores.row(f"surface NO2, {what}", ESTIMATE, n, values, headline=what == "all cells")
    if ground is None:
        return
    for kind in sorted(set(ground.types)):
        here = ground.types == kind
        triple = ground.true[here], ground.methods[ESTIMATE][here], ground.sigma[here]
        n, *shares = fields.within_sigma(*triple)
        values = dict(zip(SIGMA, shares, strict=True))
        yield scores.row(f"surface NO2, {kind} stations", ESTIMATE, n, values)


def _aqi_rows(
    estimate: xr.Dataset, true: np.ndarray, methods: dict[str, np.ndarray]
) -> Iterator[Row]:
    codes = {method: aqi.category(field) for method, field in methods.items()}
    codes[ESTIMATE] = estimate["aqi_class"].isel(time=0).to_numpy()
    truth = np.where(codes[ESTIMATE] != aqi.NO_DATA, aqi.category(true), aqi.NO_DATA)
    n = int((truth != aqi.NO_DATA).sum())
    for method, found in codes.items():
        shares = (classes.share_within(truth, found, steps) for steps in (0, 1))
        values = dict(zip(AQI.units, shares, strict=True))
        yield scores.row("all cells", method, n, values, headline=True)


def _view(where: GeoBox, true: np.ndarray, found: np.ndarray) -> View:
    return View(
        name="surface",
        title="Surface NO2",
        unit=UNIT,
        truth=true,
        found=found,
        error=found - true,
        pixel_m=abs(where.affine.a),
        caption="Mean of the period.",
    )


# Colours of the index, as the European Environment Agency shows it.
_AQI_COLOURS = ("#50F0E6", "#50CCAA", "#F0E641", "#FF5050", "#960032", "#7D2181")
_STEPS = {
    98: ("2 or more below", "#2166ac"),
    99: ("one below", "#92c5de"),
    100: ("right", "#f4f4f4"),
}
_STEPS |= {101: ("one above", "#f4a582"), 102: ("2 or more above", "#b2182b")}


def _aqi_view(where: GeoBox, estimate: xr.Dataset, true: np.ndarray) -> View:
    truth, found = aqi.category(true), estimate["aqi_class"].isel(time=0).to_numpy()
    known = (truth != aqi.NO_DATA) & (found != aqi.NO_DATA)
    steps = 100 + np.clip(found.astype(int) - truth.astype(int), -2, 2)
    labels = aqi.STANDARDS["eaqi"].labels
    return View(
        name="aqi",
        title="Air quality class",
        unit="1",
        truth=truth,
        found=found,
        error=np.where(known, steps, 0).astype("uint8"),
        pixel_m=abs(where.affine.a),
        classes=dict(enumerate(zip(labels, _AQI_COLOURS, strict=True), 1)),
        errors=_STEPS,
        caption=f"{aqi.STANDARDS['eaqi'].name}, its hourly bands applied to the period mean.",
    )
