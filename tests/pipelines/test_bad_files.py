"""Files of an archive that are absent or broken: one line names the file and nothing is left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import pytest
import rasterio

SENTINEL2, SENTINEL5P, STATIONS = "sentinel-2-l2a", "sentinel-5p-l2-no2", "stations-no2"
Archive = Path


def _replace(path: Path, content: bytes) -> Path:
    """Give a file other bytes; its old ones belong to other tests too."""
    path.unlink()
    path.write_bytes(content)
    return path


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    return _replace(path, content[: int(len(content) * share)])


def _scene(archive: Archive, band: str = "B04") -> Path:
    return min((archive / "data" / "sentinel2").glob(f"*20240604*_{band}.*"))


def _granule(archive: Archive) -> Path:
    return min((archive / "data" / "sentinel5p").glob("*.nc"))


def _table(archive: Archive) -> Path:
    return min((archive / "data" / "stations").glob("*.csv"))


def _item(archive: Archive, collection: str, change: Callable[[dict[str, Any]], object]) -> Path:
    path = max((archive / collection).glob("*20240604*/*.json"), key=str)
    content = json.loads(path.read_text("utf-8"))
    change(content)
    return _replace(path, json.dumps(content).encode())


def _as_jp2(archive: Archive, share: float) -> Path:
    """Turn a band into JPEG 2000, then cut it short."""
    source = _scene(archive)
    target = source.with_suffix(".jp2")
    with rasterio.open(source) as src:
        profile = {"width": src.width, "height": src.height, "count": 1, "dtype": "uint16"}
        place = {"crs": src.crs, "transform": src.transform}
        with rasterio.open(
            target, "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **profile, **place
        ) as dst:
            dst.write(src.read())
    source.unlink()

    def rename(item: dict[str, Any]) -> None:
        asset = item["assets"]["red"]
        asset["href"] = asset["href"].replace(".tif", ".jp2")

    _item(archive, SENTINEL2, rename)
    return _cut(target, share)


def _no_crs(archive: Archive) -> Path:
    path = _scene(archive)
    with rasterio.open(path) as src:
        profile, pixels = {**src.profile, "driver": "GTiff", "crs": None}, src.read()
    path.unlink()
    with rasterio.open(path, "w", **profile) as dst:
        dst.write(pixels)
    return path


def _no_product(archive: Archive) -> Path:
    path = _granule(archive)
    path.unlink()
    with netCDF4.Dataset(path, "w") as file:
        file.createGroup("METADATA")
    return path


def _other_units(archive: Archive) -> Path:
    path = _granule(archive)
    _replace(path, path.read_bytes())
    with netCDF4.Dataset(path, "a") as file:
        name = "nitrogendioxide_tropospheric_column"
        file["PRODUCT"][name].units = "DU"
    return path


def _rewrite(archive: Archive, change: Callable[[list[str]], list[str]]) -> Path:
    path = _table(archive)
    lines = change(path.read_text("utf-8").splitlines())
    return _replace(path, ("\n".join(lines) + "\n").encode())


def _without_units(lines: list[str]) -> list[str]:
    return [lines[0].replace("units", "unit"), *lines[1:]]


def _unknown_units(lines: list[str]) -> list[str]:
    middle = len(lines) // 2
    return [*lines[:middle], *(line.replace("µg/m³", "grains") for line in lines[middle:])]


def _naive_times(lines: list[str]) -> list[str]:
    return [line.replace("+01:00", "") for line in lines]


def _drop_red(item: dict[str, Any]) -> None:
    del item["assets"]["red"]


# What is broken -> collection, how, what the line must say.
FAULTS: dict[str, tuple[str, Callable[[Archive], Path], list[str]]] = {
    "asset missing in the item": (
        SENTINEL2,
        lambda a: _item(a, SENTINEL2, _drop_red),
        ["20240604", "has no asset for B04", "it has B01, B02"],
    ),
    "asset's file absent": (
        SENTINEL2,
        lambda a: (_scene(a).unlink(), _scene(a, "B03"))[1].with_name("gone"),
        ["_B04.tif does not exist", "complete the archive"],
    ),
    "item is no JSON": (
        SENTINEL2,
        lambda a: _replace(max((a / SENTINEL2).glob("*20240604*/*.json")), b"{"),
        ["collection 'sentinel-2-l2a' cannot be read"],
    ),
    "TIFF cut in its pixels": (
        SENTINEL2, lambda a: _cut(_scene(a), 0.6), ["_B04.tif", "cut short", "fetch it again"],
    ),
    "TIFF cut in its header": (
        SENTINEL2, lambda a: _cut(_scene(a), 0.0002), ["_B04.tif"],
    ),
    "TIFF cut in its overviews": (
        SENTINEL2, lambda a: _cut(_scene(a), 0.12), ["_B04.tif", "cut short", "fetch it again"],
    ),
    "TIFF empty": (
        SENTINEL2, lambda a: _cut(_scene(a), 0), ["_B04.tif", "neither GeoTIFF", "fetch it again"],
    ),
    "TIFF is a web page": (
        SENTINEL2,
        lambda a: _replace(_scene(a), b"<html>busy</html>"),
        ["_B04.tif", "b'<html", "fetch it again"],
    ),
    "TIFF without CRS": (SENTINEL2, _no_crs, ["_B04.tif", "CRS None", "is needed"]),
    "JPEG 2000 cut short": (
        SENTINEL2, lambda a: _as_jp2(a, 0.5), ["_B04.jp2", "cut short", "fetch it again"],
    ),
    "netCDF cut short": (
        SENTINEL5P, lambda a: _cut(_granule(a), 0.5), [".nc", "cut short", "fetch it again"],
    ),
    "netCDF empty": (SENTINEL5P, lambda a: _cut(_granule(a), 0), [".nc", "fetch it again"]),
    "netCDF without PRODUCT": (
        SENTINEL5P, _no_product, [".nc has no group PRODUCT", "no Sentinel-5P L2 file"],
    ),
    "netCDF in other units": (
        SENTINEL5P, _other_units, ["'DU'", "'mol m-2' or", "convert the file"],
    ),
    "stations without a column": (
        STATIONS, lambda a: _rewrite(a, _without_units), ["lacks the columns units"],
    ),
    "stations in an unknown unit": (
        STATIONS, lambda a: _rewrite(a, _unknown_units), ["has NO2 in 'grains'", "known units are"],
    ),
    "stations with naive times": (
        STATIONS, lambda a: _rewrite(a, _naive_times), ["has no UTC offset", "write it as"],
    ),
    "stations absent": (
        STATIONS, lambda a: (_table(a), _table(a).unlink())[0], ["does not exist"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_file_is_named_in_one_line_and_nothing_is_left(
    name: str,
    tell: Callable[..., Any],
    copy: Callable[..., Path],
    small: Any,
    dask: str,
    tmp_path: Path,
) -> None:
    collection, breaks, parts = FAULTS[name]
    archive = copy(small.archive, tmp_path / "archive")
    breaks(archive)
    out = tmp_path / "out"
    words = ("ingest", "demo", "--period", "2024-06-03/2024-06-06", "--collection", collection)
    told = tell(*words, "--archive", archive, "--scheduler", dask, "--out", out)
    assert (told.code, told.out) == (2, []), told
    assert len(told.err) == 1, told.err
    assert told.err[0].startswith("aqgeo: ")
    assert [part for part in parts if part not in told.err[0]] == [], told.err[0]
    assert [p for p in out.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    assert not list(out.rglob("*.part"))


def test_a_broken_file_leaves_the_last_good_map_alone(
    make: Callable[..., Any],
    copy: Callable[..., Path],
    small: Any,
    digests: Callable[..., Any],
    times: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from aqgeo.errors import SourceError

    archive = copy(small.archive, tmp_path / "archive")
    how = {"archive": archive / "catalog.json", "products": ["no2_column"]}
    made = make(tmp_path / "out", **how)
    before = digests(made.work.root), times(made.work.root)
    broken = _cut(_granule(archive), 0.5)
    with pytest.raises(SourceError, match=broken.name):
        make(tmp_path / "out", **how)
    assert (digests(made.work.root), times(made.work.root)) == before


def test_two_granules_of_one_orbit_are_refused(
    tell: Callable[..., Any], copy: Callable[..., Path], small: Any, dask: str, tmp_path: Path
) -> None:
    archive = copy(small.archive, tmp_path / "archive")
    path = archive / "sentinel-5p-l2-no2" / "collection.json"
    content = json.loads(path.read_text("utf-8"))
    link = next(entry for entry in content["links"] if entry["rel"] == "item")
    source = path.parent / link["href"]
    twin = json.loads(source.read_text("utf-8")) | {"id": "twin"}
    (source.parent / "twin.json").write_text(json.dumps(twin), "utf-8")
    twin_link = {**link, "href": str(Path(link["href"]).with_name("twin.json"))}
    content["links"].append({**twin_link, "href": "./" + twin_link["href"].removeprefix("./")})
    path.unlink()
    path.write_text(json.dumps(content), "utf-8")
    words = ("ingest", "demo", "--period", "2024-06-03/2024-06-06")
    how = ("--collection", "sentinel-5p-l2-no2", "--archive", archive, "--scheduler", dask)
    told = tell(*words, *how, "--out", tmp_path / "out")
    assert told.code == 2 and "twin are of the same orbit" in told.err[0]
