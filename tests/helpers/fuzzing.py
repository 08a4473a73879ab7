"""A fuzzer of the whole estimator: cases, and the one law that they all keep.

Every call ends in valid output, or in a ValueError, TypeError or NotFittedError that
names the cause in the project's words or those of scikit-learn's validation. Nothing
else warns, moves or changes: no argument, no parameter, no global state. A fit that
fails leaves the estimator as it was.
"""

import pickle
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_answers import check_answers, check_draws, check_state
from fuzz_calls import CallMonitor, attributes, parameters, same_answers
from fuzz_labels import LABELS, WEIGHTS
from fuzz_numbers import DTYPES, HOLES, LAYOUTS, VALUES
from fuzz_parameters import INVALID, PARAMETERS, resolved
from fuzz_rows import FORMS, make_rows
from hypothesis import strategies as st
from sklearn.base import clone

import sk_ssvae
from sk_ssvae import SSVAEClassifier

SMALL = {
    "latent_size": 2,
    "hidden_sizes": (8,),
    "classifier_hidden_sizes": (8,),
    "inner_size": 3,
    "max_epochs": 1,
    "pretrain_epochs": 1,
    "teacher": None,
    "random_state": 0,
}

CALLS = ("fit", "fit, partial_fit", "partial_fit", "fit again", "fit warm")
CLASSES = ("found", "none", "marker", "one", "unknown", "column", "list", "text")


@dataclass(frozen=True)
class Case:
    """One use of the estimator; what is not said is plain.

    Attributes
    ----------
    values, holes, form, layout : str
        What the rows are like (`fuzz_numbers`, `fuzz_rows`).
    labels, weight : str
        As named in `fuzz_labels`.
    params : dict
        Parameters of the estimator (`fuzz_parameters`), beside `SMALL`.
    call : str
        How it is fitted; "fit again" is a fit of a fitted estimator.
    classes : str
        What `partial_fit` is told of the classes.
    asked : dict
        In what the rows that it is asked about differ; the same if empty.
    arguments : dict
        Of its methods (`fuzz_answers`).
    """

    seed: int = 0
    n_rows: int = 24
    n_columns: int = 3
    values: str = "normal"
    holes: str = "none"
    form: str = "float64"
    layout: str = "C"
    labels: str = "plain"
    weight: str = "none"
    params: dict[str, Any] = field(default_factory=dict)
    call: str = "fit"
    classes: str = "found"
    asked: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        odd = [f"{k}={v!r}" for k, v in said.items() if v != default_of(k)]
        return f"Case({', '.join(odd)})"

    def rows(self, **other: Any) -> Any:
        """Make the rows, or such as differ in something."""
        names = ("n_rows", "n_columns", "values", "holes", "form", "layout", "seed")
        return make_rows(**{name: getattr(self, name) for name in names} | other)


def default_of(name: str) -> Any:
    """Say what a case is like where nothing is said."""
    chosen = next(f for f in fields(Case) if f.name == name)
    return {} if chosen.name in ("params", "asked", "arguments") else chosen.default


_FORMS = (*DTYPES, *FORMS)
_ASKED = {
    "seed": (1,),
    "n_rows": (0, 1, 2, 50),
    "n_columns": (1, 2, 3, 4),
    "values": tuple(VALUES),
    "holes": tuple(HOLES),
    "form": _FORMS,
    "layout": tuple(LAYOUTS),
}
_ARGUMENTS = {
    "n_samples": (1, 2, np.int8(3), 0, -1, 2.5, True, "3", None, 2**40),
    "n_draws": (1, 2, np.uint8(3), 0, -1, 2.5, False, "3", None, 2**40),
    "y": ("first", "all", "unknown", "marker", "short", "column", "nothing"),
    "Z": ("far", "holes", "infinite", "flat", "narrow", "none", "text", "empty"),
}
_FIELDS = {
    "n_rows": (0, 1, 2, 3, 4, 5, 7, 130, 600),
    "n_columns": (0, 1, 2, 30, 300, 10_000),
    "values": tuple(VALUES),
    "holes": tuple(HOLES),
    "form": _FORMS,
    "layout": tuple(LAYOUTS),
    "labels": tuple(LABELS),
    "weight": tuple(WEIGHTS),
    "call": CALLS,
    "classes": CLASSES,
}


