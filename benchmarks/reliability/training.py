"""Faults in training: diverging steps and killed processes.

    python -m benchmarks reliability.training

- Once: the loss or a gradient of one random step is not finite. The weights must be bit
  by bit those of a fit whose steps are a tenth as long from the start of that epoch,
  after a rollback to the start of the epoch before if it was the first step.
- Always: all steps from a random one on are not finite. There must be an error, and the
  estimator must be unchanged.
- Killed: processes are killed at random moments of one fit after another. The last one
  must end with the bits of an undisturbed fit.
"""

import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from concurrency import FEW, X, make_classifier
from faults import Fault, ReduceLearningRate, kill_and_resume, weights
from sklearn.exceptions import ConvergenceWarning

from benchmarks.common.versions import package_versions
from benchmarks.reliability.report import (
    make_reliability_parser,
    print_result,
    save_result,
)

KINDS = ("loss", "explosion", "nan", "inf", "-inf")
STEPS, EPOCHS = 3, 4
PACKAGES = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy")


def fit(callback):
    """Fit with a callback."""
    clf = make_classifier(max_epochs=EPOCHS, batch_size=50, callbacks=[callback])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(X, FEW)


def weight_bytes(clf):
    """Return all weights as bytes."""
    return b"".join(w.numpy().tobytes() for w in weights(clf).values())


def one_bad_step(kind, step, expected):
    """Return the outcome of a fit with one bad step."""
    try:
        clf = fit(Fault(kind, step))
    except ValueError as error:
        return f"LOST: {error}"
    same = weight_bytes(clf) == expected[step // STEPS + 1, step % STEPS == 0]
    return "as with smaller steps" if same else "LOST: other weights"


def only_bad_steps(kind, step):
    """Return the outcome of a second fit whose steps are all bad from one on."""
    clf = fit(ReduceLearningRate(EPOCHS + 1))
    before = weight_bytes(clf)
    clf.set_params(callbacks=[Fault(kind, step, n_faults=10**6)])
    try:
        clf.fit(X, FEW)
    except ValueError as error:
        if not str(error).startswith("Training diverged: "):
            return f"LOST: {error}"
        same = weight_bytes(clf) == before
        return "error, as before" if same else "LOST: other weights"
    return "LOST: no error"


def main(argv=None):
    """Run all three parts, and print the result."""
    parser = make_reliability_parser("training", __doc__)
    parser.add_argument("--fits", type=int, default=200, help="of each kind of fault")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    expected = {
        (epoch, first): weight_bytes(fit(ReduceLearningRate(epoch, undo_epoch=first)))
        for epoch in range(1, EPOCHS + 1)
        for first in (False, True)
    }
    start = time.perf_counter()
    once, always = Counter(), Counter()
    for kind in KINDS:
        for step in rng.integers(0, STEPS * EPOCHS, args.fits):
            once[one_bad_step(kind, int(step), expected)] += 1
            always[only_bad_steps(kind, int(step))] += 1
    with tempfile.TemporaryDirectory() as folder:
        killed, same = kill_and_resume(Path(folder), args.kills, args.seed)
    result = {
        "command": f"python -m benchmarks reliability.training --fits {args.fits} "
        f"--kills {args.kills} --seed {args.seed}",
        "versions": package_versions(PACKAGES),
        "seconds": time.perf_counter() - start,
        "once": once,
        "always": always,
        "kills": killed,
        "same bits": bool(same),
    }
    save_result(args.out, "training", result)
    print_result("training", result)


if __name__ == "__main__":
    main()
