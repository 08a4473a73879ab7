"""Draws and imputed values are possible: bounds and whole numbers of columns."""

import numpy as np
import pandas as pd
import pytest
from mixed_rows import small_classifier

import sk_ssvae
from sk_ssvae import VariationalAutoencoder
from sk_ssvae.data.support import fit_support

N = 400


def adult_like(seed=0):
    """Return a frame like the Adult data set, and few labels."""
    rng = np.random.default_rng(seed)
    rich = rng.random(N) < 0.3
    gain = np.where(rng.random(N) < 0.9, 0, rng.lognormal(8, 1, N).round())
    frame = pd.DataFrame(
        {
            "age": np.maximum(17, rng.normal(38 + 6 * rich, 13, N).round()),
            "work": rng.choice(["private", "state", "self"], N),
            "capital_gain": gain,
            "income": rng.lognormal(10, 0.8, N),
            "rate": rng.beta(0.5, 2, N),
            "balance": rng.normal(0, 1000, N),
            "loss": -rng.exponential(10, N),
            "rating": rng.integers(1, 6, N).astype(float),
        }
    )
    y = np.where(rng.random(N) < 0.1, rich.astype(int), -1)
    y[:2] = 0, 1
    return frame, y


def check_possible(frame, *, whole):
    """Assert that every value could have been in `adult_like`."""
    assert (frame["age"] >= 17).all()
    assert (frame["capital_gain"] >= 0).all()
    assert (frame["income"] >= 0).all()
    assert frame["rate"].between(0, 1).all()
    assert (frame["loss"] <= 0).all()
    assert frame["rating"].between(1, 5).all()
    if whole:
        for name in ("age", "capital_gain", "rating"):
            assert (frame[name] == frame[name].round()).all()


@pytest.mark.parametrize("classes", [True, False])
def test_draws_means_and_imputed_values_of_a_mixed_frame_are_possible(
    classes, tmp_path
):
    frame, y = adult_like()
    holes = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.1)
    if classes:
        model = small_classifier(max_epochs=3).fit(holes, y)
        draw = model.sample(1000)[0]
    else:
        model = VariationalAutoencoder(
            2, hidden_sizes=(8,), max_epochs=3, random_state=0
        ).fit(holes)
        draw = model.sample(1000)
    check_possible(draw, whole=True)
    assert (draw["balance"] < 0).any()
    assert (draw["income"] != draw["income"].round()).any()
    imputed = model.impute(holes)
    check_possible(imputed, whole=True)
    pd.testing.assert_frame_equal(imputed.where(holes.notna()), holes)
    Z = 5 * np.random.default_rng(2).standard_normal((300, 2))
    decoded = model.inverse_transform(Z)
    check_possible(decoded, whole=False)
    assert (decoded["age"] != decoded["age"].round()).any()
    model.save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file", device="cpu")
    again = loaded.sample(1000)
    pd.testing.assert_frame_equal(again[0] if classes else again, draw)


def test_a_gaussian_that_is_asked_for_is_not_restricted():
    frame, y = adult_like()
    numbers = frame.drop(columns="work")
    free = small_classifier(likelihood="gaussian", max_epochs=3).fit(numbers, y)
    draw = free.sample(1000)[0]
    assert (draw["capital_gain"] < 0).any()
    assert (draw["age"] != draw["age"].round()).any()
    auto = small_classifier(max_epochs=3).fit(numbers, y)
    check_possible(auto.sample(1000)[0], whole=True)
    # The density is the same.
    assert np.array_equal(free.score_samples(numbers), auto.score_samples(numbers))
    partly = small_classifier(likelihood=[("gaussian", ["age"])], max_epochs=3)
    draw = partly.fit(numbers, y).sample(1000)[0]
    assert (draw["age"] != draw["age"].round()).any()
    assert (draw["capital_gain"] >= 0).all()


def test_later_rows_widen_the_support():
    frame, y = adult_like()
    X = frame[["age", "income", "balance"]].to_numpy()
    clf = small_classifier(max_epochs=3)
    clf.partial_fit(X, y, classes=[0, 1])
    assert (clf.sample(500)[0][:, 1] >= 0).all()
    clf.partial_fit(X * [1.01, -1, 1], y)
    draw = clf.sample(500)[0]
    assert (draw[:, 1] < 0).any()
    assert (draw[:, 0] != np.round(draw[:, 0])).any()


def test_later_rows_within_the_bounds_leave_them():
    """Ten rows show no bounds, and a column without any cell shows nothing."""
    rng = np.random.default_rng(0)
    X = np.stack(
        [
            np.clip(rng.normal(0, 2, 300), -1.5, 2.5),
            18.0 + np.maximum(rng.integers(-9, 50, 300), 0),
        ],
        axis=1,
    )
    X[:20, 1] = np.nan
    y = rng.integers(0, 2, 300)
    clf = small_classifier(max_epochs=1).partial_fit(X, y, classes=[0, 1])
    before = clf.preprocessor_.support
    assert before.low.tolist() == [-1.5, 18.0]
    assert before.high.tolist() == [2.5, np.inf]
    for rows in (slice(0, 10), slice(15, 30), slice(100, 110)):
        clf.partial_fit(X[rows], y[rows])
    after = clf.preprocessor_.support
    for name in ("whole", "low", "high"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    chunk = X[100:110].copy()
    chunk[0] = -3.0, 17.5
    clf.partial_fit(chunk, y[:10])
    after = clf.preprocessor_.support
    assert after.low.tolist() == [-np.inf, 0.0]
    assert after.high.tolist() == [2.5, np.inf]
    assert not after.whole.any()


def test_bounds_are_found_in_chunks_of_rows_with_gaps(monkeypatch):
    rng = np.random.default_rng(0)
    X = np.stack(
        [
            rng.normal(5, 1, 3000),  # positive
            rng.integers(-3, 4, 3000),  # whole, with both ends
            rng.random(3000),
            np.minimum(rng.normal(0, 1, 3000), 1),
            np.where(np.arange(3000) < 3, -7.0, rng.normal(0, 1, 3000)),
            -rng.random(3000),
        ],
        axis=1,
    )
    X[rng.random(X.shape) < 0.1] = np.nan
    used = rng.random(3000) < 0.9
    columns = np.ones(6, dtype=bool)
    support = fit_support(X, columns, used)
    inf = np.inf
    assert support.low.tolist() == [0, -3, 0, -inf, -inf, -inf]
    assert support.high.tolist() == [inf, 3, 1, 1, inf, 0]
    assert support.whole.tolist() == [False, True, False, False, False, False]

    def small_chunks(X, where):
        for rows in np.array_split(np.flatnonzero(where), 40):
            yield rows, X[rows]

    monkeypatch.setattr("sk_ssvae.data.support.iter_row_chunks", small_chunks)
    chunked = fit_support(X, columns, used)
    for name in ("low", "high", "whole"):
        assert (getattr(chunked, name) == getattr(support, name)).all()
    none = fit_support(X, ~columns, used)
    cells = np.array([[-1e9, 0.5, 2.5, 9, 1e9, np.nan]])
    np.testing.assert_array_equal(none.restrict(cells, exact=True), cells)
    restricted = support.restrict(cells, exact=True)
    np.testing.assert_array_equal(restricted, [[0, 0, 1, 1, 1e9, np.nan]])
