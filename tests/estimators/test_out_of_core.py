"""Rows that are read in blocks give the results of rows in memory."""

import gc
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from mixed_rows import small_classifier
from several_processes import in_threads
from sklearn.semi_supervised import LabelSpreading
from stored_rows import ARRAYS, TABLES, CountingSource, stored

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.data import row_sources, source_cells
from sk_ssvae.data.sources import ArraySource
from sk_ssvae.estimators import run_identity
from sk_ssvae.estimators.teaching import TrainingData
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils import chunks

N = 240
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(2, size=N)
LABELS = np.where(np.arange(N) % 6 == 0, CLASSES, -1)
METHODS = ("predict_proba", "predict", "predict_log_proba", "transform")


def numbers(dtype=np.float64, gaps=False):
    X = np.random.default_rng(1).normal(size=(N, 5)) + 2 * CLASSES[:, None]
    X[:, 2] = np.rint(X[:, 2])
    if gaps:
        X[np.random.default_rng(2).random(X.shape) < 0.1] = np.nan
        X[7] = np.nan
    return (10 * X if np.dtype(dtype).kind == "i" else X).astype(dtype)


def mixed():
    """Return a data frame with columns of several types, and missing values."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame(
        {
            "height": rng.normal(size=N) + 2 * CLASSES,
            "town": rng.choice(["Oslo", "Rome", "Lima"], N),
            "visits": rng.poisson(2 + 3 * CLASSES),
            "member": rng.random(N) < 0.3,
            "kind": pd.Categorical(
                rng.choice(["a", "b"], N), categories=["b", "a", "never"]
            ),
            "text": np.where(
                rng.random(N) < 0.9, rng.normal(size=N).round(3).astype(str), "?"
            ),
        }
    )
    X["text"] = X["text"].astype("str")
    X.loc[::7, "height"] = np.nan
    X.loc[::11, "town"] = None
    return X


def assert_same(model, lazy, reference, rows, methods=METHODS):
    """Compare the results for rows in blocks and in memory, bit by bit."""
    for method in (*methods, "score_samples"):
        expected = getattr(reference, method)(rows)
        np.testing.assert_array_equal(getattr(model, method)(lazy), expected)
        np.testing.assert_array_equal(getattr(model, method)(rows), expected)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Read several blocks of a few rows."""
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", 2**8)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, np.float64) for kind in ARRAYS]
    + [("memmap", np.float32), ("memmap", np.int16), ("dask", np.float32)],
)
def test_arrays_without_a_teacher(kind, dtype, tmp_path):
    rows = numbers(dtype)
    lazy = stored(kind, rows, tmp_path)
    reference = small_classifier().fit(rows, LABELS)
    model = small_classifier().fit(lazy, LABELS)
    np.testing.assert_array_equal(
        model.label_distributions_, reference.label_distributions_
    )
    assert_same(model, lazy, reference, rows)
    assert model.score(lazy, CLASSES) == reference.score(rows, CLASSES)
    for one, other in ((model, lazy), (reference, rows)):
        one.partial_fit(other, LABELS)
        one.set_params(warm_start=True).fit(other, LABELS)
    assert_same(model, lazy, reference, rows)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_partial_fit(kind, tmp_path):
    rows = numbers()
    rows[:, 1] = 4.0  # constant columns are kept
    lazy = stored(kind, rows, tmp_path)
    reference = small_classifier().partial_fit(rows, LABELS, classes=[0, 1])
    model = small_classifier().partial_fit(lazy, LABELS, classes=[0, 1])
    wider = 2 * rows + np.arange(5)
    reference.partial_fit(wider, LABELS)
    model.partial_fit(CountingSource(wider, 50), LABELS)
    assert_same(model, lazy, reference, rows)
    support, expected = model.preprocessor_.support, reference.preprocessor_.support
    np.testing.assert_array_equal(support.low, expected.low)
    np.testing.assert_array_equal(support.whole, expected.whole)


