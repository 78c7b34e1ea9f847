"""Networks run over rasters of any size, block by block."""

import contextlib
import functools
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import numpy as np
import torch
from dask.base import tokenize
from torch import Tensor

from aqgeo.errors import ModelError
from aqgeo.models import checkpoint, ready

log = logging.getLogger(__name__)
Finish = Callable[[Tensor], Tensor]
# CPU allocators have no error of their own.
_NO_MEMORY = ("can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how networks run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is the first GPU that the process sees, if it sees one."""
    precision: Literal["float32", "bf16"] = "float32"
    """`bf16` is twice as fast on GPUs and on CPUs with AVX512_BF16 or AMX, slower on others."""
    batch: int = 1
    """Dates that are computed at once, at most."""
    patch: int = 1024
    """Pixels along one side of a block without its margin; a multiple of the network's stride."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is computed: a network, what goes in, what comes out."""

    weights: Path
    """A checkpoint; on a cluster, all workers must see it. Its network has `bands`, `stride`,
    `margin` (pixels from a cut within which results depend on it) and `only`, and is called with
    an input and the window of it that is wanted. With a `scale`, its result has so many times more
    rows and columns than its input."""
    bands: tuple[str, ...]
    """Names of the input's bands in order, a part of the network's."""
    finish: Finish
    """From the network's output (n, channel, h, w) to (n, `channels`, h, w); a function of a
    module, since it travels to workers."""
    channels: int
    """Channels of the result."""
    dtype: str
    """Type of the result."""
    fill: float
    """What a pixel gets of which no band holds data."""
    settings: Settings = Settings()
    """Where and how."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a raster that is computed at once, and what must be read for it."""

    inner: tuple[slice, slice]
    """Rows and columns of the result."""
    outer: tuple[slice, slice]
    """Rows and columns that are read: with the margin, which ends at the raster's edge."""

    @property
    def within(self) -> tuple[slice, slice]:
        """Where the inner part lies in the outer one."""
        pairs = zip(self.inner, self.outer, strict=True)
        return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in pairs)  # type: ignore[return-value]


def predict(values: da.Array, job: Job) -> da.Array:
    """Return what a network makes of a lazy series of images; nothing is read or computed yet.

    Every block is read with a margin, beyond which a network's result does not depend on where the
    image was cut, and the margin's result is thrown away. So blocks meet without a seam: results
    differ from those of the whole image by less than 1e-4. Blending neighbours over a part of the
    margin would cost more pixels and add nothing. At the image's own edge there is no margin; on
    the right and below its last pixels are repeated up to a multiple of the stride.

    Each block is computed by one thread, so that bits do not depend on the number of workers and
    threads; a worker runs as many blocks as it has threads, and keeps its network loaded.

    Args:
        values: (time, band, y, x) float32; NaN is no data.
        job: what is computed.

    Returns:
        (time, channel, y, x) in blocks of `settings.batch` dates and `settings.patch` pixels, times
        the network's scale.

    Raises:
        ModelError: the weights cannot be used.
        ValueError: the values are not of the job's bands.
    """
    if values.ndim != 4 or values.shape[1] != len(job.bands):
        raise ValueError(f"values {values.shape} are not (time, {len(job.bands)} bands, y, x)")
    rows = [
        da.concatenate([_lazy(values, block, job) for block in row], axis=3)
        for row in blocks((values.shape[2], values.shape[3]), job)
    ]
    return da.concatenate(rows, axis=2)


def blocks(shape: tuple[int, int], job: Job) -> list[list[Block]]:
    """Return the blocks of a raster, row by row, as `predict` cuts it.

    Args:
        shape: rows and columns.
        job: what is computed.
    """
    network = network_of(job, "cpu")
    margin = _aligned(network.margin, network.stride)
    rows, cols = (_spans(length, job.settings.patch, margin) for length in shape)
    return [
        [Block((inner_y, inner_x), (outer_y, outer_x)) for inner_x, outer_x in cols]
        for inner_y, outer_y in rows
    ]


