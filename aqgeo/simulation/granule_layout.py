"""Names, dimensions, types and attributes of the variables in a Sentinel-5P L2 NO2 granule.

Those in SUBSET are taken from files of the real product (OFFL, format 1.1.0), so that a reader
meets the same; the others, which those files lost, follow the product's manual as recalled.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FILL = {
    "f4": np.float32(9.96921e36),
    "i4": np.int32(-2147483647),
    "u1": np.uint8(255),
    "u4": np.uint32(4294967295),
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
    """Type: f4, i4, u1, u4 or str."""
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


def _direction(long_name: str, least: float) -> Layout:
    extra = {"valid_min": np.float32(least), "valid_max": np.float32(180)}
    standard = {"standard_name": long_name.replace(" ", "_").replace("viewing", "sensor")}
    attrs = {"long_name": long_name, **standard, "units": "degree", **extra, **_PRODUCT_XY}
    return Layout(_PIXEL, attrs=attrs)


def _input(long_name: str, units: str, standard: str = "") -> Layout:
    extra = {"standard_name": standard} if standard else {}
    return Layout(_PIXEL, attrs={"units": units, "long_name": long_name, **extra, **_PRODUCT_XY})


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
    "nitrogendioxide_slant_column_density": _column(
        "Total slant column density of nitrogen dioxide",
        "nitrogendioxide_slant_column_density_precision",
    ),
    "nitrogendioxide_slant_column_density_precision": _column(
        "Precision of the total slant column density of nitrogen dioxide"
    ),
    "nitrogendioxide_slant_column_density_stripe_amplitude": _column(
        "Stripe amplitude of the total slant column density of nitrogen dioxide"
    ),
    "cloud_fraction_crb_nitrogendioxide_window": _number("Cloud fraction in the NO2 window"),
    "cloud_radiance_fraction_nitrogendioxide_window": _number(
        "Cloud radiance fraction in the NO2 window"
    ),
    "air_mass_factor_stratosphere": _number("Stratospheric air mass factor"),
    "air_mass_factor_clear": _number("Air mass factor for the cloud-free part of the scene"),
    "air_mass_factor_cloudy": _number("Air mass factor for the cloud-covered part of the scene"),
    "processing_quality_flags": Layout(_PIXEL, "u4", {
        "long_name": "Processing quality flags",
        "comment": "Flags indicating conditions that affect quality of the retrieval",
        **_PRODUCT_XY,
    }),
}  # fmt: skip

_LOCATIONS = {
    "satellite_latitude": Layout(_LINE, attrs={
        "long_name": "sub satellite latitude", "units": "degrees_north",
        "valid_min": np.float32(-90), "valid_max": np.float32(90),
        "comment": "Latitude of the geodetic sub satellite point on the reference ellipsoid",
    }),
    "satellite_longitude": Layout(_LINE, attrs={
        "long_name": "satellite_longitude", "units": "degrees_east",
        "valid_min": np.float32(-180), "valid_max": np.float32(180),
        "comment": "Longitude of the geodetic sub satellite point on the reference ellipsoid",
    }),
    "satellite_altitude": Layout(_LINE, attrs={
        "long_name": "satellite altitude", "units": "m",
        "valid_min": np.float32(700_000), "valid_max": np.float32(900_000),
        "comment": "The altitude of the satellite with respect to the geodetic sub satellite point",
    }),
    "satellite_orbit_phase": Layout(_LINE, attrs={
        "long_name": "fractional satellite orbit phase", "units": "1",
        "valid_min": np.float32(-0.02), "valid_max": np.float32(1.02),
        "comment": "Relative offset [0.0, ..., 1.0] of the measurement in the orbit",
    }),
    "latitude_bounds": _degrees("north", "", "latitude", 90, True),
    "longitude_bounds": _degrees("east", "", "longitude", 180, True),
    "solar_zenith_angle": _direction("solar zenith angle", 0),
    "solar_azimuth_angle": _direction("solar azimuth angle", -180),
    "viewing_zenith_angle": _direction("viewing zenith angle", 0),
    "viewing_azimuth_angle": _direction("viewing azimuth angle", -180),
    "geolocation_flags": Layout(_PIXEL, "u1", {
        "long_name": "geolocation flags", **_PRODUCT_XY,
    }),
}  # fmt: skip

_INPUTS = {
    "surface_altitude": _input("Surface altitude", "m", "surface_altitude"),
    "surface_altitude_precision": _input("surface altitude precision", "m"),
    "surface_classification": Layout(_PIXEL, "u1", {
        "long_name": "Land-water mask",
        "comment": "Lowest bit: 0 land, 1 water",
        **_PRODUCT_XY,
    }),
    "surface_pressure": _input("Surface pressure", "Pa", "surface_air_pressure"),
    "surface_albedo": _input("Surface albedo in the cloud product", "1", "surface_albedo"),
    "surface_albedo_nitrogendioxide_window": _input(
        "Surface albedo in the NO2 fit window", "1", "surface_albedo"
    ),
    "cloud_pressure_crb": _input("Cloud optical centroid pressure", "Pa"),
    "cloud_fraction_crb": _input("Effective cloud fraction from the cloud product", "1"),
    "cloud_albedo_crb": _input("Cloud albedo", "1"),
    "scene_albedo": _input("Scene albedo", "1"),
    "apparent_scene_pressure": _input("Apparent scene pressure", "Pa"),
    "snow_ice_flag": Layout(_PIXEL, "u1", {
        "long_name": "Snow-ice mask",
        "comment": "0 snow-free land, 1-100 sea ice concentration in per cent, 101 permanent ice, "
        "103 snow, 255 ocean",
        **_PRODUCT_XY,
    }),
    "eastward_wind": _input("Eastward wind at 10 meter height level", "m s-1", "eastward_wind"),
    "northward_wind": _input("Northward wind at 10 meter height level", "m s-1", "northward_wind"),
}  # fmt: skip
_SUPPORT = "PRODUCT/SUPPORT_DATA"
GROUPS = {
    "PRODUCT": PRODUCT,
    f"{_SUPPORT}/GEOLOCATIONS": _LOCATIONS,
    f"{_SUPPORT}/DETAILED_RESULTS": DETAILED_RESULTS,
    f"{_SUPPORT}/INPUT_DATA": _INPUTS,
}
"""Group -> variable -> layout of the full product."""

_LOST = ("corner", "tm5_constant_a", "tm5_constant_b", "tm5_tropopause_layer_index")
_KEPT = [name for name in DETAILED_RESULTS if "slant" not in name][:7]
SUBSET = {
    "PRODUCT": {name: layout for name, layout in PRODUCT.items() if name not in _LOST},
    f"{_SUPPORT}/DETAILED_RESULTS": {name: DETAILED_RESULTS[name] for name in _KEPT},
}
"""What spatial subsets of the NASA archive keep."""
