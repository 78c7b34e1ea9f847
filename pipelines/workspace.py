"""Workspace: where results lie, and how they get there whole or not at all."""

import fcntl
import functools
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aqgeo
from aqgeo import catalog
from aqgeo.errors import CatalogError, WorkspaceError
from aqgeo.period import Period
from pipelines.meter import Meter

log = logging.getLogger(__name__)
CHECKOUT = Path(__file__).resolve().parents[1]
WEIGHTS = Path(aqgeo.__file__).parent / "models" / "weights"
PROVENANCE = "provenance.json"


class Stale(WorkspaceError):
    """A result is missing or out of date in a workspace that must not be changed."""


@dataclass(slots=True)
class Build:
    """A result in the making."""

    path: Path
    """Folder to write into."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What the stage tells about its result; kept beside it."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The output folder of a team, and the only code that knows names in it.

    A result is a folder with a provenance.json, which holds the key of the inputs, parameters and
    code that made it.
    """

    root: Path
    """Output folder."""
    frozen: bool = False
    """Raise Stale instead of making anything."""
    catalogs: Path = CHECKOUT / "catalogs"
    """Folder of the catalogs."""
    cache_gib: float = 50.0
    """Size that the cache of fetched files may reach."""

    def region(self, name: str) -> catalog.Region:
        """Return a region of the catalog."""
        return catalog.pick(catalog.regions(self.catalogs), name, "region")

    def products(self) -> dict[str, catalog.Product]:
        """Return all map products of the catalog."""
        return catalog.products(self.catalogs)

    def model(self, task: str, level: str) -> tuple[Path, str]:
        """Return the shipped weights for a task, and the checksum that they must have.

        Args:
            task: what the network is for.
            level: processing level of the images.

        Raises:
            CatalogError: none are in the catalog.
        """
        for entry in catalog.models(self.catalogs).values():
            if entry.task == task and entry.level in (level, "any"):
                return WEIGHTS / entry.file, entry.sha256
        raise CatalogError(
            f"no weights for {task!r} of {level!r} images are in {self.catalogs / 'models'}: name "
            "a file of your own with --weights, or choose level L1C or L2A"
        )

    def weights(self, name: str) -> tuple[Path, str]:
        """Return shipped weights by their name, and the checksum that they must have.

        Raises:
            CatalogError: none of that name are in the catalog.
        """
        entry = catalog.pick(catalog.models(self.catalogs), name, "model")
        return WEIGHTS / entry.file, entry.sha256

    def source(
        self,
        region: str,
        period: Period,
        collection: str,
        *,
        sources: Sequence[str] = (),
        archive: Path | None = None,
    ) -> catalog.Source:
        """Return who serves a collection: the archive named, or the first of the sources that does.

        Args:
            region: name of a region.
            period: span of a run; both are part of some sources' places.
            collection: our name of a collection.
            sources: names of sources; the region's own if empty.
            archive: static STAC catalog, or folder of Sentinel-5P granules, to read instead.

        Raises:
            CatalogError: no source is named, is in the catalog, or serves the collection.
        """
        if archive is not None:
            return _archive(archive)
        names = sources or self.region(region).sources
        known = catalog.sources(self.catalogs)
        if not names:
            raise CatalogError(
                f"region {region!r} has no source of its own: give --archive CATALOG or --source "
                f"with one of {', '.join(known)}"
            )
        for entry in [catalog.pick(known, name, "source") for name in names]:
            if entry.serves(collection):
                place = entry.href
                if "://" not in place:
                    place = str(self.root / place.format(region=region, period=period.slug))
                return replace(entry, href=place)
        serving = [name for name, entry in known.items() if entry.serves(collection)]
        raise CatalogError(
            f"no source among {', '.join(names)} serves {collection!r}: add --source with one of "
            f"{', '.join(serving)}"
        )

    def simulated_archive(self, region: str, period: Period) -> Path:
        """Return the folder of a region's simulated archive and its truth."""
        return self.root / "simulated" / region / period.slug

    def orbits(self, day: Period) -> Path:
        """Return the folder of a day of simulated Sentinel-5P orbits of the whole globe."""
        return self.root / "simulated-orbits" / day.slug

    def truth(self, region: str, period: Period) -> Path:
        """Return the folder of what is true in a region's simulated world."""
        return self.simulated_archive(region, period) / "truth"

    def stage(self, region: str, period: Period, stage: str) -> Path:
        """Return the folder of a stage's result.

        Raises:
            CatalogError: the region is in no catalog.
        """
        return self.root / "stages" / self.region(region).name / period.slug / stage

    @property
    def cache(self) -> Path:
        """The folder of files that were fetched, shared by all regions."""
        return self.root / "cache"

    def downloads(self, source: str, region: str, period: Period) -> Path:
        """Return the folder of what a service of station data has answered."""
        return self.root / "downloads" / source / region / period.slug

    @property
    def maps(self) -> Path:
        """The folder of all published maps, a static STAC catalog."""
        return self.root / "maps"

    def map(self, product: str, region: str, period: Period) -> Path:
        """Return the folder of one published map."""
        return self.maps / product / region / period.slug

    def report(self, region: str, period: Period) -> Path:
        """Return the folder of a region's report."""
        return self.root / "reports" / region / period.slug

    def scores(self, region: str, period: Period) -> Path:
        """Return the folder of a region's scorecard."""
        return self.root / "scores" / region / period.slug

    @contextmanager
    def build(self, target: Path, key: Mapping[str, Any]) -> Iterator[Build | None]:
        """Yield a folder to fill, which then takes the target's place; None if that is current.

        The folder is made beside the target, flushed to disk and renamed. A second process that
        builds the same target waits for the first one.

        Args:
            target: folder of the result.
            key: everything that the result depends on, as JSON.
        """
        digest = _digest({**key, "code": code_version()})
        if _current(target, digest):
            log.info("%s is up to date", self._name(target))
            yield None
            return
        if self.frozen:
            raise Stale(f"{target} is not up to date")
        with lock(target):
            old, part = (target.with_name(f".{target.name}.{kind}") for kind in ("old", "part"))
            if old.exists() and not target.exists():
                old.rename(target)
            if _current(target, digest):
                yield None
                return
            shutil.rmtree(part, ignore_errors=True)
            build = Build(part)
            log.info("%s ...", self._name(target))
            try:
                # In here: a key press right after it must not leave the folder behind.
                part.mkdir()
                with Meter() as meter:
                    yield build
                told = meter.read()
                about = {**build.provenance, "key": digest, "files": _sizes(part)}
                about["performance"] = told
                if target.is_relative_to(self.maps):
                    # What is published does not tell how fast it was made.
                    del about["performance"]
                _write_json(part / PROVENANCE, about)
                _flush(part)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            part.rename(target)
            shutil.rmtree(old, ignore_errors=True)
            _flush_folder(target.parent)
            log.info("%s made in %.1f s", self._name(target), told["seconds"])

    def _name(self, target: Path) -> str:
        return str(target.relative_to(self.root))


