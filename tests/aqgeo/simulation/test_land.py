"""Laws of the land: a larger domain holds the smaller one unchanged; people and roads add up."""

from dataclasses import fields

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.simulation import emission, land, roads, settlements
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.settlements import CITY, TOWN, VILLAGE
from aqgeo.simulation.world import World

GRID = GeoBox((1800, 1800), Affine(20, 0, 396_000, 0, -20, 4_398_000), "EPSG:32633")


def world(preset: str = "city", grid: GeoBox = GRID, seed: int = 0) -> World:
    return World(seed, grid, PRESETS[preset])


@pytest.fixture(scope="module", params=PRESETS)
def drawn(request: pytest.FixtureRequest) -> tuple[World, land.Land]:
    place = world(request.param)
    return place, land.draw(place, GRID)


def test_a_larger_domain_holds_the_smaller_unchanged(drawn: tuple[World, land.Land]) -> None:
    place, whole = drawn
    window = (slice(303, 751), slice(900, 1210))
    part = land.draw(place, GRID[window])
    for field in fields(land.Land):
        if field.name != "grid":
            np.testing.assert_array_equal(
                getattr(part, field.name), getattr(whole, field.name)[window], err_msg=field.name
            )


def test_every_preset_has_what_its_name_says(drawn: tuple[World, land.Land]) -> None:
    place, whole = drawn
    share = np.bincount(whole.cover.ravel(), minlength=12) / whole.cover.size
    assert share[[land.WATER, land.CROPLAND, land.ROAD]].min() > 0.004
    assert share[land.FOREST] + share[land.CONIFER] > 0.03
    if place.preset.sea:
        assert 0.1 < share[land.WATER] < 0.8
        assert share[land.SAND] > 0.005
        assert (whole.elevation[whole.cover == land.WATER] == 0).mean() > 0.8
        assert not whole.vehicles[whole.elevation == 0].any()
    else:
        assert share[land.WATER] < 0.15
        assert whole.elevation.std() == pytest.approx(place.preset.relief_m, rel=0.6)
    if place.preset.sand:
        assert share[land.SAND] > 0.3 * place.preset.sand


def test_texture_is_standard_and_lots_are_even(drawn: tuple[World, land.Land]) -> None:
    _, whole = drawn
    assert whole.texture.std() == pytest.approx(1, abs=0.1)
    counts = np.histogram(whole.lot, bins=10, range=(0, 1))[0] / whole.lot.size
    np.testing.assert_allclose(counts, 0.1, atol=0.02)


def test_ten_metres_show_the_same_land_in_finer_detail() -> None:
    fine = GeoBox((600, 600), Affine(10, 0, 408_000, 0, -10, 4_392_000), GRID.crs)
    coarse = GeoBox((300, 300), Affine(20, 0, 408_000, 0, -20, 4_392_000), GRID.crs)
    one, two = land.draw(world(grid=fine), fine), land.draw(world(grid=coarse), coarse)
    natural = ~np.isin(two.cover, [land.ROAD, land.WATER])
    alike = one.cover[::2, ::2] == two.cover
    assert alike[natural].mean() > 0.9
    np.testing.assert_allclose(
        one.population.reshape(300, 2, 300, 2).mean((1, 3)), two.population, rtol=0.15
    )


def test_people_live_as_clark_says() -> None:
    """P = 2 pi D0 / b^2 for each settlement, and those of the open land; patchiness has mean 1."""
    place = world()
    box = GeoBox((1250, 1250), Affine(80, 0, 380_000, 0, -80, 4_440_000), GRID.crs)
    bounds = settlements.bounds_of(box)
    expected = settlements.RURAL_DENSITY * 100**2 + sum(
        s.people
        for rank in (CITY, TOWN, VILLAGE)
        for s in settlements.near(0, place.preset, rank, bounds, 0)
        if settlements.within(bounds, s.x, s.y)
    )
    people = settlements.population(box, 0, place.preset).sum() * 0.08**2
    assert people == pytest.approx(expected, rel=0.12)


def test_traffic_is_as_long_as_the_roads() -> None:
    """On pixels of any size the vehicle kilometres are those of the lines themselves."""
    box = GeoBox((160, 160), Affine(250, 0, 396_000, 0, -250, 4_398_000), GRID.crs)
    total = roads.traffic(0, PRESETS["city"], box)
    again = roads.traffic(0, PRESETS["city"], box.zoom_out(4), step_m=10)
    assert total.sum() == pytest.approx(again.sum(), rel=0.01)
    burned = roads.burn(0, PRESETS["city"], GRID)
    assert ((burned > 0).mean() * 1e6 / 20 / 1000) == pytest.approx(1.2, abs=0.8)  # km per km2


def test_emission_per_head_is_that_of_the_literature() -> None:
    """4-12 kg NOx per head and year (simulation-facts, section 5)."""
    place = world()
    found = emission.inventory(place)
    kg = {k: float(v.sum()) * 250**2 * 0.046 * 3.156e7 for k, v in found.sources.items()}
    heads = kg["homes"] / emission._HOMES_KG_PER_HEAD
    assert 4 < sum(kg.values()) / heads < 12
    assert 0.2 < kg["traffic"] / sum(kg.values()) < 0.6
    assert (
        kg["fires"]
        == 0
        < sum(v.sum() for v in [emission.inventory(world("fires")).sources["fires"]])
    )
    assert all((v >= 0).all() for v in found.sources.values())


def test_emission_belongs_to_its_place() -> None:
    """250 m pixels of two domains, one inside the other, emit the same."""
    place = world()
    inner = World(0, GRID[300:900, 300:900], place.preset)
    whole, part = emission.inventory(place), emission.inventory(inner)
    col, row = (~whole.grid.affine) * (part.grid.affine.c, part.grid.affine.f)
    rows, cols = part.grid.shape
    window = (slice(round(row), round(row) + rows), slice(round(col), round(col) + cols))
    for name, values in part.sources.items():
        np.testing.assert_allclose(values, whole.sources[name][window], rtol=2e-4, atol=1e-16)
