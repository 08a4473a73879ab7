"""What the model says of x: draws, means and log p(x), in the user's units."""

import numpy as np
import pandas as pd
import pytest
import torch
from exact_m2 import PRIOR, log_evidence, make_model, make_rows
from scipy import stats

from sk_ssvae.models import inference
from sk_ssvae.models.inference import (
    decoded_means,
    draw_rows,
    importance_weighted_bound,
    latent_means,
)

SCALE, SHIFT = np.array([10.0, 0.01, 3.0, 1e4]), np.array([1.0, -5.0, 0.0, 1e5])


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_importance_weighted_bound_reaches_the_evidence(likelihood):
    """Against quadrature over z and enumeration of y; from below, and growing."""
    model, x = make_model(likelihood), make_rows(likelihood)
    exact = [
        np.logaddexp.reduce([log_evidence(model, row, k) for k in range(len(PRIOR))])
        for row in x
    ]

    model, rows = model.float(), x.float().numpy()
    means = []
    for n_draws in (1, 10, 1000):
        draws = np.array(
            [
                importance_weighted_bound(
                    model, rows, n_draws, torch.Generator().manual_seed(seed)
                )
                for seed in range(200)
            ]
        )
        error = draws.std(0) / len(draws) ** 0.5
        assert (draws.mean(0) < exact + 4 * error).all()
        means.append(draws.mean())
    assert means[0] < means[1] < means[2]
    np.testing.assert_allclose(draws.mean(0), exact, atol=0.02)


def test_latent_means_and_decoded_means_are_loops_over_classes():
    model = make_model("gaussian", latent_size=2).float()
    x = make_rows("gaussian").float()
    q = model(x).exp()
    z = sum(q[:, [k]] * model.posterior_z(x, model.classes[k]).mean for k in range(3))
    np.testing.assert_allclose(latent_means(model, x.numpy()), z.detach(), atol=1e-5)
    weights = np.random.RandomState(0).dirichlet(np.ones(3), len(x)).astype(np.float32)
    decoded = sum(
        torch.from_numpy(weights)[:, [k]]
        * model.likelihood_x(z.float(), model.classes[k]).mean
        for k in range(3)
    )
    ours = decoded_means(model, z.detach().float().numpy(), weights)
    np.testing.assert_allclose(ours, decoded.detach(), atol=1e-5)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_draws_have_the_mean_of_the_model(likelihood):
    """E[x | y] over p(z), by quadrature over z."""
    model = make_model(likelihood)
    grid = np.linspace(-9, 9, 2001)
    z = torch.from_numpy(grid)[:, None]
    for k in range(len(PRIOR)):
        with torch.no_grad():
            means = model.likelihood_x(z, model.classes[k]).mean.numpy()
        weights = stats.norm.pdf(grid)[:, None] * (grid[1] - grid[0])
        mean, square = (weights * means).sum(0), (weights * means**2).sum(0)
        if likelihood == "gaussian":  # Var x = Var h + s^2
            learned = model.likelihood.log_scale.detach().exp().numpy()
            noise = model.likelihood.MIN_SCALE**2 + learned**2
            variance = square - mean**2 + noise
        else:
            variance = mean - mean**2
        drawn = draw_rows(model.float(), np.full(20_000, k), seed=k)
        model.double()
        error = drawn.std(0) / len(drawn) ** 0.5
        assert (np.abs(drawn.mean(0) - mean) < 4 * error).all()
        np.testing.assert_allclose(drawn.var(0), variance, rtol=0.05, atol=1e-3)


def test_draws_of_z_do_not_depend_on_chunks(monkeypatch):
    model = make_model("gaussian").float()
    with torch.no_grad():
        model.likelihood.log_scale.fill_(-30.0)
    codes = np.arange(50) % 3
    whole = draw_rows(model, codes, seed=0)
    original = inference.row_chunks
    monkeypatch.setattr(inference, "row_chunks", lambda n, cells: original(n, 1, 7))
    # up to the floor of the scale, 0.05
    np.testing.assert_allclose(draw_rows(model, codes, seed=0), whole, atol=0.5)


@pytest.fixture
def fitted(quick, iris):
    X, y, _ = iris
    return quick(max_epochs=30).fit(X, y)


@pytest.fixture
def fitted_in_other_units(quick, iris):
    X, y, _ = iris
    return quick(max_epochs=30).fit(X * SCALE + SHIFT, y)


