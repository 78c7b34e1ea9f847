"""Downloads: continued where they broke, verified, never half a file under a final name."""

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from aqgeo.errors import SourceError
from aqgeo.remote import parts
from aqgeo.remote.client import Client, Renewable
from aqgeo.remote.http import Remote, fetch
from tests.standins.server import Answer, Server

BODY = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 1000
SIZE, SHA = len(BODY), hashlib.sha256(BODY).hexdigest()
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
# As many bytes as are missing after 1000, but of another file.
OTHER = b"x" * (SIZE - 1000)
TOKEN = "a-very-secret-token-0123456789"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/a.nc": BODY, "/b.nc": BODY[::-1]}) as server:
        yield server


def client(server: Server, **more) -> Client:
    return Client([server.host], **{"wait_s": 0.001, "stall_s": 0.4, "attempts": 3, **more})


def get(server: Server, cache: Path, path: str = "/a.nc", **told) -> str:
    """Fetch one file and return why it failed; if it did not, its bytes are right."""
    url = server.url(path)
    done = fetch(client(server), [Remote(url, **told)], cache)
    if url in done.failed:
        assert not done.paths and (done.done, done.cached) == (0, 0)
        assert not list(cache.glob("objects/??/*")) and not list(cache.glob("index/*"))
        assert "\n" not in done.failed[url] and url.partition("?")[0] in done.failed[url]
        return done.failed[url]
    assert done.paths[url].read_bytes() == BODY and not list(cache.glob("parts/*"))
    return ""


def ranges(server: Server) -> list[str | None]:
    return [seen.range for seen in server.asked("/a.nc")]


# What breaks off is continued


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
def test_a_transfer_that_breaks_is_continued_from_its_last_byte(server, tmp_path, how) -> None:
    server.script("/a.nc", Answer(**{how: 100_000}), Answer(**{how: 50_000}))
    assert get(server, tmp_path, size=SIZE, checksum=f"1220{SHA}") == ""
    asked = server.asked("/a.nc")
    assert asked[0].range is None and asked[0].headers["accept-encoding"] == "identity"
    starts = [int(re.fullmatch(r"bytes=(\d+)-", s.range)[1]) for s in asked[1:]]
    # A reset may throw away what was on its way.
    assert starts == [100_000, 150_000] if how != "reset" else starts == sorted(starts)
    assert all(s.headers["if-range"].startswith('"') for s in asked[1:])


def test_without_an_etag_the_date_says_which_version_it_is(server, tmp_path) -> None:
    weak = {"ETag": 'W/"weak"'}
    server.script("/a.nc", Answer(cut=1000, headers=weak), Answer(headers=weak))
    assert get(server, tmp_path) == ""
    assert ranges(server) == [None, "bytes=1000-"]
    assert server.seen[1].headers["if-range"].endswith("GMT")


def test_without_either_it_starts_again(server, tmp_path) -> None:
    none = {"ETag": None, "Last-Modified": None}
    server.script("/a.nc", Answer(cut=1000, headers=none), Answer(headers=none))
    assert get(server, tmp_path) == ""
    assert ranges(server) == [None, None]


@pytest.mark.parametrize(
    "second",
    [
        Answer(ranged=False),
        Answer(headers={"ETag": '"new"'}),
        Answer(206, OTHER, {"ETag": '"new"', "Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}"}),
        Answer(206, OTHER, {"ETag": ETAG, "Content-Range": f"bytes 999-{SIZE - 2}/{SIZE}"}),
        Answer(206, OTHER, {"ETag": ETAG, "Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE + 1}"}),
        Answer(206, b"no word"),
        Answer(206, b"mad", {"Content-Range": "bytes x-y/z"}),
        Answer(416, b"", {"Content-Range": "bytes */999"}),
        Answer(416, b""),
        Answer(500),
    ],
    ids=str,
)
def test_what_does_not_continue_the_file_is_never_appended(server, tmp_path, second) -> None:
    server.script("/a.nc", Answer(cut=1000), second)
    assert get(server, tmp_path) == ""
    assert ranges(server)[:2] == [None, "bytes=1000-"] and len(server.seen) <= 3


