"""Station tables of every layout: one set out of all; broken and hostile files end in one line."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import plain_table, station_columns, stations, tables

JUNE = Period.parse("2024-06")
YEAR = Period.parse("2024")
WHERE = GeoBox.from_bbox((15, 47, 16, 48), "EPSG:4326", resolution=0.05)
HEADER = "location_id,sensors_id,location,datetime,lat,lon,parameter,units,value"
LINE = "AT1,15,Graz,2024-06-05T13:00:00Z,47.1,15.3,no2,µg/m³,12.5"
METADATA = (
    "Country,Air Quality Station EoI Code,Sampling Point Id,Air Pollutant,Longitude,Latitude,"
    "Air Quality Station Area,Air Quality Station Type,Municipality"
)


def refusal(path: Path, period: Period = JUNE) -> str:
    with pytest.raises(SourceError) as caught:
        stations.read(path, period, WHERE)
    line = str(caught.value)
    assert "\n" not in line and path.name in line and len(line) < 600
    return line


@pytest.fixture
def text(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "hourly.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    def write(columns: dict[str, object] | pa.Table, name: str = "hourly.parquet", **how) -> Path:
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        pq.write_table(table, tmp_path / name, **how)
        return tmp_path / name

    return write


def plain(values: list[float], **other: object) -> dict[str, object]:
    """Hours of 5 June from 1 o'clock UTC on, in the columns of a plain table."""
    ends = [datetime(2024, 6, 5, tzinfo=UTC) + timedelta(hours=h + 1) for h in range(len(values))]
    one = {"location_id": "AT1", "lat": 47.1, "lon": 15.3, "parameter": "no2", "units": "µg/m³"}
    columns = {name: [value] * len(values) for name, value in one.items()}
    return columns | {"datetime": ends, "value": values} | other


def eea(rows: list[dict[str, object]], folder: Path, *, meta: str | None = None) -> Path:
    """Write a file as the EEA does, with naive times in UTC+1, and its metadata."""
    start = datetime(2024, 6, 5, 13)
    usual = {
        "Samplingpoint": "AT/SPO.1", "Pollutant": 8, "Start": start, "Value": Decimal("12.5"),
        "Unit": "ug.m-3", "AggType": "hour", "Validity": 1, "Verification": 1,
        "ResultTime": datetime(2024, 7, 1), "DataCapture": None, "FkObservationLog": "x",
    }  # fmt: skip
    full = [{**usual, **row} for row in rows]
    full = [{"End": row["Start"] + timedelta(hours=1), **row} for row in full]
    columns = {name: [row[name] for row in full] for name in full[0]}
    columns["Value"] = pa.array(columns["Value"], pa.decimal128(38, 18))
    columns["DataCapture"] = pa.array(columns["DataCapture"], pa.decimal128(38, 18))
    pq.write_table(pa.table(columns), folder / "SPO.1.parquet")
    (folder / "metadata.csv").write_text(
        meta or f"{METADATA}\nAustria,AT60018,SPO.1,NO2,15.3,47.1,urban,background,Graz\n", "utf-8"
    )
    return folder / "SPO.1.parquet"


# One measurement, many tables.


