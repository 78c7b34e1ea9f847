"""Bad granules: each ends in one clear line, at once and in little memory."""

import ctypes
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from aqgeo.errors import SourceError
from aqgeo.sources import s5p

NEEDED = (s5p.COLUMN, "qa_value", "longitude", "latitude")
BOUNDS = ("longitude_bounds", "latitude_bounds")
PLACE = "SUPPORT_DATA/GEOLOCATIONS"
SHAPE = (1, 6, 5)


def write(path: Path, *, shape=SHAPE, skip: Collection[str] = (), **how) -> Path:
    """Write a small granule; `how` goes to every variable."""
    with netCDF4.Dataset(path, "w") as nc:
        product = nc.createGroup("PRODUCT")
        for name, size in zip(("time", "scanline", "ground_pixel"), shape, strict=True):
            product.createDimension(name, size)
        product.createDimension("corner", 4)
        for name in NEEDED:
            if name not in skip:
                fill(product.createVariable(name, "f4", tuple(product.dimensions)[:3], **how))
        for name in set(BOUNDS) - set(skip):
            fill(product.createVariable(f"{PLACE}/{name}", "f4", tuple(product.dimensions), **how))
    return path


def fill(variable: netCDF4.Variable) -> None:
    lines, pixels = variable.shape[1:3]
    if lines * pixels * variable.shape[0] > 1000 or not variable.shape[0]:
        return
    lon, lat = np.meshgrid(0.05 * np.arange(pixels), 0.05 * np.arange(lines))
    side = 0.025 * np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]])
    variable[:] = {
        s5p.COLUMN: np.full(lon.shape, 1e-5),
        "qa_value": np.ones(lon.shape),
        "longitude": lon,
        "latitude": lat,
        "longitude_bounds": lon[..., None] + side[0],
        "latitude_bounds": lat[..., None] + side[1],
    }[variable.name]
    variable.units = "mol m-2" if variable.name == s5p.COLUMN else "1"


def change(path: Path, act: Callable[[netCDF4.Group], object]) -> Path:
    with netCDF4.Dataset(path, "a") as nc:
        nc.set_auto_maskandscale(False)
        act(nc["PRODUCT"])
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.nc")


@pytest.fixture(autouse=True)
def _soon_and_small() -> Iterator[None]:
    begin = time.process_time()
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6 and time.process_time() - begin < 3


def refusal(path: Path, **how) -> str:
    with pytest.raises(SourceError) as caught:
        s5p.read(path, **how)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line and ": " in line
    return line


def test_the_file_that_the_others_are_made_from_is_good(path: Path) -> None:
    assert s5p.read(path).column.size == 30


CONTENT = {
    "page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
    "page after a blank": (b"\xef\xbb\xbf\r\n <html>", "HTML"),
    "xml": (b'<?xml version="1.0"?><Error/>', "XML"),
    "json": (b'{"detail": "expired"}', "JSON"),
    "gzip": (b"\x1f\x8b\x08\x00", "unpack it"),
    "empty": (b"", "empty"),
    "classic": (b"CDF\x01\x00\x00\x00\x00", "classic"),
    "noise": (bytes(range(256)), "no netCDF-4"),
    "begin of HDF5": (b"\x89HDF\r\n\x1a\n", "fetch it again"),
    "HDF5 and noise": (b"\x89HDF\r\n\x1a\n" + bytes(range(256)), "fetch it again"),
}


@pytest.mark.parametrize("kind", CONTENT)
def test_what_is_no_netcdf_is_told_by_its_kind(kind: str, path: Path) -> None:
    content, told = CONTENT[kind]
    path.write_bytes(content)
    assert told in refusal(path)


def test_a_zip_archive_and_what_is_no_file_are_told(tmp_path: Path, path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip.nc", "w") as archive:
        archive.write(path)
    assert "unpack it" in refusal(tmp_path / "zip.nc")
    os.mkfifo(tmp_path / "pipe.nc")
    for name in ("pipe.nc", "absent.nc", ""):
        assert "is no file" in refusal(tmp_path / name)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95, 0.999])
