"""Density, imputation, decoding and sampling, in the user's units and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from sk_ssvae.data.labels import encode_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.rows import as_rows
from sk_ssvae.data.scaling import MAX_DEVIATIONS, missing_rows
from sk_ssvae.data.validation import quiet_sums
from sk_ssvae.estimators.base import BaseVAE
from sk_ssvae.models import inference
from sk_ssvae.utils.chunks import is_sparse
from sk_ssvae.utils.estimator import check_count
from sk_ssvae.utils.random import (
    RandomState,
    Stream,
    draw_seed,
    stream_generator,
    stream_seed,
)
from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["ClassGenerationMixin", "GenerationMixin"]


class GenerationMixin(BaseVAE):
    """`score_samples` and `impute`, and helpers to decode and sample."""

    random_state: RandomState

    def score_samples(self, X: npt.ArrayLike, n_draws: int = 50) -> FloatArray:
        """Return an importance-weighted lower bound of log p(x).

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`, with values that the likelihood allows.
            Missing cells are integrated out: the bound is that of the density of the
            observed cells.

        n_draws : int, default=50
            Number of draws of the latent variables (for each class, if there are
            classes). All rows share the same draws.

        Returns
        -------
        bound : ndarray of float32 of shape (n_samples,)
            In nats, for densities in the user's units: with the Gaussian likelihood the
            log-determinant of the scaling is included. Columns that were constant in
            `fit` are left out.

        Raises
        ------
        ValueError
            If `n_draws` is not positive, or the likelihood does not allow a value.

        Notes
        -----
        The expectation over the draws is a lower bound of log p(x) that increases
        towards it with `n_draws`; a single value may exceed it [1]_. A fitted model
        returns the same value for a row at every call and, up to rounding, whichever
        other rows are passed. Cells more than 1e6 standard deviations (1e9 if the model
        has columns of counts) from the training mean are clipped to that distance.

        References
        ----------
        .. [1] Y. Burda, R. Grosse and R. Salakhutdinov. Importance weighted
           autoencoders. ICLR 2016. arXiv:1509.00519.
        """
        cells = self._read(X)
        check_count("n_draws", n_draws)
        preprocessor = self.preprocessor_
        preprocessor.check_support(cells, kept_only=True)
        with self._threads(cells.shape[0]):
            bound = inference.importance_weighted_bound(
                self.module_,
                cells,
                int(n_draws),
                stream_generator(self.net_.seed, Stream.SCORE),
                self._row_encoder(),
            )
        log_det = preprocessor.scaling.row_log_det(cells).astype(np.float32)
        total: FloatArray = bound + log_det
        return total

    def impute(self, X: Any, n_draws: int = 100) -> Any:
        """Fill missing cells with their expected values given the observed ones.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows. NaN, None, pandas.NA and nulls are missing.

        n_draws : int, default=100
            Number of draws of the latent variables (for each class, if there are
            classes). All rows share the same draws, which are weighted by importance.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            A copy of the same type with all observed cells unchanged; an array for
            other array-likes. Missing
            cells are posterior means, averaged over the classes with the probabilities
            q(y | x), and the most probable category in columns of categories. Means are
            rounded in columns of integers or booleans.

        Raises
        ------
        ValueError
            If `n_draws` is not positive, or the likelihood does not allow a value of a
            row with missing cells.
        """
        check_is_fitted(self)
        X = as_rows(X)  # once: an object may load its rows at every conversion
        cells = self._read(X)
        check_count("n_draws", n_draws)
        preprocessor = self.preprocessor_
        preprocessor.check_finite(self, cells.data if is_sparse(cells) else cells)
        incomplete = missing_rows(cells)
        expected = np.full(cells.shape, np.nan)
        if len(incomplete):
            rows = np.isin(np.arange(cells.shape[0]), incomplete)
            preprocessor.check_support(cells, rows=rows, kept_only=True)
            with self._threads(len(incomplete)):
                means = inference.expected_cells(
                    self.module_,
                    cells[incomplete],
                    int(n_draws),
                    stream_generator(self.net_.seed, Stream.SCORE),
                    self._row_encoder(),
                )
            expected[incomplete] = preprocessor.scaling.decode(means)
        return preprocessor.fill(X, expected)

    def _check_latent_points(self, Z: npt.ArrayLike) -> FloatArray:
        check_is_fitted(self)
        Z = as_rows(Z, name="Z")
        with quiet_sums():
            points = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        latent_size = self.module_.latent_size
        if points.shape[1] != latent_size:
            raise ValueError(
                f"Z has {points.shape[1]} columns, but the latent space of "
                f"{type(self).__name__} has {latent_size} dimensions."
            )
        clipped = np.clip(points, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)
        return np.asarray(clipped)

    def _decode(self, points: FloatArray, class_weights: Array) -> Any:
        """Return means of x given z, weighted over classes, in the user's units."""
        with self._threads(len(points)):
            means = inference.decoded_means(
                self.module_, points, class_weights.astype(np.float32)
            )
        return self.preprocessor_.restore(means, exact=False)

    def _sample_rows(self, codes: IntArray, seed: int) -> Any:
        """Draw one row for each class code, in the user's units."""
        with self._threads(len(codes)):
            drawn = inference.draw_rows(self.module_, codes.astype(np.int64), seed)
        return self.preprocessor_.restore(drawn)


class ClassGenerationMixin(GenerationMixin):
    """`inverse_transform` and `sample` of an estimator with classes."""

    unlabeled: Any

    def inverse_transform(
        self, Z: npt.ArrayLike, y: npt.ArrayLike | None = None
    ) -> Any:
        """Decode latent points to means of x.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_size)
            Latent points.

        y : label or array-like of shape (n_samples,), default=None
            Class of each point, or one class for all. None averages the means over the
            class prior.

        Returns
        -------
        X : array or frame of shape (n_samples, n_features)
            Means of p(x | y, z) in the units and columns of `fit`, and the most
            probable category in columns of categories.

        Raises
        ------
        ValueError
            If `Z` does not have `latent_size` columns, or `y` is not in `classes_`.
        """
        points = self._check_latent_points(Z)
        if y is None:
            weights = np.tile(self.class_prior_, (len(points), 1))
        else:
            weights = np.eye(len(self.classes_))[self._encode_classes(y, len(points))]
        return self._decode(points, weights)

    def sample(
        self, n_samples: int = 1, y: npt.ArrayLike | None = None
    ) -> tuple[Any, Array]:
        """Draw rows from the model, x ~ p(y) p(z) p(x | y, z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        y : label or array-like of shape (n_samples,), default=None
            Class of each row, or one class for all. With an array, `n_samples` may be
            omitted. None draws the classes from `class_prior_`.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            Drawn rows, of the type that was passed to `fit`, with its columns, dtypes
            and categories. Draws are rounded in columns of integers and booleans of a
            frame.

        y : ndarray of shape (n_samples,)
            Classes of the rows.

        Raises
        ------
        ValueError
            If `n_samples` is not positive, or `y` is not in `classes_` or has
            another length.

        Notes
        -----
        As for :class:`~sklearn.mixture.GaussianMixture`, an integer `random_state`
        gives the same draws at every call, a RandomState instance or None new ones.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        seed = draw_seed(self.random_state)
        if y is None:
            rng = np.random.default_rng(stream_seed(seed, Stream.SAMPLE_Y))
            codes = rng.choice(
                len(self.classes_), size=int(n_samples), p=self.class_prior_
            )
        else:
            n_rows = max(1, np.size(y)) if n_samples == 1 else n_samples
            codes = self._encode_classes(y, int(n_rows))
        return self._sample_rows(codes, seed), self.classes_[codes]

    def _encode_classes(self, y: npt.ArrayLike, n_rows: int) -> IntArray:
        """Return the class codes of `n_rows` rows from one label, or one per row."""
        labels = np.asarray(as_label_array(y, self.unlabeled))
        if labels.ndim == 0:
            labels = np.repeat(labels, n_rows)
        labels = column_or_1d(labels)
        if len(labels) != n_rows:
            raise ValueError(
                f"y has {len(labels)} labels for {n_rows} rows. Pass one label, or one "
                "per row."
            )
        codes = encode_labels(
            labels, self.classes_, unlabeled=self.unlabeled, all_labelled=True
        )[1]
        if (codes < 0).any():
            raise ValueError(
                f"y contains {self.unlabeled!r}, which is not a class. The classes are "
                f"{self.classes_.tolist()}."
            )
        return codes
