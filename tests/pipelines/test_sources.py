"""Maps from remote sources: the same archive behind real protocols on loopback."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr

from aqgeo import catalog, cube
from aqgeo.errors import CatalogError, GridError, SourceError
from aqgeo.sources import s5p
from pipelines import acquire, ingest, means, preview
from pipelines.workspace import Workspace, read_provenance
from tests.standins.sentinel_hub import ID, SECRET, SentinelHub
from tests.standins.server import Answer
from tests.standins.stac_api import StacApi

SENTINEL2, SENTINEL5P = "sentinel-2-l2a", "sentinel-5p-l2-no2"
PERIOD = "2024-06-03/2024-06-06"


def _items(archive: Path, api: StacApi) -> list[dict[str, Any]]:
    """Return an archive's items with addresses on a server, which then has their files."""
    found = []
    for item in pystac.Catalog.from_file(str(archive / "catalog.json")).get_items(recursive=True):
        for asset in item.assets.values():
            path = Path(asset.get_absolute_href())
            name = f"/data/{path.name}"
            api.server.files[name] = path.read_bytes()
            asset.href = api.server.url(name)
        told = item.to_dict(include_self_link=False, transform_hrefs=False)
        found.append({**told, "links": []})
    return found


@pytest.fixture
def api(small: Any) -> Iterator[StacApi]:
    """The archive of the region small behind a STAC API."""
    with StacApi([], page=3) as service:
        service.items = _items(small.archive, service)
        yield service


@pytest.fixture
def work(catalogs: Path, tmp_path: Path) -> Workspace:
    """An output folder with catalogs of its own."""
    own = Path(shutil.copytree(catalogs, tmp_path / "catalogs"))
    return Workspace(tmp_path / "out", catalogs=own)


def _serve(work: Workspace, source: catalog.Source, name: str = "standin") -> None:
    """Add a source to the catalog."""
    with (work.catalogs / "sources.toml").open("a") as file:
        file.write(f'\n[{name}]\ntitle = "A stand-in"\nhref = "{source.href}"\n')
        file.write(f'kind = "{source.kind}"\nauth = "{source.auth}"\n')
        file.write(f"hosts = {json.dumps(list(source.hosts))}\n[{name}.collections]\n")
        for ours, theirs in source.collections.items():
            file.write(f'"{ours}" = "{theirs}"\n')


def _ingest(work: Workspace, cluster: Any, collection: str, **how: Any) -> Path:
    how = {"sources": ("standin",), **how}
    return ingest.ingest(work, "small", PERIOD, collection=collection, cluster=cluster, **how)


def _same(one: Path, two: Path) -> None:
    for name in ("cube.zarr", "composite.zarr"):
        if (two / name).is_dir():
            xr.testing.assert_identical(cube.open(one / name).load(), cube.open(two / name).load())


@pytest.mark.parametrize("collection", [SENTINEL2, SENTINEL5P])
def test_a_remote_archive_gives_what_the_same_files_on_disk_give(
    collection: str, api: StacApi, work: Workspace, cluster: Any, small: Any
) -> None:
    _serve(work, api.source(collections={collection: collection}))
    path = _ingest(work, cluster, collection)
    _same(path, small.results[f"ingest-{collection}"])
    told = read_provenance(path)
    assert told["source"] == "standin" and told["simulated"] is True
    assert told["inputs"] == read_provenance(small.results[f"ingest-{collection}"])["inputs"]
    asked = len(api.server.seen)
    _ingest(work, cluster, collection)
    # A second run asks the catalog, and for no file.
    assert {seen.path.split("/")[1] for seen in api.server.seen[asked:]} == {"stac"}


def test_files_fetched_before_are_not_asked_for_again(
    api: StacApi, work: Workspace, cluster: Any
) -> None:
    _serve(work, api.source(collections={SENTINEL5P: SENTINEL5P}))
    path = _ingest(work, cluster, SENTINEL5P)
    shutil.rmtree(path)
    asked = len(api.server.seen)
    _ingest(work, cluster, SENTINEL5P)
    assert not [s for s in api.server.seen[asked:] if s.path.startswith("/data")]


