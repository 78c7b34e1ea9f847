"""What a simulated archive shall hold: its domain, tiles, scenes and skies."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.catalog import Region, pick
from aqgeo.errors import GridError, PeriodError
from aqgeo.period import Period
from aqgeo.simulation import noise, sun
from aqgeo.simulation.granule import Form
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.sentinel2 import Scene
from aqgeo.simulation.weather import MEAN_COVER, Weather, cover
from aqgeo.simulation.world import World

SNAP_M = 60  # pixels of 10 m, 20 m and 60 m share their edges on multiples of 60 m
MAX_SIDE_M = 400_000
TILE_M = 109_800
"""Side of a Sentinel-2 tile; a larger domain is cut into several scenes."""
MAX_LATITUDE = 75.0
LEVELS = ("l1c", "l2a")
_REVISIT = timedelta(days=7)  # two satellites revisit in 5 days; a few dates are missing
_FEWEST = 3  # with fewer dates nothing can be filled
_LOWEST_SUN = 80.0  # zenith angle in degrees from which on Sentinel-2 scenes are too dark


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user chooses; a value that makes no sense is refused.

    Raises:
        CatalogError: the preset, a level or the form of granules is unknown.
        GridError: the size or resolution does not fit Sentinel-2's pixels.
        PeriodError: there are no days or scenes.
    """

    seed: int = 0
    """Seed of the world and of all that happens in it."""
    preset: str = "city"
    """Kind of world, a key of PRESETS."""
    days: int | None = None
    """Only so many days from the begin of the period."""
    size_km: float | None = None
    """Side of a square about the region's centre; the region's own extent if None."""
    resolution_m: int = 20
    """Pixels of the finest Sentinel-2 bands, 10 or 20."""
    clouds: float = MEAN_COVER
    """Mean share of the sky under cloud, 0 to 1."""
    scenes: int | None = None
    """Dates of Sentinel-2, spread over the period; one a week, at least three, if None."""
    levels: tuple[str, ...] = ("l2a",)
    """Sentinel-2 products to write."""
    granules: Form = "piece"
    """Form of Sentinel-5P granules: piece of an orbit, subset without corners, whole orbit."""

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        pick(PRESETS, self.preset, "preset")
        pick(dict.fromkeys(get_args(Form)), self.granules, "form of granules")
        for level in self.levels:
            pick(dict.fromkeys(LEVELS), level, "level")
        if self.resolution_m not in (10, 20):
            raise GridError(
                f"resolution {self.resolution_m} m does not divide Sentinel-2's pixels of 60 m "
                "as 10 m and 20 m do: choose 10 or 20"
            )
        if not 0 <= self.clouds <= 1:
            raise GridError(f"clouds {self.clouds} is no share of the sky: choose 0 to 1")
        for name in ("days", "scenes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PeriodError(f"{name} must be 1 or more, not {value}")
        if self.size_km is not None:
            _check_side(self.size_km)

    def shorten(self, period: Period) -> Period:
        """Return the part of a period that is simulated."""
        if self.days is None:
            return period
        return Period(period.start, min(period.end, period.start + timedelta(days=self.days)))


def world(region: Region, settings: Settings) -> World:
    """Return the world of a region.

    Raises:
        GridError: it is too large, too near a pole, or its CRS is not in metres.
        CatalogError: the region lacks the grid `surface_reflectance` or `no2_column`.
    """
    return World(settings.seed, domain(region, settings), PRESETS[settings.preset])


def domain(region: Region, settings: Settings) -> GeoBox:
    """Return the grid that is simulated: both of the region's grids, or a square about them."""
    scene = region.geobox("surface_reflectance")
    crs = scene.crs
    if crs is None or crs.units[0] != "metre":
        raise GridError(f"{crs} is not in metres: a simulated region needs a UTM zone's EPSG code")
    boxes = [g.extent.to_crs(crs).boundingbox for g in (scene, region.geobox("no2_column"))]
    left, bottom = (min(getattr(b, s) for b in boxes) for s in ("left", "bottom"))
    right, top = (max(getattr(b, s) for b in boxes) for s in ("right", "top"))
    if settings.size_km is not None:
        half = settings.size_km * 500
        x, y = (round((a + b) / 2 / SNAP_M) * SNAP_M for a, b in ((left, right), (bottom, top)))
        left, bottom, right, top = x - half, y - half, x + half, y + half
    left, bottom = (math.floor(v / SNAP_M) * SNAP_M for v in (left, bottom))
    right, top = (math.ceil(v / SNAP_M) * SNAP_M for v in (right, top))
    if max(right - left, top - bottom) > MAX_SIDE_M:
        raise GridError(
            f"region {region.name!r} spans {right - left} m x {top - bottom} m: at most "
            f"{MAX_SIDE_M} m can be simulated, choose a smaller region or --size-km"
        )
    pixel = settings.resolution_m
    shape = (top - bottom) // pixel, (right - left) // pixel
    found = GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), crs)
    latitude = max(map(abs, grids.lonlat_bbox(found)[1::2]))
    if latitude > MAX_LATITUDE:
        raise GridError(
            f"region {region.name!r} reaches {latitude:.1f} degrees of latitude: the satellites' "
            f"orbits are simulated up to {MAX_LATITUDE:g}, choose a region farther from the pole"
        )
    return found


