"""Scenes of NO2 columns: coarse cells as they are measured, and the fine field that is true."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from aqgeo.datasets import disk
from aqgeo.errors import SourceError

SUFFIX = ".nc"
Split = Literal["train", "validation", "test"]
UNIT = "mol m-2"
_COARSE, _FINE = ("time", "y", "x"), ("fine_y", "fine_x")
_DIMS = {1: ("time",), 2: _FINE, 3: ("time", *_FINE)}


@dataclass(frozen=True, slots=True)
class Scenes:
    """What was seen of one place; (t, y, x) are coarse cells, (Y, X) the fine pixels within."""

    place: str
    """Name of the place."""
    split: Split
    """Part of the set; a place, or a time of a real series, is in one alone."""
    simulated: bool
    """Whether a simulation made it."""
    column: np.ndarray
    """(t, y, x) float32, mol m-2; NaN where nothing was seen."""
    weight: np.ndarray
    """(t, y, x) float32 area of pixels in a cell, as a share of the cell."""
    noisy: np.ndarray
    """(t, y, x) float32, mol m-2: measured with noise alone, every air mass factor known."""
    truth: np.ndarray
    """(t, Y, X) float32, mol m-2."""
    covariates: dict[str, np.ndarray]
    """(Y, X) float32 by name, or (t, Y, X) where overpasses differ; wind_u and wind_v are (t,)."""

    @property
    def factor(self) -> int:
        """Fine pixels along one side of a cell."""
        return int(self.truth.shape[1] // self.column.shape[1])


@dataclass(frozen=True, slots=True)
class Scene:
    """Some overpasses of a place, averaged; what a network is given, and what is wanted."""

    column: np.ndarray
    """(y, x) float32, mol m-2."""
    sigma: np.ndarray
    """(y, x) float32, mol m-2: standard error of the mean; NaN for fewer than two overpasses."""
    truth: np.ndarray
    """(Y, X) float32, mol m-2: mean over the same overpasses; NaN where nothing was seen."""
    covariates: dict[str, np.ndarray]
    """(Y, X) float32 by name."""


def write(path: Path, scenes: Scenes) -> None:
    """Write the scenes of a place as netCDF-4, whole or not at all."""
    coarse = {name: (_COARSE, getattr(scenes, name)) for name in ("column", "weight", "noisy")}
    fine = {"truth": (("time", *_FINE), scenes.truth)}
    more = {
        f"covariate_{name}": (_DIMS[values.ndim], values)
        for name, values in scenes.covariates.items()
    }
    about = {"place": scenes.place, "split": scenes.split, "simulated": int(scenes.simulated)}
    ds = xr.Dataset({**coarse, **fine, **more}, attrs=about)
    packed = {name: {"zlib": True, "complevel": 1} for name in ds.data_vars}
    disk.save(path, bytes(ds.to_netcdf(engine="netcdf4", encoding=packed)))


def find(folder: Path) -> list[Path]:
    """Return the files of a folder, by name.

    Raises:
        SourceError: it is no folder, or holds none.
    """
    found = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    if not found:
        raise SourceError(
            f"{folder} holds no scenes of columns: make some with `aqgeo datasets columns`"
        )
    return found


def read(path: Path) -> Scenes:
    """Return the scenes of a place.

    Raises:
        SourceError: the file cannot be read, or is not what `write` writes.
    """
    try:
        with xr.open_dataset(path, engine="netcdf4") as ds:
            arrays = {name: ds[name].values for name in ("column", "weight", "noisy", "truth")}
            covariates = {
                str(name).removeprefix("covariate_"): ds[name].values
                for name in ds.data_vars
                if str(name).startswith("covariate_")
            }
            split, place = ds.attrs["split"], str(ds.attrs["place"])
            simulated = bool(ds.attrs["simulated"])
    except (OSError, KeyError, ValueError) as err:
        raise SourceError(
            f"{path} holds no scenes of columns: {err}: make it with `aqgeo datasets columns`"
        ) from err
    found = Scenes(place, split, simulated, **arrays, covariates=covariates)
    rows, cols = (n * found.factor for n in found.column.shape[1:])
    if found.truth.shape != (len(found.column), rows, cols) or found.factor < 2:
        raise SourceError(
            f"{path}: truth {found.truth.shape} is no whole number of times finer than the cells "
            f"{found.column.shape}: make it again"
        )
    return found


def cut(scenes: Scenes, corner: Sequence[int], cells: int) -> Scenes:
    """Return a square of so many cells a side, or less where a side ends; nothing is copied.

    Args:
        scenes: of a place.
        corner: first row and column of cells.
        cells: of a side.
    """
    coarse, fine = (
        tuple(slice(n * scale, (n + cells) * scale) for n in corner) for scale in (1, scenes.factor)
    )
    return replace(
        scenes,
        **{name: getattr(scenes, name)[:, *coarse] for name in ("column", "weight", "noisy")},
        truth=scenes.truth[:, *fine],
        covariates={
            name: values if values.ndim == 1 else values[..., fine[0], fine[1]]
            for name, values in scenes.covariates.items()
        },
    )


def mean(scenes: Scenes, chosen: np.ndarray, *, known: bool = False) -> Scene:
    """Return the mean over some overpasses, weighted by what each saw of a cell.

    Args:
        scenes: of a place.
        chosen: numbers of overpasses.
        known: take what is measured with noise alone.
    """
    values = (scenes.noisy if known else scenes.column)[chosen].astype("float64")
    weight = np.where(np.isfinite(values), scenes.weight[chosen], 0).astype("float64")
    values = np.where(weight > 0, values, 0)
    total, count = weight.sum(0), (weight > 0).sum(0)
    column = _divided((weight * values).sum(0), total)
    spread = _divided((weight * values**2).sum(0), total) - column**2
    sigma = np.sqrt(_divided(np.maximum(spread, 0), np.where(count > 1, count - 1, 0)))
    fine = weight.repeat(scenes.factor, 1).repeat(scenes.factor, 2)
    truth = scenes.truth[chosen]
    seen = (fine > 0) & np.isfinite(truth)
    kept = np.where(seen, fine, 0)
    true = _divided((kept * np.where(seen, truth, 0)).sum(0), kept.sum(0))
    shape = truth.shape[1:]
    covariates = {
        name: values if values.ndim == 2 else np.broadcast_to(_mean_of(values[chosen]), shape)
        for name, values in scenes.covariates.items()
    }
    column, sigma, true = (np.asarray(v, "float32") for v in (column, sigma, true))
    return Scene(column, sigma, true, covariates)


def _mean_of(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.mean(0), "float32")


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0))
