"""Serialization of fitted estimators to JSON and arrays, and back.

Nothing that is read is imported, called or looked up by a name in a file, except for
the names listed here and in `sk_ssvae.data.serialization`.
"""

import json
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn import __version__ as sklearn_version
from sklearn.base import clone
from skorch import __version__ as skorch_version
from skorch.history import History

from sk_ssvae.data.serialization import (
    JSONDecoder,
    JSONEncoder,
    NotSerializableError,
)
from sk_ssvae.estimators.format_1 import convert_header
from sk_ssvae.estimators.parameters import (
    fixed_parameters,
    flat_parameters,
    model_name,
    model_spec,
    network_factories,
)
from sk_ssvae.models import MODELS, ModelSpec
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS
from sk_ssvae.models.user_networks import ROLES
from sk_ssvae.training.net import SSVAENet, make_net
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.utils.devices import resolve_device
from sk_ssvae.utils.files import write_file
from sk_ssvae.utils.sklearn_private import (
    CALLBACK_STATE,
    CALLBACKS,
    validate_parameters,
)
from sk_ssvae.utils.typing import Array

__all__ = [
    "COMPUTED_ATTRIBUTES",
    "FITTED_ATTRIBUTES",
    "TRANSIENT_ATTRIBUTES",
    "from_plain_state",
    "from_state",
    "is_plain_state",
    "plain_state",
    "save",
    "to_state",
]

Arrays = dict[str, Array]

FITTED_ATTRIBUTES = frozenset(
    {
        "choices_",
        "class_prior_",
        "classes_",
        "feature_names_in_",
        "fit_record_",
        "fit_time_",
        "fixed_parameters_",
        "label_distributions_",
        "likelihood_",
        "log_prior_shift_",
        "n_features_in_",
        "preprocessor_",
        "temperature_",
        "validation_bound_",
    }
)
"""The fitted attributes beside the net. A file cannot set any other."""

COMPUTED_ATTRIBUTES = frozenset({"transduction_"})
"""Fitted attributes that files of earlier versions hold, and that now follow from the
others."""

TRANSIENT_ATTRIBUTES = frozenset({CALLBACKS, *CALLBACK_STATE})
"""What scikit-learn's callbacks keep on an estimator. It is not part of the model."""

MODULE_ARGUMENTS = (
    "n_features",
    "class_prior",
    "latent_size",
    "hidden_sizes",
    "classifier_hidden_sizes",
    "likelihood",
    "seed",
)
NET_ARGUMENTS = ("precision", "batch_size", "max_epochs", "lr")
"""Settings of the last training that the net keeps."""

_JSON, _ARRAYS, _OBJECTS = "fitted", "arrays", "objects"
"""Keys of the plain state, which libraries such as skops ask for."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file; see `SSVAEClassifier.save`."""
    header, arrays, lost = to_state(estimator)
    if "model" in lost:
        lost.remove("model")
        warnings.warn(
            f"A file cannot hold the class of {estimator.model!r}, which has no "
            "registered name. Pass the model to sk_ssvae.load(path, model=...), or "
            "register a name: class MyModel(ModelSpec, name='my_model').",
            UserWarning,
            stacklevel=3,
        )
    if lost:
        warnings.warn(
            f"A file cannot hold the objects passed as {lost}: the loaded estimator "
            "will have the defaults of these parameters. Its predictions are the same.",
            UserWarning,
            stacklevel=3,
        )
    write_file(path, header, arrays)


def to_state(estimator: Any) -> tuple[dict[str, Any], Arrays, list[str]]:
    """Return the state of a fitted estimator.

    Returns
    -------
    header : dict
        Values that JSON can hold.
    arrays : dict of str to ndarray
    lost : list of str
        Parameters that neither can hold.
    """
    encode = JSONEncoder()
    params, lost = {}, []
    for name, value in flat_parameters(estimator).items():
        try:
            params[name] = encode(value)
        except NotSerializableError:
            if name not in ROLES:
                lost.append(name)
    if "model" in params and params["model"] not in MODELS:
        lost.append("model")
        params = {k: v for k, v in params.items() if not _is_of_model(k)}
    state = {k: v for k, v in vars(estimator).items() if k in FITTED_ATTRIBUTES}
    fixed = estimator.fixed_parameters_
    state["fixed_parameters_"] = {
        name: value
        for name, value in fixed.items()
        if name in params or (_is_of_model(name) and _is_serializable(value))
    }
    net: SSVAENet = estimator.net_
    arrays: Arrays = {
        f"module.{name}": tensor.detach().cpu().numpy()
        for name, tensor in net.module_.state_dict().items()
    }
    arrays |= {f"optimizer.{k}": v for k, v in net.optimizer_state().items()}
    header = {
        "class": type(estimator).__name__,
        "versions": {
            "numpy": np.__version__,
            "python": platform.python_version(),
            "scikit-learn": sklearn_version,
            "skorch": skorch_version,
            "torch": torch.__version__,
        },
        "params": params,
        "state": {name: encode(value) for name, value in state.items()},
        "net": {
            "user_networks": _user_networks(estimator),
            "all_columns": net.module__networks.columns is not None,
            "module": {
                name: encode(getattr(net, f"module__{name}"))
                for name in MODULE_ARGUMENTS
            },
            "module_options": encode(_module_options(net)),
            "objective": {k: encode(v) for k, v in asdict(net.objective).items()},
            "settings": {name: encode(getattr(net, name)) for name in NET_ARGUMENTS},
            "unsupervised": bool(net.module_.unsupervised),
            "history": encode(net.history_),
        },
    }
    return header, arrays | encode.arrays, lost


