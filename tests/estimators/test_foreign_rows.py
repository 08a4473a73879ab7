"""Objects as rows: each works in every method of the estimators, or in none."""

import array
import collections
import dataclasses
import types

import numpy as np
import pandas as pd
import pytest
import torch
from mixed_rows import small_classifier
from scipy import sparse
from skorch.helper import SliceDataset, SliceDict
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from sk_ssvae import VariationalAutoencoder

N = 24
X = np.random.RandomState(0).randn(N, 3) + 2 * (np.arange(N) % 2)[:, None]
LABELS = np.where(np.arange(N) % 3 == 0, np.arange(N) % 2, -1)


def classifier(**params):
    return small_classifier(max_epochs=1, **params)


def autoencoder():
    return VariationalAutoencoder(2, hidden_sizes=(4,), max_epochs=1, random_state=0)


CLASSIFIER, AUTOENCODER = classifier().fit(X, LABELS), autoencoder().fit(X)

METHODS = {
    "fit": lambda X: classifier().fit(X, LABELS).transduction_,
    "fit with categories": lambda X: (
        classifier(categorical_features=[2]).fit(X, LABELS).classes_
    ),
    "partial_fit": lambda X: (
        classifier().partial_fit(X, LABELS, classes=[0, 1]).transduction_
    ),
    "predict": CLASSIFIER.predict,
    "predict_proba": CLASSIFIER.predict_proba,
    "predict_log_proba": CLASSIFIER.predict_log_proba,
    "transform": CLASSIFIER.transform,
    "score": lambda X: CLASSIFIER.score(X, LABELS),
    "score_samples": CLASSIFIER.score_samples,
    "impute": CLASSIFIER.impute,
    "fit_transform": lambda X: autoencoder().fit_transform(X),
    "transform of the autoencoder": AUTOENCODER.transform,
    "score of the autoencoder": AUTOENCODER.score,
    "score_samples of the autoencoder": AUTOENCODER.score_samples,
    "impute of the autoencoder": AUTOENCODER.impute,
}


class Rows(Dataset):
    """A data set of torch that yields a row and a label."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.tensor(self.x[i]), 0


class Converted:
    """An object with `__array__`."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.x, dtype=dtype)


