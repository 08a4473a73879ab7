"""Divergence: detected at its step, rolled back, and finally an error."""

import copy
import math

import numpy as np
import pytest
import torch
from faults import Fault, ReduceLearningRate, weights
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import nn

from sk_ssvae import VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.divergence import (
    BOUND_LIMIT,
    DivergenceError,
    DivergenceMonitor,
    TrainingSnapshot,
    flag_non_finite,
    sum_of_squares,
)
from sk_ssvae.utils.optimizers import Adam

REMEDIES = (
    "Try a smaller learning_rate (it is {rate}) or smaller weights in the loss "
    "(alpha=30.0, teacher_weight=1.0, entropy_weight=0.3, adversarial_weight=0.0), and "
    "check X for extreme values."
)


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("kind", ["loss", "explosion", "nan", "inf", "-inf"])
@pytest.mark.parametrize("step_events", [False, True])
def test_diverged_epoch_is_repeated_with_smaller_steps(quick, iris, kind, step_events):
    """The result is bit-identical to smaller steps from the start of that epoch."""
    X, y, _ = iris
    fault = Fault(kind, step=7)
    callbacks = [fault]
    if step_events:
        callbacks.append(StepListener())
    clf = quick(batch_size=50, callbacks=callbacks)
    with pytest.warns(ConvergenceWarning) as warned:
        clf.fit(X, y)
    assert [str(w.message) for w in warned] == [
        "Training diverged once, first in step 2 of epoch 3. It was continued from the "
        "last good epoch with smaller steps: set learning_rate=0.0003 (it is 0.003), "
        "and check X for extreme values."
    ]
    assert fault.n_steps == 15  # five epochs for four
    smaller = quick(batch_size=50, callbacks=[ReduceLearningRate(3)]).fit(X, y)
    assert same(weights(clf), weights(smaller))
    losses = [[row["train_loss"] for row in c.history_] for c in (clf, smaller)]
    assert losses[0] == losses[1]
    batches = [len(row["batches"]) for row in clf.history_]
    assert batches == [3 if step_events else 1] * 4
    after = clf.net_.optimizer_.state_dict()
    for slots in after["state"].values():
        assert float(slots["step"]) == 12


class StepListener(Callback):
    """Implement an event of steps."""

    def on_batch_end(self, net, **kwargs):
        pass


def test_divergence_in_a_first_step_also_undoes_the_epoch_before(quick, iris):
    """The last step of that epoch may have been too large."""
    X, y, _ = iris
    with pytest.warns(ConvergenceWarning, match="first in step 1 of epoch 3"):
        clf = quick(batch_size=50, callbacks=[Fault("nan", step=6)]).fit(X, y)
    forgetful = ReduceLearningRate(3, undo_epoch=True)
    assert same(
        weights(clf),
        weights(quick(batch_size=50, callbacks=[forgetful]).fit(X, y)),
    )


def test_no_step_changes_the_weights_after_a_divergence(quick, iris):
    """An interruption later in the same epoch keeps the steps before it."""
    X, y, _ = iris

    class Interrupt(Callback):
        def __init__(self, step):
            self.step = step

        def on_batch_end(self, net, **kwargs):
            done = 3 * (len(net.history_) - 1) + len(net.history_[-1]["batches"])
            if done == self.step:
                raise KeyboardInterrupt

    fitted = []
    for step, faults in ((6, [Fault("nan", step=4)]), (4, [])):
        clf = quick(batch_size=50, callbacks=[*faults, Interrupt(step)])
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            fitted.append(clf.fit(X, y))
    assert same(*map(weights, fitted))


def test_finite_but_exploding_bounds_are_detected(quick, iris):
    X, y, _ = iris
    with pytest.warns(
        ConvergenceWarning, match=r"^Training diverged .* set learning_r"
    ):
        clf = quick(learning_rate=3.0, max_epochs=10).fit(X, y)
    limit = BOUND_LIMIT * ((X - X.mean(0)) ** 2 / X.var(0) + 1).sum(1).max()
    assert all(abs(row["bound"]) < limit for row in clf.history_)
    assert np.isfinite(clf.score_samples(X)).all()


