"""Scoring of a file of many rows: rows per second, and memory against their number.

    python -m benchmarks speed.scoring
    python -m benchmarks speed.scoring --rows 10000000 --rounds 1

A file of float32 rows x 30 is scored by `predict_proba`, and the probabilities are
written to another file: in one call for all rows of the memory-mapped file, by a
`Scorer` in a loop over blocks of 65,536 rows, by a `Scorer` of the ONNX graph in the
same loop (extra ``onnx``, and onnxruntime), and by a `Scorer` and a Dask array of the
same blocks with two threads (extra ``dask``). Each call runs in a process of its own.
Memory is the peak growth of the process, which includes the pages of files that are
mapped. The two ways by blocks map a file for the duration of a block.
"""

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

N_FEATURES = 30
ROWS_TO_FIT = 5000
BLOCK = 65_536
N_DASK_THREADS = 2


class MappedFile:
    """An array in a file in the format of numpy, mapped only while it is indexed."""

    def __init__(self, path):
        array = np.load(path, mmap_mode="r")
        self.path = path
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, rows):
        return np.array(np.load(self.path, mmap_mode="r")[rows])

    def __setitem__(self, rows, values):
        np.load(self.path, mmap_mode="r+")[rows] = values


def make_file(path, n):
    """Write n rows and an empty file for their probabilities."""
    rows = np.lib.format.open_memmap(path / "X.npy", "w+", np.float32, (n, N_FEATURES))
    rng = np.random.default_rng(1)
    for start in range(0, n, BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = rng.standard_normal(block.shape, np.float32)
    np.lib.format.open_memmap(path / "proba.npy", "w+", np.float32, (n, 2))


def score_all(path):
    """Score all rows in one call."""
    from sk_ssvae import load

    clf = load(path / "model.ssvae")
    proba = clf.predict_proba(np.load(path / "X.npy", mmap_mode="r"))
    np.load(path / "proba.npy", mmap_mode="r+")[:] = proba


def score_blocks(path, model="model.ssvae"):
    """Score one block after the other."""
    from sk_ssvae import Scorer

    scorer = Scorer(path / model)
    X, proba = MappedFile(path / "X.npy"), MappedFile(path / "proba.npy")
    for start in range(0, X.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        proba[rows] = scorer(X[rows])


def score_with_onnx(path):
    """Score one block after the other by the graph."""
    score_blocks(path, "model.onnx")


def score_with_dask(path):
    """Score the blocks of a Dask array in threads."""
    import dask
    import dask.array as da

    from sk_ssvae import Scorer

    scorer = Scorer(path / "model.ssvae")
    X = da.from_array(MappedFile(path / "X.npy"), chunks=(BLOCK, N_FEATURES))
    with dask.config.set(scheduler="threads", num_workers=N_DASK_THREADS):
        target = MappedFile(path / "proba.npy")
        da.store(scorer.map_blocks(X), target, lock=False)


WAYS = {
    "one call": score_all,
    "Scorer, blocks": score_blocks,
    "Scorer, ONNX, blocks": score_with_onnx,
    f"Scorer, Dask, {N_DASK_THREADS} threads": score_with_dask,
}


def measure(way, n):
    """Return the seconds and the bytes of scoring n rows.

    A smaller file is scored first, which loads code and the model.
    """
    from sk_ssvae import SSVAEClassifier, to_onnx

    X, y = blobs(ROWS_TO_FIT, N_FEATURES, 2)
    clf = SSVAEClassifier(random_state=0, **plain_m2(max_epochs=1, n_threads=1))
    clf.fit(X, hide_labels(y, 10, 0))
    score = WAYS[way]
    with (
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as folder,
    ):
        for path, size in ((Path(first), 1000), (Path(folder), n)):
            make_file(path, size)
            clf.save(path / "model.ssvae")
            if "ONNX" in way:
                to_onnx(clf, path / "model.onnx")
        score(Path(first))
        start = time.perf_counter()
        _, n_bytes = peak_memory(score, Path(folder))
        seconds = time.perf_counter() - start
        some = np.linspace(0, n - 1, 500, dtype=int)
        expected = clf.predict_proba(MappedFile(Path(folder, "X.npy"))[some])
        found = MappedFile(Path(folder, "proba.npy"))[some]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    return {"seconds": seconds, "rows_per_second": n / seconds, "bytes": n_bytes}


def main(argv=None):
    """Measure all ways, those with Dask if it is installed, for two numbers of rows."""
    parser = make_speed_parser("scoring", __doc__, rounds=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 2_000_000])
    parser.add_argument("--ways", nargs="+", default=[*WAYS], choices=[*WAYS])
    args = parse_speed_args(parser, argv)
    sizes = (100_000, 200_000) if args.quick else tuple(args.rows)
    results = Results("scoring", quick=args.quick, resume=args.resume)
    needed = {"Dask": "dask", "ONNX": "onnxruntime"}
    ways = [
        way
        for way in args.ways
        if all(find_spec(needed[name]) for name in needed if name in way)
    ]
    calls = {f"{way}, {n:,} rows": (way, n) for way in ways for n in sizes}
    summary = results.interleave(
        "scoring",
        {
            name: lambda r, way=way, n=n: in_fresh_process(
                "benchmarks.speed.scoring:measure", way=way, n=n
            )
            for name, (way, n) in calls.items()
        },
        args.rounds,
        info={"features": N_FEATURES, "block": BLOCK, "sizes": sizes},
    )
    print_table(
        ["", "rows", "X, MB", "rows per second", "spread", "memory, MB"],
        (
            [
                way,
                f"{n:,}",
                f"{n * N_FEATURES * 4 / 1e6:.0f}",
                f"{summary[name]['rows_per_second']:,.0f}",
                format_percent(summary[name]["rows_per_second_spread"]),
                f"{summary[name]['bytes'] / 1e6:.0f}",
            ]
            for name, (way, n) in calls.items()
        ),
    )
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
