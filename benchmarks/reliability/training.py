"""Faults in training: steps that diverge, and processes that are killed.

Once: a loss or a gradient of one random step is spoilt. The fit has to be, to the bit,
the one whose steps are a tenth as long from the start of that epoch on, and which, if
that was the epoch's first step, has forgotten the epoch before. Always: from a
random step on all are spoilt. There has to be an error, and an estimator that is as
it was. Killed: processes at random moments of one fit after another; what goes on has
to end at the bits of a fit that nobody disturbed.
"""

import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from measure import HERE, table, versions

sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
from concurrency import FEW, X, small
from faults import Fault, SlowerFrom, kill_and_go_on, weights
from sklearn.exceptions import ConvergenceWarning

KINDS = ("loss", "explosion", "nan", "inf", "-inf")
STEPS, EPOCHS = 3, 4
RAN = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy")


def add_arguments(parser):
    """Add how much is tried."""
    parser.add_argument("--fits", type=int, default=200, help="of each kind of fault")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)


def fit(callback):
    """Fit with a fault, or without."""
    clf = small(max_epochs=EPOCHS, batch_size=50, callbacks=[callback])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(X, FEW)


def bits(clf):
    """All weights."""
    return b"".join(w.numpy().tobytes() for w in weights(clf).values())


def spoilt_once(kind, step, smaller):
    """Say what came of a fit with one bad step."""
    try:
        clf = fit(Fault(kind, step))
    except ValueError as error:
        return f"LOST: {error}"
    same = bits(clf) == smaller[step // STEPS + 1, step % STEPS == 0]
    return "as with smaller steps" if same else "LOST: other weights"


def spoilt_always(kind, step):
    """Say what came of a fit that cannot go on: of one that was fitted before."""
    clf = fit(SlowerFrom(EPOCHS + 1))
    before = bits(clf)
    clf.set_params(callbacks=[Fault(kind, step, again=10**6)])
    try:
        clf.fit(X, FEW)
    except ValueError as error:
        if not str(error).startswith("Training diverged: "):
            return f"LOST: {error}"
        return "error, as before" if bits(clf) == before else "LOST: other weights"
    return "LOST: no error"


def run(args, found, keep):
    """Run all three parts."""
    rng = np.random.default_rng(args.seed)
    smaller = {
        (epoch, first): bits(fit(SlowerFrom(epoch, forget=first)))
        for epoch in range(1, EPOCHS + 1)
        for first in (False, True)
    }
    start = time.perf_counter()
    once, always = Counter(), Counter()
    for kind in KINDS:
        for step in rng.integers(0, STEPS * EPOCHS, args.fits):
            once[spoilt_once(kind, int(step), smaller)] += 1
            always[spoilt_always(kind, int(step))] += 1
    with tempfile.TemporaryDirectory() as folder:
        killed, same = kill_and_go_on(Path(folder), args.kills, args.seed)
    keep(
        {
            "command": f"python benchmarks/reliability.py training --fits {args.fits} "
            f"--kills {args.kills} --seed {args.seed}",
            "versions": versions(RAN),
            "seconds": time.perf_counter() - start,
            "once": once,
            "always": always,
            "kills": killed,
            "same bits": bool(same),
        }
    )


def report(found):
    """Print what came of it."""
    rows = [
        [part, outcome, n]
        for part in ("once", "always")
        for outcome, n in found[part].items()
    ]
    outcome = "same bits" if found["same bits"] else "LOST: other answers"
    table(
        ["fault", "what came of it", "times"],
        [*rows, ["killed", outcome, found["kills"]]],
    )


def totals(found):
    """Count what was tried, and what was lost."""
    for part, name in (("once", "one step spoilt"), ("always", "all steps spoilt")):
        lost = sum(n for outcome, n in found[part].items() if "LOST" in outcome)
        yield f"fits, {name}", sum(found[part].values()), lost
    yield "processes killed in training", found["kills"], int(not found["same bits"])
