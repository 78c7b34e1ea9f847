"""Laws of the pictures for people."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import odc.geo.xr
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from PIL import Image

from aqgeo import cube
from aqgeo.catalog import Layer
from aqgeo.errors import ProductError
from aqgeo.products.quicklook import quicklook

Make = Callable[..., xr.Dataset]
WORDS = {"title": "Column, $demo$", "subtitle": "2024-06", "note": "Simulated, a_b $x$"}


def drawn(layer: Layer, ds: xr.Dataset, path: Path) -> np.ndarray:
    """Return the (y, x, 3) pixels of the picture."""
    quicklook(layer, ds, path, **WORDS)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image.convert("RGB"))


def share(pixels: np.ndarray, color: str) -> float:
    return float((pixels == tuple(bytes.fromhex(color.lstrip("#")))).all(axis=-1).mean())


def flat(ds: xr.Dataset, name: str, value: float) -> xr.Dataset:
    return ds.assign({name: xr.full_like(ds[name], value)})


@pytest.mark.parametrize("size", [(13, 13), (1000, 950)])
def test_a_block_has_exactly_the_colour_of_its_value(
    layers: dict[str, Layer], composite: Make, tmp_path: Path, size: tuple[int, int]
) -> None:
    layer = layers["no2_column/no2_column"]
    for value, color in layer.ramp:
        ds = flat(composite(*size), "no2_column", value / layer.factor)
        assert share(drawn(layer, ds, tmp_path / "q.png"), color) > 0.4, value


def test_between_two_stops_colours_are_linear(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    ramp = ((0.0, "#000000"), (100.0, "#c86432"))
    layer = replace(layers["no2_column/no2_column"], ramp=ramp)
    ds = flat(composite(13, 13), "no2_column", 50e-6)
    assert share(drawn(layer, ds, tmp_path / "q.png"), "#643219") > 0.4


def test_every_class_has_its_colour(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    layer = layers["no2_surface/aqi_class"]
    ds = composite(1, 6)
    ds["aqi_class"] = ds["aqi_class"].copy(data=np.arange(1, 7, dtype="uint8").reshape(1, 1, 6))
    pixels = drawn(layer, ds, tmp_path / "q.png")
    for entry in layer.classes:
        assert share(pixels, entry.color) > 0.02, entry.title


def test_shrinking_invents_no_class(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    layer = layers["no2_surface/aqi_class"]
    ds = composite(2000, 1801)
    codes = np.where(np.arange(1801) % 2, 1, 3).astype("uint8")
    ds["aqi_class"] = ds["aqi_class"].copy(data=np.broadcast_to(codes, (1, 2000, 1801)).copy())
    pixels = drawn(layer, ds, tmp_path / "q.png")
    assert share(pixels, layer.classes[1].color) < 0.01


def test_a_colour_picture_is_stretched(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    layer = layers["surface_reflectance/surface_reflectance"]
    ds = composite(13, 13)
    for name, value in {"B04": 0.2, "B03": 0.1, "B02": 0.0}.items():
        ds = flat(ds, name, value)
    assert share(drawn(layer, ds, tmp_path / "q.png"), "#ff8000") > 0.4


def test_no_data_is_hatched_not_coloured(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    layer = layers["no2_column/no2_column"]
    pixels = drawn(layer, flat(composite(13, 13), "no2_column", np.nan), tmp_path / "q.png")
    assert share(pixels, layer.ramp[0][1]) < 0.01


@pytest.mark.parametrize("size", [(13, 13), (7, 300), (300, 7), (1, 1), (1500, 1100)])
def test_a_picture_of_any_shape_stays_small_and_is_stable(
    layers: dict[str, Layer], composite: Make, tmp_path: Path, size: tuple[int, int]
) -> None:
    layer = layers["no2_column/no2_column"]
    height, width, _ = drawn(layer, composite(*size), tmp_path / "first.png").shape
    assert max(height, width) <= 1024
    drawn(layer, composite(*size, lazy=True), tmp_path / "second.png")
    first, second = ((tmp_path / f"{n}.png").read_bytes() for n in ("first", "second"))
    assert first == second
    assert b"matplotlib" not in first.lower()


def test_degrees_are_drawn_too(layers: dict[str, Layer], tmp_path: Path) -> None:
    grid = GeoBox.from_bbox((9, 44, 11, 46), "EPSG:4326", resolution=0.1)
    data = cube.values(np.full((1, *grid.shape), 20e-6), "mol m-2")
    ds = xr.Dataset({"no2_column": data}, coords=odc.geo.xr.xr_coords(grid, always_yx=True))
    ds["no2_column"].attrs["grid_mapping"] = "spatial_ref"
    pixels = drawn(layers["no2_column/no2_column"], ds, tmp_path / "q.png")
    color = np.array(tuple(bytes.fromhex("feb078")))
    rows, cols = np.nonzero((pixels == color).all(axis=-1))
    map_cols = cols[cols < 760]
    # A degree of longitude at 45 degrees north is 0.708 as long as one of latitude.
    assert np.ptp(map_cols) / np.ptp(rows) == pytest.approx(0.708, abs=0.02)


def test_a_missing_variable_is_named(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    ds = composite(5, 5).drop_vars("no2_column")
    with pytest.raises(ProductError, match="no2_column"):
        quicklook(layers["no2_column/no2_column"], ds, tmp_path / "q.png", **WORDS)