def test_a_change_of_units_changes_nothing_else(fitted, fitted_in_other_units, iris):
    X = iris[0]
    other = X * SCALE + SHIFT
    a, b = fitted, fitted_in_other_units
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(other), atol=1e-3)
    np.testing.assert_allclose(a.transform(X), b.transform(other), atol=2e-2)
    Z = np.random.RandomState(0).randn(5, 2)
    for y in (None, 1):
        decoded = (b.inverse_transform(Z, y) - SHIFT) / SCALE
        np.testing.assert_allclose(a.inverse_transform(Z, y), decoded, atol=2e-2)
    drawn, classes = b.sample(50)
    assert (classes == a.sample(50)[1]).all()
    np.testing.assert_allclose(a.sample(50)[0], (drawn - SHIFT) / SCALE, atol=5e-2)
    # p(cx) = p(x) / c
    shifted = b.score_samples(other) + np.log(SCALE).sum()
    np.testing.assert_allclose(a.score_samples(X), shifted, atol=5e-2)


def test_density_of_one_column_integrates_to_one(quick, iris):
    X, y, _ = iris
    x = X[:, [2]] * 100 + 7
    clf = quick(latent_size=1, max_epochs=100).fit(x, y)
    grid = np.linspace(-800, 1800, 2001)[:, None]

    def total():
        density = np.exp(clf.score_samples(grid, n_draws=100).astype(float))
        return np.trapezoid(density, grid[:, 0])

    mean, error = over_seeds(clf, total)
    assert abs(mean - 1) < 4 * error + 1e-4


def over_seeds(clf, f, n=30):
    """Mean of f() over the draws of score_samples, and its standard error."""
    values = []
    for clf.net_.seed in range(n):
        values.append(f())
    return np.mean(values), np.std(values) / n**0.5


def test_score_samples_grows_with_draws_and_stands_above_the_bound(fitted, iris):
    X = iris[0]
    means = []
    for n_draws in (1, 10, 200):
        mean, error = over_seeds(
            fitted, lambda n=n_draws: fitted.score_samples(X, n).mean()
        )
        means.append((mean, error))
    (one, e1), (ten, e10), (many, e200) = means
    assert one < ten + 3 * np.hypot(e1, e10)
    assert ten < many + 3 * np.hypot(e10, e200)
    in_units = fitted.history_[-1]["bound"] + fitted.preprocessor_.scaling.log_det
    assert many > in_units


