"""Sentinel-5P L2 NO2 granules written in the official netCDF-4 layout."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import airmass, granule_metadata, swath
from aqgeo.simulation.granule_layout import FILL, GROUPS, SUBSET, Layout
from aqgeo.simulation.swath import Swath

Form = Literal["piece", "subset", "orbit"]

_EPOCH = datetime(2010, 1, 1, tzinfo=UTC)
_CHUNK_LINES = 256  # of a whole orbit; the kernel, 34 times as large, in a quarter of that
_KEPT_BITS = 10  # of 23 in the mantissa of a kernel: good to .05 %, and half the file


def write(
    view: Swath, seen: dict[str, NDArray[Any]], folder: Path, *, form: Form = "piece"
) -> Path:
    """Write a granule; its bytes follow from the arguments alone.

    Args:
        view: the pixels.
        seen: what `tropomi.observe` returns for them.
        folder: where `<official name>.nc` is written, `.SUB.nc4` for a subset.
        form: `orbit` is a whole orbit, `piece` a part of one with all groups, `subset` a part as
            the NASA archive cuts it: no corners, no input data, no cloud.
    """
    if form == "orbit" and view.shape != (view.lines, swath.PIXELS):
        raise ValueError(f"{view.shape} pixels are no whole orbit: write a piece")
    subset = form == "subset"
    path = folder / f"{view.name}{'.SUB.nc4' if subset else '.nc'}"
    values = {**_geolocation(view), **seen}
    with netCDF4.Dataset(path, "w", format="NETCDF4") as nc:
        nc.setncatts(_global_attributes(view))
        product = nc.createGroup("PRODUCT")
        for name, size in _sizes(view, subset).items():
            product.createDimension(name, size)
        for group, variables in (SUBSET if subset else GROUPS).items():
            place = nc.createGroup(group)
            for name, layout in variables.items():
                _write_variable(place, name, layout, values[name], whole=form == "orbit")
        day = view.scan_start.strftime("%Y-%m-%d")
        nc["PRODUCT/delta_time"].units = f"milliseconds since {day} 00:00:00"
        _write_tree(nc.createGroup("METADATA"), granule_metadata.tree(view))
    return path


def _sizes(view: Swath, subset: bool) -> dict[str, int]:
    lines, pixels = view.shape
    sizes = {"time": 1, "scanline": lines, "ground_pixel": pixels, "layer": airmass.LAYERS}
    return sizes if subset else {**sizes, "corner": 4, "vertices": 2}


def _geolocation(view: Swath) -> dict[str, Any]:
    """Return what follows from the geometry, by name in the file, without the time dimension."""
    midnight = view.scan_start.replace(hour=0, minute=0, second=0, microsecond=0)
    times = [view.start + timedelta(seconds=s) for s in view.seconds.tolist()]
    track, phase = view.satellite
    (sun, sun_from), (sight, sight_from) = view.sun, view.view
    edges = (airmass.A_PA, airmass.B)
    constants = [np.stack([e[:-1], e[1:]], axis=-1) for e in edges]
    return {
        "scanline": view.first_line + np.arange(view.shape[0]),
        "ground_pixel": view.first_pixel + np.arange(view.shape[1]),
        "corner": np.arange(4),
        "layer": np.arange(airmass.LAYERS),
        "time": np.array(round((midnight - _EPOCH).total_seconds())),
        "delta_time": np.array([round((t - midnight).total_seconds() * 1000) for t in times]),
        "time_utc": [t.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for t in times],
        "longitude": view.centres[..., 0],
        "latitude": view.centres[..., 1],
        "longitude_bounds": view.corners[..., 0],
        "latitude_bounds": view.corners[..., 1],
        "satellite_longitude": track[:, 0],
        "satellite_latitude": track[:, 1],
        "satellite_altitude": np.array(1000 * swath.ALTITUDE_KM),
        "satellite_orbit_phase": phase,
        "solar_zenith_angle": sun,
        "solar_azimuth_angle": _signed(sun_from),
        "viewing_zenith_angle": sight,
        "viewing_azimuth_angle": _signed(sight_from),
        "geolocation_flags": np.array(0),
        "tm5_constant_a": constants[0],
        "tm5_constant_b": constants[1],
    }


def _signed(azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((azimuth + 180) % 360 - 180)


def _write_variable(
    group: netCDF4.Group, name: str, layout: Layout, values: Any, *, whole: bool
) -> None:
    """Write one variable as the real product stores it."""
    if layout.kind == "str":
        variable = group.createVariable(name, str, layout.dims)
        # The library refuses fill_value for strings, yet the real files have the attribute.
        variable.setncattr_string("_FillValue", FILL["str"])
        variable[0, :] = np.array(values, dtype=object)
        variable.setncatts(layout.attrs)
        return
    fill = np.dtype(layout.kind).type(FILL[layout.kind])
    variable = group.createVariable(
        name,
        layout.kind,
        layout.dims,
        fill_value=fill,
        compression="zlib",
        complevel=1 if whole else 3,
        shuffle=True,
        chunksizes=_chunks(layout, values) if whole else None,
    )
    variable.set_auto_maskandscale(False)
    variable.setncatts(layout.attrs)
    if name == "averaging_kernel":
        for at in range(0, len(values), _CHUNK_LINES):  # in blocks, since it is large
            rows = slice(at, at + _CHUNK_LINES)
            variable[0, rows] = _filled(_rounded(values[rows]), fill)
    else:
        data = np.asarray(values, layout.kind)
        variable[...] = np.broadcast_to(_filled(data, fill), variable.shape)


def _filled(data: NDArray[Any], fill: np.generic) -> NDArray[Any]:
    if data.dtype.kind != "f" or np.isfinite(data).all():
        return data
    return np.where(np.isfinite(data), data, fill)


def _chunks(layout: Layout, values: Any) -> tuple[int, ...] | None:
    if "ground_pixel" not in layout.dims or "scanline" not in layout.dims:
        return None
    inner = () if "layer" not in layout.dims else (airmass.LAYERS,)
    inner = (4,) if "corner" in layout.dims else inner
    return (1, _CHUNK_LINES // (4 if inner else 1), swath.PIXELS, *inner)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with the last bits of the mantissa cleared, to the nearest."""
    drop = 23 - _KEPT_BITS
    bits = values.view("uint32") + np.uint32(1 << (drop - 1))
    bits &= np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF)
    return np.where(np.isfinite(values), bits.view("float32"), np.float32(np.nan))


