"""The cache: by content, with a limit that spares what living processes use."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqgeo.errors import SourceError
from aqgeo.remote.cache import key, quarantine, release
from aqgeo.remote.http import Client, Fetched, Remote, fetch
from tests.standins.server import Answer, Server

FILES = {f"/{name}.nc": name.encode() * 1000 for name in "abcdef"}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(FILES) as server:
        yield server


def get(server: Server, cache: Path, *names: str, **how) -> Fetched:
    wanted = [Remote(server.url(f"/{name}.nc")) for name in names]
    done = fetch(Client([server.host], attempts=1), wanted, cache, **how)
    assert not done.failed
    for url, path in done.paths.items():
        assert path.read_bytes() == FILES[f"/{url.rpartition('/')[2]}"]
    return done


def age(cache: Path, seconds: dict[str, float]) -> None:
    """Set when files, named by their letter, were last used."""
    for path in cache.glob("index/*.json"):
        name = json.loads(path.read_text())["url"][-4]
        os.utime(path, (seconds[name], seconds[name]))


def held(cache: Path) -> str:
    """Return the letters of the files that are there, in order."""
    return "".join(sorted(p.read_text()[0] for p in cache.glob("objects/??/*")))


def forget(cache: Path) -> None:
    release(cache, list(cache.glob("objects/??/*")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x?sig=1&se=2", "https://a.example/x?sig=3&se=4&sp=rl", True),
        ("https://a.example/x?X-Amz-Signature=1", "https://a.example/x", True),
        ("https://A.example/x#part", "https://a.example/x", True),
        ("https://me:pw@a.example/x", "https://a.example/x", True),
        ("https://a.example/x?id=1", "https://a.example/x?id=2", False),
        ("https://a.example/x", "https://b.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
        ("s3://b/x", "https://b/x", False),
    ],
)
def test_a_signature_does_not_make_another_file_but_all_else_does(one, other, same) -> None:
    assert (key(one) == key(other)) is same


def test_equal_content_is_kept_once(server: Server, tmp_path: Path) -> None:
    server.files["/copy.nc"] = FILES["/a.nc"]
    urls = [server.url("/a.nc"), server.url("/copy.nc")]
    done = fetch(Client([server.host]), [Remote(u) for u in urls], tmp_path)
    assert done.paths[urls[0]] == done.paths[urls[1]] and held(tmp_path) == "a"
    assert done.paths[urls[0]].suffix == ".nc" and not os.access(done.paths[urls[0]], os.X_OK)


@pytest.mark.parametrize("damage", ["shorter", "gone", "index", "size", "checksum"])
def test_what_is_not_as_it_should_be_is_fetched_again(server, tmp_path, damage: str) -> None:
    url = server.url("/a.nc")
    path = get(server, tmp_path, "a").paths[url]
    told = {}
    if damage == "shorter":
        path.chmod(0o644)
        path.write_bytes(b"aaa")
    elif damage == "gone":
        path.unlink()
    elif damage == "index":
        next(tmp_path.glob("index/*")).write_text("{")
    else:
        server.files["/a.nc"] = b"new content"
        told = {"size": 11} if damage == "size" else {"checksum": sha256(b"new content")}
    again = fetch(Client([server.host]), [Remote(url, **told)], tmp_path)
    assert (again.done, again.cached) == (1, 0) and len(server.seen) == 2
    assert again.paths[url].read_bytes() == server.files["/a.nc"]


def sha256(body: bytes) -> str:
    return f"1220{hashlib.sha256(body).hexdigest()}"


def test_a_checksum_of_another_kind_is_compared_with_the_cached_file(server, tmp_path) -> None:
    get(server, tmp_path, "a")
    told = f"d50110{hashlib.md5(FILES['/a.nc']).hexdigest()}".upper()
    again = fetch(Client([server.host]), [Remote(server.url("/a.nc"), checksum=told)], tmp_path)
    assert again.cached == 1 and len(server.seen) == 1


def test_the_least_recently_used_leave_first(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path, *"abcd")
    forget(tmp_path)
    age(tmp_path, {"a": 3, "b": 1, "c": 2, "d": 4})
    get(server, tmp_path, "b")  # used now
    forget(tmp_path)
    get(server, tmp_path, "e", limit_bytes=3000)
    assert held(tmp_path) == "bde"
    assert len(list(tmp_path.glob("index/*"))) == 3


def test_what_this_process_was_given_stays_above_the_limit_with_a_warning(
    server, tmp_path, caplog
) -> None:
    caplog.set_level(logging.WARNING, logger="aqgeo")
    get(server, tmp_path, *"ab")
    get(server, tmp_path, *"cd", limit_bytes=2500)
    assert held(tmp_path) == "abcd" and "holds 4000 bytes" in caplog.text
    forget(tmp_path)
    get(server, tmp_path, "d", limit_bytes=2500)
    assert len(held(tmp_path)) == 2 and "d" in held(tmp_path)


RUN = """
import sys
from pathlib import Path
from aqgeo.remote.http import Client, Remote, fetch
fetch(Client([sys.argv[1]]), [Remote(f"http://{sys.argv[1]}/a.nc")], Path(sys.argv[2]))
print("done", flush=True)
sys.stdin.read()
"""


def test_what_another_process_uses_stays_as_long_as_it_lives(server, tmp_path) -> None:
    words = [sys.executable, "-c", RUN, server.host, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as other:
        assert other.stdout.readline() == "done\n"
        get(server, tmp_path, "b", limit_bytes=1000)
        assert held(tmp_path) == "ab"
        other.kill()
        other.wait()
    forget(tmp_path)
    get(server, tmp_path, "c", limit_bytes=1000)
    assert held(tmp_path) == "c" and len(list(tmp_path.glob("leases/*"))) == 1


def test_a_file_found_broken_later_is_quarantined_and_fetched_anew(server, tmp_path) -> None:
    path = get(server, tmp_path, *"ab").paths[server.url("/a.nc")]
    place = quarantine(tmp_path, path, "no group PRODUCT")
    note = json.loads(place.with_name(f"{place.name}.json").read_text())
    assert note["url"] == server.url("/a.nc") and note["reason"] == "no group PRODUCT"
    assert note["size"] == 1000 and place.read_bytes() == FILES["/a.nc"] and not path.exists()
    again = get(server, tmp_path, *"ab")
    assert (again.done, again.cached) == (1, 1)
    quarantine(tmp_path, again.paths[server.url("/a.nc")], "still none")
    later = json.loads(place.with_name(f"{place.name}.json").read_text())
    assert later == {**note, "reason": "still none"}
    assert len(list(tmp_path.glob("quarantine/*"))) == 2


def test_only_files_of_the_cache_can_be_quarantined(server, tmp_path) -> None:
    get(server, tmp_path / "cache", "a")
    mine = tmp_path / "mine.nc"
    mine.write_text("mine")
    for path in (
        mine,
        tmp_path / "cache/objects/aa/none.nc",
        tmp_path / "cache/objects/../../mine.nc",
    ):
        with pytest.raises(SourceError, match="is not in the cache"):
            quarantine(tmp_path / "cache", path, "x")
    assert mine.exists()


def test_the_part_that_is_wanted_stays_and_is_continued(server: Server, tmp_path: Path) -> None:
    server.script("/a.nc", Answer(cut=900))
    wanted = [Remote(server.url("/a.nc"), size=1000)]
    assert fetch(Client([server.host], attempts=1), wanted, tmp_path).failed
    get(server, tmp_path, "b")
    forget(tmp_path)
    fetch(Client([server.host]), wanted, tmp_path, limit_bytes=1500)
    assert server.asked("/a.nc")[1].range == "bytes=900-" and held(tmp_path) == "a"


def test_old_parts_leave_a_full_cache(server: Server, tmp_path: Path) -> None:
    server.script("/a.nc", Answer(cut=900))
    assert fetch(Client([server.host], attempts=1), [Remote(server.url("/a.nc"))], tmp_path).failed
    assert len(list(tmp_path.glob("parts/*"))) == 2
    get(server, tmp_path, "b", limit_bytes=1500)
    assert not list(tmp_path.glob("parts/*")) and held(tmp_path) == "b"
