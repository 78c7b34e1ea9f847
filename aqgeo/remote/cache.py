"""A cache of downloaded files, named by content, shared by processes, with a size limit."""

import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from aqgeo.errors import SourceError
from aqgeo.remote import leases
from aqgeo.remote.checksums import digest_fault, hash_kind
from aqgeo.remote.hosts import shown

# Parameters that sign a URL and change from day to day: Azure SAS, AWS, CloudFront, Google, tokens.
SIGNS = re.compile(
    r"(?i)(x-(amz|goog)-.*|awsaccesskeyid|signature|expires|policy|key-pair-id|token|access_token"
    r"|s[tepvriks]|sig|spr|sip|srt|sktid|skoid|ske|skt|sks|skv|sdd|saoid|suoid|scid)"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index holds on one URL."""

    url: str
    """Without its query."""
    size: int
    """Bytes."""
    sha256: str
    """Digest of the content."""
    suffix: str
    """Of the file's name, as in the URL."""
    etag: str | None = None
    """As the service gave it."""
    checksum: str | None = None
    """Multihash that the catalog told and that was verified, beside sha2-256."""


def key(url: str) -> str:
    """Return the name of a URL in the index: a hash of it without what signs it.

    Other parameters stay, since `download?id=1` and `download?id=2` are two files.

    Raises:
        SourceError: it is no URL.
    """
    try:
        full = httpx.URL(url)
    except httpx.InvalidURL as err:
        raise SourceError(f"{url.partition('?')[0]!r} is no URL: {err}") from None
    kept = [(k, v) for k, v in full.params.multi_items() if not SIGNS.fullmatch(k)]
    plain = full.copy_with(params=kept or None, fragment=None, userinfo=b"")
    return hashlib.sha256(str(plain).encode()).hexdigest()


def basename(url: str) -> str:
    """Return the last part of a URL's path as a plain file name."""
    name = PurePosixPath(httpx.URL(url).path).name
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[-120:] or "file"


def suffix(url: str) -> str:
    """Return the ending of a URL's path, if it is a plain one."""
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", basename(url))
    return found[0].lower() if found else ""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small file aside and rename it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file that takes room in the cache."""

    path: Path
    size: int
    used: float
    """When it was last used, seconds since 1970."""
    free: bool
    """Whether nobody needs it."""
    notes: list[Path]
    """Small files that go with it."""


class Cache:
    """A folder of `objects/`, an `index/` by URL, and `parts/` of downloads under way.

    Whatever a process has been given stays until the process ends or calls `release`; other files
    leave, the least recently used first, when the limit is passed.
    """

    def __init__(self, root: Path) -> None:
        """Make the folders."""
        self.root = root.resolve()
        for name in ("objects", "index", "parts", "quarantine", "leases"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def find(self, url: str, size: int | None, checksum: str | None) -> Path | None:
        """Return a cached file that is what the catalog says, and lease it."""
        if checksum is not None:
            hash_kind(checksum)
        with self.locked():
            entry = self._read(self._index(url))
            if entry is None or not self._fits(entry, size, checksum):
                return None
            os.utime(self._index(url))
            if checksum not in (None, entry.checksum):
                # Noted, so that it need not be taken again.
                write_json(self._index(url), asdict(replace(entry, checksum=checksum)))
            return self._leased(self._place(entry))

    def add(self, part: Path, url: str, entry: Entry) -> Path:
        """Take a whole file in under its digest and return its place, leased."""
        place = self._place(entry)
        with self.locked():
            place.parent.mkdir(exist_ok=True)
            if place.is_file() and place.stat().st_size == entry.size:
                part.unlink()
            else:
                part.chmod(0o444)
                part.replace(place)
                _sync_folder(place.parent)
            write_json(self._index(url), asdict(entry))
            return self._leased(place)

    def shrink(self, limit_bytes: int, keep: Collection[str] = ()) -> int:
        """Remove what nobody uses until the limit holds, and return the bytes that remain.

        Args:
            limit_bytes: for objects, parts and quarantined files together.
            keep: keys of the parts that this run will go on with.
        """
        with self.locked():
            stock = sorted(self._stock(keep), key=lambda piece: piece.used)
            total = sum(piece.size for piece in stock)
            for piece in stock:
                if total <= limit_bytes:
                    break
                if piece.free and _removed(piece):
                    total -= piece.size
            return total

    def banish(self, path: Path, url: str, reason: str) -> Path:
        """Move a broken file into the quarantine, with a note of why, and return its new place."""
        place = self.root / "quarantine" / f"{key(url)[:12]}-{basename(url)}"
        note = place.with_name(f"{place.name}.json")
        first = read_json(note).get("first_seen", datetime.now(UTC).isoformat(timespec="seconds"))
        facts = {"url": shown(httpx.URL(url)), "reason": reason, "size": path.stat().st_size}
        with self.locked():
            for index in (self.root / "index").glob("*.json"):
                entry = self._read(index)
                if entry and self._place(entry) == path:
                    index.unlink()
            path.replace(place)
            write_json(note, {**facts, "first_seen": first})
        return place

    def url_of(self, path: Path) -> str:
        """Return the URL, without its query, that a cached file came from."""
        entries = map(self._read, (self.root / "index").glob("*.json"))
        return next((e.url for e in entries if e and self._place(e) == path), path.as_uri())

    def _fits(self, entry: Entry, size: int | None, checksum: str | None) -> bool:
        place = self._place(entry)
        if not place.is_file() or place.stat().st_size != entry.size:
            return False
        told = checksum in (None, entry.checksum, f"1220{entry.sha256}")
        return size in (None, entry.size) and (told or digest_fault(place, checksum) is None)

    def _place(self, entry: Entry) -> Path:
        return self.root / "objects" / entry.sha256[:2] / f"{entry.sha256}{entry.suffix}"

    def _leased(self, place: Path) -> Path:
        leases.take(self.root, place.name)
        return place

    def _stock(self, keep: Collection[str]) -> Iterator[_Piece]:
        """Yield all that takes room."""
        index: dict[Path, list[Path]] = {}
        for path in (self.root / "index").glob("*.json"):
            if entry := self._read(path):
                index.setdefault(self._place(entry), []).append(path)
        leased = leases.taken(self.root)
        for place in (self.root / "objects").glob("??/*"):
            by = index.get(place, [])
            used = max((path.stat().st_mtime for path in by), default=0.0)
            yield _Piece(place, place.stat().st_size, used, place.name not in leased, by)
        for path in self._strays():
            known = path.stat()
            note = path.with_suffix(".json") if path.suffix == ".part" else path
            yield _Piece(path, known.st_size, known.st_mtime, path.stem not in keep, [note])

    def _strays(self) -> Iterator[Path]:
        yield from (self.root / "parts").glob("*.part")
        yield from (p for p in (self.root / "quarantine").iterdir() if p.suffix != ".json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which entries come and go; never while anything is fetched."""
        with (self.root / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _index(self, url: str) -> Path:
        return self.root / "index" / f"{key(url)}.json"

    def _read(self, path: Path) -> Entry | None:
        try:
            return Entry(**read_json(path))
        except TypeError:
            return None


def quarantine(cache: Path, path: Path, reason: str) -> Path:
    """Take a broken file out of the cache, so that it is fetched anew next time.

    For readers that find out later. Returns its place in `quarantine/`, beside a note of its URL,
    the reason, its size and when it was first found broken.

    Raises:
        SourceError: the file is not in this cache.
    """
    store, path = Cache(cache), path.resolve()
    if not path.is_relative_to(store.root / "objects") or not path.is_file():
        raise SourceError(f"{path} is not in the cache {cache}: only its files can be quarantined")
    return store.banish(path, store.url_of(path), reason)


def release(cache: Path, paths: Iterable[Path]) -> None:
    """Tell that this process is done with some files, so that they may leave a full cache."""
    store = Cache(cache)
    with store.locked():
        leases.drop(store.root, {path.name for path in paths})


def read_json(path: Path) -> dict[str, Any]:
    """Return what a small file holds; nothing if it is missing or broken."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _removed(piece: _Piece) -> bool:
    """Remove a file with its notes, unless somebody is writing it."""
    with piece.path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The notes first: content without a note is of no harm.
        for path in (*piece.notes, piece.path):
            path.unlink(missing_ok=True)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