@pytest.mark.parametrize(("kind", "gaps"), [("memmap", False), ("dask", True)])
@pytest.mark.parametrize(
    "params",
    [
        {"teacher": OpinionPoolClassifier(views=["columns", "svm", "whitened"])},
        {"class_prior": "estimate"},
        {"early_stopping": True, "class_weight": "balanced"},
        {"model": "m1+m2"},
    ],
)
def test_parameters(kind, gaps, params, tmp_path):
    rows = numbers(np.float32, gaps)
    lazy = stored(kind, rows, tmp_path)
    weight = np.random.default_rng(4).integers(0, 3, N)
    params = {"max_epochs": 2} | params
    reference = small_classifier(**params).fit(rows, LABELS, weight)
    model = small_classifier(**params).fit(lazy, LABELS, weight)
    assert model.choices_ == reference.choices_
    assert_same(model, lazy, reference, rows)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_autoencoder(kind, tmp_path):
    rows = numbers(gaps=True)
    lazy = stored(kind, rows, tmp_path)
    params = {"hidden_sizes": (8,), "max_epochs": 2, "random_state": 0}
    reference = VariationalAutoencoder(2, **params).fit(rows)
    model = VariationalAutoencoder(2, **params).fit(lazy)
    assert_same(model, lazy, reference, rows, ("transform",))


@pytest.mark.parametrize(
    ("kind", "teacher"), [*((kind, None) for kind in TABLES), ("parquet", "pool")]
)
def test_tables(kind, teacher, tmp_path):
    frame = mixed()
    lazy = stored(kind, frame, tmp_path)
    rows = frame
    if kind != "dask frame":
        rows = pytest.importorskip("pyarrow").Table.from_pandas(
            frame, preserve_index=False
        )
    fit = {"teacher": teacher, "max_epochs": 2}
    with pytest.warns(UserWarning, match="read as numbers: 'text'"):
        reference = small_classifier(**fit).fit(rows, LABELS)
    with pytest.warns(UserWarning, match="read as numbers: 'text'") as caught:
        model = small_classifier(**fit).fit(lazy, LABELS)
    assert len(caught) == 1
    assert model.likelihood_ == reference.likelihood_
    assert list(model.feature_names_in_) == list(frame.columns)
    categories = reference.preprocessor_.schema.categories
    assert model.preprocessor_.schema.categories == categories
    assert_same(model, lazy, reference, rows)
    drawn, expected = model.sample(20)[0], reference.sample(20)[0]
    assert type(drawn) is type(expected)
    if kind != "dask frame":
        drawn, expected = drawn.to_pandas(), expected.to_pandas()
    same = [str(v) for v in drawn.to_numpy().ravel()]
    assert same == [str(v) for v in expected.to_numpy().ravel()]


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_declared_categories_of_an_array(kind, tmp_path):
    rows = np.column_stack([numbers()[:, 0], RNG.integers(5, 9, N)])
    lazy = stored(kind, rows, tmp_path)
    reference = small_classifier(categorical_features=[1]).fit(rows, LABELS)
    model = small_classifier(categorical_features=[1]).fit(lazy, LABELS)
    assert model.preprocessor_.schema == reference.preprocessor_.schema
    assert_same(model, lazy, reference, rows)


def test_new_categories_are_reported_once(tmp_path):
    frame = mixed()[["height", "town"]]
    model = small_classifier().fit(frame, LABELS)
    new = frame.assign(town=np.where(np.arange(N) % 9 == 0, "Bonn", frame["town"]))
    lazy = stored("dask frame", new, tmp_path)
    with pytest.warns(UserWarning, match="Bonn") as caught:
        found = model.predict_proba(lazy)
    assert len(caught) == 1
    np.testing.assert_array_equal(found, model.predict_proba(new))


@pytest.mark.parametrize("kind", ["dask frame", "parquet"])
def test_new_words_among_numbers_are_reported_once_in_each_call(kind, tmp_path):
    frame = mixed()[["height", "visits", "town"]]
    model = small_classifier().fit(frame, LABELS)
    visits = frame["visits"].astype(str)
    new = frame.assign(visits=visits.where(np.arange(N) % 9 != 0, "?"))
    lazy = stored(kind, new, tmp_path)
    message = (
        "Columns that hold text are read as numbers: 'visits' ('?'{} read as missing). "
        "To read a column as categories, name it in categorical_features."
    )
    results = []
    for rows, cells in ((new, " in 27 cells"), (lazy, ""), (lazy, "")):
        with pytest.warns(UserWarning, match="read as numbers") as caught:
            results.append(model.predict_proba(rows))
        assert [str(w.message) for w in caught] == [message.format(cells)]
    for found in results[1:]:
        np.testing.assert_array_equal(found, results[0])


