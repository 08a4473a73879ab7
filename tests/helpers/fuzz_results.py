"""Checks of the results of a fitted estimator: finite, in range, of the right type."""

from typing import Any

import numpy as np
from fuzz_calls import CallMonitor, attributes
from scipy import sparse

ROUNDING = 1e-6

_MISSING_TEXTS = ("nan", "b'nan'")
"""Texts that are converted to missing floats."""


def check_results(
    monitor: CallMonitor,
    clf: Any,
    X: Any,
    y: Any,
    weight: Any,
    query: Any,
    arguments: Any,
) -> None:
    """Check the predictions for rows of an estimator fitted to X, y and weight.

    Predictions for the rows that it was fitted to must not raise an error.
    """
    is_training = query is X and not _is_iterator(X)
    results = {}
    for name, check in (
        ("predict_proba", _check_proba),
        ("predict_log_proba", _check_log_proba),
        ("predict", _check_classes),
        ("transform", _check_latent),
    ):
        succeeded, result = monitor.call(name, getattr(clf, name), query)
        if succeeded:
            results[name] = result
            check(monitor, clf, name, result)
        elif is_training:
            monitor.report(name, f"refused rows that fit accepted: {result}")
    if {"predict", "predict_proba"} <= results.keys():
        most_probable = clf.classes_[results["predict_proba"].argmax(axis=1)]
        if list(most_probable) != list(results["predict"]):
            monitor.report("predict", "is not the most probable class")
    _check_density(monitor, clf, query, is_training and weight is None, arguments)
    succeeded, imputed = monitor.call(
        "impute", clf.impute, query, **_select(arguments, "n_draws")
    )
    if succeeded:
        _check_imputed(monitor, query, imputed)
    for name, weights in (("score", {}), ("weighted score", {"sample_weight": weight})):
        succeeded, accuracy = monitor.call(name, clf.score, query, y, **weights)
        if succeeded and not (type(accuracy) is float and 0 <= accuracy <= 1):
            monitor.report(name, f"is {accuracy!r}")


def check_samples(monitor: CallMonitor, clf: Any, X: Any, arguments: Any) -> None:
    """Check samples and decoded means of an estimator fitted to rows like X."""
    _check_sample(monitor, clf, X, arguments)
    _check_decoded(monitor, clf, arguments)


def _select(arguments: Any, *names: str) -> dict[str, Any]:
    """Return arguments of a method by name, with a small default for `n_draws`."""
    available = {"n_draws": 3} | {k: v for k, v in arguments.items() if k != "y"}
    return {name: available[name] for name in names if name in available}


def _is_iterator(X: Any) -> bool:
    """Return whether rows can be read only once."""
    return hasattr(X, "__next__")


def check_state(monitor: CallMonitor, clf: Any, y: Any) -> None:
    """Check fitted attributes; `y` is None if the classes are not those of `y`."""
    classes = clf.classes_
    if list(np.unique(classes)) != list(classes) or len(classes) < 2:
        monitor.report("classes_", f"are {classes!r}")
    if isinstance(y, np.ndarray) and y.dtype.kind in "iufU" and clf.unlabeled == -1:
        if classes.dtype.newbyteorder("=") != y.dtype.newbyteorder("="):
            monitor.report("classes_", f"are {classes.dtype}, but labels {y.dtype}")
        if not set(classes.tolist()) <= set(y.ravel().tolist()):
            monitor.report("classes_", f"{classes!r} are not labels")
    prior = clf.class_prior_
    if not (prior > 0).all() or abs(prior.sum() - 1) > ROUNDING:
        monitor.report("class_prior_", f"is {prior!r}")
    n_rows = len(clf.transduction_)
    if clf.label_distributions_.shape != (n_rows, len(classes)):
        monitor.report("label_distributions_", "have the wrong shape")
    _check_proba(monitor, clf, "label_distributions_", clf.label_distributions_)
    _check_classes(monitor, clf, "transduction_", clf.transduction_)
    for epoch in clf.history_:
        for name in ("train_loss", "bound", "classification"):
            if not np.isfinite(epoch[name]):
                monitor.report("history_", f"{name} is {epoch[name]}")
    if clf.n_iter_ < 1:
        monitor.report("n_iter_", f"is {clf.n_iter_}")


