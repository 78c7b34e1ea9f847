"""Searching a static catalog on disk: what meets place and time, and the word if nothing does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pystac
import pytest
import shapely
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import stac

JUNE = Period.parse("2024-06")
WHERE = GeoBox.from_bbox((500_000, 5_200_000, 560_000, 5_260_000), "EPSG:32633", resolution=4000)
NEAR, FAR = (15.1, 47.0, 15.4, 47.3), (3.0, 50.0, 4.0, 51.0)


def item(name: str, when: datetime | None, bbox=NEAR, **properties) -> pystac.Item:
    outline = shapely.geometry.mapping(shapely.box(*bbox))
    return pystac.Item(name, outline, list(bbox), when, properties)


def catalog(folder: Path, items: list[pystac.Item], name: str = "sentinel-2-l2a") -> Path:
    extent = pystac.Extent(
        pystac.SpatialExtent([list(NEAR)]), pystac.TemporalExtent([[JUNE.start, JUNE.end]])
    )
    root, collection = pystac.Catalog("root", "Made up"), pystac.Collection(name, "Made up", extent)
    root.add_child(collection)
    collection.add_items(items)
    root.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


def day(number: int) -> datetime:
    return datetime(2024, 6, number, 10, tzinfo=UTC)


def refusal(*args) -> str:
    with pytest.raises(SourceError) as caught:
        stac.search(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_items_that_meet_place_and_time_come_by_time_then_id(tmp_path: Path) -> None:
    items = [item("c", day(3)), item("b", day(2)), item("a", day(3)), item("far", day(3), FAR)]
    path = catalog(tmp_path, items)
    found = stac.search(path, "sentinel-2-l2a", WHERE, JUNE)
    assert [i.id for i in found] == ["b", "a", "c"]
    assert [i.id for i in stac.search(tmp_path, "sentinel-2-l2a", WHERE, JUNE)] == ["b", "a", "c"]


def test_the_start_of_the_period_is_in_and_its_end_is_out(tmp_path: Path) -> None:
    second = timedelta(seconds=1)
    times = {"before": JUNE.start - second, "start": JUNE.start, "last": JUNE.end - second}
    path = catalog(tmp_path, [item(k, v) for k, v in {**times, "end": JUNE.end}.items()])
    found = stac.search(path, "sentinel-2-l2a", WHERE, JUNE)
    assert [i.id for i in found] == ["start", "last"]


def test_an_item_of_a_span_counts_by_its_start_in_utc(tmp_path: Path) -> None:
    span = {"start_datetime": "2024-06-30T23:30:00-02:00", "end_datetime": "2024-07-02T00:00:00Z"}
    late = item("late", None, **span)
    path = catalog(tmp_path, [late, item("in", day(30))])
    assert stac.start(late) == datetime(2024, 7, 1, 1, 30, tzinfo=UTC)
    assert [i.id for i in stac.search(path, "sentinel-2-l2a", WHERE, JUNE)] == ["in"]


def test_nothing_found_is_told_with_place_period_and_what_there_is(tmp_path: Path) -> None:
    path = catalog(tmp_path, [item("far", day(3), FAR)])
    line = refusal(path, "sentinel-2-l2a", WHERE, JUNE)
    for word in (str(path), "sentinel-2-l2a", "2024-06", "15.000", "2024-07-01", "15.1"):
        assert word in line


def test_an_unknown_collection_is_answered_with_those_there_are(tmp_path: Path) -> None:
    path = catalog(tmp_path, [item("a", day(3))])
    line = refusal(path, "sentinel-9", WHERE, JUNE)
    assert "'sentinel-9'" in line and "sentinel-2-l2a" in line and str(path) in line


@pytest.mark.parametrize("text", [None, "", "{", "[]", "<html>"])
def test_a_file_that_is_no_catalog_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "catalog.json"
    if text is not None:
        path.write_text(text)
    assert str(path) in refusal(path, "sentinel-2-l2a", WHERE, JUNE)


@pytest.mark.parametrize("text", ["", '{"type": "Feature"'])
def test_a_broken_item_is_told_with_catalog_and_collection(tmp_path: Path, text: str) -> None:
    path = catalog(tmp_path, [item("a", day(3))])
    next(tmp_path.rglob("a.json")).write_text(text)
    line = refusal(path, "sentinel-2-l2a", WHERE, JUNE)
    assert str(path) in line and "sentinel-2-l2a" in line


def test_a_missing_item_file_is_told(tmp_path: Path) -> None:
    path = catalog(tmp_path, [item("a", day(3))])
    next(tmp_path.rglob("a.json")).unlink()
    assert "a.json" in refusal(path, "sentinel-2-l2a", WHERE, JUNE)


def test_an_asset_is_a_file_beside_its_item(tmp_path: Path) -> None:
    one = item("a", day(3))
    one.add_asset("B04", pystac.Asset("./B04.tif"))
    path = catalog(tmp_path, [one])
    file = next(tmp_path.rglob("a.json")).parent / "B04.tif"
    file.touch()
    found = stac.search(path, "sentinel-2-l2a", WHERE, JUNE)[0]
    assert stac.asset_path(found, "B04").samefile(file)


@pytest.mark.parametrize(
    ("href", "word"),
    [
        ("https://example.com/B04.tif", "no local file"),
        ("s3://bucket/B04.tif", "no local file"),
        ("/vsicurl/https://example.com/B04.tif", "no local file"),
        ("/nowhere/B04.tif", "does not exist"),
    ],
)
def test_an_asset_that_is_no_file_here_is_named_with_item_key_and_address(href, word) -> None:
    one = item("scene-1", day(3))
    one.add_asset("B04", pystac.Asset(href))
    with pytest.raises(SourceError, match=word) as caught:
        stac.asset_path(one, "B04")
    assert all(part in str(caught.value) for part in ("scene-1", "'B04'", href))


def test_a_missing_asset_is_answered_with_those_there_are() -> None:
    one = item("scene-1", day(3))
    one.add_asset("B02", pystac.Asset("/x"))
    with pytest.raises(SourceError, match=r"scene-1 has no asset 'B04': it has B02"):
        stac.asset_path(one, "B04")


def test_an_item_without_any_time_is_named() -> None:
    one = item("scene-1", day(3))
    one.datetime = None
    with pytest.raises(SourceError, match="scene-1"):
        stac.start(one)


def test_the_credit_says_who_observed_and_when(tmp_path: Path) -> None:
    path = catalog(tmp_path, [item("a", day(3)), item("b", day(4).replace(year=2022))])
    found = list(pystac.Catalog.from_file(str(path)).get_items(recursive=True))
    assert stac.credit(found) == "Contains modified Copernicus Sentinel data 2022-2024"
    one_year = [i for i in found if i.id == "a"]
    assert stac.credit(one_year) == "Contains modified Copernicus Sentinel data 2024"


def test_a_single_simulated_item_makes_the_credit_say_simulated() -> None:
    mixed = [item("a", day(3)), item("b", day(4), **{"aqgeo:simulated": True})]
    assert "not observed" in stac.credit(mixed)


def test_a_box_with_heights_is_read(tmp_path: Path) -> None:
    high = item("high", day(5))
    high.bbox = [*NEAR[:2], 0.0, *NEAR[2:], 900.0]
    found = stac.search(catalog(tmp_path, [high]), "sentinel-2-l2a", WHERE, JUNE)
    assert [i.id for i in found] == ["high"]


def test_a_table_of_many_days_counts_by_any_part_in_the_period(tmp_path: Path) -> None:
    spans = {
        "may": (5, 1, 5, 31),
        "june": (6, 1, 6, 30),
        "summer": (6, 20, 8, 1),
        "july": (7, 1, 7, 9),
    }
    items = [
        item(
            name,
            None,
            start_datetime=f"2024-{a:02}-{b:02}T00:00:00Z",
            end_datetime=f"2024-{c:02}-{d:02}T00:00:00Z",
        )
        for name, (a, b, c, d) in spans.items()
    ]
    path = catalog(tmp_path, items, "stations-no2")
    days = Period.parse("2024-06-05/2024-07-01")
    found = stac.search(path, "stations-no2", WHERE, days, overlap=True)
    assert [i.id for i in found] == ["june", "summer"]
