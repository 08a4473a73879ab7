"""Threads: parallel fits of a grid search, and one fit with several threads.

    python -m benchmarks speed.threads

Every measurement is in a new process, with torch's default number of threads: the
threads of torch outlive a call. The fits with several threads are repeated while
another process keeps one core busy.
"""

import subprocess
import sys
from contextlib import contextmanager, nullcontext

from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SIZES = {"small": (None, 20), "tabular": (None, 1), "image": (15_000, 1)}
"""Rows (None takes all) and epochs of each size."""

THREADS = {"n_threads=1": 1, "n_threads=2": 2, "n_threads=None": None}


def grid_search(n_jobs, quick):
    """Return the seconds of eight fits without refit, including the workers' start."""
    from sklearn.model_selection import GridSearchCV

    from benchmarks.speed.sizes import make_size
    from sk_ssvae import SSVAEClassifier

    size = make_size("small")
    search = GridSearchCV(
        SSVAEClassifier(
            likelihood=size.likelihood,
            device="cpu",
            random_state=0,
            **plain_m2(max_epochs=2 if quick else 100),
        ),
        {"latent_size": [2, 5, 10, 20]},
        cv=2,
        n_jobs=n_jobs,
        refit=False,
        error_score="raise",
    )
    return {"seconds": seconds_of(search.fit, size.X, size.y)}


def fit_seconds(name, n_threads, quick):
    """Return the seconds of one fit."""
    from benchmarks.speed.sizes import fit_ssvae, make_size, warm_up

    rows, epochs = SIZES[name]
    size = make_size(name, rows, 1 if quick else epochs)
    if quick:
        size = make_size(name, 1000, 1)

    def fit(size):
        fit_ssvae(size, n_threads=n_threads)

    warm_up(size, [fit])
    return {"seconds": seconds_of(fit, size)}


@contextmanager
def busy_process():
    """Run a process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def search_table(results, args):
    """Time a grid search with one worker and with two."""
    summary = results.interleave(
        "grid search",
        {
            f"n_jobs={n}": lambda r, n=n: in_fresh_process(
                "benchmarks.speed.threads:grid_search",
                threads=None,
                n_jobs=n,
                quick=args.quick,
            )
            for n in (1, 2)
        },
        args.rounds,
        base="n_jobs=1",
        info={"fits": 8, "rows": 1797, "max_epochs": 2 if args.quick else 100},
    )
    print("GridSearchCV, eight fits of the digits\n")
    print_table(
        ["", "n_jobs=1 / this", "seconds", "spread"],
        (
            [
                name,
                f"{entry['ratio']:.2f}",
                format_number(entry["seconds"]),
                format_percent(entry["seconds_spread"]),
            ]
            for name, entry in summary.items()
        ),
    )


def time_threads(name, n_threads, busy, quick):
    """Time a fit in a new process, alone or while another process is busy."""
    with busy_process() if busy else nullcontext():
        return in_fresh_process(
            "benchmarks.speed.threads:fit_seconds",
            threads=None,
            name=name,
            n_threads=n_threads,
            quick=quick,
        )


def fit_table(results, args):
    """Time a fit with one thread, two, or as many as the estimator chooses."""
    rows = []
    for name in args.sizes:
        for busy in (False, True):
            group = f"{name}, {'beside a busy process' if busy else 'alone'}"
            summary = results.interleave(
                group,
                {
                    key: lambda r, name=name, n=n, busy=busy: time_threads(
                        name, n, busy, args.quick
                    )
                    for key, n in THREADS.items()
                },
                args.rounds,
                base="n_threads=1",
                info={"rows, epochs": SIZES[name]},
            )
            row = [group]
            for entry in summary.values():
                row += [
                    format_number(entry["seconds"]),
                    format_percent(entry["seconds_spread"]),
                ]
            for key in ("n_threads=2", "n_threads=None"):
                row.append(f"{summary[key]['ratio']:.2f}")
            rows.append(row)
    header = ["seconds of a fit"]
    for key in THREADS:
        header += [key, "spread"]
    print_table([*header, "1 / 2", "1 / None"], rows)


def main(argv=None):
    """Measure, and print both tables."""
    parser = make_speed_parser("threads", __doc__, rounds=5)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    args = parse_speed_args(parser, argv)
    results = Results("threads", quick=args.quick, resume=args.resume, threads=None)
    search_table(results, args)
    fit_table(results, args)
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
