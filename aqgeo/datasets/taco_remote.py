"""Remote TACO files: their table and samples fetched by byte ranges."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from aqgeo.datasets import disk, taco
from aqgeo.errors import SourceError
from aqgeo.remote.http import Client

# Bytes of one request: an answer is held in memory.
_STEP = 32 * 2**20
# Answers that may be shorter than what was asked for.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Part:
    """A remote TACO file."""

    url: str
    total: int
    """Bytes."""
    etag: str | None
    """The server's tag of this version."""
    index: Path
    """Its table on disk."""


def part(client: Client, url: str, folder: Path) -> Part:
    """Return a remote TACO file, whose table is fetched into a folder unless it is there.

    Raises:
        SourceError: the server does not serve ranges, or the file is no TACO file.
    """
    name = Path(urlsplit(url).path).name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}", name):
        raise SourceError(f"{url} ends in no plain file name: name a .taco file")
    index = folder / name
    note = index.with_name(f"{name}.json")
    try:
        told = json.loads(note.read_text("utf-8"))
        if told["url"] == url and told["sha256"] == disk.sha256(index.read_bytes()):
            return Part(url, int(told["bytes"]), told["etag"], index)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not whole
    header, total, etag = _range(client, url, 0, taco.HEADER)
    found = Part(url, total, etag, index)
    content = read(client, found, *taco.span(header, total, url))
    whole = taco.index(header, content)
    disk.save(index, whole)
    told = {"url": url, "bytes": total, "etag": etag, "sha256": disk.sha256(whole)}
    disk.save(note, disk.as_json(told))
    return found


def read(client: Client, of: Part, start: int, length: int) -> bytes:
    """Return bytes of a remote TACO file.

    Raises:
        SourceError: they do not come, or the file has changed since its table was read.
    """
    return _range(client, of.url, start, length, of)[0]


def _range(
    client: Client, url: str, start: int, length: int, of: Part | None = None
) -> tuple[bytes, int, str | None]:
    """Return bytes of a remote file, its length and the server's tag of its version."""
    content = b""
    # A server may send less than it is asked for.
    for _ in range(length // _STEP + _SHORT):
        first = start + len(content)
        more, total, etag = _ask(client, url, first, min(start + length, first + _STEP) - 1)
        if of and (total != of.total or (etag and of.etag and etag != of.etag)):
            raise SourceError(
                f"{url} has changed since its table was read: choose another folder, or remove "
                f"{of.index.parent} and fetch again"
            )
        content += more
        if len(content) == length:
            return content, total, etag
    raise SourceError(f"{url} sends {len(content)} of {length} bytes from {start} on: try again")


def _ask(client: Client, url: str, first: int, last: int) -> tuple[bytes, int, str | None]:
    """Return bytes from the first one on, perhaps not up to the last one; as `_range`."""
    asked = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}

    def work() -> tuple[bytes, int, str | None]:
        with client.open("GET", url, headers=asked) as answer:
            total = _total(answer, url, first, last)
            content = bytearray()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > last - first + 1:
                    break
            if not 0 < len(content) <= last - first + 1:
                raise SourceError(
                    f"{url} was asked for bytes {first} to {last} and sends {len(content)} or "
                    "more: try again"
                )
            return bytes(content), total, answer.headers.get("ETag")

    return client.persist(work)


def _total(answer: httpx.Response, url: str, first: int, last: int) -> int:
    """Return the file's length from the head of an answer that holds what was asked for."""
    if answer.status_code != 206:
        raise SourceError(
            f"{url} answers {answer.status_code} when asked for bytes {first} to {last}: it cannot "
            "be read in part"
        )
    told = answer.headers.get("Content-Range", "none")
    found = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", told)
    begin, end, total = (int(number) for number in found.groups()) if found else (-1, -1, -1)
    if begin != first or not begin <= end <= last or end >= total:
        raise SourceError(
            f"{url} was asked for bytes {first} to {last} and answers with {told}: try again"
        )
    return total
