"""All models in the estimator: stages, warm starts, interruptions, predictions."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from model_objects import make_spec
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2, MODELS, SDGM, M2Module
from sk_ssvae.models.bounds import gaussian_kl
from sk_ssvae.models.m1m2 import MIN_DEVIATION
from sk_ssvae.training.adversarial import adversarial_kl

INNER = ["m1+m2", "sdgm", "adgm"]
"""Models with a latent variable between row and class."""


@pytest.fixture
def m1m2(quick):
    """Return a function that makes a small, fast M1+M2."""

    def make(**params):
        spec = M1M2(inner_size=5, pretrain_epochs=3)
        of_model = {key: params.pop(key) for key in spec.get_params() if key in params}
        return quick(model=spec.set_params(**of_model), **params)

    return make


class StateMonitor(Callback):
    """Record the state of the model after every epoch."""

    def __init__(self):
        self.unsupervised, self.states = [], []

    def on_epoch_end(self, net, **kwargs):
        self.unsupervised.append(net.module_.unsupervised)
        self.states.append({k: v.clone() for k, v in net.module_.state_dict().items()})


def changed(before, after, prefix):
    return any(
        not torch.equal(before[k], after[k]) for k in before if k.startswith(prefix)
    )


def test_m1_m2_trains_m1_then_m2_then_both(m1m2, iris):
    X, few, _ = iris
    monitor = StateMonitor()
    clf = m1m2(finetune_epochs=2, callbacks=[monitor]).fit(X, few)
    assert clf.n_iter_ == 3 + 4 + 2
    assert monitor.unsupervised == [True] * 3 + [False] * 6
    m1_and_m2_change = [(True, False)] * 2 + [(False, True)] * 4 + [(True, True)] * 2
    for (before, after), (m1, m2) in zip(
        pairwise(monitor.states), m1_and_m2_change, strict=True
    ):
        assert changed(before, after, "m1.") is m1
        weights = {k: v for k, v in before.items() if "kept" not in k}
        assert changed(weights, after, "m2.") is m2
    classifies = [row["classification"] > 0 for row in clf.history_]
    assert classifies == [False] * 3 + [True] * 6


def test_dimensions_that_hardly_vary_are_left_out_of_m2(m1m2, iris):
    X, few, _ = iris
    clf = m1m2(inner_size=20, pretrain_epochs=60).fit(X, few)
    kept = clf.module_.kept.numpy().astype(bool)
    x = torch.from_numpy(clf.preprocessor_.scaling.encode(X))
    with torch.no_grad():
        means = clf.module_.m1.posterior_z(x).mean.numpy()
        sampled = clf.module_.sample_auxiliary(x, torch.randn(len(x), 22))
        log_q = clf.module_.log_q_y(sampled)
        sampled.draw[:, ~kept] += 5
        torch.testing.assert_close(clf.module_.log_q_y(sampled), log_q)
    np.testing.assert_array_equal(kept, means.std(0) >= MIN_DEVIATION)
    assert 0 < kept.sum() < 20


def test_m2_is_trained_on_samples_of_u_not_on_its_means(m1m2, iris):
    X, few, _ = iris
    clf = m1m2().fit(X, few)
    x = torch.from_numpy(clf.preprocessor_.scaling.encode(X))
    module = clf.module_
    one, two = (
        module.sample_auxiliary(x, torch.randn(len(x), 7)).draw for _ in range(2)
    )
    assert not torch.equal(one, two)


@pytest.mark.parametrize("model", ["m2", *INNER])
def test_predictions_and_generated_rows_fit_the_data(quick, iris, model):
    X, few, y = iris
    spec = make_spec(model, inner_size=5, pretrain_epochs=150)
    clf = quick(model=spec, max_epochs=80, learning_rate=0.01).fit(X, few)
    assert clf.score(X, y) > 0.85
    assert clf.transform(X).shape == (150, 2)
    drawn, labels = clf.sample(600)
    assert (clf.predict(drawn) == labels).mean() > 0.75
    assert np.abs(drawn.mean(0) - X.mean(0)).max() < 0.5
    means = clf.inverse_transform(np.zeros((3, 2)), y=[0, 1, 2])
    assert np.abs(means - [X[y == k].mean(0) for k in range(3)]).max() < 1.5
    # Densities are in the units of X.
    scaled = clone(clf).fit(X * 10, few)
    shift = clf.score_samples(X) - scaled.score_samples(X * 10)
    np.testing.assert_allclose(shift, 4 * np.log(10), atol=0.2)
    # Results for a row do not depend on the other rows.
    proba, density = clf.predict_proba(X[40:41]), clf.score_samples(X[7:8])
    np.testing.assert_allclose(proba, clf.predict_proba(X)[40:41], atol=1e-6)
    np.testing.assert_allclose(density, clf.score_samples(X)[7:8], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", INNER)
def test_binary_rows_of_many_classes(model):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(25), 8)
    X = (rng.rand(25, 30) > 0.5)[y].astype(float)
    few = np.where(np.arange(len(y)) % 8 < 3, y, -1)
    clf = SSVAEClassifier(
        2, model=make_spec(model, inner_size=8, pretrain_epochs=150),
        hidden_sizes=(32,), max_epochs=150, teacher=None, learning_rate=0.01,
        random_state=0,
    ).fit(X, few)  # fmt: skip
    assert clf.likelihood_ == "bernoulli"
    assert clf.score(X, y) > 0.9  # classes are marginalized by sampling from 20 on
    assert set(np.unique(clf.sample(20)[0])) == {0, 1}


@pytest.mark.parametrize("model", INNER)
def test_results_depend_on_the_random_state_alone(
    quick, iris, global_generators, model
):
    X, few, _ = iris
    before = global_generators()
    results = []
    for _ in range(2):
        clf = quick(model=make_spec(model, inner_size=4, pretrain_epochs=2))
        clf.fit(X, few)
        results.append(
            (clf.predict_proba(X), clf.transform(X), clf.score_samples(X),
             clf.sample(4)[0], clf.inverse_transform(np.ones((2, 2))))
        )  # fmt: skip
    assert global_generators() == before
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_warm_start_does_not_pretrain_again(m1m2, iris):
    X, few, _ = iris
    clf = m1m2(warm_start=True).fit(X, few)
    before = {k: v.clone() for k, v in clf.module_.state_dict().items()}
    clf.fit(X, few)
    assert clf.n_iter_ == 3 + 4 + 4
    after = clf.module_.state_dict()
    assert not changed(before, after, "m1.")
    assert changed(before, after, "m2.")
    clf.set_params(model__finetune_epochs=1).fit(X, few)
    assert clf.n_iter_ == 11 + 4 + 1
    assert changed(before, clf.module_.state_dict(), "m1.")


@pytest.mark.parametrize("model", INNER)
def test_partial_fit_trains_all_networks(quick, iris, model):
    X, few, _ = iris
    clf = quick(model=make_spec(model, inner_size=4))
    clf.partial_fit(X, few, classes=[0, 1, 2])
    before = {k: v.clone() for k, v in clf.module_.state_dict().items()}
    clf.partial_fit(X, few)
    after = clf.module_.state_dict()
    for name, _ in clf.module_.named_parameters():
        assert not torch.equal(before[name], after[name]), name
    assert clf.n_iter_ == 2


class Interrupt(Callback):
    """Raise KeyboardInterrupt in the middle of an epoch, or at its end."""

    def __init__(self, epoch, event="on_batch_end"):
        self.epoch = epoch
        setattr(self, event, self.interrupt)

    def interrupt(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_batch_end(self, net, **kwargs):
        """Do nothing, but make skorch notify callbacks of batches."""


UNTRAINED = (
    "The classifier has not been trained yet, so its predictions are meaningless. Call "
    "fit again with warm_start=True to continue with the next stage."
)
USABLE = "The model is fitted with these epochs and can be used."


@pytest.mark.parametrize(
    ("epoch", "event", "n_done", "consequence"),
    [
        (1, "on_batch_end", 0, UNTRAINED),
        (2, "on_batch_end", 1, UNTRAINED),
        (4, "on_batch_end", 3, UNTRAINED),
        (5, "on_batch_end", 4, USABLE),
        (1, "on_epoch_end", 1, UNTRAINED),
        (3, "on_epoch_end", 3, UNTRAINED),
        (4, "on_epoch_end", 4, USABLE),
    ],
)
def test_an_interruption_ends_all_stages(m1m2, iris, epoch, event, n_done, consequence):
    X, few, _ = iris
    clf = m1m2(callbacks=[Interrupt(epoch, event)])
    with pytest.warns(ConvergenceWarning) as caught:
        clf.fit(X, few)
    assert [str(w.message) for w in caught] == [
        f"Training was interrupted after {n_done} of 7 epochs. {consequence}"
    ]
    assert clf.n_iter_ == n_done
    np.testing.assert_allclose(clf.predict_proba(X).sum(1), 1, rtol=1e-5)
    clf.set_params(callbacks=None, warm_start=True).fit(X, few)
    assert clf.n_iter_ == n_done + 4


def test_early_stopping_ends_one_stage_only(m1m2, iris):
    X, few, _ = iris
    stop = EarlyStopping(patience=1, threshold=1e9, threshold_mode="abs", sink=str)
    clf = m1m2(callbacks=[stop], validation_fraction=0.2).fit(X, few)
    assert clf.n_iter_ == 2 + 2
    classifies = [row["classification"] > 0 for row in clf.history_]
    assert classifies == [False] * 2 + [True] * 2
    assert all(np.isfinite(row["valid_loss"]) for row in clf.history_)


def test_one_epoch_of_m2_after_early_stopping_trains_the_classifier(m1m2, iris):
    X, few, _ = iris
    stop = EarlyStopping(
        "train_loss", patience=1, threshold=1e9, threshold_mode="abs", sink=str
    )
    interrupt = Interrupt(3, "on_epoch_end")
    clf = m1m2(callbacks=[interrupt, stop], max_epochs=9)
    with pytest.warns(ConvergenceWarning) as caught:
        clf.fit(X, few)
    assert [str(w.message) for w in caught] == [
        f"Training was interrupted after 3 of 12 epochs. {USABLE}"
    ]
    assert clf.n_iter_ == 2 + 1


def test_a_failed_second_stage_can_be_repeated(m1m2, iris):
    """The dimensions that M2 models are then selected again."""
    X, few, _ = iris
    clf, twin = (
        m1m2(
            callbacks=[Interrupt(60, "on_epoch_end")], pretrain_epochs=61,
            inner_size=20,
        )
        for _ in range(2)
    )  # fmt: skip
    for one in (clf, twin):
        with pytest.warns(ConvergenceWarning, match="not been trained yet"):
            one.fit(X, few)
        one.set_params(callbacks=None, warm_start=True)
    clf.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"^Training diverged"):
        clf.fit(X, few)
    clf.set_params(learning_rate=3e-3).fit(X, few)
    twin.fit(X, few)
    assert 0 < clf.module_.kept.sum() < 20
    np.testing.assert_array_equal(clf.predict_proba(X), twin.predict_proba(X))


def test_an_interruption_after_the_last_epoch_gives_no_warning(m1m2, iris):
    X, few, _ = iris
    clf = m1m2(callbacks=[Interrupt(7, "on_epoch_end")]).fit(X, few)
    assert clf.n_iter_ == 7


def test_an_interrupted_autoencoder_can_be_used(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(2, max_epochs=5, callbacks=[Interrupt(2)])
    with pytest.warns(ConvergenceWarning, match=USABLE):
        assert vae.fit(X).n_iter_ == 1


def test_divergence_in_the_first_stage_raises_an_error(m1m2, iris):
    X, few, _ = iris
    clf = m1m2(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"^Training diverged: .* Try a smaller learn"):
        clf.fit(X, few)
    assert not hasattr(clf, "net_")


def test_a_failed_warm_start_restores_the_model(m1m2, iris):
    X, few, _ = iris
    clf = m1m2(warm_start=True).fit(X, few)
    before = clf.predict_proba(X)
    clf.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"^Training diverged"):
        clf.fit(X, few)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("m3", "model must be one of ['adgm', 'm1+m2', 'm2', 'sdgm'] or a "
         "ModelSpec object, got 'm3'. A model of your own must be imported in every "
         "process that uses it, including joblib workers."),
        (SDGM(inner_size=0), "The 'inner_size' parameter of SDGM must be an "
         "int in the range [1, inf). Got 0 instead."),
        (M1M2(finetune_epochs=-1), "The 'finetune_epochs' parameter of M1M2 "
         "must be an int in the range [0, inf). Got -1 instead."),
    ],
)  # fmt: skip
def test_invalid_models_are_refused_by_the_estimator(quick, iris, model, message):
    X, few, _ = iris
    with pytest.raises(ValueError) as error:
        quick(model=model).fit(X, few)
    assert str(error.value) == message


def first_block(page):
    """Run the first block of code of a page of the guide."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    namespace = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], namespace)
    return namespace


