"""Days from Sentinel Hub: the very pixels of the service, in one piece, asked for once."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.catalog import Source
from aqgeo.errors import AqgeoError, GridError
from aqgeo.period import Period
from aqgeo.sources import sentinelhub, sentinelhub_plan
from tests.standins.sentinel_hub import ID, PROCESS, SECRET, TOKEN, SentinelHub

JUNE = Period.parse("2024-06")
L2A, L1C, NO2 = "sentinel-2-l2a", "sentinel-2-l1c", "sentinel-5p-l2-no2"
QUICK = sentinelhub.Patience(attempts=3, wait_s=0.01, timeout_s=30)
DAYS = (
    ("S2A_43RFM", "2024-06-03T05:36:51.024Z"),
    ("S2A_43RFL", "2024-06-03T05:37:05Z"),
    ("S2B_43RFM", "2024-06-08T05:36:49Z"),
)
UTM = GeoBox((60, 90), Affine(10, 0, 700_000, 0, -10, 3_150_000), "EPSG:32643")
DEGREES = GeoBox((45, 70), Affine(0.02, 0, 76.84, 0, -0.02, 28.88), "EPSG:4326")
DAY = sentinelhub.Day(JUNE.start, (JUNE.start, JUNE.end), ("one",))
SHOWN = {"B02": 0, "B03": 1, "B04": 2, "B08": 3, "B10": 4, "NO2": 5}


def cells(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the pixels of both grids: one pixel off is another number."""
    step = 10.0 if np.abs(x).max() > 360 else 0.02
    return np.floor(x / step), np.floor(y / step)


