"""Predictions from ONNX graphs, with the methods of estimators, without torch."""

from __future__ import annotations

import json
import os
import weakref
from importlib.util import find_spec
from typing import Any, get_args

import numpy as np

from sk_ssvae.data.named_batches import FrameLibrary, column_names, select_columns
from sk_ssvae.utils.typing import Array, FloatArray

__all__ = ["OnnxAutoencoder", "OnnxClassifier", "is_graph", "load_graph"]

CHUNK_ROWS = 2**13
"""Number of rows that a graph is evaluated for at once, which bounds the memory."""

NO_CATEGORY = "\0missing"
"""Text that stands for a missing category: any that is none is a missing cell."""

TINY = np.finfo(np.float32).tiny
"""Smallest probability, so that its logarithm is finite."""


_open_sessions: weakref.WeakSet[Any] = weakref.WeakSet()
_sessions_of_parents: list[Any] = []
"""Sessions that a forked process keeps: their end would wait for their threads, which
do not exist there."""


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        after_in_child=lambda: _sessions_of_parents.extend(_open_sessions)
    )


def is_graph(path: str) -> bool:
    """Return whether a path is that of an ONNX graph: it ends in ".onnx"."""
    return path.lower().endswith(".onnx")


class OnnxAutoencoder:
    """The graph of a `VariationalAutoencoder`, evaluated by ONNX Runtime.

    Parameters
    ----------
    graph : bytes
        Contents of the file.
    path : str
        The file, for error messages.
    session : onnxruntime.InferenceSession
        Session of the graph in this process.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of `fit`.
    feature_names_in_ : ndarray of object of shape (n_features,)
        Names of the columns, if all are strings.
    """

    prefix = "variationalautoencoder"

    def __init__(self, graph: bytes, path: str, session: Any) -> None:
        self._graph = graph
        self._path = path
        self._sessions: dict[int, Any] = {os.getpid(): session}
        entries = session.get_modelmeta().custom_metadata_map
        columns = json.loads(entries["columns"])
        names = [column["name"] for column in columns]
        # Otherwise the graph has an input for each column.
        self._is_matrix = not any("categories" in column for column in columns)
        self.n_features_in_ = len(names)
        if all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        self._inputs = [(item.name, item.type) for item in session.get_inputs()]
        self._outputs = {item.name: item.shape[1] for item in session.get_outputs()}

    def get_feature_names_out(self) -> Array:
        """Return the names of the latent dimensions, as the estimator does."""
        size = self._outputs["latent"]
        return np.array([f"{self.prefix}{j}" for j in range(size)], dtype=object)

    def transform(self, X: Any) -> FloatArray:
        """Return latent means, NaN for rows with missing cells."""
        return self._run("latent", X)

    @property
    def frame_library(self) -> FrameLibrary:
        """The first library of data frames that is installed."""
        installed: list[FrameLibrary] = [
            name for name in get_args(FrameLibrary) if find_spec(name) is not None
        ]
        if not installed:
            raise ImportError(
                "Batches of named columns need pandas, polars or pyarrow. Install one, "
                "or call the Scorer with an array of rows."
            )
        return installed[0]

    def _session(self) -> Any:
        """Return the session, a new one after a fork, which its threads do not outlive.

        It has as many threads as there are cores for this process, at most
        OMP_NUM_THREADS, which systems that run several processes set.
        """
        pid = os.getpid()
        if pid not in self._sessions:
            self._sessions[pid] = _new_session(self._graph, self._path)
        return self._sessions[pid]

    def _run(self, output: str, X: Any) -> FloatArray:
        """Return an output of the graph for all rows, chunk by chunk."""
        cells = self._cells(X)
        n_rows = len(cells[0])
        session = self._session()
        result = np.empty((n_rows, self._outputs[output]), dtype=np.float32)
        for start in range(0, n_rows, CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            given = {
                name: part[rows]
                for (name, _), part in zip(self._inputs, cells, strict=True)
            }
            (result[rows],) = session.run([output], given)
        return result

    def _cells(self, X: Any) -> list[Array]:
        """Return rows as the inputs of the graph.

        Raises
        ------
        ValueError
            If the number of columns is not that of `fit`, names of columns are missing,
            or cells are infinite or no numbers.
        """
        if isinstance(X, np.ma.MaskedArray):  # masked cells are missing
            mask, X = np.ma.getmaskarray(X), X.data.astype(object)
            X[mask] = None
        names = getattr(self, "feature_names_in_", None)
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            frame = X
            if names is not None:
                frame = select_columns(
                    X,
                    names.tolist(),
                    owner=type(self).__name__,
                    library=self.frame_library,
                )
            columns = [_column(frame, name) for name in column_names(frame)]
        else:
            array = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
            if array.ndim != 2:
                raise ValueError(
                    f"Expected 2D array, got {array.ndim}D array instead: X has the "
                    f"shape {array.shape}. Reshape it to (n_samples, n_features)."
                )
            if self._is_matrix and array.shape[1] == self.n_features_in_:
                return [self._numbers(array, self._inputs[0][1])]
            columns = list(array.T)
        if len(columns) != self.n_features_in_:
            raise ValueError(
                f"X has {len(columns)} features, but {type(self).__name__} is "
                f"expecting {self.n_features_in_} features as input."
            )
        if self._is_matrix:
            return [self._numbers(np.column_stack(columns), self._inputs[0][1])]
        cells = [
            _text(column) if kind == "tensor(string)" else self._numbers(column, kind)
            for column, (_, kind) in zip(columns, self._inputs, strict=True)
        ]
        return [column[:, None] for column in cells]

    def _numbers(self, cells: Array, kind: str) -> Array:
        """Return cells as finite numbers of the type of an input, or NaN."""
        dtype = np.float32 if kind == "tensor(float)" else np.float64
        if np.iscomplexobj(cells):
            raise ValueError(
                "Complex data not supported: use separate columns for the real and "
                "imaginary parts."
            )
        try:
            with np.errstate(over="ignore"):  # infinite cells are refused below
                numbers = np.ascontiguousarray(cells, dtype=dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"X must hold numbers in columns that are no categories ({error})."
            ) from error
        if np.isinf(numbers).any():
            raise ValueError(
                "Input X contains infinity or a value too large for "
                f"{np.dtype(dtype)!r}."
            )
        return numbers


class OnnxClassifier(OnnxAutoencoder):
    """The graph of an `SSVAEClassifier`, evaluated by ONNX Runtime.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    """

    prefix = "ssvaeclassifier"

    def __init__(self, graph: bytes, path: str, session: Any) -> None:
        super().__init__(graph, path, session)
        entries = session.get_modelmeta().custom_metadata_map
        classes = np.array(json.loads(entries["classes"]))
        # Labels of text are objects, because -1 marks rows without a label.
        is_text = classes.dtype.kind == "U"
        self.classes_: Array = classes.astype(object) if is_text else classes

    def predict_proba(self, X: Any) -> FloatArray:
        """Return class probabilities, NaN for rows with missing cells."""
        return self._run("probabilities", X)

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithms of `predict_proba`."""
        proba = self.predict_proba(X)
        log_proba: FloatArray = np.log(np.maximum(proba, TINY))  # keeps NaN
        return log_proba

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row.

        Raises
        ------
        ValueError
            If a row has missing cells, for which a graph has no probabilities.
        """
        proba = self.predict_proba(X)
        missing = np.flatnonzero(np.isnan(proba).any(axis=1))
        if len(missing):
            raise ValueError(
                f"Row {missing[0]} of X has missing cells, over which a graph cannot "
                "average. Fill them first, for example by impute, or score with a file "
                "that save has written."
            )
        labels: Array = self.classes_[proba.argmax(axis=1)]
        return labels


def load_graph(path: str) -> OnnxAutoencoder:
    """Load a graph that `to_onnx` has written.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    model : OnnxClassifier or OnnxAutoencoder

    Raises
    ------
    ValueError
        If the file is damaged, or was not written by `to_onnx`.
    OSError
        If it cannot be read.
    ImportError
        If onnxruntime is not installed.
    """
    with open(path, "rb") as file:
        graph = file.read()
    session = _new_session(graph, path)
    entries = session.get_modelmeta().custom_metadata_map
    if "sk_ssvae" not in entries or "columns" not in entries:
        raise ValueError(
            f"{path} is an ONNX graph that sk_ssvae.to_onnx has not written. Compute "
            "it with onnxruntime, or export the estimator by sk_ssvae.to_onnx."
        )
    kind = OnnxClassifier if "classes" in entries else OnnxAutoencoder
    return kind(graph, path, session)


def _new_session(graph: bytes, path: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(
            "Scoring with an ONNX graph needs onnxruntime: pip install onnxruntime."
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _n_threads()
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ValueError(
            f"{path} is damaged, or no ONNX graph ({type(error).__name__}). Export the "
            "estimator again by sk_ssvae.to_onnx."
        ) from error
    _open_sessions.add(session)
    return session


def _n_threads() -> int:
    """Return the number of cores for this process, at most OMP_NUM_THREADS."""
    n_cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        n_cores = len(os.sched_getaffinity(0))
    # It may list numbers for nested levels, of which the first counts.
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(n_cores, int(limit))) if limit.isdecimal() else n_cores


def _column(frame: Any, name: Any) -> Array:
    """Return a column of a data frame or table as an array."""
    import narwhals.stable.v2 as nw

    column: Array = nw.from_native(frame, eager_only=True).get_column(name).to_numpy()
    return column


def _text(column: Array) -> Array:
    """Return categories that are text, of which a graph compares the characters."""
    return np.array(
        [value if isinstance(value, str) else NO_CATEGORY for value in column],
        dtype=object,
    )
