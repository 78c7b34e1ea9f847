"""One contender of benchmarks.clouds_speed in a process of its own."""

import json
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

PATCH = 256  # what ukis-csmask's graphs take
COLORS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "B11": "swir16"}
COLORS |= {"B12": "swir22"}


def read(path: str, size: int) -> np.ndarray:
    """Return (band, y, x) reflectance of a scene's corner."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as src:
        return np.asarray(src.read(window=Window(0, 0, size, size)) * np.float32(1e-4))


def aqgeo(
    path: str, size: int, bands: str, level: str, weights: str, precision: str, threads: int
) -> Any:
    """Run our network on blocks of a scene's corner in memory, as `aqgeo mask` does."""
    from concurrent.futures import ThreadPoolExecutor

    from aqgeo.processing import clouds_unet, predict
    from pipelines.mask import PATCH as SIDE

    settings = predict.Settings(device="cpu", precision=precision, patch=SIDE)  # type: ignore[arg-type]
    job = clouds_unet.job_of(bands.split(","), Path(weights), level=level, settings=settings)
    values = read(path, size)[None]
    blocks = [block for row in predict.blocks((size, size), job) for block in row]

    def run(block: predict.Block) -> None:
        predict.run(values[..., *block.outer], block.within, job)

    def every() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, blocks))

    predict.run(values[..., :64, :64], (slice(0, 64),) * 2, job)
    return timed(every, size)


def onnx(path: str, size: int, bands: str, batch: int, threads: int) -> Any:
    """Run the raw graph of ukis-csmask on patches of a scene's corner, without anything around."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    name = f"model_{len(bands.split(','))}b_l2a.onnx"
    session = onnxruntime.InferenceSession(
        str(files("ukis_csmask") / name), options, providers=["CPUExecutionProvider"]
    )
    steps = range(0, size - PATCH + 1, PATCH)
    values = read(path, size)
    patches = np.stack([values[:, y : y + PATCH, x : x + PATCH] for y in steps for x in steps])
    feed = session.get_inputs()[0].name

    def every() -> None:
        for start in range(0, len(patches), batch):
            session.run(None, {feed: patches[start : start + batch]})

    session.run(None, {feed: patches[:1]})
    return timed(every, len(steps) * PATCH)


def csmask(path: str, size: int, bands: str, threads: int) -> Any:
    """Run ukis-csmask's whole class, with its overlapping patches."""
    from ukis_csmask.mask import CSmask

    image = np.ascontiguousarray(read(path, size).transpose(1, 2, 0))
    order = [COLORS[band] for band in bands.split(",")]
    how = {"product_level": "l2a", "intra_op_num_threads": threads, "batch_size": 4}
    return timed(
        lambda: CSmask(image.copy(), order, providers=["CPUExecutionProvider"], **how), size
    )


def s2cloudless(path: str, size: int, threads: int) -> Any:
    """Run s2cloudless on ten bands, with its averaging and dilation."""
    from s2cloudless import S2PixelCloudDetector

    detector = S2PixelCloudDetector(threshold=0.4, average_over=4, dilation_size=2)
    image = np.ascontiguousarray(read(path, size).transpose(1, 2, 0))[None]
    return timed(lambda: detector.get_cloud_masks(image, num_threads=threads), size)


def timed(work: Any, side: int) -> dict[str, float]:
    """Return seconds and Mpixel/s of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    speed = side * side / seconds / 1e6
    return {"side": side, "seconds": seconds, "cpu_s": cpu_s, "mpixel_s": speed}


def main() -> None:
    """Run the contender that is named and print what it took."""
    name, *words = sys.argv[1:]
    known = {f.__name__: f for f in (aqgeo, onnx, csmask, s2cloudless)}
    found = known[name](*(int(w) if w.isdigit() else w for w in words))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
