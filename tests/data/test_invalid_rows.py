"""Rows of types that nobody expects: what cannot be taken is refused by name."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier

N = 40
Y = np.where(np.arange(N) % 3 == 0, np.arange(N) % 2, -1)


def quick(**params):
    given = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "max_epochs": 1,
        "teacher": None,
        "random_state": 0,
    }
    return SSVAEClassifier(**given | params)


def people():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"height": rng.randn(N), "weight": rng.randn(N)})
    X["town"] = np.array(["Oslo", "Rome"])[rng.randint(0, 2, N)]
    X.loc[::5, "height"] = np.nan
    return X


@pytest.mark.parametrize(
    "dtype",
    [
        "float16",
        "float32",
        "Float32",
        "float[pyarrow]",
        pd.SparseDtype("float32"),
        pd.SparseDtype("float64", 0.0),
    ],
)
def test_gaps_are_filled_in_floats_of_any_width(dtype):
    X = people().astype({"height": dtype})
    filled = quick().fit(X, Y).impute(X)
    assert list(filled.dtypes) == list(X.dtypes)
    assert not filled.isna().any().any()
    there = X["height"].notna()
    assert (filled["height"][there] == X["height"][there]).all()


@pytest.mark.parametrize(
    "dtype",
    ["float32", "Int64", "boolean", "datetime64[s]", "string", "str", "int64[pyarrow]"],
)
@pytest.mark.parametrize("name", ["town", "height"])
def test_a_column_of_gaps_is_filled_whatever_its_type(name, dtype):
    """As read_csv and others guess the type of an empty column."""
    X = people()
    clf = quick().fit(X, Y)
    empty = X.assign(**{name: pd.Series([None] * N, dtype=object).astype(dtype)})
    filled = clf.impute(empty)[name]
    if name == "town":
        assert set(filled) <= {"Oslo", "Rome"}
    else:
        assert pd.api.types.is_numeric_dtype(filled)
        assert not filled.isna().any()


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Int64,
        pl.Float64,
        pl.Boolean,
        pl.Date,
        pl.String,
        pl.Decimal(9, 2),
        pl.Null,
        pl.Categorical,
        pl.Binary,
        pl.Object,
    ],
)
@pytest.mark.parametrize("name", ["town", "height"])
def test_a_column_of_nulls_is_filled_whatever_its_type(name, dtype):
    X = pl.from_pandas(people())
    clf = quick().fit(X, Y)
    filled = clf.impute(X.with_columns(pl.Series(name, [None] * N, dtype=dtype)))[name]
    assert filled.null_count() == 0
    if name == "town":
        assert set(filled) <= {"Oslo", "Rome"}
    else:
        assert filled.dtype.is_numeric() or filled.dtype == pl.Boolean


def test_what_was_there_stays_beside_what_is_filled():
    X = people()
    clf = quick().fit(X, Y)
    numerals = X.astype({"height": "string"})
    filled = clf.impute(numerals)["height"]
    assert filled.dtype == "string"
    assert np.isfinite(filled.astype(float)).all()
    other = pl.from_pandas(X).with_columns(
        pl.col("height").cast(pl.String),
        town=pl.Series([None, datetime.date(2000, 1, 1)] * (N // 2)),
    )
    with pytest.warns(UserWarning, match="'town' has categories that did not occur"):
        both = clf.impute(other)
    assert both["height"].dtype == pl.String
    assert both["height"].cast(float).is_finite().all()
    assert both["town"][1] == "2000-01-01"
    assert set(both["town"][::2]) <= {"Oslo", "Rome"}


def test_impute_keeps_the_index_of_columns_and_notes():
    X = people()
    X.columns = pd.CategoricalIndex(X.columns, name="what")
    X.attrs["source"] = "a survey"
    filled = quick().fit(X, Y).impute(X)
    assert filled.columns.equals(X.columns)
    assert filled.columns.name == "what"
    assert filled.attrs == X.attrs


@pytest.mark.parametrize(
    ("cells", "type_name"),
    [
        ([np.array([1, 2])] * N, "array([1, 2]) of type ndarray"),
        ([[1, 2]] * N, "[1, 2] of type list"),
    ],
)
def test_arrays_and_lists_in_cells_are_refused_by_name(cells, type_name):
    X = people()
    clf = quick().fit(X, Y)
    plain = quick().fit(X[["height"]], Y)
    message = (
        f"Column 'town' has {type_name}. A category must be a string, a number or a "
        "boolean (argument must be a string or a number). Convert the column, for "
        "instance dates to days since a reference date."
    )
    for call in (lambda X: quick().fit(X, Y), clf.predict):
        with pytest.raises(TypeError) as error:
            call(X.assign(town=cells))
        assert str(error.value) == message
    with pytest.raises(TypeError) as error:
        plain.predict(X[["height"]].assign(height=cells))
    assert str(error.value).startswith(f"Column 'height' has {type_name}, but held ")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("columns", [["height"], ["height", "weight"]])
def test_dates_where_fit_saw_numbers_are_refused_by_name(library, columns):
    X = people()[["height", "weight"]]
    odd = X.assign(**dict.fromkeys(columns, pd.Timestamp("2000-01-01")))
    span = X.assign(**dict.fromkeys(columns, pd.Timedelta("1D")))
    if library == "polars":
        X, odd, span = pl.from_pandas(X), pl.from_pandas(odd), pl.from_pandas(span)
    clf = quick().fit(X, Y)
    streamed = quick().partial_fit(X, Y, classes=[0, 1])
    for call in (
        clf.predict,
        clf.impute,
        clf.transform,
        lambda X: streamed.partial_fit(X, Y),
    ):
        with pytest.raises(
            TypeError, match=r"Column 'height' has .* but held numbers in "
        ):
            call(odd)
        with pytest.raises(
            TypeError, match=r"Column 'height' has .* but held numbers in "
        ):
            call(span)


def test_other_types_of_the_same_numbers_are_read_as_fit_read_them():
    X = people()[["height", "weight"]]
    clf = quick().fit(X, Y)
    expected = clf.predict_proba(X)
    objects = X.astype(object).where(X.notna(), pd.NA)
    for same in (objects, X.astype("category"), X.astype("Float64")):
        np.testing.assert_allclose(clf.predict_proba(same), expected, rtol=1e-6)


def test_arrays_of_dates_and_records_are_refused():
    clf = quick().fit(np.random.RandomState(0).randn(N, 2), Y)
    days = np.arange(2 * N).reshape(N, 2).astype("datetime64[D]")
    days[0, 0] = "NaT"
    records = np.zeros(N, dtype=[("a", float), ("b", float)])
    for call in (lambda X: quick().fit(X, Y), clf.predict, clf.impute):
        with pytest.raises(TypeError) as error:
            call(days)
        assert str(error.value) == (
            "X is an array of datetime64[D]. Convert dates to numbers, for instance to "
            "days since one of them."
        )
        with pytest.raises(TypeError) as error:
            call(records)
        assert str(error.value) == (
            "X is a structured array with the fields ['a', 'b']. Make a data frame of "
            "it: pandas.DataFrame(X)."
        )


def test_labels_that_are_dates_are_refused():
    X = people()
    y = np.array(["2000-01-01", "2001-01-01", "NaT"], dtype="datetime64[D]")
    with pytest.raises(ValueError) as error:
        quick().fit(X, y[np.arange(N) % 3])
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
        (None, 0),
    ],
)
def test_what_are_no_rows_is_refused_beside_categories(rows, n):
    X = people()
    clf = quick().fit(X, Y)
    for call in (clf.predict, clf.impute):
        with pytest.raises(ValueError) as error:
            call(rows)
        assert str(error.value) == (
            f"Expected 2D array, got {n}D array instead: X must be rows of the same "
            "length. Reshape your data using X.reshape(1, -1) if it is a single row."
        )


def test_ragged_rows_and_dicts_are_refused_beside_categories():
    clf = quick().fit(people(), Y)
    for call in (clf.predict, clf.impute):
        with pytest.raises(ValueError) as error:
            call([[1, 2, "Oslo"], [1, 2]])
        assert str(error.value) == (
            "X has rows of different lengths: row 0 has 3 values, row 1 has 2."
        )
        with pytest.raises(TypeError) as error:
            call({"height": 1})
        assert str(error.value) == (
            "X must be an array, a sparse array or a data frame, got a dict."
        )


def test_frames_without_rows_are_refused_after_fit():
    X = pl.from_pandas(people())
    for frame in (X, X[["height", "weight"]]):
        clf = quick().fit(frame, Y)
        with pytest.raises(TypeError) as error:
            clf.predict(frame.lazy())
        assert str(error.value) == (
            "X is a LazyFrame, which is not evaluated yet. Pass X.collect()."
        )


@pytest.mark.parametrize("dtype", [pl.Int128, pl.UInt128])
@pytest.mark.parametrize("features", ["from_dtype", ["n"]])
def test_integers_of_128_bits(dtype, features):
    numbers = [None if i % 5 == 0 else i % 7 for i in range(N)]
    X = pl.DataFrame({"h": np.arange(N) * 0.5, "n": pl.Series(numbers, dtype=dtype)})
    clf = quick(categorical_features=features).fit(X, Y)
    assert clf.sample(5)[0].schema == X.schema
    filled = clf.impute(X)
    assert filled.schema == X.schema
    assert filled["n"].null_count() == 0
    assert filled["n"].drop_nulls()[1:5].to_list() == [1, 2, 3, 4]


def test_objects_of_polars_come_back():
    X = pl.from_pandas(people())
    towns = pl.Series(X["town"].to_list(), dtype=pl.Object)
    X = X.with_columns(town=towns)
    clf = quick().fit(X, Y)
    assert clf.sample(5)[0].schema == X.schema


def test_cells_of_a_sparse_array_in_parts_are_whole():
    X = sparse.csr_array(np.random.RandomState(0).poisson(0.6, (N, 5)) * 1.0)
    halves = np.repeat(X.data / 2, 2)
    halves[:2] = np.nan, 1  # nobody knows the sum
    parts = sparse.csr_array(
        (halves, np.repeat(X.indices, 2), X.indptr * 2), shape=X.shape
    )
    whole = sparse.csr_array(parts.toarray())
    before = parts.copy()
    clf, expected = quick().fit(parts, Y), quick().fit(whole, Y)
    assert clf.likelihood_ == expected.likelihood_ == "negative_binomial"
    for rows in (parts, whole, parts.tocsc()):
        np.testing.assert_array_equal(
            clf.predict_proba(rows), expected.predict_proba(whole)
        )
        np.testing.assert_array_equal(
            clf.impute(rows).toarray(), expected.impute(whole).toarray()
        )
    np.testing.assert_array_equal(parts.data, before.data)
    np.testing.assert_array_equal(parts.indices, before.indices)


def test_an_equal_mask_goes_on():
    X = people()
    mask = np.array([False, True, False])
    clf = quick(warm_start=True, likelihood=[("gaussian", mask)]).fit(X, Y)
    clf.set_params(likelihood=[("gaussian", mask.copy())]).fit(X, Y)
    assert clf.n_iter_ == 2
    other = [("gaussian", ~mask)]
    with pytest.raises(ValueError, match=r"^likelihood was "):
        clf.set_params(likelihood=other).fit(X, Y)


@pytest.mark.parametrize("mask", [[True], np.ones(4, dtype=bool), lambda X: [True]])
def test_a_mask_of_another_length_is_refused(mask):
    X = people()
    n = 4 if isinstance(mask, np.ndarray) else 1
    with pytest.raises(ValueError) as error:
        quick(likelihood=[("gaussian", mask)]).fit(X, Y)
    assert str(error.value) == (
        f"likelihood gives 'gaussian' a mask of {n} columns, but X has 3."
    )


def test_nulls_among_labels_of_polars_are_refused_with_advice():
    X = people()
    for labels in ([0, None, 1, -1], ["a", None, "b", "c"]):
        with pytest.raises(ValueError) as error:
            quick().fit(X, pl.Series(labels * (N // 4)))
        assert str(error.value) == (
            "Input y contains NaN or None (row 1: None). Mark unlabelled rows by the "
            "integer -1 (SSVAEClassifier also takes unlabeled=None)."
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
def test_classes_of_several_types_are_not_made_strings(classes, message):
    with pytest.raises(ValueError) as error:
        quick().partial_fit(people(), Y, classes=classes)
    assert str(error.value) == message


@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_impute_refuses_what_has_no_probability_in_rows_with_gaps(kind):
    X = people().assign(visits=np.arange(N) % 5)
    clf = quick(likelihood=[(kind, ["visits"])]).fit(X, Y)
    X.loc[1, "visits"] = -3  # without a gap
    assert not clf.impute(X).isna().any().any()
    X.loc[5, "visits"] = -2
    with pytest.raises(ValueError) as error:
        clf.impute(X)
    assert str(error.value) == (
        f"likelihood={kind!r} needs whole numbers from 0 to 1e9, but X has -2 in row "
        "5, column 3. Use likelihood='gaussian' for what is not counted."
    )


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, None])
@pytest.mark.parametrize("rows", [list, tuple, lambda X: [np.array(r) for r in X]])
def test_gaps_in_rows_of_any_sequence(gap, rows):
    cells = [(float(i), gap if i % 5 == 0 else i % 7) for i in range(N)]
    floats = [(i, np.nan if i % 5 == 0 else i % 7) for i in range(N)]
    clf, expected = quick().fit(rows(cells), Y), quick().fit(floats, Y)
    np.testing.assert_array_equal(
        clf.predict_proba(rows(cells)), expected.predict_proba(floats)
    )
    filled = clf.impute(rows(cells))
    np.testing.assert_array_equal(filled.astype(float), expected.impute(floats))


def test_a_gap_among_numbers_written_out_is_filled():
    X = people()[["height", "weight"]]
    clf = quick().fit(X.to_numpy(), Y)
    expected = clf.impute(X.to_numpy())
    texts = X.to_numpy().astype(str)
    np.testing.assert_array_equal(clf.impute(texts).astype(float), expected)
    frame = X.astype({"height": str}).replace("nan", " NaN ")
    written = quick(categorical_features=None).fit(frame, Y)
    assert written.impute(frame)["height"].astype(float).notna().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_tensors_are_arrays(quick, iris, dtype):
    X, y, _ = iris
    X = torch.tensor(10 * X).to(dtype)
    clf = quick().fit(X, torch.tensor(y))
    same = quick().fit(X.numpy(), y)
    np.testing.assert_array_equal(clf.predict_proba(X), same.predict_proba(X.numpy()))


def test_float16_is_widened(quick, iris):
    """The same answers as for the same numbers in another type, however narrow."""
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
def test_tensors_that_are_no_arrays(quick, iris, make, what):
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
            "Complex data not supported: X is an array of complex128. Make columns of "
            "real and imaginary parts.",
        ),
        (
            lambda X: sparse.csr_array(X.astype(complex)),
            ValueError,
            "Complex data not supported: X is an array of complex128. Make columns of "
            "real and imaginary parts.",
        ),
        (
            lambda X: (row for row in X),
            TypeError,
            "X must be an array, a sparse array or a data frame, got a generator.",
        ),
        (
            lambda X: pd.DataFrame(index=range(N)),
            ValueError,
            f"X is a frame of {N} rows without columns. Give it at least one.",
        ),
        (
            lambda X: X.view(np.matrix),
            TypeError,
            "np.matrix is not supported. Please convert to a numpy array with "
            "np.asarray. For more information see: "
            "https://numpy.org/doc/stable/reference/generated/numpy.matrix.html",
        ),
        (
            lambda X: np.ma.MaskedArray([["a", "b"]] * N, [[True, False]] * N, "O"),
            ValueError,
            "X has 'b' of type str in row 0, column 1. Arrays hold numbers, but for "
            "columns that categorical_features names. Name it there, give a data "
            "frame, or convert it (argument must be a string or a number).",
        ),
    ],
    ids=["cells", "complex", "sparse", "generator", "no columns", "matrix", "masked"],
)
def test_what_others_had_words_for(make, error, message):
    """Their words did not say what to do, or a warning came before them."""
    X = np.random.RandomState(0).randn(N, 2)
    with pytest.raises(error) as raised:
        quick().fit(make(X), Y)
    assert str(raised.value) == message.format(cell=repr(complex(X[0, 0])))


def test_sums_that_overflow_do_not_warn():
    """scikit-learn adds all cells up in search of infinities."""
    X = np.random.RandomState(0).randn(N, 2)
    large = np.where(X > 0, 1.7e308, -1.7e308)
    clf = quick().fit(large, Y)
    assert np.isfinite(clf.predict_proba(large)).all()
    pool = OpinionPoolClassifier(views=["logistic"]).fit(large, Y)
    assert np.isfinite(pool.predict_proba(large)).all()
    assert np.isfinite(clf.inverse_transform(np.sign(X) * 1.7e308)).all()
    X[:2, 0] = np.inf, -np.inf
    for call in (lambda X: quick().fit(X, Y), clf.predict, clf.impute):
        with pytest.raises(ValueError) as error:
            call(X)
        assert str(error.value).startswith(
            "Input X contains infinity or a value too large for dtype('float64')."
        )


def test_sparse_columns_of_pandas_are_read_without_a_warning():
    X = pd.DataFrame(np.random.RandomState(0).randn(N, 2), columns=["a", "b"])
    X[X < 0] = 0
    expected = quick().fit(X, Y).predict_proba(X)
    thin = X.astype(pd.SparseDtype("float64", 0.0))
    clf = quick().fit(thin, Y)
    np.testing.assert_array_equal(clf.predict_proba(thin), expected)
    assert list(clf.sample(2)[0].dtypes) == list(thin.dtypes)


def test_an_infinite_category_is_refused():
    X = np.random.RandomState(0).randint(0, 3, (N, 2)).astype(float)
    X[3, 1] = np.inf
    with pytest.raises(ValueError) as error:
        quick(categorical_features=[1]).fit(X, Y)
    assert str(error.value) == (
        "Column 1 contains inf, which cannot be a category. Convert the column, for "
        "instance to strings, or replace the value by NaN (missing)."
    )


def test_texts_cannot_fill_sparse_arrays():
    clf = quick().fit(people(), Y)
    gaps = sparse.csr_array(np.full((2, 3), np.nan))
    with (
        pytest.warns(UserWarning, match="X does not have valid feature names"),
        pytest.raises(TypeError) as error,
    ):
        clf.impute(gaps)
    assert str(error.value) == (
        "X is a sparse array, which holds numbers, but column 'town' has categories "
        "such as 'Oslo'. Pass a data frame, as in fit."
    )


@pytest.mark.parametrize(
    "dtype",
    [
        "float16",
        "float32",
        "Float32",
        "float[pyarrow]",
        "halffloat[pyarrow]",
        pl.Float32,
    ],
)
def test_draws_stay_within_the_type_of_their_column(dtype):
    """The tails of what fills half of the type's range reach beyond it."""
    high = 6e4 if "16" in str(dtype) or "half" in str(dtype) else 3e38
    X = pd.DataFrame({"a": np.where(np.arange(N) % 2, high, -high), "b": np.arange(N)})
    if dtype is pl.Float32:
        X = pl.from_pandas(X).with_columns(pl.col("a").cast(dtype))
    else:
        X = X.astype({"a": dtype})
    drawn = quick().fit(X, Y).sample(50)[0]["a"]
    assert drawn.dtype == X["a"].dtype
    assert np.isfinite(np.asarray(drawn, dtype=float)).all()
