"""Serialization of fitted estimators."""

import copyreg
import dataclasses
import json
import os
import platform
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn import __version__ as sklearn_version
from sklearn.utils.validation import check_is_fitted
from skorch import __version__ as skorch_version
from skorch.history import History

from sk_ssvae.data.serialization import JSONDecoder, JSONEncoder, NotSerializableError
from sk_ssvae.estimators.base import FittingMixin
from sk_ssvae.models import MODELS, VAEModule
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS
from sk_ssvae.training.net import SSVAENet, make_net
from sk_ssvae.training.objective import Objective
from sk_ssvae.utils.devices import resolve_device
from sk_ssvae.utils.files import write_file

__all__ = ["PlainStateMixin", "SavingMixin", "from_state", "to_state"]

Arrays = dict[str, npt.NDArray[Any]]

FITTED = frozenset(
    {
        "_columns",
        "_fixed",
        "_kinds",
        "_layout",
        "_log_shift",
        "_named_kinds",
        "_seed",
        "_table",
        "class_prior_",
        "classes_",
        "feature_names_in_",
        "label_distributions_",
        "likelihood_",
        "n_features_in_",
        "temperature_",
        "transduction_",
        "validation_bound_",
    }
)
"""All that an estimator knows after fit beside its net. A file can set nothing else."""

ASIDE = frozenset({"_skl_callbacks", "_callback_fit_ctx", "_skl_callbacks_to_teardown"})
"""What scikit-learn's callbacks keep on an estimator: no part of the model."""

NET = (
    "n_features",
    "class_prior",
    "latent_size",
    "hidden_sizes",
    "classifier_hidden_sizes",
    "likelihood",
    "seed",
    "inner_size",
)
TRAINED_WITH = (
    "precision",
    "batch_size",
    "max_epochs",
    "lr",
)
OWN = ("classifier_module", "encoder_module", "decoder_module")


class SavingMixin(FittingMixin):
    """`save` of a fitted estimator."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that runs no code when it is loaded.

        The file holds weights as safetensors and the rest as JSON, with a checksum of
        both. It is there as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Where to; an existing file is replaced.

        Raises
        ------
        NotFittedError
            If there is nothing to save.
        OSError
            If the file cannot be written. One that was there is as it was.
        ImportError
            If safetensors is not installed: ``pip install "sk_ssvae[files]"``.

        Warns
        -----
        UserWarning
            If parameters cannot be written: estimators as `teacher`, callbacks,
            functions. The loaded estimator has their defaults, and answers as this one
            does; only new training would differ. Networks of your own are given to
            `sk_ssvae.load`.

        See Also
        --------
        sk_ssvae.load : Read it.
        """
        check_is_fitted(self)
        header, arrays, lost = to_state(self)
        if lost:
            warnings.warn(
                f"A file holds no objects such as those of the parameters {lost}: the "
                "loaded estimator will have their defaults. What it answers is the "
                "same.",
                UserWarning,
                stacklevel=2,
            )
        write_file(path, header, arrays)


def to_state(estimator: Any) -> tuple[dict[str, Any], Arrays, list[str]]:
    """Take a fitted estimator apart.

    Returns
    -------
    header : dict
        What JSON can hold.
    arrays : dict of str to ndarray
    lost : list of str
        Parameters that neither can hold.
    """
    encode = JSONEncoder()
    params, lost = {}, []
    for name, value in estimator.get_params(deep=False).items():
        try:
            params[name] = encode(value)
        except NotSerializableError:
            if name not in OWN:
                lost.append(name)
    fixed = {k: v for k, v in estimator._fixed.items() if k in params}
    state = {k: v for k, v in vars(estimator).items() if k in FITTED} | {
        "_fixed": fixed
    }
    net: SSVAENet = estimator.net_
    arrays: Arrays = {}
    for name, tensor in net.module_.state_dict().items():
        arrays[f"module.{name}"] = tensor.detach().cpu().numpy()
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
            "own": [n for n in OWN if getattr(estimator, n, None) is not None],
            "made_with": {n: encode(getattr(net, f"module__{n}")) for n in NET},
            "trained_with": {n: encode(getattr(net, n)) for n in TRAINED_WITH}
            | {k: encode(v) for k, v in dataclasses.asdict(net.objective).items()},
            "unsupervised": bool(net.module_.unsupervised),
            "history": encode(net.history_),
        },
    }
    for name, array in encode.arrays.items():
        arrays[name] = array
    return header, arrays, lost


def from_state(
    kinds: dict[str, type[Any]],
    header: Any,
    arrays: Arrays,
    device: str | None,
    parameters: dict[str, Any],
) -> Any:
    """Make an estimator of what `save` has written.

    Parameters
    ----------
    kinds : dict of str to class
        Estimators that there are, by name.
    header, arrays
        As `write_file` was given them.
    device : str or None
        Where its networks shall be; None leaves it to the parameter `device`.
    parameters : dict
        Parameters that a file cannot hold.

    Returns
    -------
    estimator : estimator
        Fitted.

    Raises
    ------
    ValueError
        If a network of the user's own is missing, or is another.
    TypeError, KeyError, AttributeError, RuntimeError
        If `save` has not written this.
    """
    kind = kinds[header["class"]]
    decode = JSONDecoder(arrays)
    params = {name: decode(value) for name, value in header["params"].items()}
    estimator = kind(**(params | parameters))
    if device is not None:
        estimator.set_params(device=device)
    try:
        resolve_device(estimator.device)
    except ValueError:
        raise LookupError(
            f"wants the device {str(estimator.device)!r}, which is not here. Pass "
            "another: sk_ssvae.load(path, device='cpu')"
        ) from None
    state = {name: decode(value) for name, value in header["state"].items()}
    if not set(state) <= FITTED:
        raise ValueError(f"state {sorted(set(state) - FITTED)}")
    for name, value in state.items():
        setattr(estimator, name, value)
    for name, value in estimator._fixed_parameters().items():
        estimator._fixed.setdefault(name, value)  # what the file could not hold
    estimator.net_ = _net(estimator, header["net"], decode)
    return estimator