class Unconverted:
    """An object whose `__array__` raises an error."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("the file is closed")


class Interface:
    """An object with `__array_interface__` on the instance."""

    def __init__(self, x):
        self.x = x
        self.__array_interface__ = x.__array_interface__


class Capsule:
    """An object with `__dlpack__`."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class Lines(collections.abc.Sequence):
    """A sequence of rows."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


@dataclasses.dataclass
class Record:
    """Named values."""

    a: float = 1.0
    b: float = 2.0


Columns = collections.namedtuple("Columns", "a b")

ROWS = {
    "SliceDataset": lambda: SliceDataset(Rows(X)),
    "SliceDataset of tensors": lambda: SliceDataset(TensorDataset(torch.tensor(X))),
    "__array__": lambda: Converted(X),
    "__array__ of objects": lambda: Converted(X.astype(object)),
    "__array_interface__": lambda: Interface(X),
    "__dlpack__": lambda: Capsule(X),
    "buffer": lambda: memoryview(X),
    "sequence": lambda: Lines(X),
    "UserList": lambda: collections.UserList(X.tolist()),
    "deque": lambda: collections.deque(X.tolist()),
    "list of tensors": lambda: list(torch.tensor(X)),
    "tensor": lambda: torch.tensor(X),
    "recarray": lambda: X.view(np.recarray),
}


@pytest.mark.parametrize("method", METHODS)
def test_objects_with_rows_work_in_every_method(method):
    call = METHODS[method]
    expected = call(X)
    for kind, make in ROWS.items():
        np.testing.assert_array_equal(call(make()), expected, err_msg=kind)


def test_rows_in_a_data_set_work_in_cross_fitting():
    clf = classifier(temperature="cross-fit").fit(SliceDataset(Rows(X)), LABELS)
    expected = classifier(temperature="cross-fit").fit(X, LABELS)
    assert clf.temperature_ == expected.temperature_


GOT = "X must be an array, a sparse array or a data frame, got an object of type "
OF_TORCH = (
    "a data set of torch. Pass its rows as a tensor, or skorch.helper.SliceDataset(X)."
)
RECORDS = (
    "X must hold rows of numbers, but row 0 is a {}. Pass a data frame: "
    "pandas.DataFrame(X)."
)
FLAT = (
    "Expected 2D array, got 1D array instead: X must be rows of the same length. "
    "Reshape your data using X.reshape(1, -1) if it is a single row."
)

NO_ROWS = {
    "None": (lambda: None, TypeError, GOT.replace("an object of type ", "None.")),
    "integer": (lambda: 3, TypeError, GOT + "int."),
    "float of numpy": (lambda: np.float64(3), TypeError, GOT + "float64."),
    "complex": (lambda: 1j, TypeError, GOT + "complex."),
    "text": (lambda: "rows", TypeError, GOT + "str."),
    "bytes": (lambda: b"rows", TypeError, GOT + "bytes."),
    "bytearray": (lambda: bytearray(9), TypeError, GOT + "bytearray."),
    "dict": (lambda: {"a": X[:, 0]}, TypeError, GOT + "dict."),
    "SliceDict": (lambda: SliceDict(X=X), TypeError, GOT + "SliceDict."),
    "mappingproxy": (
        lambda: types.MappingProxyType({"a": X}),
        TypeError,
        GOT + "mappingproxy.",
    ),
    "dict values": (lambda: {"a": X}.values(), TypeError, GOT + "dict_values."),
    "set": (lambda: {1.0, 2.0}, TypeError, GOT + "set."),
    "frozenset": (lambda: frozenset({1.0}), TypeError, GOT + "frozenset."),
    "generator": (lambda: (row for row in X), TypeError, GOT + "generator."),
    "map": (lambda: map(list, X), TypeError, GOT + "map."),
    "dataclass": (Record, TypeError, GOT + "Record."),
    "object": (object, TypeError, GOT + "object."),
    "function": (lambda: len, TypeError, GOT + "builtin_function_or_method."),
    "estimator": (classifier, TypeError, GOT + "SSVAEClassifier."),
    "groups": (
        lambda: pd.DataFrame(X).groupby(0),
        TypeError,
        GOT + "DataFrameGroupBy.",
    ),
    "DataLoader": (lambda: DataLoader(Rows(X)), TypeError, GOT + "DataLoader."),
    "Dataset": (lambda: Rows(X), TypeError, f"X is a Rows, {OF_TORCH}"),
    "TensorDataset": (
        lambda: TensorDataset(torch.tensor(X)),
        TypeError,
        f"X is a TensorDataset, {OF_TORCH}",
    ),
    "Subset": (lambda: Subset(Rows(X), [1]), TypeError, f"X is a Subset, {OF_TORCH}"),
    "named tuple": (
        lambda: Columns(X[:, 0], X[:, 1]),
        TypeError,
        "X is a named tuple, which may hold rows or columns. Pass a data frame: "
        "pandas.DataFrame(X._asdict()).",
    ),
    "list of dicts": (lambda: [{"a": 1.0}] * N, TypeError, RECORDS.format("dict")),
    "list of sets": (lambda: [{1.0}] * N, TypeError, RECORDS.format("set")),
    "list of records": (lambda: [Record()] * N, TypeError, RECORDS.format("Record")),
    "list of texts": (lambda: ["ab"] * N, ValueError, FLAT),
    "deque of texts": (lambda: collections.deque(["ab"] * N), ValueError, FLAT),
    "unreadable": (
        Unconverted,
        TypeError,
        "X is a Unconverted that numpy cannot convert to an array of rows "
        "(RuntimeError: the file is closed).",
    ),
}


@pytest.mark.parametrize("kind", NO_ROWS)
def test_other_objects_are_refused_by_every_method(kind):
    make, error_type, message = NO_ROWS[kind]
    calls = METHODS | {
        "second partial_fit": lambda X: CLASSIFIER.partial_fit(X, LABELS)
    }
    for method, call in calls.items():
        with pytest.raises(error_type) as error:
            call(make())
        assert str(error.value) == message, method


@pytest.mark.parametrize(
    "make",
    [
        lambda: X[:, 0],
        lambda: range(N),
        lambda: array.array("d", X[:, 0]),
        lambda: pd.Index(X[:, 0]),
        lambda: SliceDataset([(v, 0) for v in X[:, 0].tolist()]),
        lambda: [],
    ],
)
def test_objects_of_one_dimension_are_refused_by_every_method(make):
    for call in METHODS.values():
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
            call(make())


@pytest.mark.parametrize("format", ["dok", "lil", "coo", "bsr", "dia", "csc"])
def test_every_sparse_format_works_in_every_method(format):
    """A dok array is a mapping, too."""
    sparse_rows = sparse.csr_array(np.where(X > 1, X, 0))
    expected = classifier().fit(sparse_rows, LABELS)
    rows = sparse_rows.asformat(format)
    clf = classifier().fit(rows, LABELS)
    for name in ("predict_proba", "transform", "score_samples"):
        result = getattr(clf, name)(rows)
        np.testing.assert_array_equal(result, getattr(expected, name)(sparse_rows))
    np.testing.assert_array_equal(
        clf.impute(rows).toarray(), expected.impute(sparse_rows).toarray()
    )


def test_labels_and_latent_points_in_objects():
    data = TensorDataset(torch.tensor(X), torch.tensor(LABELS))
    clf = classifier().fit(SliceDataset(data), SliceDataset(data, idx=1))
    np.testing.assert_array_equal(clf.predict_proba(X), CLASSIFIER.predict_proba(X))
    Z = CLASSIFIER.transform(X)
    expected = CLASSIFIER.inverse_transform(Z)
    for points in (Converted(Z), Lines(Z), memoryview(Z)):
        np.testing.assert_array_equal(CLASSIFIER.inverse_transform(points), expected)
    for make, error_type, message in NO_ROWS.values():
        with pytest.raises(error_type) as error:
            CLASSIFIER.inverse_transform(make())
        renamed = message.replace("X is", "Z is").replace("X must", "Z must")
        assert str(error.value)[:30] == renamed[:30]
