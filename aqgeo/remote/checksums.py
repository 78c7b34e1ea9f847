"""Checksums of files, as catalogs tell them."""

import hashlib
import re
from pathlib import Path

from aqgeo.errors import SourceError

# Multihash codes (multiformats' table, as STAC's file:checksum uses it) with the digest's length.
HASHES = {"1220": "sha256", "1114": "sha1", "d50110": "md5"}


def hash_kind(checksum: str) -> tuple[str, str]:
    """Return a multihash's code and the name of its digest.

    Raises:
        SourceError: it is of an unknown kind.
    """
    for code, kind in HASHES.items():
        if re.fullmatch(
            rf"{code}[0-9a-f]{{{2 * hashlib.new(kind).digest_size}}}", checksum.lower()
        ):
            return code, kind
    raise SourceError(
        f"the catalog's checksum {checksum[:24]!r} is no multihash of sha2-256, sha1 or md5: "
        "correct the item or leave it out"
    )


def digest_fault(path: Path, checksum: str | None) -> str | None:
    """Return what is wrong with a file by its multihash; None if it fits or none is told."""
    if checksum is None:
        return None
    code, kind = hash_kind(checksum)
    found, told = digest(path, kind), checksum.lower().removeprefix(code)
    return None if found == told else f"its {kind} is {found[:12]}..., not {told[:12]}..."


def digest(path: Path, kind: str = "sha256") -> str:
    """Return a file's digest in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
