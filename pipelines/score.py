"""Stage score: the products of a simulated region compared with the truth."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import xarray as xr

from aqgeo import cube, scores
from aqgeo.errors import WorkspaceError
from aqgeo.period import Period
from aqgeo.processing import clouds
from aqgeo.products import scorecard, triptych
from aqgeo.scores import Row, Table, View
from aqgeo.scoring import columns, reflectance, surface
from aqgeo.sources.sentinel2_bands import SCL
from pipelines.workspace import Workspace, read_provenance

PAGE, CONTENT = "scorecard.html", "scorecard.json"
# Stages whose results are compared, with what each one is compared in.
_COLUMN, _CLEAN, _FINE, _SURFACE = "ingest-sentinel-5p-l2-no2", "clean", "enhance", "estimate"
PRODUCTS = (_COLUMN, _CLEAN, _FINE, _SURFACE)
_SIGMA = Table(
    "sigma",
    "Does sigma hold",
    columns.SIGMA,
    note="Share of errors within one and two sigma; a true one-sigma of a normal error has 0.68 "
    "and 0.95.",
)
_PERFORMANCE = Table(
    "performance",
    "Time and memory",
    {"seconds": "s", "peak memory": "MiB"},
    note="Of each stage when its present result was made; memory of all processes together. "
    "Publishing is not measured.",
)


def score(work: Workspace, region: str, period: str, *, stages: Collection[str] = PRODUCTS) -> Path:
    """Compare a run's products with the truth of its simulated world; return the folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the products.
        stages: names of the stages to compare, where they have a result.

    Raises:
        WorkspaceError: there is no truth of this run, no product, or a product is of another
            archive.
    """
    span = Period.parse(period)
    title, world = work.region(region).title, _world(work, region, span)
    told = _products(work, region, span, stages, archive=world["key"])
    performance = _performance(work, region, span)
    key = {"stage": "score", "truth": world["key"], "title": title}
    key["inputs"] = {name: about["key"] for name, about in told.items()}
    key["performance"] = [asdict(row) for row in performance.rows]
    target = work.scores(region, span)
    with work.build(target, key) as build:
        if build is not None:
            folders = {name: work.stage(region, span, name) for name in told}
            tables, views = _compare(folders, work.truth(region, span))
            card = scorecard.Scorecard(
                region=title,
                period=str(span),
                world={k: str(world["settings"][k]) for k in ("preset", "seed")},
                tables=(*tables, performance),
                figures=tuple(
                    scorecard.Figure(view.title, triptych.picture(view), view.caption)
                    for view in views
                ),
            )
            (build.path / PAGE).write_text(scorecard.html(card), "utf-8")
            text = json.dumps(_content(card), indent=2, ensure_ascii=False)
            (build.path / CONTENT).write_text(text + "\n", "utf-8")
            build.provenance |= {"stage": "score", "simulated": True, "products": sorted(told)}
    return target


def scores_of(folder: Path) -> dict[str, Any]:
    """Return what the stage measured."""
    try:
        content = json.loads((folder / CONTENT).read_text("utf-8"))
    except ValueError as err:
        raise WorkspaceError(f"{folder} is damaged: delete it and run again") from err
    return dict(content)


def table(folder: Path) -> str:
    """Return all that the stage measured as text for a terminal."""
    return scorecard.text(_card(folder))


def short(folder: Path) -> str:
    """Return the headlines of what the stage measured as text for a terminal."""
    return scorecard.short(_card(folder))


def _world(work: Workspace, region: str, span: Period) -> dict[str, Any]:
    """Return what the simulation told about the archive and its truth."""
    if not work.truth(region, span).is_dir():
        raise WorkspaceError(
            f"no truth of {region!r} in {span} at {work.truth(region, span)}: only simulated "
            f"archives have one; run `aqgeo simulate {region} --period {span}`, then `aqgeo map`"
        )
    return read_provenance(work.simulated_archive(region, span))


def _products(
    work: Workspace, region: str, span: Period, stages: Collection[str], *, archive: str
) -> dict[str, dict[str, Any]]:
    """Return the provenance of each result at hand that can be compared."""
    told = {
        name: read_provenance(work.stage(region, span, name))
        for name in PRODUCTS
        if name in stages and work.stage(region, span, name).is_dir()
    }
    if not told:
        raise WorkspaceError(
            f"no product of {region!r} in {span} below {work.root}: run `aqgeo map`"
        )
    for name, about in told.items():
        if about.get("archive") != archive:
            raise WorkspaceError(
                f"{work.stage(region, span, name)} is not of the archive that the truth at "
                f"{work.truth(region, span)} belongs to: run `aqgeo map` again without --archive"
            )
    return told


def _compare(folders: Mapping[str, Path], truth: Path) -> tuple[list[Table], list[View]]:
    """Return the tables and views of all products at hand, in the order of the page."""
    ground, ground_views = _reflectance(folders, truth)
    column, sigma, column_views = _columns(folders, truth)
    air, more, air_views = _surface(folders, truth)
    sigma_table = scores.filled(
        _SIGMA, [*sigma, *more], why="neither columns nor surface NO2 were made"
    )
    tables = [*ground, column, air[0], sigma_table, *air[1:]]
    return tables, [*ground_views, *column_views, *air_views]


def _reflectance(folders: Mapping[str, Path], truth: Path) -> tuple[list[Table], list[View]]:
    if _CLEAN not in folders:
        why = _not_run(_CLEAN)
        return [scores.missing(table, why) for table in reflectance.TABLES], []
    series = cube.open(folders[_CLEAN] / "cube.zarr")
    parameters = read_provenance(folders[_CLEAN]).get("parameters", {})
    return reflectance.score(
        series,
        cube.open(folders[_CLEAN] / "composite.zarr"),
        _truth(truth, "scenes"),
        method=parameters.get("clouds", ""),
        others=_scl(folders[_CLEAN], series),
    )


def _scl(clean: Path, series: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return Sen2Cor's cloud classes of the same scenes, where the series has them."""
    path = clean.with_name("ingest-sentinel-2-l2a") / "cube.zarr"
    raw = cube.open(path) if path.is_dir() else xr.Dataset()
    if SCL not in raw or not raw["time"].equals(series["time"]):
        return {}
    found = raw[SCL].data.map_blocks(clouds.from_scl, dtype="uint8")
    return {"SCL": raw[SCL].copy(data=found)}