def value(band: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    col, row = cells(x, y)
    if band == "SCL":
        return (col + 3 * row) % 12
    number = (7 * col + 31 * row + 101 * SHOWN[band]) % 3001
    # From -0.1 to 0.2: noise below zero is real.
    return (number - 1000) * (1e-8 if band == "NO2" else 1e-4)


def mask(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    col, row = cells(x, y)
    return np.where((col + row) % 11 == 0, 0, 1)


def centres(where: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    col, row = np.meshgrid(np.arange(where.shape.x) + 0.5, np.arange(where.shape.y) + 0.5)
    return where.affine @ (col, row)


def truth(where: GeoBox, band: str) -> np.ndarray:
    """What the grid should show, computed without tiles."""
    x, y = centres(where)
    gap = 0 if band == "SCL" else np.nan
    return np.where(mask(x, y) == 1, value(band, x, y), gap)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", ID)
    monkeypatch.setenv("SH_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def service(keys: None) -> Iterator[SentinelHub]:
    with SentinelHub(value, mask, DAYS) as standin:
        yield standin


def planned(service: SentinelHub, collection: str = L2A, where: GeoBox = UTM, **how):
    source = service.source(**how.pop("source", {}))
    return sentinelhub.plan(source, collection, where, JUNE, patience=QUICK, **how)


def shown(plan: sentinelhub.Plan, folder: Path, number: int = 0):
    day = sentinelhub.read(plan, plan.days[number], folder, patience=QUICK)
    assert day is not None
    return day


def refusal(call, *args, **how) -> str:
    with pytest.raises(AqgeoError) as caught:
        call(*args, **how)
    text = str(caught.value)
    assert "\n" not in text and SECRET not in text and "token-" not in text
    return text


def test_a_day_of_l2a_is_the_cube_that_the_reader_of_files_gives(service, tmp_path):
    plan = planned(service)
    day = shown(plan, tmp_path)
    cube.check(day)
    assert set(day.data_vars) == {"B02", "B03", "B04", "B08", "SCL"}
    assert cube.geobox(day) == UTM
    assert day.time.values[0] == np.datetime64("2024-06-03T05:36:51")
    for band in ("B02", "B03", "B04", "B08"):
        assert day[band].attrs["units"] == "1"
        np.testing.assert_allclose(day[band].values[0], truth(UTM, band), atol=2e-8)
        assert (day[band].values < 0).any()
    np.testing.assert_array_equal(day["SCL"].values[0], truth(UTM, "SCL"))


def test_days_append_to_a_cube(service, tmp_path):
    plan = planned(service)
    for number in range(len(plan.days)):
        cube.append(shown(plan, tmp_path / "replies", number), tmp_path / "cube.zarr")
    assert cube.open(tmp_path / "cube.zarr").sizes["time"] == 2


def test_l1c_has_bands_but_no_classes(service, tmp_path):
    plan = planned(service, L1C, bands=("B04", "B10"))
    day = shown(plan, tmp_path)
    assert list(day.data_vars) == ["B04", "B10"]
    np.testing.assert_allclose(day["B10"].values[0], truth(UTM, "B10"), atol=2e-8)
    assert day["B10"].attrs["long_name"] == "top-of-atmosphere reflectance, B10"


@pytest.mark.parametrize("where", [UTM, DEGREES], ids=["utm", "degrees"])
def test_no2_keeps_its_noise_and_its_gaps(service, tmp_path, where):
    plan = planned(service, NO2, where)
    day = shown(plan, tmp_path)
    assert list(day.data_vars) == ["no2_column"]
    assert day["no2_column"].attrs["units"] == "mol m-2"
    np.testing.assert_array_equal(
        day["no2_column"].values[0], truth(where, "NO2").astype("float32")
    )


@pytest.mark.parametrize("small", [UTM, DEGREES], ids=["utm", "degrees"])
@pytest.mark.parametrize("side", [512, 1024])
def test_tiles_join_without_a_seam(service, tmp_path, small, side):
    where = GeoBox((700, 1100), small.affine, small.crs)
    plan = planned(service, NO2, where)
    whole = shown(plan, tmp_path / "whole").load()
    tiled = replace(plan, side=side)
    assert [(t.width, t.height) for t in tiled.tiles] == [
        (min(side, 1100 - col), min(side, 700 - row))
        for row in range(0, 700, side)
        for col in range(0, 1100, side)
    ]
    assert shown(tiled, tmp_path / "tiles").load().identical(whole)
    # Neighbours share the very same edge, to the last digit.
    lefts, rights = ({t.bbox[n] for t in tiled.tiles} for n in (0, 2))
    bottoms, tops = ({t.bbox[n] for t in tiled.tiles} for n in (1, 3))
    assert len(lefts - rights) == len(rights - lefts) == 1
    assert len(tops - bottoms) == len(bottoms - tops) == 1


def test_a_region_wider_than_a_request_is_asked_for_in_tiles_of_whole_chunks(service, tmp_path):
    where = GeoBox((30, 2600), UTM.affine, UTM.crs)
    plan = planned(service, where=where, bands=("B04",))
    assert [(t.width, t.height) for t in plan.tiles] == [(2048, 30), (552, 30)]
    day = shown(plan, tmp_path)
    np.testing.assert_allclose(day["B04"].values[0], truth(where, "B04"), atol=2e-8)


def test_every_request_says_what_it_wants(service, tmp_path):
    shown(planned(service), tmp_path)
    shown(planned(service, NO2), tmp_path, 1)
    s2, s5p = service.payloads
    (s2_data,), (s5p_data,) = s2["input"]["data"], s5p["input"]["data"]
    assert s2_data["processing"]["harmonizeValues"] is False
    assert s2["input"]["bounds"]["bbox"] == [700_000, 3_149_400, 700_900, 3_150_000]
    # The Sun's day at 77.05 degrees east.
    span = {"from": "2024-06-02T18:51:48Z", "to": "2024-06-03T18:51:47Z"}
    assert s2_data["dataFilter"]["timeRange"] == span
    # Inclusive there, exclusive here, and stored in hundredths.
    assert s5p_data["processing"]["minQa"] == 76


def test_days_are_those_of_the_sun_and_stay_within_the_period(service):
    service.products = (
        ("a", "2024-06-09T23:50:00Z"),
        ("b", "2024-06-10T00:10:00Z"),
        ("before", "2024-05-31T23:59:59Z"),
        ("after", "2024-07-01T00:00:00Z"),
        ("last", "2024-06-30T23:30:00Z"),
    )
    where = GeoBox((5, 5), Affine(0.1, 0, 179.0, 0, -0.1, 10.0), "EPSG:4326")
    days = planned(service, where=where).days
    assert [day.products for day in days] == [("a", "b"), ("last",)]
    assert all(span in JUNE for day in days for span in day.span)
    assert [search.get("next") for search in service.searches] == [None, 2]


def test_a_day_without_data_is_left_out(service, tmp_path):
    service.mask = lambda x, y: np.zeros(x.shape)
    plan = planned(service)
    assert sentinelhub.read(plan, plan.days[0], tmp_path, patience=QUICK) is None
    assert sentinelhub.read(plan, plan.days[0], tmp_path, patience=QUICK) is None
    assert service.times(PROCESS) == 1


def test_a_zero_with_data_is_a_value_and_saturation_is_not(service, tmp_path):
    service.mask = lambda x, y: np.ones(x.shape)
    service.value = lambda band, x, y: np.where(cells(x, y)[0] % 2 == 0, 0.0, 6.6)
    day = shown(planned(service, bands=("B04",)), tmp_path)
    np.testing.assert_allclose(day["B04"].values[0, :, 0], 0, atol=2e-8)
    assert np.isnan(day["B04"].values[0, :, 1]).all()


def test_nothing_is_asked_for_twice_even_if_a_tile_is_lost(service, tmp_path, monkeypatch):
    where = GeoBox((520, 1600), UTM.affine, UTM.crs)
    plan = replace(planned(service, where=where, bands=("B04",)), side=512)
    first = shown(plan, tmp_path).load()
    assert service.times(PROCESS) == 8
    whole, broken, *_ = sorted(tmp_path.glob("*.tif"))
    whole.unlink()
    broken.write_bytes(broken.read_bytes()[:-900])
    assert shown(plan, tmp_path).load().identical(first)
    assert service.times(PROCESS) == 10
    assert service.most_at_once <= sentinelhub.PARALLEL
    assert service.times(TOKEN) == 1
    monkeypatch.delenv("SH_CLIENT_SECRET")
    assert shown(plan, tmp_path).load().identical(first)


def test_newer_products_of_a_day_are_asked_for_anew(service, tmp_path):
    shown(planned(service), tmp_path)
    service.products = (("S2A_43RFM_reprocessed", DAYS[0][1]), *DAYS[1:])
    shown(planned(service), tmp_path)
    assert service.times(PROCESS) == 2


def test_a_day_is_read_chunk_by_chunk(service, tmp_path):
    day = shown(planned(service), tmp_path)
    assert all(dask.is_dask_collection(variable.data) for variable in day.data_vars.values())
    assert not list(tmp_path.glob("*.part"))


def test_a_plan_tells_the_price_and_charges_nothing(service):
    plan = planned(service)
    told = json.loads(json.dumps(plan.told()))
    # Five bands of 90 x 60 pixels, twice.
    assert told["processing_units"] == pytest.approx(2 * 90 * 60 / 512**2 * 5 / 3, abs=1e-3)
    assert told["requests"] == 2
    assert [day["products"] for day in told["days"]] == [["S2A_43RFL", "S2A_43RFM"], ["S2B_43RFM"]]
    assert "requests    2, 1 a day" in str(plan)
    assert service.times(PROCESS) == 0
    assert "minQa 76 was asked for" in " ".join(planned(service, NO2).notes)
    assert plan.attribution.startswith("Contains modified Copernicus Sentinel data 2024,")


@pytest.mark.parametrize(
    ("size", "bands", "wide", "units"),
    [
        ((512, 512), 3, False, 1.0),
        ((512, 512), 3, True, 2.0),
        ((1024, 512), 5, False, 10 / 3),
        ((30, 30), 1, True, 0.01 / 3 * 2),
        ((30, 30), 1, False, 0.005),
    ],
)
def test_prices_are_those_of_the_documentation(size, bands, wide, units):
    assert sentinelhub_plan.processing_units(*size, bands, wide=wide) == pytest.approx(units)


def test_days_count_the_same_in_the_mean():
    days = 1e-4 * np.array([[[1, np.nan, -2, 5]], [[3, np.nan, np.nan, 5]], [[8, np.nan, -4, 5]]])
    where = GeoBox((1, 4), UTM.affine, UTM.crs)
    times = np.array(["2024-06-01", "2024-06-02", "2024-06-05"], "datetime64[s]")
    series = cube.make({"no2_column": cube.values(days, "mol m-2")}, times, where)
    mean = sentinelhub.composite(series, JUNE)
    assert mean.time.values == JUNE.time
    near = {"rtol": 1e-6}
    np.testing.assert_allclose(mean["no2_column"][0, 0], [4e-4, np.nan, -3e-4, 5e-4], **near)
    sigma = [np.std([1e-4, 3e-4, 8e-4], ddof=1) / 3**0.5, np.nan, 1e-4, 0]
    np.testing.assert_allclose(mean["no2_column_sigma"][0, 0], sigma, **near)
    np.testing.assert_array_equal(mean["valid_count"][0, 0], [3, 0, 2, 3])


@pytest.mark.parametrize("bands", [("B4",), ("B04", "B04"), (), ('B04"]; evil(); ["',), ("SCL",)])
def test_only_bands_of_the_collection_reach_the_evalscript(service, bands):
    assert "choose from B01, B02" in refusal(planned, service, bands=bands)


def test_grids_that_the_service_cannot_render_are_refused(service):
    turned = GeoBox((4, 4), Affine(1, 1, 0, 1, -1, 0), "EPSG:32643")
    unknown = GeoBox((4, 4), Affine(1, 0, 0, 0, -1, 0), "+proj=sinu")
    for where in (turned, unknown):
        with pytest.raises(GridError):
            planned(service, where=where)


def test_sentinel5p_of_the_main_service_is_asked_where_it_lies():
    names = {L2A: "sentinel-2-l2a", NO2: "sentinel-5p-l2"}
    cdse = Source("cdse", "-", "https://sh.dataspace.copernicus.eu", "sentinelhub", names)
    main = Source("hub", "-", "https://services.sentinel-hub.com", "sentinelhub", names)
    told = {
        (source.name, collection): sentinelhub.Plan(
            source, collection, UTM, ("NO2",), None, (DAY,)
        ).told()["service"]
        for source in (cdse, main)
        for collection in names
    }
    assert told == {
        ("cdse", L2A): "https://sh.dataspace.copernicus.eu",
        ("cdse", NO2): "https://sh.dataspace.copernicus.eu",
        ("hub", L2A): "https://services.sentinel-hub.com",
        ("hub", NO2): "https://creodias.sentinel-hub.com",
    }


def test_a_period_without_products_is_an_error(service):
    service.products = ()
    assert "has no product of 'sentinel-2-l2a'" in refusal(planned, service)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the evalscripts")
@pytest.mark.parametrize(
    ("collection", "kind"), [(L2A, "UINT16"), (L1C, "UINT16"), (NO2, "FLOAT32")]
)
def test_evalscripts_run_and_ask_for_what_the_reader_expects(service, tmp_path, collection, kind):
    shown(planned(service, collection), tmp_path)
    script = service.payloads[-1]["evalscript"]
    sample = {"B02": -0.05, "B03": 0, "B04": 0.3, "B08": 1, "SCL": 4, "NO2": -1e-6, "dataMask": 1}
    ask = f"{script}\nconsole.log(JSON.stringify([setup(), evaluatePixel({json.dumps(sample)})]))"
    done = subprocess.run(["node", "-e", ask], capture_output=True, check=True, text=True)
    setup, pixel = json.loads(done.stdout)
    bands = setup["input"][0]["bands"]
    assert setup["output"] == {"id": "default", "bands": len(bands), "sampleType": kind}
    assert bands[-1] == "dataMask"
    expected = {L2A: [500, 1000, 4000, 11000, 4, 1], L1C: [500, 1000, 4000, 11000, 1]}
    assert pixel == expected.get(collection, [-1e-6, 1])
