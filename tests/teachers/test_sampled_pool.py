"""A pool whose views are fitted to a sample of the rows."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers import pool as pool_module
from sk_ssvae.teachers.graph_views import AllRowsGraphView
from sk_ssvae.teachers.pooling import (
    OpinionPool,
    fit_inverse_temperature,
    make_folds,
)
from sk_ssvae.teachers.registry import FIRST_STAGE_VIEWS, make_view
from sk_ssvae.teachers.row_choice import choose_sample
from sk_ssvae.teachers.views import ViewSettings


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
def test_the_sample_has_all_labels_and_enough_unlabelled_rows(
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
def test_few_rows_are_not_sampled(max_rows):
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
    pool = OpinionPoolClassifier(
        views=["latent-gaussian"], max_rows=100, shares="labelled", random_state=0
    )
    pool.fit(X, y)
    view = pool._views.views["latent-gaussian"]
    assert len(view.classifier.graph.graph_rows) == 500
    # All rows have the probabilities of the graph, raised to a power by the pool.
    (proba,) = view.classifier.fit_predict_proba([y], 2)
    exponent = (
        pool.weights_["latent-gaussian"]
        * pool._pool.inverse_temperatures["latent-gaussian"]
    )
    expected = softmax(exponent * np.log(np.clip(proba, 1e-4, 1)), axis=1)
    unlabelled = y == -1
    found = pool.label_distributions_
    np.testing.assert_allclose(found[unlabelled], expected[unlabelled], rtol=1e-5)


def test_held_out_losses_of_the_vae_are_those_of_the_labelled_rows(many):
    """The sample has other positions among all rows than in itself."""
    X, y = many
    order = np.random.RandomState(1).permutation(500)
    X, y = X[order], y[order]
    views, seed = ["latent-gaussian"], 0
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=seed)
    pool.fit(X, y)
    sample = pool.sample_indices_
    classifier = pool._views.views["latent-gaussian"].classifier
    folds = make_folds(y[sample], pool._views.settings.seed)
    log_p, codes = [], []
    for fold in folds:
        hidden = y.copy()
        hidden[sample[fold]] = -1
        p = classifier.fit_predict_proba([hidden], 2)[0, sample[fold]]
        log_p.append(np.log(np.clip(p, 1e-4, 1)))
        codes.append(y[sample[fold]])
    log_p, codes = np.concatenate(log_p), np.concatenate(codes)
    scaled = log_softmax(fit_inverse_temperature(log_p, codes) * log_p, axis=1)
    expected = -scaled[np.arange(len(codes)), codes].mean()
    assert pool.held_out_log_loss_["latent-gaussian"] == pytest.approx(expected)


def test_the_graph_of_all_rows_is_limited(many, monkeypatch):
    X, y = many
    monkeypatch.setattr(pool_module, "MAX_LATENT_GRAPH_ROWS", 200)
    pool = OpinionPoolClassifier(
        views=["latent-gaussian", "svm"], max_rows=100, random_state=0
    ).fit(X, y)
    assert len(pool._views.views["latent-gaussian"].classifier.graph.graph_rows) == 200
    truth = np.arange(500) % 2
    assert (pool.transduction_ == truth)[y < 0].mean() > 0.9


def test_latent_views_of_a_sample_have_the_probabilities_of_all_rows(many):
    """Rows in the graph and outside of it, in the sample and outside of it."""
    X, y = many
    nodes = np.sort(np.random.RandomState(0).permutation(500)[:200])
    sample = np.union1d(np.arange(20), np.arange(0, 500, 5))
    settings = ViewSettings(7, nodes, 0, latent_graph_rows=nodes)
    of_all = make_view("latent-gaussian", X.shape, settings)
    (expected,) = of_all.fit_predict_proba(X, [y], 2)
    of_sample = make_view("latent-gaussian", X.shape, settings._replace(sample=sample))
    (found,) = of_sample.fit_predict_proba(X, [y[sample]], 2)
    np.testing.assert_allclose(found, expected[sample], rtol=1e-5)
    others = np.setdiff1d(np.arange(500), sample)
    assert 0 < np.isin(others, nodes).sum() < len(others)
    found = of_sample.predict_unsampled(X[others], others)
    np.testing.assert_allclose(found, expected[others], rtol=1e-5)


def test_latent_views_without_weight_are_not_asked_for_other_rows(many, monkeypatch):
    X, y = many
    asked = []

    def record(view, X, indices):
        asked.append(len(indices))
        return np.full((len(indices), 2), 0.5)

    monkeypatch.setattr(AllRowsGraphView, "predict_unsampled", record)
    views = ["latent-gaussian", "svm"]
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=0).fit(X, y)
    assert pool.weights_["latent-gaussian"] > 0
    assert sum(asked) == 400
    asked.clear()
    monkeypatch.setattr(OpinionPool, "used_views", ["svm"])
    pool.fit(X, y)
    assert not asked


def test_other_rows_have_the_class_shares_of_unlabelled_rows():
    rng = np.random.RandomState(0)
    truth = (np.arange(600) % 4 == 0).astype(int)  # a quarter, and half of the labels
    X = rng.randn(600, 3) + 4 * truth[:, None]
    y = np.full(600, -1)
    for k in (0, 1):
        y[np.flatnonzero(truth == k)[:20]] = k
    pool = OpinionPoolClassifier(views=["svm"], max_rows=100, random_state=0).fit(X, y)
    others = np.setdiff1d(np.arange(600), pool.sample_indices_)
    assert pool.class_shares_[1] < 0.45
    p = pool._views.views["svm"].predict_proba(
        (X[others] - X.mean(axis=0)) / X.std(axis=0)
    )
    exponent = pool.weights_["svm"] * pool._pool.inverse_temperatures["svm"]
    expected = softmax(exponent * np.log(np.clip(p, 1e-4, 1)), axis=1)
    expected *= pool.class_shares_ / 0.5
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        pool.label_distributions_[others], expected, rtol=1e-3, atol=1e-6
    )


def test_classifiers_without_predictions_for_new_rows_need_all_rows(many):
    class Transductive(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.array([0, 1])
            self.label_distributions_ = np.full((len(X), 2), 0.5)
            return self

    X, y = many
    views = ["svm", ("own", Transductive(), "all")]
    pool = OpinionPoolClassifier(views=views, max_rows=100, random_state=0)
    with pytest.raises(ValueError) as error:
        pool.fit(X, y)
    assert str(error.value) == (
        "The view 'own' has no predictions for new rows, but views are fitted to a "
        "sample of 100 of the 500 rows. Set max_rows=500, or give Transductive() a "
        "method predict."
    )
    assert not hasattr(pool, "classes_")
    pool.set_params(max_rows=500).fit(X, y)


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
