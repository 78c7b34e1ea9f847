"""OpenAQ, version 3 of its interface: hourly NO2 of a region's stations as one plain table."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from odc.geo.geobox import GeoBox
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote import auth, http
from aqgeo.remote.cache import write_json
from aqgeo.sources import plain_table, tables
from aqgeo.sources.station_rows import Scope

T = TypeVar("T")
Report = Callable[[int, int], None]

TABLE = "stations-no2.parquet"
_LIMIT = 1000  # rows a page, the most that is allowed (sources-handbook, section 6)
_PAGES = 1000  # a million hours of one sensor are a century: such a service pages for ever
_ROW_FAILURES = 3  # sensors that fail one after the other: the service is down
_LONGEST_REST_S = 3600.0  # its longer window of counting requests (same place)


@dataclass(frozen=True, slots=True)
class _Parameter:
    id: int
    name: str
    units: str


@dataclass(frozen=True, slots=True)
class _Place:
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class _Sensor:
    id: int
    parameter: _Parameter


@dataclass(frozen=True, slots=True)
class _Instant:
    utc: AwareDatetime


@dataclass(frozen=True, slots=True)
class _Location:
    id: int
    isMobile: bool  # names are the service's
    sensors: list[_Sensor]
    coordinates: _Place | None = None
    isMonitor: bool = True
    datetimeFirst: _Instant | None = None
    datetimeLast: _Instant | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    datetimeTo: _Instant


@dataclass(frozen=True, slots=True)
class _Flags:
    hasFlags: bool = False


@dataclass(frozen=True, slots=True)
class _Hour:
    value: float | None
    period: _Span
    parameter: _Parameter
    flagInfo: _Flags | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hours of one sensor, as they are kept until all sensors have been asked."""

    ends: list[datetime]
    values: list[float]
    units: list[str]
    flagged: int = 0
    empty: int = 0


def download(
    source: Source,
    where: GeoBox,
    period: Period,
    folder: Path,
    *,
    client: http.Client | None = None,
    report: Report | None = None,
) -> Path:
    """Bring the hours of NO2 of a region's fixed stations into one plain table.

    Answers are kept beside the table, sensor by sensor, until it is complete: a run that was
    killed asks only for what is missing. Hours that OpenAQ has flagged are left out and noted.

    Args:
        source: a source of kind `openaq`.
        where: grid in whose bounding box stations must lie.
        period: an hour belongs to it when it ends after the start and not after the end.
        folder: where the table is written, as TABLE.
        client: opens the service; one for the source's hosts and key if None.
        report: is told how many sensors are done, of how many.

    Returns:
        The table, for `stations.read`, with notes on what was left out.

    Raises:
        SourceError: the service refuses or stays broken, or has no station of NO2 in the region.
    """
    client = client or http.Client(source.hosts, auth=auth.of(source.auth))
    service = _Service(client, source.href.rstrip("/"))
    counts: Counter[str] = Counter()
    sensors = _sensors(service, where, period, counts)
    aside = folder / "answers"
    aside.mkdir(parents=True, exist_ok=True)
    kept = [aside / f"{sensor.id}-{period.slug}.json" for _, sensor in sensors]
    failed = _ask_all(service, period, [s for _, s in sensors], kept, report)
    parts = (
        _table(place, sensor, answer, counts)
        for (place, sensor), path in zip(sensors, kept, strict=True)
        if (answer := _kept(path)) is not None
    )
    table = folder / TABLE
    plain_table.write(
        table, parts, lambda: [*failed, *(f"OpenAQ: {n} {w}" for w, n in counts.items() if n)]
    )
    for path in kept:
        path.unlink(missing_ok=True)
    return table


class _Service:
    """The service's pages, asked for no faster than it allows."""

    def __init__(self, client: http.Client, root: str) -> None:
        self._client, self._root = client, root

    def pages(self, path: str, kind: type[T], **query: str | int) -> Iterator[T]:
        """Yield results, page by page until a short one: `found` may be `>1000`."""
        url = f"{self._root}/{path}"
        for page in range(1, _PAGES + 1):
            params = query | {"limit": _LIMIT, "page": page}
            answer = self._client.request("GET", url, params=params)
            results, limit = _results(answer, kind, url)
            yield from results
            _rest(answer)
            if len(results) < limit:
                return
        raise SourceError(f"{url} gives page after page, more than {_PAGES}: report it to OpenAQ")


def _results(answer: Any, kind: type[T], url: str) -> tuple[list[T], int]:
    """Return an answer's results, and how many make a full page."""
    try:
        body = answer.json()
        limit = body.get("meta", {}).get("limit")
        found = TypeAdapter(list[kind]).validate_python(body["results"])  # type: ignore[valid-type]
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        where = ".".join(map(str, slip["loc"]))
        raise SourceError(
            f"{url}: its answer has changed: {where}: {tables.brief(slip['msg'])}"
        ) from err
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as err:
        start = tables.brief(answer.text, 60)
        raise SourceError(f"{url} gives no results in JSON but {start!r}: try later") from err
    return found, limit if isinstance(limit, int) and 0 < limit < _LIMIT else _LIMIT


