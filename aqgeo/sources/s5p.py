"""Sentinel-5P L2 NO2 granules read as pixels with corners."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.sources import s5p_corners, s5p_near
from aqgeo.sources.s5p_file import PixelFile, opened

COLUMN = "nitrogendioxide_tropospheric_column"
KERNEL = "averaging_kernel_troposphere"
"""Field that `read` derives: the kernel of the tropospheric column."""
UNIT = "mol m-2"
# The NO2 product's user manual asks for qa_value above 0.75 for cloud-free tropospheric columns.
MIN_QA = 0.75
LEAST = -0.001
"""Columns below, mol m-2, are no noise but failures (sources handbook, section 4)."""
MOLECULES_CM2 = 6.02214e19
"""Of 1 mol m-2: the product's attribute multiplication_factor_to_convert_to_molecules_percm2."""
_WIND = ("eastward_wind", "northward_wind")
_BOUNDS = ("longitude_bounds", "latitude_bounds")
_UNIT = re.compile(
    r"(?:(?:1(?:\.0*)?\s*[x*]?\s*)?(?:e\+?|10\s*(?:\^|\*\*)\s*)(?P<power>\d{1,2})\s*)?"
    r"(?P<what>mol|molec|molecules?)\.?\s*"
    r"(?:/\s*(?P<per>c?m)\s*(?:\^|\*\*)?\s*2|(?P<by>c?m)\s*(?:\^|\*\*)?\s*\{?-2\}?)"
)
# Length along the track: 7 km until 2019-08-06, then 5.5 km (sources handbook, section 4).
_SHORT_SINCE, _LONG_M, _SHORT_M = "2019-08-06", 7000.0, 5500.0


@dataclass(frozen=True, slots=True)
class Granule:
    """The usable pixels of one granule."""

    column: np.ndarray
    """(n,) tropospheric NO2 column, mol m-2; negative values are noise and kept."""
    lon: np.ndarray
    """(n, 4) corner longitudes, degrees, in order round the pixel, in either direction."""
    lat: np.ndarray
    """(n, 4) corner latitudes, degrees."""
    pixels: int
    """Pixels with a column, before the quality rule, of those looked at."""
    best_qa: float
    """Highest qa_value among them, 0 to 1; NaN where there are none."""
    rebuilt: bool
    """Whether corners were rebuilt from centres, since the file has none."""
    rule: str
    """What was asked of pixels, as provenance should tell it."""
    skipped: dict[str, int]
    """Pixels looked at and left out, by the first reason that holds: `fill`, `qa`, `implausible`
    (below LEAST), `corners`."""
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    """(n,) or (n, layer) by name, NaN where missing; columns in mol m-2, all else in the file's
    unit."""
    units: dict[str, str] = field(default_factory=dict)
    """Unit of each further variable."""
    wind: tuple[float, float] | None = None
    """Mean over the usable pixels of the wind at 10 m that the file was made with, eastward and
    northward, m s-1; None if it has none."""


