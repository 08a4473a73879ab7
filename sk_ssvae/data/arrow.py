"""Rows in tables of Arrow, read with narwhals and written by columns."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sk_ssvae.data.columns import DecodedColumns
from sk_ssvae.data.dataframes import DataFrameContainer
from sk_ssvae.data.rounding import are_numbers, clip_to_dtype, round_to_integers
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["ArrowContainer"]


class ArrowContainer(DataFrameContainer):
    """Rows in a table of pyarrow."""

    kind: ClassVar[str] = "pyarrow"

    @cached_property
    def readable(self) -> Any:
        """The table with views of strings as strings, which pyarrow can compare."""
        import pyarrow as pa

        table = self.X
        for j, field in enumerate(table.schema):
            if field.type == pa.string_view():
                text = table.column(j).cast(pa.large_string())
                table = table.set_column(j, field.name, text)
        return table

    @property
    def is_numeric(self) -> bool:
        """False: scikit-learn reads columns of float32 as float64."""
        return False

    @cached_property
    def dtypes(self) -> list[Any]:
        """Column types; pairs of the type and its values for dictionaries."""
        import pyarrow as pa

        return [
            (column.type, _dictionary_values(column))
            if pa.types.is_dictionary(column.type)
            else column.type
            for column in self.X.columns
        ]

    @cached_property
    def holds_singles(self) -> bool:
        """Whether all columns are of numbers that float32 holds, one of float32."""
        if not all(self.is_numeric_column(j) for j in range(len(self.dtypes))):
            return False
        types = [dtype.to_pandas_dtype() for dtype in self.dtypes]
        return bool(types) and np.result_type(*types) == np.float32

    def number_columns(self) -> list[Array] | None:
        """See `Container.number_columns`; numbers without nulls are not copied."""
        import pyarrow as pa

        types = pa.types
        if not all(
            types.is_floating(dtype)
            or (types.is_integer(dtype) and dtype.bit_width <= 32)
            for dtype in self.X.schema.types
        ):
            return None
        return [column.to_numpy() for column in self.X.columns]

    def fill(self, columns: DecodedColumns) -> Any:
        """Return a copy of the table with missing values replaced."""
        table = self.X
        for j in range(len(columns.names)):
            missing = columns.find_missing(j, self.values(j))
            if missing.any():
                filled = _fill_column(table.column(j), missing, columns.values(j))
                field = table.schema.field(j).with_type(filled.type)
                table = table.set_column(j, field, filled)
        return table

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return a table with the column types of `fit`."""
        import pyarrow as pa

        arrays = []
        for j, dtype in enumerate(columns.dtypes):
            values = columns.values(j)
            if isinstance(dtype, tuple) and columns.is_categorical(j):
                restored = _to_dictionary(values.tolist(), *dtype)
            elif columns.is_categorical(j):
                restored = pa.array(values.tolist(), type=dtype, from_pandas=True)
            elif isinstance(dtype, tuple):  # numbers need not be in the dictionary
                restored = _to_numbers(values, dtype[0].value_type, exact=exact)
            else:
                restored = _to_numbers(values, dtype, exact=exact)
            arrays.append(restored)
        return pa.table(arrays, names=[str(name) for name in columns.names])


def _dictionary_values(column: Any) -> list[Any]:
    """Return the values that the dictionaries of a column hold, each once."""
    chunks = [chunk.dictionary.to_pylist() for chunk in column.chunks]
    return [v for v in dict.fromkeys(v for c in chunks for v in c) if v is not None]


def _to_numbers(values: Array, dtype: Any, *, exact: bool) -> Any:
    """Convert numbers to an array of a numeric type; NaN becomes null.

    Without `exact`, those of integers, booleans and decimals become floats, as means
    are.
    """
    import pyarrow as pa

    missing = np.isnan(values)
    if pa.types.is_floating(dtype):
        return pa.array(clip_to_dtype(values, dtype), mask=missing).cast(dtype)
    if exact and pa.types.is_boolean(dtype):
        return pa.array(values > 0.5, mask=missing)
    if exact and pa.types.is_integer(dtype):
        integers = round_to_integers(np.where(missing, 0, values), str(dtype))
        return pa.array(integers, mask=missing).cast(dtype)
    numbers = pa.array(values, mask=missing)
    if exact and pa.types.is_decimal(dtype):
        return numbers.cast(dtype, safe=False)
    if exact and _is_text(dtype):  # numbers in a column of text
        return numbers.cast(dtype)
    return numbers


def _to_dictionary(values: list[Any], dtype: Any, levels: list[Any]) -> Any:
    """Convert categories to an array of a dictionary type.

    Parameters
    ----------
    values : list
        Categories; None or NaN where missing.
    dtype : pyarrow.DictionaryType
        Type.
    levels : list
        Values of the dictionary. Other categories are added to them.
    """
    import pyarrow as pa

    present = [v for v in values if v is not None and v == v]
    levels = list(dict.fromkeys([*levels, *present]))
    position = {level: i for i, level in enumerate(levels)}
    indices = pa.array([position.get(v) for v in values], type=dtype.index_type)
    dictionary = pa.array(levels, type=dtype.value_type)
    return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=dtype.ordered)


def _fill_column(column: Any, missing: Mask, values: Array) -> Any:
    """Return a copy of a column with missing values replaced."""
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype, numbers = column.type, are_numbers(values[missing])
    if numbers and (pa.types.is_boolean(dtype) or _is_number_type(dtype)):
        new = _to_numbers(values.astype(np.float64), dtype, exact=True)
        return pc.if_else(pa.array(missing), new, column)
    filled = column.to_pylist()
    is_dictionary = pa.types.is_dictionary(dtype)
    is_text = _is_text(dtype.value_type if is_dictionary else dtype)
    for i in np.flatnonzero(missing):
        as_text = numbers and is_text and not missing.all()
        filled[i] = str(values[i]) if as_text else values[i]
    try:
        if is_dictionary:
            return _to_dictionary(filled, dtype, _dictionary_values(column))
        return pa.array(filled, type=dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # A column of nulls, or of another type, cannot hold the values of fit.
        return pa.array(filled, from_pandas=True)


def _is_text(dtype: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_string(dtype)
        or types.is_large_string(dtype)
        or types.is_string_view(dtype)
    )


def _is_number_type(dtype: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype)
    )
