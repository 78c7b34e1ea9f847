"""Files that appear on disk whole or not at all."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def save(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to disk and rename it; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def as_json(content: Mapping[str, Any]) -> bytes:
    """Return JSON with a line for each value."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
