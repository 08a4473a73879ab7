"""What a training run depends on: to resume it, and to share it between processes."""

import re
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from sk_ssvae.data.serialization import JSONEncoder, NotSerializableError
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.estimators.parameters import flat_parameters, model_spec
from sk_ssvae.estimators.teaching import TrainingData
from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.training.callbacks import named_callbacks
from sk_ssvae.training.checkpoint import digest
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.utils.devices import resolve_device
from sk_ssvae.utils.typing import IntArray

__all__ = ["describe_fit", "run_parameters"]

RUN_PARAMETERS = frozenset(
    {
        "callbacks",
        "checkpoint",
        "device",
        "options__distributed",
        "options__max_time",
        "options__n_threads",
        "random_state",
        "verbose",
    }
)
"""Parameters that may differ between a training run and its continuation."""

N_COMPARED_ROWS = 1000
"""Number of rows, about, that the processes of a distributed fit compare."""

N_COMPARED_BLOCKS = 4
"""Number of blocks that they read for it, if rows are read in blocks."""


def run_parameters(
    estimator: BaseEstimator, options: TrainingOptions
) -> dict[str, Any]:
    """Return the parameters that a training run depends on.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    options : TrainingOptions
        Its options, which may be its default ones.

    Returns
    -------
    run : dict of str to object
        JSON values by name; of arrays in them, digests.
    """
    encode = JSONEncoder()
    run: dict[str, Any] = {"estimator": type(estimator).__name__}
    resolved = {"options": options, "model": model_spec(estimator)}
    for name, value in flat_parameters(estimator, resolved).items():
        if name not in RUN_PARAMETERS:
            value = _without_resources(value)
            try:
                run[name] = encode(value)
            except NotSerializableError:
                run[name] = repr(value)
    for name, array in encode.arrays.items():
        run[name] = digest(array)
    return run


def _without_resources(value: Any) -> Any:
    """Return a copy of an estimator without what changes no result.

    These are stored fits and, of an opinion pool, the number of jobs. That of another
    estimator may matter.
    """
    if isinstance(value, type) or not hasattr(value, "get_params"):
        return value
    params = value.get_params()
    names = [k for k in params if k.rpartition("__")[2] == "memory"]
    nested = {"": value} | {f"{k}__": v for k, v in params.items()}
    pools = [k for k, v in nested.items() if isinstance(v, OpinionPoolClassifier)]
    names += [f"{prefix}n_jobs" for prefix in pools]
    return clone(value).set_params(**dict.fromkeys(names)) if names else value


def describe_fit(
    estimator: Any,
    options: TrainingOptions,
    data: TrainingData,
    seed: int,
    net: SSVAENet | None,
) -> dict[str, object]:
    """Return what must be the same in all processes that fit an estimator together.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    options : TrainingOptions
        Its options.
    data : TrainingData
        Rows and labels. Of the rows about `N_COMPARED_ROWS` are compared. Of a source
        that is read in blocks, these are the first and the last ones of
        `N_COMPARED_BLOCKS` blocks, and no other block is read.
    seed : int
        Seed of the fit.
    net : SSVAENet or None
        The fitted net whose training continues, if any.

    Returns
    -------
    description : dict of str to object
    """
    # Functions and other objects have addresses, which differ between processes.
    description: dict[str, object] = {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", v) if isinstance(v, str) else v
        for name, v in run_parameters(estimator, options).items()
    }
    description |= {
        "device": resolve_device(estimator.device).type,
        "callbacks": [
            type(c).__name__ for _, c in named_callbacks(estimator.callbacks)
        ],
        "checkpoint": estimator.checkpoint is not None,
        "X": (data.cells.shape, digest(data.cells[_compared_rows(data.cells)])),
        "y": digest(data.codes.astype(np.int64)),
        "sample_weight": digest(data.weight),
    }
    # None draws another seed in each process, and the first one's is used.
    if net is not None or estimator.random_state is not None:
        description["random_state"] = seed
    if net is not None:
        description["epochs before"] = len(net.history_)
        description["classes"] = digest(np.asarray(net.module_.classes.cpu()))
        description["columns"] = repr(estimator.preprocessor_.likelihood_)
        weights = net.module_.state_dict().values()
        description["weights"] = digest(*(w.cpu().numpy() for w in weights))
    return description


def _compared_rows(cells: Any) -> IntArray:
    """Return the indices of the rows that are compared."""
    n_rows = cells.shape[0]
    if not isinstance(cells, SourceCells) or cells.source.takes_rows:
        return np.arange(0, n_rows, max(1, n_rows // N_COMPARED_ROWS))
    limits, n_ends = cells.source.limits, N_COMPARED_ROWS // (2 * N_COMPARED_BLOCKS)
    blocks = np.linspace(0, len(limits) - 2, N_COMPARED_BLOCKS, dtype=np.int64)
    ends = [
        rows
        for start, stop in zip(limits[blocks], limits[blocks + 1], strict=True)
        for rows in (
            np.arange(start, min(start + n_ends, stop)),
            np.arange(max(stop - n_ends, start), stop),
        )
    ]
    return np.unique(np.concatenate(ends))