@pytest.mark.parametrize("has_names", [True, False])
def test_column_names_are_compared_once_in_each_call(has_names, tmp_path):
    # Columns of categories, so that each block is validated.
    frame = mixed()[["visits", "member"]].astype(int)
    frame["member"] += 3
    params = {"categorical_features": [1], "max_epochs": 1}
    array = frame.to_numpy()
    rows, other = (frame, array) if has_names else (array, frame)
    lazy = stored("dask" if has_names else "dask frame", other, tmp_path)
    model = small_classifier(**params).fit(rows, LABELS)
    warned = []
    for X in (other, lazy):
        with pytest.warns(UserWarning, match="feature names") as caught:
            model.predict_proba(X)
        warned.append([str(w.message) for w in caught])
    assert warned[1] == warned[0]


def test_a_checkpoint_of_rows_in_memory_is_resumed_with_rows_in_blocks(tmp_path):
    rows = numbers()
    path = tmp_path / "training.ssvae"
    reference = small_classifier(checkpoint=path).fit(rows, LABELS)
    resumed = small_classifier(checkpoint=path).fit(CountingSource(rows, 50), LABELS)
    np.testing.assert_array_equal(
        resumed.predict_proba(rows), reference.predict_proba(rows)
    )


class MadeSource(CountingSource):
    """Rows of two classes that are made when they are read."""

    def __init__(self, n_blocks, n_columns=5, rows_per_block=50):
        self.y = np.random.default_rng(0).integers(2, size=rows_per_block * n_blocks)
        shape = (len(self.y), n_columns)
        empty = np.broadcast_to(np.float32(0), shape)
        super().__init__(empty, rows_per_block)

    def read(self, start, stop, columns=None):
        super().read(start, stop)
        noise = np.random.default_rng(start).random((stop - start, self.shape[1]))
        return (noise + self.y[start:stop, None]).astype(np.float32)

    def fit(self, labelled=None, **params):
        """Fit a classifier to these rows, with labels of the first 40 by default."""
        chosen = np.arange(len(self.y)) < 40 if labelled is None else labelled
        few = np.where(chosen, self.y, -1)
        options = ClassifierOptions(adversarial_weight=0.0)
        params = {"max_epochs": 2, "options": options} | params
        return small_classifier(**params).fit(self, few)


def peak_of_fit(n_blocks):
    """Return the peak of numpy's memory in a fit and a prediction."""
    source = MadeSource(n_blocks, 500)
    gc.collect()
    tracemalloc.start()
    try:
        source.fit(max_epochs=1, batch_size=500).predict_proba(source)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_cells(monkeypatch):
    monkeypatch.setattr(chunks.row_chunks, "__defaults__", (2**16,))
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 2**17)
    few = peak_of_fit(30)
    per_row = (peak_of_fit(90) - few) / (60 * 50)
    # The class and two probabilities of each row, and masks; cells have 2000 bytes.
    assert per_row < 40
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 2**26)
    assert (peak_of_fit(90) - few) / (60 * 50) > 1000


def test_the_buffer_is_not_exceeded(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 50 * 5)
    source = MadeSource(32)
    cells = source_cells.SourceCells(source, lambda rows: rows, np.float32)
    for start in np.random.default_rng(0).integers(0, 1500, 100):
        cells[start : start + 60]
        assert sum(block.size for block in cells._blocks.values()) <= 4 * 50 * 5
    assert source.largest == 50


