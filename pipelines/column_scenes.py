"""Sets of NO2 column scenes for super-resolution: simulated, or real fields made coarser."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo.datasets import column_scenes
from aqgeo.datasets.column_scenes import SUFFIX, Scenes, Split
from aqgeo.errors import SourceError
from aqgeo.gridding import binning
from aqgeo.models import plumes
from aqgeo.simulation import column_chips, processes, zoom
from aqgeo.simulation.column_chips import Chip, Pass
from aqgeo.sources.s5p import MIN_QA
from pipelines.cluster import track
from pipelines.covariates import PRIOR
from pipelines.workspace import lock

log = logging.getLogger(__name__)
PAST = "past_mean"
"""Covariate of real series: mean of the days to train on, on the fine grid, mol m-2."""
# A cell that pixels cover to less counts as not seen.
_LEAST_WEIGHT = 0.05
_SPLITS: tuple[Split, ...] = (*("train",) * 8, "validation", "test")


def simulate(
    folder: Path,
    *,
    count: int,
    cells_m: Sequence[int] = (4000,),
    days: int = 8,
    seed: int = 0,
    workers: int = 2,
) -> Path:
    """Write simulated scenes: real orbits' pixels on cells, the truth on pixels of 1 km.

    Of ten places, eight are for training, one for validation, one for test. Files that lie there
    are kept.

    Args:
        folder: where to, a file for each place and size of cells.
        count: number of places.
        cells_m: sides of the cells.
        days: whose overpasses are simulated.
        seed: another seed, another set.
        workers: processes.

    Raises:
        SourceError: cells are no whole number of pixels, or do not fill a chip.
    """
    for cell in cells_m:
        factor = cell // column_chips.FINE_M
        if cell % column_chips.FINE_M or not 2 <= factor <= 8 or column_chips.SIZE_M % cell:
            raise SourceError(
                f"cells of {cell} m: choose 2000, 3000, 4000, 6000 or 8000, which "
                f"{column_chips.SIZE_M // 1000} km are cut into"
            )
    with lock(folder.absolute()), processes.pool(workers) as pool:
        missing = [
            n for n in range(count) if not all(_path(folder, seed, n, c).exists() for c in cells_m)
        ]
        write = partial(_simulate_one, folder, seed, tuple(cells_m), days)
        work = [pool.submit(write, number) for number in missing]
        for done in track(work, "Simulated columns"):
            done.result()
    log.info("%s: %d places simulated, %d were there", folder, len(missing), count - len(missing))
    return folder


def coarsen(path: Path, folder: Path, *, factor: int, test: float = 0.35) -> Path:
    """Write scenes of a real series of fields: its cells made coarser by block means.

    The first days are to train on, 30 days then validate, and the last are the test. A day's
    covariate `past_mean` is the mean of the days to train on; for those it leaves their own month
    out, since a day must not tell of itself.

    Args:
        path: netCDF file with one variable (time, lat, lon) in mol m-2, north first.
        folder: where to, a file for each split.
        factor: cells that are averaged along each side.
        test: share of the days, the last ones.

    Raises:
        SourceError: the file cannot be read, holds no such variable, or is too small.
    """
    times, fields = _series(path)
    rows, cols = (n // factor * factor for n in fields.shape[1:])
    if min(rows, cols) < 4 * factor or factor < 2:
        raise SourceError(
            f"fields of {fields.shape[1]} x {fields.shape[2]} cells cannot be made {factor} times "
            "coarser: choose a factor from 2 that leaves four cells"
        )
    fields = fields[:, :rows, :cols]
    last = times[round(len(times) * (1 - test))]
    first = last - np.timedelta64(30, "D")
    parts: dict[Split, np.ndarray] = {
        "train": times < first,
        "validation": (times >= first) & (times < last),
        "test": times >= last,
    }
    learnt = fields[parts["train"]]
    for split, chosen in parts.items():
        months = times[chosen].astype("datetime64[M]")
        for month in np.unique(months):
            own = chosen & (times.astype("datetime64[M]") == month)
            past = learnt[~own[parts["train"]]]
            name = f"{path.stem}_{factor}x_{split}_{month}"
            scenes = _coarser(name, split, fields[own], past, factor)
            column_scenes.write(folder / f"{name}{SUFFIX}", scenes)
    return folder


def _path(folder: Path, seed: int, number: int, cell_m: int) -> Path:
    return folder / f"SIMULATED_{seed}_{number:05d}_{cell_m}m{SUFFIX}"


def _simulate_one(folder: Path, seed: int, cells_m: Sequence[int], days: int, number: int) -> None:
    chip = column_chips.draw(seed, number, days=days)
    for cell in cells_m:
        path = _path(folder, seed, number, cell)
        column_scenes.write(path, on_cells(chip, cell, path.stem, _SPLITS[number % len(_SPLITS)]))


def on_cells(chip: Chip, cell_m: int, place: str, split: Split) -> Scenes:
    """Return a chip's overpasses on cells of a size, as `ingest` makes them.

    Args:
        chip: the chip.
        cell_m: side of a cell.
        place: its name.
        split: part of the set.
    """
    where = zoom.coarsen(chip.grid, cell_m // column_chips.FINE_M)
    seen = [_average(one, where) for one in chip.passes]
    wind = np.array([one.wind for one in chip.passes], "float32")
    return Scenes(
        place=place,
        split=split,
        simulated=True,
        column=np.stack([column for column, _, _ in seen]),
        weight=np.stack([weight for _, weight, _ in seen]),
        noisy=np.stack([noisy for _, _, noisy in seen]),
        truth=np.stack([one.truth for one in chip.passes]),
        covariates={
            **chip.covariates,
            "wind_u": wind[:, 0],
            "wind_v": wind[:, 1],
            PRIOR: np.stack([_prior(chip, one) for one in chip.passes]),
        },
    )


def _prior(chip: Chip, one: Pass) -> np.ndarray:
    return plumes.column(chip.covariates, one.wind, column_chips.FINE_M)


def _average(one: Pass, where: GeoBox) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return column, weight, and column with noise alone, of an overpass on cells."""
    good = (one.qa > round(100 * MIN_QA)) & np.isfinite(one.column)
    noisy = {"noisy": one.noisy[good].astype("float64")}
    sums = binning.average(one.column[good], one.lon[good], one.lat[good], where, fields=noisy)
    seen = sums.weight > _LEAST_WEIGHT
    column, weight, alone = (
        np.where(seen, values, np.nan).astype("float32")
        for values in (sums.mean(), sums.weight, sums.mean("noisy"))
    )
    return column, weight, alone


