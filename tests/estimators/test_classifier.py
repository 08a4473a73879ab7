"""The face: fit, partial_fit, attributes, parameters, bad input."""

import inspect
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import SSVAEClassifier


def test_fitted_attributes(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=3).fit(X, y)
    assert clf.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(clf.class_prior_, 1 / 3)
    assert clf.n_features_in_ == 4
    assert not hasattr(clf, "feature_names_in_")
    assert clf.n_iter_ == 3
    assert len(clf.history_) == 3
    assert clf.likelihood_ == "gaussian"
    assert clf.module_ is clf.net_.module_
    assert clf.device_ == next(clf.module_.parameters()).device
    for name in ("n_iter_", "history_", "module_", "device_", "net_", "classes_"):
        assert not hasattr(quick(), name)


def test_every_parameter_and_attribute_is_documented():
    text = inspect.getdoc(SSVAEClassifier)
    for name in SSVAEClassifier().get_params():
        assert f"\n{name} : " in text
    X, y = load_iris(return_X_y=True)
    clf = SSVAEClassifier(max_epochs=1).fit(pd.DataFrame(X).add_prefix("x"), y)
    public = {n for n in dir(clf) if n.endswith("_") and not n.startswith("_")}
    for name in public:
        assert f"\n{name} : " in text, name


def test_likelihood_is_chosen_from_the_data(quick):
    X, y = load_digits(return_X_y=True)
    X, y = X[:100], y[:100]
    assert quick(max_epochs=1).fit(X, y).likelihood_ == "gaussian"
    assert quick(max_epochs=1).fit(X / 16, y).likelihood_ == "bernoulli"
    forced = quick(max_epochs=1, likelihood="gaussian").fit(X / 16, y)
    assert forced.likelihood_ == "gaussian"


def test_transduction(quick, iris):
    X, y, _ = iris
    clf = quick().fit(X, y)
    labelled = y >= 0
    np.testing.assert_array_equal(clf.transduction_[labelled], y[labelled])
    one_hot = np.eye(3)[y[labelled]]
    np.testing.assert_array_equal(clf.label_distributions_[labelled], one_hot)
    hidden = ~labelled
    np.testing.assert_array_equal(clf.transduction_[hidden], clf.predict(X[hidden]))
    np.testing.assert_allclose(
        clf.label_distributions_[hidden], clf.predict_proba(X[hidden]), atol=1e-6
    )
    np.testing.assert_array_equal(
        clf.transduction_, clf.classes_[clf.label_distributions_.argmax(1)]
    )


def test_probabilities(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=30).fit(X, y)
    wild = np.concatenate([X, X * 1e6, -X * 1e30, X[:1] * 0])
    for rows in (X, wild):
        proba = clf.predict_proba(rows)
        assert proba.dtype == np.float32
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(1), 1, atol=1e-6)
        log_proba = clf.predict_log_proba(rows)
        np.testing.assert_allclose(np.exp(log_proba), proba, rtol=1e-6)
        labels = clf.classes_[proba.argmax(1)]
        np.testing.assert_array_equal(clf.predict(rows), labels)
        assert np.isfinite(clf.transform(rows)).all()
        assert np.isfinite(clf.score_samples(rows)).all()


def test_memory_of_inference_is_a_chunk(quick, iris, monkeypatch):
    """Small chunks give the same answers as one large chunk."""
    X, y, _ = iris
    clf = quick(max_epochs=20).fit(X, y)
    calls = (clf.predict_proba, clf.transform, clf.score_samples)
    whole = [call(X) for call in calls]
    from sk_ssvae.models import inference

    original = inference.row_chunks
    sizes = []

    def tiny(n_rows, cells_per_row):
        for chunk in original(n_rows, 1, 7):
            sizes.append(chunk.stop - chunk.start)
            yield chunk

    monkeypatch.setattr(inference, "row_chunks", tiny)
    for expected, call in zip(whole, calls, strict=True):
        np.testing.assert_allclose(call(X), expected, rtol=1e-4, atol=1e-5)
    assert max(sizes) == 7


