"""Headers of files of format 1, converted to the current format.

Format 1 had 42 flat parameters and several private attributes in the place of nested
parameters and a `Preprocessor`.
"""

from typing import Any

from sk_ssvae.training.marginalization import AUTO_TOP_K

__all__ = ["convert_header"]

MODEL_PARAMETERS = {
    "m2": (),
    "m1+m2": ("inner_size", "pretrain_epochs", "finetune_epochs"),
    "sdgm": ("inner_size",),
    "adgm": ("inner_size",),
}
OPTIONS = (
    "adversarial_radius",
    "adversarial_weight",
    "bound_rows",
    "compile",
    "entropy_weight",
    "max_grad_norm",
    "n_iter_no_change",
    "n_threads",
    "precision",
    "teacher_weight",
    "tol",
)
OBJECTIVE = (
    "adversarial_radius",
    "adversarial_weight",
    "alpha",
    "balance_weight",
    "bound_rows",
    "entropy_weight",
    "teacher_weight",
    "top_k",
)
SETTINGS = ("precision", "batch_size", "max_epochs", "lr")
PREPROCESSOR = {
    "_columns": "scaling",
    "_kinds": "column_types",
    "_layout": "layout",
    "_named_kinds": "assigned_types",
    "_table": "schema",
}


def convert_header(header: Any) -> Any:
    """Return a header in the current format.

    Parameters
    ----------
    header : object
        Header of a file of any format.

    Returns
    -------
    header : object

    Raises
    ------
    KeyError, TypeError, ValueError
        If the header is of no format.
    """
    if "made_with" not in header["net"]:
        return header
    params = _convert_parameters(dict(header["params"]))
    top_k = header["net"]["trained_with"]["top_k"]
    if params.get("marginalization") == "auto" and top_k not in (None, AUTO_TOP_K):
        params["marginalization"] = top_k
    return {
        **header,
        "params": params,
        "state": _convert_state(dict(header["state"])),
        "net": _convert_net(header["net"], header["class"], header["params"]),
    }


def _convert_parameters(params: dict[str, Any]) -> dict[str, Any]:
    for name in OPTIONS:
        if name in params:
            params[f"options__{name}"] = params.pop(name)
    params.pop("balance_weight", None)
    top_k = params.pop("top_k", None)
    if params.get("marginalization") == "topk":
        params["marginalization"] = top_k
    model_parameters = {
        name: params.pop(name, None) for name in MODEL_PARAMETERS["m1+m2"]
    }
    for name in MODEL_PARAMETERS.get(params.get("model", ""), ()):
        params[f"model__{name}"] = model_parameters[name]
    return params


def _convert_state(state: dict[str, Any]) -> dict[str, Any]:
    state.pop("_seed")
    parts = {new: state.pop(old) for old, new in PREPROCESSOR.items()}
    state["preprocessor_"] = {"@": "record", "value": ["Preprocessor", parts]}
    if "_log_shift" in state:
        state["log_prior_shift_"] = state.pop("_log_shift")
    fixed = dict(state.pop("_fixed")["value"])  # encoded as a list of pairs
    inner_size = fixed.pop("inner_size", None)
    if "inner_size" in MODEL_PARAMETERS.get(fixed.get("model", ""), ()):
        fixed["model__inner_size"] = inner_size
    state["fixed_parameters_"] = _encoded_dict(fixed)
    return state


def _convert_net(net: Any, class_name: str, params: Any) -> dict[str, Any]:
    module = dict(net["made_with"])
    inner_size = module.pop("inner_size")
    has_inner = "inner_size" in MODEL_PARAMETERS.get(params.get("model", ""), ())
    trained_with = net["trained_with"]
    options = {"inner_size": inner_size} if has_inner else {}
    return {
        "user_networks": net["own"],
        "module": module,
        "module_options": _encoded_dict(options),
        "objective": {name: trained_with[name] for name in OBJECTIVE},
        "settings": {name: trained_with[name] for name in SETTINGS},
        "unsupervised": net["unsupervised"],
        "history": net["history"],
    }


def _encoded_dict(encoded: dict[str, Any]) -> dict[str, Any]:
    """Return a dict of encoded values as `JSONEncoder` encodes a dict."""
    return {"@": "dict", "value": [[name, value] for name, value in encoded.items()]}
