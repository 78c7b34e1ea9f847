"""One client for all remote services: retries, redirects and downloads under one set of rules."""

import logging
import os
import random
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeVar

import httpx

from aqgeo.errors import SourceError
from aqgeo.sources import parts
from aqgeo.sources.answers import Passing, broken, fault
from aqgeo.sources.cache import Cache, Entry, digest, key, suffix
from aqgeo.sources.gate import Gate
from aqgeo.sources.hosts import Hosts, shown

T = TypeVar("T")
log = logging.getLogger(__name__)
# Both log whole URLs, and a signed query is a secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# Answers held in memory; a page of a catalog has at most some megabytes.
LARGEST_ANSWER = 64 * 2**20
# As much of a failed answer is read for its message.
LARGEST_MESSAGE = 64 * 2**10
MOST_REDIRECTS = 5
# Doubling waits end here, in units of `wait_s`.
LONGEST_PAUSE = 60
# A service that asks for a longer wait is left alone.
LONGEST_ASKED_S = 300.0
# Headers that may go to another host than the one that they were meant for.
HARMLESS = {"accept", "accept-encoding", "content-type", "if-range", "range", "user-agent"}
# Headers that are true of a body as it was sent, not as it is handed on.
CODED = {"content-encoding", "content-length", "transfer-encoding"}
# A try that brings as much is no failed one.
PROGRESS = 2**20
THREADS = 32


class Renewable(httpx.Auth):
    """A way to sign requests whose key can run out."""

    def renew(self, answer: httpx.Response, body: bytes) -> bool:
        """Drop the key that a request was refused with; whether another try makes sense."""
        raise NotImplementedError


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


class Client:
    """A retrying HTTP client that opens only the hosts that it was given."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        auth: httpx.Auth | None = None,
        per_host: int = 4,
        attempts: int = 6,
        wait_s: float = 1.0,
        stall_s: float = 60.0,
    ) -> None:
        """Remember the rules; nothing is opened yet.

        Args:
            hosts: `host`, `host:port` or `*.domain`; plain http only for the first two.
            auth: signs requests, but never after a redirect to another host.
            per_host: requests in flight to one host, over all threads.
            attempts: tries in a row without progress before a passing fault is final.
            wait_s: pause after the first failed try; it doubles, with jitter, up to 60 times this.
            stall_s: seconds after which silence, or less than 1 KiB/s, counts as a failed try.
        """
        self.per_host, self._attempts, self._wait_s = per_host, attempts, wait_s
        self._auth, self._hosts = auth, Hosts(hosts)
        self._http = httpx.Client(
            transport=Gate(self._hosts, per_host=per_host, stall_s=stall_s),
            timeout=httpx.Timeout(stall_s, connect=min(stall_s, 20.0), pool=None),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "aqgeo", "Accept-Encoding": "gzip"},
        )
        weakref.finalize(self, self._http.close)

    def request(self, method: str, url: str, **how: Any) -> httpx.Response:
        """Return a whole answer with status below 400.

        Args:
            method: GET, POST, ...
            url: where to.
            how: `params`, `headers`, `json`, `data` or `content`, as httpx has them.

        Raises:
            SourceError: the host is not listed, or the service refuses or stays broken.
        """

        def work() -> httpx.Response:
            with self.open(method, url, **how) as answer:
                if answer.status_code >= 400:
                    raise fault(answer, _message(answer))
                body = _body(answer)
            return httpx.Response(
                answer.status_code,
                headers=[(k, v) for k, v in answer.headers.multi_items() if k not in CODED],
                content=body,
                request=answer.request,
            )

        return self.persist(work)

    @contextmanager
    def open(self, method: str, url: str, **how: Any) -> Iterator[httpx.Response]:
        """Yield an open answer with status below 400 or 416; one try, to be used in `persist`.

        Raises:
            Passing: another try may succeed.
            SourceError: it will not.
        """
        try:
            request = self._http.build_request(method, url, **how)
        except (httpx.InvalidURL, ValueError) as err:
            raise SourceError(f"{url.partition('?')[0]!r} is no URL: {err}") from None
        if not request.url.host:
            raise SourceError(f"{url.partition('?')[0]!r} names no host: https://... is needed")
        with closing(self._follow(request)) as answer:
            if answer.status_code >= 400 and answer.status_code != 416:
                raise fault(answer, _message(answer))
            yield answer

    def persist(
        self,
        work: Callable[[], T],
        *,
        stop: threading.Event | None = None,
        gained: Callable[[], int] = int,
    ) -> T:
        """Repeat a piece of work while its faults are passing ones.

        Args:
            work: what to do; uses `open`.
            stop: ends the wait for the next try.
            gained: bytes that came so far; a try that brought a MiB does not count.

        Raises:
            SourceError: the tries are used up, or the fault is a final one.
        """
        stop, tries, had = stop or threading.Event(), 0, gained()
        while True:
            try:
                return work()
            except httpx.RequestError as err:
                fail = broken(err)
            except Passing as err:
                fail = err
            tries, had = (1, gained()) if gained() - had >= PROGRESS else (tries + 1, had)
            if stop.wait(self._pause(tries, fail)):
                raise SourceError("the run was stopped")

    def _pause(self, tries: int, fail: Passing) -> float:
        """Return the seconds before the next try; raise if there is none."""
        if tries >= self._attempts:
            raise SourceError(f"{fail} (after {tries} tries)")
        asked = fail.wait_s or 0.0
        if asked > LONGEST_ASKED_S:
            raise SourceError(
                f"{fail} (it asks to wait {asked:.0f} s, {LONGEST_ASKED_S:.0f} s are allowed)"
            )
        # Jitter keeps many clients from coming back all at once.
        own = self._wait_s * min(2.0 ** (tries - 1), LONGEST_PAUSE) * (0.5 + random.random() / 2)
        pause = asked + 0.1 * own if fail.wait_s is not None else own
        log.info("%s; try %d of %d in %.1f s", fail, tries + 1, self._attempts, pause)
        return pause

    def _follow(self, request: httpx.Request) -> httpx.Response:
        """Return the open answer at the end of all redirects, each of which is checked."""
        # Plain http is signed only for a host that is listed with its port, as a stand-in is.
        clear = request.url.scheme == "http" and request.url.port is None
        auth = None if clear else self._auth
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send(request, auth)
            if answer.next_request is None:
                return answer
            answer.close()
            here, request = request, answer.next_request
            if _origin(here.url) != _origin(request.url):
                auth = None
                kept = {k: v for k, v in request.headers.items() if k in HARMLESS}
                request.headers = httpx.Headers({"Host": request.headers["Host"], **kept})
        raise SourceError(f"{shown(request.url)} is redirected more than {MOST_REDIRECTS} times")

    def _send(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send a request, with a new key once if the one at hand has run out."""
        answer = self._http.send(request, auth=auth, stream=True)
        if answer.status_code in (401, 403) and isinstance(auth, Renewable):
            with closing(answer):
                body = _message(answer)
            if not auth.renew(answer, body):
                raise fault(answer, body)
            answer = self._http.send(request, auth=auth, stream=True)
        return answer


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


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _message(answer: httpx.Response) -> bytes:
    """Read as much of a failed answer as its message may take."""
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) >= LARGEST_MESSAGE:
            break
    return body


def _body(answer: httpx.Response) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise SourceError(
                f"{shown(answer.request.url)} answers with more than {LARGEST_ANSWER >> 20} MiB: "
                "ask for less at a time"
            )
    return b"".join(pieces)
