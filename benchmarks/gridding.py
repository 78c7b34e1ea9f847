"""Measures gridding of one whole orbit side by side with HARP and pyresample: seconds, memory.

Needs HARP 1.16 with its Python module for /usr/bin/python3 (Debian: harp, python3-harp).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from aqgeo.simulation import globe, swath
from benchmarks.gridding_contenders import GRIDS, VALUE, operation

DAY, NUMBER, SEED = date(2024, 6, 15), 5, 0  # an orbit over Europe
# The rule of aqgeo.sources.s5p in HARP's words.
FILTER = (
    "tropospheric_NO2_column_number_density_validity>75;"
    f"keep(latitude_bounds,longitude_bounds,{VALUE})"
)
FASTER = {"Europe 0.02°": 2.0, "globe 0.1°": 4.0}
POLAR = 89.0  # HARP does not fill the ring of pixels round a pole
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gridding_contenders.py"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--work", type=Path, default=Path("work/bench"), help="keeps the orbit")
    args = parser.parse_args()
    if shutil.which("harpconvert") is None:
        sys.exit("harpconvert is not on PATH: install Debian's harp and python3-harp")
    args.work.mkdir(parents=True, exist_ok=True)
    granule, pixels = _orbit(args.work)
    tables = {grid: _grid(grid, granule, pixels, args.work) for grid in GRIDS}
    for grid, table in tables.items():
        _tell(grid, table)
    if args.json:
        load = {"cores": os.cpu_count(), "load": os.getloadavg()}
        content = {"date": time.strftime("%Y-%m-%d"), "machine": load, "grids": tables}
        args.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _orbit(work: Path) -> tuple[Path, Path]:
    """Return one simulated orbit and a file of its usable pixels; both are made once."""
    kept = sorted(work.glob("S5P_*.nc"))
    orbit = swath.orbits_of(DAY)[NUMBER]
    granule = kept[0] if kept else globe.write_orbit(orbit, SEED, work)
    pixels = work / "pixels.nc"
    if not pixels.exists():
        _harp(granule, pixels, FILTER)
    return granule, pixels


def _harp(source: Path, out: Path, operations: str) -> dict[str, float]:
    """Run harpconvert and return what it took."""
    out.unlink(missing_ok=True)
    return _run(["harpconvert", "-a", operations, str(source), str(out)])[1]


def _grid(grid: str, granule: Path, pixels: Path, work: Path) -> dict[str, Any]:
    out = work / "mean.npz"
    binned = work / "harp.nc"
    table: dict[str, Any] = {}
    table["aqgeo"] = _contender("aqgeo", pixels, grid, out)
    table["strips"] = _contender("strips", pixels, grid, work / "none")
    table["HARP"] = _contender("harp", pixels, grid, work / "none", python="/usr/bin/python3")
    read = _harp(pixels, binned, f"keep({VALUE})")
    command = _harp(pixels, binned, operation(grid))
    bare = _run(["harpconvert", "--version"])[1]
    table["HARP"]["mib"] = {"loaded": bare["mib"], "read": read["mib"], "mean": command["mib"]}
    table["agreement"] = _agreement(out, binned, grid)
    table["pyresample"] = _contender("pyresample", pixels, grid, out)
    for threads in (1, 2):
        found = _contender("whole", granule, grid, work / "none", str(threads))
        table[f"granule to mean, aqgeo {threads}"] = found
    table["granule to mean, HARP"] = _harp(granule, binned, f"{FILTER};{operation(grid)}")
    return table


def _contender(
    name: str, pixels: Path, grid: str, out: Path, *more: str, python: str = sys.executable
) -> dict[str, Any]:
    text, took = _run([python, str(SCRIPT), name, str(pixels), grid, str(out), *more])
    found: dict[str, Any] = json.loads(text)
    return {**found, "process": took}


def _run(command: list[str]) -> tuple[str, dict[str, float]]:
    """Run a command; return what it printed, its seconds and the most memory it held."""
    found = subprocess.run(
        [sys.executable, str(SCRIPT), "measure", *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if found.returncode:
        sys.exit(f"{' '.join(command)} failed")
    took: dict[str, Any] = json.loads(found.stdout)
    return took.pop("printed"), took


def _agreement(ours: Path, theirs: Path, grid: str) -> dict[str, float]:
    """Return how far means are from HARP's, relative to the cell and to the field's size."""
    import netCDF4

    rows, _, _, north, cell = GRIDS[grid]
    with netCDF4.Dataset(theirs) as file:
        file.set_auto_mask(False)
        wanted = file[VALUE][0, ::-1]
    mean = np.load(ours)["mean"]
    near = np.abs(north - cell * (np.arange(rows) + 0.5)) < POLAR
    mean, wanted = mean[near], wanted[near]
    seen = np.isfinite(wanted)
    off = np.abs(mean[seen] - wanted[seen])
    return {
        "cells": int(seen.sum()),
        "cells_of_one_only": int((np.isfinite(mean) != seen).sum()),
        "relative": float((off / np.abs(wanted[seen])).max()),
        "of_the_mean_column": float(off.max() / np.abs(wanted[seen]).mean()),
    }


def _tell(grid: str, table: dict[str, Any]) -> None:
    """Print a grid's rows and ratios."""
    write = sys.stdout.write
    names = ("aqgeo", "strips", "HARP", "pyresample")
    ours, strips, harp, buckets = (table[name] for name in names)
    write(f"\n{grid}, {ours['pixels']} pixels\n")
    rows = {
        "aqgeo, 1 thread": (ours["one"], ours),
        "aqgeo, 2 threads": (ours["two"], ours),
        "aqgeo, mean from sums": (ours["mean"], ours),
        "aqgeo, mean by strips": (strips["one"], strips),
        "HARP": (harp["one"], harp),
        "pyresample, by centres": (buckets["one"], buckets),
    }
    for name, (took, row) in rows.items():
        mib = row["mib"]
        grown = f"{mib['mean'] - mib['loaded']:6.0f} MiB beyond code" if "loaded" in mib else ""
        write(f"  {name:24}{took['seconds']:8.2f} s{took['cpu_s']:8.2f} s CPU")
        write(f"{mib['mean']:8.0f} MiB {grown}\n")
    for name in ("granule to mean, aqgeo 1", "granule to mean, aqgeo 2", "granule to mean, HARP"):
        row = table[name].get("process", table[name])
        write(f"  {name:24}{row['seconds']:8.2f} s{row['cpu_s']:8.2f} s CPU{row['mib']:8.0f} MiB\n")
    times = {key: ours["one"][key] + ours["mean"][key] for key in ("seconds", "cpu_s")}
    write(f"  HARP takes {harp['one']['seconds'] / times['seconds']:.1f} x our time with the mean ")
    write(f"(CPU {harp['one']['cpu_s'] / times['cpu_s']:.1f} x; {FASTER[grid]:g} x asked), ")
    write(f"2 threads are {ours['one']['seconds'] / ours['two']['seconds']:.2f} x as fast as one\n")
    ratio = harp["one"]["seconds"] / strips["one"]["seconds"]
    write(f"  by strips HARP takes {ratio:.1f} x our time\n")
    grown = [row["mib"]["mean"] - row["mib"]["loaded"] for row in (ours, strips, harp)]
    write(f"  memory beyond code: {grown[0] / grown[2]:.2f} of HARP's, ")
    write(f"by strips {grown[1] / grown[2]:.2f} (0.5 asked)\n")
    write(f"  agreement up to {POLAR:g}°: {table['agreement']}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
