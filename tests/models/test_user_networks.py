"""User-supplied networks: construction, sizes, calls and errors."""

import pickle

import numpy as np
import pytest
import torch
from model_objects import make_spec
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from user_modules import USER_NETWORKS, BatchNormMLP, network_sizes

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M2Module
from sk_ssvae.models.user_networks import UserNetwork
from sk_ssvae.training import ClassifierOptions


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("m2", [(4, 3), (4, 16), (2 + 3, 4)]),
        ("m1+m2", [(4, 16), (6, 4), (6, 3)]),
        ("sdgm", [(4 + 6, 3), (4, 16), (4, 16), (6 + 2 + 3, 4)]),
        ("adgm", [(4 + 6, 3), (4, 16), (4, 16), (2 + 3, 4)]),
    ],
)
def test_every_model_uses_user_networks_of_these_sizes(quick, iris, model, sizes):
    X, few, _ = iris
    spec = make_spec(model, inner_size=6, pretrain_epochs=2)
    clf = quick(model=spec, **USER_NETWORKS).fit(X, few)
    assert network_sizes(clf.module_) == sizes
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


def test_an_autoencoder_uses_user_networks_of_these_sizes(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(
        2,
        hidden_sizes=(9,),
        max_epochs=3,
        encoder_module=BatchNormMLP,
        decoder_module=BatchNormMLP,
        decoder_module__width=6,
        random_state=0,
    ).fit(X)
    assert network_sizes(vae.module_) == [(4, 9), (2, 4)]
    assert vae.sample(3).shape == (3, 4)


def test_without_hidden_layers_encoders_return_the_outputs(quick, iris):
    X, few, _ = iris
    sizes = {}
    for model in ("m2", "m1+m2", "sdgm", "adgm"):
        spec = make_spec(model, inner_size=6, pretrain_epochs=1)
        clf = quick(model=spec, hidden_sizes=(), encoder_module=BatchNormMLP)
        sizes[model] = network_sizes(clf.fit(X, few).module_)
    both = [(4, 2 * 6), (4, 2 * 2)]
    assert sizes == {"m2": both[1:], "m1+m2": both[:1], "sdgm": both, "adgm": both}


@pytest.mark.parametrize("model", ["sdgm", "adgm"])
def test_two_encoders_have_different_initial_weights(quick, iris, model):
    X, few, _ = iris
    clf = quick(model=model, encoder_module=BatchNormMLP, learning_rate=1e-30)
    clf.fit(X, few)
    one, two = (m for m in clf.module_.modules() if isinstance(m, BatchNormMLP))
    assert one.sizes == two.sizes
    assert not torch.isclose(one.net[0].weight, two.net[0].weight).any()


def test_a_copy_of_the_built_in_classifier_gives_the_same_predictions(quick, iris):
    """Before training; the other networks have different initial weights."""
    X, few, _ = iris
    seed = quick().fit(X, few).net_.seed

    def copied(in_features, out_features):
        hidden = (200, 200)
        model = M2Module(4, (1 / 3,) * 3, 2, (16,), "gaussian", seed, hidden)
        return model.classifier

    untrained = quick(classifier_module=copied, learning_rate=1e-30).fit(X, few)
    built_in = quick(learning_rate=1e-30).fit(X, few)
    np.testing.assert_array_equal(untrained.predict_proba(X), built_in.predict_proba(X))
    trained = quick(classifier_module=copied).fit(X, few)
    assert not np.array_equal(trained.predict_proba(X), untrained.predict_proba(X))


def test_keyword_arguments_are_parameters_of_the_estimator(iris):
    X, few, _ = iris
    clf = SSVAEClassifier(
        encoder_module=BatchNormMLP, encoder_module__width=5, teacher=None
    )
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


def test_single_rows_are_mapped_in_evaluation_mode():
    kwargs = {"dropout": 0.5}
    network = UserNetwork(BatchNormMLP, 3, 2, kwargs, "encoder_module", 0).train()
    x = torch.randn(1, 3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    torch.testing.assert_close(network(x), network(x))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key])
    assert network.network.training
    assert network(torch.zeros(0, 3)).shape == (0, 2)
    assert network(torch.zeros(2, 5, 3)).shape == (2, 5, 2)


