"""Where a URL may lead: listed hosts only, and no private address by the back door."""

import ipaddress
import socket
from collections.abc import Sequence

import httpx

from aqgeo.errors import SourceError

# The ports that a host name without a port stands for.
PORTS = {"https": 443, "http": 80}


class Hosts:
    """The hosts that may be opened.

    An entry is `host` (the usual port), `host:port`, or `*.domain` for https to all hosts below a
    domain. Plain http is for exact entries only.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        """Take the list as it stands in the catalog."""
        names = [name.lower() for name in listed]
        self._exact = {name for name in names if not name.startswith("*.")}
        self._below = tuple(name[1:] for name in names if name.startswith("*."))

    def check(self, url: httpx.URL) -> None:
        """Refuse a URL that leads elsewhere.

        Raises:
            SourceError: scheme or host is not allowed, or the URL carries a name and password.
        """
        if url.scheme not in PORTS:
            raise SourceError(f"{shown(url)} begins with {url.scheme!r}: https is needed here")
        if url.userinfo:
            raise SourceError(f"{shown(url)} holds a user name: set the source's keys instead")
        exact = self.names(url.host, url.port or PORTS[url.scheme])
        below = url.scheme == "https" and url.port is None and url.host.endswith(self._below)
        if not exact and not below:
            raise SourceError(
                f"{shown(url)} is not on a listed host (listed are "
                f"{', '.join(sorted([*self._exact, *(f'*{b}' for b in self._below)])) or 'none'}): "
                "add the host to the source if you trust it"
            )

    def names(self, host: str, port: int) -> bool:
        """Whether a host is listed literally, so that even a private address is meant."""
        host = f"[{host}]" if ":" in host else host
        return f"{host}:{port}" in self._exact or (port in PORTS.values() and host in self._exact)

    def addresses(self, host: str, port: int) -> list[str]:
        """Look a name up; all its addresses must be public unless it is listed literally.

        Raises:
            SourceError: the name leads to a private, loopback or link-local address.
            OSError: the name cannot be looked up.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self.names(host, port):
            for address in addresses:
                if not _public(address):
                    raise SourceError(
                        f"{host} leads to {address}, which is not public: list the host by its "
                        "exact name if you trust it"
                    )
        return addresses


def shown(url: httpx.URL) -> str:
    """Return a URL as it may be told: without query, fragment and user."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # An IPv4 address may be dressed as IPv6.
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast
