"""Pages of a STAC API's search, followed as the service says and no further than is sane."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urljoin

from pystac_client import ConformanceClasses

from aqgeo.errors import SourceError
from aqgeo.remote.http import Client

# Items a page; larger pages of Sentinel-2 exceed what some services can answer (they reply 500).
LIMIT, LEAST_LIMIT = 100, 12
MAX_PAGES = 2000
_TOO_LARGE = {413, 500, 502, 504}
_NOT_BY_POST = {405, 501}


@dataclass(frozen=True, slots=True)
class Service:
    """What a service says of itself on its landing page."""

    url: str
    """Where it is searched."""
    sorts: bool
    """It sorts what it finds, which keeps items from slipping between pages."""
    filters: bool
    """It understands conditions on properties in CQL2."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request for one page."""

    method: str
    """GET or POST."""
    url: str
    """Address; that of a link has its query in it."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Query of a first GET, body of a POST."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What a link says is to be sent."""


def service(client: Client, root: str) -> Service:
    """Read a service's landing page.

    Raises:
        SourceError: it is none.
    """
    page = _answer(client, _Ask("GET", root))
    told = page.get("conformsTo")
    classes = [c for c in told if isinstance(c, str)] if isinstance(told, list) else []
    links = [link["href"] for link in _links(page, "search")] or [f"{root.rstrip('/')}/search"]
    filters = any(ConformanceClasses.FILTER.pattern.match(c) for c in classes)
    return Service(
        url=urljoin(f"{root.rstrip('/')}/", links[0]),
        sorts=any(ConformanceClasses.SORT.pattern.match(c) for c in classes),
        filters=filters and any(c.endswith("/cql2-json") for c in classes),
    )


def features(
    client: Client, url: str, body: Mapping[str, Any], query: Mapping[str, Any]
) -> tuple[list[Any], int | None]:
    """Return all that a search finds, unchecked, and how much there is by the service's own count.

    It asks by POST, or by GET where the service has none. If a page is too large for the service,
    which it tells by an error of its own, the search begins again with pages of half the size.

    Args:
        client: opens the service's host.
        url: address of the search.
        body: parameters of a POST.
        query: the same for a GET.

    Raises:
        SourceError: the service refuses, its pages are no pages, or they have no end.
    """
    ask, limit = _Ask("POST", url, body), LIMIT
    while True:
        try:
            begin = replace(ask, parameters={**ask.parameters, "limit": limit})
            pages = list(_pages(client, begin))
            return [one for page in pages for one in page["features"]], _count(pages[0])
        except SourceError as err:
            if ask.method == "POST" and _status(err) in _NOT_BY_POST:
                ask = _Ask("GET", url, query)
            elif _status(err) in _TOO_LARGE and limit // 2 >= LEAST_LIMIT:
                limit //= 2
            else:
                raise


def _count(page: Mapping[str, Any]) -> int | None:
    """Return how many items a search meets, where the service tells."""
    context = page.get("context")
    told = page.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
    return told if type(told) is int else None


def _status(err: SourceError) -> int | None:
    """Return the HTTP status that the client's error tells, if a service has answered."""
    match = re.search(r" answers (\d{3})\b", str(err))
    return int(match[1]) if match else None


def _pages(client: Client, ask: _Ask) -> Iterator[Mapping[str, Any]]:
    """Yield pages until one has no next link; an empty page may have one."""
    seen: set[str] = set()
    following: _Ask | None = ask
    while following:
        mark = json.dumps(asdict(following), sort_keys=True)
        if mark in seen or len(seen) >= MAX_PAGES:
            raise SourceError(
                f"{ask.url}: page {len(seen) + 1} of the search is the same again, or there are "
                f"over {MAX_PAGES}: choose a shorter period, or tell the service's operator"
            )
        seen.add(mark)
        page = _answer(client, following)
        if not isinstance(page.get("features"), list):
            raise SourceError(
                f"{ask.url} answers {_short(page)} where features are due: check the source's href"
            )
        yield page
        following = _next(following, page)


def _next(ask: _Ask, page: Mapping[str, Any]) -> _Ask | None:
    """Return the request that a page's next link asks for."""
    for link in _links(page, "next"):
        method = str(link.get("method", "GET")).upper()
        body, headers = link.get("body") or {}, link.get("headers") or {}
        if method not in ("GET", "POST") or not isinstance(body, dict) or not _texts(headers):
            raise SourceError(f"{ask.url} has a next link that cannot be followed: {_short(link)}")
        if link.get("merge") is True:
            body, headers = {**ask.parameters, **body}, {**ask.headers, **headers}
        url = urljoin(ask.url, link["href"])
        return _Ask(method, url, body if method == "POST" else {}, headers)
    return None


def _answer(client: Client, ask: _Ask) -> dict[str, Any]:
    how: dict[str, Any] = {"headers": {"Accept": "application/json", **ask.headers}}
    if ask.parameters:
        how["json" if ask.method == "POST" else "params"] = ask.parameters
    answer = client.request(ask.method, ask.url, **how)
    try:
        page = json.loads(answer.content)
    except (ValueError, RecursionError) as err:
        raise SourceError(
            f"{ask.url} answers {_short(answer.text)} and no JSON: check the source's href, or try "
            "again later"
        ) from err
    if not isinstance(page, dict):
        raise SourceError(f"{ask.url} answers {_short(page)}, no object: check the source's href")
    return page


def _links(page: Mapping[str, Any], relation: str) -> list[dict[str, Any]]:
    links = page.get("links")
    return [
        link
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict)
        and link.get("rel") == relation
        and isinstance(link.get("href"), str)
    ]


def _texts(headers: object) -> bool:
    return isinstance(headers, dict) and all(
        isinstance(part, str) for pair in headers.items() for part in pair
    )


def _short(told: object) -> str:
    text = " ".join(str(told).split())
    return repr(text if len(text) <= 120 else f"{text[:120]}...")
