"""Turns the labelled chips of ukis-csmask's tests (.npz) into pairs that `aqgeo evaluate` reads.

    python -m benchmarks.shadow_chips FOLDER OUT
    aqgeo evaluate clouds --images OUT --bands B02,B03,B04,B08,B11,B12 --level L1C \
        --classes 0=shadow,1=clear,2=clear,3=clear,4=cloud --out REPORT

FOLDER is shared/data/clouds_shadow_labelled: `img` (y, x, 6) reflectance at the top of the
atmosphere in blue, green, red, near infrared, 1.6 and 2.2 µm; `msk` (y, x, 1) 0 shadow, 1 water,
2 snow, 3 land, 4 cloud. Landsat's bands stand for Sentinel-2's; the files have no georeference.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

SHAPES = {"img": 6, "msk": 1}


def convert(source: Path, out: Path) -> None:
    """Write a chip's image as float32 reflectance and its label as uint8 codes."""
    with np.load(source, allow_pickle=False) as chip:
        layers = {key: np.moveaxis(chip[key], -1, 0) for key in SHAPES}
    for key, kind in (("img", "float32"), ("msk", "uint8")):
        data = layers[key].astype(kind)
        assert len(data) == SHAPES[key], f"{source}: {key} has {len(data)} layers"
        name = out / f"{source.stem}_{'img' if key == 'img' else 'label'}.tif"
        size = {"count": len(data), "height": data.shape[1], "width": data.shape[2]}
        with rasterio.open(name, "w", driver="GTiff", dtype=kind, compress="deflate", **size) as to:
            to.write(data)


def main() -> None:
    """Convert every chip of a folder."""
    folder, out = map(Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for source in sorted(folder.glob("*.npz")):
            convert(source, out)


if __name__ == "__main__":
    main()
