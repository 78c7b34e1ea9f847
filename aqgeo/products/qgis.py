"""QGIS style files (.qml), which QGIS loads by itself when they lie beside a raster of that name.

The smallest content that QGIS 3.22 loads; later versions read it too.
"""

from xml.etree import ElementTree as ET

from aqgeo.catalog import Layer

_RENDERER = {"opacity": "1", "alphaBand": "-1"}


def style(layer: Layer) -> str:
    """Return the .qml text that shows a layer in the colours and the range of its product."""
    root = ET.Element("qgis")
    pipe = ET.SubElement(root, "pipe")
    if layer.kind == "values":
        _smooth(pipe)
        _ramp(layer, pipe)
    elif layer.kind == "classes":
        _palette(layer, pipe)
    else:
        _colour_picture(layer, pipe)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _smooth(pipe: ET.Element) -> None:
    """Average when zoomed out; never classes, where it would invent codes.

    Zoomed in, pixels stay squares: smoothing them would show detail that nobody observed.
    """
    resampling = {
        "enabled": "true",
        "zoomedInResamplingMethod": "nearest",
        "zoomedOutResamplingMethod": "average",
        "maxOversampling": "4",
    }
    ET.SubElement(ET.SubElement(pipe, "provider"), "resampling", resampling)
    # Read only from inside the pipe, and without it QGIS ignores <provider>.
    ET.SubElement(pipe, "resamplingStage").text = "provider"


def _ramp(layer: Layer, pipe: ET.Element) -> None:
    """Write a colour bar with a fixed range, so that maps of a series can be compared."""
    low, high = (f"{layer.ramp[end][0]:.10g}" for end in (0, -1))
    suffix = "" if layer.unit == "1" else f" {layer.unit}"
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        {"type": "singlebandpseudocolor", "band": "1", **_RENDERER}
        | {"classificationMin": low, "classificationMax": high},
    )
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        {"colorRampType": "INTERPOLATED", "classificationMode": "1", "clip": "0"}
        | {"minimumValue": low, "maximumValue": high},
    )
    for value, color in layer.ramp:
        stop = {"value": f"{value:.10g}", "color": color, "alpha": "255"}
        ET.SubElement(shader, "item", {**stop, "label": f"{value:.10g}{suffix}"})
    legend = {"useContinuousLegend": "1", "suffix": suffix, "orientation": "2"}
    ET.SubElement(shader, "rampLegendSettings", legend)


def _palette(layer: Layer, pipe: ET.Element) -> None:
    """Write one labelled entry a class; codes without an entry are transparent."""
    renderer = ET.SubElement(pipe, "rasterrenderer", {"type": "paletted", "band": "1", **_RENDERER})
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in layer.classes:
        code = {"value": str(entry.value), "color": entry.color, "alpha": "255"}
        ET.SubElement(palette, "paletteEntry", {**code, "label": entry.title})


def _colour_picture(layer: Layer, pipe: ET.Element) -> None:
    names = ("red", "green", "blue")
    bands = {
        f"{color}Band": str(layer.variables.index(variable) + 1)
        for color, variable in zip(names, layer.rgb, strict=True)
    }
    renderer = ET.SubElement(
        pipe, "rasterrenderer", {"type": "multibandcolor", **_RENDERER, **bands}
    )
    for color in names:
        contrast = ET.SubElement(renderer, f"{color}ContrastEnhancement")
        ET.SubElement(contrast, "minValue").text = f"{layer.stretch[0]:.10g}"
        ET.SubElement(contrast, "maxValue").text = f"{layer.stretch[1]:.10g}"
        ET.SubElement(contrast, "algorithm").text = "StretchToMinimumMaximum"