@pytest.fixture
def documented_model():
    """Run the code of docs/family.md, and unregister its models after the test."""
    before = dict(MODELS)
    yield first_block("family.md")
    for name in set(MODELS) - set(before):
        del MODELS[name]


def test_the_documented_model_of_ones_own_works(quick, iris, documented_model):
    """Its bound is that of M2 plus half the KL divergence."""
    X, few, _ = iris
    tempered = MODELS["tempered"]
    assert tempered in documented_model.values()
    clf = quick(model="tempered", random_state=3).fit(X, few)
    assert type(clf.module_) is tempered.module_class
    m2 = M2Module(4, (1 / 3,) * 3, 2, (16,), "gaussian", 0)
    module = tempered.module_class(4, (1 / 3,) * 3, 2, (16,), "gaussian", 0)
    x, noise = torch.randn(5, 4), torch.randn(5, 2)
    kl = gaussian_kl(m2.posterior_z(x[:, None]))
    difference = module.class_bounds(x, noise) - m2.class_bounds(x, noise)
    torch.testing.assert_close(difference, kl / 2, atol=1e-4, rtol=1e-4)


def test_the_documented_network_of_ones_own_works(iris):
    X, few, _ = iris
    clf = first_block("networks.md")["clf"]
    clf.set_params(max_epochs=2, teacher=None).fit(X, few)
    assert clf.module_.classifier.network[0].out_features == 300
    assert clf.module_.classifier.network[2].p == 0.5