def test_divergence_in_epochs_of_one_step(quick, iris):
    """The epoch before is undone, as its step was too large."""
    X, y, _ = iris
    with pytest.warns(ConvergenceWarning, match="first in step 1 of epoch 2"):
        clf = quick(learning_rate=10.0, batch_size=1000, max_epochs=10).fit(X, y)
    assert all((p.abs() < 10).all() for p in clf.module_.parameters())


def test_divergence_in_the_second_stage(quick, iris):
    """The optimizer has no state yet for the weights that are new in it."""
    X, y, _ = iris
    parameters = {"model": M1M2(pretrain_epochs=2), "batch_size": 50}

    class InStageTwo(Fault):
        def on_train_begin(self, net, **kwargs):
            if not net.module_.unsupervised:
                weight = next(net.module_.m2.decoder.parameters())
                weight.register_hook(self._change_gradient)

    fault = InStageTwo("nan", step=1)
    with pytest.warns(ConvergenceWarning, match="first in step 2 of epoch 3"):
        clf = quick(callbacks=[fault], **parameters).fit(X, y)
    smaller = quick(callbacks=[ReduceLearningRate(3)], **parameters).fit(X, y)
    assert same(weights(clf), weights(smaller))


def test_batch_statistics_are_rolled_back(quick, iris):
    X, y, _ = iris

    class Net(nn.Sequential):
        def __init__(self, in_features, out_features):
            super().__init__(
                nn.BatchNorm1d(in_features), nn.Linear(in_features, out_features)
            )

    class Spoil(Callback):
        """Put NaN into the rows of one step."""

        n_steps = 0

        def on_train_begin(self, net, **kwargs):
            net.module_.classifier.register_forward_pre_hook(self.spoil)

        def spoil(self, module, inputs):
            if module.training:
                self.n_steps += 1
            return (inputs[0] * math.nan,) if self.n_steps == 4 else inputs

    with pytest.warns(ConvergenceWarning, match="first in step 1 of epoch 2"):
        clf = quick(classifier_module=Net, batch_size=50, callbacks=[Spoil()]).fit(X, y)
    assert all(w.isfinite().all() for w in weights(clf).values())
    assert np.isfinite(clf.predict_proba(X)).all()


def test_fourth_divergence_is_an_error(quick, iris):
    X, y, _ = iris
    fault = Fault("loss", step=7, n_faults=1000)
    clf = quick(batch_size=50, callbacks=[fault])
    with pytest.raises(DivergenceError) as error:
        clf.fit(X, y)
    assert str(error.value) == (
        "Training diverged: the loss became nan in step 1 of epoch 3, for the 4th "
        "time, with steps 1000 times smaller than learning_rate. "
        + REMEDIES.format(rate=0.003)
    )
    assert fault.n_steps == 6 + 4 * 3
    assert not hasattr(clf, "net_")


def test_message_of_an_exploding_bound(iris):
    X, _, _ = iris

    class Decoder(nn.Linear):
        def forward(self, x):
            return 1e7 * super().forward(x)

    vae = VariationalAutoencoder(
        latent_size=2, decoder_module=Decoder, max_epochs=2, random_state=0
    )
    with pytest.raises(ValueError) as error:
        vae.fit(X)
    assert str(error.value).startswith("Training diverged: the loss (")
    assert str(error.value).endswith(
        ") or its gradient became too large in step 1 of epoch 1, for the 4th time, "
        "with steps 1000 times smaller than learning_rate. Try a smaller learning_rate "
        "(it is 0.003), and check X for extreme values."
    )