def _check_proba(monitor: CallMonitor, clf: Any, name: str, proba: Any) -> None:
    is_valid = proba.dtype == np.float32 and proba.shape[1:] == clf.classes_.shape
    if not (is_valid and np.isfinite(proba).all()):
        monitor.report(name, f"is {proba.dtype} {proba.shape}, not all finite")
    elif not ((proba >= 0) & (proba <= 1)).all():
        monitor.report(name, f"is in the range {proba.min()} to {proba.max()}")
    elif len(proba) and np.abs(proba.sum(axis=1, dtype=float) - 1).max() > ROUNDING:
        deviation = np.abs(proba.sum(axis=1, dtype=float) - 1).max()
        monitor.report(name, f"has sums that differ from one by {deviation}")


def _check_log_proba(monitor: CallMonitor, clf: Any, name: str, logs: Any) -> None:
    if np.isnan(logs).any() or (logs > ROUNDING).any():
        monitor.report(name, "has NaN or positive values")


def _check_classes(monitor: CallMonitor, clf: Any, name: str, labels: Any) -> None:
    if labels.dtype != clf.classes_.dtype or labels.ndim != 1:
        monitor.report(name, f"is {labels.dtype}, of shape {labels.shape}")
    if not set(labels.tolist()) <= set(clf.classes_.tolist()):
        monitor.report(name, "has values that are not classes")


def _check_latent(monitor: CallMonitor, clf: Any, name: str, Z: Any) -> None:
    if Z.dtype != np.float32 or Z.shape[1:] != (clf.latent_size,):
        monitor.report(name, f"is {Z.dtype}, of shape {Z.shape}")
    elif not np.isfinite(Z).all():
        monitor.report(name, "is not finite")


def _check_density(
    monitor: CallMonitor, clf: Any, query: Any, is_training: bool, arguments: Any
) -> None:
    n_draws = _select(arguments, "n_draws")
    succeeded, bound = monitor.call(
        "score_samples", clf.score_samples, query, **n_draws
    )
    if not succeeded and is_training and "n_draws" not in arguments:
        monitor.report("score_samples", f"refused rows that fit accepted: {bound}")
    if succeeded and (bound.ndim != 1 or bound.dtype != np.float32):
        monitor.report("score_samples", f"is {bound.dtype}, of shape {bound.shape}")
    elif succeeded and not np.isfinite(bound).all():
        bad = bound[~np.isfinite(bound)]
        monitor.report(
            "score_samples", f"is {bad[0]} for {len(bad)} of {len(bound)} rows"
        )


def container(X: Any) -> str:
    """Return the container of rows: a library of frames, "sparse" or "array"."""
    if sparse.issparse(X):
        return "sparse"
    library = type(X).__module__.partition(".")[0]
    return library if library in ("pandas", "polars", "pyarrow") else "array"


def cells(X: Any) -> list[list[Any]]:
    """Return the cells of each column as Python objects."""
    if sparse.issparse(X):
        X = X.toarray()
    if container(X) == "pandas":
        return [X.iloc[:, j].tolist() for j in range(X.shape[1])]
    if container(X) == "polars":
        return [column.to_list() for column in X]
    if container(X) == "pyarrow":
        return [column.to_pylist() for column in X.columns]
    if isinstance(X, np.ma.MaskedArray):
        return [column.tolist() for column in X.T]
    return [column.tolist() for column in np.asarray(X, dtype=object).T]


