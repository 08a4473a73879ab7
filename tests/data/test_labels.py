"""Labels: codes, unlabelled rows, invalid labels, and the class prior."""

import numpy as np
import pandas as pd
import pytest

from sk_ssvae.data.labels import encode_classes, encode_labels, split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.teachers.class_priors import resolve_class_prior


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (np.array([5, -1, 3, 5]), [3, 5], [1, -1, 0, 1]),
        (np.array([1.0, -1.0, 0.0]), [0, 1], [1, -1, 0]),
        (objects("b", -1, "a"), ["a", "b"], [1, -1, 0]),
        (objects("b", np.int64(-1), "a"), ["a", "b"], [1, -1, 0]),
        (objects(7, -1, 4), [4, 7], [1, -1, 0]),
        (np.array(["b", "a"]), ["a", "b"], [1, 0]),
        (np.array([0, 1], dtype=np.uint8), [0, 1], [0, 1]),
        (np.array([-2, -1, 3]), [-2, 3], [0, -1, 1]),
        (pd.Series(["b", -1, "a"], dtype=object).to_numpy(), ["a", "b"], [1, -1, 0]),
    ],
)
def test_codes_index_the_classes(y, classes, codes):
    found, encoded = encode_labels(y)
    assert found.tolist() == classes
    assert encoded.tolist() == codes
    labelled = encoded >= 0
    assert (found[encoded[labelled]] == y[labelled]).all()


def test_codes_do_not_depend_on_the_order_of_rows():
    y = np.array([4, -1, 9, 9, 2, -1])
    order = np.array([3, 1, 0, 5, 4, 2])
    classes, codes = encode_labels(y)
    classes_too, codes_too = encode_labels(y[order])
    assert (classes == classes_too).all()
    assert (codes[order] == codes_too).all()


OBJECT_HINT = (
    "To mark unlabelled rows among strings, use an array of dtype object that holds "
    "strings and the integer -1, e.g. np.array(['a', 'b', -1], dtype=object)."
)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.array([True, False]),
            "y is an array of booleans, which has no room for a marker of unlabelled "
            "rows: -1 is stored in it as True, and None as False. Use "
            "y.astype(object), and assign the marker afterwards if any row is "
            "unlabelled, or integers.",
        ),
        (
            np.array(["a", "-1"]),
            f"y is an array of strings that contains '-1'. {OBJECT_HINT}",
        ),
        (
            np.array([b"a", b"-1"]),
            f"y is an array of strings that contains b'-1'. {OBJECT_HINT}",
        ),
        (
            objects("a", "-1", "b"),
            f"y contains the string '-1' (row 1). {OBJECT_HINT}",
        ),
        (
            objects("a", True),
            "y mixes labels of the types ['bool', 'str']. Use labels of one type, and "
            "the integer -1 for unlabelled rows.",
        ),
        (
            objects(1, True, -1),
            "y mixes labels of the types ['bool', 'int']. Use labels of one type, and "
            "the integer -1 for unlabelled rows.",
        ),
        (
            objects("a", None),
            "y contains None (row 1), which is neither a number nor a string. Mark "
            "unlabelled rows by the integer -1.",
        ),
        (
            objects("a", 3, -1),
            "y mixes labels of the types ['int', 'str']. Use labels of one type, and "
            "the integer -1 for unlabelled rows.",
        ),
        (
            np.array([-1, -1, -1]),
            "Me needs labelled rows, but y is -1 (unlabelled) in all 3 rows. Label at "
            "least one row of each class.",
        ),
        (
            objects(-1, -1),
            "Me needs labelled rows, but y is -1 (unlabelled) in all 2 rows. Label at "
            "least one row of each class.",
        ),
        (
            np.array([4, -1, 4]),
            "Me needs labelled rows of at least 2 classes, but the labelled rows of y "
            "hold one class only: [4].",
        ),
    ],
)
def test_invalid_labels_are_refused(y, message):
    with pytest.raises(ValueError) as error:
        encode_labels(y, owner="Me")
    assert str(error.value) == message


def test_labels_that_numpy_would_merge_stay_distinct():
    mixed = as_label_array(["a", "b", -1, -1.0])
    assert encode_labels(mixed)[1].tolist() == [0, 1, -1, -1]
    big = pd.Series([2**53, 2**53 + 1, -1], dtype="Int64")
    assert encode_labels(as_label_array(big))[0].tolist() == [2**53, 2**53 + 1]
    kinds = pd.Series(["a", "b", "a"], dtype="category")
    assert encode_labels(as_label_array(kinds))[1].tolist() == [0, 1, 0]
    assert as_label_array(None) is None
    plain = np.array([1, 2])
    assert as_label_array(plain) is plain


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.ma.array([0, 1, 2], mask=[0, 0, 1]),
            "y is an array with masked values. Mark unlabelled rows by the integer -1: "
            "y.filled(-1).",
        ),
        (
            pd.Series([0, None, 1], dtype="Int64"),
            "y has a missing value in row 1. Mark unlabelled rows by the integer -1 "
            "(SSVAEClassifier also takes unlabeled=None).",
        ),
        (
            pd.Series(["a", None], dtype="string"),
            "y has a missing value in row 1. Mark unlabelled rows by the integer -1 "
            "(SSVAEClassifier also takes unlabeled=None).",
        ),
        (
            np.array([0.0, np.nan]),
            "Input y contains NaN or None (row 1: np.float64(nan)). Mark unlabelled "
            "rows by the integer -1 (SSVAEClassifier also takes unlabeled=None).",
        ),
        (
            objects("a", None),
            "Input y contains NaN or None (row 1: None). Mark unlabelled rows by the "
            "integer -1 (SSVAEClassifier also takes unlabeled=None).",
        ),
    ],
)
def test_missing_labels_are_refused(y, message):
    with pytest.raises(ValueError) as error:
        as_label_array(y)
    assert str(error.value) == message


