"""User-supplied networks have inputs and outputs for constant columns."""

import numpy as np
import pandas as pd
import pytest
import torch
from model_objects import make_spec
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from torch import nn
from user_modules import BatchNormMLP, network_sizes

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.estimators import base
from sk_ssvae.estimators.parameters import network_factories
from sk_ssvae.model_selection import LabeledStratifiedKFold, mask_labels
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.user_columns import user_columns
from sk_ssvae.models.user_networks import UserNetwork


class Convolution(nn.Sequential):
    """A convolution on images of 8 x 8 pixels."""

    def __init__(self, in_features, out_features, channels=2):
        super().__init__(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(4 * channels, out_features),
        )


class Deconvolution(nn.Sequential):
    """A network whose output is an image of 8 x 8 pixels."""

    def __init__(self, in_features, out_features):
        super().__init__(
            nn.Linear(in_features, 32),
            nn.Unflatten(1, (2, 4, 4)),
            nn.ConvTranspose2d(2, 1, 2, stride=2),
            nn.Flatten(),
        )


NETWORKS = {
    "classifier_module": Convolution,
    "encoder_module": Convolution,
    "decoder_module": Deconvolution,
}

PIXELS, DIGITS = (part[:150] for part in load_digits(return_X_y=True))
FEW_DIGITS = mask_labels(DIGITS, n_per_class=4, random_state=0)


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "poisson"])
def test_a_convolution_in_cross_validation(quick, likelihood):
    X = PIXELS / (1 if likelihood == "poisson" else 16)
    search = GridSearchCV(
        quick(max_epochs=1, likelihood=likelihood, **NETWORKS),
        {"classifier_module__channels": [1]},
        cv=LabeledStratifiedKFold(2),
        error_score="raise",
    ).fit(X, FEW_DIGITS)
    clf = search.best_estimator_
    assert clf.preprocessor_.n_kept < 64
    assert clf.sample(3)[0].shape == (3, 64)
    assert clf.inverse_transform(clf.transform(X[:2])).shape == (2, 64)
    assert np.isfinite(clf.score_samples(X)).all()
    X_gap = np.where(np.arange(64) == 20, np.nan, X)
    assert np.isfinite(clf.impute(X_gap)).all()


@pytest.mark.parametrize("model", ["m1+m2", "sdgm", "adgm"])
def test_other_models(quick, model):
    networks = {k: v for k, v in NETWORKS.items() if k != "classifier_module"}
    spec = make_spec(model, inner_size=6, pretrain_epochs=1)
    clf = quick(model=spec, max_epochs=1, **networks).fit(PIXELS / 16, FEW_DIGITS)
    assert clf.sample(3)[0].shape == (3, 64)


def test_an_autoencoder():
    networks = {k: v for k, v in NETWORKS.items() if k != "classifier_module"}
    vae = VariationalAutoencoder(2, max_epochs=1, **networks).fit(PIXELS / 16)
    assert vae.sample(3).shape == (3, 64)
    assert np.isfinite(vae.score(PIXELS / 16))


def test_fit_and_partial_fit_make_networks_of_the_same_sizes(quick, iris):
    X, few, _ = iris
    X = np.insert(X, 2, 7.0, axis=1)
    sizes = []
    names = ("classifier_module", "encoder_module", "decoder_module")
    for method in ("fit", "partial_fit"):
        clf = quick(**dict.fromkeys(names, BatchNormMLP))
        kwargs = {} if method == "fit" else {"classes": [0, 1, 2]}
        getattr(clf, method)(X, few, **kwargs)
        sizes.append(network_sizes(clf.module_))
    assert sizes[0] == sizes[1] == [(5, 3), (5, 16), (5, 5)]


class OnSome(nn.Module):
    """A network with fixed initial weights that uses some inputs and outputs only."""

    def __init__(self, in_features, out_features, inputs=None, outputs=None):
        super().__init__()
        self.inputs = list(range(in_features)) if inputs is None else inputs
        self.outputs = list(range(out_features)) if outputs is None else outputs
        self.n_out = out_features
        self.linear = nn.Linear(len(self.inputs), len(self.outputs))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.1, generator=generator)

    def forward(self, x):
        """Return zeros in the outputs that are not used."""
        some = self.linear(x[:, self.inputs])
        return some.new_zeros(len(x), self.n_out).index_copy(
            1, torch.tensor(self.outputs), some
        )


