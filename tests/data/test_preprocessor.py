"""Laws of the preprocessor: reading, encoding, restoring and filling rows."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal as assert_polars_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.data.scaling import MAX_DEVIATIONS
from sk_ssvae.data.serialization import JSONDecoder, JSONEncoder

N = 60


class Owner(BaseEstimator):
    """Stands for the estimator that reads the rows."""


def frame():
    """Return a data frame of numbers, categories, strings, counts and booleans."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "height": 170 + 10 * rng.randn(N),
            "colour": pd.Categorical(rng.choice(["red", "green", "blue"], N)),
            "town": rng.choice(["Oslo", "Rome", "Lima"], N).astype(object),
            "visits": rng.poisson(3, N),
            "member": rng.rand(N) < 0.5,
        }
    )
    X.loc[::7, "height"] = np.nan
    X.loc[::5, "colour"] = None
    X.loc[::11, "town"] = None
    return X


def containers():
    rng = np.random.RandomState(1)
    numbers = rng.randn(N, 3) * [1, 100, 0.01] + [0, 5, 1]
    numbers[::6, 1] = np.nan
    counts = rng.poisson(0.5, (N, 4)).astype(float)
    return {
        "float64": numbers,
        "float32": numbers.astype(np.float32),
        "binary": (rng.rand(N, 3) < 0.5).astype(float),
        "sparse": sparse.csr_array(counts),
        "pandas": frame(),
        "polars": pl.from_pandas(frame()),
    }


def fitted(X, *, owner=None, keep_constant=False, **params):
    preprocessor = Preprocessor(**params)
    cells = preprocessor.read(Owner() if owner is None else owner, X, reset=True)
    return preprocessor.fit(cells, keep_constant=keep_constant), cells


def dense(cells):
    return cells.toarray() if sparse.issparse(cells) else cells


