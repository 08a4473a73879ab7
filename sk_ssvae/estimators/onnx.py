"""Export of fitted estimators as ONNX graphs."""

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
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sk_ssvae.data.scaling import RowEncoder
from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
from sk_ssvae.estimators.classifier import SSVAEClassifier
from sk_ssvae.estimators.onnx_inputs import check_categories, name_inputs
from sk_ssvae.models.user_networks import UserNetwork
from sk_ssvae.utils.files import write_bytes_atomically

__all__ = ["to_onnx"]

OPSET = 18
"""Version of the ONNX operators."""


def to_onnx(
    estimator: SSVAEClassifier | VariationalAutoencoder, path: str | os.PathLike[str]
) -> None:
    """Export the predictions of a fitted estimator as an ONNX graph.

    The graph contains the encoding of categories and the scaling of columns. ONNX
    Runtime and other engines evaluate it without PyTorch and without this package;
    results agree up to rounding.

    Parameters
    ----------
    estimator : SSVAEClassifier or VariationalAutoencoder
        A fitted estimator.

    path : str or path-like
        The file. It is written atomically; an existing file is replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is another estimator, such as a pipeline.
    ValueError
        If PyTorch cannot export user-supplied networks, or a column has categories that
        are neither strings nor numbers.
    OSError
        If the file cannot be written.
    ImportError
        If packages are missing: ``pip install "sk_ssvae[onnx]"``.

    See Also
    --------
    SSVAEClassifier.save : Save the whole estimator.

    Notes
    -----
    Without columns of categories the input is ``X`` of shape (n_rows, n_features), with
    dtype float64, or float32 if the estimator was fitted on float32. With columns of
    categories there is one input of shape (n_rows, 1) for each column, with its name,
    as in the graphs of skl2onnx: strings for categories that are strings, else numbers.
    Any string or number that is no category is a missing cell.

    The outputs are ``probabilities``, float32 of shape (n_rows, n_classes), for a
    classifier only, and ``latent``, float32 of shape (n_rows, latent_size): the results
    of `predict_proba` and `transform`. For rows with missing cells (NaN) these methods
    average over draws from the model, which a graph does not contain: it returns NaN
    for such rows. Fill missing cells first, for example by `impute`. Unlike the
    methods, the graph does not refuse infinite cells; it clips them.

    The metadata of the graph hold JSON: ``classes``, in the order of the columns of
    ``probabilities``, and ``columns``, each with a ``name``, and ``categories`` for
    columns of categories.

    Of a pipeline, export the last step; it takes rows that the other steps have
    transformed.

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
    if isinstance(estimator, Pipeline):
        raise TypeError(
            "to_onnx exports single estimators, got a Pipeline. Export its last step, "
            "to_onnx(pipeline[-1], path), and pass it rows that the other steps have "
            "transformed, pipeline[:-1].transform(X), or join both graphs by "
            "onnx.compose.merge_models; skl2onnx exports pipeline[:-1]. Scaling, "
            "categories and missing cells need no step of a pipeline."
        )
    if not isinstance(estimator, SSVAEClassifier | VariationalAutoencoder):
        raise TypeError(
            "to_onnx exports SSVAEClassifier and VariationalAutoencoder, got "
            f"{estimator!r}."
        )
    check_is_fitted(estimator)
    helper = _import_onnx_helper()
    for name, values in zip(
        estimator.preprocessor_.schema.names,
        estimator.preprocessor_.schema.categories,
        strict=True,
    ):
        check_categories(name, values)
    n_features = len(estimator.preprocessor_.scaling.kept)
    rows = torch.zeros(3, n_features, dtype=_input_dtype(estimator), device="cpu")
    try:
        network = _ExportedNetwork(estimator)
        with _without_exporter_messages(), torch.no_grad():
            program: Any = torch.onnx.export(
                network,
                (rows,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["X"],
                output_names=network.outputs,
                dynamic_shapes={"rows": {0: torch.export.Dim("n_rows")}},
            )
    except Exception as error:
        modules = estimator.module_.modules()
        if not any(isinstance(m, UserNetwork) for m in modules):
            raise
        raise ValueError(
            "User-supplied networks cannot be exported: torch.export must be able to "
            f"trace them for any number of rows ({type(error).__name__}: "
            f"{str(error)[:300]})."
        ) from error
    graph = program.model_proto
    schema = estimator.preprocessor_.schema
    if any(schema.sizes):
        name_inputs(graph, [str(name) for name in schema.names], schema.categories)
    helper.set_model_props(graph, _metadata(estimator))
    write_bytes_atomically(path, graph.SerializeToString())


class _ExportedNetwork(nn.Module):
    """A copy of the networks on the CPU, with scaling before and softmax after."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        # Tracing modifies the networks temporarily, and other threads may use them.
        self.model = copy.deepcopy(estimator.module_).cpu().eval()
        _unwrap_user_networks(self.model)
        self.encode = RowEncoder(estimator.preprocessor_.scaling)
        self.outputs = ["latent"]
        if isinstance(estimator, SSVAEClassifier):
            self.outputs = ["probabilities", "latent"]
            self.temperature = float(estimator.temperature_)
            shift = estimator.log_prior_shift_
            self.shift = None if shift is None else torch.from_numpy(np.array(shift))

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Map the user's rows to the results of `predict_proba` and `transform`."""
        cells = self.encode(rows)
        incomplete = cells.isnan().any(-1, keepdim=True)
        latent = self.model.latent_means(cells)
        latent = latent.masked_fill(incomplete, torch.nan)
        if "probabilities" not in self.outputs:
            return (latent,)
        scores = self.model(cells) / self.temperature
        if self.shift is not None:
            scores = scores.log_softmax(-1) + self.shift
        return scores.softmax(-1).masked_fill(incomplete, torch.nan), latent