def test_the_same_hours_are_one_station_set_in_every_layout(text, parquet, tmp_path) -> None:
    rng = np.random.default_rng(1)
    values = rng.gamma(3, 7, 40).round(2).tolist()
    columns = plain(values, station_type=["traffic"] * 40, station_area=["urban"] * 40)
    csv = pd.DataFrame(columns).assign(
        datetime=[t.astimezone(ZoneInfo("Europe/Vienna")).isoformat() for t in columns["datetime"]]
    )
    paths = [
        parquet(columns),
        text(csv.to_csv(index=False)),
        text(gzip.compress(csv.to_csv(index=False).encode()), "hourly.csv.gz"),
        text("\ufeff" + csv.to_csv(index=False), "bom.csv"),
        parquet({**columns, "datetime": csv["datetime"].tolist()}, "texts.parquet"),
        parquet({**columns, "units": ["ppb"] * 40,
                 "value": [v / 1.9125 for v in values]}, "ppb.parquet"),
    ]  # fmt: skip
    (tmp_path / "eea").mkdir()
    line = "Austria,AT60018,AT1,NO2,15.3,47.1,urban,traffic,Graz"
    rows = [
        {"Samplingpoint": "AT/AT1", "Value": Decimal(str(v)), "Start": (t).replace(tzinfo=None)}
        for v, t in zip(values, columns["datetime"], strict=True)
    ]
    paths.append(eea(rows, tmp_path / "eea", meta=f"{METADATA}\n{line}\n"))
    first = stations.read(paths[0], JUNE, WHERE)[0]
    first.to_parquet(tmp_path / "set.parquet")
    for path in (*paths, tmp_path / "set.parquet", tmp_path / "eea"):
        found, _ = stations.read(path, JUNE, WHERE)
        found["station_id"] = found["station_id"].str.removeprefix("AT/")
        pd.testing.assert_frame_equal(found, first, rtol=1e-12)
    assert first["no2"].tolist() == values and first["station_type"].unique() == ["traffic"]


def test_an_hour_stamped_at_its_begin_and_one_at_its_end_are_the_same(text, tmp_path) -> None:
    # 13 to 14 o'clock UTC: the EEA writes the begin in UTC+1, OpenAQ the end.
    begin = eea([{"Start": datetime(2024, 6, 5, 14)}], tmp_path)
    end = text(f"{HEADER}\n{LINE.replace('13:00:00Z', '16:00:00+02:00')}\n")
    for path in (begin, end):
        assert stations.read(path, JUNE, WHERE)[0]["time"].tolist() == [
            datetime(2024, 6, 5, 14, tzinfo=UTC)
        ]


def test_the_night_when_summer_time_ends_has_25_hours_and_the_other_23(text) -> None:
    zone = ZoneInfo("Europe/Vienna")
    for day, hours in ((datetime(2024, 10, 27), 25), (datetime(2024, 3, 31), 23)):
        first = day.replace(tzinfo=zone).astimezone(UTC)
        ends = [first + timedelta(hours=h + 1) for h in range(hours)]
        assert ends[-1].astimezone(zone).hour == 0
        lines = [LINE.replace("2024-06-05T13:00:00Z", e.astimezone(zone).isoformat()) for e in ends]
        found, notes = stations.read(text("\n".join([HEADER, *lines])), YEAR, WHERE)
        assert found["time"].nunique() == hours and not any("repeated" in n for n in notes)


@settings(max_examples=40, deadline=None)
@given(value=st.floats(-9, 1900), unit=st.sampled_from(["ppb", "ppm", "mg/m³", "ug/m3"]))
def test_units_go_there_and_back(value: float, unit: str) -> None:
    factor = station_columns.factor(unit)
    assert factor and value / factor * factor == pytest.approx(value, rel=1e-12)
    assert station_columns.factor("ppb") == 1.9125
    assert station_columns.factor("ppm") == pytest.approx(1000 * station_columns.factor("ppb"))


@pytest.mark.parametrize(
    ("spelling", "same"),
    [("UG.M-3", "µg/m³"), ("µg m^-3", "µg/m³"), ("ug/m^3", "µg/m³"), ("\u03bcg/m3", "µg/m³"),
     ("PPB", "ppb"), ("Parts per billion", "ppb"), ("nmol/mol", "ppb"), ("ppmv", "ppm"),
     ("mg m-3", "mg/m³"), ("MG/M3", "mg/m³")],
)  # fmt: skip
def test_units_have_many_spellings(spelling: str, same: str) -> None:
    assert station_columns.factor(spelling) == station_columns.factor(same) is not None


# The EEA's codes.


