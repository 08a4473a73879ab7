"""Decision thresholds tuned on labelled rows."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, make_scorer, recall_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    LabeledTunedThresholdClassifierCV,
    cross_val_predict_labeled,
    labeled_scorer,
    mask_labels,
)

X, TRUTH = (part[::2] for part in load_breast_cancer(return_X_y=True))
FEW = mask_labels(TRUTH, fraction=0.15, random_state=0)
LABELLED = FEW != -1
NAMES = np.array(["bad", "good"], dtype=object)


def self_training():
    return make_pipeline(StandardScaler(), SelfTrainingClassifier(LogisticRegression()))


def test_the_threshold_is_best_on_out_of_fold_scores():
    recall = make_scorer(fbeta_score, beta=3, pos_label=0)
    tuned = LabeledTunedThresholdClassifierCV(
        self_training(), scoring=recall, pos_label=0
    ).fit(X, FEW)
    scores = cross_val_predict_labeled(self_training(), X, FEW)[LABELLED, 0]
    y = FEW[LABELLED]
    best = max(
        fbeta_score(y, np.where(scores >= t, 0, 1), beta=3, pos_label=0)
        for t in np.concatenate([[0, 0.5, 1], scores, scores + 1e-9])
    )
    assert tuned.best_score_ == best
    predicted = np.where(scores >= tuned.best_threshold_, 0, 1)
    assert fbeta_score(y, predicted, beta=3, pos_label=0) == best
    proba = self_training().fit(X, FEW).predict_proba(X)
    np.testing.assert_array_equal(tuned.predict_proba(X), proba)
    expected = np.where(proba[:, 0] >= tuned.best_threshold_, 0, 1)
    np.testing.assert_array_equal(tuned.predict(X), expected)
    assert tuned.n_features_in_ == 30
    assert tuned.score(X, FEW) == (expected == TRUTH)[LABELLED].mean()


def test_of_equally_good_thresholds_the_default_is_kept():
    X = np.array([[-9.0], [-8.0], [8.0], [9.0]] * 10)
    y = np.array([0, 0, 1, 1] * 5 + [-1] * 20)
    tuned = LabeledTunedThresholdClassifierCV(self_training(), cv=2).fit(X, y)
    assert (tuned.best_threshold_, tuned.best_score_) == (0.5, 1.0)
    svm = LabeledTunedThresholdClassifierCV(LinearSVC(), cv=2).fit(X[:20], y[:20])
    assert svm.best_threshold_ == 0.0
    assert svm.decision_function(X).shape == (40,)
    assert not hasattr(svm, "predict_proba")


@pytest.mark.parametrize("marker", [-1, None])
def test_strings_other_markers_and_this_classifier(quick, marker):
    y = NAMES[TRUTH]
    y[~LABELLED] = marker
    params = {"scoring": "balanced_accuracy", "cv": 2}
    named = LabeledTunedThresholdClassifierCV(
        quick(unlabeled=marker), unlabeled=marker, **params
    ).fit(X, y)
    coded = LabeledTunedThresholdClassifierCV(quick(), **params).fit(X, FEW)
    assert named.classes_.tolist() == ["bad", "good"]
    assert named.best_threshold_ == coded.best_threshold_
    np.testing.assert_array_equal(named.predict(X), NAMES[coded.predict(X)])
    assert named.score(X, y) == coded.score(X, FEW)
    if marker is None:
        flipped = clone(named).set_params(pos_label="bad").fit(X, y)
        assert flipped.best_score_ == named.best_score_


def test_it_is_an_estimator_for_searches_and_cross_validation():
    tuned = LabeledTunedThresholdClassifierCV(self_training(), thresholds=[0.0, 0.5])
    cv = LabeledStratifiedKFold(2)
    search = GridSearchCV(
        tuned,
        {"estimator__selftrainingclassifier__estimator__C": [0.1, 1.0], "cv": [3]},
        cv=cv,
        scoring=labeled_scorer("balanced_accuracy"),
        error_score="raise",
    ).fit(X, FEW)
    assert search.best_score_ > 0.8
    assert search.best_estimator_.best_threshold_ in (0.0, 0.5)
    scores = cross_validate(tuned, X, FEW, cv=cv, error_score="raise")["test_score"]
    assert (scores > 0.8).all()


def test_candidates_are_limited_and_can_be_given():
    calls = []

    def count(y, predicted):
        calls.append(predicted)
        return recall_score(y, predicted)

    for thresholds, n in ((7, 7), (1000, None), ([0.2, 0.3], 2)):
        calls.clear()
        LabeledTunedThresholdClassifierCV(
            self_training(), scoring=make_scorer(count), thresholds=thresholds
        ).fit(X, FEW)
        assert len(calls) == (n or len(calls))
        assert len(calls) <= 1 + LABELLED.sum()


def test_sample_weights_reach_every_fit(quick):
    weight = np.linspace(1, 2, len(X))
    tuned = LabeledTunedThresholdClassifierCV(quick(), cv=2)
    tuned.fit(X, FEW, sample_weight=weight)
    alone = quick().fit(X, FEW, sample_weight=weight)
    np.testing.assert_array_equal(tuned.predict_proba(X), alone.predict_proba(X))


def test_invalid_labels_and_parameters_are_refused():
    rows, three = load_iris(return_X_y=True)
    tuned = LabeledTunedThresholdClassifierCV(self_training())
    for y, message in (
        (three, "got 3: [0, 1, 2]."),
        (np.where(three == 0, 0, -1), "got 1: [0]."),
        (np.full(150, -1), "got 0: []."),
    ):
        with pytest.raises(ValueError) as error:
            tuned.fit(rows, y)
        assert str(error.value) == (
            f"LabeledTunedThresholdClassifierCV needs labels of two classes, {message}"
        )
        assert not hasattr(tuned, "classes_")
    with pytest.raises(ValueError) as error:
        clone(tuned).set_params(pos_label=7).fit(X, FEW)
    assert str(error.value) == (
        "pos_label=7 is not a class of y. The classes are [0, 1]."
    )
    with pytest.raises(NotFittedError):
        tuned.predict(X)
    tuned.fit(X, FEW)
    with pytest.raises(ValueError) as error:
        tuned.score(X, np.full(len(X), -1))
    assert str(error.value) == (
        f"score needs labelled rows, but y is -1 (unlabelled) in all {len(X)} rows."
    )
    with pytest.raises(ValueError, match="The 'thresholds' parameter of LabeledTuned"):
        clone(tuned).set_params(thresholds=0).fit(X, FEW)
