"""Early stopping that can be resumed from a checkpoint."""

from typing import Any

import numpy.typing as npt
import torch
from skorch.callbacks import EarlyStopping

__all__ = ["ResumableEarlyStopping"]

Arrays = dict[str, npt.NDArray[Any]]

SAVED = ("misses_", "dynamic_threshold_", "best_epoch_")
"""Attributes of skorch's EarlyStopping that are its state, besides the best weights."""


class ResumableEarlyStopping(EarlyStopping):
    """Stop when the mean bound of the held-out rows has stopped increasing.

    The weights with the best bound are restored at the end.

    Parameters
    ----------
    patience : int
        Number of epochs without improvement after which training stops.
    tol : float
        Smallest increase of the bound that is an improvement, in nats per row.
    """

    def __init__(self, patience: int, tol: float) -> None:
        super().__init__(
            monitor="valid_loss",
            patience=patience,
            threshold=tol,
            threshold_mode="abs",
            load_best=True,
        )
        self.tol = tol  # skorch reads the arguments back
        self._resumed_state: dict[str, Any] = {}

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Reset the state, or restore that of a stage in progress."""
        super().on_train_begin(net, **kwargs)
        for name, value in self._resumed_state.items():
            setattr(self, name, value)
        self._resumed_state = {}

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch, unless the KL divergence is still warming up.

        Until then the training loss is not minus the monitored bound.
        """
        if net.kl_weight < 1:
            self.misses_ = -1  # the call below may add one
        super().on_epoch_end(net, **kwargs)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the state, and the best weights so far."""
        state = {name: getattr(self, name) for name in SAVED}
        weights = self.best_model_weights_ or {}
        arrays = {name: w.detach().cpu().numpy() for name, w in weights.items()}
        return state, arrays

    def from_state(
        self, state: dict[str, Any], weights: Arrays, *, amid_stage: bool
    ) -> None:
        """Restore what `to_state` returned.

        Parameters
        ----------
        state : dict
            Values of the attributes.
        weights : dict of str to ndarray
            The best weights.
        amid_stage : bool
            Whether a stage is in progress, so that its training begins with this state.
        """
        if set(state) != set(SAVED):
            raise ValueError(f"early stopping with the attributes {sorted(state)}")
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        if amid_stage:
            self._resumed_state = state | {"best_model_weights_": tensors or None}
        # If all stages are done, training does not begin.
        for name, value in state.items():
            setattr(self, name, value)