def test_a_fit_reads_each_block_once_for_each_epoch(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 50 * 5)
    reads = {}
    for epochs in (1, 4):
        source = MadeSource(40)
        source.fit(max_epochs=epochs)
        reads[epochs] = np.bincount(np.array(source.reads) // 50, minlength=40)
    # The last minibatch of an epoch has a few rows of a second pass over them.
    more = reads[4] - reads[1]
    # An epoch may begin with blocks that are still in the buffer of four blocks.
    assert more.min() >= 2
    assert more.sum() >= 3 * (40 - 4)
    assert more.sum() <= 3 * (40 + 4)
    # One epoch, the statistics, a few rows of the diagnostics, and the predictions.
    assert reads[1].sum() <= 4 * 40 + 10


@pytest.mark.parametrize(("share", "most"), [(1.0, 1.1), (0.5, 3.0), (0.1, 1.2)])
def test_many_labelled_rows(share, most, monkeypatch):
    # A tenth of the rows is kept. Half of them, and the others, are read in an order of
    # their own, and some labelled rows twice.
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 50 * 5)
    labelled = np.random.default_rng(1).random(40 * 50) < share
    n_reads = {}
    for epochs in (1, 3):
        source = MadeSource(40)
        source.fit(labelled, max_epochs=epochs)
        n_reads[epochs] = len(source.reads)
    assert 1 <= (n_reads[3] - n_reads[1]) / (2 * 40) <= most


def test_a_model_is_as_good_if_rows_are_shuffled_in_groups(monkeypatch):
    source = MadeSource(40)
    in_memory = source.fit()
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 50 * 5)
    in_groups = source.fit()
    for model in (in_memory, in_groups):
        assert (model.transduction_ == source.y).mean() > 0.99
    assert in_groups.n_iter_ == in_memory.n_iter_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("every", [6, 2])  # labelled rows are kept, or too many
def test_a_large_memory_map_is_shuffled_in_groups(dtype, every, tmp_path, monkeypatch):
    rows = numbers(dtype)
    labels = np.where(np.arange(N) % every == 0, CLASSES, -1)
    mapped = stored("memmap", rows, tmp_path)
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", rows.size // 3)
    monkeypatch.setattr(source_cells, "PERMUTED_CELLS", rows.size)
    in_memory = small_classifier().fit(rows, labels)
    assert_same(small_classifier().fit(mapped, labels), mapped, in_memory, rows)
    monkeypatch.setattr(source_cells, "PERMUTED_CELLS", rows.size - 1)
    model = small_classifier().fit(mapped, labels)
    blocks = ArraySource(rows, "array")  # with the same limits
    assert_same(model, mapped, small_classifier().fit(blocks, labels), rows)
    assert (model.predict_proba(rows) != in_memory.predict_proba(rows)).any()


def test_processes_read_their_part_of_the_training_rows_in_chunks(monkeypatch):
    source = MadeSource(40)
    model = source.fit(max_epochs=1)
    expected = model.predict_log_proba(source)
    monkeypatch.setattr(chunks.row_chunks, "__defaults__", (2**12,))
    read, sizes = source_cells.SourceCells.__getitem__, []

    def counted(cells, rows):
        part = read(cells, rows)
        sizes.append(len(part))
        return part

    monkeypatch.setattr(source_cells.SourceCells, "__getitem__", counted)

    def of_process(communicator):
        cells = model.preprocessor_.read(model, MadeSource(40))
        return model._training_log_proba(model.net_, cells, communicator)

    for found in in_threads(of_process, 3):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sum(sizes) == len(source)
    assert max(sizes) < 300


@pytest.mark.parametrize("n_blocks", [1, 2, 40])
def test_processes_compare_the_ends_of_a_few_blocks(n_blocks, monkeypatch):
    monkeypatch.setattr(run_identity, "N_COMPARED_ROWS", 80)
    rows = np.random.default_rng(0).normal(size=(50 * n_blocks, 3))
    clf = small_classifier()

    def compared(rows):
        source = CountingSource(rows, 50)
        cells = source_cells.SourceCells(source, lambda rows: rows, np.float64)
        data = TrainingData(cells, np.full(len(rows), -1))
        found = run_identity.describe_fit(clf, ClassifierOptions(), data, 0, None)
        return found["X"], source

    expected, source = compared(rows)
    assert len(source.reads) == min(n_blocks, 4)
    assert {0, 50 * (n_blocks - 1)} <= set(source.reads)
    for block in source.reads:
        for row, is_compared in ((0, True), (9, True), (25, False), (49, True)):
            other = rows.copy()
            other[block + row, 1] += 1
            assert (compared(other)[0] != expected) == is_compared
    assert compared(np.vstack([rows, rows[:1]]))[0] != expected