def test_only_valid_hours_of_no2_are_taken_from_the_eea(tmp_path) -> None:
    rows = [{"Start": datetime(2024, 6, 5, h), "Validity": v} for h, v in
            enumerate((-99, -1, 0, 1, 2, 3))]  # fmt: skip
    rows += [
        {"Start": datetime(2024, 6, 6), "End": datetime(2024, 6, 7), "AggType": "day"},
        {"Start": datetime(2024, 6, 7), "End": datetime(2024, 6, 7, 3), "AggType": "var"},
        {"Start": datetime(2024, 6, 8), "End": datetime(2024, 6, 9)},
        {"Start": datetime(2024, 6, 9), "Pollutant": 7},
        {"Start": datetime(2024, 6, 10), "Value": Decimal(-999)},
        {"Start": datetime(2024, 6, 11), "Samplingpoint": "AT/SPO.unknown"},
    ]
    found, notes = stations.read(eea(rows, tmp_path), JUNE, WHERE)
    assert [t.hour for t in found["time"]] == [3, 4, 5]
    assert found["station_id"].unique() == ["AT/SPO.1"]
    told = " ".join(notes)
    for count in ("3 rows of days", "3 hours that their network calls invalid",
                  "1 impossible", "1 rows of sampling points without coordinates"):  # fmt: skip
        assert count in told
    assert found.attrs["counts"]["rows read"] == 12


@pytest.mark.parametrize(
    "line",
    ["Italy,IT1823A,SPO.IT1823A_8_chemi_2013,NO2,15.3,47.1,rural-regional,industrial,Roma",
     "IT,IT1823A,SPO.IT1823A_8_chemi_2013,Nitrogen dioxide (air),15.3,47.1,rural,industrial,x",
     "Italy,IT1823A,IT/SPO.IT1823A_8_chemi_2013,NO2,15.3,47.1,rural-remote,industrial,x"],
)  # fmt: skip
def test_a_sampling_point_is_found_with_its_country_before_it(tmp_path, line: str) -> None:
    rows = [{"Samplingpoint": "IT/SPO.IT1823A_8_chemi_2013"}]
    found, _ = stations.read(eea(rows, tmp_path, meta=f"{METADATA}\n{line}\n"), JUNE, WHERE)
    assert (found.station_type[0], found.station_area[0]) == ("industrial", "rural")


def test_of_two_versions_of_an_hour_the_one_updated_last_is_kept(tmp_path) -> None:
    rows = [{"Value": Decimal(v), "ResultTime": datetime(2024, 7, day)}
            for v, day in ((10, 3), (30, 9), (20, 5))]  # fmt: skip
    found, notes = stations.read(eea(rows, tmp_path), JUNE, WHERE)
    assert found["no2"].tolist() == [30] and "2 repeated hours with another value" in notes[0]


def test_without_metadata_coordinates_are_asked_for(tmp_path) -> None:
    path = eea([{}], tmp_path)
    (tmp_path / "metadata.csv").unlink()
    assert "metadata" in refusal(path)


# What looks wrong and stays.


def series(parquet, values: list[float], **other: object) -> tuple[pd.DataFrame, str]:
    found, notes = stations.read(parquet(plain(values, **other)), JUNE, WHERE)
    return found, "; ".join(notes)


def test_standing_values_are_counted_and_kept(parquet) -> None:
    wave = [20 + 5 * np.sin(h) for h in range(30)]
    found, told = series(parquet, [*wave[:5], *[7.5] * 24, *wave[5:]])
    assert "24 values of monitors that stand still" in told and len(found) == 54
    assert "stand still" not in series(parquet, [*wave[:5], *[7.5] * 23, *wave[5:]])[1]
    assert "stand still" not in series(parquet, [0.0] * 48)[1]


def test_a_lost_hour_does_not_hide_a_standing_value(parquet) -> None:
    values: list[float] = [7.5] * 40
    values[12] = -999
    assert "39 values of monitors that stand still" in series(parquet, values)[1]


