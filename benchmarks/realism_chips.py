"""Real Sentinel-2 reflectance by class, from chips with a map and from classified scenes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

L1C = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
L2A = tuple(band for band in L1C if band != "B10")
CLASSES = (
    "water", "forest", "crops", "grass", "urban", "sand", "snow", "vegetation", "bare",
    "cloud", "shadow",
)  # fmt: skip
# Codes of TerraMesh's land-use layer; 6 is bare ground, in these chips a beach.
_LAND_USE = {1: "water", 2: "forest", 4: "crops", 5: "urban", 6: "sand", 9: "grass"}
# Codes of eo-learn's land-use layer of the 68-date patch.
_PATCH = {2: "forest", 3: "grass"}
_SCL = {"shadow": (3,), "vegetation": (4,), "bare": (5,), "cloud": (8, 9)}
_NEAR_CLOUD = 3
"""Pixels beside cloud whose class in the 33T set is an artefact of storage, see its MANIFEST."""
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Pixels:
    """Reflectance of one class at one site."""

    site: str
    """Name of the chip or set; two of them say how far real places lie apart."""
    level: str
    """L1C or L2A, with the pixel size where it is not 10 m or 20 m."""
    kind: str
    """One of CLASSES."""
    bands: dict[str, NDArray[np.float32]]
    """(n,) reflectance by band, 1."""


def read(data: Path) -> list[Pixels]:
    """Return all real pixels of a folder of real data; see each set's MANIFEST.md."""
    return [*_chips(data / "multimodal_5sites"), *_patch(data / "eopatch_68dates"),
            *_fields(data / "sentinel2_timeseries"), *_tiles(data / "sentinel2_33T")]  # fmt: skip


def by_classification(
    site: str, level: str, bands: dict[str, NDArray[np.float32]], scl: NDArray[np.uint8]
) -> list[Pixels]:
    """Return pixels by the product's own scene classification, clear ones away from cloud.

    Args:
        site: name of the place.
        level: level and pixel size.
        bands: (y, x) reflectance by band, NaN where there are no data.
        scl: (y, x) codes of Sen2Cor.
    """
    cloud = np.isin(scl, (8, 9, 10))
    near = scipy.ndimage.binary_dilation(cloud, iterations=_NEAR_CLOUD) if cloud.any() else cloud
    found = []
    for kind, codes in _SCL.items():
        here = np.isin(scl, codes) & (True if kind in ("cloud", "shadow") else ~near)
        if here.sum() >= _FEWEST:
            found.append(Pixels(site, level, kind, {b: v[here] for b, v in bands.items()}))
    return found


def inside(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return a class without its rim of mixed pixels."""
    return scipy.ndimage.binary_erosion(mask, iterations=pixels) if mask.any() else mask


def _chips(folder: Path) -> list[Pixels]:
    """Chips of 10 m; a file has the offset of baseline 04.00 or not, its darkest band tells."""
    found = []
    for path in sorted(folder.glob("*_LULC.tif")):
        site = path.name.removesuffix("_LULC.tif")
        use = _read(path)[0]
        for level, names in (("L1C", L1C), ("L2A", L2A)):
            stack = _read(path.with_name(f"{site}_S2{level}.tif")).astype("float32")
            # L1C: cirrus is near 0 on clear ground. L2A: 433D alone has the offset (MANIFEST).
            dark = np.median(stack[names.index("B10")]) if "B10" in names else stack.min()
            layers = dict(zip(names, (stack - 1000 * (dark > 900)) / 10_000, strict=True))
            for code, kind in _LAND_USE.items():
                here = inside(use == code, 2)
                if kind == "water":  # the map's water holds beaches and banks
                    here &= layers["B03"] > layers["B11"]
                if here.sum() >= _FEWEST:
                    found.append(
                        Pixels(site[:4], level, kind, {b: v[here] for b, v in layers.items()})
                    )
    return found


def _patch(folder: Path) -> list[Pixels]:
    """13 bands of one forest in Slovenia, the three clear ones of five scenes."""
    use = np.load(folder / "TestEOPatch_data.npz")["LULC"]
    scenes = np.load(folder / "REFERENCE_SCENES_L1C_13band.npz")["scenes"]
    found = []
    for code, kind in _PATCH.items():
        here = inside(use == code, 2)
        stack = np.concatenate([scene[here] for scene in scenes[2:]])
        found.append(Pixels("patch", "L1C", kind, dict(zip(L1C, stack.T, strict=True))))
    return found


def _fields(folder: Path) -> list[Pixels]:
    """All dates of two fields near 51 N, 20 m, four bands averaged from 10 m."""
    found = []
    for path in sorted(folder.glob("S2_L2A_10m_*.nc")):
        with (
            xr.open_dataset(path, mask_and_scale=False) as fine,
            xr.open_dataset(str(path).replace("10m", "20m"), mask_and_scale=False) as coarse,
        ):
            bands = {b: _scaled(fine[b].values, 2) for b in ("B02", "B03", "B04", "B08")}
            for band in ("B05", "B06", "B07", "B8A", "B11", "B12"):
                bands[band] = _scaled(coarse[band].values, 1)
            scl = coarse["SCL"].values
        site = path.name.split("_")[3][-6:]
        every = [
            by_classification(site, "L2A", {b: v[i] for b, v in bands.items()}, frame)
            for i, frame in enumerate(scl)
        ]
        found += _joined([p for pixels in every for p in pixels])
        # Class 11 is mostly cloud tops here: snow fills the frame and is dark at 1.6 um.
        snowy = ((scl == 11).mean((1, 2)) > 0.5) & (np.nanmedian(bands["B11"], (1, 2)) < 0.15)
        if snowy.any():
            here = (scl == 11) & snowy[:, None, None]
            found.append(Pixels(site, "L2A", "snow", {b: v[here] for b, v in bands.items()}))
    return found


def _tiles(folder: Path) -> list[Pixels]:
    """Eight products of Styria, August 2023, 120 m; their numbers have no offset."""
    found = []
    for path in sorted(folder.glob("*_SCL.tif")):
        bands = {}
        for band in ("B02", "B03", "B04", "B08"):
            numbers = _read(path.with_name(path.name.replace("SCL.tif", f"{band}.jp2")))[0]
            bands[band] = _scaled(numbers, 1)
        found += by_classification(path.name[4:9], "L2A 120 m", bands, _read(path)[0])
    return _joined(found)


def _joined(pixels: list[Pixels]) -> list[Pixels]:
    """Join what several dates show of the same class at the same site."""
    groups: dict[tuple[str, str, str], list[Pixels]] = {}
    for p in pixels:
        groups.setdefault((p.site, p.level, p.kind), []).append(p)
    return [
        Pixels(*key, {b: np.concatenate([p.bands[b] for p in own]) for b in own[0].bands})
        for key, own in groups.items()
    ]


def _scaled(numbers: NDArray[np.uint16], factor: int) -> NDArray[np.float32]:
    """Return reflectance, means of blocks of the last two axes; 0 is no data."""
    values = np.where(numbers == 0, np.nan, numbers / 10_000).astype("float32")
    *outer, rows, cols = values.shape
    blocks = values.reshape(*outer, rows // factor, factor, cols // factor, factor)
    return np.asarray(blocks.mean((-3, -1)))


def _read(path: Path) -> NDArray[np.integer]:
    with rasterio.open(path) as src:
        found: NDArray[np.integer] = src.read()
    return found