def assert_same_rows(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, pd.DataFrame):
        rounding = {"check_exact": False, "rtol": 1e-5}
        pd.testing.assert_frame_equal(found, expected, **rounding)
    elif isinstance(expected, pl.DataFrame):
        # The order of categories in polars' pool is no property of the rows.
        assert_polars_equal(found, expected, categorical_as_str=True, rel_tol=1e-5)
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(dense(found), dense(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", containers())
def test_encoded_rows_are_restored(kind):
    X = containers()[kind]
    preprocessor, cells = fitted(X)
    encoded = preprocessor.scaling.encode(cells)
    assert encoded.dtype == np.float32
    assert_same_rows(preprocessor.restore(encoded), X)


@pytest.mark.parametrize("kind", containers())
def test_fit_and_predict_read_the_same_cells(kind):
    X = containers()[kind]
    owner = Owner()
    preprocessor, cells = fitted(X, owner=owner)
    for ensure_finite in (True, False):
        again = preprocessor.read(owner, X, ensure_finite=ensure_finite)
        assert again.dtype == cells.dtype
        np.testing.assert_array_equal(dense(again), dense(cells))


@pytest.mark.parametrize("kind", containers())
def test_labels_are_returned_with_the_cells(kind):
    X, y = containers()[kind], np.arange(N) % 3
    owner, preprocessor = Owner(), Preprocessor()
    cells, labels = preprocessor.read(owner, X, y, reset=True)
    np.testing.assert_array_equal(labels, y)
    again, labels = preprocessor.read(owner, X, y)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(dense(again), dense(cells))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        preprocessor.read(owner, X, y[:-1])


@pytest.mark.parametrize("kind", containers())
def test_row_encoder_gives_the_same_bits_as_the_scaling(kind):
    X = containers()[kind]
    preprocessor, cells = fitted(X)
    encode = preprocessor.row_encoder(Owner())
    np.testing.assert_array_equal(
        encode(torch.from_numpy(dense(cells))).numpy(),
        preprocessor.scaling.encode(cells),
    )
    rows, encoder = preprocessor.device_rows(cells, torch.device("cpu"))
    batch = rows.index_select(0, torch.arange(N))
    np.testing.assert_array_equal(
        (batch if encoder is None else encoder(batch)).numpy(),
        preprocessor.scaling.encode(cells),
    )


@pytest.mark.parametrize("kind", containers())
def test_only_missing_values_are_filled(kind):
    X = containers()[kind]
    preprocessor, cells = fitted(X)
    expected = np.where(np.isnan(dense(cells)), 1.0, dense(cells) + 1)
    filled = preprocessor.fill(X, expected)
    assert type(filled) is type(X)
    owner = Owner()
    preprocessor.read(owner, X, reset=True)
    now = dense(preprocessor.read(owner, filled))
    missing = np.isnan(dense(cells))
    np.testing.assert_array_equal(now[~missing], dense(cells)[~missing])
    np.testing.assert_array_equal(now[missing], 1.0)


def test_the_estimator_gets_names_and_number_of_features():
    owner = Owner()
    preprocessor = Preprocessor()
    preprocessor.read(owner, frame(), reset=True)
    assert owner.n_features_in_ == 5
    assert owner.feature_names_in_.tolist() == list(frame().columns)
    with pytest.raises(ValueError, match="feature names should match"):
        preprocessor.read(owner, frame().rename(columns={"town": "city"}))
    owner = Owner()
    preprocessor, _ = fitted(np.eye(5), owner=owner)
    with pytest.raises(ValueError, match="Owner is expecting 5 features"):
        preprocessor.read(owner, np.zeros((3, 4)))


def test_fit_needs_two_rows_and_predict_one():
    X = np.arange(6.0).reshape(2, 3)
    owner = Owner()
    preprocessor, _ = fitted(X, owner=owner)
    assert preprocessor.read(owner, X[:1]).shape == (1, 3)
    with pytest.raises(ValueError, match="a minimum of 2 is required"):
        Preprocessor().read(owner, X[:1], reset=True)


def test_likelihoods_and_categories_follow_the_column_types():
    preprocessor, cells = fitted(frame())
    assert preprocessor.likelihood_ == [
        ("gaussian", ["height", "visits"]),
        ("categorical", ["colour", "town"]),
        ("bernoulli", ["member"]),
    ]
    assert preprocessor.schema.categories == (
        *(None, ["blue", "green", "red"], ["Lima", "Oslo", "Rome"]),
        *(None, None),
    )
    assert set(cells[~np.isnan(cells[:, 2]), 2]) == {0, 1, 2}
    np.testing.assert_array_equal(np.isnan(cells), frame().isna().to_numpy(dtype=bool))
    assert preprocessor.layout.gaps.tolist() == [0, 1, 2]


def test_categorical_columns_of_an_array_are_restored():
    X = np.array([[5, 0.5], [7, 1.5], [5, -0.5], [9, 2.0]])
    for params in (
        {"categorical_features": [0]},
        {"likelihood": [("categorical", [0])]},
    ):
        preprocessor, cells = fitted(X, **params)
        assert cells[:, 0].tolist() == [0, 1, 0, 2]
        restored = preprocessor.restore(preprocessor.scaling.encode(cells))
        np.testing.assert_allclose(restored, X, rtol=1e-6)


def test_unknown_categories_are_missing_with_a_warning():
    owner = Owner()
    preprocessor, _ = fitted(frame(), owner=owner)
    X = frame().iloc[1:4].copy()
    X["town"] = ["Paris", "Rome", "Paris"]
    with pytest.warns(UserWarning, match=r"'town'.*Paris"):
        cells = preprocessor.read(owner, X)
    assert np.isnan(cells[:, 2]).tolist() == [True, False, True]


def test_categories_are_those_of_rows_with_weight():
    X = frame()
    used = (X["town"] != "Lima").to_numpy()
    preprocessor = Preprocessor()
    cells = preprocessor.read(Owner(), X, reset=True, used=used)
    assert preprocessor.schema.categories[2] == ["Oslo", "Rome"]
    assert np.isnan(cells[~used, 2]).all()


def test_a_column_of_categories_has_no_other_likelihood():
    with pytest.raises(ValueError, match="assigns 'gaussian' to column 'town'"):
        fitted(frame(), likelihood=[("gaussian", ["town"])])


@pytest.mark.parametrize("likelihood", ["normal", [("gaussian", [0]), 3], 5])
def test_a_wrong_likelihood_is_refused(likelihood):
    with pytest.raises((ValueError, TypeError), match="likelihood must be one of"):
        fitted(np.eye(3), likelihood=likelihood)


@pytest.mark.parametrize("kind", ["float64", "float32", "sparse", "pandas", "polars"])
def test_infinite_cells_are_refused(kind):
    X = containers()[kind]
    owner = Owner()
    preprocessor, _ = fitted(X, owner=owner)
    if kind == "pandas":
        X.loc[3, "height"] = np.inf
    elif kind == "polars":
        heights = X["height"].to_numpy().copy()
        heights[3] = np.inf
        X = X.with_columns(height=heights)
    elif kind == "sparse":
        X.data[3] = np.inf
    else:
        X[3, 0] = np.inf
    message = "Input X contains infinity"
    with pytest.raises(ValueError, match=message):
        Preprocessor().read(owner, X, reset=True)
    with pytest.raises(ValueError, match=message):
        preprocessor.read(owner, X)
    if kind in ("pandas", "polars"):  # of several column types, hence read as float64
        return
    cells = preprocessor.read(owner, X, ensure_finite=False)
    with pytest.raises(ValueError, match=message):
        preprocessor.row_encoder(owner)(torch.from_numpy(dense(cells)))
    with pytest.raises(ValueError, match=message):
        preprocessor.check_finite(owner, cells)


def test_cells_whose_sum_overflows_are_not_infinite():
    X = np.array([[3e38, 1], [3e38, 2], [-3e38, 3]], dtype=np.float32)
    preprocessor, cells = fitted(X)
    encoded = preprocessor.row_encoder(Owner())(torch.from_numpy(cells[:2]))
    assert np.isfinite(encoded.numpy()).all()


def test_values_outside_the_support_are_refused_where_it_counts():
    X = np.array([[0, 7.0, 1], [1, 7, 0], [1, 7, 1]])
    preprocessor, _ = fitted(X, likelihood=[("bernoulli", [0, 2]), ("poisson", [1])])
    assert preprocessor.n_kept == 2
    preprocessor.check_support(X)
    with pytest.raises(ValueError, match="'bernoulli' needs values in"):
        preprocessor.check_support(X + np.array([2, 0, 0]))
    preprocessor.check_support(X + 0.5 * (X == 7), kept_only=True)
    with pytest.raises(ValueError, match="'poisson' needs whole numbers"):
        preprocessor.check_support(X + 0.5 * (X == 7))
    wrong = X.copy()
    wrong[1] = 5
    preprocessor.check_support(wrong, rows=np.array([True, False, True]))


def test_constant_columns_are_left_out_unless_kept():
    X = np.array([[1.0, 4], [2, 4], [3, 4]])
    preprocessor, cells = fitted(X)
    assert preprocessor.n_kept == 1
    restored = preprocessor.restore(preprocessor.scaling.encode(cells))
    np.testing.assert_allclose(restored, X, rtol=1e-6)
    assert fitted(X, keep_constant=True)[0].n_kept == 2


def test_means_of_integers_and_booleans_are_floats_unless_exact():
    preprocessor, cells = fitted(frame())
    values = preprocessor.scaling.encode(cells) + np.float32(0.1)
    exact, means = (preprocessor.restore(values, exact=e) for e in (True, False))
    assert exact["visits"].dtype == frame()["visits"].dtype
    assert exact["member"].dtype == bool
    assert means["visits"].dtype == means["member"].dtype == float


def test_far_cells_are_clipped():
    X, _ = load_iris(return_X_y=True)
    preprocessor, _ = fitted(X)
    far = torch.full((1, 4), 1e30, dtype=torch.float64)
    encoded = preprocessor.row_encoder(Owner())(far)
    assert (encoded == MAX_DEVIATIONS).all()


@pytest.mark.parametrize("kind", containers())
def test_a_serialized_preprocessor_does_the_same(kind):
    X = containers()[kind]
    owner = Owner()
    # No file holds a function: parameters are not serialized.
    preprocessor, cells = fitted(
        X, owner=owner, likelihood=[("gaussian", lambda X: [0])]
    )
    encode = JSONEncoder()
    text = json.dumps(encode(preprocessor), allow_nan=False)
    decoded = JSONDecoder(encode.arrays)(json.loads(text))
    assert isinstance(decoded, Preprocessor)
    for twin in (decoded, pickle.loads(pickle.dumps(decoded))):
        assert twin.likelihood_ == preprocessor.likelihood_
        assert twin.assigned_types.tolist() == preprocessor.assigned_types.tolist()
        np.testing.assert_array_equal(dense(twin.read(owner, X)), dense(cells))
        encoded = twin.scaling.encode(cells)
        np.testing.assert_array_equal(encoded, preprocessor.scaling.encode(cells))
        assert_same_rows(twin.restore(encoded), preprocessor.restore(encoded))
        assert twin.layout.n_cells == preprocessor.layout.n_cells


def test_a_record_with_other_fields_is_refused():
    encode = JSONEncoder()
    encoded = encode(fitted(np.eye(3))[0])
    encoded["value"][1]["read"] = None
    with pytest.raises(TypeError, match="unexpected keyword"):
        JSONDecoder(encode.arrays)(encoded)
