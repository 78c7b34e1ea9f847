"""One pass through the hours of a period: what passes over, what stations meet, what is true."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.period import Period
from aqgeo.simulation import (
    air,
    clouds,
    emission,
    globe,
    granule,
    noise,
    plan,
    records,
    sentinel2,
    stations,
    sun,
    swath,
    terrain,
    tropomi,
)  # fmt: skip
from aqgeo.simulation.air import Hour
from aqgeo.simulation.granule import Form
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.stations import Station
from aqgeo.simulation.swath import Swath
from aqgeo.simulation.tropomi import Footprints
from aqgeo.simulation.truth import Truth
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import World

_LOST = 1 / 12  # share of granules that never arrive; illustrative
_SKY_M = 640  # pixels of the sky under a footprint
# Albedo in the NO2 window at 440 nm of ground, sea and snow: dark ground (simulation-facts, 4).
_ALBEDO, _SEA_ALBEDO, _SNOW_ALBEDO = 0.05, 0.045, 0.7


@dataclass(slots=True)
class Survey:
    """The air of a period, hour by hour."""

    world: World
    """The world."""
    weather: Weather
    """Its weather."""
    period: Period
    """The period."""
    network: Sequence[Station]
    """The stations."""
    granules: list[records.Record] = field(default_factory=list)
    """Items of the granules written so far."""
    starts: list[datetime] = field(default_factory=list)
    """Begins of the hours so far, UTC."""
    at_stations: list[FloatArray] = field(default_factory=list)
    """(station,) concentration of each hour so far, ug m-3."""

    def run(self, truth: Truth, folder: Path, form: Form) -> Iterator[datetime]:
        """Go through the hours; write granules into a folder and the truth; yield each hour.

        Args:
            truth: takes columns and concentrations.
            folder: where granules are written.
            form: form of the granules, one of `granule.write`'s.
        """
        inventory = emission.inventory(self.world)
        street = np.asarray(inventory.traffic * stations.STREET_INTEGRAL, "float32")
        views = self._passes()
        day: list[FloatArray] = []
        for hour in air.hours(inventory, self.weather, self.period):
            self.starts.append(hour.start)
            day.append(np.asarray(hour.concentration + street * hour.traffic, "float32"))
            self.at_stations.append(stations.concentrations(self.world, self.network, hour))
            for view in views.get(hour.start, ()):
                truth.add_column(view.start, hour.column)
                self._observe(view, hour, folder, form)
            if hour.start.hour == 23 or hour.start + timedelta(hours=1) == self.period.end:
                truth.add_day(hour.start.date(), np.mean(day, axis=0, dtype="float32"))
                day.clear()
            yield hour.start

    def _passes(self) -> dict[datetime, list[Swath]]:
        """Return the views of each hour that has some."""
        found: dict[datetime, list[Swath]] = {}
        box = grids.lonlat_bbox(self.world.grid)
        for day in plan.dates(self.period):
            for view in swath.passes(box, day):
                if self.period.start <= view.start < self.period.end:
                    hour = view.start.replace(minute=0, second=0, microsecond=0)
                    found.setdefault(hour, []).append(view)
        return found

    def _observe(self, view: Swath, hour: Hour, folder: Path, form: Form) -> None:
        if noise.stream(self.world.seed, "lost granule", view.orbit).random() < _LOST:
            return
        below, seed, part = footprints(self.world, self.weather, view, hour), self.world.seed, view
        if form == "orbit":
            view, below = _whole(view, below, seed)
        height = self.weather.mixing_height(view.start)
        seen = tropomi.observe(view, seed, below, mixing_height_m=height)
        path = granule.write(view, seen, folder, form=form)
        href = f"{folder.parent.name}/{folder.name}/{path.name}"
        shown = None if form == "orbit" else part
        self.granules.append(records.granule_item(view.orbit, href, shown))


def footprints(world: World, weather: Weather, view: Swath, hour: Hour) -> Footprints:
    """Return the truth in each pixel of a view.

    Args:
        world: the world.
        weather: its weather.
        view: what the satellite sees, within the world and its margin of air.
        hour: the air at that time.
    """
    preset = world.preset
    to_grid = pyproj.Transformer.from_crs("EPSG:4326", str(world.grid.crs), always_xy=True)
    corners = np.stack(to_grid.transform(view.corners[..., 0], view.corners[..., 1]), axis=-1)
    grid = _covering(corners, world.grid.crs)
    zenith, azimuth = sun.position(view.start, *world.lonlat)
    day = view.start.date()
    sky = clouds.draw(
        grid,
        world.seed,
        view.start,
        cover=weather.cloud_cover(day),
        regime=weather.regime(day),
        sun=(zenith, azimuth),
        drift=sentinel2.drift(weather, day),
    )
    fraction = sky.effective_fraction(math.cos(math.radians(zenith)))
    ground = terrain.terrain(grid, world.seed, preset)

    def mean(values: NDArray[np.generic]) -> FloatArray:
        return air.area_mean(values.astype("float32"), grid, corners)

    land, cloudy = mean(~ground.sea) > 0.5, mean(fraction)
    snow = land & (preset.snow > 0.5)
    # The height of clouds counts where they are.
    height = mean(sky.height_m * fraction) / np.maximum(cloudy, np.float32(1e-6))
    albedo = np.where(snow, _SNOW_ALBEDO, np.where(land, _ALBEDO, _SEA_ALBEDO))
    return Footprints(
        column=air.area_mean(hour.column, world.air_grid, corners),
        cloud_fraction=np.clip(cloudy, 0, 1),
        cloud_height_m=height.astype("float32"),
        elevation_m=mean(ground.elevation),
        land=land,
        snow=snow,
        albedo=albedo.astype("float32"),
        wind=weather.wind(view.start),
    )


def _covering(corners: NDArray[np.float64], crs: CRS | None) -> GeoBox:
    """Return a grid of 640 m pixels on their multiples that covers points."""
    left, bottom = (math.floor(v / _SKY_M) for v in corners.reshape(-1, 2).min(axis=0))
    right, top = (math.ceil(v / _SKY_M) for v in corners.reshape(-1, 2).max(axis=0))
    corner = Affine(_SKY_M, 0, left * _SKY_M, 0, -_SKY_M, top * _SKY_M)
    return GeoBox((top - bottom, right - left), corner, crs)


def _whole(piece: Swath, below: Footprints, seed: int) -> tuple[Swath, Footprints]:
    """Return the whole orbit of a piece, over the simple globe where the piece does not look."""
    view = swath.whole(piece.orbit)
    around = globe.truth(view, seed)
    rows, cols = piece.shape
    here = (
        slice(piece.first_line, piece.first_line + rows),
        slice(piece.first_pixel, piece.first_pixel + cols),
    )
    for name in (
        "column",
        "cloud_fraction",
        "cloud_height_m",
        "elevation_m",
        "land",
        "snow",
        "albedo",
    ):
        getattr(around, name)[here] = getattr(below, name)
    return view, around