def test_score_counts_labelled_rows_only(quick, iris):
    X, y, truth = iris
    clf = quick(max_epochs=10).fit(X, y)
    labelled = y >= 0
    predicted = clf.predict(X)
    assert clf.score(X, y) == accuracy_score(y[labelled], predicted[labelled])
    assert clf.score(X, truth) == accuracy_score(truth, predicted)
    weight = np.random.RandomState(0).rand(len(y))
    assert clf.score(X, y, weight) == pytest.approx(
        accuracy_score(y[labelled], predicted[labelled], sample_weight=weight[labelled])
    )
    message = r"score needs labelled rows, but y is -1 \(unlabelled\) in all 150 rows."
    with pytest.raises(ValueError, match=message):
        clf.score(X, np.full(150, -1))


def test_score_of_string_labels(quick, iris):
    X, _, truth = iris
    names = np.array(["a", "b", "c"], dtype=object)[truth]
    y = names.copy()
    y[::2] = -1
    clf = quick(max_epochs=10).fit(X, y)
    assert clf.score(X, y) == clf.score(X[1::2], names[1::2])


def test_weight_zero_is_absence(quick, iris):
    X, y, _ = iris
    X = (X.mean(0) < X).astype(float)
    keep = np.random.RandomState(0).rand(len(y)) < 0.7
    junk, label = np.where(keep[:, None], X, 1e3), np.where(keep, y, 77)
    weighted = quick().fit(junk, label, sample_weight=keep.astype(float))
    without = quick().fit(X[keep], y[keep])
    assert weighted.likelihood_ == "bernoulli"
    np.testing.assert_array_equal(weighted.predict_proba(X), without.predict_proba(X))
    assert len(weighted.transduction_) == len(y)
    np.testing.assert_array_equal(weighted.transduction_[keep], without.transduction_)


def test_unit_weights_are_no_weights(quick, iris):
    X, y, _ = iris
    plain = quick().fit(X, y).predict_proba(X)
    ones = quick().fit(X, y, sample_weight=np.ones(len(y))).predict_proba(X)
    twos = quick().fit(X, y, sample_weight=np.full(len(y), 2.0)).predict_proba(X)
    np.testing.assert_allclose(plain, ones, atol=1e-5)
    np.testing.assert_allclose(plain, twos, atol=1e-5)


def test_weights_move_the_decision(quick):
    X = np.concatenate([np.zeros((50, 1)), np.zeros((50, 1)), [[1.0]]])
    y = np.array([0] * 50 + [1] * 50 + [-1])
    weight = np.array([1.0] * 50 + [9.0] * 50 + [1.0])
    clf = quick(max_epochs=300, learning_rate=0.01).fit(X, y, sample_weight=weight)
    assert clf.predict_proba([[0.0]])[0, 1] == pytest.approx(0.9, abs=0.05)


def test_inputs_are_not_changed(quick, iris):
    X, y, _ = iris
    weight = np.ones(len(y))
    for array in (X, y, weight):
        array.setflags(write=False)
    params = quick(class_prior=np.full(3, 1 / 3)).get_params()
    clf = quick(class_prior=params["class_prior"]).fit(X, y, sample_weight=weight)
    clf.predict(X), clf.transform(X), clf.score_samples(X)
    assert clf.get_params() == params


def test_frames(quick, iris):
    X, y, _ = iris
    names = ["a", "b", "c", "d"]
    plain = quick().fit(X, y)
    for frame in (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)):
        clf = quick().fit(frame, y)
        assert clf.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(clf.predict_proba(frame), plain.predict_proba(X))
    clf.set_output(transform="pandas")
    latent = clf.transform(frame)
    assert latent.columns.tolist() == ["ssvaeclassifier0", "ssvaeclassifier1"]
    assert latent.columns.tolist() == clf.get_feature_names_out().tolist()


