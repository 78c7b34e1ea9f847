"""Cloud masks of single images of any size: GeoTIFF in, cloud classes and their confidence out."""

import logging
import shutil
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from rasterio.windows import Window

from aqgeo import __version__
from aqgeo.datasets import disk
from aqgeo.errors import SourceError, WorkspaceError
from aqgeo.processing import clouds, clouds_unet, predict
from aqgeo.products import cog
from pipelines.cluster import bytes_of, track
from pipelines.mask_image import Image, look, reading
from pipelines.workspace import Workspace

log = logging.getLogger(__name__)
MEMORY = "2GiB"
# Side of a block without its margin: the larger, the smaller the share of margins. Eight blocks are
# a Sentinel-2 tile's 10980 pixels.
PATCH = 1376
# Measured: the process with its libraries and GDAL's blocks; what a block takes for each pixel that
# is read, by band and for the layers.
_BASE, _BY_BAND, _BY_PIXEL = 720 * 2**20, 14, 80
# MiB of GDAL's blocks, so that margins are not unpacked again for the next block.
_CACHE = 192
COLORS = {
    clouds.CLEAR: (74, 122, 74, 255),
    clouds.THICK: (255, 255, 255, 255),
    clouds.THIN: (169, 199, 224, 255),
    clouds.SHADOW: (43, 43, 79, 255),
    clouds.NO_DATA: (0, 0, 0, 0),
}
_TITLES = {"cloud": "cloud class, CloudSEN12", "confidence": "probability of the class (percent)"}
Checksums = dict[Window, int]


@dataclass(frozen=True, slots=True)
class Masking:
    """What images are, and how their masks are made."""

    bands: tuple[str, ...]
    """Names of the images' bands in order."""
    level: Literal["L1C", "L2A"]
    """Processing level of the images."""
    weights: Path | None = None
    """A checkpoint; the shipped one for the level if None."""
    scale: float | None = None
    """Reflectance = value x scale + offset; 1e-4 for integers and 1 for others if None."""
    offset: float = 0.0
    """Reflectance of the value 0; -0.1 for Sentinel-2 from processing baseline 04.00 on."""
    dilate_m: float = 0.0
    """Metres by which clouds and shadow grow over clear ground."""
    workers: int = 1
    """Blocks that are computed at once, each by one thread."""
    memory: str = MEMORY
    """Memory that the process may take; fewer blocks are computed at once if need be."""
    settings: predict.Settings = field(default_factory=lambda: predict.Settings(patch=PATCH))
    """Where and how the network runs."""


