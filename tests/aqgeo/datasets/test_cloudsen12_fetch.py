"""Patches fetched by byte ranges: only what is needed, whole or not at all, and the same again."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aqgeo.datasets import cloudsen12
from aqgeo.datasets import cloudsen12_fetch as fetch
from aqgeo.datasets import cloudsen12_pixels as pixels
from aqgeo.errors import SourceError
from aqgeo.remote.http import Client
from tests.standins import cloudsen12 as standin
from tests.standins.server import Answer, Server

NAMES = [f"/cloudsen12-l1c.{n:04d}.part.taco" for n in range(2)]


@pytest.fixture
def server(made: Any) -> Iterator[Server]:
    files = {f"/{path.name}": path.read_bytes() for path in made.taco.iterdir()}
    with Server(files) as running:
        yield running


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., fetch.Fetched]:
    """Return a function that downloads into `tmp_path / "set"`."""

    def download(count: int = 4, to: str = "set", **how: Any) -> fetch.Fetched:
        client = Client([server.host], attempts=3, wait_s=0.01)
        urls = [server.url(name) for name in NAMES]
        return fetch.download(client, urls, tmp_path / to, fetch.Choice(count, **how))

    return download


def files(folder: Path) -> dict[str, str]:
    """Digest of every file that is shown."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return told


def test_a_fetched_patch_is_that_of_the_set(get: Any, made: Any, tmp_path: Path) -> None:
    result = get()
    assert (len(result.patches), result.done, result.kept, result.failed) == (4, 4, 0, {})
    assert cloudsen12.patches(tmp_path / "set") == result.patches
    known = {patch.id: patch for patch in cloudsen12.patches(made.taco)}
    drawn = {one.id: one for one in made.drawn}
    for patch in result.patches:
        there = replace(known[patch.id], path=patch.path, offset=0, length=0)
        assert there == patch
        image, label = drawn[patch.id].tiffs(pad=True)
        assert (patch.path / "S2L1C.tif").read_bytes() == image
        assert (patch.path / "labels" / "manual_hq.tif").read_bytes() == label
    assert pixels.read(patch).identical(pixels.read(known[patch.id]))


def test_the_manifest_tells_source_and_checksums(get: Any, server: Server, tmp_path: Path) -> None:
    get()
    told = manifest(tmp_path / "set")
    assert (told["licence"], told["complete"], told["failed"]) == ("CC0-1.0", True, {})
    assert [part["url"] for part in told["source"]] == [server.url(name) for name in NAMES]
    digests = files(tmp_path / "set")
    for patch in told["patches"]:
        for name, file in patch["files"].items():
            assert digests.pop(f"{patch['folder']}/{name}") == file["sha256"]
        del digests[f"{patch['folder']}/S2L1C.json"]
        path = patch["origin"]["url"].removeprefix(f"http://{server.host}")
        first = patch["origin"]["offset"]
        assert server.files[path][first : first + 2] == b"#y"
    assert list(digests) == ["manifest.json"]


def test_only_the_needed_bytes_are_asked_for(get: Any, server: Server) -> None:
    result = get(2)
    wanted = sorted(
        f"bytes={p['origin']['offset']}-{p['origin']['offset'] + p['origin']['length'] - 1}"
        for p in manifest(result.patches[0].path.parents[1])["patches"]
    )
    asked = [seen.range or "all" for seen in server.seen]
    assert [asked.count("bytes=0-17"), len(asked)] == [2, 6]
    assert set(wanted) <= set(asked)
    whole = sum(map(len, server.files.values()))
    sizes = [int(b) - int(a) + 1 for a, b in (r[6:].split("-") for r in asked)]
    assert sum(sizes) < 0.4 * whole


def test_two_runs_bring_the_same_and_the_second_asks_for_nothing(
    get: Any, server: Server, tmp_path: Path
) -> None:
    get()
    before, asked = files(tmp_path / "set"), len(server.seen)
    result = get()
    assert (result.done, result.kept) == (0, 4)
    assert len(server.seen) == asked
    assert files(tmp_path / "set") == before
    get(to="other")
    assert files(tmp_path / "other") == before


