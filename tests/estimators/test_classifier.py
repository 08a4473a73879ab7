"""The classifier: fitted attributes, predictions, scores, weights, kinds of input."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from docstrings import documented_names
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import SSVAEClassifier
from sk_ssvae.models import inference

# Fitted attributes


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


def test_every_fitted_attribute_is_documented(quick):
    X, y = load_iris(return_X_y=True)
    clf = quick(max_epochs=1).fit(pd.DataFrame(X).add_prefix("x"), y)
    public = {n for n in dir(clf) if n.endswith("_") and not n.startswith("_")}
    assert public <= documented_names(SSVAEClassifier, "Attributes")


def test_the_likelihood_is_chosen_from_the_data(quick):
    X, y = load_digits(return_X_y=True)
    X, y = X[:100], y[:100]
    assert quick(max_epochs=1).fit(X, y).likelihood_ == "gaussian"
    assert quick(max_epochs=1).fit(X / 16, y).likelihood_ == "censored_logistic"
    explicit = quick(max_epochs=1, likelihood="gaussian").fit(X / 16, y)
    assert explicit.likelihood_ == "gaussian"


def test_transduction_has_the_labels_and_otherwise_the_predictions(quick, iris):
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


# Predictions


def test_probabilities_are_normalised_and_finite_for_any_finite_rows(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=30).fit(X, y)
    extreme = np.concatenate([X, X * 1e6, -X * 1e30, X[:1] * 0])
    for rows in (X, extreme):
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


def test_predictions_do_not_depend_on_the_size_of_chunks(quick, iris, monkeypatch):
    X, y, _ = iris
    clf = quick(max_epochs=20).fit(X, y)
    methods = (clf.predict_proba, clf.transform, clf.score_samples)
    expected = [method(X) for method in methods]
    original = inference.row_chunks
    sizes = []

    def small_chunks(n_rows, cells_per_row):
        for chunk in original(n_rows, 1, 7):
            sizes.append(chunk.stop - chunk.start)
            yield chunk

    monkeypatch.setattr(inference, "row_chunks", small_chunks)
    for whole, method in zip(expected, methods, strict=True):
        np.testing.assert_allclose(method(X), whole, rtol=1e-4, atol=1e-5)
    assert max(sizes) == 7


def test_score_is_the_accuracy_over_labelled_rows(quick, iris):
    X, y, y_true = iris
    clf = quick(max_epochs=10).fit(X, y)
    labelled = y >= 0
    predicted = clf.predict(X)
    assert clf.score(X, y) == accuracy_score(y[labelled], predicted[labelled])
    assert clf.score(X, y_true) == accuracy_score(y_true, predicted)
    weight = np.random.RandomState(0).rand(len(y))
    assert clf.score(X, y, weight) == pytest.approx(
        accuracy_score(y[labelled], predicted[labelled], sample_weight=weight[labelled])
    )
    message = r"score needs labelled rows, but y is -1 \(unlabelled\) in all 150 rows."
    with pytest.raises(ValueError, match=message):
        clf.score(X, np.full(150, -1))


def test_score_leaves_out_unlabelled_rows_of_string_labels(quick, iris):
    X, _, y_true = iris
    names = np.array(["a", "b", "c"], dtype=object)[y_true]
    y = names.copy()
    y[::2] = -1
    clf = quick(max_epochs=10).fit(X, y)
    assert clf.score(X, y) == clf.score(X[1::2], names[1::2])


# Sample weights


def test_rows_of_weight_zero_are_ignored(quick, iris):
    X, y, _ = iris
    X = (X.mean(0) < X).astype(float)
    keep = np.random.RandomState(0).rand(len(y)) < 0.7
    # Where the weight is zero, neither values nor labels are valid.
    X_invalid, y_invalid = np.where(keep[:, None], X, 1e3), np.where(keep, y, 77)
    weighted = quick().fit(X_invalid, y_invalid, sample_weight=keep.astype(float))
    without = quick().fit(X[keep], y[keep])
    assert weighted.likelihood_ == "bernoulli"
    np.testing.assert_array_equal(weighted.predict_proba(X), without.predict_proba(X))
    assert len(weighted.transduction_) == len(y)
    np.testing.assert_array_equal(weighted.transduction_[keep], without.transduction_)


def test_equal_weights_have_no_effect(quick, iris):
    X, y, _ = iris
    plain = quick().fit(X, y).predict_proba(X)
    ones = quick().fit(X, y, sample_weight=np.ones(len(y))).predict_proba(X)
    twos = quick().fit(X, y, sample_weight=np.full(len(y), 2.0)).predict_proba(X)
    np.testing.assert_allclose(plain, ones, atol=1e-5)
    np.testing.assert_allclose(plain, twos, atol=1e-5)


def test_probabilities_follow_the_weights_of_the_labels(quick):
    X = np.concatenate([np.zeros((50, 1)), np.zeros((50, 1)), [[1.0]]])
    y = np.array([0] * 50 + [1] * 50 + [-1])
    weight = np.array([1.0] * 50 + [9.0] * 50 + [1.0])
    clf = quick(max_epochs=100, learning_rate=0.01).fit(X, y, sample_weight=weight)
    assert clf.predict_proba([[0.0]])[0, 1] == pytest.approx(0.9, abs=0.05)


# Kinds of input


def test_arguments_and_parameters_are_not_modified(quick, iris):
    X, y, _ = iris
    weight = np.ones(len(y))
    for array in (X, y, weight):
        array.setflags(write=False)
    params = quick(class_prior=np.full(3, 1 / 3)).get_params()
    clf = quick(class_prior=params["class_prior"]).fit(X, y, sample_weight=weight)
    clf.predict(X), clf.transform(X), clf.score_samples(X)
    assert clf.get_params() == params


def test_data_frames_give_the_model_of_arrays_and_feature_names(quick, iris):
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


def test_string_labels_in_a_series(quick, iris):
    X, y, _ = iris
    names = pd.Series(np.array(["a", "b", "c", None], dtype=object)[y]).astype(object)
    names[names.isna()] = -1
    clf = quick().fit(X, names)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    plain = quick().fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_a_column_vector_of_labels_is_accepted_with_a_warning(quick, iris):
    X, y, _ = iris
    with pytest.warns(DataConversionWarning):
        clf = quick().fit(X, y[:, None])
    plain = quick().fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_one_labelled_row_per_class_is_enough(quick, blobs):
    X, _, y_true = blobs
    y = np.full(len(y_true), -1)
    for k in range(3):
        y[np.flatnonzero(y_true == k)[0]] = k
    clf = quick(max_epochs=50, learning_rate=0.01).fit(X, y)
    assert clf.score(X, y_true) > 0.6


def test_all_rows_may_be_labelled(quick, iris):
    X, _, y_true = iris
    clf = quick(max_epochs=60, learning_rate=0.01).fit(X, y_true)
    assert clf.score(X, y_true) > 0.95


def test_two_rows_of_one_feature_are_enough(quick):
    clf = quick().fit([[0.5], [1.5]], [0, 1])
    assert clf.predict([[0.4]]).shape == (1,)


def test_constant_columns_have_no_effect(quick, iris):
    X, y, _ = iris
    with_constants = np.column_stack([np.full(150, 1e30), X, np.zeros(150)])
    plain, other = quick().fit(X, y), quick().fit(with_constants, y)
    np.testing.assert_array_equal(
        plain.predict_proba(X), other.predict_proba(with_constants)
    )


def test_huge_and_tiny_values(quick, iris):
    X, y, _ = iris
    plain = quick(max_epochs=20).fit(X, y)
    for scale in (1e-30, 1e30):
        clf = quick(max_epochs=20).fit(X * scale, y)
        assert (clf.predict(X * scale) == plain.predict(X)).mean() > 0.99
        assert np.isfinite(clf.sample(10)[0]).all()
    outlier = np.concatenate([X, [[1e30, 0, 0, 0]]])
    clf = quick().fit(outlier, np.append(y, -1))
    assert np.isfinite(clf.predict_proba(outlier)).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.float16, np.float32])
def test_samples_are_float32_for_float32_rows_and_else_float64(quick, iris, dtype):
    X, y, _ = iris
    X = (X * 10).astype(dtype)
    clf = quick().fit(X, y)
    assert clf.predict_proba(X).shape == (150, 3)
    assert clf.sample(2)[0].dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "list"])
def test_the_memory_layout_of_rows_has_no_effect(quick, iris, layout):
    X, y, _ = iris
    same_rows = {
        "fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "reversed": X[::-1].copy()[::-1],
        "list": X.tolist(),
    }[layout]
    expected = quick().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(
        quick().fit(same_rows, y).predict_proba(same_rows), expected
    )


def test_many_classes_and_more_columns_than_rows(quick):
    rng = np.random.RandomState(0)
    X, y = rng.randn(60, 200), np.repeat(np.arange(30), 2)
    clf = quick().fit(X, y)
    assert clf.predict_proba(X).shape == (60, 30)


def test_standardised_rows_give_nearly_the_same_model(quick, iris):
    X, y, _ = iris
    scaled = StandardScaler().fit_transform(X)
    a, b = quick().fit(X, y), quick().fit(scaled, y)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(scaled), atol=1e-4)


def test_nothing_is_printed_and_no_warning_is_issued(quick, iris, capsys):
    X, y, _ = iris
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = quick().fit(X, y)
        clf.predict(X), clf.transform(X), clf.sample(), clf.score_samples(X)
    assert capsys.readouterr() == ("", "")


def test_clone_keeps_parameters(quick):
    clf = quick(teacher=LabelSpreading(), class_prior=[0.5, 0.5], callbacks=[])
    cloned = clone(clf)
    assert cloned.get_params()["class_prior"] == [0.5, 0.5]
    assert repr(cloned) == repr(clf)
