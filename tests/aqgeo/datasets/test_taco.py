"""TACO files of version 1: what tacoreader says holds, and a broken file is one clear line."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from aqgeo.datasets import taco
from aqgeo.errors import SourceError
from tests.standins import cloudsen12 as standin

HEAD = 200


@pytest.fixture
def rows() -> pd.DataFrame:
    """A table of two samples of 50 bytes."""
    return pd.DataFrame(
        {
            "tortilla:id": ["a", "b"],
            "tortilla:file_format": ["BYTES", "BYTES"],
            "tortilla:offset": [HEAD, HEAD + 50],
            "tortilla:length": [50, 50],
        }
    )


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_table_is_that_of_tacoreader_down_to_the_pixels(made: Any) -> None:
    from tacoreader import v1

    path = sorted(made.taco.glob("*.taco"))[0]
    theirs, ours = v1.load(str(path)), taco.table(path)
    pd.testing.assert_frame_equal(pd.DataFrame(theirs), ours)
    for n, row in enumerate(ours.to_dict("records")[:2]):
        inner = taco.table(path, row["tortilla:offset"], row["tortilla:length"])
        sample = theirs.read(n)
        assert list(sample["internal:subfile"]) == list(inner["internal:subfile"])
        with rasterio.open(sample.read(0)) as image, rasterio.open(sample.read(1)) as label:
            drawn = made.drawn[::2][n]
            np.testing.assert_array_equal(image.read(), standin.padded(drawn.image(), 0))
            np.testing.assert_array_equal(label.read(1), standin.padded(drawn.label()[None], 99)[0])


def test_a_file_with_the_table_alone_tells_the_same(made: Any, tmp_path: Path) -> None:
    whole = sorted(made.taco.glob("*.taco"))[0]
    content = whole.read_bytes()
    start, size = taco.span(content[: taco.HEADER], len(content), "it")
    alone = save(tmp_path / "a.taco", taco.index(content[:18], content[start : start + size]))
    of_alone = taco.table(alone, total=len(content)).drop(columns="internal:subfile")
    pd.testing.assert_frame_equal(taco.table(whole).drop(columns="internal:subfile"), of_alone)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda whole: b"", "is no TACO file"),
        (lambda whole: b"PK\3\4" + whole[4:], "is no TACO file"),
        (lambda whole: whole[:300], "cut short"),
        (lambda whole: whole[:-20], "cut short"),
        (lambda whole: whole[:2] + (2**62).to_bytes(8, "little") + whole[10:], "cut short"),
        (lambda whole: whole[:10] + (2**63).to_bytes(8, "little") + whole[18:], "cut short"),
        (lambda whole: whole[:2] + bytes(8) + whole[10:], "cut short"),
        (lambda whole: whole[:302] + b"\0" * (len(whole) - 302), "no readable table"),
    ],
    ids="empty zip samples-cut table-cut beyond huge zero garbage".split(),
)
def test_a_broken_file_is_one_line(
    rows: pd.DataFrame, tmp_path: Path, spoil: Any, says: str
) -> None:
    path = save(tmp_path / "x.taco", spoil(standin.packed(bytes(100), standin.footer(rows))))
    with pytest.raises(SourceError, match=says) as caught:
        taco.table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tortilla:offset", -1),
        ("tortilla:offset", 2),
        ("tortilla:offset", 2**62),
        ("tortilla:length", 0),
        ("tortilla:length", -5),
        ("tortilla:length", 2**62),
    ],
)
def test_a_sample_outside_the_file_is_refused(
    rows: pd.DataFrame, tmp_path: Path, column: str, value: int
) -> None:
    rows.loc[1, column] = value
    path = save(tmp_path / "x.taco", standin.packed(bytes(100), standin.footer(rows)))
    with pytest.raises(SourceError, match="names a sample of"):
        taco.table(path)


@pytest.mark.parametrize("change", [{"tortilla:offset": "a"}, {"tortilla:length": 0.5}])
def test_offsets_are_whole_numbers(
    rows: pd.DataFrame, tmp_path: Path, change: dict[str, Any]
) -> None:
    table = standin.footer(rows.assign(**change))
    path = save(tmp_path / "x.taco", standin.packed(bytes(100), table))
    with pytest.raises(SourceError, match="has no whole numbers"):
        taco.table(path)


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_table_that_unpacks_to_more_than_it_may_is_not_read(
    rows: pd.DataFrame, tmp_path: Path, dictionary: bool
) -> None:
    many = pd.concat([rows] * 150, ignore_index=True)
    table = standin.footer(many.assign(note="x" * 600_000), use_dictionary=dictionary)
    assert len(table) < 2**20
    path = save(tmp_path / "x.taco", standin.packed(bytes(100), table))
    with pytest.raises(SourceError, match="unpacks to more than"):
        taco.table(path)


def test_a_table_of_too_many_rows_is_not_read(rows: pd.DataFrame, tmp_path: Path) -> None:
    many = pd.DataFrame({name: np.full(taco.MAX_ROWS + 1, 1) for name in rows})
    path = save(tmp_path / "x.taco", standin.packed(bytes(100), standin.footer(many)))
    with pytest.raises(SourceError, match="unpacks to more than"):
        taco.table(path)


def test_a_path_is_no_chain_of_addresses(rows: pd.DataFrame, tmp_path: Path) -> None:
    content = standin.packed(bytes(100), standin.footer(rows))
    with pytest.raises(SourceError, match="rename it"):
        taco.table(save(tmp_path / "simplecache::x.taco", content))


def test_reading_leaves_the_root_logger_alone(made: Any, root: Path) -> None:
    path = sorted(made.taco.glob("*.taco"))[0]
    code = (
        "import logging, pathlib, sys; from aqgeo.datasets import taco;"
        "taco.table(pathlib.Path(sys.argv[1])); root = logging.getLogger();"
        "print(root.handlers, root.level)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == f"[] {logging.WARNING}"
