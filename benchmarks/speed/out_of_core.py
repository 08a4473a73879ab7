"""Rows that are read in blocks: memory and CPU time, compared with rows in memory.

    python -m benchmarks speed.out_of_core
    python -m benchmarks speed.out_of_core --teacher --sizes 0.05

Normal clusters with 100 columns of float32 in 2 classes, 100 labels, one thread. One
epoch of `fit` in minibatches of 1024 rows, and `predict_proba`; "relative" is the
number of rows for each second of CPU time, divided by that of rows in memory. Memory is
the peak growth of the process beyond its start, without pages of mapped files, which
the system can drop at any time; it includes the results and, for rows in memory, X. The
files are written to a temporary folder; the system may keep them in its cache.
"""

import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SIZES = [0.25, 0.5, 1.0]
N_FEATURES = 100
STORAGES = ("memory", "memory map", "HDF5", "Parquet")
BATCH_SIZE = 1024
INTERVAL = 0.01


def n_rows_of(size):
    """Return the number of rows of so many GB."""
    return round(size * 1e9 / (4 * N_FEATURES))


def write_files(folder, n_rows):
    """Write the same rows as an array, as HDF5 and as Parquet, and their labels."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y = blobs(n_rows, N_FEATURES, 2, distance=0.2)
    np.save(folder / "rows.npy", X)
    np.save(folder / "labels.npy", hide_labels(y, 50, 0))
    with h5py.File(folder / "rows.h5", "w") as file:
        file.create_dataset("rows", data=X, chunks=(2500, N_FEATURES))
    table = pa.table({f"c{j}": X[:, j] for j in range(N_FEATURES)})
    pq.write_table(table, folder / "rows.parquet", row_group_size=2**14)


def write(folder, n_rows):
    """Write the files of one size."""
    write_files(Path(folder), n_rows)
    return {}


def open_rows(folder, storage):
    """Return rows in memory, or an object that is read in blocks."""
    if storage == "memory":
        return np.load(folder / "rows.npy")
    if storage == "memory map":
        return np.load(folder / "rows.npy", mmap_mode="r")
    if storage == "HDF5":
        import h5py

        return h5py.File(folder / "rows.h5")["rows"]
    from sk_ssvae.data import from_parquet

    return from_parquet(folder / "rows.parquet")


def anonymous_memory():
    """Return the resident bytes of this process that are not pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not report RssAnon")


class PeakMemory:
    """Measure the peak of `anonymous_memory` in the body, beyond a start."""

    def __init__(self, start):
        self.start = start
        self.peak = 0

    def __enter__(self):
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._measure)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._done.set()
        self._thread.join()

    def _measure(self):
        while True:
            self.peak = max(self.peak, anonymous_memory() - self.start)
            if self._done.wait(INTERVAL):
                return


def measure(folder, storage, teacher):
    """Return seconds and peak memory of a fit and of a prediction."""
    from sk_ssvae import SSVAEClassifier

    folder = Path(folder)
    labels = np.load(folder / "labels.npy")
    params = {"max_epochs": 1, "batch_size": BATCH_SIZE, "random_state": 0}
    model = SSVAEClassifier(teacher="pool" if teacher else None, **params)
    small = np.load(folder / "rows.npy", mmap_mode="r")[:1000]
    # The first call loads code.
    first = SSVAEClassifier(teacher=None, **params)
    first.fit(small.copy(), np.arange(1000) % 2).predict_proba(small.copy())
    start = anonymous_memory()
    X = open_rows(folder, storage)
    result = {}
    with PeakMemory(start) as memory:
        clock = time.process_time()
        model.fit(X, labels)
        result["fit"] = time.process_time() - clock
    result["fit bytes"] = memory.peak
    with PeakMemory(start) as memory:
        clock = time.process_time()
        proba = model.predict_proba(X)
        result["predict"] = time.process_time() - clock
    result["predict bytes"] = memory.peak
    return result | {"mean": float(proba[:, 0].mean(dtype=float))}


def main(argv=None):
    """Run the benchmark."""
    parser = make_speed_parser("out_of_core", __doc__, rounds=1)
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="in GB")
    parser.add_argument(
        "--teacher", action="store_true", help="with the default teacher"
    )
    parser.add_argument(
        "--storages", nargs="+", default=STORAGES[1:], choices=STORAGES[1:]
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "speed_out_of_core.json")
    args = parse_speed_args(parser, argv)
    sizes = [0.004, 0.008] if args.quick else args.sizes
    results = read_json(args.out)
    rows = []
    for size in sizes:
        n_rows = n_rows_of(size)
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            call = "benchmarks.speed.out_of_core"
            in_fresh_process(f"{call}:write", folder=folder, n_rows=n_rows)
            for storage in ("memory", *args.storages):
                found[storage] = in_fresh_process(
                    f"{call}:measure",
                    folder=folder,
                    storage=storage,
                    teacher=args.teacher,
                )
                print(size, storage, found[storage], flush=True)
        results[f"{size} GB{', teacher' if args.teacher else ''}"] = found
        if not args.quick:
            write_json(args.out, results)
        for storage, one in found.items():
            reference = found["memory"]
            rows.append(
                [
                    f"{size:g}",
                    f"{n_rows:,}",
                    storage,
                    f"{one['fit bytes'] / 1e6:.0f}",
                    f"{n_rows / one['fit']:,.0f}",
                    f"{reference['fit'] / one['fit']:.2f}",
                    f"{one['predict bytes'] / 1e6:.0f}",
                    f"{n_rows / one['predict']:,.0f}",
                    f"{reference['predict'] / one['predict']:.2f}",
                ]
            )
    header = ["GB", "rows", "X in", "fit, MB", "rows a second", "relative"]
    header += ["predict, MB", "rows a second", "relative"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
