"""Weights of ImageNet to begin with, where they can be had."""

import logging
from pathlib import Path

from aqgeo.errors import SourceError
from aqgeo.remote import http

log = logging.getLogger(__name__)
HUB = "hub"
"""Word that asks for weights from timm's own pages."""
_URL = "https://huggingface.co/{name}/resolve/main/model.safetensors"
HOSTS = ("huggingface.co", "*.huggingface.co", "*.hf.co")
_NOTHING = "training starts from nothing"


def imagenet(
    told: str | None, network: str, cache: Path, *, client: http.Client | None = None
) -> Path | None:
    """Return a file of ImageNet weights; None, with a line in the log, where there is none.

    No network is opened unless HUB asks for it; then for seconds at most if none answers.

    Args:
        told: a safetensors file of timm; a folder of them, `resnet50.safetensors`; or HUB.
        network: name of a cover network.
        cache: folder of fetched files.
        client: what fetches; one that opens the hub's hosts alone if None.
    """
    if told is None:
        return None
    if told == HUB:
        return _fetched(network, cache, client)
    path = Path(told)
    path = path / f"{network}.safetensors" if path.is_dir() else path
    if path.is_file():
        return path
    log.warning("%s: %s is not there: %s", network, path, _NOTHING)
    return None


def _fetched(network: str, cache: Path, client: http.Client | None) -> Path | None:
    from aqgeo.models import cover

    url = _URL.format(name=cover.imagenet(network))  # type: ignore[arg-type]
    client = client or http.Client(HOSTS, attempts=2, stall_s=20)
    try:
        result = http.fetch(client, [http.Remote(url)], cache)
    except SourceError as err:
        log.warning("%s: %s: %s", network, err, _NOTHING)
        return None
    if url in result.failed:
        log.warning("%s: %s: %s", network, result.failed[url], _NOTHING)
        return None
    return result.paths[url]
