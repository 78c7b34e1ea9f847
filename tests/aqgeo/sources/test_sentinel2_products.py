"""Reprocessed and doubled Sentinel-2 products: the newest is kept, and no ground is lost."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac
import pytest

from aqgeo.sources import sentinel2_products

WHEN = datetime(2025, 3, 2, 10, 5, 46, tzinfo=UTC)
STRIP = "S2B_OPER_MSI_L2A_DS_{centre}_{made}_S{sensed}_N{baseline}"


def item(
    name: str,
    *,
    baseline: str = "05.11",
    made: str = "2025-03-02T11:32:12Z",
    sensed: str | None = "20250302T100546",
    centre: str = "2BPS",
    **more: Any,
) -> pystac.Item:
    properties = {
        "platform": "sentinel-2b",
        "grid:code": "MGRS-33UXP",
        "s2:processing_baseline": baseline,
        "s2:generation_time": made,
        **more,
    }
    if sensed:
        how = {"centre": centre, "made": made[:10], "sensed": sensed, "baseline": baseline}
        properties["s2:datastrip_id"] = STRIP.format(**how)
    when = more.pop("when", WHEN)
    properties.pop("when", None)
    return pystac.Item(name, None, None, when, properties, collection="sentinel-2-l2a")


def kept(*items: pystac.Item) -> list[str]:
    """Return what is kept, which must not depend on the order of what comes."""
    found = [sentinel2_products.resolve(order) for order in itertools.permutations(items)]
    first = [i.id for i in found[0][0]], found[0][1]
    assert all(([i.id for i in one], notes) == first for one, notes in found)
    left = {i.id for i in items} - set(first[0])
    assert all(any(note.startswith(f"{name} left out") for note in first[1]) for name in left)
    return first[0]


def test_the_newest_baseline_of_a_datastrip_is_kept_compared_as_numbers() -> None:
    made = "2026-01-01T00:00:00Z"
    old, new = item("a", baseline="9.00", made=made), item("b", baseline="10.00")
    assert kept(old, new) == ["b"]
    assert kept(item("a", baseline="03.01"), item("b", baseline="05.00")) == ["b"]


def test_of_one_baseline_the_latest_generation_is_kept_in_any_zone() -> None:
    early = item("a", made="2025-03-02T14:00:00+02:00")
    late = item("b", made="2025-03-02T13:00:00Z")
    assert kept(early, late) == ["b"]


def test_a_test_production_is_older_than_any() -> None:
    assert kept(item("a", baseline="99.99"), item("b", baseline="02.14")) == ["b"]


def test_halves_of_a_tile_are_kept_each_in_its_newest_processing() -> None:
    north, south = {"sensed": "20250302T100546"}, {"sensed": "20250302T100601"}
    items = [
        item("north-old", baseline="05.10", **north),
        item("north-new", **north),
        item("south-old", baseline="05.10", **south),
        item("south-new", **south),
    ]
    assert sorted(kept(*items)) == ["north-new", "south-new"]


def test_a_second_downlink_of_the_same_sensing_is_a_twin() -> None:
    assert kept(item("a", centre="2BPS"), item("b", centre="SGS", made="2025-03-02T12:00:00Z")) == [
        "b"
    ]


def test_a_twin_that_shows_more_ground_stays_behind_the_newer_one() -> None:
    full = item("full", baseline="05.10", **{"s2:nodata_pixel_percentage": 3.0})
    cut = item("cut", **{"s2:nodata_pixel_percentage": 60.0})
    assert kept(full, cut) == ["cut", "full"]
    full.properties["s2:nodata_pixel_percentage"] = 59.5
    assert kept(full, cut) == ["cut"]


def test_items_that_do_not_tell_their_datastrip_are_kept_newest_first() -> None:
    items = [item("a", sensed=None, baseline="04.00"), item("b", sensed=None)]
    assert kept(*items) == ["b", "a"]
    assert "a kept behind b" in sentinel2_products.resolve(items)[1][0]


@pytest.mark.parametrize(
    "more",
    [
        {"platform": "sentinel-2a"},
        {"grid:code": "MGRS-33UXQ"},
        {"when": WHEN + timedelta(days=1)},
    ],
)
def test_other_satellites_tiles_and_days_are_no_twins(more: dict[str, Any]) -> None:
    assert sorted(kept(item("a"), item("b", **more))) == ["a", "b"]


def test_levels_are_no_twins() -> None:
    below = item("a")
    below.collection_id = "sentinel-2-l1c"
    assert sorted(kept(below, item("b"))) == ["a", "b"]


def test_of_one_processing_the_untouched_pixels_are_kept() -> None:
    shifted = item("z", **{"earthsearch:boa_offset_applied": True})
    assert kept(shifted, item("a")) == ["a"]


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("x", {"grid:code": "MGRS-4QFJ"}),
        ("x", {"grid:code": "MGRS-04QFJ"}),
        ("x", {"s2:mgrs_tile": "04QFJ"}),
        ("x", {"mgrs:utm_zone": 4, "mgrs:latitude_band": "Q", "mgrs:grid_square": "FJ"}),
        ("S2B_4QFJ_20250302_0_L2A", {}),
        ("S2B_T04QFJ_20250302T210546_L2A", {}),
        ("S2B_MSIL2A_20250215T194529_R013_T04QFJ_20250215T210552", {}),
    ],
)
def test_a_tile_is_the_same_by_any_providers_name(name: str, properties: dict[str, Any]) -> None:
    one = pystac.Item(name, None, None, WHEN, properties)
    assert sentinel2_products.tile(one) == "04QFJ"


def test_an_item_without_tile_or_satellite_is_kept_as_it_is() -> None:
    items = [pystac.Item(name, None, None, WHEN, {}) for name in ("a", "b")]
    assert kept(*items) == ["a", "b"]


@pytest.mark.parametrize("told", [None, 3, "yesterday", [], {}])
def test_words_of_another_kind_do_no_harm(told: Any) -> None:
    names = ("s2:generation_time", "s2:nodata_pixel_percentage", "s2:processing_baseline")
    odd = item("odd", **dict.fromkeys((*names, "s2:datastrip_id", "grid:code", "platform"), told))
    for name in names:
        odd.properties[name] = told
    assert "good" in kept(odd, item("good"))
