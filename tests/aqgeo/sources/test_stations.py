"""Station tables: hours of the period, one unit, UTC, and a note for whatever is left out."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import stations

JUNE = Period.parse("2024-06")
WHERE = GeoBox.from_bbox((500_000, 5_200_000, 560_000, 5_260_000), "EPSG:32633", resolution=4000)
HEADER = "location_id,lat,lon,datetime,parameter,units,value,station_type,station_area"
ROW = {
    "location_id": "AT1",
    "lat": "47.1",
    "lon": "15.3",
    "datetime": "2024-06-05T13:00:00Z",
    "parameter": "no2",
    "units": "µg/m³",
    "value": "12.5",
    "station_type": "background",
    "station_area": "urban",
}


@pytest.fixture
def table(tmp_path: Path):
    def write(*rows: dict[str, str], header: str = HEADER) -> Path:
        names = header.split(",")
        lines = [",".join({**ROW, **row}[name] for name in names) for row in rows]
        path = tmp_path / "hourly.csv"
        path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
        return path

    return write


def refusal(path: Path, period: Period = JUNE) -> str:
    with pytest.raises(SourceError) as caught:
        stations.read(path, period, WHERE)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_row_is_a_station_with_its_value_place_and_kind(table) -> None:
    found, notes = stations.read(table({}), JUNE, WHERE)
    assert notes == []
    row = found.iloc[0]
    assert (row.station_id, row.station_type, row.station_area) == ("AT1", "background", "urban")
    assert row.no2 == 12.5 and (row.geometry.x, row.geometry.y) == (15.3, 47.1)
    assert row.time == datetime(2024, 6, 5, 13, tzinfo=UTC)
    assert tuple(found.columns) == stations.COLUMNS and found.crs.to_epsg() == 4326


def test_the_period_holds_the_hours_that_end_after_its_start_and_not_after_its_end(table) -> None:
    times = ["2024-06-01T00:00:00Z", "2024-06-01T01:00:00Z", "2024-07-01T00:00:00Z"]
    path = table(*({"datetime": t} for t in (*times, "2024-07-01T01:00:00Z")))
    found, _ = stations.read(path, JUNE, WHERE)
    assert [f"{t:%m-%d %H}" for t in found["time"]] == ["06-01 01", "07-01 00"]


def test_every_hour_belongs_to_exactly_one_of_two_adjoining_months(table) -> None:
    times = [f"2024-{d}T{h:02}:00:00Z" for d in ("06-30", "07-01") for h in (0, 1, 12, 23)]
    path = table(*({"datetime": t} for t in times))
    parts = [stations.read(path, Period.parse(m), WHERE)[0] for m in ("2024-06", "2024-07")]
    assert sum(map(len, parts)) == len(times)


@pytest.mark.parametrize(
    "local", ["2024-06-05T18:30:00+05:30", "2024-06-05T18:30:00+0530", "2024-06-05T11:00:00-02:00"]
)
def test_local_times_become_utc(table, local: str) -> None:
    found, _ = stations.read(table({"datetime": local}), JUNE, WHERE)
    assert found["time"].iloc[0] == datetime(2024, 6, 5, 13, tzinfo=UTC)


def test_the_period_is_counted_in_utc_and_not_in_local_time(table) -> None:
    path = table(
        {"datetime": "2024-07-01T05:30:00+05:30"}, {"datetime": "2024-06-01T05:30:00+05:30"}
    )
    found, _ = stations.read(path, JUNE, WHERE)
    assert list(found["time"]) == [datetime(2024, 7, 1, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2024-06-05T13:00:00", "2024-06-05 13:00", "2024-06-05"])
def test_a_time_without_utc_offset_is_shown_with_the_remedy(table, text: str) -> None:
    line = refusal(table({}, {"datetime": text}))
    assert repr(text) in line and "UTC offset" in line and "+01:00" in line


def test_a_time_that_is_none_is_refused(table) -> None:
    with pytest.raises(SourceError, match="ISO 8601"):
        stations.read(table({"datetime": "5 June 2024 13:00+00:00"}), JUNE, WHERE)


@pytest.mark.parametrize("name", ["location_id", "lat", "lon", "datetime", "units", "value"])
def test_a_missing_column_is_named_with_those_that_are_needed(table, name: str) -> None:
    header = ",".join(n for n in HEADER.split(",") if n != name)
    line = refusal(table({}, header=header))
    assert f"lacks the columns {name}:" in line and "parameter" in line


def test_missing_kinds_of_station_are_unknown(table) -> None:
    header = HEADER.removesuffix(",station_type,station_area")
    found, _ = stations.read(table({}, header=header), JUNE, WHERE)
    assert (found.station_type[0], found.station_area[0]) == ("unknown", "unknown")


def test_mixed_units_are_converted_row_by_row_and_the_factor_is_told(table) -> None:
    units = {"AT1": "µg/m³", "AT2": "ppb", "AT3": "ppm", "AT4": "mg/m³"}
    values = {"AT1": "19.125", "AT2": "10", "AT3": "0.01", "AT4": "0.019125"}
    rows = [{"location_id": s, "units": u, "value": values[s]} for s, u in units.items()]
    found, notes = stations.read(table(*rows), JUNE, WHERE)
    assert found["no2"].tolist() == pytest.approx([19.125] * 4, rel=1e-12)
    assert any("1 ppb of NO2 = 1.9125 µg/m³ at 20 °C and 1013 hPa" in note for note in notes)
    assert len(notes) == 3


@pytest.mark.parametrize("unit", ["", "percent", "µg/m²", "ng/m³", "ppt", "x" * 10**6])
def test_an_unknown_unit_is_refused_with_the_known_ones(table, unit: str) -> None:
    line = refusal(table({}, {"units": unit, "location_id": "AT2"}))
    assert repr(unit)[:20] in line and "µg/m³, mg/m³, ppb and ppm" in line and len(line) < 400


@pytest.mark.parametrize("unit", ["µg/m³", "μg/m³", "ug/m3", "ug.m-3"])
def test_all_spellings_of_micrograms_are_the_same(table, unit: str) -> None:
    assert stations.read(table({"units": unit}), JUNE, WHERE)[0]["no2"][0] == 12.5


def test_units_of_other_gases_and_places_do_not_matter(table) -> None:
    others = {"units": "ppm", "parameter": "co"}, {"units": "ppb", "lon": "3.0"}
    assert len(stations.read(table({}, *others), JUNE, WHERE)[0]) == 1


def test_error_codes_and_repeats_are_left_out_and_counted_in_the_notes(table) -> None:
    hours = [{"datetime": f"2024-06-05T{h:02}:00:00Z"} for h in range(6)]
    wrong = [{**h, "value": v} for h, v in zip(hours, ("-999", "9999", "", "nan"), strict=False)]
    path = table(*wrong, hours[4], {**hours[4], "value": "50"}, hours[5])
    found, notes = stations.read(path, JUNE, WHERE)
    # A network appends what it has corrected: the later value stands.
    assert found["no2"].tolist() == [50, 12.5]
    assert notes == [
        "hourly.csv: 4 impossible or missing values left out",
        "hourly.csv: 1 repeated hours with another value left out, the last one is kept",
    ]


def test_the_same_hour_in_two_time_zones_is_a_repeat(table) -> None:
    path = table({}, {"datetime": "2024-06-05T18:30:00+05:30"})
    found, notes = stations.read(path, JUNE, WHERE)
    assert len(found) == 1 and "1 repeated" in notes[0]


def test_small_negative_noise_is_kept(table) -> None:
    assert stations.read(table({"value": "-1.5"}), JUNE, WHERE)[0]["no2"][0] == -1.5


@pytest.mark.parametrize(
    "row", [{"datetime": "2023-06-05T13:00:00Z"}, {"lon": "3.0"}, {"lat": ""}, {"parameter": "o3"}]
)
def test_nothing_inside_place_and_time_is_told_with_the_period(table, row) -> None:
    assert "2024-06" in refusal(table(row))


def test_only_error_codes_leave_nothing_and_that_is_told(table) -> None:
    assert "no usable value" in refusal(table({"value": "-999"}))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hourly.csv"
    path.write_bytes(content)
    refusal(path)
    path.unlink()
    refusal(path)


def test_rows_come_by_station_and_time_whatever_their_order(table) -> None:
    rows = [
        {"location_id": s, "datetime": f"2024-06-05T{h:02}:00:00Z"}
        for s, h in (("B", 2), ("A", 3), ("B", 1), ("A", 2))
    ]
    found, _ = stations.read(table(*rows), JUNE, WHERE)
    assert [(r.station_id, r.time.hour) for r in found.itertuples()] == [
        ("A", 2),
        ("A", 3),
        ("B", 1),
        ("B", 2),
    ]


def test_a_mean_is_that_of_the_hours_of_stations_with_enough_of_them(table) -> None:
    day = Period.parse("2024-06-05")
    full = [{"datetime": f"2024-06-05T{h:02}:00:00Z", "value": str(h)} for h in range(1, 24)]
    few = [{**row, "location_id": "AT2"} for row in full[:11]]
    found, _ = stations.read(table(*full, *few), day, WHERE)
    means = stations.means(found, day, min_capture=0.5)
    assert means["station_id"].tolist() == ["AT1"]
    assert means["no2"].tolist() == [12.0] and means["hours"].tolist() == [23]
    assert len(stations.means(found, day, min_capture=11 / 24)) == 2
    assert means.crs.to_epsg() == 4326


def test_an_error_code_does_not_push_out_the_value_that_follows_it(table) -> None:
    found, notes = stations.read(table({"value": "-999"}, {"value": "21"}), JUNE, WHERE)
    assert found["no2"].tolist() == [21.0] and len(notes) == 1


def test_both_micro_signs_are_one_unit(table) -> None:
    rows = [{"units": "\u00b5g/m³"}, {"units": "\u03bcg/m³", "location_id": "AT2"}]
    assert len(stations.read(table(*rows), JUNE, WHERE)[0]) == 2
