"""The scikit-learn estimators."""

__all__: list[str] = []