def test_a_file_that_was_cut_short_is_told(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "fetch it again" in refusal(path)


def test_a_damaged_part_of_the_data_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", compression="zlib")
    noise = np.random.default_rng(0).random((1, 6, 5))

    def add(product: netCDF4.Group) -> None:
        pixel = ("time", "scanline", "ground_pixel")
        product.createVariable("noise", "f8", pixel, compression="zlib", shuffle=False)[:] = noise

    content = change(path, add).read_bytes()
    at = content.index(zlib.compress(noise.tobytes(), 4)[:60])
    path.write_bytes(content[: at + 20] + bytes(20) + content[at + 40 :])
    assert s5p.read(path).column.size == 30  # what is not asked for is not read
    assert "fetch it again" in refusal(path, fields=["noise"])


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_variable_is_named(name: str, tmp_path: Path) -> None:
    assert name in refusal(write(tmp_path / "a.nc", skip=[name]))


def test_a_missing_group_is_named(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as nc:
        nc.createVariable("PRODUCT", "f4", ())
    assert "no group PRODUCT" in refusal(tmp_path / "a.nc")


@pytest.mark.parametrize("times", [0, 2])
def test_anything_but_one_time_is_refused(times: int, tmp_path: Path) -> None:
    line = refusal(write(tmp_path / "a.nc", shape=(times, 6, 5)))
    # A dimension of 0 is an unlimited one in netCDF, without a step as yet.
    assert f"({times}, 6, 5)" in line


@pytest.mark.parametrize("name", [*NEEDED[1:], "longitude_bounds"])
def test_dimensions_that_do_not_fit_are_told(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", skip=[name])

    def grow(product: netCDF4.Group) -> None:
        group = product[PLACE] if "bounds" in name else product
        group.createDimension("longer", 7)
        more = ("corner",) if "bounds" in name else ()
        group.createVariable(name, "f4", ("time", "longer", "ground_pixel", *more))

    line = refusal(change(path, grow))
    assert name in line and "7" in line and "6" in line


def test_pixels_with_other_than_four_corners_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", skip=BOUNDS)

    def three(product: netCDF4.Group) -> None:
        product.createDimension("three", 3)
        dims = ("time", "scanline", "ground_pixel", "three")
        for name in BOUNDS:
            product.createVariable(f"{PLACE}/{name}", "f4", dims)[:] = 0

    assert "3" in refusal(change(path, three))


@pytest.mark.parametrize("name", BOUNDS)
def test_one_of_the_bounds_alone_is_told(name: str, tmp_path: Path) -> None:
    assert repr(name) in refusal(write(tmp_path / "a.nc", skip=[name]))


@pytest.mark.parametrize("shape", [(1, 10**9, 10**9), (1, 2**31, 450), (10**9, 6, 5)])
def test_absurd_dimensions_are_refused_before_anything_is_read(shape, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", shape=shape)
    assert str(shape[1]) in refusal(path)


def test_layers_without_end_and_giant_chunks_are_refused(path: Path) -> None:
    def add(product: netCDF4.Group) -> None:
        product.createDimension("layer", 10**8)
        product.createDimension("endless", None)
        pixel = ("time", "scanline", "ground_pixel")
        product.createVariable("deep", "f4", (*pixel, "layer"), chunksizes=(1, 1, 1, 9))
        product.createVariable("wide", "f4", (*pixel, "endless"), chunksizes=(1, 6, 5, 10**7))

    change(path, add)
    for name in ("deep", "wide"):
        assert f"{name} has" in refusal(path, fields=[name])


@pytest.mark.parametrize("kind", [str, "S1"])
@pytest.mark.parametrize("name", NEEDED)
def test_text_in_place_of_numbers_is_refused(name: str, kind, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", skip=[name])

    def add(product: netCDF4.Group) -> None:
        product.createVariable(name, kind, ("time", "scanline", "ground_pixel"))

    assert f"{name} holds no plain numbers" in refusal(change(path, add))


def test_numbers_of_a_kind_of_the_users_own_are_refused(path: Path) -> None:
    def add(product: netCDF4.Group) -> None:
        pair = product.createCompoundType(np.dtype([("a", "f4"), ("b", "f4")]), "pair")
        many = product.createVLType(np.float32, "many")
        for name, kind in (("pair_of", pair), ("many_of", many)):
            product.createVariable(name, kind, ("time", "scanline", "ground_pixel"))

    change(path, add)
    for name in ("pair_of", "many_of"):
        assert "no plain numbers" in refusal(path, fields=[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, "0.01", np.array([0.01, 0.1])])
@pytest.mark.parametrize("name", NEEDED)
def test_a_scale_that_is_no_number_is_refused(name: str, value, path: Path) -> None:
    change(path, lambda product: product[name].setncattr("scale_factor", value))
    line = refusal(path)
    assert name in line and "scale_factor" in line


def test_an_offset_that_is_no_number_is_refused(path: Path) -> None:
    change(path, lambda product: product["latitude"].setncattr("add_offset", np.nan))
    assert "add_offset" in refusal(path)


@pytest.mark.parametrize("value", [1.3, -0.2, 200, 25_500])
def test_quality_beyond_its_range_is_refused(value: float, path: Path) -> None:
    change(path, lambda product: product["qa_value"].__setitem__((0, 0, 0), value))
    assert "qa_value reaches" in refusal(path)


@pytest.mark.parametrize("bound", [75, -0.1, 1.01, float("nan")])
def test_a_bound_beyond_its_range_is_refused(bound: float, path: Path) -> None:
    with pytest.raises(SourceError, match=r"not in 0 to 1"):
        s5p.read(path, min_qa=bound)


def test_all_fill_and_no_quality_are_no_errors_but_no_pixels(path: Path) -> None:
    change(path, lambda product: product["qa_value"].__setitem__(slice(None), 0))
    granule = s5p.read(path)
    assert (granule.column.size, granule.pixels, granule.best_qa) == (0, 30, 0)
    assert granule.skipped == {"fill": 0, "qa": 30, "implausible": 0, "corners": 0}
    change(path, lambda product: product[s5p.COLUMN].__setitem__(slice(None), 9.96921e36))
    granule = s5p.read(path)
    assert (granule.pixels, granule.skipped["fill"]) == (0, 30) and np.isnan(granule.best_qa)


@pytest.mark.parametrize("value", [np.nan, 9.96921e36, np.inf, 361, -1e9])
@pytest.mark.parametrize("name", BOUNDS)
def test_pixels_with_impossible_corners_are_counted(name: str, value: float, path: Path) -> None:
    change(path, lambda product: product[PLACE][name].__setitem__((0, 2, slice(0, 2), 3), value))
    granule = s5p.read(path)
    assert granule.skipped["corners"] == 2 and granule.column.size == granule.lon.shape[0] == 28


def test_pixels_without_centres_have_no_corners_and_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", skip=BOUNDS)
    change(path, lambda product: product["longitude"].__setitem__(slice(None), 9.96921e36))
    granule = s5p.read(path)
    assert (granule.column.size, granule.skipped["corners"]) == (0, 30)


def hdf5() -> ctypes.PyDLL:
    """Return netCDF4's own HDF5, to make what netCDF cannot."""
    library = ctypes.PyDLL(import_module("netCDF4._netCDF4").__file__)
    number, text = ctypes.c_int64, ctypes.c_char_p
    for name, arguments in {
        "H5Fopen": (text, ctypes.c_uint, number),
        "H5Fclose": (number,),
        "H5Lcreate_soft": (text, number, text, number, number),
        "H5Lcreate_hard": (number, text, number, text, number, number),
        "H5Lcreate_external": (text, text, number, text, number, number),
    }.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            pytest.skip("netCDF4 is linked with HDF5 in a way that hides it")
        function.argtypes = arguments
        function.restype = number if name == "H5Fopen" else ctypes.c_int
    return library


LINKS: dict[str, Callable[[ctypes.PyDLL, int], int]] = {
    "external group": lambda h, f: h.H5Lcreate_external(b"b.nc", b"/PRODUCT", f, b"MORE", 0, 0),
    "external variable": lambda h, f: h.H5Lcreate_external(
        b"b.nc", b"/PRODUCT/latitude", f, b"PRODUCT/more", 0, 0
    ),
    "external to nothing": lambda h, f: h.H5Lcreate_external(b"/x", b"/y", f, b"MORE", 0, 0),
    "soft to itself": lambda h, f: h.H5Lcreate_soft(b"/PRODUCT/a", f, b"/PRODUCT/a", 0, 0),
    "soft to its parent": lambda h, f: h.H5Lcreate_soft(b"/PRODUCT", f, b"/PRODUCT/a", 0, 0),
    "hard to the root": lambda h, f: h.H5Lcreate_hard(f, b"/", f, b"/PRODUCT/a", 0, 0),
    "hard to its parent": lambda h, f: h.H5Lcreate_hard(f, b"/PRODUCT", f, b"PRODUCT/a", 0, 0),
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_out_of_the_file_or_in_a_circle_are_refused(kind: str, path: Path) -> None:
    write(path.with_name("b.nc"))
    library = hdf5()
    file = library.H5Fopen(bytes(path), 1, 0)
    assert LINKS[kind](library, file) >= 0
    library.H5Fclose(file)
    assert "link" in refusal(path)


def test_a_missing_filter_is_told_with_what_to_do(tmp_path: Path) -> None:
    try:
        path = write(tmp_path / "a.nc", compression="zstd")
    except RuntimeError:
        pytest.skip("this netCDF has no filter beyond the built-in ones")
    assert s5p.read(path).column.size == 30
    code = "import sys; from pathlib import Path; from aqgeo.sources import s5p\n"
    code += "try: s5p.read(Path(sys.argv[1]))\nexcept s5p.SourceError as err: print(err)"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "HDF5_PLUGIN_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "HDF5_PLUGIN_PATH" in ran.stdout and str(path) in ran.stdout


def test_data_that_lie_in_another_file_are_refused(path: Path) -> None:
    library, number = hdf5(), ctypes.c_int64
    for name in ("H5Pcreate", "H5Screate_simple", "H5Dcreate2"):
        getattr(library, name).restype = number
    library.H5open()
    size = (ctypes.c_uint64 * 3)(*SHAPE)
    space = number(library.H5Screate_simple(3, size, None))
    kind = number.in_dll(library, "H5P_CLS_DATASET_CREATE_ID_g")
    plan = number(library.H5Pcreate(kind))
    other = path.with_name("secret").resolve()
    other.write_bytes(bytes(120))
    size_120 = ctypes.c_uint64(120)
    assert library.H5Pset_external(plan, bytes(other), ctypes.c_int64(0), size_120) >= 0
    file = library.H5Fopen(bytes(path), 1, 0)
    single = number.in_dll(library, "H5T_IEEE_F32LE_g")
    made = library.H5Dcreate2(
        number(file), b"PRODUCT/elsewhere", single, space, number(0), plan, number(0)
    )
    assert made > 0
    library.H5Dclose(number(made))
    library.H5Fclose(file)
    assert "'PRODUCT/elsewhere' lie in another file" in refusal(path)
