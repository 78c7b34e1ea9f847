"""Satellite pixels averaged onto a grid by the exact area that they share with each cell."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy import sparse

from aqgeo.errors import GridError
from aqgeo.gridding import overlap
from aqgeo.gridding.footprints import FAULTS, Geographic
from aqgeo.gridding.projected import Projected

Array = NDArray[Any]

_CHUNK = 16_384
"""Pixels placed by one thread at a time."""
_BLOCK = 8 * _CHUNK
"""Pixels whose polygons are in memory at a time: 64 bytes each."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over pixels from which means follow; sums of parts add up to the whole."""

    weight: Array
    """(y, x) area of pixels in each cell, as a share of the cell."""
    total: Array
    """(y, x) weight x value."""
    count: Array
    """(y, x) orbits that reach the cell; an unsigned integer wide enough."""
    pixels: Array | None = None
    """(y, x) pixels that reach the cell; an unsigned integer wide enough. None if unknown."""
    square: Array | None = None
    """(y, x) weight x squared orbit mean; None for one orbit, where it is total² / weight."""
    value_square: Array | None = None
    """(y, x) weight x squared value; None unless asked for."""
    weight_square: Array | None = None
    """(y, x) sum of squared weights; None unless asked for."""
    fields: Mapping[str, Array] = field(default_factory=dict)
    """Weight x field, (y, x) or (y, x, k) each; NaN where a pixel of the cell lacks the field."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Pixels near the grid that were left out, by reason; those of no known place count as near."""

    def __add__(self, other: "Sums") -> "Sums":
        """Join the sums of two sets of orbits.

        Raises:
            GridError: they are of different grids or hold different fields.
        """
        if self.weight.shape != other.weight.shape or set(self.fields) != set(other.fields):
            raise GridError(
                f"sums over {self.weight.shape} cells with fields {sorted(self.fields)} and over "
                f"{other.weight.shape} with {sorted(other.fields)} do not add up: use one grid and "
                "the same fields for all orbits"
            )
        reasons = [name for name in FAULTS if name in self.skipped or name in other.skipped]
        return Sums(
            weight=self.weight + other.weight,
            total=self.total + other.total,
            count=_counts(self.count, other.count),
            pixels=_both(self.pixels, other.pixels, _counts),
            square=self._orbit_square() + other._orbit_square(),
            value_square=_both(self.value_square, other.value_square, np.add),
            weight_square=_both(self.weight_square, other.weight_square, np.add),
            fields={name: self.fields[name] + other.fields[name] for name in self.fields},
            skipped={n: self.skipped.get(n, 0) + other.skipped.get(n, 0) for n in reasons},
        )

    def mean(self, name: str | None = None) -> Array:
        """Return the area-weighted mean of the value or of a field; NaN where nothing was seen.

        Args:
            name: a field; None for the value.

        Returns:
            (y, x), or (y, x, k) for a field of k numbers a pixel.
        """
        return _divided(self.total if name is None else self.fields[name], self.weight)

    def standard_error(self) -> Array:
        """Return the standard error of the mean (y, x) from the spread between orbits.

        NaN where fewer than two orbits were seen.
        """
        orbits = np.where(self.count > 1, self.count, np.nan)
        return self._error(self._orbit_square(), orbits)

    def pixel_error(self) -> Array:
        """Return the standard error of the mean (y, x) from the spread between pixels.

        A cell counts (sum of weights)² / sum of squared weights pixels (Kish's effective size);
        their errors are taken as independent. NaN where fewer than two pixels were seen.

        Raises:
            ValueError: the sums were made without `scatter`.
        """
        if self.value_square is None or self.weight_square is None:
            raise ValueError("these sums hold no squares of pixels: average with scatter=True")
        several = self.weight**2 > (1 + 1e-9) * self.weight_square  # by more than rounding
        effective = np.full(self.weight.shape, np.nan)
        np.divide(self.weight**2, self.weight_square, out=effective, where=several)
        return self._error(self.value_square, effective)

    def _error(self, square: Array, number: Array) -> Array:
        variance = _divided(square, self.weight) - self.mean() ** 2
        return np.asarray(np.sqrt(np.maximum(variance, 0) / (number - 1)))

    def _orbit_square(self) -> Array:
        if self.square is not None:
            return self.square
        return _divided(self.total**2, self.weight, empty=0.0)


class _Sorted(NamedTuple):
    """Footprints, sorted by the bands of rows that they reach."""

    rings: Array
    pixel: Array
    starts: Array
    order: Array


