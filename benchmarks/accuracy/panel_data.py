"""Data of the accuracy panel: real sets with few labels, the same splits for everyone.

Sets come from the folder ``SK_SSVAE_DATA`` (see `data.py`; the files may also hold a
mask ``categorical`` of columns of codes, NaN where missing, or counts as pieces of a
sparse matrix), or else from OpenML, where most of them are.

Preparation: classes with fewer than 60 rows are left out, at most 5,000 rows are drawn
by class, counts of sparse sets become log(1 + count), categorical columns one column a
level, gaps the column's median (over all rows drawn, test rows included). After the
split one StandardScaler, fitted to all training rows, is for all methods.
"""

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data import hide_labels
from scipy import sparse
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

CHOSEN_ON = (
    "optdigits",
    "usps",
    "pendigits",
    "satimage",
    "segment",
    "vehicle",
    "spambase",
    "phoneme",
    "waveform5000",
    "dna",
    "texture",
)
"""Sets that constants of the package are chosen on."""

REPORTED_ON = (
    "letter",
    "splice",
    "mushroom",
    "isolet1560",
    "coil20",
    "credit_g",
    "covtype15k",
    "cells",
    "sc_pbmc4k",
    "mnist",
)
"""Sets that nothing is chosen on."""

PANEL = CHOSEN_ON + REPORTED_ON
MANY_ROWS = ("mnist", "letter", "shuttle", "adult", "covtype15k", "bank_additional")
"""Sets of the second panel, with all their rows."""

MAX_ROWS = 5000
FEWEST = 60
SCHEMES = ("per_class", "random", "flipped")
FLIPPED = 0.1

# The most labels that are taken of each class, where classes are small.
MOST_LABELS = {"coil20": 10, "isolet1560": 10}

