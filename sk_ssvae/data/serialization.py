"""Encode Python values as JSON and arrays, and decode them.

Only a fixed list of types is supported. A file may come from an untrusted source, so
decoding imports, calls and looks up nothing by a name in the file that is not on this
list.
"""

import base64
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.history import History

from sk_ssvae.data.dataframes import dtype_library
from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.data.scaling import ColumnScaling
from sk_ssvae.data.schema import Schema
from sk_ssvae.data.support import Support

__all__ = ["JSONDecoder", "JSONEncoder", "NotSerializableError"]

TAG = "@"
MAX_DEPTH = 40
"""Maximum nesting of decoded values."""

RECORDS: dict[str, type[Any]] = {
    "Columns": ColumnScaling,
    "Group": ColumnGroup,
    "Layout": Layout,
    "Preprocessor": Preprocessor,
    "Support": Support,
    "Table": Schema,
}
"""Dataclasses whose fields are serialised, by the tags that files have for them."""

TAG_OF = {record: tag for tag, record in RECORDS.items()}
FROM_FIELDS: dict[str, Callable[..., Any]] = {
    **RECORDS,
    "Preprocessor": Preprocessor.from_fitted,
}
"""Functions that make a record from its fields."""

NUMBER_KINDS = "biuf"
"""Kinds of numpy arrays that are stored without conversion to JSON."""


class NotSerializableError(TypeError):
    """A value whose type cannot be serialised."""


