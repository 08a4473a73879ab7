"""Conversion of the user's rows to numeric cells and network inputs, and back."""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from torch import Tensor

from sk_ssvae.data.categories import resolve_categorical
from sk_ssvae.data.column_names import check_column_names
from sk_ssvae.data.column_types import (
    assign_column_types,
    check_likelihood,
    check_support,
    choose_column_types,
    likelihood_pairs,
)
from sk_ssvae.data.containers import Container, as_container
from sk_ssvae.data.detection import as_source
from sk_ssvae.data.layout import COUNTS, MAX_COUNT, Layout, fit_layout
from sk_ssvae.data.missing import masked_to_nan
from sk_ssvae.data.reading import (
    cells_of_source,
    read_labels,
    validated_cells,
    without_words,
)
from sk_ssvae.data.row_sources import RowSource
from sk_ssvae.data.rows import as_rows
from sk_ssvae.data.scaling import (
    MAX_DEVIATIONS,
    ColumnScaling,
    RowEncoder,
    device_rows,
    fit_column_scaling,
)
from sk_ssvae.data.schema import ColumnValues, Schema, infer_schema
from sk_ssvae.data.source_cells import SourceCells, SourceRows, read_rows
from sk_ssvae.data.streamed_columns import fit_streamed_columns, values_of_columns
from sk_ssvae.data.support import Support, column_ranges, fit_support
from sk_ssvae.data.validation import check_finite_cells, readable_input_errors
from sk_ssvae.utils.chunks import SparseRows, iter_row_chunks
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["Preprocessor"]


