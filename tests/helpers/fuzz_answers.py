"""What a fitted estimator must answer: every number finite, every class a class."""

from typing import Any

import numpy as np
from fuzz_calls import CallMonitor, attributes
from scipy import sparse

ROUNDING = 1e-6

_GAPS = ("nan", "b'nan'")
"""Texts of which floats are made that are missing."""


def check_answers(
    watch: CallMonitor,
    clf: Any,
    X: Any,
    y: Any,
    weight: Any,
    asked: Any,
    arguments: Any,
) -> None:
    """Ask an estimator that was fitted to X, y and weight about rows.

    Rows that it was fitted to may not be refused.
    """
    own = asked is X and not _is_spent(X)
    answers = {}
    for name, check in (
        ("predict_proba", _check_proba),
        ("predict_log_proba", _check_log_proba),
        ("predict", _check_classes),
        ("transform", _check_latent),
    ):
        done, answer = watch.call(name, getattr(clf, name), asked)
        if done:
            answers[name] = answer
            check(watch, clf, name, answer)
        elif own:
            watch.complain(name, f"refused rows that fit has taken: {answer}")
    if {"predict", "predict_proba"} <= answers.keys():
        best = clf.classes_[answers["predict_proba"].argmax(axis=1)]
        if list(best) != list(answers["predict"]):
            watch.complain("predict", "is not the most probable class")
    _check_density(watch, clf, asked, own and weight is None, arguments)
    done, filled = watch.call(
        "impute", clf.impute, asked, **_some(arguments, "n_draws")
    )
    if done:
        _check_filled(watch, asked, filled)
    for name, given in (("score", {}), ("weighted score", {"sample_weight": weight})):
        done, accuracy = watch.call(name, clf.score, asked, y, **given)
        if done and not (type(accuracy) is float and 0 <= accuracy <= 1):
            watch.complain(name, f"is {accuracy!r}")


def check_draws(watch: CallMonitor, clf: Any, X: Any, arguments: Any) -> None:
    """Ask an estimator for rows such as X, of which it has its columns."""
    _check_drawn(watch, clf, X, arguments)
    _check_decoded(watch, clf, arguments)


def _some(arguments: Any, *names: str) -> dict[str, Any]:
    given = {"n_draws": 3} | {k: v for k, v in arguments.items() if k != "y"}
    return {name: given[name] for name in names if name in given}


def _is_spent(X: Any) -> bool:
    """Whether rows can be read only once."""
    return hasattr(X, "__next__")


def check_state(watch: CallMonitor, clf: Any, y: Any) -> None:
    """Look at what an estimator knows; `y` is None if others fixed its classes."""
    classes = clf.classes_
    if list(np.unique(classes)) != list(classes) or len(classes) < 2:
        watch.complain("classes_", f"are {classes!r}")
    if isinstance(y, np.ndarray) and y.dtype.kind in "iufU" and clf.unlabeled == -1:
        if classes.dtype.newbyteorder("=") != y.dtype.newbyteorder("="):
            watch.complain("classes_", f"are {classes.dtype}, labels {y.dtype}")
        if not set(classes.tolist()) <= set(y.ravel().tolist()):
            watch.complain("classes_", f"{classes!r} are not labels")
    prior = clf.class_prior_
    if not (prior > 0).all() or abs(prior.sum() - 1) > ROUNDING:
        watch.complain("class_prior_", f"is {prior!r}")
    n_rows = len(clf.transduction_)
    if clf.label_distributions_.shape != (n_rows, len(classes)):
        watch.complain("label_distributions_", "are of another shape")
    _check_proba(watch, clf, "label_distributions_", clf.label_distributions_)
    _check_classes(watch, clf, "transduction_", clf.transduction_)
    for epoch in clf.history_:
        for name in ("train_loss", "bound", "classification"):
            if not np.isfinite(epoch[name]):
                watch.complain("history_", f"{name} is {epoch[name]}")
    if clf.n_iter_ < 1:
        watch.complain("n_iter_", f"is {clf.n_iter_}")


def _check_proba(watch: CallMonitor, clf: Any, name: str, proba: Any) -> None:
    right = proba.dtype == np.float32 and proba.shape[1:] == clf.classes_.shape
    if not (right and np.isfinite(proba).all()):
        watch.complain(name, f"is {proba.dtype} {proba.shape}, not all finite")
    elif not ((proba >= 0) & (proba <= 1)).all():
        watch.complain(name, f"has {proba.min()} ... {proba.max()}")
    elif len(proba) and np.abs(proba.sum(axis=1, dtype=float) - 1).max() > ROUNDING:
        wrong = np.abs(proba.sum(axis=1, dtype=float) - 1).max()
        watch.complain(name, f"sums to one but for {wrong}")


def _check_log_proba(watch: CallMonitor, clf: Any, name: str, logs: Any) -> None:
    if np.isnan(logs).any() or (logs > ROUNDING).any():
        watch.complain(name, "has NaN, or more than zero")


def _check_classes(watch: CallMonitor, clf: Any, name: str, labels: Any) -> None:
    if labels.dtype != clf.classes_.dtype or labels.ndim != 1:
        watch.complain(name, f"is {labels.dtype}, of shape {labels.shape}")
    if not set(labels.tolist()) <= set(clf.classes_.tolist()):
        watch.complain(name, "has what is no class")


def _check_latent(watch: CallMonitor, clf: Any, name: str, Z: Any) -> None:
    if Z.dtype != np.float32 or Z.shape[1:] != (clf.latent_size,):
        watch.complain(name, f"is {Z.dtype}, of shape {Z.shape}")
    elif not np.isfinite(Z).all():
        watch.complain(name, "is not finite")


