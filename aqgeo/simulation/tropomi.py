"""Sentinel-5P TROPOMI L2 NO2 granules of the world in the official netCDF-4 layout."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import air, clouds, noise, sun
from aqgeo.simulation.granule_layout import FILL, GROUPS, Layout
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.swath import LINE_S, Granule, lonlat
from aqgeo.simulation.world import World

LAYERS = 34
_CLOUD_PIXEL_M = 1000
_SLANT_NOISE = 8e-6  # mol m-2 a pixel, 8.6e-6 for 7 km (recalled, van Geffen 2020)
_AMF_ERROR = 0.10  # multiplicative; 20-50 % in truth (recalled), a share of it is bias
_AMF_CLEAR, _AMF_CLOUDY = 1.4, 0.15  # order of the Delhi medians (measured, section 4)
_STRATOSPHERE, _STRATOSPHERE_ERROR = 4.3e-5, 3.3e-6  # measured, section 4
_EPOCH = datetime(2010, 1, 1, tzinfo=UTC)


def observe(
    world: World, view: Granule, column: FloatArray, cover: float
) -> dict[str, NDArray[Any]]:
    """Return the measured variables, each (scanline, ground_pixel), NaN where there is no value.

    Args:
        world: the world.
        view: geometry of the granule.
        column: (y, x) true tropospheric column on the world's air grid, mol m-2.
        cover: fraction of the sky under cloud.
    """
    rng = noise.stream(world.seed, "retrieval", view.orbit)
    truth = air.area_mean(column, world.air_grid, view.corners)
    fraction, radiance = _clouds(world, view, cover)
    amf = (1 - radiance) * np.float32(_AMF_CLEAR) + radiance * np.float32(_AMF_CLOUDY)
    amf *= rng.lognormal(0, 0.05, truth.shape).astype("float32")
    noise_m = _SLANT_NOISE / amf
    error = noise_m * rng.standard_normal(truth.shape, dtype="float32")
    factor = 1 + _AMF_ERROR * rng.standard_normal(truth.shape, dtype="float32")
    qa = _qa_value(radiance, amf, rng)
    found = {
        "column": truth * factor + error,
        "precision": np.hypot(noise_m, _AMF_ERROR * truth),
        "precision_kernel": np.hypot(noise_m, 0.7 * _AMF_ERROR * truth),
        "amf": amf,
        "cloud_fraction": fraction,
        "cloud_radiance_fraction": radiance,
    }
    for values in found.values():
        values[qa == 0] = np.nan
    return {"qa": qa, **found}


def write(world: World, view: Granule, seen: dict[str, NDArray[Any]], folder: Path) -> Path:
    """Write `<name>.nc`; the bytes follow from the arguments alone."""
    path = folder / f"{view.name}.nc"
    values = _values(world, view, seen)
    day = view.when.strftime("%Y-%m-%d")
    lines, pixels = view.corners.shape[:2]
    sizes = {"time": 1, "scanline": lines, "ground_pixel": pixels, "corner": 4, "layer": LAYERS}
    with netCDF4.Dataset(path, "w", format="NETCDF4") as nc:
        nc.setncatts(_global_attributes(view, day))
        product = nc.createGroup("PRODUCT")
        for name, size in {**sizes, "vertices": 2}.items():
            product.createDimension(name, size)
        for group, variables in GROUPS.items():
            for name, layout in variables.items():
                _write_variable(nc.createGroup(group), name, layout, values[name])
        nc["PRODUCT/delta_time"].units = f"milliseconds since {day} 00:00:00"
        for group, attributes in _metadata(view).items():
            nc.createGroup(f"METADATA/{group}").setncatts(attributes)
    return path


def _clouds(world: World, view: Granule, cover: float) -> tuple[FloatArray, FloatArray]:
    """Return effective cloud fraction and cloud radiance fraction of each pixel.

    An effective fraction of .2 gives a radiance fraction of about .5 over dark ground
    (simulation-facts, section 4), hence the ratio of 4 of the radiances.
    """
    box = world.air_grid.extent.boundingbox
    shape = (int(box.span_y // _CLOUD_PIXEL_M), int(box.span_x // _CLOUD_PIXEL_M))
    angles = sun.position(view.when, *world.lonlat)
    sky = clouds.draw(world.seed, view.when.date(), shape, _CLOUD_PIXEL_M, cover=cover, sun=angles)
    # A thick cloud of reflectance .8 counts as full cover in the effective fraction.
    effective = np.clip(clouds.reflectance(sky.thickness, 0.8) / 0.8, 0, 1)
    grid = world.air_grid.zoom_to(shape)
    fraction = np.clip(air.area_mean(effective, grid, view.corners), 0, 1)
    return fraction, 4 * fraction / (4 * fraction + 1 - fraction)


def _qa_value(radiance: FloatArray, amf: FloatArray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return qa_value in hundredths: a product of factors.

    Cloud radiance fraction above .5 x .74; low tropospheric AMF x .45; a few warnings x .90
    (simulation-facts, section 4; recalled, the levels fit the Delhi files); 1 % without retrieval.
    """
    qa = np.where(radiance > 0.5, 0.74, 1.0)
    qa = np.where(amf < 0.3, qa * 0.45, qa)
    lot = rng.random(amf.shape)
    qa = np.where(lot < 0.035, qa * 0.9, qa)
    return np.where(lot > 0.99, 0, np.rint(qa * 100)).astype("uint8")


