"""The cube: a convention on xarray.Dataset, kept in Zarr v3.

Dims are (time, y, x), with `band` after time where bands are alike. Variables are float32 with NaN
for no data and `units`; or bool masks; or uint8 classes with `flag_values` and `flag_meanings`.
Time is unique, ascending UTC; `spatial_ref` carries the CRS.
"""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo.errors import CubeError

CHUNK = 512
Compute = Callable[[Any], Any]
_TIME_ENCODING = {"units": "seconds since 1970-01-01", "dtype": "int64", "calendar": "standard"}


def make(variables: dict[str, xr.Variable], times: np.ndarray, grid: GeoBox) -> xr.Dataset:
    """Return a checked cube.

    Args:
        variables: name -> Variable with dims (time, y, x), as the law demands.
        times: (time,) datetime64 in UTC.
        grid: where the pixels lie.
    """
    coords: dict[Hashable, xr.DataArray] = odc.geo.xr.xr_coords(grid, always_yx=True)
    time = xr.DataArray(times.astype("datetime64[s]"), dims="time", attrs={"standard_name": "time"})
    ds = xr.Dataset(variables, coords={"time": time, **coords})
    for variable in ds.data_vars.values():
        variable.attrs.setdefault("grid_mapping", "spatial_ref")
    check(ds)
    return ds


def values(data: np.ndarray | da.Array, units: str, **attrs: object) -> xr.Variable:
    """Return a (time, y, x) variable of physical values; NaN is no data."""
    return xr.Variable(("time", "y", "x"), data.astype("float32"), {"units": units, **attrs})


def mask(data: np.ndarray | da.Array, **attrs: object) -> xr.Variable:
    """Return a (time, y, x) mask."""
    return xr.Variable(("time", "y", "x"), data.astype(bool), attrs)


def classes(data: np.ndarray | da.Array, names: dict[int, str], **attrs: object) -> xr.Variable:
    """Return a (time, y, x) variable of uint8 class codes; a code without a name is no data."""
    flags = {
        "flag_values": np.array(list(names), "uint8"),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in names.values()),
    }
    return xr.Variable(("time", "y", "x"), data.astype("uint8"), {**flags, **attrs})


def geobox(ds: xr.Dataset) -> GeoBox:
    """Return where the cube's pixels lie.

    Raises:
        CubeError: the cube has no georeference.
    """
    grid = ds.odc.geobox
    if not isinstance(grid, GeoBox):
        raise CubeError("the cube has no georeference: it needs even x and y and a spatial_ref")
    return grid


def breaches(ds: xr.Dataset) -> list[str]:
    """List every way in which a dataset breaks the law of cubes."""
    found = [f"dimension {d!r} is missing" for d in ("time", "y", "x") if d not in ds.dims]
    found += _space_breaches(ds) + _time_breaches(ds)
    for name, variable in ds.data_vars.items():
        found += [f"{name}: {what}" for what in _variable_breaches(variable)]
    return found


def _space_breaches(ds: xr.Dataset) -> list[str]:
    found = []
    for name, sign, rule in (("y", -1, "north must be up"), ("x", 1, "east must be right")):
        if name not in ds.indexes:
            found.append(f"{name} has no coordinate")
            continue
        steps = np.diff(ds.indexes[name].to_numpy().astype("float64")) * sign
        if (steps <= 0).any():
            found.append(f"{name} runs the wrong way: {rule}")
        elif steps.size and np.ptp(steps) > 1e-6 * steps.mean():
            found.append(f"{name} is not even")
    if "spatial_ref" not in ds.coords or ds.odc.crs is None:
        found.append("no georeference: spatial_ref must hold the CRS")
    return found


def _time_breaches(ds: xr.Dataset) -> list[str]:
    time = ds.indexes.get("time")
    if time is None or time.dtype.kind != "M" or time.hasnans:
        return ["time is no datetime64 coordinate without gaps"]
    if not (time.is_unique and time.is_monotonic_increasing):
        return ["time is not unique and ascending"]
    return []


