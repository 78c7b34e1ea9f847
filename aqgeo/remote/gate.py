"""The transport of all requests: checked addresses, a cap per host, a floor on speed."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from aqgeo.remote.hosts import Hosts

# Slower than this is given up: a granule of 500 MB would take almost a week.
SLOWEST_BYTES_PER_S = 1024


class Gate(httpx.HTTPTransport):
    """A transport that opens listed hosts only, with a cap on requests in flight per host."""

    def __init__(self, hosts: Hosts, *, per_host: int, stall_s: float) -> None:
        """Remember the rules; nothing is opened yet."""
        super().__init__()
        self._hosts = hosts
        self._slots: defaultdict[str, threading.Semaphore] = defaultdict(
            lambda: threading.Semaphore(per_host)
        )
        self._lock = threading.Lock()
        # httpx offers no other way to say who opens the connections.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=per_host * 4,
            keepalive_expiry=5.0,
            network_backend=_Backend(hosts, stall_s),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request when its host has a free slot, held until the answer closes."""
        self._hosts.check(request.url)
        with self._lock:
            slot = self._slots[request.url.netloc.decode()]
        slot.acquire()
        try:
            answer = super().handle_request(request)
        except BaseException:
            slot.release()
            raise
        answer.stream = _Held(answer.stream, slot)
        return answer


class _Held(httpx.SyncByteStream):
    """A body that gives its host's slot back when it is closed."""

    def __init__(self, body: Any, slot: threading.Semaphore) -> None:
        self._body, self._slot, self._open = body, slot, True

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body

    def close(self) -> None:
        try:
            self._body.close()
        finally:
            if self._open:
                self._open = False
                self._slot.release()


class _Backend(httpcore.SyncBackend):
    """Connects to the very addresses that were checked, so that a name cannot change in between."""

    def __init__(self, hosts: Hosts, stall_s: float) -> None:
        self._hosts, self._stall_s = hosts, stall_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._hosts.addresses(host, port)
        except OSError as err:
            raise httpcore.ConnectError(f"the name {host} cannot be looked up") from err
        refusal: httpcore.NetworkError | httpcore.TimeoutException
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, timeout, local_address, socket_options)
                return _Paced(stream, self._stall_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                refusal = err
        raise refusal


class _Paced(httpcore.NetworkStream):
    """A connection that gives up when an answer, once begun, comes in too slowly.

    Only the time spent waiting counts, so a slow reader is not blamed on the server.
    """

    def __init__(self, stream: httpcore.NetworkStream, stall_s: float) -> None:
        self._stream, self._stall_s = stream, stall_s
        self._got, self._waited = 0, 0.0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        begun = time.monotonic()
        got = self._stream.read(max_bytes, timeout)
        # The wait for the first bytes is the service's thinking, bounded by the time-out alone.
        if self._got:
            self._waited += time.monotonic() - begun
        self._got += len(got)
        if self._waited >= self._stall_s:
            if self._got < SLOWEST_BYTES_PER_S * self._waited:
                raise httpcore.ReadTimeout(f"{self._got} bytes in {self._waited:.0f} s")
            self._got, self._waited = 1, 0.0
        return got

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._got, self._waited = 0, 0.0
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Paced(stream, self._stall_s)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
