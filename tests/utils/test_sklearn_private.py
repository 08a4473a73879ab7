"""What replaces private functions of scikit-learn if they no longer exist."""

import importlib.util
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn.utils
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.utils import validation

from sk_ssvae.utils import sklearn_private
from sk_ssvae.utils.sklearn_private import (
    Interval,
    accepts_sample_weight,
    check_sample_weight,
    num_samples,
    safe_indexing,
    validate_parameters,
)

VALUES = np.arange(12.0).reshape(4, 3)
FRAME = pd.DataFrame(VALUES, columns=list("abc"), index=[7, 5, 5, 2])
CONTAINERS = {
    "array": VALUES,
    "vector": VALUES[:, 0],
    "strings": np.array(["a", "b", "c", "d"], dtype=object),
    "tensor": torch.from_numpy(VALUES),
    "list": VALUES.tolist(),
    "tuple": tuple("abcd"),
    "csr": sparse.csr_array(VALUES),
    "csr matrix": sparse.csr_matrix(VALUES),
    "csc": sparse.csc_array(VALUES),
    "pandas": FRAME,
    "pandas series": FRAME["b"],
    "polars": pl.DataFrame(VALUES, schema=list("abc")),
    "polars series": pl.Series([1, None, 3, 4]),
    "arrow table": pa.table({"a": [1, 2, 3, 4], "b": list("abcd")}),
    "arrow array": pa.array([1, None, 3, 4]),
    "arrow chunks": pa.chunked_array([[1, 2], [3, 4]]),
}
INDICES = {
    "indices": np.array([2, 0, 0]),
    "list": [3, 1],
    "mask": np.array([True, False, False, True]),
    "none": np.array([], dtype=np.int64),
}


@pytest.fixture
def fallback(monkeypatch):
    """`sklearn_private`, as imported where scikit-learn lacks private functions."""
    monkeypatch.delattr(sklearn.utils, "_safe_indexing")
    for name in ("_num_samples", "_check_sample_weight"):
        monkeypatch.delattr(validation, name)
    path = Path(sklearn_private.__file__)
    spec = importlib.util.spec_from_file_location("without_private_functions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    return module


def dense(rows):
    """Return rows as something that can be compared, and its type."""
    if sparse.issparse(rows):
        return type(rows), rows.toarray().tolist()
    if hasattr(rows, "to_pandas"):
        return type(rows), rows.to_pandas().to_dict()
    if hasattr(rows, "to_dict"):
        return type(rows), rows.index.tolist(), rows.to_numpy().tolist()
    return type(rows), rows if isinstance(rows, list) else rows.tolist()


def test_functions_are_those_of_scikit_learn_if_it_has_them(fallback):
    assert safe_indexing is sklearn.utils._safe_indexing
    assert num_samples is validation._num_samples
    assert check_sample_weight is validation._check_sample_weight
    assert fallback.safe_indexing is fallback._safe_indexing
    assert fallback.num_samples is fallback._num_samples
    assert fallback.check_sample_weight is fallback._check_sample_weight


@pytest.mark.parametrize("indices", INDICES)
@pytest.mark.parametrize("name", CONTAINERS)
def test_the_fallback_selects_the_same_rows(fallback, name, indices):
    rows, indices = CONTAINERS[name], INDICES[indices]
    expected = safe_indexing(rows, indices)
    selected = fallback.safe_indexing(rows, indices)
    if hasattr(rows, "to_pandas"):
        assert type(selected) is type(expected)
        assert selected.equals(expected)
    else:
        assert dense(selected) == dense(expected)


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_fallback_counts_the_same_rows(fallback, name):
    assert fallback.num_samples(CONTAINERS[name]) == num_samples(CONTAINERS[name]) == 4


@pytest.mark.parametrize(
    "weight",
    [
        None,
        2,
        2.5,
        0,
        -1.0,
        np.inf,
        [1, 2, 3, 4],
        np.array([1, 0, 0, 2], dtype=np.float32),
        np.array([True, False, True, True]),
        pd.Series([1.0, 2.0, 3.0, 4.0]),
        [0, 0, 0, 0],
        [1, -2, 1, 1],
        [1, np.nan, 1, 1],
        [1, np.inf, 1, 1],
        [1, 2, 3],
        [[1], [2], [3], [4]],
        ["a", "b", "c", "d"],
        sparse.csr_array(VALUES[:, :1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["array", "list", "csr", "pandas", "polars"])
def test_the_fallback_validates_weights_alike(fallback, weight, name):
    results = []
    for check in (check_sample_weight, fallback.check_sample_weight):
        try:
            found = check(
                weight, CONTAINERS[name], dtype=np.float64, ensure_non_negative=True
            )
        except (TypeError, ValueError) as error:
            results.append((type(error), str(error)))
        else:
            results.append((found.dtype, found.shape, found.tolist()))
    assert results[0] == results[1]


def test_scorers_without_the_method_are_asked_by_their_signature():
    assert accepts_sample_weight(make_scorer(accuracy_score))
    assert not accepts_sample_weight(make_scorer(lambda y, predicted: 0.0))
    assert accepts_sample_weight(lambda estimator, X, y, sample_weight=None: 0.0)
    assert not accepts_sample_weight(lambda estimator, X, y: 0.0)


class Half(BaseEstimator):
    """An estimator with a constraint."""

    _parameter_constraints = {"share": [Interval(Real, 0, 1, closed="both")]}

    def __init__(self, share=0.5):
        self.share = share


def test_parameters_are_validated_by_the_constraints():
    validate_parameters(Half())
    message = (
        r"The 'share' parameter of Half must be a float in the range \[0.0, 1.0\]. Got "
        r"2.0 instead."
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        validate_parameters(Half(2.0))
