"""Files without pickle: weights and state of an estimator, which run no code."""

__all__: list[str] = []
