"""A semi-supervised classifier that pools many simple ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_ssvae.data.labels import encode_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.data.scaling import fit_column_scaling
from sk_ssvae.data.validation import quiet_sums
from sk_ssvae.teachers.label_spreading import choose_members
from sk_ssvae.teachers.pooling import OpinionPool, make_folds
from sk_ssvae.teachers.registry import GUIDED, OWN, make_view
from sk_ssvae.teachers.views import Settings, View
from sk_ssvae.utils.devices import default_torch_state
from sk_ssvae.utils.estimator import (
    DOC_LINK_MODULE,
    DOC_LINK_TEMPLATE,
    all_or_nothing,
)
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.threads import intra_op_threads
from sk_ssvae.utils.typing import Array

__all__ = ["OpinionPoolClassifier"]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Compute as ever, whatever devices, threads and frames the caller asks for.

    One thread: the last digits of sums would depend on how many there are.
    """
    with (
        default_torch_state(torch.device("cpu")),
        intra_op_threads(1),
        config_context(transform_output="default"),
    ):
        yield


class OpinionPoolClassifier(ClassifierMixin, BaseEstimator):
    r"""Semi-supervised classifier: many simple views of the rows, weighted and pooled.

    Nobody knows beforehand whether the classes of a data set follow its clusters, its
    principal components, a linear boundary or single columns. So this asks simple
    methods of each kind, hides a fifth of the labels in turn, and multiplies the
    methods' probabilities with weights that predict the hidden labels best, a
    logarithmic opinion pool. Views:

    - "columns", "min-max", "ranks", "pca-4", "pca-8", "pca-16": label spreading to
      neighbours among standardised, min-max scaled or normal-score columns, or among so
      many principal components;
    - "logistic", "svm", "forest": scikit-learn's `LogisticRegression`, `SVC(C=10)` and
      `RandomForestClassifier` on the labelled rows alone;
    - "linear-generative": EM for normal classes of one covariance, on all rows;
    - "latent-gaussian", "latent-bernoulli": label spreading among the latent means of a
      VAE of standardised or min-max scaled columns, trained on all rows without labels;
    - "whitened", "discriminant": label spreading among the rows after what the views so
      far guess has been used to whiten the spread within classes, or to find the
      directions in which the classes differ.

    Labels of which there are equally many in each class say nothing about how frequent
    classes are, so that is estimated from the unlabelled rows; where there are not,
    their shares count too. Columns are standardised first, constant ones left out.

    It is the default teacher of `SSVAEClassifier`, which learns a network from what it
    guesses, and can be used alone.

    Parameters
    ----------
    views : sequence of str, default=None
        Names of views from the list above. None takes all of them.

    n_neighbors : int, default=10
        Number of neighbours in graphs.

    alpha : float, default=0.95
        In label spreading, how much of an answer comes from the neighbours.

    shares : {"estimated", "labelled"}, default="estimated"
        Whether the classes are as frequent as an estimate from the unlabelled rows
        says, or as among the labels.

    max_graph_rows : int, default=20000
        Graphs are made of so many rows at most: all labelled ones, up to half of
        them, and a random choice of the others. The rest is answered by its
        neighbours among these.

    random_state : int, RandomState instance or None, default=None
        Fixes the folds, the forest and the random choices. The global generator of
        numpy is never used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, without -1.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if X had them and all are strings.

    label_distributions_ : ndarray of float64 of shape (n_samples, n_classes)
        Probabilities of the classes for the rows of fit; known labels are certain.

    transduction_ : ndarray of shape (n_samples,)
        Labels of the rows of fit, known or most probable.

    weights_ : dict of str to float
        Weight of each view in the pool.

    held_out_log_loss_ : dict of str to float
        Log-loss of each view on the labels that were hidden from it. Its calibration,
        one number, was fitted to the same labels. Empty if each class has a single
        label.

    class_shares_ : ndarray of shape (n_classes,)
        How frequent the classes are taken to be.

    See Also
    --------
    SSVAEClassifier : A network that learns from this one's guesses.
    sklearn.semi_supervised.LabelSpreading : One view, with one bandwidth for all rows.

    Notes
    -----
    Sources: label spreading and class mass normalisation in `sk_ssvae.teachers.label_spreading`, the
    linear generative model in `sk_ssvae.teachers.discriminant_analysis`, the frequencies in
    `sk_ssvae.teachers.class_priors`; temperatures from Guo et al. 2017; logarithmic opinion
    pools from Genest & Zidek 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import OpinionPoolClassifier
    >>> X, truth = load_iris(return_X_y=True)
    >>> y = np.full(150, -1)
    >>> for c in range(3):
    ...     y[50 * c : 50 * c + 5] = c  # five labels a class
    >>> pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    >>> bool((pool.predict(X) == truth).mean() > 0.9)
    True
    """

    _doc_link_module: ClassVar[str] = DOC_LINK_MODULE
    _doc_link_template: ClassVar[str] = DOC_LINK_TEMPLATE

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": ["array-like", None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "shares": [StrOptions({"estimated", "labelled"})],
        "max_graph_rows": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        views: Sequence[str] | None = None,
        n_neighbors: int = 10,
        alpha: float = 0.95,
        shares: str = "estimated",
        max_graph_rows: int = 20000,
        random_state: RandomState = None,
    ) -> None:
        self.views = views
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.shares = shares
        self.max_graph_rows = max_graph_rows
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the views and weigh them.

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

        Raises
        ------
        ValueError
            If X, y or a parameter cannot be used.
        """
        with all_or_nothing(self), _undisturbed():
            self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> None:
        with quiet_sums():
            checked, labels = validate_data(
                self, X, as_label_array(y), dtype=np.float64, ensure_min_samples=2
            )
        classes, codes = encode_labels(labels, owner=type(self).__name__)
        columns = fit_column_scaling(checked, standardize=True)
        rows = columns.encode(checked).astype(np.float64)
        names = self._names(rows.shape[1])
        seed = draw_seed(self.random_state)
        pool = OpinionPool(
            codes, make_folds(codes, seed), estimate=self.shares == "estimated"
        )
        settings = Settings(
            n_neighbors=int(self.n_neighbors),  # numpy's small ones overflow
            alpha=self.alpha,
            members=choose_members(codes, int(self.max_graph_rows), seed),
            seed=seed,
        )
        labellings = pool.labellings
        views: dict[str, View] = {}
        answers: dict[str, Array] = {}
        guesses: Any = None
        for stage in (OWN, GUIDED):
            if not set(stage) & set(names):
                continue
            for name in (name for name in stage if name in names):
                views[name] = make_view(name, rows.shape, settings)
                answers[name] = views[name].fit(rows, labellings, len(classes), guesses)
            guesses = pool.fit(answers)
        distributions = guesses[0].astype(np.float64)
        known = np.flatnonzero(codes != UNLABELED)
        distributions[known] = np.eye(len(classes))[codes[known]]
        self.classes_ = classes
        self._columns, self._views, self._pool = columns, views, pool
        self.label_distributions_ = distributions
        self.transduction_ = classes[distributions.argmax(axis=1)]

    def _names(self, n_features: int) -> list[str]:
        """Choose views; principal components only where they are fewer than columns.

        Raises
        ------
        ValueError
            If a name is not that of a view, or none is left that needs no guess.
        """
        if self.views is None:
            return [
                name
                for name in (*OWN, *GUIDED)
                if not name.startswith("pca-")
                or int(name.removeprefix("pca-")) < n_features
            ]
        if np.ndim(self.views) != 1:
            raise ValueError(
                f"views must be a sequence of names, got {self.views!r} with "
                f"{np.ndim(self.views)} dimensions."
            )
        names = list(self.views)
        for name in names:
            if name not in (*OWN, *GUIDED):
                raise ValueError(
                    f"views must hold names out of {[*OWN, *GUIDED]}, got {name!r}."
                )
        if not set(names) & set(OWN):
            raise ValueError(
                f"views must hold at least one of {list(OWN)}: the others, "
                f"{list(GUIDED)}, start from what these guess. Got {names}."
            )
        return names

    @property
    def weights_(self) -> dict[str, float]:
        """Weight of each view."""
        check_is_fitted(self)
        return self._pool.weights

    @property
    def held_out_log_loss_(self) -> dict[str, float]:
        """Log-loss of each calibrated view on hidden labels."""
        check_is_fitted(self)
        return self._pool.losses

    @property
    def class_shares_(self) -> Array:
        """How frequent the classes are taken to be."""
        check_is_fitted(self)
        shares: Array = self._pool.shares
        return shares

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Probabilities of the classes.

        New rows are answered by their neighbours where rows of fit were answered by the
        graph, so that the answer for a row of fit may differ from
        `label_distributions_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        p : ndarray of float64 of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to 1.
        """
        check_is_fitted(self)
        with quiet_sums():
            checked: Array = validate_data(self, X, dtype=np.float64, reset=False)
        with _undisturbed():
            rows = self._columns.encode(checked).astype(np.float64)
            answers = {name: view.answer(rows) for name, view in self._views.items()}
        probabilities: Array = self._pool.pool(answers).astype(np.float64)
        return probabilities

    def predict(self, X: npt.ArrayLike) -> Array:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        best: Array = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels
