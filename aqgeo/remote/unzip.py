"""Zip files from the network, opened without trust."""

import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from aqgeo.errors import SourceError

# A year of one country's stations has some thousand files; a SAFE product about a hundred.
MOST_MEMBERS = 100_000
# A whole Sentinel-2 product has 1.2 GB.
MOST_BYTES = 20 * 2**30
# Equal lines of text shrink about a hundredfold, bombs a thousandfold; a MiB is free for all.
MOST_RATIO = 200
FREE_BYTES = 2**20
LINK = 0o120000
# What zipfile raises for files that are cut short, mangled or packed in unknown ways.
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def unzip(path: Path, folder: Path, *, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Unpack a zip file into a folder that does not exist yet, and return its files, sorted.

    The folder appears whole or not at all. Zip files inside are not opened.

    Raises:
        SourceError: it is no whole zip file, is encrypted, would leave the folder, holds links, or
            is a bomb.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with zipfile.ZipFile(path) as file:
            _extract(file, aside, _checked(file, path, most_bytes), path)
        aside.chmod(0o755)
        aside.rename(folder)
    except BROKEN as err:
        raise SourceError(f"{path} is no whole zip file ({err}): fetch it again") from err
    except OSError as err:
        raise SourceError(f"{path} cannot be unpacked into {folder}: {err.strerror}") from err
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _checked(file: zipfile.ZipFile, path: Path, most_bytes: int) -> list[zipfile.ZipInfo]:
    """Return the members that are files, after a look at all names and promised sizes."""
    members = file.infolist()
    if len(members) > MOST_MEMBERS:
        raise SourceError(f"{path} has {len(members)} members, {MOST_MEMBERS} are allowed")
    for member in members:
        name = member.filename
        if re.match(r"/|\\|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            raise SourceError(
                f"{path} has a member {name[:80]!r}, which leaves the folder: drop it"
            )
        if (member.external_attr >> 16) & 0o170000 == LINK:
            raise SourceError(f"{path} has a member {name[:80]!r}, which is a link: drop it")
        if member.flag_bits & 1:
            raise SourceError(f"{path} is encrypted: it cannot be read without its password")
    total = sum(member.file_size for member in members)
    packed = path.stat().st_size
    if total > most_bytes or total > FREE_BYTES + MOST_RATIO * packed:
        raise SourceError(
            f"{path} would grow from {packed} to {total} bytes, at most {most_bytes} and "
            f"{MOST_RATIO} times its size are allowed: it may be a zip bomb, drop it"
        )
    return [member for member in members if not member.is_dir()]


def _extract(
    file: zipfile.ZipFile, folder: Path, members: list[zipfile.ZipInfo], path: Path
) -> None:
    """Write members one by one; none may be larger than it has promised."""
    for member in members:
        place = folder / member.filename
        if place.exists():
            raise SourceError(f"{path} has {member.filename[:80]!r} twice: drop it")
        place.parent.mkdir(parents=True, exist_ok=True)
        # Reading stops at the promised size and checks the CRC there.
        with file.open(member) as packed, place.open("xb") as out:
            shutil.copyfileobj(packed, out, 2**20)
            out.flush()
            os.fsync(out.fileno())