def _net(estimator: Any, header: Any, decode: JSONDecoder) -> SSVAENet:
    """Make the net, with its weights and what its optimizer remembers."""
    missing = [n for n in header["own"] if getattr(estimator, n, None) is None]
    if missing:
        raise LookupError(
            f"was saved with a network of the user's own as {missing[0]}, and a file "
            f"holds no code. Pass it: sk_ssvae.load(path, {missing[0]}=...)"
        )
    made_with = {name: decode(header["made_with"][name]) for name in NET}
    _check_sizes(made_with, header["own"], decode.arrays)
    prior = np.asarray(made_with.pop("class_prior"), dtype=np.float64)
    model: type[VAEModule] = M1Module
    if hasattr(estimator, "model"):
        model = MODELS[estimator.model]
    net = make_net(
        module_class=model,
        module_options={"inner_size": made_with.pop("inner_size")},
        class_prior=prior,
        device=resolve_device(estimator.device),
        networks=estimator._networks() if header["own"] else BUILT_IN_NETWORKS,
        **made_with,
    )
    weights = {
        name.removeprefix("module."): torch.from_numpy(array)
        for name, array in decode.arrays.items()
        if name.startswith("module.")
    }
    net.module_.load_state_dict(weights)
    net.module_.unsupervised = bool(header["unsupervised"])
    net.module_.eval()
    net.load_optimizer_state(
        {
            name.removeprefix("optimizer."): array
            for name, array in decode.arrays.items()
            if name.startswith("optimizer.")
        }
    )
    net.set_params(**{n: decode(header["trained_with"][n]) for n in TRAINED_WITH})
    names = [field.name for field in dataclasses.fields(Objective)]
    weights = {n: decode(header["trained_with"][n]) for n in names}
    net.set_params(objective=Objective(**weights))
    history = decode(header["history"])
    if not isinstance(history, History):
        raise TypeError("a history")
    net.history_ = history
    return net


def _check_sizes(made_with: dict[str, Any], own: Any, arrays: Arrays) -> None:
    """Refuse sizes that no weights in the file have, before networks are made."""
    most = sum(array.size for array in arrays.values())
    layers = [made_with["hidden_sizes"]]
    if "classifier_module" not in own:  # which has no layers of these sizes
        layers.append(made_with["classifier_hidden_sizes"])
    sizes = [
        *(size for hidden_sizes in layers for size in hidden_sizes),
        *(made_with[n] or 1 for n in ("n_features", "latent_size", "inner_size")),
        len(made_with["class_prior"]),
    ]
    for size in sizes:
        if not isinstance(size, int) or not 0 < size <= most:
            raise ValueError(f"a layer of size {size!r}")
    for hidden_sizes in layers:
        for a, b in pairwise(hidden_sizes):
            if a * b > most:
                raise ValueError(f"a layer of size {a} x {b}")


_JSON, _ARRAYS, _OBJECTS = "fitted", "arrays", "objects"


class PlainStateMixin(SavingMixin):
    """`__getstate__` that tells a fitted estimator in plain types.

    Libraries that look for it, as skops does, are given arrays, a text and parameters;
    pickle and copy, which ask `__reduce_ex__` first, are given the objects themselves.
    """

    def __getstate__(self) -> dict[str, Any]:
        if not self.__sklearn_is_fitted__():
            state: dict[str, Any] = super().__getstate__()
            return state
        header, arrays, lost = to_state(self)
        params = self.get_params(deep=False)
        objects = [*lost, *(name for name in OWN if params.get(name) is not None)]
        return {
            _JSON: json.dumps(header, allow_nan=False),
            _ARRAYS: {name: np.array(array) for name, array in arrays.items()},
            _OBJECTS: {name: params[name] for name in objects},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        if _JSON not in state:
            super().__setstate__(state)
            return
        kinds = {type(self).__name__: type(self)}
        header, device = json.loads(state[_JSON]), None
        wanted = header["params"]["device"]
        try:
            resolve_device(wanted)
        except ValueError:
            warnings.warn(
                f"The estimator was saved with device={wanted!r}, which is not here: "
                "it is on the CPU now, with device='cpu'.",
                UserWarning,
                stacklevel=2,
            )
            device = "cpu"
        twin = from_state(kinds, header, state[_ARRAYS], device, state[_OBJECTS])
        self.__dict__.update(vars(twin))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # What `__getstate__` of the classes above gives.
        return copyreg.__newobj__, (type(self),), super().__getstate__()  # type: ignore[attr-defined]
