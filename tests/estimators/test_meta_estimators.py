"""scikit-learn's meta-estimators and displays with labels for all rows.

They take `predict_proba` where they accept a decision function as well. With unlabelled
rows see tests/docs/test_meta_estimators.py.
"""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    det_curve,
    get_scorer,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)

from sk_ssvae import SSVAEClassifier

mpl.use("Agg")
import matplotlib.pyplot as plt

X, Y = load_breast_cancer(return_X_y=True)
X, Y = X[::4, :4], Y[::4]
FOLDS = StratifiedKFold(3)


def make(**params):
    small = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "max_epochs": 8,
        "teacher": None,
        "learning_rate": 0.01,
        "random_state": 0,
    }
    return SSVAEClassifier(**(small | params))


@pytest.fixture(scope="module")
def clf():
    fitted = make().fit(X, Y)
    assert fitted.score(X, Y) > 0.8
    return fitted


@pytest.fixture(scope="module")
def out_of_fold():
    """Return the probabilities of each fold by a model of the other folds."""
    proba = np.full((len(X), 2), np.nan)
    for train, test in FOLDS.split(X, Y):
        proba[test] = make().fit(X[train], Y[train]).predict_proba(X[test])
    return proba


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def test_out_of_fold_predictions(out_of_fold):
    for method, expected in (
        ("predict_proba", out_of_fold),
        ("predict", out_of_fold.argmax(axis=1)),
    ):
        found = cross_val_predict(make(), X, Y, cv=FOLDS, method=method)
        np.testing.assert_array_equal(found, expected)
    found = cross_val_predict(make(), X, Y, cv=FOLDS, method="predict_log_proba")
    np.testing.assert_allclose(np.exp(found), out_of_fold, rtol=1e-5)


@pytest.mark.parametrize("estimator", [make(), RandomForestClassifier(2)], ids=type)
def test_there_is_no_decision_function_as_for_forests(estimator):
    with pytest.raises(AttributeError, match="has no attribute 'decision_function'"):
        cross_val_predict(estimator, X, Y, cv=2, method="decision_function")


