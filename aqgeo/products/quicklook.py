"""Pictures of layers for people: map, legend, scale bar, source."""

import math
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from odc.geo.geobox import GeoBox
from pyproj import Geod

from aqgeo import cube
from aqgeo.catalog import Layer
from aqgeo.errors import ProductError
from aqgeo.grid import lonlat_bbox

MAX_PIXELS = 900
DPI = 100
# Sizes in pixels of the picture, which stays within 1024 x 1024.
_WIDTH, _MAP_WIDTH, _MAP_HEIGHT = 1024, 740, 820
_LEFT, _TOP, _BOTTOM, _LEGEND_GAP = 24, 84, 114, 24
_MAP_LOW = 420
_INK, _FAINT = "#1a1a1a", "#555555"
_NO_DATA: dict[str, Any] = {
    # Not white: small holes in a colour picture would look like clouds.
    "facecolor": "#e3e3e3",
    "edgecolor": "#b8b8b8",
    "hatch": "////",
    "linewidth": 0.0,
}


class _Frame(NamedTuple):
    """Where the map lies in the picture, in pixels from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float
    total_height: int


def quicklook(
    layer: Layer, ds: xr.Dataset, path: Path, *, title: str, subtitle: str, note: str
) -> None:
    """Write a PNG of at most 1024 x 1024 pixels; the same pixels and texts give the same bytes.

    Large rasters are shrunk to 900 pixels: values by block means, classes by every n-th pixel.

    Args:
        layer: what to show, in exactly the colours of its ramp or classes.
        ds: cube with one time step, dims (time, y, x), in the units of the cube; may be lazy.
        path: the file to write or replace.
        title: first line, for example the product and the region.
        subtitle: second line, for example the period.
        note: last lines: sources, licence, and a word where the data are simulated.

    Raises:
        ProductError: the cube does not hold the layer.
        OSError: the file cannot be written.
    """
    missing = [name for name in layer.variables if name not in ds.data_vars]
    if missing or ds.sizes["time"] != 1:
        raise ProductError(
            f"the quick look of {layer.name!r} needs one time step of {', '.join(layer.variables)}"
            f"; the composite has {ds.sizes['time']} of {', '.join(map(str, ds.data_vars))}"
        )
    grid = cube.geobox(ds)
    step = max(1, math.ceil(max(grid.shape) / MAX_PIXELS))
    pixels = _shrunk(layer, ds, step)
    frame = _frame(grid)
    figure = Figure(figsize=(_WIDTH / DPI, frame.total_height / DPI), dpi=DPI, facecolor="white")
    _map(figure, frame, grid, _colours(layer, pixels), step)
    _legend(figure, frame, layer, pixels)
    _texts(figure, frame, grid, (title, subtitle, note))
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _shrunk(layer: Layer, ds: xr.Dataset, step: int) -> np.ndarray:
    """Return the (band, y, x) pixels to show, in the unit of the file; NaN or 0 is no data."""
    names = layer.rgb if layer.kind == "rgb" else layer.variables[:1]
    bands = ds[list(names)].isel(time=0)
    if layer.kind == "classes":
        # The middle of each block; averages of codes would be other classes.
        half = min(step // 2, *((size - 1) % step for size in (bands.y.size, bands.x.size)))
        bands = bands.isel(y=slice(half, None, step), x=slice(half, None, step))
    elif step > 1:
        blocks = {"y": step, "x": step}
        total = bands.fillna(0).coarsen(blocks, boundary="pad").sum()
        count = bands.notnull().astype("float32").coarsen(blocks, boundary="pad").sum()
        bands = total / count.where(count > 0)
    stack = np.stack([bands[name].to_numpy() for name in bands.compute().data_vars])
    return stack if layer.kind == "classes" else stack.astype("float64") * layer.factor


def _colours(layer: Layer, pixels: np.ndarray) -> np.ndarray:
    """Return (y, x, 4) uint8 RGBA; no data is transparent."""
    if layer.kind == "classes":
        table = np.zeros((256, 4), "uint8")
        for entry in layer.classes:
            table[entry.value] = (*_rgb(entry.color), 255)
        found: np.ndarray = table[pixels[0].astype("uint8")]
        return found
    valid = ~np.isnan(pixels).any(axis=0)
    filled = np.where(valid, pixels, 0.0)
    if layer.kind == "rgb":
        low, high = layer.stretch
        scaled = np.clip((filled - low) / (high - low), 0, 1).transpose(1, 2, 0) * 255
    else:
        scaled = _on_ramp(layer, filled[0])
    return np.dstack([np.rint(scaled), valid * 255.0]).astype("uint8")


def _on_ramp(layer: Layer, values: np.ndarray) -> np.ndarray:
    """Return (..., 3) colours, 0 to 255, linear between the stops of the ramp."""
    stops = [value for value, _ in layer.ramp]
    table = np.array([_rgb(color) for _, color in layer.ramp], "float64")
    return np.stack([np.interp(values, stops, table[:, i]) for i in range(3)], axis=-1)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color.lstrip("#")))


def _metres_per_unit(grid: GeoBox) -> tuple[float, float]:
    """Return the length on the ground of one unit of x and of y in the middle of the map."""
    box = grid.boundingbox
    x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    dx, dy = (box.right - box.left) / 100, (box.top - box.bottom) / 100
    to_lonlat = grid.crs.transformer_to_crs("EPSG:4326") if grid.crs else None
    if to_lonlat is None:
        raise ProductError("the map has no CRS: write the cube with aqgeo.cube.make")
    lon, lat = to_lonlat(np.array([x - dx, x + dx, x, x]), np.array([y, y, y - dy, y + dy]))
    geod = Geod(ellps="WGS84")
    east = geod.inv(lon[0], lat[0], lon[1], lat[1])[2]
    north = geod.inv(lon[2], lat[2], lon[3], lat[3])[2]
    return east / (2 * dx), north / (2 * dy)


def _frame(grid: GeoBox) -> _Frame:
    """Fit the map, in its true proportions, into the room that the picture leaves it."""
    per_x, per_y = _metres_per_unit(grid)
    box = grid.boundingbox
    wide, high = (box.right - box.left) * per_x, (box.top - box.bottom) * per_y
    zoom = min(_MAP_WIDTH / wide, _MAP_HEIGHT / high)
    width, height = wide * zoom, high * zoom
    # A flat map still needs room beside it for the legend.
    room = round(max(height, _MAP_LOW))
    left = _LEFT + (_MAP_WIDTH - width) / 2
    return _Frame(left, _BOTTOM + room - height, width, height, _TOP + room + _BOTTOM)


def _axes(figure: Figure, frame: _Frame, box: tuple[float, float, float, float]) -> Axes:
    """Return axes at (left, bottom, width, height) in pixels."""
    left, bottom, width, height = box
    total = frame.total_height
    return figure.add_axes((left / _WIDTH, bottom / total, width / _WIDTH, height / total))


def _map(figure: Figure, frame: _Frame, grid: GeoBox, rgba: np.ndarray, step: int) -> None:
    axes = _axes(figure, frame, (frame.left, frame.bottom, frame.width, frame.height))
    rows, cols = grid.shape
    axes.add_patch(Rectangle((0, 0), cols, rows, **_NO_DATA))
    # The last block may reach beyond the grid; the limits cut it there.
    extent = (0, rgba.shape[1] * step, rgba.shape[0] * step, 0)
    axes.imshow(rgba, extent=extent, interpolation="nearest", aspect="auto", zorder=2)
    axes.set(xlim=(0, cols), ylim=(rows, 0), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=_FAINT, linewidth=0.8)
    _scale_bar(figure, frame, grid)


def _scale_bar(figure: Figure, frame: _Frame, grid: GeoBox) -> None:
    """Draw a round number of kilometres, true in the middle of the map, below its left corner."""
    box = grid.boundingbox
    km = (box.right - box.left) * _metres_per_unit(grid)[0] / 1000
    target = km * min(0.3, 220 / frame.width)
    length = max(
        (m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5) if m * 10.0**e <= target),
        default=target,
    )
    width = frame.width * length / km
    axes = _axes(figure, frame, (frame.left, frame.bottom - 18, width, 6))
    axes.set_axis_off()
    axes.add_patch(Rectangle((0, 0), 0.5, 1, facecolor=_INK, edgecolor=_INK))
    axes.add_patch(Rectangle((0.5, 0), 0.5, 1, facecolor="white", edgecolor=_INK))
    at = (frame.left + width + 8, frame.bottom - 9)
    _text(figure, frame, at, f"{length:g} km", fontsize=9)


def _legend(figure: Figure, frame: _Frame, layer: Layer, pixels: np.ndarray) -> None:
    """Draw the legend right of the map: what it shows, in which unit, the colours, no data."""
    left = _LEFT + _MAP_WIDTH + _LEGEND_GAP
    top: float = frame.total_height - _TOP
    heading = _wrap(layer.title if layer.unit == "1" else f"{layer.title} ({layer.unit})", 27)
    _text(figure, frame, (left, top), heading, fontsize=10, fontweight="bold")
    top -= 18 * (heading.count("\n") + 1) + 10
    if layer.kind == "values":
        height = min(300.0, top - _BOTTOM - 40)
        _colour_bar(figure, frame, (left, top - height, 22, height), layer, pixels)
        top -= height + 22
    legend = figure.legend(
        handles=[*_patches(layer), Patch(**_NO_DATA, label="No data")],
        loc="upper left",
        bbox_to_anchor=(left / _WIDTH, top / frame.total_height),
        frameon=False,
        fontsize=10,
        borderpad=0,
        borderaxespad=0,
        labelcolor=_INK,
        labelspacing=0.7,
        handlelength=1.6,
        handleheight=1.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _patches(layer: Layer) -> list[Patch]:
    if layer.kind == "classes":
        return [Patch(facecolor=c.color, label=_wrap(c.title, 25)) for c in layer.classes]
    if layer.kind == "values":
        return []
    shown = zip(("red", "green", "blue"), ("#d00000", "#008000", "#0000d0"), layer.rgb, strict=True)
    patches = [Patch(facecolor=color, label=f"{band} as {name}") for name, color, band in shown]
    low, high = layer.stretch
    return [*patches, Patch(alpha=0, label=_wrap(f"{low:g} is dark, {high:g} is full colour", 24))]


def _colour_bar(
    figure: Figure,
    frame: _Frame,
    box: tuple[float, float, float, float],
    layer: Layer,
    pixels: np.ndarray,
) -> None:
    """Draw the ramp; signs at its ends tell that values beyond them have the end's colour."""
    stops = [value for value, _ in layer.ramp]
    low, high = stops[0], stops[-1]
    axes = _axes(figure, frame, box)
    steps = np.linspace(high, low, round(box[3]))[:, np.newaxis]
    bar = np.rint(_on_ramp(layer, steps)).astype("uint8")
    axes.imshow(bar, extent=(0, 1, low, high), interpolation="nearest", aspect="auto")
    labels = [f"{value:g}" for value in stops]
    # fmin and fmax ignore NaN without a warning; all NaN compares False.
    if np.fmin.reduce(pixels, axis=None) < low:
        labels[0] = f"≤ {labels[0]}"
    if np.fmax.reduce(pixels, axis=None) > high:
        labels[-1] = f"≥ {labels[-1]}"
    axes.set(xticks=[], ylim=(low, high))
    axes.yaxis.tick_right()
    axes.set_yticks(stops, labels, fontsize=10, color=_INK)


