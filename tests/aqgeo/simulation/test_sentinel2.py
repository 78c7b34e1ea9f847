"""Scenes: digital numbers, colours, air, clouds, classification, truth, files."""

from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.simulation import atmosphere, instrument, land, noise, sentinel2, smoke, spectra, zoom
from aqgeo.simulation.clouds import SHADOW, THICK, THIN
from aqgeo.simulation.land import Land
from aqgeo.simulation.presets import PRESETS, Preset
from aqgeo.simulation.render import Picture, render
from aqgeo.simulation.sentinel2 import Scene
from aqgeo.simulation.spectra import BANDS_L1C, BANDS_L2A, CLASSES
from aqgeo.simulation.surface import MARGIN_M
from aqgeo.simulation.world import World

SUMMER = date(2024, 7, 1)
COVERS = (
    *(land.WATER, land.SAND, land.BARE), *3 * [land.CONIFER], *5 * [land.FOREST],
    *4 * [land.GRASS], *8 * [land.CROPLAND], land.ROAD, *3 * [land.LOOSE_URBAN],
    *2 * [land.DENSE_URBAN], land.INDUSTRY,
)  # fmt: skip


class Air(NamedTuple):
    """Weather without change."""

    depth: float = 0.15

    def wind(self, when: datetime) -> tuple[float, float]:
        return 4.0, 2.0

    def aerosol(self, day: date) -> float:
        return self.depth


def make_world(
    side_m: int = 6000, pixel: int = 20, preset: str | Preset = "city", north_m: int | None = None
) -> World:
    kind = PRESETS[preset] if isinstance(preset, str) else preset
    corner = Affine(pixel, 0, 540_000, 0, -pixel, 5_220_000)
    shape = (north_m or side_m) // pixel, side_m // pixel
    return World(5, GeoBox(shape, corner, "EPSG:32633"), kind)


def look(grid: GeoBox, relief_m: float = 0.0) -> Land:
    """Land of all covers in patches, fields of 240 m."""
    pixel = grid.affine.a
    patches, height = (
        zoom.field(grid, 2, 5, name, slope=2.8, outer_m=6000) for name in ("patches", "height")
    )
    place = np.floor(len(COVERS) * (0.5 + 0.4999 * np.tanh(patches))).astype("uint8")
    cover = np.array(COVERS, "uint8")[place]
    x = (grid.affine.c + (np.arange(grid.shape[1]) + 0.5) * pixel) // 240
    y = (grid.affine.f - (np.arange(grid.shape[0])[:, None] + 0.5) * pixel) // 240
    lot = np.modf(np.abs(np.sin(x * 12.9898 + y * 78.233)) * 43758.5453)[0].astype("float32")
    zero = np.zeros(grid.shape, "float32")
    texture = noise.white(grid, 5, "texture")
    return Land(grid, cover, lot, texture, 400 + np.float32(relief_m) * height, zero, zero)


class View(NamedTuple):
    """One window and what its files would hold."""

    picture: Picture
    land: Land
    sky: sentinel2.Sky

    def rho(self, level: str, band: str) -> np.ndarray:
        return instrument.decode(self.picture.numbers[level][band], sentinel2.BASELINE)