def test_smaller_steps_last_for_one_call(quick, iris):
    X, y, _ = iris
    clf = quick(batch_size=50, callbacks=[Fault("nan", step=1)], warm_start=True)
    with pytest.warns(ConvergenceWarning, match="diverged once"):
        clf.fit(X, y)
    assert clf.net_.rollbacks_ == [(1, 2)]
    clf.fit(X, y)
    assert clf.net_.rollbacks_ == []
    assert clf.net_.optimizer_.param_groups[0]["lr"] == 0.003


def test_fused_optimizers_skip_steps_with_found_inf():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam([weight], lr=0.1)
    for found in (0.0, 1.0, 1.0, 0.0):
        weight.grad = torch.tensor([math.nan, 1.0]) if found else torch.ones(2)
        before = weight.detach().clone()
        optimizer.found_inf = torch.tensor(found)
        optimizer.step()
        assert torch.equal(before, weight) == bool(found)
    assert float(optimizer.state[weight]["step"]) == 2
    twin = nn.Parameter(torch.tensor([1.0, -2.0]))
    other = Adam([twin], lr=0.1)
    for _ in range(2):
        twin.grad = torch.ones(2)
        other.step()
    assert torch.equal(weight, twin)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 5])
def test_non_finite_values_are_flagged(value, place):
    tensors = [torch.randn(()), torch.randn(3, 2), torch.randn(4)]
    copies = [tensor.clone() for tensor in tensors]
    found_inf, one = torch.zeros(()), torch.ones(())
    flag_non_finite(tensors, found_inf, one)
    assert float(found_inf) == 0
    assert all(map(torch.equal, tensors, copies))
    values = tensors[1].view(-1) if place else tensors[0].view(-1)
    values[place % 6] = value
    flag_non_finite(tensors, found_inf, one)
    assert float(found_inf) == 1
    values[place % 6] = 0
    flag_non_finite(tensors, found_inf, one)  # it is not reset
    assert float(found_inf) == 1


def test_missing_cells_do_not_hide_an_exploding_bound():
    x = torch.full((2, 3), math.nan)
    x[0, 0] = 2.0
    weight = torch.tensor([0.5, 0.5])
    limit = BOUND_LIMIT * (0.5 * (4 + 3) + 0.5 * 3)
    for factor, n_good in ((0.999, 2), (1.001, 1), (-1.001, 1)):
        monitor = DivergenceMonitor("cpu")
        for bound in (torch.tensor(0.0), torch.tensor(factor * limit)):
            monitor.update(
                torch.tensor(1.0), bound, [torch.ones(1)], sum_of_squares(x, weight)
            )
        assert monitor.count_good_steps() == n_good


