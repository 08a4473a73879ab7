"""What an estimator knows after fit, all of it or nothing: a trained net and so on."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.history import History
from torch import Tensor

from sk_ssvae.columns import Columns, Encoder
from sk_ssvae.forms import explained, quiet_sums
from sk_ssvae.frames import as_rows, unmasked
from sk_ssvae.models import Model
from sk_ssvae.net import SSVAENet
from sk_ssvae.tables import Table
from sk_ssvae.threads import intra_op_threads, threads_for

__all__ = ["FittedState", "all_or_nothing"]

# What scikit-learn's callback machinery keeps on an estimator while it is fitted.
_CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


@contextmanager
def all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator its former attributes back if fitting does not succeed.

    Parameters
    ----------
    estimator : estimator
        Who is being fitted. What its attributes refer to is not copied: a net that is
        trained further has to look after itself.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        state = vars(estimator)
        kept = {name: state[name] for name in _CALLBACK_STATE if name in state}
        state.clear()
        state.update(before | kept)
        raise


class FittedState:
    """Fitted attributes, and rows of the user as the networks take them.

    Everything but the net is plain numpy; what can be derived from the net is a
    property, so that a copy or a pickle cannot disagree with itself.
    """

    n_threads: int | None
    net_: SSVAENet
    classes_: npt.NDArray[Any]
    class_prior_: npt.NDArray[np.float64]
    likelihood_: str | list[tuple[str, Any]]
    _table: Table
    _kinds: npt.NDArray[Any]
    _columns: Columns
    _seed: int

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    @property
    def module_(self) -> Model:
        """The networks."""
        module: Model = self.net_.module_
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

    def _validated(self, X: Any) -> Any:
        """Rows from the user as an array of cells with the columns of fit.

        An array of floats, or a sparse one in rows. They may still be infinite, which
        `_encoder` refuses.
        """
        check_is_fitted(self)
        with explained(X, numbers=self._table.is_plain):
            return self._cells(unmasked(X))

    def _cells(self, X: Any) -> Any:
        if self._table.reads_plainly(X):
            # Finite or not is seen by chunks, while they are in the cache.
            return validate_data(
                self,
                X,
                reset=False,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
        X = as_rows(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return check_array(
            self._table.cells(X),
            ensure_all_finite="allow-nan",
            estimator=self,
            input_name="X",
        )

    def _threads(self, n_rows: int) -> AbstractContextManager[None]:
        """Compute answers for so many rows on as many threads as they are worth."""
        n_weights = sum(p.numel() for p in self.module_.parameters())
        return intra_op_threads(threads_for(self.n_threads, n_rows * n_weights))

    def _refuse_infinite(self, cells: Any) -> None:
        """Refuse infinite cells, in scikit-learn's words."""
        with quiet_sums():
            assert_all_finite(
                cells,
                allow_nan=True,
                estimator_name=type(self).__name__,
                input_name="X",
            )

    def _encoder(self) -> Callable[[Tensor], Tensor]:
        """Return what makes of validated rows what the networks take."""
        encode = Encoder(self._columns)

        def checked(rows: Tensor) -> Tensor:
            if not math.isfinite(rows.sum().item()):
                self._refuse_infinite(rows.numpy())
            return encode(rows)

        return checked