def test_the_largest_intermediate_output_is_recorded():
    network = UserNetwork(
        lambda n_in, n_out: nn.Sequential(
            nn.Linear(n_in, 50), nn.Unflatten(1, (2, 25)), nn.Conv1d(2, 40, 1),
            nn.Flatten(), nn.Linear(1000, n_out),
        ),
        3, 2, {}, "decoder_module", 0,
    )  # fmt: skip
    assert network.max_width == 1000


class RowNormalized(nn.Linear):
    """A network that is not defined at zero, nor where all rows are equal."""

    def forward(self, x):
        x = x / x.norm(dim=1, keepdim=True)
        return super().forward(x / x.std(0, keepdim=True) if len(x) > 1 else x)


def test_a_network_need_not_be_defined_at_zero():
    assert UserNetwork(RowNormalized, 3, 2, {}, "encoder_module", 0).max_width == 2


def test_a_network_that_a_factory_returns_twice_is_copied(quick, iris):
    """Each estimator trains its own copy."""
    X, few, _ = iris
    network = nn.Linear(4, 3)
    before = network.weight.clone()
    fitted = [
        quick(classifier_module=lambda i, o: network).fit(X, few) for _ in range(2)
    ]
    assert torch.equal(network.weight, before)
    one, two = (clf.module_.classifier.network.weight for clf in fitted)
    assert one is not two
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, before)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm:FutureWarning")
def test_networks_that_cannot_be_copied_are_used_uncopied(quick, iris):
    X, few, _ = iris

    def normed(n_in, n_out):
        return nn.utils.weight_norm(nn.Linear(n_in, n_out))

    clf = quick(classifier_module=normed, warm_start=True).fit(X, few)
    assert clf.fit(X, few).n_iter_ == 8


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_modules_give_the_same_latent_means(quick, iris):
    X, few, _ = iris

    def scripted(n_in, n_out):
        return torch.jit.script(nn.Sequential(nn.Linear(n_in, n_out)))

    one = quick(encoder_module=scripted).fit(X, few)
    two = quick(encoder_module=nn.Linear).fit(X, few)
    np.testing.assert_allclose(one.transform(X), two.transform(X), rtol=1e-4)


