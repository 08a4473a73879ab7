"""Class probabilities and latent means of rows with missing cells."""

import numpy as np
import pytest
import torch
from mixed_rows import small_classifier, survey, survey_in
from scipy import sparse
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import log_loss

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.data.missing import MissingCells
from sk_ssvae.model_selection import mask_labels
from sk_ssvae.models import inference

MODELS = ("m2", "m1+m2", "sdgm", "adgm")
X, Y = load_iris(return_X_y=True)
FEW = mask_labels(Y, n_per_class=5, random_state=0)


def hide(X, share, seed=0):
    return np.where(np.random.RandomState(seed).rand(*X.shape) < share, np.nan, X)


HIDDEN = hide(X, 0.3)
COMPLETE = ~np.isnan(HIDDEN).any(axis=1)
EMPTY = np.full((1, 4), np.nan)


@pytest.mark.parametrize("gaps_in_fit", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_rows_without_observed_cells_get_the_class_prior(model, gaps_in_fit):
    rows = hide(X, 0.15) if gaps_in_fit else X
    clf = small_classifier(
        model=model, class_prior=[0.5, 0.3, 0.2], temperature=2.0, pretrain_epochs=5
    ).fit(rows, FEW)
    np.testing.assert_allclose(clf.predict_proba(EMPTY)[0], [0.5, 0.3, 0.2], rtol=1e-6)
    assert clf.predict(EMPTY)[0] == 0
    assert np.isfinite(clf.transform(EMPTY)).all()


def test_frames_without_observed_cells_get_the_class_prior():
    rows, _, few = survey()
    clf = small_classifier().fit(rows, few)
    empty = rows[:3].copy()
    for name in rows.columns:
        empty[name] = empty[name].astype(object).where(np.zeros(3, dtype=bool), None)
    expected = np.tile(clf.class_prior_, (3, 1))
    np.testing.assert_allclose(clf.predict_proba(empty), expected, rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_results_for_a_row_do_not_depend_on_other_rows(model):
    clf = small_classifier(model=model, pretrain_epochs=5).fit(X, FEW)
    for method in (clf.predict_proba, clf.transform):
        found = method(HIDDEN)
        np.testing.assert_array_equal(method(HIDDEN), found)
        np.testing.assert_array_equal(found[COMPLETE], method(X)[COMPLETE])
        for i in (0, 7, 100):
            np.testing.assert_allclose(method(HIDDEN[[i]])[0], found[i], atol=1e-5)
        np.testing.assert_allclose(method(HIDDEN[::-1])[::-1], found, atol=1e-5)
        np.testing.assert_allclose(
            method(HIDDEN.astype(np.float32)), found, rtol=1e-3, atol=1e-3
        )
    np.testing.assert_allclose(clf.predict_proba(HIDDEN).sum(axis=1), 1, rtol=1e-5)


def test_complete_rows_have_q_of_the_network():
    clf = small_classifier(temperature=1.0).fit(X, FEW)
    log_q = inference.log_posterior_y(
        clf.module_, X, clf.preprocessor_.row_encoder(clf)
    )
    np.testing.assert_array_equal(clf.predict_log_proba(X), log_q)


def test_probabilities_are_means_over_filled_rows():
    """At the temperature of the classifier, which applies before the average."""
    clf = small_classifier(temperature=3.0).fit(X, FEW)
    rows = np.array([[5.0, np.nan, 1.5, np.nan], [np.nan, 3.0, 4.5, 1.4]])
    encoded = clf.preprocessor_.scaling.encode(rows)
    filled = []

    def predict(cells, n_filled):
        filled.append(clf.preprocessor_.scaling.decode(cells.numpy()))
        return clf.module_(cells)

    inference.mean_over_missing(
        clf.module_, predict, encoded, np.arange(2), clf.net_.seed
    )
    for row, drawn in zip(rows, np.split(np.concatenate(filled), 2), strict=True):
        seen = ~np.isnan(row)
        np.testing.assert_allclose(drawn[:, seen], np.tile(row[seen], (len(drawn), 1)))
        expected = clf.predict_proba(drawn).mean(axis=0)
        np.testing.assert_allclose(clf.predict_proba([row])[0], expected, atol=1e-5)
        z = clf.transform(drawn).mean(axis=0)
        np.testing.assert_allclose(clf.transform([row])[0], z, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("gaps_in_fit", [False, True])
def test_the_log_loss_is_not_above_that_of_the_prior(gaps_in_fit):
    """However many cells are missing; without averages it is up to three times that."""
    rows, y = load_wine(return_X_y=True)
    few = mask_labels(y, n_per_class=10, random_state=0)
    train = hide(rows, 0.15) if gaps_in_fit else rows
    clf = SSVAEClassifier(
        teacher=None, temperature=1.7, max_epochs=60, random_state=0
    ).fit(train, few)
    unlabelled = few < 0
    losses = [
        log_loss(y[unlabelled], clf.predict_proba(hide(rows, share, 1))[unlabelled])
        for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1)
    ]
    assert max(losses) < np.log(3) + 0.02
    assert losses[0] < 0.5
    assert losses[-1] == pytest.approx(np.log(3), abs=1e-3)


def test_gaps_that_tell_the_class_are_used_if_fit_saw_some():
    """The networks have an indicator of missing cells for columns with gaps in fit."""
    rng = np.random.RandomState(0)
    rows = rng.randn(300, 6)
    y = rng.randint(2, size=300)
    rows[y == 1, 2] = np.nan
    clf = small_classifier(max_epochs=40).fit(rows, y)
    assert clf.score(rows, y) > 0.95
    assert (clf.label_distributions_.argmax(1) == y).all()
    # In a column without gaps in fit there is no indicator, so the cell is filled.
    rows[:, 4] = np.nan
    assert clf.score(rows, y) > 0.95


def test_label_distributions_are_predictions_for_rows_with_gaps():
    clf = small_classifier().fit(HIDDEN, FEW)
    unlabelled = FEW < 0
    proba = clf.predict_proba(HIDDEN)
    np.testing.assert_allclose(
        clf.label_distributions_[unlabelled], proba[unlabelled], atol=1e-6
    )
    np.testing.assert_array_equal(
        clf.transduction_[unlabelled], clf.predict(HIDDEN)[unlabelled]
    )


def test_sparse_rows_with_gaps_have_the_results_of_dense_ones():
    counts = np.random.RandomState(0).poisson(np.exp(X - 3)).astype(float)
    clf = small_classifier(likelihood="poisson").fit(sparse.csr_array(counts), FEW)
    gaps = hide(counts, 0.3)
    for method in (clf.predict_proba, clf.transform):
        np.testing.assert_allclose(method(sparse.csr_array(gaps)), method(gaps))


def test_missing_cells_of_constant_columns_do_not_matter():
    rows = np.c_[X, np.ones(150)]
    clf = small_classifier().fit(rows, FEW)
    gaps = rows.copy()
    gaps[::2, 4] = np.nan
    np.testing.assert_array_equal(clf.predict_proba(gaps), clf.predict_proba(rows))
    np.testing.assert_array_equal(clf.transform(gaps), clf.transform(rows))
    rows[:, :4] = np.nan  # no cell that the networks take
    expected = np.tile(clf.class_prior_, (150, 1))
    np.testing.assert_allclose(clf.predict_proba(rows), expected, rtol=1e-6)


def test_incomplete_rows_are_found():
    kept = np.array([True, False, True])
    cells = np.array([[1, 2, 3], [np.nan, 2, 3], [1, np.nan, 3], [np.nan, 2, np.nan]])
    for size in (1, 3, 4):
        missing = MissingCells(lambda rows: 2 * rows, kept)
        for chunk in torch.split(torch.from_numpy(cells), size):
            torch.testing.assert_close(
                missing.encode(chunk), 2 * chunk, equal_nan=True, rtol=0, atol=0
            )
        incomplete, empty = missing.rows()
        assert incomplete.tolist() == [1, 3]
        assert empty.tolist() == [3]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_missing_categories(library):
    rows, _, few = survey_in(library)
    clf = small_classifier().fit(rows, few)
    proba = clf.predict_proba(rows)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(clf.predict_proba(rows), proba)


def test_loaded_estimators_have_the_same_results(tmp_path):
    clf = small_classifier().fit(X, FEW)
    clf.save(tmp_path / "clf.ssvae")
    loaded = sk_ssvae.load(tmp_path / "clf.ssvae")
    for name in ("predict_proba", "transform", "impute"):
        np.testing.assert_array_equal(
            getattr(loaded, name)(HIDDEN), getattr(clf, name)(HIDDEN)
        )


def test_latent_means_of_an_autoencoder_are_averages_over_missing_cells():
    vae = VariationalAutoencoder(latent_size=2, max_epochs=30, random_state=0).fit(X)
    hidden = X.copy()
    hidden[:, 2] = np.nan
    found, truth = vae.transform(hidden), vae.transform(X)
    filled_by_mean = vae.transform(np.where(np.isnan(hidden), X.mean(0), hidden))
    error = np.square(found - truth).mean()
    assert error < np.square(filled_by_mean - truth).mean()


def test_imputed_cells_are_weighted_by_the_model_not_by_the_network():
    """Two separate clusters; the only observed cell says nothing about the class."""
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 150)
    rows = np.c_[rng.randn(300), 4.0 * y - 2 + 0.3 * rng.randn(300)]
    clf = small_classifier(class_prior=[0.8, 0.2], max_epochs=60).fit(rows, y)
    imputed = clf.impute([[0.0, np.nan]], n_draws=500)
    assert imputed[0, 1] == pytest.approx(0.8 * -2 + 0.2 * 2, abs=0.3)
    empty = clf.impute([[np.nan, np.nan]], n_draws=500)
    assert empty[0, 1] == pytest.approx(0.8 * -2 + 0.2 * 2, abs=0.3)
