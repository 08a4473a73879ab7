"""Early stopping by the bound of held-out rows."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions, TrainingOptions


def bounds_of(history):
    return [-row["valid_loss"] for row in history]


def test_early_stopping_keeps_the_weights_of_the_best_bound(iris, quick):
    X, y, _ = iris
    parameters = {
        "max_epochs": 300,
        "learning_rate": 0.03,
        "batch_size": 32,
    }
    options = ClassifierOptions(n_iter_no_change=4, tol=0.0)
    clf = quick(early_stopping=True, options=options, **parameters).fit(X, y)
    bounds = bounds_of(clf.history_)
    best = int(np.argmax(bounds))
    assert 5 < clf.n_iter_ == best + 1 + 4 < 300
    assert clf.validation_bound_ == bounds[best]
    # A run of as many epochs gives the same.
    until = quick(
        validation_fraction=0.1, **(parameters | {"max_epochs": best + 1})
    ).fit(X, y)
    assert until.validation_bound_ == clf.validation_bound_
    assert np.array_equal(until.predict_proba(X), clf.predict_proba(X))
    assert np.array_equal(until.transform(X), clf.transform(X))
    last = quick(
        validation_fraction=0.1, **(parameters | {"max_epochs": clf.n_iter_})
    ).fit(X, y)
    assert last.validation_bound_ == bounds[-1] < bounds[best]


def test_small_gains_do_not_count_for_early_stopping(iris, quick):
    X, y, _ = iris
    options = ClassifierOptions(tol=1e9, n_iter_no_change=3)
    clf = quick(early_stopping=True, options=options, max_epochs=50)
    assert clf.fit(X, y).n_iter_ == 4
    assert clf.validation_bound_ == bounds_of(clf.history_)[0]


def test_each_stage_stops_separately(iris):
    X, y, _ = iris
    clf = SSVAEClassifier(
        2,
        model=M1M2(inner_size=3, pretrain_epochs=9),
        hidden_sizes=(8,),
        teacher=None,
        max_epochs=7,
        early_stopping=True,
        options=ClassifierOptions(n_iter_no_change=2, tol=1e9),
        random_state=0,
    ).fit(X, y)
    assert clf.n_iter_ == 3 + 3
    assert clf.validation_bound_ == bounds_of(clf.history_)[3]


def test_autoencoder_stops_early(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(
        2,
        hidden_sizes=(8,),
        max_epochs=50,
        early_stopping=True,
        options=TrainingOptions(n_iter_no_change=2, tol=1e9),
        random_state=0,
    ).fit(X)
    assert vae.n_iter_ == 3
    assert vae.validation_bound_ == bounds_of(vae.history_)[0]


def test_early_stopping_needs_held_out_rows(iris, quick):
    X, y, truth = iris
    with pytest.raises(ValueError) as error:
        quick(early_stopping=True, validation_fraction=0.0).fit(X, y)
    assert str(error.value) == (
        "early_stopping=True needs held-out rows, but validation_fraction=0.0. Set it "
        "to 'auto' or to a share such as 0.1."
    )
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 of the 0 unlab"):
        quick(early_stopping=True).fit(X, truth)
    streamed = quick(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    assert streamed.validation_bound_ is None
    assert quick().fit(X, y).validation_bound_ is None


def test_epochs_of_the_kl_warm_up_do_not_count():
    """The bound falls in them, as the loss contains less of the KL divergence."""
    X = (load_digits().data[:300] > 7).astype(float)
    vae = VariationalAutoencoder(
        hidden_sizes=(32,),
        batch_size=50,
        max_epochs=300,
        learning_rate=0.01,
        early_stopping=True,
        options=TrainingOptions(n_iter_no_change=2),
        random_state=0,
    ).fit(X)
    bounds = bounds_of(vae.history_)
    assert vae.likelihood_ == "bernoulli"
    assert bounds[3] < bounds[2] > bounds[4]  # it would have stopped here
    assert 120 <= vae.n_iter_ < 300
    assert vae.validation_bound_ == max(bounds) > bounds[2] + 5