def test_constant_columns_change_no_result_if_the_networks_ignore_them(quick, iris):
    X, few, _ = iris
    more = np.column_stack([np.full(150, 1e30), X[:, :3], np.zeros(150), X[:, 3:]])
    kept = [1, 2, 3, 5]
    networks = dict.fromkeys(NETWORKS, OnSome)
    plain = quick(**networks).fit(X, few)
    wide = quick(
        **networks,
        classifier_module__inputs=kept,
        encoder_module__inputs=kept,
        decoder_module__outputs=kept,
    ).fit(more, few)
    for name in ("predict_proba", "transform", "score_samples"):
        a, b = getattr(plain, name)(X), getattr(wide, name)(more)
        np.testing.assert_array_equal(a, b)
    drawn = wide.sample(20)[0]
    np.testing.assert_allclose(drawn[:, kept], plain.sample(20)[0], rtol=1e-12)
    np.testing.assert_array_equal(drawn[:, [0, 4]], more[:20, [0, 4]])


def test_densities_are_finite_after_partial_fit(quick, iris):
    """The density then includes columns that were constant in the first chunk."""
    X, few, _ = iris
    X = np.column_stack([np.full(150, 1e30), X, np.zeros(150)])
    clf = quick(**dict.fromkeys(NETWORKS, OnSome))
    clf.partial_fit(X, few, classes=[0, 1, 2])
    assert np.isfinite(clf.score_samples(X)).all()
    assert np.isfinite(clf.sample(20)[0]).all()


def mixed_rows():
    rng = np.random.RandomState(0)
    return pd.DataFrame(
        {
            "flat": np.full(40, 3.0),
            "size": rng.randn(40),
            "one": pd.Categorical(["b"] * 40, categories=["a", "b", "c"]),
            "off": np.zeros(40),
            "town": pd.Categorical(list("xyzz") * 10),
            "gap": np.where(rng.rand(40) < 0.3, np.nan, rng.randn(40)),
            "visits": rng.poisson(3.0, 40).astype(float),
            "still": np.full(40, 2.0),
            "on": rng.randint(0, 2, 40).astype(float),
            "last": np.ones(40),
        }
    )


def test_the_inputs_are_those_of_all_columns_in_their_order():
    likelihood = [
        ("poisson", ["visits", "still"]),
        ("bernoulli", ["on", "off", "last"]),
        ("gaussian", ["flat", "size", "gap"]),
    ]
    owner = SSVAEClassifier()
    preprocessor = Preprocessor(likelihood)
    cells = preprocessor.read(owner, mixed_rows(), reset=True)
    preprocessor.fit(cells)
    kinds, sizes = preprocessor.column_types, preprocessor.schema.sizes
    columns = user_columns(
        preprocessor.layout,
        preprocessor.scaling.kept,
        kinds,
        sizes,
        preprocessor.scaling.mean,
    )
    network = UserNetwork(
        nn.Linear, len(columns.inputs), 2, {}, "encoder_module", 0, columns=columns
    )
    model_inputs = InputEncoder(preprocessor.layout)(
        torch.from_numpy(preprocessor.scaling.encode(cells))
    )
    inputs = network.network_inputs(model_inputs).numpy()
    names = ["flat", "size", "off", "gap", "visits", "still", "on", "last"]
    names += ["one b", "town x", "town y", "town z", "missing"]
    table = pd.DataFrame(inputs, columns=names)
    frame = mixed_rows()
    for name in ("on", "off", "last"):
        np.testing.assert_array_equal(table[name], frame[name])
    for name in ("flat", "still"):
        assert (table[name] == 0).all()
    assert (table["one b"] == 1).all()
    for level in "xyz":
        np.testing.assert_array_equal(table[f"town {level}"], frame["town"] == level)
    np.testing.assert_array_equal(table["missing"], frame["gap"].isna())
    size = frame["size"]
    standardised = (size - size.mean()) / size.std(ddof=0)
    np.testing.assert_allclose(table["size"], standardised, rtol=1e-5)
    assert columns.description == (
        "8 numeric columns, 4 levels of 2 columns of categories, 1 indicators of "
        "missing cells"
    )
    # One output per numeric column and per category.
    assert columns.n_outputs == 8 + 4
    full = [
        ColumnGroup(kind, np.flatnonzero(kinds == kind), tuple(sizes[kinds == kind]))
        for kind in dict.fromkeys(kinds)
    ]
    order = [
        (column, level)
        for group in full
        for column, size in zip(group.columns, group.sizes, strict=True)
        for level in range(max(1, size))
    ]
    kept = np.flatnonzero(preprocessor.scaling.kept)
    expected = [
        order.index((kept[column], level))
        for group in preprocessor.layout.groups
        for i, column in enumerate(group.columns)
        for level in range(group.sizes[i] if group.sizes else 1)
    ]
    assert columns.outputs.tolist() == expected


