"""Data sets for the benchmarks, and splits with few labels.

``SK_SSVAE_DATA`` may name a folder of files ``NAME.npz`` with arrays ``X`` and ``y``;
without it, or without the file, a set comes from OpenML under the name given.
"""

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

# Names at OpenML that are not ours.
OPENML = {"mnist": "mnist_784"}


def load(name, max_rows=None, seed=0):
    """Return X (float64) and y (codes), at most `max_rows` rows drawn by class."""
    folder = os.environ.get("SK_SSVAE_DATA")
    path = Path(folder or ".") / f"{name}.npz"
    if name == "digits":
        X, y = load_digits(return_X_y=True)
    elif folder and path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"]
    else:
        X, y = fetch_openml(
            OPENML.get(name, name), version=1, return_X_y=True, as_frame=False
        )
    X, y = np.asarray(X, dtype=np.float64), np.unique(y, return_inverse=True)[1]
    if max_rows is not None and len(y) > max_rows:
        X, _, y, _ = train_test_split(
            X, y, train_size=max_rows, stratify=y, random_state=seed
        )
    return X, y


def few_labels(X, y, per_class, seed, test_size=0.3):
    """Split into train and test, and hide all but `per_class` labels of each class.

    Returns
    -------
    X_train, y_few, y_train, X_test, y_test
        `y_few` is `y_train` with -1 where the label is hidden.
    """
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=test_size, stratify=y, random_state=seed
    )
    y_few = hide_labels(y_train, per_class, seed)
    return X_train, y_few, y_train, X_test, y_test


def hide_labels(y, per_class, seed):
    """Put -1 in the place of all but `per_class` labels of each class."""
    rng = np.random.RandomState(seed)
    y_few = np.full_like(y, -1)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        kept = rng.choice(rows, min(per_class, len(rows)), replace=False)
        y_few[kept] = label
    return y_few


def blobs(n_rows, n_features, n_classes, *, distance=1.5, seed=0, dtype=np.float32):
    """Rows around one centre a class, with unit variance, in random order.

    Parameters
    ----------
    n_rows, n_features, n_classes : int
        Sizes.
    distance : float
        Standard deviation of the centres' coordinates: small is much overlap.
    seed : int
        Seed.
    dtype : dtype
        Of X.

    Returns
    -------
    X, y
        Rows and codes.
    """
    rng = np.random.default_rng(seed)
    centres = distance * rng.standard_normal((n_classes, n_features))
    y = rng.integers(n_classes, size=n_rows)
    X = np.empty((n_rows, n_features), dtype)
    for start in range(0, n_rows, 10_000):  # no second array of that size
        part = slice(start, start + 10_000)
        size = X[part].shape
        X[part] = centres[y[part]] + rng.standard_normal(size)
    return X, y


def standardised(X):
    """Columns with mean 0 and deviation 1 in single precision; constant ones are 0."""
    scale = X.std(axis=0)
    return ((X - X.mean(axis=0)) / np.where(scale > 0, scale, 1)).astype(np.float32)
