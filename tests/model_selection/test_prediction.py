"""Out-of-fold predictions of labelled rows."""

import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_LABELS, IRIS_ROWS
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from sk_ssvae.model_selection import (
    LabeledKFold,
    LabeledStratifiedKFold,
    cross_val_predict_labeled,
)

LABELLED = FEW_IRIS != -1
NAMES = np.array(["a", "b", "c"], dtype=object)[IRIS_LABELS]


def self_training(classifier=None):
    return make_pipeline(
        StandardScaler(), SelfTrainingClassifier(classifier or LogisticRegression())
    )


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "predict"])
def test_each_labelled_row_is_predicted_without_its_label(quick, method):
    for model in (self_training(), quick()):
        cv = LabeledStratifiedKFold(3)
        predictions = cross_val_predict_labeled(
            model, IRIS_ROWS, FEW_IRIS, cv=3, method=method
        )
        for train, test in cv.split(IRIS_ROWS, FEW_IRIS):
            fold = clone(model).fit(IRIS_ROWS[train], FEW_IRIS[train])
            expected = getattr(fold, method)(IRIS_ROWS[test])
            np.testing.assert_array_equal(predictions[test], expected)
        if method == "predict":
            assert (predictions[~LABELLED] == -1).all()
            assert predictions.dtype == FEW_IRIS.dtype
        else:
            assert np.isnan(predictions[~LABELLED]).all()


@pytest.mark.parametrize("method", ["predict_proba", "predict"])
def test_with_all_labels_the_result_is_that_of_scikit_learn(method):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    ours = cross_val_predict_labeled(model, IRIS_ROWS, IRIS_LABELS, method=method)
    theirs = cross_val_predict(
        model, IRIS_ROWS, IRIS_LABELS, cv=StratifiedKFold(5), method=method
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("marker", [-1, None, "?", np.nan])
def test_strings_and_other_markers(quick, marker):
    y = NAMES.copy()
    y[~LABELLED] = marker
    model = quick(unlabeled=marker)
    proba = cross_val_predict_labeled(model, IRIS_ROWS, y, cv=2, unlabeled=marker)
    codes = cross_val_predict_labeled(quick(), IRIS_ROWS, FEW_IRIS, cv=2)
    np.testing.assert_array_equal(proba, codes)
    labels = cross_val_predict_labeled(
        model, IRIS_ROWS, y, cv=2, unlabeled=marker, method="predict"
    )
    best = np.array(["a", "b", "c"])[proba[LABELLED].argmax(axis=1)]
    np.testing.assert_array_equal(labels[LABELLED], best)
    assert all(label is marker or label == marker for label in labels[~LABELLED])


def test_a_decision_function_of_two_classes_has_one_axis():
    two = np.where(FEW_IRIS == 2, -1, FEW_IRIS)
    model = make_pipeline(StandardScaler(), LinearSVC())
    rows = IRIS_LABELS < 2
    ours = cross_val_predict_labeled(
        model, IRIS_ROWS[rows], IRIS_LABELS[rows], method="decision_function"
    )
    assert ours.shape == (100,)
    assert cross_val_predict_labeled(self_training(), IRIS_ROWS, two).shape == (150, 2)


def test_a_class_that_a_fold_lacks_has_probability_zero():
    y = np.full(150, -1)
    y[[0, 1, 2, 50, 51, 52, 100]] = [0, 0, 0, 1, 1, 1, 2]
    proba = cross_val_predict_labeled(self_training(), IRIS_ROWS, y, cv=LabeledKFold(7))
    assert proba[100, 2] == 0
    assert proba[0, 2] > 0
    np.testing.assert_allclose(proba[y != -1].sum(axis=1), 1)


def test_groups_and_weights_are_split_as_rows_are(quick):
    groups = np.arange(150) // 2
    weight = np.linspace(1, 2, 150)
    cv = LabeledKFold(3)
    proba = cross_val_predict_labeled(
        quick(), IRIS_ROWS, FEW_IRIS, cv=cv, groups=groups,
        params={"sample_weight": weight},
    )  # fmt: skip
    for train, test in cv.split(IRIS_ROWS, FEW_IRIS, groups):
        assert not set(groups[train]) & set(groups[test])
        fold = quick().fit(IRIS_ROWS[train], FEW_IRIS[train], weight[train])
        np.testing.assert_array_equal(proba[test], fold.predict_proba(IRIS_ROWS[test]))


def test_splits_may_be_an_iterable():
    splits = list(LabeledStratifiedKFold(3).split(IRIS_ROWS, FEW_IRIS))
    np.testing.assert_array_equal(
        cross_val_predict_labeled(self_training(), IRIS_ROWS, FEW_IRIS, cv=splits),
        cross_val_predict_labeled(self_training(), IRIS_ROWS, FEW_IRIS, cv=3),
    )
    # With scikit-learn's splitters, unlabelled rows are tested too.
    every = cross_val_predict_labeled(
        self_training(), IRIS_ROWS, FEW_IRIS, cv=KFold(3, shuffle=True, random_state=0)
    )
    assert not np.isnan(every).any()


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError) as error:
        cross_val_predict_labeled(self_training(), IRIS_ROWS, FEW_IRIS, method="score")
    assert str(error.value) == (
        "method must be one of ['decision_function', 'predict', 'predict_log_proba', "
        "'predict_proba'], got 'score'."
    )
    cv = ShuffleSplit(1, test_size=0.5, random_state=0)
    with pytest.raises(ValueError) as error:
        cross_val_predict_labeled(self_training(), IRIS_ROWS, FEW_IRIS, cv=cv)
    tested = next(cv.split(IRIS_ROWS))[1]
    row = min(set(np.flatnonzero(LABELLED)) - set(tested))
    assert str(error.value) == (
        "cross_val_predict_labeled needs each labelled row in exactly one test set, "
        f"but row {row} is in 0 of those of {cv!r}. Use a k-fold splitter such as "
        "LabeledStratifiedKFold."
    )
