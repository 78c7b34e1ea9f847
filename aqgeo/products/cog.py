"""Layers as Cloud Optimized GeoTIFF files: their writer and their checks."""

import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
import xarray as xr
from rasterio.io import DatasetReader
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from aqgeo import __version__, cube
from aqgeo.catalog import Layer
from aqgeo.errors import ProductError

BLOCK = 512
# 10 of float32's 23 mantissa bits keep a relative error of 2**-11, 4.9e-4, far below the
# uncertainty of any product here, and make the file four to five times smaller.
KEPT_BITS = 10
STATISTICS = tuple(f"STATISTICS_{what}" for what in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV"))

# GDAL would take a twentieth of the machine's memory for its blocks.
_GDAL = {"GDAL_PAM_ENABLED": "NO", "GDAL_CACHEMAX": 256}
# GDAL's default overviews are cubic: they invent classes, and values below zero.
_SHARED_OPTIONS = {
    "BLOCKSIZE": str(BLOCK),
    "BIGTIFF": "IF_SAFER",
    "COMPRESS": "DEFLATE",
    "NUM_THREADS": "ALL_CPUS",
}
_VALUE_OPTIONS = {"PREDICTOR": "YES", "OVERVIEW_RESAMPLING": "AVERAGE", "STATISTICS": "YES"}
_CLASS_OPTIONS = {"PREDICTOR": "NO", "OVERVIEW_RESAMPLING": "MODE", "STATISTICS": "NO"}


def write_cog(layer: Layer, ds: xr.Dataset, path: Path, *, tags: Mapping[str, str]) -> None:
    """Write a layer as a Cloud Optimized GeoTIFF; the same pixels give the same bytes.

    Lazy variables are computed 512 lines at a time. The file appears under its name only when it
    is whole, and every pixel in it has been read back.

    Args:
        layer: what to write; values and colour pictures become float32 (cube value x factor, NaN
            is no data, mantissa rounded to 10 bits), classes uint8 (`layer.no_data` is none).
        ds: cube with one time step, dims (time, y, x); holds `layer.variables`.
        path: the file to write or replace.
        tags: further tags of the file. Leave times of writing and names of machines out: they
            change the bytes.

    Raises:
        ProductError: the cube does not hold the layer, or the file breaks a rule of map products.
        OSError: the folder cannot be written to.
    """
    _refuse_other_layers(layer, ds)
    scratch = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    with scratch as name, _gdal(path):
        source, target = Path(name) / "source.tif", Path(name) / path.name
        checksums = _write_plain(layer, ds, source, tags)
        kind = _CLASS_OPTIONS if layer.kind == "classes" else _VALUE_OPTIONS
        _optimize(source, target, checksums, kind)
        target.replace(path)


def optimize(source: Path, path: Path, checksums: Mapping[Window, int], *, overviews: str) -> None:
    """Turn a plain GeoTIFF of codes or percent into a Cloud Optimized one, and delete it.

    Args:
        source: a tiled GeoTIFF.
        path: the file to write; every pixel in it has been read back.
        checksums: CRC-32 of the pixels of windows.
        overviews: how they are made: MODE for codes, AVERAGE for numbers.

    Raises:
        ProductError: the file cannot be written, or does not hold the pixels.
    """
    with _gdal(path):
        kind = {**_CLASS_OPTIONS, "OVERVIEW_RESAMPLING": overviews}
        _optimize(source, path, checksums, kind)


def check_cog(path: Path) -> list[str]:
    """List every way in which a published file breaks the rules of map products."""
    found = [f"{path.name}.aux.xml lies beside the file"] if _aux(path).exists() else []
    with _gdal(path):
        whole, errors, warnings = cog_validate(path, strict=True, quiet=True)
        found += [*errors, *warnings] if not whole else []
        with rasterio.open(path) as src:
            found += _header_breaches(src)
            bands, levels = range(1, src.count + 1), len(src.overviews(1))
            full = {i: _range(src, i) for i in bands}
            found += [what for i in bands for what in _statistics_breaches(src, i, full[i])]
        for level in range(levels):
            with rasterio.open(path, overview_level=level) as src:
                found += [what for i in bands for what in _overview_breaches(src, i, full[i])]
    return found


@contextmanager
def _gdal(path: Path) -> Iterator[None]:
    """Bound GDAL's memory, forbid .aux.xml files, name the file in GDAL's errors."""
    with rasterio.Env(**_GDAL):
        try:
            yield
        except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError) as err:
            reason = " ".join(str(err.__cause__ or err).split())
            raise ProductError(
                f"{path} fails in GDAL: {reason}; check the free space and "
                "the rights of its folder, then publish again"
            ) from err


