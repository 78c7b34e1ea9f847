"""Means agree with those of HARP, where it is installed (Debian's package harp)."""

import shutil
import subprocess
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.gridding import binning

VALUE = "tropospheric_NO2_column_number_density"
UNITS = {VALUE: "mol/m^2", "longitude_bounds": "degree_east", "latitude_bounds": "degree_north"}


@pytest.mark.skipif(shutil.which("harpconvert") is None, reason="harpconvert is not on PATH")
def test_means_and_weights_are_those_of_harp_away_from_the_poles(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    a, b = np.meshgrid(np.linspace(-190, 170, 90), np.linspace(-80, 80, 70))
    a, b = (g + rng.uniform(-0.8, 0.8, g.shape) for g in (a, b))
    cut = [(slice(0, -1), slice(0, -1)), (slice(0, -1), slice(1, None))]
    cut += [(slice(1, None), slice(1, None)), (slice(1, None), slice(0, -1))]
    lon, lat = (np.stack([g[i] for i in cut], axis=-1).reshape(-1, 4) for g in (a, b))
    lon = (lon + 180) % 360 - 180
    values = rng.uniform(1e-5, 9e-5, len(lon))
    _write(tmp_path / "pixels.nc", values, lon, lat)
    grid = GeoBox((160, 360), Affine(1, 0, -180, 0, -1, 80), "EPSG:4326")
    subprocess.run(
        ["harpconvert", "-a", "bin_spatial(161,-80,1,361,-180,1)", "pixels.nc", "binned.nc"],
        cwd=tmp_path,
        check=True,
    )
    with netCDF4.Dataset(tmp_path / "binned.nc") as file:
        file.set_auto_mask(False)
        mean, weight = file[VALUE][0, ::-1], file["weight"][0, ::-1]
    sums = binning.average(values, lon, lat, grid)
    assert np.isfinite(mean).sum() > 50_000
    np.testing.assert_allclose(sums.mean(), mean, rtol=1e-6)
    np.testing.assert_allclose(sums.weight, weight, rtol=1e-5, atol=1e-6)  # HARP's are float32


def _write(path: Path, values: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> None:
    """Write pixels in HARP's own format."""
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.Conventions = "HARP-1.0"
        file.createDimension("time", len(values))
        file.createDimension("independent_4", 4)
        arrays = {VALUE: values, "longitude_bounds": lon, "latitude_bounds": lat}
        for name, array in arrays.items():
            dims = ("time", "independent_4")[: array.ndim]
            variable = file.createVariable(name, "f8", dims)
            variable.units = UNITS[name]
            variable[:] = array
