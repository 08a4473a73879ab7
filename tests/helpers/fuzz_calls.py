"""What no call may do: leave traces, mutate, warn in others' words, fail in them."""

import contextlib
import dis
import io
import os
import pickle
import random
import re
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import sk_ssvae

HOUSE = Path(sk_ssvae.__file__).parent
VALIDATION = {
    Path(sklearn.__file__).parent / "utils" / f"{name}.py"
    for name in (
        "validation",
        "_param_validation",
        "multiclass",
        "_array_api",
        "_indexing",
        "_tags",
        "_set_output",
    )
} | {Path(sklearn.__file__).parent / "base.py"}

REFUSALS = (
    ValueError,
    TypeError,
    NotFittedError,
    InvalidParameterError,
    # of a checkpoint
    FileNotFoundError,
    IsADirectoryError,
)

RAW = re.compile(
    "Expected all tensors|index out of range|out of bounds|cannot reshape|mat1 and mat2"
    "|could not broadcast|setting an array element|has no attribute|not subscriptable"
    "|unhashable|cannot be interpreted|ufunc|truth value|not supported between|Cannot "
    "cast|'NoneType'|unsupported operand|zero-size|inhomogeneous|_Hidden"
)
"""Words of numpy, torch and Python that tell a user nothing of what to do."""

OWN_WARNINGS = re.compile(
    "Column .* has categories that did not occur in fit|A file holds no objects such as"
    "|Training (was interrupted|diverged)"
)
KNOWN_WARNINGS = re.compile("X does not have valid feature names|X has feature names")


def surroundings() -> dict[str, Any]:
    """Note what belongs to the whole process."""
    kind, keys, *rest = np.random.get_state()
    return {
        "numpy's global generator": (kind, keys.tobytes(), *rest),
        "torch's global generator": torch.random.get_rng_state().numpy().tobytes(),
        "Python's global generator": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's default device": torch.get_default_device(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's inference mode": torch.is_inference_mode_enabled(),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "numpy's errors": np.geterr(),
        "scikit-learn's configuration": sklearn.get_config(),
        "the working directory": os.getcwd(),
    }


def fingerprint(given: Any) -> Any:
    """Note what of an argument must be the same after a call."""
    if isinstance(given, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(given)
        return fingerprint(given.data), mask.tobytes(), given.fill_value is None
    if isinstance(given, np.ndarray):
        cells = repr(given.tolist()) if given.dtype.hasobject else given.tobytes()
        form = type(given), given.dtype, given.shape, given.strides
        return *form, str(given.flags), cells
    if isinstance(given, torch.Tensor):
        return repr(given), given.requires_grad
    if sparse.issparse(given):
        # not what scipy remembers of them, such as whether indices are sorted
        parts = {k: v for k, v in vars(given).items() if not isinstance(v, bool)}
        return given.format, [(k, fingerprint(v)) for k, v in sorted(parts.items())]
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        cells = [
            repr(list(given.iloc[:, j]))
            if hasattr(given, "iloc")
            else repr(given[:, j].to_list())
            for j in range(given.shape[1])
        ]
        index = repr(list(getattr(given, "index", ())))
        return repr(list(given.columns)), repr(list(given.dtypes)), cells, index
    if hasattr(given, "to_list"):
        return repr(given.to_list()), repr(given.dtype)
    if isinstance(given, list | tuple):
        return type(given), [fingerprint(part) for part in given]
    return repr(given)


@dataclass
class CallMonitor:
    """Makes calls and notes what they did that they may not do.

    Attributes
    ----------
    complaints : list of str
        What was wrong.
    refusals : list of (str, str, str)
        Calls that were refused: their names, the exceptions' and the kinds of messages.
    has_teacher : bool
        Whether there is a teacher of the user's, which may warn of numbers.
    """

    complaints: list[str] = field(default_factory=list)
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    has_teacher: bool = False

    def complain(self, name: str, what: str) -> None:
        """Note what is wrong with a call."""
        self.complaints.append(f"{name}: {what}")

    def call(self, name: str, f: Any, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        """Call, and say whether there is an answer; the answer or the error."""
        given = [*args, *kwargs.values()]
        before, prints = surroundings(), [fingerprint(a) for a in given]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    done, answer = True, f(*args, **kwargs)
            except Exception as error:
                done, answer = False, error
        for what, value in surroundings().items():
            if value != before[what]:
                self.complain(name, f"moved {what}")
        for i, (a, print_) in enumerate(zip(given, prints, strict=True)):
            if fingerprint(a) != print_:
                self.complain(name, f"changed argument {i}")
        for warning in caught:
            self._check_warning(name, warning)
        if not done:
            self._check_refusal(name, answer)
        return done, answer

    def _check_warning(self, name: str, warning: warnings.WarningMessage) -> None:
        text = str(warning.message)
        known = issubclass(warning.category, ConvergenceWarning | DataConversionWarning)
        own = OWN_WARNINGS.match(text) or KNOWN_WARNINGS.match(text)
        of_teacher = self.has_teacher and warning.category is RuntimeWarning
        if not (known or of_teacher) and not (own and warning.category is UserWarning):
            self.complain(
                name,
                f"warned {warning.category.__name__}: {text[:200]} "
                f"({Path(warning.filename).name}:{warning.lineno})",
            )

    def _check_refusal(self, name: str, error: Exception) -> None:
        text = str(error)
        kind = type(error)
        self.refusals.append((name, kind.__name__, family(text)))
        what = f"{kind.__name__}: {text[:300]}"
        if kind not in REFUSALS:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.complain(
                name, f"raised {what} ({Path(where.filename).name}:{where.lineno})"
            )
        elif len(text) < 10 or RAW.search(text):
            self.complain(name, f"does not say what was wrong: {what}")
        elif not (said_on_purpose(error) or getattr(error, "__notes__", None)):
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.complain(
                name,
                f"let others say what was wrong: {what} "
                f"({Path(where.filename).name}:{where.lineno})",
            )


def said_on_purpose(error: BaseException) -> bool:
    """Whether a raise statement of the project's, or of validation, made the error."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code
    place = Path(code.co_filename)
    ours = place.is_relative_to(HOUSE) or place in VALIDATION
    raises = dis.opname[code.co_code[last.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return ours and raises


def family(text: str) -> str:
    """Messages of one kind, whatever the names and numbers in them."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*\]|\(.*?\)", "...", text)
    plain = re.sub(r"[-+]?\d[\d.e+-]*", "0", plain)
    return " ".join(plain.split()[:9])


def attributes(estimator: Any) -> dict[str, int]:
    """Which objects an estimator holds."""
    return {name: id(value) for name, value in vars(estimator).items()}


def parameters(estimator: Any) -> Any:
    """Parameters of an estimator, and what is in them."""
    params = estimator.get_params(deep=False)
    return {
        k: (id(v), fingerprint(v)) for k, v in params.items() if k != "random_state"
    }


def same_answers(a: Any, b: Any) -> bool:
    """Whether arrays are equal to the bit."""
    return pickle.dumps(np.asarray(a)) == pickle.dumps(np.asarray(b))
