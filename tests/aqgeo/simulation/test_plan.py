"""Laws of planning: what makes no sense is refused in one line, scenes and tiles fill the rest."""

from typing import Any

import numpy as np
import pytest
import shapely

from aqgeo.catalog import Grid, Region
from aqgeo.errors import AqgeoError
from aqgeo.period import Period
from aqgeo.simulation import plan
from aqgeo.simulation.plan import Settings
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.weather import Weather

JUNE = Period.parse("2024-06")


def region(lon: float = 15.0, lat: float = 47.0, crs: str = "EPSG:32633") -> Region:
    grids = {"surface_reflectance": Grid(crs, 60), "no2_column": Grid(crs, 4000)}
    return Region("there", "There", shapely.box(lon, lat, lon + 0.2, lat + 0.1), grids)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"preset": "moon"}, "preset 'moon' is in no catalog: choose one of"),
        ({"size_km": 0}, "size 0 km cannot be simulated: choose more than 0 and at most 400 km"),
        ({"size_km": -3}, "choose more than 0"),
        ({"size_km": float("nan")}, "choose more than 0"),
        ({"size_km": 401}, "at most 400 km"),
        ({"size_km": 10.01}, "no whole number of Sentinel-2's pixels of 60 m: choose 10.02 km"),
        ({"resolution_m": 15}, "resolution 15 m does not divide"),
        ({"resolution_m": 0}, "choose 10 or 20"),
        ({"clouds": 1.5}, "clouds 1.5 is no share of the sky"),
        ({"days": 0}, "days must be 1 or more, not 0"),
        ({"scenes": 0}, "scenes must be 1 or more, not 0"),
        ({"granules": "half"}, "form of granules 'half'"),
        ({"levels": ("l3",)}, "level 'l3'"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(AqgeoError) as told:
        Settings(**wrong)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (region(15, 84.5, "EPSG:32633"), "degrees of latitude"),
        (region(crs="EPSG:4326"), "is not in metres"),
    ],
)
def test_a_place_that_cannot_be_simulated_is_refused(place: Region, said: str) -> None:
    if "metres" in said:
        grids = {name: Grid("EPSG:4326", 1) for name in place.grids}
        place = Region(place.name, place.title, place.area, grids)
    with pytest.raises(AqgeoError, match=said):
        plan.domain(place, Settings())


def test_polar_night_is_refused() -> None:
    weather = Weather(0, 20.0, 70.0, PRESETS["city"])
    with pytest.raises(AqgeoError, match="choose another period or region"):
        plan.scenes(Period.parse("2024-12"), Settings(), weather)


@pytest.mark.parametrize(("size", "resolution"), [(None, 20), (6, 10), (60, 20), (109.8, 10)])
def test_domain_lies_on_multiples_of_60_m(size: float | None, resolution: int) -> None:
    settings = Settings(size_km=size, resolution_m=resolution)
    place = region()
    grid = plan.domain(place, settings)
    box = grid.extent.boundingbox
    assert all(v % 60 == 0 for v in box.bbox)
    assert grid.affine.a == resolution
    if size:
        assert box.span_x == box.span_y == size * 1000
    else:
        for product in place.grids:
            inner = place.geobox(product).extent.boundingbox
            assert box.left <= inner.left and box.right >= inner.right
            assert box.bottom <= inner.bottom and box.top >= inner.top


def test_tiles_fill_the_domain_once() -> None:
    grid = plan.domain(region(), Settings(size_km=240))
    found = plan.tiles(grid)
    assert len(found) == 9
    assert sum(t.shape[0] * t.shape[1] for t in found) == grid.shape[0] * grid.shape[1]
    assert all(max(t.shape) * 20 <= 109_800 for t in found)
    assert all(v % 60 == 0 for t in found for v in t.extent.boundingbox.bbox)
    assert plan.tiles(plan.domain(region(), Settings(size_km=109.8))) == [
        plan.domain(region(), Settings(size_km=109.8))
    ]


def test_scenes_are_spread_over_the_period_and_over_covers() -> None:
    settings = Settings(seed=3, clouds=0.4)
    place = plan.world(region(), settings)
    weather = plan.weather(place, JUNE, settings)
    found = plan.scenes(JUNE, settings, weather)
    days = [scene.day for scene in found]
    assert len(days) == 4 and days == sorted(set(days))
    covers = [scene.cover for scene in found]
    assert min(covers) < 0.05 and max(covers) > 0.9
    assert [weather.cloud_cover(day) for day in days] == covers
    few = Settings(scenes=3)
    assert len(plan.scenes(JUNE, few, plan.weather(place, JUNE, few))) == 3
    assert len(plan.scenes(Period.parse("2024-06-01"), few, weather)) == 1


@pytest.mark.parametrize("mean", [0.0, 0.2, 0.7, 1.0])
def test_cover_has_the_mean_asked_for(mean: float) -> None:
    year = Period.parse("2024")
    found = []
    for seed in range(8):
        settings = Settings(seed=seed, clouds=mean)
        weather = plan.weather(plan.world(region(), settings), year, settings)
        found += [weather.cloud_cover(day) for day in plan.dates(year)]
    assert np.mean(found) == pytest.approx(mean, abs=0.06)
    assert 0 <= min(found) <= max(found) <= 1
