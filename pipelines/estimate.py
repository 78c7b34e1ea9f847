"""Stage estimate: surface NO2, its one-sigma and the air quality class."""

from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import odc.geo.xr
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import aqi, cube
from aqgeo.period import Period
from aqgeo.processing import concentration
from aqgeo.sources import stations
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance

COVARIATES = ("column", "ndvi", "brightness")
# A kerb or a plant's fence says nothing of the square kilometre around it.
BACKGROUND = ("background", "unknown")
# Data capture that the EU asks of a mean, Directive 2008/50/EC annex XI.
MIN_CAPTURE = 0.75
_INPUTS = ("enhance", "clean", "ingest-stations-no2")


def estimate(
    work: Workspace, region: str, period: str, *, standard: str = "eaqi", cluster: Cluster
) -> Path:
    """Write surface NO2 with its uncertainty and return the folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the mean.
        standard: air quality index, a key of `aqi.STANDARDS`.
        cluster: where the work runs.
    """
    span = Period.parse(period)
    column, clear, ground = (work.stage(region, span, name) for name in _INPUTS)
    told = [read_provenance(source) for source in (column, clear, ground)]
    target = work.stage(region, span, "estimate")
    key = {"stage": "estimate", "inputs": [t["key"] for t in told], "standard": standard}
    with work.build(target, key) as build:
        if build is not None:
            covariates, share = _covariates(
                cube.open(column / "composite.zarr"), cube.open(clear / "composite.zarr")
            )
            table = _at_stations(covariates, ground, span, cluster)
            model, table = _fit(table)
            ds = _predict(model, covariates, share, span, standard=standard)
            cube.write(
                ds,
                build.path / "composite.zarr",
                compute=partial(cluster.run, label="Estimating surface NO2"),
            )
            table.to_parquet(build.path / "stations.parquet")
            build.provenance |= _provenance(told, model, table, standard)
    return target


def _covariates(column: xr.Dataset, clear: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Return covariates (covariate, y, x) and the filled share (y, x) on the column's grid."""
    where = cube.geobox(column)
    ground = {str(name): _onto(clear[name], where) for name in ("B02", "B03", "B04", "B08")}
    red, nir = ground["B04"], ground["B08"]
    layers = {
        "column": column["no2_column"].data[0] * 1e6,
        "ndvi": (nir - red) / (nir + red),
        "brightness": (ground["B02"] + ground["B03"] + red) / 3,
    }
    stacked = da.stack([layers[name] for name in COVARIATES]).rechunk({0: -1})
    coords = {"covariate": list(COVARIATES), **odc.geo.xr.xr_coords(where, always_yx=True)}
    return (
        xr.DataArray(stacked, dims=("covariate", "y", "x"), coords=coords),
        xr.DataArray(_onto(clear["filled_share"], where), dims=("y", "x")),
    )


def _onto(layer: xr.DataArray, where: GeoBox) -> da.Array:
    """Average one time step of a finer layer over the cells of a grid."""
    chunks = (cube.CHUNK, cube.CHUNK)
    moved = odc.geo.xr.xr_reproject(
        layer.isel(time=0), where, resampling="average", chunks=chunks, dst_nodata=float("nan")
    )
    return moved.data


def _at_stations(
    covariates: xr.DataArray, ground: Path, span: Period, cluster: Cluster
) -> gpd.GeoDataFrame:
    """Return station means with the covariates of their cells."""
    hourly = gpd.read_parquet(ground / "stations.parquet")
    stations.check(hourly)
    table = stations.means(hourly, span, min_capture=MIN_CAPTURE)
    where = covariates.odc.geobox
    points = table.geometry.to_crs(where.crs.to_wkt())
    cols, rows = ~where.affine @ (points.x.to_numpy(), points.y.to_numpy())
    height, width = where.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    table = table[inside].reset_index(drop=True)
    cells = {
        "y": xr.DataArray(np.floor(rows[inside]).astype(int), dims="station"),
        "x": xr.DataArray(np.floor(cols[inside]).astype(int), dims="station"),
    }
    found = gpd.GeoDataFrame(table)
    picked = covariates.isel(cells).transpose("station", "covariate")
    found[list(COVARIATES)] = cluster.run(picked.data, "Covariates at stations")
    return found


def _fit(table: gpd.GeoDataFrame) -> tuple[concentration.Model, gpd.GeoDataFrame]:
    """Fit on background stations; add predictions, held-out ones where a station was used."""
    known = table[list(COVARIATES)].notna().all(axis=1)
    table = table[known].reset_index(drop=True)
    used = table["station_type"].isin(BACKGROUND).to_numpy()
    covariates = table[list(COVARIATES)].to_numpy()
    model = concentration.fit(covariates[used], table["no2"].to_numpy()[used])
    table["used"] = used
    table["predicted"], table["sigma"] = model.predict(covariates)
    table.loc[used, "predicted"] = model.held_out
    table.loc[used, "sigma"] = model.held_out_sigma
    return model, table


def _predict(
    model: concentration.Model,
    covariates: xr.DataArray,
    share: xr.DataArray,
    span: Period,
    *,
    standard: str,
) -> xr.Dataset:
    chunks = ((2,), *covariates.data.chunks[1:])
    both = da.map_blocks(
        _predict_block, covariates.data, model=model, chunks=chunks, dtype="float32"
    )
    codes = both[0].map_blocks(aqi.category, standard=standard, dtype="uint8")
    bands = dict(enumerate(aqi.STANDARDS[standard].labels, 1))
    variables = {
        "no2_surface": cube.values(both[0][None], "ug m-3", long_name="surface NO2"),
        "no2_surface_sigma": cube.values(both[1][None], "ug m-3", long_name="one-sigma of it"),
        "aqi_class": cube.classes(codes[None], bands, long_name="air quality class"),
        "filled_share": cube.values(share.data[None], "1", long_name="share of dates filled"),
    }
    return cube.make(variables, span.time, covariates.odc.geobox)


def _predict_block(block: np.ndarray, *, model: concentration.Model) -> np.ndarray:
    mean, sigma = model.predict(block.reshape(len(block), -1).T)
    # A concentration below zero is the noise of a column near zero: the air holds none.
    return np.stack([np.maximum(mean, 0), sigma]).reshape(2, *block.shape[1:]).astype("float32")


def _provenance(
    told: list[dict[str, Any]], model: concentration.Model, table: gpd.GeoDataFrame, standard: str
) -> dict[str, Any]:
    archives = {t.get("archive") for t in told}
    return {
        "stage": "estimate",
        "archive": archives.pop() if len(archives) == 1 else None,
        "simulated": any(t["simulated"] for t in told),
        "attribution": "; ".join(dict.fromkeys(t["attribution"] for t in told)),
        "inputs": [name for t in told for name in t["inputs"]],
        "notes": [note for t in told for note in t["notes"]],
        "parameters": {
            **{name: value for t in told for name, value in t["parameters"].items()},
            "model": "Bayesian ridge regression",
            "covariates": list(COVARIATES),
            "stations_fitted": int(table["used"].sum()),
            "stations_not_fitted": int((~table["used"]).sum()),
            "min_capture": MIN_CAPTURE,
            "sigma_factor": round(model.sigma_factor, 3),
            "aqi": aqi.STANDARDS[standard].name,
        },
    }
