"""Stand-ins of OpenAQ and of the EEA's download service, on the loopback server.

    with Server() as server:
        openaq = OpenAQ(server, [Station(8118, hours)])
        eea = EEA(server, [Station(...)])

Both serve the same `Station` records, so that tests can ask both for the same measurements. What
they do wrong is said by their fields, and by `server.script` for single answers.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from tests.standins.server import Answer, Seen, Server

HOUR = timedelta(hours=1)
KEY = "an-openaq-key-that-nobody-may-see"


@dataclass(frozen=True, slots=True)
class Station:
    """A place with one monitor of NO2."""

    number: int
    hours: Mapping[datetime, float | None]
    """Value by the hour's end in UTC."""
    lon: float | None = 15.3
    lat: float | None = 47.1
    units: str = "µg/m³"
    kind: str = "background"
    area: str = "urban"
    country: str = "AT"
    mobile: bool = False
    flagged: frozenset[datetime] = frozenset()
    """Ends of hours that OpenAQ has flagged."""


@dataclass
class OpenAQ:
    """`/v3` below the server's root; needs the header X-API-Key."""

    server: Server
    stations: Sequence[Station]
    found: str | int = ">1000"
    """What pages of more than one result say in `meta.found`."""
    most: int = 1000
    """Results on a page, whatever `limit` asks for."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Headers of every answer, such as x-ratelimit-remaining."""

    def __post_init__(self) -> None:
        self.server.routes["/v3"] = self._answer
        gone = {"message": "Gone. Version 1 and Version 2 API endpoints are retired"}
        self.server.routes["/v2"] = lambda seen: Answer.json(gone, 410)

    @property
    def root(self) -> str:
        return self.server.url("/v3")

    def _answer(self, seen: Seen) -> Answer:
        if seen.headers.get("x-api-key") != KEY:
            return Answer.json({"message": "Invalid credentials"}, 401)
        match seen.path.split("/")[2:]:
            case ["parameters"]:
                results = [_parameter(u) for u in _IDS]
                results += [{"id": 2, "name": "pm25", "units": "µg/m³", "displayName": None}]
            case ["locations"]:
                if "bbox" in seen.query and _too_fine(seen.query["bbox"]):
                    detail = [{"loc": ["query", "bbox"], "msg": "at most 4 decimals"}]
                    return Answer.json({"detail": detail}, 422)
                results = self._locations(seen.query)
            case ["sensors", number, "hours"]:
                results = self._hours(int(number), seen.query)
            case _:
                return Answer.json({"detail": "Not Found"}, 404)
        return self._page(results, seen.query)

    def _page(self, results: list[dict[str, Any]], query: Mapping[str, str]) -> Answer:
        limit, page = min(int(query.get("limit", 100)), self.most), int(query.get("page", 1))
        part = results[(page - 1) * limit : page * limit]
        meta = {"name": "openaq-api", "website": "/", "page": page, "limit": limit}
        meta["found"] = self.found if len(part) > 1 else len(part)
        return Answer.json({"meta": meta, "results": part}, headers=dict(self.limits))

    def _locations(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        west, south, east, north = map(float, query["bbox"].split(","))
        wanted = int(query["parameters_id"])
        return [
            _location(s)
            for s in self.stations
            if _IDS[s.units] == wanted
            and (s.lon is None or s.lat is None
                 or (west <= s.lon <= east and south <= s.lat <= north))
        ]  # fmt: skip

    def _hours(self, sensor: int, query: Mapping[str, str]) -> list[dict[str, Any]]:
        station = next(s for s in self.stations if s.number * 10 == sensor)
        first, last = (datetime.fromisoformat(query[f"datetime_{k}"]) for k in ("from", "to"))
        return [_hour(station, e) for e in sorted(station.hours) if first < e <= last]


@dataclass
class EEA:
    """The download service; measurements lie as Parquet files on the same server."""

    server: Server
    stations: Sequence[Station]
    datasets: Sequence[int] = (1, 2)
    """Those that have files."""
    key: str = "dataset"
    """The key of the body that this release reads: `dataset` or `datasets`."""
    rows: Sequence[Mapping[str, Any]] = ()
    """More rows of the first station's file, that differ from a usual row in what is named."""
    foreign: Sequence[str] = ()
    """More addresses in the list of files."""

    def __post_init__(self) -> None:
        self.server.routes["/DownloadSummary"] = self._summary
        self.server.routes["/ParquetFile/urls"] = self._urls
        self.server.files["/metadata.zip"] = _zip("DataExtract.csv", self._metadata())
        for number, station in enumerate(self.stations):
            rows = [*_eea_rows(station), *(self.rows if number == 0 else ())]
            for dataset in self.datasets:
                self.server.files[self.file(station, dataset)] = _parquet(station, rows)

    @property
    def root(self) -> str:
        return self.server.url("")

    @property
    def metadata(self) -> str:
        return self.server.url("/metadata.zip")

    @staticmethod
    def file(station: Station, dataset: int = 2) -> str:
        """Return the path of a station's measurements."""
        return f"/airquality-{dataset}/{station.country}/SPO-{station.number}_8_100.parquet"

    def _chosen(self, seen: Seen) -> int | None:
        asked = seen.json().get(self.key)
        return asked[0] if isinstance(asked, list) else asked

    def _known(self, seen: Seen) -> list[Station]:
        there = self._chosen(seen) in self.datasets and "NO2" in seen.json()["pollutants"]
        return [s for s in self.stations if there and s.country in seen.json()["countries"]]

    def _summary(self, seen: Seen) -> Answer:
        return Answer.json({"numberFiles": len(self._known(seen)), "size": 1})

    def _urls(self, seen: Seen) -> Answer:
        dataset = self._chosen(seen) or 0
        urls = [self.server.url(self.file(s, dataset)) for s in self._known(seen)]
        text = "\r\n".join(["ParquetFileUrl", *urls, *self.foreign, ""])
        return Answer(200, text.encode(), {"Content-Type": "text/plain"})

    def _metadata(self) -> str:
        lines = [
            "Country,Air Quality Station EoI Code,Air Quality Station Name,Sampling Point Id,"
            "Air Pollutant,Longitude,Latitude,Altitude,Air Quality Station Area,"
            "Air Quality Station Type,Municipality,Timezone"
        ]
        for s in self.stations:
            place = f'{s.lon},{s.lat},300,{s.area},{s.kind},"Town, old",UTC+1'
            point = f"Somewhere,{s.country}{s.number},Name,SPO-{s.number}_8_100"
            lines += [f"{point},{gas},{place}" for gas in ("NO2", "O3")]
        return "\n".join(lines) + "\n"


# Numbers of NO2 as OpenAQ has them, one for each unit.
_IDS = {"µg/m³": 5, "ppm": 7, "ppb": 15}


def _parameter(units: str) -> dict[str, Any]:
    return {"id": _IDS[units], "name": "no2", "units": units, "displayName": "NO₂"}


def _instant(time: datetime) -> dict[str, str]:
    local = time.astimezone(ZoneInfo("Europe/Vienna"))
    return {"utc": f"{time:%Y-%m-%dT%H:%M:%SZ}", "local": local.isoformat()}


def _location(s: Station) -> dict[str, Any]:
    place = None if s.lon is None else {"longitude": s.lon, "latitude": s.lat}
    sensor = {"id": s.number * 10, "name": f"no2 {s.units}", "parameter": _parameter(s.units)}
    other = {"id": 2, "name": "pm25", "units": "µg/m³", "displayName": None}
    return {
        "id": s.number, "name": "Somewhere", "locality": None, "timezone": "Europe/Vienna",
        "country": {"id": 1, "code": s.country, "name": "x"}, "isMobile": s.mobile,
        "isMonitor": True, "coordinates": place, "bounds": [0, 0, 0, 0], "distance": None,
        "sensors": [sensor, {"id": s.number * 10 + 1, "name": "pm25", "parameter": other}],
        "datetimeFirst": None, "datetimeLast": _instant(datetime(2030, 1, 1, tzinfo=UTC)),
    }  # fmt: skip


def _hour(s: Station, end: datetime) -> dict[str, Any]:
    span = {"datetimeFrom": _instant(end - HOUR), "datetimeTo": _instant(end)}
    return {
        "value": s.hours[end], "parameter": _parameter(s.units), "coordinates": None,
        "period": {"label": "1hour", "interval": "01:00:00", **span},
        "flagInfo": {"hasFlags": end in s.flagged}, "summary": None, "coverage": None,
    }  # fmt: skip


def _eea_rows(s: Station) -> list[dict[str, Any]]:
    # The EEA's clock stands at UTC+1 and stamps the begin.
    return [
        {
            "Start": end.replace(tzinfo=None),
            "Value": Decimal(-999) if v is None else Decimal(str(v)),
        }
        for end, v in sorted(s.hours.items())
    ]


def _parquet(s: Station, rows: Sequence[Mapping[str, Any]]) -> bytes:
    usual = {
        "Samplingpoint": f"{s.country}/SPO-{s.number}_8_100", "Pollutant": 8, "Unit": "ug.m-3",
        "AggType": "hour", "Validity": 1, "Verification": 1, "DataCapture": None,
        "ResultTime": datetime(2024, 9, 1), "FkObservationLog": "0",
    }  # fmt: skip
    full = [usual | {"End": row["Start"] + HOUR} | dict(row) for row in rows]
    decimal = pa.decimal128(38, 18)
    columns = {name: [row[name] for row in full] for name in (*usual, "Start", "End", "Value")}
    table = pa.table({
        name: pa.array(values, decimal if name in ("Value", "DataCapture") else None)
        for name, values in columns.items()
    })  # fmt: skip
    with io.BytesIO() as file:
        pq.write_table(table, file)
        return file.getvalue()


def _zip(name: str, text: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, text)
        return file.getvalue()


def _too_fine(box: str) -> bool:
    return any(len(v.partition(".")[2]) > 4 for v in box.split(","))


def openaq_hours(first: datetime, values: Sequence[float | None]) -> dict[datetime, float | None]:
    """Return values by the ends of the hours from an instant on."""
    return {first + HOUR * (n + 1): value for n, value in enumerate(values)}