def read(
    path: Path,
    *,
    min_qa: float = MIN_QA,
    where: GeoBox | None = None,
    fields: Sequence[str] = (),
) -> Granule:
    """Read the pixels whose qa_value is above a bound.

    Only the variables asked for are read, and of these, after the centres, only the scanlines that
    may meet the grid.

    Args:
        path: netCDF-4 file with the official groups, or a spatial subset of one.
        min_qa: bound that qa_value, 0 to 1, must exceed.
        where: grid that the pixels may meet; pixels further than some 60 km are left out.
        fields: further variables of PRODUCT or below SUPPORT_DATA with a value or a row of layers
            for each pixel, by name; also `averaging_kernel_troposphere`.

    Raises:
        SourceError: the file cannot be read, or group, variable, dimensions or unit are not the
            product's.
    """
    if not 0 <= min_qa <= 1:
        raise SourceError(f"a bound of {min_qa} for qa_value is not in 0 to 1: write 0.75 for 75 %")
    with opened(path, (COLUMN, "qa_value", "longitude", "latitude")) as file:
        lon, lat = file.values("longitude"), file.values("latitude")
        near = np.ones(file.shape, bool) if where is None else s5p_near.near(lon, lat, where)
        rows = _span(near)
        column, qa = _column(file, rows), _hundredths(file, rows)
        # qa_value is stored in hundredths: compare those, since 0.75 has no exact float.
        low = ~(qa > round(100 * min_qa, 6))
        faults = {"fill": np.isnan(column), "qa": low, "implausible": column < LEAST}
        good, skipped = _sift(near[rows], faults)
        rebuilt = not any(file.has(name) for name in _BOUNDS)
        corners = _rebuilt(file, lon, lat, rows, good) if rebuilt else _given(file, rows, good)
        whole = np.isfinite(corners).all(axis=(0, -1))
        good[good] = whole
        present = near[rows] & np.isfinite(column)
        return Granule(
            column=column[good],
            lon=corners[0][whole],
            lat=corners[1][whole],
            pixels=int(present.sum()),
            best_qa=_best(qa[present]),
            rebuilt=rebuilt,
            rule=f"qa_value > {min_qa:g}, column >= {LEAST:g} {UNIT}",
            skipped={**skipped, "corners": int((~whole).sum())},
            fields={name: _field(file, name, rows, good) for name in fields},
            units={name: _unit(file, name) for name in fields},
            wind=_wind(file, rows, good),
        )


def _span(near: np.ndarray) -> slice:
    """Return the scanlines from the first to the last that has a pixel."""
    rows = np.flatnonzero(near.any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def _sift(good: np.ndarray, faults: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, int]]:
    """Return the pixels without a fault, and how many fell to each, the first that holds."""
    skipped = {}
    for reason, faulty in faults.items():
        skipped[reason] = int((good & faulty).sum())
        good = good & ~faulty
    return good, skipped


def _best(hundredths: np.ndarray) -> float:
    known = hundredths[np.isfinite(hundredths)]
    return float(known.max()) / 100 if known.size else math.nan


def _column(file: PixelFile, rows: slice) -> np.ndarray:
    factor = _factor(file.unit(COLUMN))
    if factor is None:
        raise SourceError(
            f"{file.path}: {COLUMN} is in {file.unit(COLUMN)!r}; {UNIT!r} or 'molecules cm-2' is "
            "needed: convert the file"
        )
    return np.asarray(file.values(COLUMN, rows) * factor)


def _factor(unit: str) -> float | None:
    """Return what brings a unit of columns to mol m-2; None if it is none."""
    told = _UNIT.fullmatch(unit.strip().lower())
    if told is None:
        return None
    area = told["per"] or told["by"]
    if told["what"] == "mol":
        return 1.0 if area == "m" and told["power"] is None else None
    return 10.0 ** int(told["power"] or 0) / MOLECULES_CM2 if area == "cm" else None


def _hundredths(file: PixelFile, rows: slice) -> np.ndarray:
    """Return qa_value (scanline, ground_pixel) in whole hundredths, NaN for fill.

    Files hold integer hundredths with a scale of 0.01, decoded floats from 0 to 1, or, written by
    tools, hundredths without a scale.
    """
    kind, scaled = file.stored("qa_value")
    values = file.values("qa_value", rows)
    raw = not scaled
    if raw and kind == "f":  # which of the two only the whole granule tells
        known = file.values("qa_value")
        known = known[np.isfinite(known)]
        raw = bool((known > 1).any() and (known == np.rint(known)).all())
    hundredths = np.rint(values if raw else 100 * values)
    least, most = np.nanmin(hundredths, initial=0), np.nanmax(hundredths, initial=0)
    if least < 0 or most > 100:
        raise SourceError(
            f"{file.path}: qa_value reaches from {least / 100:g} to {most / 100:g}, beyond 0 to 1: "
            "fetch it again"
        )
    return np.asarray(hundredths)