def test_a_range_that_ends_early_is_continued(server, tmp_path) -> None:
    head = {"Content-Range": f"bytes 1000-1999/{SIZE}", "ETag": ETAG}
    server.script("/a.nc", Answer(cut=1000), Answer(206, BODY[1000:2000], head))
    assert get(server, tmp_path) == ""
    assert ranges(server) == [None, "bytes=1000-", "bytes=2000-"]


def test_a_file_whose_length_nobody_told_is_complete_at_416(server, tmp_path) -> None:
    chunked = Answer(headers={"Content-Length": None, "Connection": "close"})
    server.script("/a.nc", chunked)
    assert get(server, tmp_path) == "" and len(server.seen) == 1


def test_a_length_that_is_wrong_fails_in_words_and_leaves_no_file(server, tmp_path) -> None:
    server.routes["/a.nc"] = lambda _: Answer(headers={"Content-Length": str(SIZE + 5)})
    assert "breaks off" in get(server, tmp_path)
    server.routes["/a.nc"] = lambda _: Answer(headers={"Content-Length": str(SIZE - 5)})
    assert f"it has {SIZE - 5} bytes, {SIZE} are in the catalog" in get(
        server, tmp_path / "b", size=SIZE
    )


def test_progress_counts_as_success_however_often_it_breaks(tmp_path) -> None:
    body = os.urandom(9 * 2**20)
    with Server({"/big": body}) as server:
        server.script("/big", *[Answer(cut=2**20 + 1) for _ in range(8)])
        done = fetch(client(server, attempts=2), [Remote(server.url("/big"))], tmp_path)
        assert done.paths[server.url("/big")].read_bytes() == body


def test_a_part_of_an_earlier_run_is_continued(server, tmp_path) -> None:
    server.script("/a.nc", *[Answer(cut=50_000)] * 3)
    assert "breaks off" in get(server, tmp_path)
    assert (held := next(tmp_path.glob("parts/*.part"))).stat().st_size == 150_000
    assert get(server, tmp_path) == ""
    assert ranges(server)[3:] == ["bytes=150000-"] and not held.exists()


def test_a_part_whose_note_is_lost_or_of_another_boot_is_not_trusted(server, tmp_path) -> None:
    for n, spoil in enumerate(
        [lambda text: "", lambda text: text.replace('"boot": "', '"boot": "x')]
    ):
        server.script("/a.nc", *[Answer(cut=50_000)] * 3)
        assert "breaks off" in get(server, tmp_path / str(n))
        note = next(tmp_path.glob(f"{n}/parts/*.json"))
        note.write_text(spoil(note.read_text()))
        server.seen.clear()
        assert get(server, tmp_path / str(n)) == "" and ranges(server) == [None]


def test_a_token_that_ends_in_the_middle_is_renewed(server, tmp_path) -> None:
    class Signed(Renewable):
        sig = 0

        def auth_flow(self, request):
            request.url = request.url.copy_merge_params({"sig": f"{TOKEN}{self.sig}"})
            yield request

        def renew(self, answer, body):
            self.sig += 1
            return b"AuthenticationFailed" in body

    expired = Answer.xml("AuthenticationFailed", f"Signature {TOKEN}0 not valid", 403)
    server.script("/a.nc", Answer(cut=70_000), expired)
    url = server.url("/a.nc")
    done = fetch(client(server, auth=Signed()), [Remote(url)], tmp_path)
    assert done.paths[url].read_bytes() == BODY
    assert ranges(server) == [None, "bytes=70000-", "bytes=70000-"]
    assert [s.query["sig"][-1] for s in server.seen] == ["0", "0", "1"]


# What is not what it should be


