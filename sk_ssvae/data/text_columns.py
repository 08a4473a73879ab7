"""Columns of text that are no categories: amounts, dates, spoilt numbers and keys."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["MANY", "describe_text"]

MANY = 20
"""Columns with more different values than these are hardly categories if they look like
something else."""

_N_EXAMPLES = 3

_CURRENCY = "[$€£¥]"
_THOUSANDS = r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?"
_PLAIN = r"\d+(?:[.,]\d+)?"
_CLEAR_AMOUNT = re.compile(
    rf"[+-]?\s*{_CURRENCY}\s*[+-]?(?:{_THOUSANDS}|{_PLAIN})"
    rf"|[+-]?\s*(?:{_THOUSANDS}|{_PLAIN})\s*(?:{_CURRENCY}|%)"
    rf"|[+-]?\s*{_THOUSANDS}"
)
"""A number with a currency, a percent sign, or separators of thousands."""

_UNIT = "[A-Za-zµ°]"
_AMOUNT = re.compile(
    rf"[+-]?\s*(?:\d+,\d+\s*{_UNIT}{{0,4}}|\d+(?:\.\d+)?\s*{_UNIT}{{1,4}})"
)
"""A number with a decimal comma or a unit."""

_DECIMAL_COMMA = re.compile(r"\d,(?:\d{1,2}|\d{4,})(?!\d)")

_TIME = (
    r"(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z|[AaPp][Mm]|[+-]\d\d:?\d\d)?)?"
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}"
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}"
    rf"|{_MONTH}\s+\d{{1,2}},?\s+\d{{4}}){_TIME}",
    re.IGNORECASE,
)


def describe_text(
    numbers: Mapping[float, int], texts: Mapping[str, int], name: Any, kind: str
) -> str | None:
    """Describe a column of text if it is most likely not one of categories.

    Parameters
    ----------
    numbers : mapping of float to int
        The different numbers of the column, with the numbers of their cells.
    texts : mapping of str to int
        The other texts, without those that mean a missing value.
    name : object
        Name of the column.
    kind : str
        Container of the rows, for the expression in the remark.

    Returns
    -------
    remark : str or None
        What the column looks like, with examples and an expression that converts it;
        None if it may well hold categories: it repeats its values, or has few of them.
    """
    n_numbers, n_texts = sum(numbers.values()), sum(texts.values())
    n_cells, n_different = n_numbers + n_texts, len(numbers) + len(texts)
    half = n_cells / 2
    write = _polars if kind == "polars" else _pandas
    dates = _matching(texts, _DATE)
    if sum(dates.values()) > half:
        return _remark(name, "dates", dates, write(name, "dates"))
    clear = _matching(texts, _CLEAR_AMOUNT)
    amounts = clear | _matching(texts, _AMOUNT)
    is_many = n_different > MANY
    if sum(amounts.values()) + n_numbers > half and (clear or (amounts and is_many)):
        has_comma = any(_DECIMAL_COMMA.search(text) for text in amounts)
        expression = write(name, "decimal commas" if has_comma else "amounts")
        return _remark(name, "numbers with other characters", amounts, expression)
    if n_numbers > half and texts and is_many:
        return _remark(name, "numbers and words", texts, write(name, "words"))
    if is_many and n_different > half:
        examples = texts or {f"{number:.17g}": 1 for number in numbers}
        what = f"{n_different} different values in {n_cells} cells"
        return _remark(name, what, examples, write(name, "keys"))
    return None


def _matching(texts: Mapping[str, int], pattern: re.Pattern[str]) -> Counter[str]:
    matches = {t: n for t, n in texts.items() if pattern.fullmatch(t.strip())}
    return Counter(matches)


def _remark(name: Any, what: str, examples: Iterable[str], remedy: str) -> str:
    shown = [repr(text[:30]) for text in list(examples)[:_N_EXAMPLES]]
    return f"Column {name!r} has {what}, such as {', '.join(shown)}: {remedy}."


def _pandas(name: Any, problem: str) -> str:
    """Return an expression for pandas that solves a problem of a column."""
    column = f"X[{name!r}]"
    strip = r".str.replace(r'[^\d.-]', '', regex=True)"
    return {
        "dates": f"use (pd.to_datetime({column}) - pd.Timestamp('2000-01-01')).dt.days",
        "amounts": f"use pd.to_numeric({column}{strip})",
        "decimal commas": (
            f"use pd.to_numeric({column}.str.replace('.', '', regex=False)"
            f".str.replace(',', '.', regex=False){strip})"
        ),
        "words": f"use pd.to_numeric({column}, errors='coerce')",
        "keys": f"leave it out, X.drop(columns={name!r}), unless it has a meaning",
    }[problem]


def _polars(name: Any, problem: str) -> str:
    """Return an expression for polars that solves a problem of a column."""
    column = f"pl.col({name!r})"
    strip = r".str.replace_all(r'[^\d.-]', '').cast(float, strict=False)"
    return {
        "dates": (
            f"use X.with_columns(({column}.str.to_datetime() - "
            "pl.datetime(2000, 1, 1)).dt.total_days())"
        ),
        "amounts": f"use X.with_columns({column}{strip})",
        "decimal commas": (
            f"use X.with_columns({column}.str.replace_all('.', '', literal=True)"
            f".str.replace_all(',', '.', literal=True){strip})"
        ),
        "words": f"use X.with_columns({column}.cast(float, strict=False))",
        "keys": f"leave it out, X.drop({name!r}), unless it has a meaning",
    }[problem]
