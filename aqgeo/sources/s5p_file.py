"""Sentinel-5P L2 files opened with care, their variables decoded row by row."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from aqgeo.errors import SourceError
from aqgeo.sources import s5p_links

MAX_PIXELS = 4_000_000
"""A whole orbit has 4173 x 450 = 1.9 million (files of the product)."""
_MAX_LAYERS = 256  # the averaging kernel has 34
_ROWS = 256  # read at once: 31 MB of an averaging kernel
_HUGE = 1e30  # fill values of any kind are above: 9.96921e36 in the product
_HDF5 = b"\x89HDF\r\n\x1a\n"
_OTHERS = {
    b"PK": "a zip archive: unpack it",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"CDF": "netCDF of the classic kind: fetch the official file",
    b"<": "a page of HTML or XML, as a service sends when a login fails: sign in, fetch it again",
    b"{": "a JSON text, as a service sends with an error: fetch it again",
    b"": "empty: fetch it again",
}


@dataclass(frozen=True, slots=True)
class PixelFile:
    """An open granule."""

    path: Path
    """The file."""
    root: netCDF4.Dataset
    """Its netCDF groups."""
    shape: tuple[int, int]
    """Scanlines and ground pixels."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a variable."""
        return self._find(name) is not None

    def unit(self, name: str) -> str:
        """Return the unit of a variable, `none` where it has none."""
        return str(getattr(self._variable(name), "units", "none"))

    def stored(self, name: str) -> tuple[str, bool]:
        """Return the kind of number in the file, `i`, `u` or `f`, and whether it is scaled."""
        variable = self._variable(name)
        return variable.dtype.kind, self._number(variable, "scale_factor", 1.0) != 1.0

    def values(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        """Return some scanlines of a variable, float64 with its scale applied, NaN for fill."""
        variable = self._variable(name)
        return self._decoded(variable, np.asarray(variable[0, rows]))

    def pick(self, name: str, rows: slice, wanted: np.ndarray) -> np.ndarray:
        """Return some pixels of a variable, read in blocks of scanlines.

        Args:
            name: the variable's.
            rows: scanlines from which they come.
            wanted: (scanline, ground_pixel) which of them, n in all.

        Returns:
            (n,) float64 or (n, layer), float32 where the file stores that, with the scale
            applied, NaN for fill.
        """
        variable = self._variable(name)
        found = [np.empty((0, *variable.shape[3:]), variable.dtype)]
        for first, last in _blocks(variable, rows):
            block = wanted[first - rows.start : last - rows.start]
            if block.any():
                found.append(np.asarray(variable[0, first:last])[block])
        return self._decoded(variable, np.concatenate(found), keep=len(variable.shape) > 3)

    def _find(self, name: str) -> Any:
        """Return a variable of PRODUCT or, failing that, of a group below SUPPORT_DATA."""
        product = self.root.groups["PRODUCT"]
        support = product.groups.get("SUPPORT_DATA")
        places = [product, *([] if support is None else _groups(support))]
        return next((g.variables[name] for g in places if name in g.variables), None)

    def _variable(self, name: str) -> Any:
        """Return a variable after a look at its type and dimensions."""
        variable = self._find(name)
        if variable is None:
            raise SourceError(
                f"{self.path} has no variable {name!r} in PRODUCT or below SUPPORT_DATA: leave it "
                "out or fetch the whole file"
            )
        _check_numbers(self.path, variable)
        shape = variable.shape
        if shape[:3] != (1, *self.shape) or len(shape) > 4:
            raise SourceError(
                f"{self.path}: {name} has the dimensions {shape}, (1, {self.shape[0]}, "
                f"{self.shape[1]}) or one more are needed: fetch it again"
            )
        variable.set_auto_maskandscale(False)
        return variable

    def _decoded(self, variable: Any, raw: np.ndarray, *, keep: bool = False) -> np.ndarray:
        """Return float64, or float32 as stored if that is to be kept, since it is half as large."""
        scale = self._number(variable, "scale_factor", 1.0)
        offset = self._number(variable, "add_offset", 0.0)
        keep = keep and raw.dtype == np.float32 and (scale, offset) == (1.0, 0.0)
        data = raw.astype("float32" if keep else "float64")
        gone = (raw == getattr(variable, "_FillValue", None)) | ~(np.abs(data) <= _HUGE)
        if not keep:
            data = data * scale + offset
        data[gone] = np.nan
        return data

    def _number(self, variable: Any, name: str, default: float) -> float:
        """Return a scale or offset, which must be one finite number."""
        told = np.asarray(getattr(variable, name, default))
        number = float(told.item()) if told.size == 1 and told.dtype.kind in "iuf" else math.nan
        if not math.isfinite(number) or (name == "scale_factor" and number == 0):
            raise SourceError(
                f"{self.path}: {variable.name} has {name} {told.tolist()!r}, a number is needed: "
                "fetch it again"
            )
        return number


@contextmanager
def opened(path: Path, needed: tuple[str, ...]) -> Iterator[PixelFile]:
    """Open a granule.

    Args:
        path: netCDF-4 file with the official groups, or a spatial subset of one.
        needed: variables without which it is no granule; the first has its dimensions.

    Raises:
        SourceError: the file cannot be read or is no granule.
    """
    with _dataset(path) as root:
        yield PixelFile(path, root, _shape(path, root, needed))


def official_id(path: Path) -> str:
    """Return the official name that a file carries inside; empty if it has none.

    Raises:
        SourceError: the file cannot be read.
    """
    with _dataset(path) as root:
        return str(getattr(root, "id", ""))


@contextmanager
def _dataset(path: Path) -> Iterator[netCDF4.Dataset]:
    _check_kind(path)
    s5p_links.refuse(path)
    try:
        with netCDF4.Dataset(path) as root:
            yield root
    except (OSError, RuntimeError, UnicodeError) as err:
        what = " ".join(str(err).split())
        if "filter" in what.lower():
            raise SourceError(
                f"{path} is compressed in a way that this HDF5 lacks ({what}): install its filter "
                "and set HDF5_PLUGIN_PATH, or fetch the official file"
            ) from err
        raise SourceError(
            f"{path} cannot be read as netCDF-4, it may be cut short: {what}: fetch it again"
        ) from err


def _check_kind(path: Path) -> None:
    """Tell other kinds of files by their first bytes."""
    if not path.is_file():
        raise SourceError(f"{path} is no file: complete the archive or remove the item")
    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except OSError as err:
        raise SourceError(f"{path} cannot be read: {err.strerror}: check its rights") from err
    if begin.startswith(_HDF5):
        return
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    kinds = (what for mark, what in _OTHERS.items() if text.startswith(mark) and (mark or not text))
    raise SourceError(f"{path} is {next(kinds, 'no netCDF-4 file: fetch it again')}")


def _shape(path: Path, root: netCDF4.Dataset, needed: tuple[str, ...]) -> tuple[int, int]:
    """Return scanlines and ground pixels after a look at what makes a granule."""
    product = root.groups.get("PRODUCT")
    if product is None:
        raise SourceError(
            f"{path} has no group PRODUCT: it is no Sentinel-5P L2 file, remove its item"
        )
    missing = [name for name in needed if name not in product.variables]
    if missing:
        raise SourceError(
            f"{path} lacks {', '.join(missing)} in group PRODUCT: it is no L2 NO2 file, "
            "remove its item"
        )
    shape = product.variables[needed[0]].shape
    if len(shape) != 3 or shape[0] != 1 or not 0 < shape[1] * shape[2] <= MAX_PIXELS:
        raise SourceError(
            f"{path}: {needed[0]} has the dimensions {shape}; 1 time and up to {MAX_PIXELS} "
            "scanlines x ground pixels are needed: fetch it again"
        )
    return shape[1], shape[2]


def _check_numbers(path: Path, variable: Any) -> None:
    """Refuse what is no array of numbers, or would take much memory to read."""
    kind = variable.datatype
    if not isinstance(kind, np.dtype) or kind.kind not in "iuf":
        raise SourceError(f"{path}: {variable.name} holds no plain numbers: fetch it again")
    layers = math.prod(variable.shape[3:])
    chunks = variable.chunking()
    chunk = math.prod(chunks) if isinstance(chunks, list) else 0
    if layers > _MAX_LAYERS or chunk > max(MAX_PIXELS, math.prod(variable.shape)):
        raise SourceError(
            f"{path}: {variable.name} has {layers} layers in chunks of {chunk} values, more than "
            "any official file: fetch it again"
        )


def _groups(group: netCDF4.Group) -> Iterator[netCDF4.Group]:
    yield group
    for inner in group.groups.values():
        yield from _groups(inner)


def _blocks(variable: Any, rows: slice) -> Iterator[tuple[int, int]]:
    """Yield first and last of scanlines to be read at once, whole chunks where there are any."""
    chunks = variable.chunking()
    lines = chunks[1] if isinstance(chunks, list) else 1
    step = lines * math.ceil(_ROWS / lines)
    for first in range(rows.start - rows.start % lines, rows.stop, step):
        yield max(first, rows.start), min(first + step, rows.stop)
