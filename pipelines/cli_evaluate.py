"""Commands that judge networks on held-out images."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_cover import Data, HoldOut, Unet
from pipelines.cli_options import Json, tell

evaluate = typer.Typer(help="Judge networks on held-out images.", no_args_is_help=True)


@evaluate.command("cover")
def evaluate_cover(
    weights: Annotated[Path, typer.Option(help="Weights of a cover network.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("work/evaluate-cover"),
    hold_out: HoldOut = None,
    unet: Unet = None,
    json_file: Json = None,
) -> None:
    """Compare a cover network with counting and simple rules: numbers, curves, one page."""
    from pipelines import evaluate_cover as stage

    path = stage.evaluate_cover(weights, data, out, hold_out=hold_out or (), unet=unet)
    sys.stderr.write(stage.table(stage.scores(path)))
    names = [stage.PAGE, stage.SCORES, *stage.FIGURES]
    tell([path / name for name in names], json_file, {"evaluation": stage.scores(path)})
