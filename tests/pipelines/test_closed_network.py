"""The fixture that keeps tests on this machine does so, and lets loopback pass."""

import socket
import urllib.request

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "198.51.100.7", "2001:db8::1"])
def test_a_far_address_is_refused(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as far, pytest.raises(RuntimeError, match="stay on this machine"):
        far.connect((host, 80))


def test_a_far_name_is_not_looked_up() -> None:
    with pytest.raises(RuntimeError, match=r"example\.org"):
        urllib.request.urlopen("http://example.org", timeout=5)


def test_loopback_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=5) as near:
            assert near.getpeername() == server.getsockname()
