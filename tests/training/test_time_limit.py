"""Fits with a time limit, with a clock of the test: each training step is a second."""

import pickle
import re
import time

import numpy as np
import pytest
import torch
from faults import Fault, weights
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback, EarlyStopping

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions, TrainingOptions
from sk_ssvae.training.learning_rates import DECAY, LARGE_STEPS
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.objective import kl_warm_up
from sk_ssvae.utils.files import read_file, write_file
from sk_ssvae.utils.optimizers import Adam

SPREADING = LabelSpreading(kernel="knn", n_neighbors=7)
N_BATCHES = 3  # of 50 rows of iris


def columns_of(line):
    return re.split(r"\s{2,}", line.strip())


class Clock:
    """Stands for `time.perf_counter`; training steps, and slow teachers, advance it."""

    now = 0.0


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: Clock.now)
    step = Adam.step

    def timed_step(self, closure=None):
        Clock.now += 1.0
        return step(self, closure)

    monkeypatch.setattr(Adam, "step", timed_step)
    Clock.now = 1000.0
    return Clock


@pytest.fixture
def rates(monkeypatch):
    """Record the learning rate of the classifier in each step."""
    recorded = []
    step = Adam.step

    def recording_step(self, closure=None):
        recorded.extend(g["lr"] for g in self.param_groups if g.get("is_classifier"))
        return step(self, closure)

    monkeypatch.setattr(Adam, "step", recording_step)
    return recorded


class SlowTeacher(LabelSpreading):
    """Takes 50 seconds."""

    def fit(self, X, y):
        Clock.now += 50.0
        return super().fit(X, y)


def limited(max_time, **options):
    return ClassifierOptions(max_time=max_time, **options)


def message(seconds, shortened, extended=""):
    """Return the pattern of the warning that training was shortened."""
    text = (
        f"max_time={seconds} (seconds) was too short for max_epochs: training was "
        f"shortened to {shortened}, and so were its schedules.{extended} The model can "
        "be used. Increase max_time if it should be trained longer."
    )
    return f"^{re.escape(text)}$"


def n_steps(estimator):
    return sum(row["train_batch_count"] for row in estimator.history_)


def assert_same(a, b):
    before, after = weights(a), weights(b)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("params", [{}, {"model": M1M2(3, 4, 2)}])
def test_a_limit_that_is_not_reached_changes_no_bit(quick, iris, params):
    X, y, _ = iris
    params |= {"teacher": SPREADING, "batch_size": 50, "max_epochs": 6}
    whole = quick(**params).fit(X, y)
    assert_same(whole, quick(options=limited(10_000), **params).fit(X, y))


def test_training_ends_with_the_step_in_which_the_time_runs_out(quick, iris, rates):
    X, y, _ = iris
    params = {"teacher": SPREADING, "batch_size": 50, "max_epochs": 100}
    clf = quick(options=limited(61), **params)
    with pytest.warns(ConvergenceWarning, match=message(61, "20.3 of 100 epochs")):
        clf.fit(X, y)
    assert [row["train_batch_count"] for row in clf.history_] == [N_BATCHES] * 20 + [1]
    assert clf.n_iter_ == 21
    assert clf.fit_time_ == 61
    # The learning rate of the classifier falls as in a run of so many steps.
    assert len(rates) == 61
    start = 7  # as planned for a tenth of the time
    planned = np.arange(start) / (100 * N_BATCHES)
    left = np.linspace(1 - start / (100 * N_BATCHES), 0, 61 - start, endpoint=False)
    progress = np.concatenate([planned, 1 - left])
    decay = np.minimum(1, (1 - progress) / DECAY)
    np.testing.assert_allclose(rates, LARGE_STEPS[0] * clf.learning_rate * decay)
    assert clf.score(X[y >= 0], y[y >= 0]) > 0.9


def test_a_slow_teacher_leaves_a_fifth_of_the_time(quick, iris):
    X, y, _ = iris
    params = {"batch_size": 50, "max_epochs": 100}
    clf = quick(teacher=SlowTeacher(kernel="knn"), options=limited(90), **params)
    with pytest.warns(ConvergenceWarning, match=message(90, "13.3 of 100 epochs")):
        clf.fit(X, y)
    assert n_steps(clf) == 40
    clf.set_params(options__max_time=40)
    extended = (
        " The other steps of fit take 50 seconds; training got 20% of max_time "
        "nevertheless."
    )
    with pytest.warns(
        ConvergenceWarning, match=message(40, "2.67 of 100 epochs", extended)
    ):
        clf.fit(X, y)
    assert n_steps(clf) == 8
    assert clf.fit_time_ == 58


