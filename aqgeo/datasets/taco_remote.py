"""Remote TACO files: their table and samples fetched by byte ranges."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from aqgeo.datasets import disk, taco
from aqgeo.errors import SourceError
from aqgeo.sources.http import Client

# Bytes of one request: an answer is held in memory.
_STEP = 32 * 2**20


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
    # A server may send less than it is asked for, a client reads no endless answers.
    for _ in range(length // _STEP + 8):
        first = start + len(content)
        answer = _ask(client, url, first, min(start + length, first + _STEP) - 1)
        total, etag = int(answer.headers["Content-Range"].rpartition("/")[2]), _tag(answer)
        if of and (total != of.total or (etag and of.etag and etag != of.etag)):
            raise SourceError(
                f"{url} has changed since its table was read: choose another folder, or remove "
                f"{of.index.parent} and fetch again"
            )
        content += answer.content
        if len(content) == length:
            return content, total, etag
    raise SourceError(f"{url} sends {len(content)} of {length} bytes from {start} on: try again")


def _ask(client: Client, url: str, first: int, last: int) -> httpx.Response:
    """Return an answer that holds bytes of a file from the first one on, and none that is wrong."""
    asked = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
    answer = client.request("GET", url, headers=asked)
    told = answer.headers.get("Content-Range", "none")
    if answer.status_code != 206:
        raise SourceError(
            f"{url} answers {answer.status_code} when asked for a range: it cannot be read in part"
        )
    found = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", told)
    numbers = [int(number) for number in found.groups()] if found else []
    size = len(answer.content)
    if not size or numbers[:2] != [first, first + size - 1] or not numbers[1] <= last < numbers[2]:
        raise SourceError(
            f"{url} was asked for bytes {first} to {last} and sent {size} ({told}): try again"
        )
    return answer


def _tag(answer: httpx.Response) -> str | None:
    tag: str | None = answer.headers.get("ETag")
    return tag
