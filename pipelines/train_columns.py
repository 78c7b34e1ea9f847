"""Training of super-resolution on NO2 columns from recipes: scenes in, a run folder out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from aqgeo.catalog import Recipe
from aqgeo.datasets import column_scenes, disk
from aqgeo.datasets.column_scenes import Scenes
from aqgeo.errors import ModelError, SourceError
from pipelines.train import SCORES, WEIGHTS, check_task, checked
from pipelines.workspace import lock

_PLACES = {True: "simulated by this project", False: "contains modified Copernicus Sentinel data"}


def train_columns(
    folder: Path,
    recipe: Recipe,
    *,
    data: Sequence[Path],
    start: Path | None = None,
    run: dict[str, Any] | None = None,
) -> Path:
    """Train a network that makes columns finer, and return its weights; a stopped run goes on.

    At the end it is judged, beside bicubic and conservative interpolation, on scenes of the split
    `test`; the scores in the file decide whether maps use it.

    Args:
        folder: of the run: config.json, metrics.json, curves.png, weights.safetensors, scores.json.
        recipe: what is trained, and how.
        data: folders of column scenes.
        start: weights of the same recipe to begin with.
        run: settings of the run that differ from the recipe's.

    Raises:
        SourceError: a split has no scenes of the recipe's factor, or a covariate is missing.
        CatalogError: the recipe breaks its rules.
        ModelError: the weights to begin with are of another network.
    """
    import torch

    from aqgeo.models import checkpoint, column_srcnn
    from aqgeo.training import columns, fit

    check_task(recipe, "columns")
    how = checked(fit.Settings, {**recipe.run, **(run or {})}, recipe)
    patches = checked(columns.Settings, recipe.patches, recipe)
    factor = int(recipe.network.get("factor", 0))
    parts = _parts(data, factor)
    told = checked(
        column_srcnn.ColumnSRCNNArguments,
        {
            **recipe.network,
            "covariates": _statistics(recipe, parts["train"]),
            "kernel": patches.kernel,
        },
        recipe,
    )
    torch.manual_seed(how.seed)
    network = checkpoint.MODELS["column-srcnn"](told)
    if start is not None:
        _begin(network, start)
    with lock(folder.absolute()):
        batches = columns.loaders(
            parts["train"], parts["validation"], network, patches, seed=how.seed
        )
        task = columns.Downscaling(network, patches)
        best = fit.fit(task, *batches, folder, how, watch=columns.WATCH)
        scale = columns.calibrate(task, parts["validation"])
        count = {name: len({one.place for one in part}) for name, part in parts.items()}
        about: dict[str, Any] = {
            "architecture": "column-srcnn",
            "arguments": TypeAdapter(type(told)).dump_python(told),
            "task": recipe.task,
            "level": recipe.level,
            "units": column_scenes.UNIT,
            "simulated": any(one.simulated for one in parts["train"]),
            "data": tuple(f"{one.resolve().name}: {_PLACES[_is_simulated(one)]}" for one in data),
            "split": ", ".join(f"{number} {name}" for name, number in count.items()),
            "scores": {"validation": best, "temperature": scale},
            "training": {
                "recipe": recipe.name,
                "patches": asdict(patches),
                "run": asdict(how),
                "start": None if start is None else checkpoint.read_card(start).training,
            },
        }
        # Judged as maps are made: from a file, through the engine.
        checkpoint.write(folder / WEIGHTS, network, checkpoint.Card(**about))
        held_out = _judged(folder / WEIGHTS, parts["test"], [one.name for one in told.covariates])
        about["scores"] = {**about["scores"], "held_out": held_out}
        checkpoint.write(folder / WEIGHTS, network, checkpoint.Card(**about))
        disk.save(folder / SCORES, disk.as_json(about["scores"]))
    return folder / WEIGHTS


def _begin(network: Any, start: Path) -> None:
    """Copy other weights of the same network; sigma is calibrated anew."""
    from aqgeo.models import checkpoint

    other, _ = checkpoint.read(start, task="columns")
    if other.told != network.told:
        raise ModelError(f"{start} is of another network: choose weights of the same recipe")
    network.load_state_dict(other.state_dict())
    network.temperature.fill_(1.0)


def _parts(data: Sequence[Path], factor: int) -> dict[str, list[Scenes]]:
    found = [column_scenes.read(path) for one in data for path in column_scenes.find(one)]
    own = [one for one in found if one.factor == factor]
    parts = {name: [s for s in own if s.split == name] for name in ("train", "validation", "test")}
    if lost := [name for name, part in parts.items() if not part]:
        raise SourceError(
            f"{', '.join(map(str, data))} hold no scenes {factor} times finer for "
            f"{', '.join(lost)}: make some with `aqgeo datasets columns`"
        )
    return parts


def _is_simulated(folder: Path) -> bool:
    return column_scenes.read(column_scenes.find(folder)[0]).simulated


def _statistics(recipe: Recipe, learn: Sequence[Scenes]) -> list[dict[str, Any]]:
    """Return the recipe's covariates with mean and spread of what is to be learnt from."""
    found = []
    for one in recipe.network.get("covariates", ()):
        values = [s.covariates[one["name"]] for s in learn if one["name"] in s.covariates]
        if not values:
            raise SourceError(
                f"no scene has the covariate {one['name']!r}: leave it out of the recipe, or add "
                "scenes that have it"
            )
        every = np.concatenate([v[np.isfinite(v)] for v in values]).astype("float64")
        every = np.log1p(np.maximum(every, 0)) if one.get("log") else every
        spread = float(every.std()) or 1.0
        found.append({**one, "mean": round(float(every.mean()), 9), "std": round(spread, 9)})
    return found


def _judged(weights: Path, scenes: Sequence[Scenes], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return errors on held-out scenes with all covariates, with parts of them, and with none."""
    from pipelines import column_contest as contest

    parts = {"sources": ("prior_column", "roads", "population"), "images": ("ndvi", "ndbi")}
    sets = {
        "all": [*names],
        **{part: [name for name in own if name in names] for part, own in parts.items()},
        "none": [],
    }
    found = contest.run({contest.NETWORK: weights}, scenes, sets)
    return [
        {
            "covariates": chosen,
            "rmse": {
                "network": round(found[f"{contest.NETWORK}, {name}"].rmse, 4),
                "bicubic": round(found[contest.BICUBIC].rmse, 4),
                "conservative": round(found[contest.CONSERVATIVE].rmse, 4),
            },
        }
        for name, chosen in _distinct(sets).items()
    ]


def _distinct(sets: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return sets of covariates, each once."""
    kept: dict[str, list[str]] = {}
    for name, chosen in sets.items():
        if chosen not in kept.values():
            kept[name] = chosen
    return kept
