"""The net: callbacks of skorch and scikit-learn, devices, interruption."""

import copy
import io
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.base import clone
from sklearn.callback import ProgressBar as SklearnProgressBar
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    ProgressBar,
)

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.training.objective import Loss
from sk_ssvae.utils.devices import resolve_device


def weights(clf):
    return {k: v.clone() for k, v in clf.module_.state_dict().items()}


def held_out_rows(net):
    rows = net.train_split(None)[1]
    return rows.encoded(rows.order)


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_training_raises_the_bound_and_lowers_the_loss(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=100, batch_size=50).fit(X, y)
    history = clf.history_
    assert history[-1]["bound"] > history[0]["bound"] + 1
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    for epoch in history:
        parts = (epoch[name] for name in Loss._fields[1:])
        bound, *rest = parts
        total = -bound + clf.alpha * sum(rest)
        assert epoch["train_loss"] == pytest.approx(total, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_rows_without_labels_teach():
    """Two labels a class: the same estimator does far worse without the other rows."""
    X, truth = load_digits(n_class=6, return_X_y=True)
    X, y = X / 16, hide(truth, 2, seed=1)
    labelled = y >= 0
    with_all = SSVAEClassifier(max_epochs=30, random_state=0).fit(X, y)
    without = SSVAEClassifier(max_epochs=800, random_state=0)
    without.fit(X[labelled], y[labelled])
    assert with_all.score(X, truth) > without.score(X, truth) + 0.1


def test_every_minibatch_of_training_has_labels(quick, iris):
    X, y, _ = iris
    seen = []

    class Record(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs):
            seen.append((len(batch[0]["x"]), len(batch[1])))

    quick(batch_size=20, callbacks=[Record()]).fit(X, y)
    assert len(seen) == 4 * 8
    assert set(seen) == {(22, 5)}  # 17 of 135 unlabelled, a quarter of 20 labelled


def test_teacher_is_heard(quick, iris):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(max_epochs=10, teacher=teacher, teacher_weight=3.0).fit(X, y)
    heard = [epoch["teacher"] for epoch in clf.history_]
    assert all(value > 0 for value in heard)
    unheard = {"teacher_weight": 0.0, "balance_weight": 0.0, "class_prior": "uniform"}
    deaf = quick(max_epochs=10, teacher=teacher, **unheard).fit(X, y)
    alone = quick(max_epochs=10).fit(X, y)
    assert same(weights(deaf), weights(alone))


def test_a_teacher_of_labelled_rows_only_is_not_asked(quick, iris):
    X, _, truth = iris

    class Untaught(LabelSpreading):
        def fit(self, X, y):
            raise AssertionError("asked")

    quick(teacher=Untaught()).fit(X, truth)


def test_early_stopping(quick, iris):
    X, y, _ = iris
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a callback that stops is no interruption
        clf = quick(max_epochs=50, callbacks=[stop]).fit(X, y)
    assert clf.n_iter_ == 3  # the first is the best, two are worse
    assert len(clf.history_) == 3
    assert clf.predict(X).shape == (150,)


def test_early_stopping_restores_the_best(quick, iris):
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


def test_validation_loss_is_minus_the_bound_of_rows_held_out(quick, iris):
    X, y, _ = iris
    seen = []

    class Record(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.extend(held_out_rows(net).tolist())

    clf = quick(validation_fraction=0.2, batch_size=7, callbacks=[Record()]).fit(X, y)
    assert len(seen) == 27  # of 135 unlabelled rows
    rows = clf._columns.encode(X)
    held_out = [i for i in range(150) if rows[i].tolist() in seen]
    assert (y[held_out] == -1).all()
    # the last epoch's loss, from the weights after it, up to the noise of z
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


def test_validation_rows_teach_nothing(quick, iris):
    X, y, _ = iris
    hidden = np.flatnonzero(y == -1)
    clf = quick(validation_fraction=0.2)
    seen = []

    class Record(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.append(held_out_rows(net).numpy())

    plain = clf.set_params(callbacks=[Record()]).fit(X, y)
    rows = plain._columns.encode(X)
    held_out = [i for i in hidden if (rows[i] == seen[0]).all(1).any()]
    moved = X.copy()
    moved[held_out] = X[held_out][::-1]  # the same moments, other rows
    first = plain.predict_proba(X)
    second = clone(clf).fit(moved, y).predict_proba(X)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_early_stopping_and_checkpoint_as_they_come(quick, iris, tmp_path):
    X, y, _ = iris
    callbacks = [EarlyStopping(patience=3), Checkpoint(dirname=tmp_path)]
    clf = quick(
        max_epochs=400, learning_rate=0.03, validation_fraction=0.2, callbacks=callbacks
    ).fit(X, y)
    losses = [epoch["valid_loss"] for epoch in clf.history_]
    assert clf.n_iter_ == len(losses) < 400
    assert clf.history_[int(np.argmin(losses))]["event_cp"]


def test_monitors_of_a_validation_loss_that_is_not_there(quick, iris, tmp_path):
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
            "validation_fraction, e.g. to 0.1 (partial_fit holds out none), or let it "
            "monitor 'train_loss'."
        )
        assert not hasattr(clf, "net_")


def test_nothing_to_hold_out(quick, iris):
    X, y, truth = iris
    for labels, fraction, counts in (
        (truth, 0.1, "the 0 unlabelled rows (of 150 in all)"),
        (y, 0.001, "the 135 unlabelled rows (of 150 in all)"),
    ):
        with pytest.raises(ValueError) as error:
            quick(validation_fraction=fraction).fit(X, labels)
        assert str(error.value) == (
            f"validation_fraction={fraction} of {counts} leaves no row to validate or "
            "none to train on. Set it to 0 or give more unlabelled rows."
        )
    quick(validation_fraction=0.1).partial_fit(X, truth, classes=[0, 1, 2])


def test_learning_rate_scheduler(quick, iris):
    X, y, _ = iris
    schedule = LRScheduler(
        policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5
    )
    clf = quick(learning_rate=0.08, callbacks=[schedule]).fit(X, y)
    rates = [epoch["event_lr"] for epoch in clf.history_]
    np.testing.assert_allclose(rates, [0.08, 0.04, 0.02, 0.01])


def test_checkpoint(quick, iris, tmp_path):
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


def test_epoch_scoring_leaves_the_generators_alone(quick, iris, global_generators):
    X, y, _ = iris

    def certainty(net, rows, y):
        return net.predict_proba(rows).max(1).mean()

    score = EpochScoring(certainty, name="certainty", on_train=True, use_caching=False)
    before = global_generators()
    clf = quick(callbacks=[score]).fit(X, y)
    assert global_generators() == before
    expected = clf.predict_proba(X).max(1).mean()
    assert clf.history_[-1]["certainty"] == pytest.approx(expected, rel=1e-5)


def test_verbose(quick, iris):
    X, y, _ = iris
    for verbose, lines in ((0, 0), (1, 6)):  # a header of two lines, four epochs
        out = io.StringIO()
        with redirect_stdout(out):
            quick(verbose=verbose).fit(X, y)
        assert len(out.getvalue().splitlines()) == lines


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
    """A scikit-learn callback that records tasks, and may ask to stop."""

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


def test_scikit_learns_callbacks_see_every_epoch(quick, iris):
    X, y, _ = iris
    tasks = Tasks()
    clf = quick(max_epochs=2).set_callbacks(tasks).fit(X, y)
    epoch = ["begin epoch", "end epoch"]
    assert tasks.events == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]
    first, second, _ = tasks.estimators
    assert (first.predict_proba(X) != second.predict_proba(X)).any()
    np.testing.assert_array_equal(second.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(second.transform(X), clf.transform(X))


def test_scikit_learns_callbacks_can_stop(quick, iris):
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


class Interrupt(Callback):
    """Press ctrl-C in a given batch of a given epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 2:
            raise KeyboardInterrupt


def bounds_of(history):
    return [-row["valid_loss"] for row in history]


def test_early_stopping_keeps_the_weights_of_the_best_bound(iris, quick):
    X, y, _ = iris
    parameters = {
        "max_epochs": 300,
        "learning_rate": 0.03,
        "n_iter_no_change": 4,
        "batch_size": 32,
    }
    clf = quick(early_stopping=True, tol=0.0, **parameters).fit(X, y)
    bounds = bounds_of(clf.history_)
    best = int(np.argmax(bounds))
    assert 5 < clf.n_iter_ == best + 1 + 4 < 300
    assert clf.validation_bound_ == bounds[best]
    # the same as a run that ends there
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
    clf = quick(early_stopping=True, tol=1e9, n_iter_no_change=3, max_epochs=50)
    assert clf.fit(X, y).n_iter_ == 4
    assert clf.validation_bound_ == bounds_of(clf.history_)[0]


def test_each_stage_stops_early_on_its_own(iris):
    X, y, _ = iris
    clf = SSVAEClassifier(
        2,
        model="m1+m2",
        inner_size=3,
        hidden_sizes=(8,),
        teacher=None,
        pretrain_epochs=9,
        max_epochs=7,
        early_stopping=True,
        n_iter_no_change=2,
        tol=1e9,
        random_state=0,
    ).fit(X, y)
    assert clf.n_iter_ == 3 + 3
    assert clf.validation_bound_ == bounds_of(clf.history_)[3]


def test_a_vae_stops_early(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(
        2,
        hidden_sizes=(8,),
        max_epochs=50,
        early_stopping=True,
        tol=1e9,
        n_iter_no_change=2,
        random_state=0,
    ).fit(X)
    assert vae.n_iter_ == 3
    assert vae.validation_bound_ == bounds_of(vae.history_)[0]


def test_early_stopping_needs_rows_to_stop_by(iris, quick):
    X, y, truth = iris
    with pytest.raises(ValueError) as error:
        quick(early_stopping=True, validation_fraction=0.0).fit(X, y)
    assert str(error.value) == (
        "early_stopping=True needs rows that are held out, but "
        "validation_fraction=0.0. Set it to 'auto' or a share such as 0.1."
    )
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 of the 0 unlab"):
        quick(early_stopping=True).fit(X, truth)
    streamed = quick(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    assert streamed.validation_bound_ is None
    assert quick().fit(X, y).validation_bound_ is None


@pytest.mark.parametrize("epoch", [1, 3])
def test_keyboard_interrupt_leaves_the_epochs_done(quick, iris, epoch):
    X, y, _ = iris
    clf = quick(max_epochs=9, batch_size=50, callbacks=[Interrupt(epoch)])
    message = (
        f"Training was interrupted after {epoch - 1} of 9 epochs. The model is usable "
        "as it is."
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

    class Impatient(LabelSpreading):
        def fit(self, X, y):
            raise KeyboardInterrupt

    clf = quick().fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(teacher=Impatient())
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], y)
    np.testing.assert_array_equal(before, clf.predict_proba(X))


def test_weights_that_are_not_finite_are_noticed(quick, iris):
    X, y, _ = iris

    class Poison(Callback):
        def on_train_end(self, net, **kwargs):
            with torch.no_grad():
                next(net.module_.parameters()).view(-1)[0] = torch.nan

    message = "Training diverged: weights are no longer finite after epoch 4."
    with pytest.raises(ValueError, match=message):
        quick(callbacks=[Poison()]).fit(X, y)


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}
    for name in ("gpu", "cuda:99", "meta", "", "auto "):
        with pytest.raises(ValueError) as error:
            resolve_device(name)
        assert str(error.value).startswith(
            f"device={name!r} is not available on this machine. Use 'auto' or one of ["
        )
    assert "'cpu'" in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there(quick, iris):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(device="cuda").fit(X, y)
    available = ["mps", "cpu"] if torch.backends.mps.is_available() else ["cpu"]
    assert str(error.value) == (
        "device='cuda' is not available on this machine. Use 'auto' or one of "
        f"{available}."
    )


@pytest.mark.parametrize(
    "device",
    [
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"),
        ),
        pytest.param(
            "mps",
            marks=pytest.mark.skipif(
                not torch.backends.mps.is_available(), reason="no MPS"
            ),
        ),
    ],
)
def test_accelerators(quick, iris, device):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(device=device, teacher=teacher, max_epochs=40).fit(X, y)
    assert clf.device_.type == device
    again = quick(device=device, teacher=teacher, max_epochs=40).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))
    cpu = quick(device="cpu", teacher=teacher, max_epochs=40).fit(X, y)
    assert (clf.predict(X) == cpu.predict(X)).mean() > 0.9
    assert np.isfinite(clf.score_samples(X)).all()
    assert clf.sample(3)[0].shape == (3, 4)
    assert clf.transform(X).shape == (150, 2)


def test_callbacks_that_were_refused_are_refused_again(quick, iris):
    X, y, _ = iris
    clf = quick(warm_start=True).fit(X, y)
    clf.set_params(callbacks=[("a", Callback()), ("a", Callback())])
    for _ in range(2):
        with pytest.raises(ValueError, match="duplicate user-set callback name"):
            clf.fit(X, y)
    assert clf.n_iter_ == 4
    clf.set_params(callbacks=None).fit(X, y)
    assert clf.n_iter_ == 8


def test_callbacks_that_are_added_to_the_list(quick, iris):
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


def test_an_error_after_training_undoes_it(quick, iris, monkeypatch):
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


def test_snapshots_for_callbacks_stay_as_they_are(quick, iris):
    X, y, _ = iris
    net = quick().fit(X, y).net_
    twin = net.snapshot()
    net.history_.new_epoch()
    assert (len(twin.history_), len(net.history_)) == (4, 5)


def test_epochs_by_default_count_rows_that_are_trained_on(quick, iris, monkeypatch):
    """Rows of no weight, or held out, make no minibatch."""
    X, y, _ = iris
    # a tenth of what they are: the rule is the same
    monkeypatch.setattr("sk_ssvae.training.batches.EPOCHS", 6)
    monkeypatch.setattr("sk_ssvae.training.batches.FEWEST_BATCHES", 100)
    clf = quick(max_epochs="auto", batch_size=4)
    kept = np.r_[np.flatnonzero(y >= 0), np.flatnonzero(y < 0)[:5]]
    weight = np.isin(np.arange(len(y)), kept).astype(float)
    assert len(kept) == 20
    assert clf.fit(X[kept], y[kept]).n_iter_ == 100 // 5
    assert clf.fit(X, y, sample_weight=weight).n_iter_ == 100 // 5
    held = clone(clf).set_params(validation_fraction=0.8).fit(X[kept], y[kept])
    assert held.n_iter_ == 100 // 4
    assert clf.fit(X, y).n_iter_ == 6


@pytest.mark.slow
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_adversarial_training_smooths_answers(quick, iris, model):
    """Answers for rows near those of training move less."""
    X, y, _ = iris
    params = {"model": model, "inner_size": 4, "max_epochs": 60, "pretrain_epochs": 20}
    rough = quick(**params).fit(X, y)
    smooth = quick(**params, adversarial_weight=3.0, adversarial_radius=0.5).fit(X, y)
    step = 0.3 * X.std(0) * np.random.RandomState(0).randn(*X.shape)

    def moves(clf):
        return np.abs(clf.predict_proba(X + step) - clf.predict_proba(X)).sum(1).mean()

    assert moves(smooth) < 0.9 * moves(rough)
    assert all(row["adversarial"] == 0 for row in rough.history_)
    assert smooth.history_[-1]["adversarial"] > 0


def test_without_adversarial_training_nothing_changes(quick, iris):
    """Its draws come after all others."""
    X, y, _ = iris
    plain = quick().fit(X, y)
    radius = quick(adversarial_radius=7.0).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), radius.predict_proba(X))


def test_early_stopping_waits_until_the_divergence_has_its_weight():
    """Training without it, as in the first epochs, makes the bound worse."""
    X = (load_digits().data[:300] > 7).astype(float)
    vae = VariationalAutoencoder(
        hidden_sizes=(32,),
        batch_size=50,
        max_epochs=300,
        learning_rate=0.01,
        early_stopping=True,
        n_iter_no_change=2,
        random_state=0,
    ).fit(X)
    bounds = bounds_of(vae.history_)
    assert vae.likelihood_ == "bernoulli"
    assert bounds[3] < bounds[2] > bounds[4]  # where it would have stopped
    assert 120 <= vae.n_iter_ < 300
    assert vae.validation_bound_ == max(bounds) > bounds[2] + 5
