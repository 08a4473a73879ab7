"""Several fits at once, one on several threads, and either beside a busy process."""

import subprocess
import sys
from contextlib import contextmanager, nullcontext

from measure import Results, in_fresh_process, number, percent, seconds_of, table
from plain import PLAIN_M2

# Rows (None: all) and epochs.
SIZES = {"small": (None, 20), "tabular": (None, 1), "image": (15_000, 1)}
THREADS = {"n_threads=1": 1, "n_threads=2": 2, "n_threads=None": None}


def grid_search(n_jobs, quick):
    """Seconds of eight fits and no refit; in a fresh process, workers included."""
    from sizes import make_size
    from sklearn.model_selection import GridSearchCV

    from sk_ssvae import SSVAEClassifier

    size = make_size("small")
    search = GridSearchCV(
        SSVAEClassifier(
            likelihood=size.likelihood,
            device="cpu",
            random_state=0,
            **PLAIN_M2 | {"max_epochs": 2 if quick else 100},
        ),
        {"latent_size": [2, 5, 10, 20]},
        cv=2,
        n_jobs=n_jobs,
        refit=False,
        error_score="raise",
    )
    return {"seconds": seconds_of(search.fit, size.X, size.y)}


def fit_seconds(name, n_threads, quick):
    """Seconds of one fit; in a fresh process."""
    from sizes import fit_ours, make_size, warm_up

    rows, epochs = SIZES[name]
    size = make_size(name, rows, 1 if quick else epochs)
    if quick:
        size = make_size(name, 1000, 1)

    def fit(size):
        fit_ours(size, n_threads=n_threads)

    warm_up(size, [fit])
    return {"seconds": seconds_of(fit, size)}


@contextmanager
def busy_process():
    """Keep one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def search_table(results, args):
    """Grid search with one and with two workers."""
    summary = results.interleave(
        "grid search",
        {
            f"n_jobs={n}": lambda r, n=n: in_fresh_process(
                "speed_threads:grid_search", threads=None, n_jobs=n, quick=args.quick
            )
            for n in (1, 2)
        },
        args.rounds,
        base="n_jobs=1",
        info={"fits": 8, "rows": 1797, "max_epochs": 2 if args.quick else 100},
    )
    print("GridSearchCV, eight fits of the digits\n")
    table(
        ["", "n_jobs=1 / this", "seconds", "spread"],
        (
            [
                name,
                f"{entry['ratio']:.2f}",
                number(entry["seconds"]),
                percent(entry["seconds_spread"]),
            ]
            for name, entry in summary.items()
        ),
    )


def time_threads(name, n_threads, beside, quick):
    """Seconds of a fit. Each has its own process: threads of torch outlive a call."""
    with busy_process() if beside else nullcontext():
        return in_fresh_process(
            "speed_threads:fit_seconds",
            threads=None,
            name=name,
            n_threads=n_threads,
            quick=quick,
        )


def fit_table(results, args):
    """One fit on one thread, two, or as many as the estimator chooses."""
    rows = []
    for name in args.sizes or SIZES:
        for beside in (False, True):
            group = f"{name}, {'beside a busy process' if beside else 'alone'}"
            summary = results.interleave(
                group,
                {
                    key: lambda r, name=name, n=n, beside=beside: time_threads(
                        name, n, beside, args.quick
                    )
                    for key, n in THREADS.items()
                },
                args.rounds,
                base="n_threads=1",
                info={"rows, epochs": SIZES[name]},
            )
            row = [group]
            for entry in summary.values():
                row += [number(entry["seconds"]), percent(entry["seconds_spread"])]
            for key in ("n_threads=2", "n_threads=None"):
                row.append(f"{summary[key]['ratio']:.2f}")
            rows.append(row)
    header = ["seconds of a fit"]
    for key in THREADS:
        header += [key, "spread"]
    table([*header, "1 / 2", "1 / None"], rows)


def run(args):
    """Print both tables."""
    results = Results("threads", quick=args.quick, resume=args.resume, threads=None)
    search_table(results, args)
    fit_table(results, args)
    print(f"Written to {results.path.name}.")
