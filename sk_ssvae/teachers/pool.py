"""A semi-supervised classifier that pools many simple classifiers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_ssvae.data.accuracy import labelled_accuracy
from sk_ssvae.data.labels import encode_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.data.validation import quiet_sums
from sk_ssvae.teachers.blocks import (
    extreme_share,
    fit_view_scaling,
    relative_scale,
    scale_rows,
)
from sk_ssvae.teachers.caching import stored_fit
from sk_ssvae.teachers.faiss_search import import_faiss
from sk_ssvae.teachers.pooling import OpinionPool, make_folds
from sk_ssvae.teachers.registry import (
    ALL_ROWS_VIEWS,
    FIRST_STAGE_VIEWS,
    LATENT_MIN_ROWS,
    MAX_LATENT_GRAPH_ROWS,
    SECOND_STAGE_VIEWS,
    resolve_view_names,
)
from sk_ssvae.teachers.row_choice import choose_rows, choose_sample
from sk_ssvae.teachers.sampling import (
    check_inductive,
    pool_unsampled,
    rows_of_views,
)
from sk_ssvae.teachers.view_entries import (
    ClassifierEntry,
    ViewEntry,
    WithNamedViews,
    read_entries,
)
from sk_ssvae.teachers.view_sets import ViewSet, fixed_global_state
from sk_ssvae.teachers.views import ViewSettings
from sk_ssvae.training.progress import Part, no_report
from sk_ssvae.utils.estimator import (
    DOC_LINK_MODULE,
    DOC_LINK_TEMPLATE,
    all_or_nothing,
)
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.sklearn_private import HasMethods, Interval, StrOptions, fit_context
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["OpinionPoolClassifier", "proba_of_unlabelled"]


class OpinionPoolClassifier(ClassifierMixin, WithNamedViews):
    r"""Semi-supervised classifier that pools simple classifiers of different kinds.

    It takes dense arrays of finite numbers only: no missing values, categories or
    sparse arrays, and neither `sample_weight` in `fit` nor another marker of unlabelled
    rows than -1, and it has no `save`. `SSVAEClassifier` has all of these, and this
    classifier is its default teacher, for which it encodes the rows.

    The classes of a data set may follow its clusters, its principal components, a
    linear boundary or single columns; which of these is not known in advance. The
    classifier fits simple methods of each kind, called views, and holds out the labels
    in up to five folds. It pools the views by a weighted product of their class
    probabilities, with the weights that best predict the held-out labels: a logarithmic
    opinion pool [1]_. The views are:

    - "columns", "unscaled", "min-max", "ranks", "pca-4", "pca-8", "pca-16": a harmonic
      function [2]_ on a nearest-neighbour graph [3]_ of scaled columns, columns in
      their own units, min-max scaled columns, normal scores, or that number of
      principal components. The probability of a class is the probability that the
      first label met by a random walk on the graph is of this class.
    - "logistic", "svm", "forest": scikit-learn's `LogisticRegression`, `SVC(C=10)` and
      `RandomForestClassifier`, fitted to the labelled rows only. The forest predicts
      held-out labels out of bag.
    - "linear-generative": Gaussian classes with a shared covariance, fitted by EM to
      labelled and unlabelled rows [4]_.
    - "latent-gaussian", "latent-bernoulli": the same on a graph of the latent means of
      a VAE of scaled or min-max scaled columns, trained on all rows without
      labels.
    - "whitened", "discriminant": the same on a graph of the rows after a linear
      projection, which whitens the within-class covariance or keeps the discriminant
      directions. It is computed from the pooled probabilities of the views above, anew
      for each fold.

    The same number of labels in each class carries no information on class frequencies,
    so these are estimated from the unlabelled rows [5]_, and shrunk towards the class
    shares of the labels if label counts are uneven. Constant columns are removed, and
    the others standardised, or Pareto scaled [6]_ if they share a unit, such as pixels
    or words: divided by the square root of their standard deviation, so that noise in
    nearly constant columns counts less. Columns share a unit if at least 25 of them
    contribute to the total variance: if (sum v)^2 / sum v^2 >= 25 for their variances.

    As a teacher it provides soft targets for the unlabelled rows.

    Parameters
    ----------
    views : sequence of str and tuples (str, classifier), default=None
        Names of views from the list above, and classifiers that are views, with names
        of their own. None uses all views of the list but "logistic": "pca-4", "pca-8"
        and "pca-16" only if X has more columns, one of latent means only from 10,000
        rows on ("latent-bernoulli" if a third of the cells equal the minimum or maximum
        of their column, else "latent-gaussian"), and "columns" only if all columns have
        the same standard deviation, as "unscaled" is the same then.

        A scikit-learn classifier is fitted to the labelled rows only. Classifiers of
        `sklearn.semi_supervised` and of this package, and pipelines that end with one,
        are fitted to labelled and unlabelled rows, with the label -1 for the latter. A
        third element "labelled" or "all" of the tuple overrides this. Labels are the
        integers 0 ... n_classes - 1. Rows are not scaled, and data frames stay
        data frames, so that a pipeline can have a scaler of its own, and select columns
        by name; as a teacher of `SSVAEClassifier`, the pool has arrays.
        Probabilities are from `predict_proba`, else from `decision_function`, else
        one-hot labels from `predict`; rows for which they are NaN or zero have no
        effect on the pool. Transductive classifiers that are fitted to all rows have
        `label_distributions_`.

        Classifiers are cloned, and fitted again without each fold of labels. They use
        the user's number of threads and global settings. As in
        :class:`sklearn.ensemble.VotingClassifier`, their names reach them in
        `set_params`: ``hgb=...``, ``hgb="drop"`` and ``hgb__max_iter=...``.

    n_neighbors : int, default=7
        Number of neighbours of each row in graphs.

    shares : {"estimated", "labelled"}, default="estimated"
        Class shares assumed for the unlabelled rows: estimated from these rows, or the
        same as among the labels.

    max_rows : int, default=10000
        Size of the sample of rows that views are fitted to. It contains all labelled
        rows, and unlabelled rows drawn at random: as many as are missing to `max_rows`,
        but at least half of `max_rows`, so with many labels it is larger. The other
        rows are predicted as new rows. A graph has at most `max_rows` rows, at most
        half of them labelled if there are enough unlabelled ones. "latent-gaussian" and
        "latent-bernoulli" are fitted to all rows; their graphs have at most 60,000.

    neighbors_algorithm : {"auto", "faiss"}, default="auto"
        How nearest neighbours are searched, in the graphs of views that are fitted to a
        sample: "auto" finds the nearest neighbours, by a tree or brute force. "faiss"
        finds most of them, in less time, where a tree would be slow, and needs
        ``pip install "sk_ssvae[faiss]"``. It has no effect without a sample, with up to
        `max_rows` rows.

    random_state : int, RandomState instance or None, default=None
        Seed for the folds, the random forest, the VAEs and all random choices, and of
        each `random_state` of a classifier in `views` that is None. The built-in views
        never use numpy's global generator.

    memory : str, path, joblib.Memory or None, default=None
        Folder in which fitted pools are stored, or a `joblib.Memory`, as for
        :class:`sklearn.pipeline.Pipeline`. A fit to the same X and y, with the same
        parameters and seed, is then read from there. Set it where a search over
        parameters of `SSVAEClassifier` fits the same pool for each candidate, with an
        integer as its `random_state`: with None no fit has the seed of an earlier one.
        A stored pool is larger than X. Functions and classes in `views` count by their
        names: empty the folder if you change their code. None stores nothing.

    n_jobs : int, default=None
        Number of built-in views that are fitted, or predict, at once, each in a thread.
        None means 1 unless in a :obj:`joblib.parallel_backend` context, -1 means all
        processors. The results are the same, to the bit. Each job needs memory of its
        own. Classifiers in `views` are called one after the other.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels, without -1.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns of X. Defined only if X has names that are all strings.

    label_distributions_ : ndarray of float64 of shape (n_samples, n_classes)
        Class probabilities of the rows passed to `fit`; one-hot for labelled rows.

    transduction_ : ndarray of shape (n_samples,)
        Class labels of the rows passed to `fit`: the given label, or the most probable
        class of an unlabelled row.

    sample_indices_ : ndarray of int64 of shape (n_sampled,) or None
        Sorted indices of the rows that the views were fitted to, other than those of
        latent means; None if all rows were used.

    weights_ : dict of str to float
        Weight of each view in the pool.

    held_out_log_loss_ : dict of str to float
        Log-loss of each view on held-out labels, after calibration by a temperature
        that was fitted to the same labels. Empty if each class has a single label.

    class_shares_ : ndarray of shape (n_classes,)
        Class shares assumed for the unlabelled rows.

    See Also
    --------
    SSVAEClassifier : Semi-supervised VAE that learns from these soft targets.
    sklearn.semi_supervised.LabelPropagation : A harmonic function on one graph.

    References
    ----------
    .. [1] C. Genest and J. V. Zidek. Combining probability distributions: a critique
       and an annotated bibliography. Statistical Science, 1986. Views are calibrated
       first: C. Guo et al. On calibration of modern neural networks. ICML 2017.
    .. [2] X. Zhu, Z. Ghahramani and J. Lafferty. Semi-supervised learning using
       Gaussian fields and harmonic functions. ICML 2003.
    .. [3] L. Zelnik-Manor and P. Perona. Self-tuning spectral clustering. NeurIPS 2004.
    .. [4] K. Nigam et al. Text classification from labeled and unlabeled documents
       using EM. Machine Learning, 2000.
    .. [5] M. Saerens et al. Adjusting the outputs of a classifier to new a priori
       probabilities: a simple procedure. Neural Computation, 2002.
    .. [6] R. van den Berg et al. Centering, scaling, and transformations: improving
       the biological information content of metabolomics data. BMC Genomics, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import OpinionPoolClassifier
    >>> X, y_true = load_iris(return_X_y=True)
    >>> y = np.full(150, -1)
    >>> for c in range(3):
    ...     y[50 * c : 50 * c + 5] = c  # five labels per class
    >>> pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    >>> bool((pool.predict(X) == y_true).mean() > 0.9)
    True
    """

    _doc_link_module: ClassVar[str] = DOC_LINK_MODULE
    _doc_link_template: ClassVar[str] = DOC_LINK_TEMPLATE

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": ["array-like", None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shares": [StrOptions({"estimated", "labelled"})],
        "max_rows": [Interval(Integral, 2, None, closed="left")],
        "neighbors_algorithm": [StrOptions({"auto", "faiss"})],
        "random_state": ["random_state"],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "n_jobs": [Integral, None],
    }

    on_view: Part = staticmethod(no_report)
    """Reports a view; set on an instance to follow its `fit`."""

    def __init__(
        self,
        *,
        views: Sequence[ViewEntry] | None = None,
        n_neighbors: int = 7,
        shares: str = "estimated",
        max_rows: int = 10000,
        neighbors_algorithm: str = "auto",
        random_state: RandomState = None,
        memory: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.views = views
        self.n_neighbors = n_neighbors
        self.shares = shares
        self.max_rows = max_rows
        self.neighbors_algorithm = neighbors_algorithm
        self.random_state = random_state
        self.memory = memory
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)  # of classifiers in `views`
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the views and their weights. A failed fit keeps the previous state.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers.

        y : array-like of shape (n_samples,)
            Labels, with -1 for unlabelled rows: integers, or dtype object with strings
            and the integer -1. At least two classes must be labelled.

        Returns
        -------
        self : OpinionPoolClassifier
            Fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid. Errors of a classifier in `views` have a
            note that names it.
        ImportError
            If faiss is not installed, with ``neighbors_algorithm="faiss"``.
        """
        with all_or_nothing(self):
            if self.neighbors_algorithm == "faiss":
                import_faiss()  # before anything is computed or read
            seed = draw_seed(self.random_state)
            if self.memory is None:
                self._fit(X, y, seed)
            else:
                attributes = stored_fit(self, X, y, seed, self.on_view)
                self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
                self.__dict__.update(attributes)
        return self

    def _fit(self, X: Any, y: Any, seed: int) -> None:
        names, classifiers = self._entries()
        with fixed_global_state():
            with quiet_sums():
                checked, labels = validate_data(
                    self,
                    X,
                    as_label_array(y),
                    dtype=[np.float64, np.float32],
                    ensure_min_samples=2,
                )
            classes, codes = encode_labels(labels, owner=type(self).__name__)
            scaling = fit_view_scaling(checked)
            scale = relative_scale(scaling)
            share = 0.0
            if names is None and len(checked) >= LATENT_MIN_ROWS:  # else not used
                share = extreme_share(checked, scaling.kept)
            names = resolve_view_names(
                names,
                (len(checked), scaling.n_kept),
                classifiers,
                one_scale=scale is None,
                extreme_share=share,
            )
            sample = choose_sample(codes, int(self.max_rows), seed)
            sampled_codes = codes if sample is None else codes[sample]
            rows = rows_of_views(X, checked, scaling, sample)
            if sample is not None:
                check_inductive(classifiers, len(sample), len(codes))
                if not ALL_ROWS_VIEWS.isdisjoint(names):
                    all_rows = scale_rows(checked, scaling, np.float32)
                    rows = rows._replace(all_rows=all_rows)
            pool = OpinionPool(
                sampled_codes,
                make_folds(sampled_codes, seed),
                estimate_shares=self.shares == "estimated",
            )
            settings = self._view_settings(codes, sample, seed, scale)
        views = ViewSet(names, classifiers, settings)
        pooled = views.fit_pool(rows, pool, len(classes), self.on_view, self.n_jobs)
        del rows  # which may hold a copy of X
        distributions = np.empty((len(codes), len(classes)))
        distributions[slice(None) if sample is None else sample] = pooled[0]
        if sample is not None:
            pool_unsampled(
                X, checked, scaling, views, pool, distributions, sample, self.n_jobs
            )
        labelled = np.flatnonzero(codes != UNLABELED)
        distributions[labelled] = np.eye(len(classes))[codes[labelled]]
        self.classes_ = classes
        self._scaling, self._views, self._pool = scaling, views, pool
        self._labelled_share = len(labelled) / len(codes)
        self.sample_indices_ = sample
        self.label_distributions_ = distributions
        self.transduction_ = classes[distributions.argmax(axis=1)]

    def _view_settings(
        self, codes: IntArray, sample: IntArray | None, seed: int, scale: Array | None
    ) -> ViewSettings:
        """Return the settings that all views share."""
        return ViewSettings(
            n_neighbors=int(self.n_neighbors),  # numpy's may overflow
            graph_rows=choose_rows(
                codes if sample is None else codes[sample],
                int(self.max_rows),
                seed,
                balanced=True,
            ),
            seed=seed,
            unit_scale=scale,
            latent_graph_rows=choose_rows(
                codes, MAX_LATENT_GRAPH_ROWS, seed, balanced=True
            ),
            sample=sample,
            neighbors_algorithm="auto" if sample is None else self.neighbors_algorithm,
        )

    def _entries(self) -> tuple[list[str] | None, dict[str, ClassifierEntry]]:
        """Return the names of views, None for the default, and the user's classifiers.

        Raises
        ------
        TypeError, ValueError
            If a classifier or its name is invalid.
        """
        if self.views is None:
            return None, {}
        built_in = (*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS)
        return read_entries(self.views, built_in, self.get_params(deep=False))

    @property
    def weights_(self) -> dict[str, float]:
        """Weight of each view in the pool."""
        check_is_fitted(self)
        return self._pool.weights

    @property
    def held_out_log_loss_(self) -> dict[str, float]:
        """Log-loss of each calibrated view on held-out labels."""
        check_is_fitted(self)
        return self._pool.held_out_log_loss

    @property
    def class_shares_(self) -> Array:
        """Class shares assumed for the unlabelled rows."""
        check_is_fitted(self)
        shares: Array = self._pool.class_shares
        return shares

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return class probabilities.

        Rows are treated as new rows, so the result for a row passed to `fit` may differ
        from `label_distributions_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        p : ndarray of float64 of shape (n_samples, n_classes)
            Class probabilities in the order of `classes_`; rows sum to 1.
        """
        check_is_fitted(self)
        pool, labelled = self._pool, self._labelled_share
        # New rows come from the distribution of labelled and unlabelled rows together,
        # so a class without unlabelled rows keeps a positive share.
        shares = labelled * pool.labelled_shares + (1 - labelled) * pool.class_shares
        return self._pooled(X, shares)

    def _pooled(self, X: Any, shares: Array) -> Array:
        """Return class probabilities of new rows, given the shares of the classes."""
        with quiet_sums():
            checked: Array = validate_data(
                self, X, dtype=[np.float64, np.float32], reset=False
            )
        probabilities = self._views.predict_proba(
            rows_of_views(X, checked, self._scaling),
            self._pool.used_views,
            n_jobs=self.n_jobs,
        )
        return self._pool.pool(probabilities, shares).astype(np.float64)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Class labels.
        """
        codes: Array = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[codes]
        return labels

    def score(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Return the accuracy over the labelled rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            True labels. Rows with the label -1 are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
            In [0, 1].

        Raises
        ------
        ValueError
            If no row is labelled, or no labelled row has a positive weight.
        """
        return labelled_accuracy(y, self.predict(X), self.classes_, sample_weight)


def proba_of_unlabelled(classifier: OpinionPoolClassifier, X: Any) -> Array:
    """Return class probabilities of unlabelled rows outside of the rows of `fit`.

    The rows of `fit` are a sample of all training rows, and these are others of them.

    Parameters
    ----------
    classifier : OpinionPoolClassifier
        Fitted.
    X : ndarray of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    proba : ndarray of float64 of shape (n_rows, n_classes)
        For the class shares of the unlabelled rows, `class_shares_`.
    """
    return classifier._pooled(X, classifier.class_shares_)
