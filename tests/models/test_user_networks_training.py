"""User-supplied networks in training: seeds, threads, modes, state and gradients."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import numpy as np
import pytest
import torch
from model_objects import make_spec
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from user_modules import USER_NETWORKS, BatchNormMLP

from sk_ssvae import VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.models.user_networks import ROLES
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.random import seeded_global_generator


def test_fits_depend_on_the_random_state_alone(quick, iris, global_generators):
    X, few, _ = iris
    torch.manual_seed(5)
    before = global_generators()
    first = quick(**USER_NETWORKS).fit(X, few)
    assert global_generators() == before
    torch.manual_seed(6)
    second = quick(**USER_NETWORKS).fit(X, few)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    other = clone(first).set_params(random_state=1).fit(X, few)
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_fits_in_parallel_threads_equal_fits_one_after_another(
    quick, iris, global_generators
):
    X, few, _ = iris

    def fit(seed):
        return quick(random_state=seed, **USER_NETWORKS).fit(X, few).predict_proba(X)

    before = global_generators()
    alone = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    assert global_generators() == before
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_wait_for_the_seeded_global_generator():
    """Otherwise the thread that leaves last would restore the other's seed."""
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first_entered, second_entered = Event(), Event()

    def first():
        with seeded_global_generator(1):
            first_entered.set()
            assert not second_entered.wait(0.2)

    def second():
        first_entered.wait(10)
        with seeded_global_generator(2):
            second_entered.set()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(first), pool.submit(second)]:
            future.result()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_factory_may_fit_an_estimator(quick, iris):
    X, few, _ = iris

    def pretrained(n_in, n_out):
        inner = quick(classifier_module=BatchNormMLP).fit(X, few)
        return inner.module_.classifier.network.train()

    clf = quick(classifier_module=pretrained)
    thread = Thread(target=clf.fit, args=(X, few), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert clf.n_iter_ == 4


def test_partial_fit_takes_single_rows(quick, iris):
    X, few, _ = iris
    clf = quick(**USER_NETWORKS)
    clf.partial_fit(X, few, classes=[0, 1, 2])
    clf.partial_fit(X[:1], few[:1]).partial_fit(X[few >= 0][:1], few[few >= 0][:1])
    assert clf.n_iter_ == 3


class BatchNormMonitor(Callback):
    """Record mode and number of batches of M1's encoder and the classifier."""

    def __init__(self):
        self.steps = []

    def on_batch_end(self, net, training, **kwargs):
        model = net.module_
        norms = [
            [m for m in part.modules() if isinstance(m, nn.BatchNorm1d)]
            for part in (model.m1.encoder, model.m2.classifier)
        ]
        if training:
            self.steps.append(
                [{(m.training, m.num_batches_tracked.item()) for m in ms}
                 for ms in norms]
            )  # fmt: skip


def test_networks_of_m1_are_frozen_in_the_second_stage(quick, iris):
    X, few, _ = iris
    monitor = BatchNormMonitor()
    clf = quick(
        model=M1M2(pretrain_epochs=2, finetune_epochs=2), max_epochs=2,
        batch_size=150, warm_start=True, callbacks=[monitor], validation_fraction=0.1,
        **USER_NETWORKS,
    ).fit(X, few)  # fmt: skip
    m1, m2 = zip(*monitor.steps, strict=True)
    assert m1 == tuple(
        {(mode, n)}
        for mode, n in [(True, 1), (True, 2), (False, 2), (False, 2), (True, 3),
                        (True, 4)]
    )  # fmt: skip
    assert m2[2:] == tuple({(True, n)} for n in (1, 2, 3, 4))
    clf.partial_fit(X, few)
    assert monitor.steps[-1] == [{(True, 5)}, {(True, 5)}]
    assert not any(m.training for m in clf.module_.modules())


class RunningMean(nn.Linear):
    """A network with state that `state_dict` leaves out."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("mean", torch.zeros(in_features), persistent=False)
        self.calls = []

    def forward(self, x):
        if self.training:
            self.mean += 0.1 * (x.mean(0) - self.mean)
            self.calls.append(len(x))
        return super().forward(x - self.mean)


def test_a_failed_fit_restores_the_whole_state_of_a_network(quick, iris):
    X, few, _ = iris
    clf, twin = (
        quick(warm_start=True, classifier_module=RunningMean, batch_size=40).fit(X, few)
        for _ in range(2)
    )
    before, calls = clf.predict_proba(X), len(clf.module_.classifier.network.calls)
    clf.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"^Training diverged"):
        clf.fit(X, few)
    network = clf.module_.classifier.network
    assert len(network.calls) == calls
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    clf.set_params(learning_rate=3e-3).fit(X, few)
    twin.fit(X, few)
    np.testing.assert_array_equal(clf.predict_proba(X), twin.predict_proba(X))


class NaNInEvaluation(nn.Linear):
    """A network that returns NaN in evaluation mode once it has been trained."""

    trained = False

    def forward(self, x):
        self.trained |= self.training
        out = super().forward(x)
        return out * float("nan") if self.trained and not self.training else out


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", ["m2", "sdgm", None])
def test_networks_that_are_finite_only_in_training_are_refused(
    quick, iris, role, model
):
    X, few, _ = iris
    if model is None:
        role = role.replace("classifier", "encoder")
        clf = VariationalAutoencoder(2, max_epochs=2)
    else:
        clf = quick(model=make_spec(model, inner_size=4))
    clf.set_params(**{role: NaNInEvaluation})
    with pytest.raises(ValueError) as error:
        clf.fit(X, few)
    assert str(error.value).startswith(
        f"Training diverged: the network of {role} gives NaN or infinity in evaluation "
        "mode after epoch "
    )
    assert not hasattr(clf, "net_")


class Detached(nn.Linear):
    """A network whose output is not differentiable in its input."""

    def forward(self, x):
        return super().forward(x.detach())


class WithoutGradient(Detached):
    """A network without any gradients."""

    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize("module", [Detached, WithoutGradient])
def test_adversarial_training_needs_a_gradient(quick, iris, module):
    X, few, _ = iris
    quick(classifier_module=module).fit(X, few)
    with pytest.raises(ValueError) as error:
        quick(
            classifier_module=module, options=ClassifierOptions(adversarial_weight=1.0)
        ).fit(X, few)
    assert str(error.value) == (
        "adversarial_weight > 0 needs a q(y | x) that is differentiable in x, but no "
        "gradient reaches x through the networks. Remove detach() and the like from "
        "your networks, or set adversarial_weight=0."
    )


def test_adversarial_rows_do_not_change_batch_statistics(quick, iris):
    """Virtual adversarial training calls the networks in evaluation mode."""
    X, few, _ = iris

    def n_batches(clf):
        modules = clf.module_.classifier.modules()
        (norm,) = (m for m in modules if isinstance(m, nn.BatchNorm1d))
        return norm.num_batches_tracked.item()

    plain = quick(classifier_module=BatchNormMLP).fit(X, few)
    options = ClassifierOptions(adversarial_weight=1e-30)
    adversarial = quick(classifier_module=BatchNormMLP, options=options).fit(X, few)
    assert n_batches(plain) == n_batches(adversarial) > 0
    assert adversarial.history_[-1]["adversarial"] > 0
