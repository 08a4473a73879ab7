"""Rows that cannot be read are refused with an error that names the cause."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from mixed_rows import N_SURVEY, N_TOWNS, TOWN_LABELS, small_classifier, survey, towns
from scipy import sparse
from sklearn.datasets import load_iris

from sk_ssvae import OpinionPoolClassifier


def nested_cells():
    cells = np.empty((N_SURVEY, 2), dtype=object)
    for i in range(N_SURVEY):
        cells[i] = [1.0, [1, 2]]
    return cells


REMEDY = (
    "Arrays must hold numbers, except in columns named in categorical_features. Name "
    "the column there, pass a data frame, or convert the value (argument must be a "
    "string or a number)."
)


INVALID_ROWS = {
    "ragged": (
        lambda: [[1.0, 2.0]] * (N_SURVEY - 1) + [[1.0]],
        ValueError,
        "X has rows of different lengths: row 0 has 2 values, row "
        f"{N_SURVEY - 1} has 1.",
    ),
    "structured": (
        lambda: np.array([(1, 2.0)] * N_SURVEY, dtype=[("a", int), ("b", float)]),
        TypeError,
        "X is a structured array with the fields ['a', 'b']. Convert it to a data "
        "frame: pandas.DataFrame(X).",
    ),
    "text": (
        lambda: np.array([["1", "2"]] * (N_SURVEY - 1) + [["1", "b"]]),
        ValueError,
        f"X has 'b' of type str in row {N_SURVEY - 1}, column 1. {REMEDY}",
    ),
    "objects": (
        lambda: np.array([[1, 2.5]] * (N_SURVEY - 1) + [["b", 1]], dtype=object),
        ValueError,
        f"X has 'b' of type str in row {N_SURVEY - 1}, column 0. {REMEDY}",
    ),
    "lists in cells": (
        nested_cells,
        TypeError,
        f"X has [1, 2] of type list in row 0, column 1. {REMEDY}",
    ),
    "dates": (
        lambda: np.full((N_SURVEY, 2), np.datetime64("2000-01-01", "D")),
        TypeError,
        "X is an array of datetime64[D]. Convert dates to numbers, for instance to "
        "days since a reference date.",
    ),
    "equal names": (
        lambda: pd.DataFrame(np.ones((N_SURVEY, 3)), columns=["a", "b", "a"]),
        ValueError,
        "X has several columns of the same name: ['a']. Column names must be unique.",
    ),
    "mixture": (
        lambda: pd.DataFrame({"a": [1, "x", None] * (N_SURVEY // 3)}),
        TypeError,
        "Column 'a' mixes values of the types ['int', 'str']. Convert it to one type, "
        "for instance to strings, or to a categorical type.",
    ),
    "arrays in a frame": (
        lambda: pd.DataFrame({"a": [[1, 2]] * N_SURVEY}),
        TypeError,
        "Column 'a' has [1, 2] of type list. A category must be a string, a number or "
        "a boolean (argument must be a string or a number). Convert the column, for "
        "instance dates to days since a reference date.",
    ),
    "dict": (
        lambda: {"a": [1.0] * N_SURVEY},
        TypeError,
        "X must be an array, a sparse array or a data frame, got an object of "
        "type dict.",
    ),
}


@pytest.mark.parametrize("kind", INVALID_ROWS)
def test_fit_refuses_invalid_rows(kind):
    make, error_type, message = INVALID_ROWS[kind]
    few = survey()[2]
    clf = small_classifier()
    with pytest.raises(error_type) as error:
        clf.fit(make(), few)
    assert str(error.value) == message
    assert not hasattr(clf, "net_")


def test_predict_refuses_invalid_rows():
    X, y = load_iris(return_X_y=True)
    clf = small_classifier().fit(X, y)
    with pytest.raises(ValueError) as error:
        clf.predict([[1, 2, 3, "b"]])
    assert str(error.value) == (f"X has 'b' of type str in row 0, column 3. {REMEDY}")
    with pytest.raises(TypeError) as error:
        clf.predict(np.full((2, 4), np.timedelta64(1, "s")))
    assert str(error.value) == (
        "X is an array of timedelta64[s]. Convert dates to numbers, for instance to "
        "days since a reference date."
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda X: X.astype(complex).astype(object),
            ValueError,
            "Complex data not supported: X has {cell} in row 0, column 0.",
        ),
        (
            lambda X: X.astype(complex),
            ValueError,
            "Complex data not supported: X is an array of complex128. Use separate "
            "columns for the real and imaginary parts.",
        ),
        (
            lambda X: sparse.csr_array(X.astype(complex)),
            ValueError,
            "Complex data not supported: X is an array of complex128. Use separate "
            "columns for the real and imaginary parts.",
        ),
        (
            lambda X: (row for row in X),
            TypeError,
            "X must be an array, a sparse array or a data frame, got an object of "
            "type generator.",
        ),
        (
            lambda X: pd.DataFrame(index=range(N_TOWNS)),
            ValueError,
            f"X is a data frame of {N_TOWNS} rows without columns. At least one column "
            "is required.",
        ),
        (
            lambda X: X.view(np.matrix),
            TypeError,
            "np.matrix is not supported. Please convert to a numpy array with "
            "np.asarray. For more information see: "
            "https://numpy.org/doc/stable/reference/generated/numpy.matrix.html",
        ),
        (
            lambda X: np.ma.MaskedArray(
                [["a", "b"]] * N_TOWNS, [[True, False]] * N_TOWNS, "O"
            ),
            ValueError,
            f"X has 'b' of type str in row 0, column 1. {REMEDY}",
        ),
    ],
    ids=["cells", "complex", "sparse", "generator", "no columns", "matrix", "masked"],
)
def test_errors_of_numpy_and_sklearn_are_explained(make, error, message):
    """Left alone, these errors would not say what to do, or follow a warning."""
    X = np.random.RandomState(0).randn(N_TOWNS, 2)
    with pytest.raises(error) as raised:
        small_classifier().fit(make(X), TOWN_LABELS)
    assert str(raised.value) == message.format(cell=repr(complex(X[0, 0])))


def test_strings_of_numbers_are_numbers():
    X, y = load_iris(return_X_y=True)
    clf = small_classifier().fit(X, y)
    assert np.array_equal(clf.predict(X.astype(str)), clf.predict(X))


def test_errors_in_labels_do_not_blame_categories():
    cells = np.array([["a", 1.5], ["b", 2.5]] * (N_SURVEY // 2), dtype=object)
    with pytest.raises(ValueError, match="y is -1"):
        small_classifier(categorical_features=[0]).fit(cells, np.full(len(cells), -1))


def test_a_column_of_dates_is_refused_by_name():
    X, _, few = survey()
    X["born"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(N_SURVEY), "D")
    with pytest.raises(TypeError, match="Column 'born' has Timestamp"):
        small_classifier().fit(X, few)


@pytest.mark.parametrize(
    ("cells", "type_name"),
    [
        ([np.array([1, 2])] * N_TOWNS, "array([1, 2]) of type ndarray"),
        ([[1, 2]] * N_TOWNS, "[1, 2] of type list"),
    ],
)
def test_arrays_and_lists_in_cells_are_refused_by_name(cells, type_name):
    X = towns()
    clf = small_classifier().fit(X, TOWN_LABELS)
    plain = small_classifier().fit(X[["height"]], TOWN_LABELS)
    message = (
        f"Column 'town' has {type_name}. A category must be a string, a number or a "
        "boolean (argument must be a string or a number). Convert the column, for "
        "instance dates to days since a reference date."
    )
    for call in (lambda X: small_classifier().fit(X, TOWN_LABELS), clf.predict):
        with pytest.raises(TypeError) as error:
            call(X.assign(town=cells))
        assert str(error.value) == message
    with pytest.raises(TypeError) as error:
        plain.predict(X[["height"]].assign(height=cells))
    assert str(error.value).startswith(f"Column 'height' has {type_name}, but held ")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("columns", [["height"], ["height", "weight"]])
def test_dates_in_a_column_of_numbers_are_refused_by_name(library, columns):
    X = towns()[["height", "weight"]]
    dates = X.assign(**dict.fromkeys(columns, pd.Timestamp("2000-01-01")))
    durations = X.assign(**dict.fromkeys(columns, pd.Timedelta("1D")))
    if library == "polars":
        X, dates, durations = (pl.from_pandas(rows) for rows in (X, dates, durations))
    clf = small_classifier().fit(X, TOWN_LABELS)
    streamed = small_classifier().partial_fit(X, TOWN_LABELS, classes=[0, 1])
    for call in (
        clf.predict,
        clf.impute,
        clf.transform,
        lambda X: streamed.partial_fit(X, TOWN_LABELS),
    ):
        for invalid in (dates, durations):
            with pytest.raises(TypeError, match=r"'height' has .* but held numbers in"):
                call(invalid)


def test_arrays_of_dates_and_records_are_refused():
    X = np.random.RandomState(0).randn(N_TOWNS, 2)
    clf = small_classifier().fit(X, TOWN_LABELS)
    days = np.arange(2 * N_TOWNS).reshape(N_TOWNS, 2).astype("datetime64[D]")
    days[0, 0] = "NaT"
    records = np.zeros(N_TOWNS, dtype=[("a", float), ("b", float)])
    for call in (
        lambda X: small_classifier().fit(X, TOWN_LABELS),
        clf.predict,
        clf.impute,
    ):
        with pytest.raises(TypeError) as error:
            call(days)
        assert str(error.value) == (
            "X is an array of datetime64[D]. Convert dates to numbers, for instance to "
            "days since a reference date."
        )
        with pytest.raises(TypeError) as error:
            call(records)
        assert str(error.value) == (
            "X is a structured array with the fields ['a', 'b']. Convert it to a data "
            "frame: pandas.DataFrame(X)."
        )


def test_labels_that_are_dates_are_refused():
    X = towns()
    y = np.array(["2000-01-01", "2001-01-01", "NaT"], dtype="datetime64[D]")
    with pytest.raises(ValueError) as error:
        small_classifier().fit(X, y[np.arange(N_TOWNS) % 3])
    assert str(error.value) == (
        "y is an array of datetime64[D]. Use integers or strings as labels."
    )


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    ("rows", "n"),
    [
        ([1, 2, "Oslo"], 1),
        (pd.Series([1, 2, "Oslo"]), 1),
        (np.zeros((2, 3, 2)), 3),
    ],
)
def test_wrong_dimensions_are_refused_with_categories(rows, n):
    X = towns()
    clf = small_classifier().fit(X, TOWN_LABELS)
    for call in (clf.predict, clf.impute):
        with pytest.raises(ValueError) as error:
            call(rows)
        assert str(error.value) == (
            f"Expected 2D array, got {n}D array instead: X must be rows of the same "
            "length. Reshape your data using X.reshape(1, -1) if it is a single row."
        )


def test_ragged_rows_and_dicts_are_refused_with_categories():
    clf = small_classifier().fit(towns(), TOWN_LABELS)
    for call in (clf.predict, clf.impute):
        with pytest.raises(ValueError) as error:
            call([[1, 2, "Oslo"], [1, 2]])
        assert str(error.value) == (
            "X has rows of different lengths: row 0 has 3 values, row 1 has 2."
        )
        with pytest.raises(TypeError) as error:
            call({"height": 1})
        assert str(error.value) == (
            "X must be an array, a sparse array or a data frame, got an object of "
            "type dict."
        )


def test_lazy_frames_are_refused():
    X = pl.from_pandas(towns())
    for frame in (X, X[["height", "weight"]]):
        clf = small_classifier().fit(frame, TOWN_LABELS)
        for call in (lambda X: small_classifier().fit(X, TOWN_LABELS), clf.predict):
            with pytest.raises(TypeError) as error:
                call(frame.lazy())
            assert str(error.value) == (
                "X is a LazyFrame, which is not evaluated yet. Pass X.collect()."
            )


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            [0, "a"],
            "y mixes labels of the types ['int', 'str']. Use labels of one type, and "
            "the integer -1 for unlabelled rows.",
        ),
        (
            ["a", -1, "b"],
            "classes contains -1, which marks unlabelled rows and is not a class. Pass "
            "np.unique(y[y != -1]).",
        ),
    ],
)
def test_classes_of_several_types_are_refused(classes, message):
    with pytest.raises(ValueError) as error:
        small_classifier().partial_fit(towns(), TOWN_LABELS, classes=classes)
    assert str(error.value) == message


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_tensors_are_read_as_arrays(quick, iris, dtype):
    X, y, _ = iris
    X = torch.tensor(10 * X).to(dtype)
    clf = quick().fit(X, torch.tensor(y))
    same = quick().fit(X.numpy(), y)
    np.testing.assert_array_equal(clf.predict_proba(X), same.predict_proba(X.numpy()))


def test_float16_is_read_exactly(quick, iris):
    """The same numbers in a wider type give the same results."""
    X, y, _ = iris
    narrow = (8e3 * X).astype(np.float16)
    narrow[0, 0] = np.nan
    clf = quick().fit(narrow, y)
    wide = quick().fit(narrow.astype(np.float64), y)
    np.testing.assert_array_equal(clf.predict_proba(narrow), wide.predict_proba(narrow))
    np.testing.assert_array_equal(clf.transform(narrow), wide.transform(narrow))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda X: X.to(torch.bfloat16), "torch.bfloat16 on 'cpu'"),
        (lambda X: X.requires_grad_(), "torch.float64 on 'cpu'"),
        (lambda X: X.to("meta"), "torch.float64 on 'meta'"),
    ],
)
def test_tensors_that_numpy_cannot_read_are_refused(quick, iris, make, what):
    X, y, _ = iris
    rows = make(torch.tensor(X))
    fitted = quick().fit(X, y)
    for call in (lambda: quick().fit(rows, y), lambda: fitted.predict_proba(rows)):
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == (
            f"X is a tensor of {what} that numpy cannot read. Pass "
            "X.detach().cpu().float().numpy()."
        )


def test_large_values_do_not_warn_of_overflow():
    """scikit-learn sums all cells to find infinities."""
    X = np.random.RandomState(0).randn(N_TOWNS, 2)
    large = np.where(X > 0, 1.7e308, -1.7e308)
    clf = small_classifier().fit(large, TOWN_LABELS)
    assert np.isfinite(clf.predict_proba(large)).all()
    pool = OpinionPoolClassifier(views=["logistic"]).fit(large, TOWN_LABELS)
    assert np.isfinite(pool.predict_proba(large)).all()
    assert np.isfinite(clf.inverse_transform(np.sign(X) * 1.7e308)).all()
    X[:2, 0] = np.inf, -np.inf
    for call in (
        lambda X: small_classifier().fit(X, TOWN_LABELS),
        clf.predict,
        clf.impute,
    ):
        with pytest.raises(ValueError) as error:
            call(X)
        assert str(error.value).startswith(
            "Input X contains infinity or a value too large for dtype('float64')."
        )
