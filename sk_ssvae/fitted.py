"""What an estimator knows after fit: a trained net, and what follows from it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.history import History

from sk_ssvae.columns import Columns
from sk_ssvae.model import M2
from sk_ssvae.training import SSVAENet

__all__ = ["FittedState"]


class FittedState:
    """Fitted attributes, and rows of the user as the networks take them.

    Everything but the net is plain numpy; what can be derived from the net is a
    property, so that a copy or a pickle cannot disagree with itself.
    """

    net_: SSVAENet
    classes_: npt.NDArray[Any]
    class_prior_: npt.NDArray[np.float64]
    likelihood_: str
    _columns: Columns
    _seed: int

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    @property
    def module_(self) -> M2:
        """The networks."""
        module: M2 = self.net_.module_
        return module

    @property
    def history_(self) -> History:
        """One entry an epoch."""
        return self.net_.history_

    @property
    def n_iter_(self) -> int:
        """Number of epochs done."""
        return len(self.net_.history_)

    @property
    def device_(self) -> torch.device:
        """Where the networks are."""
        return self.module_.classes.device

    def _encode(self, X: Any) -> npt.NDArray[np.float32]:
        """Rows from the user as the networks take them."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._columns.encode(X)
