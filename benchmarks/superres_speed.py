"""Measures SRCNN 9-1-5 on a large picture beside ONNX Runtime: Mpixel/s and memory."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

FASTER = 2.0
MEMORY_GIB = 1.0
PEERS = "benchmarks.superres_speed_peers"
# What is compared, and the words that its process is called with.
CONTENDERS = {
    "aqgeo, float32": ("aqgeo", "float32"),
    "aqgeo, bf16": ("aqgeo", "bf16"),
    "ONNX Runtime, tiles of 256": ("onnx", "256"),
    "ONNX Runtime, tiles of 1024": ("onnx", "1024"),
    "ONNX Runtime, whole": ("onnx", "0"),
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--size", type=int, default=4096, help="pixels a side of the picture")
    parser.add_argument("--threads", type=int, default=2, help="cores for each contender")
    parser.add_argument("--rounds", type=int, default=3, help="times that all are run, in turn")
    args = parser.parse_args()
    # In turn, so that what else the machine does meets all of them.
    runs = [
        {"what": what, **_run(*words, args.size, args.threads)}
        for _ in range(args.rounds)
        for what, words in CONTENDERS.items()
    ]
    rows = [_best([run for run in runs if run["what"] == what]) for what in CONTENDERS]
    _tell(rows)
    if args.json:
        machine = {"cores": psutil.cpu_count(), "load": os.getloadavg()}
        content = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "size": args.size}
        args.json.write_text(json.dumps({**content, "rows": rows}, indent=2) + "\n", "utf-8")


def _run(*words: object) -> dict[str, Any]:
    command = [sys.executable, "-m", PEERS, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"failed": done.returncode}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fastest run of one contender, with its best second of CPU."""
    done = [run for run in runs if "failed" not in run]
    if not done:
        return runs[0]
    fastest = max(done, key=lambda run: run["mpixel_s"])
    return {**fastest, "mpixel_cpu_s": max(run["mpixel_cpu_s"] for run in done)}


def _tell(rows: list[dict[str, Any]]) -> None:
    """Print the rows, with ratios to the fastest peer, and to the picture as a whole."""
    write = sys.stdout.write
    done = [row for row in rows if "failed" not in row]
    peers = [row for row in done if not row["what"].startswith("aqgeo")]
    keys = ("mpixel_s", "mpixel_cpu_s")
    best = {key: max((row[key] for row in peers), default=float("nan")) for key in keys}
    write(f"{'':30}{'Mpixel/s':>10}{'x':>7}{'by CPU s':>10}{'x':>7}{'peak':>12}{'apart':>12}\n")
    for row in rows:
        if "failed" in row:
            write(f"{row['what']:30}  failed with {row['failed']}: too little memory?\n")
            continue
        row |= {f"{key}_ratio": row[key] / best[key] for key in keys}
        for key in keys:
            write(f"{row['what']:30}" if key == keys[0] else "")
            write(f"{row[key]:10.2f}{row[key] / best[key]:7.2f}")
        write(f"{row['peak_gib']:8.2f} GiB{row['apart']:12.1e}\n")
    write(f"x: ONNX Runtime at its fastest; {FASTER:g} asked, and {MEMORY_GIB:g} GiB at most\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
