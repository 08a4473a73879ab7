"""Samples, decoded means and log p(x) of the classifier, in the user's units."""

import functools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

SCALE, SHIFT = np.array([10.0, 0.01, 3.0, 1e4]), np.array([1.0, -5.0, 0.0, 1e5])


@pytest.fixture
def fitted(quick, iris):
    X, y, _ = iris
    return quick(max_epochs=30).fit(X, y)


def test_a_change_of_units_changes_only_the_units_of_results(quick, iris):
    X, y, _ = iris
    other = X * SCALE + SHIFT
    # Bounds and whole numbers depend on the units.
    make = functools.partial(quick, max_epochs=30, likelihood="gaussian")
    a, b = make().fit(X, y), make().fit(other, y)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(other), atol=1e-3)
    np.testing.assert_allclose(a.transform(X), b.transform(other), atol=2e-2)
    Z = np.random.RandomState(0).randn(5, 2)
    for label in (None, 1):
        decoded = (b.inverse_transform(Z, label) - SHIFT) / SCALE
        np.testing.assert_allclose(a.inverse_transform(Z, label), decoded, atol=2e-2)
    samples, classes = b.sample(50)
    assert (classes == a.sample(50)[1]).all()
    np.testing.assert_allclose(a.sample(50)[0], (samples - SHIFT) / SCALE, atol=5e-2)
    # p(cx) = p(x) / c
    shifted = b.score_samples(other) + np.log(SCALE).sum()
    np.testing.assert_allclose(a.score_samples(X), shifted, atol=5e-2)


# The density


def mean_over_seeds(clf, f, n=30):
    """Return the mean of f() over the draws of `score_samples`, and its error."""
    values = []
    for clf.net_.seed in range(n):
        values.append(f())
    return np.mean(values), np.std(values) / n**0.5


def test_the_density_of_one_column_integrates_to_one(quick, iris):
    X, y, _ = iris
    x = X[:, [2]] * 100 + 7
    clf = quick(latent_size=1, max_epochs=30).fit(x, y)
    grid = np.linspace(-800, 1800, 1001)[:, None]

    def integral():
        density = np.exp(clf.score_samples(grid, n_draws=100).astype(float))
        return np.trapezoid(density, grid[:, 0])

    mean, error = mean_over_seeds(clf, integral)
    assert abs(mean - 1) < 4 * error + 1e-4


def test_score_samples_increases_with_draws_and_exceeds_the_bound_of_training(
    fitted, iris
):
    X = iris[0]
    means = []
    for n_draws in (1, 10, 200):
        mean, error = mean_over_seeds(
            fitted, lambda n=n_draws: fitted.score_samples(X, n).mean()
        )
        means.append((mean, error))
    (one, e1), (ten, e10), (many, e200) = means
    assert one < ten + 3 * np.hypot(e1, e10)
    assert ten < many + 3 * np.hypot(e10, e200)
    bound = fitted.history_[-1]["bound"] + fitted.preprocessor_.scaling.log_det
    assert many > bound


