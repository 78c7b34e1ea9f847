"""Downloads of many files into the cache, through one client for all remote services."""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from aqgeo.errors import SourceError
from aqgeo.remote import parts
from aqgeo.remote.cache import Cache, Entry, key, suffix
from aqgeo.remote.checksums import digest
from aqgeo.remote.client import Client
from aqgeo.remote.hosts import shown

__all__ = ["Client", "Fetched", "Remote", "fetch"]
log = logging.getLogger(__name__)
# At most as many files at a time, over all hosts.
THREADS = 32


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote file that is wanted."""

    url: str
    """`https://`, `s3://bucket/key`, or `http://` of a host that is listed by its exact name."""
    kind: str | None = None
    """What its first bytes must show: a key of MAGIC; any kind but a web page if None."""
    size: int | None = None
    """Bytes, where the catalog tells."""
    checksum: str | None = None
    """STAC's file:checksum, a multihash in hexadecimal digits, where the catalog tells."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a download has brought."""

    paths: dict[str, Path] = field(default_factory=dict)
    """File in the cache by url, for those that are whole."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reason in plain words by url, without any secret."""
    done: int = 0
    """Files fetched now."""
    cached: int = 0
    """Files that were in the cache."""


def fetch(
    client: Client,
    wanted: Sequence[Remote],
    cache: Path,
    *,
    limit_bytes: int = 50 * 2**30,
    report: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Bring files into the cache, several at a time; one that fails does not stop the others.

    Broken transfers are continued where they broke, in this run or the next. What is in the cache
    and has the size and checksum that the catalog tells is taken from there without a request.

    Args:
        client: opens the files' hosts.
        wanted: files; one that is named twice is fetched once.
        cache: folder, may be shared by processes. See `cache.Cache`.
        limit_bytes: size of the cache, above which the least recently used files leave. Files
            that a living process was given stay, if need be above the limit, with a warning.
        report: gets the bytes of this call so far and those known to be needed, from any thread,
            one call at a time.

    Raises:
        SourceError: the cache cannot be written.
    """
    try:
        return _Fetch(client, Cache(cache), limit_bytes, report).run(wanted)
    except OSError as err:
        raise SourceError(
            f"the cache {cache} cannot be used: {err.strerror or err}: make room, or name another"
        ) from err


class _Fetch:
    """One call of `fetch`."""

    def __init__(
        self,
        client: Client,
        store: Cache,
        limit_bytes: int,
        report: Callable[[int, int], None] | None,
    ) -> None:
        self._client, self._store, self._limit = client, store, limit_bytes
        self._report = report or (lambda done, total: None)
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._got: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._keys: set[str] = set()
        self._room = self._done = self._all_got = self._all_known = 0

    def run(self, wanted: Sequence[Remote]) -> Fetched:
        remotes: dict[str, Remote] = {}
        for remote in wanted:
            remotes.setdefault(remote.url, remote)
        found = dict(self._each(self._find, list(remotes.values())))
        missing = [remote for url, remote in remotes.items() if found[url] is None]
        self._known.update({r.url: r.size or 0 for r in missing})
        self._keys = {key(remote.url) for remote in missing}
        self._all_known = self._known.total()
        self._make_room(self._all_known)
        found |= dict(self._each(self._bring, _interleaved(missing)))
        ends = [(url, found[url]) for url in remotes]
        paths = {url: end for url, end in ends if isinstance(end, Path)}
        failed = {url: _told(url, end) for url, end in ends if isinstance(end, SourceError)}
        return Fetched(paths, failed, done=self._done, cached=len(paths) - self._done)

    def _each(
        self, work: Callable[[Remote], Path | None], remotes: Sequence[Remote]
    ) -> Iterator[tuple[str, Path | SourceError | None]]:
        """Yield what a piece of work gives for each file, done in threads."""
        hosts = {_netloc(r.url) for r in remotes}
        threads = max(1, min(THREADS, len(remotes), self._client.per_host * len(hosts)))
        with ThreadPoolExecutor(threads, "fetch") as pool:
            jobs = {pool.submit(work, remote): remote.url for remote in remotes}
            try:
                for job in as_completed(jobs):
                    try:
                        yield jobs[job], job.result()
                    except SourceError as err:
                        yield jobs[job], err
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _find(self, remote: Remote) -> Path | None:
        return self._store.find(remote.url, remote.size, remote.checksum)

    def _bring(self, remote: Remote) -> Path:
        folder = self._store.root / "parts"
        with parts.opened(folder, key(remote.url), self._stop) as part:
            if found := self._find(remote):
                part.drop()  # another run has brought it meanwhile
                return found
            # A broken file is fetched once more before it is called broken.
            wrong = self._receive(remote, part)
            if wrong:
                part.begin(remote.url)
                wrong = self._receive(remote, part)
            if not wrong:
                return self._keep(remote, part)
            self._store.banish(part.path, remote.url, wrong)
        raise SourceError(f"{wrong}; it is kept in quarantine, a new run fetches it again")

    def _receive(self, remote: Remote, part: parts.Part) -> str | None:
        """Fetch what is missing of a file and return what is wrong with its content."""
        tell = partial(self._tell, remote.url, part)

        def work() -> None:
            if not part.whole:
                with self._client.open("GET", remote.url, headers=part.headers()) as answer:
                    part.receive(answer, largest=self._limit, tell=tell)

        self._client.persist(work, stop=self._stop, gained=lambda: part.size)
        return parts.content_fault(part, remote.kind, remote.size, remote.checksum)

    def _keep(self, remote: Remote, part: parts.Part) -> Path:
        os.fsync(part.file.fileno())
        entry = Entry(
            url=shown(httpx.URL(remote.url)),
            size=part.size,
            sha256=digest(part.path),
            suffix=suffix(remote.url),
            etag=part.validator,
            checksum=remote.checksum,
        )
        place = self._store.add(part.path, remote.url, entry)
        with self._lock:
            self._done += 1
            self._room -= entry.size
            if self._room < 0:
                self._make_room(0)
        return place

    def _make_room(self, needed: int) -> None:
        """Let unused files leave until what is needed fits."""
        self._room = self._limit - self._store.shrink(self._limit - needed, self._keys)
        if self._room < 0:
            log.warning(
                "the cache %s holds %d bytes, more than its limit of %d: all are in use",
                self._store.root,
                self._limit - self._room,
                self._limit,
            )
            # Looking again after each file would cost more than it may bring.
            self._room = self._limit // 20

    def _tell(self, url: str, part: parts.Part, size: int) -> None:
        if self._stop.is_set():
            raise SourceError("the run was stopped")
        with self._lock:
            total = max(part.total or 0, self._known[url], size)
            self._all_got += size - self._got[url]
            self._all_known += total - self._known[url]
            self._got[url], self._known[url] = size, total
            self._report(self._all_got, self._all_known)


def _interleaved(remotes: Sequence[Remote]) -> list[Remote]:
    """Return files host by host in turn, so that a slow host does not hold up the others."""
    rank: Counter[str] = Counter()
    ranked = []
    for remote in remotes:
        rank[_netloc(remote.url)] += 1
        ranked.append((rank[_netloc(remote.url)], remote))
    return [remote for _, remote in sorted(ranked, key=lambda pair: pair[0])]


def _netloc(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _told(url: str, err: SourceError) -> str:
    """Return why a file failed, with its URL."""
    plain = url.partition("?")[0]
    plain = f"{plain.partition('://')[0]}://{plain.partition('://')[2].rpartition('@')[2]}"
    return str(err) if plain in str(err) else f"{plain}: {err}"
