"""Scoring of many rows, block by block, with an estimator that is loaded once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_ssvae.data.named_batches import add_columns, column_names, select_columns
from sk_ssvae.estimators.loaded_files import load_once
from sk_ssvae.estimators.onnx_models import is_graph
from sk_ssvae.estimators.row_methods import (
    check_estimator,
    check_method,
    check_n_features,
    empty_output,
    frame_library,
    last_model,
    output_names,
)
from sk_ssvae.utils.typing import Array

if TYPE_CHECKING:
    from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
    from sk_ssvae.estimators.classifier import SSVAEClassifier

__all__ = ["Scorer"]


class Scorer:
    """Function from blocks of rows to predictions, for distributed computations.

    A scorer is a small object that refers to a saved estimator by the path of its file.
    Dask, Ray, Spark and joblib send it to their processes by pickle; the estimator is
    loaded there from the file, once per process, however many blocks there are.

    Parameters
    ----------
    model : str, path-like or estimator
        Path of a file that `save` has written, or, if it ends in ".onnx", `to_onnx`;
        all processes must be able to read it. It is made absolute, and symbolic links
        are resolved. Of a graph, onnxruntime computes the methods but "score_samples",
        without importing torch, with as many threads as cores, at most OMP_NUM_THREADS.
        Alternatively a fitted `SSVAEClassifier` or `VariationalAutoencoder`, or a
        pipeline that ends in one. An estimator is pickled with the scorer, by plain
        pickle, which also takes user-supplied networks. A system that pickles functions
        for each block sends it with each block.

    method : {"predict", "predict_proba", "predict_log_proba", "transform", \
            "score_samples"}, default="predict_proba"
        Method of the estimator that is called.

    device : str, default=None
        Device of an estimator that is loaded from a file, such as "cpu"; see `load`.

    Attributes
    ----------
    model : str or estimator
        Absolute path, or the estimator.

    method : str
        As the parameter.

    device : str or None
        As the parameter.

    Raises
    ------
    FileNotFoundError
        If the file does not exist, here or in a process that scores blocks.
    ValueError
        If the file is damaged, was replaced after the scorer was created, or the
        estimator does not have the method. All blocks are scored by the same model, or
        an error is raised.
    TypeError
        If `model` is neither a path nor such an estimator.
    NotFittedError
        If an estimator is not fitted.
    ImportError
        If safetensors, which reads files of `save`, is not installed: ``pip install
        "sk_ssvae[files]"``, or onnxruntime, which computes graphs.

    See Also
    --------
    SSVAEClassifier.save : Write the file.
    to_onnx : Predictions without PyTorch.

    Notes
    -----
    Results are those of the method for the same block, bit for bit; those of a graph
    agree up to rounding, and are NaN for rows with missing cells. Between blocks of
    different sizes they may differ in the last bits, because the rounding of a matrix
    product depends on its shape.

    A process keeps the 16 estimators that were used last, and loads a file again if its
    time of modification, size or inode has changed.

    Examples
    --------
    >>> import pickle, tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import Scorer, SSVAEClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = SSVAEClassifier(teacher=None, max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf.save(Path(folder, "iris.ssvae"))
    ...     scorer = Scorer(Path(folder, "iris.ssvae"), "predict_proba")
    ...     size = len(pickle.dumps(scorer))
    ...     proba = scorer(X[:50])
    ...     batch = scorer.batch(X[:50])
    >>> size < 500
    True
    >>> bool((proba == clf.predict_proba(X[:50])).all())
    True
    >>> list(batch.columns[-3:])
    ['proba_0', 'proba_1', 'proba_2']
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SSVAEClassifier | VariationalAutoencoder | Any,
        method: str = "predict_proba",
        *,
        device: str | None = None,
    ) -> None:
        self.model: Any = model
        self.method = method
        self.device = device
        self._checksum: str | None = None
        if isinstance(model, str | os.PathLike):
            given = os.fsdecode(model)
            self.model = os.path.realpath(given)
            if is_graph(self.model) != is_graph(given):
                self.model = os.path.abspath(given)  # the link's name tells the kind
            if device is not None and is_graph(self.model):
                raise ValueError(
                    f"device={device!r} is for files that save has written; ONNX "
                    "graphs are computed on the CPU. Leave it out."
                )
            self._checksum = load_once(self.model, device).checksum
        else:
            check_estimator(model)
            if device is not None:
                raise ValueError(
                    f"device={device!r} is for files; the estimator is on "
                    f"{str(last_model(model).device_)!r} already. Leave it out."
                )
        check_method(self.estimator, method)

    def __repr__(self) -> str:
        return f"Scorer({self.model!r}, {self.method!r})"

    @property
    def estimator(self) -> Any:
        """The estimator, loaded unless this process has loaded it before.

        All scorers of the same file share it, so it should not be changed.
        """
        if self._checksum is None:
            return self.model
        file = load_once(self.model, self.device)
        if file.checksum != self._checksum:
            raise ValueError(
                f"{self.model} has been replaced since this Scorer was created, and "
                "blocks would be scored by different models. Create a new Scorer."
            )
        return file.estimator

    @property
    def n_outputs(self) -> int:
        """Number of values for each row.

        It is 1 for "predict" and "score_samples", whose results have one dimension.
        """
        return len(self.output_names)

    @property
    def output_names(self) -> list[str]:
        """Names of the columns that `batch` adds.

        They are "prediction", "proba_CLASS" or "log_proba_CLASS" for each class, the
        names of the latent dimensions (`get_feature_names_out`), or "score_samples".
        """
        return output_names(self.estimator, self.method)

    @property
    def meta(self) -> Array:
        """Result for no rows: an empty array of the right dtype and dimensions."""
        return empty_output(self.estimator, self.method)

    def __call__(self, block: Any) -> Array:
        """Score a block of rows.

        Parameters
        ----------
        block : array-like, sparse array or frame of shape (n_rows, n_features)
            Rows with the columns of `fit`, in memory. There may be no rows, which the
            methods of estimators refuse.

        Returns
        -------
        result : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            What the method returns for the block.

        Raises
        ------
        ValueError, TypeError
            As the method, for instance if the block has other columns.
        """
        estimator = self.estimator
        shape: tuple[int, ...] = getattr(block, "shape", ())
        if len(shape) == 2 and shape[0] == 0:
            check_n_features(estimator, shape[1])
            return self.meta
        # With scikit-learn's `set_output`, `transform` returns a data frame.
        return np.asarray(getattr(estimator, self.method)(block))

    def batch(self, batch: Any) -> Any:
        """Score a batch of named columns, and add the results to it as columns.

        For `map_batches` of Ray Data, `map_partitions` of Dask data frames, and record
        batches of Arrow. The columns of the estimator are selected by name; others may
        be present and are kept.

        Parameters
        ----------
        batch : dict of ndarray, data frame, or table or record batch of Arrow
            Columns of equal length, among them those of `fit`.

        Returns
        -------
        batch : dict, data frame, or table or record batch of Arrow
            Of the same kind, with the columns `output_names` at the end.

        Raises
        ------
        ValueError
            If columns are missing, columns have the names of the results, or the
            estimator was fitted without feature names.
        TypeError
            If the batch has no named columns, or values are neither numbers nor
            categories.
        """
        estimator, names = self.estimator, self.output_names
        owner = type(estimator).__name__
        features = getattr(estimator, "feature_names_in_", None)
        if features is None:
            raise ValueError(
                f"{owner} was fitted without feature names, so that the columns of a "
                "batch cannot be selected by name. Fit it on a data frame, or call the "
                "Scorer with an array of rows."
            )
        X = select_columns(
            batch, features.tolist(), owner=owner, library=frame_library(estimator)
        )
        taken = sorted({*names} & {*column_names(batch)})
        if taken:
            raise ValueError(
                f"The batch already has columns of the names {taken}, which "
                f"method={self.method!r} would add. Rename or drop them."
            )
        result = self(X)
        if result.dtype == object:  # the type of the labels, also if there are no rows
            labels = np.array(last_model(estimator).classes_.tolist())
            result = result.astype(labels.dtype)
        columns = result.T if result.ndim == 2 else result[None]
        return add_columns(batch, dict(zip(names, columns, strict=True)))

    def batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Score batches one after the other, as `batch` does.

        For `mapInPandas` and `mapInArrow` of Spark.

        Parameters
        ----------
        batches : iterable of batches
            As for `batch`.

        Yields
        ------
        batch : dict, data frame, or table or record batch of Arrow
            As from `batch`.
        """
        for batch in batches:
            yield self.batch(batch)

    def map_blocks(self, X: Any) -> Any:
        """Score the blocks of a Dask array, lazily.

        Parameters
        ----------
        X : dask.array.Array of shape (n_rows, n_features)
            Rows with the columns of `fit`, chunked along rows only. Chunks may have
            unknown sizes.

        Returns
        -------
        result : dask.array.Array of shape (n_rows,) or (n_rows, n_outputs)
            With the same chunks along rows.

        Raises
        ------
        TypeError
            If X is not a Dask array.
        ValueError
            If X has not two dimensions or the number of columns of `fit`, or is chunked
            along columns.
        """
        libraries = {c.__module__.partition(".")[0] for c in type(X).__mro__}
        if "dask" not in libraries or not hasattr(X, "chunks"):
            raise TypeError(
                f"X must be a Dask array, got an object of type {type(X).__name__}. "
                "Call the Scorer with rows in memory. For Dask data frames, use "
                "X.map_partitions(scorer.batch, meta=scorer.batch(X._meta))."
            )
        if X.ndim != 2:
            raise ValueError(
                f"Expected a Dask array of two dimensions, got one of {X.ndim}."
            )
        check_n_features(self.estimator, X.shape[1])
        if X.numblocks[1] != 1:
            raise ValueError(
                f"X is chunked along columns, into chunks of {X.chunks[1]}. A block "
                "must have all columns: X.rechunk({1: -1})."
            )
        meta = self.meta
        if meta.ndim == 1:
            return X.map_blocks(self, drop_axis=1, meta=meta, token=self.method)
        chunks = X.chunks[0], meta.shape[1:]
        return X.map_blocks(self, chunks=chunks, meta=meta, token=self.method)
