r"""Permutation-invariant MNIST with 100 to 3000 labels: error of several models.

    python -m benchmarks mnist.train --labels 100 --seeds 0 1 2
    python -m benchmarks mnist.report

60,000 training rows, of which 100, 600, 1000 or 3000 have a label, the same number in
each class; error on the 10,000 test rows, in %. The result of a method with a seed is
written as soon as it is computed, and not computed again. ``--minutes`` limits the
training time of each fit: training stops after the epoch in which the limit is
exceeded, and the result says so. The reported minutes include the teacher. Settings
were chosen by the error on unlabelled training rows, as measured with
``--rows train --seeds 100``.

MNIST is read from the folder ``SK_SSVAE_DATA`` or fetched from OpenML.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.common.command_line import make_parser
from benchmarks.common.data import hide_labels, load_raw
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import exclusive_access, read_json, write_json
from benchmarks.mnist.methods import METHODS, error_curve

LABELS = (100, 600, 1000, 3000)
N_TRAIN = 60_000


def load_mnist():
    """Return training rows in [0, 1], their classes, test rows and their classes."""
    X, y, _ = load_raw("mnist")
    X, y = (X / X.max()).astype(np.float32), y.astype(np.int64)
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def measure(method, labels, seed, minutes, rows, threads):
    """Fit a method; return its error in % and the error after each epoch."""
    import torch

    torch.set_num_threads(threads)
    X, y, X_test, y_test = load_mnist()
    few = hide_labels(y, labels // 10, seed)
    hidden = few < 0
    if rows == "train":  # to choose settings without the test rows
        X_test, y_test = X[hidden][::5], y[hidden][::5]
    varies = X.std(axis=0) > 0
    start = time.perf_counter()
    curve = error_curve(np.ascontiguousarray(X_test[:, varies]), y_test, minutes)
    model = METHODS[method](X, few, seed, curve)
    return {
        "error": round(100 * float((model.predict(X_test) != y_test).mean()), 2),
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "stopped": bool(curve.points) and curve.points[-1]["minutes"] > minutes,
        "threads": threads,
        "curve": curve.points,
    }


def main(argv=None):
    """Compute the results that are not in the file."""
    parser = make_parser("mnist.train", __doc__)
    parser.add_argument("--labels", nargs="+", type=int, choices=LABELS, default=[100])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="time limit of a fit"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--rows",
        choices=("test", "train"),
        default="test",
        help="rows to predict: the test rows, or unlabelled training rows",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "mnist.json")
    args = parser.parse_args(argv)
    for seed in args.seeds:
        for labels in args.labels:
            for method in args.methods:
                key = f"{method} / {labels} / {seed}"
                if key in read_json(args.out):
                    continue
                print(key, flush=True)
                result = measure(
                    method, labels, seed, args.minutes, args.rows, args.threads
                )
                with exclusive_access(args.out):
                    write_json(args.out, read_json(args.out) | {key: result})
                error, minutes = result["error"], result["minutes"]
                print(f"{key}: {error} % in {minutes} min", flush=True)


if __name__ == "__main__":
    main()
