"""Invalid rows, labels, weights and parameters: errors, and what they leave behind."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback


def sorted_words(text):
    return sorted(text.translate(str.maketrans(dict.fromkeys("{},."))).split())


NO_LABELS = "SSVAEClassifier needs labelled rows"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y": np.full(150, -1)},
            f"{NO_LABELS}, but y is -1 (unlabelled) in all 150 rows. Label at least "
            "one row of each class.",
        ),
        (
            {"y": np.where(np.arange(150) < 9, 4, -1)},
            f"{NO_LABELS} of at least 2 classes, but the labelled rows of y hold one "
            "class only: [4].",
        ),
        (
            {"y": np.linspace(0, 1, 150)},
            "Unknown label type: continuous. Maybe you are trying to fit a classifier, "
            "which expects discrete classes on a regression target with continuous "
            "values.",
        ),
        (
            {"X": np.ones((150, 3))},
            "Every column of X is constant in all 150 rows (to within rounding), so "
            "there is nothing to learn from. Give at least one column that varies.",
        ),
        (
            {"X": np.zeros((1, 4)), "y": [0]},
            "Found array with 1 sample(s) (shape=(1, 4)) while a minimum of 2 is "
            "required by SSVAEClassifier.",
        ),
        (
            {"X": np.zeros((150, 0))},
            "Found array with 0 feature(s) (shape=(150, 0)) while a minimum of 1 is "
            "required by SSVAEClassifier.",
        ),
        (
            {"likelihood": "bernoulli"},
            "likelihood='bernoulli' needs values in [0, 1], but X has 5.1 in row 0, "
            "column 0. Rescale X (e.g. MinMaxScaler(clip=True)) or use "
            "likelihood='gaussian'.",
        ),
        (
            {"likelihood": "poisson"},
            "likelihood='poisson' needs whole numbers from 0 to 1e9, but X has 5.1 in "
            "row 0, column 0. Use likelihood='gaussian' for columns that are not "
            "counts.",
        ),
        (
            {"likelihood": "normal"},
            "likelihood must be one of ['auto', 'bernoulli', 'categorical', "
            "'censored_logistic', 'gaussian', 'negative_binomial', 'poisson'], got "
            "'normal'.",
        ),
        (
            {"model": "m3"},
            "model must be one of ['adgm', 'm1+m2', 'm2', 'sdgm'] or a ModelSpec "
            "object, got 'm3'. A model of your own must be imported in every process "
            "that uses it, including joblib workers.",
        ),
        (
            {"latent_size": 0},
            "The 'latent_size' parameter of SSVAEClassifier must be an int in the "
            "range [1, inf). Got 0 instead.",
        ),
        (
            {"alpha": -0.1},
            "The 'alpha' parameter of SSVAEClassifier must be a str among {'auto'} or "
            "a float in the range [0.0, inf). Got -0.1 instead.",
        ),
        (
            {"learning_rate": 0.0},
            "The 'learning_rate' parameter of SSVAEClassifier must be a float in the "
            "range (0.0, inf). Got 0.0 instead.",
        ),
        (
            {"hidden_sizes": (16, 0)},
            "hidden_sizes must hold positive integers, got (16, 0).",
        ),
        (
            {"class_prior": [0.5, 0.5]},
            "class_prior must hold 3 positive numbers with sum 1, one for each of the "
            "classes [0, 1, 2]; got [0.5, 0.5].",
        ),
        (
            {"sample_weight": np.zeros(150)},
            "Sample weights must contain at least one non-zero number.",
        ),
        (
            {"sample_weight": np.full(150, -1.0)},
            "Negative values in data passed to `sample_weight`.",
        ),
    ],
)
def test_invalid_arguments_of_fit_are_errors(quick, iris, change, message):
    X, y, _ = iris
    data = {"X": X, "y": y} | {k: change[k] for k in change if k in ("X", "y")}
    fit = {k: change[k] for k in change if k == "sample_weight"}
    params = {k: change[k] for k in change if k not in data and k not in fit}
    clf = quick()
    clf.set_params(**params)
    attributes = set(vars(clf))
    with pytest.raises(ValueError) as error:
        clf.fit(data["X"], data["y"], **fit)
    # The order in which scikit-learn lists valid types is that of a set.
    assert sorted_words(str(error.value)) == sorted_words(message)
    assert set(vars(clf)) == attributes
    with pytest.raises(NotFittedError):
        clf.predict(X)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_cells_are_errors(quick, iris, bad):
    X, y, _ = iris
    X[3, 1] = bad
    with pytest.raises(ValueError, match="Input X contains infinity"):
        quick().fit(X, y)
    clf = quick().fit(np.nan_to_num(X, posinf=0, neginf=0), y)
    for method in (clf.predict, clf.transform, clf.score_samples, clf.impute):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(X)


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_labels_that_are_not_finite_are_errors(quick, iris, bad, word):
    X, y, _ = iris
    with pytest.raises(ValueError, match=f"Input y contains {word}"):
        quick().fit(X, np.where(y == 0, bad, y))


def test_another_number_of_features_is_an_error(quick, iris):
    X, y, _ = iris
    clf = quick().fit(X, y)
    message = (
        "^X has 3 features, but SSVAEClassifier is expecting 4 features as input.$"
    )
    for method in (
        clf.predict,
        clf.predict_proba,
        clf.predict_log_proba,
        clf.transform,
        clf.score_samples,
    ):
        with pytest.raises(ValueError, match=message):
            method(X[:, :3])


def test_methods_of_an_unfitted_classifier_raise_not_fitted_error(quick):
    clf, X = quick(), np.zeros((2, 2))
    for call in (
        lambda: clf.predict(X),
        lambda: clf.predict_proba(X),
        lambda: clf.predict_log_proba(X),
        lambda: clf.transform(X),
        lambda: clf.inverse_transform(X),
        lambda: clf.sample(),
        lambda: clf.score_samples(X),
        lambda: clf.score(X, [0, 1]),
        lambda: clf.get_feature_names_out(),
    ):
        with pytest.raises(
            NotFittedError, match="This SSVAEClassifier instance is not"
        ):
            call()


def test_a_failed_fit_leaves_the_fitted_state_unchanged(quick, iris):
    X, y, _ = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = quick().fit(frame, y)
    before = dict(vars(clf))
    with pytest.raises(ValueError, match="one class only"):
        clf.fit(X[:, :2], np.where(y > 0, -1, y))
    assert vars(clf) == before
    assert clf.predict(frame).shape == (150,)


def test_a_single_row_of_positive_weight_is_an_error(quick, iris):
    X, y, _ = iris
    weight = np.zeros(150)
    weight[0] = 1
    message = (
        "^SSVAEClassifier needs at least 2 rows with a positive sample_weight, got 1 "
        "of 150.$"
    )
    with pytest.raises(ValueError, match=message):
        quick().partial_fit(X, y, classes=[0, 1, 2], sample_weight=weight)


def test_score_refuses_labels_of_another_type_and_negative_weights(quick, iris):
    X, y, y_true = iris
    clf = quick().fit(X, y)
    with pytest.raises(ValueError) as error:
        clf.score(X, y_true.astype(str))
    assert str(error.value) == (
        "y has labels such as '0', but the classes are [0, 1, 2]."
    )
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        clf.score(X, y_true, sample_weight=np.full(150, -1.0))


@pytest.mark.parametrize("teacher", ["class", "clusterer", "transformer"])
def test_teachers_that_are_not_classifiers_are_errors(quick, iris, teacher):
    X, y, _ = iris
    teacher = {
        "class": LogisticRegression,
        "clusterer": KMeans(3),
        "transformer": StandardScaler(),
    }[teacher]
    with pytest.raises((TypeError, ValueError)) as error:
        quick(teacher=teacher).fit(X, y)
    assert "teacher" in str(error.value)
    assert str(getattr(teacher, "__name__", teacher)) in str(error.value)


@pytest.mark.parametrize("entry", [3, "x", print, None, (1, Callback()), ("a",)])
def test_entries_of_callbacks_that_are_not_callbacks_are_errors(quick, iris, entry):
    X, y, _ = iris
    clf = quick(callbacks=[entry])
    with pytest.raises(TypeError) as error:
        clf.fit(X, y)
    assert str(error.value) == (
        "callbacks must hold skorch callbacks, or pairs of a name and a callback, but "
        f"holds {entry!r}. Pass scikit-learn's callbacks to set_callbacks."
    )
    assert not hasattr(clf, "net_")
