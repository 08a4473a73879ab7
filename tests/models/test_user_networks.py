"""Networks of the user's own: how they are made, called, seeded and refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import numpy as np
import pytest
import torch
from model_objects import make_spec
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2, M2Module
from sk_ssvae.models.user_networks import ROLES, UserNetwork
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.random import seeded_global_generator


class Wide(nn.Module):
    """A module with a keyword, batch statistics and dropout."""

    def __init__(self, in_features, out_features, width=8, dropout=0.0):
        super().__init__()
        self.sizes = in_features, out_features
        self.net = nn.Sequential(
            nn.Linear(in_features, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, out_features),
        )

    def forward(self, x):
        assert x.ndim == 2
        return self.net(x)


OWN = {
    "classifier_module": Wide,
    "encoder_module": Wide,
    "decoder_module": Wide,
    "classifier_module__dropout": 0.3,
    "encoder_module__width": 5,
}


def own_sizes(module):
    return [m.sizes for m in module.modules() if isinstance(m, Wide)]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("m2", [(4, 3), (4, 16), (2 + 3, 4)]),
        ("m1+m2", [(4, 16), (6, 4), (6, 3)]),
        ("sdgm", [(4 + 6, 3), (4, 16), (4, 16), (6 + 2 + 3, 4)]),
        ("adgm", [(4 + 6, 3), (4, 16), (4, 16), (2 + 3, 4)]),
    ],
)
def test_every_model_takes_them(quick, iris, model, sizes):
    X, few, _ = iris
    spec = make_spec(model, inner_size=6, pretrain_epochs=2)
    clf = quick(model=spec, **OWN).fit(X, few)
    assert own_sizes(clf.module_) == sizes
    assert not any(m.training for m in clf.module_.modules())
    np.testing.assert_allclose(clf.predict_proba(X).sum(1), 1, rtol=1e-5)
    assert clf.transform(X).shape == (150, 2)
    assert clf.inverse_transform(clf.transform(X), few.clip(0)).shape == X.shape
    assert clf.inverse_transform(clf.transform(X)[:1]).shape == (1, 4)
    assert clf.sample(5)[0].shape == (5, 4)
    assert np.isfinite(clf.score_samples(X[:7], n_draws=9)).all()
    np.testing.assert_allclose(
        clf.predict_proba(X[:1]), clf.predict_proba(X)[:1], rtol=1e-5
    )
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_the_same_network_is_the_same_model(quick, iris):
    """A classifier that computes what the built-in one does gives its answers."""
    X, few, _ = iris
    plain = quick().fit(X, few)

    def copied(in_features, out_features):
        hidden = (200, 200)
        model = M2Module(4, (1 / 3,) * 3, 2, (16,), "gaussian", plain.net_.seed, hidden)
        return model.classifier

    own = quick(classifier_module=copied)
    # encoder and decoder are then drawn first: their weights are not those of `plain`
    own.fit(X, few)
    before = quick(classifier_module=copied, learning_rate=1e-30).fit(X, few)
    start = quick(learning_rate=1e-30).fit(X, few)
    np.testing.assert_array_equal(before.predict_proba(X), start.predict_proba(X))
    assert not np.array_equal(own.predict_proba(X), before.predict_proba(X))


def test_parameters_are_found(iris):
    X, few, _ = iris
    clf = SSVAEClassifier(encoder_module=Wide, encoder_module__width=5, teacher=None)
    assert clf.get_params()["encoder_module__width"] == 5
    assert "encoder_module__width=5" in repr(clf)
    twin = clone(clf)
    assert twin.get_params() == clf.get_params()
    twin.set_params(encoder_module__width=7, max_epochs=2, hidden_sizes=(4,))
    assert twin.encoder_module__width == 7
    assert clf.encoder_module__width == 5
    search = GridSearchCV(
        twin, {"encoder_module__width": [2, 3], "latent_size": [1]}, cv=2, refit=True
    ).fit(X[few >= 0], few[few >= 0])
    width = search.best_params_["encoder_module__width"]
    module = search.best_estimator_.module_.encoder.from_a.network
    assert module.net[0].out_features == width


def test_a_search_may_leave_a_network_out(quick, iris):
    """Keywords of a module that is None are not used."""
    X, few, y = iris
    clf = quick(classifier_module__width=3)
    plain = quick().fit(X, few)
    np.testing.assert_array_equal(
        clf.fit(X, few).predict_proba(X), plain.predict_proba(X)
    )
    search = GridSearchCV(clf, {"classifier_module": [None, Wide]}, cv=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_reproducible_and_the_global_generator_untouched(
    quick, iris, global_generators
):
    X, few, _ = iris
    torch.manual_seed(5)
    before = global_generators()
    first = quick(**OWN).fit(X, few)
    assert global_generators() == before
    torch.manual_seed(6)
    second = quick(**OWN).fit(X, few)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    other = clone(first).set_params(random_state=1).fit(X, few)
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_fits_in_parallel_threads_take_turns(quick, iris, global_generators):
    X, few, _ = iris

    def fit(seed):
        return quick(random_state=seed, **OWN).fit(X, few).predict_proba(X)

    before = global_generators()
    alone = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    assert global_generators() == before
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_borrowed_in_turn():
    """Who borrows first gives back first, so that the generator is as it was."""
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first_has_it, second_has_it = Event(), Event()

    def first():
        with seeded_global_generator(1):
            first_has_it.set()
            assert not second_has_it.wait(0.2)

    def second():
        first_has_it.wait(10)
        with seeded_global_generator(2):
            second_has_it.set()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_factory_may_fit_an_estimator(quick, iris):
    X, few, _ = iris

    def distilled(n_in, n_out):
        network = quick(classifier_module=Wide).fit(X, few).module_.classifier.network
        return network.train()

    clf = quick(classifier_module=distilled)
    thread = Thread(target=clf.fit, args=(X, few), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert clf.n_iter_ == 4


def test_borrowed_generator_is_given_back():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded_global_generator(3):
            draws.append(torch.rand(2))
    torch.testing.assert_close(*draws)
    with pytest.raises(ZeroDivisionError), seeded_global_generator(3):
        torch.rand(1).item() / 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_single_rows_have_no_batch_statistics():
    network = UserNetwork(Wide, 3, 2, {"dropout": 0.5}, "encoder_module", 0).train()
    x = torch.randn(1, 3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    torch.testing.assert_close(network(x), network(x))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key])
    assert network.network.training
    assert network(torch.zeros(0, 3)).shape == (0, 2)
    assert network(torch.zeros(2, 5, 3)).shape == (2, 5, 2)


def test_labels_for_one_row_at_a_time(quick, iris):
    X, few, _ = iris
    clf = quick(**OWN)
    clf.partial_fit(X, few, classes=[0, 1, 2])
    clf.partial_fit(X[:1], few[:1]).partial_fit(X[few >= 0][:1], few[few >= 0][:1])
    assert clf.n_iter_ == 3


def test_memory_is_bounded_by_the_widest_layer():
    made = UserNetwork(
        lambda n_in, n_out: nn.Sequential(
            nn.Linear(n_in, 50), nn.Unflatten(1, (2, 25)), nn.Conv1d(2, 40, 1),
            nn.Flatten(), nn.Linear(1000, n_out),
        ),
        3, 2, {}, "decoder_module", 0,
    )  # fmt: skip
    assert made.widest == 1000


def wrong_shape(in_features, out_features):
    return nn.Linear(in_features, out_features + 1)


class Pair(nn.Linear):
    """A module that returns two things."""

    def forward(self, x):
        return super().forward(x), 0


def test_what_a_factory_keeps_is_not_trained(quick, iris):
    """One that always gives the same network gives each estimator one of its own."""
    X, few, _ = iris
    kept = nn.Linear(4, 3)
    before = kept.weight.clone()
    fitted = [quick(classifier_module=lambda i, o: kept).fit(X, few) for _ in range(2)]
    assert torch.equal(kept.weight, before)
    one, two = (clf.module_.classifier.network.weight for clf in fitted)
    assert one is not two
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, before)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm:FutureWarning")
def test_networks_that_cannot_be_copied(quick, iris):
    X, few, _ = iris

    def normed(n_in, n_out):
        return nn.utils.weight_norm(nn.Linear(n_in, n_out))

    clf = quick(classifier_module=normed, warm_start=True).fit(X, few)
    assert clf.fit(X, few).n_iter_ == 8


class Stages(Callback):
    """Note mode and batch count of M1's encoder and the classifier at every step."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, training, **kwargs):
        model = net.module_
        norms = [
            [m for m in part.modules() if isinstance(m, nn.BatchNorm1d)]
            for part in (model.m1.encoder, model.m2.classifier)
        ]
        if training:
            self.seen.append(
                [{(m.training, m.num_batches_tracked.item()) for m in ms}
                 for ms in norms]
            )  # fmt: skip