class _UnwrappedNetwork(nn.Module):
    """A user-supplied network without the checks of `UserNetwork`."""

    def __init__(self, wrapper: UserNetwork) -> None:
        super().__init__()
        self.wrapper = [wrapper]  # not as a module, so that it is not traced
        self.network = wrapper.network

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of the model to its outputs."""
        (wrapper,) = self.wrapper
        out: Tensor = self.network(wrapper.network_inputs(x)).to(x.dtype)
        return wrapper.model_outputs(out, x)


def _unwrap_user_networks(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, UserNetwork):
            setattr(module, name, _UnwrappedNetwork(child))
        else:
            _unwrap_user_networks(child)


def _input_dtype(estimator: Any) -> torch.dtype:
    is_single = estimator.preprocessor_.scaling.dtype == np.float32
    return torch.float32 if is_single else torch.float64


def _metadata(estimator: Any) -> dict[str, str]:
    """Return names, categories and classes as JSON."""
    schema = estimator.preprocessor_.schema
    columns = [
        {"name": _to_json(name)} | ({} if values is None else {"categories": values})
        for name, values in zip(schema.names, schema.categories, strict=True)
    ]
    entries = {"sk_ssvae": metadata.version("sk_ssvae"), "columns": columns}
    if isinstance(estimator, SSVAEClassifier):
        entries["classes"] = estimator.classes_.tolist()
    return {key: json.dumps(value, default=_to_json) for key, value in entries.items()}


def _to_json(value: Any) -> Any:
    """Return a value that JSON can hold; a string for other types."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | None) else str(value)


@contextmanager
def _without_exporter_messages() -> Iterator[None]:
    """Silence messages of the exporter that are meant for PyTorch's developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _import_onnx_helper() -> Any:
    try:
        import onnx.helper
        import onnxscript  # noqa: F401  (torch.onnx imports it later)
    except ImportError:
        raise ImportError(
            "Exporting estimators needs onnx and onnxscript: pip install "
            '"sk_ssvae[onnx]".'
        ) from None
    return onnx.helper