def test_time_is_left_for_the_predictions_of_the_training_rows(
    quick, iris, monkeypatch
):
    X, y, _ = iris
    predict = SSVAEClassifier._class_log_proba

    def slow(self, net, cells):
        Clock.now += 0.1 * len(cells)
        if len(cells) == 1:  # the first call
            Clock.now += 1.9
        return predict(self, net, cells)

    clf = quick(batch_size=50, max_epochs=100, options=limited(77))
    monkeypatch.setattr(SSVAEClassifier, "_class_log_proba", slow)
    with pytest.warns(ConvergenceWarning, match=r"shortened to 18 of 100 epochs"):
        clf.fit(X, y)
    # 2 seconds for the first row, which are not extrapolated, 6.4 for a sample of 64
    # rows, 54 steps, and 15 seconds for all rows.
    assert clf.fit_time_ == pytest.approx(77.4)
    clf.set_params(options__max_time=25)
    with pytest.warns(
        ConvergenceWarning, match=r"fit take 23\.4 seconds; training got"
    ):
        clf.fit(X, y)
    assert n_steps(clf) == 5
    clf.set_params(options__max_time=None, max_epochs=1).fit(X, y)
    assert clf.fit_time_ == pytest.approx(3 + 15)  # nothing is timed


def test_each_stage_gets_its_share(quick, iris):
    X, y, _ = iris
    model = M1M2(inner_size=3, pretrain_epochs=60, finetune_epochs=20)
    params = {"model": model, "batch_size": 50, "max_epochs": 40}
    stages = (
        "15 of 60 epochs of the stage 'm1' and 10 of 40 epochs of the stage 'm2' and "
        "5 of 20 epochs of the stage 'all'"
    )
    clf = quick(options=limited(90), **params)
    with pytest.warns(ConvergenceWarning, match=message(90, stages)):
        clf.fit(X, y)
    assert n_steps(clf) == 90
    assert clf.score(X[y >= 0], y[y >= 0]) > 0.8
    # Whatever the time, every stage has a step.
    with pytest.warns(ConvergenceWarning, match="stage 'm1' and .* 'm2' and .* 'all'"):
        clf.set_params(options__max_time=0.5).fit(X, y)
    assert [row["train_batch_count"] for row in clf.history_] == [1, 1, 1]


def test_time_that_a_stage_leaves_is_that_of_later_ones(quick, iris):
    X, y, _ = iris

    class EndOfM1(EarlyStopping):
        """Ends the first stage after two epochs."""

        def __init__(self):
            super().__init__("train_loss", patience=1, threshold=1e9, sink=str)

        def on_epoch_end(self, net, **kwargs):
            if net.module_.unsupervised:
                super().on_epoch_end(net, **kwargs)

    model = M1M2(inner_size=3, pretrain_epochs=60)
    clf = quick(model=model, batch_size=50, max_epochs=60, callbacks=[EndOfM1()])
    with pytest.warns(
        ConvergenceWarning, match=message(90, "28 of 60 epochs of the stage 'm2'")
    ):
        clf.set_params(options__max_time=90).fit(X, y)
    assert clf.n_iter_ == 2 + 28


def test_the_best_weights_are_restored_if_the_time_runs_out(quick, iris):
    X, y, _ = iris
    params = {"early_stopping": True, "batch_size": 50, "learning_rate": 0.05}
    options = limited(60, n_iter_no_change=1000)
    clf = quick(options=options, max_epochs=100, **params)
    with pytest.warns(ConvergenceWarning, match="was shortened to 20 of 100 epochs"):
        clf.fit(X, y)
    bounds = [-row["valid_loss"] for row in clf.history_]
    best = int(np.argmax(bounds))
    assert best < len(bounds) - 1
    assert clf.validation_bound_ == bounds[best]
    # Without a teacher, no schedule has an effect on fewer epochs.
    until = quick(
        batch_size=50, validation_fraction=0.1, max_epochs=best + 1, learning_rate=0.05
    )
    assert_same(clf, until.fit(X, y))


def test_no_warning_if_training_stops_early_within_the_time(quick, iris):
    X, y, _ = iris
    options = limited(60, n_iter_no_change=2, tol=1e9)
    clf = quick(options=options, batch_size=50, max_epochs=100, early_stopping=True)
    assert clf.fit(X, y).n_iter_ == 3


class Pickle(Callback):
    """Pickles the net after each epoch."""

    def __init__(self):
        self.deadlines, self.pickle = [], b""

    def on_epoch_end(self, net, **kwargs):
        self.deadlines.append(net.deadline)
        self.pickle = pickle.dumps(net)