class JSONEncoder:
    """Encode values as JSON, and collect their arrays of numbers.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Arrays by the names that replace them in the JSON.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def __call__(self, value: Any) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : object
            Value of a supported type.

        Returns
        -------
        encoded : object
            None, booleans, numbers, strings, lists and dicts.

        Raises
        ------
        NotSerializableError
            If its type, or that of a value in it, is not supported.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else _tagged("float", str(value))
        if type(value) is list:
            return [self(v) for v in value]
        for types, encode in self._encoders():
            if isinstance(value, types):
                return encode(value)
        if type(value).__name__ == "NAType":
            return _tagged("NA", None)
        if type(value).__name__ in ("Timestamp", "NaTType"):  # names of columns
            return _tagged("Timestamp", str(value))
        library = dtype_library(value)
        if library is not None:
            return _tagged(library, self(_type_parts(value, library)))
        raise NotSerializableError(f"{value!r} of type {type(value).__name__}")

    def _encoders(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        return [
            (tuple(RECORDS.values()), self._record),
            (History, lambda v: _tagged("History", self(v.to_list()))),
            (tuple, lambda v: _tagged("tuple", [self(x) for x in v])),
            (
                dict,
                lambda v: _tagged("dict", [[self(a), self(b)] for a, b in v.items()]),
            ),
            (bytes, lambda v: _tagged("bytes", base64.b64encode(v).decode())),
            (np.dtype, lambda v: _tagged("dtype", v.str)),
            (np.ndarray, self._array),
            (np.generic, lambda v: _tagged("scalar", self(np.asarray(v)))),
            (torch.device, lambda v: _tagged("device", str(v))),
            (np.random.RandomState, self._random_state),
        ]

    def _record(self, value: Any) -> Any:
        parts = {
            f.name: self(getattr(value, f.name))
            for f in fields(value)
            # Older versions, which do not know them, can read a file without them.
            if not (f.name == "numbers_in_text" and not value.numbers_in_text)
            if not (f.name == "input_scale" and value.input_scale is None)
        }
        return _tagged("record", [TAG_OF[type(value)], parts])

    def _array(self, value: Any) -> Any:
        if type(value) is not np.ndarray:
            raise NotSerializableError(f"an array of type {type(value).__name__}")
        if value.dtype.kind in NUMBER_KINDS and value.dtype.itemsize <= 8:
            name = f"array.{len(self.arrays)}"
            self.arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
            return _tagged("array", name)
        if value.dtype.kind not in "OUS":
            raise NotSerializableError(f"an array of {value.dtype}")
        cells = [self(v) for v in value.ravel().tolist()]
        return _tagged("cells", [value.dtype.str, list(value.shape), cells])

    def _random_state(self, value: np.random.RandomState) -> Any:
        kind, keys, *rest = value.get_state(legacy=True)
        if kind != "MT19937":
            raise NotSerializableError(f"a RandomState of {kind}")
        return _tagged("RandomState", [self(np.asarray(keys)), *map(self, rest)])


def _tagged(tag: str, value: Any) -> dict[str, Any]:
    return {TAG: tag, "value": value}


def _type_parts(dtype: Any, library: str) -> Any:
    """Return the name and the parameters of a column type of a data frame."""
    name = type(dtype).__name__
    if library == "pandas":
        if name == "CategoricalDtype":
            if dtype.categories is None:
                return [name, None, bool(dtype.ordered)]
            inner = dtype.categories
            return [name, [list(inner), str(inner.dtype)], bool(dtype.ordered)]
        return [name, str(dtype)]
    if library == "pyarrow":
        if name == "DictionaryType":
            types = (str(dtype.index_type), str(dtype.value_type))
            return [name, *types, bool(dtype.ordered)]
        if name.startswith("Decimal"):
            return [name, dtype.precision, dtype.scale]
        return [name, str(dtype)]
    if name == "Enum":
        return [name, list(dtype.categories)]
    if name == "Decimal":
        return [name, [dtype.precision, dtype.scale]]
    return [str(dtype).partition("(")[0] if name == "DataTypeClass" else name]


class JSONDecoder:
    """Decode the values that a `JSONEncoder` encoded.

    Parameters
    ----------
    arrays : dict of str to ndarray
        The arrays of the `JSONEncoder`.
    """

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.arrays = arrays

    def __call__(self, encoded: Any, depth: int = 0) -> Any:
        """Decode a value.

        Parameters
        ----------
        encoded : object
            As parsed from JSON.
        depth : int, default=0
            Its nesting depth.

        Returns
        -------
        value : object

        Raises
        ------
        ValueError, TypeError, KeyError
            If it was not encoded by a `JSONEncoder`.
        """
        if depth > MAX_DEPTH:
            raise ValueError("values are nested too deeply")
        if isinstance(encoded, list):
            return [self(v, depth + 1) for v in encoded]
        if not isinstance(encoded, dict):
            return encoded
        if set(encoded) != {TAG, "value"}:
            raise ValueError("an object has no tag")
        tag, value = encoded[TAG], encoded["value"]
        decode = {
            "float": self._float,
            "NA": lambda v, d: _na(),
            "Timestamp": lambda v, d: _timestamp(v),
            "array": self._array,
            "cells": self._cells,
            "record": self._record,
            "dict": self._dict,
            "pandas": lambda v, d: _pandas_type(*self(v, d)),
            "polars": lambda v, d: _polars_type(*self(v, d)),
            "pyarrow": lambda v, d: _arrow_type(*self(v, d)),
            "History": lambda v, d: History(self(v, d)),
            "tuple": lambda v, d: tuple(self(x, d) for x in v),
            "bytes": lambda v, d: base64.b64decode(v, validate=True),
            "dtype": lambda v, d: _dtype(v),
            "scalar": lambda v, d: self(v, d)[()],
            "device": lambda v, d: torch.device(v),
            "RandomState": self._random_state,
        }
        if tag not in decode:
            raise ValueError(f"unknown tag {tag!r}")
        return decode[tag](value, depth + 1)

    def _float(self, value: Any, depth: int) -> float:
        if value not in ("nan", "inf", "-inf"):
            raise ValueError(f"invalid number {value!r}")
        return float(value)

    def _array(self, name: Any, depth: int) -> Any:
        return self.arrays[name]

    def _cells(self, value: Any, depth: int) -> Any:
        kind, shape, cells = value
        array = np.empty(len(cells), dtype=object)
        array[:] = self(cells, depth)
        return array.reshape(shape).astype(_dtype(kind))

    def _record(self, value: Any, depth: int) -> Any:
        name, parts = value
        return FROM_FIELDS[name](**{k: self(v, depth) for k, v in parts.items()})

    def _dict(self, pairs: Any, depth: int) -> dict[Any, Any]:
        return {self(a, depth): self(b, depth) for a, b in pairs}

    def _random_state(self, value: Any, depth: int) -> np.random.RandomState:
        keys, *rest = (self(v, depth) for v in value)
        state = np.random.RandomState()
        state.set_state(("MT19937", keys, *rest))
        return state


def _dtype(text: Any) -> np.dtype[Any]:
    """Return a numpy dtype without fields or metadata."""
    dtype = np.dtype(str(text))
    if dtype.kind not in "biufOUSmM" or dtype.fields is not None:
        raise ValueError(f"unsupported dtype {text!r}")
    return dtype


def _na() -> Any:
    import pandas as pd

    return pd.NA


def _timestamp(text: Any) -> Any:
    import pandas as pd

    return pd.Timestamp(str(text))


def _pandas_type(name: str, *parts: Any) -> Any:
    import pandas as pd

    if name == "CategoricalDtype":
        inner, ordered = parts
        if inner is None:
            return pd.CategoricalDtype(None, ordered=ordered)
        values, dtype = inner
        index = pd.Index(values, dtype=pd.api.types.pandas_dtype(dtype))
        return pd.CategoricalDtype(index, ordered=ordered)
    if name == "ArrowDtype" and parts == ("string[pyarrow]",):
        import pyarrow as pa

        return pd.ArrowDtype(pa.string())  # pandas reads the name as a StringDtype
    return pd.api.types.pandas_dtype(*parts)


def _polars_type(name: str, *parts: Any) -> Any:
    import polars as pl

    if name not in POLARS_TYPES:
        raise ValueError(f"unsupported polars type {name!r}")
    dtype = getattr(pl, name)
    if name == "Decimal":
        return dtype(*parts[0])
    return dtype(*parts) if parts else dtype()


def _arrow_type(name: str, *parts: Any) -> Any:
    import pyarrow as pa

    if name == "DictionaryType":
        index, value, ordered = parts
        types = [pa.type_for_alias(str(alias)) for alias in (index, value)]
        return pa.dictionary(*types, ordered=bool(ordered))
    if name in ARROW_DECIMALS:
        return getattr(pa, ARROW_DECIMALS[name])(*parts)
    return pa.type_for_alias(str(parts[0]))


ARROW_DECIMALS = {f"Decimal{bits}Type": f"decimal{bits}" for bits in (32, 64, 128, 256)}
"""Functions of pyarrow that make types with parameters, by the types' names."""

POLARS_TYPES = (
    *("Int8", "Int16", "Int32", "Int64", "Int128"),
    *("UInt8", "UInt16", "UInt32", "UInt64", "UInt128"),
    *("Float16", "Float32", "Float64", "Decimal"),
    *("Boolean", "String", "Binary", "Categorical", "Enum", "Object", "Null"),
)
"""Types of polars columns that can be restored."""
