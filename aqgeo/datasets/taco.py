"""TACO files of version 1: the table of what lies in one, read by tacoreader after a check.

Such a file begins with a magic, then offset and length of a Parquet table, eight bytes each, little
endian; the table names the offset and length of every sample in the file. A sample of format
TORTILLA is again such a file, with offsets that count from its own start.
"""

import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aqgeo.errors import SourceError

HEADER = 18
MAGICS = (b"#y", b"WX")
# CloudSEN12+ has some 50,000 rows in all its tables, of a few hundred bytes each.
MAX_TABLE = 64 * 2**20
MAX_CONTENT = 128 * 2**20
MAX_ROWS = 1_000_000
MAX_VALUES = 64 * MAX_ROWS
OFFSET, LENGTH, FORMAT = "tortilla:offset", "tortilla:length", "tortilla:file_format"


def table(
    path: Path, offset: int = 0, length: int | None = None, *, total: int | None = None
) -> pd.DataFrame:
    """Return what lies in a TACO or TORTILLA file, one row a sample.

    Args:
        path: the file, or one made by `index`.
        offset: where it begins, bytes, if it lies in another one.
        length: its length in bytes; the rest of the file if None.
        total: length of the file that the samples lie in, if that is another one.

    Returns:
        The file's own columns; `tortilla:offset` counts from the start of `path`.

    Raises:
        SourceError: it is cut short, no such file, or names bytes that it does not have.
    """
    where = f"{path} at byte {offset}" if offset else str(path)
    try:
        length = path.stat().st_size - offset if length is None else length
        with path.open("rb") as file:
            file.seek(offset)
            start, size = span(file.read(HEADER), length, where)
            file.seek(offset + start)
            _check_table(file.read(size), where)
    except OSError as err:
        raise SourceError(f"{where} cannot be read: {err.strerror}") from err
    if "::" in str(path):
        raise SourceError(f"{path}: '::' in a path stands for a chain of addresses: rename it")
    try:
        found = pd.DataFrame(_tacoreader().partial_load_file(offset, str(path)))
    except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError) as err:
        raise SourceError(f"{where}: tacoreader cannot read the table ({err})") from err
    end = total if total is not None else offset + length
    _check_rows(found, offset, end, where)
    return found


def span(header: bytes, length: int, where: str) -> tuple[int, int]:
    """Return offset and length of the table that a file's first 18 bytes name.

    Args:
        header: the first 18 bytes.
        length: of the whole file, bytes.
        where: what to call the file in an error.

    Raises:
        SourceError: they are no such header, or the table does not lie in the file.
    """
    if len(header) < HEADER or header[:2] not in MAGICS:
        raise SourceError(
            f"{where} begins with {header[:8]!r}: it is no TACO file of version 1, fetch it again"
        )
    start, size = (int.from_bytes(header[i : i + 8], "little") for i in (2, 10))
    if start < HEADER or size < 1 or start + size > length:
        raise SourceError(
            f"{where} has {length} bytes and names a table at {start} of {size} bytes: it is cut "
            "short or broken, fetch it again"
        )
    if size > MAX_TABLE:
        raise SourceError(
            f"{where} names a table of {size} bytes: at most {MAX_TABLE} are read, check the source"
        )
    return start, size


def index(header: bytes, content: bytes) -> bytes:
    """Return a small file with nothing but the table of a large one, for `table` to read.

    Args:
        header: the large file's first 18 bytes.
        content: its table, as `span` tells where.
    """
    place = HEADER.to_bytes(8, "little") + len(content).to_bytes(8, "little")
    return header[:2] + place + content


def _check_table(content: bytes, where: str) -> None:
    """Refuse a Parquet table that would fill the memory: tacoreader reads it in one go."""
    try:
        about = pq.read_metadata(pa.BufferReader(content))
        chunks = [
            about.row_group(g).column(c)
            for g in range(about.num_row_groups)
            for c in range(about.num_columns)
        ]
        swollen = (
            about.num_rows > MAX_ROWS
            or sum(chunk.num_values for chunk in chunks) > MAX_VALUES
            or sum(chunk.total_uncompressed_size for chunk in chunks) > MAX_CONTENT
            or _text_bytes(content, about) > MAX_CONTENT
        )
        kinds = {f.name: f.type for f in about.schema.to_arrow_schema()}
    except (pa.ArrowException, OSError, ValueError) as err:
        raise SourceError(
            f"{where} has no readable table ({str(err).splitlines()[0]}): fetch it again"
        ) from err
    if swollen:
        raise SourceError(
            f"{where} has a table that unpacks to more than {MAX_CONTENT} bytes or {MAX_ROWS} rows"
            ": it is not read, check the source"
        )
    for name in (OFFSET, LENGTH):
        if name not in kinds or not pa.types.is_integer(kinds[name]):
            raise SourceError(f"{where} has no whole numbers {name!r}: it is no TACO file")


def _text_bytes(content: bytes, about: Any) -> int:
    """Return the bytes of all texts, written out: one long text may be named by every row."""
    total = 0
    columns = [about.schema.column(c) for c in range(about.num_columns)]
    for path in (c.path for c in columns if c.physical_type == "BYTE_ARRAY"):
        source = pq.ParquetFile(pa.BufferReader(content), read_dictionary=[path])
        if "." in path:
            raise pa.ArrowInvalid(f"column {path!r} holds lists of texts")
        for chunk in source.read(columns=[path]).column(0).chunks:
            sizes = pc.binary_length(chunk.dictionary.cast(pa.large_binary()))
            total += pc.sum(pc.take(sizes, chunk.indices).cast("int64")).as_py() or 0
    return total


def _check_rows(found: pd.DataFrame, offset: int, end: int, where: str) -> None:
    starts, sizes = (found[name].to_numpy("float64") for name in (OFFSET, LENGTH))
    lost = ~((starts >= offset + HEADER) & (sizes > 0) & (starts + sizes <= end))
    if lost.any():
        row = int(np.argmax(lost))
        raise SourceError(
            f"{where} names a sample of {sizes[row]:.0f} bytes at {starts[row]:.0f}, and ends at "
            f"{end}: it is cut short or broken, fetch it again"
        )


def _tacoreader() -> Any:
    """Import tacoreader, which takes seconds, without its change of the root logger."""
    root = logging.getLogger()
    level, guard = root.level, logging.NullHandler()
    # `logging.basicConfig` does nothing where there is a handler.
    root.addHandler(guard)
    try:
        return importlib.import_module("tacoreader.v1.TortillaDataFrame")
    finally:
        root.removeHandler(guard)
        root.setLevel(level)
