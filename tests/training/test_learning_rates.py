"""Schedules of the learning rates, and the state of the optimizer."""

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import LRScheduler

from sk_ssvae.models import M2
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.learning_rates import DECAY, LARGE_STEPS
from sk_ssvae.utils.optimizers import Adam

SPREADING = LabelSpreading(kernel="knn", n_neighbors=7)


class HasClassifier(torch.nn.Module):
    """A network with a part that is named as those of torchvision."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.classifier = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.classifier(x)


class DerivedM2(M2):
    """A model that takes large steps, as M2 does."""


@pytest.fixture
def rates(monkeypatch):
    """Record, for each step, the learning rate of the classifier and of the rest."""
    recorded = []
    step = Adam.step

    def recording_step(self, closure=None):
        by_role = {bool(g.get("is_classifier")): g["lr"] for g in self.param_groups}
        recorded.append((by_role.get(True), by_role[False]))
        return step(self, closure)

    monkeypatch.setattr(Adam, "step", recording_step)
    return recorded


def decay(n_steps):
    return np.minimum(1, (1 - np.arange(n_steps) / n_steps) / DECAY)


@pytest.mark.parametrize(
    ("params", "large_steps"),
    [
        ({}, True),
        ({"model": "sdgm"}, False),
        ({"model": "adgm"}, False),
        ({"encoder_module": HasClassifier}, False),
        ({"classifier_module": torch.nn.Linear}, False),
        ({"early_stopping": True}, False),
        ({"model": DerivedM2()}, True),
    ],
)
def test_rates_with_soft_targets(quick, iris, rates, params, large_steps):
    """That of the classifier falls to zero, and large ones of the others, too."""
    X, y, _ = iris
    params = {"teacher": SPREADING, "max_epochs": 4, "batch_size": 50, **params}
    clf = quick(**params).fit(X, y)
    classifier, others = np.array(rates).T
    assert len(rates) == 4 * int(np.ceil(len(X) / 50))
    planned = clf.learning_rate * decay(len(rates))
    if large_steps:
        np.testing.assert_allclose(classifier, LARGE_STEPS[0] * planned)
        np.testing.assert_allclose(others, LARGE_STEPS[1] * planned)
    else:
        np.testing.assert_allclose(classifier, planned)
        assert (others == clf.learning_rate).all()


def test_large_steps_need_fewer_epochs(quick):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(160, 2)), np.full(160, -1)
    y[:4] = 0, 1, 0, 1
    automatic = {"teacher": SPREADING, "max_epochs": "auto", "batch_size": 10}
    epochs = [
        quick(**automatic, **params).fit(X, y).n_iter_
        for params in (
            {},
            {"model": "sdgm"},
            {"encoder_module": torch.nn.Linear},
            {"options": ClassifierOptions(teacher_weight=0.0)},
        )
    ]
    assert epochs == [20, 30, 30, 30]


@pytest.mark.parametrize(("n_columns", "factor"), [(1500, 2.0), (1501, 1.0)])
def test_rates_with_many_columns(quick, rates, n_columns, factor):
    """A constant column does not count."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(160, n_columns + 1)), np.full(160, -1)
    X[:, 0] = 1.0
    y[:4] = 0, 1, 0, 1
    clf = quick(teacher=SPREADING, max_epochs="auto", batch_size=10, hidden_sizes=(2,))
    clf.fit(X, y)
    assert clf.n_iter_ == 20
    np.testing.assert_allclose(rates[0], np.array([1.5, factor]) * clf.learning_rate)
    assert clf.net_.objective.alpha == n_columns / 25
    assert clf.choices_["alpha"] == f"60, for {n_columns} columns"


def test_rate_is_constant_without_soft_targets(quick, iris, rates):
    X, y, truth = iris
    clf = quick(teacher=None, max_epochs=4, batch_size=50).fit(X, y)
    assert (np.array(rates) == clf.learning_rate).all()
    rates.clear()
    # There is a teacher, but nothing that it can teach.
    options = ClassifierOptions(teacher_weight=0.0)
    quick(teacher=SPREADING, options=options, batch_size=50).fit(X, y)
    options = ClassifierOptions(labeled_validation_fraction=0.2)
    quick(teacher=SPREADING, options=options).fit(X, truth)
    assert (np.array(rates) == clf.learning_rate).all()
    rates.clear()
    clf = quick(teacher=SPREADING, batch_size=50)
    clf.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert len(rates) > 2
    assert (np.array(rates) == clf.learning_rate).all()


def test_schedules_of_the_user_are_multiplied(quick, iris, rates):
    X, y, _ = iris
    schedule = LRScheduler(
        policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5
    )
    quick(teacher=SPREADING, max_epochs=3, batch_size=75, callbacks=[schedule]).fit(
        X, y
    )
    classifier, others = np.array(rates).T
    n_batches = len(rates) // 3
    schedules = np.repeat([1, 0.5, 0.25], n_batches) * decay(len(rates))
    np.testing.assert_allclose(classifier / classifier[0], schedules)
    np.testing.assert_allclose(others / others[0], schedules)


def test_the_classifier_has_a_group_of_the_optimizer(quick, iris):
    X, y, _ = iris
    networks = dict.fromkeys(("encoder_module", "decoder_module"), HasClassifier)
    for params in (
        *({"model": model} for model in ("m2", "m1+m2", "sdgm", "adgm")),
        networks,
        {"model": "m1+m2", **networks},
        {"classifier_module": torch.nn.Linear},
    ):
        net = quick(**params).fit(X, y).net_
        (group,) = (
            g for g in net.optimizer_.param_groups if g.get("is_classifier", False)
        )
        expected = {
            id(p)
            for name, p in net.module_.named_parameters()
            if name.removeprefix("m2.").startswith("classifier.")
        }
        assert expected == {id(p) for p in group["params"]}
        assert expected


def test_optimizer_state_is_indexed_by_the_parameters_of_the_module(quick, iris):
    X, y, _ = iris
    net = quick().fit(X, y).net_
    arrays = net.optimizer_state()
    parameters = list(net.module_.parameters())
    assert len(arrays) == 3 * len(parameters)
    for i, parameter in enumerate(parameters):
        average = net.optimizer_.state[parameter]["exp_avg"]
        np.testing.assert_array_equal(arrays[f"{i}.exp_avg"], average.numpy())
    other = quick(random_state=1).fit(X, hide(y, 3, seed=1)).net_
    other.load_optimizer_state(arrays)
    for key, array in other.optimizer_state().items():
        np.testing.assert_array_equal(array, arrays[key])
