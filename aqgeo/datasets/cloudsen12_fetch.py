"""Some patches of CloudSEN12+, fetched from remote TACO files by byte ranges into folders."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from aqgeo.datasets import cloudsen12, disk, taco
from aqgeo.datasets import cloudsen12_record as rec
from aqgeo.datasets.cloudsen12_folders import is_whole, write
from aqgeo.datasets.cloudsen12_pixels import places
from aqgeo.datasets.cloudsen12_record import LabelType, Level, Patch, Size, Split
from aqgeo.datasets.taco_remote import Part, part, read
from aqgeo.errors import SourceError
from aqgeo.remote.http import Client

# Data set card of CloudSEN12+, version 1.1.2.
LICENCE = "CC0-1.0"
CITATION = (
    "https://doi.org/10.1038/s41597-022-01878-2",
    "https://doi.org/10.1016/j.dib.2024.110852",
)
_INDEX = ".index"
# A padded patch of 2000 pixels with 14 bands and its label holds 122 MB before compression.
_MAX_PATCH = 256 * 2**20
_AT_ONCE = 4
# A service that is down fails every patch: no need to try them all.
_GIVE_UP = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """Which patches are wanted."""

    count: Annotated[int, Field(ge=1)]
    """How many."""
    level: Level = "L1C"
    """Processing level."""
    split: Split | None = None
    """Split to choose from; all if None."""
    label_type: LabelType = "high"
    """Kind of label to choose from."""
    size: Size = 509
    """Rows and columns to choose from."""
    seed: int = 0
    """Another seed, another choice."""


@dataclass(slots=True)
class Fetched:
    """What a download has brought."""

    patches: list[Patch] = field(default_factory=list)
    """Those that are whole, in their folders, by id."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reason by id of those that are not."""
    done: int = 0
    """Patches fetched now."""
    kept: int = 0
    """Patches that were there, with the bytes that their records tell."""


def choose(found: Sequence[Patch], choice: Choice) -> list[Patch]:
    """Return the patches of a choice, by id.

    Every patch has its place in an order that depends on its id and the seed alone, and the first
    ones are taken: a larger count adds to a smaller one. Nothing is balanced.

    Raises:
        SourceError: there are fewer than wanted.
    """
    fitting = [
        patch
        for patch in found
        if choice.split in (None, patch.split)
        and (patch.level, patch.label_type) == (choice.level, choice.label_type)
        and patch.size == choice.size
    ]
    if choice.count > len(fitting):
        raise SourceError(
            f"{choice.count} patches are asked for and {len(fitting)} fit (level {choice.level}, "
            f"split {choice.split or 'any'}, label {choice.label_type}, {choice.size} pixels): "
            "ask for another number"
        )

    def rank(patch: Patch) -> bytes:
        return hashlib.sha256(f"{choice.seed}:{patch.id}".encode()).digest()

    return cloudsen12.in_order(sorted(fitting, key=rank)[: choice.count])


