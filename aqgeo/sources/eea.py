"""Download service of the European Environment Agency: hourly NO2 as one plain table."""

import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from odc.geo.geobox import GeoBox

from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote import auth, http
from aqgeo.remote.cache import quarantine
from aqgeo.remote.unzip import unzip
from aqgeo.sources import plain_table, sampling_points, station_rows, tables
from aqgeo.sources.sampling_points import Point
from aqgeo.sources.station_rows import Scope

Report = Callable[[int, int], None]

TABLE = "stations-no2.parquet"
METADATA = (
    "https://discomap.eea.europa.eu/App/AQViewer/download"
    "?fqn=Airquality_Dissem.b2g.measurements&f=csv"
)
"""Zipped CSV of all sampling points (address as in JohnPaton/airbase)."""
DATASETS = {"E2a": 1, "E1a": 2, "AirBase": 3}
"""The service's numbers: up to date, verified since 2013, and before (sources-handbook)."""
_FIRST_E1A = datetime(2013, 1, 1, tzinfo=UTC)
_MOST_METADATA = 4 * 2**30  # bytes unpacked; it has some 100 MB
_MOST_URLS = 100_000


def download(
    source: Source,
    where: GeoBox,
    period: Period,
    folder: Path,
    *,
    metadata: str = METADATA,
    client: http.Client | None = None,
    report: Report | None = None,
) -> Path:
    """Bring the valid hours of NO2 of a region's stations into one plain table.

    Countries follow from the sampling points whose coordinates lie in the region. The source's
    name of `stations-no2` may be a key of DATASETS. Otherwise verified data are taken, and where
    they have no hour of the period, those that are up to date; before 2013 it is AirBase.

    Args:
        source: a source of kind `eea`; its hosts hold those of the metadata and of the files.
        where: grid in whose bounding box stations must lie.
        period: an hour belongs to it when it ends after the start and not after the end.
        folder: where the table is written, as TABLE. Files are kept there until it is complete,
            so a run that was killed fetches only what is missing.
        metadata: address of the CSV of sampling points, zipped or not.
        client: opens the service; one for the source's hosts if None.
        report: is told how many bytes are fetched, of how many.

    Returns:
        The table, for `stations.read`, with notes on what was left out.

    Raises:
        SourceError: the service refuses or stays broken, or has no hour of the region and period.
    """
    client = client or http.Client(source.hosts, auth=auth.of(source.auth))
    folder.mkdir(parents=True, exist_ok=True)
    scope = Scope.of(period, where)
    known = _inside(_points(client, metadata, folder), scope)
    told: list[str] = []
    for name in _datasets(source, period):
        body = _body(DATASETS[name], known, period)
        urls = _urls(client, source.href.rstrip("/"), body, known)
        rows, notes = _rows(client, urls, folder, (scope, known), report)
        told.extend(f"EEA, {name}: {note}" for note in notes)
        if rows.num_rows:
            table = folder / TABLE
            told.append(f"EEA: data set {name}")
            plain_table.write(table, [plain_table.of(rows)], lambda: told)
            _forget(folder / "cache")
            return table
    raise SourceError(
        f"the EEA has no hour of NO2 inside the region in {period}"
        + (f": {told[0]}" if told else ": choose another period, region or source")
    )


def _forget(cache: Path) -> None:
    """Empty the cache but for broken files: the service's files change under their names."""
    for part in cache.iterdir():
        if part.name != "quarantine":
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    if not any(cache.rglob("quarantine/*")):
        shutil.rmtree(cache)


def _points(client: http.Client, url: str, folder: Path) -> dict[str, Point]:
    brought = http.fetch(client, [http.Remote(url)], folder / "cache")
    if url not in brought.paths:
        raise SourceError(f"the EEA's sampling points: {brought.failed.get(url, 'not found')}")
    path = brought.paths[url]
    if not zipfile.is_zipfile(path):
        return sampling_points.read(path)
    unpacked = folder / "metadata"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        files = [p for p in unzip(path, unpacked, most_bytes=_MOST_METADATA) if p.suffix == ".csv"]
        if len(files) != 1:
            raise SourceError(f"the EEA's metadata hold {len(files)} CSV files, one is needed")
        return sampling_points.read(files[0])
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _inside(points: Mapping[str, Point], scope: Scope) -> dict[str, Point]:
    west, south, east, north = scope.box
    found = {
        name: p for name, p in points.items()
        if west <= p.lon <= east and south <= p.lat <= north
    }  # fmt: skip
    if not found:
        raise SourceError(
            f"none of the EEA's {len(points)} sampling points of NO2 lies in the region "
            f"({', '.join(f'{v:.3f}' for v in scope.box)}): choose another region or source"
        )
    return found


