"""Made-up composites for the tests of what is published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import catalog, cube

CATALOGS = Path(__file__).parents[3] / "catalogs"


@pytest.fixture(scope="session")
def products() -> dict[str, catalog.Product]:
    return catalog.products(CATALOGS)


@pytest.fixture(scope="session")
def layers(products: dict[str, catalog.Product]) -> dict[str, catalog.Layer]:
    """Every layer, by `product/layer`."""
    return {f"{p.name}/{layer.name}": layer for p in products.values() for layer in p.layers}


@pytest.fixture(scope="session")
def composite() -> Callable[..., xr.Dataset]:
    """Make a composite of all variables on a grid of rows x cols pixels of 100 m."""

    def make(rows: int, cols: int, *, lazy: bool = False) -> xr.Dataset:
        rng = np.random.default_rng(rows * 10_000 + cols)
        grid = GeoBox.from_bbox(
            (500_000, 4_400_000, 500_000 + 100 * cols, 4_400_000 + 100 * rows),
            "EPSG:32633",
            resolution=100,
        )
        share = rng.gamma(2, 0.2, (1, rows, cols))
        share[:, : max(1, rows // 4), : max(1, cols // 5)] = np.nan
        shares = {"no2_column_sigma": 2e-5, "no2_surface_sigma": 8.0, "filled_share": 1.0}
        shares |= {"cloud_share": 0.5, "cloud_confidence": 60.0}
        variables = {
            "no2_column": cube.values(share * 2e-4 - 1e-5, "mol m-2"),
            "no2_surface": cube.values(share * 60, "ug m-3"),
            "valid_count": cube.values(np.floor(share * 20), "1"),
            "aqi_class": cube.classes(rng.integers(0, 7, share.shape), {1: "good"}),
            "cloud_class": cube.classes(rng.integers(0, 4, share.shape), {0: "clear"}),
            **{name: cube.values(share * size, "1") for name, size in shares.items()},
            **{
                name: cube.values(share * level, "1")
                for name, level in {"B02": 0.1, "B03": 0.2, "B04": 0.3, "B08": 0.5}.items()
            },
        }
        ds = cube.make(variables, np.array(["2024-06-01"], "datetime64[s]"), grid)
        return ds.chunk({"time": 1, "y": 512, "x": 512}) if lazy else ds

    return make
