"""Command that masks clouds in single images."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from pipelines.cli_options import Json, Workers, tell

_LEVELS, _DEVICES, _PRECISIONS = ("L1C", "L2A"), ("auto", "cpu", "cuda"), ("float32", "bf16")


def mask(
    images: Annotated[
        list[Path], typer.Argument(help="GeoTIFF files of any size, each with all bands.")
    ],
    bands: Annotated[
        str, typer.Option(help="Names of the files' bands in order, such as B02,B03,B04,B08.")
    ],
    level: Annotated[str, typer.Option(help="Processing level of the images, L1C or L2A.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks.")] = Path("masks"),
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint; the shipped one for the level if left out.")
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Reflectance = value x scale + offset; 1e-4 for integers, else 1."),
    ] = None,
    offset: Annotated[
        float, typer.Option(help="Reflectance of the value 0; -0.1 since baseline 04.00.")
    ] = 0.0,
    dilate_m: Annotated[
        float, typer.Option(min=0, help="Metres by which clouds and shadow grow.")
    ] = 0.0,
    workers: Workers = None,
    memory: Annotated[str, typer.Option(help="Memory that the process may take.")] = "2GiB",
    precision: Annotated[
        str, typer.Option(help="float32, or bf16: faster with AVX512_BF16, AMX or a GPU.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_file: Json = None,
) -> None:
    """Mask clouds and their shadows in GeoTIFF files: classes and confidence as COG."""
    _choose("--level", level, _LEVELS)
    _choose("--device", device, _DEVICES)
    _choose("--precision", precision, _PRECISIONS)
    from aqgeo.processing.predict import Settings
    from pipelines import mask as stage
    from pipelines.workspace import Workspace

    settings: dict[str, Any] = {"device": device, "precision": precision, "patch": stage.PATCH}
    how = stage.Masking(
        tuple(band.strip() for band in bands.split(",")),
        cast(Literal["L1C", "L2A"], level),
        weights=weights,
        scale=scale,
        offset=offset,
        dilate_m=dilate_m,
        workers=workers or os.cpu_count() or 1,
        memory=memory,
        settings=Settings(**settings),
    )
    paths = stage.mask(images, out, how, Workspace(out.absolute()))
    told = [json.loads(p.read_text("utf-8")) for p in paths if p.suffix == ".json"]
    tell(paths, json_file, {"masks": told})


def _choose(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise typer.BadParameter(f"{option} {value!r}: choose one of {', '.join(allowed)}")
