"""Conversion of user data to numbers and back: rows, categories, labels, scaling."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sk_ssvae.data.parquet import from_parquet

__all__ = ["from_parquet"]


if not TYPE_CHECKING:  # a type checker reads the import above

    def __getattr__(name: str) -> Any:
        # Its modules import torch, which scoring with an ONNX graph does not need.
        if name == "from_parquet":
            from sk_ssvae.data.parquet import from_parquet

            return from_parquet
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
