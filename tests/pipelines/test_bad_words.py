"""What a user may mistype: every mistake is one line on stderr and exit code 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OWN = ["--period", "2024-06-04"]
INGEST = ["ingest", "demo", *OWN, "--collection"]
# What is typed -> what the line must say: the value met, the rule, the remedy.
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "unknown region": (["clean", "atlantis", *OWN], ["'atlantis'", "choose one of demo"]),
    "unknown region, map": (["map", "atlantis", *OWN], ["'atlantis'", "choose one of demo"]),
    "unknown product": (["map", "demo", *OWN, "--product", "soot"], ["'soot'", "no2_surface"]),
    "unknown collection": ([*INGEST, "landsat"], ["'landsat'", "choose one of stations-no2"]),
    "unknown cloud method": (
        ["map", "demo", *OWN, "--clouds", "rainbow"],
        ["'rainbow'", "choose one of unet, scl, s2cloudless"],
    ),
    "clouds that shrink": (
        ["map", "demo", *OWN, "--cloud-dilation-m", "-60"],
        ["cannot grow by -60.0 m", "choose 0 to"],
    ),
    "unknown source": (["map", "demo", *OWN, "--source", "mars"], ["'mars'", "simulated"]),
    "malformed period": (["map", "demo", "--period", "June"], ["'June'", "write 2024"]),
    "impossible month": (["map", "demo", "--period", "2024-13"], ["'2024-13'", "write 2024"]),
    "half a period": (["map", "demo", "--period", "2024-06/"], ["'2024-06/'", "write 2024"]),
    "empty period": (
        ["map", "demo", "--period", "2024-06-05/2024-06-03"],
        ["2024-06-05/2024-06-03 is empty", "must lie after the start"],
    ),
    "no period": (["map", "demo"], ["--period", "aqgeo --help"]),
    "region without source": (["map", "styria", *OWN], ["'styria'", "give --archive CATALOG"]),
    "clean too early": (["clean", "demo", *OWN], ["'ingest-sentinel-2-l2a'", "aqgeo map"]),
    "enhance too early": (["enhance", "demo", *OWN], ["'ingest-sentinel-5p-l2-no2'", "aqgeo map"]),
    "estimate too early": (["estimate", "demo", *OWN], ["enhance does not exist", "aqgeo map"]),
    "publish too early": (
        ["publish", "demo", *OWN, "--product", "no2_column"],
        ["ingest-sentinel-5p-l2-no2 does not exist", "aqgeo map"],
    ),
    "validate too early": (["validate", "demo", *OWN], ["no map of 'demo'", "aqgeo map"]),
    "no workers": (
        ["map", "demo", *OWN, "--workers", "0"],
        ["--workers", "equal to 1", "aqgeo --help"],
    ),
    "quality beyond 1": (
        [*INGEST, "sentinel-5p-l2-no2", "--min-qa", "2"],
        ["--min-qa", "equal to 1"],
    ),
    "unknown option": (["map", "demo", *OWN, "--colour", "red"], ["--colour", "aqgeo --help"]),
    "unknown verb": (["paint", "demo"], ["'paint'", "aqgeo --help"]),
    "summary nowhere": (
        ["map", "demo", *OWN, "--json", "no/such/place.json"],
        ["no/such is no folder", "make it first"],
    ),
    "summary a folder": (["map", "demo", *OWN, "--json", "/"], ["'/' is a directory"]),
}


def one_line(told: Any) -> str:
    assert told.code == 2, told
    assert told.out == []
    assert len(told.err) == 1, told.err
    assert told.err[0].startswith("aqgeo: ")
    assert "Traceback" not in told.err[0]
    return str(told.err[0])


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_leaves_nothing(
    name: str, tell: Callable[..., Any], tmp_path: Path
) -> None:
    words, parts = MISTAKES[name]
    out = ["--out", tmp_path / "out"] if words[0] != "paint" else []
    line = one_line(tell(*words, *out))
    assert [part for part in parts if part not in line] == [], line
    assert not list(tmp_path.rglob("*"))


def _archive(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "catalog.json").write_text(text, "utf-8")
    return folder


def _empty_catalog() -> str:
    content = {"type": "Catalog", "id": "c", "stac_version": "1.1.0", "description": "c"}
    return json.dumps({**content, "links": []})


CATALOGS = {
    "no JSON": ("<html>404</html>", "is no readable STAC catalog"),
    "no STAC": ('{"a": 1}', "is no readable STAC catalog"),
    "a list": ("[]", "is no readable STAC catalog"),
    "empty file": ("", "is no readable STAC catalog"),
    "no collections": (_empty_catalog(), "has no collection 'sentinel-2-l2a': it has none"),
}


@pytest.mark.parametrize("name", CATALOGS)
def test_a_broken_catalog_is_named(name: str, tell: Callable[..., Any], tmp_path: Path) -> None:
    text, part = CATALOGS[name]
    archive = _archive(tmp_path / "archive", text)
    words = ("ingest", "demo", *OWN, "--collection", "sentinel-2-l2a", "--out", tmp_path / "out")
    line = one_line(tell(*words, "--archive", archive / "catalog.json"))
    assert str(archive) in line
    assert part in line
    assert not (tmp_path / "out").exists()


def test_an_absent_catalog_is_named(tell: Callable[..., Any], tmp_path: Path) -> None:
    absent = tmp_path / "nowhere" / "catalog.json"
    line = one_line(
        tell("map", "demo", *OWN, "--archive", absent, "--out", tmp_path / "out"),
    )
    assert line == (f"aqgeo: {absent} does not exist: give --archive the path of a catalog.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("region, period", [("styria", "2024-06-04"), ("demo", "2023-01")])
def test_a_region_or_period_beyond_the_archive_is_told_what_there_is(
    region: str, period: str, tell: Callable[..., Any], small: Any, tmp_path: Path
) -> None:
    words = ("ingest", region, "--period", period, "--collection", "sentinel-2-l2a")
    line = one_line(tell(*words, "--archive", small.archive, "--out", tmp_path / "out"))
    assert "no item of 'sentinel-2-l2a' meets the region" in line
    assert f"in {period}; the collection covers (" in line
    assert "from 2024-06-03 to 2024-06-05: choose another period, region or archive" in line
    assert not list(tmp_path.iterdir())
