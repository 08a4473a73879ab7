"""Callbacks that monitor entries of the history that are not there."""

import numpy as np
import pytest
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)

from sk_ssvae import VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions

ADD = " Put a callback that records further ones, such as EpochScoring, before it."

HOLD_OUT_LABELS = (
    "but no labelled rows are held out. Set "
    "options=ClassifierOptions(labeled_validation_fraction=0.2) (partial_fit holds out "
    "none), or put EpochScoring('accuracy', lower_is_better=False, on_train=True) "
    "before it and set its monitor to 'accuracy'."
)

CHECKED = {
    "EarlyStopping": EarlyStopping,
    "Checkpoint": lambda monitor: Checkpoint(monitor=monitor, dirname="never-made"),
    "LRScheduler": lambda monitor: LRScheduler("ReduceLROnPlateau", monitor=monitor),
}


class Listener(Callback):
    """Fails if training begins."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError

    # A class of one's own would leave the entries of the history unknown.
    __module__ = "skorch.callbacks"


def error_of(call):
    with pytest.raises(ValueError) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("name", CHECKED)
def test_the_nearest_entry_is_named_first_and_before_training(quick, iris, name):
    X, y, _ = iris
    for monitor, nearest in (("train_los", "train_loss"), ("bond", "bound")):
        callbacks = [CHECKED[name](monitor=monitor), Listener()]
        clf = quick(teacher="pool", callbacks=callbacks)
        message = error_of(lambda c=clf: c.fit(X, y))
        start = (
            f"The callback {name} monitors '{monitor}', which is not in the history. "
            f"Its entries are, the nearest name first: '{nearest}', "
        )
        assert message.startswith(start)
        assert message.endswith(ADD)
        assert "'kl'" in message
        assert "valid_loss" not in message  # no rows are held out
        assert not hasattr(clf, "net_")


def test_every_entry_that_is_recorded_is_named_and_can_be_monitored(quick, iris):
    X, y, _ = iris
    options = ClassifierOptions(labeled_validation_fraction=0.4)
    for params in ({}, {"validation_fraction": 0.2}, {"options": options}):
        clf = quick(max_epochs=1, callbacks=[EarlyStopping("nonsense")], **params)
        message = error_of(lambda c=clf: c.fit(X, y))
        listed = message.split("first: ")[1].removesuffix(ADD).rstrip(".")
        named = {entry.strip("'") for entry in listed.split(", ")}
        history = quick(max_epochs=1, **params).fit(X, y).history_
        assert named == set(history[-1]) - {"batches"}
    stops = [(f"at {key}", EarlyStopping(key)) for key in sorted(named)]
    assert quick(callbacks=stops, options=options).fit(X, y).n_iter_ > 1


def test_advice_for_held_out_rows_is_given_where_it_is_right(quick, iris):
    X, y, _ = iris
    stop = [EarlyStopping(monitor="valid_loss")]
    message = error_of(lambda: quick(callbacks=stop).fit(X, y))
    assert "Set validation_fraction, e.g. to 0.1" in message
    quick(callbacks=stop, validation_fraction=0.2).fit(X, y)
    for monitor in ("valid_acc", "valid_acc_best"):
        stop = [EarlyStopping(monitor=monitor)]
        for fraction in (0.0, 0.2):
            clf = quick(callbacks=stop, validation_fraction=fraction)
            assert error_of(lambda c=clf: c.fit(X, y)) == (
                f"The callback EarlyStopping monitors '{monitor}', {HOLD_OUT_LABELS}"
            )
        message = error_of(lambda: VariationalAutoencoder(callbacks=stop).fit(X))  # noqa: B023
        assert "which is not in the history" in message
        assert "labeled_validation_fraction" not in message


def test_entries_of_other_callbacks_have_to_come_first(quick, iris):
    X, y, _ = iris
    score = EpochScoring("accuracy", on_train=True, lower_is_better=False)
    for monitor in ("accuracy", "accuracy_best"):
        stop = EarlyStopping(monitor=monitor)
        assert error_of(lambda s=stop: quick(callbacks=[s, score]).fit(X, y)) == (
            f"The callback EarlyStopping monitors '{monitor}', which the callback "
            "EpochScoring records after it. Put EpochScoring before EarlyStopping in "
            "callbacks."
        )
        quick(callbacks=[score, stop]).fit(X, y)
    schedule = LRScheduler("StepLR", step_size=1)
    quick(callbacks=[schedule, EarlyStopping("event_lr")]).fit(X, y)


def test_scores_and_names_of_other_libraries_get_their_own_advice(quick, iris):
    X, y, _ = iris
    for monitor in ("balanced_accuracy", "balanced_accuracy_best"):
        clf = quick(callbacks=[EarlyStopping(monitor)])
        assert error_of(lambda c=clf: c.fit(X, y)) == (
            f"The callback EarlyStopping monitors '{monitor}', which is a score and "
            "not in the history. Put EpochScoring('balanced_accuracy', on_train=True) "
            "before it, with lower_is_better=False if higher scores are better."
        )
    stop = [EarlyStopping("val_loss")]
    message = error_of(lambda: quick(callbacks=stop).fit(X, y))
    assert message.endswith(" With validation_fraction > 0 there is also 'valid_loss'.")
    held_out = {"validation_fraction": 0.2}
    message = error_of(lambda: quick(callbacks=stop, **held_out).fit(X, y))
    assert "the nearest name first: 'valid_loss', " in message
    assert message.endswith(ADD)


def test_epochs_without_scores_cannot_be_monitored(quick, iris):
    X, y, _ = iris
    score = EpochScoring("accuracy", on_train=True, lower_is_better=False)
    callbacks = [score, EarlyStopping("accuracy", lower_is_better=False)]
    message = (
        "The callback EarlyStopping monitors 'accuracy', a score, but epoch {} has "
        "none: it has no labelled rows, or is in an unsupervised stage of training. "
        "Set its monitor to 'train_loss'."
    )
    model = M1M2(inner_size=3, pretrain_epochs=2)
    clf = quick(callbacks=callbacks, model=model)
    assert error_of(lambda: clf.fit(X, y)) == message.format(1)
    clf = quick(callbacks=callbacks).partial_fit(X, y, classes=[0, 1, 2])
    none = np.full(150, -1)
    assert error_of(lambda: clf.partial_fit(X, none)) == message.format(2)


def test_classes_of_callbacks_are_checked(quick, iris):
    X, y, _ = iris
    message = error_of(lambda: quick(callbacks=[EarlyStopping]).fit(X, y))
    assert message.startswith(
        "The callback EarlyStopping monitors 'valid_loss', but no"
    )


def test_monitors_that_are_not_read_are_not_checked(quick, iris):
    X, y, _ = iris
    schedule = LRScheduler("StepLR", step_size=1, monitor="nonsense")
    quick(callbacks=[schedule, EarlyStopping("train_loss")]).fit(X, y)
    function = LRScheduler("ReduceLROnPlateau", monitor=lambda net: 0.0)
    quick(callbacks=[("a", None), function]).fit(X, y)


def test_schedules_of_minibatches_monitor_entries_of_minibatches(quick, iris):
    X, y, _ = iris
    steps = {"policy": "ReduceLROnPlateau", "step_every": "batch"}
    score = BatchScoring("accuracy", on_train=True, name="share")
    quick(callbacks=[LRScheduler(monitor="train_loss", **steps)]).fit(X, y)
    quick(callbacks=[score, LRScheduler(monitor="share", **steps)]).fit(X, y)
    clf = quick(callbacks=[LRScheduler(monitor="bound", **steps)])
    assert error_of(lambda: clf.fit(X, y)) == (
        "The callback LRScheduler monitors 'bound', which is not in the history. Its "
        f"entries are, the nearest name first: 'train_loss', 'train_batch_size'.{ADD}"
    )


@pytest.mark.parametrize("name", CHECKED)
def test_entries_of_callbacks_of_ones_own_are_found_when_they_are_there(
    quick, iris, name, tmp_path
):
    X, y, _ = iris

    class Own(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("own", 1.0)

    made = CHECKED[name](monitor="own")
    if name == "Checkpoint":
        made.set_params(dirname=tmp_path)
    quick(callbacks=[Own(), made]).fit(X, y)
    clf = quick(callbacks=[made.set_params(monitor="ow") or made, Own()])
    message = error_of(lambda: clf.fit(X, y))
    assert message.startswith(
        f"The callback {name} monitors 'ow', which is not in the history. Its entries "
        "are, the nearest name first: "
    )
    assert not hasattr(clf, "net_")


def test_other_errors_of_callbacks_are_left_as_they_are(quick, iris):
    X, y, _ = iris

    class Wrong(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history[-1]["absent"]

    with pytest.raises(KeyError, match="absent"):
        quick(callbacks=[Wrong(), EarlyStopping("train_loss")]).fit(X, y)


def test_errors_before_the_first_epoch_are_left_as_they_are(quick, iris):
    X, y, _ = iris

    class Wrong(Callback):
        def on_train_begin(self, net, **kwargs):
            raise KeyError("absent")

    with pytest.raises(KeyError, match="absent"):
        quick(callbacks=[Wrong(), EarlyStopping("train_loss")]).fit(X, y)
