"""Concurrency: many threads on one classifier, parallel fits, leaks of resources.

    python -m benchmarks reliability.concurrency --threads 8 --fits 200

Many threads call one classifier while another thread fits a different one; the
interpreter switches threads every 0.1 ms. All results are compared bit by bit with
those of a single thread. For leaks, a round is a fit with a checkpoint, `partial_fit`,
predictions, samples, saving and loading, pickling, and a fit that fails. One round in
twenty has the default teacher, and every third one runs in a new thread.
"""

import sys
import time
from itertools import product
from pathlib import Path

from concurrency import (
    FEW,
    MODELS,
    X_MISSING,
    X,
    call_from_threads,
    fit_to_bytes,
    make_classifier,
    resources_before_and_after,
)
from joblib import Parallel, delayed

from benchmarks.common.versions import package_versions
from benchmarks.reliability.report import (
    make_reliability_parser,
    print_result,
    save_result,
)

PACKAGES = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy", "joblib")


def concurrent_calls(n_threads, rounds):
    """Call classifiers of every kind from many threads; count different results."""
    records = []
    for model, own, gaps in product(MODELS, (False, True), (False, True)):
        rows = X_MISSING if gaps else X
        clf = make_classifier(own, model=model).fit(rows, FEW)
        other = make_classifier(not own, model=model, random_state=1)
        fits = []  # of the other thread
        wrong, n = call_from_threads(
            clf,
            rows,
            n_threads=n_threads,
            n_rounds=rounds,
            background=lambda other=other, rows=rows, fits=fits: fits.append(
                fit_to_bytes(other, rows)
            ),
        )
        records.append(
            {
                "model": model,
                "own networks": own,
                "gaps": gaps,
                "calls": n,
                "wrong": dict(wrong),
                "fits beside": len(fits),
                "wrong fits": sum(
                    one != fit_to_bytes(other, rows) for one in set(fits)
                ),
            }
        )
    return records


def parallel_fits(n_threads, n):
    """Fit in threads and in processes; count fits that differ from a single thread."""
    estimators = [
        make_classifier(own, model=model, random_state=seed)
        for seed, (model, own) in enumerate(product(MODELS, (False, True)))
    ]
    expected = [fit_to_bytes(one, X_MISSING) for one in estimators]
    wrong = {}
    for backend, n_jobs in (("threading", n_threads), ("loky", 2)):
        fits = Parallel(n_jobs=n_jobs, backend=backend)(
            delayed(fit_to_bytes)(estimators[i % len(estimators)], X_MISSING)
            for i in range(n)
        )
        wrong[backend] = sum(
            one != expected[i % len(expected)] for i, one in enumerate(fits)
        )
    return {"fits": n, "wrong": wrong}


def main(argv=None):
    """Run all three parts, and print the result."""
    parser = make_reliability_parser("concurrency", __doc__)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8, help="of all kinds of calls")
    parser.add_argument("--fits", type=int, default=200)
    args = parser.parse_args(argv)
    start = time.perf_counter()
    result = {"versions": package_versions(PACKAGES), "threads": args.threads}
    # Before the other parts, since joblib keeps threads and memory.
    if Path("/proc/self/fd").exists():
        before, after = resources_before_and_after(args.fits)
        result["rounds"] = {"n": args.fits, "before": before, "after": after}
    sys.setswitchinterval(1e-4)
    result["answers"] = concurrent_calls(args.threads, args.rounds)
    result["fits"] = parallel_fits(args.threads, args.fits)
    result["seconds"] = time.perf_counter() - start
    save_result(args.out, "concurrency", result)
    print_result("concurrency", result)


if __name__ == "__main__":
    main()
