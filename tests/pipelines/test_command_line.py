"""What the command line prints, where, and how lightly it starts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VERBS = "simulate ingest clean enhance estimate publish validate score map".split()
HEAVY = {"xarray", "dask", "distributed", "prefect", "torch", "rasterio", "geopandas", "sklearn"}
# Answers help in a process of its own, then names the heavy libraries that it has loaded.
HELP = f"""
import sys
from pipelines import cli
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sorted(set(sys.modules) & {HEAVY!r})))
"""


@pytest.mark.parametrize("verb", ["", *VERBS, "--version"])
def test_help_is_given_without_loading_what_is_heavy(verb: str, root: Path) -> None:
    words = [word for word in (verb, "--help") if word]
    words = ["--version"] if verb == "--version" else words
    done = subprocess.run(
        [sys.executable, "-c", HELP, *words], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert ("aqgeo 0." if verb == "--version" else "Usage:") in done.stdout


def test_help_names_every_verb_and_nothing_else(tell: Callable[..., Any]) -> None:
    told = tell("--help")
    assert told.code == 0
    listed = [line.split()[1] for line in told.out if line.startswith("│ ") and line[2] != "-"]
    assert sorted(word for word in listed if word in VERBS) == sorted(VERBS)


def test_no_verb_at_all_is_an_error(aqgeo: Callable[..., Any], tell: Callable[..., Any]) -> None:
    told = aqgeo()
    assert told.code == 2
    assert "map" in " ".join([*told.out, *told.err])
    assert not any(line.startswith("aqgeo:") for line in told.err)
    line = "aqgeo: Invalid value: no verb is given: see `aqgeo --help`"
    assert tell() == (2, [], [line])


def test_map_prints_the_paths_that_people_open_and_nothing_else(demo: Any) -> None:
    paths = [demo.out / line for line in demo.printed]
    assert all(path.is_file() for path in paths)
    assert len(paths) == len(set(paths)) == 25
    others = [path.name for path in paths if path.suffix != ".tif"]
    assert others == ["scorecard.html", "report.html", "catalog.json"]
    found = {path for path in (demo.out / "maps").rglob("*.tif")}
    assert found == {path for path in paths if path.suffix == ".tif"}


def test_the_summary_of_a_map_holds_paths_provenance_and_scores(demo: Any) -> None:
    assert demo.summary["paths"] == demo.printed
    told = demo.summary["provenance"]
    assert {entry["stage"] for entry in told.values()} >= {"publish-no2_surface", "validate"}
    assert all(len(entry["key"]) == 64 for entry in told.values())
    scores = demo.summary["validation"]["scores"]
    assert scores[0]["rmse"] < scores[1]["rmse"], "worse than the mean of the other stations"


@pytest.mark.parametrize(
    "words",
    [
        ["simulate"],
        ["ingest", "--collection", "stations-no2"],
        ["clean"],
        ["enhance"],
        ["estimate"],
        ["publish", "--product", "no2_surface"],
        ["validate"],
        ["score"],
    ],
    ids=lambda words: words[0],
)
def test_the_summary_of_each_stage_holds_the_printed_paths(
    words: list[str], demo: Any, tell: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "summary.json"
    place = ("demo", "--period", "2024-06", "--out", demo.out)
    told = tell(words[0], *place, *words[1:], "--json", file)
    assert told.code == 0, told.err
    content = json.loads(file.read_text("utf-8"))
    assert content["paths"] == told.out
    assert len(told.out) == 1
    assert Path(told.out[0]).exists()
    assert len(content["provenance"]) == 1
    assert ("validation" in content) == (words[0] == "validate")
