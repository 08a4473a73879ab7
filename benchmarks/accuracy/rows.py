"""Accuracy, time and memory of the default on 500 to 60,000 rows of MNIST.

    python -m benchmarks accuracy.rows

Rows are drawn from the first 60,000 of MNIST, with 20 labels of each class; accuracy is
on the last 10,000. Every fit is in a new process with one thread. Memory is the peak
growth of the process during the fit. "pool" is the default teacher alone; "pool, all
rows in graphs" fits its views to all rows instead of a sample of 10,000.
Each result is written as soon as it is computed, and not computed again.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.common.command_line import make_parser
from benchmarks.common.data import hide_labels, load_raw
from benchmarks.common.fresh_process import GB, in_fresh_process, peak_memory
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import format_number, print_table

SIZES = (500, 2000, 8000, 20_000, 60_000)
UNLIMITED = "pool, all rows in graphs"
METHODS = ("default", "pool", UNLIMITED)
PER_CLASS = 20
N_TRAIN = 60_000
SAMPLE_ROWS = 10_000
"""Default of `max_rows` of the pool."""


def load_rows(n, seed=0):
    """Return rows in [0, 1] with few labels, and test rows with all labels."""
    X, y, _ = load_raw("mnist")
    X, y = X.astype(np.float32) / np.float32(X.max()), y.astype(np.int64)
    rows = np.random.RandomState(seed).permutation(N_TRAIN)[:n]
    few = hide_labels(y[rows], PER_CLASS, seed)
    return X[rows], few, X[N_TRAIN:], y[N_TRAIN:]


def measure(method, n):
    """Fit once; return seconds, memory in bytes and accuracy."""
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
    from sk_ssvae.training import ClassifierOptions

    X, few, X_test, y_test = load_rows(n)
    if method == "default":
        options = ClassifierOptions(n_threads=1)
        model = SSVAEClassifier(random_state=0, device="cpu", options=options)
    else:
        model = OpinionPoolClassifier(random_state=0)
        if method == UNLIMITED:
            model.set_params(max_rows=N_TRAIN)
    start = time.perf_counter()
    _, n_bytes = peak_memory(model.fit, X, few)
    seconds = time.perf_counter() - start
    accuracy = model.score(X_test, y_test)
    return {"seconds": seconds, "bytes": n_bytes, "accuracy": accuracy}


def main(argv=None):
    """Measure what is not in the file, and print the table."""
    parser = make_parser("accuracy.rows", __doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--out", type=Path, default=RESULTS / "rows.json")
    args = parser.parse_args(argv)
    results = read_json(args.out)
    for n in args.sizes:
        for method in args.methods:
            if method == UNLIMITED and n <= SAMPLE_ROWS:
                continue  # the same as "pool"
            if f"{method} {n}" not in results:
                results[f"{method} {n}"] = in_fresh_process(
                    "benchmarks.accuracy.rows:measure", method=method, n=n
                )
                write_json(args.out, results)
    lines = []
    for key, result in results.items():
        method, _, n = key.rpartition(" ")
        accuracy = f"{100 * result['accuracy']:.1f}"
        memory = f"{result['bytes'] / GB:.2f}"
        seconds = format_number(result["seconds"])
        lines.append([f"{int(n):,}", method, accuracy, seconds, memory])
    print_table(["rows", "", "accuracy, %", "seconds", "memory, GB"], lines)


if __name__ == "__main__":
    main()
