"""Nested parameters of callbacks, and of parameters that have none."""

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder

STOP = {"monitor": "train_loss", "threshold": 1e9}
"""Early stopping that counts each epoch after the first as one without improvement."""


def message(call):
    with pytest.raises(ValueError) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("kind", [SSVAEClassifier, VariationalAutoencoder])
def test_parameters_of_callbacks_are_those_of_skorch(kind, tmp_path):
    callbacks = [
        ("es", EarlyStopping(patience=7)),
        Checkpoint(),
        LRScheduler(policy="StepLR", step_size=3),
        ("last", LRScheduler()),
        Checkpoint(dirname=str(tmp_path)),
    ]
    ours = kind(callbacks=callbacks).get_params()
    net = NeuralNetClassifier(None, callbacks=callbacks)
    net.initialize_callbacks()
    defaults = ("epoch_timer", "train_loss", "valid_loss", "valid_acc", "print_log")
    expected = {
        name: value
        for name, value in net.get_params().items()
        if name.startswith("callbacks__") and name.split("__")[1] not in defaults
    }
    assert {k: v for k, v in ours.items() if k.startswith("callbacks__")} == expected
    assert {"callbacks__es__patience", "callbacks__Checkpoint_2__dirname"} <= set(ours)
    assert not any(name.startswith("callbacks__") for name in kind().get_params())
    assert "callbacks__es" not in kind(callbacks=callbacks).get_params(deep=False)


def test_parameters_of_callbacks_can_be_set(quick, iris):
    X, y, _ = iris
    stop = EarlyStopping(**STOP, patience=9)
    for callbacks, name in (([("es", stop)], "es"), ([stop], "EarlyStopping")):
        clf = quick(max_epochs=20, callbacks=callbacks)
        same = clf.set_params(**{f"callbacks__{name}__patience": 2}, alpha=3.0)
        assert same is clf
        assert (stop.patience, clf.alpha, clf.callbacks) == (2, 3.0, callbacks)
        assert clf.fit(X, y).n_iter_ == 3


def test_callbacks_can_be_replaced_and_disabled(quick, iris):
    X, y, _ = iris
    first, second = EarlyStopping(**STOP, patience=1), EarlyStopping(**STOP, patience=3)
    clf = quick(max_epochs=10, callbacks=[first, second])
    assert clf.fit(X, y).n_iter_ == 2
    clf.set_params(callbacks__EarlyStopping_1=None)
    assert clf.callbacks == [("EarlyStopping_1", None), ("EarlyStopping_2", second)]
    assert clf.fit(X, y).n_iter_ == 4
    assert clone(clf).fit(X, y).n_iter_ == 4
    clf.set_params(
        callbacks__EarlyStopping_1__patience=2,
        callbacks__EarlyStopping_1=EarlyStopping(**STOP),
    )
    assert clf.fit(X, y).n_iter_ == 3


def test_callback_classes_get_their_parameters(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=10, callbacks=[EarlyStopping])
    assert clf.get_params()["callbacks__EarlyStopping"] is EarlyStopping
    parameters = {f"callbacks__EarlyStopping__{k}": v for k, v in STOP.items()}
    clf.set_params(**parameters, callbacks__EarlyStopping__patience=2)
    assert clf.fit(X, y).n_iter_ == 3


def test_clones_have_callbacks_of_their_own(quick):
    clf = quick(callbacks=[("es", EarlyStopping(patience=7)), Checkpoint()])
    twin = clone(clf)
    assert sorted(twin.get_params()) == sorted(clf.get_params())
    twin.set_params(callbacks__es__patience=2)
    assert clf.get_params()["callbacks__es__patience"] == 7


def test_grid_search_over_parameters_of_callbacks(quick, iris):
    X, _, y = iris
    clf = quick(max_epochs=8, callbacks=[("es", EarlyStopping(**STOP))])
    grid = {"ssvaeclassifier__callbacks__es__patience": [1, 3]}
    pipe = make_pipeline(StandardScaler(), clf)
    scorer = lambda model, X, y: model[-1].n_iter_  # noqa: E731
    search = GridSearchCV(pipe, grid, cv=2, scoring=scorer).fit(X, y)
    assert search.cv_results_["mean_test_score"].tolist() == [2, 4]
    assert search.best_estimator_[-1].callbacks[0][1].patience == 3


def test_a_changed_callback_starts_anew_when_training_continues(quick, iris):
    X, y, _ = iris

    class Count(Callback):
        def __init__(self, step=1):
            self.step = step

        def initialize(self):
            self.total_ = 0
            return self

        def on_epoch_end(self, net, **kwargs):
            self.total_ += self.step

    count = Count()
    clf = quick(warm_start=True, callbacks=[("count", count)]).fit(X, y).fit(X, y)
    assert count.total_ == 8
    clf.set_params(callbacks__count__step=10).fit(X, y)
    assert count.total_ == 40


