"""Conversion of user data to numbers and back: rows, categories, labels, scaling."""

__all__: list[str] = []
