"""Cloud-Optimized GeoTIFFs of one band."""

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox


def write(
    path: Path, data: NDArray[np.generic], grid: GeoBox, *, nodata: int = 0, classes: bool = False
) -> None:
    """Write one band in blocks of 512 with overviews.

    Args:
        path: of the new file.
        data: (y, x).
        grid: where.
        nodata: number that means no data.
        classes: overviews show the most frequent number, not the mean.
    """
    rows, cols = grid.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=cols,
        height=rows,
        count=1,
        dtype=data.dtype,
        nodata=nodata,
        crs=str(grid.crs),
        transform=grid.affine,
        compress="ZSTD",  # a third of the time of DEFLATE, the same size
        level=1,
        predictor="YES",
        overview_resampling="MODE" if classes else "AVERAGE",
        blocksize=512,
    ) as target:
        target.write(data, 1)
