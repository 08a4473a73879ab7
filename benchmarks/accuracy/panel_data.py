"""Data sets of the accuracy panel, with few labels and fixed splits.

Preparation: classes with fewer than 60 rows are removed, and a stratified sample of at
most 5,000 rows is drawn. Counts of sparse sets become log(1 + count), categorical
columns are one-hot encoded, and missing numbers are replaced by the median of the
column (over all sampled rows, test rows included). `Split.standardised` scales the
columns by a StandardScaler that is fitted to the training rows.

The sets are read from the folder ``SK_SSVAE_DATA`` or fetched from OpenML; see
``benchmarks/common/data.py``.
"""

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy.imbalanced import (
    IMBALANCED,
    exchange_classes,
    without_most_of_half,
)
from benchmarks.common.data import hide_labels, load_raw

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
"""Sets on which constants of the package were chosen."""

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
"""Sets on which nothing was chosen."""

PANEL = CHOSEN_ON + REPORTED_ON
MANY_ROWS = (
    "mnist",
    "letter",
    "shuttle",
    "adult",
    "covtype15k",
    "bank_additional",
    "usps",
    "pendigits",
    "reuters_r8",
    "sc_human_kidney",
    "newsgroups20",
)
"""Sets of the second panel, which has all their rows."""

ONE_UNIT = ("sc_mouse_bladder", "sc_human_kidney", "basehock", "webkb4")
"""Gene expression and word counts: further sets whose columns share a unit."""

MAX_ROWS = 5000
MIN_CLASS_SIZE = 60
SCHEMES = ("per_class", "random", "flipped", "imbalanced")
FLIPPED = 0.1
"""Share of wrong labels in the scheme "flipped"."""

MAX_LABELS = {"coil20": 10, "isolet1560": 10}
"""Largest number of labels of each class, where classes are small."""


class Split(NamedTuple):
    """Training and test rows in their own units, and their classes.

    Attributes
    ----------
    X_train : ndarray of float32 of shape (n_train, n_features)
    y_few : ndarray of int64 of shape (n_train,)
        Classes of the training rows, -1 where the label is hidden.
    y_train : ndarray of int64 of shape (n_train,)
        All classes of the training rows.
    X_test : ndarray of float32 of shape (n_test, n_features)
    y_test : ndarray of int64 of shape (n_test,)
    """

    X_train: np.ndarray
    y_few: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def standardised(self):
        """Return the split with columns of mean 0 and variance 1 in training rows."""
        scaler = StandardScaler().fit(self.X_train)
        return self._replace(
            X_train=scaler.transform(self.X_train), X_test=scaler.transform(self.X_test)
        )


def labels_for(name, labels_per_class):
    """Return the number of labels of each class, limited by the size of the classes."""
    return min(labels_per_class, MAX_LABELS.get(name, labels_per_class))


@lru_cache(maxsize=1)
def prepared(name, rows=MAX_ROWS):
    """Load a set as numbers without missing values, not yet standardised.

    Parameters
    ----------
    name : str
        Name of the set; a name in `IMBALANCED` is that set without most rows of half of
        its classes.
    rows : int or None, default=MAX_ROWS
        Largest number of rows to draw; None takes all.

    Returns
    -------
    X : ndarray of float32 of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1.
    """
    if name in IMBALANCED:
        kind = IMBALANCED[name]
        X, y = prepared.__wrapped__(kind.dataset, rows)
        return without_most_of_half(X, y, kind)
    X, y, categorical = load_raw(name)
    y = np.unique(y, return_inverse=True)[1]
    keep = np.bincount(y)[y] >= MIN_CLASS_SIZE
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
            warnings.simplefilter("ignore", RuntimeWarning)  # columns without values
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
        Name of the set.
    labels_per_class : int
        Number of labels to keep, of each class or on average.
    seed : int
        Seed of the split and of the labels.
    scheme : {"per_class", "random", "flipped", "imbalanced"}, default="per_class"
        "per_class" keeps `labels_per_class` labels of each class. "random" keeps the
        same total number: one of each class, the rest drawn from all other training
        rows. "flipped" is "per_class" with a tenth of the labels wrong. "imbalanced"
        chooses labels like "per_class"; its sets are those in `IMBALANCED`, and odd
        seeds exchange the classes of those with two.
    rows : int or None, default=MAX_ROWS
        Largest number of rows, as in `prepared`.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the scheme is unknown, or the set is not one of the scheme's.
    """
    if (name in IMBALANCED) != (scheme == "imbalanced"):
        raise ValueError(
            f"The set {name!r} has no scheme {scheme!r}: the sets of the scheme "
            f"'imbalanced' are those in IMBALANCED, and these have no other scheme."
        )
    X, y = prepared(name, rows)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed
    )
    if scheme in ("per_class", "imbalanced"):
        y_few = hide_labels(y[train], labels_per_class, 1000 + seed)
    elif scheme == "flipped":
        y_few = hide_labels(y[train], labels_per_class, 1000 + seed)
        y_few = flip_labels(y_few, FLIPPED, 3000 + seed)
    elif scheme == "random":
        y_few = hide_at_random(y[train], labels_per_class, 2000 + seed)
    else:
        raise ValueError(f"scheme is {scheme!r}; it must be one of {SCHEMES}.")
    if scheme == "imbalanced" and IMBALANCED[name].two_classes and seed % 2:
        y, y_few = exchange_classes(y), exchange_classes(y_few)
    return Split(X[train], y_few, y[train], X[test], y[test])


def flip_labels(y_few, share, seed):
    """Replace a share of the labels by a wrong class, sparing one label of each."""
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
    """Keep one label of each class, and further labels drawn from all classes."""
    rng = np.random.RandomState(seed)
    classes = np.unique(y)
    first = [rng.choice(np.flatnonzero(y == label)) for label in classes]
    others = np.setdiff1d(np.arange(len(y)), first)
    n_more = (labels_per_class - 1) * len(classes)
    rows = np.concatenate([first, rng.choice(others, n_more, replace=False)])
    y_few = np.full_like(y, -1)
    y_few[rows] = y[rows]
    return y_few
