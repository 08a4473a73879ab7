"""Errors of classifiers of the user in the opinion pool, and of their entries."""

import numpy as np
import pandas as pd
import pytest
from fixed_classifiers import Fixed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import (
    LinearRegression,
    SGDClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import OpinionPoolClassifier


def pool(*views, **params):
    return OpinionPoolClassifier(views=list(views), **{"random_state": 0} | params)


class Failing(ClassifierMixin, BaseEstimator):
    """Refuses few rows, or to predict."""

    def __init__(self, min_rows=0, fail_predict=False):
        self.min_rows = min_rows
        self.fail_predict = fail_predict

    def fit(self, X, y):
        if len(X) < self.min_rows:
            raise ValueError(f"Only {len(X)} rows.")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        if self.fail_predict and len(X) < 10:
            raise RuntimeError("No.")
        return np.full((len(X), len(self.classes_)), 0.3)


def test_errors_of_a_classifier_name_the_view(iris):
    X, y, _ = iris
    with pytest.raises(ValueError, match="Only 12 rows") as error:
        pool("logistic", ("own", Failing(15))).fit(X, y)
    assert error.value.__notes__ == [
        "This was raised by the view 'own' of the opinion pool, Failing(min_rows=15), "
        "fitted to 12 labels, without those of fold 1 of 5."
    ]
    with pytest.raises(ValueError, match="Only 15 rows") as error:
        pool(("own", Failing(16))).fit(X, y)
    assert error.value.__notes__ == [
        "This was raised by the view 'own' of the opinion pool, Failing(min_rows=16), "
        "fitted to 15 labels."
    ]
    fitted = pool(("own", Failing(fail_predict=True))).fit(X, y)
    with pytest.raises(RuntimeError, match="No") as error:
        fitted.predict(X[:3])
    assert error.value.__notes__ == [
        "This was raised by the view 'own' of the opinion pool, "
        "Failing(fail_predict=True), for 3 new rows."
    ]


class Unclonable(GaussianNB):
    """Changes its parameter, which scikit-learn's `clone` refuses."""

    def __init__(self, priors=None):
        super().__init__(priors=[priors])


def test_errors_of_clones_name_the_view(iris):
    X, y, _ = iris
    with pytest.raises(RuntimeError, match="Cannot clone object") as error:
        pool(("own", Unclonable())).fit(X, y)
    assert error.value.__notes__ == [
        "This was raised by the view 'own' of the opinion pool, "
        "Unclonable(priors=[None]), when it was cloned."
    ]


def test_neighbours_that_a_fold_does_not_have(iris):
    X, y, _ = iris
    with pytest.raises(ValueError, match="n_neighbors <= n_samples_fit") as error:
        pool(("knn", KNeighborsClassifier(13))).fit(X, y)
    (note,) = error.value.__notes__
    assert note.endswith("fitted to 12 labels, without those of fold 1 of 5.")


def test_a_failing_classifier_keeps_the_previous_state(iris):
    X, y, _ = iris
    fitted = pool("logistic").fit(X, y)
    before = fitted.predict_proba(X)
    fitted.set_params(views=["columns", ("own", Failing(16))])
    with pytest.raises(ValueError, match="Only 15 rows"):
        fitted.fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            ("own", Fixed([0.5, 0.5])),
            "The view 'own' returned probabilities of shape (150, 2) for the classes "
            "[0, 1, 2], but has 150 rows and was fitted to the classes 0 ... 2.",
        ),
        (
            ("own", Fixed([0.2, 0.3, 0.5], (0, 1, 3))),
            "The view 'own' returned probabilities of shape (150, 3) for the classes "
            "[0, 1, 3], but has 150 rows and was fitted to the classes 0 ... 2.",
        ),
        (
            ("own", Fixed(label="setosa")),
            "The view 'own' returned probabilities of shape (150, 1) for the classes "
            "['setosa'], but has 150 rows and was fitted to the classes 0 ... 2.",
        ),
        (
            ("own", GaussianNB(), "all"),
            "The view 'own' returned probabilities of shape (150, 4) for the classes "
            "[-1, 0, 1, 2], but has 150 rows and was fitted to the classes 0 ... 2. "
            "Does it take -1 for unlabelled rows? If not, leave out 'all' in its "
            "entry.",
        ),
        (
            ("own", Fixed([np.nan] * 3)),
            "The view 'own' has no class probabilities: they are NaN or 0 in all 150 "
            "rows.",
        ),
    ],
)
def test_invalid_probabilities_are_errors(iris, entry, message):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        pool(entry).fit(X, y)
    assert str(error.value) == message
    assert "the view 'own'" in error.value.__notes__[0]


