"""Stage enhance: the NO2 column on a finer grid."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import cube, grid
from aqgeo.catalog import pick
from aqgeo.period import Period
from aqgeo.sources import s5p
from pipelines import covariates as fine_fields
from pipelines.acquire import SENTINEL_5P
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance

FACTOR = 4
"""Fine pixels along one side of a coarse cell; the catalog's products say the same as `refine`."""
# Sources that the network does not know by themselves.
_SOURCES_ALONE = ("point_sources", "fire_power")
_DEGREE_M = 111_200.0
MODEL = "columns"
"""Weights of the catalog that the network has."""
# It learnt from pixels of 1 km within cells of 4 km: plumes and footprints have other sizes on
# much finer or coarser ones.
_LEARNT_M = 700.0, 1400.0
METHODS = {"network": "SRCNN with covariates", "interpolation": "linear"}
"""Name for people by name of the method; both keep the mean of every cell."""


def enhance(
    work: Workspace,
    region: str,
    period: str,
    *,
    method: str = "network",
    covariates: Path | None = None,
    cluster: Cluster,
) -> Path:
    """Write the period's mean NO2 column on the finer grid and return its folder.

    The network is used where it was better than interpolation on scenes that it never saw, with
    no more than the covariates at hand; else the column is interpolated, and provenance says why.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the mean.
        method: key of METHODS.
        covariates: folder of GeoTIFFs named by what they show, such as roads.tif; that beside the
            archive of the region's own source, if it has one, if None.
        cluster: where the work runs.

    Raises:
        CatalogError: the method is unknown.
        ModelError: the weights cannot be used.
        SourceError: a covariate cannot be read.
    """
    check(method)
    span = Period.parse(period)
    source = work.stage(region, span, "ingest-sentinel-5p-l2-no2")
    told = read_provenance(source)
    target = work.stage(region, span, "enhance")
    if covariates is None and work.region(region).sources:
        covariates = fine_fields.beside(work.source(region, span, SENTINEL_5P))
    rasters = fine_fields.find(covariates) if covariates else {}
    weights, checksum = work.weights(MODEL)
    key: dict[str, Any] = {"stage": "enhance", "input": told["key"], "factor": FACTOR}
    key |= {"method": method, "weights": checksum, "covariates": fine_fields.key(rasters)}
    with work.build(target, key) as build:
        if build is not None:
            coarse = cube.open(source / "composite.zarr")
            where = grid.refine(cube.geobox(coarse), FACTOR)
            winds = told.get("winds_m_s", ())
            fields = _known(fine_fields.read(rasters, where), where, winds)
            why = _refused(method, weights, checksum, where, set(fields))
            made = _interpolated(coarse) if why else _estimated(coarse, fields, weights)
            ds = _cube(made, span, where)
            cube.write(
                ds,
                build.path / "composite.zarr",
                compute=partial(cluster.run, label="Refining the column"),
            )
            build.provenance |= {**told, "stage": "enhance"}
            build.provenance["parameters"] |= {
                "refine": FACTOR,
                "refined_by": f"{METHODS['interpolation' if why else 'network']}, mean of every "
                "coarse cell kept",
                **({} if why else _told(weights, checksum, sorted(fields))),
            }
            if why and method == "network":
                note = f"the finer column is interpolated: {why}"
                build.provenance["notes"] = [*told["notes"], note]
    return target


def _known(
    fields: dict[str, da.Array], where: GeoBox, winds: Sequence[tuple[float, float] | None]
) -> dict[str, da.Array]:
    """Return covariates with the column that sources among them make, and without the sources.

    Args:
        fields: (y, x) by name.
        where: their grid.
        winds: of each orbit, m s-1; without one, what sources give off spreads in all directions.
    """
    from aqgeo.models import plumes

    sources = {name: fields[name] for name in plumes.SOURCES if name in fields}
    if not sources:
        return fields
    layers = da.stack([*sources.values()]).rechunk(-1)
    how = {"names": list(sources), "winds": list(winds) or [None], "pixel_m": _pixel_m(where)}
    prior = layers.map_blocks(
        _prior, **how, drop_axis=0, dtype="float32", meta=np.empty((0, 0), "float32")
    )
    others = {n: v for n, v in fields.items() if n not in _SOURCES_ALONE}
    return {**others, fine_fields.PRIOR: prior}


def _prior(
    layers: np.ndarray,
    *,
    names: list[str],
    winds: list[tuple[float, float] | None],
    pixel_m: float,
) -> np.ndarray:
    from aqgeo.models import plumes

    known = dict(zip(names, layers, strict=True))
    total = np.zeros(layers.shape[1:])
    for wind in winds:
        total += plumes.column(known, wind, pixel_m)
    return np.asarray(total / len(winds), "float32")


def check(method: str) -> None:
    """Refuse a method that is none.

    Raises:
        CatalogError: it is unknown.
    """
    pick(METHODS, method, "way to refine")


def _pixel_m(where: GeoBox) -> float:
    """Return the height of a pixel, m."""
    scale = 1.0 if where.crs is not None and where.crs.projected else _DEGREE_M
    return abs(where.affine.e) * scale


def _refused(method: str, weights: Path, checksum: str, where: GeoBox, given: set[str]) -> str:
    """Return why the network is not used."""
    if method == "interpolation":
        return "interpolation was asked for"
    from aqgeo.models import checkpoint
    from aqgeo.processing import superres

    checkpoint.read(weights, task=superres.TASK, sha256=checksum)
    low, high = _LEARNT_M
    if not low <= (pixel_m := _pixel_m(where)) <= high:
        return f"the network was judged on pixels of 1000 m, these have {pixel_m:.0f} m"
    return superres.gate(weights, FACTOR, given)


def _interpolated(coarse: xr.Dataset) -> dict[str, da.Array]:
    from aqgeo.processing import superres

    return {"no2_column": superres.interpolated(coarse["no2_column"].data[0], FACTOR)}


def _estimated(
    coarse: xr.Dataset, fields: Mapping[str, da.Array], weights: Path
) -> dict[str, da.Array]:
    from aqgeo.processing import superres

    column, sigma = (coarse[name].data[0] for name in ("no2_column", "no2_column_sigma"))
    found, sure = superres.estimate(column, sigma, fields, weights)
    return {"no2_column": found, "no2_column_sigma": sure}


def _cube(made: Mapping[str, da.Array], span: Period, where: GeoBox) -> xr.Dataset:
    names = {"no2_column": "NO2 column", "no2_column_sigma": "one-sigma of the NO2 column"}
    variables = {
        name: cube.values(values[None], s5p.UNIT, long_name=names[name])
        for name, values in made.items()
    }
    return cube.make(variables, span.time, where)


def _told(weights: Path, checksum: str, given: list[str]) -> dict[str, Any]:
    """Return what provenance tells of the network: which, trained on what, how much better."""
    from aqgeo.models import checkpoint
    from aqgeo.processing import superres

    card = checkpoint.read_card(weights)
    best = superres.held_out(card, set(given))
    return {
        "column_weights": f"{weights.stem}, SHA-256 {checksum[:12]}",
        "column_weights_trained_on": list(card.data),
        "column_covariates": given or ["none"],
        "column_held_out_rmse_umol_m2": [f"{name} {value:.2f}" for name, value in best.items()],
    }
