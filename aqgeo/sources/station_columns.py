"""Columns of station tables as texts, numbers, instants in UTC and NO2 in µg m-3."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from aqgeo.errors import SourceError
from aqgeo.sources import tables

Reals = NDArray[np.float64]
Codes = NDArray[np.int64]
Texts = tuple[Codes, list[str]]

# 1 ppb of NO2 at 20 °C and 1013 hPa, the conditions of Directive 2008/50/EC, annex VI:
# 46.0055 g mol-1 over 24.055 l mol-1 (sources-handbook, section 6).
_PPB = 1.9125
_FACTORS = {"ug/m3": 1.0, "mg/m3": 1e3, "ppb": _PPB, "ppm": 1e3 * _PPB}
_SPELLED = {
    "ugm3": "ug/m3", "ugm-3": "ug/m3", "microgramspercubicmeter": "ug/m3", "mgm-3": "mg/m3",
    "partsperbillion": "ppb", "ppbv": "ppb", "nmol/mol": "ppb",
    "partspermillion": "ppm", "ppmv": "ppm", "umol/mol": "ppm",
}  # fmt: skip
_OFFSET = re.compile(r"\d:\d\d[:.\d]*(?:Z|[+-]\d{2}(?::?\d{2})?)$")


def factor(unit: str) -> float | None:
    """Return µg m-3 per one of a unit of NO2, None if the unit is unknown."""
    return _FACTORS.get(_word(unit))


def _word(unit: str) -> str:
    """Return one spelling of a unit for all."""
    plainly = unicodedata.normalize("NFKC", unit).lower().replace("μ", "u")
    word = re.sub(r"[\s.^*()]", "", plainly)
    return _SPELLED.get(word, word)


def concentration(values: pa.Array, units: pa.Array, path: Path, counts: Counter[str]) -> Reals:
    """Return µg m-3, row by row, whatever units are mixed.

    Raises:
        SourceError: a unit is unknown.
    """
    codes, names = coded(units)
    names = [*names, ""]
    factors = np.ones(len(names))
    for code, size in zip(*np.unique(codes % len(names), return_counts=True), strict=True):
        found = factor(names[code])
        if found is None:
            raise SourceError(
                f"{path} has NO2 in {tables.brief(names[code], 40)!r}: known units are µg/m³, "
                "mg/m³, ppb and ppm: convert it to one of them"
            )
        factors[code] = found
        if found != 1:
            unit = _word(names[code]).replace("m3", "m³")
            air = " at 20 °C and 1013 hPa" if unit in ("ppb", "ppm") else ""
            what = f"values converted from {unit}, 1 {unit} of NO2 = {found:g} µg/m³{air}"
            counts[what] += int(size)
    return np.asarray(numbers(values) * factors[codes])


def coded(column: pa.Array) -> Texts:
    """Return a column as codes, -1 where it is null, and the texts that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = column.dictionary.cast(pa.string()).to_pylist()
    return codes, ["" if text is None else text for text in texts]


def each(texts: Texts, judge: Callable[[list[str]], Sequence[float] | Reals]) -> Reals:
    """Return a number for each row from one for each text, NaN where it is null."""
    codes, known = texts
    return np.asarray(np.append(np.asarray(judge(known), float), np.nan)[codes])


def categories(texts: Texts) -> pa.DictionaryArray:
    """Return texts with each of them once in the dictionary, and an empty one for null."""
    codes, known = texts
    number, unique = pd.factorize(np.array([*known, ""], dtype=object))
    return pa.DictionaryArray.from_arrays(
        pa.array(number[codes], pa.int32()), pa.array(unique, pa.string())
    )


def numbers(column: pa.Array) -> Reals:
    """Return a column as numbers, NaN where it holds none."""
    kind = column.type
    if not any(
        judge(kind) for judge in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
    ):
        return each(coded(column), parsed)
    found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)


def parsed(texts: Sequence[str]) -> Reals:
    """Return texts as numbers, NaN where they are none."""
    found = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    return found.to_numpy(np.float64, na_value=np.nan)


def instants(column: pa.Array, path: Path, *, naive: bool = False) -> Codes:
    """Return µs since 1970 in UTC; where a naive clock is meant, its reading as if UTC.

    Raises:
        SourceError: a time has no UTC offset and is not meant to be naive, or is no time.
    """
    if not pa.types.is_timestamp(column.type):
        codes, texts = coded(column)
        return np.append(_microseconds(texts, path, naive=naive), 0)[codes]
    if column.type.tz is None and not naive:
        raise SourceError(
            f"{path}: its times have no UTC offset: store them with a time zone, as with +01:00"
        )
    found = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return np.asarray(found.fill_null(0).to_numpy(zero_copy_only=False))


def _microseconds(texts: Sequence[str], path: Path, *, naive: bool) -> Codes:
    for text in texts:
        if not naive and not _OFFSET.search(text[-40:]):
            raise SourceError(
                f"{path}: datetime {tables.brief(text, 40)!r} has no UTC offset: write it as "
                "2024-06-01T13:00:00Z or with +01:00"
            )
    try:
        found = pd.to_datetime(pd.Series(texts, dtype=object), utc=True, format="ISO8601")
    except (ValueError, OverflowError) as err:
        raise SourceError(f"{path}: a datetime is not ISO 8601: {tables.brief(err)}") from err
    return np.asarray(found.dt.as_unit("us").astype(np.int64).to_numpy())
