"""From an item's assets to the remote files that are wanted, and back to items of local files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pystac

from aqgeo.errors import SourceError
from aqgeo.remote.http import Remote

_SCHEMES = ("https", "http", "s3")
# What the first bytes of a file must show, by media type or suffix.
_KINDS = {
    "image/tiff": "tiff", "image/jp2": "jp2", "application/x-netcdf": "netcdf",
    "application/netcdf": "netcdf", "application/x-hdf5": "netcdf", ".tif": "tiff",
    ".tiff": "tiff", ".jp2": "jp2", ".nc": "netcdf", ".nc4": "netcdf", "application/xml": "xml",
    "text/xml": "xml", ".xml": "xml",
}  # fmt: skip
SOURCE_FIELD = "aqgeo:source"
"""Field of a local asset with the address that it was fetched from, without query."""


def resolve(item: pystac.Item, base: str) -> set[str]:
    """Make an item's addresses absolute and take out assets whose address may not be opened.

    Returns:
        Notes on the assets that were taken out.
    """
    notes = set()
    for key, asset in list(item.assets.items()):
        # GDAL opens /vsi paths without asking anyone; urljoin drops line breaks.
        usable = _is_plain(asset.href) and not asset.href.startswith("/vsi")
        if usable and _is_remote(href := urljoin(base, asset.href)):
            asset.href = href
        else:
            del item.assets[key]
            notes.add(
                f"item {item.id}: asset {key[:80]!r} left out, its address is not to be opened"
            )
    return notes


def remotes(item: pystac.Item, keys: Iterable[str], *, by_s3: bool = False) -> dict[str, Remote]:
    """Return the remote file of each wanted asset, by key.

    An asset with several addresses (STAC's alternate assets) is taken by https, or by s3 if that
    is asked for.

    Args:
        item: an item of a search.
        keys: its assets that are wanted.
        by_s3: prefer s3 addresses, as with keys of an S3 store.

    Raises:
        SourceError: the item has no such asset, or no address of it may be opened.
    """
    found = {}
    for key in keys:
        if key not in item.assets:
            raise SourceError(
                f"item {item.id} has no asset {key!r}: it has {', '.join(sorted(item.assets))}"
            )
        found[key] = _remote(item, key, by_s3)
    return found


def localise(item: pystac.Item, paths: Mapping[str, Path]) -> pystac.Item:
    """Return the item with assets that point to local files; everything else is unchanged.

    Args:
        item: an item of a search.
        paths: file of each asset that was fetched, by key.
    """
    local = item.clone()
    for key, path in paths.items():
        asset = local.assets[key]
        asset.extra_fields[SOURCE_FIELD] = plain(asset.href)
        asset.href = str(path)
    return local


def plain(url: str) -> str:
    """Return an address without what may sign it: user, query and fragment."""
    return re.sub(r"//[^/]*@", "//", re.sub(r"[?#].*", "", url, flags=re.DOTALL))


def netcdf_key(item: pystac.Item, name: str = "no2") -> str:
    """Return the key of the asset that holds an item's only netCDF file, whatever it is called.

    Raises:
        SourceError: there is none, or there are several and none is called `name`.
    """
    keys = [
        key for key in item.assets if _kind(item.assets[key], item.assets[key].href) == "netcdf"
    ]
    if name in item.assets:
        return name
    if len(keys) != 1:
        raise SourceError(
            f"item {item.id} has {len(keys)} netCDF assets and none called {name!r} (it has "
            f"{', '.join(sorted(item.assets))}): complete the item or leave it out"
        )
    return keys[0]


def _remote(item: pystac.Item, key: str, by_s3: bool) -> Remote:
    asset = item.assets[key]
    others = asset.extra_fields.get("alternate")
    entries = [asset.href, *(others.values() if isinstance(others, dict) else [])]
    hrefs = [str(entry.get("href") if isinstance(entry, dict) else entry) for entry in entries]
    order = ("s3", "https", "http") if by_s3 else ("https", "http", "s3")
    usable = sorted(filter(_is_remote, hrefs), key=lambda href: order.index(urlsplit(href).scheme))
    if not usable:
        raise SourceError(
            f"item {item.id}, asset {key!r}: {plain(asset.href)!r} is no https or s3 address: "
            "complete the item or leave it out"
        )
    size, checksum = (asset.extra_fields.get(f"file:{name}") for name in ("size", "checksum"))
    told = isinstance(checksum, str) and re.fullmatch(r"(?:[0-9a-fA-F]{2}){3,}", checksum)
    return Remote(
        url=usable[0],
        kind=_kind(asset, usable[0]),
        size=size if type(size) is int and size > 0 else None,
        checksum=str(checksum).lower() if told else None,
    )


def _kind(asset: pystac.Asset, href: str) -> str | None:
    media = str(asset.media_type or "").partition(";")[0].strip().lower()
    return _KINDS.get(media) or _KINDS.get(Path(urlsplit(href).path).suffix.lower())


def _is_plain(href: str) -> bool:
    """Tell whether an address has no space, bracket, backslash or control character."""
    return href.isascii() and not re.search(r"[\s\\\[\]\x00-\x1f\x7f]", href)


def _is_remote(href: str) -> bool:
    """Tell whether an address is one of a remote file, without user or strange character."""
    if not _is_plain(href):
        return False
    parts = urlsplit(href)
    return parts.scheme in _SCHEMES and bool(parts.hostname) and "@" not in parts.netloc