def test_saved_networks_have_all_columns(quick, tmp_path):
    pytest.importorskip("safetensors")
    X = PIXELS / 16
    clf = quick(max_epochs=1, **NETWORKS).fit(X, FEW_DIGITS)
    clf.save(tmp_path / "digits.ssvae")
    loaded = sk_ssvae.load(tmp_path / "digits.ssvae", **NETWORKS)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(loaded.sample(3)[0], clf.sample(3)[0])


def test_networks_in_older_files_keep_their_columns(quick, iris, tmp_path, monkeypatch):
    """They have no inputs for constant columns."""
    pytest.importorskip("safetensors")
    X, few, _ = iris
    X = np.insert(X, 2, 7.0, axis=1)
    networks = {"encoder_module": BatchNormMLP, "decoder_module": BatchNormMLP}
    monkeypatch.setattr(
        base, "network_factories", lambda estimator, *_: network_factories(estimator)
    )
    clf = quick(**networks).fit(X, few)
    assert network_sizes(clf.module_) == [(4, 16), (5, 4)]
    clf.save(tmp_path / "old.ssvae")
    monkeypatch.undo()
    loaded = sk_ssvae.load(tmp_path / "old.ssvae", **networks)
    assert network_sizes(loaded.module_) == [(4, 16), (5, 4)]
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    refitted = clone(loaded).fit(X, few)
    assert network_sizes(refitted.module_) == [(5, 16), (5, 5)]


@pytest.mark.parametrize(
    ("model", "role", "gap", "message"),
    [
        ("m2", "classifier", False, "5 numeric columns"),
        ("m2", "encoder", True, "5 numeric columns, 1 indicators of missing cells"),
        ("sdgm", "classifier", False, "5 numeric columns, 6 auxiliary variables"),
        ("m1+m2", "decoder", False, "6 latent variables"),
        ("m2", "decoder", False, "2 latent variables, 3 one-hot classes"),
    ],
)
def test_errors_say_what_the_inputs_are(quick, iris, model, role, gap, message):
    X, few, _ = iris
    X = np.insert(X, 2, 7.0, axis=1)
    X[0, 0] = np.nan if gap else X[0, 0]

    class Fails(nn.Linear):
        def forward(self, x):
            raise RuntimeError("no")

    role = f"{role}_module"
    spec = make_spec(model, inner_size=6, pretrain_epochs=1)
    with pytest.raises(ValueError) as caught:
        quick(model=spec, **{role: Fails}).fit(X, few)
    n = sum(int(part.split()[0]) for part in message.split(", "))
    assert str(caught.value) == (
        f"The network of {role} cannot map floats of shape (2, {n}): RuntimeError: no\n"
        f"The {n} inputs of {role} are: {message}."
    )

    def cannot(in_features, out_features):
        raise ArithmeticError("odd")

    with pytest.raises(ValueError) as caught:
        quick(model=spec, **{role: cannot}).fit(X, few)
    assert str(caught.value).endswith(
        f"raised ArithmeticError: odd\nThe {n} inputs of {role} are: {message}."
    )


def test_layouts_without_constant_columns_need_no_copy():
    layout = Layout((ColumnGroup("gaussian", np.arange(3)),), np.zeros(3))
    kinds = np.array(["gaussian"] * 3, dtype=object)
    columns = user_columns(
        layout, np.ones(3, dtype=bool), kinds, np.zeros(3, dtype=int), np.zeros(3)
    )
    network = UserNetwork(nn.Linear, 3, 2, {}, "encoder_module", 0, columns=columns)
    assert network.places is None
    assert columns.outputs.tolist() == [0, 1, 2]
