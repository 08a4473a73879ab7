"""Whole fits of the default: CPU time and memory against the number of rows.

    python -m benchmarks speed.whole_fit
    python -m benchmarks speed.whole_fit --sizes 1000000

Normal clusters with 50 columns and 5 classes, 20 labels of each class, one thread. The
exponent b is that of seconds = a n^b, by least squares on logarithms. Memory is the
peak growth of the process during `fit`, which excludes X but includes the results.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import format_number, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SIZES = [2500, 5000, 10_000, 20_000, 50_000, 100_000]
N_CLASSES = 5
N_LABELS = 20


def fit(rows, columns):
    """Return the CPU seconds of teacher and network, and the bytes of a fit."""
    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.estimators import classifier

    X, y = blobs(rows, columns, N_CLASSES, distance=0.5)
    few = hide_labels(y, N_LABELS, 0)
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(few < 0)[:200]])
    SSVAEClassifier(max_epochs=1, random_state=0).fit(X[small], few[small])
    make_soft_targets = classifier.make_soft_targets
    seconds = {}

    def timed(*args, **kwargs):
        start = time.process_time()
        result = make_soft_targets(*args, **kwargs)
        seconds["teacher"] = time.process_time() - start
        return result

    classifier.make_soft_targets = timed
    start = time.process_time()
    model, n_bytes = peak_memory(SSVAEClassifier(random_state=0).fit, X, few)
    seconds["fit"] = time.process_time() - start
    hidden = few < 0
    accuracy = (model.transduction_[hidden] == y[hidden]).mean()
    return seconds | {"bytes": n_bytes, "accuracy": 100 * accuracy}


def main(argv=None):
    """Run the benchmark."""
    parser = make_speed_parser("whole_fit", __doc__, rounds=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS / "speed_whole_fit.json")
    args = parse_speed_args(parser, argv)
    sizes = [500, 1000] if args.quick else args.sizes
    results = read_json(args.out)
    for rows in sizes:
        key = f"{rows} x {args.columns}"
        if args.quick or key not in results:
            results[key] = in_fresh_process(
                "benchmarks.speed.whole_fit:fit", rows=rows, columns=args.columns
            )
            print(key, results[key], flush=True)
        if not args.quick:
            write_json(args.out, results)
    found = [results[f"{rows} x {args.columns}"] for rows in sizes]
    print_table(
        ["rows", "teacher, s", "whole fit, s", "memory, MB", "accuracy, %"],
        (
            [
                f"{rows:,}",
                format_number(one["teacher"]),
                format_number(one["fit"]),
                f"{one['bytes'] / 1e6:.0f}",
                f"{one['accuracy']:.1f}",
            ]
            for rows, one in zip(sizes, found, strict=True)
        ),
    )
    if len(sizes) > 1:
        slope = np.polyfit(np.log(sizes), np.log([one["fit"] for one in found]), 1)[0]
        print(f"Exponent of the whole fit: {slope:.2f}")


if __name__ == "__main__":
    main()
