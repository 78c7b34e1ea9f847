"""Sentinel-5P L2 NO2 granules read as pixels with corners."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from aqgeo.errors import SourceError

COLUMN = "nitrogendioxide_tropospheric_column"
UNIT = "mol m-2"
# The NO2 product's user manual asks for qa_value above 0.75 for cloud-free tropospheric columns.
MIN_QA = 0.75


@dataclass(frozen=True, slots=True)
class Granule:
    """The usable pixels of one granule."""

    column: np.ndarray
    """(n,) tropospheric NO2 column, mol m-2; negative values are noise and kept."""
    lon: np.ndarray
    """(n, 4) corner longitudes, degrees, in order round the pixel."""
    lat: np.ndarray
    """(n, 4) corner latitudes, degrees."""
    pixels: int
    """Pixels with a column, before the quality rule."""
    best_qa: float
    """Highest qa_value among them, 0 to 1; NaN where there are none."""
    rebuilt: bool
    """Whether corners were rebuilt from centres, since the file has none."""


def read(path: Path, *, min_qa: float = MIN_QA) -> Granule:
    """Read the pixels whose qa_value is above a bound.

    Args:
        path: netCDF-4 file with the official groups, or a spatial subset of one.
        min_qa: bound that qa_value, 0 to 1, must exceed.

    Raises:
        SourceError: the file cannot be read, or group, variable or unit are not the product's.
    """
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            return _read(file, path, min_qa)
    except (OSError, RuntimeError) as err:
        raise SourceError(
            f"{path} cannot be read as netCDF-4, it may be cut short: {err}: fetch it again"
        ) from err


def rebuild_corners(centres: np.ndarray) -> np.ndarray:
    """Return pixel corners from centres: half way to the neighbours on each side.

    Steps along and across the track come from neighbouring centres; where a pixel lacks a
    neighbour, the granule's median step serves. Good to some hundred metres in a swath's middle.

    Args:
        centres: (scanline, ground_pixel, 2) lon, lat in degrees; NaN where missing.

    Returns:
        (scanline, ground_pixel, 4, 2) lon, lat, in order round the pixel.

    Raises:
        ValueError: no two neighbouring centres exist along or across the track.
    """
    along, across = _steps(centres, 0) / 2, _steps(centres, 1) / 2
    signs = ((-1, -1), (-1, 1), (1, 1), (1, -1))
    return np.stack([centres + a * along + b * across for a, b in signs], axis=2)


def _read(file: netCDF4.Dataset, path: Path, min_qa: float) -> Granule:
    if "PRODUCT" not in file.groups:
        raise SourceError(
            f"{path} has no group PRODUCT: it is no Sentinel-5P L2 file, remove its item"
        )
    product = file.groups["PRODUCT"]
    missing = [
        n for n in (COLUMN, "qa_value", "longitude", "latitude") if n not in product.variables
    ]
    if missing:
        raise SourceError(
            f"{path} lacks {', '.join(missing)} in group PRODUCT: it is no L2 NO2 file, "
            "remove its item"
        )
    column, qa = _floats(product[COLUMN]), _floats(product["qa_value"])
    unit = getattr(product[COLUMN], "units", "none")
    if unit != UNIT:
        raise SourceError(f"{path}: {COLUMN} is in {unit!r}, {UNIT!r} is needed: convert the file")
    centres = np.stack([_floats(product["longitude"]), _floats(product["latitude"])], axis=-1)
    try:
        corners, rebuilt = _corners(file, centres)
    except (ValueError, IndexError) as err:
        raise SourceError(f"{path} has no usable pixel corners: {err}") from err
    present = np.isfinite(column)
    # qa_value is stored in hundredths: compare those, since 0.75 has no exact float.
    good = present & (np.round(qa * 100) > round(min_qa * 100))
    good &= np.isfinite(corners).all(axis=(-1, -2))
    return Granule(
        column=column[good],
        lon=corners[good][..., 0],
        lat=corners[good][..., 1],
        pixels=int(present.sum()),
        best_qa=float(np.nanmax(qa[present])) if np.isfinite(qa[present]).any() else float("nan"),
        rebuilt=rebuilt,
    )


def _corners(file: netCDF4.Dataset, centres: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return corners (scanline, ground_pixel, 4, 2) and whether they were rebuilt."""
    try:
        group = file["PRODUCT/SUPPORT_DATA/GEOLOCATIONS"]
        names = ("longitude_bounds", "latitude_bounds")
        return np.stack([_floats(group[name]) for name in names], axis=-1), False
    except (KeyError, IndexError):
        return rebuild_corners(centres), True


def _floats(variable: Any) -> np.ndarray:
    """Return a variable's first time step as scaled float64, NaN for fill values."""
    variable.set_auto_maskandscale(False)
    raw = np.asarray(variable[0])
    data = raw.astype("float64")
    data *= getattr(variable, "scale_factor", 1.0)
    data += getattr(variable, "add_offset", 0.0)
    data[raw == getattr(variable, "_FillValue", None)] = np.nan
    data[np.abs(data) > 1e30] = np.nan
    return data


def _steps(centres: np.ndarray, axis: int) -> np.ndarray:
    """Return the step from pixel to pixel along an axis, the mean of both sides where possible."""
    step = np.diff(centres, axis=axis)
    step[..., 0] = (step[..., 0] + 180) % 360 - 180
    usable = np.isfinite(step).all(axis=-1)
    if not usable.any():
        raise ValueError(f"no two neighbouring centres exist along axis {axis}")
    pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
    before, after = (np.pad(step, pad, constant_values=np.nan) for _ in range(2))
    sides = np.stack(
        [
            np.take(before, range(centres.shape[axis]), axis),
            np.take(after, range(1, centres.shape[axis] + 1), axis),
        ]
    )
    known = np.isfinite(sides)
    mean = np.where(known, sides, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), mean, np.median(step[usable], axis=0))
