"""Categorical columns: how they are declared, unknown categories, and their types."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from mixed_rows import N_SURVEY, N_TOWNS, TOWN_LABELS, small_classifier, survey
from sklearn.pipeline import make_pipeline


def test_unknown_categories_are_missing_with_one_warning():
    X, _, few = survey()
    clf = small_classifier().fit(X, few)
    new = X.copy()
    new.loc[[1, 2], "town"] = ["Bonn", "Kyiv"]
    gone = X.copy()
    gone.loc[[1, 2], "town"] = None
    with pytest.warns(UserWarning, match="town") as caught:
        proba = clf.predict_proba(new)
    assert [str(w.message) for w in caught] == [
        "Column 'town' has categories that did not occur in fit; they are treated as "
        "missing: ['Bonn', 'Kyiv']. Later ones in this column are not reported."
    ]
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(proba, clf.predict_proba(gone))
    assert clf.impute(new)["town"][1] == "Bonn"
    with pytest.warns(UserWarning, match="town") as caught:
        make_pipeline(clf.fit(X, few)).predict(new)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_declared_categories_are_missing_without_a_warning(library):
    X, _, few = survey()
    new = X.assign(colour=X["colour"].astype(object).mask(X.index < 3, "never"))
    new["colour"] = new["colour"].astype(X["colour"].dtype)
    gone = X.assign(colour=X["colour"].mask(X.index < 3, None))
    if library == "polars":
        enum = pl.Enum(["red", "green", "blue", "never"])
        frames = [pl.from_pandas(f) for f in (X, new, gone)]
        frames = [f.with_columns(pl.col("colour").cast(enum)) for f in frames]
    elif library == "pyarrow":
        frames = [pa.Table.from_pandas(f) for f in (X, new, gone)]
    else:
        frames = [X, new, gone]
    clf = small_classifier().fit(frames[0], few)
    np.testing.assert_array_equal(
        clf.predict_proba(frames[1]), clf.predict_proba(frames[2])
    )
    with pytest.warns(UserWarning, match=r"\['pink'\]"):
        clf.predict(new.assign(colour="pink"))


def test_categorical_features_by_position_mask_and_name():
    X, _, few = survey(gaps=False)
    numbers = X[["height", "visits", "rank"]].astype(float)
    by_name = small_classifier(categorical_features=["rank"]).fit(numbers, few)
    assert by_name.likelihood_ == [
        ("gaussian", ["height", "visits"]),
        ("categorical", ["rank"]),
    ]
    expected = by_name.predict_proba(numbers)
    for features in ([2], [False, False, True], np.array([2])):
        clf = small_classifier(categorical_features=features)
        clf.fit(numbers.to_numpy(), few)
        np.testing.assert_array_equal(clf.predict_proba(numbers.to_numpy()), expected)
    pairs = small_classifier(likelihood=[("categorical", ["rank"])]).fit(numbers, few)
    np.testing.assert_array_equal(pairs.predict_proba(numbers), expected)


def test_categorical_features_add_to_those_of_the_column_types():
    X, _, few = survey()
    clf = small_classifier(categorical_features=["member", "rank"]).fit(X, few)
    assert dict(clf.likelihood_)["categorical"] == ["colour", "town", "member", "rank"]
    assert set(clf.sample(20)[0]["member"]) <= {True, False}
    with pytest.raises(TypeError) as error:
        small_classifier(categorical_features=None).fit(X, few)
    assert str(error.value).startswith("Column 'colour' has 'blue' of type str, but")


def test_rows_of_weight_zero_add_no_categories():
    X, _, few = survey()
    weight = np.ones(N_SURVEY)
    weight[:3] = 0
    changed = X.copy()
    changed.loc[:2, "town"] = "Bonn"
    clf = small_classifier().fit(changed, few, sample_weight=weight)
    expected = small_classifier().fit(X[3:], few[3:])
    schema, expected_schema = clf.preprocessor_.schema, expected.preprocessor_.schema
    assert schema.categories == expected_schema.categories
    np.testing.assert_array_equal(
        clf.predict_proba(X[3:]), expected.predict_proba(X[3:])
    )


def test_large_integers_are_distinct_categories():
    y = np.arange(60) % 2
    X = pd.DataFrame({"h": np.arange(60.0), "c": np.array([2**60, 2**60 + 1])[y]})
    for frame in (X, pl.from_pandas(X)):
        clf = small_classifier(categorical_features=["c"]).fit(frame, y)
        assert set(clf.sample(60)[0]["c"]) == {2**60, 2**60 + 1}


def test_a_categorical_dtype_may_hold_several_types():
    few = survey()[2]
    mixed = pd.Categorical([1, "x", None, "x"] * (N_SURVEY // 4))
    clf = small_classifier().fit(pd.DataFrame({"a": mixed}), few)
    assert set(clf.sample(20)[0]["a"]) <= {1, "x"}


def test_an_infinite_category_is_refused():
    X = np.random.RandomState(0).randint(0, 3, (N_TOWNS, 2)).astype(float)
    X[3, 1] = np.inf
    with pytest.raises(ValueError) as error:
        small_classifier(categorical_features=[1]).fit(X, TOWN_LABELS)
    assert str(error.value) == (
        "Column 1 contains inf, which cannot be a category. Convert the column, for "
        "instance to strings, or replace the value by NaN (missing)."
    )
