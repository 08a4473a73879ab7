"""Peak memory of rows in files, from 1 to 8 GB: what grows with the number of rows.

    python -m benchmarks speed.row_memory

Rows of 100 columns of float32 in 2 classes, 100 labels, one thread. One epoch of `fit`
and of `partial_fit` without a teacher, and `predict_proba`. The networks are small and
minibatches have 4096 rows, so that an epoch over 8 GB takes minutes: neither changes
what is kept for each row. Memory is the peak growth of the process beyond its start,
without pages of mapped files, which the system can drop at any time. The labels that
are passed to `fit` exist before the start.

"kept" is what the documentation says is in memory for each row: the class of the row
(1 byte) and masks (3 bytes), for a memory map up to 2^29 cells the order of an epoch
(4.25 bytes), and at the end results (4 bytes for each class, of
`label_distributions_` and of `predict_proba`). "rest" is the peak less these, which
should not depend on the number of rows. The files repeat a block of 65,536 rows; they
are written to a temporary folder, one after the other.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from benchmarks.speed.out_of_core import (
    N_FEATURES,
    PeakMemory,
    anonymous_memory,
    n_rows_of,
    open_rows,
)

SIZES = [1, 2, 4, 8]
METHODS = ("fit", "partial_fit", "predict_proba")
STORAGES = ("memory map", "HDF5", "Parquet")
N_CLASSES = 2
N_LABELLED = 100
BLOCK = 2**16
ROW_GROUP = 2**14
CODE_BYTES = 1
MASK_BYTES = 3
"""Of masks of the rows that exist at once."""

ORDER_BYTES = 4 + 1 / 4
"""Of a memory map: positions of unlabelled rows, and of the labelled ones, of which
minibatches have a quarter of their size."""
RESULT_BYTES = 4 * N_CLASSES


def blocks(n_rows):
    """Yield the rows of a file, block by block."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal((BLOCK, N_FEATURES), np.float32)
    block[::2] += 0.1
    for start in range(0, n_rows, BLOCK):
        yield start, block[: n_rows - start]


def write(folder, storage, n_rows):
    """Write a file, and a small one of the same kind."""
    for name, n in (("small", 1000), ("large", n_rows)):
        path = Path(folder, name)
        path.mkdir()
        WRITERS[storage](path, n)
    return {}


def write_map(folder, n_rows):
    """Write an array of numpy."""
    shape = (n_rows, N_FEATURES)
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, shape)
    for start, block in blocks(n_rows):
        rows[start : start + len(block)] = block


def write_hdf5(folder, n_rows):
    """Write a data set of HDF5."""
    import h5py

    shape, chunks = (n_rows, N_FEATURES), (min(2500, n_rows), N_FEATURES)
    with h5py.File(folder / "rows.h5", "w") as file:
        rows = file.create_dataset("rows", shape, np.float32, chunks=chunks)
        for start, block in blocks(n_rows):
            rows[start : start + len(block)] = block


def write_parquet(folder, n_rows):
    """Write a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"c{j}" for j in range(N_FEATURES)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for _, block in blocks(n_rows):
            columns = [np.ascontiguousarray(column) for column in block.T]
            writer.write_table(pa.table(columns, schema=schema), ROW_GROUP)


WRITERS = {"memory map": write_map, "HDF5": write_hdf5, "Parquet": write_parquet}


def measure(folder, storage, n_rows, method):
    """Return the peak memory and the seconds of a method."""
    from sk_ssvae import SSVAEClassifier

    labels = np.full(n_rows, -1)
    labels[:N_LABELLED] = np.arange(N_LABELLED) % N_CLASSES
    params = {"teacher": None, "max_epochs": 1, "batch_size": 4096, "random_state": 0}
    params |= {"hidden_sizes": (16,), "latent_size": 2}
    # The first calls load code. The model for `predict_proba` has seen few rows.
    small = open_rows(Path(folder, "small"), storage)
    first = SSVAEClassifier(**params).fit(small, labels[:1000])
    first.predict_proba(small)
    model = SSVAEClassifier(**params)
    X = open_rows(Path(folder, "large"), storage)
    calls = {
        "fit": lambda: model.fit(X, labels),
        "partial_fit": lambda: model.partial_fit(X, labels, classes=[0, 1]),
        "predict_proba": lambda: first.predict_proba(X),
    }
    with PeakMemory(anonymous_memory()) as memory:
        start = time.perf_counter()
        result = calls[method]()
        seconds = time.perf_counter() - start
    assert len(getattr(result, "label_distributions_", result)) == n_rows
    return {"bytes": memory.peak, "seconds": seconds}


def kept_bytes(storage, n_rows, method):
    """Return the bytes that are kept for each row."""
    from sk_ssvae.data.source_cells import PERMUTED_CELLS

    if method == "predict_proba":
        return RESULT_BYTES
    is_permuted = storage == "memory map" and n_rows * N_FEATURES <= PERMUTED_CELLS
    order = ORDER_BYTES if is_permuted else 0
    return CODE_BYTES + MASK_BYTES + max(RESULT_BYTES, order)


def main(argv=None):
    """Run the benchmark."""
    parser = make_speed_parser("row_memory", __doc__, rounds=1)
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="in GB")
    parser.add_argument("--storages", nargs="+", default=STORAGES, choices=STORAGES)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--out", type=Path, default=RESULTS / "speed_row_memory.json")
    args = parse_speed_args(parser, argv)
    sizes = [0.01, 0.02] if args.quick else args.sizes
    call, rows = "benchmarks.speed.row_memory", []
    results = {} if args.quick else read_json(args.out)
    for storage in args.storages:
        for size in sizes:
            n_rows = n_rows_of(size)
            known = {"storage": storage, "n_rows": n_rows}
            with tempfile.TemporaryDirectory() as folder:
                in_fresh_process(f"{call}:write", folder=folder, **known)
                for method in args.methods:
                    found = in_fresh_process(
                        f"{call}:measure", folder=folder, method=method, **known
                    )
                    kept = n_rows * kept_bytes(storage, n_rows, method)
                    rows.append(
                        [
                            storage,
                            f"`{method}`",
                            f"{size:g}",
                            f"{n_rows:,}",
                            f"{found['bytes'] / 1e6:.0f}",
                            f"{kept / 1e6:.0f}",
                            f"{(found['bytes'] - kept) / 1e6:.0f}",
                            f"{n_rows / found['seconds']:,.0f}",
                        ]
                    )
                    print(*rows[-1], flush=True)
                    results[f"{storage}, {size:g} GB, {method}"] = found
                    if not args.quick:
                        write_json(args.out, results)
    header = ["X in", "method", "GB", "rows", "peak, MB", "kept, MB", "rest, MB"]
    print_table([*header, "rows a second"], sorted(rows, key=lambda row: row[:2]))


if __name__ == "__main__":
    main()
