"""A small STAC API on loopback, with the ways in which real ones differ and fail.

    with StacApi([item, ...], paging="merge") as api:
        found = stac_api.search(api.source(), "sentinel-2-l2a", where, period, api.client())

`paging` is how the next link is told: `merge` (POST, a token to be merged into the body), `body`
(POST, a whole body), `headers` (POST, the token in a header) or `get` (a URL with its query).
`server` is the file server below it: `server.script("/stac/search", Answer(503))` breaks one
request, `server.seen` holds all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlencode

from aqgeo.catalog import Source
from aqgeo.remote.http import Client
from tests.standins.server import Answer, Seen, Server

PLAIN = ("https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search")
SORTED = (*PLAIN, "https://api.stacspec.org/v1.0.0/item-search#sort")
CQL2 = (
    *SORTED,
    "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
)
# Bodies of errors: stac-server, stac-fastapi and FastAPI.
ERRORS = (
    {"code": 400, "description": "limit is out of bounds"},
    {"code": "BadRequest", "description": "limit is out of bounds"},
    {"detail": "limit is out of bounds"},
)


class StacApi:
    """The service; it runs while the `with` lasts."""

    def __init__(
        self,
        items: Sequence[dict[str, Any]],
        *,
        paging: str = "merge",
        page: int = 2,
        conforms: Sequence[str] = PLAIN,
        largest: int = 250,
        by_post: bool = True,
        repeat: int = 0,
        hollow: bool = False,
        loop: bool = False,
        filters: bool = True,
        lost: int = 0,
    ) -> None:
        """Say how it behaves.

        Args:
            items: what it holds, as dictionaries.
            paging: how the next link is told.
            page: items a page at most, whatever `limit` says.
            conforms: its conformance classes.
            largest: a larger `limit` is answered with 500.
            by_post: answer POST; else 405.
            repeat: items of the page before that each page begins with.
            hollow: give an empty page with a next link before each other one.
            loop: let the last page point to the first.
            filters: heed collections, bbox and datetime.
            lost: items that it counts but does not give.
        """
        self.items, self.paging, self.page = list(items), paging, page
        self.conforms, self.largest, self.by_post = conforms, largest, by_post
        self.repeat, self.hollow, self.loop, self.filters = repeat, hollow, loop, filters
        self.lost = lost
        self.server = Server()
        self.server.routes = {"/stac": self._landing, "/stac/search": self._search}

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def source(self, **more: Any) -> Source:
        """Return the catalog's entry for this service."""
        how: dict[str, Any] = {"collections": {"sentinel-2-l2a": "sentinel-2-l2a"}, **more}
        how = {"hosts": (self.server.host,), "kind": "stac", **how}
        return Source("standin", "A stand-in", self.server.url("/stac"), **how)

    def client(self, attempts: int = 2) -> Client:
        """Return a client that may open this service and hardly waits."""
        return Client([self.server.host], attempts=attempts, wait_s=0.001)

    def asked(self) -> list[Seen]:
        """Return the searches so far."""
        return self.server.asked("/stac/search")

    def _landing(self, seen: Seen) -> Answer:
        if seen.path != "/stac":
            return Answer.json({"detail": "Not Found"}, 404)
        links = [{"rel": "search", "href": self.server.url("/stac/search"), "method": "POST"}]
        return Answer.json({"type": "Catalog", "conformsTo": list(self.conforms), "links": links})

    def _search(self, seen: Seen) -> Answer:
        if seen.method == "POST" and not self.by_post:
            return Answer.json({"detail": "Method Not Allowed"}, 405)
        told = seen.json() if seen.method == "POST" else dict(seen.query)
        told["token"] = int(told.get("token") or seen.headers.get("x-token") or 0)
        limit = int(told.get("limit", 10))
        if limit > self.largest:
            return Answer.json({"message": "Internal server error"}, 500)
        found = [item for item in self.items if not self.filters or _matches(item, told)]
        step, token = min(limit, self.page), told["token"]
        # Two tokens a page if every other page is hollow.
        begin = (token // 2 if self.hollow else token) * step
        page = found[max(begin - self.repeat, 0) : begin + step]
        if self.hollow and token % 2 == 0:
            page, more = [], begin < len(found)
        else:
            more = begin + step < len(found)
        following = token + 1 if more else 0
        links = [self._next(seen, told, following)] if more or self.loop else []
        whole = {"type": "FeatureCollection", "features": page, "links": links}
        return Answer.json(whole | {"numberMatched": len(found) + self.lost})

    def _next(self, seen: Seen, told: dict[str, Any], token: int) -> dict[str, Any]:
        link: dict[str, Any] = {"rel": "next", "href": self.server.url("/stac/search")}
        if seen.method == "GET" or self.paging == "get":
            flat = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in told.items()}
            return link | {"href": f"{link['href']}?{urlencode(flat | {'token': token})}"}
        if self.paging == "merge":
            return link | {"method": "POST", "merge": True, "body": {"token": token}}
        if self.paging == "headers":
            body = {k: v for k, v in told.items() if k != "token"}
            return link | {"method": "POST", "body": body, "headers": {"X-Token": str(token)}}
        return link | {"method": "POST", "body": told | {"token": token}}


def _matches(item: dict[str, Any], told: dict[str, Any]) -> bool:
    collections = told.get("collections", [])
    collections = collections.split(",") if isinstance(collections, str) else collections
    box = told["bbox"]
    box = [float(v) for v in (box.split(",") if isinstance(box, str) else box)]
    first, last = (datetime.fromisoformat(t) for t in told["datetime"].split("/"))
    west, south, east, north = item["bbox"]
    return (
        item["collection"] in collections
        and (west <= box[2] and east >= box[0] and south <= box[3] and north >= box[1])
        and _instant(item, "start") <= last
        and _instant(item, "end") >= first
    )


def _instant(item: dict[str, Any], side: str) -> datetime:
    """Return an item's instant, or the start or end of its span."""
    told = item["properties"]
    return datetime.fromisoformat(told.get("datetime") or told[f"{side}_datetime"])
