"""Options that commands share, and how a command tells what it wrote."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def _file_place(path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before any work is done."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder: make it first")
    return path


Region = Annotated[str, typer.Argument(help="Region of catalogs/regions.geojson.")]
Period = Annotated[
    str,
    typer.Option("--period", "-p", help="2024, 2024-06, 2024-06-15 or START/END (END excluded)."),
]
Out = Annotated[Path, typer.Option(help="Output folder.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        help="Source of catalogs/sources.toml; repeat it, the first that serves a collection wins.",
    ),
]
Archive = Annotated[
    Path | None,
    typer.Option(help="Static STAC catalog, or folder of Sentinel-5P granules, to read instead."),
]
CacheGib = Annotated[
    float, typer.Option(min=0, help="Size that the cache of fetched files may reach, GiB.")
]
MixedVersions = Annotated[
    bool,
    typer.Option("--mixed-versions", help="Take Sentinel-5P processor versions that do not match."),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Running Dask scheduler, tcp://...; local workers if left out.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Local Dask workers; one for each core if left out.")
]
Memory = Annotated[str, typer.Option(help="Cap on the memory of all local workers together.")]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the summary to FILE as JSON.",
        dir_okay=False,
        callback=_file_place,
    ),
]
MinQa = Annotated[
    float,
    typer.Option(min=0, max=1, help="Bound that Sentinel-5P qa_value must exceed, 0 to 1."),
]
Data = Annotated[
    list[Path],
    typer.Option(
        "--data",
        help="Folder in CloudSEN12's layout, or static STAC catalog of Sentinel-2 L2A; repeat it.",
    ),
]
HoldOut = Annotated[
    list[str] | None,
    typer.Option(
        "--hold-out", help="tile:33TWM or date:2023-08-10, kept from training; repeat it."
    ),
]
Clouds = Annotated[
    str, typer.Option(help="How clouds are found: unet, scl (Sen2Cor's classes) or s2cloudless.")
]
CloudDilation = Annotated[
    float, typer.Option("--cloud-dilation-m", help="Grow clouds and shadows by so many metres.")
]
Refine = Annotated[
    str, typer.Option("--refine", help="How the column is made finer: network or interpolation.")
]
Covariates = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Folder of GeoTIFFs that a finer column follows: roads.tif, population.tif, ...; that "
        "beside the archive if left out.",
    ),
]
WORK = Path("work")
MEMORY = "3GiB"
CACHE_GIB = 50.0


def tell(paths: list[Path], json_file: Path | None, more: dict[str, Any] | None = None) -> None:
    """Print paths, one a line; write them with the summary as JSON if asked."""
    shown = [os.path.relpath(path) for path in paths]
    if json_file is not None:
        from pipelines.workspace import PROVENANCE

        # A file lies in its result's folder, the catalog of a simulated archive one below.
        around = [folder for path in paths for folder in (path, *path.parents[:2])]
        beside = {str(folder) for folder in around if (folder / PROVENANCE).is_file()}
        provenance = {
            os.path.relpath(folder): json.loads((Path(folder) / PROVENANCE).read_text("utf-8"))
            for folder in sorted(beside)
        }
        content = {"paths": shown, "provenance": provenance, **(more or {})}
        json_file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write("".join(f"{line}\n" for line in shown))
