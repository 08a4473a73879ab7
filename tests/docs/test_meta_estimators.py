"""Each row of the tables about scikit-learn's meta-estimators is true."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from sklearn import ensemble, metrics, model_selection, multiclass
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SelectKBest,
    SequentialFeatureSelector,
)
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    LabeledStratifiedShuffleSplit,
    LabeledTunedThresholdClassifierCV,
    cross_val_predict_labeled,
    labeled_scorer,
    mask_labels,
)

mpl.use("Agg")
import matplotlib.pyplot as plt

PAGE = (Path(__file__).parents[2] / "docs" / "meta_estimators.md").read_text()
X, TRUTH = load_breast_cancer(return_X_y=True)
X, TRUTH = X[::4, :4], TRUTH[::4]
Y = mask_labels(TRUTH, n_per_class=10, random_state=0)
LABELLED = Y != -1
FOLDS = LabeledStratifiedKFold(2)
FITS, WRONG = {}, {}
"""Tests of the rows of the two tables, by the names in the first column."""


def make(**parameters):
    """Return an unfitted classifier that trains in a fraction of a second."""
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "max_epochs": 3,
        "teacher": None,
        "random_state": 0,
    }
    return SSVAEClassifier(**(defaults | parameters))


@pytest.fixture(scope="module")
def clf():
    return make(max_epochs=50).fit(X, Y)


def row_of(tests, names):
    """Register a test as that of the row with these names."""

    def register(test):
        tests[names] = test
        return test

    return register


def rows(heading):
    """Return the names in the first column of the table below a heading."""
    table = PAGE.split(f"## {heading}\n")[1].strip().split("\n\n")[0].splitlines()
    assert table[0].startswith("| scikit-learn |")
    return [re.findall(r"`([^`]+)`", line.split(" | ")[0]) for line in table[2:]]


# What works.


@row_of(FITS, "Pipeline ColumnTransformer FeatureUnion")
def check_pipelines(clf):
    steps = ColumnTransformer([("scale", StandardScaler(), [0, 1])], remainder="drop")
    assert make_pipeline(steps, make()).fit(X, Y).classes_.tolist() == [0, 1]
    union = FeatureUnion([("latent", make()), ("scaled", StandardScaler())])
    assert union.fit(X, Y).transform(X).shape == (len(X), 2 + 4)
    means = ColumnTransformer([("latent", make(), [0, 1, 2])]).fit_transform(X, Y)
    assert means.shape == (len(X), 2)


@row_of(
    FITS,
    "GridSearchCV RandomizedSearchCV HalvingGridSearchCV HalvingRandomSearchCV",
)
def check_searches(clf):
    grid = {"latent_size": [1, 2]}
    halving = {"resource": "max_epochs", "max_resources": 2, "min_resources": 1}
    for scoring, cls in (
        (None, model_selection.HalvingGridSearchCV),
        (labeled_scorer("f1"), model_selection.HalvingRandomSearchCV),
    ):
        arguments = {"cv": FOLDS, "scoring": scoring, "refit": False}
        expected = model_selection.cross_val_score(
            make(latent_size=1), X, Y, cv=FOLDS, scoring=scoring
        )
        search = model_selection.GridSearchCV(make(), grid, **arguments).fit(X, Y)
        assert search.cv_results_["mean_test_score"][0] == expected.mean()
        random = model_selection.RandomizedSearchCV(make(), grid, n_iter=2, **arguments)
        assert random.fit(X, Y).best_score_ == search.best_score_
        half = cls(make(), grid, random_state=0, **arguments, **halving).fit(X, Y)
        assert 0 <= half.best_score_ <= 1


@row_of(FITS, "cross_val_score cross_validate")
def check_cross_validation(clf):
    scores = model_selection.cross_val_score(make(), X, Y, cv=FOLDS)
    for (train, test), score in zip(FOLDS.split(X, Y), scores, strict=True):
        fitted = make().fit(X[train], Y[train])
        assert score == np.mean(fitted.predict(X[test]) == Y[test])
    result = model_selection.cross_validate(
        make(), X, Y, cv=FOLDS, scoring=labeled_scorer(["accuracy", "f1"])
    )
    np.testing.assert_array_equal(result["test_accuracy"], scores)


@row_of(FITS, "validation_curve permutation_test_score SequentialFeatureSelector")
def check_curves_of_parameters(clf):
    _, scores = model_selection.validation_curve(
        make(), X, Y, cv=FOLDS, param_name="latent_size", param_range=[1, 2]
    )
    expected = model_selection.cross_val_score(make(), X, Y, cv=FOLDS)
    np.testing.assert_array_equal(scores[1], expected)
    score = model_selection.permutation_test_score(
        make(), X, Y, cv=FOLDS, n_permutations=1
    )[0]
    assert score == expected.mean()
    selector = SequentialFeatureSelector(make(), n_features_to_select=1, cv=FOLDS)
    assert selector.fit(X, Y).get_support().sum() == 1


@row_of(FITS, "learning_curve LearningCurveDisplay")
def check_learning_curves(clf):
    arguments = {
        "cv": LabeledStratifiedShuffleSplit(2, random_state=0),
        "train_sizes": [0.5, 1.0],
    }
    _, _, scores = model_selection.learning_curve(make(), X, Y, **arguments)
    assert np.isfinite(scores).all()
    display = model_selection.LearningCurveDisplay.from_estimator(
        make(), X, Y, **arguments
    )
    np.testing.assert_array_equal(display.test_scores, scores)


@row_of(FITS, "permutation_importance")
def check_permutation_importance(clf):
    default, labelled, by_name = (
        permutation_importance(
            clf, X, Y, scoring=scoring, n_repeats=2, random_state=0
        ).importances
        for scoring in (None, labeled_scorer("accuracy"), "accuracy")
    )
    assert default.any()
    np.testing.assert_array_equal(labelled, default)
    np.testing.assert_allclose(by_name, default * LABELLED.mean(), atol=1e-12)


@row_of(FITS, "RFE RFECV SelectFromModel")
def check_selection_by_importance(clf):
    def importance(fitted):
        columns = X[:, : fitted.n_features_in_]
        found = permutation_importance(fitted, columns, Y, n_repeats=1, random_state=0)
        return found.importances_mean

    for selector in (RFE, RFECV, SelectFromModel):
        arguments = {"cv": FOLDS} if selector is RFECV else {}
        chosen = selector(make(), importance_getter=importance, **arguments).fit(X, Y)
        assert 0 < chosen.get_support().sum() <= 4
        if selector is not RFECV:
            with pytest.raises(ValueError, match="should have `coef_`"):
                selector(make()).fit(X, Y).get_support()


@row_of(FITS, "partial_dependence PartialDependenceDisplay DecisionBoundaryDisplay")
def check_inspection(clf):
    assert partial_dependence(clf, X, [0], grid_resolution=5)["average"].shape == (1, 5)
    display = PartialDependenceDisplay.from_estimator(clf, X, [0], grid_resolution=5)
    assert len(display.lines_) == 1
    of_two = make().fit(X[:, :2], Y)
    DecisionBoundaryDisplay.from_estimator(of_two, X[:, :2], grid_resolution=5)


@row_of(
    FITS,
    "RocCurveDisplay PrecisionRecallDisplay DetCurveDisplay CalibrationDisplay "
    "ConfusionMatrixDisplay",
)
def check_curves(clf):
    rows, labels = X[LABELLED], Y[LABELLED]
    out_of_fold = cross_val_predict_labeled(make(), X, Y, cv=FOLDS)[LABELLED]
    for proba, curve, matrix in (
        (
            clf.predict_proba(rows),
            metrics.RocCurveDisplay.from_estimator(clf, rows, labels),
            metrics.ConfusionMatrixDisplay.from_estimator(clf, rows, labels),
        ),
        (
            out_of_fold,
            metrics.RocCurveDisplay.from_predictions(labels, out_of_fold[:, 1]),
            metrics.ConfusionMatrixDisplay.from_predictions(
                labels, out_of_fold.argmax(axis=1)
            ),
        ),
    ):
        expected = metrics.roc_auc_score(labels, proba[:, 1])
        assert np.ravel(curve.roc_auc)[0] == expected
        hits = np.trace(matrix.confusion_matrix) / len(labels)
        assert hits == np.mean(proba.argmax(axis=1) == labels)
    metrics.PrecisionRecallDisplay.from_estimator(clf, rows, labels)
    metrics.DetCurveDisplay.from_estimator(clf, rows, labels)
    CalibrationDisplay.from_estimator(clf, rows, labels)
    with pytest.raises(ValueError, match="binary"):
        metrics.RocCurveDisplay.from_estimator(clf, X, Y)


@row_of(FITS, "MultiOutputClassifier")
def check_several_outputs(clf):
    other = mask_labels(1 - TRUTH, n_per_class=5, random_state=1)
    assert ((other == -1) != (Y == -1)).any()
    several = MultiOutputClassifier(make()).fit(X, np.column_stack([Y, other]))
    first = make().fit(X, Y)
    np.testing.assert_array_equal(several.predict(X)[:, 0], first.predict(X))
    for found in several.estimators_:
        assert found.classes_.tolist() == [0, 1]
    alone = MultiOutputClassifier(make()).fit(X, Y[:, None])
    assert alone.score(X, Y[:, None]) <= LABELLED.mean()
    assert alone.score(X, TRUTH[:, None]) > LABELLED.mean()


# What does not work.


@row_of(WRONG, "StratifiedKFold KFold cv=5")
def check_splitters_of_scikit_learn(clf):
    for cv in (model_selection.StratifiedKFold(2), model_selection.KFold(2), 2):
        splits = model_selection.check_cv(cv, Y, classifier=True).split(X, Y)
        assert all(np.mean(Y[test] == -1) > 0.5 for _, test in splits)
        scores = model_selection.cross_val_score(
            make(), X, Y, cv=cv, scoring="accuracy"
        )
        assert scores.max() < 0.5
    for _, test in FOLDS.split(X, Y):
        assert (Y[test] != -1).all()


def check_class_of_unlabelled_rows(meta):
    """Check that -1 is a class, which is predicted for many rows."""
    fitted = meta.fit(X, Y)
    assert fitted.classes_.tolist() == [-1, 0, 1]
    assert np.mean(fitted.predict(X) == -1) > 0.1


@row_of(WRONG, "VotingClassifier")
def check_voting(clf):
    for voting in ("hard", "soft"):
        meta = ensemble.VotingClassifier([("a", make())], voting=voting)
        check_class_of_unlabelled_rows(meta)
    others = [clf, make(random_state=1).fit(X, Y)]
    frozen = [(str(i), FrozenEstimator(fitted)) for i, fitted in enumerate(others)]
    vote = ensemble.VotingClassifier(frozen, voting="soft")
    vote.fit(X[LABELLED], Y[LABELLED])
    mean = np.mean([fitted.predict_proba(X) for fitted in others], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), mean, rtol=1e-6)
    np.testing.assert_array_equal(vote.predict(X), mean.argmax(axis=1))
    one_two = FrozenEstimator(make().fit(X, np.where(Y < 0, Y, Y + 1)))
    hard = ensemble.VotingClassifier([("a", one_two)])
    hard.fit(X[LABELLED], Y[LABELLED] + 1)
    with pytest.raises(ValueError, match="previously unseen labels"):
        hard.predict(X)


@row_of(WRONG, "BaggingClassifier")
def check_bagging(clf):
    bagging = ensemble.BaggingClassifier(make(), n_estimators=2, random_state=0)
    check_class_of_unlabelled_rows(bagging)


@row_of(WRONG, "StackingClassifier")
def check_stacking(clf):
    check_class_of_unlabelled_rows(ensemble.StackingClassifier([("a", make())], cv=2))
    out_of_fold = cross_val_predict_labeled(clf, X, Y, cv=2)
    stack = LogisticRegression().fit(out_of_fold[LABELLED], Y[LABELLED])
    assert np.mean(stack.predict(clf.predict_proba(X)) == TRUTH) > 0.75


@row_of(WRONG, "OneVsRestClassifier OneVsOneClassifier OutputCodeClassifier")
def check_reductions_to_two_classes(clf):
    for cls in (
        multiclass.OneVsRestClassifier,
        multiclass.OneVsOneClassifier,
        multiclass.OutputCodeClassifier,
    ):
        assert cls(make()).fit(X, Y).classes_.tolist() == [-1, 0, 1]


@row_of(WRONG, "CalibratedClassifierCV")
def check_calibration(clf):
    for cv in (2, FOLDS):
        meta = CalibratedClassifierCV(make(), cv=cv).fit(X, Y)
        assert meta.predict_proba(X).shape == (len(X), 3)
    held_out = np.flatnonzero(LABELLED)[::2]
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), cv=2)
    calibrated.fit(X[held_out], Y[held_out])
    assert calibrated.predict_proba(X).shape == (len(X), 2)


BINARY = "Only binary classification is supported. Unknown label type: multiclass"


@row_of(WRONG, "TunedThresholdClassifierCV")
def check_tuned_thresholds(clf):
    with pytest.raises(ValueError, match=BINARY):
        model_selection.TunedThresholdClassifierCV(make()).fit(X, Y)
    tuned = LabeledTunedThresholdClassifierCV(make(), cv=2).fit(X, Y)
    expected = tuned.estimator_.predict_proba(X)[:, 1] >= tuned.best_threshold_
    np.testing.assert_array_equal(tuned.predict(X), expected)


@row_of(WRONG, "FixedThresholdClassifier")
def check_fixed_thresholds(clf):
    with pytest.raises(ValueError, match=BINARY):
        model_selection.FixedThresholdClassifier(make()).fit(X, Y)
    fixed = model_selection.FixedThresholdClassifier(
        FrozenEstimator(clf), threshold=0.3
    ).fit(X[LABELLED], Y[LABELLED])
    expected = clf.predict_proba(X)[:, 1] >= 0.3
    np.testing.assert_array_equal(fixed.predict(X), expected)


@row_of(WRONG, "cross_val_predict")
def check_out_of_fold_predictions(clf):
    predict = model_selection.cross_val_predict
    with pytest.raises(ValueError, match="cross_val_predict only works for partitions"):
        predict(make(), X, Y, cv=FOLDS)
    assert predict(make(), X, Y, cv=2, method="predict_proba").shape == (len(X), 3)
    out_of_fold = cross_val_predict_labeled(make(), X, Y, cv=FOLDS)
    for train, test in FOLDS.split(X, Y):
        fold = make().fit(X[train], Y[train])
        np.testing.assert_array_equal(out_of_fold[test], fold.predict_proba(X[test]))
    assert np.isnan(out_of_fold[~LABELLED]).all()


@row_of(WRONG, "RocCurveDisplay.from_cv_results PrecisionRecallDisplay.from_cv_results")
def check_curves_of_folds(clf):
    results = model_selection.cross_validate(
        make(), X, Y, cv=FOLDS, return_estimator=True, return_indices=True
    )
    for display in (metrics.RocCurveDisplay, metrics.PrecisionRecallDisplay):
        with pytest.raises(ValueError, match="The target `y` is not binary"):
            display.from_cv_results(results, X, Y)


@row_of(WRONG, "AdaBoostClassifier")
def check_boosting(clf):
    with pytest.raises(ValueError, match="worse than random"):
        ensemble.AdaBoostClassifier(make(), n_estimators=2).fit(X, Y)


@row_of(WRONG, "ClassifierChain")
def check_chains(clf):
    features = []

    class Spy(SSVAEClassifier):
        def fit(self, X, y, sample_weight=None):
            features.append(np.asarray(X))
            return super().fit(X, y, sample_weight)

        def predict(self, X):
            features.append(np.asarray(X))
            return super().predict(X)

    chain = ClassifierChain(Spy(**make().get_params())).fit(X, np.column_stack([Y, Y]))
    assert set(features[-1][:, 4]) == {-1, 0, 1}
    chain.predict(X)
    assert set(features[-1][:, 4]) <= {0, 1}


@row_of(WRONG, "SelfTrainingClassifier(SSVAEClassifier())")
def check_self_training(clf):
    outer = SelfTrainingClassifier(make(), max_iter=1).fit(X, Y)
    n_labelled_so_far = np.sum(outer.transduction_ != -1)
    assert len(outer.estimator_.transduction_) == n_labelled_so_far < len(X)
    teacher = SelfTrainingClassifier(LinearDiscriminantAnalysis())
    taught = make(teacher=teacher).fit(X, Y)
    assert len(taught.transduction_) == len(X)


@row_of(WRONG, "SelectKBest TargetEncoder LinearDiscriminantAnalysis")
def check_transformers_that_use_y(clf):
    def fitted(transformer, rows, labels):
        return np.asarray(transformer.fit(rows, labels).transform(X))

    for transformer in (SelectKBest(k=1), LinearDiscriminantAnalysis(n_components=1)):
        as_class = fitted(transformer, X, np.where(LABELLED, Y, 2))
        found = fitted(transformer, X, Y)  # the sign is arbitrary
        np.testing.assert_allclose(abs(found), abs(as_class), rtol=1e-6)
    assert TargetEncoder().fit(X.round(), Y).classes_.tolist() == [-1, 0, 1]
    selector = SelectKBest(k=2).fit(X[LABELLED], Y[LABELLED])
    pipeline = make_pipeline(FrozenEstimator(selector), make()).fit(X, Y)
    assert pipeline[-1].n_features_in_ == 2
    np.testing.assert_array_equal(pipeline[0].get_support(), selector.get_support())


def test_every_row_of_the_page_is_checked():
    for heading, tests in (("What works", FITS), ("What does not work", WRONG)):
        assert {" ".join(names) for names in rows(heading)} == {*tests}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Found \\d+ unknown categories:UserWarning")
@pytest.mark.parametrize("names", [*FITS, *WRONG])
def test_rows_of_the_page(names, clf):
    (FITS | WRONG)[names](clf)
    plt.close("all")


def test_estimators_of_scikit_learn_have_the_same_limits():
    own = make_pipeline(StandardScaler(), LabelSpreading())
    check_class_of_unlabelled_rows(ensemble.VotingClassifier([("a", own)]))
    meta = CalibratedClassifierCV(own, cv=2)
    assert meta.fit(X, Y).predict_proba(X).shape == (len(X), 3)


@pytest.mark.parametrize(
    "meta",
    [
        ensemble.VotingClassifier([("a", make())]),
        ensemble.StackingClassifier([("a", make())], cv=2),
        CalibratedClassifierCV(make(), cv=2),
        multiclass.OneVsRestClassifier(make()),
    ],
    ids=lambda meta: type(meta).__name__,
)
def test_strings_and_the_marker_are_refused(meta):
    named = np.where(LABELLED, np.array(["m", "b"], dtype=object)[TRUTH], -1)
    with pytest.raises((TypeError, ValueError)):
        meta.fit(X, named)
