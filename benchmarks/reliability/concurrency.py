"""Many threads on one classifier, fits in threads, and what many fits leave behind.

    python benchmarks/reliability.py concurrency --threads 8 --fits 200

Answers are compared to the bit with those of one thread alone, while another thread
fits a classifier; threads change every 0.1 ms. A round is a fit with a checkpoint,
`partial_fit`, answers, draws, a file that is written and read, a pickle, and a fit that
fails; of every twenty one has the default teacher, and every third is in a new thread.
"""

import sys
import time
from itertools import product
from pathlib import Path

from joblib import Parallel, delayed
from measure import HERE, table, versions

sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
from concurrency import (
    FEW,
    HOLED,
    MODELS,
    X,
    asked_at_once,
    fitted,
    resources_of_rounds,
    small,
)

MB = 1e6
RAN = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy", "joblib")


def answers_at_once(n_threads, rounds):
    """Ask classifiers of every kind from many threads; count wrong answers."""
    records = []
    for model, own, gaps in product(MODELS, (False, True), (False, True)):
        rows = HOLED if gaps else X
        clf = small(own, model=model).fit(rows, FEW)
        other = small(not own, model=model, random_state=1)
        fits = []  # by the thread beside
        wrong, n = asked_at_once(
            clf,
            rows,
            n_threads=n_threads,
            rounds=rounds,
            work=lambda other=other, rows=rows, fits=fits: fits.append(
                fitted(other, rows)
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
                "wrong fits": sum(one != fitted(other, rows) for one in set(fits)),
            }
        )
    return records


def fits_at_once(n_threads, n):
    """Fit in threads and in processes; count fits that are not those of one thread."""
    some = [
        small(own, model=model, random_state=seed)
        for seed, (model, own) in enumerate(product(MODELS, (False, True)))
    ]
    alone = [fitted(one, HOLED) for one in some]
    wrong = {}
    for backend, n_jobs in (("threading", n_threads), ("loky", 2)):
        found = Parallel(n_jobs=n_jobs, backend=backend)(
            delayed(fitted)(some[i % len(some)], HOLED) for i in range(n)
        )
        wrong[backend] = sum(one != alone[i % len(some)] for i, one in enumerate(found))
    return {"fits": n, "wrong": wrong}


def add_arguments(parser):
    """Add how much is tried."""
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8, help="of all kinds of calls")
    parser.add_argument("--fits", type=int, default=200)


def run(args, found, keep):
    """Run all three parts."""
    start = time.perf_counter()
    found = {"versions": versions(RAN), "threads": args.threads}
    # First, for joblib keeps threads and memory.
    if Path("/proc/self/fd").exists():
        before, after = resources_of_rounds(args.fits)
        found["rounds"] = {"n": args.fits, "before": before, "after": after}
    sys.setswitchinterval(1e-4)
    found["answers"] = answers_at_once(args.threads, args.rounds)
    found["fits"] = fits_at_once(args.threads, args.fits)
    found["seconds"] = time.perf_counter() - start
    keep(found)


def totals(found):
    """Count what was tried, and what was not as with one thread."""
    answers, fits = found["answers"], found["fits"]
    calls = sum(one["calls"] for one in answers)
    wrong = sum(sum(one["wrong"].values()) for one in answers)
    yield f"calls from {found['threads']} threads, of one classifier", calls, wrong
    beside = sum(one["fits beside"] for one in answers)
    yield "fits beside them", beside, sum(one["wrong fits"] for one in answers)
    for backend, n_wrong in fits["wrong"].items():
        yield f"fits at once, {backend}", fits["fits"], n_wrong


def report(found):
    """Print what was found."""
    table(["", "tried", "not those of one thread"], [*map(list, totals(found))])
    if "rounds" in found:
        rounds = found["rounds"]
        before, after = rounds["before"], rounds["after"]
        rows = [
            ["memory, MB", *(f"{one['bytes'] / MB:.1f}" for one in (before, after))],
            *([k, before[k], after[k]] for k in ("threads", "files", "children")),
        ]
        table(["held by the process", "before", f"after {rounds['n']} rounds"], rows)
