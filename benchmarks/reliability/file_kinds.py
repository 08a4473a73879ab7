"""The two kinds of files that the benchmarks damage: saved estimators, checkpoints.

Each kind has an old and a new state. The old state of a checkpoint is that of an
interrupted run, from which training resumes with bit-identical results.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from concurrency import FEW, X, make_classifier
from malicious_files import MALICIOUS_CHECKPOINTS, MALICIOUS_HEADERS
from skorch.callbacks import Callback

import sk_ssvae
from sk_ssvae.training import checkpoint

__all__ = ["KINDS", "read_outcome"]

STOPPING = {"early_stopping": True, "max_epochs": 4}


class SavedEstimator:
    """Files that `save` writes."""

    name = "saved estimator"
    hostile = MALICIOUS_HEADERS

    def __init__(self):
        self.old, self.new = (
            make_classifier(random_state=seed).fit(X, FEW) for seed in (0, 1)
        )
        self.expected = [self._predictions(clf) for clf in (self.old, self.new)]

    def _predictions(self, clf):
        return clf.predict_proba(X).tobytes() + clf.transform(X).tobytes()

    def write_old(self, path):
        """Write the old state."""
        self.old.save(path)

    def write_new(self, path):
        """Write the new state."""
        self.new.save(path)

    def read(self, path):
        """Return 0 for the old state and 1 for the new one; ValueError for others."""
        return self.expected.index(self._predictions(sk_ssvae.load(path)))


class InterruptTraining(Callback):
    """Raise an error in the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        """Raise the error."""
        if len(net.history_) == 2:
            raise ZeroDivisionError


class TrainingCheckpoint:
    """Checkpoints of a training run."""

    name = "checkpoint"
    hostile = MALICIOUS_CHECKPOINTS

    def __init__(self):
        checkpoint.SHARE = np.inf  # write every epoch
        self.expected = (
            make_classifier(**STOPPING).fit(X, FEW).predict_proba(X).tobytes()
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state")
            callbacks = [InterruptTraining()]
            clf = make_classifier(checkpoint=str(path), callbacks=callbacks, **STOPPING)
            with contextlib.suppress(ZeroDivisionError):
                clf.fit(X, FEW)
            self.interrupted = path.read_bytes()

    def write_old(self, path):
        """Write the checkpoint of the interrupted run, atomically."""
        other = path.parent.parent / path.name
        other.write_bytes(self.interrupted)
        other.replace(path)

    def write_new(self, path):
        """Resume the run, which writes a checkpoint after each epoch."""
        return make_classifier(checkpoint=str(path), **STOPPING).fit(X, FEW)

    def read(self, path):
        """Resume the run; ValueError if it differs from an uninterrupted run."""
        resumed = self.write_new(path).predict_proba(X).tobytes()
        return [self.expected].index(resumed)


KINDS = {kind.__name__: kind for kind in (SavedEstimator, TrainingCheckpoint)}


def read_outcome(kind, path):
    """Describe what reading a file leads to.

    Returns
    -------
    str
        "as before" or "another" for the old and the new state, "clear error" for an
        error that names the file, or else the representation of the error.
    """
    try:
        return ("as before", "another")[kind.read(path)]
    except ValueError as error:
        return "clear error" if str(path) in str(error) else repr(error)
    except Exception as error:  # counted as a loss
        return repr(error)
