"""Fit and predict beside scikit-learn's LabelSpreading as rows become more."""

import time
import warnings

from measure import GB, Results, in_fresh_process, number, peak_memory, percent, table
from plain import PLAIN_M2

N_FEATURES = 30
PER_CLASS = 50
DISTANCE = 0.35  # of the centres: a tenth of the rows or so is nearer to the wrong one
MEMORY, MINUTES = 10 * GB, 10
LARGEST_KERNEL = 6 * GB

METHODS = (
    "SSVAEClassifier",
    "SSVAEClassifier, max_epochs=10",
    "LabelSpreading, knn, 7",
    "LabelSpreading, rbf",
)


def make(method):
    """Estimator with its defaults, or what its name says."""
    from sklearn.semi_supervised import LabelSpreading

    from sk_ssvae import SSVAEClassifier

    if method.startswith("SSVAE"):
        more = PLAIN_M2 | ({"max_epochs": 10} if "=10" in method else {})
        return SSVAEClassifier(device="cpu", n_threads=1, random_state=0, **more)
    if "knn" in method:
        return LabelSpreading(kernel="knn", n_neighbors=7)
    return LabelSpreading()


def point(method, n):
    """Seconds, memory beyond X and accuracy of one method; in a fresh process."""
    import numpy as np
    import torch
    from data import blobs, hide_labels

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # rows that no label reaches; iterations at an end
    X, y = blobs(n, N_FEATURES, 2, distance=DISTANCE, dtype=np.float64)
    few = hide_labels(y, PER_CLASS, 0)
    hidden = few < 0
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(hidden)[:200]])
    warm = make(method)
    if "SSVAE" in method:
        warm.set_params(max_epochs=1)
    warm.fit(X[small], few[small])  # code that is loaded when first called
    X_hidden = X[hidden]
    model = make(method)
    seconds = {}

    def answer():
        start = time.perf_counter()
        model.fit(X, few)
        seconds["fit"] = time.perf_counter() - start
        predicted = model.predict(X_hidden)
        seconds["seconds"] = time.perf_counter() - start
        return predicted

    predicted, n_bytes = peak_memory(answer)
    return seconds | {
        "bytes": n_bytes,
        "accuracy": 100 * float((predicted == y[hidden]).mean()),
    }


def contestant(method, n):
    """Return what measures a point, or says why it is left out."""
    if "rbf" in method and 8 * n**2 > LARGEST_KERNEL:
        reason = f"its {n:,} x {n:,} kernel alone takes {8 * n**2 / GB:.1f} GB"
        return lambda r: {"left_out": reason}
    return lambda r: in_fresh_process(
        "speed_label_spreading:point",
        method=method,
        n=n,
        memory=MEMORY,
        timeout=60 * MINUTES,
    )


def run(args):
    """Measure every method at every number of rows."""
    results = Results("label_spreading", quick=args.quick, resume=args.resume)
    sizes = [300, 600] if args.quick else [1000, 3000, 10_000, 30_000, 100_000]
    points = {f"{n}, {method}": (n, method) for n in sizes for method in METHODS}
    summary = results.interleave(
        "points",
        {key: contestant(method, n) for key, (n, method) in points.items()},
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
                number(entry["seconds"]),
                percent(entry["seconds_spread"]),
                number(entry["fit"]),
                number(entry["bytes"] / 1e6),
                f"{entry['accuracy']:.1f}",
            ]
        rows.append(row)
    table(
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
