"""Stage validate: published maps checked, compared with stations and shown in a report."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import rioxarray
import xarray as xr

from aqgeo import aqi, cube
from aqgeo.catalog import Layer, Product
from aqgeo.errors import ProductError, WorkspaceError
from aqgeo.period import Period
from aqgeo.processing import concentration
from aqgeo.products import cog, dated, quicklook, report, scatter
from pipelines.publish import parameters
from pipelines.workspace import Workspace, read_provenance

SURFACE = "no2_surface"
UNIT = "µg m-3"


def validate(work: Workspace, region: str, period: str) -> Path:
    """Check all maps of a region and period, and return the folder of their report.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the maps.

    Raises:
        ProductError: a published file breaks a rule of map products.
    """
    span = Period.parse(period)
    title = work.region(region).title
    ordered = sorted(work.products().items(), key=lambda entry: (entry[0] != SURFACE, entry[0]))
    places = {product: work.map(name, region, span) for name, product in ordered}
    folders = {
        dated.published(product, read_provenance(folder).get("layers")): folder
        for product, folder in places.items()
        if folder.is_dir()
    }
    if not folders:
        raise WorkspaceError(
            f"no map of {region!r} in {span} below {work.maps}: run `aqgeo publish` or `aqgeo map`"
        )
    told = {product.name: read_provenance(folder) for product, folder in folders.items()}
    estimate = work.stage(region, span, "estimate")
    ground = estimate / "stations.parquet"
    has_stations = SURFACE in told and ground.is_file()
    if has_stations and read_provenance(estimate)["key"] != told[SURFACE]["input"]:
        raise WorkspaceError(
            f"{work.map(SURFACE, region, span)} is not of the present estimate: publish {SURFACE} "
            "again before it is compared with stations"
        )
    key = {"stage": "validate", "inputs": {k: t["key"] for k, t in told.items()}, "title": title}
    target = work.report(region, span)
    with work.build(target, {**key, "stations": has_stations}) as build:
        if build is not None:
            items = {product: _check(product, folder) for product, folder in folders.items()}
            table = gpd.read_parquet(ground) if has_stations else None
            rows = _scores(table) if table is not None else []
            page = report.Report(
                title="Air-quality maps",
                summary=_summary(items, rows),
                simulated=any(t["simulated"] for t in told.values()),
                region=title,
                period=span,
                figures=_figures(folders, build.path, title, span),
                products=_rows(items, work.report(region, span)),
                coverage=_coverage(items),
                provenance=_sections(told, rows),
                scenes=_scenes(told),
                validation=_scatter(table) if table is not None else None,
                attribution=tuple(dict.fromkeys(t["attribution"] for t in told.values())),
                warnings=tuple(_warnings(has_stations, told)),
            )
            (build.path / "report.html").write_text(report.html(page), "utf-8")
            content = {"files": sum(len(p.layers) for p in folders), "scores": rows}
            (build.path / "validation.json").write_text(json.dumps(content, indent=2), "utf-8")
            build.provenance |= {"stage": "validate", "products": sorted(told)}
    return target


def scores(folder: Path) -> dict[str, Any]:
    """Return what the stage measured."""
    content = json.loads((folder / "validation.json").read_text("utf-8"))
    if not isinstance(content, dict):
        raise WorkspaceError(f"{folder} is damaged: delete it and run again")
    return content


def table(folder: Path) -> str:
    """Return what the stage measured as a table for a terminal."""
    found = scores(folder)
    lines = [f"{found['files']} files keep all rules of map products"]
    if found["scores"]:
        lines.append(f"{'surface NO2 against stations':44}{'n':>5}{'R':>7}{'bias':>8}{'RMSE':>8}")
    for row in found["scores"]:
        r, bias, rmse = _shown(row)
        lines.append(f"{row['what']:44}{row['n']:5}{r:>7}{bias:>8}{rmse:>8}")
    return "\n".join(lines) + "\n"


def _shown(row: dict[str, Any]) -> list[str]:
    """Return R, bias and RMSE as text."""
    return ["-" if row[k] is None else f"{row[k]:.2f}" for k in ("r", "bias", "rmse")]


def _check(product: Product, folder: Path) -> pystac.Item:
    """Return the item of a published map whose files all keep the rules."""
    paths = sorted(folder.glob(f"{product.name}_*.json"))
    if len(paths) != 1:
        raise ProductError(f"{folder} holds {len(paths)} STAC items: publish {product.name} again")
    item = pystac.Item.from_file(str(paths[0]))
    for layer in product.layers:
        path = folder / f"{layer.name}.tif"
        found = cog.check_cog(path)
        checksum = item.assets[layer.name].extra_fields["file:checksum"]
        if checksum != "1220" + _sha256(path):
            found.append("its checksum is not the STAC item's")
        if found:
            raise ProductError(f"{path}: {'; '.join(found)}: publish {product.name} again")
    return item


def _scores(table: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """Return the scores of the model and of simple rules, on stations they never saw."""
    used = table[table["used"]]
    observed = used["no2"].to_numpy()
    flat = used.geometry.to_crs(used.estimate_utm_crs())
    at = np.column_stack([flat.x, flat.y])
    rows = [_score("model, background stations held out", observed, used["predicted"].to_numpy())]
    rows += [
        _score(f"{name}, same stations", observed, predicted)
        for name, predicted in concentration.baselines(observed, at).items()
    ]
    for kind, group in table[~table["used"]].groupby("station_type"):
        pair = group["no2"].to_numpy(), group["predicted"].to_numpy()
        rows.append(_score(f"model, {kind} stations, never fitted", *pair))
    # The mean of the others falls as a station rises: it correlates at -1, which says nothing.
    rows[1]["r"] = None
    within = np.abs(observed - used["predicted"]) <= used["sigma"]
    rows[0]["share_within_one_sigma"] = round(float(within.mean()), 3)
    return rows


def _score(what: str, observed: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    found = scatter.scores(observed, predicted)
    numbers = {"r": found.r, "bias": found.bias, "rmse": found.rmse}
    kept = {k: round(v, 4) if np.isfinite(v) else None for k, v in numbers.items()}
    return {"what": what, "n": found.n, **kept, "unit": UNIT}


def _summary(items: dict[Product, pystac.Item], rows: list[dict[str, Any]]) -> str:
    words = []
    for product, item in items.items():
        layer = product.layers[0]
        facts = item.assets[layer.name].extra_fields["bands"][0]["statistics"]
        if layer.kind == "values":
            words.append(
                f"{layer.title}: mean {facts['mean']:.3g}, from {facts['minimum']:.3g} to "
                f"{facts['maximum']:.3g} {layer.unit}."
            )
    if rows:
        words.append(
            f"On {rows[0]['n']} background stations that the model had not seen, its RMSE is "
            f"{rows[0]['rmse']:.2g} {UNIT}; the mean of the other stations has "
            f"{rows[1]['rmse']:.2g}, interpolation between them {rows[2]['rmse']:.2g}."
        )
    return " ".join(words) or f"{len(items)} product published."


def _figures(
    folders: dict[Product, Path], scratch: Path, title: str, span: Period
) -> tuple[report.Figure, ...]:
    found = []
    for product, folder in folders.items():
        credit = read_provenance(folder)["attribution"]
        for layer in (layer for layer in product.layers if not layer.dated):
            path = scratch / f"{layer.name}.png"
            ds = _cube(layer, folder / f"{layer.name}.tif", span)
            quicklook.quicklook(layer, ds, path, title=title, subtitle=str(span), note=credit)
            found.append(
                report.Figure(
                    title=layer.title,
                    png=path.read_bytes(),
                    alt=f"Map of {layer.title} in {title}, {span}",
                    caption=f"{product.name}/{layer.name}.tif",
                )
            )
            path.unlink()
    return tuple(found)


def _cube(layer: Layer, path: Path, span: Period) -> xr.Dataset:
    """Read a published file back as a cube, in the cube's units."""
    raster = rioxarray.open_rasterio(
        path, masked=layer.kind != "classes", chunks={"x": cube.CHUNK, "y": cube.CHUNK}
    )
    assert isinstance(raster, xr.DataArray)
    names = {entry.value: entry.name for entry in layer.classes}
    variables = {}
    for number, name in enumerate(layer.variables):
        band = raster.data[number : number + 1]
        variables[name] = (
            cube.classes(band, names)
            if layer.kind == "classes"
            else cube.values(band / layer.factor, layer.unit)
        )
    return cube.make(variables, span.time, raster.odc.geobox)


