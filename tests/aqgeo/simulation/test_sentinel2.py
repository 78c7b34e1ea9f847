"""Scenes: reflectance by class, clouds and their classification, file layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aqgeo.simulation import archive, clouds, sentinel2, world
from aqgeo.simulation.sentinel2 import SPECTRA
from aqgeo.simulation.world import World

from .conftest import PERIOD, SEED, Archive


def read(small: Archive, scene, band: str) -> np.ndarray:
    (path,) = (small.folder / "data/sentinel2").glob(f"*_{scene.day:%Y%m%d}_0_L2A_{band}.tif")
    with rasterio.open(path) as source:
        return source.read(1)


@pytest.fixture(scope="module")
def scenes():
    return sorted(archive.plan(PERIOD, SEED), key=lambda scene: scene.cover)


def test_offset_brings_back_the_reflectance_of_each_class(small: Archive, place, scenes) -> None:
    scene = scenes[0]
    sky = sentinel2.sky(place, scene)
    clear = (sky.thickness == 0) & (sky.sunlight > 0.99)
    seen = sentinel2.material(place)
    for number, band in enumerate(sentinel2.BANDS):
        rho = read(small, scene, band) * sentinel2.SCALE + sentinel2.OFFSET
        for code, (spectrum, _) in SPECTRA.items():
            found = rho[clear & (seen == code)]
            if found.size > 500:
                assert found.mean() == pytest.approx(spectrum[number], rel=0.15, abs=0.003), code


def test_dark_water_lies_above_the_offset_not_above_zero(small: Archive, place, scenes) -> None:
    dn = read(small, scenes[0], "B08")[place.land_cover == world.WATER]
    assert 1000 < np.median(dn) < 1300
    assert dn.min() >= 1


def test_classification_agrees_with_the_true_clouds_but_not_fully(
    small: Archive, place, scenes
) -> None:
    for scene in scenes:
        truth = sentinel2.sky(place, scene).thickness > 0.3
        found = np.isin(read(small, scene, "SCL"), (8, 9, 10))
        assert 0.9 < (truth == found).mean() < 1.0


def test_land_classes_show_the_land_where_the_sky_is_clear(small: Archive, place, scenes) -> None:
    scene = scenes[0]
    sky = sentinel2.sky(place, scene)
    clear = (sky.thickness == 0) & (sky.sunlight > 0.99)
    scl, seen = read(small, scene, "SCL"), place.land_cover
    for code, expected in ((world.WATER, 6), (world.FOREST, 4), (world.DENSE_URBAN, 5)):
        assert (scl[clear & (seen == code)] == expected).mean() > 0.95


def test_shadow_darkens_near_infrared_most(small: Archive, place, scenes) -> None:
    scene = scenes[3]
    sky = sentinel2.sky(place, scene)
    forest = (place.land_cover == world.FOREST) & (sky.thickness == 0)
    dark, lit = forest & (sky.sunlight < 0.55), forest & (sky.sunlight > 0.99)
    ratios = []
    for band in ("B03", "B08"):
        rho = read(small, scene, band) * sentinel2.SCALE + sentinel2.OFFSET
        ratios.append(rho[dark].mean() / rho[lit].mean())
    assert ratios[1] < ratios[0] < 1
    assert 0.4 < ratios[1] < 0.85


def test_item_cloud_cover_is_that_of_the_classification(small: Archive, scenes) -> None:
    for path in (small.folder / "sentinel-2-l2a").glob("*/*.json"):
        item = json.loads(path.read_text("utf-8"))
        (scene,) = [s for s in scenes if f"{s.day:%Y%m%d}" in item["id"]]
        share = 100 * np.isin(read(small, scene, "SCL"), (8, 9, 10)).mean()
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(share, abs=0.01)


def test_shadow_falls_away_from_the_sun(place: World) -> None:
    day = PERIOD.start.date()
    # The sun in the south-east at 45 degrees: shadows lie 1.5 km away in the north-west.
    found = clouds.draw(1, day, (600, 600), 20, cover=0.3, sun=(45.0, 135.0))
    step = round(1500 / 20 / np.sqrt(2))
    shade = 1 - found.sunlight[: 600 - step, : 600 - step]
    cloud = found.thickness[step:, step:]
    here = found.thickness[: 600 - step, : 600 - step]
    aligned, unaligned = (np.corrcoef(shade.ravel(), c.ravel())[0, 1] for c in (cloud, here))
    assert aligned > 0.8 and aligned > unaligned + 0.05


def test_files_are_cloud_optimized(small: Archive) -> None:
    for path in sorted((small.folder / "data/sentinel2").iterdir())[:5]:
        with rasterio.open(path) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert source.compression.name == "deflate"
            assert source.nodata == 0
            assert source.overviews(1)
            assert source.dtypes == (("uint8",) if "SCL" in Path(path).name else ("uint16",))
