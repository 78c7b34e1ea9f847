"""Commands about data sets with labels."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli_options import Json, tell

datasets = typer.Typer(help="Data sets with labels.", no_args_is_help=True)
cloudsen12 = typer.Typer(
    help="CloudSEN12: Sentinel-2 patches with cloud labels.", no_args_is_help=True
)
datasets.add_typer(cloudsen12, name="cloudsen12")
columns = typer.Typer(help="Scenes of NO2 columns.", no_args_is_help=True)
datasets.add_typer(columns, name="columns")
Level = Annotated[str, typer.Option(help="Processing level, L1C or L2A.")]


@cloudsen12.command("download")
def cloudsen12_download(
    folder: Annotated[Path, typer.Argument(help="Where to; it may hold a part of it already.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many patches.")],
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; from all three if left out.")
    ] = None,
    label_type: Annotated[str, typer.Option(help="high, scribble or nolabel.")] = "high",
    level: Level = "L1C",
    size: Annotated[int, typer.Option(help="Pixels a side, 509 or 2000.")] = 509,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another choice.")] = 0,
    part: Annotated[
        list[str] | None, typer.Option(help="Part file of a mirror, URL; repeat it for all.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Fetch patches of CloudSEN12+; run again, it fetches what is missing."""
    from pipelines import datasets

    path = datasets.cloudsen12_download(
        folder,
        count=count,
        split=split,
        label_type=label_type,
        level=level,
        size=size,
        seed=seed,
        urls=part or (),
    )
    tell([path], json_file, {"manifest": json.loads(path.read_text("utf-8"))})


@cloudsen12.command("describe")
def cloudsen12_describe(
    folder: Annotated[Path, typer.Argument(help="Folder of TACO part files or of patches.")],
    level: Level = "L1C",
    json_file: Json = None,
) -> None:
    """Count patches by split, label, class and cover; name places that lie in several splits."""
    from pipelines import datasets

    told = datasets.cloudsen12_describe(folder, level=level)
    sys.stderr.write(datasets.table(told))
    tell([folder], json_file, {"cloudsen12": told})


@cloudsen12.command("split")
def cloudsen12_split(
    folder: Annotated[Path, typer.Argument(help="Folder of TACO part files or of patches.")],
    level: Level = "L1C",
    seed: Annotated[int, typer.Option(min=0, help="Of splits that the set does not tell.")] = 0,
    json_file: Json = None,
) -> None:
    """Write which split each place is in; places that have none are assigned one."""
    from pipelines import datasets

    told = datasets.cloudsen12_split(folder, level=level, seed=seed)
    sys.stderr.write(datasets.split_table(told))
    tell([Path(told["file"])], json_file, {"cloudsen12": told})


@cloudsen12.command("simulate")
def cloudsen12_simulate(
    folder: Annotated[Path, typer.Argument(help="Where to; it may hold a part of it already.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many patches.")],
    pixel_m: Annotated[
        list[int] | None, typer.Option(help="Pixels of 10, 20, 60 or 120 m; repeat to mix; 10.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another set.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    json_file: Json = None,
) -> None:
    """Simulate patches of both levels with true labels; run again, it draws what is missing."""
    from pipelines import cloud_chips

    sizes = pixel_m or [10]
    path = cloud_chips.simulate(folder, count=count, pixels_m=sizes, seed=seed, workers=workers)
    tell([path], json_file)


@columns.command("simulate")
def columns_simulate(
    folder: Annotated[Path, typer.Argument(help="Where to; it may hold a part of it already.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many places.")],
    cell_m: Annotated[
        list[int] | None, typer.Option(help="Sides of cells in metres; repeat it; 4000.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=60, help="Days of overpasses at a place.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another set.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    json_file: Json = None,
) -> None:
    """Simulate columns as TROPOMI measures them, with the truth on 1 km; a set may be continued."""
    from pipelines import column_scenes

    how: dict[str, Any] = {"days": days, "seed": seed, "workers": workers}
    path = column_scenes.simulate(folder, count=count, cells_m=cell_m or [4000], **how)
    tell([path], json_file)


@columns.command("coarsen")
def columns_coarsen(
    series: Annotated[Path, typer.Argument(help="netCDF file, one variable (time, lat, lon).")],
    folder: Annotated[Path, typer.Argument(help="Where to.")],
    factor: Annotated[int, typer.Option(min=2, max=8, help="How many times coarser.")] = 2,
    test: Annotated[float, typer.Option(min=0.1, max=0.8, help="Share of days, the last.")] = 0.35,
    json_file: Json = None,
) -> None:
    """Make a real series of columns coarser: its own cells are what is to be found again."""
    from pipelines import column_scenes

    tell([column_scenes.coarsen(series, folder, factor=factor, test=test)], json_file)
