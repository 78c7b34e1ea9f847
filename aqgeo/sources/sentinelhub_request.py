"""One request to Sentinel Hub's Process API: a tile of a day."""

import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from sentinelhub.api.process import SentinelHubRequest
from sentinelhub.constants import CRS, MimeType, MosaickingOrder, RequestType, ResamplingType
from sentinelhub.download.models import DownloadRequest
from sentinelhub.geometry import BBox

from aqgeo.sources.sentinelhub_plan import SCL, Day, Plan, Tile, epsg, lowest_qa, root, sensor


def _evalscript(plan: Plan) -> str:
    folder = files("aqgeo.sources") / "evalscripts"
    if plan.min_qa is not None:
        return (folder / "sentinel5p_no2.js").read_text("utf-8")
    lists = {
        "bands": [band for band in plan.bands if band != SCL],
        "classes": [band for band in plan.bands if band == SCL],
    }
    template = Template((folder / "sentinel2.js").read_text("utf-8"))
    return template.substitute({name: json.dumps(value) for name, value in lists.items()})


def payload(plan: Plan, day: Day, tile: Tile) -> dict[str, Any]:
    """Return the body of a Process request."""
    processing: dict[str, int]
    if plan.min_qa is None:
        # Units of reflectance are the same for all baselines; harmonised ones would end at 0.
        order, processing = MosaickingOrder.LEAST_RECENT, {"harmonizeValues": False}
    else:
        order, processing = None, {"minQa": lowest_qa(plan.min_qa)}
    data = SentinelHubRequest.input_data(
        sensor(plan.source, plan.collection),
        time_interval=day.span,
        mosaicking_order=order,
        upsampling=ResamplingType.NEAREST,
        downsampling=ResamplingType.NEAREST,
        other_args={"processing": processing},
    )
    reply = SentinelHubRequest.output_response("default", MimeType.TIFF)
    bbox = BBox(tile.bbox, CRS(str(epsg(plan.where))))
    return SentinelHubRequest.body(
        SentinelHubRequest.bounds(bbox),
        [data],
        _evalscript(plan),
        SentinelHubRequest.output([reply], size=(tile.width, tile.height)),
    )


def request(plan: Plan, day: Day, tile: Tile, path: Path) -> DownloadRequest:
    """Return the request for a tile, whose reply goes to a path."""
    kind = MimeType.TIFF.get_string()
    pixels = tile.width * tile.height * (len(plan.bands) + 1)
    return DownloadRequest(
        url=f"{root(plan.source, plan.collection)}/api/v1/process",
        headers={"content-type": MimeType.JSON.get_string(), "accept": kind},
        request_type=RequestType.POST,
        post_values=payload(plan, day, tile),
        use_session=True,
        # Room for a container and for pixels that compression made larger.
        extra_params={"path": path, "limit": 2 * pixels * dtype(plan).itemsize + 2**20},
    )


def dtype(plan: Plan) -> np.dtype[Any]:
    """Return the type of the numbers in a reply, as the evalscript says."""
    return np.dtype("uint16" if plan.min_qa is None else "float32")