def _rows(items: dict[Product, pystac.Item], beside: Path) -> tuple[report.Row, ...]:
    found = []
    for product, item in items.items():
        for layer in product.layers:
            asset = item.assets[layer.name]
            facts = asset.extra_fields["bands"][0].get("statistics", {})
            path = Path(asset.get_absolute_href() or asset.href)
            found.append(
                report.Row(
                    title=layer.title,
                    path=os.path.relpath(path, beside),
                    unit=layer.unit,
                    sha256=str(asset.extra_fields["file:checksum"]).removeprefix("1220"),
                    valid_percent=facts.get("valid_percent"),
                    minimum=facts.get("minimum"),
                    mean=facts.get("mean"),
                    maximum=facts.get("maximum"),
                )
            )
    return tuple(found)


def _coverage(items: dict[Product, pystac.Item]) -> tuple[tuple[str, str], ...]:
    """Return how often the ground was seen, and how much of it was filled."""
    found = []
    for product, item in items.items():
        for layer in product.layers:
            if layer.role == "quality" and not layer.dated:
                facts = item.assets[layer.name].extra_fields["bands"][0]["statistics"]
                mean, low, high = (f"{facts[k]:.3g}" for k in ("mean", "minimum", "maximum"))
                unit = "" if layer.unit == "1" else f" {layer.unit}"
                found.append(
                    (f"{product.name}: {layer.title}", f"mean {mean}{unit}, {low} to {high}{unit}")
                )
    return tuple(found)


