"""Columns of numbers that are spoilt by words, and text that is no category."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mixed_rows import small_classifier
from sklearn.datasets import load_iris

import sk_ssvae
from sk_ssvae import VariationalAutoencoder
from sk_ssvae.data.numeric_text import MISSING_WORDS, TextReader
from sk_ssvae.model_selection import mask_labels

N = 60
X, TRUTH = load_iris(return_X_y=True)
ROWS = np.random.RandomState(0).permutation(150)[:N]
LABELS = mask_labels(TRUTH[ROWS], n_per_class=5, random_state=0)
GAPS = np.arange(3, 12)
FRAME = pd.DataFrame(X[ROWS], columns=list("abcd"))
WITH_NAN = FRAME.mask(np.isin(np.arange(N), GAPS)[:, None] & (FRAME.columns == "c"))
KEEP = " To read a column as categories, name it in categorical_features."


def spoilt(word="?"):
    """Return the rows with a word in nine cells of a column of strings."""
    rows = FRAME.astype({"c": str})
    rows.loc[GAPS, "c"] = word
    return rows


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def read(values):
    """Return whether a column is read as numbers, its words and the remark."""
    reader = TextReader()
    holds_numbers = reader.holds_numbers(objects(values), "x")
    return holds_numbers, dict(reader.words.get("x", {})), reader.remarks


SPOILT = {
    "strings": spoilt,
    "objects": lambda: spoilt().astype({"c": object}),
    "numbers and words": lambda: WITH_NAN.astype(object).fillna("?"),
    "nullable strings": lambda: spoilt().astype({"c": "string"}),
    "arrow": lambda: spoilt().astype({"c": "string[pyarrow]"}),
    "polars": lambda: pl.from_pandas(spoilt()),
    "array": lambda: WITH_NAN.astype(object).fillna("?").to_numpy(),
    "text array": lambda: np.where(WITH_NAN.isna(), "?", WITH_NAN.to_numpy("U32")),
    "list": lambda: WITH_NAN.astype(object).fillna("?").to_numpy().tolist(),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_words_among_numbers_are_missing_values(kind, tmp_path):
    """The same results as with NaN, one warning at fit, and none afterwards."""
    rows = SPOILT[kind]()
    name = "'c'" if hasattr(rows, "columns") else "2"
    expected = small_classifier().fit(WITH_NAN, LABELS)
    with pytest.warns(UserWarning, match="read as numbers") as caught:
        clf = small_classifier().fit(rows, LABELS)
    assert [str(w.message) for w in caught] == [
        f"Columns that hold text are read as numbers: {name} ('?' in 9 cells read as "
        "missing)." + KEEP
    ]
    assert caught[0].filename == __file__
    assert clf.likelihood_ == "gaussian"
    clf.save(tmp_path / "clf.ssvae")
    for model in (clf, sk_ssvae.load(tmp_path / "clf.ssvae")):
        for method in ("predict_proba", "transform", "score_samples"):
            np.testing.assert_allclose(
                getattr(model, method)(rows),
                getattr(expected, method)(WITH_NAN),
                rtol=1e-4,
                atol=1e-5,
            )
        filled = model.impute(rows)
        assert type(filled) in (type(rows), np.ndarray)
        cells = np.asarray(filled, dtype=object).astype(float)
        np.testing.assert_allclose(
            cells, np.asarray(expected.impute(WITH_NAN)), rtol=1e-4
        )
        drawn = model.sample(5)[0]
        assert np.isfinite(model.score_samples(drawn)).all()
    if hasattr(rows, "columns"):
        assert list(drawn.dtypes) == list(rows.dtypes)
        assert list(filled.dtypes) == list(rows.dtypes)


@pytest.mark.parametrize("word", ["", " ", "NA", "n/a", "NaN", "-", "NULL", "None"])
def test_every_usual_word_is_missing(word):
    assert word.strip().casefold() in MISSING_WORDS
    assert read(["1", "2.5", word, "4"]) == (True, {word: 1}, [])
    assert read([1, 2.5, word, None, np.nan]) == (True, {word: 1}, [])


@pytest.mark.parametrize(
    ("values", "is_number"),
    [
        (["0", "1", "2"] * 20, False),  # codes
        (["0", "1", "2", "?"] * 20, True),
        (["1.0", "2.0"] * 30, False),
        (["3.9", "3.10", "3.11"] * 9, False),  # versions
        ([f"{i / 7:.2f}" for i in range(60)], True),
        ([str(i % 40) for i in range(200)], False),
        (["01", "02", "?"] * 20, False),  # codes with zeros in front
        (["1", "?"] * 20, False),  # one number
        (["1", "2", "?", "?", "?"] * 9, False),  # mostly words
        (["?"] * 60, False),
        (["Oslo", "Rome", "?"] * 20, False),
        (["yes", "1", "2"] * 20, False),
        ([True, False, "?"] * 20, False),
        ([" 1 ", "+2", "-.5", "1e3", "2.", "?"], True),
        (["1_000", "inf", "0x1", "?"], False),
        ([b"1", b"2", b"?"], False),
        ([1, "2", "?"], True),  # as read_csv returns columns of several types
    ],
)
def test_what_counts_as_a_column_of_numbers(values, is_number):
    assert read(values)[0] is is_number
    assert read(values[::-1])[0] is is_number


STRIP = r".str.replace(r'[^\d.-]', '', regex=True)"
KEYS = "leave it out, X.drop(columns='x'), unless it has a meaning"
DAYS = pd.date_range("2001-01-01", periods=N)
ODD = {
    "thousands": (
        [f"{1000 + 37 * i:,}" for i in range(N)],
        "numbers with other characters, such as '1,000', '1,037', '1,074': use "
        f"pd.to_numeric(X['x']{STRIP})",
    ),
    "currency": (
        ["$ 5", "$ 10", "$ 15"] * (N // 3),
        "numbers with other characters, such as '$ 5', '$ 10', '$ 15': use "
        f"pd.to_numeric(X['x']{STRIP})",
    ),
    "per cent": (
        ["12 %", "7 %", "NA"] * (N // 3),
        "numbers with other characters, such as '12 %', '7 %': use "
        f"pd.to_numeric(X['x']{STRIP})",
    ),
    "units": (
        [f"{i} kg" for i in range(N)],
        "numbers with other characters, such as '0 kg', '1 kg', '2 kg': use "
        f"pd.to_numeric(X['x']{STRIP})",
    ),
    "decimal comma": (
        [f"{i / 8:.3f}".replace(".", ",")[:-1] for i in range(N)],
        "numbers with other characters, such as '0,00', '0,12', '0,25': use "
        "pd.to_numeric(X['x'].str.replace('.', '', regex=False).str.replace(',', '.', "
        f"regex=False){STRIP})",
    ),
    "words": (
        [str(i) if i % 9 else "<5" for i in range(N)],
        "numbers and words, such as '<5': use pd.to_numeric(X['x'], errors='coerce')",
    ),
    "dates": (
        [str(day)[:10] for day in DAYS],
        "dates, such as '2001-01-01', '2001-01-02', '2001-01-03': use "
        "(pd.to_datetime(X['x']) - pd.Timestamp('2000-01-01')).dt.days",
    ),
    "dates of other forms": (
        [day.strftime("%b %d, %Y") for day in DAYS],
        "dates, such as 'Jan 01, 2001', 'Jan 02, 2001', 'Jan 03, 2001': use "
        "(pd.to_datetime(X['x']) - pd.Timestamp('2000-01-01')).dt.days",
    ),
    "keys": (
        [f"row {i}" for i in range(N)],
        f"60 different values in 60 cells, such as 'row 0', 'row 1', 'row 2': {KEYS}",
    ),
    "numeric keys": (
        [str(1000 + i) for i in range(N)],
        f"60 different values in 60 cells, such as '1000', '1001', '1002': {KEYS}",
    ),
}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_text_is_reported_with_a_remedy_that_works(kind, library):
    values, remark = ODD[kind]
    y = LABELS[:N]
    frame = FRAME[["a"]].assign(x=values)
    frame = frame if library == "pandas" else pl.from_pandas(frame)
    with pytest.warns(UserWarning, match="Columns of text") as caught:
        clf = small_classifier(max_epochs=1).fit(frame, y)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert dict(clf.likelihood_)["categorical"] == ["x"]
    start = (
        "Columns of text are read as categories, which have neither order nor "
        "distance, but look like something else. Column 'x' has "
    )
    end = (
        ". To keep a column of categories, name it in categorical_features or give it "
        "a categorical type."
    )
    assert message.startswith(start)
    assert message.endswith(end)
    if library == "pandas":
        assert message == start + remark + end
    found, remedy = message.removeprefix(start).removesuffix(end).rsplit(": ", 1)
    assert found == remark.rsplit(": ", 1)[0]
    if remedy.startswith("leave it out, "):
        mended = eval(remedy.split(", ", 1)[1].split("),")[0] + ")", {"X": frame})
    elif library == "polars" and kind == "dates of other forms":
        return  # polars infers the usual forms only
    else:
        result = eval(
            remedy.removeprefix("use "),
            {"X": frame, "pd": pd, "pl": pl, "float": float},
        )
        mended = frame.assign(x=result) if library == "pandas" else result
    clf = small_classifier(max_epochs=1).fit(mended, y)
    assert clf.likelihood_ == "gaussian"


def test_declared_categories_are_never_reported():
    values = [f"row {i}" for i in range(N)]
    for rows, declared in (
        (FRAME[["a"]].assign(x=pd.Categorical(values)), "from_dtype"),
        (FRAME[["a"]].assign(x=values), ["x"]),
        (spoilt(), ["c"]),
        (spoilt().astype({"c": "category"}), "from_dtype"),
    ):
        clf = small_classifier(max_epochs=1, categorical_features=declared)
        assert "categorical" in dict(clf.fit(rows, LABELS).likelihood_)


def test_all_columns_are_reported_by_two_warnings():
    rows = spoilt().assign(
        b=[f"{i / 7:.2f}" for i in range(N)],
        d=["", "NA", "1", "2", "3", "4"] * (N // 6),
        key=[f"row {i}" for i in range(N)],
        day=[str(day)[:10] for day in DAYS],
    )
    with pytest.warns(UserWarning, match="Columns") as caught:
        small_classifier(max_epochs=1).fit(rows, LABELS)
    first, second = (str(w.message) for w in caught)
    assert first == (
        "Columns that hold text are read as numbers: 'b', 'c' ('?' in 9 cells read as "
        "missing), 'd' ('', 'NA' in 20 cells read as missing)." + KEEP
    )
    assert "Column 'key' has 60 different values" in second
    assert "Column 'day' has dates" in second


@pytest.mark.parametrize("as_array", [False, True])
def test_a_word_where_fit_had_none_is_missing_with_a_warning(as_array):
    clf = small_classifier().fit(FRAME.to_numpy() if as_array else FRAME, LABELS)
    rows, missing = spoilt("n/a"), WITH_NAN
    if as_array:
        rows, missing = rows.to_numpy(), missing.to_numpy()
    for method in ("predict_proba", "transform", "score_samples", "impute"):
        with pytest.warns(UserWarning, match="read as numbers") as caught:
            result = getattr(clf, method)(rows)
        name = "2" if as_array else "'c'"
        assert [str(w.message) for w in caught] == [
            f"Columns that hold text are read as numbers: {name} ('n/a' in 9 cells "
            "read as missing)." + KEEP
        ]
        np.testing.assert_allclose(
            np.asarray(result, dtype=object).astype(float),
            np.asarray(getattr(clf, method)(missing)),
            rtol=1e-4,
        )


def test_the_text_of_nan_is_read_without_a_warning():
    clf = small_classifier().fit(FRAME, LABELS)
    expected = clf.predict_proba(WITH_NAN)
    np.testing.assert_array_equal(clf.predict_proba(spoilt("nan")), expected)
    text = WITH_NAN.to_numpy("U32")
    clf = small_classifier().fit(FRAME.to_numpy(), LABELS)
    np.testing.assert_array_equal(clf.predict_proba(text), expected)


def test_other_words_are_refused_after_fit():
    with pytest.warns(UserWarning, match="read as numbers"):
        clf = small_classifier().fit(spoilt(), LABELS)
    for method in ("predict", "transform", "score_samples", "impute"):
        with pytest.raises(TypeError) as error:
            getattr(clf, method)(spoilt("many"))
        assert str(error.value) == (
            "Column 'c' has 'many' of type str, but held numbers in fit (argument must "
            "be a string or a number). Name the column in categorical_features, or "
            "convert it."
        )


def test_words_in_chunks_and_in_the_autoencoder():
    with pytest.warns(UserWarning, match="read as numbers"):
        clf = small_classifier().partial_fit(spoilt(), LABELS, classes=[0, 1, 2])
    clf.partial_fit(spoilt("NA"), LABELS)
    expected = small_classifier().partial_fit(WITH_NAN, LABELS, classes=[0, 1, 2])
    expected.partial_fit(WITH_NAN, LABELS)
    np.testing.assert_allclose(
        clf.predict_proba(WITH_NAN), expected.predict_proba(WITH_NAN), rtol=1e-4
    )
    vae = VariationalAutoencoder(2, hidden_sizes=(4,), max_epochs=2, random_state=0)
    with pytest.warns(UserWarning, match="read as numbers"):
        Z = vae.fit_transform(spoilt())
    np.testing.assert_allclose(Z, vae.transform(WITH_NAN), rtol=1e-4)


def test_cross_fitting_does_not_repeat_the_warnings():
    rows = spoilt().assign(key=[f"row {i}" for i in range(N)])
    with pytest.warns(UserWarning, match="Columns") as caught:
        small_classifier(max_epochs=1, temperature="cross-fit").fit(rows, LABELS)
    assert len(caught) == 2


def test_without_categories_words_are_missing_and_other_text_is_refused():
    rows = spoilt().assign(b=[str(i % 3) for i in range(N)])
    with pytest.warns(UserWarning, match="read as numbers") as caught:
        clf = small_classifier(categorical_features=None).fit(rows, LABELS)
    assert "'c' ('?' in 9 cells read as missing)" in str(caught[0].message)
    assert clf.likelihood_ == "gaussian"


def test_files_name_numbers_in_text_only_if_there_are_any(tmp_path):
    """So that older versions can read the other files."""
    for rows, is_named in ((FRAME, False), (spoilt(), True)):
        clf = small_classifier(max_epochs=1)
        if is_named:
            with pytest.warns(UserWarning, match="read as numbers"):
                clf.fit(rows, LABELS)
        else:
            clf.fit(rows, LABELS)
        clf.save(tmp_path / "clf.ssvae")
        text = (tmp_path / "clf.ssvae").read_bytes()
        assert (b"numbers_in_text" in text) is is_named
        loaded = sk_ssvae.load(tmp_path / "clf.ssvae")
        schema = loaded.preprocessor_.schema
        assert schema.numbers_in_text == ((2,) if is_named else ())
