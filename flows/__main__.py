"""Runs the flow regional-map here, with an embedded Prefect server: `python -m flows demo ...`."""

# Dask's worker processes import this module again: what is heavy is imported below the guard.
import argparse
import os
import sys
from pathlib import Path

from aqgeo.errors import AqgeoError


def _up_to_date(region: str, period: str, out: str) -> list[str] | None:
    """Return the paths if no result is stale; no server is started to find out."""
    from pipelines import chain
    from pipelines.cluster import Cluster
    from pipelines.workspace import Stale, Workspace

    work = Workspace(Path(out).absolute(), frozen=True)
    try:
        results = chain.run(chain.steps(work, region, period, cluster=Cluster()))
    except Stale:
        return None
    return [os.path.relpath(path) for path in chain.made(work, results)]


def _run(region: str, period: str, out: str) -> list[str]:
    from flows.regional_map import regional_map

    return regional_map(region, period, out=out)


def _tell_scores(paths: list[str]) -> None:
    """Write the short form of the scorecard, where there is one, to stderr."""
    from pipelines import score

    for path in map(Path, paths):
        if path.name == score.PAGE:
            sys.stderr.write(score.short(path.parent))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    parser.add_argument("region")
    parser.add_argument("--period", required=True)
    parser.add_argument("--out", default="work")
    given = vars(parser.parse_args())
    try:
        paths = _up_to_date(**given) or _run(**given)
    except AqgeoError as err:
        sys.stderr.write(f"aqgeo: {' '.join(str(err).split())}\n")
        sys.exit(2)
    _tell_scores(paths)
    sys.stdout.write("".join(f"{path}\n" for path in paths))
