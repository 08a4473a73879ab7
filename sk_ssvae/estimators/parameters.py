"""Parameters of the estimators beyond scikit-learn's: nested objects and networks.

An estimator has three kinds of nested parameters: those of its model object
(``model__inner_size``), of its options object (``options__tol``), and keyword
arguments of user-supplied networks (``classifier_module__channels``).
"""

import os
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone

from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.models import ModelSpec, resolve_model
from sk_ssvae.models.m1 import M1
from sk_ssvae.models.network_factories import (
    NetworkFactories,
    check_modules,
    check_network_given,
)
from sk_ssvae.models.user_columns import user_columns
from sk_ssvae.models.user_networks import ROLES
from sk_ssvae.training.batches import EPOCH_FACTORS
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.utils.sklearn_private import Interval, StrOptions

__all__ = [
    "COMMON_CONSTRAINTS",
    "check_not_options",
    "check_unchanged",
    "expand_nested",
    "fixed_parameters",
    "flat_parameters",
    "is_network_keyword",
    "model_name",
    "model_spec",
    "network_factories",
    "network_keywords",
    "replace_network_keywords",
    "set_network_keywords",
]

FIXED = (
    "latent_size",
    "hidden_sizes",
    "classifier_hidden_sizes",
    "likelihood",
    "categorical_features",
    "class_prior",
    *ROLES,
)
"""Parameters that cannot change while training continues, beside the model's own."""