def _texts(figure: Figure, frame: _Frame, grid: GeoBox, texts: tuple[str, str, str]) -> None:
    title, subtitle, note = texts
    top = frame.total_height - 18
    _text(figure, frame, (_LEFT, top), _short(title, 82), fontsize=15, fontweight="bold")
    _text(figure, frame, (_LEFT, top - 32), _short(subtitle, 120), fontsize=11, color=_FAINT)
    west, south, east, north = lonlat_bbox(grid)
    where = (
        f"{_crs_name(grid)}; west {west:.2f}°, east {east:.2f}°, "
        f"south {south:.2f}°, north {north:.2f}°"
    )
    _text(figure, frame, (_LEFT, 78), where, fontsize=8.5, color=_FAINT)
    lines = textwrap.wrap(note, 155, max_lines=4, placeholder=" …")
    _text(figure, frame, (_LEFT, 61), "\n".join(lines), fontsize=8.5, color=_FAINT)


def _crs_name(grid: GeoBox) -> str:
    if grid.crs is None or grid.crs.epsg is None:
        return str(grid.crs)
    return f"{grid.crs.proj.name} (EPSG:{grid.crs.epsg})"


def _text(figure: Figure, frame: _Frame, at: tuple[float, float], text: str, **look: Any) -> None:
    """Write text, its upper left corner at (x, y) in pixels; `$` and `_` mean themselves."""
    x, y = at[0] / _WIDTH, at[1] / frame.total_height
    figure.text(x, y, text, parse_math=False, va="top", **{"color": _INK, **look})


def _wrap(text: str, width: int) -> str:
    # A unit such as "µg m-3" stays on one line.
    text = re.sub(r" (?=m-\d)", "\N{NO-BREAK SPACE}", text)
    return "\n".join(textwrap.wrap(text, width))


def _short(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder=" …")
