"""Map products whose layers have one file a date."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import xarray as xr

from aqgeo.catalog import Layer, Product

_STAMP = "%Y%m%dT%H%M%S"
Files = dict[str, tuple[Layer, xr.Dataset]]


def files(product: Product, composite: xr.Dataset, series: xr.Dataset | None) -> Files:
    """Return the layer and the cube of one time step of every file of a product, by its name.

    A date that shows nothing of a layer has no file of it, and an optional layer that was not made
    has none at all.

    Args:
        product: what is published.
        composite: cube of one time step.
        series: cube of all dates, for dated layers.
    """
    found: Files = {}
    for layer in product.layers:
        ds = series if layer.dated and series is not None else composite
        if layer.optional and not set(layer.variables) <= set(map(str, ds.data_vars)):
            continue
        if not layer.dated:
            found[layer.name] = layer, ds
            continue
        for number, instant in enumerate(_instants(ds)):
            one = ds.isel(time=[number])
            if _shows(layer, one):
                own = of_date(layer, instant)
                found[own.name] = own, one
    return found


def of_date(layer: Layer, instant: datetime) -> Layer:
    """Return a dated layer as the file of one date."""
    return replace(
        layer,
        name=f"{layer.name}_{instant:{_STAMP}}",
        title=f"{layer.title}, {instant:%Y-%m-%d}",
    )


def instants(found: Files) -> dict[str, datetime]:
    """Return when the dated files were seen, UTC, by their name."""
    return {name: _instants(ds)[0] for name, (layer, ds) in found.items() if layer.dated}


def names(product: Product, found: Files) -> dict[str, list[str]]:
    """Return the names of the files that were made of each layer, by the layer's name."""
    made = {layer.name: list[str]() for layer in product.layers}
    for name, (layer, _) in found.items():
        made[name.rpartition("_")[0] if layer.dated else name].append(name)
    return made


def published(product: Product, names: Mapping[str, Sequence[str]] | None) -> Product:
    """Return a product with its layers as they were published.

    Args:
        product: as the catalog has it.
        names: of each file made of a layer, by the layer's name in the catalog; None where that was
            not told, when no layer had dates yet.
    """
    if names is None:
        names = {layer.name: [layer.name] for layer in product.layers if not layer.dated}
    layers = []
    for layer in product.layers:
        for name in names.get(layer.name, ()):
            stamp = name.removeprefix(f"{layer.name}_")
            layers.append(of_date(layer, _read(stamp)) if layer.dated else layer)
    return replace(product, layers=tuple(layers))


def _read(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)


def _instants(ds: xr.Dataset) -> list[datetime]:
    seconds = ds["time"].values.astype("datetime64[s]").astype("int64")
    return [datetime.fromtimestamp(int(second), UTC) for second in seconds]


def _shows(layer: Layer, ds: xr.Dataset) -> bool:
    data = ds[layer.variables[0]].data
    known = data != layer.no_data if layer.kind == "classes" else ~np.isnan(data)
    return bool(known.any())
