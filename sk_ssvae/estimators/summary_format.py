"""Named entries and small tables, as text and as HTML."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

__all__ = ["Entry", "Table", "as_html", "as_text"]

WIDTH = 80
NAME_WIDTH = 14
"""Widths of the text, and of the names in it."""


class Table(NamedTuple):
    """A table with a name in front of each line.

    Attributes
    ----------
    heading : str
        Heading of the names.
    names : sequence of object
        The names.
    columns : mapping of str to (mapping, str)
        By heading: the values by name, and their format. Columns of which the values
        are None are left out.
    """

    heading: str
    names: Sequence[Any]
    columns: Mapping[str, tuple[Mapping[Any, Any] | None, str]]

    def cells(self) -> list[list[str]]:
        """Return the texts of the cells, line by line, from the headings on."""
        lines = [[self.heading], *([str(name)] for name in self.names)]
        for heading, (values, form) in self.columns.items():
            if values is not None:
                lines[0].append(heading)
                for line, name in zip(lines[1:], self.names, strict=True):
                    line.append(format(values[name], form))
        return lines


class Entry(NamedTuple):
    """An entry of a summary. Parts that are empty or None are left out.

    Attributes
    ----------
    name, text : str
        The name, and what is said of it.
    table : Table or None
        Follows the text.
    more : str
        Line after the table; heading of `folded` if there is one.
    folded : Table or None
        Details, which HTML shows on request, and the text does not.
    """

    name: str
    text: str
    table: Table | None = None
    more: str = ""
    folded: Table | None = None


def as_text(title: str, entries: Sequence[Entry]) -> str:
    """Return a title and entries as lines of text, without what is folded.

    Parameters
    ----------
    title : str
        First line.
    entries : sequence of Entry
        One without a text has no line of its own.

    Returns
    -------
    text : str
        At most `WIDTH` wide, except for tables and long words.
    """
    lines = [title]
    for entry in entries:
        lines += textwrap.wrap(
            entry.text,
            WIDTH,
            initial_indent=f"{entry.name:<{NAME_WIDTH}}  ",
            subsequent_indent=" " * (NAME_WIDTH + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        if entry.table is not None:
            lines += _aligned(entry.table.cells())
            if entry.more:
                lines.append(f"  {entry.more}")
    return "\n".join(lines)


def _aligned(cells: list[list[str]]) -> list[str]:
    """Return the lines of a table: names to the left, other columns to the right."""
    name_width, *widths = (max(map(len, column)) for column in zip(*cells, strict=True))
    return [
        f"  {name:<{name_width}}"
        + "".join(f"  {c:>{w}}" for c, w in zip(line, widths, strict=True))
        for name, *line in cells
    ]


STYLE = """
.sk-ssvae-summary { color: inherit; font-size: 0.9em; line-height: 1.35; }
.sk-ssvae-summary table { width: auto; margin: 0; border: 0; border-collapse: collapse;
  table-layout: auto; color: inherit; background: none; font-size: inherit; }
.sk-ssvae-summary caption { caption-side: top; padding: 0.25em 0.75em;
  color: inherit; font-weight: bold; text-align: left; }
.sk-ssvae-summary thead tr:nth-child(n), .sk-ssvae-summary tbody tr:nth-child(n) {
  color: inherit; background: none; }
.sk-ssvae-summary th, .sk-ssvae-summary td { padding: 0.2em 0.75em; border: 0;
  color: inherit; background: none; text-align: left; vertical-align: top;
  white-space: normal; overflow-wrap: anywhere; }
.sk-ssvae-summary th { font-weight: normal; }
.sk-ssvae-summary td { max-width: 44em; }
.sk-ssvae-summary > table > tbody > tr > * {
  border-top: 1px solid rgba(128, 128, 128, 0.4); }
.sk-ssvae-summary > table > tbody > tr > th { font-weight: bold; white-space: nowrap; }
.sk-ssvae-summary td table :is(th, td) { padding: 0.1em 1.5em 0.1em 0; }
.sk-ssvae-summary td table thead th { font-style: italic; }
.sk-ssvae-summary td table .number { text-align: right;
  font-variant-numeric: tabular-nums; }
.sk-ssvae-summary summary { cursor: pointer; }
"""
"""Colours are those of the page, so that they suit its light or dark scheme; a notebook
may have another one than the browser. ``nth-child(n)``, which selects all rows, has the
specificity of the rules of notebooks and galleries that colour every other row: inner
and outer rows would not alternate together."""


def as_html(title: str, entries: Sequence[Entry]) -> str:
    """Return a title and entries as a fragment of HTML, all texts escaped.

    Parameters
    ----------
    title : str
        Caption of the table.
    entries : sequence of Entry
        One without any part is left out.

    Returns
    -------
    html : str
        A ``div`` that needs no script and no other file.
    """
    rows = []
    for entry in entries:
        parts = [escape(entry.text)]
        label = f"{entry.name}, {entry.table.heading}" if entry.table else entry.name
        if entry.table is not None:
            parts.append(_html_table(entry.table, label))
        if entry.folded is not None:
            parts.append(
                f"<details><summary>{escape(entry.more)}</summary>"
                f"{_html_table(entry.folded, f'{entry.name}, {entry.more}')}</details>"
            )
        elif entry.more:
            parts.append(f"<div>{escape(entry.more)}</div>")
        if any(parts):
            content = "".join(parts)
            name = escape(entry.name)
            rows.append(f'<tr><th scope="row">{name}</th><td>{content}</td></tr>')
    return (
        f'<div class="sk-ssvae-summary"><style>{STYLE}</style>'
        f"<table><caption>{escape(title)}</caption>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _html_table(table: Table, label: str) -> str:
    """Return a table with a label for screen readers."""
    forms = [form for values, form in table.columns.values() if values is not None]
    # Texts have no format. Their cells begin, and those of numbers end, at one line.
    classes = ["", *(' class="number"' if form else "" for form in forms)]
    headings, *lines = table.cells()
    head = "".join(
        f'<th scope="col"{class_}>{escape(cell)}</th>'
        for class_, cell in zip(classes, headings, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            f"<td{class_}>{escape(cell)}</td>"
            for class_, cell in zip(classes[1:], line, strict=True)
        )
        + "</tr>"
        for name, *line in lines
    )
    return (
        f'<table aria-label="{escape(label)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
