"""Measures the simulation at its stated sizes: seconds, memory, same bytes."""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.regional_map import measure

PERIOD = "2024-06"
DAY = "2024-06-15"
SCENES = ("--level", "l1c", "--level", "l2a")
# What is asked of each case: words of the command, limits in seconds and GiB.
CASES = {
    "60 km, 20 m, 10 days, 4 dates, 2 workers": (
        ["simulate", "demo", "-p", PERIOD, "--size-km", "60", "--days", "10", "--scenes", "4"],
        (120, 4),
    ),
    "the same, 1 worker": (
        ["simulate", "demo", "-p", PERIOD, "--size-km", "60", "--days", "10", "--scenes", "4"],
        None,
    ),
    "109.8 km, 10 m, 1 day, 1 date": (
        ["simulate", "demo", "-p", DAY, "--size-km", "109.8", "--resolution", "10"],
        (900, 6),
    ),
    "a day of whole orbits": (["simulate-orbits", "-p", DAY], (300, None)),
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    args = parser.parse_args()
    rows, bytes_of = {}, {}
    for what, (words, limits) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            workers = "1" if "1 worker" in what else "2"
            more = [*(SCENES if "simulate" in words else ()), "--workers", workers]
            command = [sys.executable, "-m", "pipelines.cli", *words, *more, "--out", folder]
            found = measure(command)
            bytes_of[what] = _checksums(Path(folder))
            size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
        seconds, gib = limits or (None, None)
        rows[what] = {
            "seconds": found["seconds"],
            "limit_s": seconds,
            "peak_gib": found["peak_gib"],
            "limit_gib": gib,
            "written_gib": round(size / 2**30, 2),
        }
        _tell(what, rows[what])
    two, one, *_ = bytes_of.values()
    same = two == one
    sys.stdout.write(f"same bytes with 1 and 2 workers: {same}\n")
    if args.json:
        content = {"rows": rows, "same_bytes": same}
        args.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of an archive and its truth, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("archive", "truth")
        for path in sorted(folder.glob(f"*/*/*/{part}/**/*"))
        if path.is_file()
    }


def _tell(what: str, row: dict[str, float | None]) -> None:
    limits = [f" of {v:g}" if v is not None else "" for v in (row["limit_s"], row["limit_gib"])]
    sys.stdout.write(
        f"{what:42} {row['seconds']:7.1f} s{limits[0]:8} {row['peak_gib']:6.2f} GiB{limits[1]:5} "
        f"{row['written_gib']:6.2f} GiB written\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
