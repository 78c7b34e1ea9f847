"""No half pixel is lost between the source's files and the published map."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

SCALE, OFFSET, ACROSS = 1e-4, -0.1, 3  # three pixels of 20 m along one side of 60 m
CLEAR = [2, 4, 5, 6, 11]


@pytest.fixture(scope="module")
def single(
    small: Any, make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The published map of one date, and the folder of the scene that it is made of."""
    how = {"archive": small.archive / "catalog.json", "products": ["surface_reflectance"]}
    # What is clear must be known from the files alone.
    how["clouds"] = "scl"
    made = make(tmp_path_factory.mktemp("single"), period="2024-06-04", **how)
    folder = made.results["publish-surface_reflectance"]
    return folder / "surface_reflectance.tif", small.archive / "data" / "sentinel2"


def _blocks(scenes: Path, band: str, place: rasterio.DatasetReader) -> np.ndarray:
    """Return the source's pixels below each pixel of the map, (y, x, 9)."""
    (path,) = scenes.glob(f"*20240604*_{band}.tif")
    with rasterio.open(path) as src:
        col, row = ~src.transform @ (place.transform.c, place.transform.f)
        assert (row, col) == (round(row), round(col)), "edges of 60 m are edges of 20 m"
        shape = place.height * ACROSS, place.width * ACROSS
        pixels = src.read(1, window=Window(round(col), round(row), *shape[::-1]))
        assert pixels.shape == shape, "the scene covers the map"
    cells = pixels.reshape(place.height, ACROSS, place.width, ACROSS)
    return cells.transpose(0, 2, 1, 3).reshape(place.height, place.width, -1)


@pytest.mark.parametrize("number, band", [(1, "B02"), (2, "B03"), (3, "B04"), (4, "B08")])
def test_a_clear_pixel_is_the_mean_of_the_source_pixels_below_it(
    number: int, band: str, single: tuple[Path, Path]
) -> None:
    with rasterio.open(single[0]) as src:
        assert src.crs.to_epsg() == 32633
        assert src.descriptions[number - 1] == band
        seen = src.read(number)
        numbers = _blocks(single[1], band, src)
        scenes = _blocks(single[1], "SCL", src)
    clear = np.isin(scenes, CLEAR).all(axis=-1)
    expected = numbers.mean(axis=-1) * SCALE + OFFSET
    assert clear.mean() > 0.2
    # Half a digital number from averaging, 2**-11 from the mantissa that is published.
    error = np.abs(seen - expected)[clear] - 2**-11 * expected[clear]
    assert error.max() < 0.51 * SCALE
    for rows, cols in ((0, 1), (1, 0)):
        moved = np.roll(seen, (rows, cols), axis=(0, 1))
        other = np.abs(moved - expected)[clear] / expected[clear]
        assert np.nanmedian(other) > 0.01, "a shift of one pixel would be seen"


def test_cloud_is_no_data(single: tuple[Path, Path]) -> None:
    with rasterio.open(single[0]) as src:
        seen, scenes = src.read(1), _blocks(single[1], "SCL", src)
    cloudy = np.isin(scenes, [3, 8, 9, 10]).all(axis=-1)
    assert cloudy.any()
    assert np.isnan(seen[cloudy]).all()
