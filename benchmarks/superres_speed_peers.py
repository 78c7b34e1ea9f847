"""One contender of benchmarks.superres_speed in a process of its own."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.workspace import WEIGHTS

NAME = "srcnn-915-x3"
MARGIN = 6
# Pixels a side of the corner by which results are compared with torch's on the whole of it.
CORNER = 512


def picture(size: int) -> np.ndarray:
    """Return (size, size) float32 luminance, 0 to 1: waves of many lengths with noise."""
    y, x = np.mgrid[:size, :size].astype("float32")
    waves = sum(np.sin(x / n + y / (2 * n)) for n in (3, 11, 47))
    noise = np.random.default_rng(0).standard_normal((size, size), "float32")
    return np.clip(0.5 + 0.12 * waves + 0.02 * noise, 0, 1).astype("float32")


def aqgeo(values: np.ndarray, how: str, threads: int) -> Any:
    """Return a run of the common engine, in float32 or bf16."""
    import dask
    import dask.array as da

    from aqgeo.processing import predict, sharpen

    settings = predict.Settings(device="cpu", precision=how, patch=sharpen.PATCH)  # type: ignore[arg-type]
    job = predict.Job(_weights(), ("Y",), sharpen.as_is, 1, "float32", float("nan"), settings)
    lazy = predict.predict(da.from_array(values[None, None]), job)

    def run() -> np.ndarray:
        with dask.config.set(scheduler="threads", num_workers=threads):
            return np.asarray(lazy.compute()[0, 0])

    predict.run(values[None, None, :64, :64], (slice(0, 64),) * 2, job)
    return run


def onnx(values: np.ndarray, how: str, threads: int) -> Any:
    """Return a run of ONNX Runtime on tiles with margins, or on the whole picture if 0."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        graph().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wide = np.pad(values, MARGIN, mode="edge")[None, None]
    side = int(how) or len(values)

    def run() -> np.ndarray:
        found = np.empty_like(values)
        for top in range(0, len(values), side):
            for left in range(0, len(values), side):
                rows, cols = (slice(n, n + side + 2 * MARGIN) for n in (top, left))
                (made,) = session.run(None, {"x": wide[:, :, rows, cols]})
                found[top : top + side, left : left + side] = made[0, 0]
        return found

    session.run(None, {"x": wide[:, :, :64, :64]})
    return run


def graph() -> Any:
    """Return our network as a model of ONNX, convolutions without padding."""
    from onnx import TensorProto, helper, numpy_helper

    from aqgeo.models import checkpoint

    network, _ = checkpoint.read(_weights())
    nodes, constants, name = [], [], "x"
    for number, layer in enumerate(network.layers):
        weight, bias = (t.detach().contiguous().numpy() for t in (layer.weight, layer.bias))
        constants += [numpy_helper.from_array(weight, f"w{number}")]
        constants += [numpy_helper.from_array(bias, f"b{number}")]
        nodes.append(helper.make_node("Conv", [name, f"w{number}", f"b{number}"], [f"c{number}"]))
        name = f"c{number}"
        if number < len(network.layers) - 1:
            nodes.append(helper.make_node("Relu", [name], [f"r{number}"]))
            name = f"r{number}"
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, 1, f"{end}_h", f"{end}_w"])
        for end in ("x", name)
    ]
    whole = helper.make_graph(nodes, NAME, ends[:1], ends[1:], constants)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def apart(values: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference from the network in float32 on a corner of the picture."""
    import torch

    from aqgeo.models import checkpoint

    network, _ = checkpoint.read(_weights())
    side = min(CORNER, len(values)) - MARGIN
    with torch.inference_mode():
        wanted = network(torch.from_numpy(values[None, None, :CORNER, :CORNER]))[0, 0].numpy()
    return float(np.abs(wanted[:side, :side] - found[:side, :side]).max())


def _weights() -> Path:
    return WEIGHTS / f"{NAME}.safetensors"


def main() -> None:
    """Run the contender that is named and print what it took."""
    name, how, size, threads = sys.argv[1:]
    values = picture(int(size))
    run = {f.__name__: f for f in (aqgeo, onnx)}[name](values, how, int(threads))
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    seconds, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pixels = values.size / 1e6
    told = {"seconds": seconds, "cpu_s": cpu_s, "mpixel_s": pixels / seconds}
    told |= {"mpixel_cpu_s": pixels / cpu_s, "peak_gib": peak, "apart": apart(values, found)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
