"""Commands that make training data and train networks."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli_options import Data, HoldOut, Json, tell

train = typer.Typer(help="Train networks from recipes.", no_args_is_help=True)


@train.command("clouds")
def clouds(
    data: Data,
    recipe: Annotated[str, typer.Option(help="Recipe of catalogs/recipes.")] = "clouds-l2a",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/clouds"),
    hold_out: HoldOut = None,
    start: Annotated[Path | None, typer.Option(help="Weights to begin with.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; the recipe's.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Graphics cards, or CPU processes.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and patches.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images.")] = 1,
    json_file: Json = None,
) -> None:
    """Train a cloud network; run again, a run that was stopped goes on."""
    from aqgeo import catalog
    from pipelines import train as stage
    from pipelines.workspace import CHECKOUT

    chosen = catalog.pick(catalog.recipes(CHECKOUT / "catalogs"), recipe, "recipe")
    run: dict[str, Any] = {"devices": devices, "precision": precision, "seed": seed}
    if epochs is not None:
        run["epochs"] = epochs
    path = stage.train_clouds(
        out, chosen, data=data, hold_out=hold_out or (), start=start, run=run, workers=workers
    )
    tell([path], json_file, {"scores": stage.scores(path)})


@train.command("superres")
def superres(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of pictures; repeat it.")],
    recipe: Annotated[str, typer.Option(help="Recipe of catalogs/recipes.")] = "srcnn-915-x3",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/superres"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; the recipe's.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Graphics cards, or CPU processes.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and patches.")] = 0,
    json_file: Json = None,
) -> None:
    """Train super-resolution on pictures; run again, a run that was stopped goes on."""
    from aqgeo import catalog
    from pipelines import train as stage
    from pipelines import train_superres
    from pipelines.workspace import CHECKOUT

    chosen = catalog.pick(catalog.recipes(CHECKOUT / "catalogs"), recipe, "recipe")
    run: dict[str, Any] = {"devices": devices, "precision": precision, "seed": seed}
    if epochs is not None:
        run["epochs"] = epochs
    path = train_superres.train_superres(out, chosen, data=data, run=run)
    tell([path], json_file, {"scores": stage.scores(path)})