@pytest.mark.parametrize("fault, told", [("page", "a web page"), ("cut", "cannot be read as")])
def test_a_granule_that_stays_broken_is_put_aside_and_the_result_says_so(
    fault: str, told: str, api: StacApi, work: Workspace, cluster: Any
) -> None:
    granules = sorted(name for name in api.server.files if name.endswith(".nc"))
    # What is cut is whole by its length and its first bytes, and yet no granule.
    broken = {"page": Answer.page().body, "cut": api.server.files[granules[0]][:4000]}
    api.server.files[granules[0]] = broken[fault] or b""
    _serve(work, api.source(collections={SENTINEL5P: SENTINEL5P}))
    about = read_provenance(_ingest(work, cluster, SENTINEL5P))
    (left,) = (note for note in about["notes"] if "left out" in note)
    assert Path(granules[0]).stem in left and told in left and str(work.root) not in left
    assert len(about["inputs"]) == len(granules) - 1 > 0
    (reason,) = (json.loads(p.read_text("utf-8")) for p in work.cache.glob("quarantine/*.json"))
    assert told in reason["reason"]


def test_without_a_single_whole_file_there_is_no_result(
    api: StacApi, work: Workspace, cluster: Any
) -> None:
    for name in list(api.server.files):
        if name.endswith(".nc"):
            del api.server.files[name]
    _serve(work, api.source(collections={SENTINEL5P: SENTINEL5P}))
    with pytest.raises(SourceError, match=r"could be fetched from standin; the first: .*404"):
        _ingest(work, cluster, SENTINEL5P)
    assert not list(work.root.rglob("cube.zarr"))


def test_a_scene_with_a_file_that_is_no_raster_is_left_out(
    api: StacApi, work: Workspace, cluster: Any
) -> None:
    bands = sorted(name for name in api.server.files if name.endswith("_B04.tif"))
    api.server.files[bands[0]] = b"II*\0" + bytes(4000)
    _serve(work, api.source(collections={SENTINEL2: SENTINEL2}))
    told = read_provenance(_ingest(work, cluster, SENTINEL2))
    assert len(told["inputs"]) == len(bands) - 1
    assert sum("left out" in note for note in told["notes"]) == 1
    assert len(list(work.cache.glob("quarantine/*.json"))) == 1


def test_an_item_that_lacks_a_band_is_left_out_and_the_others_go_on(
    api: StacApi, work: Workspace, cluster: Any
) -> None:
    scenes = [item for item in api.items if item["collection"] == SENTINEL2]
    del scenes[0]["assets"]["red"]
    _serve(work, api.source(collections={SENTINEL2: SENTINEL2}))
    told = read_provenance(_ingest(work, cluster, SENTINEL2))
    (note,) = (note for note in told["notes"] if "left out" in note)
    assert scenes[0]["id"] in note and "no asset for B04" in note
    assert len(told["inputs"]) == len(scenes) - 1


def test_a_folder_of_granules_gives_what_their_catalog_gives(
    work: Workspace, cluster: Any, small: Any
) -> None:
    path = _ingest(work, cluster, SENTINEL5P, sources=(), archive=small.archive / "data")
    _same(path, small.results[f"ingest-{SENTINEL5P}"])


def test_sources_are_asked_in_order_and_one_must_serve_the_collection(
    work: Workspace, api: StacApi
) -> None:
    _serve(work, api.source(collections={SENTINEL5P: SENTINEL5P}))
    span = acquire.Period.parse(PERIOD)
    names = ("standin", "simulated")
    assert work.source("small", span, SENTINEL5P, sources=names).name == "standin"
    assert work.source("small", span, SENTINEL2, sources=names).name == "simulated"
    with pytest.raises(CatalogError, match=r"serves 'sentinel-2-l2a': add --source with"):
        work.source("small", span, SENTINEL2, sources=("standin",))


