"""Command line of aqgeo: stdout carries the paths written, stderr the log and progress bars."""

# Stages are imported inside the commands: `--help` must not wait for their libraries.
import errno
import importlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqgeo import __version__
from aqgeo.errors import AqgeoError
from pipelines import cli_cover, cli_datasets, cli_evaluate, cli_mask, cli_train, cli_upscale
from pipelines.cli_options import (
    CACHE_GIB,
    MEMORY,
    WORK,
    Archive,
    CacheGib,
    CloudDilation,
    Clouds,
    Covariates,
    Json,
    Memory,
    MinQa,
    MixedVersions,
    Out,
    Period,
    Refine,
    Region,
    Scheduler,
    Sources,
    Workers,
    tell,
)

if TYPE_CHECKING:
    from pipelines.cluster import Cluster
    from pipelines.workspace import Workspace

app = typer.Typer(
    help="Satellite archives to air-quality maps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Typer does not export the parent of its usage errors.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_USERS_OWN = {
    errno.ENOSPC: "free some space or choose another --out",
    errno.EDQUOT: "free some space or choose another --out",
    errno.EROFS: "choose another --out",
    errno.EACCES: "choose another --out or ask for the right to write",
    errno.EPERM: "choose another --out or ask for the right to write",
    errno.ENOTDIR: "choose a folder for --out",
    errno.EEXIST: "choose a folder for --out",
}


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"aqgeo {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.BadParameter("no verb is given")
    form = "%(asctime)s %(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, datefmt="%H:%M:%S")
    for room in ("aqgeo", "pipelines"):
        logging.getLogger(room).setLevel(logging.ERROR if quiet else logging.INFO)


@app.command()
def simulate(
    region: Region,
    period: Period,
    out: Out = WORK,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the world; 0.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Kind of world: city, coast, plain, winter or fires; city.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="Only so many days from the period's start; all.")
    ] = None,
    size_km: Annotated[
        float | None,
        typer.Option(help="Side of a square about the region's centre; the region's extent."),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Finest Sentinel-2 pixels in metres, 10 or 20; 20.")
    ] = None,
    clouds: Annotated[
        float | None, typer.Option(help="Mean share of the sky under cloud, 0 to 1; 0.45.")
    ] = None,
    scenes: Annotated[
        int | None, typer.Option(help="Dates of Sentinel-2; one a week, at least three.")
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(help="Sentinel-2 product, l1c or l2a; repeat it for both; l2a."),
    ] = None,
    granules: Annotated[
        str | None,
        typer.Option(
            help="Sentinel-5P files: piece of an orbit, subset without corners, or whole orbit; "
            "piece."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many draw scenes side by side.")] = 2,
    json_file: Json = None,
) -> None:
    """Simulate a region's archive with known truth.

    An option left out is that of the archive which lies there already, or else the value named
    last in its help.
    """
    from pipelines import simulate

    path = simulate.simulate(
        _workspace(out),
        region,
        period,
        workers=workers,
        seed=seed,
        preset=preset,
        days=days,
        size_km=size_km,
        resolution_m=resolution,
        clouds=clouds,
        scenes=scenes,
        levels=tuple(level) if level else None,
        granules=granules,
    )
    tell([path], json_file)


@app.command()
def simulate_orbits(
    period: Annotated[str, typer.Option("--period", "-p", help="One day, 2024-06-15.")],
    out: Out = WORK,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the globe.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes, 1.7 GB each.")] = 2,
    json_file: Json = None,
) -> None:
    """Simulate a day of Sentinel-5P orbits over the whole globe, without truth or stations."""
    from pipelines import simulate

    path = simulate.simulate_orbits(_workspace(out), period, seed=seed, workers=workers)
    tell([path], json_file)


@app.command()
def ingest(
    region: Region,
    period: Period,
    collection: Annotated[
        str,
        typer.Option(help="stations-no2, sentinel-5p-l2-no2, sentinel-2-l2a or sentinel-2-l1c."),
    ],
    source: Sources = None,
    archive: Archive = None,
    min_qa: MinQa = 0.75,
    mixed_versions: MixedVersions = False,
    cache_gib: CacheGib = CACHE_GIB,
    out: Out = WORK,
    scheduler: Scheduler = None,
    workers: Workers = None,
    memory: Memory = MEMORY,
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="Further Sentinel-5P variable to average with the same weights, such as "
            "averaging_kernel_troposphere or surface_pressure; repeat for several."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be fetched, and its price.")
    ] = False,
    json_file: Json = None,
) -> None:
    """Bring one collection's items onto the region's grid."""
    from pipelines import ingest, preview

    work = _workspace(out, cache_gib)
    how: dict[str, Any] = {"collection": collection, "sources": source or (), "archive": archive}
    how |= {"min_qa": min_qa, "mixed_versions": mixed_versions}
    if dry_run:
        told = preview.preview(work, region, period, **how)
        sys.stderr.write(preview.table(told))
        tell([], json_file, {"preview": told})
        return
    with _cluster(scheduler, workers, memory) as cluster:
        path = ingest.ingest(work, region, period, **how, fields=field or (), cluster=cluster)
    tell([path], json_file)


