"""Data sets for the benchmarks, and splits with few labels.

``SK_SSVAE_DATA`` may name a folder of files ``NAME.npz`` with arrays ``X`` and ``y``;
without it, or without the file, a set comes from OpenML under the name given.
"""

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split


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
        X, y = fetch_openml(name, version=1, return_X_y=True, as_frame=False)
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
    rng = np.random.RandomState(seed)
    y_few = np.full_like(y_train, -1)
    for label in np.unique(y_train):
        rows = np.flatnonzero(y_train == label)
        y_few[rng.choice(rows, per_class, replace=False)] = label
    return X_train, y_few, y_train, X_test, y_test
