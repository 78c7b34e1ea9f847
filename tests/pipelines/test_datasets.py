"""Data sets from the user's side: a folder is filled, described, and says what is missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aqgeo.errors import SourceError
from aqgeo.remote.http import Client
from pipelines import datasets
from tests.standins import cloudsen12 as standin
from tests.standins.server import Answer, Server

NAME = "/cloudsen12-l1c.0000.part.taco"
DRAWN = [standin.Drawn(n, n // 2, "test" if n > 5 else "train") for n in range(8)]


@pytest.fixture(scope="module")
def part() -> bytes:
    return standin.taco(DRAWN)


@pytest.fixture
def server(part: bytes) -> Iterator[Server]:
    with Server({NAME: part}) as running:
        yield running


def download(server: Server, folder: Path, **how: Any) -> Path:
    client = Client([server.host], attempts=2, wait_s=0.01)
    return datasets.cloudsen12_download(folder, urls=[server.url(NAME)], client=client, **how)


def test_a_folder_is_filled_and_described(server: Server, tmp_path: Path) -> None:
    path = download(server, tmp_path / "set", count=8)
    assert path == tmp_path / "set" / "manifest.json"
    assert json.loads(path.read_text("utf-8"))["complete"]
    told = datasets.cloudsen12_describe(tmp_path / "set")
    assert (told["patches"], told["places"], told["leaks"]) == (8, 4, {})
    test, train = told["groups"]
    assert (test["split"], test["patches"], train["patches"], train["places"]) == ("test", 2, 6, 3)
    for group, drawn in ((test, DRAWN[6:]), (train, DRAWN[:6])):
        for name, key in (("clear", "clear"), ("thick cloud", "thick"), ("thin cloud", "thin")):
            mean = sum(one.percentages()[f"{key}_percentage"] for one in drawn) / len(drawn)
            assert group["pixels"][name] == pytest.approx(mean, abs=0.01)
        cover = [
            one.percentages()["thick_percentage"] + one.percentages()["thin_percentage"]
            for one in drawn
        ]
        bounds = ((0, 25), (25, 50), (50, 75), (75, 101))
        counts = [sum(low <= value < high for value in cover) for low, high in bounds]
        assert list(group["cover"].values()) == counts
        assert list(group["cover"]) == ["[0,25)", "[25,50)", "[50,75)", "[75,100]"]
    assert json.loads(json.dumps(told)) == told


def test_the_older_layout_is_described_with_its_leaks(tmp_path: Path) -> None:
    patches = [standin.Drawn(0, 0), standin.Drawn(1, 0, "test"), standin.Drawn(2, 1, "test")]
    patches += [standin.Drawn(3, 2, label_type="scribble"), standin.Drawn(4, 2, "train", "nolabel")]
    told = datasets.cloudsen12_describe(standin.folders(patches, tmp_path))
    assert told["leaks"]["roi_id ROI_00000"] == ["test", "train"]
    text = datasets.table(told)
    assert "roi_id ROI_00000 is in test and train" in text
    lines = [line.split() for line in text.splitlines()]
    assert [line[:4] for line in lines[1:5]] == [
        ["test", "high", "2", "2"],
        ["train", "high", "1", "1"],
        ["train", "nolabel", "1", "1"],
        ["train", "scribble", "1", "1"],
    ]
    assert lines[3][4:] == ["-"] * 8 and lines[4][8:] == ["-"] * 4


def test_what_is_missing_is_said_and_fetched_by_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    server.script(NAME, None, None, None, Answer(404))
    with pytest.raises(SourceError, match="1 of 3 patches are missing") as caught:
        download(server, tmp_path / "set", count=3)
    assert "\n" not in str(caught.value) and "404" in str(caught.value)
    asked = len(server.seen)
    download(server, tmp_path / "set", count=3)
    assert len(server.seen) == asked + 1
    assert datasets.cloudsen12_describe(tmp_path / "set")["patches"] == 3


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"count": 0}, "count 0"),
        ({"split": "val"}, "split 'val'"),
        ({"label_type": "best"}, "label_type 'best'"),
        ({"level": "L1B"}, "level 'L1B'"),
        ({"size": 512}, "size 512"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_asked(
    server: Server, tmp_path: Path, how: dict[str, Any], says: str
) -> None:
    with pytest.raises(SourceError, match=says):
        download(server, tmp_path / "set", **{"count": 2, **how})
    assert server.seen == [] and not (tmp_path / "set").exists()


def test_a_mirror_is_the_only_host_that_is_opened(server: Server, tmp_path: Path) -> None:
    path = datasets.cloudsen12_download(tmp_path / "set", urls=[server.url(NAME)], count=1)
    assert json.loads(path.read_text("utf-8"))["complete"]
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        server.script(NAME, Answer.redirect("http://localhost:1/"))
        datasets.cloudsen12_download(tmp_path / "other", urls=[server.url(NAME)], count=1)


def test_the_data_sets_own_page_is_the_default(tmp_path: Path) -> None:
    """Tests have no network: the error names the address."""
    client = Client(["127.0.0.1"])
    with pytest.raises(SourceError, match=r"huggingface\.co"):
        datasets.cloudsen12_download(tmp_path / "set", count=1, client=client)