def test_m1_is_held_fixed_in_the_second_stage(quick, iris):
    X, few, _ = iris
    stages = Stages()
    clf = quick(
        model=M1M2(pretrain_epochs=2, finetune_epochs=2), max_epochs=2,
        batch_size=150, warm_start=True, callbacks=[stages], validation_fraction=0.1,
        **OWN,
    ).fit(X, few)  # fmt: skip
    m1, m2 = zip(*stages.seen, strict=True)
    assert m1 == tuple(
        {(mode, n)}
        for mode, n in [(True, 1), (True, 2), (False, 2), (False, 2), (True, 3),
                        (True, 4)]
    )  # fmt: skip
    assert m2[2:] == tuple({(True, n)} for n in (1, 2, 3, 4))
    clf.partial_fit(X, few)
    assert stages.seen[-1] == [{(True, 5)}, {(True, 5)}]
    assert not any(m.training for m in clf.module_.modules())


@pytest.mark.parametrize("model", ["sdgm", "adgm"])
def test_two_encoders_start_apart(quick, iris, model):
    X, few, _ = iris
    clf = quick(model=model, encoder_module=Wide, learning_rate=1e-30).fit(X, few)
    one, two = (m for m in clf.module_.modules() if isinstance(m, Wide))
    assert one.sizes == two.sizes
    assert not torch.isclose(one.net[0].weight, two.net[0].weight).any()


