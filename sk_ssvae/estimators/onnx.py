"""Fitted estimators as ONNX graphs, which answer without PyTorch."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sk_ssvae.data.scaling import RowEncoder
from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
from sk_ssvae.estimators.classifier import SSVAEClassifier
from sk_ssvae.models.user_networks import UserNetwork
from sk_ssvae.utils.files import write_bytes_atomically

__all__ = ["to_onnx"]

OPSET = 18
"""Version of ONNX's operators."""


def to_onnx(
    estimator: SSVAEClassifier | VariationalAutoencoder, path: str | os.PathLike[str]
) -> None:
    """Write what a fitted estimator answers as an ONNX graph, for serving.

    The graph takes rows as `predict_proba` does, as one tensor, and scales them and
    fills their gaps itself. ONNX Runtime and others answer by it without PyTorch and
    without this package, to within rounding.

    Parameters
    ----------
    estimator : SSVAEClassifier or VariationalAutoencoder
        Fitted.

    path : str or path-like
        Of the file, which is there as a whole or not at all; an existing one is
        replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is another estimator.
    ValueError
        If networks of your own are none that PyTorch can export.
    OSError
        If the file cannot be written.
    ImportError
        If packages are missing: ``pip install "sk_ssvae[onnx]"``.

    See Also
    --------
    SSVAEClassifier.save : Files from which the whole estimator comes back.

    Notes
    -----
    Input ``X`` is of shape (n_rows, n_features), of float64, or of float32 if the
    estimator was fitted on that; NaN marks cells that are missing. Outputs are
    ``probabilities``, float32 of shape (n_rows, n_classes), of a classifier only, and
    ``latent``, float32 of shape (n_rows, latent_size), which are `predict_proba` and
    `transform`. Unlike there, infinite cells are not refused: they count as far away.

    The metadata of the graph hold JSON: ``classes``, in the order of the columns of
    ``probabilities``, and ``columns``, of which each has a ``name``, and
    ``categories`` if it has some. In the place of a category ``X`` has its position
    among these, counted from 0, and NaN for any other.

    Examples
    --------
    >>> import sk_ssvae
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sk_ssvae.SSVAEClassifier(teacher=None, max_epochs=2).fit(X, y)
    >>> sk_ssvae.to_onnx(clf, "iris.onnx")  # doctest: +SKIP
    >>> import onnxruntime  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("iris.onnx")  # doctest: +SKIP
    >>> proba, latent = session.run(None, {"X": X})  # doctest: +SKIP
    """
    if not isinstance(estimator, SSVAEClassifier | VariationalAutoencoder):
        raise TypeError(
            "to_onnx exports SSVAEClassifier and VariationalAutoencoder, got "
            f"{estimator!r}."
        )
    check_is_fitted(estimator)
    helper = _onnx_helper()
    n_features = len(estimator._columns.kept)
    rows = torch.zeros(3, n_features, dtype=_input_type(estimator), device="cpu")
    try:
        served = _Served(estimator)
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                served,
                (rows,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["X"],
                output_names=served.outputs,
                dynamic_shapes={"rows": {0: torch.export.Dim("n_rows")}},
            )
    except Exception as error:
        if not any(isinstance(m, UserNetwork) for m in estimator.module_.modules()):
            raise
        raise ValueError(
            "Networks of your own cannot be exported: PyTorch has to follow them by "
            f"torch.export, for any number of rows ({type(error).__name__}: "
            f"{str(error)[:300]})."
        ) from error
    graph = program.model_proto
    helper.set_model_props(graph, _properties(estimator))
    write_bytes_atomically(path, graph.SerializeToString())


class _Served(nn.Module):
    """A copy of the networks, on the CPU, with all that is done before and after."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        # Tracing changes what it traces for a while: others may be using the original.
        self.model = copy.deepcopy(estimator.module_).cpu().eval()
        _bare(self.model)
        self.encode = RowEncoder(estimator._columns)
        self.outputs = ["latent"]
        if isinstance(estimator, SSVAEClassifier):
            self.outputs = ["probabilities", "latent"]
            self.temperature = float(estimator.temperature_)
            shift = estimator._log_shift
            self.shift = None if shift is None else torch.from_numpy(np.array(shift))

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Map rows of the user to `predict_proba` and `transform`."""
        cells = self.encode(rows)
        latent = self.model.latent_means(cells)
        if "probabilities" not in self.outputs:
            return (latent,)
        scores = self.model(cells) / self.temperature
        if self.shift is not None:
            scores = scores.log_softmax(-1) + self.shift
        return scores.softmax(-1), latent


class _Bare(nn.Module):
    """A network of the user without what `UserNetwork` watches over."""

    def __init__(self, own: UserNetwork) -> None:
        super().__init__()
        self.network = own.network

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        out: Tensor = self.network(x.clone().flatten(0, -2)).to(x.dtype)
        return out.view(*x.shape[:-1], out.shape[-1])


def _bare(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, UserNetwork):
            setattr(module, name, _Bare(child))
        else:
            _bare(child)


def _input_type(estimator: Any) -> torch.dtype:
    single = estimator._columns.dtype == np.float32
    return torch.float32 if single else torch.float64


def _properties(estimator: Any) -> dict[str, str]:
    """Return what a server has to know besides the graph, as JSON."""
    table = estimator._table
    columns = [
        {"name": _plain(name)} | ({} if values is None else {"categories": values})
        for name, values in zip(table.names, table.categories, strict=True)
    ]
    found = {"sk_ssvae": metadata.version("sk_ssvae"), "columns": columns}
    if isinstance(estimator, SSVAEClassifier):
        found["classes"] = estimator.classes_.tolist()
    return {name: json.dumps(value, default=_plain) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """Return what JSON can hold in the place of a value."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | None) else str(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter has to say to PyTorch's developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _onnx_helper() -> Any:
    try:
        import onnx.helper
        import onnxscript  # noqa: F401
    except ImportError:
        raise ImportError(
            "Exporting estimators needs onnx and onnxscript: pip install "
            '"sk_ssvae[onnx]".'
        ) from None
    return onnx.helper