def test_a_dry_run_tells_what_would_come_and_fetches_nothing(api: StacApi, work: Workspace) -> None:
    _serve(work, api.source(collections={SENTINEL2: SENTINEL2}))
    told = preview.preview(work, "small", PERIOD, collection=SENTINEL2, sources=("standin",))
    assert told["files"] == 7 * len(told["items"]) > 0
    assert not [seen for seen in api.server.seen if seen.path.startswith("/data")]
    assert "files" in preview.table(told)
    assert not work.root.exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[SentinelHub]:
    """A Sentinel Hub with two passes, whose pixels tell their own place."""
    monkeypatch.setenv("SH_CLIENT_ID", ID)
    monkeypatch.setenv("SH_CLIENT_SECRET", SECRET)
    products = (("first", "2024-06-03T10:00:00Z"), ("second", "2024-06-04T10:00:00Z"))

    def value(band: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if band == "SCL":
            return np.full(x.shape, 4)
        return 1e-4 + 0 * x if band == "NO2" else 0.1 + 0 * x

    with SentinelHub(value, products=products) as service:
        yield service


@pytest.mark.parametrize("collection", [SENTINEL2, SENTINEL5P])
def test_sentinel_hub_fills_the_same_cubes_and_its_price_is_told_before(
    collection: str, hub: SentinelHub, work: Workspace, cluster: Any
) -> None:
    _serve(work, hub.source())
    how: dict[str, Any] = {"collection": collection, "sources": ("standin",)}
    told = preview.preview(work, "small", PERIOD, **how)
    assert told["processing_units"] > 0 and not hub.payloads
    assert "estimate" in preview.table(told)
    path = _ingest(work, cluster, collection)
    series = cube.open(path / "cube.zarr")
    name, value = ("no2_column", 1e-4) if collection == SENTINEL5P else ("B04", 0.1)
    assert series.sizes["time"] == 2
    np.testing.assert_allclose(series[name].to_numpy(), value, rtol=1e-3)
    assert any("Sentinel Hub" in note for note in read_provenance(path)["notes"])
    if collection == SENTINEL5P:
        mean = cube.open(path / "composite.zarr")
        np.testing.assert_allclose(mean["no2_column"].to_numpy(), value, rtol=1e-6)
    for file in work.root.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


def test_means_by_day_and_month_add_up_to_the_mean_of_the_period(small: Any) -> None:
    whole = cube.open(small.results[f"ingest-{SENTINEL5P}"] / "composite.zarr").load()
    work = replace(small.work)
    months = cube.open(means.means(work, "small", PERIOD, every="month") / "cube.zarr").load()
    days = cube.open(means.means(work, "small", PERIOD, every="day") / "cube.zarr").load()
    orbits = cube.open(small.results[f"ingest-{SENTINEL5P}"] / "cube.zarr")["time"]
    assert months.sizes["time"] == 1
    assert days["time"].to_numpy().tolist() == sorted({*orbits.dt.floor("D").to_numpy().tolist()})
    for name in ("no2_column", "valid_count"):
        np.testing.assert_allclose(months[name], whole[name], rtol=1e-6)
    assert np.array_equal(days["valid_count"].sum("time"), whole["valid_count"][0])
    notes = read_provenance(work.stage("small", acquire.Period.parse(PERIOD), "means-month"))
    assert "2024-06 is cut by the period 2024-06-03/2024-06-06" in notes["notes"]


def test_the_command_line_knows_means_and_dry_runs(
    tell: Callable[..., Any], small: Any, tmp_path: Path
) -> None:
    told = tell("means", "demo", "-p", PERIOD, "--every", "year", "--out", tmp_path)
    assert told.code == 2 and "choose day, week, month, season" in told.err[-1]
    words = ("ingest", "demo", "-p", PERIOD, "--collection", SENTINEL5P, "--dry-run")
    told = tell(*words, "--archive", small.archive, "--out", tmp_path / "out")
    assert told.code == 0 and told.out == []
    assert any(line.startswith("items") for line in told.err)


def test_further_fields_have_the_weights_of_the_column(
    small: Any, catalogs: Path, cluster: Any, tmp_path: Path
) -> None:
    work = Workspace(tmp_path / "out", catalogs=catalogs)
    names = ("averaging_kernel_troposphere", "surface_pressure", s5p.COLUMN)
    how: dict[str, Any] = {"archive": small.archive, "sources": (), "fields": names}
    path = _ingest(work, cluster, SENTINEL5P, **how)
    fields = cube.open(path / "fields.zarr").load()
    column = cube.open(path / "composite.zarr")["no2_column"].to_numpy()
    np.testing.assert_allclose(fields[s5p.COLUMN].to_numpy(), column, rtol=1e-6)
    assert fields["averaging_kernel_troposphere"].dims == ("time", "band", "y", "x")
    assert fields["averaging_kernel_troposphere"].sizes["band"] == 34
    pressure = fields["surface_pressure"]
    assert pressure.attrs["units"] == "Pa"
    assert 5e4 < float(pressure.min()) <= float(pressure.max()) < 1.1e5
    rule = read_provenance(path)["parameters"]["pixels"]
    assert rule.startswith("qa_value > 0.75")


def test_a_grid_that_no_worker_could_hold_is_refused_before_anything_is_read(
    work: Workspace, cluster: Any
) -> None:
    path = work.catalogs / "regions.geojson"
    content = json.loads(path.read_text("utf-8"))
    for feature in content["features"]:
        if feature["id"] == "small":
            feature["properties"]["grids"]["no2_column"]["resolution_m"] = 3
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(GridError, match=r"cells, at most 33554432 are summed at once: choose a"):
        _ingest(work, cluster, SENTINEL5P, sources=("simulated",))