def test_a_time_limit_reads_one_block_to_time_predictions(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 50 * 5)
    n_reads = []
    for max_time in (None, 1000.0):
        source = MadeSource(40)
        options = ClassifierOptions(adversarial_weight=0.0, max_time=max_time)
        source.fit(options=options)
        n_reads.append(len(source.reads))
    assert n_reads[1] - n_reads[0] <= 1


REFUSED = {
    "a teacher of scikit-learn": (
        {"teacher": LabelSpreading()},
        "teacher=LabelSpreading() is fitted to all rows together. Pass rows in memory: "
        "X is a counting source, which is read in blocks. Otherwise set teacher to "
        "'pool', to an OpinionPoolClassifier or to None.",
    ),
    "cross-fitting": (
        {"temperature": "cross-fit"},
        "temperature='cross-fit' fits the model to parts of the rows. Pass rows in "
        "memory: X is a counting source, which is read in blocks. Otherwise set "
        "temperature to 'auto' or to a number.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parameters_that_need_all_rows_are_refused(case, monkeypatch):
    params, message = REFUSED[case]
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 5 * N - 1)
    clf = SSVAEClassifier(max_epochs=1, **params)
    source = CountingSource(numbers(), 50)
    with pytest.raises(ValueError, match=re.escape(message)):
        clf.fit(source, LABELS)
    assert source.reads == []
    assert not hasattr(clf, "n_features_in_")


REMEDIES = {
    "h5py": "X[:]",
    "zarr": "X[:]",
    "dask": "X.compute()",
    "dask frame": "X.compute()",
    "arrow": "X.to_table()",
    "parquet": "X.read(0, len(X))",
}


@pytest.mark.parametrize(
    ("kind", "case"),
    [("h5py", "cross-fitting"), *((kind, "a teacher") for kind in REMEDIES)],
)
def test_few_rows_are_loaded_for_parameters_that_need_all(kind, case, tmp_path):
    params = {"temperature": "cross-fit", "max_epochs": 1}
    if case == "a teacher":
        params = {"teacher": LabelSpreading(kernel="knn"), "max_epochs": 1}
    rows = numbers()
    if kind in TABLES:
        rows = pd.DataFrame(rows, columns=list("abcde"))
    lazy = stored(kind, rows, tmp_path)
    reference = small_classifier(**params).fit(rows, LABELS)
    with pytest.warns(UserWarning, match="as a whole: 0.0 MB. To load it") as caught:
        model = small_classifier(**params).fit(lazy, LABELS)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).endswith(f"several calls, pass {REMEDIES[kind]}.")
    np.testing.assert_array_equal(
        model.label_distributions_, reference.label_distributions_
    )
    assert model.temperature_ == reference.temperature_


def test_memory_maps_take_all_parameters(tmp_path):
    rows = numbers(np.float32)
    lazy = stored("memmap", rows, tmp_path)
    params = {"temperature": "cross-fit", "max_epochs": 1}
    params["teacher"] = LabelSpreading(kernel="knn")
    reference = small_classifier(**params).fit(rows, LABELS)
    model = small_classifier(**params).fit(lazy, LABELS)
    np.testing.assert_array_equal(
        model.label_distributions_, reference.label_distributions_
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_impute_reads_memory_maps(dtype, tmp_path):
    rows = numbers(dtype, gaps=True)
    lazy = stored("memmap", rows, tmp_path)
    model = small_classifier().fit(rows, LABELS)
    np.testing.assert_array_equal(model.impute(lazy), model.impute(rows))


def test_impute_needs_rows_in_memory():
    rows = numbers(gaps=True)
    model = small_classifier().fit(rows, LABELS)
    source = CountingSource(rows, 50)
    message = (
        "X is a counting source, which is not in memory. Pass its blocks one after the "
        "other: for _, rows in X.chunks()."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        model.impute(source)
    parts = [model.impute(part) for _, part in source.chunks()]
    np.testing.assert_array_equal(np.concatenate(parts), model.impute(rows))
