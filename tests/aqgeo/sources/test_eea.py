"""The EEA's download service on loopback: the region's files only, verified before up to date."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from odc.geo.geobox import GeoBox

from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote import auth, http
from aqgeo.sources import eea, openaq, stations
from tests.standins.server import Answer, Server
from tests.standins.stations import EEA, KEY, OpenAQ, Station, openaq_hours

JUNE = Period.parse("2024-06")
START = datetime(2024, 6, 1, tzinfo=UTC)
WHERE = GeoBox.from_bbox((15, 47, 16, 48), "EPSG:4326", resolution=0.05)
VALUES = [round(20 + (n * 7 % 13), 2) + 0.25 for n in range(720)]
ONE = Station(1, openaq_hours(START, VALUES))
TWO = Station(2, openaq_hours(START, VALUES), lon=15.8, kind="traffic", area="suburban")
FAR = Station(3, openaq_hours(START, VALUES), lon=9.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def bring(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def run(period: Period = JUNE, dataset: str = "", **how) -> Path:
        source = Source("eea", "EEA", server.url(""), kind="eea", hosts=(server.host,),
                        collections={"stations-no2": dataset})  # fmt: skip
        client = http.Client(source.hosts, wait_s=0.01, attempts=3)
        how = {"metadata": server.url("/metadata.zip"), "client": client, **how}
        return eea.download(source, WHERE, period, tmp_path / "out", **how)

    return run


def packed(files: dict[str, str]) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return file.getvalue()


def refusal(bring: Callable[..., Path], *args, **how) -> str:
    with pytest.raises(SourceError) as caught:
        bring(*args, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_regions_stations_come_with_type_area_and_utc_ends(server, bring) -> None:
    EEA(server, [ONE, TWO, FAR])
    path = bring()
    found, notes = stations.read(path, JUNE, WHERE)
    one, two = (group for _, group in found.groupby("station_id"))
    assert one["no2"].tolist() == two["no2"].tolist() == VALUES
    assert one["time"].iloc[0] == datetime(2024, 6, 1, 1, tzinfo=UTC)
    assert (two.station_type.iloc[0], two.station_area.iloc[0]) == ("traffic", "suburban")
    assert notes == ["EEA: data set E1a"]
    assert server.asked(EEA.file(FAR)) == [], "a file outside the region was fetched"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_openaq_the_eea_and_a_csv_give_the_same_station_set(
    server, bring, tmp_path, monkeypatch
) -> None:
    EEA(server, [ONE, TWO])
    found, _ = stations.read(bring(), JUNE, WHERE)
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    monkeypatch.setenv("OPENAQ_URL", server.url(""))
    OpenAQ(server, [ONE, TWO])
    source = Source("openaq", "OpenAQ", server.url("/v3"), kind="openaq", hosts=(server.host,),
                    auth="openaq")  # fmt: skip
    client = http.Client(source.hosts, auth=auth.of("openaq"), wait_s=0.01)
    other, _ = stations.read(
        openaq.download(source, WHERE, JUNE, tmp_path / "aq", client=client), JUNE, WHERE
    )
    (tmp_path / "hourly.csv").write_text(
        found.assign(
            location_id=found["station_id"], lat=found.geometry.y, lon=found.geometry.x,
            datetime=found["time"].dt.tz_convert("Asia/Kolkata").map(lambda t: t.isoformat()),
            parameter="no2", units="ppb", value=found["no2"] / 1.9125,
        ).drop(columns=["geometry"]).to_csv(index=False), "utf-8",
    )  # fmt: skip
    csv, _ = stations.read(tmp_path / "hourly.csv", JUNE, WHERE)
    pd.testing.assert_frame_equal(csv, found, rtol=1e-12)
    names = {"AT/SPO-1_8_100": "1", "AT/SPO-2_8_100": "2"}
    plain = found.assign(
        station_id=found["station_id"].map(names), station_type="unknown", station_area="unknown"
    )
    pd.testing.assert_frame_equal(other, plain, check_dtype=False)


@pytest.mark.parametrize("key", ["dataset", "datasets"])
def test_both_forms_of_the_body_choose_the_data_set(server, bring, key: str) -> None:
    EEA(server, [ONE], datasets=(1,), key=key)
    _, notes = stations.read(bring(), JUNE, WHERE)
    assert notes == ["EEA: data set E2a"]


def test_verified_data_come_first_and_one_can_ask_for_the_others(server, bring) -> None:
    EEA(server, [ONE])
    assert "EEA: data set E1a" in stations.read(bring(), JUNE, WHERE)[1]
    assert "EEA: data set E2a" in stations.read(bring(dataset="E2a"), JUNE, WHERE)[1]


def test_data_before_2013_are_airbase_and_not_mixed(server, bring) -> None:
    old = replace(ONE, hours=openaq_hours(datetime(2012, 6, 1, tzinfo=UTC), VALUES))
    EEA(server, [old], datasets=(3,))
    june = Period.parse("2012-06")
    found, notes = stations.read(bring(june), june, WHERE)
    assert len(found) == 720 and notes == ["EEA: data set AirBase"]
    assert "crosses 2013" in refusal(bring, Period.parse("2012-12/2013-02"))


def test_days_invalid_hours_and_error_codes_are_left_out_and_told(server, bring) -> None:
    at = datetime(2024, 6, 30, 23)
    rows = [
        {"Start": at, "Value": Decimal(99), "AggType": "day", "End": datetime(2024, 7, 1, 23)},
        {"Start": at, "Value": Decimal(99), "Validity": -1},
        {"Start": at, "Value": Decimal(99), "Pollutant": 7},
    ]
    hours = {end: v for end, v in ONE.hours.items() if end.day != 30}
    EEA(server, [replace(ONE, hours=hours | {max(hours): None})], rows=rows)
    found, notes = stations.read(bring(), JUNE, WHERE)
    assert 99 not in found["no2"].tolist() and len(found) == len(hours) - 1
    told = "; ".join(notes)
    assert "1 rows of days" in told and "1 hours that their network" in told
    assert "1 impossible" in told


def test_a_file_on_another_host_is_refused_and_the_others_are_read(server, bring) -> None:
    far = ["https://elsewhere.example/x/SPO-2_8_100.parquet", "file:///etc/SPO-1_8_100.parquet"]
    EEA(server, [ONE, TWO], foreign=far)
    found, notes = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].nunique() == 2
    assert sum("left out" in n for n in notes) == 2


@pytest.mark.parametrize("what", ["cut", "page", "gone", "empty"])
def test_a_broken_file_is_left_out_with_its_reason(server, bring, what: str, tmp_path) -> None:
    EEA(server, [ONE, TWO])
    whole = server.files[EEA.file(TWO)]
    broken = {"cut": whole[: len(whole) // 2], "page": b"<html>log in</html>", "empty": b""}
    if what == "gone":
        del server.files[EEA.file(TWO)]
    else:
        server.files[EEA.file(TWO)] = broken[what]
    found, notes = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].unique().tolist() == ["AT/SPO-1_8_100"]
    (note,) = [n for n in notes if "left out" in n]
    assert "SPO-2" in note and str(tmp_path) not in note


def test_when_all_files_are_broken_nothing_is_written(server, bring, tmp_path) -> None:
    EEA(server, [ONE])
    for dataset in (1, 2):
        server.files[EEA.file(ONE, dataset)] = b"PAR1 no more"
    assert "SPO-1" in refusal(bring)
    kept = list((tmp_path / "out/cache/quarantine").iterdir())
    assert kept, "a broken file would be taken from the cache again"
    assert not (tmp_path / "out" / eea.TABLE).exists()


@pytest.mark.parametrize("path", ["/DownloadSummary", "/ParquetFile/urls", "/metadata.zip"])
@pytest.mark.parametrize(
    "answer", [Answer.page(), Answer.json([]), Answer(200, b""), Answer(200, b"\xff\xfe\0"),
               Answer.json({"detail": "no"}, 422), Answer(200, b"{" * 10_000)]
)  # fmt: skip
def test_answers_of_another_form_end_in_one_line(server, bring, path: str, answer: Answer) -> None:
    EEA(server, [ONE])
    server.script(path, *[answer] * 5)
    refusal(bring)


@pytest.mark.parametrize(
    "names", [["../../evil.csv"], ["/tmp/evil.csv"], ["a.csv", "b.csv"], ["readme.txt"], []]
)
def test_a_zip_with_paths_or_without_one_table_is_refused(server, bring, tmp_path, names) -> None:
    EEA(server, [ONE])
    server.files["/metadata.zip"] = packed({name: "a,b\n1,2\n" for name in names})
    refusal(bring)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_zip_bomb_is_refused(server, bring) -> None:
    EEA(server, [ONE])
    server.files["/metadata.zip"] = packed({"DataExtract.csv": "x" * 10**8})
    assert "bomb" in refusal(bring)


def test_metadata_may_come_as_plain_csv(server, bring) -> None:
    EEA(server, [ONE])
    with zipfile.ZipFile(io.BytesIO(server.files["/metadata.zip"])) as archive:
        server.files["/plain.csv"] = archive.read("DataExtract.csv")
    path = bring(metadata=server.url("/plain.csv"))
    assert len(stations.read(path, JUNE, WHERE)[0]) == 720


def test_a_region_without_sampling_points_is_told(server, bring) -> None:
    EEA(server, [FAR])
    assert "none of the EEA's 1 sampling points" in refusal(bring)


def test_a_killed_run_fetches_only_what_is_missing(server, bring) -> None:
    EEA(server, [ONE, TWO])
    server.script(EEA.file(TWO), *[Answer(404)] * 10)
    # Up-to-date files are asked for only if no verified one could be had.
    server.script(EEA.file(ONE), *[Answer(404)] * 10)
    for station in (ONE, TWO):
        server.script(EEA.file(station, 1), *[Answer(404)] * 10)
    refusal(bring)
    server.seen.clear()
    for station in (ONE, TWO):
        server.script(EEA.file(station))
    found, _ = stations.read(bring(), JUNE, WHERE)
    assert found["station_id"].nunique() == 2 and server.asked("/metadata.zip") == []


def test_a_period_without_hours_is_told(server, bring) -> None:
    EEA(server, [ONE])
    assert "no hour of NO2" in refusal(bring, Period.parse("2023-06"))
