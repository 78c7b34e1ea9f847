"""Small CloudSEN12 data: the same drawn patches as TACO files of version 1 and as folders."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from rasterio.io import MemoryFile

L1C = (*(f"B{n:02d}" for n in range(1, 9)), "B8A", "B09", "B10", "B11", "B12")
L2A = (*(band for band in L1C if band != "B10"), "AOT", "WVP")
CRS = "EPSG:32618"


@dataclass(frozen=True)
class Drawn:
    """A patch with its image and label before it is written in any layout."""

    number: int
    roi: int
    split: str = "train"
    label_type: str = "high"
    level: str = "L1C"
    size: int = 509
    old_roi: int | None = None

    @property
    def roi_id(self) -> str:
        return f"ROI_{self.roi:05d}"

    @property
    def s2_id(self) -> str:
        return f"202003{1 + self.number % 28:02d}T153021_20200301T153{self.number:03d}_T18NXM"

    @property
    def id(self) -> str:
        return f"{self.roi_id}__{self.s2_id}"

    @property
    def old_roi_id(self) -> str:
        return f"ROI_{self.old_roi if self.old_roi is not None else self.roi + 5000}"

    @property
    def transform(self) -> Affine:
        return Affine(10.0, 0.0, 500_000.0 + 10_000 * self.roi, 0.0, -10.0, 40_000.0)

    @property
    def bands(self) -> tuple[str, ...]:
        return L1C if self.level == "L1C" else L2A

    def image(self) -> np.ndarray:
        """(band, y, x) digital numbers: slopes, a hole, a bright spot."""
        rows, cols = np.indices((self.size, self.size))
        base = (rows // 4 + cols // 3 + 17 * self.number + 100).astype("uint16")
        image = np.stack([base + np.uint16(100 * i) for i in range(len(self.bands))])
        image[:, 20:24, 30:40] = 0
        image[1, 50, 60] = 65535
        return image

    def label(self) -> np.ndarray:
        """(y, x): thick cloud above, thin on the left, a shadow, and pixels without a label."""
        label = np.zeros((self.size, self.size), "uint8")
        label[: 40 + 40 * (self.number % 10)] = 1
        label[450:, :200] = 2
        label[450:, 200:300] = 3
        label[400:404, 500:] = 99
        if self.label_type == "scribble":
            label[100:440] = 99
        return label

    def percentages(self) -> dict[str, float]:
        label = self.label()
        known = np.count_nonzero(label != 99)
        names = ("clear", "thick", "thin", "cloud_shadow")
        return {
            f"{n}_percentage": round(100 * float((label == c).sum()) / known, 3)
            for c, n in enumerate(names)
        }

    def tiffs(self, *, pad: bool) -> list[bytes]:
        """The image and, unless it has none, the label as GeoTIFF."""
        layers = [(self.image(), 0)]
        if self.label_type != "nolabel":
            layers.append((self.label()[None], 99))
        return [
            geotiff(padded(a, fill) if pad else a, self.placed(pad=pad), nodata=None)
            for a, fill in layers
        ]

    def placed(self, *, pad: bool) -> Affine:
        """Transform of the file: padding on the left moves its corner."""
        width = -self.size % 512 if pad else 0
        return self.transform @ Affine.translation(-width, 0)


def padded(array: np.ndarray, fill: int) -> np.ndarray:
    """(band, y, x) with padding on the left and at the bottom."""
    pad = -array.shape[-1] % 512
    return np.pad(array, ((0, 0), (0, pad), (pad, 0)), constant_values=fill)


def geotiff(array: np.ndarray, transform: Affine, **more: Any) -> bytes:
    count, height, width = array.shape
    profile = {"crs": CRS, "compress": "deflate", "zlevel": 1, "interleave": "pixel", **more}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype=array.dtype,
            transform=transform,
            **profile,
        ) as target:
            target.write(array)
        return bytes(memory.read())


def tortilla(
    rows: Sequence[Mapping[str, Any]], samples: Sequence[bytes], magic: bytes = b"#y"
) -> bytes:
    """A TORTILLA (`#y`) or TACO (`WX`) file: header of 200 bytes, samples, Parquet table."""
    starts = 200 + np.cumsum([0, *(len(sample) for sample in samples)])
    table = pd.DataFrame(rows).assign(
        **{"tortilla:offset": starts[:-1], "tortilla:length": [len(s) for s in samples]}
    )
    return packed(b"".join(samples), footer(table), magic)


def footer(table: pd.DataFrame, **how: Any) -> bytes:
    with io.BytesIO() as memory:
        table.to_parquet(memory, index=False, compression="zstd", **how)
        return memory.getvalue()


def packed(data: bytes, table: bytes, magic: bytes = b"#y", **lies: int) -> bytes:
    """Samples from byte 200 on with a table after them; `start` and `size` lie about the table."""
    start, size = lies.get("start", 200 + len(data)), lies.get("size", len(table))
    head = magic + start.to_bytes(8, "little") + size.to_bytes(8, "little")
    head += (1).to_bytes(8, "little")
    return head.ljust(200, b"\0") + data + table


def sample(drawn: Drawn) -> bytes:
    """One patch as the TORTILLA that lies in a part file."""
    tiffs = drawn.tiffs(pad=True)
    names = ("s2l1c", "target") if drawn.level == "L1C" else ("s2l2a", "target")
    rows = [{"tortilla:id": n, "tortilla:file_format": "GTiff"} for n in names[: len(tiffs)]]
    return tortilla(rows, tiffs)


def row(drawn: Drawn) -> dict[str, Any]:
    """The columns of CloudSEN12+ for one patch."""
    side = drawn.size + -drawn.size % 512
    return {
        "tortilla:id": drawn.id,
        "tortilla:file_format": "TORTILLA",
        "tortilla:data_split": drawn.split,
        "stac:crs": CRS,
        "stac:geotransform": list(drawn.placed(pad=True).to_gdal()),
        "stac:raster_shape": [side, side],
        "stac:time_start": 1583076621,
        "stac:centroid": "POINT (-74 0.36)",
        "label_type": drawn.label_type,
        "real_proj_shape": drawn.size,
        "roi_id": drawn.roi_id,
        "old_roi_id": drawn.old_roi_id,
        "s2_id": drawn.s2_id,
        **drawn.percentages(),
    }


def taco(patches: Sequence[Drawn]) -> bytes:
    """One part file."""
    return tortilla([row(p) for p in patches], [sample(p) for p in patches], b"WX")


def parts(patches: Sequence[Drawn], folder: Path, level: str = "l1c", count: int = 2) -> list[Path]:
    """Part files named as those of CloudSEN12+."""
    made = []
    for n in range(count):
        path = folder / f"cloudsen12-{level}.{n:04d}.part.taco"
        path.write_bytes(taco(patches[n::count]))
        made.append(path)
    return made


def folders(patches: Sequence[Drawn], root: Path) -> Path:
    """The older layout: a folder for each place and acquisition, and the table of all."""
    rows = []
    for drawn in patches:
        here = root / "high" / drawn.roi_id / drawn.s2_id
        (here / "labels").mkdir(parents=True)
        image, *label = drawn.tiffs(pad=False)
        (here / f"S2{drawn.level}.tif").write_bytes(image)
        name = {"high": "manual_hq.tif", "scribble": "manual_sc.tif"}.get(drawn.label_type)
        if name:
            (here / "labels" / name).write_bytes(label[0])
        rows.append(
            {
                "roi_id": drawn.roi_id,
                "s2_id_gee": drawn.s2_id,
                "label_type": drawn.label_type,
                "test": {"train": 0, "validation": 1, "test": 2}[drawn.split],
                "old_roi_id": drawn.old_roi_id,
                **drawn.percentages(),
            }
        )
    pd.DataFrame(rows).to_csv(root / "cloudsen12_metadata.csv", index=False)
    return root


def shape_of(path: Path) -> tuple[int, int]:
    with rasterio.open(path) as src:
        return src.shape