def test_without_hidden_layers_encoders_give_outputs(quick, iris):
    X, few, _ = iris
    sizes = {}
    for model in ("m2", "m1+m2", "sdgm", "adgm"):
        spec = make_spec(model, inner_size=6, pretrain_epochs=1)
        clf = quick(model=spec, hidden_sizes=(), encoder_module=Wide)
        sizes[model] = own_sizes(clf.fit(X, few).module_)
    both = [(4, 2 * 6), (4, 2 * 2)]
    assert sizes == {"m2": both[1:], "m1+m2": both[:1], "sdgm": both, "adgm": both}


class Remembers(nn.Linear):
    """A module with state that is in no state_dict."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("mean", torch.zeros(in_features), persistent=False)
        self.calls = []

    def forward(self, x):
        if self.training:
            self.mean += 0.1 * (x.mean(0) - self.mean)
            self.calls.append(len(x))
        return super().forward(x - self.mean)


def test_failure_gives_back_all_that_a_network_holds(quick, iris):
    X, few, _ = iris
    clf, twin = (
        quick(warm_start=True, classifier_module=Remembers, batch_size=40).fit(X, few)
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
    np.testing.assert_array_equal(
        clf.predict_proba(X), twin.fit(X, few).predict_proba(X)
    )


class Worn(nn.Linear):
    """A module that is finite in training, and after it no longer in evaluation."""

    worn = False

    def forward(self, x):
        self.worn |= self.training
        out = super().forward(x)
        return out * float("nan") if self.worn and not self.training else out


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", ["m2", "sdgm", None])
def test_networks_that_are_finite_in_training_only(quick, iris, role, model):
    X, few, _ = iris
    if model is None:
        role = role.replace("classifier", "encoder")
        clf = VariationalAutoencoder(2, max_epochs=2)
    else:
        clf = quick(model=make_spec(model, inner_size=4))
    clf.set_params(**{role: Worn})
    with pytest.raises(ValueError) as error:
        clf.fit(X, few)
    assert str(error.value).startswith(
        f"Training diverged: the network of {role} gives NaN or infinity in evaluation "
        "mode after epoch "
    )
    assert not hasattr(clf, "net_")


class Detached(nn.Linear):
    """A module that is not differentiable in what it is given."""

    def forward(self, x):
        return super().forward(x.detach())


class Constant(Detached):
    """A module that has no gradients at all."""

    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize("module", [Detached, Constant])
def test_adversarial_training_needs_a_gradient(quick, iris, module):
    X, few, _ = iris
    quick(classifier_module=module).fit(X, few)
    with pytest.raises(ValueError) as error:
        quick(
            classifier_module=module, options=ClassifierOptions(adversarial_weight=1.0)
        ).fit(X, few)
    assert str(error.value) == (
        "adversarial_weight > 0 needs answers that are differentiable in the rows, but "
        "no gradient of q(y | x) reaches them through the networks. Take detach() and "
        "the like out of networks of your own, or set adversarial_weight=0."
    )


class Squeezing(nn.Linear):
    """A module that takes a batch of one row for a row."""

    def forward(self, x):
        return super().forward(x).squeeze()


class Undefined(nn.Linear):
    """A module that gives NaN for rows in [0, 1]."""

    def forward(self, x):
        return super().forward(x) + (-1 - x[:, :1]).sqrt()


class Picky(nn.Linear):
    """A module that fails in training, or gives up."""

    error = KeyError

    def forward(self, x):
        if len(x) > 2:
            raise self.error(len(x))
        return super().forward(x)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_is_no_fault_of_the_network_is_not_said_to_be(error):
    network = UserNetwork(Picky, 3, 2, {}, "encoder_module", 0)
    network.network.error = error
    with pytest.raises(error):
        network(torch.zeros(5, 3))


class Lengths(nn.Linear):
    """A module that is not defined at zero, nor for rows that are all the same."""

    def forward(self, x):
        x = x / x.norm(dim=1, keepdim=True)
        return super().forward(x / x.std(0, keepdim=True) if len(x) > 1 else x)


def test_a_network_need_not_be_defined_at_zero():
    assert UserNetwork(Lengths, 3, 2, {}, "encoder_module", 0).widest == 2


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_modules(quick, iris):
    X, few, _ = iris

    def scripted(n_in, n_out):
        return torch.jit.script(nn.Sequential(nn.Linear(n_in, n_out)))

    one = quick(encoder_module=scripted).fit(X, few)
    two = quick(encoder_module=nn.Linear).fit(X, few)
    np.testing.assert_allclose(one.transform(X), two.transform(X), rtol=1e-4)


@pytest.fixture
def double():
    """Let torch make tensors of float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm", "adgm"])
