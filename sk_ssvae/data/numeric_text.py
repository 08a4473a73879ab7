"""Numbers in columns of text, and the words among them that mean a missing value."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from typing import Any

import numpy as np

from sk_ssvae.data.missing import is_missing
from sk_ssvae.data.text_columns import MANY, describe_text
from sk_ssvae.utils.typing import Array, Mask
from sk_ssvae.utils.warnings import warn_user

__all__ = [
    "MISSING_WORDS",
    "TextReader",
    "is_missing_number",
    "replace_words",
    "user_is_told",
    "warn_of_words",
]

MISSING_WORDS = frozenset(
    {
        *("", "-", "--", ".", "..", "...", "?", "??"),
        *("na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "nat"),
        *("null", "none", "nil", "missing", "unknown", "#null!", "#value!", "#div/0!"),
    }
)
"""Words that stand for a missing number, in lower case. They include those of
`pandas.read_csv`."""

_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE
)
"""A number in text. Codes such as 007 are none."""

_N_EXAMPLES = 3

_is_told = ContextVar("_is_told", default=False)


@contextmanager
def user_is_told() -> Iterator[None]:
    """Issue no warnings of text in the body, because the user has had them."""
    token = _is_told.set(True)
    try:
        yield
    finally:
        _is_told.reset(token)


def _is_missing_word(value: Any) -> bool:
    """Return whether a value is a string that stands for a missing number."""
    return isinstance(value, str) and value.strip().casefold() in MISSING_WORDS


def _is_new_word(value: Any) -> bool:
    """Return whether a value is such a string, but none that `float` reads as NaN."""
    return _is_missing_word(value) and value.strip().casefold() not in ("nan", "-nan")


def is_missing_number(values: Array) -> Mask:
    """Return which values of a column of numbers are missing.

    Parameters
    ----------
    values : ndarray of object of shape (n_rows,)
        Values of the column.

    Returns
    -------
    mask : ndarray of bool of shape (n_rows,)
        True for missing values, and for words that stand for one.
    """
    words = np.fromiter((_is_missing_word(v) for v in values), bool, len(values))
    mask: Mask = np.logical_or(is_missing(values), words)
    return mask


def replace_words(X: Any) -> tuple[Any, dict[int, Counter[str]]]:
    """Replace words that stand for a missing number by NaN in an array of numbers.

    "nan" is left to `float`, which reads it.

    Parameters
    ----------
    X : object
        Rows that must be numbers, in an array or in nested lists.

    Returns
    -------
    X : object
        An array of objects if there are such words; else the rows unchanged.
    words : dict of int to Counter
        The words of each column that has any, with the numbers of their cells.
    """
    if isinstance(X, list | tuple):
        if not any(isinstance(v, str) for row in X for v in _cells_of(row)):
            return X, {}
        lengths = {len(_cells_of(row)) for row in X}
        if len(lengths) > 1:
            return X, {}  # reported by the validation of rows
    elif not isinstance(X, np.ndarray) or X.dtype.kind not in "OUT":
        return X, {}
    cells = np.array(X, dtype=object)
    if cells.ndim != 2:
        return X, {}
    words: dict[int, Counter[str]] = {}
    for j in range(cells.shape[1]):
        rows = [i for i, v in enumerate(cells[:, j]) if _is_new_word(v)]
        if rows:
            words[j] = Counter(cells[rows, j].tolist())
            cells[rows, j] = np.nan
    return (cells, words) if words else (X, {})


def _cells_of(row: Any) -> Any:
    return row if isinstance(row, list | tuple | np.ndarray) else ()


class TextReader:
    """Decide which columns of text hold numbers, and warn once of all of them.

    A column of strings, or of strings and numbers, is read as numbers if

    - every cell that is not missing is a number or a word of `MISSING_WORDS`,
    - it has at least two different numbers, and more numbers than words,
    - some cell is such a word, or there are many different numbers with fractions.
      Without either it is most likely made of codes on purpose: programs that read
      files return columns of numbers as numbers.

    Parameters
    ----------
    kind : str
        Container of the rows, for the expressions in the warning.
    only_numbers : bool, default=False
        Read all columns as numbers.
    """

    def __init__(self, kind: str = "pandas", *, only_numbers: bool = False) -> None:
        self.kind = kind
        self.only_numbers = only_numbers
        self.words: dict[Any, Counter[str]] = {}
        self.remarks: list[str] = []

    def holds_numbers(
        self, values: Array, name: Any, counts: Array | None = None
    ) -> bool:
        """Return whether a column of objects holds numbers, and keep what it has.

        Parameters
        ----------
        values : ndarray of object of shape (n_values,)
            Values of the column.
        name : object
            Name of the column, for the warning.
        counts : ndarray of int of shape (n_values,), default=None
            Numbers of the values' cells; None is one each.

        Returns
        -------
        holds_numbers : bool
        """
        if counts is None:
            counts = np.ones(len(values), dtype=int)
        if self.only_numbers:
            self.add_words(np.repeat(values, counts), name)
            return True
        present = ~is_missing(values)
        if not all(_is_number(v) or isinstance(v, str) for v in values[present]):
            return False
        words, others = Counter[str](), Counter[str]()
        numbers: dict[float, int] = {}
        cells = zip(values[present].tolist(), counts[present].tolist(), strict=True)
        for value, count in cells:
            if _is_missing_word(value):
                words[value] += count
            elif isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
                others[value] += count
            else:
                numbers[float(value)] = numbers.get(float(value), 0) + count
        n_numbers = sum(numbers.values())
        if (
            not others
            and len(numbers) > 1
            and n_numbers > sum(words.values())
            and (words or _are_measurements(numbers))
        ):
            self.words[name] = words
            return True
        remark = describe_text(numbers, others, name, self.kind)
        if remark:
            self.remarks.append(remark)
        return False

    def add_words(self, values: Array, name: Any) -> None:
        """Keep the words for missing numbers of a column that is read as numbers."""
        words = Counter(v for v in values if _is_new_word(v))
        if words:
            self.words[name] = words

    def warn(self) -> None:
        """Issue one warning of numbers in text, and one of text that is odd.

        Warns
        -----
        UserWarning
        """
        if self.words:
            warn_of_words(self.words)
        if self.remarks and not _is_told.get():
            warn_user(
                "Columns of text are read as categories, which have neither order nor "
                "distance, but look like something else. "
                + " ".join(self.remarks)
                + " To keep a column of categories, name it in categorical_features or "
                "give it a categorical type."
            )


def warn_of_words(columns: dict[Any, Counter[str]], *, all_rows: bool = True) -> None:
    """Warn of columns of text that are read as numbers.

    Parameters
    ----------
    columns : dict of object to Counter
        The words of each column that are read as missing, with their numbers of cells.
    all_rows : bool, default=True
        Whether these are the numbers of all rows, which are then told.

    Warns
    -----
    UserWarning
    """
    if _is_told.get():
        return
    descriptions = []
    for name, words in columns.items():
        description = f"{name!r}"
        if words:
            n_cells = sum(words.values())
            shown = [repr(word) for word in sorted(words)[:_N_EXAMPLES]]
            more = ", ..." if len(words) > _N_EXAMPLES else ""
            cells = " in 1 cell" if n_cells == 1 else f" in {n_cells} cells"
            where = cells if all_rows else ""
            description += f" ({', '.join(shown)}{more}{where} read as missing)"
        descriptions.append(description)
    warn_user(
        f"Columns that hold text are read as numbers: {', '.join(descriptions)}. To "
        "read a column as categories, name it in categorical_features."
    )


def _are_measurements(numbers: Iterable[float]) -> bool:
    """Return whether there are many different numbers, not all of them whole."""
    different = list(numbers)
    return len(different) > MANY and not all(v.is_integer() for v in different)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