def test_labels_in_a_series(quick, iris):
    X, y, _ = iris
    names = pd.Series(np.array(["a", "b", "c", None], dtype=object)[y]).astype(object)
    names[names.isna()] = -1
    clf = quick().fit(X, names)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    plain = quick().fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_column_vector_of_labels(quick, iris):
    X, y, _ = iris
    with pytest.warns(DataConversionWarning):
        clf = quick().fit(X, y[:, None])
    plain = quick().fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


# --- going on


def test_partial_fit_streams(quick, blobs):
    X, y, truth = blobs
    clf = quick(learning_rate=0.01, batch_size=30)
    for _ in range(200):
        for chunk in (slice(0, 60), slice(60, 120)):
            clf.partial_fit(X[chunk], y[chunk], classes=[0, 1, 2])
    assert clf.n_iter_ == 400
    assert clf.score(X, truth) > 0.9
    assert len(clf.transduction_) == 60


def test_partial_fit_takes_chunks_without_labels_and_single_rows(quick, blobs):
    X, y, _ = blobs
    none = np.full(len(y), -1)
    clf = quick().partial_fit(X, none, classes=[0, 1, 2])
    clf.partial_fit(X[:1], y[:1]).partial_fit(X[:1], [-1])
    assert clf.n_iter_ == 3


def test_partial_fit_goes_on_where_fit_stopped(quick, blobs):
    X, y, _ = blobs
    whole = quick(max_epochs=5).fit(X, y)
    parts = quick(max_epochs=4).fit(X, y).partial_fit(X, y)
    for a, b in zip(
        whole.module_.parameters(), parts.module_.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_partial_fit_needs_the_classes_first(quick, blobs):
    X, y, _ = blobs
    message = "^classes must be passed at the first call to partial_fit.$"
    with pytest.raises(ValueError, match=message):
        quick().partial_fit(X, y)
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    message = (
        r"^classes=\[0, 1\] differs from the classes that the model has: \[0, 1, 2\].$"
    )
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, y, classes=[0, 1])


def test_partial_fit_keeps_columns_that_may_vary_later(quick, blobs):
    X, y, _ = blobs
    X = np.column_stack([X, np.zeros(len(X))])
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    assert clf.module_.likelihood.n_outputs == 3
    assert quick().fit(X, y).module_.likelihood.n_outputs == 2


def test_partial_fit_never_asks_the_teacher(quick, blobs):
    X, y, _ = blobs

    class Untaught(LabelSpreading):
        def fit(self, X, y):
            raise AssertionError("asked")

    quick(teacher=Untaught()).partial_fit(X, y, classes=[0, 1, 2])


def test_warm_start_goes_on(quick, blobs):
    X, y, _ = blobs
    clf = quick(warm_start=True).fit(X, y).fit(X, y)
    assert clf.n_iter_ == 8
    cold = quick().fit(X, y).fit(X, y)
    assert cold.n_iter_ == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_size", 3),
        ("hidden_sizes", (8, 8)),
        ("likelihood", "gaussian"),
        ("class_prior", [0.2, 0.3, 0.5]),
    ],
)
def test_what_cannot_change_as_training_goes_on(quick, blobs, name, value):
    X, y, _ = blobs
    clf = quick(warm_start=True).fit(X, y)
    before = getattr(clf, name)
    proba = clf.predict_proba(X)
    clf.set_params(**{name: value})
    for go_on in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError) as error:
            go_on(X, y)
        assert str(error.value) == (
            f"{name} was {before!r} when the model was made and cannot become "
            f"{value!r} as training goes on. Set warm_start=False and call fit, or use "
            "a clone."
        )
    np.testing.assert_array_equal(proba, clf.predict_proba(X))