def test_another_default_dtype(quick, iris, double, model):
    X, few, _ = iris
    spec = make_spec(model, inner_size=4, pretrain_epochs=2)
    clf = quick(model=spec, **OWN).fit(X, few)
    assert {p.dtype for p in clf.module_.parameters()} == {torch.float32}
    assert np.isfinite(clf.score_samples(X[:5])).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"classifier_module": nn.Linear(4, 3)},
            TypeError,
            "classifier_module must be a torch.nn.Module class or a factory "
            "f(in_features, out_features, **kwargs), got an instance of Linear: it "
            "would be trained in place, and shared by clones. Give its class.",
        ),
        (
            {"encoder_module": lambda n_in, n_out: None},
            TypeError,
            "encoder_module must make a torch.nn.Module, but",
        ),
        (
            {"decoder_module": wrong_shape},
            ValueError,
            "The network of decoder_module must return floats of shape (n_rows, "
            "out_features) = (2, 4), got (2, 5) of torch.float32.",
        ),
        (
            {"classifier_module": Pair},
            TypeError,
            "The network of classifier_module must return a tensor, got an object of "
            "type tuple.",
        ),
        (
            {"classifier_module": nn.Linear, "classifier_module__foo": 1},
            TypeError,
            "classifier_module could not make a network: <class "
            "'torch.nn.modules.linear.Linear'>(4, 3, foo=1) raised TypeError: ",
        ),
        (
            {"encoder_module": lambda n_in, n_out: nn.Linear(n_in + 1, n_out)},
            ValueError,
            "The network of encoder_module cannot map floats of shape (2, 4): "
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 5x128)",
        ),
        (
            {"encoder_module": Squeezing},
            ValueError,
            "The network of encoder_module must return floats of shape (n_rows, "
            "out_features) = (1, 128), got (128,) of torch.float32.",
        ),
        (
            {"decoder_module": Undefined},
            ValueError,
            "The network of decoder_module must return finite numbers, got nan for a "
            "row of numbers between 0 and 1.",
        ),
        (
            {"classifier_module": Picky},
            ValueError,
            "The network of classifier_module cannot map floats of shape (83, 4): "
            "KeyError: 83",
        ),
        (
            {"classifier_module": 3},
            ValueError,
            "The 'classifier_module' parameter of SSVAEClassifier must be a callable "
            "or None. Got 3 instead.",
        ),
        (
            {"module_parameters": {"a": 1}},
            TypeError,
            "module_parameters={'a': 1} cannot be passed as one parameter. Pass each "
            "by its name, e.g. encoder_module__channels=16.",
        ),
    ],
)
def test_refused(iris, params, error, message):
    X, few, _ = iris
    clf = SSVAEClassifier(teacher=None, max_epochs=1, **params)
    attributes = set(vars(clf))
    with pytest.raises(error) as caught:
        clf.fit(X, few)
    assert str(caught.value).startswith(message)
    assert set(vars(clf)) == attributes