def _check_density(
    watch: CallMonitor, clf: Any, asked: Any, own: bool, arguments: Any
) -> None:
    given = _some(arguments, "n_draws")
    done, bound = watch.call("score_samples", clf.score_samples, asked, **given)
    if not done and own and "n_draws" not in arguments:
        watch.complain("score_samples", f"refused rows that fit has taken: {bound}")
    if done and (bound.ndim != 1 or bound.dtype != np.float32):
        watch.complain("score_samples", f"is {bound.dtype}, of shape {bound.shape}")
    elif done and not np.isfinite(bound).all():
        bad = bound[~np.isfinite(bound)]
        watch.complain("score_samples", f"has {bad[0]}, {len(bad)} of {len(bound)}")


def kind(X: Any) -> str:
    """Say what holds rows: pandas, polars, sparse or array."""
    if sparse.issparse(X):
        return "sparse"
    library = type(X).__module__.partition(".")[0]
    return library if library in ("pandas", "polars") else "array"


def cells(X: Any) -> list[list[Any]]:
    """Cells by columns, as Python's own values."""
    if sparse.issparse(X):
        X = X.toarray()
    if kind(X) == "pandas":
        return [X.iloc[:, j].tolist() for j in range(X.shape[1])]
    if kind(X) == "polars":
        return [column.to_list() for column in X]
    if isinstance(X, np.ma.MaskedArray):
        return [column.tolist() for column in X.T]
    return [column.tolist() for column in np.asarray(X, dtype=object).T]


def is_gap(value: Any) -> bool:
    """Whether nothing is known of a cell."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def is_finite(value: Any) -> bool:
    """Whether a cell is there, and no infinite number."""
    return not is_gap(value) and not (isinstance(value, float) and abs(value) == np.inf)


def _check_filled(watch: CallMonitor, asked: Any, filled: Any) -> None:
    before = after = []
    try:
        before, after = cells(asked), cells(filled)
    except Exception as error:
        watch.complain("impute", f"gave what cannot be read: {error!r}")
    if kind(asked) != kind(filled) or len(before) != len(after):
        watch.complain("impute", f"made {type(filled)} of {type(asked)}")
        return
    for j, (old, new) in enumerate(zip(before, after, strict=True)):
        if len(old) != len(new):
            watch.complain("impute", f"gave {len(new)} rows for {len(old)}")
            return
        for a, b in zip(old, new, strict=True):
            if not is_finite(b) or (is_gap(b) and not is_gap(a)):
                watch.complain("impute", f"column {j} has {b!r} for {a!r}")
                return
            if not is_gap(a) and str(a) not in _GAPS and a != b:
                watch.complain("impute", f"column {j} has {b!r} where {a!r} was")
                return


def _check_drawn(watch: CallMonitor, clf: Any, X: Any, arguments: Any) -> None:
    given = {"n_samples": 5} | _some(arguments, "n_samples") | _classes(clf, arguments)
    done, answer = watch.call("sample", clf.sample, **given)
    if not done:
        return
    drawn, labels = answer
    _check_classes(watch, clf, "sample", labels)
    names = clf.n_features_in_
    if drawn.shape != (len(labels), names):
        watch.complain("sample", f"is of shape {drawn.shape}")
    if kind(drawn) != kind(X):
        watch.complain("sample", f"is {type(drawn)} for {type(X)}")
        return
    for j, column in enumerate(cells(drawn)):
        odd = [v for v in column if not is_finite(v)]
        if odd:
            watch.complain("sample", f"column {j} has {odd[0]!r}")
            break
    if kind(X) in ("pandas", "polars"):
        if repr(list(drawn.columns)) != repr(list(X.columns)):
            watch.complain("sample", f"has the columns {list(drawn.columns)}")
        if list(drawn.dtypes) != list(X.dtypes):
            watch.complain("sample", f"has {list(drawn.dtypes)} for {list(X.dtypes)}")
    done, proba = watch.call("predict_proba of a sample", clf.predict_proba, drawn)
    if done:
        _check_proba(watch, clf, "predict_proba of a sample", proba)
    else:
        watch.complain("predict_proba of a sample", f"refused it: {proba}")


def _classes(clf: Any, arguments: Any) -> dict[str, Any]:
    """Classes that rows are asked of."""
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


def _check_decoded(watch: CallMonitor, clf: Any, arguments: Any) -> None:
    Z = np.zeros((3, clf.latent_size), dtype=np.float32)
    Z[1] = 1
    Z = {
        "far": Z * 1e30,
        "holes": Z * np.nan,
        "infinite": np.where(Z > 0, np.inf, Z),
        "flat": Z[0],
        "narrow": Z[:, 1:],
        "none": None,
        "text": Z.astype(str),
        "empty": Z[:0],
    }.get(arguments.get("Z"), Z)
    asked = _classes(clf, arguments) | {}
    asked.pop("n_samples", None)
    held = attributes(clf)
    done, means = watch.call("inverse_transform", clf.inverse_transform, Z, **asked)
    if attributes(clf) != held:
        watch.complain("inverse_transform", "changed the estimator")
    if not done:
        return
    if means.shape != (3, clf.n_features_in_):
        watch.complain("inverse_transform", f"is of shape {means.shape}")
    for j, column in enumerate(cells(means)):
        odd = [v for v in column if not is_finite(v)]
        if odd:
            watch.complain("inverse_transform", f"column {j} has {odd[0]!r}")
            break
