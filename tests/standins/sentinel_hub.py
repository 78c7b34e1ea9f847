"""A Sentinel Hub on loopback: tokens, catalog and process, by the letter, and able to misbehave."""

import json
import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds

from aqgeo.catalog import Source

TOKEN = "/auth/realms/main/protocol/openid-connect/token"
CATALOG = "/api/v1/catalog/1.0.0/search"
PROCESS = "/api/v1/process"
ID, SECRET = "id-of-the-client", "secret-of-the-client"
TYPES = {"sentinel-2-l2a", "sentinel-2-l1c", "sentinel-5p-l2"}
CRS = re.compile(r"http://www\.opengis\.net/def/crs/(?:OGC/1\.3/CRS84|EPSG/0/(\d{4,5}))")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer in place of the right one."""

    status: int = 200
    body: bytes | Callable[[bytes], bytes] = b""
    """What is sent, or what is made of the right answer."""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    """A Content-Length that is not true."""
    drip_s: float = 0.0
    """Pause after every single byte."""
    silent: bool = False
    """No answer at all, until the stand-in closes."""


def error(status: int, code: str, message: str, *, bare: bool = False) -> Fault:
    """An error in one of the service's two forms."""
    told = {"status": status, "reason": "-", "message": message, "code": code}
    return Fault(status, json.dumps(told if bare else {"error": told}).encode())


class Refused(Exception):
    """A request that breaks the contract."""


class SentinelHub:
    """The service; `value(band, x, y)` and `mask(x, y)` are what it shows, by pixel centres."""

    def __init__(
        self,
        value: Callable[[str, np.ndarray, np.ndarray], np.ndarray],
        mask: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda x, y: np.ones(x.shape),
        products: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Open a port; products are (id, datetime)."""
        self.value, self.mask, self.products = value, mask, products
        self.expires_in, self.page = 3600.0, 2
        self.counts: Counter[str] = Counter()
        self.payloads: list[dict[str, Any]] = []
        self.searches: list[dict[str, Any]] = []
        self.faults: dict[str, deque[Fault]] = {p: deque() for p in (TOKEN, CATALOG, PROCESS)}
        self.at_once, self.most_at_once = 0, 0
        self._tokens: dict[str, float] = {}
        self._lock, self._closing = threading.Lock(), threading.Event()

    def __enter__(self) -> "SentinelHub":
        """Serve in a thread."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def source(self, **changes: Any) -> Source:
        """The catalog entry of this service."""
        entry = {
            "name": "hub",
            "title": "A stand-in",
            "href": f"http://{self.address}",
            "kind": "sentinelhub",
            "collections": {
                "sentinel-2-l2a": "sentinel-2-l2a",
                "sentinel-2-l1c": "sentinel-2-l1c",
                "sentinel-5p-l2-no2": "sentinel-5p-l2",
            },
            "hosts": (self.address,),
            "auth": "sentinelhub",
        }
        return Source(**{**entry, **changes})

    def expire(self) -> None:
        """Let no token that was given out be good any more."""
        self._tokens.clear()

    def answer(self, path: str, headers: Any, body: bytes) -> tuple[int, bytes, str]:
        """The right answer to a request."""
        if path == TOKEN:
            return self._give_token(headers, body)
        token = (headers.get("Authorization") or "").removeprefix("Bearer ")
        if self._tokens.get(token, 0) < time.monotonic():
            return _refusal(401, "COMMON_UNAUTHORIZED", "You are not authorized!")
        try:
            payload = json.loads(body)
            if path == CATALOG:
                return self._search(payload)
            return self._process(payload, headers)
        except (Refused, ValueError) as err:
            return _refusal(400, "COMMON_BAD_PAYLOAD", str(err))

    def _give_token(self, headers: Any, body: bytes) -> tuple[int, bytes, str]:
        form = {key: values for key, values in parse_qs(body.decode()).items()}
        right = {"grant_type": ["client_credentials"], "client_id": [ID], "client_secret": [SECRET]}
        if headers["Content-Type"] != "application/x-www-form-urlencoded" or form != right:
            told = {"error": "invalid_client", "error_description": "Invalid client credentials"}
            return 401, json.dumps(told).encode(), "application/json"
        token = f"token-{self.counts[TOKEN]}"
        self._tokens[token] = time.monotonic() + self.expires_in
        told = {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"}
        return 200, json.dumps(told).encode(), "application/json"

    def _search(self, payload: dict[str, Any]) -> tuple[int, bytes, str]:
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
        told = {"type": "FeatureCollection", "features": features, "links": [], "context": context}
        return 200, json.dumps(told).encode(), "application/geo+json"

    def _process(self, payload: dict[str, Any], headers: Any) -> tuple[int, bytes, str]:
        kind, bbox, crs = _input(payload)
        width, height = _output(payload, headers)
        self.payloads.append(payload)
        bands, dtype = _script(payload["evalscript"], kind)
        return 200, self.render(bands, bbox, (width, height), crs, dtype), "image/tiff"

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

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, rightly or with the next fault."""
        body, path = handler.rfile.read(int(handler.headers["Content-Length"])), handler.path
        with self._lock:
            self.counts[path] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fault = self.faults[path].popleft() if self.faults[path] else Fault(0)
        try:
            if fault.silent:
                self._closing.wait(30)
                handler.close_connection = True
            else:
                self._send(handler, fault, *self.answer(path, handler.headers, body))
        except ConnectionError:
            handler.close_connection = True
        finally:
            with self._lock:
                self.at_once -= 1

    def _send(
        self, handler: BaseHTTPRequestHandler, fault: Fault, status: int, body: bytes, kind: str
    ) -> None:
        if fault.status:
            status = fault.status
            body = fault.body(body) if callable(fault.body) else fault.body
        length = len(body) if fault.length is None else fault.length
        handler.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", length), *fault.headers):
            handler.send_header(name, str(value))
        handler.end_headers()
        step = 1 if fault.drip_s else len(body) or 1
        for start in range(0, len(body), step):
            handler.wfile.write(body[start : start + step])
            if self._closing.wait(fault.drip_s):
                break
        handler.close_connection = length != len(body)


def _handler(service: SentinelHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            service.take(self)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _refusal(status: int, code: str, message: str) -> tuple[int, bytes, str]:
    fault = error(status, code, message)
    assert isinstance(fault.body, bytes)
    return status, fault.body, "application/json"


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


def _output(payload: dict[str, Any], headers: Any) -> tuple[int, int]:
    output = payload["output"]
    _only(output, "width height responses")
    for side in ("width", "height"):
        _need(type(output[side]) is int and 1 <= output[side] <= 2500, side)
    (reply,) = output["responses"]
    _need(reply == {"identifier": "default", "format": {"type": "image/tiff"}}, "responses")
    _need(headers["Accept"] == "image/tiff", "Accept")
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