def see(world: World, scene: Scene, air: Air = Air(), fires=(), relief_m: float = 0.0) -> View:
    plumes = smoke.thickness(world.grid, fires, air.wind(None), 5, 1) if fires else None
    ground = look(zoom.widen(world.grid, MARGIN_M // world.pixel_m), relief_m)
    sky = sentinel2.sky(world, scene, air, world.grid)
    coarse = zoom.coarsen(world.grid, 20 // world.pixel_m)
    guess = sentinel2.guessed_shade(world, scene, air, coarse)
    acquisition = sentinel2.prepare(world, scene, air)
    margin = MARGIN_M // world.pixel_m
    inner = Land(*(_crop(getattr(ground, n), margin) for n in Land.__slots__))
    return View(render(ground, sky, guess, plumes, acquisition), inner, sky)


def _crop(value, margin: int):
    return value if isinstance(value, GeoBox) else value[margin:-margin, margin:-margin]


@pytest.fixture(scope="module")
def clear() -> View:
    return see(make_world(12_000), Scene(SUMMER, "S2A", 0.0, "clear"))


@pytest.fixture(scope="module")
def cloudy() -> View:
    return see(make_world(12_000), Scene(SUMMER, "S2A", 0.5, "cumulus"))


@pytest.mark.parametrize("baseline", ["03.01", "05.10"])
def test_digital_numbers_bring_back_reflectance(baseline: str) -> None:
    rho = np.array([-0.02, -0.001, 0.0, 0.00014, 0.25, 1.0, 1.7, 9.0], "float32")
    numbers = instrument.encode(rho, baseline)
    found = instrument.decode(numbers, baseline)
    assert numbers.min() >= 1 and numbers.max() <= 65534
    np.testing.assert_allclose(found[3:7], rho[3:7], atol=0.51e-4)
    if baseline == "05.10":
        np.testing.assert_allclose(found[:3], rho[:3], atol=0.51e-4)
    else:
        assert (numbers[:3] == 1).all()  # cut, as before baseline 04.00


@pytest.mark.parametrize(
    ("cover", "name"),
    [
        (land.WATER, "water"), (land.FOREST, "leafy"), (land.CONIFER, "conifer"),
        (land.GRASS, "grass"), (land.BARE, "bare"), (land.SAND, "sand"),
        (land.DENSE_URBAN, "urban"), (land.ROAD, "asphalt"),
    ],
)  # fmt: skip
def test_classes_have_the_published_colours(clear: View, cover: int, name: str) -> None:
    where = clear.land.cover == cover
    core = where.copy()
    for shift in ((0, 6), (0, -6), (6, 0), (-6, 0)):
        core &= np.roll(where, shift, (0, 1))
    where = core if core.sum() > 300 else where
    assert where.sum() > 100
    for number, band in enumerate(BANDS_L2A):
        found = clear.rho("l2a", band)
        if found.shape == where.shape:
            expected = CLASSES[name][number]
            assert found[where].mean() == pytest.approx(expected, rel=0.15, abs=0.006), band


def test_truth_is_what_a_clear_scene_shows(clear: View, cloudy: View) -> None:
    np.testing.assert_array_equal(clear.picture.truth, cloudy.picture.truth)
    for number, band in enumerate(BANDS_L2A):
        found = clear.rho("l2a", band)
        found = zoom.shrink(found, found.shape[0] // clear.picture.truth.shape[1])
        error = np.abs(found - clear.picture.truth[number])
        limit = 0.01 + 0.05 * clear.picture.truth[number]  # simulation-facts, section 1; recalled
        assert (error < limit).mean() > 0.95, band
        assert error.max() > 0


def test_air_adds_to_blue_and_takes_from_near_infrared_as_measured(clear: View) -> None:
    # L1C - L2A at four sites (simulation-facts, section 2).
    measured = {"B01": (0.06, 0.15), "B02": (0.04, 0.1), "B03": (0.01, 0.05), "B04": (-0.01, 0.03)}
    for band, (low, high) in measured.items():
        step = np.median(clear.rho("l1c", band)) - np.median(clear.rho("l2a", band))
        assert low < step < high, band
    forest = clear.land.cover == land.FOREST
    ratio = clear.rho("l1c", "B08")[forest].mean() / clear.rho("l2a", "B08")[forest].mean()
    assert 0.87 < ratio < 0.97
    assert 0.2 < clear.rho("l1c", "B09").mean() / clear.rho("l2a", "B09").mean() < 0.45
    dim, bright = (atmosphere.atmosphere(z, 5, 0.15).path["B02"] for z in (30, 70))
    assert bright > 1.3 * dim
    assert "B10" not in clear.picture.numbers["l2a"]


def test_no_light_comes_from_nothing(cloudy: View) -> None:
    for band in BANDS_L1C:
        found = cloudy.rho("l1c", band)
        assert found.min() > -0.005 and found.max() < 1.4, band


def test_noise_follows_the_square_root_of_light() -> None:
    grid = make_world(6000).grid
    for band, sigma, reference in (("B04", 0.0010, 0.224), ("B11", 0.0003, 0.051)):
        for light, factor in ((reference, 1.0), (4 * reference, np.sqrt(3.25)), (0.0, 0.5)):
            flat = np.full(grid.shape, light, "float32")
            instrument.add_noise(flat, band, grid, 1.0, (1, 2))
            assert flat.std() == pytest.approx(sigma * factor, rel=0.05)


def test_cirrus_band_sees_ice_and_not_low_cloud() -> None:
    world = make_world(12_000)
    low = see(world, Scene(SUMMER, "S2A", 0.6, "cumulus"))
    high = see(world, Scene(SUMMER, "S2A", 0.9, "cirrus"))
    droplets = zoom.shrink(low.sky.water, 3) > 8
    droplets &= (zoom.shrink(low.sky.ice, 3) == 0) & (zoom.shrink(low.sky.top_m, 3) < 2000)
    assert droplets.sum() > 50 and low.rho("l1c", "B10")[droplets].max() < 0.006
    ice = zoom.shrink(high.sky.ice, 3)
    assert high.rho("l1c", "B10")[ice > 0.5].min() > 0.02
    nothing = (ice == 0) & (zoom.shrink(high.sky.water, 3) == 0)
    assert high.rho("l1c", "B10")[nothing].max() < 0.004


def test_thick_cloud_hides_the_ground_and_has_its_colours(cloudy: View) -> None:
    thick = cloudy.rho("l2a", "B02") > 0.7
    thick &= cloudy.picture.labels == THICK
    assert thick.sum() > 500
    scale = cloudy.rho("l2a", "B04")[thick].mean() / 0.852
    for band, expected in (("B02", 0.949), ("B08", 0.896), ("B11", 0.552), ("B12", 0.465)):
        assert cloudy.rho("l2a", band)[thick].mean() / scale == pytest.approx(expected, rel=0.12)


def test_shadow_darkens_infrared_more_than_blue(clear: View, cloudy: View) -> None:
    shade = (cloudy.picture.labels == SHADOW) & (clear.land.cover != land.WATER)
    shade &= cloudy.sky.haze < 1.5
    ratio = {
        b: np.median(cloudy.rho("l2a", b)[shade] / np.maximum(clear.rho("l2a", b)[shade], 0.01))
        for b in ("B02", "B08", "B11")
    }
    assert ratio["B11"] < ratio["B08"] < ratio["B02"] < 1
    assert 0.2 < ratio["B08"] < 0.65


def test_plants_follow_the_seasons() -> None:
    world = make_world(6000)
    ndvi = {}
    for month in (1, 4, 6, 10):
        view = see(world, Scene(date(2024, month, 15), "S2A", 0.0, "clear"))
        red, near = view.rho("l2a", "B04"), view.rho("l2a", "B08")
        ratio = (near - red) / (near + red)
        ndvi[month] = [
            np.median(ratio[view.land.cover == c])
            for c in (land.FOREST, land.CROPLAND, land.CONIFER)
        ]
    assert ndvi[6][0] > ndvi[1][0] + 0.3  # leaves
    assert ndvi[6][1] > max(ndvi[1][1], ndvi[10][1]) + 0.05  # crops
    assert abs(ndvi[6][2] - ndvi[1][2]) < 0.1  # conifers


def test_slopes_towards_the_sun_are_bright_and_snow_is_white() -> None:
    hills = make_world(6000, preset=Preset("winter", winter=True, snow=0.6))
    day = Scene(date(2024, 1, 15), "S2A", 0.0, "clear")
    steep, flat = see(hills, day, relief_m=60), see(hills, day)
    north = np.gradient(steep.land.elevation)[0]  # grows southward: faces north
    same = steep.land.cover == land.CONIFER
    ratio = steep.rho("l2a", "B08")[same] / flat.rho("l2a", "B08")[same]
    assert np.corrcoef(ratio, north[same])[0, 1] < -0.4
    blue, short = flat.rho("l2a", "B02"), flat.rho("l2a", "B11")
    white = (blue - short) / (blue + short) > 0.4
    crops = np.isin(flat.land.cover, (land.CROPLAND, land.GRASS))
    assert white[crops].mean() > 0.3
    assert blue[white & crops].mean() > 0.4
    assert (flat.picture.scl[white & crops] == 11).mean() > 0.6


def test_smoke_drifts_downwind_and_veils_blue_more_than_infrared() -> None:
    world = make_world(6000)
    box = world.grid.extent.boundingbox
    x, y = box.left + 1000, box.bottom + 2000
    scene = Scene(SUMMER, "S2A", 0.0, "clear")
    plain, smoky = see(world, scene), see(world, scene, fires=[(x, y, 5000.0)])
    more = {b: smoky.rho("l2a", b) - plain.rho("l2a", b) for b in ("B02", "B12")}
    rows, cols = np.nonzero(more["B02"] > 0.03)
    assert cols.size > 100
    assert (cols * 20 + 10 > 1000 - 60).all()  # none upwind
    assert more["B02"][rows, cols].mean() > 2 * np.abs(more["B12"][rows, cols]).mean()


def test_classification_errs_as_the_processor_does() -> None:
    table = np.zeros((4, 12))
    grid = make_world(3840).grid
    for i, regime in enumerate(2 * ("cumulus", "stratus", "cirrus", "cumulus", "overcast")):
        world = World(i, zoom.shift(grid, 0, 61_440 * i), PRESETS["city"])
        view = see(world, Scene(SUMMER, "S2A", 0.5, regime))
        for label in range(4):
            table[label] += np.bincount(
                view.picture.scl[view.picture.labels == label], minlength=12
            )
    cloud, found = table[[THICK, THIN]], [8, 9, 10]
    # Over many scenes .94, .81 and F1 .57; the facts say .85-.95, .75-.90 and .4-.6.
    assert 0.8 < cloud[:, found].sum() / table[:, found].sum() < 0.985  # user's
    assert 0.7 < cloud[:, found].sum() / cloud.sum() < 0.93  # producer's
    assert table[THIN, found].sum() / table[THIN].sum() < 0.8  # thin cloud is missed
    hits = table[SHADOW, 3]
    assert 0.3 < 2 * hits / (table[SHADOW].sum() + table[:, 3].sum()) < 0.75  # F1
    # Roofs and sand pass for cloud now and then, forest never.
    view = see(make_world(12_000), Scene(SUMMER, "S2A", 0.0, "clear"))
    cloud_like = np.isin(view.picture.scl, (7, 8, 9))
    for cover, low, high in (
        (land.INDUSTRY, 0.05, 0.6),
        (land.SAND, 0.02, 1),
        (land.FOREST, 0, 0.01),
    ):
        assert low <= cloud_like[view.land.cover == cover].mean() <= high, cover


def write(world: World, folder: Path, workers: int) -> sentinel2.Written:
    folder.mkdir()
    stems = {name: folder / f"scene_{name}" for name in ("l1c", "l2a", "labels")}
    scene = Scene(SUMMER, "S2B", 0.4, "cumulus", "03.01")
    fires = [(543_000.0, 5_216_000.0, 2000.0)]
    return sentinel2.write(
        world, scene, stems, look=look, weather=Air(), smoke=fires, workers=workers
    )


def test_files_do_not_depend_on_workers_or_on_the_domain(tmp_path: Path) -> None:
    large = make_world(18_000, north_m=4800)
    one, two = (write(large, tmp_path / str(n), n) for n in (1, 2))
    files = sorted(p.name for p in (tmp_path / "1").iterdir())
    assert len(files) == 13 + 12 + 1 + 1
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    np.testing.assert_array_equal(one.truth, two.truth)
    assert sum(one.shares.values()) == pytest.approx(100)
    corner = large.grid[60:210, 660:840]  # other blocks: no seam shows
    small = write(World(5, corner, large.preset), tmp_path / "small", 2)
    np.testing.assert_array_equal(one.truth[:, 20:70, 220:280], small.truth)
    np.testing.assert_array_equal(one.classes[20:70, 220:280], small.classes)
    for name in files:
        with (
            rasterio.open(tmp_path / "1" / name) as a,
            rasterio.open(tmp_path / "small" / name) as b,
        ):
            k = round(a.res[0]) // 20
            np.testing.assert_array_equal(
                a.read(1)[60 // k : 210 // k, 660 // k : 840 // k], b.read(1), name
            )


def test_files_are_cloud_optimized_and_each_band_has_its_pixels(tmp_path: Path) -> None:
    write(make_world(1800, 10), tmp_path / "fine", 2)
    for path in (tmp_path / "fine").iterdir():
        band = path.stem.split("_")[-1]
        with rasterio.open(path) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert source.compression.name == "deflate"
            expected = {"SCL": 20, "CLOUD": 10}.get(band) or spectra.RESOLUTION_M[band]
            assert source.res == (expected, expected)
            assert source.nodata == (255 if band == "CLOUD" else 0)
            assert source.dtypes == (("uint8",) if band in ("SCL", "CLOUD") else ("uint16",))
