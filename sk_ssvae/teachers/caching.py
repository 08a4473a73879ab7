"""Fits that are stored on disk, and not computed again for the same data."""

import os
import sys
from pickle import PicklingError
from typing import Any

from sklearn.base import clone
from sklearn.utils.validation import check_memory

from sk_ssvae.training.progress import Part

__all__ = ["stored_fit"]


def stored_fit(
    estimator: Any, X: Any, y: Any, seed: int, report: Part
) -> dict[str, Any]:
    """Return the attributes of a fitted copy of an estimator, from its cache if there.

    The key is a hash of X, y, the seed, all other parameters but `n_jobs`, on which no
    result depends, and the versions of the packages that the classifiers come from.

    Parameters
    ----------
    estimator : estimator
        Has the parameters `memory`, not None, `random_state` and `n_jobs`, and the
        method ``_fit(X, y, seed)``.
    X, y : array-like
        Passed to `_fit`.
    seed : int
        Passed to `_fit`.
    report : callable
        Attribute `on_view` of the copy; not called if the fit is in the cache.

    Returns
    -------
    attributes : dict of str to object
        Attributes of the fitted copy that are not parameters.

    Raises
    ------
    ValueError
        If a parameter cannot be pickled.
    """
    memory = estimator.memory
    memory = check_memory(memory if hasattr(memory, "cache") else os.fspath(memory))
    copy = clone(estimator).set_params(memory=None, random_state=None, n_jobs=None)
    cached = memory.cache(_fitted_attributes, ignore=["n_jobs", "report"])
    try:
        attributes: dict[str, Any] = cached(
            copy,
            X,
            y,
            seed,
            _package_versions(copy),
            n_jobs=estimator.n_jobs,
            report=report,
        )
    except PicklingError as error:
        raise ValueError(
            f"memory={estimator.memory!r} needs parameters that can be pickled, since "
            f"their hash is the key of a stored fit: {str(error).splitlines()[0]} "
            "Replace lambda functions in views by functions of a module, or set "
            "memory=None."
        ) from error
    return attributes


def _package_versions(estimator: Any) -> dict[str, str]:
    """Return the versions of the packages of an estimator and of its parameters."""
    values = (estimator, *estimator.get_params().values())
    packages = {type(value).__module__.partition(".")[0] for value in values}
    if getattr(estimator, "neighbors_algorithm", None) == "faiss":
        packages.add("faiss")  # imported by `fit`
    return {
        name: str(getattr(sys.modules[name], "__version__", ""))
        for name in sorted(packages | {"sklearn"})
    }


def _fitted_attributes(
    estimator: Any,
    X: Any,
    y: Any,
    seed: int,
    versions: dict[str, str],
    *,
    n_jobs: int | None,
    report: Part,
) -> dict[str, Any]:
    """Fit an estimator; return its attributes that are not parameters."""
    estimator.on_view, estimator.n_jobs = report, n_jobs
    estimator._fit(X, y, seed)
    del estimator.on_view
    parameters = estimator.get_params(deep=False)
    return {k: v for k, v in vars(estimator).items() if k not in parameters}
