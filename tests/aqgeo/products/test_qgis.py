"""Laws of the QGIS style files."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from aqgeo.catalog import ClassEntry, Layer
from aqgeo.products import qgis


def parsed(layer: Layer) -> ET.Element:
    return ET.fromstring(qgis.style(layer))


def test_a_ramp_spans_exactly_its_fixed_range(layers: dict[str, Layer]) -> None:
    for layer in (entry for entry in layers.values() if entry.kind == "values"):
        shader = parsed(layer).find("pipe/rasterrenderer/rastershader/colorrampshader")
        assert shader is not None
        ends = (layer.ramp[0][0], layer.ramp[-1][0])
        assert (float(shader.attrib["minimumValue"]), float(shader.attrib["maximumValue"])) == ends
        stops = [(float(i.attrib["value"]), i.attrib["color"]) for i in shader.iter("item")]
        assert stops == list(layer.ramp)
        legend = shader.find("rampLegendSettings")
        assert legend is not None
        assert legend.attrib["suffix"].strip() == ("" if layer.unit == "1" else layer.unit)


def test_every_class_has_its_label_and_colour(layers: dict[str, Layer]) -> None:
    layer = layers["no2_surface/aqi_class"]
    entries = parsed(layer).iter("paletteEntry")
    found = [(int(e.attrib["value"]), e.attrib["label"], e.attrib["color"]) for e in entries]
    assert found == [(c.value, c.title, c.color) for c in layer.classes]


def test_a_colour_picture_names_its_bands_by_name(layers: dict[str, Layer]) -> None:
    renderer = parsed(layers["surface_reflectance/surface_reflectance"]).find("pipe/rasterrenderer")
    assert renderer is not None
    assert [renderer.attrib[f"{c}Band"] for c in ("red", "green", "blue")] == ["3", "2", "1"]
    assert {e.text for e in renderer.iter("maxValue")} == {"0.2"}


@pytest.mark.parametrize(
    ("name", "smooth"),
    [
        ("no2_column/no2_column", True),
        ("no2_surface/aqi_class", False),
        ("surface_reflectance/surface_reflectance", False),
    ],
)
def test_only_values_are_smoothed(layers: dict[str, Layer], name: str, smooth: bool) -> None:
    assert (parsed(layers[name]).find("pipe/provider/resampling") is not None) is smooth


def test_titles_are_escaped_and_the_text_is_stable(layers: dict[str, Layer]) -> None:
    odd = ClassEntry(1, "odd", '<a> & "b"', "#000000")
    layer = replace(layers["no2_surface/aqi_class"], classes=(odd,))
    entry = parsed(layer).find(".//paletteEntry")
    assert entry is not None
    assert entry.attrib["label"] == odd.title
    assert qgis.style(layer) == qgis.style(layer)
