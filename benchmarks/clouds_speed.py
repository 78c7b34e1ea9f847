"""Measures cloud masks of a scene beside ukis-csmask and s2cloudless: Mpixel/s and memory."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from scipy import ndimage

from aqgeo.datasets.cloudsen12_record import BANDS
from aqgeo.errors import CatalogError
from aqgeo.models import checkpoint
from aqgeo.models.unet import CloudUNet, UNetArguments
from benchmarks.regional_map import measure
from pipelines.workspace import Workspace

# What images are made of: bands by number, with the level whose weights know them.
SETS = {
    4: ("B02,B03,B04,B08", "L2A"),
    6: ("B02,B03,B04,B08,B11,B12", "L2A"),
    10: ("B01,B02,B04,B05,B08,B8A,B09,B10,B11,B12", "L1C"),
}
FASTER = {"ukis-csmask": 2.0, "s2cloudless": 10.0}
MEMORY_GIB = 2.0
PEERS = "benchmarks.clouds_speed_peers"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--size", type=int, default=10980, help="pixels a side of whole scenes")
    parser.add_argument("--part", type=int, default=3840, help="... of what is held in memory")
    parser.add_argument("--peers", type=int, default=2048, help="... of what peers compute")
    parser.add_argument("--threads", type=int, default=2, help="cores for each contender")
    parser.add_argument("--bands", type=int, nargs="*", default=[4, 6, 10], help="sets of bands")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        weights = {level: _weights(level, work) for level in ("L1C", "L2A")}
        rows: list[dict[str, Any]] = []
        for count in args.bands:
            scene = _scene(work / f"scene{count}.tif", count, args.size)
            rows += _ours(scene, count, weights[SETS[count][1]], args)
            rows += _theirs(scene, count, args)
            scene.unlink()
            _tell([row for row in rows if row["bands"] == count])
    if args.json:
        machine = {"cores": psutil.cpu_count(), "load": os.getloadavg()}
        content = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "size": args.size}
        args.json.write_text(json.dumps({**content, "rows": rows}, indent=2) + "\n", "utf-8")


def _ours(scene: Path, count: int, weights: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    bands, level = SETS[count]
    rows = []
    cli = [sys.executable, "-m", "pipelines.cli", "-q", "mask", str(scene), "--bands", bands]
    cli += ["--level", level, "--weights", str(weights), "--workers", str(args.threads)]
    cli += ["--out", str(scene.parent / "out"), "--device", "cpu"]
    # Ten bands fill more than the default allows two workers.
    cli += ["--memory", "3GiB"] if count == 10 else []
    for precision in ("float32", "bf16"):
        before = _cpu_s()
        took = measure([*cli, "--precision", precision])
        took |= {"cpu_s": _cpu_s() - before, "mpixel_s": args.size**2 / took["seconds"] / 1e6}
        what = f"aqgeo mask, {precision}, with read and write"
        rows.append({"what": what, "bands": count, "side": args.size, **took})
        words = (scene, min(args.part, args.size), bands, level, weights, precision, args.threads)
        found = _peer("aqgeo", *words)
        rows.append({"what": f"aqgeo, {precision}, in memory", "bands": count, **found})
    return rows


def _theirs(scene: Path, count: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    bands, size = SETS[count][0], min(args.peers, args.size)
    if count == 10:
        found = _peer("s2cloudless", scene, size, args.threads)
        return [{"what": "s2cloudless", "bands": count, **found}]
    rows = []
    for batch in (1, 4):
        found = _peer("onnx", scene, size, bands, batch, args.threads)
        rows.append({"what": f"ukis-csmask, raw graph, batch {batch}", "bands": count, **found})
    found = _peer("csmask", scene, size, bands, args.threads)
    return [*rows, {"what": "ukis-csmask, its class", "bands": count, **found}]


def _cpu_s() -> float:
    """Return the CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peer(name: str, *words: object) -> dict[str, Any]:
    command = [sys.executable, "-m", PEERS, name, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _weights(level: str, work: Path) -> Path:
    """Return the shipped weights, or an untrained network, which takes the same time."""
    try:
        return Workspace(work).model("clouds", level)[0]
    except CatalogError:
        sys.stderr.write(f"no weights for {level} are shipped: an untrained network stands in\n")
    bands = tuple(band for band in BANDS[level] if band not in ("AOT", "WVP"))
    told: dict[str, Any] = {"bands": bands, "mean": (0.3,) * len(bands), "std": (0.3,) * len(bands)}
    torch.manual_seed(0)
    card = checkpoint.Card("cloud-unet", told, "clouds", level)  # type: ignore[arg-type]
    path = work / f"{level}.safetensors"
    checkpoint.write(path, CloudUNet(UNetArguments(**told)), card)
    return path


def _scene(path: Path, count: int, size: int) -> Path:
    """Write a scene of Sentinel-2's numbers: smooth fields with noise, compressed as usual."""
    rng = np.random.default_rng(0)
    side = min(size, 1024)
    fields = [ndimage.gaussian_filter(rng.random((side, side)), s, mode="wrap") for s in (4, 16)]
    base = sum((f - f.min()) / np.ptp(f) for f in fields) / 2
    tile = np.stack([base * gain for gain in np.linspace(0.5, 0.9, count)])
    tile = (tile + rng.normal(0, 0.004, tile.shape)).clip(0.0001, 1.5) * 10000
    told = {"width": size, "height": size, "count": count, "dtype": "uint16", "nodata": 0}
    told |= {"crs": "EPSG:32633", "transform": Affine(10, 0, 500000, 0, -10, 5000000)}
    told |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(path, "w", "GTiff", predictor=2, BIGTIFF="IF_SAFER", **told) as file:
        for top in range(0, size, 512):
            rows = tile.astype("uint16").take(range(top, min(top + 512, size)), 1, mode="wrap")
            strip = rows.take(range(size), 2, mode="wrap")
            file.write(strip, window=Window(0, top, size, rows.shape[1]))
    return path


def _tell(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one set of bands, with ratios to the fastest peer.

    Mpixel by CPU second tells more than by second where other work shares the machine.
    """
    for row in rows:
        row["mpixel_cpu_s"] = row["side"] ** 2 / row["cpu_s"] / 1e6
    peers = [row for row in rows if not row["what"].startswith("aqgeo")]
    raw = [row for row in peers if "class" not in row["what"]]
    best, best_cpu = (max(row[key] for row in raw) for key in ("mpixel_s", "mpixel_cpu_s"))
    write = sys.stdout.write
    write(f"\n{rows[0]['bands']} bands{'Mpixel/s':>47}{'x':>7}{'by CPU s':>10}{'x':>7}\n")
    for row in rows:
        write(f"  {row['what']:44}{row['mpixel_s']:8.2f}{row['mpixel_s'] / best:7.1f}")
        write(f"{row['mpixel_cpu_s']:10.2f}{row['mpixel_cpu_s'] / best_cpu:7.1f}")
        write(f"{row['peak_gib']:8.2f} GiB\n" if "peak_gib" in row else "\n")
    peer = "s2cloudless" if rows[0]["bands"] == 10 else "ukis-csmask"
    write(f"  x: {peer}, its fastest; {FASTER[peer]:g} asked, and {MEMORY_GIB:g} GiB at most\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
