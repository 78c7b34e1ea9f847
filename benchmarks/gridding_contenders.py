"""Grids one file of pixels in a process of its own: aqgeo, HARP or pyresample.

Run by benchmarks.gridding, which reads the JSON on standard output. HARP's Python module belongs to
the system's interpreter, so nothing here imports more than its contender needs.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

VALUE = "tropospheric_NO2_column_number_density"
REPEATS = 9
# Rows, columns, west, north, cell in degrees.
GRIDS = {
    "Europe 0.02°": (2000, 3500, -25.0, 72.0, 0.02),
    "globe 0.1°": (1800, 3600, -180.0, 90.0, 0.1),
}


def operation(grid: str) -> str:
    """Return HARP's words for a grid."""
    rows, cols, west, north, cell = GRIDS[grid]
    south = round(north - rows * cell, 6)
    return f"bin_spatial({rows + 1},{south:g},{cell:g},{cols + 1},{west:g},{cell:g})"


def timed(**functions):
    """Return the best wall and CPU seconds of functions that take turns, by name."""
    best = {name: {"seconds": float("inf"), "cpu_s": float("inf")} for name in functions}
    for _ in range(REPEATS):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            took = {"seconds": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
            best[name] = {key: min(best[name][key], took[key]) for key in took}
    return best


def peak_mib():
    """Return the most memory that this process has held since it began, MiB."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(command):
    """Run a command and return what it took.

    From this small process, since a command inherits the peak of the one that starts it.
    """
    wall = time.perf_counter()
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {"seconds": time.perf_counter() - wall, "cpu_s": usage.ru_utime + usage.ru_stime}
    return {**took, "mib": usage.ru_maxrss / 1024, "printed": text}


def aqgeo(pixels, grid, out):
    """Grid with aqgeo, with 1 and 2 threads in turn; the mean is kept for comparison."""
    import netCDF4
    import numpy as np

    where = _geobox(grid)
    from aqgeo.gridding import binning

    wall = time.perf_counter()
    corner = np.array([[0.0, 1, 1, 0]])
    binning.average(np.ones(1), corner, corner, where[:8, :8])
    first_s, loaded = time.perf_counter() - wall, peak_mib()
    with netCDF4.Dataset(pixels) as file:
        file.set_auto_mask(False)
        names = (VALUE, "longitude_bounds", "latitude_bounds")
        values, lon, lat = (file[name][:] for name in names)
    read = peak_mib()
    sums = binning.average(values, lon, lat, where, threads=2)
    summed = peak_mib()
    mean = sums.mean()
    held = {"loaded": loaded, "read": read, "summed": summed, "mean": peak_mib()}
    np.savez(out, mean=mean)
    best = timed(
        one=lambda: binning.average(values, lon, lat, where, threads=1),
        two=lambda: binning.average(values, lon, lat, where, threads=2),
        mean=sums.mean,
    )
    return {**best, "first_call_s": first_s, "mib": held, "pixels": len(values)}


def strips(pixels, grid, out):
    """Grid with aqgeo strip by strip into float32, for its memory."""
    import netCDF4
    import numpy as np

    where = _geobox(grid)
    from aqgeo.gridding import binning

    corner = np.array([[0.0, 1, 1, 0]])
    binning.average(np.ones(1), corner, corner, where[:8, :8])
    loaded = peak_mib()
    with netCDF4.Dataset(pixels) as file:
        file.set_auto_mask(False)
        names = (VALUE, "longitude_bounds", "latitude_bounds")
        values, lon, lat = (file[name][:] for name in names)
    read, mean = peak_mib(), np.empty(where.shape, "float32")

    def run():
        for rows, strip in binning.strips(where):
            mean[rows] = binning.average(values, lon, lat, strip).mean()

    del out
    run()
    held = {"loaded": loaded, "read": read, "mean": peak_mib()}
    return {**timed(one=run), "mib": held}


def harp(pixels, grid, out):
    """Grid with HARP on a product in memory; with the arrays' way there and back from Python."""
    import harp as library

    del out
    product = library.import_product(str(pixels))
    return timed(one=lambda: library.execute_operations(product, operation(grid)))


def pyresample(pixels, grid, out):
    """Grid with pyresample's buckets: each pixel counts whole in the cell of its centre."""
    import netCDF4
    import numpy as np
    from pyresample.bucket import BucketResampler
    from pyresample.geometry import AreaDefinition

    rows, cols, west, north, cell = GRIDS[grid]
    with netCDF4.Dataset(pixels) as file:
        file.set_auto_mask(False)
        values, lon, lat = file[VALUE][:], file["longitude_bounds"][:], file["latitude_bounds"][:]
    turn = np.unwrap(lon.astype("float64"), period=360, axis=1)
    lon, lat = (turn.mean(axis=1) + 180) % 360 - 180, lat.mean(axis=1).astype("float64")
    box = (west, north - rows * cell, west + cols * cell, north)
    area = AreaDefinition("grid", "grid", "grid", "EPSG:4326", cols, rows, box)

    def run():
        import dask.array as da

        where = BucketResampler(area, da.from_array(lon), da.from_array(lat))
        return where.get_average(da.from_array(values.astype("float64"))).compute()

    del out
    return {**timed(one=run), "mib": {"mean": peak_mib()}}


def whole(granule, grid, out, threads):
    """From the granule to the mean with aqgeo, as a user would."""
    from aqgeo.gridding import binning
    from aqgeo.sources import s5p

    wall = time.perf_counter()
    read = s5p.read(Path(granule))
    read_s = time.perf_counter() - wall
    sums = binning.average(read.column, read.lon, read.lat, _geobox(grid), threads=threads)
    sums.mean()
    del out
    return {"read_s": read_s, "seconds": time.perf_counter() - wall, "mib": {"mean": peak_mib()}}


def _geobox(grid):
    from affine import Affine
    from odc.geo.geobox import GeoBox

    rows, cols, west, north, cell = GRIDS[grid]
    return GeoBox((rows, cols), Affine(cell, 0, west, 0, -cell, north), "EPSG:4326")


def main():
    """Run the contender that is named and print what it took."""
    name, *words = sys.argv[1:]
    if name == "measure":
        found = measure(words)
    else:
        known = (aqgeo, strips, harp, pyresample, whole)
        contender = next(function for function in known if function.__name__ == name)
        pixels, grid, out, *threads = words
        found = contender(Path(pixels), grid, Path(out), *(int(t) for t in threads))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