def _datasets(source: Source, period: Period) -> Sequence[str]:
    named = source.collections.get("stations-no2", "")
    if named in DATASETS:
        return [named]
    if period.end <= _FIRST_E1A:
        return ["AirBase"]
    if period.start < _FIRST_E1A:
        raise SourceError(f"{period} crosses 2013, where AirBase ends: ask for both parts apart")
    return ["E1a", "E2a"]


def _body(dataset: int, known: Mapping[str, Point], period: Period) -> dict[str, object]:
    day = timedelta(days=1)  # the files' clock is an hour ahead of UTC
    return {
        "countries": sorted({name.partition("/")[0] for name in known}),
        "cities": [],
        "pollutants": ["NO2"],
        # Its documents name both; what a release does not know it ignores.
        "dataset": dataset,
        "datasets": [dataset],
        "dateTimeStart": f"{period.start - day:%Y-%m-%dT%H:%M:%SZ}",
        "dateTimeEnd": f"{period.end + day:%Y-%m-%dT%H:%M:%SZ}",
        "aggregationType": "hour",
        "source": "API",
    }


def _urls(
    client: http.Client, root: str, body: Mapping[str, object], known: Mapping[str, Point]
) -> list[str]:
    """Return addresses of the region's files; a file has the name of its sampling point."""
    if not _number(client.request("POST", f"{root}/DownloadSummary", json=body), root):
        return []
    lines = client.request("POST", f"{root}/ParquetFile/urls", json=body).text.split()
    urls = [line.lstrip("\ufeff") for line in lines if "://" in line]
    if not lines or lines[0].startswith("<") or len(lines) > len(urls) + 1:
        start = tables.brief(" ".join(lines), 60)
        raise SourceError(f"{root}/ParquetFile/urls gives no list of files but {start!r}")
    if len(urls) > _MOST_URLS:
        raise SourceError(f"{root} lists {len(urls)} files, at most {_MOST_URLS} are read")
    wanted = {_plain(name.partition("/")[2]) for name in known}
    stems = {url: _plain(unquote(url.rpartition("/")[2].partition(".parquet")[0])) for url in urls}
    near = [url for url, stem in stems.items() if stem in wanted]
    # Names of another pattern: all files of the countries, whose rows tell where they are from.
    return sorted(set(near or urls))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(answer: Any, root: str) -> int:
    try:
        return int(answer.json()["numberFiles"])
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        start = tables.brief(answer.text, 60)
        raise SourceError(f"{root}/DownloadSummary gives no estimate but {start!r}") from err


def _rows(
    client: http.Client, urls: Sequence[str], folder: Path,
    region: tuple[Scope, Mapping[str, Point]], report: Report | None,
) -> tuple[pa.Table, list[str]]:  # fmt: skip
    """Return the rows of all files, those of an hour by the time of their update, and notes."""
    wanted = [http.Remote(url, kind="parquet") for url in urls]
    brought = http.fetch(client, wanted, folder / "cache", report=report)
    notes = [f"{url.rpartition('/')[2]} left out: {why}" for url, why in brought.failed.items()]
    parts, counts = [station_rows.ROWS.empty_table()], Counter[str]()
    scope, known = region
    for url in urls:
        if url in brought.paths:
            try:
                parts.append(station_rows.collect(brought.paths[url], scope, counts, known))
            except SourceError as err:
                why = str(err).replace(str(brought.paths[url]), "it")
                quarantine(folder / "cache", brought.paths[url], why)
                notes.append(f"{url.rpartition('/')[2]} left out: {why}")
    table = pa.concat_tables(parts)
    order = np.argsort(table["updated"].to_numpy(), kind="stable")
    notes += [
        f"{number} {what}" for what, number in counts.items() if number and "read" not in what
    ]
    return table.take(pa.array(order)), notes
