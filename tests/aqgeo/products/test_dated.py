"""Products whose layers have one file a date."""

from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.catalog import ClassEntry, Layer, Product
from aqgeo.period import Period
from aqgeo.products import dated

DAYS = np.array(["2024-06-03T10:02:43", "2024-06-08T09:59", "2024-06-13T10:00"], "datetime64[s]")
WHERE = GeoBox((4, 6), Affine(60, 0, 500_000, 0, -60, 4_400_000), "EPSG:32633")
CLEAR = ClassEntry(value=0, name="clear", title="Clear", color="#C9B99A")
LAYERS = (
    Layer("share", "Share", ("share",), "values"),
    Layer("sky", "Sky", ("sky",), "classes", classes=(CLEAR,), no_data=255, dated=True),
    Layer("sure", "Sure", ("sure",), "values", unit="%", dated=True, optional=True),
)
PRODUCT = Product("mask", "Mask", "A mask.", "clean", "surface_reflectance", "L3", LAYERS)


def cubes(*, sure: bool = True) -> tuple[Any, Any]:
    sky = np.zeros((3, 4, 6), "uint8")
    sky[1] = 255
    values = np.where(sky == 255, np.nan, 90).astype("float32")
    series = {"sky": cube.classes(sky, {0: "clear"})}
    series |= {"sure": cube.values(values, "%")} if sure else {}
    once = {"share": cube.values(np.zeros((1, 4, 6)), "1")}
    return (
        cube.make(once, Period.parse("2024-06").time, WHERE),
        cube.make(series, DAYS, WHERE),
    )


def test_a_dated_layer_has_a_file_for_each_date_that_shows_something() -> None:
    found = dated.files(PRODUCT, *cubes())
    stamps = "20240603T100243", "20240613T100000"
    assert list(found) == ["share", *(f"{n}_{s}" for n in ("sky", "sure") for s in stamps)]
    layer, ds = found["sky_20240603T100243"]
    assert (layer.name, layer.title) == ("sky_20240603T100243", "Sky, 2024-06-03")
    assert ds.sizes["time"] == 1
    told = dated.instants(found)
    assert f"{told['sure_20240613T100000']:%Y-%m-%dT%H:%M:%S%z}" == "2024-06-13T10:00:00+0000"
    assert "share" not in told


def test_an_optional_layer_that_was_not_made_has_no_file() -> None:
    assert not any(name.startswith("sure") for name in dated.files(PRODUCT, *cubes(sure=False)))


@pytest.mark.parametrize("sure", [True, False])
def test_what_was_published_can_be_told_from_the_names(sure: bool) -> None:
    found = dated.files(PRODUCT, *cubes(sure=sure))
    again = dated.published(PRODUCT, dated.names(PRODUCT, found))
    assert again.layers == tuple(layer for layer, _ in found.values())


def test_a_product_of_before_had_no_dates() -> None:
    assert dated.published(PRODUCT, None).layers == LAYERS[:1]


def test_no_data_is_no_class() -> None:
    with pytest.raises(ValueError, match="0 is no data, and the value of a class"):
        Layer("sky", "Sky", ("sky",), "classes", classes=(CLEAR,))
