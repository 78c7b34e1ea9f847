"""Cloud masks of a Sentinel-2 series: by which method, made of what, and what they show."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.array import overlap

from aqgeo import cube
from aqgeo.catalog import Model, pick
from aqgeo.errors import CatalogError, GridError, ModelError, SourceError
from aqgeo.period import Period
from aqgeo.processing import clouds
from aqgeo.scoring import matching
from aqgeo.sources.sentinel2_bands import SCL
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance

DEFAULT = "unet"
METHODS = {
    "unet": "U-Net",
    "scl": "Sen2Cor scene classification",
    "s2cloudless": "s2cloudless",
}
"""Name for people by name of the method."""
MORE = {"s2cloudless": ("ingest-sentinel-2-l1c",)}
"""Results that a method reads beside the series."""
_LEVEL = "L2A"
# A date with less clear ground is told of.
_LITTLE_PERCENT = 1.0
# Farther than any shadow lies from its cloud.
_LARGEST_DILATION_M = 10_000.0
# Scenes of one pass lie seconds apart; those of two passes a day or more.
_SAME_PASS = np.timedelta64(6, "h")


@dataclass(frozen=True, slots=True)
class Mask:
    """How the clouds of a series are found."""

    method: str
    """Key of METHODS."""
    dilation_m: float
    """Clouds and shadows grow by so many metres."""
    key: Mapping[str, Any]
    """All that the mask depends on beside the series."""
    told: Mapping[str, Any]
    """What provenance tells of it."""
    weights: Path | None = None
    """Weights of the network, where there is one."""
    more: Path | None = None
    """Folder of what is read beside the series."""
    inputs: Sequence[str] = field(default=())
    """Ids of the items in it."""


def choose(
    work: Workspace, region: str, span: Period, method: str, *, dilation_m: float = 0.0
) -> Mask:
    """Return how clouds are found, after a look at what that takes.

    Raises:
        CatalogError: the method is unknown, or no weights are in the catalog.
        GridError: the dilation is no length.
        ModelError: the weights are not those of the catalog.
        WorkspaceError: what the method reads was not made.
    """
    known = check(work, method, dilation_m)
    key: dict[str, Any] = {"method": method, "dilation_m": dilation_m}
    told: dict[str, Any] = {"clouds": METHODS[method], "cloud_level": _LEVEL}
    weights, more, inputs = None, None, ()
    if known is not None:
        weights = known.path
        key["weights"] = known.sha256
        told["cloud_weights"] = f"{known.name}, SHA-256 {known.sha256[:12]}"
    if method in MORE:
        from aqgeo.processing import s2cloudless_mask

        (name,) = MORE[method]
        more = work.stage(region, span, name)
        about = read_provenance(more)
        inputs = tuple(about["inputs"])
        key |= {"more": about["key"], "package": s2cloudless_mask.told()}
        told |= {"clouds": s2cloudless_mask.told(), "cloud_level": "L1C"}
    told["cloud_dilation_m"] = dilation_m
    return Mask(method, dilation_m, key, told, weights, more, inputs)


def check(work: Workspace, method: str, dilation_m: float) -> Model | None:
    """Refuse a method that cannot work, before anything is read; return its weights if it has any.

    Raises:
        CatalogError: the method is unknown, or no weights are in the catalog.
        GridError: the dilation is no length.
        ModelError: the weights are not those of the catalog.
    """
    pick(METHODS, method, "cloud method")
    if not 0 <= dilation_m <= _LARGEST_DILATION_M:
        raise GridError(
            f"clouds cannot grow by {dilation_m} m: choose 0 to {_LARGEST_DILATION_M:.0f}"
        )
    return _weights(work) if method == "unet" else None


def _weights(work: Workspace) -> Model:
    """Return the catalog's weights for clouds in surface reflectance; their file is what it says.

    Raises:
        CatalogError: the catalog has none.
        ModelError: the file is missing, or another one.
    """
    known = [m for m in work.models().values() if (m.task, m.level) == ("clouds", _LEVEL)]
    if not known:
        raise CatalogError(
            f"{work.catalogs / 'models'} has no weights for clouds in {_LEVEL} images: add them, "
            "or choose --clouds scl"
        )
    wanted = known[0]
    # As `checkpoint.read` does, but without waiting for torch, and before hours of reading.
    try:
        with wanted.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise ModelError(
            f"{wanted.path}, the weights {wanted.name!r}, cannot be read: {err.strerror}: fetch "
            "them, or choose --clouds scl"
        ) from err
    if found != wanted.sha256:
        raise ModelError(
            f"{wanted.path} has the checksum {found[:12]}..., the catalog says "
            f"{wanted.sha256[:12]}...: fetch it again, or choose --clouds scl"
        )
    return wanted


def find(mask: Mask, ds: xr.Dataset) -> xr.Dataset:
    """Return the lazy cube of `cloud_class` and, where the method has it, `cloud_confidence`.

    Args:
        mask: how clouds are found.
        ds: the ingested series, with its bands in reflectance and `SCL`.
    """
    where = cube.geobox(ds)
    pixel_m = abs(where.affine.a)
    if mask.method == "scl":
        found, sure = ds[SCL].data.map_blocks(clouds.from_scl, dtype="uint8"), None
    elif mask.method == "s2cloudless":
        found, sure = _s2cloudless(ds, cube.open(mask.more / "cube.zarr"), pixel_m)
    else:
        # torch takes seconds to import: only those who need it pay.
        from aqgeo.processing import clouds_unet

        bands = reflectances(ds)
        values = da.stack([ds[band].data for band in bands], axis=1)
        found, sure = clouds_unet.detect(values, bands, mask.weights, level=_LEVEL)
    if mask.dilation_m:
        found = clouds.dilate(found, mask.dilation_m, pixel_m)
    known = da.stack([da.isfinite(ds[band].data) for band in reflectances(ds)]).all(axis=0)
    found = da.where((found == clouds.CLEAR) & ~known, np.uint8(clouds.NO_DATA), found)
    variables = {
        "cloud_class": cube.classes(found, clouds.CLASSES, long_name="cloud class, CloudSEN12")
    }
    if sure is not None:
        none = (sure == clouds.NO_DATA) | (found == clouds.NO_DATA)
        percent = da.where(none, np.float32("nan"), sure.astype("float32"))
        variables["cloud_confidence"] = cube.values(
            percent, "%", long_name="confidence of the cloud class"
        )
    return cube.make(variables, ds["time"].values, where)


def reflectances(ds: xr.Dataset) -> list[str]:
    """Return the names of a series' bands."""
    return [str(name) for name in ds.data_vars if ds[name].dtype == "float32"]