def test_spikes_are_counted_and_kept_and_a_rise_is_none(parquet) -> None:
    found, told = series(parquet, [20, 21, 300, 22, 20, 21])
    assert "1 spikes" in told and 300 in found["no2"].tolist()
    assert "spikes" not in series(parquet, [20, 21, 300, 290, 20])[1]
    assert "spikes" not in series(parquet, [20, 21, 300])[1]


def test_values_closer_than_an_hour_are_told(parquet) -> None:
    ends = [datetime(2024, 6, 5, 0, m, tzinfo=UTC) for m in (10, 20, 30)]
    assert "2 values less than an hour" in series(parquet, [1.0, 2, 3], datetime=ends)[1]


def test_places_that_cannot_be_are_counted(parquet) -> None:
    lons, lats = [0.0, 15.3, 15.35, np.nan, 200.0, 3.0], [0.0, 47.1, 47.1, 47.0, 47.0, 47.0]
    _, told = series(parquet, [1.0, 2, 3, 4, 5, 6], lon=lons, lat=lats)
    assert "1 rows at 0° N 0° E" in told and "2 rows without a place on Earth" in told
    assert "1 rows outside the region" in told and "1 stations that moved" in told


def test_identical_repeats_are_one_hour(parquet) -> None:
    columns = pa.table(plain([1.0, 2.0]))
    found, notes = stations.read(parquet(pa.concat_tables([columns] * 3)), JUNE, WHERE)
    assert found["no2"].tolist() == [1, 2]
    assert notes == ["hourly.parquet: 4 repeated hours left out"]


def test_counts_survive_the_way_through_a_file(parquet, tmp_path) -> None:
    found, _ = stations.read(parquet(plain([1.0, -999, 2])), JUNE, WHERE)
    assert found.attrs["counts"] == {"rows read": 3, "impossible or missing values left out": 1}
    found.to_parquet(tmp_path / "set.parquet")
    import geopandas

    assert geopandas.read_parquet(tmp_path / "set.parquet").attrs == found.attrs


# Hostile and broken files.


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"{HEADER}\n{LINE}\n".encode("utf-16"), "UTF-16"),
        (f"{HEADER}\n{LINE}\n".encode("utf-16-le"), "NUL"),
        (f"{HEADER}\n{LINE}\n".encode("latin-1"), "UTF-8"),
        (f"{HEADER}\n{LINE}\0\n".encode(), "NUL"),
        (HEADER.encode(), "no row"),
        (f"{HEADER}\n".encode(), "no NO2"),
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (b'{"detail": "no"}', "JSON"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x1f\x8b\x08\x00nonsense", "cannot be read"),
        (gzip.compress(f"{HEADER}\n{LINE}\n".encode() * 50)[:-20], "cannot be read"),
        (b"PAR1 and nothing more", "cannot be read"),
        (f"{HEADER},value\n{LINE},3\n".encode(), "twice"),
        (("x" * 10**6 + "," + "y" * 10**6).encode(), "no header"),
        (("x" * 10**5 + "," + "y" * 10**5).encode(), "lacks the columns"),
        (f"{HEADER}\n{'1' * 2 * 10**7}".encode(), ""),
        (f"{HEADER}\n{LINE.replace('2024-06', '2' * 10**6)}\n".encode(), "ISO 8601"),
        (f"{HEADER}\n{LINE.replace('µg/m³', 'u' * 10**6)}\n".encode(), "known units"),
        (f"{HEADER}\n{LINE.replace('2024-06', '99999-06')}\n".encode(), "ISO 8601"),
        (b"\n\n\n", "empty"),
        (b"\xff\xfe", "UTF-16"),
    ],
)
def test_a_hostile_table_ends_in_one_line(text, content: bytes, told: str) -> None:
    assert told in refusal(text(content))


