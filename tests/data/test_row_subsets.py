"""Subsets of rows in blocks, which splitters and searches of scikit-learn make."""

import re

import numpy as np
import pandas as pd
import pytest
from mixed_rows import small_classifier
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from stored_rows import ARRAYS, TABLES, CountingSource, stored

from sk_ssvae.data import from_parquet, row_sources, source_cells
from sk_ssvae.data.detection import as_source

N = 120
RNG = np.random.default_rng(0)
CLASSES = np.arange(N) % 2
X = RNG.normal(size=(N, 3)) + 2 * CLASSES[:, None]
FRAME = pd.DataFrame(X, columns=list("abc")).assign(d=RNG.choice(["x", "y"], N))
LABELS = np.where(RNG.random(N) < 0.5, CLASSES, -1)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Read several blocks of a few rows."""
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", 2**6)


def as_frame(rows):
    rows = rows.to_pandas() if hasattr(rows, "to_pandas") else rows
    return rows if isinstance(rows, np.ndarray) else rows.to_numpy()


@pytest.mark.parametrize("kind", [*ARRAYS, *TABLES])
def test_rows_of_subsets(kind, tmp_path):
    expected = X if kind in ARRAYS else FRAME
    source = as_source(stored(kind, expected, tmp_path))
    expected = as_frame(expected)
    for rows in (
        slice(20, 70),
        slice(None, None, -3),
        RNG.permutation(N)[:50],
        np.sort(RNG.permutation(N)[:50]),
        RNG.integers(-N, N, 30),
        RNG.random(N) < 0.3,
        [5],
    ):
        subset = source[rows]
        assert subset.shape == expected[rows].shape
        assert (subset.ndim, subset.names) == (2, source.names)
        found = [as_frame(part) for _, part in subset.chunks()]
        np.testing.assert_array_equal(np.concatenate(found), expected[rows])
        part = as_frame(subset[1:][::2].read(0, len(subset) // 2))
        np.testing.assert_array_equal(part, expected[rows][1:][::2])
    empty = source[:0]
    assert (empty.shape, len(empty.read(0, 0))) == ((0, source.shape[1]), 0)


def test_sorted_rows_are_read_block_by_block():
    source = CountingSource(np.zeros((N, 4)), 16)
    subset = source[np.arange(0, N, 2)]
    assert subset.limits.tolist() == [0, 16, 32, 48, 60]
    for _ in subset.chunks():
        pass
    assert source.reads == list(range(0, N, 16))
    assert source[::-1].limits.tolist() == [0, N]


@pytest.mark.parametrize("rows", [3, np.int64(3), (slice(3), 1), (3, 4, 5)])
def test_what_cannot_be_indexed(rows):
    source = CountingSource(X, 50)
    message = (
        "X is a counting source, which is read in blocks: index it by a slice, an "
        f"array or a mask of rows, as X[:10], got X[{rows!r}]."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        source[rows]
    with pytest.raises(IndexError, match="Row 120 is out of range: X has 120 rows"):
        source[[N]]


def test_splits_and_searches_of_scikit_learn(tmp_path):
    stored("parquet", FRAME.assign(kind=CLASSES), tmp_path)
    rows, y = from_parquet(tmp_path / "*.parquet", label="kind")
    table = rows.read(0, N)
    clf = small_classifier(max_epochs=1)
    cv = StratifiedKFold(2, shuffle=True, random_state=0)
    np.testing.assert_array_equal(
        cross_val_score(clf, rows, y, cv=cv), cross_val_score(clf, table, y, cv=cv)
    )
    search = GridSearchCV(clf, {"alpha": [1.0, 30.0]}, cv=cv).fit(rows, y)
    expected = GridSearchCV(clf, {"alpha": [1.0, 30.0]}, cv=cv).fit(table, y)
    assert search.best_params_ == expected.best_params_
    np.testing.assert_array_equal(
        search.predict_proba(rows), expected.predict_proba(table)
    )
    parts = train_test_split(rows, y, random_state=0)
    in_memory = train_test_split(table, y, random_state=0)
    found = small_classifier(max_epochs=1).fit(parts[0], parts[2])
    reference = small_classifier(max_epochs=1).fit(in_memory[0], in_memory[2])
    np.testing.assert_array_equal(
        found.predict_proba(parts[1]), reference.predict_proba(in_memory[1])
    )


def test_many_rows_in_another_order_are_refused(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 100)
    source = CountingSource(X, 10)
    rows = np.arange(60)[::-1]
    message = (
        "X has 60 rows of a counting source in an order of its own, so that every "
        "block would be read many times. Sort their indices, also with "
        "train_test_split(..., shuffle=False), or keep the files of the test rows "
        'apart: X_test, y_test = from_parquet("test-*.parquet", label=...).'
    )
    clf = small_classifier(max_epochs=1)
    with pytest.raises(ValueError, match=re.escape(message)):
        clf.fit(source[rows], LABELS[rows])
    assert source.reads == []
    clf.fit(source[np.sort(rows)], LABELS[:60])