def average(
    values: Array,
    lon: Array,
    lat: Array,
    grid: GeoBox,
    *,
    fields: Mapping[str, Array] | None = None,
    scatter: bool = False,
    threads: int = 1,
) -> Sums:
    """Return one orbit's sums on a grid; each pixel counts by its area within the cell.

    Pixel edges are straight lines in the grid's CRS. Longitudes may run from -180, from 0 or across
    the date line, in pixels and grid alike. The bits of the result do not depend on `threads`.

    Args:
        values: (n,) any unit; negative ones count like others.
        lon: (n, 4) corner longitudes, degrees, in order round the pixel.
        lat: (n, 4) corner latitudes, degrees.
        grid: where the cells lie.
        fields: further numbers of each pixel by name, (n,) or (n, k), averaged with the same
            weights.
        scatter: keep what `Sums.pixel_error` needs.
        threads: that work at the same time.

    Raises:
        GridError: the grid has no CRS.
        ValueError: the arrays are not of these shapes.
    """
    fields = fields or {}
    _check(values, lon, lat, fields)
    place = _placement(grid)
    rows, cols = grid.shape
    widths = {name: int(np.prod(array.shape[1:])) for name, array in fields.items()}
    into = _targets((rows, cols), sum(widths.values()), scatter)
    found = np.zeros(len(FAULTS) + 1, "int64")
    with ThreadPoolExecutor(threads) as pool:
        for at in range(0, len(values), _BLOCK):
            part = slice(at, at + _BLOCK)
            block = np.asarray(values[part], "float64")
            task = partial(_place, place, lon[part], lat[part], np.isfinite(block))
            placed = list(pool.map(task, range(0, len(block), _CHUNK)))
            found += sum(faults for _, faults in placed)
            shapes = [shape for chunk, _ in placed for shape in chunk]
            _add(pool, threads, shapes, block, _columns(fields, part, len(block)), into)
    return _sums(into, fields, found)


def shares(lon: Array, lat: Array, grid: GeoBox) -> sparse.csr_array:
    """Return the area that each pixel has in each cell of a grid, in cells: (n, y x).

    Cells are numbered row by row. Sums over a row are a pixel's area within the grid; faulty pixels
    have none.

    Args:
        lon: (n, 4) corner longitudes, degrees, in order round the pixel.
        lat: (n, 4) corner latitudes, degrees.
        grid: where the cells lie.

    Raises:
        GridError: the grid has no CRS.
    """
    place, (rows, cols) = _placement(grid), grid.shape
    lon, lat = (np.ascontiguousarray(a, "float64") for a in (lon, lat))
    usable, faults = np.ones(len(lon), bool), np.zeros(len(lon), "uint8")
    found = [
        overlap.shares(rings, pixel, rows, cols)
        for rings, pixel in place.place(lon, lat, usable, faults)
    ]
    owner, cell, part = (np.concatenate([one[k] for one in found]) for k in range(3))
    return sparse.csr_array((part, (owner, cell)), shape=(len(lon), rows * cols))


