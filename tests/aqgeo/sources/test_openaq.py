"""OpenAQ on loopback: every page and sensor, no faster than allowed, and again where it stopped."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from odc.geo.geobox import GeoBox

from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote import auth, http
from aqgeo.sources import openaq, stations
from tests.standins.server import Answer, Server
from tests.standins.stations import KEY, OpenAQ, Station, openaq_hours

JUNE = Period.parse("2024-06")
START = datetime(2024, 6, 1, tzinfo=UTC)
BOX = (15.00001, 47.00001, 16.0, 48.0)
WHERE = GeoBox.from_bbox(BOX, "EPSG:4326", shape=(20, 20), tight=True)
VALUES = [round(20 + (n * 7 % 13), 2) + 0.25 for n in range(720)]
ONE = Station(8118, openaq_hours(START, VALUES))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def bring(server: Server, tmp_path: Path, monkeypatch) -> Callable[..., Path]:
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    monkeypatch.setenv("OPENAQ_URL", server.url(""))

    def run(root: str = "", **how) -> Path:
        source = Source("openaq", "OpenAQ", root or server.url("/v3"), kind="openaq",
                        hosts=(server.host,), auth="openaq")  # fmt: skip
        client = http.Client(source.hosts, auth=auth.of("openaq"), wait_s=0.01, attempts=3)
        return openaq.download(source, WHERE, JUNE, tmp_path / "out", client=client, **how)

    return run


def refusal(bring: Callable[..., Path], **how) -> str:
    with pytest.raises(SourceError) as caught:
        bring(**how)
    line = str(caught.value)
    assert "\n" not in line and KEY not in line
    return line


def test_all_hours_of_the_period_come_in_one_table(server, bring) -> None:
    asked = OpenAQ(server, [ONE, replace(ONE, number=9, lon=15.5)])
    told: list[tuple[int, int]] = []
    path = bring(report=lambda done, total: told.append((done, total)))
    found, notes = stations.read(path, JUNE, WHERE)
    assert found.groupby("station_id")["no2"].apply(list).to_dict() == {
        "8118": VALUES, "9": VALUES
    }  # fmt: skip
    assert set(found["station_type"]) == {"unknown"} and notes == []
    assert told == [(1, 2), (2, 2)] and [p.name for p in path.parent.rglob("*.*")] == [path.name]
    assert asked.root in server.url(server.asked("/v3/locations")[0].path)


@pytest.mark.parametrize("found", [">1000", 720, 10**9, None])
@pytest.mark.parametrize("most", [100, 240, 1000])
def test_pages_are_read_until_a_short_one_whatever_found_says(server, bring, found, most) -> None:
    OpenAQ(server, [ONE], found=found, most=most)
    table, _ = stations.read(bring(), JUNE, WHERE)
    assert table["no2"].tolist() == VALUES
    assert len(server.asked("/v3/sensors/81180/hours")) == 720 // most + 1


def test_the_box_is_outward_to_four_decimals_and_places_outside_the_grid_are_dropped(
    server, bring
) -> None:
    edge = replace(ONE, number=7, lon=15.000005, lat=47.5)
    OpenAQ(server, [ONE, edge])
    table, _ = stations.read(bring(), JUNE, WHERE)
    west, south, east, north = map(float, server.asked("/v3/locations")[0].query["bbox"].split(","))
    assert (west, south) == (15.0, 47.0) and east >= 16 and north >= 48
    assert table["station_id"].unique().tolist() == ["8118"]
    assert server.asked("/v3/sensors/70/hours") == []


def test_units_of_several_numbers_of_the_gas_are_all_found_and_converted(server, bring) -> None:
    ppm = {end: v / 1912.5 for end, v in ONE.hours.items() if v is not None}
    OpenAQ(server, [ONE, Station(9, ppm, units="ppm"),
                    Station(10, {e: 1000 * v for e, v in ppm.items()}, units="ppb")])  # fmt: skip
    found, notes = stations.read(bring(), JUNE, WHERE)
    for _, own in found.groupby("station_id"):
        assert own["no2"].tolist() == pytest.approx(VALUES, rel=1e-12)
    assert sum("at 20 °C and 1013 hPa" in n for n in notes) == 2


def test_what_is_mobile_flagged_or_empty_is_left_out_and_told(server, bring) -> None:
    ends = sorted(ONE.hours)
    spoilt = replace(ONE, hours=dict(ONE.hours) | {ends[5]: None}, flagged=frozenset(ends[10:13]))
    OpenAQ(server, [spoilt, replace(ONE, number=2, mobile=True),
                    replace(ONE, number=3, lon=None, lat=None)])  # fmt: skip
    found, notes = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].unique().tolist() == ["8118"] and len(found) == 716
    told = "; ".join(notes)
    assert "2 mobile stations, or without coordinates" in told
    assert "3 hours flagged" in told and "1 hours without a value" in told


def test_a_killed_run_goes_on_with_the_sensors_that_are_missing(server, bring) -> None:
    OpenAQ(server, [replace(ONE, number=n) for n in (1, 2, 3)])

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        bring(report=kill)
    server.seen.clear()
    found, _ = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].nunique() == 3
    assert {s.path for s in server.seen if "sensors" in s.path} == {"/v3/sensors/30/hours"}


def test_a_damaged_answer_on_disk_is_asked_for_again(server, bring, tmp_path) -> None:
    OpenAQ(server, [ONE])
    aside = tmp_path / "out/answers"
    aside.mkdir(parents=True)
    (aside / "81180-2024-06.json").write_text('{"ends": [1')
    assert len(stations.read(bring(), JUNE, WHERE)[0]) == 720


def test_429_and_408_are_met_again_until_they_pass(server, bring) -> None:
    OpenAQ(server, [ONE], most=100)
    busy = Answer.json({"message": "Too many requests"}, 429)
    slow = Answer.json({"detail": "timed out"}, 408)
    told = replace(busy, headers={"x-ratelimit-reset": "0", "x-ratelimit-remaining": "0"})
    server.script("/v3/sensors/81180/hours", busy, None, slow, None, told, told, None)
    assert stations.read(bring(), JUNE, WHERE)[0]["no2"].tolist() == VALUES


def test_when_no_request_is_left_the_reset_is_waited_for(server, bring) -> None:
    OpenAQ(server, [ONE])
    used = {"x-ratelimit-limit": "60", "x-ratelimit-used": "60", "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1"}  # fmt: skip
    server.script("/v3/parameters", Answer(headers=used))
    begin = time.monotonic()
    bring()
    assert 1 <= time.monotonic() - begin < 5


def test_one_sensor_that_stays_broken_does_not_stop_the_others(server, bring) -> None:
    OpenAQ(server, [replace(ONE, number=n) for n in (1, 2, 3)])
    server.script("/v3/sensors/20/hours", *[Answer.json({}, 500)] * 20)
    found, notes = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].unique().tolist() == ["1", "3"]
    assert any("sensor 20 left out" in n for n in notes)


def test_a_service_that_is_down_is_left_after_three_sensors_in_a_row(server, bring) -> None:
    OpenAQ(server, [replace(ONE, number=n) for n in range(1, 9)])
    for n in range(1, 9):
        server.script(f"/v3/sensors/{n}0/hours", *[Answer.json({}, 500)] * 20)
    assert "500" in refusal(bring)
    assert server.asked("/v3/sensors/40/hours") == []


def test_an_unknown_key_ends_in_a_line_that_does_not_show_it(server, bring, monkeypatch) -> None:
    OpenAQ(server, [ONE])
    monkeypatch.setenv("OPENAQ_API_KEY", "another-key-nobody-may-see")
    line = refusal(bring)
    assert "401" in line and "another-key" not in line


def test_without_a_key_the_variable_is_named(bring, monkeypatch) -> None:
    monkeypatch.delenv("OPENAQ_API_KEY")
    assert "OPENAQ_API_KEY" in refusal(bring)


def test_retired_versions_and_refused_words_are_told(server, bring) -> None:
    OpenAQ(server, [ONE])
    assert "410" in refusal(bring, root=server.url("/v2"))
    detail = {"detail": [{"loc": ["query", "bbox"], "msg": "out of range"}]}
    server.script("/v3/locations", Answer.json(detail, 422))
    assert "422" in refusal(bring)


@pytest.mark.parametrize(
    "answer",
    [Answer.page(), Answer.json([]), Answer.json({"results": {}}), Answer.json({"results": None}),
     Answer.json({"results": [{"id": "x"}]}), Answer(200, b"{" * 100_000), Answer(200, b""),
     Answer.json({"meta": 3, "results": []}), Answer(200, b"\xff\xfe")],
)  # fmt: skip
def test_an_answer_of_another_form_ends_in_one_line(server, bring, answer: Answer) -> None:
    OpenAQ(server, [ONE])
    server.script("/v3/locations", *[answer] * 5)
    refusal(bring)


def test_changed_answers_never_end_in_a_traceback(server, bring) -> None:
    OpenAQ(server, [replace(ONE, hours=dict(list(ONE.hours.items())[:2]))])
    honest = json.loads(server.routes["/v3"](_seen()).body or b"")
    rng = random.Random(3)
    for _ in range(40):
        changed = json.loads(json.dumps(honest))
        place, key = rng.choice(list(_places(changed["results"])))
        place[key] = rng.choice([None, "x", -1, [], {}, 1e308, True, "2024-13-45T99:00:00Z"])
        server.script("/v3/sensors/81180/hours", Answer.json(changed))
        try:
            stations.read(bring(), JUNE, WHERE)
        except SourceError as err:
            assert "\n" not in str(err)


def test_a_region_without_stations_is_told(server, bring) -> None:
    OpenAQ(server, [replace(ONE, lon=3.0)])
    assert "no fixed station of NO2" in refusal(bring)


def test_a_service_that_pages_for_ever_is_left(server, bring, monkeypatch) -> None:
    monkeypatch.setattr(openaq, "_PAGES", 5)
    OpenAQ(server, [ONE], most=1)
    assert "page after page" in refusal(bring)


def _seen():
    from tests.standins.server import Seen

    query = {"datetime_from": "2024-05-31T00:00:00Z", "datetime_to": "2024-07-02T00:00:00Z"}
    return Seen("GET", "/v3/sensors/81180/hours", query, {"x-api-key": KEY})


def _places(node):
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)