def _given(file: PixelFile, rows: slice, good: np.ndarray) -> np.ndarray:
    """Return the file's corners (2, n, 4) of some pixels, lon and lat; NaN where impossible."""
    lon, lat = (file.pick(name, rows, good).astype("float64") for name in _BOUNDS)
    if lon.shape[1:] != (4,) or lat.shape[1:] != (4,):
        raise SourceError(f"{file.path}: pixels have {lon.shape[1:]} corners, not 4")
    outside = (np.abs(lon) > 360) | (np.abs(lat) > 90)
    return np.where(outside, np.nan, np.stack([lon, lat]))


def _rebuilt(
    file: PixelFile, lon: np.ndarray, lat: np.ndarray, rows: slice, good: np.ndarray
) -> np.ndarray:
    """Return corners (2, n, 4) from the centres of these scanlines and some around them."""
    if not good.any():
        return np.empty((2, 0, 4))
    first = max(rows.start - s5p_corners.HALO, 0)
    part = slice(first, rows.stop + s5p_corners.HALO)
    outside = (np.abs(lon[part]) > 360) | (np.abs(lat[part]) > 90)
    wanted = np.zeros(outside.shape, bool)
    wanted[rows.start - first : rows.stop - first] = good
    try:
        return np.stack(
            s5p_corners.rebuild(
                np.where(outside, np.nan, lon[part]), lat[part], wanted, along_m=_along_m(file)
            )
        )
    except ValueError as err:
        raise SourceError(f"{file.path} has no usable pixel corners: {err}") from err


def _along_m(file: PixelFile) -> float | None:
    """Return the length of a pixel along the track by the granule's date, if it tells one."""
    day = str(getattr(file.root, "time_reference", ""))[:10]
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        return None
    return _SHORT_M if day >= _SHORT_SINCE else _LONG_M


def _wind(file: PixelFile, rows: slice, good: np.ndarray) -> tuple[float, float] | None:
    if not all(file.has(name) for name in _WIND):
        return None
    both = np.stack([file.pick(name, rows, good) for name in _WIND])
    known = both[:, np.isfinite(both).all(axis=0)]
    return (float(known[0].mean()), float(known[1].mean())) if known.size else None


def _field(file: PixelFile, name: str, rows: slice, good: np.ndarray) -> np.ndarray:
    if name == KERNEL:
        return _kernel(file, rows, good)
    return np.asarray(file.pick(name, rows, good) * (_factor(file.unit(name)) or 1.0))


def _unit(file: PixelFile, name: str) -> str:
    """Return the unit of a field as it comes out; a number without a unit is a ratio."""
    if name == KERNEL:
        return "1"
    unit = file.unit(name)
    return UNIT if _factor(unit) else unit or "1"


def _kernel(file: PixelFile, rows: slice, good: np.ndarray) -> np.ndarray:
    """Return the averaging kernel of the tropospheric column (n, layer).

    That of the total column, times the total over the tropospheric air mass factor, up to and
    with the layer of the tropopause; 0 above. NaN where that layer is none of the layers above
    the first or the factor is not positive.
    """
    kernel = file.pick("averaging_kernel", rows, good)
    names = ("air_mass_factor_total", "air_mass_factor_troposphere", "tm5_tropopause_layer_index")
    total, low, top = (file.pick(name, rows, good) for name in names)
    known = (top > 0) & (top < kernel.shape[-1]) & (low > 0)
    share = np.divide(total, low, out=np.full(low.shape, np.nan), where=known)
    below = np.arange(kernel.shape[-1]) <= top[:, None]
    # A kernel that is missing is no 0, above or below.
    scaled = np.where(below | np.isnan(kernel), kernel * share[:, None], 0)
    return np.where(known[:, None], scaled, np.nan).astype("float32")