def test_device_cannot_change_as_training_goes_on(quick, blobs):
    X, y, _ = blobs
    clf = quick(device="cpu").fit(X, y)
    clf.net_.device = "cuda"  # as if it had been trained there
    with pytest.raises(ValueError) as error:
        clf.partial_fit(X, y)
    assert str(error.value) == (
        "device='cpu' cannot be chosen as training goes on: the model is on 'cuda'. "
        "Set warm_start=False and call fit, or use a clone."
    )


def test_new_labels_cannot_join_as_training_goes_on(quick, blobs):
    X, y, _ = blobs
    clf = quick(warm_start=True).fit(X, y)
    message = r"y contains labels that are not among the classes: \[3\]."
    with pytest.raises(ValueError, match=message):
        clf.fit(X, np.where(y == 2, 3, y))
    assert clf.n_iter_ == 4


# --- hard but good input


def test_one_labelled_row_a_class(quick, blobs):
    X, _, truth = blobs
    y = np.full(len(truth), -1)
    for k in range(3):
        y[np.flatnonzero(truth == k)[0]] = k
    clf = quick(max_epochs=300, learning_rate=0.01).fit(X, y)
    assert clf.score(X, truth) > 0.6


def test_labelled_rows_only(quick, iris):
    X, _, truth = iris
    clf = quick(max_epochs=300, learning_rate=0.01).fit(X, truth)
    assert clf.score(X, truth) > 0.95


def test_two_rows_and_one_feature(quick):
    clf = quick().fit([[0.5], [1.5]], [0, 1])
    assert clf.predict([[0.4]]).shape == (1,)


def test_constant_columns(quick, iris):
    X, y, _ = iris
    with_constants = np.column_stack([np.full(150, 1e30), X, np.zeros(150)])
    plain, other = quick().fit(X, y), quick().fit(with_constants, y)
    np.testing.assert_array_equal(
        plain.predict_proba(X), other.predict_proba(with_constants)
    )


def test_huge_and_tiny_values(quick, iris):
    X, y, _ = iris
    plain = quick(max_epochs=60).fit(X, y)
    for scale in (1e-30, 1e30):
        clf = quick(max_epochs=60).fit(X * scale, y)
        assert (clf.predict(X * scale) == plain.predict(X)).mean() > 0.99
        assert np.isfinite(clf.sample(10)[0]).all()
    outlier = np.concatenate([X, [[1e30, 0, 0, 0]]])
    clf = quick().fit(outlier, np.append(y, -1))
    assert np.isfinite(clf.predict_proba(outlier)).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.float16, np.float32])
def test_dtypes(quick, iris, dtype):
    X, y, _ = iris
    X = (X * 10).astype(dtype)
    clf = quick().fit(X, y)
    assert clf.predict_proba(X).shape == (150, 3)
    assert clf.sample(2)[0].dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize("order", ["fortran", "strided", "reversed", "list"])
def test_layouts(quick, iris, order):
    X, y, _ = iris
    laid_out = {
        "fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "reversed": X[::-1].copy()[::-1],
        "list": X.tolist(),
    }[order]
    expected = quick().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(
        quick().fit(laid_out, y).predict_proba(laid_out), expected
    )


def test_many_classes_and_more_columns_than_rows(quick):
    rng = np.random.RandomState(0)
    X, y = rng.randn(60, 200), np.repeat(np.arange(30), 2)
    clf = quick().fit(X, y)
    assert clf.predict_proba(X).shape == (60, 30)


# --- bad input


def words(text):
    """Words in any order."""
    return sorted(text.translate(str.maketrans(dict.fromkeys("{},."))).split())


