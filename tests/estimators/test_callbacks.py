"""Callbacks of skorch and hooks: what they receive; the model does not change."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback, Checkpoint, TrainEndCheckpoint


def test_callbacks_of_minibatches_get_the_history_of_skorch(quick, iris):
    X, y, _ = iris

    class Listener(Callback):
        def on_batch_end(self, net, training=False, loss=None, **kwargs):
            key = "train_loss" if training else "valid_loss"
            assert net.history[-1, "batches", -1, key] == pytest.approx(loss.item())

    plain = quick(batch_size=20, validation_fraction=0.2).fit(X, y)
    clf = quick(batch_size=20, validation_fraction=0.2, callbacks=[Listener()])
    clf.fit(X, y)
    assert len(clf.history_[-1]["batches"]) > len(plain.history_[-1]["batches"]) == 2
    for name in ("train_loss", "valid_loss", "bound", "classification"):
        np.testing.assert_allclose(
            clf.history_[:, name], plain.history_[:, name], rtol=1e-5
        )
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("event", ["on_batch_end", "on_grad_computed"])
def test_callbacks_of_minibatches_with_a_teacher(quick, iris, event):
    """The parts of a minibatch, labelled and unlabelled, then differ in length."""
    X, y, _ = iris

    def record(self, net, **kwargs):
        net.history.record_batch("norm", 1.0)

    listener = type("Listener", (Callback,), {event: record})()
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(batch_size=20, teacher=teacher, callbacks=[listener]).fit(X, y)
    assert [b["norm"] for b in clf.history_[-1]["batches"]] == [1.0] * 8
    plain = quick(batch_size=20, teacher=teacher).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_backward_hooks_on_layers_are_called(quick, iris):
    X, y, _ = iris
    called = []

    class Hook(Callback):
        def on_train_begin(self, net, **kwargs):
            for module in net.module_.modules():
                if isinstance(module, torch.nn.Linear):
                    module.register_full_backward_hook(
                        lambda module, grad_input, grad_output: called.append(module)
                    )

    clf = quick(hidden_sizes=(8, 8), callbacks=[Hook()]).fit(X, y)
    plain = quick(hidden_sizes=(8, 8)).fit(X, y)
    assert len(set(called)) == 9
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_callbacks_receive_soft_targets_scaled_by_their_confidence(quick, iris):
    X, y, _ = iris
    received = []

    class Recorder(Callback):
        def on_train_begin(self, net, X=None, **kwargs):
            received.append(X)

    teacher = LabelSpreading(kernel="knn", max_iter=500)
    quick(teacher=teacher, callbacks=[Recorder()]).fit(X, y)
    targets = teacher.fit(X, y).label_distributions_[y == -1]
    (rows,) = received
    n = rows.n_labelled
    confidence = targets.max(1)
    assert confidence.std() > 0
    np.testing.assert_allclose(
        rows.soft_targets, confidence[:, None] * targets, atol=1e-5
    )
    np.testing.assert_allclose(rows.target_weight[n:], 1 / len(targets), rtol=1e-5)


def test_checkpoints_of_skorch_can_pickle_the_net(quick, iris, tmp_path):
    X, y, _ = iris
    callbacks = [
        Checkpoint(monitor="train_loss_best", f_pickle="net.pkl", dirname=tmp_path),
        TrainEndCheckpoint(f_pickle="end.pkl", dirname=tmp_path),
    ]
    clf = quick(validation_fraction=0.1, callbacks=callbacks).fit(X, y)
    (path,) = tmp_path.glob("*end.pkl")
    net = pickle.loads(path.read_bytes())
    rows = clf.preprocessor_.scaling.encode(X)
    np.testing.assert_allclose(net.predict_proba(rows), clf.predict_proba(X), rtol=1e-5)
    assert net.train_split is None
    names = [name for name, _ in net.callbacks_]
    assert "sklearn_tasks" not in names
    assert "Checkpoint" in names
