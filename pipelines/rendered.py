"""Days that Sentinel Hub renders, brought into cubes as items are."""

from functools import partial
from pathlib import Path
from typing import Any

from aqgeo import cube
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import sentinelhub
from aqgeo.sources.sentinelhub_plan import Day, Plan
from pipelines.cluster import Cluster, track
from pipelines.workspace import Build


def reflectance(build: Build, plan: Plan, folder: Path, cluster: Cluster) -> None:
    """Append each day's reflectance and classes to the cube.

    Args:
        build: the result in the making.
        plan: of a Sentinel-2 collection.
        folder: where replies are kept between runs.
        cluster: where chunks are written.

    Raises:
        SourceError: the service refuses, or no day shows anything.
    """
    used: list[str] = []
    for number, day in enumerate(plan.days, 1):
        found = sentinelhub.read(plan, day, folder)
        if found is None:
            build.provenance["notes"].append(_nothing(day))
            continue
        label = f"Sentinel Hub {day.start:%Y-%m-%d}, day {number} of {len(plan.days)}"
        cube.append(found, build.path / "cube.zarr", compute=partial(cluster.run, label=label))
        used += day.products
    _tell(build, plan, used, {"bands": list(plan.bands), "dates": len(plan.days)})


def column(build: Build, plan: Plan, folder: Path, span: Period) -> None:
    """Append each day's NO2 column to the cube and write their mean, days counting the same.

    Args:
        build: the result in the making.
        plan: of a Sentinel-5P collection.
        folder: where replies are kept between runs.
        span: the period of the mean.

    Raises:
        SourceError: the service refuses, or no day shows anything.
    """
    used: list[str] = []
    for day in track(plan.days, "Sentinel Hub"):
        found = sentinelhub.read(plan, day, folder)
        if found is None:
            build.provenance["notes"].append(_nothing(day))
            continue
        cube.append(found, build.path / "cube.zarr")
        used += day.products
    _tell(build, plan, used, {"min_qa": plan.min_qa, "weights": "days alike, nearest pixel"})
    mean = sentinelhub.composite(cube.open(build.path / "cube.zarr"), span)
    cube.write(mean, build.path / "composite.zarr")


def _nothing(day: Day) -> str:
    return f"{day.start:%Y-%m-%d} left out: Sentinel Hub shows nothing there"


def _tell(build: Build, plan: Plan, used: list[str], parameters: dict[str, Any]) -> None:
    if not used:
        raise SourceError(
            f"none of {len(plan.days)} days of {plan.collection!r} shows anything in the region: "
            "choose another period"
        )
    build.provenance["notes"] += plan.notes
    build.provenance |= {"inputs": used, "parameters": parameters}
