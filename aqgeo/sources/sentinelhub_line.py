"""The only way out to Sentinel Hub: listed hosts, no redirects, bounded replies and waits."""

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import requests
from urllib3.exceptions import HTTPError

from aqgeo.errors import SourceError
from aqgeo.remote.hosts import Hosts

# Room for a reply that is no image.
MOST_JSON_BYTES = 2**26
# What to do about an HTTP status.
ADVICE = {
    400: "ask for another grid, period or band",
    401: "check SH_CLIENT_ID and SH_CLIENT_SECRET",
    403: "the account lacks the right or its processing units are used up, see its dashboard",
    404: "check href and collections of the source",
    429: "go on later (what has come is kept) or ask for fewer days or pixels",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a service is waited for."""

    attempts: int = 4
    """Tries of one request that is refused for the moment, or breaks."""
    wait_s: float = 5.0
    """Wait before the second try, seconds; three times longer before each further one."""
    timeout_s: float = 300.0
    """Longest time for one whole reply, seconds."""
    longest_s: float = 300.0
    """Longest wait that the service may ask for, seconds; it asks for more when a quota is gone."""


@dataclass(frozen=True, slots=True)
class Line:
    """Sends requests under one set of rules."""

    hosts: tuple[str, ...]
    """Hosts that may be opened, as `sources.hosts` has them."""
    patience: Patience
    """How long is waited."""

    def post(self, url: str, limit: int, **what: Any) -> requests.Response:
        """Return a whole reply, after waiting where the service says that it is too busy.

        Args:
            url: where to.
            limit: most bytes that may come.
            what: `json`, `data` or `headers`, as requests has them.

        Raises:
            SourceError: the host is not listed or redirects, too much comes, or a quota is gone.
            requests.RequestException: the service stays busy, or this one try broke.
        """
        Hosts(self.hosts).check(httpx.URL(url))
        for attempt in range(1, self.patience.attempts + 1):
            reply = self._once(url, limit, **what)
            if reply.status_code != 429:
                return reply
            if attempt < self.patience.attempts:
                time.sleep(self._pause(reply))
        reply.raise_for_status()
        return reply

    def _once(self, url: str, limit: int, **what: Any) -> requests.Response:
        deadline = time.monotonic() + self.patience.timeout_s
        how: dict[str, Any] = {"stream": True, "allow_redirects": False, **what}
        # A do-nothing `auth` keeps requests from putting a password of ~/.netrc over the token.
        how |= {"timeout": self.patience.timeout_s, "auth": lambda request: request}
        with requests.post(url, **how) as reply:
            if reply.is_redirect:
                raise SourceError(f"{host(url)} redirects to another address: check its href")
            content = bytearray()
            try:
                # What has come, however little: a larger read would wait for a slow sender.
                while piece := reply.raw.read1(2**16, decode_content=True):
                    content += piece
                    if len(content) > limit:
                        raise SourceError(f"{host(url)} sends more than {limit} bytes: run again")
                    if time.monotonic() > deadline:
                        raise requests.Timeout(f"more than {self.patience.timeout_s} s")
            except HTTPError as err:
                raise requests.ConnectionError("cut short") from err
            reply._content = bytes(content)
        return reply

    def _pause(self, reply: requests.Response) -> float:
        """Return seconds to wait; the header counts milliseconds at this service."""
        try:
            wait = float(reply.headers["Retry-After"]) / 1000
        except (KeyError, ValueError):
            wait = self.patience.wait_s
        if not 0 <= wait <= self.patience.longest_s:
            raise SourceError(
                f"{host(reply.url)} asks to wait {wait:.0f} s: a quota is used up, go on later "
                "(what has come is kept) or ask for fewer days or pixels"
            )
        return wait


def refusal(reply: requests.Response, *secrets: str) -> SourceError:
    """Return what a reply with a status of 400 or more says in one line, without any secret."""
    words = said(reply)
    token = str(reply.request.headers.get("Authorization", "")).removeprefix("Bearer ")
    for secret in filter(None, (token, *secrets)):
        words = words.replace(secret, "***")
    advice = ADVICE.get(reply.status_code, "try again later")
    return SourceError(
        f"{host(reply.url)} refuses with {reply.status_code}, {short(words)}: {advice}"
    )


def host(url: str) -> str:
    """Return the host of an address."""
    return urlsplit(url).hostname or url


def said(reply: requests.Response) -> str:
    """Return code and message of a refusal; both of the service's forms, and OAuth's."""
    try:
        told = json.loads(reply.content)
        inner = told["error"] if isinstance(told.get("error"), dict) else told
        code = inner.get("code") or inner.get("error") or inner.get("reason") or ""
        return f"{code}: {inner.get('message') or inner.get('error_description') or 'no message'}"
    except (ValueError, AttributeError):
        return f"a page that is no JSON: {reply.content[:80].decode('ascii', 'replace')}"


def short(text: str) -> str:
    """Return a foreign text as one short line of printable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 300 else f"{line[:300]}..."
