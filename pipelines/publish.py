"""Stage publish: one product as COGs with styles, a quick look and a STAC item."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aqgeo
from aqgeo import cube
from aqgeo.catalog import Product, pick
from aqgeo.errors import ProductError
from aqgeo.period import Period
from aqgeo.products import cog, dated, qgis, quicklook, stac_items, static_catalog
from pipelines.workspace import Build, Workspace, lock, read_provenance

LICENSE = "CC-BY-4.0"


def publish(work: Workspace, region: str, period: str, *, product: str) -> Path:
    """Publish one product of a region and period, and return its folder.

    The folder holds a COG and a QGIS style for each layer, of dated layers for each date, a quick
    look and the STAC item; the catalog above it lists the item.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the map.
        product: name of a map product.
    """
    span = Period.parse(period)
    entry = pick(work.products(), product, "product")
    title = work.region(region).title
    source = work.stage(region, span, entry.stage)
    told = read_provenance(source)
    target = work.map(product, region, span)
    key = {"stage": "publish", "input": told["key"], "product": asdict(entry), "title": title}
    with work.build(target, key) as build:
        if build is not None:
            _publish(build, entry, source, told, (region, title, span))
    if not work.frozen:
        with lock(work.maps):
            static_catalog.index(work.maps, work.products())
    return target


def _publish(
    build: Build,
    product: Product,
    source: Path,
    told: Mapping[str, Any],
    place: tuple[str, str, Period],
) -> None:
    region, title, span = place
    ds = cube.open(source / "composite.zarr")
    _refuse_empty(product, ds, source)
    has_dates = any(layer.dated for layer in product.layers)
    files = dated.files(product, ds, cube.open(source / "cube.zarr") if has_dates else None)
    tags = _tags(product, told, region, span)
    for name, (layer, one) in files.items():
        cog.write_cog(layer, one, build.path / f"{name}.tif", tags=tags)
        (build.path / f"{name}.qml").write_text(qgis.style(layer), "utf-8")
    quicklook.quicklook(
        product.layers[0],
        ds,
        build.path / "quicklook.png",
        title=f"{product.layers[0].title}, {title}",
        subtitle=f"{span} (UTC, end not included)" if "/" in str(span) else f"{span} (UTC)",
        note=f"{told['attribution']}. {LICENSE}. Not for regulatory use.",
    )
    about = {name: told[name] for name in ("simulated", "attribution", "inputs", "notes")}
    about |= {"scenes": told["scenes"]} if "scenes" in told else {}
    about |= {"license": LICENSE, "lineage": _lineage(told), "parameters": told["parameters"]}
    item = stac_items.item(
        replace(product, layers=tuple(layer for layer, _ in files.values())),
        region,
        span,
        grid=cube.geobox(ds),
        folder=build.path,
        provenance=about,
        instants=dated.instants(files),
    )
    static_catalog.write_item(item, build.path)
    own = {"product": product.name, "stage": f"publish-{product.name}", "input": told["key"]}
    own["layers"] = dated.names(product, files)
    build.provenance |= {**told, **own}


def _refuse_empty(product: Product, ds: Any, source: Path) -> None:
    """A map without one value is a failure of its inputs, not a product."""
    name = product.layers[0].variables[0]
    if not bool(ds[name].notnull().any()):
        raise ProductError(
            f"{source} holds no value of {name!r}: every pixel is cloud or no data; choose a "
            "longer period"
        )


def _tags(product: Product, told: Mapping[str, Any], region: str, span: Period) -> dict[str, str]:
    inputs = hashlib.sha256(json.dumps(sorted(told["inputs"])).encode()).hexdigest()
    return {
        "PRODUCT": product.name,
        "REGION": region,
        "VALID_TIME_START": span.start.isoformat(),
        "VALID_TIME_END": span.end.isoformat(),
        "PROCESSING_VERSION": aqgeo.__version__,
        "INPUT_IDS_SHA256": inputs,
        "SIMULATED": "yes" if told["simulated"] else "no",
        "LICENSE": LICENSE,
        "ATTRIBUTION": told["attribution"],
    }


def parameters(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and values of a result's parameters as people read them."""
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in told["parameters"].items()
    ]


def _lineage(told: Mapping[str, Any]) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in parameters(told))
    return " ".join([f"{facts}.", *(f"{note}." for note in told["notes"])])