@pytest.mark.parametrize(
    ("answer", "told", "reason"),
    [
        (Answer.page(), {}, "a web page: the service may want a login"),
        (Answer.page(), {"kind": "xml"}, "a web page"),
        (Answer(200, b"PK\3\4 a zip"), {"kind": "netcdf"}, r"no netcdf: it begins with b'PK"),
        (Answer(200, b""), {"kind": "tiff"}, "no tiff"),
        (None, {"checksum": "1220" + "0" * 64}, f"its sha256 is {SHA[:12]}"),
        (None, {"checksum": "d50110" + "0" * 32}, "its md5 is"),
        (None, {"checksum": "1114" + "0" * 40}, "its sha1 is"),
        (None, {"size": SIZE + 1}, f"it has {SIZE} bytes, {SIZE + 1} are in the catalog"),
    ],
)
def test_a_broken_file_is_tried_twice_and_quarantined(server, tmp_path, answer, told, reason):
    server.routes["/a.nc"] = lambda _: answer
    said = get(server, tmp_path, "/a.nc?sig=" + TOKEN, **told)
    assert reason in said.replace("1220", "") and "quarantine" in said
    assert ranges(server) == [None, None] and not list(tmp_path.glob("parts/*"))
    kept, note = sorted(tmp_path.glob("quarantine/*"))
    assert kept.name.endswith("-a.nc") and kept.read_bytes() == (answer.body if answer else BODY)
    facts = json.loads(note.read_text())
    assert facts["url"] == server.url("/a.nc") and facts["reason"] in said
    assert facts["size"] == kept.stat().st_size and facts["first_seen"].endswith("+00:00")


def test_a_file_that_was_broken_once_is_fetched_anew(server, tmp_path) -> None:
    server.script("/a.nc", Answer(200, b"\x89HDF\r\n\x1a\n but short"))
    assert get(server, tmp_path, checksum=f"1220{SHA}") == ""
    assert not list(tmp_path.glob("quarantine/*"))


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        *((kind, head) for kind, heads in parts.MAGIC.items() for head in heads),
        ("json", b"\n {"),
        ("xml", b"\xef\xbb\xbf<?xml"),
        ("tiff", b"II+\0"),
    ],
)
def test_files_are_what_they_begin_with(tmp_path, kind: str, head: bytes) -> None:
    with Server({"/x": head + b" and more"}) as server:
        url = server.url("/x")
        assert not fetch(client(server), [Remote(url, kind)], tmp_path).failed
        other = "zip" if kind != "zip" else "json"
        assert fetch(client(server), [Remote(url + "?b", other)], tmp_path).failed


def test_an_unknown_checksum_is_told(server, tmp_path) -> None:
    assert "no multihash" in get(server, tmp_path, checksum="zz" * 20)
    assert "no multihash" in get(server, tmp_path, checksum="1220abc") and not server.seen


def test_what_is_no_url_is_told(server, tmp_path) -> None:
    wrong = ["https://[::1/x", "nonsense", "ftp://a.example/x", "https://a.example:99999/", ""]
    done = fetch(client(server), [Remote(url) for url in wrong], tmp_path)
    assert list(done.failed) == wrong and not done.paths


@pytest.mark.parametrize("known", [True, False])
def test_a_file_larger_than_the_cache_is_refused_while_it_comes(server, tmp_path, known) -> None:
    if not known:
        server.routes["/a.nc"] = lambda _: Answer(
            headers={"Content-Length": None, "Connection": "close"}
        )
    url = server.url("/a.nc")
    done = fetch(client(server), [Remote(url)], tmp_path, limit_bytes=100_000)
    assert "larger than 100000 bytes" in done.failed[url] and len(server.seen) == 1
    assert sum(p.stat().st_size for p in tmp_path.rglob("*.part")) < 200_000


# Many at once


