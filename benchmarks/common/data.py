"""Data sets for the benchmarks, and training sets with few labels.

The environment variable ``SK_SSVAE_DATA`` may name a folder of files ``NAME.npz``. A
data set that is not in the folder is fetched from OpenML.

A file holds arrays ``X`` and ``y``. It may also hold a mask ``categorical`` of the
columns of codes, NaN where a value is missing, or, in place of ``X``, the parts of a
sparse matrix of counts: ``X_data``, ``X_indices``, ``X_indptr`` and ``X_shape``.
"""

import os
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

__all__ = ["blobs", "few_labels", "hide_labels", "load", "load_raw", "standardise"]

OPENML_NAMES = {"mnist": "mnist_784"}
"""Names at OpenML that differ from those used here."""

OPENML_IDS = {
    "adult": 1590,
    "credit_g": 31,
    "dna": 40670,
    "letter": 6,
    "mnist": 554,
    "mushroom": 24,
    "optdigits": 28,
    "pendigits": 32,
    "phoneme": 1489,
    "satimage": 182,
    "segment": 36,
    "shuttle": 40685,
    "spambase": 44,
    "splice": 46,
    "texture": 40499,
    "usps": 41082,
    "vehicle": 54,
    "waveform5000": 60,
}
"""Data set numbers at OpenML. The other sets are not available there in this form."""


def _local_file(name):
    """Return the path of a local copy of a data set, or None."""
    folder = os.environ.get("SK_SSVAE_DATA")
    path = Path(folder or ".") / f"{name}.npz"
    return path if folder and path.exists() else None


def load(name, max_rows=None, seed=0):
    """Load a data set of numeric columns.

    Parameters
    ----------
    name : str
        Name of the data set.
    max_rows : int, default=None
        Draw a stratified sample of this size from larger data sets.
    seed : int, default=0
        Seed of the sample.

    Returns
    -------
    X : ndarray of float64 of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1.
    """
    path = _local_file(name)
    if name == "digits":
        X, y = load_digits(return_X_y=True)
    elif path is not None:
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"]
    else:
        X, y = fetch_openml(
            OPENML_NAMES.get(name, name), version=1, return_X_y=True, as_frame=False
        )
    X, y = np.asarray(X, dtype=np.float64), np.unique(y, return_inverse=True)[1]
    if max_rows is not None and len(y) > max_rows:
        X, _, y, _ = train_test_split(
            X, y, train_size=max_rows, stratify=y, random_state=seed
        )
    return X, y


def load_raw(name):
    """Load a data set without any preparation.

    Parameters
    ----------
    name : str
        Name of the data set.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
        Classes, as stored.
    categorical : ndarray of bool of shape (n_features,)
        Columns that hold codes of categories.

    Raises
    ------
    FileNotFoundError
        If the data set is neither in the folder ``SK_SSVAE_DATA`` nor at OpenML.
    """
    path = _local_file(name)
    if path is not None:
        return _load_file(path)
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return X, y, np.zeros(X.shape[1], dtype=bool)
    if name not in OPENML_IDS:
        raise FileNotFoundError(
            f"The data set {name!r} is not available from OpenML. Set SK_SSVAE_DATA to "
            f"a folder with a file {name}.npz."
        )
    bunch = fetch_openml(data_id=OPENML_IDS[name], as_frame=False, parser="liac-arff")
    levels = bunch.categories or {}
    categorical = np.array([column in levels for column in bunch.feature_names])
    return bunch.data, bunch.target, categorical


def _load_file(path):
    with np.load(path, allow_pickle=False) as arrays:
        if "X_indptr" in arrays:
            parts = (arrays[f"X_{part}"] for part in ("data", "indices", "indptr"))
            X = sparse.csr_matrix(tuple(parts), shape=tuple(arrays["X_shape"]))
        else:
            X = arrays["X"]
        if "categorical" in arrays:
            categorical = arrays["categorical"].astype(bool)
        else:
            categorical = np.zeros(X.shape[1], dtype=bool)
        return X, arrays["y"], categorical


def few_labels(X, y, per_class, seed, test_size=0.3):
    """Split into training and test rows, and hide most training labels.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
    y : ndarray of int of shape (n_rows,)
    per_class : int
        Number of labels of each class to keep.
    seed : int
        Seed of the split and of the labels.
    test_size : float, default=0.3
        Share of the test rows.

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
    """Replace all but `per_class` labels of each class by -1."""
    rng = np.random.RandomState(seed)
    y_few = np.full_like(y, -1)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        kept = rng.choice(rows, min(per_class, len(rows)), replace=False)
        y_few[kept] = label
    return y_few


def blobs(n_rows, n_features, n_classes, *, distance=1.5, seed=0, dtype=np.float32):
    """Draw rows from a normal distribution with unit variance for each class.

    Parameters
    ----------
    n_rows, n_features, n_classes : int
        Sizes.
    distance : float, default=1.5
        Standard deviation of the coordinates of the class means. The smaller it is, the
        more the classes overlap.
    seed : int, default=0
        Seed.
    dtype : dtype, default=float32
        Type of X.

    Returns
    -------
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, in random order.
    """
    rng = np.random.default_rng(seed)
    centres = distance * rng.standard_normal((n_classes, n_features))
    y = rng.integers(n_classes, size=n_rows)
    X = np.empty((n_rows, n_features), dtype)
    for start in range(0, n_rows, 10_000):  # avoids a second array of that size
        part = slice(start, start + 10_000)
        size = X[part].shape
        X[part] = centres[y[part]] + rng.standard_normal(size)
    return X, y


def standardise(X):
    """Scale columns to mean 0 and standard deviation 1; constant columns become 0.

    Returns
    -------
    ndarray of float32
    """
    scale = X.std(axis=0)
    return ((X - X.mean(axis=0)) / np.where(scale > 0, scale, 1)).astype(np.float32)
