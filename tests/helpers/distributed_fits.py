"""Fits by several processes or one, run as a script in each of them.

    python distributed_fits.py NAME FOLDER

calls the function NAME of this module, which writes its results to the folder.
"""

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from few_labels import hide
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import BatchScoring, Callback, EpochScoring
from torch import nn

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import ADGM, M1M2, SDGM
from sk_ssvae.training import ClassifierOptions, TrainingOptions

RANK = int(os.environ.get("RANK", "0"))
"""Number of this process."""


def rows():
    """Return rows without constant columns, few labels and weights."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    X = X[:301] + rng.normal(size=(301, 64))
    return X, hide(y[:301], 5), rng.uniform(0.5, 2, 301)


def missing(shape):
    """Return which cells are missing, a tenth of them."""
    return np.random.default_rng(1).uniform(size=shape) < 0.1


class BatchNormNetwork(nn.Sequential):
    """A network all of whose parameters have a gradient.

    Those of a bias before a batch normalisation are zero but for rounding, and Adam
    makes steps of the full size of them.
    """

    def __init__(self, n_in, n_out):
        super().__init__(
            nn.Linear(n_in, 12, bias=False),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.Linear(12, n_out),
        )


class OwnNetwork(nn.Sequential):
    """A network with dropout."""

    def __init__(self, n_in, n_out):
        super().__init__(nn.Linear(n_in, 12), nn.Dropout(0.3), nn.Linear(12, n_out))


PLAIN = {"teacher": None}

CASES = {
    "m2": PLAIN,
    "m1+m2": PLAIN
    | {"model": M1M2(inner_size=5, pretrain_epochs=2, finetune_epochs=1)},
    "sdgm": PLAIN | {"model": SDGM(inner_size=5)},
    "adgm": PLAIN | {"model": ADGM(inner_size=5)},
    "default teacher": {"options": {"adversarial_weight": 0.0}},
    "default teacher, adversarial": {"options": {"adversarial_weight": 1.0}},
    "estimated prior, own teacher": {
        "teacher": LabelSpreading("knn"),
        "class_prior": "estimate",
        "class_weight": "balanced",
        "options": {"adversarial_weight": 0.0},
    },
    "cross-fitted temperature": PLAIN | {"temperature": "cross-fit", "max_epochs": 1},
    "top classes": PLAIN | {"marginalization": 2},
    "few rows in the bound": PLAIN
    | {"options": {"bound_rows": 3, "max_grad_norm": 1.0}},
    "held-out rows": PLAIN
    | {
        "early_stopping": True,
        "validation_fraction": 0.4,
        "max_epochs": 6,
        "options": {"n_iter_no_change": 1, "labeled_validation_fraction": 0.3},
    },
    "batch normalisation": PLAIN
    | {
        "classifier_module": BatchNormNetwork,
        "encoder_module": BatchNormNetwork,
        "decoder_module": BatchNormNetwork,
    },
    "one label": PLAIN | {"batch_size": 2, "max_epochs": 1},
}
"""Parameters of classifiers whose fits by two processes and by one are compared."""


def classifier(distributed, **parameters):
    """Return a small classifier."""
    small = {
        "latent_size": 3,
        "hidden_sizes": (16,),
        "classifier_hidden_sizes": (16,),
        "max_epochs": 2,
        "batch_size": 33,
        "random_state": 0,
        "device": "cpu",
    }
    options = ClassifierOptions(
        distributed=distributed, **parameters.pop("options", {})
    )
    return SSVAEClassifier(**(small | parameters), options=options)


def results(estimator, X):
    """Return losses of the epochs, predictions, and all weights."""
    predict = getattr(estimator, "predict_proba", estimator.transform)
    names = ["train_loss", "bound", "reconstruction", "kl"]
    if "valid_loss" in estimator.history_[-1]:
        names.append("valid_loss")
    module = estimator.module_
    return {
        "losses": np.array([[e[n] for n in names] for e in estimator.history_]),
        "predictions": predict(X),
        "weights": np.concatenate(
            [p.detach().numpy().ravel() for p in module.state_dict().values()]
        ),
    }


def fit_all(distributed):
    """Return the results of all cases by name."""
    X, y, weight = rows()
    found = {}
    for name, parameters in CASES.items():
        clf = classifier(distributed, **parameters).fit(X, y, sample_weight=weight)
        found[name] = results(clf, X) | {"distributions": clf.label_distributions_}
    clf.set_params(warm_start=True).fit(X, y)
    found["warm start"] = results(clf, X)
    stream = classifier(distributed)
    for start in (0, 100, 200):
        part = slice(start, start + 100)
        stream.partial_fit(X[part], y[part], classes=np.arange(10))
    found["partial_fit"] = results(stream, X)
    gaps = np.where(missing(X.shape), np.nan, X)
    clf = classifier(distributed, teacher=None).fit(gaps, y)
    found["missing cells"] = results(clf, gaps)
    found["missing cells"]["distributions"] = clf.label_distributions_
    options = TrainingOptions(distributed=distributed)
    vae = VariationalAutoencoder(3, max_epochs=2, random_state=0, options=options)
    found["VAE"] = results(vae.fit(X), X)
    return found


def equivalence(folder):
    """Write the results of all cases."""
    for name, found in fit_all(distributed=True).items():
        np.savez(folder / f"{name} {RANK}.npz", **found)


class StopAfter(Callback):
    """End training in one process; the others must end with it."""

    def __init__(self, epoch, rank):
        self.epoch, self.rank = epoch, rank

    def on_epoch_end(self, net, **kwargs):
        """Raise what ctrl-C would, which skorch takes for the end of training."""
        if len(net.history_) == self.epoch and self.rank == RANK:
            raise KeyboardInterrupt


class FailAfter(Callback):
    """Raise an error in one process, between two steps."""

    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, training, **kwargs):
        """Raise the error."""
        if RANK == 1 and training and len(net.history_) == 2:
            raise self.error


class FailingTeacher(LabelSpreading):
    """A teacher that cannot be fitted."""

    def fit(self, X, y):
        """Raise an error, in the process in which it is fitted."""
        raise ValueError(f"not fitted in process {RANK}")


def message(function, *args):
    """Return type and text of the error that a function raises."""
    try:
        function(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def errors(folder):
    """Write the errors of this process, which goes on after each of them."""
    X, y, _ = rows()
    found = {}
    make = classifier
    changed = y.copy()
    changed[0] = -1 if y[0] >= 0 else 3
    different = {
        "rows": (make(True, teacher=None), X[RANK:], y[RANK:]),
        "values": (make(True, teacher=None), X + RANK, y),
        "labels": (make(True, teacher=None), X, (y, changed)[RANK]),
        "seeds": (make(True, teacher=None, random_state=RANK), X, y),
        "parameters": (make(True, teacher=None, alpha=1.0 + RANK), X, y),
        "invalid rows": (make(True, teacher=None), (X, X[:, :0])[RANK], y),
    }
    for name, (clf, *data) in different.items():
        found[name] = message(clf.fit, *data)
        assert not hasattr(clf, "net_")
    found["teacher"] = message(make(True, teacher=FailingTeacher()).fit, X, y)
    for name, error in (
        ("step", OSError("no space")),
        ("interrupt", KeyboardInterrupt()),
    ):
        callbacks = [FailAfter(error)]
        clf = make(True, teacher=None, callbacks=callbacks, max_epochs=5)
        found[name] = message(clf.fit, X, y)
        assert not hasattr(clf, "net_")
    stream = make(True).partial_fit(X, y, classes=np.arange(10))
    found["batch"] = message(stream.partial_fit, X[:1], y[:1])
    limited = make(True, teacher=None)
    limited.set_params(options__max_time=9.5 if RANK else None)
    found["limit"] = message(limited.fit, X, y)
    alone = make(False, teacher=None, random_state=RANK).fit(X, y)
    alone.set_params(options__distributed=True, random_state=None)
    found["models"] = message(alone.partial_fit, X, y)
    score = BatchScoring("accuracy", on_train=True, lower_is_better=False)
    found["scores"] = message(make(True, teacher=None, callbacks=[score]).fit, X, y)
    network = make(True, teacher=None, batch_size=8, classifier_module=BatchNormNetwork)
    found["batch statistics"] = message(network.fit, X, y)
    network.set_params(options__bound_rows=3, batch_size=33)
    found["bound"] = message(network.fit, X, y)
    path = folder / "directory"
    found["checkpoint"] = message(make(True, checkpoint=path).fit, X, y)
    # After all of these errors.
    clf = make(True, teacher=None, random_state=None).fit(X, y)
    found["weights"] = float(clf.module_.decoder.from_b.detach().double().sum())
    (folder / f"errors {RANK}.json").write_text(json.dumps(found))


def one_writes(folder):
    """Fits of which only the first process prints, warns and writes."""
    X, y, _ = rows()
    path = folder / f"state {RANK}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf = classifier(
            True, verbose=1, max_epochs=4, checkpoint=path, callbacks=[StopAfter(2, 1)]
        ).fit(X, y)
    caught = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    found = {
        "epochs": clf.n_iter_,
        "warnings": [str(w.message) for w in caught],
        "file": path.exists(),
    }
    # A process that has no file resumes with the others.
    clf = classifier(True, max_epochs=4, checkpoint=path).fit(X, y)
    found["resumed epochs"] = clf.n_iter_
    found |= {k: v.tolist() for k, v in results(clf, X).items()}
    torch.manual_seed(RANK)  # dropout does not depend on it
    own = classifier(
        True,
        teacher=None,
        classifier_module=OwnNetwork,
        callbacks=[EpochScoring("accuracy", on_train=True)],
    ).fit(X, y)
    found["own network"] = results(own, X)["weights"].tolist()
    (folder / f"one_writes {RANK}.json").write_text(json.dumps(found))


class Die(Callback):
    """Kill a process in an epoch, if a file exists, which is removed."""

    def __init__(self, path):
        self.path = path

    def on_batch_end(self, net, training, **kwargs):
        """Kill the process without any notice to the others."""
        if RANK == 1 and len(net.history_) == 4 and self.path.exists():
            self.path.unlink()
            self.path.with_name("killed").touch()
            os.kill(os.getpid(), 9)


def killed(folder):
    """Fit; process 1 is killed in the first attempt."""
    X, y, _ = rows()
    clf = classifier(
        True,
        teacher=None,
        max_epochs=6,
        checkpoint=folder / "state",
        callbacks=[Die(folder / "kill")],
    ).fit(X, y)
    np.savez(folder / f"killed {RANK}.npz", **results(clf, X))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ConvergenceWarning)
    globals()[sys.argv[1]](Path(sys.argv[2]))
