"""Layout of the network inputs: columns grouped by likelihood."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.data.scaling import ColumnScaling
from sk_ssvae.data.units import relative_deviations
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = [
    "COUNTS",
    "LIKELIHOOD_NAMES",
    "MAX_COUNT",
    "UNIT_INTERVAL",
    "ColumnGroup",
    "Layout",
    "as_layout",
    "column_layout",
    "fit_layout",
]

Floats = npt.NDArray[np.float64]

LIKELIHOOD_NAMES = (
    "bernoulli",
    "categorical",
    "censored_logistic",
    "gaussian",
    "negative_binomial",
    "poisson",
)
"""Types of columns; `sk_ssvae.models.likelihoods` has a density for each."""

PLAIN = ("gaussian", "bernoulli", "censored_logistic")
"""Types of columns that the networks take without further encoding."""

UNIT_INTERVAL = ("bernoulli", "censored_logistic")
"""Types of columns with values in [0, 1]."""

COUNTS = ("poisson", "negative_binomial")
"""Types of columns that hold counts."""

MAX_COUNT = 1e9
"""Larger counts are refused. From 2**24 on, single precision rounds whole numbers, here
by up to 32, far less than the standard deviation of such counts."""

EPSILON = 1e-6
"""Lower bound of means and variances of counts, whose logarithms or inverses are
taken."""

MAX_SIZE_PER_MEAN = 1e3
"""Upper bound of the sizes that negative binomials start with, in units of the mean:
then the variance is 1.001 times that of a Poisson."""

OUTPUT_RANGE = 3.0
"""Number of relative standard deviations of a count that a change of the decoder's
output by 1 may at most correspond to. The relative deviation of large counts may be
smaller than the noise of gradient steps."""

MIN_CATEGORY_WEIGHT = 0.5
"""Lower bound of the total weight of a category: one with hardly any weight is rare,
not impossible."""


@dataclass(frozen=True, eq=False)
class ColumnGroup:
    """Columns that have the same likelihood.

    Attributes
    ----------
    kind : str
        A name in `sk_ssvae.models.likelihoods.LIKELIHOODS`.
    columns : ndarray of int64
        Their positions among the cells that the networks take.
    sizes : tuple of int
        Numbers of categories of categorical columns.
    offset : ndarray of float64, default=None
        Initial bias of the decoder's outputs: logarithms of frequencies of categories,
        or of means of counts.
    scale : ndarray of float64, default=None
        For counts, multiplies the decoder's outputs before the offset is added.
    log_size : ndarray of float64, default=None
        For negative binomial columns, the logarithms of the sizes from which training
        starts.
    """

    kind: str
    columns: IntArray
    sizes: tuple[int, ...] = ()
    offset: Any = None
    scale: Any = None
    log_size: Any = None


@dataclass(frozen=True, eq=False)
class Layout:
    """All columns that the networks take, in groups of the same likelihood.

    Attributes
    ----------
    groups : tuple of ColumnGroup
        Each cell is in exactly one of them.
    fill : ndarray of float64 of shape (n_cells,)
        Network input in the place of a missing cell.
    gaps : ndarray of int64
        Columns with missing cells in training, for which the networks have an
        additional input: whether the cell is missing.
    count_shift, count_scale : ndarray of float64 of shape (n_cells,)
        For network inputs, the shift is subtracted from log(1 + count), and the
        difference is multiplied by the scale.
    input_scale : ndarray of float64 of shape (n_cells,) or None
        For network inputs, standardised columns that share a unit are multiplied by
        their standard deviations, relative to the root mean square. None multiplies
        nothing.
    """

    groups: tuple[ColumnGroup, ...]
    fill: Floats
    gaps: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    count_shift: Any = None
    count_scale: Any = None
    input_scale: Any = None

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
        """Whether cells need no encoding for the networks, but for a scale."""
        return (
            len(self.groups) == 1 and self.groups[0].kind in PLAIN and not self.has_gaps
        )


def as_layout(likelihood: str | Layout, n_features: int) -> Layout:
    """Return a layout; a name stands for a layout in which all columns have it.

    Parameters
    ----------
    likelihood : str or Layout
        Name of a likelihood, or a layout, which is returned unchanged.
    n_features : int
        Number of columns.

    Returns
    -------
    layout : Layout
    """
    if isinstance(likelihood, Layout):
        return likelihood
    group = ColumnGroup(likelihood, np.arange(n_features))
    return Layout((group,), np.zeros(n_features))


def fit_layout(
    X: Any,
    column_types: Array,
    sizes: IntArray,
    scaling: ColumnScaling,
    used: Mask | None = None,
    weight: Array | None = None,
) -> Layout:
    """Group the columns by likelihood, and compute the statistics of each group.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    column_types : ndarray of object of shape (n_features,)
        Their likelihoods.
    sizes : ndarray of int64 of shape (n_features,)
        Numbers of categories.
    scaling : ColumnScaling
        Which columns are kept, and which have missing cells.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows in means and frequencies.

    Returns
    -------
    layout : Layout
    """
    kept = np.flatnonzero(scaling.kept)

    def moments() -> tuple[Array, Array, Array, Array]:
        # Measurements are standardised, so their mean is 0. Their sums may overflow.
        weights = np.ones(X.shape[0]) if weight is None else weight
        return _moments(X, kept, column_types[kept] != "gaussian", weights, used)

    def category_masses(j: int) -> Array:
        weights = np.ones(X.shape[0]) if weight is None else weight
        return _category_masses(X[:, j], sizes[j], weights, used)

    return column_layout(column_types, sizes, scaling, moments, category_masses)


def column_layout(
    column_types: Array,
    sizes: IntArray,
    scaling: ColumnScaling,
    moments: Callable[[], tuple[Array, Array, Array, Array]],
    category_masses: Callable[[int], Array],
) -> Layout:
    """Group the columns by likelihood, given their statistics.

    Parameters
    ----------
    column_types, sizes, scaling
        As for `fit_layout`.
    moments : callable
        Returns mean and variance, and mean and mean square of log(1 + x) of the columns
        that are kept; anything for those that are Gaussian.
    category_masses : callable
        Returns the weights of the categories of a column.

    Returns
    -------
    layout : Layout
    """
    kept = np.flatnonzero(scaling.kept)
    gaps = np.flatnonzero(scaling.gaps[kept])
    present = list(dict.fromkeys(column_types[kept].tolist()))
    summed = column_types[kept] != "gaussian"
    input_scale = _input_scale(scaling, kept, ~summed)
    if present == ["gaussian"]:
        group = ColumnGroup("gaussian", np.arange(len(kept)))
        fill = np.zeros(len(kept))
        return Layout((group,), fill, gaps, input_scale=input_scale)
    fill, variances, log_means, squares = moments()
    # Zeros stay zeros where most counts are.
    variance = squares - log_means**2
    shift = np.where(log_means**2 > variance, log_means, 0.0)
    spread = np.where(shift > 0, variance, squares)
    # How much a column that is constant here varies in later rows is unknown.
    spread = np.where(scaling.varies[kept], np.maximum(spread, EPSILON), 1.0)
    scale = 1 / np.sqrt(spread)
    groups = []
    for kind in present:
        positions = np.flatnonzero(column_types[kept] == kind)
        if kind == "categorical":
            columns = kept[positions]
            offset = np.concatenate(
                [_log_frequencies(category_masses(j)) for j in columns.tolist()]
            )
            group_sizes = tuple(sizes[columns].tolist())
            groups.append(ColumnGroup(kind, positions, group_sizes, offset))
        elif kind in COUNTS:
            statistics = _count_statistics(fill[positions], variances[positions])
            if kind == "poisson":
                statistics.pop("log_size")
            groups.append(ColumnGroup(kind, positions, (), **statistics))
        else:
            groups.append(ColumnGroup(kind, positions))
    return Layout(tuple(groups), fill, gaps, shift, scale, input_scale)


def _input_scale(scaling: ColumnScaling, kept: IntArray, which: Mask) -> Floats | None:
    """Return the relative scales of the standardised columns `which` among those kept.

    None if they do not share a unit.
    """
    relative = relative_deviations(
        scaling.scale[kept][which], scaling.varies[kept][which]
    )
    if relative is None:
        return None
    scale = np.ones(len(kept))
    scale[which] = relative
    return scale


def _moments(
    X: Any, kept: Array, summed: Mask, weight: Array, used: Mask | None
) -> tuple[Array, Array, Array, Array]:
    """Return weighted moments of the observed cells of the columns `kept`.

    Mean and variance, and mean and mean square of log(1 + x); zeros for columns that
    are not `summed`.
    """
    total, total_squares, log_total, squares, n = np.zeros((5, len(kept)))
    for rows, part in iter_row_chunks(X, used):
        observed = ~np.isnan(part[:, kept])
        cells = np.where(observed & summed, part[:, kept], 0.0)
        n += weight[rows] @ observed
        total += weight[rows] @ cells
        total_squares += weight[rows] @ cells**2
        logs = np.log1p(np.maximum(cells, 0))
        log_total += weight[rows] @ logs
        squares += weight[rows] @ logs**2
    mean = total / n
    return mean, total_squares / n - mean**2, log_total / n, squares / n


def _count_statistics(mean: Array, variance: Array) -> dict[str, Array]:
    r"""Return where training of count columns starts, from their moments.

    The size of a negative binomial follows from the variance, :math:`\mu + \mu^2 / r`.
    """
    mean, variance = np.maximum(mean, EPSILON), np.maximum(variance, 0.0)
    relative_deviation = np.sqrt(variance) / mean
    excess = np.maximum(variance - mean, mean / MAX_SIZE_PER_MEAN)
    return {
        "offset": np.log(mean),
        "scale": np.clip(OUTPUT_RANGE * relative_deviation, EPSILON, 1.0),
        "log_size": 2 * np.log(mean) - np.log(excess),
    }


def _category_masses(
    codes: Array, n_categories: int, weight: Array, used: Mask | None
) -> Array:
    """Return the weights of a column's categories."""
    observed = ~np.isnan(codes) if used is None else used & ~np.isnan(codes)
    mass: Array = np.bincount(
        codes[observed].astype(int), weight[observed], minlength=n_categories
    )
    return mass


def _log_frequencies(mass: Array) -> Array:
    """Return logarithms of the frequencies of categories, from their weights."""
    logs: Array = np.log(np.maximum(mass, MIN_CATEGORY_WEIGHT) / mass.sum())
    return logs
