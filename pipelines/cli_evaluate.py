"""Commands that judge detectors and networks on held-out images: `aqgeo evaluate`."""

# Libraries are imported inside the commands: `--help` must not wait for them.
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqgeo.errors import SourceError
from pipelines.cli_cover import Unet
from pipelines.cli_options import Data, HoldOut, Json, tell

if TYPE_CHECKING:
    from aqgeo.processing.contenders import Network
    from pipelines.labelled_sets import Set

evaluate = typer.Typer(
    help="Judge networks and their rivals on held-out images.", no_args_is_help=True
)


@evaluate.command("clouds")
def clouds(
    out: Annotated[Path, typer.Option(help="Folder for page, pictures and numbers.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of patches in CloudSEN12's layout, or STAC catalog of Sentinel-2 L2A "
            "products; repeat it."
        ),
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(
            help="What of a catalog is judged by detectors fitted on the rest: tile:33TWM or "
            "date:2023-08-10; repeat it; each tile in turn if left out."
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of GeoTIFFs with labels.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Folder of their labels; that of --images if left out.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands of --images in order, B02,B03,B04,B08.")
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Codes of the labels: clear, cloud, thick, thin, shadow, none.")
    ] = "0=clear,1=cloud",
    scale: Annotated[
        float | None,
        typer.Option(
            help="Reflectance of one digital number of --images; 0.0001 for whole numbers, 1 for "
            "floats."
        ),
    ] = None,
    offset: Annotated[float, typer.Option(help="Reflectance that is added to --images.")] = 0.0,
    level: Annotated[
        str | None,
        typer.Option(help="L1C or L2A; L2A for --images, all that --data has if left out."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of our network, FILE or HOLD-OUT=FILE such as tile:33TWM=FILE; repeat "
            "it; those that come with aqgeo if left out."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="aqgeo, SCL, s2cloudless, ukis-csmask, trees or threshold; repeat it; all."
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Judge so many images of each fold at most, evenly chosen; all."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the pixels that trees learn from.")] = 0,
    json_file: Json = None,
) -> None:
    """Compare our network, SCL, s2cloudless, ukis-csmask, trees and a threshold on held-out images.

    Detectors that are not installed or lack bands have a row that says so.
    """
    from aqgeo.datasets import labelled
    from pipelines import evaluate, evaluate_methods, labelled_sets

    if level not in (None, "L1C", "L2A"):
        raise typer.BadParameter(f"level {level!r} is none: write L1C or L2A")
    sets = [one for path in data or () for one in labelled_sets.of(path, hold_out or (), level)]
    if images is not None:
        if not bands:
            raise typer.BadParameter("--images needs --bands, as B02,B03,B04,B08")
        how: dict[str, Any] = {"bands": bands.split(","), "classes": _classes(classes)}
        how |= {"level": level or "L2A", "scale": scale, "offset": offset}
        pairs = labelled.of_pairs(images, labels or images, **how)
        sets.append(labelled_sets.of_pairs(images.resolve().name, pairs))
    if not sets:
        raise typer.BadParameter("nothing to judge: name a set by --data or --images")
    if count is not None:
        sets = [labelled_sets.fewer(one, count) for one in sets]
    chosen = tuple(method) if method else evaluate_methods.METHODS
    networks = _weights(weights or (), sets) if "aqgeo" in chosen else {}
    page = evaluate.evaluate_clouds(out, sets=sets, weights=networks, methods=chosen, seed=seed)
    content = json.loads((out / evaluate.CONTENT).read_text("utf-8"))
    sys.stderr.write(evaluate.text(content))
    tell([page], json_file, {"tables": content["tables"]})


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


@evaluate.command("superres")
def superres(
    sets: Annotated[list[Path], typer.Option("--set", help="Folder of pictures; repeat it.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Weights for superres, of any factor; repeat it; those that come with aqgeo if "
            "left out."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("work/evaluate-superres"),
    json_file: Json = None,
) -> None:
    """Compare networks with bicubic interpolation on pictures: PSNR, MSE, SSIM, GMSD, detail."""
    from aqgeo.products import scorecard
    from pipelines import evaluate_superres as stage
    from pipelines import finer

    tables = stage.evaluate_superres(out, sets=sets, weights=weights or finer.shipped())
    sys.stderr.write("\n".join("\n".join((*scorecard.lines(one), "")) for one in tables))
    tell([out / stage.PAGE], json_file, {"tables": [asdict(one) for one in tables]})


@evaluate.command("columns")
def columns(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of scenes; repeat it.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Weights for columns; repeat it; those that come with aqgeo if left out."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("work/evaluate-columns"),
    json_file: Json = None,
) -> None:
    """Compare networks with interpolation on held-out scenes of NO2 columns."""
    from aqgeo.products import scorecard
    from pipelines import evaluate_columns as stage

    tables = stage.evaluate_columns(out, data=data, weights=weights or ())
    sys.stderr.write("\n".join("\n".join((*scorecard.lines(one), "")) for one in tables))
    tell([out / stage.PAGE], json_file, {"tables": [asdict(one) for one in tables]})


def _classes(text: str) -> dict[int, str]:
    """Return class names by code from `0=clear,1=cloud`."""
    found: dict[int, str] = {}
    for part in text.split(","):
        told = re.fullmatch(r"\s*(\d{1,3})\s*=\s*(\w+)\s*", part)
        if told is None or int(told[1]) > 255:
            raise SourceError(f"classes {text!r}: write codes of 0 to 255, as 0=clear,1=cloud")
        if int(told[1]) in found:
            raise SourceError(f"classes {text!r}: code {told[1]} is named twice")
        found[int(told[1])] = told[2]
    return found


def _weights(told: "list[str] | tuple[str, ...]", sets: "list[Set]") -> "dict[str, Network]":
    """Return networks by hold-out or level; those of the package for levels without any."""
    from aqgeo.processing import contenders
    from pipelines import evaluate_methods

    folds = {fold.name for one in sets for fold in one.folds}
    found: dict[str, Network] = {}
    for text in told:
        named = re.fullmatch(r"((?:tile|date):[^=]+)=(.+)", text)
        network = contenders.network(Path(named[2] if named else text))
        key = named[1] if named else network.card.level
        if named and key not in folds:
            raise SourceError(f"weights {text!r}: nothing is held out as {key}: give --hold-out")
        if key in found:
            raise SourceError(f"weights {text!r}: {key} has weights already, name each once")
        found[key] = network
    for level in sorted({one.level for one in sets}):
        # Weights that were named stand alone: others must not judge in their place unseen.
        own = None if told else evaluate_methods.shipped(level)
        if own is not None:
            found[level] = own
    return found