def test_invalid_names_of_callbacks_are_errors(quick):
    stop = EarlyStopping(patience=7)
    clf = quick(callbacks=[("es", stop), Checkpoint()])
    start = "estimator SSVAEClassifier: "
    assert message(lambda: clf.set_params(callbacks__ea__patience=2, alpha=1.0)) == (
        f"Invalid parameter 'callbacks__ea__patience' for {start}no callback is named "
        "'ea'. Names of its callbacks are: ['es', 'Checkpoint']. Pass a pair, e.g. "
        "('ea', EarlyStopping()), to name one."
    )
    assert message(
        lambda: clf.set_params(callbacks__es__patience=2, callbacks__es__patienc=3)
    ) == (
        "Invalid parameter 'patienc' for the callback 'es', EarlyStopping. Valid "
        f"parameters are: {sorted(stop.get_params())}."
    )
    assert (clf.alpha, stop.patience) == ("auto", 7)  # nothing was set
    assert message(lambda: quick().set_params(callbacks__es__patience=2)) == (
        f"Invalid parameter 'callbacks__es__patience' for {start}it has no callbacks. "
        "Pass e.g. callbacks=[('es', EarlyStopping())] to name one."
    )
    assert message(lambda: clf.set_params(callbacks__print_log=None)) == (
        f"Invalid parameter 'callbacks__print_log' for {start}'print_log' is a "
        "callback of skorch that this estimator does not have. Set verbose to choose "
        "whether the epochs are printed."
    )
    clf.set_params(callbacks__es=None)
    assert message(lambda: clf.set_params(callbacks__es__patience=2)) == (
        f"Invalid parameter 'callbacks__es__patience' for {start}the callback 'es' is "
        "None and has no parameters. Set callbacks__es to a callback first."
    )
    clf.set_params(callbacks=[EarlyStopping])
    assert "Valid parameters are: ['load_best'" in message(
        lambda: clf.set_params(callbacks__EarlyStopping__patienc=2)
    )


def test_no_object_changes_if_the_name_of_a_callback_is_invalid(quick):
    clf = quick(callbacks=[("a", EarlyStopping()), ("b", EarlyStopping())])
    with pytest.raises(ValueError, match="Invalid parameter 'patients'"):
        clf.set_params(callbacks__a__patience=1, callbacks__b__patients=2)
    assert clf.get_params()["callbacks__a__patience"] == 5
    teacher = LabelSpreading(alpha=0.2)
    clf.set_params(teacher=teacher)
    with pytest.raises(ValueError, match="no callback is named 'c'"):
        clf.set_params(teacher__alpha=0.5, callbacks__c__patience=1)
    assert teacher.alpha == 0.2


def test_what_has_no_parameters_says_what_to_pass(quick):
    start = "Invalid parameter '{}' for estimator SSVAEClassifier:"
    pool = quick(teacher="pool")
    assert message(lambda: pool.set_params(teacher__max_rows=9)) == (
        start.format("teacher__max_rows") + " teacher='pool' has no parameters. Pass "
        "teacher=OpinionPoolClassifier(max_rows=...), or another classifier that takes "
        "-1."
    )
    assert message(lambda: quick().set_params(teacher__n_job=2)) == (
        start.format("teacher__n_job") + " teacher=None has no parameters. Pass a "
        "classifier that takes -1: teacher=OpinionPoolClassifier(...), whose "
        f"parameters are {sorted(OpinionPoolClassifier().get_params())}, or another "
        "one that has 'n_job'."
    )
    for name, value in {
        "device": "auto",
        "hidden_sizes": (16,),
        "random_state": 0,
        "unlabeled": -1,
    }.items():
        assert message(lambda n=name: quick().set_params(**{f"{n}__x": 1})) == (
            start.format(f"{name}__x") + f" {name}={value!r} has no parameters. Set "
            f"{name} itself."
        )
    wrong = quick(teacher=LabelSpreading)
    assert message(lambda: wrong.set_params(teacher__alpha=0.9)) == (
        start.format("teacher__alpha") + " teacher is the class LabelSpreading. Pass "
        "an instance, teacher=LabelSpreading(alpha=...)."
    )
    assert "Invalid parameter 'nonsense' for" in message(
        lambda: quick().set_params(nonsense__x=1)
    )
    assert "Invalid parameter 'beta' for estimator LabelSpreading" in message(
        lambda: quick(teacher=LabelSpreading()).set_params(teacher__beta=1)
    )
    vae = VariationalAutoencoder()
    assert message(lambda: vae.set_params(device__index=1)).startswith(
        "Invalid parameter 'device__index' for estimator VariationalAutoencoder: "
        "device='auto' has no parameters."
    )


def test_a_teacher_and_its_parameter_can_be_set_together(quick):
    clf = quick(teacher="pool")
    clf.set_params(teacher__max_rows=50, teacher=OpinionPoolClassifier())
    assert clf.teacher.max_rows == 50
    assert clf.get_params()["teacher__max_rows"] == 50