def test_more_patches_add_to_fewer(get: Any) -> None:
    few = {patch.id for patch in get(2).patches}
    more = get(5)
    assert few < {patch.id for patch in more.patches}
    assert (more.done, more.kept) == (3, 2)


def test_the_choice_follows_seed_split_and_label(made: Any) -> None:
    found = cloudsen12.patches(made.taco)

    def chosen(count: int, **how: Any) -> set[str]:
        picked = fetch.choose(found[:: how.pop("step", 1)], fetch.Choice(count, **how))
        return {patch.id for patch in picked}

    assert chosen(3) == chosen(3, step=-1)
    assert len({frozenset(chosen(3, seed=seed)) for seed in range(8)}) > 3
    assert chosen(3, split="train") == {one.id for one in made.drawn[:3]}
    assert chosen(1, label_type="scribble") == {made.drawn[8].id}
    with pytest.raises(SourceError, match=r"9 patches are asked for and 8 fit \(level L1C"):
        chosen(9)
    with pytest.raises(SourceError, match="0 fit"):
        chosen(1, size=2000)


@pytest.mark.parametrize("how", [{"count": 3}, {"seed": 1}, {"split": "train", "count": 3}])
def test_a_folder_holds_one_choice(get: Any, tmp_path: Path, how: dict[str, Any]) -> None:
    get()
    before = files(tmp_path / "set")
    with pytest.raises(SourceError, match=r"holds another choice \(count 4, level L1C"):
        get(**how)
    assert files(tmp_path / "set") == before


@pytest.mark.parametrize("spoil", ["S2L1C.tif", "labels/manual_hq.tif", "S2L1C.json"])
def test_what_is_damaged_on_disk_is_fetched_again(get: Any, tmp_path: Path, spoil: str) -> None:
    first = get().patches[0]
    before = files(tmp_path / "set")
    path = first.path / spoil
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    result = get()
    assert (result.done, result.kept) == (1, 3)
    assert files(tmp_path / "set") == before


def test_faults_that_pass_are_waited_out(get: Any, server: Server) -> None:
    server.script(NAMES[0], Answer(500), None, Answer(cut=100), None, Answer(503), Answer(reset=50))
    server.script(NAMES[1], Answer(cut=5), None, None, Answer(cut=1000), Answer(429))
    result = get(6)
    assert (result.done, result.failed) == (6, {})
    for patch in result.patches:
        pixels.read(patch)


def test_a_range_that_is_shorter_than_asked_is_completed(get: Any, server: Server) -> None:
    whole = server.files[NAMES[0]]
    head = {"Content-Range": f"bytes 0-4/{len(whole)}"}
    server.script(NAMES[0], Answer(206, whole[:5], head))
    assert get(3).done == 3
    assert "bytes=5-17" in [seen.range for seen in server.asked(NAMES[0])]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(ranged=False), "answers 200 when asked for bytes"),
        (Answer(206, b"x" * 18), "answers with none"),
        (Answer(206, b"x" * 18, {"Content-Range": "bytes 5-22/900"}), "bytes 5-22"),
        (Answer(206, b"x" * 18, {"Content-Range": "bytes 0-17/*"}), "0-17/"),
        (Answer(206, b"x" * 18, {"Content-Range": "bytes 0-99/900"}), "0-99/900"),
        (Answer(206, b"x" * 90, {"Content-Range": "bytes 0-17/900"}), "sends"),
        (Answer(206, b"x" * 18, {"Content-Range": "bytes 0-17/900"}), "is no TACO file"),
        (Answer.page(), "answers 200"),
        (Answer(404), "404"),
        (Answer(500), "500"),
    ],
    ids="200 no-range shifted no-total longer much-more no-taco page 404 500".split(),
)
def test_a_server_that_misleads_is_one_line(
    get: Any, server: Server, tmp_path: Path, answer: Answer, says: str
) -> None:
    server.routes["/"] = lambda seen: answer
    server.script(NAMES[0], *[answer] * 5)
    with pytest.raises(SourceError, match=says) as caught:
        get()
    assert "\n" not in str(caught.value)
    assert files(tmp_path / "set") == {}


