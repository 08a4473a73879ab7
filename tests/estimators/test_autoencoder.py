"""The autoencoder: density, latent means and samples in the user's units."""

import numpy as np
import pandas as pd
import pytest
from docstrings import documented_names
from scipy import stats
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sk_ssvae import VariationalAutoencoder


def make_vae(**params):
    """Return a small autoencoder, which is fitted in a fraction of a second."""
    defaults = {"latent_size": 2, "hidden_sizes": (16,), "max_epochs": 4}
    return VariationalAutoencoder(**(defaults | {"random_state": 0} | params))


@pytest.fixture(scope="module")
def fitted():
    return make_vae().fit(load_iris().data)


def test_every_fitted_attribute_is_documented():
    X, _ = load_iris(return_X_y=True)
    model = make_vae().fit(pd.DataFrame(X).add_prefix("x"))
    public = {n for n in dir(model) if n.endswith("_") and not n.startswith("_")}
    assert public <= documented_names(VariationalAutoencoder, "Attributes")


def test_density_of_a_linear_decoder_is_that_of_probabilistic_pca():
    """A linear decoder is factor analysis; on isotropic noise, probabilistic PCA."""
    rng = np.random.RandomState(0)
    W = rng.randn(2, 5)
    X = rng.randn(2000, 2) @ W + 0.5 * rng.randn(2000, 5) + 3
    model = make_vae(hidden_sizes=(), max_epochs=100, learning_rate=0.01).fit(X[:1500])
    exact = stats.multivariate_normal(np.full(5, 3), W.T @ W + 0.25 * np.eye(5))
    assert model.score(X[1500:]) == pytest.approx(
        exact.logpdf(X[1500:]).mean(), abs=0.05
    )
    pca = PCA(2).fit(X[:1500])
    errors = [
        ((X[1500:] - m.inverse_transform(m.transform(X[1500:]))) ** 2).mean()
        for m in (model, pca)
    ]
    assert errors[0] < 1.15 * errors[1]
    samples = model.sample(20_000)
    np.testing.assert_allclose(samples.mean(0), X.mean(0), atol=0.15)
    np.testing.assert_allclose(np.cov(samples.T), np.cov(X.T), atol=0.4)


def test_a_change_of_units_changes_only_the_units_of_results(fitted):
    X, _ = load_iris(return_X_y=True)
    unit = np.array([1e-3, 1.0, 10.0, 1e6])
    other = make_vae().fit(X * unit + 7)
    np.testing.assert_allclose(
        fitted.transform(X), other.transform(X * unit + 7), atol=1e-3
    )
    np.testing.assert_allclose(
        fitted.score_samples(X) - np.log(unit).sum(),
        other.score_samples(X * unit + 7),
        atol=1e-2,
    )
    Z = fitted.transform(X)
    np.testing.assert_allclose(
        fitted.inverse_transform(Z) * unit + 7, other.inverse_transform(Z), rtol=1e-3
    )


def test_labels_are_ignored(fitted):
    X, y = load_iris(return_X_y=True)
    expected = fitted.transform(X)
    np.testing.assert_array_equal(make_vae().fit(X, y).transform(X), expected)
    np.testing.assert_array_equal(make_vae().fit_transform(X, y), expected)


def test_a_classifier_on_latent_means_is_accurate():
    """The model M1 of Kingma et al. 2014: an SVC fitted to few labelled rows."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    autoencoder = VariationalAutoencoder(10, random_state=0)
    Z = autoencoder.fit(X[:1200]).transform(X)
    assert SVC().fit(Z[:100], y[:100]).score(Z[1200:], y[1200:]) > 0.75
    pipe = make_pipeline(VariationalAutoencoder(10, max_epochs=5), SVC())
    assert pipe.fit(X[:300], y[:300]).predict(X[300:310]).shape == (10,)


def test_warm_start_continues_the_history():
    X, _ = load_iris(return_X_y=True)
    model = make_vae(warm_start=True).fit(X)
    before = model.score(X)
    model.set_params(max_epochs=60).fit(X)
    assert model.n_iter_ == 64
    assert model.score(X) > before
    assert [row["bound"] for row in model.history_][-1] > model.history_[0]["bound"]
    model.set_params(latent_size=3)
    with pytest.raises(
        ValueError, match=r"^latent_size was 2 when the model was created"
    ):
        model.fit(X)


def test_the_learning_rate_falls_to_zero():
    """The held-out bound hardly changes in the last epochs."""
    X, _ = load_iris(return_X_y=True)
    history = make_vae(max_epochs=200, validation_fraction=0.2).fit(X).history_
    values = [row["valid_loss"] for row in history]
    early = np.abs(np.diff(values[90:110])).mean()
    late = np.abs(np.diff(values[-10:])).mean()
    assert late < early / 3


def test_the_kl_divergence_warms_up_only_in_the_first_fit_of_a_bernoulli_model(
    monkeypatch,
):
    X = (load_digits().data[:300] > 8).astype(float)
    X = X[:, X.std(0) > 0]
    progress = []
    monkeypatch.setattr(
        "sk_ssvae.training.net.kl_warm_up",
        lambda p: progress.append(p) or min(1.0, p / 0.4),
    )
    model = make_vae(warm_start=True, batch_size=100).fit(X)
    assert progress == [i / 12 for i in range(12)]
    model.fit(X)
    make_vae(likelihood="gaussian").fit(X)
    assert len(progress) == 12


def test_a_failed_fit_leaves_an_unfitted_estimator():
    X, _ = load_iris(return_X_y=True)
    model = make_vae(learning_rate=1e30)
    attributes = set(vars(model))
    with pytest.raises(ValueError) as error:
        model.fit(X)
    assert str(error.value).startswith("Training diverged: ")
    assert str(error.value).endswith(
        "Try a smaller learning_rate (it is 1e+30), and check X for extreme values."
    )
    assert set(vars(model)) == attributes
    with pytest.raises(NotFittedError):
        model.sample()
    with pytest.raises(NotFittedError):
        model.score_samples(X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.inverse_transform(np.ones((2, 3))), ValueError,
         "Z has 3 columns, but the latent space of VariationalAutoencoder has 2 "
         "dimensions."),
        (lambda m: m.sample(0), ValueError, "n_samples must be at least 1, got 0."),
        (lambda m: m.sample(2.5), TypeError,
         "n_samples must be an integer, got 2.5 of type float."),
        (lambda m: m.score_samples(np.ones((1, 4)), n_draws=0), ValueError,
         "n_draws must be at least 1, got 0."),
        (lambda m: m.transform(np.ones((1, 3))), ValueError,
         "X has 3 features, but VariationalAutoencoder is expecting 4 features as "
         "input."),
    ],
)  # fmt: skip
def test_invalid_arguments_of_methods_are_errors(fitted, call, error, message):
    with pytest.raises(error) as caught:
        call(fitted)
    assert str(caught.value) == message


def test_samples_depend_on_random_state(fitted):
    X, _ = load_iris(return_X_y=True)
    np.testing.assert_array_equal(fitted.sample(3), fitted.sample(3))
    moving = make_vae(random_state=np.random.RandomState(0)).fit(X)
    assert not np.array_equal(moving.sample(3), moving.sample(3))


def test_callbacks_of_scikit_learn_are_called(capsys):
    make_vae().set_callbacks(ProgressBar()).fit(load_iris().data)
    assert "VariationalAutoencoder" in capsys.readouterr().out
