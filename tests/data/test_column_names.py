"""Column names that are not strings are compared as scikit-learn compares strings."""

import warnings

import numpy as np
import pandas as pd
import pytest
from mixed_rows import N_TOWNS, TOWN_LABELS, small_classifier

import sk_ssvae
from sk_ssvae import VariationalAutoencoder

ROWS = np.random.RandomState(0).randn(N_TOWNS, 7)

NAMES = {
    "strings": list("abcdefg"),
    "integers": [13, 7, 20, 100, 101, 102, 103],
    "permuted positions": [6, 0, 1, 2, 3, 4, 5],
    "levels": [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1), ("c", 2), ("d", 1)],
    "numbers": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
    "dates": list(pd.date_range("2020-01-01", periods=7)),
    "numbers, one missing": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, np.nan],
}

HEAD = "The feature names should match those that were passed during fit.\n"
ORDER = HEAD + "Feature names must be in the same order as they were in fit.\n"
WITHOUT = "X does not have valid feature names, but {} was fitted with feature names"
WITH = "X has feature names, but {} was fitted without feature names"


def frame(names, rows=ROWS):
    return pd.DataFrame(rows, columns=names)


def message_of(call, X):
    """Return the message of the error or the warning of a call, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(X)
        except ValueError as error:
            return str(error)
    (message,) = {str(w.message) for w in caught} or {None}
    return message


def methods(clf):
    return [
        clf.predict,
        clf.transform,
        clf.score_samples,
        clf.impute,
        lambda X: clf.partial_fit(X, TOWN_LABELS),
        lambda X: clf.score(X, TOWN_LABELS),
    ]


@pytest.mark.parametrize("kind", NAMES)
def test_names_in_another_order_are_refused(kind):
    names = NAMES[kind]
    X = frame(names)
    clf = small_classifier().fit(X, TOWN_LABELS)
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=2, random_state=0)
    vae.fit(X)
    for call in (*methods(clf), vae.transform, vae.score_samples, vae.impute):
        assert message_of(call, X) is None
        assert message_of(call, X.iloc[:, ::-1]) == ORDER
        assert message_of(call, X.iloc[:, [1, 0, *range(2, 7)]]) == ORDER
    assert hasattr(clf, "feature_names_in_") == (kind == "strings")


@pytest.mark.parametrize("kind", ["strings", "integers", "levels"])
def test_other_names_and_no_names(kind, tmp_path):
    names = NAMES[kind]
    clf = small_classifier().fit(frame(names), TOWN_LABELS)
    clf.save(tmp_path / "clf")
    new = {"strings": "z", "integers": 9, "levels": ("z", 1)}[kind]
    unseen = f"Feature names unseen at fit time:\n- {new}\n"
    gone = "Feature names seen at fit time, yet now missing:\n"
    for model in (clf, sk_ssvae.load(tmp_path / "clf")):
        for call in methods(model):
            other = frame([new, *names[1:]])
            expected = HEAD + unseen + f"{gone}- {names[0]}\n"
            assert message_of(call, other) == expected
            without = WITHOUT.format("SSVAEClassifier")
            assert message_of(call, ROWS) == without
            assert message_of(call, frame(range(7))) == without
    fewer = message_of(clf.predict, frame(names)[names[:1]])
    assert fewer == HEAD + gone + "".join(f"- {n}\n" for n in names[1:6]) + "- ...\n"


def test_positions_are_no_names():
    numbered = frame(range(7))
    clf = small_classifier().fit(numbered, TOWN_LABELS)
    plain = small_classifier().fit(ROWS, TOWN_LABELS)
    has_names = WITH.format("SSVAEClassifier")
    for call in methods(clf):
        assert message_of(call, ROWS) is None
        assert message_of(call, numbered) is None
        assert message_of(call, numbered[[1, 0, 2, 3, 4, 5, 6]]) == ORDER
        assert message_of(call, frame(NAMES["levels"])) == has_names
        assert message_of(call, frame(NAMES["strings"])) == has_names
    for call in methods(plain):
        assert message_of(call, numbered) is None
        assert message_of(call, frame(NAMES["integers"])) == has_names
    shifted = message_of(clf.predict, frame(range(1, 8)))
    assert shifted == (
        HEAD
        + "Feature names unseen at fit time:\n- 7\n"
        + "Feature names seen at fit time, yet now missing:\n- 0\n"
    )
    assert message_of(clf.predict, numbered.iloc[:, :2]).startswith(
        "X has 2 features, but SSVAEClassifier is expecting 7 features"
    )
    moved = small_classifier().fit(numbered[[1, 0, 2, 3, 4, 5, 6]], TOWN_LABELS)
    assert message_of(moved.predict, numbered) == ORDER


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, np.nan, None])
def test_missing_names_are_equal(gap):
    X = frame([1, gap, 3, 4, 5, 6, 7])
    X.columns = pd.Index([1, gap, 3, 4, 5, 6, 7], dtype=object)
    clf = small_classifier().fit(X, TOWN_LABELS)
    assert message_of(clf.predict, X) is None
    assert message_of(clf.predict, X.iloc[:, ::-1]) == ORDER


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_names_that_are_dates_are_saved(zone, tmp_path):
    X = frame(range(7))
    X.columns = pd.date_range("2020-02-27 12:30", periods=7, tz=zone)
    clf = small_classifier().fit(X, TOWN_LABELS)
    clf.save(tmp_path / "clf")
    loaded = sk_ssvae.load(tmp_path / "clf")
    assert loaded.sample(2)[0].columns.tolist() == X.columns.tolist()
    assert message_of(loaded.predict, X) is None
    assert message_of(loaded.predict, X.iloc[:, ::-1]) == ORDER


def test_warnings_point_at_the_line_of_the_user():
    clf = small_classifier().fit(frame(NAMES["levels"]), TOWN_LABELS)
    with pytest.warns(UserWarning, match="X does not have valid") as caught:
        clf.predict(ROWS)
    assert [w.filename for w in caught] == [__file__]
