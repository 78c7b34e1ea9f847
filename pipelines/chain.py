"""The chain: which stages make which products, and in which order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aqgeo.catalog import pick
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources.s5p import MIN_QA
from pipelines import covariates as fine_fields
from pipelines import masks
from pipelines.acquire import SENTINEL_5P
from pipelines.clean import clean
from pipelines.cluster import Cluster
from pipelines.enhance import check as check_refine
from pipelines.enhance import enhance
from pipelines.estimate import estimate
from pipelines.ingest import GRIDS, ingest
from pipelines.publish import publish
from pipelines.score import score
from pipelines.simulate import simulate
from pipelines.validate import validate
from pipelines.workspace import Workspace

# The source that is made before it is read.
SIMULATED = "simulated"
# Stages between ingest and publish, in order, with what each one reads.
STAGES: dict[str, tuple[Callable[..., Path], tuple[str, ...]]] = {
    "clean": (clean, ("ingest-sentinel-2-l2a",)),
    "enhance": (enhance, ("ingest-sentinel-5p-l2-no2",)),
    "estimate": (estimate, ("enhance", "clean", "ingest-stations-no2")),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a stage."""

    name: str
    """Name of the result, unique in the chain."""
    function: Callable[..., Path]
    """The stage."""
    arguments: Mapping[str, Any]
    """Its arguments by name."""
    needs: tuple[str, ...] = ()
    """Names of the steps that must end before this one starts."""


def steps(
    work: Workspace,
    region: str,
    period: str,
    *,
    products: Iterable[str] = (),
    sources: Sequence[str] = (),
    archive: Path | None = None,
    min_qa: float = MIN_QA,
    mixed_versions: bool = False,
    clouds: str = masks.DEFAULT,
    cloud_dilation_m: float = 0.0,
    refine: str = "network",
    covariates: Path | None = None,
    cluster: Cluster,
) -> list[Step]:
    """Return the steps that make a region's maps, each after those that it needs.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the maps.
        products: names of map products; all of the catalog if empty.
        sources: names of sources, the first that serves a collection is read; the region's own
            if empty. The source `simulated` is made first.
        archive: static STAC catalog, or folder of Sentinel-5P granules, to read instead.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        mixed_versions: take Sentinel-5P granules of processor versions that do not match.
        clouds: how clouds are found, a key of `masks.METHODS`.
        cloud_dilation_m: clouds and their shadows grow by so many metres.
        refine: how columns are made finer, a key of `enhance.METHODS`.
        covariates: folder of GeoTIFFs named by what they show; that beside the archive of the
            columns, if it has one, if None.
        cluster: where the work runs.

    Raises:
        CatalogError: a region, source, product or way to find clouds is in no catalog.
        ModelError: the network's weights are not those of the catalog.
        PeriodError: the period is none.
        SourceError: there is no folder of covariates where one is named.
    """
    span = Period.parse(period)
    known = work.products()
    wanted = [pick(known, name, "product") for name in (list(products) or known)]
    place = {"work": work, "region": region, "period": period}
    chain: list[Step] = []
    before: tuple[str, ...] = ()
    masks.check(work, clouds, cloud_dilation_m)
    check_refine(refine)
    if covariates is not None and not covariates.is_dir():
        raise SourceError(f"{covariates} is no folder: name one of GeoTIFFs, such as roads.tif")
    options: dict[str, dict[str, Any]] = {
        "clean": {"method": clouds, "dilation_m": cloud_dilation_m},
        "enhance": {"method": refine, "covariates": covariates},
    }
    more = {"clean": masks.MORE.get(clouds, ())}
    stages = _needed(product.stage for product in wanted)
    stages |= {name for stage in stages for name in more.get(stage, ())}
    collections = [name for name in GRIDS if f"ingest-{name}" in stages]
    read = {
        work.source(region, span, collection, sources=sources, archive=archive).name
        for collection in collections
    }
    if covariates is None and SENTINEL_5P in collections:
        served = work.source(region, span, SENTINEL_5P, sources=sources, archive=archive)
        options["enhance"]["covariates"] = fine_fields.beside(served)
    if archive is None and SIMULATED in read:
        chain.append(Step("simulate", simulate, place))
        before = ("simulate",)
    for collection in collections:
        how: dict[str, Any] = {"collection": collection, "sources": sources, "archive": archive}
        how |= {"min_qa": min_qa, "mixed_versions": mixed_versions, "cluster": cluster}
        chain.append(Step(f"ingest-{collection}", ingest, {**place, **how}, before))
    for name, (function, needs) in STAGES.items():
        if name in stages:
            how = {**options.get(name, {}), "cluster": cluster}
            chain.append(Step(name, function, {**place, **how}, (*needs, *more.get(name, ()))))
    for product in wanted:
        named = {**place, "product": product.name}
        chain.append(Step(f"publish-{product.name}", publish, named, (product.stage,)))
    published = tuple(f"publish-{product.name}" for product in wanted)
    chain.append(Step("validate", validate, place, published))
    if before:  # only a simulated world has a truth to compare with
        chain.append(Step("score", score, {**place, "stages": sorted(stages)}, ("validate",)))
    return chain


def run(chain: Iterable[Step]) -> dict[str, Path]:
    """Run the steps one after the other and return the path of each one's result."""
    return {step.name: step.function(**step.arguments) for step in chain}


def made(work: Workspace, results: Mapping[str, Path]) -> list[Path]:
    """Return the files that people open: COGs, the scorecard if any, the report, the catalog."""
    maps = [path for name, path in results.items() if name.startswith("publish-")]
    cogs = [cog for path in maps for cog in sorted(path.glob("*.tif"))]
    cards = [results["score"] / "scorecard.html"] if "score" in results else []
    return [*cogs, *cards, results["validate"] / "report.html", work.maps / "catalog.json"]


def _needed(stages: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for stage in stages:
        found |= {stage, *_needed(STAGES.get(stage, (None, ()))[1])}
    return found
