"""Data sets of four sizes for timing, and the estimator fitted to them."""

from functools import cache
from typing import NamedTuple

import numpy as np
from data import blobs, hide_labels, load, standardised
from plain import PLAIN_M2

from sk_ssvae import SSVAEClassifier

PER_CLASS = 10
SIZES = ("small", "tabular", "image", "classes")


class Size(NamedTuple):
    """Rows and labels, for so many epochs."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    likelihood: str
    epochs: int


@cache
def make_size(name, rows=None, epochs=None):
    """One of the sizes, with `PER_CLASS` labels a class.

    Parameters
    ----------
    name : str
        One of `SIZES`.
    rows, epochs : int, default=None
        Fewer rows or epochs.
    """
    likelihood = "gaussian"
    if name == "small":
        X, y = load("digits")
        X, usual = standardised(X / 16), 20
    elif name == "tabular":
        X, y = blobs(50_000, 30, 2)
        X, usual = standardised(X), 2
    elif name == "image":
        X, y = load("mnist")
        X, y = (X[:60_000] / 255).astype(np.float32), y[:60_000]
        likelihood, usual = "bernoulli", 1
    elif name == "classes":
        X, y = blobs(20_000, 100, 100)
        X, usual = standardised(X), 1
    else:
        raise ValueError(f"There is no size {name!r}.")
    X, y = X[:rows], y[:rows]
    n_classes, few = int(y.max()) + 1, hide_labels(y, PER_CLASS, 0)
    return Size(X, few, n_classes, likelihood, epochs or usual)


def fit_ours(size, **parameters):
    """Fit the estimator."""
    model = SSVAEClassifier(
        likelihood=size.likelihood,
        device="cpu",
        random_state=0,
        **PLAIN_M2
        | {"max_epochs": size.epochs, "marginalization": "exact", "n_threads": 1}
        | parameters,
    )
    return model.fit(size.X, size.y)


def warm_up(size, fits):
    """One epoch on 500 rows for each: what only a first call takes."""
    rows = np.concatenate(
        [np.flatnonzero(size.y >= 0)[:150], np.flatnonzero(size.y < 0)[:350]]
    )
    small = size._replace(X=size.X[rows], y=size.y[rows], epochs=1)
    for fit in fits:
        fit(small)
