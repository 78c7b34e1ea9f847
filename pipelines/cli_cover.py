"""Commands about cover classes: how much of an image lies under cloud."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Data, HoldOut, Json, tell

tune = typer.Typer(help="Search for a network's settings.", no_args_is_help=True)
Unet = Annotated[
    Path | None, typer.Option(help="Weights of the U-Net that counts; those that aqgeo brings.")
]
_BANDS = "B02,B03,B04,B08"


@tune.command("cover")
def tune_cover(
    study: Annotated[Path, typer.Option(help="SQLite file; one that is there goes on.")],
    data: Data,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all.")] = 30,
    network: Annotated[
        list[str] | None,
        typer.Option(help="resnet50, mobilenet, vgg16 or inception_v3; repeat it; mobilenet."),
    ] = None,
    bands: Annotated[str, typer.Option(help="Bands that the network sees.")] = _BANDS,
    level: Annotated[str, typer.Option(help="L1C or L2A.")] = "L2A",
    size: Annotated[int, typer.Option(min=32, max=512, help="Pixels a side of a sample.")] = 128,
    cut: Annotated[
        int, typer.Option(min=32, help="Pixels a side of the squares that products are cut into.")
    ] = 128,
    trial_epochs: Annotated[int, typer.Option(min=1, help="Epochs of a trial at most.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the last training.")] = 30,
    batch: Annotated[int, typer.Option(min=2, help="Samples of a step.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Seed of trials and weights.")] = 0,
    hold_out: HoldOut = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(help="tile:NAME or date:DAY that chooses settings and epoch; repeat it."),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="ImageNet weights: a safetensors file of timm, a folder of them, or hub to fetch "
            "them; none if left out."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of results; beside the study if left out.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Search for the settings of a cover network; run again, a study that was stopped goes on."""
    from pipelines import tune as stage
    from pipelines.cover_network import Asked

    asked = Asked(
        networks=tuple(network or ("mobilenet",)),
        bands=tuple(bands.split(",")),
        level=level,
        size=size,
        cut=cut,
        trials=trials,
        trial_epochs=trial_epochs,
        epochs=epochs,
        batch=batch,
        seed=seed,
    )
    path = stage.tune_cover(
        study,
        data,
        asked,
        hold_out=hold_out or (),
        validation=validation or (),
        pretrained=pretrained,
        out=out,
    )
    names = [stage.WEIGHTS, stage.SUMMARY, *stage.FIGURES]
    tell([path / name for name in names], json_file, {"study": stage.summary(path)})


def classify_cover(
    image: Annotated[list[Path], typer.Argument(help="GeoTIFF.")],
    bands: Annotated[
        str | None, typer.Option(help="Names of its bands, B02,B03,...; as the file describes.")
    ] = None,
    level: Annotated[str, typer.Option(help="L1C or L2A.")] = "L2A",
    scale: Annotated[float, typer.Option(help="Reflectance of one digital number.")] = 1e-4,
    offset: Annotated[
        float, typer.Option(help="Reflectance of digital number 0; -0.1 from baseline 04.00 on.")
    ] = 0.0,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a cover network, asked instead of counting.")
    ] = None,
    unet: Unet = None,
    json_file: Json = None,
) -> None:
    """Tell how much of images lies under cloud, its class, and by which method."""
    from pipelines import classify_cover as stage

    form = stage.Form(tuple(bands.split(",")) if bands else (), level, scale, offset)
    rows = stage.classify_cover(image, form, weights=weights, unet=unet)
    sys.stderr.write(stage.table(rows))
    tell(image, json_file, {"cover": rows})