@pytest.mark.parametrize("estimator", [SSVAEClassifier, VariationalAutoencoder])
def test_misspelt_parameters(estimator):
    name = estimator.__name__
    with pytest.raises(TypeError) as error:
        estimator(encoder_modul__width=1)
    assert str(error.value) == (
        f"{name}.__init__() got an unexpected keyword argument 'encoder_modul__width'."
    )
    with pytest.raises(ValueError, match=r"^Invalid parameter 'alhpa' for estimator"):
        estimator().set_params(alhpa=1)


def test_autoencoders_have_no_classifier():
    with pytest.raises(TypeError) as error:
        VariationalAutoencoder(classifier_module__width=1)
    assert str(error.value) == (
        "VariationalAutoencoder.__init__() got an unexpected keyword argument "
        "'classifier_module__width'."
    )
    vae = VariationalAutoencoder()
    with pytest.raises(ValueError, match=r"^Invalid parameter 'classifier_module' for"):
        vae.set_params(classifier_module__width=1)
    assert not hasattr(vae, "classifier_module__width")


def test_a_fitted_model_keeps_its_networks(quick, iris):
    X, few, _ = iris
    clf = quick(warm_start=True, encoder_module=Wide, encoder_module__width=5)
    clf.fit(X, few)
    clf.set_params(encoder_module__width=6)
    with pytest.raises(ValueError, match=r"^encoder_module__width was 5 when the mod"):
        clf.fit(X, few)
    clf.set_params(encoder_module__width=5).fit(X, few)
    assert clf.n_iter_ == 8


def test_vae_takes_them(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(
        2, hidden_sizes=(9,), max_epochs=3, encoder_module=Wide, decoder_module=Wide,
        decoder_module__width=6, random_state=0,
    ).fit(X)  # fmt: skip
    assert own_sizes(vae.module_) == [(4, 9), (2, 4)]
    assert vae.sample(3).shape == (3, 4)


def test_moved_rows_do_not_touch_batch_statistics(quick, iris):
    """Virtual adversarial training calls the network, but not in training mode."""
    X, few, _ = iris

    def batch_norm(clf):
        (found,) = (
            m for m in clf.module_.classifier.modules() if isinstance(m, nn.BatchNorm1d)
        )
        return found

    plain = quick(classifier_module=Wide).fit(X, few)
    options = ClassifierOptions(adversarial_weight=1e-30)
    moved = quick(classifier_module=Wide, options=options).fit(X, few)
    counts = [batch_norm(clf).num_batches_tracked.item() for clf in (plain, moved)]
    assert counts[0] == counts[1] > 0
    assert moved.history_[-1]["adversarial"] > 0


class Writes(nn.Module):
    """A module that writes into what it is given, or into a copy of it."""

    def __init__(self, in_features, out_features, first, inplace=True):
        super().__init__()
        self.first = {"dropout": nn.Dropout, "relu": nn.ReLU}[first](inplace=inplace)
        self.last = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.last(self.first(x))


@pytest.mark.parametrize("role", ["classifier_module", "encoder_module"])
@pytest.mark.parametrize("first", ["dropout", "relu"])
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_networks_may_write_into_what_they_are_given(quick, iris, role, first, model):
    X, few, _ = iris
    fitted = [
        quick(
            **{role: Writes, f"{role}__first": first, f"{role}__inplace": inplace},
            model=make_spec(model, inner_size=4, pretrain_epochs=2),
            options=ClassifierOptions(adversarial_weight=1.0),
        ).fit(X, few)
        for inplace in (True, False)
    ]  # fmt: skip
    writes, copies = fitted
    assert writes.history_[-1]["bound"] == copies.history_[-1]["bound"]
    np.testing.assert_array_equal(writes.transform(X), copies.transform(X))


class Precise(nn.Linear):
    """A module that answers in double precision."""

    def forward(self, x):
        return super().forward(x).double()


def test_answers_of_other_precision_are_rounded(quick, iris):
    X, few, _ = iris
    precise = quick(classifier_module=Precise).fit(X, few)
    plain = quick(classifier_module=nn.Linear).fit(X, few)
    np.testing.assert_array_equal(precise.predict_proba(X), plain.predict_proba(X))
