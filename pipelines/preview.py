"""What an ingest would ask of its source, told without fetching anything."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aqgeo.catalog import pick
from aqgeo.period import Period
from aqgeo.sources import sentinelhub, stac_assets
from aqgeo.sources.s5p import MIN_QA
from pipelines import acquire
from pipelines.ingest import GRIDS
from pipelines.workspace import Workspace


def preview(
    work: Workspace,
    region: str,
    period: str,
    *,
    collection: str,
    sources: Sequence[str] = (),
    archive: Path | None = None,
    min_qa: float = MIN_QA,
    mixed_versions: bool = False,
) -> dict[str, Any]:
    """Return what `ingest` with the same arguments would fetch, or ask Sentinel Hub to render.

    Returns:
        `source`, `collection` and either the items with the number of files and the bytes that
        the catalog tells of (None where it tells of none), or Sentinel Hub's days, requests and
        estimated `processing_units`.
    """
    span = Period.parse(period)
    where = work.region(region).geobox(pick(GRIDS, collection, "collection"))
    source = work.source(region, span, collection, sources=sources, archive=archive)
    if source.kind == "sentinelhub":
        bands = acquire.SCENES.get(collection, acquire.BANDS)
        plan = sentinelhub.plan(source, collection, where, span, bands=bands, min_qa=min_qa)
        return plan.told()
    items, notes = acquire.find(source, collection, where, span, mixed_versions=mixed_versions)
    told: dict[str, Any] = {"source": source.name, "collection": collection, "notes": notes}
    if source.kind in acquire.TABLES:
        return {**told, "service": source.href}
    told["items"] = [item.id for item in items]
    bands = acquire.bands(items, collection)
    keys = [(item, key) for item in items for key in acquire.assets(item, collection, bands)]
    told["files"] = len(keys)
    if not acquire.local(source):
        sizes = [stac_assets.remotes(item, [key])[key].size for item, key in keys]
        known = [size for size in sizes if size is not None]
        told["bytes"] = sum(known) if len(known) == len(sizes) else None
    return told


def table(told: dict[str, Any]) -> str:
    """Return a preview as lines for people."""
    shown = {name: value for name, value in told.items() if not isinstance(value, list)}
    shown |= {name: len(value) for name, value in told.items() if name in ("items", "days")}
    if "bytes" in shown:
        size = shown.pop("bytes")
        shown["size"] = "not told" if size is None else f"{size / 2**20:.1f} MiB"
    if "processing_units" in shown:
        shown["processing_units"] = f"{shown['processing_units']:.2f}, an estimate"
    lines = [f"{name.replace('_', ' '):<17} {value}\n" for name, value in shown.items()]
    return "".join([*lines, *(f"{note}\n" for note in told.get("notes", ()))])
