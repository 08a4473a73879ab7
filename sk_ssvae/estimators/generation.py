"""The generative half of the face: latent points and draws, in the user's units."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from sk_ssvae.data.column_types import check_support
from sk_ssvae.data.labels import encode_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.scaling import MAX_DEVIATIONS, missing_rows
from sk_ssvae.data.validation import quiet_sums
from sk_ssvae.estimators.base import FittedState
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
from sk_ssvae.utils.typing import Array

__all__ = ["DensityMixin", "GenerativeMixin"]


class DensityMixin(FittedState):
    """`score_samples` of a fitted estimator, and what latent points go through."""

    random_state: RandomState

    def score_samples(self, X: npt.ArrayLike, n_draws: int = 50) -> Array:
        """Estimate log p(x) from below by importance weighting.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; values that the likelihood can have.
            Missing cells do not count: the bound is of the density of the others.

        n_draws : int, default=50
            Draws of the latent variables, for each class where there are classes, the
            same for all rows.

        Returns
        -------
        bound : ndarray of float32 of shape (n_samples,)
            In nats, for densities in the user's units: for the Gaussian likelihood the
            log-determinant of the scaling is counted. Constant columns are not. The
            expectation over the draws is a lower bound of log p(x) that grows towards
            it with `n_draws`; a single value may lie above. A fitted model gives a row
            the same value at every call and, to within rounding, in any company. Cells
            more than a million standard deviations (beside columns of counts, a
            billion) from the training mean count as that far away.

        Raises
        ------
        ValueError
            If `n_draws` is not positive, or a value has no probability.
        """
        check_is_fitted(self)
        rows = self._validated(X)
        check_count("n_draws", n_draws)
        check_support(rows, self._kinds, columns=self._columns.kept)
        with self._threads(rows.shape[0]):
            bound = inference.importance_weighted_bound(
                self.module_,
                rows,
                int(n_draws),
                stream_generator(self._seed, Stream.SCORE),
                self._encoder(),
            )
        return bound + self._columns.row_log_det(rows).astype(np.float32)

    def impute(self, X: Any, n_draws: int = 100) -> Any:
        """Fill what is missing with what is expected given the rest of the row.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows. Missing are NaN, None, pandas.NA and nulls.

        n_draws : int, default=100
            Draws of the latent variables, for each class where there are classes, the
            same for all rows.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            A copy of the same kind, in which cells that were there are as they were.
            The others are posterior means, classes averaged with their probabilities
            q(y | x), and for categories the most probable one; rounded in columns of
            integers or booleans. Draws are weighted by importance.

        Raises
        ------
        ValueError
            If `n_draws` is not positive, or a row with gaps has a value that has no
            probability.
        """
        check_is_fitted(self)
        rows = self._validated(X)
        check_count("n_draws", n_draws)
        self._refuse_infinite(rows.data if is_sparse(rows) else rows)
        some = missing_rows(rows)
        expected = np.full(rows.shape, np.nan)
        if len(some):
            holed = np.isin(np.arange(rows.shape[0]), some)
            check_support(rows, self._kinds, rows=holed, columns=self._columns.kept)
            with self._threads(len(some)):
                filled = inference.expected_cells(
                    self.module_,
                    rows[some],
                    int(n_draws),
                    stream_generator(self._seed, Stream.SCORE),
                    self._encoder(),
                )
            expected[some] = self._columns.decode(filled)
        return self._table.filled(X, expected)

    def _points(self, Z: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Latent points of a user."""
        check_is_fitted(self)
        with quiet_sums():
            points = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        latent_size = self.module_.latent_size
        if points.shape[1] != latent_size:
            raise ValueError(
                f"Z has {points.shape[1]} columns, but the latent space of "
                f"{type(self).__name__} has {latent_size} dimensions."
            )
        near = np.clip(points, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)
        return np.asarray(near)

    def _decoded(self, points: Array, weights: Array) -> Any:
        """Means of x, classes having weights, in the user's units."""
        with self._threads(len(points)):
            means = inference.decoded_means(
                self.module_, points, weights.astype(np.float32)
            )
        return self._table.restored(self._columns.decode(means), exact=False)

    def _draw(self, codes: Array, seed: int) -> Any:
        """Draw a row for each class code, in the user's units."""
        with self._threads(len(codes)):
            drawn = inference.draw_rows(self.module_, codes.astype(np.int64), seed)
        return self._table.restored(self._columns.decode(drawn))


class GenerativeMixin(DensityMixin):
    """`inverse_transform` and `sample` of an estimator that knows classes."""

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
            Class of each point, or one for all. None averages the means over the
            class prior.

        Returns
        -------
        X : array or frame of shape (n_samples, n_features)
            Means of p(x | y, z), in the units and columns of fit; of categories the
            most probable one.

        Raises
        ------
        ValueError
            If `Z` has another number of columns, or `y` is not among `classes_`.
        """
        points = self._points(Z)
        if y is None:
            weights = np.tile(self.class_prior_, (len(points), 1))
        else:
            weights = np.eye(len(self.classes_))[self._codes(y, len(points))]
        return self._decoded(points, weights)

    def sample(
        self, n_samples: int = 1, y: npt.ArrayLike | None = None
    ) -> tuple[Any, Array]:
        """Draw rows from the model, x ~ p(y) p(z) p(x | y, z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        y : label or array-like of shape (n_samples,), default=None
            Class of each row, or one for all; with an array, `n_samples` may be left
            out. None draws the classes from `class_prior_`.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            Drawn rows: what `fit` was given, with its columns, types and categories.
            Draws in a frame's columns of integers and booleans are rounded.

        y : ndarray of shape (n_samples,)
            Their classes.

        Raises
        ------
        ValueError
            If `n_samples` is not positive, or `y` is not among `classes_` or has
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
            codes = self._codes(y, int(n_rows))
        return self._draw(codes, seed), self.classes_[codes]

    def _codes(self, y: npt.ArrayLike, n_rows: int) -> npt.NDArray[np.int64]:
        """Codes of the classes that a user asks for, one a row."""
        given = np.asarray(as_label_array(y, self.unlabeled))
        labels = column_or_1d(np.repeat(given, n_rows) if given.ndim == 0 else given)
        if len(labels) != n_rows:
            raise ValueError(
                f"y has {len(labels)} labels for {n_rows} rows. Give one label, or one "
                "a row."
            )
        codes = encode_labels(labels, self.classes_, unlabeled=self.unlabeled)[1]
        if (codes < 0).any():
            raise ValueError(
                f"y contains {self.unlabeled!r}, which is not a class. The classes are "
                f"{self.classes_.tolist()}."
            )
        return codes
