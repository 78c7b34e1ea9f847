"""The command `simulate`: options that make no sense, and options that are kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
from pipelines.workspace import Workspace

OWN = ("--period", "2024-06-04")
TINY = ("--size-km", 3, "--scenes", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size-km", 0], "size 0 km cannot be simulated: choose more than 0"),
        (["--size-km", 10.01], "no whole number of Sentinel-2's pixels of 60 m"),
        (["--size-km", 4000], "at most 400 km"),
        (["--resolution", 15], "resolution 15 m does not divide"),
        (["--clouds", 2], "clouds 2.0 is no share of the sky"),
        (["--preset", "moon"], "choose one of city, coast, plain, winter, fires"),
        (["--days", 0], "days must be 1 or more"),
        (["--scenes", 0], "scenes must be 1 or more"),
        (["--level", "l3"], "'l3'"),
        (["--granules", "half"], "'half'"),
    ],
)
def test_a_wrong_option_gets_one_line(
    words: list[Any], said: str, tell: Callable[..., Any], tmp_path: Path
) -> None:
    told = tell("simulate", "demo", *OWN, *words, "--out", tmp_path / "out")
    assert told.code == 2 and told.out == []
    assert len(told.err) == 1 and said in told.err[0]
    assert not (tmp_path / "out" / "simulated" / "demo" / "2024-06-04").exists()


def test_a_region_at_the_pole_gets_one_line(
    tell: Callable[..., Any], catalogs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads((catalogs / "regions.geojson").read_text("utf-8"))
    ring = [[14, 83], [15, 83], [15, 83.5], [14, 83.5], [14, 83]]
    grids = content["features"][0]["properties"]["grids"]
    feature = {
        "type": "Feature",
        "id": "pole",
        "properties": {"title": "Pole", "grids": grids},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    changed = tmp_path / "catalogs"
    changed.mkdir()
    for path in catalogs.iterdir():
        (changed / path.name).symlink_to(path)
    (changed / "regions.geojson").unlink()
    text = json.dumps({**content, "features": [*content["features"], feature]})
    (changed / "regions.geojson").write_text(text, "utf-8")
    made = Workspace(tmp_path / "out", catalogs=changed)
    monkeypatch.setattr(cli, "_workspace", lambda out: made)
    told = tell("simulate", "pole", *OWN, "--out", tmp_path / "out")
    assert told.code == 2 and len(told.err) == 1
    assert "degrees of latitude" in told.err[0] and "farther from the pole" in told.err[0]


@pytest.mark.parametrize("period", ["2024-06", "2024-06-01/2024-06-03", "2024-06-01T06/2024-06-02"])
def test_orbits_are_of_one_day(period: str, tell: Callable[..., Any], tmp_path: Path) -> None:
    told = tell("simulate-orbits", "--period", period, "--out", tmp_path)
    assert told.code == 2 and len(told.err) == 1
    assert "2024-06" in told.err[0]


def test_options_left_out_are_those_of_the_archive_that_lies_there(
    tell: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("simulate", "demo", *OWN, "--out", tmp_path)
    assert tell(*words, *TINY, "--preset", "coast", "--seed", 5).code == 0
    path = tmp_path / "simulated/demo/2024-06-04/provenance.json"
    first = json.loads(path.read_text("utf-8"))
    assert first["settings"]["preset"] == "coast" and first["settings"]["seed"] == 5
    stamp = path.stat().st_mtime_ns
    assert tell(*words).code == 0
    assert path.stat().st_mtime_ns == stamp
    assert tell(*words, "--seed", 6).code == 0
    second = json.loads(path.read_text("utf-8"))
    assert second["settings"] == {**first["settings"], "seed": 6}
    assert second["key"] != first["key"]


def test_a_lost_file_of_the_archive_is_noticed(tell: Callable[..., Any], tmp_path: Path) -> None:
    words = ("simulate", "demo", *OWN, *TINY, "--out", tmp_path)
    assert tell(*words).code == 0
    catalog = tmp_path / "simulated/demo/2024-06-04/archive/catalog.json"
    catalog.unlink()
    assert tell(*words).code == 0
    assert catalog.is_file()
