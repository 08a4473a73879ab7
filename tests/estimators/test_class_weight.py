"""Weights of the classes."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.semi_supervised import LabelSpreading

import sk_ssvae
from sk_ssvae import SSVAEClassifier
from sk_ssvae.teachers.class_priors import resolve_class_weight
from sk_ssvae.training import ClassifierOptions

WEIGHTS = {0: 0.5, 1: 1.0, 2: 8.0}


def assert_same_fit(a, b, X):
    for name in ("predict_proba", "transform", "score_samples"):
        np.testing.assert_array_equal(getattr(a, name)(X), getattr(b, name)(X))
    np.testing.assert_array_equal(a.class_prior_, b.class_prior_)


def row_weights(y, weights):
    return np.array([weights.get(label, 1.0) for label in y])


@pytest.mark.parametrize("class_prior", ["auto", "empirical"])
def test_a_dict_is_a_sample_weight_of_labelled_rows(quick, iris, class_prior):
    X, y, _ = iris
    y = np.where(np.arange(150) % 7 == 0, 0, y)  # not as many labels of each class
    weighted = quick(class_weight=WEIGHTS, class_prior=class_prior).fit(X, y)
    by_row = quick(class_prior=class_prior).fit(X, y, row_weights(y, WEIGHTS))
    assert_same_fit(weighted, by_row, X)
    plain = quick(class_prior=class_prior).fit(X, y)
    assert not np.array_equal(plain.predict_proba(X), weighted.predict_proba(X))
    one = quick(class_weight={0: 1, 2: 1.0}, class_prior=class_prior).fit(X, y)
    assert_same_fit(one, quick(class_prior=class_prior).fit(X, y, np.ones(150)), X)


def test_it_multiplies_the_sample_weight(quick, iris):
    X, y, _ = iris
    weight = 2.0 ** (np.arange(150) % 3)  # no rounding
    weight[3] = 0.0
    weighted = quick(class_weight=WEIGHTS).fit(X, y, weight)
    by_row = quick().fit(X, y, weight * row_weights(y, WEIGHTS))
    assert_same_fit(weighted, by_row, X)


def test_partial_fit_uses_the_weights_of_each_chunk(quick, iris):
    X, y, _ = iris
    weighted, by_row = quick(class_weight=WEIGHTS), quick()
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        weighted.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        by_row.partial_fit(
            X[rows], y[rows], classes=[0, 1, 2],
            sample_weight=row_weights(y[rows], WEIGHTS),
        )  # fmt: skip
    assert_same_fit(weighted, by_row, X)


def test_balanced_weights_are_inverse_frequencies(quick, iris):
    X, y, _ = iris
    y = np.where(np.arange(150) % 7 == 0, 0, y)
    names = np.array(["a", "b", "c", None], dtype=object)[y]
    counts = np.bincount(y[y != -1])
    weights = dict(enumerate(counts.sum() / (3 * counts)))
    balanced = quick(class_weight="balanced").fit(X, y)
    assert_same_fit(balanced, quick(class_weight=weights).fit(X, y), X)
    named = quick(class_weight="balanced", unlabeled=None).fit(X, names)
    assert_same_fit(balanced, named, X)
    codes = np.array([0, 0, 0, 1, -1])
    two = resolve_class_weight(
        "balanced", np.arange(2), codes, np.array([1, 1, 1, 3, 9])
    )
    assert two.tolist() == [1.0, 1.0]


def test_soft_targets_are_weighted_too(quick, iris):
    """So that the weights act on rows that only the teacher has labelled."""
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    weights = {0: 1.0, 1: 1.0, 2: 20.0}
    share = {}
    for name, value in (("plain", None), ("weighted", weights)):
        clf = quick(teacher=teacher, class_weight=value, max_epochs=20).fit(X, y)
        share[name] = clf.predict_proba(X)[:, 2].mean()
    by_row = quick(teacher=teacher, max_epochs=20).fit(X, y, row_weights(y, weights))
    only_labels = by_row.predict_proba(X)[:, 2].mean()
    assert share["weighted"] > max(share["plain"], only_labels) + 0.01


def test_balanced_accuracy_rises_with_a_rare_class(quick):
    X, truth = make_classification(
        1000, 6, n_informative=4, weights=[0.9], class_sep=0.6, random_state=0
    )
    y = np.where(np.arange(1000) < 300, truth, -1)
    score = {}
    for name in (None, "balanced"):
        clf = quick(class_weight=name, max_epochs=20, class_prior="empirical")
        predicted = clf.fit(X, y).predict(X[300:])
        score[name] = balanced_accuracy_score(truth[300:], predicted)
    assert score["balanced"] > score[None] + 0.05


def test_it_is_cloned_searched_and_saved(quick, iris, tmp_path):
    X, y, _ = iris
    clf = clone(quick(class_weight=WEIGHTS))
    assert clf.get_params()["class_weight"] == WEIGHTS
    search = GridSearchCV(clf, {"class_weight": [None, "balanced", WEIGHTS]}, cv=2)
    search.set_params(error_score="raise").fit(X, y)
    pytest.importorskip("safetensors")
    clf.fit(X, y).save(tmp_path / "iris.ssvae")
    loaded = sk_ssvae.load(tmp_path / "iris.ssvae")
    assert loaded.class_weight == WEIGHTS
    loaded.set_params(warm_start=True, max_epochs=2).fit(X, y)
    clf.set_params(warm_start=True, max_epochs=2).fit(X, y)
    assert_same_fit(loaded, clf, X)


def test_cross_fitted_temperatures_with_named_classes(quick, iris):
    X, _, truth = iris
    names = np.array(["a", "b", "c"])[truth]
    fitted = []
    for keys, y in (("abc", names), (range(3), truth)):
        weights = dict(zip(keys, (1, 1, 9), strict=True))
        clf = quick(temperature="cross-fit", class_weight=weights).fit(X, y)
        fitted.append(clf.temperature_)
    assert fitted[0] == fitted[1]


def test_cross_fitted_temperatures_are_those_of_weighted_models(iris):
    """Models of folds weight soft targets, and only the labelled rows by class."""
    X, y, _ = iris
    weight = 2.0 ** (np.arange(150) % 3)
    fits = []

    class Recorder(SSVAEClassifier):
        def _training_rows(self, data, *args, **kwargs):
            fits.append((data, super()._training_rows(data, *args, **kwargs)[0]))
            return fits[-1][1], None

    teacher = LabelSpreading(kernel="knn", max_iter=500)
    params = {"teacher": teacher, "max_epochs": 1, "random_state": 0}
    clf = Recorder(class_weight=WEIGHTS, temperature="cross-fit", **params)
    clf.fit(X, y, weight)
    assert len(fits) == 4
    factor = row_weights(y, WEIGHTS)
    for data, rows in fits:
        expected = weight * np.where(data.codes >= 0, factor, 1.0)
        np.testing.assert_allclose(data.weight, expected / expected.mean())
        assert 5 < rows.soft_targets[:, 2].max() <= 8


def test_labels_that_are_held_out_do_not_act_through_their_weights(quick, iris):
    X, y, _ = iris
    options = ClassifierOptions(labeled_validation_fraction=0.4)
    params = {"class_prior": "estimate", "class_weight": WEIGHTS, "max_epochs": 1}
    hidden = []

    class Recorder(SSVAEClassifier):
        def _held_out_rows(self, data, seed):
            hidden.append(super()._held_out_rows(data, seed))
            return hidden[-1]

    clf = Recorder(teacher=None, options=options, random_state=0, **params).fit(X, y)
    few = np.where(hidden[0], -1, y)
    assert (few != y).any()
    without = quick(**params).fit(X, few)
    np.testing.assert_allclose(clf.class_prior_, without.class_prior_, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {0: 1, 5: 2},
            "class_weight has weights of [5], which are not among the classes "
            "[0, 1, 2].",
        ),
        (
            {1: 0.0},
            "class_weight must hold positive, finite numbers, got 0.0 for the class 1.",
        ),
        (
            {1: "2"},
            "class_weight must hold positive, finite numbers, got '2' for the class 1.",
        ),
        (
            {2: np.inf},
            "class_weight must hold positive, finite numbers, got inf for the class 2.",
        ),
        (
            "equal",
            "The 'class_weight' parameter of SSVAEClassifier must be a str among "
            "{'balanced'}, an instance of 'dict' or None. Got 'equal' instead.",
        ),
    ],
)
def test_invalid_weights_are_refused(quick, iris, value, message):
    X, y, _ = iris
    clf = quick(class_weight=value)
    with pytest.raises(ValueError) as error:
        clf.fit(X, y)
    assert str(error.value) == message
    assert not hasattr(clf, "net_")


def test_partial_fit_refuses_balanced_weights(quick, iris):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    assert str(error.value) == (
        "class_weight='balanced' is not supported by partial_fit, because a chunk need "
        "not have the class frequencies of all rows. Pass the weights: dict(zip("
        "classes, compute_class_weight('balanced', classes=classes, y=labels))) with "
        "sklearn.utils.class_weight."
    )
