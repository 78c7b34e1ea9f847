"""Grids: pixels lie where the resolution says, and unfit grids are refused in words."""

import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox

from aqgeo import grid
from aqgeo.errors import GridError

UTM = "EPSG:32633"
AREA = shapely.box(15.0, 47.0, 15.4, 47.3)


@given(
    st.floats(-4e5, 4e5),
    st.floats(-4e6, 4e6),
    st.floats(1, 5e4),
    st.floats(1, 5e4),
    st.sampled_from([60, 100, 250, 2000, 4000]),
    st.sampled_from(["edge", "center"]),
)
def test_pixels_lie_on_multiples_of_the_resolution_and_cover_the_box(
    left: float, bottom: float, width: float, height: float, resolution: float, anchor: grid.Anchor
) -> None:
    box = BoundingBox(left, bottom, left + width, bottom + height, UTM)
    made = grid.geobox(box, resolution, anchor=anchor)
    shift = {"edge": 0, "center": 0.5}[anchor] * resolution
    found = made.boundingbox
    for edge in found.bbox:
        assert (edge - shift) / resolution == round((edge - shift) / resolution)
    slack = 0.0101 * resolution  # odc-geo adds no pixel for 1 % of one (its `tol`)
    assert found.left <= left + slack and found.bottom <= bottom + slack
    assert found.right >= left + width - slack and found.top >= bottom + height - slack
    assert made.affine.a == resolution and made.affine.e == -resolution


@pytest.mark.parametrize("anchor", ["edge", "center"])
def test_grids_of_one_resolution_share_their_pixels_whatever_the_area(anchor: grid.Anchor) -> None:
    boxes = [BoundingBox(x, 5_200_011, x + 30_000, 5_260_017, UTM) for x in (500_001, 512_345)]
    one, two = (grid.geobox(box, 4000, anchor=anchor) for box in boxes)
    assert all(v == round(v) for v in ~one.affine @ (two.affine.c, two.affine.f))


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.sampled_from([60, 2000, 4000])
)
def test_refining_keeps_the_extent_exactly(rows: int, cols: int, factor: int, size: int) -> None:
    box = (500_000, 4_400_000, 500_000 + cols * size, 4_400_000 + rows * size)
    coarse = GeoBox.from_bbox(box, UTM, resolution=size, tight=True)
    fine = grid.refine(coarse, factor)
    assert fine.shape == (rows * factor, cols * factor)
    assert (fine.affine.c, fine.affine.f) == (coarse.affine.c, coarse.affine.f)
    assert fine.boundingbox.bbox == pytest.approx(coarse.boundingbox.bbox, abs=1e-8)
    if factor in (1, 2, 4, 8):  # 1 / factor is exact: so is the extent
        assert fine.boundingbox == coarse.boundingbox


def test_refining_in_steps_is_refining_at_once() -> None:
    coarse = grid.geobox(grid.bounds(AREA, UTM), 4000)
    assert grid.refine(grid.refine(coarse, 2), 2) == grid.refine(coarse, 4)
    assert grid.refine(coarse, 1) == coarse


@pytest.mark.parametrize(
    "crs",
    [
        "https://example.com/crs.json",
        "+proj=utm +zone=33",
        "+init=epsg:32633",
        'GEOGCS["WGS 84"]',
        "32633",
        "",
        "/etc/passwd",
        "EPSG:",
        "EPSG:abc",
        "EPSG:99999",
        "EPSG:https://example.com/crs.json",
    ],
)
def test_only_epsg_codes_are_accepted_and_others_named_in_one_line(crs: str) -> None:
    with pytest.raises(GridError) as caught:
        grid.bounds(AREA, crs)
    assert repr(crs) in str(caught.value) and "EPSG" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_box_of_an_area_holds_every_point_of_its_edges() -> None:
    area = shapely.box(5.0, 45.0, 25.0, 50.0)  # edges of constant latitude bend in UTM
    box = grid.bounds(area, UTM)
    for lon in range(5, 26):
        for lat in (45, 50):
            point = grid.bounds(shapely.Point(lon, lat).buffer(1e-9), UTM)
            assert box.left - 1 <= point.left and point.right <= box.right + 1
            assert box.bottom - 1 <= point.bottom and point.top <= box.top + 1


def test_an_area_without_a_place_in_the_crs_is_refused() -> None:
    with pytest.raises(GridError, match=UTM):
        grid.bounds(shapely.box(100, -1, 110, 1), UTM)


@pytest.mark.parametrize("resolution", [0, -60, math.nan, math.inf])
def test_a_pixel_size_that_is_no_positive_number_is_refused(resolution: float) -> None:
    with pytest.raises(GridError, match="not a positive number"):
        grid.geobox(grid.bounds(AREA, UTM), resolution)


def test_an_absurdly_large_grid_is_refused_with_its_size_and_the_remedy() -> None:
    box = grid.bounds(AREA, UTM)
    with pytest.raises(GridError, match=r"\d+ x \d+ pixels is too large.*coarser") as caught:
        grid.geobox(box, 0.1)
    assert "0.1" in str(caught.value)


def test_a_box_smaller_than_a_pixel_gets_one_pixel() -> None:
    made = grid.geobox(BoundingBox(500_010, 5_200_010, 500_020, 5_200_020, UTM), 4000)
    assert made.shape == (1, 1)


def test_the_lonlat_box_holds_the_grid_and_is_that_of_a_geographic_grid() -> None:
    made = grid.geobox(grid.bounds(AREA, UTM), 4000)
    west, south, east, north = grid.lonlat_bbox(made)
    assert west <= 15.0 and south <= 47.0 and east >= 15.4 and north >= 47.3
    lon, lat = zip(*grid.lonlat_outline(made).exterior.points, strict=True)
    assert west <= min(lon) and max(lon) <= east and south <= min(lat) and max(lat) <= north
    plain = GeoBox.from_bbox((3, 49, 7, 53), "EPSG:4326", resolution=0.5)
    assert grid.lonlat_bbox(plain) == pytest.approx((3, 49, 7, 53))


@pytest.mark.parametrize("top", [4001.0, 4030.0, 7999.0])
def test_a_grid_covers_the_whole_box(top: float) -> None:
    box = BoundingBox(0, 0, top, top, "EPSG:32633")
    found = grid.geobox(box, 4000).boundingbox
    assert found.right >= top and found.top >= top and found.right == found.top == 8000


@pytest.mark.parametrize("right", [0.0, -5.0, float("nan")])
def test_a_box_without_width_is_refused(right: float) -> None:
    with pytest.raises(GridError, match="empty"):
        grid.geobox(BoundingBox(0, 0, right, 1e12, "EPSG:32633"), 1)


@pytest.mark.parametrize("crs", ["EPSG:32633+5773", "EPSG:5773", "EPSG:4978"])
def test_a_crs_that_is_not_for_maps_is_refused(crs: str) -> None:
    with pytest.raises(GridError, match="crs"):
        grid.bounds(shapely.box(14, 46, 15, 47), crs)
