"""`partial_fit` and `warm_start`: what continues, what may change and what may not."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import batches


def assert_equal_weights(a, b):
    for x, y in zip(a.module_.parameters(), b.module_.parameters(), strict=True):
        assert torch.equal(x, y)


# partial_fit


def test_partial_fit_learns_from_chunks(quick, blobs):
    X, y, y_true = blobs
    clf = quick(learning_rate=0.01, batch_size=30)
    for _ in range(30):
        for chunk in (slice(0, 60), slice(60, 120)):
            clf.partial_fit(X[chunk], y[chunk], classes=[0, 1, 2])
    assert clf.n_iter_ == 60
    assert clf.score(X, y_true) > 0.9
    assert len(clf.transduction_) == 60


def test_partial_fit_accepts_chunks_without_labels_and_single_rows(quick, blobs):
    X, y, _ = blobs
    unlabelled = np.full(len(y), -1)
    clf = quick().partial_fit(X, unlabelled, classes=[0, 1, 2])
    clf.partial_fit(X[:1], y[:1]).partial_fit(X[:1], [-1])
    assert clf.n_iter_ == 3


def test_partial_fit_after_fit_is_one_more_epoch(quick, blobs):
    X, y, _ = blobs
    whole = quick(max_epochs=5).fit(X, y)
    parts = quick(max_epochs=4).fit(X, y).partial_fit(X, y)
    assert_equal_weights(whole, parts)


def test_the_first_partial_fit_requires_the_classes(quick, blobs):
    X, y, _ = blobs
    message = "^classes must be passed at the first call to partial_fit.$"
    with pytest.raises(ValueError, match=message):
        quick().partial_fit(X, y)
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    message = (
        r"^classes=\[0, 1\] differs from the classes of the fitted model: \[0, 1, 2\].$"
    )
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, y, classes=[0, 1])


def test_partial_fit_keeps_columns_that_are_constant_in_the_first_chunk(quick, blobs):
    X, y, _ = blobs
    X = np.column_stack([X, np.zeros(len(X))])
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    assert clf.module_.likelihood.n_outputs == 3
    assert quick().fit(X, y).module_.likelihood.n_outputs == 2


def test_partial_fit_does_not_use_the_teacher(quick, blobs):
    X, y, _ = blobs

    class Unused(LabelSpreading):
        def fit(self, X, y):
            raise AssertionError("The teacher was fitted.")

    quick(teacher=Unused()).partial_fit(X, y, classes=[0, 1, 2])


# warm_start


def test_warm_start_continues_training(quick, blobs):
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
def test_parameters_of_the_networks_cannot_change(quick, blobs, name, value):
    X, y, _ = blobs
    clf = quick(warm_start=True).fit(X, y)
    before = getattr(clf, name)
    proba = clf.predict_proba(X)
    clf.set_params(**{name: value})
    for continue_training in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError) as error:
            continue_training(X, y)
        assert str(error.value) == (
            f"{name} was {before!r} when the model was created and cannot change to "
            f"{value!r} while training continues. Set warm_start=False and call fit, "
            "or use a clone."
        )
    np.testing.assert_array_equal(proba, clf.predict_proba(X))


def test_the_device_cannot_change(quick, blobs):
    X, y, _ = blobs
    clf = quick(device="cpu").fit(X, y)
    clf.net_.device = "cuda"  # as if it had been trained there
    with pytest.raises(ValueError) as error:
        clf.partial_fit(X, y)
    assert str(error.value) == (
        "device='cpu' cannot be set while training continues: the model is on 'cuda'. "
        "Set warm_start=False and call fit, or use a clone."
    )


def test_labels_of_new_classes_are_errors(quick, blobs):
    X, y, _ = blobs
    clf = quick(warm_start=True).fit(X, y)
    message = r"y contains labels that are not among the classes: \[3\]."
    with pytest.raises(ValueError, match=message):
        clf.fit(X, np.where(y == 2, 3, y))
    assert clf.n_iter_ == 4


def test_values_outside_the_support_are_errors(quick):
    X = np.eye(6)
    y = np.array([0, 1, 0, 1, -1, -1])
    clf = quick().fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 in row 0, column 0"):
        clf.score_samples(X * 2)
    with pytest.raises(ValueError, match=r"X has 2 in row 0, column 0"):
        clf.partial_fit(X * 2, y)
    assert clf.predict_proba(X * 2).shape == (6, 2)


def test_chunks_of_a_single_class_do_not_change_other_predictions(quick):
    """Units of the networks do not depend on the other rows of a minibatch."""
    X, y = make_blobs(300, centers=3, n_features=5, random_state=3)
    chunks = [np.flatnonzero(y == k % 3)[:20] for k in range(21)]
    after_fit = quick(max_epochs=20).fit(X, y)
    online = quick().partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    for clf in (after_fit, online):
        for _ in range(20):
            clf.partial_fit(X[:100], y[:100])
        for chunk in chunks:
            clf.partial_fit(X[chunk], y[chunk])
        assert clf.score(X, y) > 0.95


@pytest.mark.parametrize("n_hidden", [0, 100])
def test_a_teacher_reduces_the_epochs(monkeypatch, iris, n_hidden):
    """Also if all rows are labelled, so that it has nothing to teach."""
    monkeypatch.setattr(batches, "AUTO_EPOCHS", 4)
    monkeypatch.setattr(batches, "AUTO_MIN_BATCHES", 4)
    monkeypatch.setattr(batches, "TAUGHT_EPOCHS", 3)
    monkeypatch.setattr(batches, "LARGE_STEP_EPOCHS", 2)
    monkeypatch.setattr(batches, "TAUGHT_MIN_BATCHES", 2)
    X, _, y_true = iris
    y = np.where(np.random.RandomState(0).permutation(150) < n_hidden, -1, y_true)
    for teacher, expected in (("pool", 2 if n_hidden else 3), (None, 4)):
        clf = SSVAEClassifier(teacher=teacher, random_state=0).fit(X, y)
        assert clf.n_iter_ == expected