def _sections(
    told: dict[str, dict[str, Any]], rows: list[dict[str, Any]]
) -> tuple[report.Section, ...]:
    measured = tuple(
        (row["what"], f"n {row['n']}, R {r}, bias {bias} {UNIT}, RMSE {rmse} {UNIT}")
        for row in rows
        for r, bias, rmse in [_shown(row)]
    )
    sections = [report.Section("Scores on stations", measured)] if rows else []
    for name, t in told.items():
        entries = (*parameters(t), ("inputs", ", ".join(t["inputs"])))
        sections.append(report.Section(name, entries, tuple(t["notes"])))
    return tuple(sections)


def _scenes(told: dict[str, dict[str, Any]]) -> tuple[report.Scene, ...]:
    """Return what the cloud mask says of each date; it is the same for all products."""
    found = next((t["scenes"] for t in told.values() if "scenes" in t), [])
    return tuple(report.Scene(**scene) for scene in found)


def _scatter(table: gpd.GeoDataFrame) -> report.Figure:
    pair = table["no2"].to_numpy(), table["predicted"].to_numpy()
    lines = scatter.score_lines(scatter.scores(*pair), UNIT)
    return report.Figure(
        title="Against stations",
        png=scatter.picture(*pair, list(table["station_type"]), UNIT),
        alt="Map values against station values. " + "; ".join(lines),
        caption="Means of the period. Background stations: each one predicted by a model that was "
        "fitted without it. All others: never fitted, since a kerb or a plant's fence says nothing "
        "of the square kilometre around it.",
    )


def _warnings(has_stations: bool, told: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    if not has_stations:
        found.append("No station measurements were at hand: nothing here was compared with any.")
    if SURFACE in told:
        found.append(
            f"The air quality class applies {aqi.STANDARDS['eaqi'].averaging} bands of the "
            f"{aqi.STANDARDS['eaqi'].name} to the mean of the period: it is not the index of any "
            "hour."
        )
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