def is_missing(value: Any) -> bool:
    """Return whether a cell is missing."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def is_finite(value: Any) -> bool:
    """Return whether a cell is neither missing nor infinite."""
    is_infinite = isinstance(value, float) and abs(value) == np.inf
    return not is_missing(value) and not is_infinite


def _check_imputed(monitor: CallMonitor, query: Any, imputed: Any) -> None:
    before = after = []
    try:
        before, after = cells(query), cells(imputed)
    except Exception as error:
        monitor.report("impute", f"returned an unreadable object: {error!r}")
    if container(query) != container(imputed) or len(before) != len(after):
        monitor.report("impute", f"returned {type(imputed)} for {type(query)}")
        return
    for j, (old, new) in enumerate(zip(before, after, strict=True)):
        if len(old) != len(new):
            monitor.report("impute", f"returned {len(new)} rows for {len(old)}")
            return
        for a, b in zip(old, new, strict=True):
            if not is_finite(b) or (is_missing(b) and not is_missing(a)):
                monitor.report("impute", f"column {j} has {b!r} for {a!r}")
                return
            if not is_missing(a) and str(a) not in _MISSING_TEXTS and a != b:
                monitor.report("impute", f"column {j} has {b!r} instead of {a!r}")
                return


def _check_sample(monitor: CallMonitor, clf: Any, X: Any, arguments: Any) -> None:
    n_samples = {"n_samples": 5} | _select(arguments, "n_samples")
    given_classes = _class_arguments(clf, arguments)
    succeeded, result = monitor.call("sample", clf.sample, **n_samples | given_classes)
    if not succeeded:
        return
    samples, labels = result
    _check_classes(monitor, clf, "sample", labels)
    if samples.shape != (len(labels), clf.n_features_in_):
        monitor.report("sample", f"is of shape {samples.shape}")
    if container(samples) != container(X):
        monitor.report("sample", f"is {type(samples)} for {type(X)}")
        return
    _check_cells(monitor, "sample", samples)
    if container(X) == "pyarrow":
        if samples.column_names != X.schema.names:
            monitor.report("sample", f"has the columns {samples.column_names}")
        if samples.schema.types != X.schema.types:
            monitor.report("sample", f"has the types {samples.schema.types}")
    if container(X) in ("pandas", "polars"):
        if repr(list(samples.columns)) != repr(list(X.columns)):
            monitor.report("sample", f"has the columns {list(samples.columns)}")
        if list(samples.dtypes) != list(X.dtypes):
            monitor.report("sample", f"has {list(samples.dtypes)} for {list(X.dtypes)}")
    name = "predict_proba of a sample"
    succeeded, proba = monitor.call(name, clf.predict_proba, samples)
    if succeeded:
        _check_proba(monitor, clf, name, proba)
    else:
        monitor.report(name, f"raised {proba}")


def _check_cells(monitor: CallMonitor, name: str, rows: Any) -> None:
    for j, column in enumerate(cells(rows)):
        bad = [value for value in column if not is_finite(value)]
        if bad:
            monitor.report(name, f"column {j} has {bad[0]!r}")
            break


def _class_arguments(clf: Any, arguments: Any) -> dict[str, Any]:
    """Return the arguments `y` and `n_samples` of a method that takes classes."""
    if "y" not in arguments:
        return {}
    first = clf.classes_[0]
    n = len(clf.classes_)
    return {
        "y": {
            "first": first,
            "all": clf.classes_,
            "unknown": "no such",
            "marker": clf.unlabeled,
            "short": clf.classes_[:1],
            "column": clf.classes_[:, None],
            "nothing": [],
        }[arguments["y"]]
    } | ({"n_samples": n} if arguments["y"] == "all" else {})


def _check_decoded(monitor: CallMonitor, clf: Any, arguments: Any) -> None:
    Z = np.zeros((3, clf.latent_size), dtype=np.float32)
    Z[1] = 1
    Z = {
        "far": Z * 1e30,
        "missing": Z * np.nan,
        "infinite": np.where(Z > 0, np.inf, Z),
        "flat": Z[0],
        "narrow": Z[:, 1:],
        "none": None,
        "text": Z.astype(str),
        "empty": Z[:0],
    }.get(arguments.get("Z"), Z)
    given_classes = _class_arguments(clf, arguments)
    given_classes.pop("n_samples", None)
    before = attributes(clf)
    succeeded, means = monitor.call(
        "inverse_transform", clf.inverse_transform, Z, **given_classes
    )
    if attributes(clf) != before:
        monitor.report("inverse_transform", "changed the estimator")
    if not succeeded:
        return
    if means.shape != (3, clf.n_features_in_):
        monitor.report("inverse_transform", f"is of shape {means.shape}")
    _check_cells(monitor, "inverse_transform", means)
