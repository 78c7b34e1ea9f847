"""The real subsets of Delhi: their pixels as in the table made from them, corners that fit."""

import csv
import gzip
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.sources import s5p, s5p_corners, s5p_items

REAL = Path(__file__).parents[3].parent / "shared/data/s5p_l2_delhi"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data: {REAL} is absent")
PRECISION, AMF = f"{s5p.COLUMN}_precision", "air_mass_factor_troposphere"
UTM = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True)


def paths() -> list[Path]:
    return sorted(REAL.glob("*.nc4"))


def metres(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    return np.stack(UTM.transform(lon, lat), axis=-1)


def test_the_folder_gives_an_item_a_granule_and_nothing_is_left_out() -> None:
    items = s5p_items.items(REAL)
    assert [item.assets["no2"].href for item in items] == [str(p.resolve()) for p in paths()]
    kept, notes = s5p_items.resolve(items)
    assert kept == items and notes == []
    for item, path in zip(items, paths(), strict=True):
        with netCDF4.Dataset(path) as nc:
            assert item.id == nc.id
            assert item.properties["sat:absolute_orbit"] == nc.orbit
            assert item.properties["processing:version"] == nc.processor_version


def test_every_pixel_and_field_is_that_of_the_table() -> None:
    table: dict[str, list[dict[str, str]]] = {}
    with gzip.open(next(REAL.glob("*.csv.gz")), "rt") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["sensing_start"], []).append(row)
    compared = 0
    for path in paths():
        rows = table[path.name[20:35]]
        wanted = [
            row
            for row in rows
            if row["no2_trop_mol_m2"] and round(100 * float(row["qa_value"])) > 75
        ]
        granule = s5p.read(path, fields=[PRECISION, AMF])
        for found, key in (
            (granule.column, "no2_trop_mol_m2"),
            (granule.fields[PRECISION], "no2_trop_precision"),
            (granule.fields[AMF], "amf_trop"),
        ):
            np.testing.assert_allclose(found, [float(row[key]) for row in wanted], rtol=1e-5)
        assert granule.pixels == sum(bool(row["no2_trop_mol_m2"]) for row in rows)
        assert sum(granule.skipped.values()) + granule.column.size >= len(rows)
        compared += len(wanted)
    assert compared > 80


def test_a_grid_over_the_city_takes_all_pixels_and_one_elsewhere_none() -> None:
    city = GeoBox.from_bbox((76.9, 28.5, 77.3, 28.9), "EPSG:4326", resolution=0.02)
    other = GeoBox.from_bbox((86.9, 28.5, 87.3, 28.9), "EPSG:4326", resolution=0.02)
    for path in paths():
        whole, part = s5p.read(path), s5p.read(path, where=city)
        assert np.array_equal(whole.column, part.column) and np.array_equal(whole.lon, part.lon)
        assert part.pixels == whole.pixels > 0
        assert s5p.read(path, where=other).pixels == 0


def test_a_kernel_without_its_tropopause_is_refused_by_name() -> None:
    with pytest.raises(s5p.SourceError, match="tm5_tropopause_layer_index"):
        s5p.read(paths()[0], fields=[s5p.KERNEL])


def centres(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lon and lat (s, p) of the centres, and the numbers (p,) of the ground pixels."""
    with netCDF4.Dataset(path) as nc:
        found = (nc[f"PRODUCT/{name}"][0] for name in ("longitude", "latitude"))
        lon, lat = (np.ma.filled(a.astype("float64"), np.nan) for a in found)
        return lon, lat, np.asarray(nc["PRODUCT/ground_pixel"][:])


def test_pixels_have_the_instruments_size_and_no_gaps_or_overlaps() -> None:
    widths, lengths = [], []
    for path in paths():
        lon, lat, numbers = centres(path)
        known = np.isfinite(lon)
        ring = metres(*s5p_corners.rebuild(lon, lat, known))
        sides = np.linalg.norm(np.roll(ring, -1, axis=1) - ring, axis=-1)
        expected = nominal(np.broadcast_to(numbers, lon.shape)[known])
        widths += list((sides[:, 0] + sides[:, 2]) / 2 / expected)
        lengths += list((sides[:, 1] + sides[:, 3]) / 2)
        pixels = shapely.polygons(ring)
        assert shapely.is_valid(pixels).all()
        assert 1 - shapely.union_all(pixels).area / shapely.area(pixels).sum() < 1e-4, path.name
        offset = ring.mean(axis=1) - metres(lon[known], lat[known])
        assert np.linalg.norm(offset, axis=-1).max() < 60
    assert len(widths) > 100
    # Measured: 1.05 to 1.19 times equal steps of view angle, 5.50 to 5.61 km along the track.
    assert 1.0 < min(widths) and max(widths) < 1.25
    assert 5400 < min(lengths) and max(lengths) < 5700


def test_an_extrapolated_edge_is_where_the_next_centre_puts_it() -> None:
    """The accuracy that real data can tell: edges with and without the pixels beyond them."""
    errors = []
    for path in paths():
        lon, lat, _ = centres(path)
        part = np.isfinite(lon).all(axis=1)
        if lon.shape[1] < 4 or part.sum() < 2:
            continue
        full, cut = (slice(None), slice(None, -1))
        rings = []
        for columns in (full, cut):
            some = lon[part][:, columns], lat[part][:, columns]
            wanted = np.zeros(some[0].shape, bool)
            wanted[:, lon.shape[1] - 2] = True
            rings.append(metres(*s5p_corners.rebuild(*some, wanted)))
        errors += list(np.linalg.norm(rings[0] - rings[1], axis=-1).max(axis=-1))
    assert errors and max(errors) < 1  # metres; measured 0.3


def nominal(numbers: np.ndarray) -> np.ndarray:
    """Return widths in metres of 450 equal steps of view angle (simulation-facts, section 4)."""
    view = np.radians(54 * (2 * np.stack([numbers, numbers + 1]) / 450 - 1))
    angle = np.arcsin((1 + 824 / 6371) * np.sin(view)) - view
    return 6_371_000 * np.abs(angle[1] - angle[0])
