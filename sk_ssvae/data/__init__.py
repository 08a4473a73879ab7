"""Conversion of user data to numbers and back: rows, categories, labels, scaling."""

from sk_ssvae.data.parquet import from_parquet

__all__ = ["from_parquet"]