def test_snapshot_restores_weights_buffers_and_optimizer_state():
    """Non-persistent buffers too; the state of parameters added later is removed."""
    module = nn.BatchNorm1d(2)
    module.register_buffer("own", torch.zeros(1), persistent=False)
    optimizer = Adam([module.weight], lr=0.1)
    module.weight.grad = torch.ones(2)
    optimizer.step()
    slots = copy.deepcopy(optimizer.state[module.weight])
    before = copy.deepcopy([*module.parameters(), *module.buffers()])
    snapshot = TrainingSnapshot(module, optimizer)
    optimizer.add_param_group({"params": [module.bias], "lr": 0.1})
    module(torch.full((3, 2), math.nan)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        module.own += 1
    assert module.weight.isnan().all()
    snapshot.restore()
    now = [*module.parameters(), *module.buffers()]
    assert all(map(torch.equal, now, before))
    assert optimizer.state.keys() == {module.weight}
    for name, slot in slots.items():
        assert torch.equal(optimizer.state[module.weight][name], slot)


def test_gradients_are_clipped(quick, iris):
    """After one step the first moment is a tenth of the gradient."""
    X, y, _ = iris

    def norm(max_grad_norm=None):
        options = ClassifierOptions(max_grad_norm=max_grad_norm)
        clf = quick(max_epochs=1, batch_size=1000, options=options).fit(X, y)
        state = clf.net_.optimizer_.state_dict()["state"]
        moments = [slots["exp_avg"].double().square().sum() for slots in state.values()]
        return 10 * math.sqrt(sum(moments)), weights(clf)

    unclipped, expected = norm()
    assert unclipped > 1
    assert norm(0.5)[0] == pytest.approx(0.5, rel=1e-4)
    assert norm(np.float32(0.25))[0] == pytest.approx(0.25, rel=1e-4)
    high, weights_below_the_limit = norm(1.5 * unclipped)
    assert high == pytest.approx(unclipped, rel=1e-5)
    assert same(expected, weights_below_the_limit)


@pytest.mark.parametrize("wrong", [0, -1.0, "1", math.nan])
def test_max_grad_norm_must_be_positive(quick, iris, wrong):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(options=ClassifierOptions(max_grad_norm=wrong)).fit(X, y)
    assert str(error.value) == (
        "The 'max_grad_norm' parameter of ClassifierOptions must be a float in the "
        f"range (0.0, inf) or None. Got {wrong!r} instead."
    )


DIVERGED = (
    r"^Training diverged: the loss became (nan|inf|-inf) in step \d of epoch \d+, for "
    r"the 4th time, with steps 1000 times smaller than learning_rate. Try a smaller "
    r"learning_rate \(it is 1e\+30\) or "
)


def test_divergence_leaves_an_unfitted_estimator_unfitted(quick, iris):
    X, y, _ = iris
    clf = quick(learning_rate=1e30)
    attributes = set(vars(clf))
    with pytest.raises(ValueError, match=DIVERGED):
        clf.fit(X, y)
    assert set(vars(clf)) == attributes


@pytest.mark.parametrize("how", ["fit", "warm_start", "partial_fit"])
def test_divergence_leaves_a_fitted_estimator_as_it_was(quick, iris, how):
    X, y, _ = iris
    clf = quick(warm_start=how == "warm_start").fit(X, y)
    before, proba = weights(clf), clf.predict_proba(X)
    n_iter, optimizer = clf.n_iter_, copy.deepcopy(clf.net_.optimizer_.state_dict())
    clf.set_params(learning_rate=1e30, batch_size=10)
    refit = clf.partial_fit if how == "partial_fit" else clf.fit
    with pytest.raises(ValueError, match=DIVERGED):
        refit(X[:80], y[:80])
    assert same(before, weights(clf))
    assert clf.n_iter_ == n_iter
    assert len(clf.transduction_) == 150
    np.testing.assert_array_equal(proba, clf.predict_proba(X))
    state = clf.net_.optimizer_.state_dict()["state"]
    for i, moments in optimizer["state"].items():
        assert torch.equal(moments["exp_avg"], state[i]["exp_avg"])


@pytest.mark.parametrize("max_epochs", [1, 2])
def test_divergence_in_the_last_step_is_detected(quick, iris, max_epochs):
    """No later step shows it."""
    X, y, _ = iris
    clf = quick(max_epochs=max_epochs, batch_size=1000, learning_rate=30.0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        clf.fit(X, y)
    assert clf.score_samples(X).min() > -1e3
    clf = quick(max_epochs=max_epochs, batch_size=1000, learning_rate=1e20)
    with pytest.raises(ValueError) as error:
        clf.fit(X, y)
    assert str(error.value) == (
        f"Training diverged: the loss became nan in step 1 of epoch {max_epochs}, for "
        "the 4th time, with steps 1000 times smaller than learning_rate. "
        + REMEDIES.format(rate="1e+20")
    )
    assert not hasattr(clf, "net_")


def test_divergence_in_the_last_step_with_a_user_network(quick, iris):
    """Its outputs are finite, but the loss is too large."""
    X, y, _ = iris
    clf = quick(
        encoder_module=nn.Linear, max_epochs=1, batch_size=1000, learning_rate=100.0
    )
    with pytest.warns(ConvergenceWarning, match="diverged"):
        clf.fit(X, y)
    assert np.isfinite(clf.score_samples(X)).all()