@pytest.mark.parametrize(
    ("views", "kind", "message"),
    [
        (
            [["columns"]],
            ValueError,
            "views must contain names of views, and pairs of a name and a classifier, "
            "got ['columns'].",
        ),
        (
            ["columns", GaussianNB()],
            ValueError,
            "views must contain names of views, and pairs of a name and a classifier, "
            "got GaussianNB().",
        ),
        (
            [(1, GaussianNB())],
            ValueError,
            "views must contain names of views, and pairs of a name and a classifier, "
            "got (1, GaussianNB()).",
        ),
        (
            [("a", GaussianNB(), "all", 1)],
            ValueError,
            "views must contain names of views, and pairs of a name and a classifier, "
            "got ('a', GaussianNB(), 'all', 1).",
        ),
        (
            np.array([["columns"]]),
            ValueError,
            "views must be one-dimensional, got array([['columns']], dtype='<U7') "
            "with 2 dimensions.",
        ),
        (
            [("a", GaussianNB)],
            TypeError,
            "views must contain instances of classifiers, but 'a' is the class "
            "GaussianNB. Pass ('a', GaussianNB()).",
        ),
        (
            [("a", LinearRegression())],
            TypeError,
            "The view 'a' must be a scikit-learn classifier or 'drop', got "
            "LinearRegression().",
        ),
        (
            ["columns", ("a", None)],
            TypeError,
            "The view 'a' must be a scikit-learn classifier or 'drop', got None.",
        ),
        (
            [("columns", "ranks")],
            TypeError,
            "The view 'columns' must be a scikit-learn classifier or 'drop', got "
            "'ranks'.",
        ),
        (
            [("a", GaussianNB(), "unlabelled")],
            ValueError,
            "The third element of the view 'a' must be 'labelled' or 'all', the rows "
            "that its classifier is fitted to, got 'unlabelled'.",
        ),
        (
            [("a", GaussianNB()), ("b", "drop"), ("a", GaussianNB())],
            ValueError,
            "Names of classifiers in views must be unique, but ['a'] occur "
            "repeatedly. Rename all but one of each.",
        ),
        (
            ["a", "columns", ("a", GaussianNB())],
            ValueError,
            "Names of classifiers in views must be unique, but ['a'] occur "
            "repeatedly. Rename all but one of each.",
        ),
        (
            [("", GaussianNB())],
            ValueError,
            "Names of classifiers in views must not be empty. Give each a name.",
        ),
        (
            [("a__b", GaussianNB())],
            ValueError,
            "Names of classifiers in views must not contain __, got ['a__b']: "
            "set_params could not tell them from nested parameters.",
        ),
        (
            [("max_rows", GaussianNB())],
            ValueError,
            "Names of classifiers in views must differ from parameters of "
            "OpinionPoolClassifier, got ['max_rows']. Rename them.",
        ),
        (
            ["columns", ("forest", GaussianNB())],
            ValueError,
            "Names of classifiers in views must differ from names of built-in views, "
            "got ['forest']. Rename them.",
        ),
    ],
)
def test_invalid_entries(iris, views, kind, message):
    X, y, _ = iris
    with pytest.raises(kind) as error:
        OpinionPoolClassifier(views=views).fit(X, y)
    assert str(error.value) == message


def test_new_rows_in_another_container_are_reported_by_the_classifier(iris):
    X, y, _ = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    petals = make_column_transformer((StandardScaler(), ["c", "d"]))
    fitted = pool(("own", make_pipeline(petals, SGDClassifier()))).fit(frame, y)
    with (
        pytest.warns(UserWarning, match="does not have valid feature names"),
        pytest.raises(ValueError, match="columns") as error,
    ):
        fitted.predict(X)
    assert "the view 'own'" in error.value.__notes__[0]