def _write_tree(group: netCDF4.Group, tree: granule_metadata.Tree) -> None:
    group.setncatts({name: value for name, value in tree.items() if not isinstance(value, dict)})
    for name, value in tree.items():
        if isinstance(value, dict):
            _write_tree(group.createGroup(name), value)


def _global_attributes(view: Swath) -> dict[str, Any]:
    """Return attributes that readers use, and the label that this is no measurement."""
    begin, end = granule_metadata.covered(view)
    size = granule_metadata.resolution(view)
    midnight = view.scan_start.replace(hour=0, minute=0, second=0, microsecond=0)
    box = granule_metadata.box(view)
    days = (midnight - datetime(1950, 1, 1, tzinfo=UTC)).days
    return {
        "Conventions": "CF-1.7",
        "institution": "aqgeo",
        "source": "SIMULATED: not measured by Sentinel 5 precursor, TROPOMI",
        "summary": f"Simulated TROPOMI/S5P NO2 L2 swath {size} over an invented world",
        "title": granule_metadata.TITLE.format(size),
        "id": view.name,
        "time_reference": granule_metadata.stamp(midnight),
        "time_reference_days_since_1950": np.int32(days),
        "time_reference_julian_day": np.float64(midnight.timestamp() / 86_400 + 2_440_587.5),
        "time_reference_seconds_since_1970": np.int64(midnight.timestamp()),
        "time_coverage_start": begin,
        "time_coverage_end": end,
        "time_coverage_duration": f"PT{view.lines * view.line_s:.3f}S",
        "time_coverage_resolution": f"PT{view.line_s:.3f}S",
        "orbit": np.int32(view.orbit),
        "processor_version": granule_metadata.VERSION,
        "algorithm_version": granule_metadata.VERSION,
        "product_version": granule_metadata.VERSION,
        "cdm_data_type": "Swath",
        "date_created": granule_metadata.stamp(view.made),
        "geospatial_lat_min": box["gmd:southBoundLatitude"],
        "geospatial_lat_max": box["gmd:northBoundLatitude"],
        "geospatial_lon_min": box["gmd:westBoundLongitude"],
        "geospatial_lon_max": box["gmd:eastBoundLongitude"],
        "geolocation_grid_from_band": np.int32(4),
        "license": "CC0-1.0",
        "platform": "S5P",
        "sensor": "TROPOMI",
        "spatial_resolution": size,
        "processing_status": "OFFL-processing nominal product",
    }
