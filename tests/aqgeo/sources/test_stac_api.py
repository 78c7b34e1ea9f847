"""Searching a STAC API: all that is there and nothing twice, or one line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pystac
import pytest
import shapely
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import outlines, stac_api
from tests.standins.server import Answer, Server
from tests.standins.stac_api import CQL2, ERRORS, SORTED, StacApi

JUNE = Period.parse("2024-06")
WHERE = GeoBox.from_bbox((500_000, 5_200_000, 560_000, 5_260_000), "EPSG:32633", resolution=4000)
NEAR, FAR = (15.1, 47.0, 15.4, 47.3), (3.0, 50.0, 4.0, 51.0)
S2 = "sentinel-2-l2a"


def item(name: str, when: datetime | int = 3, bbox: Any = NEAR, **more: Any) -> dict[str, Any]:
    when = when if isinstance(when, datetime) else datetime(2024, 6, when, 10, tzinfo=UTC)
    made = pystac.Item(name, shapely.geometry.mapping(shapely.box(*bbox)), list(bbox), when, more)
    made.add_asset("B04", pystac.Asset("https://example.com/B04.tif?sig=secret"))
    return {**made.to_dict(), "collection": S2}


def many(count: int) -> list[dict[str, Any]]:
    return [item(f"scene-{n:03}", 1 + n % 30) for n in range(count)]


def ids(api: StacApi, where: GeoBox = WHERE, **how: Any) -> list[str]:
    items, notes = stac_api.search(api.source(), S2, where, JUNE, api.client(), **how)
    assert notes == []
    return [one.id for one in items]


def refusal(api: StacApi, period: Period = JUNE, **source: Any) -> str:
    with pytest.raises(SourceError) as caught:
        stac_api.search(api.source(**source), S2, WHERE, period, api.client())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize("paging", ["merge", "body", "headers", "get"])
@pytest.mark.parametrize("how", [{}, {"hollow": True}, {"repeat": 2}, {"by_post": False}])
def test_every_item_comes_once_however_pages_are_told(paging: str, how: dict[str, Any]) -> None:
    items = many(9)
    with StacApi(items, paging=paging, **how) as api:
        found = ids(api)
        assert len(api.asked()) >= 5
    assert sorted(found) == [one["id"] for one in items]
    assert found == [one["id"] for one in sorted(items, key=lambda i: i["properties"]["datetime"])]


def test_the_order_is_the_same_whatever_order_the_service_has() -> None:
    items = [*many(7), item("twin", 3, updated="2024-07-01T00:00:00Z", v=1)]
    newer = item("twin", 3, updated="2024-08-01T00:00:00Z", v=2)
    found = []
    for order in ([*items, newer], [newer, *reversed(items)]):
        with StacApi(order) as api:
            made, _ = stac_api.search(api.source(), S2, WHERE, JUNE, api.client())
        found.append([one.to_dict() for one in made])
    assert found[0] == found[1]
    assert [one["properties"]["v"] for one in found[0] if one["id"] == "twin"] == [2]


def test_the_period_is_half_open_though_the_services_is_closed() -> None:
    second = timedelta(seconds=1)
    times = {"before": JUNE.start - second, "start": JUNE.start, "last": JUNE.end - second}
    with StacApi([item(k, v) for k, v in {**times, "end": JUNE.end}.items()]) as api:
        assert ids(api) == ["start", "last"]


def test_an_orbit_is_found_by_its_start_though_the_service_knows_its_middle() -> None:
    late = item("late", JUNE.end + timedelta(minutes=20))
    late["properties"] |= {
        "start_datetime": "2024-06-30T23:40:00Z",
        "end_datetime": "2024-07-01T01:00:00Z",
    }
    early = item("early", JUNE.start + timedelta(minutes=20))
    early["properties"] |= {
        "start_datetime": "2024-05-31T23:40:00Z",
        "end_datetime": "2024-06-01T01:00:00Z",
    }
    with StacApi([late, early]) as api:
        assert ids(api) == ["late"]


def test_a_service_that_heeds_no_condition_is_not_believed() -> None:
    other = item("other") | {"collection": "landsat"}
    items = [item("far", bbox=FAR), item("may", datetime(2024, 5, 2, tzinfo=UTC)), other]
    with StacApi([*items, item("near")], filters=False) as api:
        assert ids(api) == ["near"]


def test_a_grid_over_the_date_line_is_asked_for_on_both_sides() -> None:
    where = GeoBox.from_bbox((178.5, -18.5, 181.5, -16.5), "EPSG:4326", resolution=0.1)
    utm = GeoBox.from_bbox((750_000, 8_000_000, 950_000, 8_200_000), "EPSG:32760", resolution=5000)
    boxes = {"west": (178.0, -18.0, 179.0, -17.0), "east": (-179.5, -18.0, -178.6, -17.0)}
    items = [item(name, bbox=box) for name, box in boxes.items()]
    items.append(item("away", bbox=(20.0, -18.0, 21.0, -17.0)))
    with StacApi(items) as api:
        assert ids(api, where) == ["east", "west"]
        for one in api.asked():
            assert -180 <= one.json()["bbox"][0] < one.json()["bbox"][2] <= 180
    assert len(outlines.boxes(utm)) == 2


@pytest.mark.parametrize(
    ("grid", "wanted"),
    [
        (GeoBox.from_bbox((-180, -90, 180, 90), "EPSG:4326", resolution=1), (-180, -90, 180, 90)),
        (
            GeoBox.from_bbox((-1e6, -1e6, 1e6, 1e6), "EPSG:3995", resolution=1e4),
            (-180, 76, 180, 90),
        ),
        (
            GeoBox.from_bbox((-1e6, -1e6, 1e6, 1e6), "EPSG:3031", resolution=1e4),
            (-180, -90, 180, -76),
        ),
    ],
)
def test_the_globe_and_the_poles_have_one_box(grid: GeoBox, wanted: tuple[float, ...]) -> None:
    (box,) = outlines.boxes(grid)
    assert box == pytest.approx(wanted, abs=1.5)


def test_a_tile_drawn_around_the_globe_is_at_the_date_line_and_an_orbit_everywhere() -> None:
    tile = item("tile", bbox=(-180.0, 46.9, 180.0, 47.9))
    ring = [[179.5, 46.9], [-179.2, 46.9], [-179.2, 47.9], [179.5, 47.9], [179.5, 46.9]]
    tile["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    split = item("split", bbox=(179.5, 46.9, 180.0, 47.9)) | {"bbox": [179.5, 46.9, -179.2, 47.9]}
    orbit = item("orbit", bbox=(-180.0, -90.0, 180.0, 90.0))
    with StacApi([tile, split, orbit, item("near")], filters=False) as api:
        assert ids(api) == ["near", "orbit"]
    assert outlines.centre_lon(pystac.Item.from_dict(tile)) == pytest.approx(-179.85)
    assert outlines.centre_lon(pystac.Item.from_dict(split)) == pytest.approx(-179.85)


@pytest.mark.parametrize("largest", [99, 50, 13])
def test_pages_too_large_for_the_service_are_asked_for_at_half_the_size(largest: int) -> None:
    with StacApi(many(60), largest=largest, page=100) as api:
        assert len(ids(api)) == 60
        assert int(api.asked()[-1].json()["limit"]) <= largest


def test_a_service_that_fails_at_any_size_is_told() -> None:
    with StacApi(many(2), largest=0) as api:
        assert "500" in refusal(api) and "Internal server error" in refusal(api)


def test_conditions_go_to_services_that_know_cql2_and_are_checked_by_us_for_others() -> None:
    items = [item("clear", **{"eo:cloud_cover": 5}), item("overcast", **{"eo:cloud_cover": 95.5})]
    items.append(item("silent"))
    for conforms in (CQL2, SORTED):
        with StacApi(items, conforms=conforms) as api:
            assert ids(api, max_cloud_percent=20) == ["clear", "silent"]
            body = api.asked()[0].json()
        assert ("filter" in body) == (conforms is CQL2)
        assert [one["field"] for one in body["sortby"]] == ["properties.datetime", "id"]


def test_one_of_our_collections_may_be_several_of_theirs_or_a_part_of_one() -> None:
    served = ("s5p-no2-rpro", "s5p-no2-offl", "s5p-netcdf", "s5p-no2-nrti")
    items = [item(name, **{"s5p:product_name": "no2"}) | {"collection": name} for name in served]
    items.append(item("ozone", **{"s5p:product_name": "o3"}) | {"collection": "s5p-netcdf"})
    told = "s5p-no2-rpro, s5p-no2-offl,s5p-netcdf?s5p:product_name=no2"
    with StacApi(items) as api:
        source = api.source(collections={"sentinel-5p-l2-no2": told})
        found, _ = stac_api.search(source, "sentinel-5p-l2-no2", WHERE, JUNE, api.client())
    assert [one.id for one in found] == sorted(served[:3])


def test_a_collection_that_the_source_has_not_is_answered_with_those_it_has() -> None:
    with StacApi([]) as api:
        line = refusal(api, collections={"stations-no2": "x"})
    assert S2 in line and "stations-no2" in line


def test_nothing_found_is_told_with_place_and_period() -> None:
    with StacApi([item("far", bbox=FAR)]) as api:
        line = refusal(api)
        assert all(word in line for word in (api.source().href, S2, "2024-06", "15.000"))


def test_a_loop_of_next_links_ends() -> None:
    for paging in ("merge", "body", "get"):
        with StacApi(many(6), loop=True, paging=paging) as api:
            assert "the same again" in refusal(api)
            assert len(api.asked()) < 8


def test_a_next_link_to_another_host_is_not_followed() -> None:
    with Server({"/page": b"{}"}) as other, StacApi(many(3)) as api:
        link = {"rel": "next", "href": other.url("/page")}
        page = {"type": "FeatureCollection", "features": many(1), "links": [link]}
        api.server.script("/stac/search", Answer.json(page))
        assert other.host.partition(":")[0] in refusal(api)
        assert other.seen == []


@pytest.mark.parametrize(
    "link",
    [
        {"method": "DELETE"},
        {"body": [1]},
        {"headers": {"a": 1}, "method": "POST"},
        {"href": "file:///etc/passwd"},
        {"href": "/vsicurl/x"},
    ],
)
def test_a_next_link_of_another_kind_is_refused(link: dict[str, Any]) -> None:
    with StacApi([]) as api:
        link = {"rel": "next", "href": api.server.url("/stac/search?x=1"), **link}
        page = {"type": "FeatureCollection", "features": many(1), "links": [link]}
        api.server.script("/stac/search", Answer.json(page))
        refusal(api)
        assert len(api.server.seen) <= 3


@pytest.mark.parametrize("body", ERRORS)
def test_a_refusal_is_told_in_the_services_words(body: dict[str, Any]) -> None:
    with StacApi(many(1)) as api:
        api.server.script("/stac/search", Answer.json(body, 400))
        line = refusal(api)
    assert "400" in line and "limit is out of bounds" in line


@pytest.mark.parametrize("path", ["/stac", "/stac/search"])
@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_web_page_is_no_answer(path: str, status: int) -> None:
    with StacApi(many(1)) as api:
        api.server.script(path, *[Answer.page(status)] * 20)
        assert "http://" in refusal(api)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"features": 3}', b"[" * 100_000, b"\xff\xfe{"]
)
@pytest.mark.parametrize("path", ["/stac", "/stac/search"])
def test_nonsense_is_no_answer(path: str, body: bytes) -> None:
    with StacApi(many(1)) as api:
        api.server.script(path, Answer(200, body))
        if path == "/stac" and body.startswith(b"{"):
            assert ids(api) == ["scene-000"]
        else:
            assert "/stac" in refusal(api)


@pytest.mark.parametrize("status", [429, 503])
def test_a_passing_fault_is_passed(status: int) -> None:
    with StacApi(many(3)) as api:
        api.server.script("/stac/search", Answer(status), None, Answer(status, body=b"busy"))
        assert len(ids(api)) == 3


ROTTEN: dict[str, Any] = {
    "no object": 7,
    "no id": {"id": None},
    "id of lines": {"id": "a\nb"},
    "huge id": {"id": "x" * 5000},
    "no properties": {"properties": None},
    "properties of another kind": {"properties": [1]},
    "no time": {"properties": {"datetime": None}},
    "time of another kind": {"properties": {"datetime": 17}},
    "year 0": {"properties": {"datetime": "0000-00-00T00:00:00Z"}},
    "no box": {"bbox": None},
    "box of texts": {"bbox": ["a", "b", "c", "d"]},
    "box of 3": {"bbox": [1, 2, 3]},
    "endless box": {"bbox": [1e999, 0, 1, 1]},
    "no geometry": {"geometry": None},
    "assets of another kind": {"assets": [1, 2]},
    "asset without address": {"assets": {"B04": {}}},
    "asset of another kind": {"assets": {"B04": 3}},
    "links of another kind": {"links": 3},
    "no item": {"type": "Catalog"},
    "version of another kind": {"stac_version": {}},
    "extensions of another kind": {"stac_extensions": 5},
}


@pytest.mark.parametrize("fault", ROTTEN.values(), ids=ROTTEN)
def test_a_rotten_item_is_left_out_with_a_note_and_the_others_are_found(fault: Any) -> None:
    rotten = {**item("rotten"), **fault} if isinstance(fault, dict) else fault
    with StacApi([item("good"), rotten], filters=False) as api:
        found, notes = stac_api.search(api.source(), S2, WHERE, JUNE, api.client())
    assert [one.id for one in found] == ["good"]
    assert len(notes) == 1 and "left out" in notes[0] and "\n" not in notes[0]
    assert len(notes[0]) < 600


def test_items_come_without_links_and_with_addresses_that_may_be_opened() -> None:
    one = item("one")
    one["links"] = [{"rel": "self", "href": "https://example.com/items/one.json"}]
    hrefs = {
        "beside": "./B02.tif", "s3": "s3://eodata/B03.jp2", "file": "file:///etc/passwd",
        "vsi": "/vsicurl/https://example.com/x.tif", "up": "../../../../etc/passwd",
        "user": "https://me:secret@example.com/x.tif", "line": "https://example.com/a\nb",
        "ftp": "ftp://example.com/x", "gopher": "gopher://example.com/",
    }  # fmt: skip
    one["assets"] = {key: {"href": href} for key, href in hrefs.items()}
    with StacApi([one]) as api:
        (found,), notes = stac_api.search(api.source(), S2, WHERE, JUNE, api.client())
    assert found.links == []
    kept = {key: asset.href for key, asset in found.assets.items()}
    assert kept["beside"] == "https://example.com/items/B02.tif"
    assert kept["up"] == "https://example.com/etc/passwd"
    assert set(kept) == {"beside", "s3", "up"}
    assert not any("secret" in note or "passwd" in note for note in notes)
    assert len(notes) == 6 and all("one" in note for note in notes)


def test_the_real_catalog_is_found_through_the_service_as_on_disk(root: Path) -> None:
    folder = root.parent / "shared/data/stac"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/stac beside the checkout")
    from aqgeo.sources import stac

    period = Period.parse("2023-08")
    on_disk = stac.search(folder, S2, WHERE, period)
    items = [json.loads(path.read_text()) for path in sorted((folder / S2).glob("*/*.json"))]
    with StacApi(items, page=3) as api:
        found, notes = stac_api.search(api.source(), S2, WHERE, period, api.client())
    assert [one.id for one in found] == [one.id for one in on_disk] and found
    assert [one.properties for one in found] == [one.properties for one in on_disk]
    assert notes == []
