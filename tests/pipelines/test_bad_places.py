"""Places that cannot be written to, clusters that do not answer: one line, no leftovers."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WORDS = ("--period", "2024-06-03/2024-06-06")


def _line(told: Any) -> str:
    assert (told.code, told.out) == (2, []), told
    assert len(told.err) == 1, told.err
    assert told.err[0].startswith("aqgeo: ")
    return str(told.err[0])


def _without_tiff(told: Any) -> Any:
    """Leave out what libtiff writes to stderr by itself: nothing in Python can stop it."""
    return told._replace(err=[line for line in told.err if not line.startswith("_tiff")])


def _mount(folder: Path, options: str) -> None:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this process may not mount a file system: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a small disk; it is unmounted whatever happens."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk to fill")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        _mount(folder, options)
        mounted.append(folder)
        return folder

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_an_output_path_that_is_a_file_is_told(tell: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    line = _line(tell("simulate", "demo", *WORDS, "--size-km", "12", "--out", out))
    assert str(out) in line
    assert "choose a folder for --out" in line
    assert out.read_text() == "mine"


def test_a_read_only_output_folder_is_told(
    tell: Callable[..., Any], disk: Callable[[str], Path]
) -> None:
    out = disk("size=2m,ro")
    line = _line(tell("simulate", "demo", *WORDS, "--out", out / "out"))
    assert str(out) in line
    assert "Read-only file system: choose another --out" in line


@pytest.mark.parametrize("size", ["16k", "2m"])
def test_a_full_disk_is_told_and_left_empty_by_the_simulation(
    size: str, tell: Callable[..., Any], disk: Callable[[str], Path], leftovers: Callable[..., Any]
) -> None:
    out = disk(f"size={size}")
    line = _line(_without_tiff(tell("simulate", "demo", *WORDS, "--size-km", "12", "--out", out)))
    assert "check the free space" in line
    assert leftovers(out) == []
    assert not list(out.rglob("provenance.json"))


@pytest.mark.parametrize(
    "size, collection",
    [
        ("16k", "sentinel-2-l2a"),
        ("256k", "sentinel-2-l2a"),
        ("2m", "sentinel-2-l2a"),
        ("16k", "sentinel-5p-l2-no2"),
        ("64k", "sentinel-5p-l2-no2"),
        ("8k", "stations-no2"),
    ],
)
def test_a_full_disk_is_told_and_left_empty_by_the_ingest(
    size: str,
    collection: str,
    tell: Callable[..., Any],
    small: Any,
    dask: str,
    disk: Callable[[str], Path],
    leftovers: Callable[..., Any],
) -> None:
    out = disk(f"size={size}")
    words = ("ingest", "demo", *WORDS, "--collection", collection, "--archive", small.archive)
    line = _line(tell(*words, "--scheduler", dask, "--out", out))
    assert "free some space" in line
    assert leftovers(out) == []
    assert not list(out.rglob("provenance.json"))


@pytest.mark.parametrize("room_kib", [8, 100, 300])
def test_a_full_disk_is_told_by_publishing(
    room_kib: int,
    tell: Callable[..., Any],
    demo: Any,
    disk: Callable[[str], Path],
    leftovers: Callable[..., Any],
) -> None:
    out = disk(f"size={room_kib}k")
    (out / "stages").symlink_to(demo.out / "stages")
    words = ("publish", "demo", "--period", "2024-06", "--product", "no2_surface", "--out", out)
    assert "space" in _line(_without_tiff(tell(*words)))
    assert leftovers(out) == []
    assert not list((out / "maps").rglob("*.tif"))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "tcp://127.0.0.1:notaport", "nonsense", "http://127.0.0.1:9"]
)
def test_a_dead_scheduler_is_told(
    address: str, tell: Callable[..., Any], small: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("ingest", "demo", *WORDS, "--collection", "sentinel-5p-l2-no2")
    told = tell(*words, "--archive", small.archive, "--scheduler", address, "--out", out)
    line = _line(told)
    assert f"no Dask scheduler answers at {address}: start one with `dask scheduler`" in line
    assert not [path for path in out.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_memory_that_is_no_size_is_told(
    tell: Callable[..., Any], small: Any, tmp_path: Path
) -> None:
    words = ("ingest", "demo", *WORDS, "--collection", "sentinel-5p-l2-no2")
    told = tell(*words, "--archive", small.archive, "--memory", "lots", "--out", tmp_path / "out")
    assert _line(told) == "aqgeo: memory 'lots' is no size: write 3GiB"