def _values(
    world: World, view: Granule, seen: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any] | list[str]]:
    """Return the content of every variable by name, without the time dimension."""
    column, precision, kernel = seen["column"], seen["precision"], seen["precision_kernel"]
    lines, pixels = column.shape
    times = [view.when + line * timedelta(seconds=LINE_S) for line in range(lines)]
    midnight = view.when.replace(hour=0, minute=0, second=0, microsecond=0)
    strato = np.where(np.isfinite(column), np.float32(_STRATOSPHERE), np.nan)
    total = column + strato
    total_amf = (seen["amf"] * column + 2.2 * strato) / np.where(total > 0, total, np.nan)
    lon, lat = lonlat(world, view.corners.mean(axis=2))
    lon_bounds, lat_bounds = lonlat(world, view.corners)
    a, b = _levels()
    angle = sun.position(view.when, *world.lonlat)[0]
    return {
        "scanline": view.first_line + np.arange(lines),
        "ground_pixel": view.first_pixel + np.arange(pixels),
        "corner": np.arange(4),
        "layer": np.arange(LAYERS),
        "time": np.array(round((midnight - _EPOCH).total_seconds())),
        "delta_time": np.array([round((t - midnight).total_seconds() * 1000) for t in times]),
        "time_utc": [t.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for t in times],
        "latitude": lat,
        "longitude": lon,
        "latitude_bounds": lat_bounds,
        "longitude_bounds": lon_bounds,
        "solar_zenith_angle": np.full(column.shape, angle),
        "surface_pressure": np.full(column.shape, 1.0e5),
        "tm5_constant_a": a,
        "tm5_constant_b": b,
        "tm5_tropopause_layer_index": np.full(column.shape, 22),
        "qa_value": seen["qa"],
        "nitrogendioxide_tropospheric_column": column,
        "nitrogendioxide_tropospheric_column_precision": precision,
        "nitrogendioxide_tropospheric_column_precision_kernel": kernel,
        "averaging_kernel": _kernel(seen["amf"], total_amf),
        "air_mass_factor_troposphere": seen["amf"],
        "air_mass_factor_total": total_amf,
        "nitrogendioxide_stratospheric_column": strato,
        "nitrogendioxide_stratospheric_column_precision": 0 * column + _STRATOSPHERE_ERROR,
        "nitrogendioxide_summed_total_column": total,
        "nitrogendioxide_summed_total_column_precision": np.hypot(precision, _STRATOSPHERE_ERROR),
        "nitrogendioxide_total_column": total,
        "nitrogendioxide_total_column_precision": np.hypot(precision, _STRATOSPHERE_ERROR),
        "nitrogendioxide_total_column_precision_kernel": np.hypot(kernel, _STRATOSPHERE_ERROR),
        "cloud_fraction_crb_nitrogendioxide_window": seen["cloud_fraction"],
        "cloud_radiance_fraction_nitrogendioxide_window": seen["cloud_radiance_fraction"],
    }