def test_continuous_labels_are_refused():
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        encode_labels(np.array([0.5, -1.0, 1.5]))


def test_labels_are_encoded_by_given_classes():
    classes = encode_classes([3, 1, 2, 1])
    assert classes.tolist() == [1, 2, 3]
    assert encode_labels(np.array([-1, -1]), classes)[1].tolist() == [-1, -1]
    assert encode_labels(np.array([3, -1]), classes)[1].tolist() == [2, -1]
    message = (
        r"y contains labels that are not among the classes: \[4\]. "
        r"The classes are \[1, 2, 3\]."
    )
    with pytest.raises(ValueError, match=message):
        encode_labels(np.array([4, 1]), classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            [-1, 0, 1],
            "classes contains -1, which marks unlabelled rows and is not a class. Pass "
            "np.unique(y[y != -1]).",
        ),
        (
            [0, 1, np.nan],
            "y contains nan. Mark unlabelled rows by the integer -1.",
        ),
        ([2, 2], "classes must hold at least 2 classes, got [2]."),
        ([[1, 2]], "classes must be one-dimensional, got shape (1, 2)."),
    ],
)
def test_invalid_classes_are_refused(classes, message):
    with pytest.raises(ValueError) as error:
        encode_classes(classes)
    assert str(error.value) == message


def test_split_labels_returns_mask_and_labels():
    labelled, labels = split_labels(objects("x", -1, "y"))
    assert labelled.tolist() == [True, False, True]
    assert labels.tolist() == ["x", "y"]


def test_prior_of_classes():
    classes, codes = np.array([7, 8, 9]), np.array([0, 0, 1, 2, -1, -1])
    third = resolve_class_prior("uniform", classes, codes)
    assert third.tolist() == [1 / 3] * 3
    shares = resolve_class_prior("empirical", classes, codes)
    assert shares.tolist() == [0.5, 0.25, 0.25]
    weight = np.array([1.0, 0.0, 2.0, 1.0, 5.0, 5.0])
    shares = resolve_class_prior("empirical", classes, codes, weight)
    assert shares.tolist() == [0.25, 0.5, 0.25]
    given = resolve_class_prior([0.2, 0.3, 0.5], classes, codes)
    assert given.tolist() == [0.2, 0.3, 0.5]


@pytest.mark.parametrize(
    "prior", [[0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.6, 0.1], [-0.5, 1.0, 0.5]]
)
def test_prior_must_be_a_distribution(prior):
    with pytest.raises(ValueError) as error:
        resolve_class_prior(prior, np.array([7, 8, 9]), np.array([0, 1, 2]))
    assert str(error.value) == (
        "class_prior must hold 3 positive numbers with sum 1, one for each of the "
        f"classes [7, 8, 9]; got {prior!r}."
    )


def test_empirical_prior_needs_every_class():
    with pytest.raises(ValueError) as error:
        resolve_class_prior("empirical", np.array(["a", "b"]), np.array([0, 0, -1]))
    assert str(error.value) == (
        "class_prior='empirical' needs a labelled row of every class, but there is "
        "none of ['b']. Give the prior as an array."
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            [[0], [1, 2], -1],
            "y must hold one label per row, but has [0] in row 0 and [1, 2] in row 1.",
        ),
        (
            objects(0, np.array([1, 2]), -1),
            "y contains array([1, 2]) (row 1), which is neither a number nor a string. "
            "Mark unlabelled rows by the integer -1.",
        ),
    ],
)
def test_several_labels_per_row_are_refused(y, message):
    with pytest.raises(ValueError) as error:
        as_label_array(y)
    assert str(error.value) == message


def test_labels_of_variable_length_strings(quick, blobs):
    """scikit-learn does not support the StringDType of numpy."""
    X, _, truth = blobs
    y = np.array(["ant", "bee", "cat"])[truth]
    clf = quick(max_epochs=1).fit(X, y.astype(np.dtypes.StringDType()))
    assert clf.classes_.dtype == object
    assert clf.classes_.tolist() == ["ant", "bee", "cat"]
    assert clf.score(X, y) == quick(max_epochs=1).fit(X, y).score(X, y)


@pytest.mark.parametrize(
    "classes",
    [[-1e300, 5.0, 1e300], objects(3, 5, 10**30), objects(b"a", b"b", b"c")],
)
def test_score_takes_all_labels_that_fit_takes(quick, blobs, classes):
    """scikit-learn calls these labels continuous, unknown or not supported."""
    X, _, truth = blobs
    y = np.array(classes, dtype=getattr(classes, "dtype", float))[truth]
    clf = quick(max_epochs=1).fit(X, y)
    assert clf.score(X, y) == (clf.predict(X) == y).mean()
