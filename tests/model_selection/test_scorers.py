"""Scorers that ignore unlabelled rows, and the scorer that needs no labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    bound_scorer,
    labeled_scorer,
)

LABELLED = FEW_IRIS != -1


def make_classifier(**parameters):
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "teacher": None,
        "max_epochs": 2,
        "random_state": 0,
    }
    return SSVAEClassifier(**(defaults | parameters))


each_estimator = pytest.mark.parametrize(
    "estimator",
    [
        LabelSpreading(),
        SelfTrainingClassifier(GaussianNB()),
        make_classifier(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)


@each_estimator
def test_labeled_scorers_equal_the_scorer_on_labelled_rows(estimator):
    fitted = clone(estimator).fit(IRIS_ROWS, FEW_IRIS)
    X, y = IRIS_ROWS[LABELLED], FEW_IRIS[LABELLED]
    weight = np.random.RandomState(0).rand(150)
    for name in ("accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"):
        scorer, reference = labeled_scorer(name), get_scorer(name)
        assert scorer(fitted, IRIS_ROWS, FEW_IRIS) == reference(fitted, X, y)
        weighted = scorer(fitted, IRIS_ROWS, FEW_IRIS, sample_weight=weight)
        assert weighted == reference(fitted, X, y, sample_weight=weight[LABELLED])


def test_scoring_may_be_none_a_callable_a_list_or_a_dict():
    fitted = LabelSpreading().fit(IRIS_ROWS, FEW_IRIS)
    accuracy = accuracy_score(FEW_IRIS[LABELLED], fitted.predict(IRIS_ROWS[LABELLED]))
    data = (fitted, IRIS_ROWS, FEW_IRIS)
    assert labeled_scorer()(*data) == accuracy
    assert labeled_scorer(lambda estimator, X, y: len(y))(*data) == LABELLED.sum()
    scorers = labeled_scorer(["accuracy", "f1_macro"])
    assert list(scorers) == ["accuracy", "f1_macro"]
    assert scorers["accuracy"](*data) == accuracy
    scorers = labeled_scorer({"a": "accuracy", "b": make_scorer(accuracy_score)})
    assert scorers["b"](*data) == accuracy


def test_labels_may_be_strings_or_missing():
    names = np.array(["a", "b", "c", -1], dtype=object)[FEW_IRIS]
    frame = pd.DataFrame(IRIS_ROWS, columns=list("pqrs"))
    fitted = make_classifier().fit(frame, names)
    predicted = fitted.predict(frame[LABELLED])
    expected = f1_score(names[LABELLED].astype(str), predicted, average="macro")
    assert labeled_scorer("f1_macro")(fitted, frame, names) == expected
    missing = pd.Series(names).replace(-1, None)
    scorer = labeled_scorer("f1_macro", unlabeled=None)
    assert scorer(fitted, frame, missing) == expected


@each_estimator
def test_labeled_scorers_in_cross_validation(estimator):
    cv = KFold(3, shuffle=True, random_state=0)  # test sets with unlabelled rows
    scores = cross_validate(
        estimator, IRIS_ROWS, FEW_IRIS, cv=cv, scoring=labeled_scorer(["accuracy"])
    )["test_accuracy"]
    for (train, test), score in zip(cv.split(IRIS_ROWS), scores, strict=True):
        fitted = clone(estimator).fit(IRIS_ROWS[train], FEW_IRIS[train])
        test = test[LABELLED[test]]
        assert score == accuracy_score(FEW_IRIS[test], fitted.predict(IRIS_ROWS[test]))


def test_sample_weights_are_routed_to_labeled_scorers():
    weight = np.random.RandomState(0).rand(150)
    cv = LabeledStratifiedKFold(2)
    with config_context(enable_metadata_routing=True):
        scorer = labeled_scorer("accuracy").set_score_request(sample_weight=True)
        estimator = make_classifier().set_fit_request(sample_weight=True)
        search = GridSearchCV(
            estimator, {"alpha": [1.0]}, scoring=scorer, cv=cv, refit=False
        )
        search.fit(IRIS_ROWS, FEW_IRIS, sample_weight=weight)
    scores = []
    for train, test in cv.split(IRIS_ROWS, FEW_IRIS):
        fitted = make_classifier(alpha=1.0).fit(
            IRIS_ROWS[train], FEW_IRIS[train], sample_weight=weight[train]
        )
        scores.append(
            fitted.score(IRIS_ROWS[test], FEW_IRIS[test], sample_weight=weight[test])
        )
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(np.mean(scores))


def test_labeled_scorers_have_a_repr_and_can_be_pickled():
    assert repr(labeled_scorer("accuracy")) == "labeled_scorer('accuracy')"
    assert repr(labeled_scorer()) == "labeled_scorer()"
    scorer = labeled_scorer("f1_macro", unlabeled="?")
    assert repr(scorer) == "labeled_scorer('f1_macro', unlabeled='?')"
    fitted = LabelSpreading().fit(IRIS_ROWS, FEW_IRIS)
    scorer = labeled_scorer("f1_macro")
    copied = pickle.loads(pickle.dumps(scorer))
    assert copied(fitted, IRIS_ROWS, FEW_IRIS) == scorer(fitted, IRIS_ROWS, FEW_IRIS)
    assert labeled_scorer(scorer) is scorer


@pytest.mark.parametrize(
    ("scoring", "error_class", "message"),
    [
        (
            3,
            TypeError,
            "scoring must be a string, a callable, a list, tuple or set of strings, a "
            "dict or None, got 3.",
        ),
        (
            ["accuracy", "accuracy"],
            ValueError,
            "A list, tuple or set of scorers must hold distinct names, got "
            "['accuracy', 'accuracy']. Use a dict of names and scorers instead.",
        ),
    ],
)
def test_invalid_scoring_is_refused(scoring, error_class, message):
    with pytest.raises(error_class) as error:
        labeled_scorer(scoring)
    assert str(error.value) == message


def test_metrics_and_unknown_names_raise_the_errors_of_scikit_learn():
    with pytest.raises(ValueError, match="looks like it is a metric function"):
        labeled_scorer(accuracy_score)
    with pytest.raises(ValueError, match="'acuracy' is not a valid scoring value"):
        labeled_scorer("acuracy")


def test_scoring_without_labelled_rows_is_refused():
    fitted = LabelSpreading().fit(IRIS_ROWS, FEW_IRIS)
    with pytest.raises(ValueError) as error:
        labeled_scorer("accuracy")(fitted, IRIS_ROWS, np.full(150, -1))
    assert str(error.value) == (
        "labeled_scorer('accuracy') needs labelled rows, but y is -1 (unlabelled) in "
        "all 150 rows. Use a splitter with labelled rows in every test set, such as "
        "LabeledStratifiedKFold."
    )


def test_callables_do_not_support_metadata_requests():
    with pytest.raises(TypeError) as error:
        labeled_scorer(lambda *args: 0).set_score_request(sample_weight=True)
    assert str(error.value).endswith(
        "does not support metadata requests. Create it from the name of a scorer or "
        "from the result of sklearn.metrics.make_scorer."
    )


def test_bound_scorer_needs_score_samples():
    fitted = LabelSpreading().fit(IRIS_ROWS, FEW_IRIS)
    with pytest.raises(TypeError) as error:
        bound_scorer(fitted, IRIS_ROWS)
    assert str(error.value) == (
        "bound_scorer needs an estimator with score_samples, which LabelSpreading does "
        "not have. Use labeled_scorer and a splitter of labelled rows, such as "
        "LabeledStratifiedKFold, instead."
    )
