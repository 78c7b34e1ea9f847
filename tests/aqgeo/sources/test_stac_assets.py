"""From a search to files on disk: which address is fetched, and what the items then say."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote import http
from aqgeo.sources import sentinel2, stac_api, stac_assets
from tests.standins.server import Server
from tests.standins.stac_api import StacApi

GRID = GeoBox((16, 16), Affine(60, 0, 500_000, 0, -60, 5_200_960), "EPSG:32633")
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(**assets: dict[str, Any]) -> pystac.Item:
    box = [14.9, 46.9, 15.1, 47.1]
    ring = [[box[i], box[j]] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))]
    when = datetime(2024, 6, 3, 10, tzinfo=UTC)
    outline = {"type": "Polygon", "coordinates": [ring]}
    made = pystac.Item("scene", outline, box, when, {"s2:processing_baseline": "05.10"})
    for key, fields in assets.items():
        made.add_asset(key, pystac.Asset.from_dict(fields))
    return made


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"href": "https://a.b/x", "type": COG}, "tiff"),
        ({"href": "https://a.b/x.jp2"}, "jp2"),
        ({"href": "https://a.b/x.jp2?sig=y.nc"}, "jp2"),
        ({"href": "https://a.b/x.nc", "type": "application/x-netcdf"}, "netcdf"),
        ({"href": "https://a.b/MTD.xml", "type": "application/xml"}, "xml"),
        ({"href": "https://a.b/x", "type": "application/octet-stream"}, None),
        ({"href": "https://a.b/x"}, None),
    ],
)
def test_the_kind_of_file_is_told_by_media_type_or_suffix(fields: dict, kind: str | None) -> None:
    assert stac_assets.remotes(item(B04=fields), ["B04"])["B04"].kind == kind


def test_size_and_checksum_are_taken_where_they_are_some() -> None:
    href, checksum = {"href": "https://a.b/x.tif"}, "1220" + "Ab" * 32
    told = href | {"file:size": 17, "file:checksum": checksum}
    good = stac_assets.remotes(item(B04=told), ["B04"])["B04"]
    assert (good.size, good.checksum) == (17, checksum.lower())
    for size, text in ((-1, "xyz"), ("17", 5), (True, "abc"), (1.5, None)):
        odd = href | {"file:size": size, "file:checksum": text}
        found = stac_assets.remotes(item(B04=odd), ["B04"])["B04"]
        assert (found.size, found.checksum) == (None, None)


def test_of_several_addresses_https_is_taken_unless_s3_is_asked_for() -> None:
    told = {
        "href": "s3://eodata/B04.jp2",
        "alternate": {"https": {"href": "https://download.example.com/B04.jp2"}, "odd": 3},
    }
    one = item(B04=told)
    assert stac_assets.remotes(one, ["B04"])["B04"].url == "https://download.example.com/B04.jp2"
    assert stac_assets.remotes(one, ["B04"], by_s3=True)["B04"].url == "s3://eodata/B04.jp2"
    told["alternate"]["https"]["href"] = "file:///etc/passwd"
    assert stac_assets.remotes(item(B04=told), ["B04"])["B04"].url == "s3://eodata/B04.jp2"


@pytest.mark.parametrize(
    "href",
    ["file:///etc/passwd", "/vsicurl/https://a.b/x", "/etc/passwd", "../x.tif", "ftp://a.b/x",
     "https://me:secret@a.b/x", "https:///x", "https://a.b/x y", "http://[::1/x"],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused_without_its_secrets(href: str) -> None:
    with pytest.raises(SourceError, match=r"scene.*'B04'") as caught:
        stac_assets.remotes(item(B04={"href": href}), ["B04"])
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_missing_asset_is_answered_with_those_there_are() -> None:
    with pytest.raises(SourceError, match=r"no asset 'B04': it has B02"):
        stac_assets.remotes(item(B02={"href": "https://a.b/x"}), ["B04"])


def test_a_local_item_differs_in_what_was_fetched_and_names_where_from(tmp_path: Path) -> None:
    one = item(B02={"href": "https://a.b/2.tif?sig=s"}, B04={"href": "https://a.b/4.tif?sig=s#f"})
    before = one.to_dict()
    local = stac_assets.localise(one, {"B04": tmp_path / "x"})
    assert one.to_dict() == before
    assert local.assets["B04"].href == str(tmp_path / "x")
    assert local.assets["B04"].extra_fields == {stac_assets.SOURCE_FIELD: "https://a.b/4.tif"}
    local.assets["B04"] = one.assets["B04"]
    assert local.to_dict() == before


def test_the_netcdf_of_a_granule_is_found_whatever_it_is_called() -> None:
    nc, thumb = {"href": "https://a.b/x.nc"}, {"href": "https://a.b/x.png"}
    assert stac_assets.netcdf_key(item(thumb=thumb, product=nc)) == "product"
    assert stac_assets.netcdf_key(item(other=nc, no2=nc)) == "no2"
    for assets in ({"thumb": thumb}, {"a": nc, "b": nc}):
        with pytest.raises(SourceError, match="scene"):
            stac_assets.netcdf_key(item(**assets))


def test_a_scene_goes_from_the_search_through_the_cache_onto_the_grid(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(1500, 9000, (16, 16)).astype("uint16")
    for name, data in (("B04", numbers), ("SCL", np.full((16, 16), 4, "uint8"))):
        how = {"width": 16, "height": 16, "count": 1, "dtype": data.dtype, "crs": GRID.crs.to_wkt()}
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", driver="GTiff", transform=GRID.affine, **how) as dst:
            dst.write(data, 1)
    files = {f"/{name}.tif": (tmp_path / f"{name}.tif").read_bytes() for name in ("B04", "SCL")}
    with Server(files) as server:
        told = item(
            red={"href": server.url("/B04.tif?token=secret"), "type": COG},
            scl={"href": server.url("/SCL.tif?token=secret"), "type": COG},
        ).to_dict()
        with StacApi([told | {"collection": "sentinel-2-l2a"}]) as api:
            source = api.source(hosts=(api.server.host, server.host))
            client = http.Client(source.hosts, wait_s=0.001)
            june = Period.parse("2024-06")
            (found,), _ = stac_api.search(source, "sentinel-2-l2a", GRID, june, client)
        wanted = stac_assets.remotes(found, sentinel2.assets(found, ["B04"]).values())
        fetched = http.fetch(client, list(wanted.values()), tmp_path / "cache")
    assert not fetched.failed
    paths = {key: fetched.paths[remote.url] for key, remote in wanted.items()}
    local = stac_assets.localise(found, paths)
    assert "secret" not in str(local.to_dict())
    ds = sentinel2.read([local], ["B04"], GRID)
    np.testing.assert_allclose(ds["B04"].values[0], numbers * 1e-4 - 0.1, atol=1e-6)
