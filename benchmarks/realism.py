"""Compares simulated archives with real sets: distances, verdicts, pictures."""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import realism_chips as chips
from benchmarks import realism_clouds as clouds
from benchmarks import realism_columns as columns
from benchmarks import realism_compare as compare
from benchmarks import realism_figures as figures
from benchmarks import realism_page as page
from benchmarks import realism_simulated as simulated
from benchmarks import realism_stations as stations
from benchmarks.realism_chips import Pixels
from benchmarks.realism_clouds import Masks
from benchmarks.realism_distances import Comparison
from benchmarks.realism_page import Picture
from benchmarks.realism_worlds import BOTH, RUNS, Run
from pipelines.workspace import Workspace

NAMED = {run.name: run for run in RUNS}
SETS = (
    "multimodal_5sites", "eopatch_68dates", "sentinel2_timeseries", "sentinel2_33T",
    "s5p_pixels_3cities", "s5p_l2_delhi", "s5p_daily_sea", "mmaq_stations", "stations_de_nl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Places:
    """Where both sides lie."""

    data: Path
    """Folder of the real sets."""
    work: Path
    """Folder of the simulated worlds."""

    def folder(self, name: str) -> Path:
        """Return the folder of a simulated world."""
        return NAMED[name].folder(self.work)


Found = tuple[list[Comparison], list[Picture]]


def reflectance(at: Places) -> Found:
    """Compare bands by class."""
    real, ours = chips.read(at.data), our_pixels(at)
    found = compare.reflectance(real, ours)
    text = "Dots are medians, bars go from the 10th to the 90th percentile."
    pictures = [
        Picture(f"spectra_{level.lower()}", f"{level} by class, real and SIMULATED",
                figures.spectra(real, ours, level), text)
        for level in ("L2A", "L1C")
    ]  # fmt: skip
    title = "Distances of SIMULATED reflectance by class and band"
    pictures.append(Picture("matrix", title, figures.matrix(found), "Numbers are W1 / mean."))
    return found, pictures


def our_pixels(at: Places) -> list[Pixels]:
    """Return simulated pixels, sorted as the real ones: by land cover, or by classification."""
    found = []
    for run in RUNS:
        folder = run.folder(at.work)
        if run.levels == BOTH:
            region = Workspace(at.work).region(run.region)
            found += simulated.pixels_by_cover(run.name, folder, run.about(at.work), region)
        if run.name in ("summer", "autumn"):
            found += simulated.pixels_by_scl(run.name, folder, 20)
    found += simulated.snow("snow", at.folder("snow"))
    return [*found, *simulated.pixels_by_scl("summer", at.folder("summer"), 120)]


def sky(at: Places) -> Found:
    """Compare clouds and gaps."""
    real = clouds.tiles(at.data), clouds.frames(at.data)
    # The frames are from all seasons: all runs with the default cover.
    usual = [simulated.frames(at.folder(name)) for name in ("coast", "autumn", "dry", "snow")]
    every = [mask for masks in usual for mask in masks.cloud]
    ours = simulated.tiles(at.folder("summer")), Masks(clouds.FRAME_PIXEL_M, every, every)
    found = [
        c
        for name, a, b in zip(("33T", "68 frames"), real, ours, strict=True)
        for c in compare.cover(name, a, b)
    ]
    text = "Left: share of windows with at most that fraction. Right: sizes of connected regions."
    title = "Clouds, real and SIMULATED"
    return found, [Picture("clouds", title, figures.sky(real, ours), text)]


def no2(at: Places) -> Found:
    """Compare columns, their noise and their structure."""
    cities, delhi = columns.cities(at.data), columns.delhi(at.data)
    november, overpasses, summer, coast = (
        simulated.columns(name, at.folder(name), NAMED[name].about(at.work)["bbox"])
        for name in ("november", "delhi", "summer", "coast")
    )
    far = columns.grid_variogram(columns.daily_fields(at.data), 0.25 * columns.KM_PER_DEGREE)
    near = columns.grid_variogram(
        simulated.coarse_fields(at.folder("november")), simulated.COARSE_KM
    )
    clean = pd.concat([november, summer, coast])
    found = compare.of_cities(cities, november, clean) + compare.of_delhi(delhi, overpasses)
    found += compare.structure(cities, november, far, near)
    text = "Simulated worlds are no copy of those cities: levels depend on the world."
    png = figures.air(cities, delhi, november, overpasses)
    return found, [Picture("columns", "NO2 columns, real and SIMULATED", png, text)]


def network(at: Places) -> Found:
    """Compare stations."""
    real, tables = stations.europe(at.data), []
    rhythms: dict[str, list[pd.Series]] = {}
    for name in ("summer", "november", "delhi"):
        hours = simulated.hours(at.folder(name))
        west, _, east, _ = NAMED[name].about(at.work)["bbox"]
        tables.append(stations.means(hours))
        for key, ratio in stations.hourly_rhythms(hours, (west + east) / 30).items():
            rhythms.setdefault(key, []).append(ratio)
    ours = pd.concat(tables[:2])
    joined = {key: pd.concat(parts) for key, parts in rhythms.items()}
    found = compare.at_stations(real, ours, stations.rhythms(at.data), joined)
    text = (
        "Real: means of 2018 to 2020. SIMULATED: 12 days of August and 4 of November, which stand "
        "in for a year. Bars: 25th to 75th percentile; lines: 10th to 90th."
    )
    png = figures.network(real, ours)
    return found, [Picture("stations", "Stations by type, real and SIMULATED", png, text)]


PARTS: dict[str, Callable[[Places], Found]] = {
    "reflectance": reflectance, "clouds": sky, "columns": no2, "stations": network,
}  # fmt: skip


def run(at: Places, seed: int) -> Found:
    """Simulate what is missing and compare all parts."""
    for world in RUNS:
        sys.stderr.write(f"simulate {world.name}\n")
        world.make(at.work, seed)
    comparisons, pictures = [], []
    for name, part in PARTS.items():
        sys.stderr.write(f"compare {name}\n")
        found = part(at)
        comparisons += found[0]
        pictures += found[1]
    return comparisons, pictures


def main() -> None:
    """Run the comparison and print its table."""
    args = _arguments()
    missing = [name for name in SETS if not (args.data / name).is_dir()]
    if missing:
        sys.exit(f"{args.data} lacks {', '.join(missing)}: name the folder of the real sets")
    with tempfile.TemporaryDirectory() as name:
        comparisons, pictures = run(Places(args.data, args.work or Path(name)), args.seed)
    sys.stdout.write(page.table(comparisons) + "\n")
    if args.json:
        rows = [_plain(asdict(c) | {"verdict": c.verdict}) for c in comparisons]
        content = {"runs": [asdict(r) for r in RUNS], "seed": args.seed, "rows": rows}
        args.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    if args.html:
        args.html.write_text(page.html(comparisons, pictures, about(args.seed)), "utf-8")
    if args.figures:
        for picture in pictures:
            (args.figures / f"realism_{picture.name}.png").write_bytes(picture.png)


def about(seed: int) -> str:
    """Return a sentence on the simulated worlds."""
    return f"Simulated with seed {seed}: " + "; ".join(map(_about, RUNS)) + "."


def _about(run: Run) -> str:
    return (
        f"{run.name} ({run.preset}, {run.region} {run.period}, {run.days} days, "
        f"{run.size_km:g} km at {run.resolution} m)"
    )


def _plain(value: Any) -> Any:
    """Return what JSON can hold: NaN becomes null."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, str):
        return value
    return None if not math.isfinite(value) else round(float(value), 10)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="real sets")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep the simulated worlds here")
    parser.add_argument("--seed", type=int, default=0, help="seed of the worlds; 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the pictures as PNG")
    return parser.parse_args()


if __name__ == "__main__":
    main()