def _variable_breaches(variable: xr.DataArray) -> list[str]:
    found = []
    if variable.dims not in (("time", "y", "x"), ("time", "band", "y", "x")):
        found.append(f"dims {variable.dims} are not (time, y, x) or (time, band, y, x)")
    if variable.dtype == "float32":
        if not variable.attrs.get("units"):
            found.append("float32 without units")
    elif variable.dtype == "uint8":
        if not {"flag_values", "flag_meanings"} <= set(variable.attrs):
            found.append("uint8 without flag_values and flag_meanings")
    elif variable.dtype != "bool":
        found.append(f"dtype {variable.dtype} is not float32, uint8 or bool")
    return found


def check(ds: xr.Dataset) -> None:
    """Refuse a dataset that breaks the law.

    Raises:
        CubeError: with all breaches in one line.
    """
    found = breaches(ds)
    if found:
        raise CubeError(f"the dataset is no cube: {'; '.join(found)}")


def open(path: Path) -> xr.Dataset:
    """Open a cube lazily, one Dask chunk for each Zarr chunk; its variables are sorted by name.

    Raises:
        CubeError: there is no cube at the path, or it breaks the law.
    """
    try:
        ds: xr.Dataset = xr.open_zarr(path, consolidated=False, zarr_format=3, decode_coords="all")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as err:
        raise CubeError(f"{path} holds no whole cube: run the stage that writes it again") from err
    lost = set(ds.attrs.get("variables", ())) - set(map(str, ds.data_vars))
    if lost:
        raise CubeError(f"{path} has lost {', '.join(sorted(lost))}: run its stage again")
    check(ds)
    # A store lists variables as the file system does: in any order, and sums of bands differ by it.
    return ds[sorted(map(str, ds.data_vars))]


def write(ds: xr.Dataset, path: Path, *, compute: Compute = dask.compute) -> None:
    """Write a new cube.

    Args:
        ds: the cube; its variables may be lazy.
        path: folder of the new Zarr store.
        compute: runs the delayed writing of the chunks.

    Raises:
        CubeError: the dataset breaks the law.
    """
    check(ds)
    if path.exists():
        raise CubeError(f"{path} exists: write somewhere else, or append to it")
    chunked = ds.chunk({"time": 1, "y": CHUNK, "x": CHUNK})
    chunked.attrs["variables"] = sorted(map(str, ds.data_vars))
    encoding: dict[Hashable, dict[str, object]] = {"time": dict(_TIME_ENCODING)}
    for name, variable in chunked.data_vars.items():
        variable.encoding = {}
        fill = {"float32": {"_FillValue": np.float32("nan")}}.get(str(variable.dtype), {})
        encoding[name] = {"chunks": tuple(c[0] for c in variable.chunks or ()), **fill}
    compute(
        chunked.to_zarr(
            path, mode="w-", consolidated=False, zarr_format=3, encoding=encoding, compute=False
        )
    )


def append(ds: xr.Dataset, path: Path, *, compute: Compute = dask.compute) -> None:
    """Add later times to the cube at the path, or write a new one there.

    Raises:
        CubeError: the dataset breaks the law, lies elsewhere, or is not later in time.
    """
    if not path.exists():
        write(ds, path, compute=compute)
        return
    check(ds)
    old = open(path)
    if geobox(old) != geobox(ds) or _kinds(old) != _kinds(ds):
        raise CubeError(
            f"{path} has another grid, or other variables, units or classes: write a new cube"
        )
    if old.indexes["time"][-1] >= ds.indexes["time"][0]:
        raise CubeError(
            f"{path} ends at {old.indexes['time'][-1]}, the addition starts at "
            f"{ds.indexes['time'][0]}: cubes grow forward in time"
        )
    chunked = ds.drop_vars("spatial_ref").chunk({"time": 1, "y": CHUNK, "x": CHUNK})
    chunked.attrs["variables"] = sorted(map(str, ds.data_vars))
    for variable in chunked.data_vars.values():
        variable.encoding = {}
    compute(
        chunked.to_zarr(path, append_dim="time", consolidated=False, zarr_format=3, compute=False)
    )


def _kinds(ds: xr.Dataset) -> dict[str, tuple[str, ...]]:
    """Return what must be the same for cubes to be joined: types, dims, units, classes."""
    rules = ("units", "flag_values", "flag_meanings")
    return {
        str(name): (
            *(str(variable.dtype), str(variable.dims)),
            *(str(np.asarray(variable.attrs.get(rule, "")).tolist()) for rule in rules),
        )
        for name, variable in ds.data_vars.items()
    }
