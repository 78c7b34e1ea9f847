"""What each idea in super-resolution of NO2 columns is worth: the same short training without it.

    python -m benchmarks.columns_ablation --data scenes/ [--epochs 8] [--json FILE]

Scenes come from `aqgeo datasets columns simulate scenes/ --count 100`; about 5 minutes a variant on
one core.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aqgeo import catalog
from aqgeo.datasets import column_scenes
from aqgeo.models import checkpoint
from aqgeo.training import columns
from pipelines import column_contest as contest
from pipelines import train_columns
from pipelines.workspace import CHECKOUT

# What differs from the recipe `columns`: patches, or covariates that stay.
VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "box kernel": {"patches": {"kernel": "box"}},
    "no conservation": {"patches": {"conserve": False}},
    "no prior column": {"without": {"prior_column"}},
    "no covariates": {"without": None},
}


def main() -> None:
    """Train and judge each variant, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    rows = {name: _judged(told.data, told.epochs, **how) for name, how in VARIANTS.items()}
    names = list(next(iter(rows.values())))
    sys.stdout.write(f"{'variant':18}" + "".join(f"{name:>16}" for name in names) + "\n")
    for variant, values in rows.items():
        sys.stdout.write(f"{variant:18}" + "".join(f"{values[n]:16.4g}" for n in names) + "\n")
    if told.json:
        told.json.write_text(json.dumps({"epochs": told.epochs, "variants": rows}, indent=2))


def _judged(
    data: Path, epochs: int, *, patches: dict[str, Any] | None = None, without: Any = ()
) -> dict[str, float]:
    """Train a variant and judge it on means of the days of held-out places, noise alone."""
    recipe = catalog.recipes(CHECKOUT / "catalogs")["columns"]
    known = [
        one
        for one in recipe.network["covariates"]
        if without is not None and one["name"] not in without
    ]
    network = {**recipe.network, "covariates": known}
    recipe = replace(recipe, network=network, patches={**recipe.patches, **(patches or {})})
    with tempfile.TemporaryDirectory() as folder:
        path = train_columns.train_columns(
            Path(folder), recipe, data=[data], run={"epochs": epochs}
        )
        net, card = checkpoint.read(path)
    task = columns.Downscaling(net, columns.Settings(**card.training["patches"]))
    tally = contest.Tally()
    for path in column_scenes.find(data):
        scenes = column_scenes.read(path)
        if scenes.split == "test" and scenes.factor == net.factor:
            for scene in columns.judged(scenes, known=True):
                given, cells = (torch.from_numpy(v)[None] for v in columns.arrays(scene, net))
                with torch.inference_mode():
                    found, sigma = (
                        v[0].double().numpy() / 1e6 for v in task.estimate(given, cells)
                    )
                tally.add(scene, found, sigma)
    return tally.told()


if __name__ == "__main__":
    main()