@app.command()
def clean(
    region: Region,
    period: Period,
    clouds: Clouds = "unet",
    cloud_dilation_m: CloudDilation = 0.0,
    out: Out = WORK,
    scheduler: Scheduler = None,
    workers: Workers = None,
    memory: Memory = MEMORY,
    json_file: Json = None,
) -> None:
    """Mask clouds, fill gaps from other dates, make the cloud-free composite."""
    from pipelines import clean

    how: dict[str, Any] = {"method": clouds, "dilation_m": cloud_dilation_m}
    with _cluster(scheduler, workers, memory) as cluster:
        path = clean.clean(_workspace(out), region, period, **how, cluster=cluster)
    tell([path], json_file)


def _stage(name: str, text: str) -> None:
    """Add the command of a stage that has no options of its own."""

    @app.command(name, help=text)
    def command(
        region: Region,
        period: Period,
        out: Out = WORK,
        scheduler: Scheduler = None,
        workers: Workers = None,
        memory: Memory = MEMORY,
        json_file: Json = None,
    ) -> None:
        stage = getattr(importlib.import_module(f"pipelines.{name}"), name)
        with _cluster(scheduler, workers, memory) as cluster:
            path = stage(_workspace(out), region, period, cluster=cluster)
        tell([path], json_file)


@app.command()
def enhance(
    region: Region,
    period: Period,
    refine: Refine = "network",
    covariates: Covariates = None,
    out: Out = WORK,
    scheduler: Scheduler = None,
    workers: Workers = None,
    memory: Memory = MEMORY,
    json_file: Json = None,
) -> None:
    """Bring the NO2 column onto a finer grid."""
    from pipelines import enhance

    how: dict[str, Any] = {"method": refine, "covariates": covariates}
    with _cluster(scheduler, workers, memory) as cluster:
        path = enhance.enhance(_workspace(out), region, period, **how, cluster=cluster)
    tell([path], json_file)


_stage("estimate", "Estimate surface NO2 with its uncertainty and air quality class.")


@app.command()
def means(
    region: Region,
    period: Period,
    every: Annotated[str, typer.Option(help="day, week, month or season.")] = "month",
    out: Out = WORK,
    json_file: Json = None,
) -> None:
    """Average the NO2 column by day, week, month or season, from the orbits that were ingested."""
    from pipelines import means

    tell([means.means(_workspace(out), region, period, every=every)], json_file)


@app.command()
def publish(
    region: Region,
    period: Period,
    product: Annotated[str, typer.Option(help="Map product of catalogs/products.")],
    out: Out = WORK,
    json_file: Json = None,
) -> None:
    """Publish one product: COGs, QGIS styles, quick look, STAC item."""
    from pipelines import publish

    tell([publish.publish(_workspace(out), region, period, product=product)], json_file)