def _series(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return days and (time, y, x) of the only variable of a file."""
    try:
        with xr.open_dataset(path) as ds:
            found = [v for v in ds.data_vars.values() if v.dims == ("time", "lat", "lon")]
            if len(found) != 1:
                raise SourceError(
                    f"{path} holds {len(found)} variables (time, lat, lon): one is needed"
                )
            values = found[0].sortby("lat", ascending=False).to_numpy().astype("float32")
            times = found[0]["time"].to_numpy().astype("datetime64[D]")
    except (OSError, ValueError, KeyError) as err:
        raise SourceError(f"{path} cannot be read as a series of columns: {err}") from err
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else np.nan
    if not largest < 1:
        raise SourceError(
            f"{path}: columns reach {largest:g}: they must be in mol m-2, where 0.001 is much"
        )
    return times, values


def _coarser(place: str, split: Split, fields: np.ndarray, past: np.ndarray, factor: int) -> Scenes:
    count, rows, cols = fields.shape
    blocks = fields.reshape(count, rows // factor, factor, cols // factor, factor)
    column = blocks.mean((2, 4))
    known = np.isfinite(past)
    number = known.sum(0)
    total = np.where(known, past, 0).sum(0, dtype="float64")
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    weight = np.isfinite(column).astype("float32")
    return Scenes(
        place, split, False, column, weight, column, fields, {PAST: mean.astype("float32")}
    )