def _optimize(
    source: Path, target: Path, checksums: Mapping[Window, int], kind: Mapping[str, str]
) -> None:
    rasterio.shutil.copy(source, target, driver="COG", **_SHARED_OPTIONS, **kind)
    source.unlink()
    _verify(target, checksums)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _aux(path: Path) -> Path:
    return path.with_name(f"{path.name}.aux.xml")


def _refuse_other_layers(layer: Layer, ds: xr.Dataset) -> None:
    if ds.sizes["time"] != 1:
        raise ValueError(f"a layer is written from one time step, not {ds.sizes['time']}")
    if layer.kind != "rgb" and len(layer.variables) != 1:
        raise ProductError(
            f"layer {layer.name!r} has the variables {', '.join(layer.variables)}: a file holds "
            "one quantity, so give each a layer of its own"
        )
    missing = [name for name in layer.variables if name not in ds.data_vars]
    if missing:
        raise ProductError(
            f"layer {layer.name!r} needs {', '.join(missing)}, which the composite does not hold "
            f"(it has {', '.join(map(str, ds.data_vars))}): correct `variables` in the product"
        )


def _write_plain(
    layer: Layer, ds: xr.Dataset, path: Path, tags: Mapping[str, str]
) -> dict[Window, int]:
    """Write a plain tiled GeoTIFF, strip by strip, and return the checksum of each strip."""
    grid = cube.geobox(ds)
    profile = {
        "driver": "GTiff",
        "height": grid.shape[0],
        "width": grid.shape[1],
        "count": len(layer.variables),
        "crs": str(grid.crs),
        "transform": grid.affine,
        "dtype": "uint8" if layer.kind == "classes" else "float32",
        "nodata": layer.no_data if layer.kind == "classes" else np.nan,
        # Statistics and overviews are computed band by band.
        "interleave": "band",
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "BIGTIFF": "IF_SAFER",
    }
    checksums = {}
    with rasterio.open(path, "w", **profile) as dst:
        _describe(layer, dst, tags)
        for window in _strips(dst):
            rows = slice(window.row_off, window.row_off + window.height)
            strip = ds[list(layer.variables)].isel(time=0, y=rows).compute()
            pixels = np.stack([_pixels(layer, strip[name]) for name in layer.variables])
            dst.write(pixels, window=window)
            checksums[window] = zlib.crc32(pixels.data)
    return checksums


def _describe(layer: Layer, dst: rasterio.io.DatasetWriter, tags: Mapping[str, str]) -> None:
    """Set all that is not pixels; a COG cannot be changed after it has been written."""
    text = layer.title if layer.unit == "1" else f"{layer.title} ({layer.unit})"
    bands = layer.variables if layer.kind == "rgb" else (text,)
    dst.descriptions = bands
    dst.units = [layer.unit for _ in bands]
    dst.scales = [1.0 for _ in bands]
    dst.offsets = [0.0 for _ in bands]
    own = {"AREA_OR_POINT": "Area", "LAYER_KIND": layer.kind}
    if layer.kind != "classes":
        own["KEPT_MANTISSA_BITS"] = str(KEPT_BITS)
    dst.update_tags(**{**tags, **own, "TIFFTAG_SOFTWARE": f"aqgeo {__version__}"})
    for index in range(1, len(bands) + 1):
        dst.update_tags(index, long_name=text)
    if layer.kind == "classes":
        colors = {c.value: (*bytes.fromhex(c.color.lstrip("#")), 255) for c in layer.classes}
        dst.write_colormap(1, {**colors, layer.no_data: (0, 0, 0, 0)})


def _pixels(layer: Layer, band: xr.DataArray) -> np.ndarray:
    """Return the (y, x) pixels of a file from those of a cube."""
    return _codes(layer, band) if layer.kind == "classes" else _values(layer, band)


def _values(layer: Layer, band: xr.DataArray) -> np.ndarray:
    # In float64, so that the factor adds no rounding of its own; + 0.0 makes -0.0 plain zero.
    data = (band.to_numpy().astype("float64") * layer.factor + 0.0).astype("float32")
    if np.isinf(data).any():
        raise ProductError(
            f"layer {layer.name!r}: {band.name} holds infinite values: correct the stage that "
            "computes it, no data is NaN"
        )
    bits = data.view("uint32")
    drop = np.uint32(23 - KEPT_BITS)
    # Round half to even, as IEEE 754 does, so that means are kept.
    half = ((bits >> drop) & np.uint32(1)) + (np.uint32(1) << (drop - np.uint32(1))) - np.uint32(1)
    rounded = ((bits + half) >> drop << drop).view("float32")
    # One NaN for all: other NaN payloads would change the bytes.
    return np.where(np.isnan(data), np.float32("nan"), rounded)