def test_one_that_fails_does_not_stop_the_others(server, tmp_path) -> None:
    names = [f"/{n}.nc" for n in range(20)]
    server.files |= {name: BODY + name.encode() for name in names}
    del server.files["/7.nc"]
    server.script("/3.nc", Answer(500), Answer(cut=9))
    wanted = [Remote(server.url(name)) for name in names]
    seen: list[tuple[int, int]] = []
    done = fetch(
        client(server, per_host=5), wanted, tmp_path, report=lambda *both: seen.append(both)
    )
    assert list(done.failed) == [server.url("/7.nc")] and done.done == 19
    assert (
        "answers 404 (no such path): it may have been withdrawn" in done.failed[server.url("/7.nc")]
    )
    for url, path in done.paths.items():
        assert path.read_bytes() == server.files["/" + url.rpartition("/")[2]]
    assert 2 <= server.most_at_once <= 5
    whole = sum(len(server.files[n]) for n in names if n in server.files)
    assert seen[-1] == (whole, whole) and all(done <= total for done, total in seen)


def test_order_of_paths_is_that_of_the_wish(server, tmp_path) -> None:
    urls = [server.url(p) for p in ("/b.nc", "/a.nc")]
    server.script("/b.nc", Answer(delay_s=0.1))
    assert list(fetch(client(server), [Remote(u) for u in urls], tmp_path).paths) == urls


def test_an_interrupt_ends_all_and_keeps_the_parts(server, tmp_path) -> None:
    server.files |= {f"/{n}": BODY for n in range(8)}
    # One has begun, one would wait for long, and six are not asked for.
    server.script("/0", Answer(429, headers={"Retry-After": "200"}))
    server.script("/1", Answer(delay_s=0.1))

    def report(done: int, _: int) -> None:
        if done >= 100_000:
            raise KeyboardInterrupt

    wanted = [Remote(server.url(f"/{n}")) for n in range(8)]
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(client(server, per_host=2), wanted, tmp_path, report=report)
    # A thread may have taken one more before all were told to end.
    assert time.monotonic() - begun < 20 and {s.path for s in server.seen} <= {"/0", "/1", "/2"}
    assert any(p.stat().st_size >= 100_000 for p in tmp_path.glob("parts/*.part"))
    assert fetch(client(server), wanted, tmp_path).done == 8


def test_a_part_that_was_moved_while_its_lock_was_awaited_is_let_go(tmp_path) -> None:
    path = tmp_path / "x.part"
    with path.open("ab", buffering=0) as mine, path.open("ab", buffering=0) as late:
        assert parts._grabbed(mine, path) and not parts._grabbed(late, path)
        path.rename(tmp_path / "object")
        mine.close()
        assert not parts._grabbed(late, path)
        path.write_bytes(b"of another")
        assert not parts._grabbed(late, path)


RUN = """
import sys
from pathlib import Path
from aqgeo.remote.http import Client, Remote, fetch
host, cache, many = sys.argv[1:]
wanted = [Remote(f"http://{host}/{n}.nc", "netcdf") for n in range(int(many))]
done = fetch(Client([host], per_host=8, wait_s=0.01), wanted, Path(cache))
print(done.done, done.cached, len(done.failed), *done.failed.values())
"""


def run(server: Server, cache: Path, many: int, **how) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", RUN, server.host, str(cache), str(many)]
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def test_a_kill_in_the_middle_of_200_files_loses_nothing(tmp_path, until) -> None:
    bodies = {f"/{n}.nc": b"\x89HDF\r\n\x1a\n%d" % n + os.urandom(100_000) for n in range(200)}
    with Server(bodies) as server:
        for n in range(70, 200):
            # Slow ones, so that the kill finds some half done.
            server.script(f"/{n}.nc", Answer(stall=60_000))
        first = run(server, tmp_path, 200)
        until(lambda: len(list(tmp_path.glob("objects/??/*"))) >= 70, "70 files")
        until(lambda: sum(s.path[1:-3] >= "70" for s in list(server.seen)) > 0, "a half file")
        until(lambda: _half(tmp_path), "eight halves")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        whole = {f"/{n}.nc" for n in range(200)} - {
            p for p in bodies if _index(tmp_path, server, p)
        }
        halves = [p.stat().st_size for p in tmp_path.glob("parts/*.part")]
        server.seen.clear()
        for n in range(200):
            server.script(f"/{n}.nc")
        out, err = run(server, tmp_path, 200).communicate()
        assert out.split() == ["130", "70", "0"] and not err
        asked = Counter(s.path for s in server.seen)
        assert set(asked) == whole and set(asked.values()) == {1}
        begun = [s.range for s in server.seen if s.range]
        assert sorted(begun) == sorted(f"bytes={size}-" for size in halves if size)
        assert {p.read_bytes() for p in tmp_path.glob("objects/??/*")} == set(bodies.values())
        assert not list(tmp_path.glob("parts/*"))


