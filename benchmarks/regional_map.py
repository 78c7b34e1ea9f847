"""Measures the regional map on the simulated archive: seconds, memory, same bytes."""

import argparse
import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

PERIOD = "2024-06"
STAGE = re.compile(r"\S+ (?:stages/demo/[\d-]+/|)(\S+) made in ([\d.]+) s")


def measure(command: list[str]) -> dict[str, Any]:
    """Run a command and return its seconds, peak memory of all its processes, and stage times."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as log:
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        while process.poll() is None:
            peak = max(peak, _memory(process))
            time.sleep(0.1)
        log.seek(0)
        text = log.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{text}")
    stages = {name: float(seconds) for name, seconds in STAGE.findall(text)}
    seconds = round(time.perf_counter() - start, 1)
    return {"seconds": seconds, "peak_gib": round(peak / 2**30, 2), "stages": stages}


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every COG below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "maps").rglob("*.tif"))
    }


def _memory(process: psutil.Process) -> int:
    """Return the proportional memory of a process and its children; shared pages count once."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        one, two, flow = (Path(name) / part for part in ("one", "two", "flow"))
        cli = [sys.executable, "-m", "pipelines.cli", "map", "demo", "--period", PERIOD]
        prefect = [sys.executable, "-m", "flows", "demo", "--period", PERIOD, "--out", str(flow)]
        rows = {
            "aqgeo map, 2 workers": measure([*cli, "--workers", "2", "--out", str(two)]),
            "aqgeo map, second run": measure([*cli, "--workers", "2", "--out", str(two)]),
            "aqgeo map, 1 worker": measure([*cli, "--workers", "1", "--out", str(one)]),
            "Prefect flow": measure(prefect),
            "Prefect flow, second run": measure(prefect),
        }
        same = checksums(one) == checksums(two) == checksums(flow)
    for what, row in rows.items():
        sys.stdout.write(f"{what:28}{row['seconds']:8.1f} s{row['peak_gib']:8.2f} GiB\n")
    for stage, seconds in rows["aqgeo map, 2 workers"]["stages"].items():
        sys.stdout.write(f"    {stage:40}{seconds:8.1f} s\n")
    sys.stdout.write(f"same bytes with 1 worker, 2 workers, Prefect: {'yes' if same else 'NO'}\n")
    if args.json:
        machine = {"cores": psutil.cpu_count(), "processor": platform.machine()}
        content = {"machine": machine, "rows": rows, "same_bytes": same}
        args.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
