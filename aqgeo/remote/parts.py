"""A download under way: the bytes so far and a note of which version of the file they are of."""

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import httpx

from aqgeo.errors import SourceError
from aqgeo.remote.answers import Passing, is_page
from aqgeo.remote.cache import read_json, write_json
from aqgeo.remote.checksums import digest_fault
from aqgeo.remote.hosts import shown

# First bytes of the formats that are fetched; a file is what it begins with.
HDF5 = (b"\x89HDF\r\n\x1a\n",)
MAGIC: dict[str, tuple[bytes, ...]] = {
    "hdf5": HDF5,
    "netcdf": (*HDF5, b"CDF\1", b"CDF\2", b"CDF\5"),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "zip": (b"PK\3\4", b"PK\5\6"),
    "parquet": (b"PAR1",),
    "json": (b"{", b"["),
    "xml": (b"<",),
}


@dataclass(slots=True)
class Part:
    """A file that is being fetched; the lock on it is held while the object lives in `opened`."""

    path: Path
    """Where the bytes are."""
    file: FileIO
    """Open for appending."""
    validator: str | None = None
    """Strong ETag or Last-Modified of the version that the bytes are of."""
    total: int | None = None
    """Bytes of the whole file, where the service has said."""

    @property
    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self.file.fileno()).st_size

    @property
    def whole(self) -> bool:
        """Whether all bytes are there."""
        return self.total is not None and self.size == self.total

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the bytes that are missing."""
        head = {"Accept-Encoding": "identity"}
        if self.size and self.validator:
            head |= {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return head

    def begin(self, url: str, validator: str | None = None, total: int | None = None) -> None:
        """Drop what is there and note which version comes now."""
        self.file.truncate(0)
        self.validator, self.total = validator, total
        note = {"url": shown(httpx.URL(url)), "validator": validator, "total": total}
        note["boot"] = _boot()
        write_json(self.path.with_suffix(".json"), note)

    def drop(self) -> None:
        """Leave nothing of it."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".json").unlink(missing_ok=True)

    def receive(self, answer: httpx.Response, *, largest: int, tell: Callable[[int], None]) -> None:
        """Write an answer's bytes where they belong.

        Args:
            answer: open answer to a request with `headers()`; not an error, but perhaps 416.
            largest: bytes that the file may have.
            tell: gets the size after each piece.

        Raises:
            Passing: the answer does not continue these bytes, or ends too soon.
            SourceError: the file is larger than allowed.
        """
        if answer.status_code == 416:
            return self._past_the_end(answer)
        if answer.status_code == 206 and self.size:
            self._continue(answer)
        else:
            self._anew(answer)
        if (self.total or 0) > largest:
            raise SourceError(_too_large(answer, largest))
        for piece in answer.iter_raw():
            self._write(piece)
            if self.size > largest:
                raise SourceError(_too_large(answer, largest))
            tell(self.size)
        if self.total is not None and self.size != self.total:
            raise Passing(f"{_name(answer)} ended after {self.size} of {self.total} bytes")
        self.total = self.size

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[self.file.write(left) :]

    def _anew(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            raise SourceError(
                f"{_name(answer)} answers {answer.status_code} to a download: 200 is needed"
            )
        length = answer.headers.get("content-length", "")
        total = int(length) if length.isdigit() else None
        self.begin(str(answer.request.url), next(_validators(answer), None), total)

    def _continue(self, answer: httpx.Response) -> None:
        said = answer.headers.get("content-range", "")
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said.strip())
        fits = found and int(found[1]) == self.size and found[3] in ("*", str(self.total))
        if not fits or self.validator not in list(_validators(answer)):
            asked = answer.request.headers.get("range")
            self.begin(str(answer.request.url))
            raise Passing(f"{_name(answer)} answers {asked} with {said or 'no range'!r}")

    def _past_the_end(self, answer: httpx.Response) -> None:
        found = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("content-range", "").strip())
        if self.total is None and found and int(found[1]) == self.size:
            self.total = self.size
        if not self.whole or (found and int(found[1]) != self.total):
            self.begin(str(answer.request.url))
            raise Passing(f"{_name(answer)} answers 416: the file has changed")


@contextmanager
def opened(folder: Path, name: str, stop: threading.Event) -> Iterator[Part]:
    """Open what is there of a file, alone: another process or thread waits until it is done.

    What cannot be continued is removed in the end.

    Raises:
        SourceError: `stop` was set while another held it.
    """
    path = folder / f"{name}.part"
    with _alone(path, stop) as file:
        note = read_json(path.with_suffix(".json"))
        part = Part(path, file)
        # After a crash of the machine, bytes may be missing from the middle of a file.
        if note.get("boot") == _boot():
            part.validator, part.total = note.get("validator"), note.get("total")
        try:
            yield part
        finally:
            if not part.validator or not path.is_file() or not part.size:
                part.drop()


def content_fault(
    part: Part, kind: str | None, size: int | None, checksum: str | None
) -> str | None:
    """Return what is wrong with a downloaded file; None if it is what the catalog says."""
    with part.path.open("rb") as file:
        head = file.read(1024)
    if is_page(head):
        return "it is a web page: the service may want a login"
    if size is not None and size != part.size:
        return f"it has {part.size} bytes, {size} are in the catalog"
    if kind is not None and not head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(MAGIC[kind]):
        return f"it is no {kind}: it begins with {head[:8]!r}"
    return digest_fault(part.path, checksum)


@contextmanager
def _alone(path: Path, stop: threading.Event) -> Iterator[FileIO]:
    while True:
        with path.open("ab", buffering=0) as file:
            if _grabbed(file, path):
                yield file
                return
        if stop.wait(0.05):
            raise SourceError("another run is fetching it")


def _grabbed(file: FileIO, path: Path) -> bool:
    """Whether the lock of a file was free and the file still lies where it was."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have moved it into the cache.
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _validators(answer: httpx.Response) -> Iterator[str]:
    """Yield what tells versions of a file apart, the surest first (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("etag", "")
    if etag.startswith('"'):
        yield etag
    if "last-modified" in answer.headers:
        yield answer.headers["last-modified"]


def _boot() -> str:
    """Return what tells one run of this machine from the next, where the system says."""
    told = Path("/proc/sys/kernel/random/boot_id")
    return told.read_text("ascii").strip() if told.exists() else ""


def _name(answer: httpx.Response) -> str:
    return shown(answer.request.url)


def _too_large(answer: httpx.Response, largest: int) -> str:
    return f"{_name(answer)} is larger than {largest} bytes, all that the cache may hold: raise it"