class End(Exception):
    """Ends training as the end of the process would."""


class EndAfter(Callback):
    """Raise an error after a number of epochs."""

    def __init__(self, n):
        self.n = n

    def on_epoch_begin(self, net, **kwargs):
        self.n -= 1
        if self.n < 0:
            raise End


@pytest.fixture
def interrupted(quick, iris, tmp_path, monkeypatch):
    """Return a classifier whose checkpoint was written after 12 epochs.

    There is time for 20, and 40 were planned.
    """
    monkeypatch.setattr("sk_ssvae.training.checkpoint.SHARE", np.inf)
    X, y, _ = iris
    params = {"teacher": SPREADING, "batch_size": 50, "max_epochs": 40}
    clf = quick(options=limited(60), checkpoint=tmp_path / "state", **params)
    ended = clone(clf).set_params(callbacks=[EndAfter(12)])
    with pytest.raises(End):
        ended.fit(X, y)
    return clf


def test_a_resumed_fit_has_the_limit_anew(interrupted, iris, rates):
    X, y, _ = iris
    clf = interrupted.set_params(options__max_time=30)
    with pytest.warns(ConvergenceWarning, match="shortened to 22 of 40 epochs"):
        clf.fit(X, y)
    assert clf.n_iter_ == 12 + 10
    # Its schedule goes on where it was: about 12 of 20 epochs, and falls to zero.
    assert len(rates) == 30
    assert rates == sorted(rates, reverse=True)
    largest = LARGE_STEPS[0] * clf.learning_rate
    assert 0.9 < rates[0] / largest <= 1
    assert rates[-1] < 0.05 * largest


def test_a_resumed_fit_without_a_limit_does_all_epochs(interrupted, iris, rates):
    X, y, _ = iris
    clf = interrupted.set_params(options__max_time=None).fit(X, y)
    assert clf.n_iter_ == 40
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.02 * LARGE_STEPS[0] * clf.learning_rate


def test_a_fit_that_the_limit_has_ended_is_complete(interrupted, iris, rates):
    X, y, _ = iris
    with pytest.warns(ConvergenceWarning, match="shortened to 32 of 40 epochs"):
        first = clone(interrupted).fit(X, y)
    rates.clear()
    again = clone(interrupted).fit(X, y)
    assert rates == []
    assert_same(first, again)


def test_a_fit_whose_process_ended_with_its_last_epoch_is_complete(
    interrupted, iris, rates, monkeypatch
):
    """The checkpoint was written after the epoch, but not at the end of the stage."""
    X, y, _ = iris

    def end(self, net):
        raise End

    writer = "sk_ssvae.training.checkpoint.CheckpointWriter.finish_stage"
    with monkeypatch.context() as patch:
        patch.setattr(writer, end)
        clf = clone(interrupted).set_params(options__max_time=30)
        with pytest.raises(End):
            clf.fit(X, y)
    assert len(rates) == 30
    resumed = clone(clf).set_params(options__max_time=None).fit(X, y)
    assert resumed.n_iter_ == 12 + 10
    assert len(rates) == 30


@pytest.mark.parametrize("progress", [True, -0.1, 1.1, "1", [0.5]])
def test_invalid_progress_in_a_checkpoint_is_an_error(interrupted, iris, progress):
    X, y, _ = iris
    header, arrays = read_file(interrupted.checkpoint)
    assert 12 / 40 < header["position"][3] < 1
    header["position"][3] = progress
    write_file(interrupted.checkpoint, header, arrays)
    with pytest.raises(ValueError, match=r"cannot be read: .*invalid position"):
        interrupted.fit(X, y)


def test_each_fit_of_a_warm_start_has_the_limit(quick, iris):
    X, y, _ = iris
    clf = quick(warm_start=True, batch_size=50, max_epochs=100, options=limited(60))
    for n_epochs in (20, 40):
        with pytest.warns(ConvergenceWarning, match="shortened to 20 of 100 epochs"):
            clf.fit(X, y)
        assert clf.n_iter_ == n_epochs
        assert clf.fit_time_ == 60
    clf.set_params(options=None, max_epochs=2).fit(X, y)
    assert clf.n_iter_ == 42


def test_chunks_have_no_limit(quick, iris):
    X, y, _ = iris
    clf = quick(batch_size=10, options=limited(2))
    clf.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert n_steps(clf) == 2 * 15
    assert not hasattr(clf, "fit_time_")


