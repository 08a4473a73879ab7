"""Default teacher against many rows: exact and approximate neighbours.

    python -m benchmarks speed.teacher_rows

CPU seconds on one thread, memory and accuracy on unlabelled rows of
`OpinionPoolClassifier`, with 20 labels of each class, for normal clusters with 50
columns and 5 classes, and for MNIST. Memory is the peak growth of the process during
`fit`, without X but with the results. Approximate neighbours need the extra `faiss`.
"""

import time

import numpy as np

from benchmarks.common.data import blobs, hide_labels, load
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_number, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SETS = {
    "60,000 x 50": {"rows": 60_000},
    "200,000 x 50": {"rows": 200_000},
    "1,000,000 x 50": {"rows": 1_000_000},
    "MNIST, 60,000 x 784": {"rows": 60_000, "name": "mnist"},
}
QUICK_SETS = {"12,000 x 50": {"rows": 12_000}}
ALGORITHMS = ("auto", "faiss")


def fit(rows, neighbors_algorithm, name=None):
    """Return CPU seconds, memory and accuracy of a fit of the pool."""
    from sk_ssvae import OpinionPoolClassifier

    if name is None:
        X, y = blobs(rows, 50, 5, distance=0.5)
    else:
        X, y = load(name, max_rows=rows)
        X = X.astype(np.float32)
    few = hide_labels(y, 20, 0)
    pool = OpinionPoolClassifier(
        neighbors_algorithm=neighbors_algorithm, random_state=0
    )
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(few < 0)[:200]])
    pool.fit(X[small], few[small])  # the first call loads code
    start = time.process_time()
    _, n_bytes = peak_memory(pool.fit, X, few)
    seconds = time.process_time() - start
    hidden = few < 0
    accuracy = 100 * (pool.transduction_[hidden] == y[hidden]).mean()
    return {"seconds": seconds, "bytes": n_bytes, "accuracy": accuracy}


def main(argv=None):
    """Measure all sets, or some of them, with each algorithm."""
    parser = make_speed_parser("teacher_rows", __doc__, rounds=1)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    args = parse_speed_args(parser, argv)
    results = Results("teacher_rows", quick=args.quick, resume=args.resume)
    sets = QUICK_SETS if args.quick else {name: SETS[name] for name in args.sets}
    rows = []
    for name, options in sets.items():
        summary = results.interleave(
            name,
            {
                algorithm: lambda r, algorithm=algorithm, options=options: (
                    in_fresh_process(
                        "benchmarks.speed.teacher_rows:fit",
                        neighbors_algorithm=algorithm,
                        **options,
                    )
                )
                for algorithm in ALGORITHMS
            },
            args.rounds,
            base="auto",
        )
        for algorithm, entry in summary.items():
            rows.append(
                [
                    name,
                    algorithm,
                    format_number(entry["seconds"]),
                    format_number(entry["ratio"], 2),
                    f"{entry['bytes'] / 1e6:.0f}",
                    f"{entry['accuracy']:.1f}",
                ]
            )
    heads = ["rows", "neighbours", "CPU s", "auto / this", "memory, MB", "accuracy, %"]
    print_table(heads, rows)
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
