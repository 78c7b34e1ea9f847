"""A loopback server of files and routes that can misbehave by a script and records all requests.

    with Server({"/a.nc": b"..."}) as server:
        server.script("/a.nc", Answer(429, headers={"Retry-After": "1"}), None, Answer(cut=100))
        server.routes["/search"] = lambda seen: Answer.json({"features": []})
        client = Client([server.host])

`files` are served with Range, ETag and Last-Modified. The first request for `/a.nc` gets the first
entry of its script, the second the second and so on; None is the honest answer, which also follows
the script's end. A route answers for its path and all below it, before files; it gets the request
as `Seen` and returns an `Answer`, or None for the honest one. `seen` holds every request.
"""

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

MODIFIED = formatdate(1_700_000_000, usegmt=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    """Without the query, decoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes = b""

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent; for a file, only what is named here differs from the honest answer."""

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Added to the usual ones; None takes one away."""
    cut: int | None = None
    """Bytes of the body after which the connection closes in good order."""
    reset: int | None = None
    """Bytes of the body after which the connection is reset."""
    stall: int | None = None
    """Bytes of the body after which nothing more comes, though the connection stays."""
    drip_s: float = 0.0
    """Seconds between bytes of the body, one by one."""
    delay_s: float = 0.0
    """Seconds before anything is sent."""
    ranged: bool = True
    """Whether a Range header is heeded."""

    def __str__(self) -> str:
        """Name a test's case."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "body"}
        return " ".join(f"{k}={v}" for k, v in told.items() if v not in (None, {}, 0.0, True))

    @classmethod
    def json(cls, content: Any, status: int = 200, **more: Any) -> Self:
        head = {"Content-Type": "application/json", **more.pop("headers", {})}
        return cls(status, json.dumps(content).encode(), head, **more)

    @classmethod
    def xml(cls, code: str, message: str, status: int) -> Self:
        """As S3 and Azure word their errors."""
        body = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        return cls(status, body.encode(), {"Content-Type": "application/xml"})

    @classmethod
    def page(cls, status: int = 200) -> Self:
        """A login page."""
        body = b"\n<!DOCTYPE html><html><head><title>Log in</title></head><body>...</body></html>"
        return cls(status, body, {"Content-Type": "text/html"})

    @classmethod
    def redirect(cls, url: str, status: int = 302) -> Self:
        return cls(status, b"", {"Location": url})


class Server:
    """The server; it runs in threads of this process while the `with` lasts."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.routes: dict[str, Callable[[Seen], Answer | None]] = {}
        self.seen: list[Seen] = []
        self.most_at_once = 0
        """Largest number of requests that were answered at the same time."""
        self._scripts: dict[str, Iterator[Answer | None]] = {}
        self._lock = threading.Lock()
        self._now = 0
        self._ended = threading.Event()
        handler = type("Handler", (_Handler,), {"standin": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """`127.0.0.1:port`, as it is listed for a client."""
        return f"127.0.0.1:{self._http.server_port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def script(self, path: str, *answers: Answer | None) -> None:
        """Say what the next requests for a path get, one by one."""
        self._scripts[path] = iter(answers)

    def asked(self, path: str) -> list[Seen]:
        """Return the requests for a path so far."""
        return [s for s in list(self.seen) if s.path == path]

    def answer(self, seen: Seen) -> Answer:
        """Return what a request gets."""
        with self._lock:
            self.seen.append(seen)
            scripted = next(self._scripts.get(seen.path, iter(())), None)
        if scripted and scripted.body is not None:
            return scripted
        routed = self._routed(seen)
        if not routed or not scripted:
            return self._file(seen, scripted or routed or Answer())
        head = {**routed.headers, **scripted.headers}
        status = scripted.status or routed.status
        return replace(scripted, status=status, body=routed.body, headers=head)

    def _routed(self, seen: Seen) -> Answer | None:
        fitting = [p for p in self.routes if f"{seen.path}/".startswith(f"{p.rstrip('/')}/")]
        return self.routes[max(fitting, key=len)](seen) if fitting else None

    def _file(self, seen: Seen, asked: Answer) -> Answer:
        """Fill in what an answer leaves open from the file, heeding Range and If-Range."""
        if asked.body is not None:
            return asked
        if seen.path not in self.files:
            status = asked.status or 404
            return replace(asked, status=status, body=b'{"description": "no such path"}')
        whole = self.files[seen.path]
        etag = f'"{hashlib.md5(whole).hexdigest()}"'
        head: dict[str, str | None] = {"ETag": etag, "Last-Modified": MODIFIED}
        head |= {"Accept-Ranges": "bytes", **asked.headers}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.range or "")
        if not (wanted and asked.ranged) or asked.status not in (None, 206):
            return replace(asked, status=asked.status or 200, body=whole, headers=head)
        if seen.headers.get("if-range", etag) not in (head["ETag"], head["Last-Modified"]):
            return replace(asked, status=200, body=whole, headers=head)
        first, last = int(wanted[1]), min(int(wanted[2] or len(whole)), len(whole) - 1)
        if first >= len(whole):
            head = {"Content-Range": f"bytes */{len(whole)}", **head}
            return replace(asked, status=416, body=b"", headers=head)
        head = {"Content-Range": f"bytes {first}-{last}/{len(whole)}", **head}
        return replace(asked, status=206, body=whole[first : last + 1], headers=head)

    def count(self, step: int) -> None:
        """Keep the number of requests that are being answered."""
        with self._lock:
            self._now += step
            self.most_at_once = max(self.most_at_once, self._now)

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than the server runs; True if it has ended."""
        return self._ended.wait(seconds)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    standin: Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.standin.count(1)
        try:
            seen = Seen(self.command, unquote(parts.path), query, headers, body)
            self._send(self.standin.answer(seen))
        finally:
            self.standin.count(-1)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = _serve

    def _send(self, answer: Answer) -> None:
        if answer.delay_s:
            self.standin.wait(answer.delay_s)
        body = answer.body or b""
        head = {"Content-Length": str(len(body)), **answer.headers}
        self.send_response(answer.status or 200)
        for name, value in head.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        ends = [n for n in (answer.cut, answer.reset, answer.stall) if n is not None]
        self._write(body[: min(ends, default=len(body))], answer.drip_s)
        if answer.stall is not None:
            self._stay()
        if answer.reset is not None:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        lying = head["Content-Length"] != str(len(body))
        self.close_connection = self.close_connection or bool(ends) or lying

    def _write(self, body: bytes, drip_s: float) -> None:
        for n in range(0, len(body), 1 if drip_s else max(len(body), 1)):
            self.wfile.write(body[n : n + 1] if drip_s else body)
            if drip_s and self.standin.wait(drip_s):
                return

    def _stay(self) -> None:
        """Keep the connection until the client leaves it or the server ends."""
        self.connection.settimeout(0.02)
        while not self.standin.wait(0.0):
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def soon(seconds: float) -> str:
    """Return an HTTP date that many seconds from now, for Retry-After."""
    return formatdate(time.time() + seconds, usegmt=True)
