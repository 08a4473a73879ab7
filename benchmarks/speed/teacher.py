"""Teacher: time of each view of the default teacher, and memory of a fit with it.

    python -m benchmarks speed.teacher
    python -m benchmarks speed.teacher --n-jobs 1 2

The time is CPU time on one thread, against the numbers of rows, columns and labels. The
exponent b of a view is that of seconds = a n^b, by least squares on logarithms. Epochs
are those of the default fit, extrapolated from two. Memory is the peak growth of the
process while the views that have the largest arrays are fitted to a memory-mapped file,
whose pages count. Their graphs are small: their size does not depend on the rows.

With ``--n-jobs`` it is the wall-clock time of a fit, for these numbers of jobs in turn.
How much more jobs can gain at all depends on what else the machine does: each round
also times a hash of the same bytes in each of as many threads, which do not wait for
each other. Its time would be the same for every number on an idle machine.
"""

import hashlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.accuracy.panel_data import prepared
from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

BASE = {"rows": 5000, "columns": 10, "labels": 100}
SIZES = {
    "rows": [2500, 5000, 10_000, 20_000],
    "columns": [10, 40, 160],
    "labels": [100, 500, 2500],
}
N_EPOCHS = 2
MEMORY_VIEWS = ["columns", "min-max", "pca-4", "logistic", "discriminant"]
MEMORY_SHAPES = [(60_000, 300)]
JOBS_DATA = ["digits", "usps", "sc_pbmc4k"]
LABELS_PER_CLASS = 10
HASHED_BYTES = 2**28


def view_seconds(rows, columns, labels):
    """Return the CPU seconds of each view, of the whole teacher, and of the epochs."""
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
    from sk_ssvae.teachers import view_sets
    from sk_ssvae.training.batches import resolve_max_epochs

    X, y = blobs(rows, columns, 2, distance=0.5)
    y = hide_labels(y, labels // 2, 0)
    seconds = {}
    make_view = view_sets.make_view

    def make_timed_view(name, shape, settings):
        view = make_view(name, shape, settings)
        fit = view.fit_predict_proba

        def timed_fit(*args):
            start = time.process_time()
            result = fit(*args)
            seconds[name] = time.process_time() - start
            return result

        view.fit_predict_proba = timed_fit
        return view

    def cpu_seconds(estimator, X, y):
        start = time.process_time()
        estimator.fit(X, y)
        return time.process_time() - start

    teacher = OpinionPoolClassifier(random_state=0)
    network = SSVAEClassifier(teacher=None, max_epochs=N_EPOCHS, random_state=0)
    few = np.concatenate([np.flatnonzero(y >= 0)[:20], np.flatnonzero(y < 0)[:200]])
    for estimator in (teacher, network):  # first calls load code
        estimator.fit(X[few], np.where(np.arange(len(few)) < 20, y[few], -1))
    with mock.patch.object(view_sets, "make_view", make_timed_view):
        total = cpu_seconds(teacher, X, y)
    epochs = cpu_seconds(network, X, y) / N_EPOCHS
    epochs *= resolve_max_epochs(
        "auto", rows, network.batch_size, taught=True, large_steps=True
    )
    return seconds | {
        "all views": total,
        "epochs": epochs,
        "whole fit": total + epochs,
    }


def memory_of(rows, columns):
    """Return the bytes that soft targets from some views take."""
    from sk_ssvae import OpinionPoolClassifier
    from sk_ssvae.teachers.soft_targets import fit_soft_targets

    teacher = OpinionPoolClassifier(views=MEMORY_VIEWS)

    def fit(X, y):
        fit_soft_targets(teacher, X, y, 2, 0)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        X = np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns))
        X[:], y = blobs(rows, columns, 2, distance=0.1)
        del X
        y = hide_labels(y, 20, 0)
        X = np.load(path, mmap_mode="r")
        few = np.concatenate([np.flatnonzero(y >= 0), np.arange(300)])
        fit(X[few], y[few])  # the first call loads code
        _, n_bytes = peak_memory(fit, X, y)
    return {"bytes": n_bytes}


