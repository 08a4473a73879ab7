"""Names and types in numpydoc docstrings."""

import inspect


def documented_types(cls, *sections):
    """Return the documented types by name, of the entries of sections of a class."""
    types, section = {}, ""
    lines = inspect.getdoc(cls).splitlines()
    for line, next_line in zip(lines, [*lines[1:], ""], strict=True):
        if next_line and set(next_line) == {"-"}:
            section = line
        elif section in sections and " : " in line and not line.startswith(" "):
            names, _, type_ = line.partition(" : ")
            types |= dict.fromkeys(names.split(", "), type_)
    return types


def documented_names(cls, *sections):
    """Return the names that sections of the docstring of a class document."""
    return documented_types(cls, *sections).keys()