def mask(images: Sequence[Path], out: Path, how: Masking, work: Workspace) -> list[Path]:
    """Write the mask of each image, and return the paths of the files.

    `<stem>_cloud.tif` holds the codes of `clouds.CLASSES`, `<stem>_confidence.tif` the probability
    of the class in percent, 255 is no data in both; `<stem>_cloud.json` tells how they were made.
    The same image gives the same bytes with any number of workers.

    Args:
        images: GeoTIFF files, each with all bands.
        out: folder of the result, made if need be; files of the same names are replaced.
        how: what the images are, and how they are computed.
        work: knows the shipped weights.

    Raises:
        SourceError: an image is not what it is said to be.
        ModelError: the weights cannot be used for it.
        WorkspaceError: the memory does not suffice.
    """
    stems = _stems(images)
    weights, sha256 = how.weights, None
    if weights is None:
        weights, sha256 = work.model("clouds", how.level)
    job = clouds_unet.job_of(
        how.bands, weights, level=how.level, sha256=sha256, settings=how.settings
    )
    predict.device_of(how.settings)
    workers = _workers(job, how)
    found = {
        stem: look(path, how.bands, scale=how.scale, offset=how.offset)
        for stem, path in stems.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for stem, image in found.items():
        with rasterio.Env(GDAL_CACHEMAX=_CACHE), _aside(out, stem) as folder:
            counts = _maps(image, folder, stem, job, how, workers)
            about = _about(image, job, how, counts)
            disk.save(folder / f"{stem}_cloud.json", disk.as_json(about))
        written += [out / f"{stem}_{end}" for end in ("cloud.tif", "confidence.tif", "cloud.json")]
        shown = ", ".join(f"{name} {share:.1f} %" for name, share in about["shares"].items())
        log.info("%s: %s", image.path.name, shown)
    return written


def _stems(images: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in images:
        if path.stem in found:
            raise SourceError(
                f"{found[path.stem]} and {path} would be written to the same files: give them "
                "one --out each"
            )
        found[path.stem] = path
    return found


def _workers(job: predict.Job, how: Masking) -> int:
    """Return how many blocks may be computed at once within the memory."""
    margin = predict.network_of(job, "cpu").margin
    pixels = (how.settings.patch + 2 * margin) ** 2
    each = pixels * (_BY_BAND * len(how.bands) + _BY_PIXEL)
    fitting = (bytes_of(how.memory) - _BASE) // each
    if fitting < 1:
        need = -(-(_BASE + each) // 2**20)
        raise WorkspaceError(
            f"memory {how.memory} is too little for one block of {how.settings.patch} pixels: "
            f"give --memory {need}MiB or more"
        )
    if fitting < how.workers:
        log.warning("memory %s is enough for %d workers", how.memory, fitting)
    return int(min(fitting, how.workers))


@contextmanager
def _aside(out: Path, stem: str) -> Iterator[Path]:
    """Yield a folder to fill; its files then move to the output folder, or none of them does."""
    folder = out / f".{stem}.part"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        yield folder
        # What tells of the maps comes last: where it lies, they are whole.
        (out / f"{stem}_cloud.json").unlink(missing_ok=True)
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".json"):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _maps(
    image: Image, folder: Path, stem: str, job: predict.Job, how: Masking, workers: int
) -> np.ndarray:
    """Write the files of classes and confidence, and return the number of pixels by class."""
    plain = {kind: folder / f"{kind}.plain.tif" for kind in _TITLES}
    checksums: dict[str, Checksums] = {kind: {} for kind in _TITLES}
    counts = np.zeros(256, "int64")
    with ExitStack() as stack:
        files = [stack.enter_context(_plain(plain[kind], image, kind, job)) for kind in _TITLES]
        for rows, strip in _strips(image, job, workers):
            window = Window(0, rows.start, image.shape[1], rows.stop - rows.start)
            for kind, file, pixels in zip(_TITLES, files, strip, strict=True):
                file.write(pixels, 1, window=window)
                checksums[kind][window] = zlib.crc32(pixels.data)
            counts += clouds.count(strip[0])
    if counts[clouds.NO_DATA] == counts.sum():
        raise SourceError(f"{image.path} holds no data in any pixel: there is nothing to mask")
    if how.dilate_m:
        plain["cloud"], checksums["cloud"], counts = _dilated(plain["cloud"], image, job, how)
    for kind, overviews in (("cloud", "MODE"), ("confidence", "AVERAGE")):
        target = folder / f"{stem}_{kind}.tif"
        cog.optimize(plain[kind], target, checksums[kind], overviews=overviews)
    return counts


def _plain(path: Path, image: Image, kind: str, job: predict.Job) -> Any:
    """Open a plain GeoTIFF for writing, with all that is not pixels."""
    size = {"height": image.shape[0], "width": image.shape[1], "count": 1, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": cog.BLOCK, "blockysize": cog.BLOCK}
    file = rasterio.open(
        path, "w", "GTiff", nodata=clouds.NO_DATA, **size, **tiles, **image.profile
    )
    file.descriptions = (_TITLES[kind],)
    classes = "; ".join(f"{code} {name}" for code, name in clouds.CLASSES.items())
    tags = {"AREA_OR_POINT": "Area", "TIFFTAG_SOFTWARE": f"aqgeo {__version__}"}
    tags |= {"BANDS": ",".join(job.bands), "CLASSES": classes}
    file.update_tags(**tags)
    if kind == "cloud":
        file.write_colormap(1, COLORS)
    return file


def _strips(image: Image, job: predict.Job, workers: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of an image, with their classes and confidence (2, y, x), from above."""
    rows = predict.blocks(image.shape, job)
    every = [block for row in rows for block in row]
    done = iter(track(_computed(image, every, job, workers), "Masking", total=len(every)))
    for row in rows:
        inner = row[0].inner[0]
        strip = np.empty((2, inner.stop - inner.start, image.shape[1]), "uint8")
        for block in row:
            strip[:, :, block.inner[1]] = next(done)
        yield inner, strip


def _computed(
    image: Image, blocks: Sequence[predict.Block], job: predict.Job, workers: int
) -> Iterator[np.ndarray]:
    """Yield blocks in order: this thread reads one ahead of those that compute."""

    def compute(values: np.ndarray, block: predict.Block) -> np.ndarray:
        found: np.ndarray = predict.run(image.reflectance(values), block.within, job)[0]
        return found

    running: deque[Future[np.ndarray]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        with reading(image.path) as src:
            for block in blocks:
                window = Window.from_slices(*block.outer)
                running.append(pool.submit(compute, src.read(window=window), block))
                if len(running) > workers:
                    yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _dilated(
    path: Path, image: Image, job: predict.Job, how: Masking
) -> tuple[Path, Checksums, np.ndarray]:
    """Write classes anew with clouds and shadow grown; return the file and what it holds."""
    target = path.with_name("dilated.plain.tif")
    pixel_m = image.pixel_m()
    reach = clouds.reach(how.dilate_m, pixel_m)
    checksums: Checksums = {}
    counts = np.zeros(256, "int64")
    with rasterio.open(path) as src, _plain(target, image, "cloud", job) as file:
        for top in range(0, src.height, PATCH):
            stop = min(top + PATCH, src.height)
            above = max(top - reach, 0)
            outer = Window(0, above, src.width, min(stop + reach, src.height) - above)
            grown = clouds.dilate(src.read(1, window=outer), how.dilate_m, pixel_m)
            strip = np.ascontiguousarray(grown[top - above : stop - above])
            window = Window(0, top, src.width, stop - top)
            file.write(strip, 1, window=window)
            checksums[window] = zlib.crc32(strip.data)
            counts += clouds.count(strip)
    path.unlink()
    return target, checksums, counts


def _about(image: Image, job: predict.Job, how: Masking, counts: np.ndarray) -> dict[str, Any]:
    """Return what is told beside a mask; no times and no folders, so that bytes stay the same."""
    card = clouds_unet.card_of(job)
    return {
        "image": image.path.name,
        "shares": clouds.shares(counts),
        "classes": {str(code): name for code, name in clouds.CLASSES.items()},
        "bands": list(job.bands),
        "level": how.level,
        "reflectance": {"scale": image.scale, "offset": image.offset},
        "dilate_m": how.dilate_m,
        "precision": how.settings.precision,
        "weights": {
            "file": job.weights.name,
            "sha256": disk.sha256(job.weights.read_bytes()),
            "trained_on_simulated": card.simulated,
            "data": list(card.data),
        },
        "software": f"aqgeo {__version__}",
    }
