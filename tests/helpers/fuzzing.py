"""A fuzzer of the classifier: random unusual uses, and the rules that all must keep.

Every call either returns a valid result or raises ValueError, TypeError or
NotFittedError with a message from this package or from scikit-learn's validation.
There are no other warnings and no side effects: arguments, parameters and global state
are unchanged, and a fit that fails leaves the estimator unchanged.
"""

import pickle
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_calls import CallMonitor, attributes, is_bit_identical, parameters
from fuzz_labels import LABELS, WEIGHTS
from fuzz_numbers import DTYPES, LAYOUTS, MISSING, VALUES
from fuzz_parameters import INVALID, PARAMETERS, resolve_names
from fuzz_results import check_results, check_samples, check_state
from fuzz_rows import FORMS, make_rows
from hypothesis import strategies as st
from sklearn.base import clone

import sk_ssvae
from sk_ssvae import SSVAEClassifier

SMALL = {
    "latent_size": 2,
    "hidden_sizes": (8,),
    "classifier_hidden_sizes": (8,),
    "max_epochs": 1,
    "teacher": None,
    "random_state": 0,
}
"""Parameters of all cases, unless a case has others."""

CALLS = ("fit", "fit, partial_fit", "partial_fit", "fit again", "fit warm")
CLASSES = ("labels", "none", "marker", "one", "unknown", "column", "list", "text")


@dataclass(frozen=True)
class Case:
    """One use of the classifier. The defaults are an ordinary use.

    Attributes
    ----------
    seed : int
        Seed of the rows.
    n_rows, n_columns : int
        Shape of the rows.
    values, missing, form, layout : str
        Kind of rows, by names in `fuzz_numbers` and `fuzz_rows`.
    labels, weight : str
        Names in `fuzz_labels`.
    params : dict
        Parameters of the classifier (`fuzz_parameters`), in addition to `SMALL`.
    call : str
        How it is fitted; "fit again" is a second fit.
    classes : str
        Kind of the argument `classes` of `partial_fit`.
    query : dict
        Attributes in which the rows that are predicted differ from the training rows.
        If empty, the training rows are predicted.
    arguments : dict
        Arguments of the other methods (`fuzz_results`).
    """

    seed: int = 0
    n_rows: int = 24
    n_columns: int = 3
    values: str = "normal"
    missing: str = "none"
    form: str = "float64"
    layout: str = "C"
    labels: str = "plain"
    weight: str = "none"
    params: dict[str, Any] = field(default_factory=dict)
    call: str = "fit"
    classes: str = "labels"
    query: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        unusual = [f"{k}={v!r}" for k, v in values.items() if v != default_of(k)]
        return f"Case({', '.join(unusual)})"

    def rows(self, **changes: Any) -> Any:
        """Return the rows, with some attributes changed."""
        names = ("n_rows", "n_columns", "values", "missing", "form", "layout", "seed")
        return make_rows(**{name: getattr(self, name) for name in names} | changes)


def default_of(name: str) -> Any:
    """Return the default of an attribute of a case."""
    case_field = next(f for f in fields(Case) if f.name == name)
    is_dict = name in ("params", "query", "arguments")
    return {} if is_dict else case_field.default


_FORMS = (*DTYPES, *FORMS)
_QUERY = {
    "seed": (1,),
    "n_rows": (0, 1, 2, 50),
    "n_columns": (1, 2, 3, 4),
    "values": tuple(VALUES),
    "missing": tuple(MISSING),
    "form": _FORMS,
    "layout": tuple(LAYOUTS),
}
_ARGUMENTS = {
    "n_samples": (1, 2, np.int8(3), 0, -1, 2.5, True, "3", None, 2**40),
    "n_draws": (1, 2, np.uint8(3), 0, -1, 2.5, False, "3", None, 2**40),
    "y": ("first", "all", "unknown", "marker", "short", "column", "nothing"),
    "Z": ("far", "missing", "infinite", "flat", "narrow", "none", "text", "empty"),
}
_FIELDS = {
    "n_rows": (0, 1, 2, 3, 4, 5, 7, 130, 600),
    "n_columns": (0, 1, 2, 30, 300, 10_000),
    "values": tuple(VALUES),
    "missing": tuple(MISSING),
    "form": _FORMS,
    "layout": tuple(LAYOUTS),
    "labels": tuple(LABELS),
    "weight": tuple(WEIGHTS),
    "call": CALLS,
    "classes": CLASSES,
}