def strips(grid: GeoBox, *, cells: int = 1_000_000) -> Iterator[tuple[slice, GeoBox]]:
    """Cut a grid into strips of whole rows, so that memory follows the strip and not the grid.

    A mean made strip by strip is that of the whole grid to rounding (1e-12):

        for rows, strip in strips(grid):
            mean[rows] = average(values, lon, lat, strip).mean()

    Args:
        grid: of any size.
        cells: in a strip, at most; a row is never cut.

    Yields:
        rows of the grid, and where they lie.
    """
    rows, cols = grid.shape
    # Whole bands, so that no thread is left with half of one.
    height = max(cells // cols // overlap.BAND_ROWS, 1) * overlap.BAND_ROWS
    for first in range(0, rows, height):
        part = slice(first, min(first + height, rows))
        yield part, grid[part, :]


def _placement(grid: GeoBox) -> Geographic | Projected:
    if grid.crs is None:
        raise GridError("the grid has no CRS, so no pixel has a place on it: give it one")
    return Geographic.of(grid) if grid.crs.geographic else Projected.of(grid)


def _check(values: Array, lon: Array, lat: Array, fields: Mapping[str, Array]) -> None:
    if values.ndim != 1 or not lon.shape == lat.shape == (len(values), 4):
        raise ValueError(
            f"{values.shape} values and corners {lon.shape}, {lat.shape} are not (n,) and (n, 4)"
        )
    for name, array in fields.items():
        if array.ndim not in (1, 2) or len(array) != len(values):
            raise ValueError(f"field {name!r} {array.shape} is not (n,) or (n, k), n {len(values)}")


def _place(
    place: Geographic | Projected, lon: Array, lat: Array, usable: Array, at: int
) -> tuple[list[_Sorted], Array]:
    """Return a chunk's footprints, counted within the block, and how many have each fault."""
    part = slice(at, at + _CHUNK)
    faults = np.zeros(len(usable[part]), "uint8")
    lon, lat = (np.ascontiguousarray(a[part], "float64") for a in (lon, lat))
    found = place.place(lon, lat, usable[part], faults)
    counts = np.bincount(faults, minlength=len(FAULTS) + 1)
    bands = [overlap.bands(rings, place.shape[0], overlap.BAND_ROWS) for rings, _ in found]
    return [
        _Sorted(rings, pixel + np.int32(at), *sorted_)
        for (rings, pixel), sorted_ in zip(found, bands, strict=True)
    ], counts


def _add(
    pool: ThreadPoolExecutor,
    threads: int,
    shapes: list[_Sorted],
    values: Array,
    fields: Array,
    into: overlap.Targets,
) -> None:
    """Add footprints band by band: each cell is summed by one thread, in the order of pixels."""
    rows, height = into.weight.shape[0], overlap.BAND_ROWS
    fill = np.sum([np.diff(shape.starts) for shape in shapes], axis=0)
    # The fullest first, so that no thread is left with a long one at the end.
    numbers = iter(np.argsort(-fill, kind="stable")[: np.count_nonzero(fill)].tolist())

    def work(_: int) -> None:
        for number in numbers:  # threads draw from one iterator: a task a band costs more
            span = (number * height, min((number + 1) * height, rows))
            for rings, pixel, starts, order in shapes:
                there = order[starts[number] : starts[number + 1]]
                if there.size:
                    overlap.add(rings, pixel, there, span, values, fields, into)

    list(pool.map(work, range(threads)))


def _columns(fields: Mapping[str, Array], part: slice, length: int) -> Array:
    """Return the numbers of all fields side by side (length, k), NaN for all that is not finite."""
    columns = [np.asarray(a[part], "float64").reshape(length, -1) for a in fields.values()]
    joined = np.concatenate([np.empty((length, 0)), *columns], axis=1)
    joined[~np.isfinite(joined)] = np.nan
    return joined


def _targets(shape: tuple[int, int], fields: int, scatter: bool) -> overlap.Targets:
    squares = shape if scatter else (0, 0)
    return overlap.Targets(
        weight=np.zeros(shape),
        total=np.zeros(shape),
        pixels=np.zeros(shape, "uint32"),
        fields=np.zeros((*shape, fields)),
        value_square=np.zeros(squares),
        weight_square=np.zeros(squares),
    )


def _sums(into: overlap.Targets, fields: Mapping[str, Array], found: Array) -> Sums:
    split, at = {}, 0
    for name, array in fields.items():
        width = int(np.prod(array.shape[1:]))
        part = into.fields[..., at : at + width]
        split[name] = part if array.ndim > 1 else part[..., 0]
        at += width
    names = zip(FAULTS, found[1:].tolist(), strict=True)
    return Sums(
        weight=into.weight,
        total=into.total,
        count=(into.pixels > 0).view("uint8"),
        pixels=into.pixels,
        value_square=into.value_square if into.value_square.size else None,
        weight_square=into.weight_square if into.weight_square.size else None,
        fields=split,
        skipped={name: number for name, number in names if number},
    )


def _counts(one: Array, two: Array) -> Array:
    """Return the sum of counts in a type that holds it."""
    most = int(one.max(initial=0)) + int(two.max(initial=0))
    return np.add(one, two, dtype=np.min_scalar_type(most), casting="unsafe")


def _both(
    one: Array | None, two: Array | None, join: Callable[[Array, Array], Array]
) -> Array | None:
    return None if one is None or two is None else join(one, two)


def _divided(total: Array, weight: Array, empty: float = np.nan) -> Array:
    """Return total / weight, with something else where nothing was seen."""
    out = np.full(total.shape, empty)
    weight = weight.reshape(weight.shape + (1,) * (total.ndim - weight.ndim))
    np.divide(total, weight, out=out, where=weight > 0)
    return out
