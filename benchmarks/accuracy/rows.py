"""The default on 500 to 60,000 rows: accuracy, seconds, memory; and what a cap costs.

    python benchmarks/rows.py --out benchmarks/results/rows.json

Rows of MNIST's first 60,000, 20 labels a class; accuracy on its last 10,000. Every fit
is in a process of its own with one thread. Memory is what the process grows by beyond
the rows. "pool" is the default teacher alone; "pool, all rows in graphs" has no cap on
the rows of graphs, which is 20,000 by default.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from data import hide_labels
from measure import GB, HERE, in_fresh_process, number, peak_memory, table
from panel_data import raw

SIZES = (500, 2000, 8000, 20_000, 60_000)
METHODS = ("default", "pool", "pool, all rows in graphs")
PER_CLASS = 20
N_TRAIN = 60_000


def rows(n, seed=0):
    """Rows in [0, 1] and few labels, and test rows with all."""
    X, y, _ = raw("mnist")
    X, y = X.astype(np.float32) / np.float32(X.max()), y.astype(np.int64)
    which = np.random.RandomState(seed).permutation(N_TRAIN)[:n]
    few = hide_labels(y[which], PER_CLASS, seed)
    return X[which], few, X[N_TRAIN:], y[N_TRAIN:]


def measure(method, n):
    """Fit once."""
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier

    X, few, X_test, y_test = rows(n)
    if method == "default":
        model = SSVAEClassifier(random_state=0, device="cpu", n_threads=1)
    else:
        cap = 20_000 if method == "pool" else N_TRAIN
        model = OpinionPoolClassifier(random_state=0, max_graph_rows=cap)
    start = time.perf_counter()
    _, n_bytes = peak_memory(model.fit, X, few)
    seconds = time.perf_counter() - start
    accuracy = model.score(X_test, y_test)
    return {"seconds": seconds, "bytes": n_bytes, "accuracy": accuracy}


def main():
    """Measure what is not in the file, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "rows.json")
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    for n in args.sizes:
        for method in args.methods:
            if method == METHODS[-1] and n <= 20_000:
                continue  # the cap does not bite
            if f"{method} {n}" not in found:
                found[f"{method} {n}"] = in_fresh_process(
                    "rows:measure", method=method, n=n
                )
                args.out.write_text(json.dumps(found, indent=1) + "\n")
    lines = []
    for key, value in found.items():
        method, _, n = key.rpartition(" ")
        accuracy = f"{100 * value['accuracy']:.1f}"
        memory = f"{value['bytes'] / GB:.2f}"
        lines.append(
            [f"{int(n):,}", method, accuracy, number(value["seconds"]), memory]
        )
    table(["rows", "", "accuracy, %", "seconds", "memory, GB"], lines)


if __name__ == "__main__":
    main()
