"""Command that makes pictures and rasters finer: `aqgeo upscale`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Json, tell


def upscale(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or GeoTIFF files.")],
    factor: Annotated[
        int | None,
        typer.Option(help="How many times finer: 2 or 3 by our SRCNN, 4 by our SRResNet."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for superres; they say how much finer.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the finer images.")] = Path("upscaled"),
    json_file: Json = None,
) -> None:
    """Make pictures and rasters finer by a network."""
    from pipelines import finer
    from pipelines import upscale as stage

    tell(stage.upscale(images, out, finer.choose(factor, weights)), json_file)