def test_a_patch_that_stays_broken_is_named_and_the_others_come(
    get: Any, server: Server, tmp_path: Path
) -> None:
    victim = manifest(get(4, to="plan").patches[0].path.parents[1])["patches"][0]
    path = victim["origin"]["url"].removeprefix(f"http://{server.host}")
    first, whole = victim["origin"]["offset"], server.files[path]
    server.files[path] = whole[:first] + b"\0" * 40 + whole[first + 40 :]
    result = get(4)
    assert list(result.failed) == [victim["id"]] and result.done == 3
    told = manifest(tmp_path / "set")
    assert not told["complete"] and "is no TACO file" in told["failed"][victim["id"]]
    assert len(cloudsen12.patches(tmp_path / "set")) == 3
    # Another version of the file, whose table may name other bytes.
    server.files[path] = whole
    assert "has changed since" in get(4).failed[victim["id"]]
    shutil.rmtree(tmp_path / "set" / ".index")
    again = get(4)
    assert (again.done, again.kept) == (1, 3) and manifest(tmp_path / "set")["complete"]


def test_a_file_that_changes_under_way_is_not_mixed(get: Any, server: Server) -> None:
    get(2)
    for name in NAMES:
        server.files[name] += b"more"
    result = get(8)
    assert result.kept == 2 and len(result.failed) == 6
    assert all("has changed since" in why for why in result.failed.values())


def test_a_service_that_is_down_is_not_asked_for_every_patch(
    server: Server, tmp_path: Path
) -> None:
    drawn = [standin.Drawn(n, n) for n in range(40)]
    small = [standin.sample(drawn[0])] * len(drawn)
    server.files[NAMES[0]] = standin.tortilla([standin.row(d) for d in drawn], small, b"WX")
    server.script(NAMES[0], None, None, *[Answer(404)] * 100)
    client = Client([server.host], attempts=1)
    with pytest.raises(SourceError, match="patches failed and none arrived"):
        fetch.download(client, [server.url(NAMES[0])], tmp_path / "set", fetch.Choice(40))
    assert len(server.seen) < 30


def test_a_host_that_is_not_listed_is_not_asked(server: Server, tmp_path: Path) -> None:
    client = Client(["example.org"])
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        fetch.download(client, [server.url(NAMES[0])], tmp_path / "set", fetch.Choice(1))
    assert server.seen == []


@pytest.mark.parametrize("name", ["/..", "/a%2f..%2fb", "/.hidden", "/"])
def test_a_part_has_a_plain_name(server: Server, tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="no plain file name"):
        fetch.download(Client([server.host]), [server.url(name)], tmp_path / "set", fetch.Choice(1))


KILLED = """
import sys
from pathlib import Path
from aqgeo.datasets import cloudsen12_fetch as fetch
from aqgeo.remote.http import Client
host, folder, *urls = sys.argv[1:]
fetch.download(Client([host]), urls, Path(folder), fetch.Choice(8))
"""


def test_killed_and_run_again_nothing_is_fetched_twice(
    get: Any, server: Server, until: Any, root: Path, tmp_path: Path
) -> None:
    # Two requests for each table, then three patches in all; the others stop half way.
    server.script(NAMES[0], None, None, None, None, *[Answer(stall=9000)] * 4)
    server.script(NAMES[1], None, None, None, *[Answer(stall=9000)] * 4)
    urls = [server.url(name) for name in NAMES]
    words = [sys.executable, "-c", KILLED, server.host, str(tmp_path / "set"), *urls]
    process = subprocess.Popen(words, cwd=root)
    try:
        until(lambda: len(list((tmp_path / "set").glob("*/*/S2L1C.json"))) == 3, "3 patches")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    told = manifest(tmp_path / "set")
    assert not told["complete"] and told["choice"]["count"] == 8
    assert len(cloudsen12.patches(tmp_path / "set")) == 3
    for name in NAMES:
        server.script(name)
    asked = len(server.seen)
    result = get(8)
    assert (result.done, result.kept) == (5, 3)
    assert len(server.seen) - asked == 5
    get(8, to="other")
    assert files(tmp_path / "set") == files(tmp_path / "other")
    assert not list((tmp_path / "set").rglob("*.part"))
