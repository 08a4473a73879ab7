"""Options of training: parameter objects in the style of scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.base import clone

from sk_ssvae.training import ClassifierOptions, TrainingOptions

DEFAULTS = {
    "n_iter_no_change": 10,
    "tol": 1e-4,
    "max_grad_norm": None,
    "max_time": None,
    "precision": "float32",
    "n_threads": None,
    "compile": False,
    "distributed": False,
}

CLASSIFIER_DEFAULTS = DEFAULTS | {
    "teacher_weight": 1.0,
    "entropy_weight": 0.3,
    "adversarial_weight": "auto",
    "adversarial_radius": "auto",
    "bound_rows": "auto",
    "labeled_validation_fraction": 0.0,
}


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [(TrainingOptions, DEFAULTS), (ClassifierOptions, CLASSIFIER_DEFAULTS)],
)
def test_parameters_and_defaults(kind, defaults):
    options = kind()
    assert options.get_params() == defaults
    options._validate_params()
    changed = clone(options).set_params(tol=0.5)
    assert changed.get_params() == defaults | {"tol": 0.5}
    assert repr(changed) == f"{kind.__name__}(tol=0.5)"
    assert repr(options) == f"{kind.__name__}()"


def test_parameters_are_keywords():
    with pytest.raises(TypeError):
        TrainingOptions(10)
    with pytest.raises(TypeError):
        ClassifierOptions(10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_iter_no_change", np.int8(3)),
        ("tol", 0),
        ("max_grad_norm", np.float32(0.25)),
        ("max_time", 1),
        ("max_time", np.float32(0.5)),
        ("precision", "bf16"),
        ("n_threads", 1024),
        ("compile", True),
        ("distributed", "auto"),
        ("distributed", True),
        ("teacher_weight", 0),
        ("bound_rows", None),
        ("bound_rows", 5),
    ],
)
def test_valid_values(name, value):
    ClassifierOptions(**{name: value})._validate_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_iter_no_change", 0),
        ("n_iter_no_change", 2.5),
        ("tol", -1e-3),
        ("tol", math.nan),
        ("max_grad_norm", 0),
        ("max_grad_norm", -1.0),
        ("max_grad_norm", "1"),
        ("max_time", 0),
        ("max_time", -1.0),
        ("max_time", math.nan),
        ("max_time", "1 h"),
        ("precision", "float16"),
        ("n_threads", 0),
        ("n_threads", 1025),
        ("compile", "yes"),
        ("distributed", "yes"),
        ("teacher_weight", -1),
        ("entropy_weight", -0.1),
        ("adversarial_weight", -0.1),
        ("adversarial_radius", 0),
        ("bound_rows", 0),
        ("bound_rows", "all"),
    ],
)
def test_invalid_values(name, value):
    with pytest.raises(ValueError) as error:
        ClassifierOptions(**{name: value})._validate_params()
    assert str(error.value).startswith(
        f"The {name!r} parameter of ClassifierOptions must be "
    )


def test_message_of_an_invalid_value():
    with pytest.raises(ValueError) as error:
        TrainingOptions(max_grad_norm=0)._validate_params()
    assert str(error.value) == (
        "The 'max_grad_norm' parameter of TrainingOptions must be a float in the range "
        "(0.0, inf) or None. Got 0 instead."
    )
