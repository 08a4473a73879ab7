"""What the networks are told of the columns: which are of which kind."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "COUNTS",
    "LIKELIHOOD_NAMES",
    "MAX_COUNT",
    "ColumnGroup",
    "Layout",
    "as_layout",
]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LIKELIHOOD_NAMES = (
    "bernoulli",
    "categorical",
    "gaussian",
    "negative_binomial",
    "poisson",
)
"""Types of columns; `sk_ssvae.models.likelihoods` has a density for each."""

PLAIN = ("gaussian", "bernoulli")
COUNTS = ("poisson", "negative_binomial")
MAX_COUNT = 1e9
"""Larger counts are refused: single precision does not tell them apart."""


@dataclass(frozen=True, eq=False)
class ColumnGroup:
    """Columns of one kind.

    Attributes
    ----------
    kind : str
        A name in `sk_ssvae.models.likelihoods.LIKELIHOODS`.
    columns : ndarray of int64
        Their places among the cells that the network is given.
    sizes : tuple of int
        Of categorical columns, the numbers of their categories.
    offset : ndarray of float64, default=None
        Where the outputs of the decoder start: logarithms of shares, or of means.
    """

    kind: str
    columns: Integers
    sizes: tuple[int, ...] = ()
    offset: Any = None


@dataclass(frozen=True, eq=False)
class Layout:
    """All columns of a model, by groups.

    Attributes
    ----------
    groups : tuple of Group
        Together all cells.
    fill : ndarray of float64 of shape (n_cells,)
        What the networks are shown where a cell is missing.
    gaps : ndarray of int64
        Columns with cells missing in training: the networks are shown which.
    count_shift, count_scale : ndarray of float64 of shape (n_cells,)
        What is subtracted from the logarithms of counts for the networks, and what the
        rest is multiplied by.
    """

    groups: tuple[ColumnGroup, ...]
    fill: Floats
    gaps: Integers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    count_shift: Any = None
    count_scale: Any = None

    @property
    def n_cells(self) -> int:
        """Number of columns."""
        return len(self.fill)

    @property
    def has_gaps(self) -> bool:
        """Whether cells were missing in training."""
        return len(self.gaps) > 0

    @property
    def is_plain(self) -> bool:
        """Whether the network is given the cells as they are."""
        return (
            len(self.groups) == 1 and self.groups[0].kind in PLAIN and not self.has_gaps
        )


def as_layout(likelihood: str | Layout, n_features: int) -> Layout:
    """Return a layout, of columns that are all of one kind if it is a name."""
    if isinstance(likelihood, Layout):
        return likelihood
    group = ColumnGroup(likelihood, np.arange(n_features))
    return Layout((group,), np.zeros(n_features))
