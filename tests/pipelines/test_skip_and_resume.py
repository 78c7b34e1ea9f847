"""Stages are skipped, made anew or resumed as their inputs and their ends ask for."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STAGES = Path("stages") / "demo" / "2024-06-03_2024-06-06"
WORDS = ("map", "demo", "--period", "2024-06-03/2024-06-06", "--workers", "1")
# Stages killed one after the other, each in a run that resumes what the one before has left.
KILLED = (
    STAGES / ".ingest-sentinel-2-l2a.part" / "cube.zarr",
    STAGES / ".clean.part",
    Path("maps") / "surface_reflectance" / "demo" / ".2024-06-03_2024-06-06.part",
)


def test_a_second_run_changes_no_file(
    small: Any, make: Callable[..., Any], times: Callable[..., Any]
) -> None:
    before = times(small.work.root)
    assert make(small.work.root).results == small.results
    assert times(small.work.root) == before


def test_the_command_line_skips_what_the_same_code_has_made(
    demo: Any, aqgeo: Callable[..., Any], times: Callable[..., Any]
) -> None:
    before = times(demo.out / "maps", demo.out / "reports", demo.stages)
    done = aqgeo("map", "demo", "--period", "2024-06", "--out", demo.out, cwd=demo.out)
    assert (done.code, done.out) == (0, demo.printed), done.err
    assert times(demo.out / "maps", demo.out / "reports", demo.stages) == before
    assert [line for line in done.err if not line.endswith("is up to date")] == []


def _touched(archive: Path, pattern: str) -> Path:
    """Give a file of the archive its bytes anew, as a fetch would."""
    path = min(archive.glob(pattern))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def _other_provider(archive: Path, pattern: str) -> Path:
    path = _touched(archive, pattern)
    content = json.loads(path.read_text("utf-8"))
    content["providers"] = [{"name": "Another office"}]
    for item in archive.glob("stations-no2/*/*.json"):
        told = json.loads(item.read_text("utf-8"))
        told["properties"]["aqgeo:simulated"] = False
        item.unlink()
        item.write_text(json.dumps(told), "utf-8")
    path.write_text(json.dumps(content), "utf-8")
    return path


# The file that changes -> the results that are made anew; all others stay.
CHANGES: dict[str, tuple[str, set[str]]] = {
    "a band of a scene": (
        "data/sentinel2/*_B04.tif",
        {"ingest-sentinel-2-l2a", "clean", "estimate"}
        | {"surface_reflectance", "cloud_mask", "no2_surface"},
    ),
    "a granule": (
        "data/sentinel5p/*.nc",
        {"ingest-sentinel-5p-l2-no2", "enhance", "estimate"}
        | {"no2_column", "no2_column_fine", "no2_surface"},
    ),
    "the station table": (
        "data/stations/*.csv",
        {"ingest-stations-no2", "estimate", "no2_surface"},
    ),
}


def _made_anew(before: dict[str, int], after: dict[str, int], root: Path) -> set[str]:
    changed = {Path(p).relative_to(root).parts for p, t in after.items() if before.get(p) != t}
    stages = {parts[3] for parts in changed if parts[0] == "stages"}
    return stages | {p[1] for p in changed if p[0] == "maps" and "provenance.json" in p}


@pytest.mark.parametrize("name", CHANGES)
def test_what_depends_on_a_changed_file_is_made_anew(
    name: str,
    small: Any,
    make: Callable[..., Any],
    copy: Callable[..., Path],
    times: Callable[..., Any],
    digests: Callable[..., Any],
    tmp_path: Path,
) -> None:
    pattern, expected = CHANGES[name]
    # The copy has the time of change of each file, but lies elsewhere: results stay current.
    out = copy(small.work.root, tmp_path / "out")
    how = {"archive": out / small.archive.relative_to(small.work.root) / "catalog.json"}
    make(out, **how)
    before = times(out / "stages", out / "maps")
    _touched(out / small.archive.relative_to(small.work.root), pattern)
    make(out, **how)
    assert _made_anew(before, times(out / "stages", out / "maps"), out) == expected
    assert digests(out / "maps") == digests(small.work.maps)


def test_a_new_provider_reaches_the_credit(
    small: Any, make: Callable[..., Any], copy: Callable[..., Path], tmp_path: Path
) -> None:
    out = copy(small.work.root, tmp_path / "out")
    archive = out / small.archive.relative_to(small.work.root)
    _other_provider(archive, "stations-no2/collection.json")
    make(out, archive=archive / "catalog.json")
    path = archive / "stations-no2" / "collection.json"
    text = path.read_text("utf-8").replace("Another office", "A third one")
    path.unlink()
    path.write_text(text, "utf-8")
    made = make(out, archive=archive / "catalog.json")
    told = json.loads((made.results["ingest-stations-no2"] / "provenance.json").read_text("utf-8"))
    assert told["attribution"] == "Station data: A third one"


def test_a_run_killed_in_any_stage_is_resumed_to_the_same_bytes(
    start: Callable[..., Any],
    until: Callable[..., Any],
    aqgeo: Callable[..., Any],
    small: Any,
    digests: Callable[..., Any],
    leftovers: Callable[..., Any],
    tmp_path: Path,
) -> None:
    archive = ("--archive", small.archive)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert aqgeo(*WORDS, *archive, "--out", whole).code == 0
    for part in KILLED:
        words = ("pipelines.cli", "-q", *WORDS, *archive, "--out", killed)
        process = start(*words, stdout=-3, stderr=-3)
        until((killed / part).exists, f"{part} in the making")
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"{part} was gone before the kill"
        assert leftovers(killed), part
    done = aqgeo(*WORDS, *archive, "--out", killed)
    assert done.code == 0, done.err
    assert "ingest-sentinel-2-l2a is up to date" in " ".join(done.err)
    assert digests(killed) == digests(whole)
    assert leftovers(killed) == []


def test_an_interrupted_stage_leaves_nothing(
    start: Callable[..., Any],
    until: Callable[..., Any],
    leftovers: Callable[..., Any],
    tmp_path: Path,
) -> None:
    words = ("-q", "simulate", "demo", "--period", "2024-06", "--out", tmp_path)
    process = start("pipelines.cli", *words, stdout=-1, stderr=-1)
    until(lambda: leftovers(tmp_path), "the archive in the making")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.rglob("catalog.json"))


def test_a_published_file_that_was_deleted_is_made_again_and_one_put_beside_it_stays(
    small: Any, make: Callable[..., Any], copy: Callable[..., Path], tmp_path: Path
) -> None:
    out = copy(small.work.root, tmp_path / "out")
    folder = out / small.results["publish-no2_column"].relative_to(small.work.root)
    beside = folder / "no2_column.tif.aux.xml"
    beside.write_text("statistics of a GIS program", "utf-8")
    archive = out / small.archive.relative_to(small.work.root) / "catalog.json"
    make(out, archive=archive)
    assert beside.is_file()
    lost = folder / "no2_column.tif"
    whole = lost.read_bytes()
    lost.unlink()
    make(out, archive=archive)
    assert lost.read_bytes() == whole


def test_a_map_is_never_compared_with_stations_of_another_estimate(
    small: Any, copy: Callable[..., Path], tmp_path: Path
) -> None:
    from aqgeo.errors import WorkspaceError
    from pipelines.validate import validate
    from pipelines.workspace import Workspace

    out = copy(small.work.root, tmp_path / "out")
    path = out / small.results["estimate"].relative_to(small.work.root) / "provenance.json"
    told = json.loads(path.read_text("utf-8")) | {"key": "a later run"}
    path.unlink()
    path.write_text(json.dumps(told), "utf-8")
    with pytest.raises(WorkspaceError, match="publish no2_surface again"):
        validate(Workspace(out, catalogs=small.work.catalogs), "small", "2024-06-03/2024-06-06")
