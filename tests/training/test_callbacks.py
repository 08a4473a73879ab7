"""Callbacks of skorch, and of scikit-learn."""

import copy
import io
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from sklearn.callback import ProgressBar as SklearnProgressBar
from sklearn.callback import ScoringMonitor
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    ProgressBar,
)


def weights(clf):
    return {k: v.clone() for k, v in clf.module_.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_skorchs_early_stopping(quick, iris):
    X, y, _ = iris
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is not an interruption
        clf = quick(max_epochs=50, callbacks=[stop]).fit(X, y)
    assert clf.n_iter_ == 3  # the first is the best
    assert len(clf.history_) == 3
    assert clf.predict(X).shape == (150,)


def test_skorchs_early_stopping_restores_the_best_weights(quick, iris):
    X, y, _ = iris
    best = {}

    class Keep(Callback):
        def on_epoch_end(self, net, **kwargs):
            losses = [epoch["train_loss"] for epoch in net.history]
            if losses[-1] == min(losses):
                best.update(copy.deepcopy(net.module_.state_dict()))

    stop = EarlyStopping(
        monitor="train_loss", patience=3, load_best=True, lower_is_better=True
    )
    clf = quick(max_epochs=300, learning_rate=0.1, callbacks=[Keep(), stop]).fit(X, y)
    assert clf.n_iter_ < 300
    assert same(best, weights(clf))


def test_default_monitor_is_the_validation_loss(quick, iris, tmp_path):
    X, y, _ = iris
    callbacks = [EarlyStopping(patience=3), Checkpoint(dirname=tmp_path)]
    clf = quick(
        max_epochs=400, learning_rate=0.03, validation_fraction=0.2, callbacks=callbacks
    ).fit(X, y)
    losses = [epoch["valid_loss"] for epoch in clf.history_]
    assert clf.n_iter_ == len(losses) < 400
    assert clf.history_[int(np.argmin(losses))]["event_cp"]


def test_monitors_of_the_validation_loss_need_held_out_rows(quick, iris, tmp_path):
    X, y, _ = iris
    for callback, name, monitor in (
        (EarlyStopping(), "EarlyStopping", "valid_loss"),
        (("mine", Checkpoint(dirname=tmp_path)), "mine", "valid_loss_best"),
    ):
        clf = quick(callbacks=[callback])
        with pytest.raises(ValueError) as error:
            clf.fit(X, y)
        assert str(error.value) == (
            f"The callback {name} monitors '{monitor}', but no rows are held out. Set "
            "validation_fraction, e.g. to 0.1 (partial_fit holds out none), or set its "
            "monitor to 'train_loss'."
        )
        assert not hasattr(clf, "net_")


def test_learning_rate_scheduler(quick, iris):
    X, y, _ = iris
    schedule = LRScheduler(
        policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5
    )
    clf = quick(learning_rate=0.08, callbacks=[schedule]).fit(X, y)
    rates = [epoch["event_lr"] for epoch in clf.history_]
    np.testing.assert_allclose(rates, [0.08, 0.04, 0.02, 0.01])


def test_skorchs_checkpoint(quick, iris, tmp_path):
    X, y, _ = iris
    keep = Checkpoint(monitor="train_loss_best", dirname=tmp_path)
    clf = quick(callbacks=[keep]).fit(X, y)
    best = np.argmin([epoch["train_loss"] for epoch in clf.history_])
    assert clf.history_[int(best)]["event_cp"]
    final = weights(clf)
    clf.net_.load_params(checkpoint=keep)
    assert best == len(clf.history_) - 1 or not same(final, weights(clf))


def test_progress_bar(quick, iris, capsys):
    X, y, _ = iris
    quick(batch_size=50, callbacks=[ProgressBar(detect_notebook=False)]).fit(X, y)
    assert "0/3" in capsys.readouterr().err


def test_epoch_scoring_does_not_use_global_generators(quick, iris, global_generators):
    X, y, _ = iris

    def certainty(net, rows, y):
        return net.predict_proba(rows).max(1).mean()

    score = EpochScoring(certainty, name="certainty", on_train=True, use_caching=False)
    before = global_generators()
    clf = quick(callbacks=[score]).fit(X, y)
    assert global_generators() == before
    expected = clf.predict_proba(X[y != -1]).max(1).mean()  # the labelled rows
    assert clf.history_[-1]["certainty"] == pytest.approx(expected, rel=1e-5)


def test_lines_printed(quick, iris):
    X, y, _ = iris
    for verbose, lines in (
        (0, 0),
        (1, 7),
    ):  # a header of two lines, four epochs, the end
        out = io.StringIO()
        with redirect_stdout(out):
            quick(verbose=verbose).fit(X, y)
        assert len(out.getvalue().splitlines()) == lines


def test_invalid_callbacks_are_an_error_every_time(quick, iris):
    X, y, _ = iris
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(callbacks=[("a", Callback()), ("a", Callback())])
    for _ in range(2):
        with pytest.raises(ValueError, match="duplicate user-set callback name"):
            clf.fit(X, y)
    assert clf.n_iter_ == 4
    clf.set_params(callbacks=None).fit(X, y)
    assert clf.n_iter_ == 8


def test_callbacks_appended_to_the_list_are_used(quick, iris):
    X, y, _ = iris
    seen = []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(1)

    clf = quick(warm_start=True, callbacks=[]).fit(X, y)
    clf.callbacks.append(Count())
    clf.fit(X, y)
    assert len(seen) == 4
    clf.callbacks.append("nonsense")
    with pytest.raises(TypeError, match="callbacks must hold skorch callbacks"):
        clf.fit(X, y)


def test_scikit_learns_progress_bar(quick, iris, capsys):
    X, y, _ = iris
    clf = quick(max_epochs=3).set_callbacks(SklearnProgressBar())
    clf.fit(X, y)
    assert "SSVAEClassifier" in capsys.readouterr().out
    assert clf.n_iter_ == 3


def test_scikit_learns_scoring_monitor(quick, iris):
    X, _, y = iris
    monitor = ScoringMonitor(scoring="accuracy")
    clf = quick(max_epochs=5, learning_rate=0.05).set_callbacks(monitor).fit(X, y)
    logs = monitor.get_logs().data
    scores = [entry["accuracy"] for entry in logs if entry["task_name"] == "epoch"]
    assert len(scores) == 5
    assert scores[-1] == clf.score(X, y)
    assert scores[0] != scores[-1]


class Tasks:
    """A scikit-learn callback that records tasks, and may stop training."""

    def __init__(self, stop_after=None):
        self.events, self.stop_after, self.estimators = [], stop_after, []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        self.estimators.append(fitted_estimator)
        n_epochs = self.events.count("end epoch")
        return self.stop_after is not None and n_epochs >= self.stop_after


def test_scikit_learns_callbacks_are_called_every_epoch(quick, iris):
    X, y, _ = iris
    tasks = Tasks()
    clf = quick(max_epochs=2).set_callbacks(tasks).fit(X, y)
    epoch = ["begin epoch", "end epoch"]
    assert tasks.events == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]
    first, second, _ = tasks.estimators
    assert (first.predict_proba(X) != second.predict_proba(X)).any()
    np.testing.assert_array_equal(second.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(second.transform(X), clf.transform(X))


def test_scikit_learns_callbacks_can_stop_training(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=50).set_callbacks(Tasks(stop_after=3)).fit(X, y)
    assert clf.n_iter_ == 3


def test_scikit_learns_callbacks_are_torn_down_after_an_error(quick, iris):
    X, y, _ = iris
    tasks = Tasks()
    clf = quick(learning_rate=1e30).set_callbacks(tasks)
    with pytest.raises(ValueError, match="Training diverged"):
        clf.fit(X, y)
    assert tasks.events[-1] == "teardown"
    assert not hasattr(clf, "net_")


def test_snapshots_of_the_net_do_not_change(quick, iris):
    X, y, _ = iris
    net = quick().fit(X, y).net_
    twin = net.snapshot()
    net.history_.new_epoch()
    assert (len(twin.history_), len(net.history_)) == (4, 5)
