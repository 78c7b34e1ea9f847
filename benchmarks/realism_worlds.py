"""Simulated worlds made for the comparison with real sets, each near its place and season."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `aqgeo simulate`."""

    name: str
    """Folder below the work folder."""
    region: str
    """Region of the catalog, near the real set's place."""
    period: str
    """Season of the real set."""
    size_km: float
    """Side of the square."""
    days: int
    """Days from the period's begin."""
    scenes: int
    """Dates of Sentinel-2."""
    preset: str = "city"
    """Kind of world."""
    resolution: int = 20
    """Finest pixels in metres."""
    clouds: float = 0.45
    """Mean cloud cover."""
    levels: tuple[str, ...] = ("l2a",)
    """Sentinel-2 products."""

    def folder(self, work: Path) -> Path:
        """Return where its archive and truth lie."""
        return work / self.name / "simulated" / self.region / self.period.replace("/", "_")

    def make(self, work: Path, seed: int) -> None:
        """Simulate it; what lies there already is kept if it was made with the same options."""
        words = [
            self.region, "--period", self.period, "--out", work / self.name, "--seed", seed,
            "--preset", self.preset, "--days", self.days, "--size-km", self.size_km,
            "--resolution", self.resolution, "--clouds", self.clouds, "--scenes", self.scenes,
            *(word for level in self.levels for word in ("--level", level)),
        ]  # fmt: skip
        command = [sys.executable, "-m", "pipelines.cli", "simulate", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")

    def about(self, work: Path) -> dict[str, Any]:
        """Return the archive's provenance."""
        path = self.folder(work) / "provenance.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


BOTH = ("l1c", "l2a")
RUNS = (
    # 33T: Styria in August 2023; 61.44 km hold four of the windows that the tiles are cut into.
    # Those eight products have 15 to 24 % cloud.
    Run("summer", "styria", "2023-08", 61.44, days=12, scenes=6, clouds=0.2),
    # Chips: a coast in July (282D), farmland in late October (637U), at 10 m as they are.
    Run("coast", "demo", "2021-07", 15.36, 3, 3, preset="coast", resolution=10, levels=BOTH),
    Run("autumn", "po-valley", "2017-10-28/2017-11-01", 15.36, 3, 3, preset="plain",
        resolution=10, levels=BOTH),
    Run("dry", "demo", "2023-08", 15.36, 3, 3, preset="fires", resolution=10, levels=BOTH),
    # Snow.
    Run("snow", "styria", "2023-01", 30.72, days=3, scenes=3, preset="winter"),
    # Pixels of three cities on 1 to 4 November 2020, a domain as large as their boxes.
    Run("november", "po-valley", "2020-11", 153.6, days=4, scenes=1),
    # Delhi: small domain, many overpasses; 37 % of the real pixels there are not clear.
    Run("delhi", "delhi", "2019-11", 15.36, days=20, scenes=1, clouds=0.37),
)  # fmt: skip
