"""Command that makes pictures and rasters finer: `aqgeo upscale`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Json, tell


def upscale(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or GeoTIFF files.")],
    weights: Annotated[Path, typer.Option(help="Weights for superres; they say how much finer.")],
    out: Annotated[Path, typer.Option(help="Folder of the finer images.")] = Path("upscaled"),
    json_file: Json = None,
) -> None:
    """Make pictures and rasters finer by a network."""
    from pipelines import upscale as stage

    tell(stage.upscale(images, out, weights), json_file)
