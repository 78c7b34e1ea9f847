"""Flow regional-map: a region's maps for one period, every piece of work a task with retries."""

import base64
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from prefect import State, Task, flow
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from aqgeo.errors import AqgeoError
from flows import credentials
from pipelines import chain, score
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace


@flow(name="regional-map", description="Maps of one region for one period.")
def regional_map(
    region: str,
    period: str | None = None,
    products: list[str] | None = None,
    sources: list[str] | None = None,
    archive: str | None = None,
    min_qa: float = 0.75,
    mixed_versions: bool = False,
    clouds: str = "unet",
    cloud_dilation_m: float = 0.0,
    refine: str = "network",
    covariates: str | None = None,
    cache_gib: float = 50.0,
    out: str = "work",
    scheduler: str | None = None,
    workers: int | None = None,
) -> list[str]:
    """Make a region's maps and return the paths of what people open.

    Args:
        region: name of a region.
        period: span of the maps; the last whole month if None.
        products: names of map products; all if None.
        sources: names of sources, the first that serves a collection is read; the region's own if
            None.
        archive: static STAC catalog, or folder of Sentinel-5P granules, to read instead.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        mixed_versions: take Sentinel-5P granules of processor versions that do not match.
        clouds: how clouds are found: unet, scl or s2cloudless.
        cloud_dilation_m: clouds and their shadows grow by so many metres.
        refine: how the column is made finer: network or interpolation.
        covariates: folder of GeoTIFFs that a finer column follows; that beside the archive if None.
        cache_gib: size that the cache of fetched files may reach.
        out: output folder.
        scheduler: address of a running Dask scheduler; a local cluster if None.
        workers: local Dask workers; one for each core if None.
    """
    work = Workspace(Path(out).absolute(), cache_gib=cache_gib)
    credentials.load()
    span = period or _last_month(datetime.now(UTC))
    with Cluster(scheduler, workers=workers) as cluster:
        futures: dict[str, Any] = {}
        for step in chain.steps(
            work,
            region,
            span,
            products=products or (),
            sources=sources or (),
            archive=Path(archive).absolute() if archive else None,
            min_qa=min_qa,
            mixed_versions=mixed_versions,
            clouds=clouds,
            cloud_dilation_m=cloud_dilation_m,
            refine=refine,
            covariates=Path(covariates).absolute() if covariates else None,
            cluster=cluster,
        ):
            before = [futures[name] for name in step.needs if name in futures]
            futures[step.name] = _task(step).submit(**step.arguments, wait_for=before)
        results = {name: future.result() for name, future in futures.items()}
    for name, path in results.items():
        if name.startswith("publish-"):
            _show(region, span, name.removeprefix("publish-"), path)
    if "score" in results:
        create_markdown_artifact(
            key=f"{region}-scorecard".replace("_", "-"),
            description=f"Scorecard of {region}, {span}",
            markdown=f"```\n{score.short(results['score'])}```",
        )
    return [os.path.relpath(path) for path in chain.made(work, results)]


def _task(step: chain.Step) -> Task[..., Path]:
    """Turn a stage into a task; a result is kept by its own key, not in Prefect's cache."""
    return Task(
        step.function,
        name=step.name,
        task_run_name=step.name,
        tags=[step.name.partition("-")[0]],
        retries=2,
        retry_delay_seconds=[10, 60],
        retry_condition_fn=_worth_a_retry,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


async def _worth_a_retry(_: Any, __: TaskRun, state: State[Any]) -> bool:
    """An error that the user must mend comes back however often one tries."""
    error = await state.aresult(raise_on_failure=False)
    return not isinstance(error, AqgeoError)


def _show(region: str, period: str, product: str, folder: Path) -> None:
    """Keep the quick look as an artifact of the run, small enough for Prefect's events."""
    small = io.BytesIO()
    with Image.open(folder / "quicklook.png") as picture:
        picture.thumbnail((640, 640))
        picture.convert("RGB").save(small, "JPEG", quality=85)
    data = base64.b64encode(small.getvalue()).decode()
    create_markdown_artifact(
        key=f"{region}-{product}".replace("_", "-"),
        description=f"{product} of {region}, {period}",
        markdown=f"![{product} of {region}, {period}](data:image/jpeg;base64,{data})",
    )


def _last_month(now: datetime) -> str:
    return f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