@pytest.fixture
def double_dtype():
    """Set torch's default dtype to float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm", "adgm"])
def test_networks_are_float32_whatever_the_default_dtype(
    quick, iris, double_dtype, model
):
    X, few, _ = iris
    spec = make_spec(model, inner_size=4, pretrain_epochs=2)
    clf = quick(model=spec, **USER_NETWORKS).fit(X, few)
    assert {p.dtype for p in clf.module_.parameters()} == {torch.float32}
    assert np.isfinite(clf.score_samples(X[:5])).all()


class InPlace(nn.Module):
    """A network that modifies its input, or a copy of it."""

    def __init__(self, in_features, out_features, first, inplace=True):
        super().__init__()
        self.first = {"dropout": nn.Dropout, "relu": nn.ReLU}[first](inplace=inplace)
        self.last = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.last(self.first(x))


@pytest.mark.parametrize("role", ["classifier_module", "encoder_module"])
@pytest.mark.parametrize("first", ["dropout", "relu"])
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_networks_may_modify_their_input_in_place(quick, iris, role, first, model):
    X, few, _ = iris
    fitted = [
        quick(
            **{role: InPlace, f"{role}__first": first, f"{role}__inplace": inplace},
            model=make_spec(model, inner_size=4, pretrain_epochs=2),
            options=ClassifierOptions(adversarial_weight=1.0),
        ).fit(X, few)
        for inplace in (True, False)
    ]  # fmt: skip
    in_place, copying = fitted
    assert in_place.history_[-1]["bound"] == copying.history_[-1]["bound"]
    np.testing.assert_array_equal(in_place.transform(X), copying.transform(X))


class DoubleOutput(nn.Linear):
    """A network that returns float64."""

    def forward(self, x):
        return super().forward(x).double()


def test_outputs_in_double_precision_are_rounded(quick, iris):
    X, few, _ = iris
    double = quick(classifier_module=DoubleOutput).fit(X, few)
    single = quick(classifier_module=nn.Linear).fit(X, few)
    np.testing.assert_array_equal(double.predict_proba(X), single.predict_proba(X))


def wrong_shape(in_features, out_features):
    return nn.Linear(in_features, out_features + 1)


class TwoOutputs(nn.Linear):
    """A network that returns a tuple."""

    def forward(self, x):
        return super().forward(x), 0


class Squeezed(nn.Linear):
    """A network that drops the axis of rows if there is one row."""

    def forward(self, x):
        return super().forward(x).squeeze()


class NotFinite(nn.Linear):
    """A network that returns NaN for rows in [0, 1]."""

    def forward(self, x):
        return super().forward(x) + (-1 - x[:, :1]).sqrt()


class FailsInTraining(nn.Linear):
    """A network that raises an error for more than two rows."""

    error = KeyError

    def forward(self, x):
        if len(x) > 2:
            raise self.error(len(x))
        return super().forward(x)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"classifier_module": nn.Linear(4, 3)},
            TypeError,
            "classifier_module must be a torch.nn.Module class or a factory "
            "f(in_features, out_features, **kwargs), got an instance of Linear: it "
            "would be trained in place and shared by clones. Pass its class.",
        ),
        (
            {"encoder_module": lambda n_in, n_out: None},
            TypeError,
            "encoder_module must return a torch.nn.Module, but",
        ),
        (
            {"decoder_module": wrong_shape},
            ValueError,
            "The network of decoder_module must return floats of shape (n_rows, "
            "out_features) = (2, 4), got (2, 5) of torch.float32.",
        ),
        (
            {"classifier_module": TwoOutputs},
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
            {"encoder_module": Squeezed},
            ValueError,
            "The network of encoder_module must return floats of shape (n_rows, "
            "out_features) = (1, 128), got (128,) of torch.float32.",
        ),
        (
            {"decoder_module": NotFinite},
            ValueError,
            "The network of decoder_module must return finite numbers, got nan for a "
            "row of numbers between 0 and 1.",
        ),
        (
            {"classifier_module": FailsInTraining},
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
def test_invalid_networks_are_refused(iris, params, error, message):
    X, few, _ = iris
    clf = SSVAEClassifier(teacher=None, max_epochs=1, **params)
    attributes = set(vars(clf))
    with pytest.raises(error) as caught:
        clf.fit(X, few)
    assert str(caught.value).startswith(message)
    assert set(vars(clf)) == attributes


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupts_and_memory_errors_are_raised_unchanged(error):
    network = UserNetwork(FailsInTraining, 3, 2, {}, "encoder_module", 0)
    network.network.error = error
    with pytest.raises(error):
        network(torch.zeros(5, 3))


@pytest.mark.parametrize("estimator", [SSVAEClassifier, VariationalAutoencoder])
def test_unknown_parameters_are_refused(estimator):
    name = estimator.__name__
    with pytest.raises(TypeError) as error:
        estimator(encoder_modul__width=1)
    assert str(error.value) == (
        f"{name}.__init__() got an unexpected keyword argument 'encoder_modul__width'."
    )
    with pytest.raises(ValueError, match=r"^Invalid parameter 'alhpa' for estimator"):
        estimator().set_params(alhpa=1)


def test_an_autoencoder_has_no_classifier_parameters():
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


def test_networks_of_a_fitted_model_cannot_be_changed_in_a_warm_start(quick, iris):
    X, few, _ = iris
    clf = quick(warm_start=True, encoder_module=BatchNormMLP, encoder_module__width=5)
    clf.fit(X, few)
    clf.set_params(encoder_module__width=6)
    with pytest.raises(ValueError, match=r"^encoder_module__width was 5 when the mod"):
        clf.fit(X, few)
    clf.set_params(encoder_module__width=5).fit(X, few)
    assert clf.n_iter_ == 8
