"""Tables of Arrow: read as data frames are, and returned with their types."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mixed_rows import N_TOWNS, TOWN_LABELS, small_classifier, survey, towns

import sk_ssvae
from sk_ssvae import VariationalAutoencoder

TYPES = (
    *("int8", "uint64", "float16", "float32", "float64", "bool_", "decimal128"),
    *("string", "large_string", "string_view", "binary"),
    *("dictionary", "dictionary of integers", "ordered dictionary"),
)


def make_type(name):
    if name == "dictionary of integers":
        return pa.dictionary(pa.int32(), pa.int64())
    if "dictionary" in name:
        return pa.dictionary(pa.int8(), pa.string(), ordered="ordered" in name)
    return pa.decimal128(10, 2) if "decimal" in name else getattr(pa, name)()


def column_of(dtype):
    """Return a column of two values and nulls."""
    codes = np.where(np.arange(N_TOWNS) % 5, np.arange(N_TOWNS) % 3 % 2, np.nan)
    inner = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    pair = {"string": ["k", "j"], "binary": [b"k", b"j"], "bool": [False, True]}
    key = str(inner).removeprefix("large_").removesuffix("_view")
    values = [None if np.isnan(c) else pair.get(key, [3, 4])[int(c)] for c in codes]
    if pa.types.is_dictionary(dtype):
        indices = pa.array(codes, dtype.index_type, from_pandas=True)
        levels = pa.array([*pair.get(key, [3, 4])], inner)
        return pa.DictionaryArray.from_arrays(indices, levels, ordered=dtype.ordered)
    if pa.types.is_decimal(dtype):
        return pa.array(values, pa.float64()).cast(dtype)
    return pa.array(values, dtype)


def test_arrow_and_pandas_give_identical_results(tmp_path):
    X, _, few = survey()
    table = pa.Table.from_pandas(X)
    expected = small_classifier().fit(X, few)
    clf = small_classifier().fit(table, few)
    clf.save(tmp_path / "clf")
    batch = table.combine_chunks().to_batches()[0]
    halves = pa.concat_tables([table[:50], table[50:]])
    for model in (clf, sk_ssvae.load(tmp_path / "clf"), expected):
        assert model.feature_names_in_.tolist() == table.column_names
        for rows in (table, batch, halves, X):
            for method in ("predict_proba", "score_samples", "transform"):
                np.testing.assert_array_equal(
                    getattr(model, method)(rows), getattr(expected, method)(X)
                )
        for rows in (table, batch, halves):
            filled = model.impute(rows)
            assert filled.schema.equals(table.schema, check_metadata=True)
            pd.testing.assert_frame_equal(filled.to_pandas(), expected.impute(X))
    for model in (clf, sk_ssvae.load(tmp_path / "clf")):
        (drawn, labels), (of_pandas, codes) = model.sample(9), expected.sample(9)
        assert drawn.schema.types == table.schema.types
        assert drawn.column_names == table.column_names
        np.testing.assert_array_equal(labels, codes)
        assert drawn.to_pylist() == pa.Table.from_pandas(of_pandas).to_pylist()
        means = model.inverse_transform(model.transform(X))
        assert means.schema.field("visits").type == pa.float64()


@pytest.mark.parametrize("name", TYPES)
def test_column_types_are_restored(name, tmp_path):
    dtype = make_type(name)
    X = pa.table({"h": np.arange(N_TOWNS) / 9, "x": column_of(dtype)})
    clf = small_classifier().fit(X, TOWN_LABELS)
    clf.save(tmp_path / "clf")
    for model in (clf, sk_ssvae.load(tmp_path / "clf")):
        for rows in (model.impute(X), model.sample(20)[0]):
            assert rows.schema == X.schema
            assert rows["x"].null_count == 0
            if name != "decimal128" and "float" not in name:
                known = set(X["x"].to_pylist()) - {None}
                assert set(rows["x"].to_pylist()) <= known or "int" in name
    filled = clf.impute(X)["x"].to_pylist()
    for i, value in enumerate(X["x"].to_pylist()):
        assert value is None or value == filled[i]


def test_order_and_levels_of_dictionaries_are_kept():
    sizes = pd.Categorical(
        ["small", "large"] * 20, categories=["small", "medium", "large"], ordered=True
    )
    X = pa.Table.from_pandas(pd.DataFrame({"h": np.arange(40) / 9, "size": sizes}))
    drawn = small_classifier().fit(X, TOWN_LABELS).sample(9)[0]
    assert drawn["size"].type == X["size"].type
    dictionary = drawn["size"].chunk(0).dictionary
    assert dictionary.to_pylist() == ["small", "medium", "large"]


def test_integers_declared_as_categorical_are_restored():
    codes = [None if i % 5 == 0 else i % 3 for i in range(N_TOWNS)]
    X = pa.table({"h": np.arange(N_TOWNS) / 9, "code": pa.array(codes, pa.uint8())})
    clf = small_classifier(categorical_features=["code"]).fit(X, TOWN_LABELS)
    for rows in (clf.sample(30)[0], clf.impute(X), clf.inverse_transform(np.eye(2))):
        assert rows.schema == X.schema
        assert set(rows["code"].to_pylist()) <= {0, 1, 2}


@pytest.mark.parametrize("types", [("float32",), ("float32", "int8"), ("float64",)])
def test_numbers_are_read_as_those_of_pandas(types):
    numbers = np.random.RandomState(0).randn(N_TOWNS, len(types)) * 9
    numbers[::7, 0] = np.nan
    X = pd.DataFrame({t: numbers[:, j].astype(t) for j, t in enumerate(types)})
    table = pa.Table.from_pandas(X)
    clf = small_classifier().fit(table, TOWN_LABELS)
    expected = small_classifier().fit(X, TOWN_LABELS)
    np.testing.assert_array_equal(clf.predict_proba(table), expected.predict_proba(X))
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=2, random_state=0)
    np.testing.assert_array_equal(vae.fit_transform(table), vae.fit_transform(X))


def test_columns_of_dates_lists_and_nulls_are_refused():
    rows = towns()
    rows["when"] = pd.date_range("2020-01-01", periods=N_TOWNS)
    with pytest.raises(TypeError) as error:
        small_classifier().fit(pa.Table.from_pandas(rows), TOWN_LABELS)
    assert str(error.value) == (
        "Column 'when' has datetime.datetime(2020, 1, 1, 0, 0) of type datetime. A "
        "category must be a string, a number or a boolean (argument must be a string "
        "or a number). Convert the column, for instance dates to days since a "
        "reference date."
    )
    for column, message in (
        (pa.array([[1, 2]] * N_TOWNS), r"Column 'when' has \[1, 2\] of type list"),
        (pa.nulls(N_TOWNS), r"Every cell of the columns \['when'\] is missing"),
    ):
        X = pa.Table.from_pandas(towns()).append_column("when", column)
        with pytest.raises((TypeError, ValueError), match=message):
            small_classifier().fit(X, TOWN_LABELS)


def test_columns_of_nulls_take_the_values_of_fit():
    X = pa.Table.from_pandas(towns(), preserve_index=False)
    clf = small_classifier().fit(X, TOWN_LABELS)
    gone = X
    for j, name in enumerate(X.column_names):
        gone = gone.set_column(j, name, pa.nulls(N_TOWNS))
    filled = clf.impute(gone)
    assert set(filled["town"].to_pylist()) <= {"Oslo", "Rome"}
    assert filled["height"].type == pa.float64()
    assert sum(column.null_count for column in filled.columns) == 0


def test_names_of_columns_are_compared():
    X = pa.Table.from_pandas(towns(), preserve_index=False)
    clf = small_classifier().fit(X, TOWN_LABELS)
    with pytest.raises(ValueError, match="must be in the same order"):
        clf.predict(X.select(["weight", "height", "town"]))


def test_repeated_names_of_columns_are_refused():
    X = pa.table([np.arange(40.0)] * 4, names=["a", "b", "a", "b"])
    for rows in (X, X.to_batches()[0]):
        with pytest.raises(ValueError) as error:
            small_classifier().fit(rows, TOWN_LABELS)
        assert str(error.value) == (
            "X has several columns of the same name: ['a', 'b']. Column names must be "
            "unique."
        )
