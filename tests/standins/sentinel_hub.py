"""A Sentinel Hub on loopback: tokens, catalog and process, by the letter."""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds

from aqgeo.catalog import Source
from tests.standins.server import Answer, Seen, Server

TOKEN = "/auth/realms/main/protocol/openid-connect/token"
CATALOG = "/api/v1/catalog/1.0.0/search"
PROCESS = "/api/v1/process"
ID, SECRET = "id-of-the-client", "secret-of-the-client"
TYPES = {"sentinel-2-l2a", "sentinel-2-l1c", "sentinel-5p-l2"}
CRS = re.compile(r"http://www\.opengis\.net/def/crs/(?:OGC/1\.3/CRS84|EPSG/0/(\d{4,5}))")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def error(status: int, code: str, message: str, *, bare: bool = False) -> Answer:
    """An error in one of the service's two forms."""
    told = {"status": status, "reason": "-", "message": message, "code": code}
    return Answer.json(told if bare else {"error": told}, status)


class Refused(Exception):
    """A request that breaks the contract."""


class SentinelHub(Server):
    """The service; `value(band, x, y)` and `mask(x, y)` are what it shows, by pixel centres."""

    def __init__(
        self,
        value: Callable[[str, np.ndarray, np.ndarray], np.ndarray],
        mask: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda x, y: np.ones(x.shape),
        products: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Open a port; products are (id, datetime)."""
        super().__init__()
        self.value, self.mask, self.products = value, mask, products
        self.expires_in, self.page = 3600.0, 2
        self.payloads: list[dict[str, Any]] = []
        self.searches: list[dict[str, Any]] = []
        self._good: dict[str, float] = {}
        self._given = threading.Lock()
        self.routes = {
            TOKEN: self._give_token,
            CATALOG: lambda seen: self._checked(seen, self._search),
            PROCESS: lambda seen: self._checked(seen, self._process),
        }

    def source(self, **changes: Any) -> Source:
        """The catalog entry of this service."""
        entry: dict[str, Any] = {
            "name": "hub",
            "title": "A stand-in",
            "href": self.url(""),
            "kind": "sentinelhub",
            "collections": {
                "sentinel-2-l2a": "sentinel-2-l2a",
                "sentinel-2-l1c": "sentinel-2-l1c",
                "sentinel-5p-l2-no2": "sentinel-5p-l2",
            },
            "hosts": (self.host,),
            "auth": "sentinelhub",
        }
        return Source(**{**entry, **changes})

    def times(self, path: str) -> int:
        """Requests for a path so far."""
        return len(self.asked(path))

    def expire(self) -> None:
        """Let no token that was given out be good any more."""
        self._good.clear()

    def _give_token(self, seen: Seen) -> Answer:
        right = {"grant_type": "client_credentials", "client_id": ID, "client_secret": SECRET}
        form = seen.headers["content-type"] == "application/x-www-form-urlencoded"
        if not form or seen.form() != right:
            told = {"error": "invalid_client", "error_description": "Invalid client credentials"}
            return Answer.json(told, 401)
        with self._given:
            token = f"token-{len(self._good)}-{time.monotonic_ns()}"
            self._good[token] = time.monotonic() + self.expires_in
        told = {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"}
        return Answer.json(told)

    def _checked(self, seen: Seen, work: Callable[[Any, Seen], Answer]) -> Answer:
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if self._good.get(token, 0) < time.monotonic():
            return error(401, "COMMON_UNAUTHORIZED", "You are not authorized!")
        try:
            return work(seen.json(), seen)
        except (Refused, ValueError, KeyError, TypeError) as err:
            return error(400, "COMMON_BAD_PAYLOAD", repr(err))

    def _search(self, payload: dict[str, Any], seen: Seen) -> Answer:
        _only(payload, "collections datetime bbox filter filter-lang fields limit next")
        _need(len(payload["collections"]) == 1 and payload["collections"][0] in TYPES, "collection")
        _need(1 <= payload["limit"] <= 100, "limit")
        is_s5p = payload["collections"] == ["sentinel-5p-l2"]
        _need(payload.get("filter") == ("s5p:type = 'NO2'" if is_s5p else None), "filter")
        west, south, east, north = payload["bbox"]
        _need(-180 <= west < east <= 180 and -90 <= south < north <= 90, "bbox")
        first, last = payload["datetime"].split("/")
        _need(bool(INSTANT.fullmatch(first) and INSTANT.fullmatch(last)), "datetime")
        self.searches.append(payload)
        span = [datetime.fromisoformat(t) for t in (first, last)]
        hits = [p for p in self.products if span[0] <= datetime.fromisoformat(p[1]) <= span[1]]
        start = payload.get("next", 0)
        chosen = hits[start : start + self.page]
        context = {"limit": self.page, "returned": len(chosen)}
        if start + self.page < len(hits):
            context["next"] = start + self.page
        features = [{"type": "Feature", "id": i, "properties": {"datetime": t}} for i, t in chosen]
        return Answer.json({"type": "FeatureCollection", "features": features, "context": context})

    def _process(self, payload: dict[str, Any], seen: Seen) -> Answer:
        kind, bbox, crs = _input(payload)
        size = _output(payload, seen)
        self.payloads.append(payload)
        bands, dtype = _script(payload["evalscript"], kind)
        body = self.render(bands, bbox, size, crs, dtype)
        return Answer(200, body, {"Content-Type": "image/tiff"})

    def render(
        self,
        bands: list[str],
        bbox: list[float],
        size: tuple[int, int],
        crs: int,
        dtype: str,
    ) -> bytes:
        """The GeoTIFF of a part, as the evalscript makes it."""
        width, height = size
        left, bottom, right, top = bbox
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top - (np.arange(height) + 0.5) * (top - bottom) / height
        x, y = np.meshgrid(x, y)
        seen = self.mask(x, y)
        layers = [np.where(seen == 1, self.value(band, x, y), 0) for band in bands]
        if dtype == "uint16":
            coded = [
                n if b == "SCL" else n * 1e4 + 1000 for b, n in zip(bands, layers, strict=True)
            ]
            layers = [np.clip(np.round(layer), 0, 65535) for layer in coded]
        profile = {"driver": "GTiff", "width": width, "height": height, "crs": f"EPSG:{crs}"}
        with MemoryFile() as memory:
            with memory.open(
                **profile,
                count=len(bands) + 1,
                dtype=dtype,
                transform=from_bounds(*bbox, width, height),
            ) as dst:
                dst.write(np.stack([*layers, seen]).astype(dtype))
            return bytes(memory.getbuffer())


def _input(payload: dict[str, Any]) -> tuple[str, list[float], int]:
    _only(payload, "input output evalscript")
    _only(payload["input"], "bounds data")
    bounds = payload["input"]["bounds"]
    _only(bounds, "bbox properties")
    crs = CRS.fullmatch(bounds["properties"]["crs"])
    _need(crs is not None, "crs")
    assert crs is not None
    left, bottom, right, top = bounds["bbox"]
    _need(all(math.isfinite(v) for v in bounds["bbox"]) and left < right and bottom < top, "bbox")
    (data,) = payload["input"]["data"]
    _only(data, "type dataFilter processing")
    _need(data["type"] in TYPES, "type")
    _filter(data["dataFilter"])
    processing = data["processing"]
    own = "minQa" if data["type"] == "sentinel-5p-l2" else "harmonizeValues"
    _only(processing, f"upsampling downsampling {own}")
    for name in ("upsampling", "downsampling"):
        _need(processing[name] in {"NEAREST", "BILINEAR", "BICUBIC"}, name)
    if own == "minQa":
        _need(type(processing[own]) is int and 0 <= processing[own] <= 100, own)
    else:
        _need(type(processing[own]) is bool, own)
    return data["type"], bounds["bbox"], int(crs[1] or 4326)


def _filter(asked: dict[str, Any]) -> None:
    _only(asked, "timeRange mosaickingOrder")
    order = asked.get("mosaickingOrder", "mostRecent")
    _need(order in {"mostRecent", "leastRecent", "leastCC"}, "mosaickingOrder")
    first, last = asked["timeRange"]["from"], asked["timeRange"]["to"]
    _need(bool(INSTANT.fullmatch(first) and INSTANT.fullmatch(last)) and first < last, "timeRange")


def _output(payload: dict[str, Any], seen: Seen) -> tuple[int, int]:
    output = payload["output"]
    _only(output, "width height responses")
    for side in ("width", "height"):
        _need(type(output[side]) is int and 1 <= output[side] <= 2500, side)
    (reply,) = output["responses"]
    _need(reply == {"identifier": "default", "format": {"type": "image/tiff"}}, "responses")
    _need(seen.headers["accept"] == "image/tiff", "Accept")
    return output["width"], output["height"]


def _script(script: str, kind: str) -> tuple[list[str], str]:
    """What the evalscript asks for; it is read, not run."""
    _need(script.startswith("//VERSION=3\n"), "evalscript")
    _need("dataMask" in script and 'mosaicking: "SIMPLE"' in script, "evalscript")
    if kind == "sentinel-5p-l2":
        _need('sampleType: "FLOAT32"' in script, "evalscript")
        return ["NO2"], "float32"
    _need('sampleType: "UINT16"' in script, "evalscript")
    lists = [
        re.search(rf"^const {name} = (\[.*\]);$", script, re.M) for name in ("BANDS", "CLASSES")
    ]
    bands, classes = (json.loads(found[1]) for found in lists if found)
    _need(classes == (["SCL"] if kind == "sentinel-2-l2a" else []), "evalscript")
    return [*bands, *classes], "uint16"


def _only(found: dict[str, Any], names: str) -> None:
    strange = set(found) - set(names.split())
    _need(not strange, f"unknown {strange}")


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(f"bad {what}")