@app.command()
def validate(region: Region, period: Period, out: Out = WORK, json_file: Json = None) -> None:
    """Check the published maps, compare them with stations, write the report."""
    from pipelines import validate

    path = validate.validate(_workspace(out), region, period)
    sys.stderr.write(validate.table(path))
    tell([path / "report.html"], json_file, {"validation": validate.scores(path)})


@app.command()
def score(region: Region, period: Period, out: Out = WORK, json_file: Json = None) -> None:
    """Compare a simulated region's products with the truth: tables and maps."""
    from pipelines import score

    path = score.score(_workspace(out), region, period)
    sys.stderr.write(score.table(path))
    tell([path / "scorecard.html"], json_file, {"scorecard": score.scores_of(path)})


@app.command("map")
def map_(
    region: Region,
    period: Period,
    product: Annotated[
        list[str] | None, typer.Option(help="Map product; repeat for several; all if left out.")
    ] = None,
    source: Sources = None,
    archive: Archive = None,
    min_qa: MinQa = 0.75,
    mixed_versions: MixedVersions = False,
    clouds: Clouds = "unet",
    cloud_dilation_m: CloudDilation = 0.0,
    refine: Refine = "network",
    covariates: Covariates = None,
    cache_gib: CacheGib = CACHE_GIB,
    out: Out = WORK,
    scheduler: Scheduler = None,
    workers: Workers = None,
    memory: Memory = MEMORY,
    json_file: Json = None,
) -> None:
    """Make a region's maps: all stages, from the archive to the report."""
    from pipelines import chain, validate

    work = _workspace(out, cache_gib)
    with _cluster(scheduler, workers, memory) as cluster:
        steps = chain.steps(
            work,
            region,
            period,
            products=product or (),
            sources=source or (),
            archive=archive,
            min_qa=min_qa,
            mixed_versions=mixed_versions,
            clouds=clouds,
            cloud_dilation_m=cloud_dilation_m,
            refine=refine,
            covariates=covariates,
            cluster=cluster,
        )
        results = chain.run(steps)
    scores = validate.scores(results["validate"])
    tell(chain.made(work, results), json_file, {"validation": scores})


app.add_typer(cli_datasets.datasets, name="datasets")
app.add_typer(cli_train.train, name="train")
app.add_typer(cli_cover.tune, name="tune")
app.add_typer(cli_evaluate.evaluate, name="evaluate")
app.command("classify-cover")(cli_cover.classify_cover)
app.command("mask")(cli_mask.mask)
app.command("upscale")(cli_upscale.upscale)


def _workspace(out: Path, cache_gib: float = CACHE_GIB) -> "Workspace":
    from pipelines.workspace import Workspace

    return Workspace(out.absolute(), cache_gib=cache_gib)


def _cluster(scheduler: str | None, workers: int | None, memory: str) -> "Cluster":
    from pipelines.cluster import Cluster

    return Cluster(scheduler, workers=workers, memory=memory)


def main() -> None:
    """Run a command; an error that the user can mend is one line on stderr and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except AqgeoError as err:
        _fail(str(err))
    except _UsageError as err:
        reason = err.format_message()  # type: ignore[attr-defined]
        if not reason:  # `aqgeo` alone has shown its help
            sys.exit(2)
        _fail(f"{reason}: see `aqgeo --help`")
    except OSError as err:
        if err.errno not in _USERS_OWN:
            raise
        _fail(
            f"cannot write {err.filename or 'the result'}: {err.strerror}: {_USERS_OWN[err.errno]}"
        )
    except KeyboardInterrupt:
        sys.stderr.write("aqgeo: stopped\n")
        sys.exit(130)


def _fail(message: str) -> None:
    sys.stderr.write(f"aqgeo: {' '.join(message.split())}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
