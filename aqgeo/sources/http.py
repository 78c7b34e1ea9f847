"""One client for all remote services: retries, redirects and downloads under one set of rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx


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
    ) -> None:
        """Remember the rules; nothing is opened yet."""
        raise NotImplementedError

    def request(self, method: str, url: str, **how: object) -> httpx.Response:
        """Return a whole answer with status below 400.

        Raises:
            SourceError: the host is not listed, or the service refuses or stays broken.
        """
        raise NotImplementedError


def fetch(
    client: Client,
    wanted: Sequence[Remote],
    cache: Path,
    *,
    limit_bytes: int = 50 * 2**30,
    report: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Bring files into the cache, several at a time; one that fails does not stop the others."""
    raise NotImplementedError