def once(found: xr.Dataset) -> dict[str, xr.Variable]:
    """Return the share of dates under cloud, among those with data, and the mean confidence."""
    cloud = found["cloud_class"].data
    seen = (cloud != clouds.NO_DATA).sum(axis=0, dtype="float32")
    cloudy = ((cloud == clouds.THICK) | (cloud == clouds.THIN)).sum(axis=0, dtype="float32")
    share = da.where(seen > 0, cloudy / da.maximum(seen, 1), np.float32("nan"))
    made = {"cloud_share": cube.values(share[None], "1", long_name="share of dates under cloud")}
    if "cloud_confidence" in found:
        sure = found["cloud_confidence"].data
        known = da.isfinite(sure)
        total = da.where(known, sure, 0).sum(axis=0, dtype="float32")
        count = known.sum(axis=0, dtype="float32")
        mean = da.where(count > 0, total / da.maximum(count, 1), np.float32("nan"))
        made["cloud_confidence"] = cube.values(
            mean[None], "%", long_name="confidence of the cloud class, mean of the dates"
        )
    return made


def scenes(mask: Mask, found: xr.Dataset, cluster: Cluster) -> list[dict[str, Any]]:
    """Return of each date the shares of its classes in percent, and why it gave nothing."""
    cloud = found["cloud_class"].data
    codes = [*clouds.CLASSES, clouds.NO_DATA]
    counts = da.stack([(cloud == code).sum(axis=(1, 2)) for code in codes], axis=1)
    days = found["time"].values.astype("datetime64[D]").astype(str)
    empty = "shows nothing of the region" + (", or has no L1C scene" if mask.more else "")
    return [
        {"date": str(day), "percent": _percent(row), "reason": _reason(row, empty)}
        for day, row in zip(days, cluster.run(counts, "Counting clouds"), strict=True)
    ]


def notes(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each date that gave nothing to the map."""
    return [f"{scene['date']}: {scene['reason']}" for scene in told if scene["reason"]]


def _percent(counts: np.ndarray) -> dict[str, float]:
    """Return shares in percent to one decimal, which add up to 100: the largest rests round up."""
    exact = 1000 * counts / counts.sum()
    whole = np.floor(exact)
    first = np.argsort(whole - exact, kind="stable")[: round(1000 - whole.sum())]
    whole[first] += 1
    names = [*clouds.CLASSES.values(), "no data"]
    return {name: float(share) / 10 for name, share in zip(names, whole, strict=True)}


def _reason(counts: np.ndarray, empty: str) -> str:
    clear, thick, thin, shadow, lost = (100 * counts / counts.sum()).tolist()
    if not counts[:-1].any():
        return empty
    if clear >= _LITTLE_PERCENT:
        return ""
    parts = {"cloud": thick + thin, "shadow": shadow, "no data": lost}
    told = ", ".join(f"{share:.0f} % {name}" for name, share in parts.items() if share >= 0.5)
    left = f"{clear:.1g} % clear" if counts[0] else "no clear pixel"
    return f"{told}, left {left}"


def _s2cloudless(ds: xr.Dataset, level1: xr.Dataset, pixel_m: float) -> tuple[da.Array, da.Array]:
    """Return classes and confidence of L1C scenes on the dates of L2A; without one no data."""
    from aqgeo.processing import s2cloudless_mask

    if cube.geobox(level1) != cube.geobox(ds):
        raise SourceError("L1C and L2A lie on different grids: run `aqgeo ingest` for both again")
    matched = matching.nearest_times(ds["time"].values, level1["time"].values, _SAME_PASS)
    if max(matched) < 0:
        raise SourceError(
            "no L1C scene is of a date of the L2A series: bring both levels of the same passes, "
            "or choose --clouds unet"
        )
    values = da.stack([level1[band].data for band in s2cloudless_mask.BANDS], axis=1)
    margin = s2cloudless_mask.margin(pixel_m)
    depth = {0: 0, 1: 0, 2: margin, 3: margin}
    wide = overlap.overlap(values.rechunk({0: 1, 1: -1}), depth, boundary="none")
    chunks = (wide.chunks[0], (2,), *wide.chunks[2:])
    both = wide.map_blocks(_detect_block, pixel_m=pixel_m, dtype="uint8", chunks=chunks)
    both = overlap.trim_internal(both, depth, boundary="none")
    none = da.full(both.shape[1:], clouds.NO_DATA, dtype="uint8", chunks=both.chunks[1:])
    dated = da.stack([both[date] if date >= 0 else none for date in matched])
    return dated[:, 0], dated[:, 1]


def _detect_block(block: np.ndarray, *, pixel_m: float) -> np.ndarray:
    from aqgeo.processing import s2cloudless_mask

    return np.stack([s2cloudless_mask.detect(one, pixel_m=pixel_m) for one in block])
