"""The client for all remote services: listed hosts, retries, redirects, keys that run out."""

import logging
import random
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx

from aqgeo.errors import SourceError
from aqgeo.remote.answers import Passing, broken, fault
from aqgeo.remote.gate import Gate
from aqgeo.remote.hosts import Hosts, shown

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


class Renewable(httpx.Auth):
    """A way to sign requests whose key can run out."""

    def renew(self, answer: httpx.Response, body: bytes) -> bool:
        """Drop the key that a request was refused with; whether another try makes sense."""
        raise NotImplementedError


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