def _module_options(net: SSVAENet) -> dict[str, Any]:
    """Return the keyword arguments of the networks beyond the common ones.

    Those that a file cannot hold are left out: they are parameters of the model.
    """
    common = {f"module__{name}" for name in (*MODULE_ARGUMENTS, "networks")}
    options = {}
    for name, value in vars(net).items():
        is_option = name.startswith("module__") and name not in common
        if is_option and _is_serializable(value):
            options[name.removeprefix("module__")] = value
    return options


def _is_of_model(name: str) -> bool:
    return name.partition("__")[0] == "model"


def _is_serializable(value: Any) -> bool:
    try:
        JSONEncoder()(value)
    except NotSerializableError:
        return False
    return True


def _user_networks(estimator: Any) -> list[str]:
    return [role for role in ROLES if getattr(estimator, role, None) is not None]


def from_state(
    classes: Mapping[str, type[Any]],
    header: Any,
    arrays: Arrays,
    device: str | None,
    parameters: Mapping[str, Any],
) -> Any:
    """Create an estimator from its state.

    Parameters
    ----------
    classes : mapping of str to class
        The estimators by name.
    header, arrays
        As `to_state` returned them, in the current or an older format.
    device : str or None
        Device of its networks; None uses the parameter `device`.
    parameters : mapping of str to object
        Parameters that a file cannot hold.

    Returns
    -------
    estimator : estimator
        Fitted.

    Raises
    ------
    LookupError
        If a user-supplied network is missing, or the device is not available.
    TypeError, KeyError, ValueError, AttributeError, RuntimeError
        If `to_state` did not return this state.
    """
    decode = JSONDecoder(arrays)
    header = convert_header(header)
    params = {name: decode(value) for name, value in header["params"].items()}
    for name in {"model", "options"} & set(parameters):  # replace what the file has
        params = {k: v for k, v in params.items() if not k.startswith(f"{name}__")}
    for name, value in parameters.items():
        params[name] = clone(value) if _is_object(value) else value
    params = {
        k: v for k, v in params.items() if k in parameters or not _is_idle(k, params)
    }
    nested = {k: v for k, v in params.items() if _is_nested(k)}
    estimator = classes[header["class"]](
        **{k: v for k, v in params.items() if k not in nested}
    )
    estimator.set_params(**nested)
    if device is not None:
        estimator.set_params(device=device)
    try:
        resolve_device(estimator.device)
    except ValueError:
        raise LookupError(
            f"needs the device {str(estimator.device)!r}, which is not available here. "
            "Pass another: sk_ssvae.load(path, device='cpu')"
        ) from None
    state = {
        name: decode(value)
        for name, value in header["state"].items()
        if name not in COMPUTED_ATTRIBUTES
    }
    if not set(state) <= FITTED_ATTRIBUTES:
        raise ValueError(f"state {sorted(set(state) - FITTED_ATTRIBUTES)}")
    if "classes_" in state:
        state.setdefault("choices_", {})  # which files of earlier versions lack
    for name, value in state.items():
        setattr(estimator, name, value)
    estimator.net_ = _make_net(estimator, header["net"], decode)
    for name, value in fixed_parameters(estimator).items():
        estimator.fixed_parameters_.setdefault(name, value)  # what a file cannot hold
    if parameters:
        validate_parameters(estimator)
    return estimator


def _is_nested(name: str) -> bool:
    return name.startswith(("model__", "options__"))


def _is_idle(name: str, params: Mapping[str, Any]) -> bool:
    """Whether a name is a keyword argument of a network that is not there.

    Estimators used to ignore such parameters, so that files may hold them.
    """
    role, separator, _ = name.partition("__")
    return role in ROLES and bool(separator) and params.get(role) is None


def _is_object(value: Any) -> bool:
    return isinstance(value, ModelSpec | TrainingOptions)


def _fitted_model(estimator: Any) -> ModelSpec:
    """Return the model that was fitted; the parameter may have been changed since."""
    current = model_spec(estimator)
    name = estimator.fixed_parameters_.get("model", model_name(current))
    if name == model_name(current):
        return current
    if name not in MODELS:
        raise LookupError(
            f"was saved with the model {name}, which has no registered name. Pass it: "
            "sk_ssvae.load(path, model=...)"
        )
    return MODELS[name]()