def make_case(choose: Callable[[Sequence[Any]], Any]) -> Case:
    """Return a random case that is unusual in a few attributes.

    Parameters
    ----------
    choose : callable
        Takes a sequence and returns one of its elements.

    Returns
    -------
    case : Case
        At most one of its parameters is invalid.
    """

    def choose_some(options: dict[str, Sequence[Any]], at_most: int) -> dict[str, Any]:
        names = [choose(tuple(options)) for _ in range(choose(range(at_most + 1)))]
        return {name: choose(options[name]) for name in dict.fromkeys(names)}

    unusual, params = choose_some(_FIELDS, 4), choose_some(PARAMETERS, 4)
    if choose(range(8)) == 7:
        invalid = choose_some(INVALID, 1)
        if "options" in invalid:  # nested parameters cannot be set on invalid options
            params = {k: v for k, v in params.items() if not k.startswith("options")}
        params |= invalid
    if unusual.get("n_columns") == 10_000:  # for speed
        unusual.pop("n_rows", None)
        params.pop("max_epochs", None)
    query = choose_some(_QUERY, 3) if choose((False, False, True)) else {}
    arguments = choose_some(_ARGUMENTS, 2) if choose((False, False, True)) else {}
    return Case(
        seed=choose(range(4)),
        **unusual,
        params=params,
        query=query,
        arguments=arguments,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a strategy for cases."""
    return make_case(lambda options: draw(st.sampled_from(options)))


def run(case: Case) -> tuple[bool, CallMonitor]:
    """Run a case.

    Returns
    -------
    is_fitted : bool
        Whether the fit succeeded.
    monitor : CallMonitor
        Violations of the rules, and errors.
    """
    teacher = str(case.params.get("teacher"))
    monitor = CallMonitor(has_user_teacher=teacher.startswith("@"))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that are not monitored
        return _run(case, monitor, Path(folder)), monitor


def check(case: Case) -> None:
    """Raise AssertionError, with all violations, if a case breaks the rules."""
    _, monitor = run(case)
    assert not monitor.violations, "\n".join([repr(case), *monitor.violations])


def _run(case: Case, monitor: CallMonitor, folder: Path) -> bool:
    X, y = case.rows(), LABELS[case.labels](case.n_rows)
    weight = WEIGHTS[case.weight](case.n_rows)
    params = resolve_names(case.params, folder)
    ordinary = Case()
    ordinary_rows = ordinary.rows()
    is_second_fit = case.call in ("fit again", "fit warm")
    clf = SSVAEClassifier(**SMALL)
    if is_second_fit:
        clf.fit(ordinary_rows, LABELS["plain"](ordinary.n_rows))
        expected = clf.predict_proba(ordinary_rows)
        params |= {"warm_start": True} if case.call == "fit warm" else {}
    clf.set_params(**params)
    attributes_before, parameters_before = attributes(clf), parameters(clf)
    if case.call == "partial_fit":
        succeeded, result = monitor.call(
            "partial_fit",
            clf.partial_fit,
            X,
            y,
            classes=_classes_argument(case.classes, y),
            sample_weight=weight,
        )
    else:
        succeeded, result = monitor.call("fit", clf.fit, X, y, sample_weight=weight)
    if parameters(clf) != parameters_before:
        monitor.report(case.call, "changed a parameter")
    if not succeeded:
        if attributes(clf) != attributes_before:
            monitor.report(case.call, "failed and changed attributes")
        clf.set_params(**SMALL, options=None)  # the invalid parameter may be one
        if is_second_fit:
            if not is_bit_identical(clf.predict_proba(ordinary_rows), expected):
                monitor.report(case.call, "failed and changed the predictions")
        else:
            monitor.call("predict", clf.predict, ordinary_rows)
        return False
    if result is not clf:
        monitor.report(case.call, "did not return the estimator")
    if case.call == "fit, partial_fit":
        attributes_before = attributes(clf)
        succeeded, _ = monitor.call(
            "partial_fit", clf.partial_fit, X, y, sample_weight=weight
        )
        if not succeeded and attributes(clf) != attributes_before:
            monitor.report("partial_fit", "failed and changed attributes")
    query = case.rows(**case.query) if case.query else X
    attributes_before = attributes(clf)
    has_classes_of_y = case.call not in ("fit warm", "partial_fit")
    check_state(monitor, clf, y if has_classes_of_y else None)
    first_rows = ordinary_rows if case.call == "fit warm" else X
    check_results(monitor, clf, X, y, weight, query, case.arguments)
    check_samples(monitor, clf, first_rows, case.arguments)
    _check_copies(monitor, clf, folder)
    if attributes(clf) != attributes_before or parameters(clf) != parameters_before:
        monitor.report("a method", "changed the estimator")
    return True


def _classes_argument(kind: str, y: Any) -> Any:
    """Return the argument `classes` of `partial_fit`."""
    try:
        values = [v.item() if isinstance(v, np.generic) else v for v in y]
        labels = sorted({v for v in values if v is not None and v == v and v != -1})
    except (TypeError, ValueError, RuntimeError):
        labels = [0, 1, 2]
    labels = labels or [0, 1, 2]
    return {
        "labels": np.array(labels),
        "none": None,
        "marker": [-1, *labels],
        "one": labels[:1],
        "unknown": ["dog", "eel"],
        "column": np.array(labels)[:, None],
        "list": labels,
        "text": "classes",
    }[kind]


def _check_copies(monitor: CallMonitor, clf: Any, folder: Path) -> None:
    """Check that files, pickles and clones have the same results and parameters."""
    succeeded, rows = monitor.call("sample", lambda: clf.sample(4)[0])
    if succeeded:
        succeeded, expected = monitor.call("predict_proba", clf.predict_proba, rows)
    if not succeeded:
        monitor.report("sample", "failed, or its rows were refused by predict_proba")
        return
    path = folder / "clf.safetensors"

    def save_and_load() -> Any:
        clf.save(path)
        return _load(clf, path)

    copies = {
        "save and load": save_and_load,
        "pickle": lambda: pickle.loads(pickle.dumps(clf)),
    }
    for name, copy in copies.items():
        succeeded, copied = monitor.call(name, copy)
        if not succeeded:
            monitor.report(name, f"failed: {copied}")
        elif not is_bit_identical(copied.predict_proba(rows), expected):
            monitor.report(name, "changed the predictions")
    succeeded, cloned = monitor.call("clone", clone, clf)
    if not succeeded or repr(cloned) != repr(clf) or hasattr(cloned, "net_"):
        monitor.report("clone", "has other parameters, or is fitted")


def _load(clf: Any, path: Path) -> Any:
    roles = ("classifier_module", "encoder_module", "decoder_module")
    modules = {role: getattr(clf, role) for role in roles}
    return sk_ssvae.load(path, **{k: v for k, v in modules.items() if v is not None})


def snippet(case: Case) -> str:
    """Return code that reproduces a case."""
    return (
        "import numpy as np; from numpy import inf, nan\n"
        f"from fuzzing import Case, check\ncheck({case!r})"
    )