def test_the_score_of_a_row_does_not_depend_on_the_other_rows(fitted, iris):
    X = iris[0]
    scores = fitted.score_samples(X)
    assert np.array_equal(scores, fitted.score_samples(X))
    np.testing.assert_allclose(scores[::-1], fitted.score_samples(X[::-1]), rtol=1e-5)
    np.testing.assert_allclose(scores[3:4], fitted.score_samples(X[3:4]), rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_permuted_rows_have_bit_identical_results(quick, likelihood, dtype):
    rng = np.random.RandomState(0)
    X = rng.rand(20, 3).astype(dtype)
    y = (3 * X[:, 0]).astype(int)
    clf = quick(likelihood=likelihood, hidden_sizes=(32,)).fit(X, y)
    for method in (clf.predict_proba, clf.transform, clf.score_samples):
        expected = method(X)
        for _ in range(40):
            order = rng.permutation(20)
            np.testing.assert_array_equal(method(X[order]), expected[order])


# Samples


def test_sampled_classes_follow_the_class_prior(quick, iris):
    X, y, _ = iris
    prior = [0.7, 0.2, 0.1]
    clf = quick(class_prior=prior).fit(X, y)
    samples, classes = clf.sample(4000)
    assert samples.shape == (4000, 4)
    counts = np.bincount(classes, minlength=3)
    assert stats.chisquare(counts, np.array(prior) * 4000).pvalue > 1e-4


def test_samples_of_requested_classes(fitted):
    X, y = fitted.sample(5, y=2)
    assert X.shape == (5, 4)
    assert y.tolist() == [2] * 5
    assert fitted.sample(y=[0, 2, 1])[1].tolist() == [0, 2, 1]
    assert fitted.sample(3, y=[0, 2, 1])[1].tolist() == [0, 2, 1]
    assert fitted.sample()[0].shape == (1, 4)


def test_samples_are_near_the_centre_of_their_class(quick, blobs):
    X, y, y_true = blobs
    clf = quick(max_epochs=100, learning_rate=0.01).fit(X, y)
    samples, classes = clf.sample(300)
    centres = np.array([X[y_true == k].mean(0) for k in range(3)])
    nearest = ((samples[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert (nearest == classes).mean() > 0.95


def test_samples_depend_on_random_state(quick, iris):
    X, y, _ = iris
    clf = quick(random_state=3).fit(X, y)
    assert np.array_equal(clf.sample(4)[0], clf.sample(4)[0])
    clf.set_params(random_state=np.random.RandomState(0))
    assert not np.array_equal(clf.sample(4)[0], clf.sample(4)[0])
    clf.set_params(random_state=None)
    assert not np.array_equal(clf.sample(4)[0], clf.sample(4)[0])


def test_bernoulli_samples_are_binary_and_the_density_sums_to_one(quick):
    rng = np.random.RandomState(0)
    X = (rng.rand(60, 5) < 0.3).astype(float)
    y = np.where(np.arange(60) < 8, np.arange(60) % 2, -1)
    clf = quick().fit(X, y)
    assert clf.likelihood_ == "bernoulli"
    assert set(np.unique(clf.sample(50)[0])) == {0.0, 1.0}
    means = clf.inverse_transform(clf.transform(X))
    assert ((means > 0) & (means < 1)).all()
    rows = np.array(np.meshgrid(*[[0.0, 1.0]] * 5)).reshape(5, -1).T
    mean, error = mean_over_seeds(
        clf, lambda: np.exp(clf.score_samples(rows, n_draws=50).astype(float)).sum()
    )
    assert abs(mean - 1) < 4 * error + 1e-4


# Decoded means


def test_inverse_transform_averages_over_the_class_prior(quick, iris):
    X, y, _ = iris
    clf = quick(class_prior=[0.5, 0.3, 0.2]).fit(X, y)
    Z = np.random.RandomState(0).randn(6, 2)
    of_class = [clf.inverse_transform(Z, k) for k in range(3)]
    mixture = 0.5 * of_class[0] + 0.3 * of_class[1] + 0.2 * of_class[2]
    np.testing.assert_allclose(clf.inverse_transform(Z), mixture, atol=1e-5)
    decoded = clf.inverse_transform(Z, [0, 1, 2, 2, 1, 0])
    np.testing.assert_allclose(decoded[1], of_class[1][1], atol=1e-5)
    np.testing.assert_allclose(decoded[5], of_class[0][5], atol=1e-5)


def test_reconstructions_explain_most_of_the_variance(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=30, hidden_sizes=(64,)).fit(X, y)
    reconstruction = clf.inverse_transform(clf.transform(X), clf.predict(X))
    assert ((reconstruction - X) ** 2).sum() < 0.35 * ((X - X.mean(0)) ** 2).sum()


def test_constant_columns_are_returned_unchanged_and_not_scored(quick, iris):
    X, y, _ = iris
    X = np.insert(X, 1, -3.5, axis=1)
    clf = quick().fit(X, y)
    assert (clf.sample(20)[0][:, 1] == -3.5).all()
    assert (clf.inverse_transform(clf.transform(X))[:, 1] == -3.5).all()
    without = quick().fit(np.delete(X, 1, axis=1), y)
    np.testing.assert_array_equal(
        without.score_samples(np.delete(X, 1, axis=1)), clf.score_samples(X)
    )


def test_latent_points_may_be_a_data_frame(fitted, iris):
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
def test_invalid_arguments_of_methods_are_errors(fitted, call, error, message):
    with pytest.raises(error) as raised:
        call(fitted)
    assert str(raised.value) == message