COMMON_CONSTRAINTS: dict[str, list[Any]] = {
    "latent_size": [Interval(Integral, 1, None, closed="left")],
    "hidden_sizes": ["array-like"],
    "likelihood": [str, list, tuple],
    "categorical_features": [str, "array-like", None],
    "max_epochs": [
        StrOptions(set(EPOCH_FACTORS)),
        Interval(Integral, 1, None, closed="left"),
    ],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [
        StrOptions({"auto"}),
        Interval(Real, 0, 1, closed="left"),
    ],
    "device": [str, torch.device],
    "callbacks": [None, list],
    "checkpoint": [str, os.PathLike, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "encoder_module": [callable, None],
    "decoder_module": [callable, None],
}
"""Constraints of the parameters that all estimators have."""

_KEYWORDS = "module_parameters"
"""The name of the variable keyword argument of the constructors."""


def is_network_keyword(estimator: BaseEstimator, name: str) -> bool:
    """Return whether a parameter name is a keyword argument of a user's network.

    The name ``module_parameters`` itself counts: scikit-learn requires that every name
    in the signature is stored by the constructor and refused in `fit` at the earliest.
    """
    role, _, keyword = name.partition("__")
    has_role = role in ROLES and hasattr(estimator, role)
    return (bool(keyword) and has_role) or name == _KEYWORDS


def set_network_keywords(
    estimator: BaseEstimator,
    keywords: Mapping[str, Any],
    options: type[TrainingOptions],
) -> None:
    """Store the variable keyword arguments of a constructor as attributes.

    Parameters
    ----------
    estimator : estimator
        Its attributes are set.
    keywords : mapping of str to object
        The keyword arguments.
    options : type
        Class of the options of the estimator, whose parameters are named in the error.

    Raises
    ------
    TypeError
        If a name is not a keyword argument of a network that the estimator has.
    """
    for name, value in keywords.items():
        if not is_network_keyword(estimator, name):
            message = (
                f"{type(estimator).__name__}.__init__() got an unexpected keyword "
                f"argument {name!r}."
            )
            if name in options().get_params():
                call = f"options={options.__name__}({name}=...)"
                message = f"{message} {name} is an option: pass {call}."
            raise TypeError(message)
        setattr(estimator, name, value)


def check_not_options(
    estimator: BaseEstimator, params: Mapping[str, Any], options: TrainingOptions
) -> None:
    """Raise an error for options that are set as if they were parameters.

    Parameters
    ----------
    estimator : estimator
        Its parameters.
    params : mapping of str to object
        The parameters that are going to be set, without nested ones.
    options : TrainingOptions
        The options of the estimator.

    Raises
    ------
    ValueError
        If a name is that of an option and not of a parameter.
    """
    known, own = options.get_params(), estimator.get_params(deep=False)
    for name in params:
        if name in known and name not in own:
            raise ValueError(
                f"Invalid parameter {name!r} for estimator {type(estimator).__name__}. "
                f"{name} is an option: set options__{name}."
            )


def network_keywords(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the stored keyword arguments of user-supplied networks by name."""
    return {
        name: value
        for name, value in vars(estimator).items()
        if is_network_keyword(estimator, name)
    }


def replace_network_keywords(
    estimator: BaseEstimator, params: Mapping[str, Any], keywords: Mapping[str, Any]
) -> None:
    """Set keyword arguments of networks; remove those of networks set to None.

    Parameters
    ----------
    estimator : estimator
        Its attributes are set and removed.
    params : mapping of str to object
        The other parameters that are set by the same call.
    keywords : mapping of str to object
        Keyword arguments by parameter name.

    Raises
    ------
    ValueError
        If a keyword argument belongs to a network that is None.
    """
    for role in [name for name in ROLES if name in params and params[name] is None]:
        for name in network_keywords(estimator):
            if name.startswith(f"{role}__"):
                delattr(estimator, name)
    for name in keywords:
        role = name.partition("__")[0]
        if name != _KEYWORDS:
            check_network_given(role, getattr(estimator, role), name)
    for name, value in keywords.items():
        setattr(estimator, name, value)


def network_factories(
    estimator: BaseEstimator, preprocessor: Preprocessor | None = None
) -> NetworkFactories:
    """Return the factories of the user-supplied networks.

    Parameters
    ----------
    estimator : estimator
        Its parameters.
    preprocessor : Preprocessor, default=None
        Fitted; the networks then take and return all of its columns, also constant
        ones. With None they take and return those of the model.

    Raises
    ------
    TypeError
        If keyword arguments were passed as one parameter, or a network is neither
        None nor a class or factory.
    ValueError
        If there are keyword arguments of a network that is None.
    """
    if hasattr(estimator, _KEYWORDS):
        raise TypeError(
            f"{_KEYWORDS}={getattr(estimator, _KEYWORDS)!r} cannot be passed as one "
            "parameter. Pass each by its name, e.g. encoder_module__channels=16."
        )
    modules = {r: getattr(estimator, r) for r in ROLES if hasattr(estimator, r)}
    factories = check_modules(modules, network_keywords(estimator))
    if preprocessor is None or not any(modules.values()):
        return factories
    return factories._replace(
        columns=user_columns(
            preprocessor.layout,
            preprocessor.scaling.kept,
            preprocessor.column_types,
            preprocessor.schema.sizes,
            preprocessor.scaling.mean,
        )
    )


def expand_nested(
    estimator: BaseEstimator,
    params: Mapping[str, Any],
    defaults: Mapping[str, Callable[[], BaseEstimator]],
) -> None:
    """Replace short forms by objects, and objects by clones, that are to be changed.

    ``set_params(model__inner_size=20)`` works with ``model="sdgm"``, and
    ``set_params(options__tol=0.0)`` with ``options=None``.

    Parameters
    ----------
    estimator : estimator
        Its attributes are replaced.
    params : mapping of str to object
        The parameters that are going to be set.
    defaults : mapping of str to callable
        For each parameter that may be None a function that returns its object.
    """
    for name in {key.partition("__")[0] for key in params if "__" in key}:
        value = getattr(estimator, name, None)
        if name == "model" and isinstance(value, str):
            setattr(estimator, name, resolve_model(value))
        elif name in defaults and value is None:
            setattr(estimator, name, defaults[name]())
        elif isinstance(value, ModelSpec | TrainingOptions):
            # Another estimator may have the same object.
            setattr(estimator, name, clone(value))


def flat_parameters(
    estimator: BaseEstimator, resolved: Mapping[str, BaseEstimator] | None = None
) -> dict[str, Any]:
    """Return the parameters with those of model and options under their nested names.

    Passing the names without ``__`` to the constructor, and the others to `set_params`,
    gives an equal estimator.

    Parameters
    ----------
    estimator : estimator
        Its parameters.
    resolved : mapping of str to object, default=None
        Objects that replace the short forms of `model` and `options`.

    Returns
    -------
    params : dict of str to object
    """
    flat: dict[str, Any] = {}
    params = estimator.get_params(deep=False) | dict(resolved or {})
    for name, value in params.items():
        if isinstance(value, ModelSpec):
            flat[name] = model_name(value)
        elif not isinstance(value, TrainingOptions):
            flat[name] = value
            continue
        flat |= {f"{name}__{k}": v for k, v in value.get_params(deep=False).items()}
    return flat


def model_name(spec: ModelSpec) -> str:
    """Return the registered name of a model, or the qualified name of its class."""
    kind = type(spec)
    return spec.NAME or f"{kind.__module__}.{kind.__qualname__}"


def model_spec(estimator: BaseEstimator) -> ModelSpec:
    """Return the generative model of an estimator, validated.

    Raises
    ------
    TypeError, ValueError
        If the parameter `model` is no model, or has parameters that are not allowed.
    """
    return resolve_model(estimator.model) if hasattr(estimator, "model") else M1()


def fixed_parameters(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the parameters that cannot change while training continues."""
    params = estimator.get_params(deep=False)
    fixed = {name: params[name] for name in FIXED if name in params}
    if "model" in params:
        spec = model_spec(estimator)
        fixed["model"] = model_name(spec)
        fixed |= {f"model__{k}": v for k, v in spec.module_options().items()}
    return fixed | network_keywords(estimator)


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse parameters that changed although training continues.

    Parameters
    ----------
    before, now : mapping of str to object
        Parameters that define the networks, when they were made and now.

    Raises
    ------
    ValueError
        If one differs.
    """
    for name in {**before, **now}:
        if not _equal(now.get(name), before.get(name)):
            raise ValueError(
                f"{name} was {before.get(name)!r} when the model was created and "
                f"cannot change to {now.get(name)!r} while training continues. Set "
                "warm_start=False and call fit, or use a clone."
            )


def _equal(a: Any, b: Any) -> bool:
    """Compare parameters, which may be arrays or lists of arrays."""
    if a is b:
        return True
    sequences = isinstance(a, list | tuple) and isinstance(b, list | tuple)
    if sequences and len(a) == len(b):  # numpy may not make an array of them
        return all(map(_equal, a, b))
    try:
        return bool(np.array_equal(a, b))
    except ValueError:
        return False
