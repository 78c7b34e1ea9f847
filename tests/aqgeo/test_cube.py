"""Cubes: the law, and that what is written is what is opened."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.errors import CubeError

UTM = GeoBox.from_bbox(
    (480_000, 4_380_000, 480_000 + 700 * 60, 4_380_000 + 530 * 60), "EPSG:32633", resolution=60
)
LONLAT = GeoBox.from_bbox(
    (3.7, 49.3, 3.7 + 37 / 300, 49.3 + 41 / 300), "EPSG:4326", resolution=1 / 300
)
TINY = GeoBox.from_bbox((0, 0, 100, 100), "EPSG:32633", resolution=100)
GRIDS = pytest.mark.parametrize("where", [UTM, LONLAT, TINY], ids=["projected", "lonlat", "tiny"])


def make(where: GeoBox = LONLAT, days: int = 3, first: int = 0) -> xr.Dataset:
    """Return a cube of all kinds of variables; a day's content follows from its number."""
    shape = where.shape
    rngs = [np.random.default_rng(first + day) for day in range(days)]
    column = np.stack([rng.normal(3e-5, 2e-5, shape) for rng in rngs]).astype("float32")
    column[:, : (shape[0] + 1) // 2, 0] = np.nan
    codes = np.stack([rng.integers(0, 3, shape) for rng in rngs])
    variables = {
        "no2_column": cube.values(column, "mol m-2", long_name="NO2 column"),
        "cloud_class": cube.classes(codes, {1: "thick cloud", 2: "shadow"}, long_name="cloud"),
        "valid": cube.mask(codes == 0, long_name="seen clear"),
    }
    times = np.datetime64("2024-06-01T10:30:31") + np.arange(first, first + days) * 86_400
    return cube.make(variables, times, where)


def digests(store: Path) -> dict[str, str]:
    files = sorted(p for p in store.rglob("*") if p.is_file())
    return {str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_law_lists_all_breaches_at_once() -> None:
    ds = make()
    ds["double"] = ds["no2_column"].astype("float64")
    ds["bare"] = ds["no2_column"].drop_attrs()
    ds["nameless"] = ds["cloud_class"].drop_attrs()
    ds["turned"] = ds["valid"].transpose("x", "y", "time")
    ds = ds.isel(y=slice(None, None, -1), time=[1, 0, 0])
    found = cube.breaches(ds)
    wanted = (
        "y runs the wrong way",
        "time is not unique",
        "double: dtype float64",
        "bare: float32 without",
    )
    for what in (*wanted, "nameless: uint8 without flag_values", "turned: dims"):
        assert sum(line.startswith(what) for line in found) == 1, what
    assert len(found) == 6
    with pytest.raises(CubeError) as caught:
        cube.check(ds)
    assert all(line in str(caught.value) for line in found) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda ds: ds.drop_vars("spatial_ref"), "georeference"),
        (lambda ds: ds.drop_vars("time"), "time is no datetime64"),
        (lambda ds: ds.assign_coords(time=[0, 1, 2]), "time is no datetime64"),
        (lambda ds: ds.isel(time=[0, 0]), "unique"),
        (lambda ds: ds.isel(time=0), "'time' is missing"),
        (lambda ds: ds.rename(x="lon"), "'x' is missing"),
        (lambda ds: ds.isel(x=slice(None, None, -1)), "east must be right"),
        (lambda ds: ds.assign_coords(x=ds.x.to_numpy() ** 2 + 1), "x is not even"),
        (lambda ds: ds.drop_vars("x"), "x has no coordinate"),
    ],
)
def test_a_breach_is_refused_before_anything_is_written(spoil, what: str, tmp_path: Path) -> None:
    with pytest.raises(CubeError, match=what):
        cube.write(spoil(make()), tmp_path / "c.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_cube_without_georeference_has_no_geobox() -> None:
    with pytest.raises(CubeError, match="georeference"):
        cube.geobox(make().drop_vars(["spatial_ref", "x", "y"]))


@GRIDS
def test_what_is_opened_is_what_was_written(where: GeoBox, tmp_path: Path) -> None:
    ds = make(where)
    cube.write(ds, tmp_path / "c.zarr")
    again = cube.open(tmp_path / "c.zarr")
    assert cube.geobox(again) == cube.geobox(ds) == where
    assert again.odc.crs == where.crs
    np.testing.assert_array_equal(again["time"].values, ds["time"].values)
    assert list(again.data_vars) == sorted(ds.data_vars)
    for name, variable in ds.data_vars.items():
        found = again[name]
        assert (found.dims, found.dtype) == (variable.dims, variable.dtype)
        np.testing.assert_array_equal(found.values, variable.values)
        for key, value in variable.attrs.items():
            if key != "grid_mapping":  # kept as an encoding
                assert np.array_equal(found.attrs[key], value), (name, key)
        assert found.encoding["grid_mapping"] == "spatial_ref"


def test_variables_are_in_one_order_wherever_their_folders_lie(tmp_path: Path) -> None:
    ds = make(UTM)
    (name,) = list(ds.data_vars)[:1]
    orders = []
    for prefix in ("A", "z"):
        more = {f"{prefix}{n}": ds[name] for n in (3, 1, 2)}
        cube.write(ds.assign(more), tmp_path / f"{prefix}.zarr")
        names = list(cube.open(tmp_path / f"{prefix}.zarr").data_vars)
        orders.append([n[1:] for n in names if n.startswith(prefix)])
    assert orders == [["1", "2", "3"]] * 2


def test_a_cube_opens_lazily_one_chunk_for_each_stored_one(tmp_path: Path) -> None:
    cube.write(make(UTM), tmp_path / "c.zarr")
    chunks = cube.open(tmp_path / "c.zarr")["no2_column"].chunks
    assert chunks == ((1, 1, 1), (512, 18), (512, 188))


def test_an_opened_cube_can_be_written_again_to_the_same_bytes(tmp_path: Path) -> None:
    cube.write(make(UTM), tmp_path / "a.zarr")
    cube.write(cube.open(tmp_path / "a.zarr"), tmp_path / "b.zarr")
    xr.testing.assert_identical(
        cube.open(tmp_path / "a.zarr").compute(), cube.open(tmp_path / "b.zarr").compute()
    )


@GRIDS
def test_numpy_and_dask_backed_cubes_give_the_same_bytes(where: GeoBox, tmp_path: Path) -> None:
    ds = make(where)
    cube.write(ds, tmp_path / "numpy.zarr")
    cube.write(ds.chunk({"time": -1, "y": 100, "x": 70}), tmp_path / "dask.zarr")
    cube.write(ds, tmp_path / "again.zarr")
    first = digests(tmp_path / "numpy.zarr")
    assert len(first) > 5
    assert first == digests(tmp_path / "dask.zarr") == digests(tmp_path / "again.zarr")


@GRIDS
def test_appending_day_by_day_equals_writing_at_once(where: GeoBox, tmp_path: Path) -> None:
    cube.write(make(where, days=4), tmp_path / "once.zarr")
    for first, days in ((0, 1), (1, 2), (3, 1)):
        cube.append(make(where, days, first), tmp_path / "grown.zarr")
    once, grown = (cube.open(tmp_path / f"{n}.zarr").compute() for n in ("once", "grown"))
    xr.testing.assert_identical(once, grown)
    assert cube.geobox(grown) == where


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_cube_grows_only_forward_in_time(first: int, tmp_path: Path) -> None:
    cube.append(make(first=1, days=2), tmp_path / "c.zarr")
    before = digests(tmp_path / "c.zarr")
    with pytest.raises(CubeError, match="forward in time") as caught:
        cube.append(make(first=first), tmp_path / "c.zarr")
    assert str(tmp_path / "c.zarr") in str(caught.value)
    assert digests(tmp_path / "c.zarr") == before


@pytest.mark.parametrize(
    "other", [make(TINY, first=9), make(first=9).drop_vars("valid")], ids=["grid", "variables"]
)
def test_another_grid_or_other_variables_cannot_be_appended(
    other: xr.Dataset, tmp_path: Path
) -> None:
    cube.append(make(), tmp_path / "c.zarr")
    before = digests(tmp_path / "c.zarr")
    with pytest.raises(CubeError, match="another grid, or other variables"):
        cube.append(other, tmp_path / "c.zarr")
    assert digests(tmp_path / "c.zarr") == before


@pytest.mark.parametrize("kind", ["absent", "empty folder", "file"])
def test_opening_nothing_is_told_in_one_line_with_the_remedy(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("no cube")
    with pytest.raises(CubeError, match="run the stage") as caught:
        cube.open(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["zarr.json", "no2_column/zarr.json", "time/zarr.json"])
@pytest.mark.parametrize("content", [b"", b'{"zarr_format": 3, "node_', b"\xff\xfe\x00\x01"])
def test_a_store_with_damaged_metadata_is_no_cube(
    name: str, content: bytes, tmp_path: Path
) -> None:
    cube.write(make(TINY), tmp_path / "c.zarr")
    (tmp_path / "c.zarr" / name).write_bytes(content)
    with pytest.raises(CubeError):
        cube.open(tmp_path / "c.zarr")


def test_a_store_that_lost_its_times_is_no_cube(tmp_path: Path) -> None:
    cube.write(make(TINY), tmp_path / "c.zarr")
    shutil.rmtree(tmp_path / "c.zarr/time")
    with pytest.raises(CubeError, match="time"):
        cube.open(tmp_path / "c.zarr")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ds: ds["no2_column"].attrs.update(units="umol m-2"),
        lambda ds: ds["cloud_class"].attrs.update(flag_meanings="shadow thick_cloud"),
    ],
    ids=["units", "classes"],
)
def test_other_units_or_classes_cannot_be_appended(spoil: Any, tmp_path: Path) -> None:
    cube.append(make(), tmp_path / "c.zarr")
    later = make(first=9)
    spoil(later)
    with pytest.raises(CubeError, match="other variables, units or classes"):
        cube.append(later, tmp_path / "c.zarr")


def test_a_cube_that_lost_a_variable_is_no_cube(tmp_path: Path) -> None:
    cube.write(make(), tmp_path / "c.zarr")
    shutil.rmtree(tmp_path / "c.zarr" / "valid")
    with pytest.raises(CubeError, match="lost valid"):
        cube.open(tmp_path / "c.zarr")


def test_a_cube_is_never_written_over_another(tmp_path: Path) -> None:
    cube.write(make(), tmp_path / "c.zarr")
    with pytest.raises(CubeError, match="exists"):
        cube.write(make(), tmp_path / "c.zarr")