def download(
    client: Client,
    urls: Sequence[str],
    folder: Path,
    choice: Choice,
    *,
    report: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Bring patches into `<roi_id>/<s2_id>/` folders, with a manifest; resume what was begun.

    Of each TACO file, the header, the table and the chosen patches are read. Images and labels keep
    their bytes. A patch that is there is kept if its bytes are those of its record. One that fails
    does not stop the others.

    Args:
        client: for the files' hosts.
        urls: all part files of the choice's level.
        folder: where to; it holds one choice, which may grow.
        choice: which patches.
        report: called with the patches so far and their number.

    Raises:
        SourceError: a table cannot be read, the folder holds another choice, or nothing arrives.
    """
    _refuse_other(folder, urls, choice)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part.index: part for part in (part(client, url, folder / _INDEX) for url in urls)}
    if len(parts) < len(urls):
        raise SourceError("two of the TACO files have the same name: name each of them once")
    rows = [
        patch
        for part in parts.values()
        for patch in cloudsen12.of_table(
            taco.table(part.index, total=part.total), part.index, choice.level
        )
    ]
    wanted = choose(cloudsen12.in_order(rows), choice)
    _tell(folder, parts.values(), choice, Fetched())
    result = Fetched()
    try:
        _fetch_all(client, [(p, parts[p.path]) for p in wanted], folder, result, report)
    finally:
        result.patches.sort(key=lambda patch: patch.id)
        _tell(folder, parts.values(), choice, result)
    return result


def _fetch_all(
    client: Client,
    wanted: Sequence[tuple[Patch, Part]],
    folder: Path,
    result: Fetched,
    report: Callable[[int, int], None] | None,
) -> None:
    todo = list(reversed(wanted))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running: dict[Future[tuple[Patch, bool]], Patch] = {}
        while todo or running:
            # No more than are under way: after an interrupt nothing is left to wait for.
            while todo and len(running) < 2 * _AT_ONCE:
                patch, part = todo.pop()
                running[pool.submit(_bring, client, patch, part, folder)] = patch
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                _note(future, running.pop(future), result)
                if report:
                    report(len(result.patches) + len(result.failed), len(wanted))
            if len(result.failed) >= _GIVE_UP and not result.done:
                raise SourceError(
                    f"{len(result.failed)} patches failed and none arrived, the last one: "
                    f"{list(result.failed.values())[-1]}"
                )


def _note(future: Future[tuple[Patch, bool]], patch: Patch, result: Fetched) -> None:
    try:
        brought, new = future.result()
    except SourceError as err:
        result.failed[patch.id] = str(err)
        return
    result.patches.append(brought)
    result.done += new
    result.kept += not new


def _bring(client: Client, patch: Patch, part: Part, folder: Path) -> tuple[Patch, bool]:
    """Return a patch in its folder, and whether it was fetched now."""
    origin: dict[str, Any] = {"url": part.url, "offset": patch.offset, "length": patch.length}
    here = folder / patch.roi_id / patch.s2_id
    if is_whole(folder, patch, origin):
        return replace(patch, path=here, offset=0, length=0), False
    if patch.length > _MAX_PATCH:
        raise SourceError(f"{patch.id} has {patch.length} bytes: at most {_MAX_PATCH} are fetched")
    content = read(client, part, patch.offset, patch.length)
    sample = folder / _INDEX / f"{patch.id}.{patch.level}.tortilla"
    try:
        disk.save(sample, content)
        image, label = places(replace(patch, path=sample, offset=0))
    finally:
        sample.unlink(missing_ok=True)
    image_bytes, label_bytes = (
        None if place is None else content[place.offset : place.offset + place.length]
        for place in (image, label)
    )
    return write(folder, patch, image_bytes or b"", label_bytes, **origin), True


def _refuse_other(folder: Path, urls: Sequence[str], choice: Choice) -> None:
    """Refuse a folder that holds another choice: what is in it must be what its manifest says."""
    path = folder / rec.MANIFEST
    if not path.is_file():
        return
    try:
        told = json.loads(path.read_text("utf-8"))
        before, of = told["choice"], [part["url"] for part in told["source"]]
        fewer = choice.count < before["count"]
        same = {**before, "count": choice.count} == asdict(choice) and of == list(urls)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise SourceError(f"{path} is no manifest ({err}): choose another folder") from err
    if fewer or not same:
        was = ", ".join(f"{key} {value}" for key, value in before.items())
        raise SourceError(f"{folder} holds another choice ({was}): choose another folder")


def _tell(folder: Path, parts: Iterable[Part], choice: Choice, result: Fetched) -> None:
    """Write the manifest."""
    content = {
        "title": "CloudSEN12+ patches",
        "licence": LICENCE,
        "citation": CITATION,
        "source": [{"url": p.url, "bytes": p.total, "etag": p.etag} for p in parts],
        "choice": asdict(choice),
        "complete": len(result.patches) == choice.count,
        "failed": dict(sorted(result.failed.items())),
        "patches": [_line(patch) for patch in result.patches],
    }
    disk.save(folder / rec.MANIFEST, disk.as_json(content))


def _line(patch: Patch) -> dict[str, Any]:
    """Return what the manifest tells of a patch."""
    told = json.loads((patch.path / rec.card_name(patch.level)).read_text("utf-8"))
    return {
        "id": patch.id,
        "folder": f"{patch.roi_id}/{patch.s2_id}",
        "split": patch.split,
        "label_type": patch.label_type,
        "files": told["files"],
        "origin": told["origin"],
    }