# Numbers of data sets at OpenML; the others are not there as they are in the folder.
OPENML = {
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


class Split(NamedTuple):
    """Standardised rows, and classes; `y_few` is -1 where the label is hidden.

    `scale` is what the columns were divided by.
    """

    X_train: np.ndarray
    y_few: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    scale: np.ndarray


def labels_for(name, labels_per_class):
    """How many labels of each class a set gives where so many are asked for."""
    return min(labels_per_class, MOST_LABELS.get(name, labels_per_class))


def raw(name):
    """Read a set.

    Parameters
    ----------
    name : str
        Of the set.

    Returns
    -------
    X : ndarray or CSR matrix
        Rows.
    y : ndarray
        Classes.
    categorical : ndarray of bool
        Which columns hold codes of levels.
    """
    folder = os.environ.get("SK_SSVAE_DATA")
    path = Path(folder or ".") / f"{name}.npz"
    if folder and path.exists():
        return _from_file(path)
    if name not in OPENML:
        raise FileNotFoundError(
            f"{name} is not at OpenML: SK_SSVAE_DATA must name its folder."
        )
    bunch = fetch_openml(data_id=OPENML[name], as_frame=False, parser="liac-arff")
    levels = bunch.categories or {}
    categorical = np.array([column in levels for column in bunch.feature_names])
    return bunch.data, bunch.target, categorical


def _from_file(path):
    with np.load(path, allow_pickle=False) as arrays:
        if "X_indptr" in arrays:
            pieces = (arrays[f"X_{part}"] for part in ("data", "indices", "indptr"))
            X = sparse.csr_matrix(tuple(pieces), shape=tuple(arrays["X_shape"]))
        else:
            X = arrays["X"]
        if "categorical" in arrays:
            categorical = arrays["categorical"].astype(bool)
        else:
            categorical = np.zeros(X.shape[1], dtype=bool)
        return X, arrays["y"], categorical


@lru_cache(maxsize=1)
def prepared(name, rows=MAX_ROWS):
    """Rows as numbers without gaps, not yet standardised.

    Parameters
    ----------
    name : str
        Of the set.
    rows : int or None, default=MAX_ROWS
        The most rows that are drawn; None takes all.

    Returns
    -------
    X : ndarray of float32
        Rows.
    y : ndarray of int64
        Classes, 0 ... n_classes - 1.
    """
    X, y, categorical = raw(name)
    y = np.unique(y, return_inverse=True)[1]
    keep = np.bincount(y)[y] >= FEWEST
    X, y = X[keep], np.unique(y[keep], return_inverse=True)[1]
    if rows is not None and len(y) > rows:
        drawn, _ = train_test_split(
            np.arange(len(y)), train_size=rows, stratify=y, random_state=0
        )
        X, y = X[drawn], y[drawn]
    if sparse.issparse(X):
        X = np.log1p(X.toarray().astype(np.float32))
    X = np.asarray(X, dtype=np.float32)
    parts = []
    if not categorical.all():
        numbers = X[:, ~categorical]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without values
            medians = np.nan_to_num(np.nanmedian(numbers, axis=0))
        parts.append(np.where(np.isnan(numbers), medians, numbers))
    for column in X[:, categorical].T:
        levels = np.unique(column[~np.isnan(column)])
        parts.append((column[:, None] == levels).astype(np.float32))
    return np.hstack(parts).astype(np.float32), y


def split(name, labels_per_class, seed, scheme="per_class", rows=MAX_ROWS):
    """Split a set into 70 % training and 30 % test rows, and hide most labels.

    Parameters
    ----------
    name : str
        Of the set.
    labels_per_class : int
        Labels that stay, of each class or on average.
    seed : int
        Of the split and of the labels.
    scheme : {"per_class", "random", "flipped"}, default="per_class"
        "per_class" keeps `labels_per_class` labels of each class. "random" keeps as
        many in all: one of each class, the rest from any of the other training rows.
        "flipped" is "per_class" with a tenth of the labels wrong.
    rows : int or None, default=MAX_ROWS
        As in `prepared`.

    Returns
    -------
    Split
    """
    X, y = prepared(name, rows)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed
    )
    if scheme == "per_class":
        y_few = hide_labels(y[train], labels_per_class, 1000 + seed)
    elif scheme == "flipped":
        y_few = hide_labels(y[train], labels_per_class, 1000 + seed)
        y_few = flip_labels(y_few, FLIPPED, 3000 + seed)
    elif scheme == "random":
        y_few = hide_at_random(y[train], labels_per_class, 2000 + seed)
    else:
        raise ValueError(f"There is no scheme {scheme!r}; there are {SCHEMES}.")
    scaler = StandardScaler().fit(X[train])
    X_train, X_test = scaler.transform(X[train]), scaler.transform(X[test])
    return Split(X_train, y_few, y[train], X_test, y[test], scaler.scale_)


def flip_labels(y_few, share, seed):
    """Put another class in the place of a share of the labels, one of each spared."""
    rng = np.random.RandomState(seed)
    classes = np.unique(y_few[y_few >= 0])
    spared = [rng.choice(np.flatnonzero(y_few == label)) for label in classes]
    labelled = np.flatnonzero(y_few >= 0)
    others = np.setdiff1d(labelled, spared)
    flipped = y_few.copy()
    for row in rng.choice(others, round(share * len(labelled)), replace=False):
        flipped[row] = rng.choice(classes[classes != y_few[row]])
    return flipped


def hide_at_random(y, labels_per_class, seed):
    """Keep one label of each class and then others, whichever class they are of."""
    rng = np.random.RandomState(seed)
    classes = np.unique(y)
    first = [rng.choice(np.flatnonzero(y == label)) for label in classes]
    others = np.setdiff1d(np.arange(len(y)), first)
    more = (labels_per_class - 1) * len(classes)
    rows = np.concatenate([first, rng.choice(others, more, replace=False)])
    y_few = np.full_like(y, -1)
    y_few[rows] = y[rows]
    return y_few