def _codes(layer: Layer, band: xr.DataArray) -> np.ndarray:
    if band.dtype not in ("uint8", "bool"):
        raise ProductError(
            f"layer {layer.name!r}: {band.name} is {band.dtype}, but classes are uint8 codes: "
            "correct `kind` in the product"
        )
    codes = band.to_numpy().astype("uint8")
    known = {layer.no_data, *(entry.value for entry in layer.classes)}
    unknown = sorted(set(np.unique(codes).tolist()) - known)
    if unknown:
        raise ProductError(
            f"layer {layer.name!r}: {band.name} holds the codes {unknown}, which the product does "
            "not name: add them to its classes"
        )
    return codes


def _strips(src: DatasetReader) -> Iterator[Window]:
    for top in range(0, src.height, BLOCK):
        yield Window(0, top, src.width, min(BLOCK, src.height - top))


def _verify(path: Path, checksums: Mapping[Window, int]) -> None:
    """Refuse a file that is no COG, or whose pixels are not those that were computed.

    A disk that fills up can leave a file that opens well and has holes.
    """
    whole, errors, warnings = cog_validate(path, strict=True, quiet=True)
    if not whole:
        raise ProductError(
            f"{path.name} is no Cloud Optimized GeoTIFF: {'; '.join([*errors, *warnings])}; "
            "report this with the versions of GDAL and rasterio"
        )
    with rasterio.open(path) as src:
        for window, expected in checksums.items():
            if zlib.crc32(src.read(window=window)) != expected:
                raise ProductError(
                    f"{path.name} does not hold the pixels that were written, from line "
                    f"{window.row_off} on: check the free space of the disk and publish again"
                )
    if _aux(path).exists():
        raise ProductError(f"GDAL left {_aux(path).name}: set GDAL_PAM_ENABLED=NO and try again")


def _header_breaches(src: DatasetReader) -> list[str]:
    found = []
    if src.count > 1 and src.tags().get("LAYER_KIND") != "rgb":
        found.append(f"{src.count} quantities are in one file")
    if not all(src.units):
        found.append("a band has no unit")
    if not all(src.descriptions):
        found.append("a band has no description")
    if src.nodata is None or not (np.isnan(src.nodata) or src.dtypes[0] == "uint8"):
        found.append(f"no data is {src.nodata}, not NaN or a reserved class code")
    if src.tags().get("AREA_OR_POINT") != "Area":
        found.append("AREA_OR_POINT is not Area")
    return found


def _range(src: DatasetReader, index: int) -> np.ndarray:
    """Return all codes of a band of classes, or [minimum, maximum] of values; both sorted."""
    codes = src.dtypes[0] == "uint8"
    found = [np.empty(0, src.dtypes[0])]
    for window in _strips(src):
        pixels = src.read(index, window=window)
        valid = pixels[pixels != src.nodata] if codes else pixels[~np.isnan(pixels)]
        if valid.size:
            found.append(np.unique(valid) if codes else np.array([valid.min(), valid.max()]))
    seen = np.unique(np.concatenate(found))
    return seen if codes or not seen.size else seen[[0, -1]]


def _statistics_breaches(src: DatasetReader, index: int, full: np.ndarray) -> list[str]:
    if src.dtypes[0] == "uint8":
        return []
    if not full.size:
        return [f"band {index} holds no valid pixel"]
    tags = src.tags(index)
    missing = [name for name in STATISTICS if name not in tags]
    if missing:
        return [f"band {index} has no {', '.join(missing)}"]
    stated = [float(tags[name]) for name in STATISTICS[:2]]
    return [] if np.allclose(stated, full, 1e-6, 0) else [f"band {index} has other pixels: {full}"]


def _overview_breaches(src: DatasetReader, index: int, full: np.ndarray) -> list[str]:
    seen = _range(src, index)
    where = f"band {index}, overview of {src.width} x {src.height} pixels"
    if src.dtypes[0] == "uint8":
        invented = sorted(set(seen.tolist()) - set(full.tolist()))
        return [f"{where}, holds invented codes {invented}"] if invented else []
    # An average of float32 values can leave their range by its rounding.
    slack = 1e-6 * np.abs(full).max(initial=0)
    outside = seen.size and (seen[0] < full[0] - slack or seen[-1] > full[-1] + slack)
    return [f"{where}, reaches {seen} beyond {full}"] if outside else []