def run(values: np.ndarray, within: tuple[slice, slice], job: Job) -> np.ndarray:
    """Return what a network makes of one block.

    A batch that does not fit into memory is halved, and a single date that does not fit on a GPU is
    computed by the CPU; the log tells, and later blocks of the process begin with what fitted.

    Args:
        values: (time, band, h, w) float32 of the block with its margin; NaN is no data. Rows and
            columns begin at multiples of the stride.
        within: rows and columns of the block within them.
        job: what is computed.

    Returns:
        (time, channel, y, x) of the block, times the network's scale.

    Raises:
        ModelError: the device is not there, or one date does not fit into its memory.
    """
    inner = np.isfinite(values[..., *within]).any(axis=1)
    seen = np.flatnonzero(inner.any(axis=(1, 2)))
    if not seen.size:
        rows, cols = (network_of(job, "cpu").scale * length for length in inner.shape[1:])
        return np.full((len(values), job.channels, rows, cols), job.fill, job.dtype)
    found = _fitting(values if seen.size == len(values) else values[seen], within, job)
    inner = _finer(inner, found.shape[-1] // inner.shape[-1])
    result = np.full((len(values), *found.shape[1:]), job.fill, job.dtype)
    result[seen] = np.where(inner[seen][:, None], found, np.asarray(job.fill, job.dtype))
    return result


def network_of(job: Job, device: str) -> Any:
    """Return the network of a job on a device, loaded once in a process.

    Raises:
        ModelError: the weights cannot be used, or do not know a band.
    """
    # Loading computes too: weights are folded.
    with _LOADING, _one_thread():
        return _load(job.weights, _state(job.weights), job.bands, device)


def device_of(settings: Settings) -> str:
    """Return the device that settings mean in this process.

    Raises:
        ModelError: it has no GPU, and one is asked for.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "device 'cuda': this process sees no NVIDIA GPU, or its torch has no CUDA: choose auto"
        )
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return settings.device


_LOADING = threading.Lock()
# Device and batch that fitted, by weights and what was asked for.
_FITTED: dict[tuple[Path, Settings], tuple[str, int]] = {}


@functools.lru_cache(maxsize=8)
def _load(weights: Path, state: tuple[int, ...], bands: tuple[str, ...], device: str) -> Any:
    """Load weights; their state is part of the key, so that new ones are not missed."""
    whole, _ = checkpoint.read(weights)
    unknown = [band for band in bands if band not in whole.bands]
    if unknown:
        raise ModelError(
            f"{weights} knows no band {', '.join(unknown)}: leave it out, or choose weights that "
            f"do; it has {', '.join(whole.bands)}"
        )
    network: Any = ready.ready(whole, bands)
    network.stride, network.margin = whole.stride, whole.margin
    network.scale = getattr(whole, "scale", 1)
    network.requires_grad_(requires_grad=False)
    if device == "cpu":
        ready.suit_one_thread(network)
    return network.to(device, memory_format=torch.channels_last)


def _state(weights: Path) -> tuple[int, ...]:
    try:
        status = weights.stat()
    except OSError:  # `checkpoint.read` tells it better
        return ()
    return status.st_size, status.st_mtime_ns


def _lengths(length: int, patch: int, margin: int) -> tuple[int, ...]:
    """Return the lengths of blocks; a rest shorter than a margin is part of the last one."""
    whole, rest = divmod(length, patch)
    if rest >= margin or not whole:
        return (patch,) * whole + (rest,) * bool(rest)
    return (patch,) * (whole - 1) + (patch + rest,)


def _spans(length: int, patch: int, margin: int) -> list[tuple[slice, slice]]:
    """Return blocks along one axis, inner and outer."""
    stops = itertools.accumulate(_lengths(length, patch, margin), initial=0)
    return [
        (slice(start, stop), slice(max(start - margin, 0), min(stop + margin, length)))
        for start, stop in itertools.pairwise(stops)
    ]


def _finer(known: np.ndarray, scale: int) -> np.ndarray:
    """Return (n, scale h, scale w) of (n, h, w), each pixel repeated."""
    return known if scale == 1 else known.repeat(scale, axis=1).repeat(scale, axis=2)


def _aligned(length: int, stride: int) -> int:
    return -(-length // stride) * stride


def _lazy(values: da.Array, block: Block, job: Job) -> da.Array:
    """Return a block of the result for all dates."""
    wide = values[..., *block.outer].rechunk({0: job.settings.batch, 1: -1, 2: -1, 3: -1})
    scale = network_of(job, "cpu").scale
    height, width = (scale * (part.stop - part.start) for part in block.inner)
    return wide.map_blocks(
        run,
        block.within,
        job,
        chunks=(wide.chunks[0], (job.channels,), (height,), (width,)),
        dtype=job.dtype,
        meta=np.empty((0, 0, 0, 0), job.dtype),
        name=f"predict-{tokenize(wide.name, block, job, _state(job.weights))}",
    )


def _fitting(values: np.ndarray, within: tuple[slice, slice], job: Job) -> np.ndarray:
    """Return the finished output of dates, in batches that fit into memory."""
    key = job.weights, job.settings
    device, size = _FITTED.get(key) or (device_of(job.settings), job.settings.batch)
    while True:
        starts = range(0, len(values), size)
        try:
            found = [_forward(values[n : n + size], within, job, device) for n in starts]
        except RuntimeError as err:
            if not _is_want_of_memory(err):
                raise
            device, size = _smaller(device, min(size, len(values)), values.shape, err)
        else:
            _FITTED[key] = device, size
            return np.concatenate(found)


def _smaller(device: str, size: int, shape: tuple[int, ...], err: Exception) -> tuple[str, int]:
    """Return the device and batch to try next."""
    if size > 1:
        log.warning("%d dates do not fit into the memory of %s: half as many", size, device)
        return device, size // 2
    pixels = f"{shape[-2]} x {shape[-1]} pixels"
    if device == "cpu":
        raise ModelError(f"{pixels} do not fit into memory: choose a smaller patch") from err
    log.warning("%s do not fit into the memory of %s: the CPU goes on", pixels, device)
    torch.cuda.empty_cache()
    return "cpu", 1


def _is_want_of_memory(err: RuntimeError) -> bool:
    return isinstance(err, torch.OutOfMemoryError) or any(s in str(err) for s in _NO_MEMORY)


def _forward(values: np.ndarray, within: tuple[slice, slice], job: Job, device: str) -> np.ndarray:
    network = network_of(job, device)
    short = [-n % network.stride for n in values.shape[-2:]]
    # A copy, since networks may overwrite it.
    x = torch.from_numpy(values).to(torch.float32, memory_format=torch.channels_last, copy=True)
    if np.isinf(values).any():
        x.nan_to_num_(np.nan, np.nan, np.nan)
    if any(short):
        # The edge goes on: beside no data, networks see cloud where there is none.
        x = torch.nn.functional.pad(x, (0, short[1], 0, short[0]), mode="replicate")
    if device != "cpu":
        x = x.pin_memory().to(device, non_blocking=True)
    half = torch.autocast(device, torch.bfloat16, enabled=job.settings.precision == "bf16")
    with torch.inference_mode(), half, _one_thread():
        output = network(x, within).float()
        return np.asarray(job.finish(output).cpu().numpy(), job.dtype)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch's operators of this thread run on one core; how they share work changes bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