def test_a_row_has_one_score_in_any_company(fitted, iris):
    X = iris[0]
    whole = fitted.score_samples(X)
    assert np.array_equal(whole, fitted.score_samples(X))
    np.testing.assert_allclose(whole[::-1], fitted.score_samples(X[::-1]), rtol=1e-5)
    np.testing.assert_allclose(whole[3:4], fitted.score_samples(X[3:4]), rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_of_rows_changes_no_bit(quick, likelihood, dtype):
    rng = np.random.RandomState(0)
    X = rng.rand(20, 3).astype(dtype)
    y = (3 * X[:, 0]).astype(int)
    clf = quick(likelihood=likelihood, hidden_sizes=(32,)).fit(X, y)
    for method in (clf.predict_proba, clf.transform, clf.score_samples):
        expected = method(X)
        for _ in range(100):
            order = rng.permutation(20)
            np.testing.assert_array_equal(method(X[order]), expected[order])


def test_sample_follows_the_class_prior(quick, iris):
    X, y, _ = iris
    prior = [0.7, 0.2, 0.1]
    clf = quick(class_prior=prior).fit(X, y)
    drawn, classes = clf.sample(4000)
    assert drawn.shape == (4000, 4)
    counts = np.bincount(classes, minlength=3)
    assert stats.chisquare(counts, np.array(prior) * 4000).pvalue > 1e-4


def test_sample_of_given_classes(fitted):
    X, y = fitted.sample(5, y=2)
    assert X.shape == (5, 4)
    assert y.tolist() == [2] * 5
    assert fitted.sample(y=[0, 2, 1])[1].tolist() == [0, 2, 1]
    assert fitted.sample(3, y=[0, 2, 1])[1].tolist() == [0, 2, 1]
    assert fitted.sample()[0].shape == (1, 4)


def test_samples_look_like_their_class(quick, blobs):
    X, y, truth = blobs
    clf = quick(max_epochs=300, learning_rate=0.01).fit(X, y)
    drawn, classes = clf.sample(300)
    centres = np.array([X[truth == k].mean(0) for k in range(3)])
    nearest = ((drawn[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert (nearest == classes).mean() > 0.95


def test_random_state_of_sample(quick, iris):
    X, y, _ = iris
    clf = quick(random_state=3).fit(X, y)
    assert np.array_equal(clf.sample(4)[0], clf.sample(4)[0])
    clf.set_params(random_state=np.random.RandomState(0))
    assert not np.array_equal(clf.sample(4)[0], clf.sample(4)[0])
    clf.set_params(random_state=None)
    assert not np.array_equal(clf.sample(4)[0], clf.sample(4)[0])


def test_inverse_transform_averages_over_the_prior(quick, iris):
    X, y, _ = iris
    clf = quick(class_prior=[0.5, 0.3, 0.2]).fit(X, y)
    Z = np.random.RandomState(0).randn(6, 2)
    each = [clf.inverse_transform(Z, k) for k in range(3)]
    mixture = 0.5 * each[0] + 0.3 * each[1] + 0.2 * each[2]
    np.testing.assert_allclose(clf.inverse_transform(Z), mixture, atol=1e-5)
    picked = clf.inverse_transform(Z, [0, 1, 2, 2, 1, 0])
    np.testing.assert_allclose(picked[1], each[1][1], atol=1e-5)
    np.testing.assert_allclose(picked[5], each[0][5], atol=1e-5)


def test_reconstruction_comes_close(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=150, hidden_sizes=(64,)).fit(X, y)
    back = clf.inverse_transform(clf.transform(X), clf.predict(X))
    assert ((back - X) ** 2).sum() < 0.35 * ((X - X.mean(0)) ** 2).sum()


def test_columns_come_back_in_place(quick, iris):
    X, y, _ = iris
    X = np.insert(X, 1, -3.5, axis=1)
    clf = quick().fit(X, y)
    assert (clf.sample(20)[0][:, 1] == -3.5).all()
    assert (clf.inverse_transform(clf.transform(X))[:, 1] == -3.5).all()
    without = quick().fit(np.delete(X, 1, axis=1), y)
    np.testing.assert_array_equal(
        without.score_samples(np.delete(X, 1, axis=1)), clf.score_samples(X)
    )


def test_bernoulli_draws_are_binary_and_means_are_probabilities(quick):
    rng = np.random.RandomState(0)
    X = (rng.rand(60, 5) < 0.3).astype(float)
    y = np.where(np.arange(60) < 8, np.arange(60) % 2, -1)
    clf = quick().fit(X, y)
    assert clf.likelihood_ == "bernoulli"
    assert set(np.unique(clf.sample(50)[0])) == {0.0, 1.0}
    means = clf.inverse_transform(clf.transform(X))
    assert ((means > 0) & (means < 1)).all()
    rows = np.array(np.meshgrid(*[[0.0, 1.0]] * 5)).reshape(5, -1).T
    mean, error = over_seeds(
        clf, lambda: np.exp(clf.score_samples(rows, n_draws=50).astype(float)).sum()
    )
    assert abs(mean - 1) < 4 * error + 1e-4


def test_frames_of_latent_points(fitted, iris):
    X = iris[0]
    Z = pd.DataFrame(fitted.transform(X), columns=fitted.get_feature_names_out())
    from_frame = fitted.inverse_transform(Z)
    np.testing.assert_array_equal(from_frame, fitted.inverse_transform(Z.to_numpy()))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.sample(0), ValueError, "n_samples must be at least 1, got 0."),
        (lambda c: c.sample(-3), ValueError, "n_samples must be at least 1, got -3."),
        (
            lambda c: c.sample(2.0),
            TypeError,
            "n_samples must be an integer, got 2.0 of type float.",
        ),
        (
            lambda c: c.sample(2, y=9),
            ValueError,
            "y contains labels that are not among the classes: [9]. The classes are "
            "[0, 1, 2].",
        ),
        (
            lambda c: c.sample(2, y=-1),
            ValueError,
            "y contains -1, which is not a class. The classes are [0, 1, 2].",
        ),
        (
            lambda c: c.sample(3, y=[0, 1]),
            ValueError,
            "y has 2 labels for 3 rows. Pass one label, or one per row.",
        ),
        (
            lambda c: c.inverse_transform(np.zeros((2, 3))),
            ValueError,
            "Z has 3 columns, but the latent space of SSVAEClassifier has 2 "
            "dimensions.",
        ),
        (
            lambda c: c.inverse_transform(np.zeros((2, 2)), "a"),
            ValueError,
            "y contains labels that are not among the classes: ['a']. The classes are "
            "[0, 1, 2].",
        ),
        (
            lambda c: c.sample(y=[]),
            ValueError,
            "y has 0 labels for 1 rows. Pass one label, or one per row.",
        ),
        (
            lambda c: c.sample(10**30),
            ValueError,
            f"n_samples must be at most 2147483647, got {10**30}.",
        ),
        (
            lambda c: c.sample(y=np.nan),
            ValueError,
            "y contains nan. Mark unlabelled rows by the integer -1.",
        ),
        (
            lambda c: c.score_samples(np.zeros((1, 4)), n_draws=0),
            ValueError,
            "n_draws must be at least 1, got 0.",
        ),
        (
            lambda c: c.score_samples(np.zeros((1, 4)), n_draws=1.5),
            TypeError,
            "n_draws must be an integer, got 1.5 of type float.",
        ),
    ],
)
def test_refused(fitted, call, error, message):
    with pytest.raises(error) as raised:
        call(fitted)
    assert str(raised.value) == message
