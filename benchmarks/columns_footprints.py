"""NO2 columns on 1 km from cells and straight from satellite pixels, single simulated overpasses.

    python -m benchmarks.columns_footprints --weights W.safetensors [--places 10] [--json FILE]

Places are those of the split `test` of `aqgeo datasets columns simulate`, seed 0.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from aqgeo.datasets import column_scenes
from aqgeo.gridding import binning
from aqgeo.models import plumes
from aqgeo.processing import superres, superres_footprints
from aqgeo.simulation import column_chips, zoom
from pipelines import column_contest as contest
from pipelines import column_scenes as sets
from pipelines.covariates import PRIOR

_CELL_M = 4000


def main() -> None:
    """Judge each way on the same fine pixels, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--places", type=int, default=10)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    errors: dict[str, list[np.ndarray]] = {}
    worst = 0.0
    for place in range(told.places):
        chip = column_chips.draw(0, 10 * place + 9, days=told.days)
        scenes = sets.on_cells(chip, _CELL_M, "benchmark", "test")
        for number, one in enumerate(chip.passes):
            made, misfit = _fields(chip, scenes, number, told.weights)
            worst = max(worst, misfit)
            kept = np.all([np.isfinite(field) for field in made.values()], axis=0)
            for name, field in made.items():
                errors.setdefault(name, []).append((field - one.truth)[kept] * 1e6)
        sys.stderr.write(f"place {place + 1} of {told.places}\n")
    rmse = {k: float(np.sqrt(np.mean(np.concatenate(v) ** 2))) for k, v in errors.items()}
    for name, value in rmse.items():
        gain = 100 * (1 - value / rmse["cells, bicubic"])
        sys.stdout.write(f"{name:36}{value:8.2f} umol m-2{gain:8.1f} % below bicubic\n")
    sys.stdout.write(f"largest relative misfit of a satellite pixel: {worst:.1e}\n")
    if told.json:
        told.json.write_text(json.dumps({"rmse_umol_m2": rmse, "misfit": worst}, indent=2))


def _fields(
    chip: column_chips.Chip, scenes: column_scenes.Scenes, number: int, weights: Path
) -> tuple[dict[str, np.ndarray], float]:
    """Return fields by way, mol m-2, and the largest relative misfit of a satellite pixel."""
    one = chip.passes[number]
    scene = column_scenes.mean(scenes, np.array([number]), known=True)
    good = (one.qa > 75) & np.isfinite(one.noisy)
    pixels = superres_footprints.place(one.noisy[good], one.lon[good], one.lat[good], chip.grid)
    if not len(pixels.values):
        return {}, 0.0
    known = {name: chip.covariates[name] for name in chip.covariates}
    known = {name: v for name, v in known.items() if name not in ("point_sources", "fire_power")}
    known |= {
        PRIOR: plumes.column(chip.covariates, one.wind, column_chips.FINE_M),
        "wind_u": np.full(chip.grid.shape.yx, one.wind[0], "float32"),
        "wind_v": np.full(chip.grid.shape.yx, one.wind[1], "float32"),
    }
    own, _ = superres_footprints.estimate(pixels, known, weights)
    mean = pixels.means @ np.nan_to_num(own.ravel())
    misfit = float(np.max(np.abs(mean - pixels.values) / np.maximum(np.abs(pixels.values), 1e-9)))
    guess = np.where(pixels.seen.reshape(pixels.shape), known[PRIOR], np.nan)
    fields = {
        "cells, bicubic": superres.bicubic(scene.column, 4),
        "cells, conservative": superres.refine(scene.column, 4),
        "cells, network": contest.estimate(scene, known, weights)[0],
        "pixels, averaged by area": _averaged(chip, number, good),
        "pixels, interpolated": superres_footprints.interpolate(pixels),
        "pixels, known sources": superres_footprints.conserve(guess, pixels),
        "pixels, network": own,
    }
    return fields, misfit


def _averaged(chip: column_chips.Chip, number: int, good: np.ndarray) -> np.ndarray:
    one = chip.passes[number]
    where = zoom.coarsen(chip.grid, 1)
    return binning.average(
        one.noisy[good].astype("float64"), one.lon[good], one.lat[good], where
    ).mean()


if __name__ == "__main__":
    main()