@dataclass(init=False, eq=False, repr=False)
class Preprocessor:
    """Convert the user's rows to numeric cells, scale them, and convert back.

    A cell is a number: a measurement, a count, the code of a category, or NaN where the
    value is missing. `read` infers the schema of the rows at the first call and applies
    it afterwards; `fit` chooses the likelihood and the scaling of every column.

    Only the attributes are serialised; the parameters, which may be functions or
    arrays, are needed only by ``read(..., reset=True)``.

    Parameters
    ----------
    likelihood : str or list of (str, columns), default="auto"
        Likelihood of all columns, or pairs of a likelihood and the columns that have
        it. "auto" chooses from the data.
    categorical_features : None, "from_dtype" or array-like, default="from_dtype"
        Columns that hold categories: a mask, positions or names. "from_dtype" finds
        them by the column types of a data frame.

    Attributes
    ----------
    schema : Schema
        Container, column names and categories of the rows, set by `read`.
    assigned_types : ndarray of object of shape (n_features,)
        Column types that `likelihood` assigns, "" where it assigns none; set by `read`.
    column_types : ndarray of object of shape (n_features,)
        Likelihood of every column; set by `fit`, as are the following.
    scaling : ColumnScaling
        Location and scale of every column.
    layout : Layout
        Column groups, for the networks.
    support : Support or None
        Values that decoded cells are restricted to, in columns whose Gaussian
        likelihood was chosen from the data; None in files of older versions.
    """

    schema: Schema
    assigned_types: Array
    column_types: Array
    scaling: ColumnScaling
    layout: Layout
    support: Support | None = None

    def __init__(
        self, likelihood: Any = "auto", categorical_features: Any = "from_dtype"
    ) -> None:
        self.likelihood = likelihood
        self.categorical_features = categorical_features
        self._reported: set[int] = set()

    @classmethod
    def from_fitted(
        cls,
        *,
        schema: Schema,
        assigned_types: Array,
        column_types: Array,
        scaling: ColumnScaling,
        layout: Layout,
        support: Support | None = None,
    ) -> Self:
        """Make a fitted preprocessor from its attributes."""
        preprocessor = cls()
        preprocessor.schema = schema
        preprocessor.assigned_types = assigned_types
        preprocessor.column_types = column_types
        preprocessor.scaling = scaling
        preprocessor.layout = layout
        preprocessor.support = support
        return preprocessor

    @property
    def likelihood_(self) -> str | list[tuple[str, Any]]:
        """Likelihood of all columns, or pairs of a likelihood and column names."""
        return likelihood_pairs(self.column_types, self.schema.names)

    @property
    def n_kept(self) -> int:
        """Number of columns that the networks take: those that are not constant."""
        return self.scaling.n_kept

    def read(
        self,
        estimator: Any,
        X: Any,
        *y: Any,
        reset: bool = False,
        used: Mask | None = None,
        ensure_finite: bool = True,
        report: bool = True,
    ) -> Any:
        """Validate rows and convert them to cells.

        Parameters
        ----------
        estimator : estimator
            Receives `n_features_in_` and `feature_names_in_` if `reset`, and is named
            in error messages.
        X : array-like, sparse array, data frame or RowSource, (n_rows, n_features)
            Rows, also in the objects that `as_source` makes a source of.
        *y : array-like of shape (n_rows,), optional
            Labels, validated with the rows.
        reset : bool, default=False
            Infer the schema from these rows (`fit`) instead of applying it.
        used : ndarray of bool of shape (n_rows,), default=None
            If `reset`, the rows whose categories count: those of positive weight. None
            is all.
        ensure_finite : bool, default=True
            Refuse infinite cells. With False numeric rows may contain them, and
            `row_encoder` refuses them chunk by chunk, while the cells are in the cache.
        report : bool, default=True
            Warn of new categories and of words among numbers.

        Returns
        -------
        cells : ndarray, sparse array (CSR) or SourceCells, (n_rows, n_features)
            float32 or float64; NaN where values are missing. Those of a source are read
            when they are needed.
        y : ndarray of shape (n_rows,)
            Only if labels were passed.

        Raises
        ------
        ValueError
            If rows have the wrong shape or column names, cells are infinite, or a
            parameter does not fit the columns.
        TypeError
            If X holds no rows, or is a query or a stream that is not in memory, or
            values are neither numbers nor categories.

        Warns
        -----
        UserWarning
            If columns of text are read as
            numbers; if not `reset`, for categories that did not occur in `fit`, once
            for each column, and if only X or the rows of `fit` have column names.
        """
        if reset:
            check_likelihood(self.likelihood)
            numeric = not self._declares_categories()
        else:
            numeric = self.schema.is_plain
        source = as_source(X)
        if source is not None:
            cells = self._read_source(
                estimator, source, reset, used, ensure_finite=ensure_finite
            )
            return (cells, read_labels(estimator, y[0], len(cells))) if y else cells
        X = as_rows(X)
        with readable_input_errors(X, numbers=numeric):
            rows = as_container(masked_to_nan(X))
            if not reset:
                check_column_names(estimator, rows, self.schema)
                if self.schema.is_plain and not rows.is_dataframe:
                    rows, _ = without_words(rows, self.schema.numbers_in_text)
                return validated_cells(
                    estimator,
                    rows,
                    self.schema,
                    y,
                    ensure_finite=ensure_finite,
                    reported=self._reported if report else None,
                )
            self._reported = set()
            if rows.is_dataframe or not numeric:
                self._infer_schema(estimator, rows, used)
                return validated_cells(estimator, rows, self.schema, y, reset=True)
            rows, in_text = without_words(rows, ())
            checked = validated_cells(estimator, rows, None, y, reset=True)
            n_features = estimator.n_features_in_
            names, categories = list(range(n_features)), (None,) * n_features
            self.schema = Schema(
                rows.kind, names, [], categories, numbers_in_text=in_text
            )
            X = np.asarray(rows.X) if isinstance(rows.X, list) else rows.X
            self.assigned_types = assign_column_types(self.likelihood, X, n_features)
            return checked

    def _read_source(
        self,
        estimator: Any,
        source: RowSource,
        reset: bool,
        used: Mask | None,
        *,
        ensure_finite: bool,
    ) -> SourceCells:
        """Validate the first rows of a source, and return the cells of all.

        Cells are validated when they are read.
        """
        head = read_rows(source, 0, min(2, len(source)))
        if reset and (source.dtype is None or self._declares_categories()):
            self._reported = set()
            with readable_input_errors(head, numbers=False):
                rows = as_container(masked_to_nan(head))
                self._infer_schema(estimator, rows, used, source)
                first = validated_cells(estimator, rows, self.schema, (), reset=True)
        else:
            # What is new is reported when the cells are read.
            first = self.read(estimator, head, reset=reset, report=False)
        return cells_of_source(
            estimator,
            source,
            self.schema,
            first.dtype,
            ensure_finite=ensure_finite,
            reported=None if reset else self._reported,
        )

    def _declares_categories(self) -> bool:
        """Whether the parameters declare columns as categorical."""
        if isinstance(self.likelihood, str):
            names = [self.likelihood]
        else:
            names = [name for name, _ in self.likelihood]
        declared = self.categorical_features
        from_dtype = isinstance(declared, str) and declared == "from_dtype"
        return "categorical" in names or not (declared is None or from_dtype)

    def _infer_schema(
        self,
        estimator: Any,
        rows: Container,
        used: Mask | None,
        source: RowSource | None = None,
    ) -> None:
        """Set the schema, with the categories of the rows, and the assigned types.

        The rows may be the first ones of a source, whose categories are those of all.
        """
        X = rows.rows
        validate_data(estimator, X, reset=True, skip_check_array=True)
        n_features = estimator.n_features_in_
        assigned = assign_column_types(self.likelihood, X, n_features)
        categorical = (assigned == "categorical") | resolve_categorical(
            self.categorical_features,
            n_features,
            getattr(estimator, "feature_names_in_", None),
        )
        columns: dict[int, ColumnValues] | None = None
        dtypes: dict[int, Any] = {}
        if source is not None:
            others = [
                j
                for j in range(n_features)
                if categorical[j] or not rows.is_numeric_column(j)
            ]
            if others:
                columns, dtypes = values_of_columns(source, others, used)
        schema = infer_schema(
            rows,
            categorical,
            from_dtype=self.categorical_features is not None,
            used=used,
            columns=columns,
        )
        if dtypes:
            joined = [dtypes.get(j, dtype) for j, dtype in enumerate(schema.dtypes)]
            schema = replace(schema, dtypes=joined)
        if not isinstance(self.likelihood, str):
            _refuse_numeric_likelihood(schema, assigned)
        self.schema, self.assigned_types = schema, assigned

    def fit(
        self,
        cells: Any,
        *,
        used: Mask | None = None,
        sample_weight: Array | None = None,
        keep_constant: bool = False,
    ) -> Self:
        """Choose the likelihood and the scaling of every column.

        Parameters
        ----------
        cells : ndarray or sparse array of shape (n_rows, n_features)
            As returned by `read`.
        used : ndarray of bool of shape (n_rows,), default=None
            The rows that count; None is all.
        sample_weight : ndarray of shape (n_rows,), default=None
            Weights of the rows in means, deviations and frequencies.
        keep_constant : bool, default=False
            Pass constant columns to the networks too, because later rows may vary
            (`partial_fit`).

        Returns
        -------
        self : Preprocessor

        Raises
        ------
        ValueError
            If all columns are constant, one has no observed cell, or a value is
            outside the support of its likelihood.
        """
        sizes = self.schema.sizes
        if isinstance(cells, SourceCells) and not cells.source.takes_rows:
            columns = fit_streamed_columns(
                cells,
                self.assigned_types,
                sizes,
                used,
                sample_weight,
                keep_constant=keep_constant,
                names=self.schema.names,
            )
            self.column_types, self.scaling, self.layout, self.support = columns
            return self
        self.column_types = choose_column_types(
            cells, self.assigned_types, sizes > 0, used
        )
        self.check_support(cells, rows=used)
        has_counts = np.isin(self.column_types.astype(str), COUNTS).any()
        self.scaling = fit_column_scaling(
            cells,
            standardize=self.column_types == "gaussian",
            sample_weight=sample_weight,
            keep_constant=keep_constant,
            where=used,
            names=self.schema.names,
            limit=MAX_COUNT if has_counts else MAX_DEVIATIONS,
        )
        self.layout = fit_layout(
            cells, self.column_types, sizes, self.scaling, used, sample_weight
        )
        self.support = self._fit_support(cells, used)
        return self

    @property
    def _restricted(self) -> Mask:
        """Columns whose decoded cells are restricted to their support."""
        chosen: Mask = (self.column_types == "gaussian") & (self.assigned_types == "")
        return chosen

    def _fit_support(self, cells: Any, used: Mask | None) -> Support:
        return fit_support(cells, self._restricted, used)

    def widened(self, cells: Any, used: Mask | None = None) -> Self:
        """Return a copy whose support includes further rows; see `fit`."""
        copied = copy.copy(self)
        if self.support is not None:
            copied.support = self.support.widened(
                self._fit_support(cells, used), *column_ranges(cells, used)
            )
        return copied

    def check_support(
        self, cells: Any, *, rows: Mask | None = None, kept_only: bool = False
    ) -> None:
        """Refuse values outside the support of their column's likelihood.

        Parameters
        ----------
        cells : ndarray or sparse array of shape (n_rows, n_features)
            As returned by `read`.
        rows : ndarray of bool of shape (n_rows,), default=None
            The rows to check; None is all.
        kept_only : bool, default=False
            Check only the columns that the networks take.

        Raises
        ------
        ValueError
            If there is such a value; names the row, the column and the value.
        """
        columns = self.scaling.kept if kept_only else None
        check_support(cells, self.column_types, rows=rows, columns=columns)

    def check_finite(self, estimator: Any, cells: Any) -> None:
        """Refuse infinite cells with scikit-learn's error message.

        Parameters
        ----------
        estimator : estimator
            Is named in the message.
        cells : ndarray or sparse array of shape (n_rows, n_features)
            As returned by `read`.

        Raises
        ------
        ValueError
            If a cell is infinite; NaN is allowed.
        """
        parts: Iterable[Any] = [cells]
        if isinstance(cells, SourceCells):
            parts = (part for _, part in iter_row_chunks(cells))
        for part in parts:
            check_finite_cells(estimator, part)

    def row_encoder(self, estimator: Any) -> Callable[[Tensor], Tensor]:
        """Return a function that checks and scales chunks of rows for the networks.

        Parameters
        ----------
        estimator : estimator
            Is named in error messages.

        Returns
        -------
        encode : callable
            Maps cells on the CPU, of shape (n_rows, n_features), to float32 of shape
            (n_rows, n_kept). Raises a ValueError if a cell is infinite.
        """
        encode = RowEncoder(self.scaling)

        def checked(rows: Tensor) -> Tensor:
            if not math.isfinite(rows.sum().item()):  # NaN too, which is allowed
                self.check_finite(estimator, rows.numpy())
            return encode(rows)

        return checked

    def device_rows(
        self, cells: Any, device: torch.device, frequent: IntArray | None = None
    ) -> tuple[Tensor | SparseRows | SourceRows, RowEncoder | None]:
        """Move training rows to a device.

        Parameters
        ----------
        cells : ndarray or sparse array of shape (n_rows, n_features)
            As returned by `read`.
        device : torch.device
            Target.
        frequent : ndarray of int64, default=None
            Sorted indices of rows that are needed most often, the labelled ones.

        Returns
        -------
        rows : Tensor, SparseRows or SourceRows
            Cells, or rows that are already scaled.
        encoder : RowEncoder or None
            Scales batches of these rows; None if they are scaled.
        """
        if isinstance(cells, SourceCells):
            return SourceRows(cells, self.scaling, device, frequent), None
        return device_rows(cells, self.scaling, device)

    def decode(self, values: Array, *, exact: bool = True) -> Array:
        """Convert network outputs to cells.

        Parameters
        ----------
        values : ndarray of float32 of shape (n_rows, n_kept)
            In the networks' units.
        exact : bool, default=True
            Round columns of whole numbers, where the Gaussian was chosen from the data.

        Returns
        -------
        cells : ndarray of shape (n_rows, n_features)
            In the user's units, constant columns included.
        """
        cells = self.scaling.decode(values)
        if self.support is None:
            return cells
        return self.support.restrict(cells, exact=exact)

    def restore(self, values: Array, *, exact: bool = True) -> Any:
        """Convert network outputs to rows in the container of `fit`.

        Parameters
        ----------
        values : ndarray of float32 of shape (n_rows, n_kept)
            In the networks' units.
        exact : bool, default=True
            As in `decode`; also rounds columns of integers and booleans of a data
            frame. Otherwise they are floats, as means are.

        Returns
        -------
        X : ndarray, sparse array or data frame of shape (n_rows, n_features)
            In the user's units, constant columns included.
        """
        return self.schema.restore(self.decode(values, exact=exact), exact=exact)

    def fill(self, X: Any, expected: Array) -> Any:
        """Fill the missing values of the user's rows; the others stay unchanged.

        Parameters
        ----------
        X : array-like, sparse array or data frame of shape (n_rows, n_features)
            Rows as the user passed them.
        expected : ndarray of shape (n_rows, n_features)
            Cells in the user's units (`decode`) for the missing values.

        Returns
        -------
        X : array, sparse array or data frame
            A copy of the same kind.
        """
        return self.schema.fill(X, expected)


def _refuse_numeric_likelihood(schema: Schema, assigned: Array) -> None:
    """Refuse pairs that assign another likelihood to a column of categories."""
    clash = (schema.sizes > 0) & ~np.isin(assigned.astype(str), ("", "categorical"))
    for j in np.flatnonzero(clash):
        raise ValueError(
            f"likelihood assigns {assigned[j]!r} to column {schema.names[j]!r}, which "
            "holds categories. Leave it out of likelihood, or convert it to numbers."
        )