def _columns(folders: Mapping[str, Path], truth: Path) -> tuple[Table, list[Row], list[View]]:
    if _COLUMN not in folders:
        return scores.missing(columns.COLUMNS, _not_run(_COLUMN)), [], []
    fine = cube.open(folders[_FINE] / "composite.zarr") if _FINE in folders else None
    return columns.score(
        cube.open(folders[_COLUMN] / "composite.zarr"),
        cube.open(folders[_COLUMN] / "cube.zarr"),
        fine,
        _truth(truth, "columns"),
    )


def _surface(folders: Mapping[str, Path], truth: Path) -> tuple[list[Table], list[Row], list[View]]:
    if _SURFACE not in folders:
        empty = (surface.SURFACE, surface.AQI)
        return [scores.missing(table, _not_run(_SURFACE)) for table in empty], [], []
    stations = folders[_SURFACE] / "stations.parquet"
    try:
        network = pd.read_csv(truth / "stations.csv", dtype={"location_id": str})
    except (OSError, ValueError) as err:
        raise _damaged(truth / "stations.csv") from err
    return surface.score(
        cube.open(folders[_SURFACE] / "composite.zarr"),
        gpd.read_parquet(stations) if stations.is_file() else None,
        _truth(truth, "air"),
        network,
    )


def _truth(truth: Path, group: str) -> Any:
    path = truth / "truth.zarr" / group
    if not path.is_dir():
        raise _damaged(path)
    return cube.open(path)


def _damaged(path: Path) -> WorkspaceError:
    return WorkspaceError(
        f"the truth is damaged: {path} cannot be read: delete the simulated archive and run "
        "`aqgeo simulate` again"
    )


def _not_run(stage: str) -> str:
    return f"stage {stage} was not run"


def _performance(work: Workspace, region: str, span: Period) -> Table:
    """Return seconds and memory of every stage that has told them, then of all."""
    stages = work.stage(region, span, _CLEAN).parent
    order = ["ingest-stations-no2", _COLUMN, "ingest-sentinel-2-l1c", "ingest-sentinel-2-l2a"]
    order += [_CLEAN, _FINE, _SURFACE]
    results = {"simulate": work.simulated_archive(region, span)}
    results |= {name: stages / name for name in order}
    results |= {"validate": work.report(region, span)}
    found = {
        name: read_provenance(path).get("performance")
        for name, path in results.items()
        if path.is_dir()
    }
    known = {name: (p["seconds"], p["peak_mib"]) for name, p in found.items() if p}
    rows = [_performance_row(name, *numbers) for name, numbers in known.items()]
    if known:
        seconds, peaks = zip(*known.values(), strict=True)
        rows.append(_performance_row("all stages", sum(seconds), max(peaks), headline=True))
    return scores.filled(_PERFORMANCE, rows, why="no stage has told its time")


def _performance_row(name: str, seconds: float, peak: float, *, headline: bool = False) -> Row:
    values = dict(zip(_PERFORMANCE.units, (seconds, peak), strict=True))
    return scores.row(name, scores.ESTIMATE, None, values, headline=headline)


def _content(card: scorecard.Scorecard) -> dict[str, Any]:
    """Return the scorecard, its pictures aside, as JSON."""
    about = {"simulated": True, "region": card.region, "period": card.period}
    tables = {table.name: asdict(table) for table in card.tables}
    return {**about, "world": dict(card.world), "tables": tables}


def _card(folder: Path) -> scorecard.Scorecard:
    """Return the scorecard without its pictures."""
    content = scores_of(folder)
    tables = tuple(
        Table(**{**entry, "rows": tuple(Row(**row) for row in entry["rows"])})
        for entry in content["tables"].values()
    )
    return scorecard.Scorecard(content["region"], content["period"], content["world"], tables)