def _kernel(amf: FloatArray, total_amf: FloatArray) -> NDArray[Any]:
    """Return (s, p, layer) total-column kernels.

    Tropospheric kernel .55 + .10 l up to 1.95; 1.48 falling to 1.2 above, in the total kernel's
    unit (smooth form of simulation-facts, section 4; measured).
    """
    layer = np.arange(LAYERS)
    low = np.minimum(0.55 + 0.10 * layer, 1.95) * (amf / total_amf)[..., None]
    return np.where(layer <= 22, low, np.interp(layer, [22, LAYERS], [1.48, 1.2]))


def _levels() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (layer, vertices) hybrid coefficients: smooth stand-ins, not those of TM5."""
    share = np.linspace(1, 0, LAYERS + 1)
    pressure, b = 1e5 * share**1.5, share**3
    a = pressure - b * 1e5
    return np.stack([a[:-1], a[1:]], axis=1), np.stack([b[:-1], b[1:]], axis=1)


def _write_variable(group: Any, name: str, layout: Layout, values: Any) -> None:
    """Write one variable as the real product stores it."""
    if layout.kind == "str":
        variable = group.createVariable(name, str, layout.dims)
        # The library refuses fill_value for strings, yet the real files have the attribute.
        variable.setncattr_string("_FillValue", FILL["str"])
        variable[0, :] = np.array(values, dtype=object)
    else:
        fill = FILL[layout.kind]
        variable = group.createVariable(
            name, layout.kind, layout.dims, fill_value=fill, zlib=True, complevel=3, shuffle=True
        )
        variable.set_auto_maskandscale(False)
        data = np.broadcast_to(np.asarray(values), variable.shape)
        variable[...] = np.where(np.isfinite(data), data, np.asarray(fill)).astype(layout.kind)
    variable.setncatts(layout.attrs)


def _global_attributes(view: Granule, day: str) -> dict[str, Any]:
    """Return attributes that readers use, and the label that this is no measurement."""
    start = view.orbit_start + timedelta(seconds=1296)
    end = start + timedelta(seconds=3504)
    return {
        "Conventions": "CF-1.7",
        "institution": "aqgeo",
        "source": "SIMULATED: not measured by Sentinel-5 precursor, TROPOMI",
        "title": "TROPOMI/S5P NO2 1-Orbit L2 Swath 5.5x3.5km, simulated",
        "summary": "Simulated TROPOMI/S5P NO2 L2 swath over an invented world with known truth",
        "id": view.name,
        "time_reference": f"{day}T00:00:00Z",
        "time_coverage_start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "time_coverage_end": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "time_coverage_duration": "PT3504.000S",
        "time_coverage_resolution": "PT0.840S",
        "orbit": np.int32(view.orbit),
        "processor_version": "2.6.0",
        "algorithm_version": "2.6.0",
        "product_version": "2.6.0",
        "cdm_data_type": "Swath",
        "license": "CC0-1.0",
        "platform": "S5P",
        "sensor": "TROPOMI",
        "spatial_resolution": "5.5x3.5km2",
        "processing_status": "OFFL-processing nominal product",
    }


def _metadata(view: Granule) -> dict[str, dict[str, Any]]:
    return {
        "ALGORITHM_SETTINGS": {"processing.algorithm": "NO2___", "processing.szaMax": "88.0"},
        "GRANULE_DESCRIPTION": {
            "InstrumentName": "TROPOMI",
            "MissionName": "Sentinel-5 precursor",
            "MissionShortName": "S5P",
            "ProcessLevel": "2",
            "ProcessingMode": "Offline",
            "ProcessorVersion": "2.6.0",
            "ProductFormatVersion": np.int32(10100),
            "ProductShortName": "L2__NO2___",
        },
        "ISO_METADATA": {"objectType": "gmi:MI_Metadata"},
        "EOP_METADATA": {"gml:id": f"{view.name}.ID", "objectType": "atm:EarthObservation"},
        "ESA_METADATA": {},
    }
