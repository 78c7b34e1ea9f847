"""Zip files: whole folders or one line; nothing leaves the folder."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from aqgeo.errors import SourceError
from aqgeo.remote.unzip import unzip


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return path


def refusal(path: Path, **how) -> str:
    folder = path.parent / "out"
    with pytest.raises(SourceError) as caught:
        unzip(path, folder, **how)
    # Nothing is left, neither inside nor outside.
    assert sorted(path.parent.iterdir()) == [path]
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    members = {"b/c.csv": b"1,2\n" * 1000, "a.csv": b"", "b/inner.zip": b"PK\3\4"}
    path = packed(tmp_path / "in.zip", members)
    found = unzip(path, tmp_path / "out")
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in found} == members
    assert found == sorted(found) and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "\\evil", "a\\..\\..\\evil"]
)
def test_no_member_leaves_the_folder(tmp_path: Path, name: str) -> None:
    assert "leaves the folder" in refusal(packed(tmp_path / "in.zip", {"good": b"1", name: b"2"}))


def test_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    assert "a link" in refusal(tmp_path / "in.zip")


def test_a_bomb_is_refused_by_ratio_and_by_size(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "in.zip", {"zeros": bytes(20_000_000)})
    assert "bomb" in refusal(bomb)
    assert "at most 10 " in refusal(packed(bomb, {"a": b"12345678901"}), most_bytes=10)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(2_000_000))
    content = raw.getvalue().replace((2_000_000).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    path = tmp_path / "in.zip"
    path.write_bytes(content)
    assert "no whole zip file" in refusal(path)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a", b"1")
        file.writestr("a", b"2")
    assert "twice" in refusal(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "encrypted", "none", "method"])
def test_a_broken_file_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", b"content" * 100)
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        raw = raw[: len(raw) // 2]
    elif damage == "flipped":
        raw[200] ^= 1
    elif damage == "none":
        raw = bytearray(b"<html>")
    else:
        place = raw.index(b"PK\1\2")
        # Flags are 8 bytes into the central entry, the method 10; 6 and 8 in the local one.
        at, value = {"encrypted": (8, 1), "method": (10, 77)}[damage]
        raw[place + at] = raw[at - 2] = value
    path.write_bytes(raw)
    assert ("encrypted" if damage == "encrypted" else "whole zip") in refusal(path)
