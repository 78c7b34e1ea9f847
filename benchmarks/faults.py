"""Tries the faults of sources one by one: what the user sees, and what is left on disk."""

import argparse
import json
import os
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from aqgeo.errors import AqgeoError
from aqgeo.period import Period
from aqgeo.remote import unzip
from aqgeo.remote.http import Client, Remote, fetch
from aqgeo.sources import s5p, sentinel2_files, sentinel2_metadata, stations
from tests.standins.server import Answer, Server, soon

BODY = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 400
WHERE = GeoBox.from_bbox((15, 46, 16, 47), crs="EPSG:4326", resolution=0.1)
ALWAYS = 20  # a fault that stays, longer than any client tries
# Fault of a transfer -> what the server does, request by request.
TRANSFERS: dict[str, Callable[[], list[Answer | None]]] = {
    "none": list,
    "429 with Retry-After in seconds, once": lambda: [Answer(429, headers={"Retry-After": "0"})],
    "429 with Retry-After as a date, once": lambda: [Answer(429, headers={"Retry-After": soon(1)})],
    "429 without Retry-After, always": lambda: [Answer(429, body=b"")] * ALWAYS,
    "500, twice": lambda: [Answer(500, body=b""), Answer(500, body=b"")],
    "cut short in the middle, twice": lambda: [Answer(cut=40_000), Answer(cut=20_000)],
    "connection reset, once": lambda: [Answer(reset=30_000)],
    "stalls for ever, once": lambda: [Answer(stall=30_000)],
    "a byte at a time, always": lambda: [Answer(drip_s=0.3)] * ALWAYS,
    "Content-Length too large, always": lambda: (
        [Answer(headers={"Content-Length": "999999"})] * ALWAYS
    ),
    "web page with status 200, always": lambda: [Answer.page()] * ALWAYS,
    "another version (ETag) in the middle": lambda: [Answer(cut=40_000, headers={"ETag": '"old"'})],
    "whole file to a Range request": lambda: [Answer(cut=40_000), Answer(ranged=False)],
    "404": lambda: [Answer(404, body=b"")] * ALWAYS,
    "403": lambda: [Answer.xml("AccessDenied", "Access Denied", 403)] * ALWAYS,
    "redirect to a host that is not listed": lambda: [Answer.redirect("https://example.org/x")],
    "redirect to a private address": lambda: [Answer.redirect("http://169.254.169.254/latest")],
    "redirect to a file": lambda: [Answer.redirect("file:///etc/passwd")],
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    args = parser.parse_args()
    rows = [*_transfers(), *_formats()]
    sys.stdout.write("| fault | what the user sees | left on disk |\n|---|---|---|\n")
    for row in rows:
        sys.stdout.write(f"| {row['fault']} | {row['seen']} | {row['left']} |\n")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _transfers() -> Iterator[dict[str, str]]:
    for fault, script in TRANSFERS.items():
        with tempfile.TemporaryDirectory() as folder, Server({"/granule.nc": BODY}) as server:
            server.script("/granule.nc", *script())
            cache, url = Path(folder), server.url("/granule.nc")
            client = Client([server.host], attempts=4, wait_s=0.01, stall_s=0.5)
            done = fetch(client, [Remote(url, kind="netcdf", size=len(BODY))], cache)
            asked = len(server.seen)
            seen = done.failed.get(url, f"whole, after {asked} request{'s' * (asked > 1)}")
            yield {
                "fault": f"transfer: {fault}",
                "seen": seen.replace(server.host, "HOST"),
                "left": _left(cache),
            }


def _left(cache: Path) -> str:
    """Name the kinds of files that a cache holds."""
    kinds = {"objects": "the file", "parts": "a part, to be continued"}
    kinds["quarantine"] = "the broken file, in quarantine"
    found = [
        told
        for name, told in kinds.items()
        if any(p.is_file() and p.stat().st_size for p in (cache / name).rglob("*"))
    ]
    return ", ".join(found) or "nothing"


def _formats() -> Iterator[dict[str, str]]:
    for fault, (suffix, make, read) in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"file{suffix}"
            make(path)
            try:
                seen = str(read(path))
            except AqgeoError as err:
                seen = str(err)
            others = sorted(p.name for p in Path(folder).rglob("*") if p != path)
            yield {
                "fault": f"file: {fault}",
                "seen": " ".join(seen.replace(folder + os.sep, "").split()),
                "left": ", ".join(["the user's file, untouched", *others]),
            }


@contextmanager
def _granule(path: Path) -> Iterator[Any]:
    """Yield the group PRODUCT of a granule of 3 x 3 good pixels, to be spoilt."""
    with netCDF4.Dataset(path, "w") as file:
        product = file.createGroup("PRODUCT")
        for name, size in (("time", 1), ("scanline", 3), ("ground_pixel", 3)):
            product.createDimension(name, size)
        dims = ("time", "scanline", "ground_pixel")
        lat, lon = np.meshgrid(46.4 + 0.05 * np.arange(3), 15.4 + 0.08 * np.arange(3))
        values = {"latitude": lat, "longitude": lon, s5p.COLUMN: np.full((3, 3), 1e-4)}
        for name, data in values.items():
            product.createVariable(name, "f4", dims, fill_value=9.96921e36)[0] = data
        product[s5p.COLUMN].units = s5p.UNIT
        quality = product.createVariable("qa_value", "u1", dims, fill_value=255)
        quality.set_auto_scale(False)
        quality.scale_factor = 0.01
        quality[0] = np.full((3, 3), 100)
        yield product


def _spoilt(how: Callable[[Any], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with _granule(path) as product:
            how(product)

    return make


def _wrong_unit(product: Any) -> None:
    product[s5p.COLUMN].units = "DU"


def _all_fill(product: Any) -> None:
    product[s5p.COLUMN][0] = np.ma.masked_all((3, 3))


def _no_quality(product: Any) -> None:
    product["qa_value"][0] = np.zeros((3, 3))


def _nowhere(product: Any) -> None:
    product["latitude"][0] = np.full((3, 3), np.nan)


def _cut(path: Path) -> None:
    with _granule(path):
        pass
    path.write_bytes(path.read_bytes()[:3000])


def _no_group(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.createGroup("METADATA")


def _huge_tiff(path: Path) -> None:
    """Write a TIFF header that claims 2^31 - 1 pixels on each side."""
    tags = [(256, 4, 2**31 - 1), (257, 4, 2**31 - 1), (258, 3, 16), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, 2**31 - 1), (279, 4, 8)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64))


def _vrt(path: Path) -> None:
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>', "utf-8")


def _bomb(path: Path) -> None:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    path.write_text(f'<!DOCTYPE x [<!ENTITY e0 "ha">{lines}]><x>&e8;</x>', "utf-8")


def _zip_up(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../outside.txt", "x")


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(2**28))


def _read_granule(path: Path) -> str:
    found = s5p.read(path, min_qa=s5p.MIN_QA, where=WHERE)
    return (
        f"{found.column.size} of {found.pixels} pixels used, best qa {found.best_qa:.2f}: left out"
    )


def _read_band(path: Path) -> str:
    item = pystac.Item("scene", None, None, None, {"start_datetime": "2024-06-01T00:00:00Z",
                       "end_datetime": "2024-06-01T00:00:00Z"})  # fmt: skip
    item.add_asset("red", pystac.Asset(str(path)))
    return str(sentinel2_files.check_file(item, "red"))


def _read_table(path: Path) -> str:
    found, _ = stations.read(path, Period.parse("2024-06"), WHERE)
    return f"{len(found)} hours"


def _unzip(path: Path) -> str:
    return str(unzip.unzip(path, path.parent / "unpacked"))


# Fault of a file -> its suffix, how it is made, what reads it.
FORMATS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], str]]] = {
    "granule cut short": (".nc", _cut, _read_granule),
    "granule without the group PRODUCT": (".nc", _no_group, _read_granule),
    "granule in another unit": (".nc", _spoilt(_wrong_unit), _read_granule),
    "granule of fill values": (".nc", _spoilt(_all_fill), _read_granule),
    "granule with qa 0 everywhere": (".nc", _spoilt(_no_quality), _read_granule),
    "granule of pixels without a place": (".nc", _spoilt(_nowhere), _read_granule),
    "web page called .nc": (".nc", lambda p: p.write_text("<html></html>"), _read_granule),
    "TIFF that claims 2^62 pixels": (".tif", _huge_tiff, _read_band),
    "VRT that poses as .tif": (".tif", _vrt, _read_band),
    "entity bomb as product metadata": (".xml", _bomb, lambda p: str(sentinel2_metadata.read(p))),
    "zip with `../`": (".zip", _zip_up, _unzip),
    "zip bomb": (".zip", _zip_bomb, _unzip),
    "station table with a header only": (
        ".csv",
        lambda p: p.write_text("location_id,lat,lon,datetime,parameter,units,value\n"),
        _read_table,
    ),
    "station table in UTF-16": (
        ".csv",
        lambda p: p.write_text("location_id,lat,lon\n", "utf-16"),
        _read_table,
    ),
}

if __name__ == "__main__":
    main()