def _half(cache: Path) -> bool:
    return sum(p.stat().st_size == 60_000 for p in cache.glob("parts/*.part")) == 8


def _index(cache: Path, server: Server, path: str) -> bool:
    return any(
        json.loads(p.read_text())["url"] == server.url(path) for p in cache.glob("index/*.json")
    )


def test_two_processes_with_one_cache_fetch_each_file_once(tmp_path) -> None:
    bodies = {f"/{n}.nc": b"\x89HDF\r\n\x1a\n%d" % n + os.urandom(50_000) for n in range(60)}
    with Server(bodies) as server:
        for path in bodies:
            server.script(path, Answer(delay_s=0.02))
        both = [run(server, tmp_path, 60) for _ in range(2)]
        ends = [p.communicate() for p in both]
        assert all(not err and out.split()[2] == "0" for out, err in ends), ends
        assert sum(int(out.split()[0]) for out, _ in ends) == 60 == len(server.seen)
        assert {p.read_bytes() for p in tmp_path.glob("objects/??/*")} == set(bodies.values())


def test_a_full_disk_is_one_line_and_leaves_no_half_file(server, tmp_path) -> None:
    def tight() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    server.files |= {f"/{n}.nc": BODY + b"%d" % n for n in range(5)}
    process = run(server, tmp_path, 5, preexec_fn=tight)
    out, err = process.communicate()
    last = err.strip().splitlines()[-1]
    assert f"the cache {tmp_path} cannot be used: File too large: make room" in last and not out
    assert not list(tmp_path.glob("objects/??/*")) and not list(tmp_path.glob("index/*"))
    assert run(server, tmp_path, 5).communicate()[0].split() == ["5", "0", "0"]


def test_a_cache_that_cannot_be_made_is_one_line(server, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be used"):
        fetch(client(server), [Remote(server.url("/a.nc"))], tmp_path / "file")


def test_no_secret_is_left_anywhere(server, tmp_path, caplog) -> None:
    class Key(httpx.Auth):
        def auth_flow(self, request):
            request.headers["Authorization"] = f"Bearer {TOKEN}"
            yield request

    caplog.set_level("DEBUG")
    server.script("/a.nc", Answer(500, TOKEN.encode()), Answer(cut=10))
    server.script("/b.nc", *[Answer(cut=9, headers={"ETag": '"x"'})] * 3)
    server.routes["/c.nc"] = lambda _: Answer.page()
    server.routes["/d.nc"] = lambda seen: Answer(403, f"{seen.query} {seen.headers}".encode())
    wanted = [Remote(server.url(f"/{n}.nc?sig={TOKEN}&st=1")) for n in "abcd"]
    wanted.append(Remote(f"https://me:{TOKEN}@{server.host}/e.nc?sig={TOKEN}"))
    done = fetch(client(server, auth=Key()), wanted, tmp_path)
    assert len(done.paths) == 1 and len(done.failed) == 4
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.parent.name for p in kept} >= {"parts", "index", "quarantine", "leases"}
    for path in kept:
        assert TOKEN.encode() not in path.read_bytes() and TOKEN not in path.name
    assert TOKEN not in "".join(done.failed.values()) + caplog.text
    assert len(threading.enumerate()) < 50