def read_provenance(target: Path) -> dict[str, Any]:
    """Return what a stage told about its result.

    Raises:
        WorkspaceError: there is no result, or it is damaged.
    """
    try:
        found = json.loads((target / PROVENANCE).read_text("utf-8"))
    except FileNotFoundError as err:
        raise WorkspaceError(
            f"{target} does not exist: run the stage {target.name!r} for this region and period "
            "first, or `aqgeo map` for all of them"
        ) from err
    except ValueError as err:
        raise WorkspaceError(f"{target} is damaged ({err}): delete it and run again") from err
    if not isinstance(found, dict):
        raise WorkspaceError(f"{target} is damaged: delete it and run again")
    return found


def archive_key(catalog: Path) -> str | None:
    """Return the key of the simulated archive that a catalog belongs to; None of any other one.

    Args:
        catalog: a static STAC catalog, or its folder.
    """
    folder = catalog.resolve() if catalog.is_dir() else catalog.resolve().parent
    try:
        told = read_provenance(folder.parent)
    except WorkspaceError:
        return None
    return told.get("key") if told.get("stage") == "simulate" else None


def file_key(path: Path) -> list[Any]:
    """Return what tells a file's state: name, size and time of the last change."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Hold the only lock on a target; its folder is made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def code_version() -> str:
    """Return the version and a digest of this code: a changed line makes results anew."""
    digest = hashlib.sha256()
    for folder in ("aqgeo", "pipelines"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{aqgeo.__version__}+{digest.hexdigest()[:12]}"


def _archive(path: Path) -> catalog.Source:
    """Return an archive that was named by its path as a source."""
    folder = path.is_dir() and not (path / "catalog.json").is_file()
    return catalog.Source(
        name="archive", title=str(path), href=str(path), kind="folder" if folder else "static"
    )


def _current(target: Path, digest: str) -> bool:
    """Tell whether a result has that key and still has its files."""
    try:
        told = read_provenance(target)
    except WorkspaceError:
        return False
    # What others put beside them, as GIS programs do, is not ours to judge.
    return told.get("key") == digest and told.get("files", {}).items() <= _sizes(target).items()


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of every file in a folder and in the folders in it, by its path there."""
    found = (path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file())
    kept = sorted(path for path in found if path.name != PROVENANCE)
    return {str(path.relative_to(folder)): path.stat().st_size for path in kept}


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _flush(folder: Path) -> None:
    """Force every file below a folder to disk."""
    for path in [*folder.rglob("*"), folder]:
        _flush_folder(path)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
