"""A pool whose views are fitted to a sample of the rows."""

import numpy as np
import pytest

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers.label_spreading import choose_sample
from sk_ssvae.teachers.registry import FIRST_STAGE_VIEWS


@pytest.fixture
def many():
    """Two overlapping clusters with ten labels each, among 500 rows."""
    rng = np.random.RandomState(0)
    y = np.arange(500) % 2
    X = rng.randn(500, 4) + 1.5 * y[:, None]
    return X, np.where(np.arange(500) < 20, y, -1)


@pytest.mark.parametrize(
    ("n_labelled", "max_rows", "n_unlabelled"),
    [(10, 100, 90), (10, 21, 11), (10, 12, 6), (60, 100, 50), (60, 20, 10)],
)
def test_the_sample_has_all_labels_and_half_of_the_rows(
    n_labelled, max_rows, n_unlabelled
):
    codes = np.full(300, -1)
    codes[2 : 2 + n_labelled] = 0
    sample = choose_sample(codes, max_rows, seed=0)
    assert (np.diff(sample) > 0).all()
    assert (codes[sample] == 0).sum() == n_labelled
    assert (codes[sample] == -1).sum() == n_unlabelled
    np.testing.assert_array_equal(sample, choose_sample(codes, max_rows, seed=0))
    assert not np.array_equal(sample, choose_sample(codes, max_rows, seed=1))


def test_each_unlabelled_row_is_as_likely_to_be_sampled():
    codes = np.where(np.arange(40) < 4, 0, -1)
    counts = sum(
        np.bincount(choose_sample(codes, 16, seed), minlength=40) for seed in range(600)
    )
    assert (counts[:4] == 600).all()
    assert np.abs(counts[4:] - 200).max() < 60  # five standard deviations


@pytest.mark.parametrize("max_rows", [300, 1000])
def test_no_sample_of_rows_that_are_few(max_rows):
    assert choose_sample(np.full(300, -1), max_rows, seed=0) is None
    # Half of `max_rows` unlabelled rows: all there are.
    codes = np.where(np.arange(300) < 250, 0, -1)
    assert choose_sample(codes, 100, seed=0) is None


def test_views_are_fitted_to_the_sample_alone(many):
    X, y = many
    pool = OpinionPoolClassifier(views=["forest"], max_rows=100, random_state=0)
    sample = pool.fit(X, y).sample_indices_
    assert len(sample) == 100
    # Trees do not depend on the scaling, which is that of all rows.
    alone = OpinionPoolClassifier(views=["forest"], random_state=0)
    alone.fit(X[sample], y[sample])
    assert alone.sample_indices_ is None
    np.testing.assert_allclose(
        pool.label_distributions_[sample], alone.label_distributions_
    )
    assert pool.weights_ == pytest.approx(alone.weights_)
    np.testing.assert_allclose(pool.class_shares_, alone.class_shares_)


def test_other_rows_are_predicted_as_new_rows_are(many):
    X, y = many
    pool = OpinionPoolClassifier(max_rows=100, shares="labelled", random_state=0)
    pool.fit(X, y)
    others = np.setdiff1d(np.arange(500), pool.sample_indices_)
    np.testing.assert_allclose(
        pool.label_distributions_[others], pool.predict_proba(X[others]), rtol=1e-6
    )
    labelled = np.flatnonzero(y >= 0)
    expected = np.eye(2)[y[labelled]]
    np.testing.assert_array_equal(pool.label_distributions_[labelled], expected)


def test_vaes_and_their_graphs_see_all_rows(many):
    X, y = many
    views = ["latent-gaussian", "unscaled"]
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=0).fit(X, y)
    fitted = pool._views.views
    assert len(fitted["latent-gaussian"].graph.graph_rows) == 500
    assert len(fitted["unscaled"].graph.graph_rows) == 100
    # Their probabilities of the other rows are those of the graph.
    pool.weights_["unscaled"] = 0.0
    assert pool._pool.used_views == ["latent-gaussian"]
    assert (pool.transduction_[y < 0] == (np.arange(500) % 2)[y < 0]).mean() > 0.9


def test_views_without_weight_have_no_effect(many):
    X, y = many
    pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    weights = pool._pool.weights
    for name in weights:
        weights[name] = float(name in ("svm", "unscaled"))
    expected = pool.predict_proba(X)
    for name in set(FIRST_STAGE_VIEWS) & set(weights):
        if not weights[name]:
            pool._views.views[name] = None  # not asked
    np.testing.assert_array_equal(pool.predict_proba(X), expected)


def test_rows_of_data_frames_are_sampled_for_views_of_the_user(many):
    pd = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    X, y = many
    frame = pd.DataFrame(X, columns=[*"abcd"], index=np.arange(500)[::-1])
    columns = make_column_transformer(("passthrough", ["a", "b"]))
    views = [("lr", make_pipeline(columns, LogisticRegression()))]
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=0)
    of_frame = pool.fit(frame, y).label_distributions_
    views = [("lr", LogisticRegression())]
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=0)
    np.testing.assert_allclose(of_frame, pool.fit(X[:, :2], y).label_distributions_)
