"""Downloads: continued where they broke, verified, never half a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aqgeo.sources.http import Client, Remote, fetch
from tests.standins.server import Answer, Server

BODY = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 1000


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/a.nc": BODY, "/b.nc": BODY[::-1]}) as server:
        yield server


def client(server: Server, **more) -> Client:
    return Client([server.host], wait_s=0.001, stall_s=0.5, **more)


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(server: Server, tmp_path: Path):
    url = server.url("/a.nc")
    first = fetch(client(server), [Remote(url, "netcdf"), Remote(url, "netcdf")], tmp_path)
    again = fetch(client(server), [Remote(url, "netcdf", len(BODY))], tmp_path)
    assert (first.done, first.cached, again.done, again.cached) == (1, 0, 0, 1), first
    assert first.paths[url] == again.paths[url] and again.paths[url].read_bytes() == BODY
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_a_transfer_that_breaks_is_continued(server: Server, tmp_path: Path, fault: str):
    server.script("/a.nc", Answer(**{fault: 100_000}))
    done = fetch(client(server), [Remote(server.url("/a.nc"))], tmp_path)
    assert done.paths[server.url("/a.nc")].read_bytes() == BODY
    assert server.seen[0].range is None
    assert server.seen[1].range.startswith("bytes=")
