"""The teacher of rows that are read in blocks."""

import numpy as np
from mixed_rows import small_classifier
from stored_rows import CountingSource

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.teachers import sampled_targets
from sk_ssvae.teachers.pool import proba_of_unlabelled
from sk_ssvae.teachers.row_choice import choose_rows
from sk_ssvae.teachers.sampled_targets import fit_sampled_targets
from sk_ssvae.teachers.soft_targets import fit_soft_targets

N = 900
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(3, size=N)
X = (RNG.normal(size=(N, 5)) + 3 * np.eye(5)[CLASSES]).astype(np.float32)
CODES = np.where(np.arange(N) % 30 == 0, CLASSES, -1)
POOL = OpinionPoolClassifier(views=["logistic", "columns", "svm"])


def fit(max_rows, monkeypatch, codes=CODES, teacher=POOL, encode=lambda rows: rows):
    monkeypatch.setattr(sampled_targets, "MAX_TEACHER_ROWS", max_rows)
    source = CountingSource(X, 70)
    cells = SourceCells(source, lambda rows: rows, np.float32)
    return fit_sampled_targets(
        teacher.set_params(max_rows=200), cells, encode, codes, 3, 5
    )


def test_few_rows_have_the_targets_of_rows_in_memory(monkeypatch):
    targets, _ = fit(N, monkeypatch)
    expected, _ = fit_soft_targets(POOL.set_params(max_rows=200), X, CODES, 3, 5)
    np.testing.assert_array_equal(targets, expected)


def test_rows_outside_of_the_sample_are_predicted(monkeypatch):
    targets, fitted = fit(300, monkeypatch)
    sample = choose_rows(CODES, 300, 5, balanced=False)
    assert len(sample) == 300
    expected, reference = fit_soft_targets(POOL, X[sample], CODES[sample], 3, 5)
    np.testing.assert_array_equal(targets[sample], expected)
    others = np.setdiff1d(np.arange(N), sample)
    assert (CODES[others] == -1).all()
    proba = proba_of_unlabelled(reference, X[others])
    np.testing.assert_allclose(targets[others], proba, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    assert (targets[others].argmax(axis=1) == CLASSES[others]).mean() > 0.9
    assert fitted.weights_ == reference.weights_


def test_new_rows_have_the_shares_of_the_unlabelled_ones():
    pool = OpinionPoolClassifier(views=["logistic"], random_state=0).fit(X, CODES)
    proba = proba_of_unlabelled(pool, X)
    in_both = pool.predict_proba(X)
    odds = proba / in_both
    odds /= odds[:, :1]  # the ratio of shares, the same for all rows
    np.testing.assert_allclose(odds, np.tile(odds[:1], (N, 1)), rtol=1e-6)


def test_the_sample():
    assert choose_rows(CODES, N, 0, balanced=False) is None
    sample = choose_rows(CODES, 200, 0, balanced=False)
    assert len(sample) == 200
    assert (np.diff(sample) > 0).all()
    assert set(np.flatnonzero(CODES >= 0)) <= set(sample)
    assert not np.array_equal(sample, choose_rows(CODES, 200, 1, balanced=False))
    many = CLASSES.copy()
    many[many == 2] = 1
    many[[5, 17, 800]] = 2
    many[::4] = -1
    sample = choose_rows(many, 100, 0, balanced=False)
    assert len(sample) == 100
    assert (many[sample] >= 0).sum() == 50
    assert (many[sample] == 2).sum() >= 2
    few_rows = choose_rows(many, 8, 0, balanced=False)
    assert np.bincount(many[few_rows][many[few_rows] >= 0]).min() >= 2


def test_a_pool_may_ask_for_more_rows(monkeypatch):
    monkeypatch.setattr(sampled_targets, "MAX_TEACHER_CELLS", 5 * 250)
    targets, fitted = fit(N, monkeypatch)
    assert len(fitted.label_distributions_) == 250
    teacher = OpinionPoolClassifier(views=["logistic"], max_rows=500)
    cells = SourceCells(CountingSource(X, 70), lambda rows: rows, np.float32)
    fitted = fit_sampled_targets(teacher, cells, lambda rows: rows, CODES, 3, 5)[1]
    assert len(fitted.label_distributions_) == 500
    assert targets.shape == (N, 3)


def test_a_classifier_is_taught_by_a_sample(monkeypatch):
    monkeypatch.setattr(sampled_targets, "MAX_TEACHER_ROWS", 300)
    weight = RNG.integers(0, 3, N)
    teacher = OpinionPoolClassifier(views=["logistic", "columns"], max_rows=200)
    source = CountingSource(X, 70)
    labels, unlabelled = np.where(CODES < 0, -1, CODES + 4), CODES < 0
    accuracy, choices = [], []
    for rows in (source, X):
        clf = small_classifier(teacher=teacher, max_epochs=20)
        found = clf.fit(rows, labels, weight).transduction_ - 4
        accuracy.append((found[unlabelled] == CLASSES[unlabelled]).mean())
        choices.append(clf.choices_["teacher"])
    n_used = (weight > 0).sum()
    remark = f"; of the {n_used} rows of X, which are read in blocks, it saw 300"
    assert [remark in choice for choice in choices] == [True, False]
    assert min(accuracy) > 0.9
    assert max(accuracy) - min(accuracy) < 0.03
