"""Estimators of many kinds to save and load, and comparison of their results."""

import numpy as np
import pandas as pd
import polars as pl
from model_objects import make_spec
from scipy import sparse
from sklearn.datasets import load_iris
from torch import nn

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder

N = 60
"""Number of rows of the mixed and the sparse data."""

NAMES = np.array(["left", "right", -1, -1] * (N // 4), dtype=object)
"""Labels of these rows."""

IRIS, TRUTH = load_iris(return_X_y=True)

GREY = np.clip((IRIS - IRIS.mean(0)) / (2 * IRIS.std(0)) + 0.5, 0, 1)
GREY[GREY < 0.4] = 0
"""Values in [0, 1], many of them 0."""

FEW = np.where(np.arange(150) % 4, -1, TRUTH)
"""Labels of every fourth row of the iris data set, -1 for the others."""

IN_ONE_UNIT = np.random.RandomState(0).randn(150, 40) * np.linspace(0.7, 1.4, 40)
IN_ONE_UNIT[:, :4] += (IRIS - IRIS.mean(axis=0)) / IRIS.std(axis=0)
"""Rows whose columns have comparable variances."""

COUNTS = sparse.csr_array(np.random.RandomState(0).poisson(1.0, (N, 5)))


def make_estimator(cls=SSVAEClassifier, **parameters):
    """Return an unfitted estimator that is fitted in tens of milliseconds."""
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (6,),
        "max_epochs": 2,
        "random_state": 0,
    }
    if cls is SSVAEClassifier:
        defaults |= {"classifier_hidden_sizes": (5,), "teacher": None}
    return cls(**(defaults | parameters))


def pandas_frame():
    """Return a pandas frame with a column of each kind, and missing values."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "height": rng.randn(N),
            "town": pd.Categorical(list("xyxz") * (N // 4), ordered=True),
            "visits": rng.poisson(3, N),
            "rooms": pd.array([1, None, 2] * (N // 3), dtype="Int64"),
            "name": ["u", None, "v"] * (N // 3),
            "owner": rng.rand(N) > 0.5,
            "single": rng.randn(N).astype(np.float32),
            "grade": pd.Categorical([1.5, 2.5] * (N // 2)),
            "arrow": pd.array(["p", "q", None] * (N // 3), dtype="string[pyarrow]"),
        }
    )
    frame.loc[3, "height"] = np.nan
    return frame


def polars_frame():
    """Return a polars frame with a column of each kind, and missing values."""
    frame = pl.from_pandas(pandas_frame().drop(columns="grade"))
    return frame.with_columns(
        pl.Series("enum", ["a", "b"] * (N // 2), dtype=pl.Enum(["b", "a", "c"])),
        pl.Series("money", [1, 2, 3] * (N // 3)).cast(pl.Decimal(10, 2)),
        pl.Series("small", [1, 2, 3] * (N // 3), dtype=pl.Int8),
    )


def _of_model(name):
    """Return an estimator with a model object, or the name of one without parameters.

    A file does not distinguish ``"m2"`` from ``M2()``, which is equivalent.
    """
    spec = make_spec(name, inner_size=3, pretrain_epochs=1)
    return make_estimator(
        model=spec if spec.get_params() else name,
        likelihood=[("poisson", ["visits"])],
    )


CASES = {
    **{
        name: lambda name=name: (_of_model(name), pandas_frame(), NAMES)
        for name in ("m2", "m1+m2", "sdgm", "adgm")
    },
    "polars": lambda: (make_estimator(), polars_frame(), NAMES),
    "sparse counts": lambda: (
        make_estimator(likelihood="negative_binomial"),
        COUNTS,
        NAMES,
    ),
    "estimated prior": lambda: (
        make_estimator(class_prior="estimate", temperature=2.0),
        IRIS.astype(np.float32),
        FEW,
    ),
    "prior as an array": lambda: (
        make_estimator(
            class_prior=np.array([0.2, 0.3, 0.5]), alpha=np.float32(3), device="cpu"
        ),
        IRIS,
        FEW,
    ),
    "grey": lambda: (make_estimator(), GREY, FEW),
    "bernoulli": lambda: (
        make_estimator(),
        (IRIS.mean(axis=0) < IRIS).astype(float),
        FEW,
    ),
    "pool": lambda: (make_estimator(teacher="pool", max_epochs=1), IRIS[::2], FEW[::2]),
    "early stopping": lambda: (make_estimator(early_stopping=True), IRIS, FEW),
    "missing labels": lambda: (
        make_estimator(unlabeled=pd.NA),
        IRIS,
        pd.array([None if v < 0 else v for v in FEW], dtype="Int64"),
    ),
    "shared unit": lambda: (make_estimator(), IN_ONE_UNIT, FEW),
    "constant column": lambda: (make_estimator(), np.c_[IRIS, np.full(150, 7.0)], FEW),
    "array of objects": lambda: (
        make_estimator(categorical_features=[0]),
        np.array([["a", 1.5], ["b", 2.5], [None, 0.0], ["a", 1.0]] * 15, dtype=object),
        NAMES,
    ),
    "autoencoder": lambda: (
        make_estimator(VariationalAutoencoder),
        pandas_frame(),
        None,
    ),
}
"""Functions that return an unfitted estimator, rows and labels."""


def assert_identical(a, b):
    """Assert that arrays, frames or tuples of them are equal, with dtypes and gaps."""
    if isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_identical(x, y)
    elif isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    elif isinstance(a, pl.DataFrame):
        assert a.schema == b.schema
        assert a.equals(b)
    elif sparse.issparse(a):
        assert_identical(a.toarray(), b.toarray())
    else:
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype
        missing = pd.isna(a)
        assert np.array_equal(missing, pd.isna(b))
        assert np.array_equal(a[~missing], b[~missing])


def results(estimator, X):
    """Return the results of all methods of a fitted estimator."""
    methods = ["transform", "score_samples", "impute"]
    if hasattr(estimator, "predict"):
        methods += ["predict", "predict_proba", "predict_log_proba"]
    of_rows = tuple(getattr(estimator, method)(X) for method in methods)
    return (*of_rows, estimator.sample(7), estimator.inverse_transform(np.ones((2, 2))))


class Network(nn.Sequential):
    """A user-supplied network with a keyword argument."""

    def __init__(self, in_features, out_features, width=4):
        super().__init__(
            nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, out_features)
        )