def _make_net(estimator: Any, header: Any, decode: JSONDecoder) -> SSVAENet:
    """Create the net with its weights and the state of its optimizer."""
    user_networks = header["user_networks"]
    for role in user_networks:
        if getattr(estimator, role, None) is None:
            raise LookupError(
                f"was saved with a user-supplied network as {role}, and a file holds "
                f"no code. Pass it: sk_ssvae.load(path, {role}=...)"
            )
    for role in _user_networks(estimator):
        if role not in user_networks:
            raise LookupError(
                f"was saved without a user-supplied network as {role}. Leave {role} "
                "out of the parameters of sk_ssvae.load"
            )
    module = {name: decode(header["module"][name]) for name in MODULE_ARGUMENTS}
    spec = _fitted_model(estimator)
    options = spec.module_options() | decode(header["module_options"])
    _check_sizes(module, options, user_networks, decode.arrays)
    prior = np.asarray(module.pop("class_prior"), dtype=np.float64)
    networks = BUILT_IN_NETWORKS
    if user_networks:
        # In older files, user-supplied networks do not take constant columns.
        all_columns = header.get("all_columns", False)
        preprocessor = estimator.preprocessor_ if all_columns else None
        networks = network_factories(estimator, preprocessor)
    net = make_net(
        module_class=spec.module_class,
        class_prior=prior,
        device=resolve_device(estimator.device),
        module_options=options,
        networks=networks,
        **module,
    )
    net.module_.load_state_dict(
        {k: torch.from_numpy(v) for k, v in _with_prefix("module.", decode).items()}
    )
    net.module_.unsupervised = bool(header["unsupervised"])
    net.module_.eval()
    net.load_optimizer_state(_with_prefix("optimizer.", decode))
    objective = {k: decode(v) for k, v in header["objective"].items()}
    had_balance = objective.pop("balance_weight", None) is not None
    settings = {name: decode(header["settings"][name]) for name in NET_ARGUMENTS}
    net.set_params(objective=Objective(**objective), **settings)
    history = decode(header["history"])
    if not isinstance(history, History):
        raise TypeError("a history")
    if had_balance:  # of earlier versions, which recorded it together with the entropy
        for row in history:
            if "confidence" in row:
                row["entropy"] = row.pop("confidence")
    net.history_ = history
    return net


def _with_prefix(prefix: str, decode: JSONDecoder) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in decode.arrays.items()
        if name.startswith(prefix)
    }


def _check_sizes(
    module: dict[str, Any], options: Any, user_networks: Any, arrays: Arrays
) -> None:
    """Refuse layers larger than all arrays of the file, before they are allocated."""
    largest = sum(array.size for array in arrays.values())
    layers = [module["hidden_sizes"]]
    if "classifier_module" not in user_networks:
        layers.append(module["classifier_hidden_sizes"])
    sizes = [
        *(size for hidden_sizes in layers for size in hidden_sizes),
        module["n_features"],
        module["latent_size"],
        options.get("inner_size", 1),
        len(module["class_prior"]),
    ]
    for size in sizes:
        if not isinstance(size, int) or not 0 < size <= largest:
            raise ValueError(f"a layer of size {size!r}")
    for hidden_sizes in layers:
        for a, b in pairwise(hidden_sizes):
            if a * b > largest:
                raise ValueError(f"a layer of size {a} x {b}")


def plain_state(estimator: Any) -> dict[str, Any]:
    """Return the state of a fitted estimator as arrays, text and parameters."""
    header, arrays, lost = to_state(estimator)
    params = flat_parameters(estimator)
    params |= {"model": getattr(estimator, "model", None)}
    return {
        _JSON: json.dumps(header, allow_nan=False),
        _ARRAYS: {name: np.array(array) for name, array in arrays.items()},
        _OBJECTS: {name: params[name] for name in (*lost, *_user_networks(estimator))},
    }


def is_plain_state(state: Mapping[str, Any]) -> bool:
    """Return whether `plain_state` returned a state."""
    return _JSON in state


def from_plain_state(kind: type[Any], state: Mapping[str, Any]) -> Any:
    """Create a fitted estimator from `plain_state`, on the CPU if need be."""
    header, device = json.loads(state[_JSON]), None
    wanted = header["params"]["device"]
    try:
        resolve_device(wanted)
    except ValueError:
        warnings.warn(
            f"The estimator was saved with device={wanted!r}, which is not available "
            "here. It is on the CPU now, with device='cpu'.",
            UserWarning,
            stacklevel=3,
        )
        device = "cpu"
    classes = {kind.__name__: kind}
    return from_state(classes, header, state[_ARRAYS], device, state[_OBJECTS])
