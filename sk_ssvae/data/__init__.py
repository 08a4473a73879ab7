"""Rows of the user to numbers and back: columns, categories, labels, scaling."""

__all__: list[str] = []
