"""Leases: which files of a cache the living processes were given.

Each process has one file in the cache, locked as long as the process lives, however it ends. The
cache's own lock must be held in all functions here.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

# By cache folder and process (a fork is another): descriptor of the locked file, names in it.
_held: dict[tuple[Path, int], tuple[int, set[str]]] = {}


def take(root: Path, name: str) -> None:
    """Note that this process was given a file."""
    if (root, os.getpid()) not in _held:
        lease, _ = tempfile.mkstemp(dir=root / "leases")
        fcntl.flock(lease, fcntl.LOCK_EX)
        _held[root, os.getpid()] = lease, set()
    lease, names = _held[root, os.getpid()]
    if name not in names:
        names.add(name)
        os.write(lease, f"{name}\n".encode())


def drop(root: Path, names: Iterable[str]) -> None:
    """Note that this process is done with some files."""
    if (root, os.getpid()) in _held:
        lease, kept = _held[root, os.getpid()]
        kept.difference_update(names)
        os.ftruncate(lease, 0)
        os.lseek(lease, 0, os.SEEK_SET)
        os.write(lease, "".join(f"{name}\n" for name in kept).encode())


def taken(root: Path) -> set[str]:
    """Return the files that any living process was given; leases of dead ones are removed."""
    found: set[str] = set()
    for path in (root / "leases").iterdir():
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.update(file.read().split())
            else:
                path.unlink()
    return found
