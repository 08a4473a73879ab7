"""Training runs: their results, held-out rows, interruptions and errors."""

import numpy as np
import pytest
import torch
from few_labels import hide
from model_objects import make_spec
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback

from sk_ssvae import SSVAEClassifier
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.loss import Loss


def weights(clf):
    return {k: v.clone() for k, v in clf.module_.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def held_out_rows(net):
    rows = net.train_split(None)[1]
    return rows.encoded(rows.order)


def test_training_raises_the_bound_and_lowers_the_loss(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=100, batch_size=50).fit(X, y)
    history = clf.history_
    assert history[-1]["bound"] > history[0]["bound"] + 1
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    for epoch in history:
        bound, *terms = (epoch[name] for name in Loss._fields[1:])
        total = -bound + clf.net_.objective.alpha * sum(terms)
        assert epoch["train_loss"] == pytest.approx(total, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_unlabelled_rows_improve_the_accuracy():
    """With two labels per class."""
    X, truth = load_digits(n_class=6, return_X_y=True)
    X, y = X / 16, hide(truth, 2, seed=1)
    labelled = y >= 0
    with_unlabelled = SSVAEClassifier(max_epochs=30, random_state=0).fit(X, y)
    labelled_only = SSVAEClassifier(max_epochs=800, random_state=0)
    labelled_only.fit(X[labelled], y[labelled])
    assert with_unlabelled.score(X, truth) > labelled_only.score(X, truth) + 0.1


def test_every_minibatch_of_training_has_labels(quick, iris):
    X, y, _ = iris
    seen = []

    class Record(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs):
            seen.append((len(batch[0]["x"]), len(batch[1])))

    quick(batch_size=20, callbacks=[Record()]).fit(X, y)
    assert len(seen) == 4 * 8
    assert set(seen) == {(22, 5)}  # 17 of 135 unlabelled, a quarter of 20 labelled


def test_teacher_changes_the_loss_and_the_weights(quick, iris):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(
        max_epochs=10, teacher=teacher, options=ClassifierOptions(teacher_weight=3.0)
    ).fit(X, y)
    assert all(epoch["teacher"] > 0 for epoch in clf.history_)
    alone = quick(max_epochs=10).fit(X, y)
    assert all(epoch["teacher"] == 0 for epoch in alone.history_)
    assert not same(weights(clf), weights(alone))


def test_teacher_is_not_fitted_without_unlabelled_rows(quick, iris):
    X, _, truth = iris

    class Failing(LabelSpreading):
        def fit(self, X, y):
            raise AssertionError("fitted")

    quick(teacher=Failing()).fit(X, truth)


def test_validation_loss_is_minus_the_bound_of_held_out_rows(quick, iris):
    X, y, _ = iris
    seen = []

    class Record(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.extend(held_out_rows(net).tolist())

    clf = quick(validation_fraction=0.2, batch_size=7, callbacks=[Record()]).fit(X, y)
    assert len(seen) == 27  # of 135 unlabelled rows
    rows = clf.preprocessor_.scaling.encode(X)
    held_out = [i for i in range(150) if rows[i].tolist() in seen]
    assert (y[held_out] == -1).all()
    # At the final weights, up to the noise of z.
    x = torch.tensor(seen)
    with torch.no_grad():
        bounds = [
            unlabelled_bound(
                clf.module_(x), clf.module_.class_bounds(x, torch.randn(27, 2))
            )
            for _ in range(200)
        ]
    expected = -torch.stack(bounds).mean().item()
    assert clf.history_[-1]["valid_loss"] == pytest.approx(expected, rel=0.1)
    assert clf.net_.train_split is None


def test_held_out_rows_are_not_trained_on(quick, iris):
    X, y, _ = iris
    hidden = np.flatnonzero(y == -1)
    clf = quick(validation_fraction=0.2)
    seen = []

    class Record(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.append(held_out_rows(net).numpy())

    plain = clf.set_params(callbacks=[Record()]).fit(X, y)
    rows = plain.preprocessor_.scaling.encode(X)
    held_out = [i for i in hidden if (rows[i] == seen[0]).all(1).any()]
    moved = X.copy()
    moved[held_out] = X[held_out][::-1]  # the same moments, other rows
    first = plain.predict_proba(X)
    second = clone(clf).fit(moved, y).predict_proba(X)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_too_few_rows_to_hold_out(quick, iris):
    X, y, truth = iris
    for labels, fraction, counts in (
        (truth, 0.1, "the 0 unlabelled rows (of 150 in all)"),
        (y, 0.001, "the 135 unlabelled rows (of 150 in all)"),
    ):
        with pytest.raises(ValueError) as error:
            quick(validation_fraction=fraction).fit(X, labels)
        assert str(error.value) == (
            f"validation_fraction={fraction} of {counts} leaves no row to validate or "
            "none to train on. Set it to 0, or pass more unlabelled rows."
        )
    quick(validation_fraction=0.1).partial_fit(X, truth, classes=[0, 1, 2])


def test_automatic_epochs_depend_on_the_training_rows(quick, iris, monkeypatch):
    """Rows of weight zero and held-out rows do not count."""
    X, y, _ = iris
    # The constants are reduced to a tenth.
    monkeypatch.setattr("sk_ssvae.training.batches.AUTO_EPOCHS", 6)
    monkeypatch.setattr("sk_ssvae.training.batches.AUTO_MIN_BATCHES", 100)
    clf = quick(max_epochs="auto", batch_size=4)
    kept = np.r_[np.flatnonzero(y >= 0), np.flatnonzero(y < 0)[:5]]
    weight = np.isin(np.arange(len(y)), kept).astype(float)
    assert len(kept) == 20
    assert clf.fit(X[kept], y[kept]).n_iter_ == 100 // 5
    assert clf.fit(X, y, sample_weight=weight).n_iter_ == 100 // 5
    held = clone(clf).set_params(validation_fraction=0.8).fit(X[kept], y[kept])
    assert held.n_iter_ == 100 // 4
    assert clf.fit(X, y).n_iter_ == 6


class Interrupt(Callback):
    """Raise KeyboardInterrupt in the second batch of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [1, 3])
def test_keyboard_interrupt_keeps_the_epochs_done(quick, iris, epoch):
    X, y, _ = iris
    clf = quick(max_epochs=9, batch_size=50, callbacks=[Interrupt(epoch)])
    message = (
        f"Training was interrupted after {epoch - 1} of 9 epochs. The model is fitted "
        "with these epochs and can be used."
    )
    with pytest.warns(ConvergenceWarning, match=message):
        clf.fit(X, y)
    assert clf.n_iter_ == len(clf.history_) == epoch - 1
    assert clf.predict_proba(X).shape == (150, 3)
    assert clf.transduction_.shape == (150,)
    clf.set_params(callbacks=None, warm_start=True, max_epochs=2).fit(X, y)
    assert clf.n_iter_ == epoch + 1


def test_keyboard_interrupt_before_training_changes_nothing(quick, iris):
    X, y, _ = iris

    class Interrupted(LabelSpreading):
        def fit(self, X, y):
            raise KeyboardInterrupt

    clf = quick().fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(teacher=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], y)
    np.testing.assert_array_equal(before, clf.predict_proba(X))


def test_non_finite_weights_are_an_error(quick, iris):
    X, y, _ = iris

    class Poison(Callback):
        def on_train_end(self, net, **kwargs):
            with torch.no_grad():
                next(net.module_.parameters()).view(-1)[0] = torch.nan

    message = "Training diverged: weights are no longer finite after epoch 4."
    with pytest.raises(ValueError, match=message):
        quick(callbacks=[Poison()]).fit(X, y)


def test_error_after_training_restores_the_estimator(quick, iris, monkeypatch):
    X, y, _ = iris
    clf = quick(warm_start=True).fit(X, y)
    before, state = clf.predict_proba(X), dict(vars(clf))

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    for fit in (clf.fit, clf.partial_fit):
        with monkeypatch.context() as patch:
            patch.setattr("sk_ssvae.models.inference.log_posterior_y", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fit(X, y)
        assert vars(clf) == state
        assert clf.n_iter_ == 4
        np.testing.assert_array_equal(clf.predict_proba(X), before)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_adversarial_training_smooths_predictions(quick, iris, model):
    """Perturbations of the training rows change them less."""
    X, y, _ = iris
    spec = make_spec(model, inner_size=4, pretrain_epochs=20)
    plain = quick(model=spec, max_epochs=60).fit(X, y)
    options = ClassifierOptions(adversarial_weight=3.0, adversarial_radius=1.0)
    smooth = quick(model=spec, max_epochs=60, options=options).fit(X, y)
    step = 0.3 * X.std(0) * np.random.RandomState(0).randn(*X.shape)

    def change(clf):
        return np.abs(clf.predict_proba(X + step) - clf.predict_proba(X)).sum(1).mean()

    assert change(smooth) < 0.9 * change(plain)
    assert all(row["adversarial"] == 0 for row in plain.history_)
    assert smooth.history_[-1]["adversarial"] > 0


def test_adversarial_radius_has_no_effect_without_weight(quick, iris):
    X, y, _ = iris
    plain = quick().fit(X, y)
    radius = quick(options=ClassifierOptions(adversarial_radius=7.0)).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), radius.predict_proba(X))
