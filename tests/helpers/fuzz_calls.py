"""Monitored calls: no side effects, no changed arguments, clear errors and warnings."""

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
from sk_ssvae.training.divergence import DivergenceError

PACKAGE = Path(sk_ssvae.__file__).parent
VALIDATION_MODULES = {
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

EXPECTED_ERRORS = (
    ValueError,
    TypeError,
    NotFittedError,
    InvalidParameterError,
    DivergenceError,
    # from the parameter `checkpoint`
    FileNotFoundError,
    IsADirectoryError,
)

INTERNAL_ERROR = re.compile(
    "Expected all tensors|index out of range|out of bounds|cannot reshape|mat1 and mat2"
    "|could not broadcast|setting an array element|has no attribute|not subscriptable"
    "|unhashable|cannot be interpreted|ufunc|truth value|not supported between|Cannot "
    "cast|'NoneType'|unsupported operand|zero-size|inhomogeneous|_Hidden"
)
"""Phrases from errors of numpy, torch and Python that do not help users."""

OWN_WARNINGS = re.compile(
    "Column .* has categories that did not occur in fit"
    "|Columns that hold text are read as numbers|Columns of text are read as categories"
    "|A file cannot hold the objects passed as|Training (was interrupted|diverged)"
)
KNOWN_WARNINGS = re.compile("X does not have valid feature names|X has feature names")


def process_state() -> dict[str, Any]:
    """Return the state of the process that no call may change."""
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


def fingerprint(argument: Any) -> Any:
    """Return a value that is equal before and after a call that changes nothing."""
    if isinstance(argument, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(argument)
        return fingerprint(argument.data), mask.tobytes(), argument.fill_value is None
    if isinstance(argument, np.ndarray):
        has_objects = argument.dtype.hasobject
        cells = repr(argument.tolist()) if has_objects else argument.tobytes()
        layout = type(argument), argument.dtype, argument.shape, argument.strides
        return *layout, str(argument.flags), cells
    if isinstance(argument, torch.Tensor):
        return repr(argument), argument.requires_grad
    if sparse.issparse(argument):
        # without the flags that scipy caches, such as whether indices are sorted
        parts = {k: v for k, v in vars(argument).items() if not isinstance(v, bool)}
        return argument.format, [(k, fingerprint(v)) for k, v in sorted(parts.items())]
    if hasattr(argument, "to_dict") and hasattr(argument, "columns"):
        cells = [
            repr(list(argument.iloc[:, j]))
            if hasattr(argument, "iloc")
            else repr(argument[:, j].to_list())
            for j in range(argument.shape[1])
        ]
        index = repr(list(getattr(argument, "index", ())))
        return repr(list(argument.columns)), repr(list(argument.dtypes)), cells, index
    if hasattr(argument, "to_list"):
        return repr(argument.to_list()), repr(argument.dtype)
    if isinstance(argument, list | tuple):
        return type(argument), [fingerprint(part) for part in argument]
    return repr(argument)


@dataclass
class CallMonitor:
    """Calls functions and records violations of the rules.

    Attributes
    ----------
    violations : list of str
        Descriptions of violations.
    errors : list of (str, str, str)
        Calls that raised an error: name of the call, exception class, kind of message.
    has_user_teacher : bool
        Whether the teacher is user-supplied, which may raise numerical warnings.
    """

    violations: list[str] = field(default_factory=list)
    errors: list[tuple[str, str, str]] = field(default_factory=list)
    has_user_teacher: bool = False

    def report(self, name: str, violation: str) -> None:
        """Record a violation by a call."""
        self.violations.append(f"{name}: {violation}")

    def call(self, name: str, f: Any, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        """Call a function and check its side effects, warnings and errors.

        Returns
        -------
        succeeded : bool
            Whether it returned.
        result : object
            The return value, or the exception.
        """
        arguments = [*args, *kwargs.values()]
        before = process_state()
        fingerprints = [fingerprint(argument) for argument in arguments]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    succeeded, result = True, f(*args, **kwargs)
            except Exception as error:
                succeeded, result = False, error
        for key, value in process_state().items():
            if value != before[key]:
                self.report(name, f"changed {key}")
        for i, expected in enumerate(fingerprints):
            if fingerprint(arguments[i]) != expected:
                self.report(name, f"changed argument {i}")
        for warning in caught:
            self._check_warning(name, warning)
        if not succeeded:
            self._check_error(name, result)
        return succeeded, result

    def _check_warning(self, name: str, warning: warnings.WarningMessage) -> None:
        text = str(warning.message)
        of_sklearn = issubclass(
            warning.category, ConvergenceWarning | DataConversionWarning
        )
        of_teacher = self.has_user_teacher and warning.category is RuntimeWarning
        expected = OWN_WARNINGS.match(text) or KNOWN_WARNINGS.match(text)
        if not (
            of_sklearn or of_teacher or (expected and warning.category is UserWarning)
        ):
            self.report(
                name,
                f"unexpected {warning.category.__name__}: {text[:200]} "
                f"({Path(warning.filename).name}:{warning.lineno})",
            )

    def _check_error(self, name: str, error: Exception) -> None:
        text = str(error)
        error_class = type(error)
        self.errors.append((name, error_class.__name__, message_kind(text)))
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"({Path(frame.filename).name}:{frame.lineno})"
        description = f"{error_class.__name__}: {text[:300]}"
        if error_class not in EXPECTED_ERRORS:
            self.report(name, f"unexpected {description} {place}")
        elif len(text) < 10 or INTERNAL_ERROR.search(text):
            self.report(name, f"unclear {description}")
        elif not (is_deliberate(error) or getattr(error, "__notes__", None)):
            self.report(name, f"accidental {description} {place}")


def is_deliberate(error: BaseException) -> bool:
    """Return whether this package or scikit-learn's validation raised the error."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code
    path = Path(code.co_filename)
    is_validation = path.is_relative_to(PACKAGE) or path in VALIDATION_MODULES
    is_raise = dis.opname[code.co_code[last.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return is_validation and is_raise


def message_kind(text: str) -> str:
    """Return the beginning of a message without names and numbers."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*\]|\(.*?\)", "...", text)
    plain = re.sub(r"[-+]?\d[\d.e+-]*", "0", plain)
    return " ".join(plain.split()[:9])


def attributes(estimator: Any) -> dict[str, int]:
    """Return the identities of an estimator's attributes."""
    return {name: id(value) for name, value in vars(estimator).items()}


def parameters(estimator: Any) -> Any:
    """Return identities and fingerprints of an estimator's parameters."""
    params = estimator.get_params(deep=False)
    return {
        k: (id(v), fingerprint(v)) for k, v in params.items() if k != "random_state"
    }


def is_bit_identical(a: Any, b: Any) -> bool:
    """Return whether arrays are bit-identical."""
    return pickle.dumps(np.asarray(a)) == pickle.dumps(np.asarray(b))
