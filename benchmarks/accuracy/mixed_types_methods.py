"""Data sets and methods of the benchmark of mixed column types.

The estimator is fitted to unprepared rows: a data frame with categories and
missing values, or a sparse array of counts. The other methods are pipelines with the
usual preprocessing.
"""

import os
import resource
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from benchmarks.common.data import hide_labels, load_raw

MAX_ROWS = 5000
MIN_CLASS_SIZE = 30
HIDDEN = 0.1
"""Share of the cells that are hidden for imputation."""


def load_rows(name):
    """Load the rows of a set unprepared, and their classes; at most `MAX_ROWS` rows.

    Returns
    -------
    X : DataFrame or csr_array of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
    """
    X, y, categorical = load_raw(name)
    y = np.unique(y, return_inverse=True)[1]
    keep = np.flatnonzero(np.bincount(y)[y] >= MIN_CLASS_SIZE)
    if len(keep) > MAX_ROWS:
        keep, _ = train_test_split(
            keep, train_size=MAX_ROWS, stratify=y[keep], random_state=0
        )
    y = np.unique(y[keep], return_inverse=True)[1]
    if sparse.issparse(X):
        return sparse.csr_array(X[keep]).astype(np.float32), y
    return make_frame(np.asarray(X[keep], dtype=float), categorical), y


def make_frame(X, categorical):
    """Make a data frame; codes of categories become categories named by text."""
    import pandas as pd

    columns = {}
    for j, column in enumerate(X.T):
        if categorical[j]:
            names = [None if np.isnan(v) else f"level {v:.0f}" for v in column]
            columns[f"c{j}"] = pd.Categorical(names)
        else:
            columns[f"n{j}"] = column
    return pd.DataFrame(columns)


def preprocessing(X, *, dense=False):
    """Return unfitted steps of the usual preprocessing of such rows."""
    if sparse.issparse(X):
        if X.max() > 255 or X.shape[1] <= 2500:  # counts of molecules
            steps = [
                Normalizer("l1"),
                FunctionTransformer(_log_shares, feature_names_out=None),
                MaxAbsScaler(),
            ]
        else:
            steps = [TfidfTransformer(sublinear_tf=True)]
        if dense:
            steps += [TruncatedSVD(100, random_state=0), Normalizer()]
        return steps
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    select = make_column_selector
    return [
        make_column_transformer(
            (numbers, select(dtype_include=np.number)),
            (categories, select(dtype_exclude=np.number)),
        )
    ]


def _log_shares(X):
    """Return log(1 + 10,000 x) of the non-zero shares."""
    X = X.copy()
    X.data = np.log1p(1e4 * X.data)
    return X


def logistic_regression(X, y, seed):
    """Fit logistic regression to the labelled rows."""
    labelled = np.flatnonzero(y >= 0)
    few = X[labelled] if sparse.issparse(X) else X.iloc[labelled]
    return make_pipeline(*preprocessing(X), LogisticRegression(max_iter=2000)).fit(
        few, y[labelled]
    )


def self_training(X, y, seed):
    """Fit self-training of logistic regression."""
    base = LogisticRegression(max_iter=2000)
    return make_pipeline(*preprocessing(X), SelfTrainingClassifier(base)).fit(X, y)


def label_spreading(X, y, seed):
    """Fit label spreading with 7 neighbours."""
    graph = LabelSpreading(kernel="knn", n_neighbors=7, max_iter=500)
    return make_pipeline(*preprocessing(X, dense=True), graph).fit(X, y)


def default(X, y, seed):
    """Fit SSVAEClassifier with its defaults."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(random_state=seed).fit(X, y)


METHODS = {
    "default": default,
    "LogisticRegression": logistic_regression,
    "SelfTraining": self_training,
    "LabelSpreading": label_spreading,
}
"""Functions that return a fitted estimator, by name."""


def measure_accuracy(name, per_class, seed, method):
    """Return accuracy in % on the held-out rows, and seconds."""
    X, y = load_rows(name)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed
    )
    few = hide_labels(y[train], per_class, seed)
    take = (lambda i: X[i]) if sparse.issparse(X) else (lambda i: X.iloc[i])
    start = time.perf_counter()
    model = METHODS[method](take(train), few, seed)
    predicted = model.predict(take(test))
    return {
        "accuracy": round(100 * float((predicted == y[test]).mean()), 2),
        "seconds": round(time.perf_counter() - start, 1),
    }


def measure_imputation(name, seed):
    """Hide a tenth of the observed cells, impute them, and measure the errors.

    Returns
    -------
    dict
        By method: ``rmse`` of all numbers and by column, in standard deviations of the
        column, and ``wrong``, the share of wrong categories in %.
    """
    from sk_ssvae import SSVAEClassifier

    X, y = load_rows(name)
    rng = np.random.RandomState(seed)
    hide = (rng.rand(*X.shape) < HIDDEN) & X.notna().to_numpy()
    incomplete = X.mask(hide)
    numbers = [c for c in X if c.startswith("n")]
    categories = [c for c in X if c.startswith("c")]
    few = hide_labels(y, 20, seed)
    start = time.perf_counter()
    model = SSVAEClassifier(random_state=seed).fit(incomplete, few)
    imputed = {"default": model.impute(incomplete)}
    seconds = round(time.perf_counter() - start, 1)
    means = incomplete.copy()
    means[numbers] = incomplete[numbers].fillna(incomplete[numbers].mean())
    for c in categories:
        means[c] = incomplete[c].fillna(incomplete[c].mode()[0])
    imputed["SimpleImputer"] = means
    codes = incomplete.copy()
    for c in categories:
        codes[c] = np.where(incomplete[c].isna(), np.nan, incomplete[c].cat.codes)
    iterative = incomplete.copy()
    iterative[numbers] = IterativeImputer(random_state=0).fit_transform(
        codes.astype(float)
    )[:, [list(X).index(c) for c in numbers]]
    imputed["IterativeImputer"] = iterative
    result = {"seconds": seconds}
    for method, filled in imputed.items():
        errors = []
        for c in numbers:
            at = hide[:, list(X).index(c)]
            deviation = X[c].std()
            errors.append(((filled[c] - X[c])[at] / deviation) ** 2)
        result[method] = {
            "rmse": round(float(np.sqrt(np.mean(np.concatenate(errors)))), 4),
            "columns": [round(float(np.sqrt(e.mean())), 4) for e in errors],
        }
        if categories and method != "IterativeImputer":
            wrong = [
                (filled[c].astype(str) != X[c].astype(str))[hide[:, list(X).index(c)]]
                for c in categories
            ]
            share = 100 * float(np.concatenate(wrong).mean())
            result[method]["wrong"] = round(share, 2)
    return result


def measure_memory():
    """Fit word counts in this process; return its peak memory and the seconds."""
    from sk_ssvae import SSVAEClassifier

    X, y, _ = load_raw("newsgroups20")
    with np.load(Path(os.environ["SK_SSVAE_DATA"]) / "newsgroups20.npz") as arrays:
        train, test = arrays["train_idx"], arrays["test_idx"]
    X = sparse.csr_array(X).astype(np.float32)
    y = np.unique(y, return_inverse=True)[1]
    few = hide_labels(y[train], 20, 0)
    start = time.perf_counter()
    model = SSVAEClassifier(max_epochs=10, random_state=0).fit(X[train], few)
    seconds = round(time.perf_counter() - start)
    accuracy = 100 * model.score(X[test], y[test])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "peak_GiB": round(peak, 2),
        "seconds": seconds,
        "accuracy": round(accuracy, 1),
        "shape": list(X[train].shape),
    }
