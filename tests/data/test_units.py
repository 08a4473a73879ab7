"""Columns that share a unit: they keep it in the networks' inputs."""

import numpy as np
import pytest
import torch
from model_objects import make_spec
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

from sk_ssvae.data.layout import as_layout
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.data.serialization import JSONDecoder, JSONEncoder
from sk_ssvae.data.units import MIN_SHARED_COLUMNS, relative_deviations
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.training import ClassifierOptions

N_COLUMNS = 100


def rows_in_one_unit(n_rows=80, seed=0):
    rng = np.random.RandomState(seed)
    factors = rng.randn(n_rows, 3) @ rng.randn(3, N_COLUMNS)
    return 5 + factors * np.geomspace(0.5, 2, N_COLUMNS)


def fitted(X, **params):
    """Return a preprocessor that is fitted to rows, and its network inputs."""
    preprocessor = Preprocessor(**params)
    owner = BaseEstimator()
    cells = preprocessor.read(owner, X, reset=True)
    preprocessor.fit(cells)
    encoded = preprocessor.row_encoder(owner)(torch.from_numpy(np.asarray(cells)))
    encoder = InputEncoder(preprocessor.layout).eval()
    return preprocessor, encoder(encoded).numpy()


def test_deviations_are_relative_to_their_root_mean_square():
    deviations = np.random.RandomState(0).lognormal(0, 0.3, N_COLUMNS)
    relative = relative_deviations(deviations)
    np.testing.assert_allclose((relative**2).mean(), 1)
    np.testing.assert_allclose(relative / relative[0], deviations / deviations[0])
    order = np.random.RandomState(1).permutation(N_COLUMNS)
    np.testing.assert_allclose(relative_deviations(deviations[order]), relative[order])


@pytest.mark.parametrize("factor", [1e-300, 1e-3, 1e3, 1e300])
def test_the_unit_is_irrelevant(factor):
    deviations = np.random.RandomState(0).lognormal(0, 0.3, N_COLUMNS)
    np.testing.assert_allclose(
        relative_deviations(factor * deviations), relative_deviations(deviations)
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ratio", [1e-7, 1e-30, 1e-45, 1e-300, 1e-320])
def test_tiny_deviations_have_an_inverse(ratio):
    deviations = np.append(np.ones(40), ratio)
    relative = relative_deviations(deviations)
    np.testing.assert_allclose(relative[:-1] / relative[-1], 1e6)
    assert np.isfinite(1 / relative.astype(np.float32)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("teacher", [None, "pool"])
def test_rows_with_a_tiny_column_are_fitted(teacher, quick):
    X = rows_in_one_unit()
    X[:, 0] *= 1e-45
    y = np.where(np.arange(80) % 4, -1, X[:, -1] > 5)
    options = ClassifierOptions(adversarial_weight=1.0)
    clf = quick(teacher=teacher, options=options).fit(X, y)
    assert np.isfinite(clf.history_[:, "adversarial"]).all()
    assert np.isfinite(clf.predict_proba(X)).all()


@pytest.mark.parametrize("n_columns", [1, MIN_SHARED_COLUMNS - 1, MIN_SHARED_COLUMNS])
def test_the_participation_ratio_decides(n_columns):
    """Of equal variances it is their number, which each smaller one adds less to."""
    equal = relative_deviations(np.full(n_columns, 7.0))
    assert (equal is None) == (n_columns < MIN_SHARED_COLUMNS)
    for small in (1e-3, 0.9):
        deviations = np.append(np.ones(24), small)
        assert relative_deviations(deviations) is None
        several = np.append(np.ones(24), [small, 0.9])
        ratio = (several**2).sum() ** 2 / (several**4).sum()
        assert (relative_deviations(several) is None) == (ratio < MIN_SHARED_COLUMNS)


def test_columns_that_do_not_vary_have_no_say():
    deviations = np.append(np.linspace(1, 2, 30), [1.0, 50.0])
    varies = np.arange(32) < 30
    relative = relative_deviations(deviations, varies)
    np.testing.assert_allclose(relative[:30], relative_deviations(deviations[:30]))
    np.testing.assert_array_equal(relative[30:], 1)
    assert relative_deviations(deviations) is None  # one column has all the variance
    assert relative_deviations(deviations[:3], np.zeros(3, dtype=bool)) is None


def test_inputs_are_in_the_unit_of_the_user_up_to_a_factor():
    X = rows_in_one_unit()
    _, inputs = fitted(X)
    centred = X - X.mean(axis=0)
    factor = np.sqrt((centred**2).mean())  # the root mean square deviation
    np.testing.assert_allclose(inputs, centred / factor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_units", [2, 5])
def test_columns_in_several_units_are_standardised(n_units):
    X = rows_in_one_unit()
    X[:, :n_units] *= 1e3
    preprocessor, inputs = fitted(X)
    assert preprocessor.layout.input_scale is None
    expected = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(inputs, expected, rtol=1e-4, atol=1e-5)


def test_only_measurements_share_the_unit():
    X = rows_in_one_unit()
    rng = np.random.RandomState(1)
    counts, binary = rng.poisson(3, (80, 2)), rng.rand(80, 1) < 0.5
    counts[:8] = np.arange(16).reshape(8, 2)
    mixed = np.hstack([counts, X, binary])
    likelihood = [
        ("negative_binomial", [0, 1]),
        ("gaussian", np.arange(2, 2 + N_COLUMNS)),
        ("bernoulli", [2 + N_COLUMNS]),
    ]
    preprocessor, inputs = fitted(mixed, likelihood=likelihood)
    _, alone = fitted(X)
    np.testing.assert_allclose(inputs[:, 2:-1], alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(preprocessor.layout.input_scale[[0, 1, -1]], 1)
    np.testing.assert_array_equal(inputs[:, -1], binary[:, 0])


def test_missing_cells_are_the_mean_of_their_column():
    X = rows_in_one_unit()
    X[::5, 3] = np.nan
    _, inputs = fitted(X)
    assert inputs.shape == (80, N_COLUMNS + 1)
    np.testing.assert_array_equal(inputs[::5, 3], 0)
    np.testing.assert_array_equal(inputs[:, -1], np.isnan(X[:, 3]))


def test_a_layout_without_a_unit_has_the_fields_of_older_files():
    encode = JSONEncoder()
    encoded = encode(as_layout("gaussian", 3))
    assert "input_scale" not in encoded["value"][1]
    decoded = JSONDecoder(encode.arrays)(encoded)
    assert decoded.input_scale is None
    layout = fitted(rows_in_one_unit())[0].layout
    encode = JSONEncoder()
    decoded = JSONDecoder(encode.arrays)(encode(layout))
    np.testing.assert_array_equal(decoded.input_scale, layout.input_scale)


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm", "adgm"])
def test_the_unit_of_rows_does_not_change_predictions(model, quick):
    X = rows_in_one_unit().astype(np.float64)
    y = np.where(np.arange(80) % 4, -1, X[:, -1] > 5)
    spec = make_spec(model, pretrain_epochs=2)
    first = quick(model=spec).fit(X, y)
    second = quick(model=spec).fit(X * 1024 - 2048, y)
    np.testing.assert_allclose(
        first.predict_proba(X), second.predict_proba(X * 1024 - 2048), atol=1e-3
    )
    difference = first.score_samples(X) - second.score_samples(X * 1024 - 2048)
    np.testing.assert_allclose(difference, N_COLUMNS * np.log(1024), rtol=1e-3)