@pytest.mark.parametrize("model", INNER)
def test_fits_in_parallel_threads_equal_fits_one_after_another(quick, iris, model):
    X, few, _ = iris

    def fit(seed):
        spec = make_spec(model, inner_size=4, pretrain_epochs=3)
        clf = quick(model=spec, random_state=seed)
        return clf.fit(X, few).predict_proba(X)

    alone = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scikit_learn_shows_one_progress_bar_for_all_stages(m1m2, iris, capsys):
    X, few, _ = iris
    m1m2(finetune_epochs=1).set_callbacks(ProgressBar()).fit(X, few)
    shown = capsys.readouterr().out
    assert "SSVAEClassifier" in shown
    assert "100%" in shown


@pytest.mark.parametrize("model", INNER)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_results_on_cuda_are_those_on_the_cpu(quick, iris, model):
    X, few, _ = iris
    spec = make_spec(model, inner_size=4, pretrain_epochs=3)
    clf = quick(device="cuda", model=spec).fit(X, few)
    assert clf.device_.type == "cuda"
    host = quick(device="cpu", model=spec).fit(X, few)
    np.testing.assert_allclose(clf.predict_proba(X), host.predict_proba(X), atol=0.02)
    assert clf.sample(3)[0].shape == (3, 4)
    assert np.isfinite(clf.score_samples(X[:5])).all()
    assert clf.inverse_transform(clf.transform(X[:5])).shape == (5, 4)