def test_calibration_fits_a_calibrator_to_out_of_fold_probabilities(clf, out_of_fold):
    calibrated = CalibratedClassifierCV(
        make(), cv=FOLDS, method="isotonic", ensemble=False
    ).fit(X, Y)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(out_of_fold[:, 1], Y)
    expected = isotonic.predict(clf.predict_proba(X)[:, 1])
    np.testing.assert_allclose(calibrated.predict_proba(X)[:, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibrated_probabilities_have_a_better_log_loss_on_their_rows(clf, method):
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method=method).fit(X, Y)
    proba = calibrated.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    proba /= proba.sum(axis=1, keepdims=True)  # to double precision, for `log_loss`
    assert log_loss(Y, proba) < log_loss(Y, clf.predict_proba(X))


def test_the_tuned_threshold_is_the_best_of_those_that_are_tried(clf):
    tuned = TunedThresholdClassifierCV(
        clf, cv="prefit", refit=False, store_cv_results=True
    ).fit(X, Y)
    proba = clf.predict_proba(X)[:, 1]
    scores = [
        balanced_accuracy_score(Y, proba >= threshold)
        for threshold in tuned.cv_results_["thresholds"]
    ]
    np.testing.assert_allclose(tuned.cv_results_["scores"], scores)
    assert tuned.best_score_ == max(scores)
    np.testing.assert_array_equal(tuned.predict(X), proba >= tuned.best_threshold_)


@pytest.mark.parametrize("threshold", ["auto", 0.2, 0.9])
def test_fixed_thresholds_are_those_of_probabilities(clf, threshold):
    fixed = FixedThresholdClassifier(make(), threshold=threshold).fit(X, Y)
    limit = 0.5 if threshold == "auto" else threshold
    expected = clf.predict_proba(X)[:, 1] >= limit
    np.testing.assert_array_equal(fixed.predict(X), expected)
    zero = FixedThresholdClassifier(make(), threshold=threshold, pos_label=0).fit(X, Y)
    expected = clf.predict_proba(X)[:, 0] < limit
    np.testing.assert_array_equal(zero.predict(X), expected)


def test_a_stack_is_fitted_to_out_of_fold_probabilities(clf, out_of_fold):
    others = [("a", make()), ("b", make(random_state=1))]
    stack = StackingClassifier(others, cv=FOLDS).fit(X, Y)
    assert stack.stack_method_ == ["predict_proba"] * 2
    fitted = [clf, make(random_state=1).fit(X, Y)]
    columns = np.column_stack([c.predict_proba(X)[:, 1] for c in fitted])
    np.testing.assert_array_equal(stack.transform(X), columns)
    second = cross_val_predict(others[1][1], X, Y, cv=FOLDS, method="predict_proba")
    expected = LogisticRegression().fit(
        np.column_stack([out_of_fold[:, 1], second[:, 1]]), Y
    )
    np.testing.assert_allclose(stack.final_estimator_.coef_, expected.coef_, rtol=1e-4)


@pytest.mark.parametrize("scoring", [None, "accuracy", "roc_auc", "neg_log_loss"])
def test_permutation_importances_are_the_losses_of_permuted_columns(clf, scoring):
    """With one column that varies, of two values in two rows, there are two orders."""
    rows, labels = X[[1, 5]].copy(), Y[[1, 5]]
    assert labels.tolist() == [0, 1]
    rows[1, 1:] = rows[0, 1:]
    scorer = get_scorer(scoring or "accuracy")
    swapped = scorer(clf, rows[::-1], labels)
    loss = scorer(clf, rows, labels) - swapped
    found = permutation_importance(
        clf, rows, labels, scoring=scoring, n_repeats=20, random_state=0
    )
    assert not found.importances[1:].any()
    np.testing.assert_allclose(np.unique(found.importances[0]), np.unique([0, loss]))
    assert loss != 0


def test_partial_dependence_is_the_mean_probability(clf):
    for response_method in ("auto", "predict_proba"):
        found = partial_dependence(
            clf, X, [1], grid_resolution=5, response_method=response_method, kind="both"
        )
        for i, value in enumerate(found["grid_values"][0]):
            rows = X.copy()
            rows[:, 1] = value
            proba = clf.predict_proba(rows)[:, 1]
            np.testing.assert_allclose(found["individual"][0, :, i], proba, rtol=1e-6)
            assert found["average"][0, i] == pytest.approx(proba.mean())
    display = PartialDependenceDisplay.from_estimator(clf, X, [1], grid_resolution=5)
    line = display.lines_.ravel()[0].get_ydata()
    np.testing.assert_allclose(line, found["average"][0])


def test_partial_dependence_of_a_class():
    rows, labels = load_iris(return_X_y=True)
    clf = make().fit(rows, labels)
    for target in range(3):
        display = PartialDependenceDisplay.from_estimator(
            clf, rows, [2], target=target, grid_resolution=4
        )
        grid, line = display.lines_.ravel()[0].get_data()
        for value, average in zip(grid, line, strict=True):
            changed = rows.copy()
            changed[:, 2] = value
            expected = clf.predict_proba(changed)[:, target].mean()
            assert average == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("response_method", ["auto", "predict_proba", "predict"])
def test_decision_boundaries_are_those_of_the_probabilities(response_method):
    clf = make().fit(X[:, :2], Y)
    display = DecisionBoundaryDisplay.from_estimator(
        clf, X[:, :2], response_method=response_method, grid_resolution=7
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    proba = clf.predict_proba(grid)[:, 1].reshape(7, 7)
    expected = proba > 0.5 if response_method == "predict" else proba
    np.testing.assert_allclose(display.response, expected, rtol=1e-6)


def test_decision_boundaries_of_several_classes():
    rows, labels = load_iris(return_X_y=True)
    clf = make().fit(rows[:, :2], labels)
    for k in range(3):
        display = DecisionBoundaryDisplay.from_estimator(
            clf, rows[:, :2], class_of_interest=k, grid_resolution=5
        )
        grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
        expected = clf.predict_proba(grid)[:, k].reshape(5, 5)
        np.testing.assert_allclose(display.response, expected, rtol=1e-6)


def test_curves_are_those_of_the_probabilities(clf):
    proba = clf.predict_proba(X)[:, 1]
    roc = RocCurveDisplay.from_estimator(clf, X, Y)
    false_positive, true_positive, _ = roc_curve(Y, proba)
    np.testing.assert_array_equal(np.ravel(roc.fpr), false_positive)
    np.testing.assert_array_equal(np.ravel(roc.tpr), true_positive)
    assert np.ravel(roc.roc_auc)[0] == roc_auc_score(Y, proba)
    pr = PrecisionRecallDisplay.from_estimator(clf, X, Y)
    precision, recall, _ = precision_recall_curve(Y, proba)
    np.testing.assert_array_equal(np.ravel(pr.precision), precision)
    np.testing.assert_array_equal(np.ravel(pr.recall), recall)
    det = DetCurveDisplay.from_estimator(clf, X, Y)
    false_positive, false_negative, _ = det_curve(Y, proba, drop_intermediate=True)
    np.testing.assert_allclose(np.ravel(det.fpr), false_positive, atol=1e-12)
    np.testing.assert_allclose(np.ravel(det.fnr), false_negative, atol=1e-12)
    calibration = CalibrationDisplay.from_estimator(clf, X, Y)
    np.testing.assert_array_equal(calibration.y_prob, proba)
    matrix = ConfusionMatrixDisplay.from_estimator(clf, X, Y).confusion_matrix
    np.testing.assert_array_equal(matrix, confusion_matrix(Y, proba > 0.5))


def test_curves_of_folds():
    results = cross_validate(
        make(), X, Y, cv=FOLDS, return_estimator=True, return_indices=True
    )
    display = RocCurveDisplay.from_cv_results(results, X, Y)
    for auc, fitted, test in zip(
        display.roc_auc, results["estimator"], results["indices"]["test"], strict=True
    ):
        assert auc == roc_auc_score(Y[test], fitted.predict_proba(X[test])[:, 1])


def test_frozen_and_cloned_classifiers_predict_the_same(clf):
    frozen = FrozenEstimator(clf)
    assert (
        clone(frozen).fit(X[:2], Y[:2]).predict(X).tolist() == clf.predict(X).tolist()
    )
    assert accuracy_score(Y, frozen.predict(X)) == clf.score(X, Y)