def _rest(answer: Any) -> None:
    """Wait where the service says that no request is left (x-ratelimit headers)."""
    left, reset = (answer.headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "reset"))
    if left.isdecimal() and int(left) == 0 and reset.isdecimal():
        time.sleep(min(float(reset), _LONGEST_REST_S))


def _sensors(
    service: _Service, where: GeoBox, period: Period, counts: Counter[str]
) -> list[tuple[_Location, _Sensor]]:
    """Return the sensors of NO2 at fixed places in the region, by number."""
    scope = Scope.of(period, where)
    # At most 4 decimals are allowed: outward, so that no station is lost.
    low, high = ([f(v * 1e4) / 1e4 for v in scope.box] for f in (math.floor, math.ceil))
    box = ",".join(f"{v:.4f}" for v in (*low[:2], *high[2:]))
    # The same gas has a number for each unit.
    gases = {p.id for p in service.pages("parameters", _Parameter) if p.name.lower() == "no2"}
    found = {
        place.id: place
        for gas in sorted(gases)
        for place in service.pages("locations", _Location, bbox=box, parameters_id=gas)
    }
    sensors = [
        (place, sensor)
        for _, place in sorted(found.items())
        if _usable(place, scope, counts)
        for sensor in sorted(place.sensors, key=lambda s: s.id)
        if sensor.parameter.id in gases
    ]
    if not sensors:
        raise SourceError(
            f"OpenAQ has no fixed station of NO2 in the region ({box}) in {period}: choose another "
            "region, period or source"
        )
    return sensors


def _usable(place: _Location, scope: Scope, counts: Counter[str]) -> bool:
    spot = place.coordinates
    if place.isMobile or spot is None or spot.longitude is None or spot.latitude is None:
        counts["mobile stations, or without coordinates, left out"] += 1
        return False
    first, last = place.datetimeFirst, place.datetimeLast
    if (first and first.utc > scope.period.end) or (last and last.utc <= scope.period.start):
        return False
    west, south, east, north = scope.box
    inside = west <= spot.longitude <= east and south <= spot.latitude <= north
    counts["low-cost stations kept"] += inside and not place.isMonitor
    return inside


def _ask_all(
    service: _Service, period: Period, sensors: Sequence[_Sensor], kept: Sequence[Path],
    report: Report | None,
) -> list[str]:  # fmt: skip
    """Keep the answers of all sensors, and return which failed, why."""
    failed: list[str] = []
    row = 0
    for done, (sensor, path) in enumerate(zip(sensors, kept, strict=True), 1):
        try:
            if _kept(path) is None:
                path.unlink(missing_ok=True)
                answer = _ask(service, period, sensor)
                write_json(path, TypeAdapter(_Answer).dump_python(answer, mode="json"))
            row = 0
        except SourceError as err:
            failed.append(f"OpenAQ: sensor {sensor.id} left out: {err}")
            row += 1
            if row == _ROW_FAILURES or len(failed) == len(sensors):
                raise
        if report:
            report(done, len(sensors))
    return failed


def _ask(service: _Service, period: Period, sensor: _Sensor) -> _Answer:
    # An hour more on both sides: documents differ on which stamp is compared.
    hour = timedelta(hours=1)
    span = {
        "datetime_from": f"{period.start - hour:%Y-%m-%dT%H:%M:%SZ}",
        "datetime_to": f"{period.end + hour:%Y-%m-%dT%H:%M:%SZ}",
    }
    hours = list(service.pages(f"sensors/{sensor.id}/hours", _Hour, **span))
    good = [h for h in hours if h.value is not None and not (h.flagInfo and h.flagInfo.hasFlags)]
    inside = [h for h in good if period.start < h.period.datetimeTo.utc <= period.end]
    flagged = sum(1 for h in hours if h.flagInfo and h.flagInfo.hasFlags)
    return _Answer(
        [h.period.datetimeTo.utc.astimezone(UTC) for h in inside],
        [float(h.value) for h in inside if h.value is not None],
        [h.parameter.units for h in inside],
        flagged,
        len(hours) - len(good) - flagged,
    )


def _kept(path: Path) -> _Answer | None:
    try:
        return TypeAdapter(_Answer).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _table(place: _Location, sensor: _Sensor, answer: _Answer, counts: Counter[str]) -> pa.Table:
    counts["hours flagged by OpenAQ left out"] += answer.flagged
    counts["hours without a value left out"] += answer.empty
    spot, size = place.coordinates, len(answer.ends)
    columns: dict[str, list[Any]] = {
        "location_id": [str(place.id)] * size,
        "lat": [spot and spot.latitude] * size,
        "lon": [spot and spot.longitude] * size,
        "datetime": answer.ends,
        "parameter": ["no2"] * size,
        "units": answer.units,
        "value": answer.values,
        "station_type": ["unknown"] * size,
        "station_area": ["unknown"] * size,
    }
    return pa.table(columns, schema=plain_table.PLAIN)
