"""Data sets of four sizes for timing, and the estimator fitted to them."""

from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks.common.data import blobs, hide_labels, load, standardise
from benchmarks.common.plain import plain_m2
from sk_ssvae import SSVAEClassifier

PER_CLASS = 10
SIZES = ("small", "tabular", "image", "classes")


class Size(NamedTuple):
    """Rows, few labels, and how to train on them.

    Attributes
    ----------
    X : ndarray of float32 of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
        Classes, -1 where hidden.
    n_classes : int
    likelihood : str
    epochs : int
    """

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    likelihood: str
    epochs: int


@cache
def make_size(name, rows=None, epochs=None):
    """Return a data set with `PER_CLASS` labels of each class.

    Parameters
    ----------
    name : str
        One of `SIZES`.
    rows, epochs : int, default=None
        Number of rows and epochs; None takes those of the size.

    Returns
    -------
    Size

    Raises
    ------
    ValueError
        If there is no size of this name.
    """
    likelihood = "gaussian"
    if name == "small":
        X, y = load("digits")
        X, default_epochs = standardise(X / 16), 20
    elif name == "tabular":
        X, y = blobs(50_000, 30, 2)
        X, default_epochs = standardise(X), 2
    elif name == "image":
        X, y = load("mnist")
        X, y = (X[:60_000] / 255).astype(np.float32), y[:60_000]
        likelihood, default_epochs = "bernoulli", 1
    elif name == "classes":
        X, y = blobs(20_000, 100, 100)
        X, default_epochs = standardise(X), 1
    else:
        raise ValueError(f"name is {name!r}; it must be one of {SIZES}.")
    X, y = X[:rows], y[:rows]
    n_classes, few = int(y.max()) + 1, hide_labels(y, PER_CLASS, 0)
    return Size(X, few, n_classes, likelihood, epochs or default_epochs)


def fit_ssvae(size, *, marginalization="exact", n_threads=1):
    """Fit plain M2 as an SSVAEClassifier."""
    model = SSVAEClassifier(
        likelihood=size.likelihood,
        marginalization=marginalization,
        device="cpu",
        random_state=0,
        **plain_m2(max_epochs=size.epochs, n_threads=n_threads),
    )
    return model.fit(size.X, size.y)


def warm_up(size, fits):
    """Call every function with 500 rows for one epoch: first calls load code."""
    rows = np.concatenate(
        [np.flatnonzero(size.y >= 0)[:150], np.flatnonzero(size.y < 0)[:350]]
    )
    small = size._replace(X=size.X[rows], y=size.y[rows], epochs=1)
    for fit in fits:
        fit(small)