def test_the_schedules_of_an_autoencoder_end(monkeypatch):
    X = (load_digits().data[:300] > 7).astype(float)
    recorded = []
    step = SSVAENet.train_step_single

    def record(self, batch, **kwargs):
        recorded.append((self.schedule_.progress, self.kl_weight))
        return step(self, batch, **kwargs)

    monkeypatch.setattr(SSVAENet, "train_step_single", record)
    vae = VariationalAutoencoder(
        2,
        hidden_sizes=(8,),
        batch_size=50,
        max_epochs=100,
        options=TrainingOptions(max_time=90),
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match=message(90, "15 of 100 epochs")):
        vae.fit(X)
    assert vae.likelihood_ == "bernoulli"
    progress, kl_weight = np.array(recorded).T
    assert len(recorded) == 90
    assert (np.diff(progress) > 0).all()
    assert progress[-1] == pytest.approx(1 - 1 / 81, abs=1e-3)  # 9 steps as planned
    assert kl_weight.tolist() == [kl_warm_up(p) for p in progress]


def test_a_net_that_is_pickled_during_training_has_no_limit(quick, iris):
    X, y, _ = iris
    pickling = Pickle()
    clf = quick(batch_size=50, max_epochs=100, callbacks=[pickling])
    with pytest.warns(ConvergenceWarning, match="shortened to 20 of 100 epochs"):
        clf.set_params(options__max_time=60).fit(X, y)
    assert pickling.deadlines == [1060] * 20
    assert pickle.loads(pickling.pickle).deadline is None
    assert clf.net_.deadline is None


def test_an_interruption_is_reported_as_such(quick, iris):
    X, y, _ = iris

    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history_) == 5:
                raise KeyboardInterrupt

    clf = quick(batch_size=50, max_epochs=100, callbacks=[Interrupt()])
    with pytest.warns(ConvergenceWarning) as warned:
        clf.set_params(options__max_time=60).fit(X, y)
    assert [str(w.message) for w in warned] == [
        "Training was interrupted after 5 of 100 epochs. The model is fitted with "
        "these epochs and can be used."
    ]
    assert clf.summary().warnings == [str(w.message) for w in warned]


@pytest.mark.parametrize("step", [4, 58, 59])
def test_epochs_that_diverge_are_repeated_within_the_time(quick, iris, step):
    X, y, _ = iris
    clf = quick(batch_size=50, max_epochs=100, callbacks=[Fault("nan", step=step)])
    with pytest.warns(ConvergenceWarning) as warned:
        clf.set_params(options__max_time=60).fit(X, y)
    diverged, shortened = [str(w.message) for w in warned]
    assert diverged.startswith("Training diverged once")
    assert shortened.startswith("max_time=60 (seconds) was too short")
    assert clf.summary().warnings == [diverged, shortened]
    assert Clock.now - 1000 <= 61  # an epoch that is repeated has a step
    assert np.isfinite(clf.predict_proba(X)).all()


def test_cross_fitting_divides_the_limit(quick, iris):
    X, y, _ = iris
    clf = quick(temperature="cross-fit", batch_size=50, max_epochs=100)
    with pytest.warns(ConvergenceWarning) as warned:
        clf.set_params(options__max_time=80).fit(X, y)
    assert [str(w.message).partition(" ")[0] for w in warned] == [
        *["max_time=20"] * 3,
        "max_time=80",
    ]
    assert clf.fit_time_ == 80
    assert n_steps(clf) == 20
    assert len(clf.summary().warnings) == 1


def test_the_table_shows_the_time_that_is_left(quick, iris, capsys):
    X, y, _ = iris
    clf = quick(batch_size=50, max_epochs=100, verbose=1)
    with pytest.warns(ConvergenceWarning):
        clf.set_params(options__max_time=60).fit(X, y)
    rows = [columns_of(line) for line in capsys.readouterr().out.splitlines()[2:-1]]
    assert len(rows) == 20
    for i, row in enumerate(rows, 1):
        assert row[-2:] == [f"{3 * i // 60}:{3 * i % 60:02}", f"0:{60 - 3 * i:02}"]


def test_callbacks_of_scikit_learn_see_the_epochs_that_are_done(quick, iris):
    X, y, _ = iris
    ended = []

    class Tasks:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            ended.append(context.task_name)

    clf = quick(batch_size=50, max_epochs=100).set_callbacks(Tasks())
    with pytest.warns(ConvergenceWarning):
        clf.set_params(options__max_time=60).fit(X, y)
    assert ended == [*["epoch"] * 20, "fit"]


def test_choices_tell_that_the_number_of_epochs_is_the_largest(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs="auto", options=limited(6))
    with pytest.warns(ConvergenceWarning, match="shortened to 3 of 500 epochs"):
        clf.fit(X, y)
    assert clf.choices_["max_epochs"] == "at most 500 epochs of 150 rows"