FEW = "SSVAEClassifier needs labelled rows"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y": np.full(150, -1)},
            f"{FEW}, but y is -1 (unlabelled) in all 150 rows. Label at least one row "
            "of each class.",
        ),
        (
            {"y": np.where(np.arange(150) < 9, 4, -1)},
            f"{FEW} of at least 2 classes, but the labelled rows of y hold one class "
            "only: [4].",
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
            "row 0, column 0. Use likelihood='gaussian' for columns that "
            "are not counts.",
        ),
        (
            {"likelihood": "normal"},
            "likelihood must be one of ['auto', 'bernoulli', 'categorical', "
            "'gaussian', 'negative_binomial', 'poisson'], got 'normal'.",
        ),
        (
            {"model": "m3"},
            "model must be one of ['adgm', 'm1+m2', 'm2', 'sdgm'], got 'm3'. A class "
            "of your own must be imported wherever the estimator is used, in workers "
            "too.",
        ),
        (
            {"latent_size": 0},
            "The 'latent_size' parameter of SSVAEClassifier must be an int in the "
            "range [1, inf). Got 0 instead.",
        ),
        (
            {"alpha": -0.1},
            "The 'alpha' parameter of SSVAEClassifier must be a float in the range "
            "[0.0, inf). Got -0.1 instead.",
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
def test_refused(quick, iris, change, message):
    X, y, _ = iris
    data = {"X": X, "y": y} | {k: change[k] for k in change if k in ("X", "y")}
    fit = {k: change[k] for k in change if k == "sample_weight"}
    params = {k: change[k] for k in change if k not in data and k not in fit}
    clf = quick()
    clf.set_params(**params)
    attributes = set(vars(clf))
    with pytest.raises(ValueError) as error:
        clf.fit(data["X"], data["y"], **fit)
    # scikit-learn names options in the order of a set
    assert words(str(error.value)) == words(message)
    assert set(vars(clf)) == attributes
    with pytest.raises(NotFittedError):
        clf.predict(X)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinity(quick, iris, bad):
    X, y, _ = iris
    X[3, 1] = bad
    with pytest.raises(ValueError, match="Input X contains infinity"):
        quick().fit(X, y)
    clf = quick().fit(np.nan_to_num(X, posinf=0, neginf=0), y)
    for method in (clf.predict, clf.transform, clf.score_samples, clf.impute):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(X)


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_labels_that_are_no_numbers(quick, iris, bad, word):
    X, y, _ = iris
    with pytest.raises(ValueError, match=f"Input y contains {word}"):
        quick().fit(X, np.where(y == 0, bad, y))


def test_wrong_number_of_features(quick, iris):
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


def test_unfitted(quick):
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


def test_a_failed_fit_leaves_the_fitted_state_alone(quick, iris):
    X, y, _ = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = quick().fit(frame, y)
    before = dict(vars(clf))
    with pytest.raises(ValueError, match="one class only"):
        clf.fit(X[:, :2], np.where(y > 0, -1, y))
    assert vars(clf) == before
    assert clf.predict(frame).shape == (150,)


def test_bernoulli_refuses_later_rows_outside(quick):
    X = np.eye(6)
    y = np.array([0, 1, 0, 1, -1, -1])
    clf = quick().fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 in row 0, column 0"):
        clf.score_samples(X * 2)
    with pytest.raises(ValueError, match=r"X has 2 in row 0, column 0"):
        clf.partial_fit(X * 2, y)
    assert clf.predict_proba(X * 2).shape == (6, 2)


def test_nothing_is_printed_and_nothing_is_warned(quick, iris, capsys):
    X, y, _ = iris
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = quick().fit(X, y)
        clf.predict(X), clf.transform(X), clf.sample(), clf.score_samples(X)
    assert capsys.readouterr() == ("", "")


def test_standardising_outside_changes_little(quick, iris):
    X, y, _ = iris
    scaled = StandardScaler().fit_transform(X)
    a, b = quick().fit(X, y), quick().fit(scaled, y)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(scaled), atol=1e-4)


def test_clone_keeps_parameters(quick):
    clf = quick(teacher=LabelSpreading(), class_prior=[0.5, 0.5], callbacks=[])
    twin = clone(clf)
    assert twin.get_params()["class_prior"] == [0.5, 0.5]
    assert repr(twin) == repr(clf)
