"""Where rows must be in memory, others are loaded with a warning, or refused."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from mixed_rows import N_TOWNS, TOWN_LABELS, small_classifier, towns

from sk_ssvae import VariationalAutoencoder
from sk_ssvae.data.loading import load_rows

REMEDY = "To load it once for several calls, pass {}."


def calls():
    """Return the methods that take rows, and that of a fit."""
    clf = small_classifier(max_epochs=1).fit(towns(), TOWN_LABELS)
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=1, random_state=0)
    return [
        lambda X: small_classifier(max_epochs=1).fit(X, TOWN_LABELS),
        vae.fit,
        lambda X: clf.partial_fit(X, TOWN_LABELS),
        *(clf.predict, clf.predict_proba, clf.transform),
        *(clf.score_samples, clf.impute, lambda X: clf.score(X, TOWN_LABELS)),
    ]


def stored_array(library, name, **attributes):
    """Return an array that is read by indexing, of a class of another library."""

    class Stored:
        shape, dtype, ndim = (N_TOWNS, 3), np.dtype(float), 2

        def __getitem__(self, rows):
            return (np.arange(N_TOWNS * 3.0).reshape(N_TOWNS, 3) % 7)[rows]

    Stored.__module__, Stored.__name__ = f"{library}.core", name
    for key, value in attributes.items():
        setattr(Stored, key, value)
    return Stored()


@pytest.mark.parametrize(
    "make",
    [
        lambda: stored_array("h5py", "Dataset", chunks=None),
        lambda: stored_array("zarr", "Array", chunks=(10, 3)),
        lambda: stored_array("another", "Array", chunks=(10, 3)),
    ],
)
def test_impute_loads_stored_arrays_with_one_warning(make):
    X = make()
    clf = small_classifier().fit(X[...], TOWN_LABELS)
    name = f"{type(X).__module__.partition('.')[0]} {type(X).__name__}"
    message = f"X ({name}) is loaded into memory as a whole: 0.0 MB. "
    with pytest.warns(UserWarning, match="loaded into memory") as caught:
        result = clf.impute(X)
    assert [(str(w.message), w.filename) for w in caught] == [
        (message + REMEDY.format("X[:]"), __file__)
    ]
    np.testing.assert_array_equal(result, clf.impute(X[...]))


def test_impute_loads_dask_arrays_and_frames_with_one_warning():
    dask = pytest.importorskip("dask")
    array = pytest.importorskip("dask.array")
    frames = pytest.importorskip("dask.dataframe")
    X = towns().astype({"town": "category"})
    numbers = np.random.RandomState(0).randn(N_TOWNS, 3)
    with dask.config.set(scheduler="synchronous"):
        for rows, lazy, name in (
            (X, frames.from_pandas(X, npartitions=3), "DataFrame"),
            (numbers, array.from_array(numbers, chunks=10), "Array"),
        ):
            clf = small_classifier().fit(rows, TOWN_LABELS)
            message = f"X (dask {name}) is loaded into memory as a whole: 0.0 MB. "
            with pytest.warns(UserWarning, match="loaded") as caught:
                result = clf.impute(lazy)
            assert [(str(w.message), w.filename) for w in caught] == [
                (message + REMEDY.format("X.compute()"), __file__)
            ]
            expected = clf.impute(rows)
            assert type(result) is type(expected)
            np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_the_warning_names_the_size_in_megabytes():
    class Large(type(stored_array("zarr", "Array", chunks=(1,)))):
        def __getitem__(self, rows):
            return np.zeros((1000, 250))

    with pytest.warns(UserWarning, match=r"as a whole: 2\.0 MB\."):
        load_rows(Large())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda table: pyarrow.dataset.dataset(table).scanner(),
            "X is a pyarrow Scanner, which is not in memory yet. Pass X.to_table().",
        ),
        (
            lambda table: table.to_reader(),
            "X is a pyarrow RecordBatchReader, which is not in memory yet. Pass "
            "X.read_all().",
        ),
        (
            lambda table: pl.from_arrow(table).lazy(),
            "X is a LazyFrame, which is not evaluated yet. Pass X.collect().",
        ),
    ],
)
def test_queries_and_streams_are_refused(make, message):
    table = pa.Table.from_pandas(towns())
    for call in calls():
        with pytest.raises(TypeError) as error:
            call(make(table))
        assert str(error.value) == message


def test_impute_refuses_data_sets_of_arrow():
    X = pyarrow.dataset.dataset(pa.Table.from_pandas(towns()))
    clf = small_classifier(max_epochs=1).fit(towns(), TOWN_LABELS)
    with pytest.raises(TypeError) as error:
        clf.impute(X)
    assert str(error.value) == (
        "X is a pyarrow InMemoryDataset, which is not in memory yet. Pass X.to_table()."
    )


@pytest.mark.parametrize(
    ("library", "name", "remedy"),
    [
        ("ibis", "Table", "X.to_pyarrow()"),
        ("duckdb", "DuckDBPyRelation", "X.to_arrow_table()"),
        ("pyspark", "DataFrame", "X.toPandas()"),
    ],
)
def test_tables_of_databases_are_refused(library, name, remedy):
    table = stored_array(library, name, columns=["a", "b", "c"])
    with pytest.raises(TypeError) as error:
        load_rows(table)
    assert str(error.value) == (
        f"X is a {library} {name}, which is not evaluated yet. Pass {remedy}."
    )


def test_rows_in_memory_are_returned_unchanged(tmp_path):
    disk = np.memmap(tmp_path / "rows", dtype=float, mode="w+", shape=(4, 2))
    frame = pd.DataFrame(disk)
    for X in (disk, frame, pl.from_pandas(frame), [[1.0]], ((1, 2),), object()):
        assert load_rows(X) is X
