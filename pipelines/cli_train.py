"""Commands that make training data and train networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli_options import Data, HoldOut, Json, tell

if TYPE_CHECKING:
    from aqgeo.catalog import Recipe

Epochs = Annotated[int | None, typer.Option(min=1, help="Epochs; the recipe's if left out.")]
Devices = Annotated[int, typer.Option(min=1, help="Graphics cards, or CPU processes.")]
Precision = Annotated[
    str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed; the recipe's if left out.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of weights and patches.")]
Name = Annotated[str, typer.Option("--recipe", help="Recipe of catalogs/recipes.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]

train = typer.Typer(help="Train networks from recipes.", no_args_is_help=True)


@train.command("clouds")
def clouds(
    data: Data,
    recipe: Name = "clouds-l2a",
    out: Out = Path("runs/clouds"),
    hold_out: HoldOut = None,
    start: Annotated[Path | None, typer.Option(help="Weights to begin with.")] = None,
    epochs: Epochs = None,
    devices: Devices = 1,
    precision: Precision = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images.")] = 1,
    json_file: Json = None,
) -> None:
    """Train a cloud network; run again, a run that was stopped goes on."""
    from pipelines import train as stage

    path = stage.train_clouds(
        out,
        _recipe(recipe),
        data=data,
        hold_out=hold_out or (),
        start=start,
        run=_run(epochs, devices, precision, seed),
        workers=workers,
    )
    tell([path], json_file, {"scores": stage.scores(path)})


@train.command("superres")
def superres(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of pictures; repeat it.")],
    recipe: Name = "srcnn-915-x3",
    out: Out = Path("runs/superres"),
    start: Annotated[Path | None, typer.Option(help="Weights to begin with.")] = None,
    vgg: Annotated[
        Path | None, typer.Option(help="VGG19 with torchvision's names, for srgan; else edges.")
    ] = None,
    epochs: Epochs = None,
    devices: Devices = 1,
    precision: Precision = None,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Train super-resolution on pictures; run again, a run that was stopped goes on."""
    from pipelines import train as stage
    from pipelines import train_superres

    run = _run(epochs, devices, precision, seed)
    path = train_superres.train_superres(
        out, _recipe(recipe), data=data, start=start, vgg=vgg, run=run
    )
    tell([path], json_file, {"scores": stage.scores(path)})


@train.command("columns")
def columns(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of scenes; repeat it.")],
    recipe: Name = "columns",
    out: Out = Path("runs/columns"),
    start: Annotated[Path | None, typer.Option(help="Weights to begin with.")] = None,
    epochs: Epochs = None,
    devices: Devices = 1,
    precision: Precision = "32-true",
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Train super-resolution on NO2 columns; run again, a run that was stopped goes on."""
    from pipelines import train as stage
    from pipelines import train_columns

    run = _run(epochs, devices, precision, seed)
    path = train_columns.train_columns(out, _recipe(recipe), data=data, start=start, run=run)
    tell([path], json_file, {"scores": stage.scores(path)})


def _recipe(name: str) -> "Recipe":
    from aqgeo import catalog
    from pipelines.workspace import CHECKOUT

    return catalog.pick(catalog.recipes(CHECKOUT / "catalogs"), name, "recipe")


def _run(epochs: int | None, devices: int, precision: str | None, seed: int) -> dict[str, Any]:
    """Return what a run does otherwise than its recipe says."""
    told = {"epochs": epochs, "precision": precision}
    told = {name: value for name, value in told.items() if value is not None}
    return {**told, "devices": devices, "seed": seed}