def tiles(grid: GeoBox) -> list[GeoBox]:
    """Return a domain cut into equal parts no larger than a Sentinel-2 tile."""
    pixel = round(grid.affine.a)
    unit = SNAP_M // pixel
    cuts = []
    for size in grid.shape:
        count = -(-size * pixel // TILE_M)
        cuts.append([round(i * size / count / unit) * unit for i in range(count)] + [size])
    return [
        grid[r0:r1, c0:c1]
        for r0, r1 in zip(cuts[0], cuts[0][1:], strict=False)
        for c0, c1 in zip(cuts[1], cuts[1][1:], strict=False)
    ]


def dates(period: Period) -> list[date]:
    """Return the days of a period."""
    count = -(-(period.end - period.start) // timedelta(days=1))
    return [(period.start + timedelta(days=i)).date() for i in range(count)]


def weather(world: World, period: Period, settings: Settings) -> Weather:
    """Return the weather, in which the Sentinel-2 dates hold clear and cloudy ones.

    Their covers are spread evenly over the distribution of covers, however few dates there are.
    """
    days = _overpasses(period, settings)
    order = noise.stream(settings.seed, "scene covers").permutation(len(days))
    planned = {
        day: cover(settings.clouds, (number + 0.5) / len(days))
        for day, number in zip(days, order.tolist(), strict=True)
    }
    return Weather(settings.seed, *world.lonlat, world.preset, settings.clouds, planned)


def scenes(period: Period, settings: Settings, weather: Weather) -> list[Scene]:
    """Return the Sentinel-2 scenes of a period, in order.

    Raises:
        PeriodError: the sun is too low on all of them.
    """
    found = [
        Scene(day, ("S2A", "S2B")[i % 2], weather.cloud_cover(day), weather.regime(day))
        for i, day in enumerate(_overpasses(period, settings))
    ]
    lit = [s for s in found if _zenith(s.day, weather.lon, weather.lat) < _LOWEST_SUN]
    if not lit:
        raise PeriodError(
            f"the sun stands lower than {90 - _LOWEST_SUN:g} degrees over {weather.lat:.1f} N at "
            f"every Sentinel-2 overpass in {period}: choose another period or region"
        )
    return lit


def _overpasses(period: Period, settings: Settings) -> list[date]:
    """Return the dates of Sentinel-2, spread evenly."""
    days = dates(period)
    wanted = settings.scenes or max(round(len(days) * timedelta(days=1) / _REVISIT), _FEWEST)
    count = min(wanted, len(days))
    return [days[(2 * i + 1) * len(days) // (2 * count)] for i in range(count)]


def _zenith(day: date, lon: float, lat: float) -> float:
    return sun.position(sun.overpass(day, lon, lat, satellite="sentinel-2"), lon, lat)[0]


def _check_side(size_km: float) -> None:
    metres = round(size_km * 1000, 3)
    if not 0 < metres <= MAX_SIDE_M:
        raise GridError(
            f"size {size_km:g} km cannot be simulated: choose more than 0 and at most "
            f"{MAX_SIDE_M / 1000:g} km"
        )
    if metres % SNAP_M:
        near = max(round(metres / SNAP_M), 1) * SNAP_M / 1000
        raise GridError(
            f"size {size_km:g} km is no whole number of Sentinel-2's pixels of 60 m: choose "
            f"{near:g} km"
        )
