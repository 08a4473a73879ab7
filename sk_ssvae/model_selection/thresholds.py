"""Decision thresholds that are tuned on the labelled rows."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    clone,
)
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.model_selection.prediction import cross_val_predict_labeled
from sk_ssvae.utils.estimator import all_or_nothing
from sk_ssvae.utils.sklearn_private import (
    HasMethods,
    Interval,
    MissingValues,
    StrOptions,
    fit_context,
)
from sk_ssvae.utils.typing import Array

__all__ = ["LabeledTunedThresholdClassifierCV"]


def _estimator_has(name: str) -> Callable[[Any], bool]:
    def check(model: Any) -> bool:
        getattr(getattr(model, "estimator_", model.estimator), name)
        return True

    return check


class LabeledTunedThresholdClassifierCV(
    ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Classifier of two classes with a threshold tuned on the labelled rows.

    :class:`~sklearn.model_selection.TunedThresholdClassifierCV` for partially labelled
    data. Each labelled row is scored by a model that was fitted without its label
    (`cross_val_predict_labeled`); the threshold with the best metric on these scores is
    chosen, and the estimator is fitted to all rows.

    Parameters
    ----------
    estimator : estimator
        A classifier that accepts unlabelled rows, such as `SSVAEClassifier` or
        :class:`~sklearn.semi_supervised.SelfTrainingClassifier`, or a pipeline that
        ends in one.

    scoring : str or callable, default="balanced_accuracy"
        Metric of predicted labels that is maximised: the name of a scorer, or a scorer
        made by :func:`~sklearn.metrics.make_scorer`.

    pos_label : label, default=None
        The class that is predicted where its score is at least the threshold. None is
        the second of the sorted classes. It has no effect on `scoring`.

    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        Method that gives the scores. "auto" uses `predict_proba` if there is one.

    thresholds : int or array-like, default=100
        Thresholds to try. An int is the largest number of candidates: the default
        threshold, and midpoints between scores of labelled rows.

    cv : int, splitter or iterable, default=None
        As for `cross_val_predict_labeled`.

    n_jobs : int, default=None
        Number of folds that are fitted in parallel.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`; it must be that of the estimator.

    Attributes
    ----------
    estimator_ : estimator
        The estimator, fitted to all rows.
    best_threshold_ : float
        The threshold. Of several with the best metric it is the one nearest to the
        default: 0.5 for probabilities, 0 for decision functions.
    best_score_ : float
        The metric at this threshold, on out-of-fold scores.
    classes_ : ndarray of shape (2,)
        The labels, sorted.
    n_features_in_ : int
        Number of columns, if the estimator has this attribute.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if the estimator has this attribute.

    See Also
    --------
    cross_val_predict_labeled : Out-of-fold predictions of labelled rows.
    sklearn.model_selection.FixedThresholdClassifier : A given threshold; pass it a
        :class:`~sklearn.frozen.FrozenEstimator` and labelled rows.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.semi_supervised import SelfTrainingClassifier
    >>> from sk_ssvae.model_selection import (
    ...     LabeledTunedThresholdClassifierCV, mask_labels
    ... )
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> few = mask_labels(y, fraction=0.1, random_state=0)
    >>> pipeline = make_pipeline(
    ...     StandardScaler(), SelfTrainingClassifier(LogisticRegression())
    ... )
    >>> tuned = LabeledTunedThresholdClassifierCV(pipeline, scoring="f1")
    >>> tuned.fit(X, few).score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict_proba"]), HasMethods(["fit"])],
        "scoring": [StrOptions(set(get_scorer_names())), callable],
        "pos_label": [Real, str, "boolean", None],
        "response_method": [StrOptions({"auto", "predict_proba", "decision_function"})],
        "thresholds": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "unlabeled": [MissingValues()],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        scoring: str | Callable[..., float] = "balanced_accuracy",
        pos_label: Any = None,
        response_method: str = "auto",
        thresholds: int | npt.ArrayLike = 100,
        cv: Any = None,
        n_jobs: int | None = None,
        unlabeled: Any = UNLABELED,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.pos_label = pos_label
        self.response_method = response_method
        self.thresholds = thresholds
        self.cv = cv
        self.n_jobs = n_jobs
        self.unlabeled = unlabeled

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: npt.ArrayLike, **params: Any) -> Self:
        """Tune the threshold, and fit the estimator to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Labels of two classes, with `unlabeled` for unlabelled rows.

        **params : dict
            Parameters for the estimator's `fit`, such as `sample_weight`.

        Returns
        -------
        self : LabeledTunedThresholdClassifierCV

        Raises
        ------
        ValueError
            If there are no labels of exactly two classes, `pos_label` is none of them,
            or the splitter does not test each labelled row once.
        """
        labels = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        labelled, known = split_labels(labels, self.unlabeled)
        classes = np.unique(known)
        name = type(self).__name__
        if len(classes) != 2:
            raise ValueError(
                f"{name} needs labels of two classes, got {len(classes)}: "
                f"{classes.tolist()}."
            )
        if self.pos_label is not None and self.pos_label not in classes.tolist():
            raise ValueError(
                f"pos_label={self.pos_label!r} is not a class of y. The classes are "
                f"{classes.tolist()}."
            )
        with all_or_nothing(self):
            self.classes_ = classes
            scores = self._positive(
                cross_val_predict_labeled(
                    self.estimator,
                    X,
                    y,
                    cv=self.cv,
                    n_jobs=self.n_jobs,
                    params=params,
                    method=self._method(self.estimator),
                    unlabeled=self.unlabeled,
                )
            )
            self._tune(scores[labelled], known)
            if get_config()["enable_metadata_routing"]:
                params = process_routing(self, "fit", **params).estimator.fit
            self.estimator_ = clone(self.estimator).fit(X, y, **params)
            for attribute in ("n_features_in_", "feature_names_in_"):
                if hasattr(self.estimator_, attribute):
                    setattr(self, attribute, getattr(self.estimator_, attribute))
        return self

    def _method(self, estimator: Any) -> str:
        """Return the name of the method that gives the scores."""
        if self.response_method != "auto":
            return self.response_method
        has_proba = hasattr(estimator, "predict_proba")
        return "predict_proba" if has_proba else "decision_function"

    def _positive(self, response: Array) -> Array:
        """Return the scores of the positive class."""
        is_second = self.pos_label is None or self.pos_label == self.classes_[1]
        if response.ndim == 2:
            return response[:, int(is_second)]
        return response if is_second else -response

    def _labels(self, scores: Array, threshold: float) -> Array:
        """Return labels for scores of the positive class."""
        is_second = self.pos_label is None or self.pos_label == self.classes_[1]
        codes = (scores >= threshold) == is_second
        labels: Array = self.classes_[codes.astype(int)]
        return labels

    def _tune(self, scores: Array, labels: Array) -> None:
        """Set the threshold from out-of-fold scores of labelled rows."""
        is_proba = self._method(self.estimator) == "predict_proba"
        default = 0.5 if is_proba else 0.0
        if isinstance(self.thresholds, Integral):
            candidates = _candidates(scores, default, int(self.thresholds))
        else:
            candidates = np.asarray(self.thresholds, dtype=float).ravel()
        scorer = check_scoring(scoring=self.scoring)
        predicted = _Predicted(self.classes_)
        values = np.array(
            [scorer(predicted, self._labels(scores, t), labels) for t in candidates]
        )
        best = np.flatnonzero(values >= values.max())
        chosen = best[np.abs(candidates[best] - default).argmin()]
        self.best_threshold_ = float(candidates[chosen])
        self.best_score_ = float(values[chosen])

    def predict(self, X: Any) -> Array:
        """Return the class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            `pos_label` where its score is at least `best_threshold_`.
        """
        check_is_fitted(self)
        response = getattr(self.estimator_, self._method(self.estimator_))(X)
        return self._labels(self._positive(response), self.best_threshold_)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> Array:
        """Return the estimator's class probabilities, which the threshold leaves as is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        proba : ndarray of shape (n_samples, 2)
        """
        check_is_fitted(self)
        proba: Array = self.estimator_.predict_proba(X)
        return proba

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Any) -> Array:
        """Return the estimator's decision function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        decision: Array = self.estimator_.decision_function(X)
        return decision

    def score(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the accuracy over the labelled rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            True labels. Rows with `unlabeled` are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        predicted = self.predict(X)
        labels = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        labelled, known = split_labels(labels, self.unlabeled)
        if not labelled.any():
            raise ValueError(
                f"score needs labelled rows, but y is {self.unlabeled!r} (unlabelled) "
                f"in all {len(labels)} rows."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(predicted[labelled] == known, weights=weight))

    def get_metadata_routing(self) -> Any:
        """Return the metadata that is routed to the estimator's `fit`."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator).input_tags
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = inner.sparse
        tags.input_tags.allow_nan = inner.allow_nan
        return tags


class _Predicted(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose rows are the labels that it predicts."""

    def __init__(self, classes: Array) -> None:
        self.classes_ = classes

    def predict(self, X: Array) -> Array:
        return X


def _candidates(scores: Array, default: float, n: int) -> npt.NDArray[np.float64]:
    """Return at most `n` thresholds: the default, and midpoints between scores."""
    distinct = np.unique(scores.astype(np.float64))
    middle = (distinct[1:] + distinct[:-1]) / 2
    if len(middle) >= n:
        which = np.linspace(0, len(middle) - 1, n - 1).round().astype(int)
        middle = middle[which]
    return np.append(default, middle)
