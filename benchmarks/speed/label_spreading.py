"""Label spreading: time, memory and accuracy, against the number of rows.

    python -m benchmarks speed.label_spreading

`fit` and `predict` of plain M2, compared with scikit-learn's LabelSpreading. Every
measurement is in a new process, with limits of memory and time.
"""

import time
import warnings

from benchmarks.common.fresh_process import GB, in_fresh_process, peak_memory
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

N_FEATURES = 30
PER_CLASS = 50
DISTANCE = 0.35  # about a tenth of the rows is nearer to the mean of the other class
MEMORY, MINUTES = 10 * GB, 10
LARGEST_KERNEL = 6 * GB

METHODS = (
    "SSVAEClassifier",
    "SSVAEClassifier, max_epochs=10",
    "LabelSpreading, knn, 7",
    "LabelSpreading, rbf",
)


def make_estimator(method):
    """Return the estimator of a method."""
    from sklearn.semi_supervised import LabelSpreading

    from sk_ssvae import SSVAEClassifier

    if method.startswith("SSVAE"):
        changes = {"max_epochs": 10} if "=10" in method else {}
        plain = plain_m2(n_threads=1, **changes)
        return SSVAEClassifier(device="cpu", random_state=0, **plain)
    if "knn" in method:
        return LabelSpreading(kernel="knn", n_neighbors=7)
    return LabelSpreading()


def measure(method, n):
    """Return seconds, memory in bytes and accuracy in % of one method."""
    import numpy as np
    import torch

    from benchmarks.common.data import blobs, hide_labels

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # unreachable rows, missing convergence
    X, y = blobs(n, N_FEATURES, 2, distance=DISTANCE, dtype=np.float64)
    few = hide_labels(y, PER_CLASS, 0)
    hidden = few < 0
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(hidden)[:200]])
    warm = make_estimator(method)
    if "SSVAE" in method:
        warm.set_params(max_epochs=1)
    warm.fit(X[small], few[small])  # the first call loads code
    X_hidden = X[hidden]
    model = make_estimator(method)
    seconds = {}

    def fit_and_predict():
        start = time.perf_counter()
        model.fit(X, few)
        seconds["fit"] = time.perf_counter() - start
        predicted = model.predict(X_hidden)
        seconds["seconds"] = time.perf_counter() - start
        return predicted

    predicted, n_bytes = peak_memory(fit_and_predict)
    return seconds | {
        "bytes": n_bytes,
        "accuracy": 100 * float((predicted == y[hidden]).mean()),
    }


def candidate(method, n):
    """Return a function that measures a method, or returns why it is left out."""
    if "rbf" in method and 8 * n**2 > LARGEST_KERNEL:
        reason = f"its {n:,} x {n:,} kernel alone takes {8 * n**2 / GB:.1f} GB"
        return lambda r: {"left_out": reason}
    return lambda r: in_fresh_process(
        "benchmarks.speed.label_spreading:measure",
        method=method,
        n=n,
        memory=MEMORY,
        timeout=60 * MINUTES,
    )


def main(argv=None):
    """Measure every method at every number of rows."""
    parser = make_speed_parser("label_spreading", __doc__, rounds=3)
    args = parse_speed_args(parser, argv)
    results = Results("label_spreading", quick=args.quick, resume=args.resume)
    sizes = [300, 600] if args.quick else [1000, 3000, 10_000, 30_000, 100_000]
    points = {f"{n}, {method}": (n, method) for n in sizes for method in METHODS}
    summary = results.interleave(
        "points",
        {key: candidate(method, n) for key, (n, method) in points.items()},
        args.rounds,
        info={"features": N_FEATURES, "per_class": PER_CLASS, "distance": DISTANCE},
    )
    rows = []
    for key, (n, method) in points.items():
        entry = summary[key]
        row = [f"{n:,}", method]
        if "left_out" in entry:
            row += [f"left out: {entry['left_out']}", "", "", "", ""]
        else:
            row += [
                format_number(entry["seconds"]),
                format_percent(entry["seconds_spread"]),
                format_number(entry["fit"]),
                format_number(entry["bytes"] / 1e6),
                f"{entry['accuracy']:.1f}",
            ]
        rows.append(row)
    print_table(
        [
            "rows",
            "",
            "fit and predict, s",
            "spread",
            "of it fit, s",
            "memory beyond X, MB",
            "accuracy on unlabelled rows, %",
        ],
        rows,
    )
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