def make_case(choose: Callable[[Sequence[Any]], Any]) -> Case:
    """Make a case that is plain but for a few things.

    Parameters
    ----------
    choose : callable
        Takes a sequence and gives one of what is in it.

    Returns
    -------
    case : Case
        Of its parameters one may be impossible.
    """

    def some(options: dict[str, Sequence[Any]], most: int) -> dict[str, Any]:
        names = [choose(tuple(options)) for _ in range(choose(range(most + 1)))]
        return {name: choose(options[name]) for name in dict.fromkeys(names)}

    odd, params = some(_FIELDS, 4), some(PARAMETERS, 4)
    if choose(range(8)) == 7:
        params |= some(INVALID, 1)
    if odd.get("n_columns") == 10_000:
        odd.pop("n_rows", None)
        params.pop("max_epochs", None)
    asked = some(_ASKED, 3) if choose((False, False, True)) else {}
    arguments = some(_ARGUMENTS, 2) if choose((False, False, True)) else {}
    given = {"params": params, "asked": asked, "arguments": arguments}
    return Case(seed=choose(range(4)), **odd, **given)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases for hypothesis."""
    return make_case(lambda options: draw(st.sampled_from(options)))


def run(case: Case) -> tuple[bool, CallMonitor]:
    """Fit and ask the estimator; say whether it was fitted, and what was noted."""
    teacher = str(case.params.get("teacher"))
    watch = CallMonitor(has_teacher=teacher.startswith("@"))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that are not watched
        return _run(case, watch, Path(folder)), watch


def check(case: Case) -> None:
    """Refuse, with all that is wrong, a case that breaks the law."""
    _, watch = run(case)
    assert not watch.complaints, "\n".join([repr(case), *watch.complaints])


def _run(case: Case, watch: CallMonitor, folder: Path) -> bool:
    X, y = case.rows(), LABELS[case.labels](case.n_rows)
    weight = WEIGHTS[case.weight](case.n_rows)
    params = resolved(case.params, folder)
    plain = Case()
    again = case.call in ("fit again", "fit warm")
    clf = SSVAEClassifier(**SMALL)
    if again:
        clf.fit(plain.rows(), LABELS["plain"](plain.n_rows))
        before = clf.predict_proba(plain.rows())
        params |= {"warm_start": True} if case.call == "fit warm" else {}
    clf.set_params(**params)
    held, given = attributes(clf), parameters(clf)
    if case.call == "partial_fit":
        classes = _classes(case.classes, y)
        done, answer = watch.call(
            "partial_fit", clf.partial_fit, X, y, classes=classes, sample_weight=weight
        )
    else:
        done, answer = watch.call("fit", clf.fit, X, y, sample_weight=weight)
    if parameters(clf) != given:
        watch.complain(case.call, "changed a parameter")
    if not done:
        if attributes(clf) != held:
            watch.complain(case.call, "failed and left something behind")
        clf.set_params(**SMALL, n_threads=None)  # which may be why it failed
        if again and not same_answers(clf.predict_proba(plain.rows()), before):
            watch.complain(case.call, "failed and changed the answers")
        if not again:
            watch.call("predict", clf.predict, Case().rows())
        return False
    if answer is not clf:
        watch.complain(case.call, "did not return the estimator")
    if case.call == "fit, partial_fit":
        held = attributes(clf)
        done, _ = watch.call("partial_fit", clf.partial_fit, X, y, sample_weight=weight)
        if not done and attributes(clf) != held:
            watch.complain("partial_fit", "failed and left something behind")
    asked = case.rows(**case.asked) if case.asked else X
    held = attributes(clf)
    new = case.call not in ("fit warm", "partial_fit")
    check_state(watch, clf, y if new else None)
    first = plain.rows() if case.call == "fit warm" else X
    check_answers(watch, clf, X, y, weight, asked, case.arguments)
    check_draws(watch, clf, first, case.arguments)
    _check_copies(watch, clf, folder)
    if attributes(clf) != held or parameters(clf) != given:
        watch.complain("an answer", "changed the estimator")
    return True


def _classes(kind: str, y: Any) -> Any:
    """Classes that `partial_fit` is told of."""
    try:
        values = [v.item() if isinstance(v, np.generic) else v for v in y]
        found = sorted({v for v in values if v is not None and v == v and v != -1})
    except (TypeError, ValueError, RuntimeError):
        found = [0, 1, 2]
    found = found or [0, 1, 2]
    return {
        "found": np.array(found),
        "none": None,
        "marker": [-1, *found],
        "one": found[:1],
        "unknown": ["dog", "eel"],
        "column": np.array(found)[:, None],
        "list": found,
        "text": "classes",
    }[kind]


def _check_copies(watch: CallMonitor, clf: Any, folder: Path) -> None:
    """Files, pickles and clones: the same answers, the same parameters."""
    done, drawn = watch.call("sample", lambda: clf.sample(4)[0])
    if done:
        done, expected = watch.call("predict_proba", clf.predict_proba, drawn)
    if not done:
        watch.complain("sample", "is not to be had, or not to be asked about")
        return
    path = folder / "clf.safetensors"

    def through_a_file() -> Any:
        clf.save(path)
        return _load(clf, path)

    copies = {
        "save and load": through_a_file,
        "pickle": lambda: pickle.loads(pickle.dumps(clf)),
    }
    for name, copy in copies.items():
        done, copied = watch.call(name, copy)
        if not done:
            watch.complain(name, f"refused: {copied}")
        elif not same_answers(copied.predict_proba(drawn), expected):
            watch.complain(name, "answers otherwise")
    done, twin = watch.call("clone", clone, clf)
    if not done or repr(twin) != repr(clf) or hasattr(twin, "net_"):
        watch.complain("clone", "is another, or fitted")


def _load(clf: Any, path: Path) -> Any:
    own = ("classifier_module", "encoder_module", "decoder_module")
    given = {n: getattr(clf, n) for n in own if getattr(clf, n) is not None}
    return sk_ssvae.load(path, **given)


def snippet(case: Case) -> str:
    """Lines that show the case once more."""
    return (
        "import numpy as np; from numpy import inf, nan\n"
        f"from fuzzing import Case, check\ncheck({case!r})"
    )
