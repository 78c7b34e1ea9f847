"""Names, dimensions, types and attributes of the variables in a Sentinel-5P L2 NO2 granule.

Taken from the files of the real product (OFFL, format 1.1.0), so that a reader meets the same.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FILL = {
    "f4": np.float32(9.96921e36),
    "i4": np.int32(-2147483647),
    "u1": np.uint8(255),
    "str": "",
}
_PIXEL = ("time", "scanline", "ground_pixel")
_LINE = ("time", "scanline")
_MOLECULES = {"multiplication_factor_to_convert_to_molecules_percm2": np.float32(6.02214e19)}
_TROPOSPHERIC = "nitrogendioxide_tropospheric_column"
_PRODUCT_XY = {"coordinates": "/PRODUCT/longitude /PRODUCT/latitude"}
_XY = {"coordinates": "longitude latitude"}
_MOLES = "mole_content_of_nitrogen_dioxide"
_INPUT = "/PRODUCT/SUPPORT_DATA/INPUT_DATA"


@dataclass(frozen=True, slots=True)
class Layout:
    """One variable."""

    dims: tuple[str, ...]
    """Dimensions of group PRODUCT."""
    kind: str = "f4"
    """Type: f4, i4, u1 or str."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """Attributes beside _FillValue."""


def _axis(dim: str, axis: str, name: str, comment: str) -> Layout:
    return Layout((dim,), "i4", {"units": "1", "axis": axis, "long_name": name, "comment": comment})


def _degrees(direction: str, name: str, standard: str, limit: float, bounds: bool) -> Layout:
    attrs = {
        "long_name": name,
        "units": f"degrees_{direction}",
        "standard_name": standard,
        "valid_min": np.float32(-limit),
        "valid_max": np.float32(limit),
        "bounds": f"/PRODUCT/SUPPORT_DATA/GEOLOCATIONS/{standard}_bounds",
    }
    if bounds:
        return Layout((*_PIXEL, "corner"), attrs={"units": attrs["units"]})
    return Layout(_PIXEL, attrs=attrs)


def _column(long_name: str, ancillary: str = "", **names: str) -> Layout:
    extra = {"ancillary_variables": ancillary} if ancillary else {}
    return Layout(
        _PIXEL,
        attrs={"units": "mol m-2", **names, "long_name": long_name, **_XY, **extra, **_MOLECULES},
    )


def _number(long_name: str, ancillary: str = "", dims: tuple[str, ...] = _PIXEL) -> Layout:
    extra = {"ancillary_variables": ancillary} if ancillary else {}
    return Layout(dims, attrs={"units": "1", "long_name": long_name, **_PRODUCT_XY, **extra})


PRODUCT = {
    "scanline": _axis(
        "scanline", "Y", "along-track dimension index",
        "This coordinate variable defines the indices along track; index starts at 0",
    ),
    "ground_pixel": _axis(
        "ground_pixel", "X", "across-track dimension index",
        "This coordinate variable defines the indices across track, from west to east; "
        "index starts at 0",
    ),
    "corner": Layout(("corner",), "i4", {"units": "1", "long_name": "pixel corner index"}),
    "layer": Layout(("layer",), "i4", {
        "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate",
        "units": "1",
        "long_name": "TM5 atmospheric layer numbers",
        "positive": "down",
        "axis": "Z",
        "formula_terms": f"ap: tm5_constant_a b: tm5_constant_b ps: {_INPUT}/surface_pressure",
        "comment": "p(t, k, j, i, l) = ap(k, l) + b(k, l)*ps(t, j, i); k from surface to top of "
        "atmosphere; l=0 for base of layer, l=1 for top of layer.",
    }),
    "time": Layout(("time",), "i4", {
        "units": "seconds since 2010-01-01 00:00:00",
        "standard_name": "time",
        "axis": "T",
        "long_name": "reference time for the measurements",
        "comment": "The time in this variable corresponds to the time in the time_reference "
        "global attribute",
    }),
    "delta_time": Layout(_LINE, "i4", {
        "long_name": "offset of start time of measurement relative to time_reference",
    }),
    "time_utc": Layout(_LINE, "str", {
        "long_name": "Time of observation as ISO 8601 date-time string",
    }),
    "latitude": _degrees("north", "pixel center latitude", "latitude", 90, False),
    "longitude": _degrees("east", "pixel center longitude", "longitude", 180, False),
    "qa_value": Layout(_PIXEL, "u1", {
        "scale_factor": np.float32(0.01),
        "units": "1",
        "add_offset": np.float32(0),
        "valid_min_": np.uint8(0),
        "valid_max_": np.uint8(100),
        "long_name": "data quality value",
        "comment": "A continuous quality descriptor, varying between 0 (no data) and 1 (full "
        "quality data). Recommend to ignore data with qa_value < 0.5",
        **_XY,
    }),
    _TROPOSPHERIC: _column(
        "Tropospheric vertical column of nitrogen dioxide",
        f"{_TROPOSPHERIC}_precision air_mass_factor_troposphere air_mass_factor_total "
        "averaging_kernel",
        standard_name=f"troposphere_{_MOLES}",
    ),
    f"{_TROPOSPHERIC}_precision": _column(
        "Precision of the tropospheric vertical column of nitrogen dioxide",
        standard_name=f"troposphere_{_MOLES} standard_error",
    ),
    f"{_TROPOSPHERIC}_precision_kernel": _column(
        "Precision of the tropospheric vertical column of nitrogen dioxide when applying the "
        "averaging kernel",
        standard_name=f"troposphere_{_MOLES} standard_error",
    ),
    "averaging_kernel": _number(
        "Averaging kernel",
        "tm5_constant_a tm5_constant_b tm5_tropopause_layer_index " + f"{_INPUT}/surface_pressure",
        (*_PIXEL, "layer"),
    ),
    "air_mass_factor_troposphere": _number(
        "Tropospheric air mass factor", "tm5_tropopause_layer_index"
    ),
    "air_mass_factor_total": _number("Total air mass factor"),
    "tm5_tropopause_layer_index": Layout(_PIXEL, "i4", {
        "long_name": "TM5 layer index of the highest layer in the tropopause", **_PRODUCT_XY,
    }),
    "tm5_constant_a": Layout(("layer", "vertices"), attrs={
        "units": "Pa", "long_name": "TM5 hybrid A coefficient at upper and lower interface levels",
    }),
    "tm5_constant_b": Layout(("layer", "vertices"), attrs={
        "units": "1", "long_name": "TM5 hybrid B coefficient at upper and lower interface levels",
    }),
}  # fmt: skip

_SUM = "Sum of the tropospheric and stratospheric vertical columns"
_TOTAL = (
    "Total vertical column of nitrogen dioxide derived from the total slant column and TM5 profile "
    "in stratosphere and troposphere"
)
_ALL = {"proposed_standard_name": f"atmosphere_{_MOLES}"}
_ALL_ERROR = {"proposed_standard_name": f"atmosphere_{_MOLES} standard_error"}
DETAILED_RESULTS = {
    "nitrogendioxide_stratospheric_column": _column(
        "Stratospheric vertical column of nitrogen dioxide, derived from the TM5-MP vertical "
        "profiles",
        "nitrogendioxide_stratospheric_column_precision air_mass_factor_stratosphere "
        "/PRODUCT/air_mass_factor_total /PRODUCT/averaging_kernel",
        standard_name=f"stratosphere_{_MOLES}",
    ),
    "nitrogendioxide_stratospheric_column_precision": _column(
        "Precision of stratospheric vertical column of nitrogen dioxide",
        standard_name=f"stratosphere_{_MOLES} standard_error",
    ),
    "nitrogendioxide_summed_total_column": _column(
        _SUM, "nitrogendioxide_summed_total_column_precision", **_ALL
    ),
    "nitrogendioxide_summed_total_column_precision": _column(
        "Precision of the sum of the tropospheric and stratospheric vertical columns", **_ALL_ERROR
    ),
    "nitrogendioxide_total_column": _column(
        _TOTAL, "nitrogendioxide_total_column_precision /PRODUCT/averaging_kernel", **_ALL
    ),
    "nitrogendioxide_total_column_precision": _column(
        f"Precision of the {_TOTAL[0].lower()}{_TOTAL[1:]}", **_ALL_ERROR
    ),
    "nitrogendioxide_total_column_precision_kernel": _column(
        f"Precision of the {_TOTAL[0].lower()}{_TOTAL[1:]}, when the averaging kernel is applied",
        **_ALL_ERROR,
    ),
    "cloud_fraction_crb_nitrogendioxide_window": _number("Cloud fraction in the NO2 window"),
    "cloud_radiance_fraction_nitrogendioxide_window": _number(
        "Cloud radiance fraction in the NO2 window"
    ),
}

_ANGLE = {"units": "degree", "valid_min": np.float32(0), "valid_max": np.float32(180)}
GROUPS = {
    "PRODUCT": PRODUCT,
    "PRODUCT/SUPPORT_DATA/GEOLOCATIONS": {
        "latitude_bounds": _degrees("north", "", "latitude", 90, True),
        "longitude_bounds": _degrees("east", "", "longitude", 180, True),
        "solar_zenith_angle": Layout(_PIXEL, attrs={
            "long_name": "solar zenith angle", "standard_name": "solar_zenith_angle",
            **_ANGLE, **_PRODUCT_XY,
        }),
    },
    "PRODUCT/SUPPORT_DATA/DETAILED_RESULTS": DETAILED_RESULTS,
    "PRODUCT/SUPPORT_DATA/INPUT_DATA": {
        "surface_pressure": Layout(_PIXEL, attrs={
            "units": "Pa", "standard_name": "surface_air_pressure",
            "long_name": "Surface pressure", **_PRODUCT_XY,
        }),
    },
}  # fmt: skip
"""Group -> variable -> layout."""