def slope(sizes, values):
    """Return the exponent b of values = a n^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def time_views(results, args, axis, sizes):
    """Print the seconds of each view for several numbers of rows, columns or labels."""
    summary = results.interleave(
        axis,
        {
            f"{n}": lambda r, n=n: in_fresh_process(
                "benchmarks.speed.teacher:view_seconds", **(BASE | {axis: n})
            )
            for n in sizes
        },
        args.rounds,
        info={"sizes": sizes, "base": BASE},
    )
    entries = [summary[f"{n}"] for n in sizes]
    names = [name for name in entries[-1] if "_spread" not in name and name != "rounds"]
    print(f"CPU seconds by {axis}; otherwise {BASE}\n")
    print_table(
        ["", *(f"{n:,}" for n in sizes), "exponent", f"from {sizes[-2]:,} on"],
        (
            [
                name,
                *(format_number(e[name], 2) if name in e else "" for e in entries),
                *(
                    f"{slope(sizes[k:], [e[name] for e in entries[k:]]):.2f}"
                    if all(e.get(name) for e in entries[k:])
                    else ""
                    for k in (0, -2)
                ),
            ]
            for name in names
        ),
    )


def memory(results, args, shapes):
    """Print the peak memory of fits, and its multiple of X."""
    summary = results.interleave(
        "memory",
        {
            f"{rows} x {columns}": lambda r, rows=rows, columns=columns: (
                in_fresh_process(
                    "benchmarks.speed.teacher:memory_of", rows=rows, columns=columns
                )
            )
            for rows, columns in shapes
        },
        1,
        info={"shapes": shapes},
    )
    rows = []
    for (n, columns), entry in zip(shapes, summary.values(), strict=True):
        own, n_bytes = 4 * n * columns, entry["bytes"]
        cells = [own / 1e6, n_bytes / 1e6, n_bytes / own]
        rows.append([f"{n:,} x {columns}", *map(format_number, cells)])
    print_table(["X, float32", "MB of X", "MB of the fit", "times X"], rows)


def hash_seconds(n_threads):
    """Return the seconds in which as many threads hash the same bytes each."""
    block = bytes(HASHED_BYTES)
    with ThreadPoolExecutor(n_threads) as executor:
        return seconds_of(lambda: [*executor.map(hashlib.sha256, [block] * n_threads)])


def time_jobs(results, args, names):
    """Print the seconds of a fit by the number of jobs, and those of the hashes."""
    from sk_ssvae import OpinionPoolClassifier

    rows = []
    for name in names:
        X, y = prepared(name)
        y = hide_labels(y, LABELS_PER_CLASS, 0)

        def fit(n_jobs, X=X, y=y):
            pool = OpinionPoolClassifier(random_state=0, n_jobs=n_jobs)
            start = time.process_time()
            seconds = seconds_of(pool.fit, X, y)
            return {"seconds": seconds, "cpu": time.process_time() - start}

        few = np.sort(np.argsort(y < 0, kind="stable")[:300])
        OpinionPoolClassifier(random_state=0).fit(X[few], y[few])  # loads code
        first = args.n_jobs[0]
        base = f"{first} jobs"
        summary = results.interleave(
            f"n_jobs {name}",
            {
                **{f"{n} jobs": lambda r, n=n: fit(n) for n in args.n_jobs},
                **{f"{n} hashes": lambda r, n=n: hash_seconds(n) for n in args.n_jobs},
            },
            args.rounds,
            base=base,
            info={"shape": X.shape, "n_jobs": args.n_jobs},
        )
        for n in args.n_jobs:
            jobs, hashes = summary[f"{n} jobs"], summary[f"{n} hashes"]
            possible = summary[f"{first} hashes"]["seconds"] * n / first
            values = [
                *(jobs["seconds"], jobs["cpu"], jobs["ratio_of_medians"]),
                possible / hashes["seconds"],
            ]
            shape = f"{X.shape[0]:,} x {X.shape[1]:,}"
            rows.append([name, shape, f"{n}", *(f"{v:.2f}" for v in values)])
    head = ["data", "rows x columns", "jobs", "s", "CPU s", "gain", "gain of hashes"]
    print_table(head, rows)


def main(argv=None):
    """Measure time, memory, or both, or the gain of parallel jobs."""
    parser = make_speed_parser("teacher", __doc__, rounds=1)
    parser.add_argument("--only", choices=[*SIZES, "memory"])
    parser.add_argument(
        "--n-jobs", type=int, nargs="+", help="compare these numbers of jobs instead"
    )
    args = parse_speed_args(parser, argv)
    results = Results("teacher", quick=args.quick, resume=args.resume)
    sizes, shapes = SIZES, MEMORY_SHAPES
    if args.quick:
        sizes = {"rows": [400, 800], "columns": [5, 20], "labels": [20, 40]}
        shapes = [(2000, 20)]
    if args.n_jobs:
        time_jobs(results, args, JOBS_DATA[:1] if args.quick else JOBS_DATA)
        print(f"Written to {results.path.name}.")
        return
    for axis in sizes:
        if args.only in (None, axis):
            time_views(results, args, axis, sizes[axis])
    if args.only in (None, "memory"):
        memory(results, args, shapes)
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
