"""CSV and Parquet files of any size and origin, read in batches of the columns that are needed."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from aqgeo.errors import SourceError

MAX_ROWS = 500_000_000
"""Rows of a Parquet file; ten years of hours of all stations of Europe are about as many."""
MAX_TEXT = 32 * 2**30
"""Bytes of a CSV file once unpacked; the same hours as text."""
MAX_GROUP = 2**30
"""Bytes of the needed columns of one row group once unpacked; writers make some 100 MB."""
RAGGED = "rows with too few or too many fields left out"
_ROWS, _BLOCK, _HEADER = 65_536, 8 * 2**20, 2**20
UNREADABLE = (pa.ArrowException, OSError, EOFError, ValueError, ArithmeticError)
_NO_TABLE = {
    b"\xff\xfe": "is UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as UTF-8",
    b"PK": "is a zip archive: unpack it",
    b"<": "is a web page or XML, no table: download it again",
    b"{": "is JSON, no table: save it as CSV or Parquet",
}


def names(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        SourceError: the file is no CSV or Parquet table that can be read.
    """
    if is_parquet(path):
        return list(_footer(path).schema.to_arrow_schema().names)
    try:
        with _text(path) as raw:
            line = raw.readline(_HEADER)
    except UNREADABLE as err:
        raise _broken(path, err) from err
    try:
        found = next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: its first line is no header in UTF-8: {brief(err)}") from err
    if not any(found):
        raise SourceError(f"{path} is empty: a table has a header and rows")
    return found


def batches(path: Path, wanted: Sequence[str], counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Yield a table's columns of these names that it has, some ten thousand rows at a time.

    Args:
        path: a CSV file in UTF-8, plain or gzipped, whose columns come as texts; or Parquet.
        wanted: names of columns.
        counts: gets the number of rows left out under RAGGED.

    Raises:
        SourceError: the file breaks off, is not UTF-8, claims too much, or a column is nested.
    """
    there = names(path)
    columns = [name for name in wanted if name in there]
    twice = [name for name in columns if there.count(name) > 1]
    if twice:
        raise SourceError(f"{path} has the column {twice[0]} twice: remove one of them")
    try:
        yield from (_parquet if is_parquet(path) else _csv)(path, columns, counts)
    except UNREADABLE as err:
        raise _broken(path, err) from err


def metadata(path: Path) -> Mapping[bytes, bytes]:
    """Return the named texts in a Parquet file's footer; none of a CSV file."""
    return (_footer(path).metadata or {}) if is_parquet(path) else {}


def is_parquet(path: Path) -> bool:
    """Tell Parquet by its first bytes, whatever the file's name.

    Raises:
        SourceError: the file cannot be opened.
    """
    return _start(path).startswith(b"PAR1")


def brief(what: object, most: int = 120) -> str:
    """Return a text from a file or a library as part of one line that can be read."""
    line = " ".join(str(what).split())
    line = "".join(c if c.isprintable() else "?" for c in line[: most + 1])
    return line if len(line) <= most else line[:most] + "..."


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as err:
        raise SourceError(f"{path} cannot be read: {err.strerror}") from err


def _broken(path: Path, err: BaseException) -> SourceError:
    if "Empty CSV" in str(err):
        return SourceError(f"{path} has no row below its header: download it again")
    if "invalid UTF8" in str(err):
        return SourceError(f"{path} is not in UTF-8: save it so ({brief(err)})")
    return SourceError(f"{path} cannot be read to its end: {brief(err)}: replace the file")


class _Checked(io.RawIOBase):
    """Bytes of a text, refused where they are none or too many."""

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        self._raw, self._path, self._left = raw, path, MAX_TEXT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        self._left -= len(data)
        if b"\0" in data:
            raise SourceError(f"{self._path} holds NUL bytes, so it is no UTF-8 text: replace it")
        if self._left < 0:
            raise SourceError(
                f"{self._path} unpacks to more than {MAX_TEXT >> 30} GiB: cut it into months"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _text(path: Path) -> io.BufferedReader:
    start = _start(path)
    for magic, what in _NO_TABLE.items():
        if start.lstrip().startswith(magic):
            raise SourceError(f"{path} {what}")
    raw = gzip.open(path) if start.startswith(b"\x1f\x8b") else path.open("rb")
    return io.BufferedReader(_Checked(cast(BinaryIO, raw), path), 2**20)


def _csv(path: Path, columns: list[str], counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    def skip(row: pc.InvalidRow) -> str:
        counts[RAGGED] += 1
        return "skip"

    with _text(path) as raw:
        reader = pc.open_csv(
            raw,
            read_options=pc.ReadOptions(block_size=_BLOCK),
            parse_options=pc.ParseOptions(invalid_row_handler=skip),
            convert_options=pc.ConvertOptions(
                include_columns=columns, column_types=dict.fromkeys(columns, pa.string())
            ),
        )
        with reader:
            yield from reader


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except UNREADABLE as err:
        raise _broken(path, err) from err


def _parquet(path: Path, columns: list[str], counts: Counter[str]) -> Iterator[pa.RecordBatch]:
    footer = _footer(path)
    schema = footer.schema.to_arrow_schema()
    for name in columns:
        if pa.types.is_nested(schema.field(name).type):
            raise SourceError(
                f"{path}: column {name} is nested ({brief(schema.field(name).type)}): make it flat"
            )
    _check_claims(path, footer, columns)
    # Repeated texts stay codes: a long one that stands in every row must not be copied for each.
    texts = [name for name in columns if pa.types.is_string(schema.field(name).type)]
    with pq.ParquetFile(
        path, metadata=footer, read_dictionary=texts, buffer_size=_BLOCK, pre_buffer=False
    ) as file:
        yield from file.iter_batches(_ROWS, columns=columns)


def _check_claims(path: Path, footer: pq.FileMetaData, columns: list[str]) -> None:
    """Refuse, before anything is unpacked, what would not fit into memory."""
    if footer.num_rows > MAX_ROWS:
        raise SourceError(
            f"{path} claims {footer.num_rows} rows, at most {MAX_ROWS} are read: cut it into years"
        )
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        parts = [group.column(c) for c in range(group.num_columns)]
        size = sum(p.total_uncompressed_size for p in parts if p.path_in_schema in columns)
        if size > MAX_GROUP or group.num_rows > MAX_ROWS:
            raise SourceError(
                f"{path} claims {size} bytes of stations in row group {number}, at most "
                f"{MAX_GROUP} are read: write smaller row groups"
            )
