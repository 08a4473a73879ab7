"""Files without pickle: an estimator's weights and state, which run no code."""

from sk_ssvae.persistence.saving import SavingMixin

__all__ = ["SavingMixin"]