def test_a_long_field_elsewhere_does_no_harm(text) -> None:
    path = text(f"{HEADER}\n{LINE.replace('Graz', 'g' * 10**6)}\n")
    assert len(stations.read(path, JUNE, WHERE)[0]) == 1


def test_ragged_rows_are_left_out_and_counted(text) -> None:
    path = text(f"{HEADER}\n{LINE},more\nAT1,15\n{LINE}\n")
    found, notes = stations.read(path, JUNE, WHERE)
    assert len(found) == 1 and notes == [f"hourly.csv: 2 {tables.RAGGED}"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_parquet_file_cut_short_is_refused(parquet, share: float) -> None:
    path = parquet(plain(list(map(float, range(20)))))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cannot be read" in refusal(path)


def test_damaged_bytes_never_end_in_a_traceback(parquet) -> None:
    whole = parquet(plain(list(map(float, range(20))))).read_bytes()
    rng = np.random.default_rng(5)
    for number in range(60):
        broken = bytearray(whole)
        for at in rng.integers(4, len(whole) - 4, 8):
            broken[at] ^= 1 << int(rng.integers(8))
        path = parquet(plain([1.0]), f"{number}.parquet")
        path.write_bytes(bytes(broken))
        try:
            stations.read(path, JUNE, WHERE)
        except SourceError as err:
            assert "\n" not in str(err)


def test_nested_columns_are_refused(parquet) -> None:
    assert "nested" in refusal(parquet(plain([1.0], value=[[1.0, 2.0]])))
    assert "nested" in refusal(parquet(plain([1.0], location_id=[{"a": 1}])))


@pytest.mark.parametrize("name", ["location_id", "lat", "datetime", "parameter", "units", "value"])
@pytest.mark.parametrize(
    "column",
    [[b"\xff\xfe"], [True], [None], [datetime(2024, 6, 5)], [2**62], ["12"], [1e300],
     pa.array([None], pa.null()), pa.array(["a"]).dictionary_encode(), pa.array([b"\x00"])],
)  # fmt: skip
def test_columns_of_wrong_types_are_refused_in_one_line(parquet, name: str, column) -> None:
    path = parquet(plain([12.0], **{name: column}))
    try:
        found, _ = stations.read(path, JUNE, WHERE)
    except SourceError as err:
        assert "\n" not in str(err) and path.name in str(err)
    else:
        # What a name or a number in words may be.
        assert name == "location_id" or (column == ["12"] and found["no2"].tolist() == [12])


def test_times_without_zone_in_parquet_are_refused(parquet) -> None:
    assert "UTC offset" in refusal(parquet(plain([1.0], datetime=[datetime(2024, 6, 5)])))


def test_a_station_set_in_another_crs_is_refused(parquet, tmp_path) -> None:
    found, _ = stations.read(parquet(plain([1.0])), JUNE, WHERE)
    found.to_crs("EPSG:32633").to_parquet(tmp_path / "utm.parquet")
    assert "EPSG:4326" in refusal(tmp_path / "utm.parquet")


def test_geometry_that_is_none_is_refused(parquet) -> None:
    found = {"station_id": ["a"], "station_type": ["b"], "station_area": ["c"], "no2": [1.0]}
    found |= {"time": [datetime(2024, 6, 5, tzinfo=UTC)], "geometry": [b"nonsense"]}
    assert "WKB" in refusal(parquet(found))


def test_claims_that_do_not_fit_into_memory_are_refused_before_reading(
    parquet, monkeypatch
) -> None:
    path = parquet(plain(list(map(float, range(100)))))
    monkeypatch.setattr(tables, "MAX_ROWS", 99)
    assert "100 rows" in refusal(path)
    monkeypatch.setattr(tables, "MAX_ROWS", 100)
    monkeypatch.setattr(tables, "MAX_GROUP", 100)
    assert "row group 0" in refusal(path)


def test_a_gzip_bomb_is_stopped(text, monkeypatch) -> None:
    monkeypatch.setattr(tables, "MAX_TEXT", 2**20)
    path = text(gzip.compress(f"{HEADER}\n{LINE}\n".encode() + b"\n" * 2**24), "bomb.csv.gz")
    assert "unpacks to more" in refusal(path)


def test_a_folder_is_read_as_one_table(text, tmp_path) -> None:
    text(f"{HEADER}\n{LINE}\n", "a.csv")
    text(f"{HEADER}\n{LINE.replace('AT1', 'AT2')}\n", "b.csv")
    found, _ = stations.read(tmp_path, JUNE, WHERE)
    assert found["station_id"].tolist() == ["AT1", "AT2"]


def test_an_empty_folder_is_refused(tmp_path) -> None:
    assert "add station data" in refusal(tmp_path)


def test_written_notes_come_back_and_foreign_ones_are_tamed(tmp_path, parquet) -> None:
    table = pa.table(plain([1.0], station_type=["a"], station_area=["b"]))
    path = tmp_path / "out.parquet"
    rows = table.select(plain_table.PLAIN.names).cast(plain_table.PLAIN)
    plain_table.write(path, [rows], lambda: ["3 mobile stations left out"])
    assert stations.read(path, JUNE, WHERE)[1] == ["3 mobile stations left out"]
    evil = table.replace_schema_metadata({"aqgeo:notes": json.dumps(["a\nb\x1b[2J" * 1000])})
    (note,) = stations.read(parquet(evil), JUNE, WHERE)[1]
    assert "\n" not in note and "\x1b" not in note and len(note) < 500


def test_a_write_that_fails_leaves_nothing(tmp_path) -> None:
    def parts():
        yield plain_table.PLAIN.empty_table()
        raise SourceError("service gone")

    with pytest.raises(SourceError):
        plain_table.write(tmp_path / "out.parquet", parts(), list)
    assert list(tmp_path.iterdir()) == []


READ = """
import resource, sys
from pathlib import Path
from odc.geo.geobox import GeoBox
from aqgeo.period import Period
from aqgeo.sources import stations
where = GeoBox.from_bbox((15, 47, 16, 48), "EPSG:4326", resolution=0.05)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found, _ = stations.read(Path(sys.argv[1]), Period.parse("2024-06"), where)
print(len(found), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def grown_mib(path: Path, root: Path) -> tuple[int, float]:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, kib = done.stdout.split()
    return int(rows), int(kib) / 1024


def test_memory_follows_what_is_kept_and_not_the_file(tmp_path, root) -> None:
    # 4 million rows, of which 24 lie in region and period: 400 MB as a table in memory.
    hours = pa.table(plain([float(h) for h in range(24)]))
    far = hours.take(pa.array(np.arange(400_000) % 24)).set_column(
        hours.schema.get_field_index("lon"), "lon", pa.repeat(3.0, 400_000)
    )
    with pq.ParquetWriter(tmp_path / "hourly.parquet", hours.schema) as writer:
        for table in (hours, *[far] * 10):
            writer.write_table(table)
    rows, grown = grown_mib(tmp_path / "hourly.parquet", root)
    assert rows == 24 and grown < 250


def test_a_long_text_in_every_row_is_not_copied_for_each(parquet, root) -> None:
    # A megabyte in each of 20,000 rows, one kilobyte on disk: 20 GB if it were unpacked.
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, "int32")), ["x" * 10**6])
    lat = np.where(np.arange(20_000) < 1, 47.1, 3.0)
    ids = {"location_id": long, "lat": lat}
    one = pa.table(plain([1.0])).take(pa.array(np.zeros(20_000, "int32")))
    path = parquet({name: ids.get(name, one[name]) for name in one.column_names})
    assert path.stat().st_size < 2 * 10**6
    rows, grown = grown_mib(path, root)
    assert rows == 1 and grown < 400
