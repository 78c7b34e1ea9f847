"""Cubes of NO2 columns made from sums over orbits."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.gridding import binning
from aqgeo.sources.s5p import UNIT


def orbit_cube(orbit: binning.Sums, time: np.datetime64, where: GeoBox) -> xr.Dataset:
    """Return one orbit as a cube of one time step: `no2_column` and `weight`."""
    column = cube.values(orbit.mean()[None], UNIT, long_name="tropospheric NO2 column")
    weight = cube.values(orbit.weight[None], "1", long_name="share of the cell that pixels cover")
    return cube.make({"no2_column": column, "weight": weight}, np.array([time]), where)


def field_cube(
    sums: binning.Sums, units: Mapping[str, str], time: np.ndarray, where: GeoBox
) -> xr.Dataset:
    """Return the means of further fields, with the weights of the column.

    A field of layers has the dims (time, band, y, x), the layers in the order of the product.
    """
    found = {}
    for name, unit in units.items():
        mean = sums.mean(name).astype("float32")
        if mean.ndim == 2:
            found[name] = cube.values(mean[None], unit)
        else:
            layers = np.moveaxis(mean, -1, 0)[None]
            found[name] = xr.Variable(("time", "band", "y", "x"), layers, {"units": unit})
    return cube.make(found, time, where)


def mean_cube(sums: binning.Sums, time: np.ndarray, where: GeoBox) -> xr.Dataset:
    """Return a mean over orbits: `no2_column`, `no2_column_sigma` and `valid_count`."""
    variables = {
        "no2_column": cube.values(sums.mean()[None], UNIT, long_name="mean NO2 column"),
        "no2_column_sigma": cube.values(
            sums.standard_error()[None], UNIT, long_name="standard error of the mean column"
        ),
        "valid_count": cube.values(sums.count[None], "1", long_name="orbits with valid pixels"),
    }
    return cube.make(variables, time, where)