def test_the_kl_divergence_is_warmed_up_only_if_no_scale_is_learned():
    rng = np.random.RandomState(0)
    numbers = rng.randn(40, 2)
    with_gap = numbers.copy()
    with_gap[3, 1] = np.nan
    counts = rng.poisson(2.0, (40, 2))
    for X, likelihood, warms_up in (
        (numbers, "gaussian", False),
        (with_gap, "gaussian", False),
        (counts > 1, "bernoulli", True),
        (np.where(np.isnan(with_gap), np.nan, with_gap > 0), "bernoulli", True),
        (counts, "poisson", True),
        (counts, "negative_binomial", False),
        (counts, "categorical", True),
        (np.c_[numbers, counts], [("categorical", [2, 3])], False),
    ):
        vae = VariationalAutoencoder(1, likelihood=likelihood, max_epochs=1).fit(X)
        assert vae.module_.warms_up is warms_up


def test_sample_weights_count_in_the_selection_of_dimensions():
    rng = np.random.RandomState(0)
    X = np.r_[rng.randn(90, 3) * 0.01, 5 + rng.randn(10, 3)]
    y = np.arange(100) % 2
    params = {
        "model": M1M2(inner_size=4, pretrain_epochs=1),
        "max_epochs": 1,
        "teacher": None,
        "random_state": 0,
    }
    for outlier_weight in (1.0, 1e-9):
        weight = np.r_[np.ones(90), np.full(10, outlier_weight)]
        clf = SSVAEClassifier(**params).fit(X, y, sample_weight=weight)
        x = torch.from_numpy(clf.preprocessor_.scaling.encode(X))
        means = clf.module_.m1.posterior_z(x).mean.detach().double().numpy()
        center = np.average(means, axis=0, weights=weight)
        variance = np.average((means - center) ** 2, axis=0, weights=weight)
        expected = np.sqrt(variance) >= MIN_DEVIATION
        if not expected.any():
            expected[:] = True
        assert clf.module_.kept.bool().tolist() == expected.tolist()


def test_the_adversarial_direction_is_found_in_full_precision():
    torch.manual_seed(0)
    model = M2Module(200, [0.5, 0.5], 2, (8,), "gaussian", 0, (32,)).eval()
    x = torch.randn(30, 200)
    noise, direction = torch.randn(30, 2), torch.randn(30, 200)
    log_q_y = model.log_q_y(x)
    expected = adversarial_kl(model, x, log_q_y, noise, direction, 1.0)
    model.mixed = True
    mixed = adversarial_kl(model, x, model.log_q_y(x), noise, direction, 1.0)
    assert model.mixed
    torch.testing.assert_close(mixed, expected, rtol=0.1, atol=1e-4)
