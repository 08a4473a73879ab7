"""Soft targets from the teacher, estimated class prior, and temperature."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.data.numeric_text import user_is_told
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.data.rows import as_rows
from sk_ssvae.data.source_cells import SourceCells, SourceSubset
from sk_ssvae.estimators.calibration import (
    N_FOLDS,
    TEMPERATURE_WITH_TEACHER,
    cross_fitted_temperature,
)
from sk_ssvae.teachers.class_priors import (
    estimate_prior_by_em,
    resolve_class_prior,
    reweight_posterior,
)
from sk_ssvae.teachers.classifiers import last_step
from sk_ssvae.teachers.description import describe_pool
from sk_ssvae.teachers.features import dense_rows, network_inputs
from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.teachers.sampled_targets import fit_sampled_targets
from sk_ssvae.teachers.soft_targets import fit_soft_targets
from sk_ssvae.training.progress import FitProgress
from sk_ssvae.utils.chunks import is_sparse
from sk_ssvae.utils.sklearn_private import safe_indexing
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = [
    "SoftTargets",
    "TrainingData",
    "choose_temperature",
    "estimates_prior",
    "make_soft_targets",
    "needs_teacher",
]


class TrainingData(NamedTuple):
    """Validated rows and labels of one call to `fit` or `partial_fit`.

    Attributes
    ----------
    cells : ndarray or sparse array of shape (n_rows, n_features)
        Numeric cells, NaN where missing.
    codes : ndarray of int of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1, in a small type.
    used : ndarray of bool of shape (n_rows,) or None
        Rows with a positive weight; None for all.
    weight : ndarray of shape (n_rows,) or None
        Weights with mean 1 over the rows that are used; None for equal weights.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes, which `weight` includes; None for equal weights.
    """

    cells: Any
    codes: Array
    used: Mask | None = None
    weight: Array | None = None
    class_weight: Array | None = None

    def only_used(self) -> "TrainingData":
        """Return the rows with a positive weight."""
        if self.used is None:
            return self
        weight = None if self.weight is None else self.weight[self.used]
        codes = self.codes[self.used]
        if isinstance(self.cells, SourceCells):
            cells: Any = self.cells.subset(np.flatnonzero(self.used))
        else:
            cells = self.cells[self.used]
        return self._replace(cells=cells, codes=codes, used=None, weight=weight)

    def has_unlabelled(self) -> bool:
        """Return whether a row with a positive weight is unlabelled."""
        codes = self.codes if self.used is None else self.codes[self.used]
        return bool(codes.min(initial=0) == UNLABELED)

    def without_labels(self, rows: Mask) -> "TrainingData":
        """Return the same data with the labels of these rows hidden.

        Their weights are then those of unlabelled rows.
        """
        if not rows.any():
            return self
        codes = np.where(rows, UNLABELED, self.codes)
        weight = self.weight
        if weight is not None:
            weight = np.where(rows, weight / self._class_factor(), weight)
        return self._replace(codes=codes, weight=weight)

    @property
    def sample_weight(self) -> Array | None:
        """Weights of the rows without those of the classes, up to a common factor."""
        return None if self.weight is None else self.weight / self._class_factor()

    def _class_factor(self) -> Array:
        """Return the factor of each row by which its class changes its weight."""
        if self.class_weight is None:
            return np.ones(len(self.codes))
        factor: Array = np.append(self.class_weight, 1.0)[self.codes]
        return factor


class SoftTargets(NamedTuple):
    """Estimates made before training.

    Attributes
    ----------
    probabilities : ndarray of float32 of shape (n_rows, n_classes) or None
        The teacher's class probabilities; zeros for rows without any.
    class_prior : ndarray of shape (n_classes,) or None
        Estimate of p(y).
    log_prior_shift : ndarray of float32 of shape (n_classes,) or None
        Correction of the classifier's log-probabilities where nothing in training
        depends on the estimated prior.
    teacher : str
        Description of the teacher, if it is an `OpinionPoolClassifier`.
    teacher_name : str or None
        Class of the teacher, or of its last step.
    view_weights : dict of str to float
        Weights of the views of an `OpinionPoolClassifier`.
    view_log_loss : dict of str to float
        Their log-loss on held-out labels.
    """

    probabilities: Array | None = None
    class_prior: Array | None = None
    log_prior_shift: Array | None = None
    teacher: str = ""
    teacher_name: str | None = None
    # Never changed. A `MappingProxyType` could not be sent between processes.
    view_weights: Mapping[str, float] = {}
    view_log_loss: Mapping[str, float] = {}


def estimates_prior(class_prior: Any) -> bool:
    """Return whether the class prior is to be estimated from unlabelled rows."""
    return isinstance(class_prior, str) and class_prior == "estimate"


def needs_teacher(teacher: Any, class_prior: Any, data: TrainingData) -> bool:
    """Return whether a classifier is fitted before training.

    That is the teacher, or one that the class prior is estimated with.
    """
    is_asked = teacher is not None or estimates_prior(class_prior)
    return is_asked and data.has_unlabelled()


def make_soft_targets(
    teacher: Any,
    class_prior: Any,
    data: TrainingData,
    preprocessor: Preprocessor,
    classes: Array,
    seed: int,
    progress: FitProgress,
) -> SoftTargets:
    """Fit the teacher, estimate the class prior if asked to, and adjust soft targets.

    Parameters
    ----------
    teacher : "pool", estimator or None
        As in `sk_ssvae.SSVAEClassifier`.
    class_prior : str or array-like
        As in `sk_ssvae.SSVAEClassifier`.
    data : TrainingData
        Rows and labels.
    preprocessor : Preprocessor
        Fitted on the same rows.
    classes : ndarray of shape (n_classes,)
        Class labels.
    seed : int
        Seeds every ``random_state=None`` of the teacher.
    progress : FitProgress
        Reports the fit of the teacher.

    Returns
    -------
    targets : SoftTargets

    Raises
    ------
    ValueError
        If `class_prior` is invalid.
    """
    if not needs_teacher(teacher, class_prior, data):
        return SoftTargets()
    used = data.only_used()
    # Before the teacher is fitted, so that an invalid prior is an error at once.
    prior = _stated_prior(class_prior, classes, used)
    estimate = estimates_prior(class_prior)
    soft, fitted = _fit_teacher(
        teacher, estimate, used, preprocessor, len(classes), seed, progress
    )
    shares = _assumed_shares(fitted, used.codes, len(classes))
    hidden = (soft.sum(axis=1) > 0) & (used.codes == UNLABELED)
    if estimate and hidden.any() and shares is not None:
        weight = None if used.weight is None else used.weight[hidden]
        prior = estimate_prior_by_em(soft[hidden].astype(np.float64), shares, weight)
    if teacher is None:  # the prior is to be estimated: see `needs_teacher`
        if prior is None:
            return SoftTargets()
        # The classifier learns the label shares with the weights.
        learned = resolve_class_prior("empirical", classes, used.codes, used.weight)
        return SoftTargets(None, prior, np.log(prior / learned).astype(np.float32))
    if prior is not None and shares is not None:
        soft[hidden] = reweight_posterior(soft[hidden], shares, prior)
    probabilities = np.zeros((len(data.codes), len(classes)), dtype=np.float32)
    probabilities[slice(None) if data.used is None else data.used] = soft
    final = last_step(fitted)
    targets = SoftTargets(
        probabilities,
        prior if estimate else None,
        teacher_name=type(final).__name__,
    )
    if not isinstance(final, OpinionPoolClassifier):
        return targets
    description = describe_pool(final)
    n_seen = len(final.label_distributions_)
    if n_seen < len(used.codes):
        description += (
            f"; of the {len(used.codes)} rows of X, which are read in blocks, it saw "
            f"{n_seen}"
        )
    return targets._replace(
        teacher=description,
        view_weights=final.weights_,
        view_log_loss=final.held_out_log_loss_,
    )


def _stated_prior(
    class_prior: Any, classes: Array, data: TrainingData
) -> npt.NDArray[np.float64] | None:
    """Return the prior that the user states.

    None for "auto" and "estimate", and for other names if a class has no label.
    """
    if isinstance(class_prior, str):
        labelled = np.unique(data.codes[data.codes != UNLABELED])
        # When training continues, a class may have no label, and "empirical" no value.
        if class_prior in ("auto", "estimate") or len(labelled) < len(classes):
            return None
    # Soft targets get the weights of the classes in training.
    return resolve_class_prior(class_prior, classes, data.codes, data.sample_weight)


def _fit_teacher(
    teacher: Any,
    estimate: bool,
    data: TrainingData,
    preprocessor: Preprocessor,
    n_classes: int,
    seed: int,
    progress: FitProgress,
) -> tuple[Array, Any]:
    """Fit the teacher, or the classifier that the prior is estimated with.

    Returns its soft targets and the fitted copy.
    """
    estimator: Any = teacher
    if teacher is None or isinstance(teacher, str):
        estimator = OpinionPoolClassifier(
            views=["logistic"] if teacher is None else None,
            shares="labelled" if estimate else "estimated",
        )
    is_pool = isinstance(estimator, OpinionPoolClassifier)
    step = "class prior" if teacher is None else "teacher"
    final = last_step(estimator)
    has_views = isinstance(final, OpinionPoolClassifier)
    cells = data.cells
    codes = data.codes.astype(np.int64)  # as teachers of the user are given them

    def encode(part: Any) -> Any:
        return network_inputs(part, preprocessor.scaling, preprocessor.layout)

    with progress.step(step, type(final).__name__, has_parts=has_views) as view:
        if isinstance(cells, SourceCells | SourceSubset) and is_pool:
            return fit_sampled_targets(
                estimator, cells, encode, codes, n_classes, seed, view
            )
        if isinstance(cells, SourceCells | SourceSubset):  # a memory map
            cells = cells[slice(None)]
        rows = dense_rows(encode(cells), seed) if is_pool else encode(cells)
        targets: tuple[Array, Any] = fit_soft_targets(
            estimator, rows, codes, n_classes, seed, view
        )
    return targets


def _assumed_shares(fitted: Any, codes: IntArray, n_classes: int) -> Array | None:
    """Return the class shares for which the teacher's probabilities are correct.

    These are the shares that an opinion pool estimated, else those of the labels,
    without sample weights, which the teacher does not use. None if a class has no
    label, which may happen when training continues.
    """
    counts = np.bincount(codes[codes != UNLABELED], minlength=n_classes)
    if not counts.all():
        return None
    shares: Array = getattr(last_step(fitted), "class_shares_", counts / counts.sum())
    return shares


def choose_temperature(
    estimator: Any,
    X: Any,
    data: TrainingData,
    sample_weight: Any,
    seed: int,
    progress: FitProgress,
) -> tuple[float, str]:
    """Return the temperature of the class probabilities, and what it depends on.

    Parameters
    ----------
    estimator : SSVAEClassifier
        Its parameters `temperature` and `teacher` decide. With
        ``temperature="cross-fit"`` clones of it are fitted, each within an equal share
        of the option `max_time`.
    X : array-like, sparse array or frame of shape (n_samples, n_features)
        Rows as the user passed them.
    data : TrainingData
        The same rows, validated, and their labels.
    sample_weight : array-like of shape (n_samples,) or None
        Weights of the rows as the user passed them, without those of the classes.
    seed : int
        Seed of the folds and the clones.
    progress : FitProgress
        Reports the fits of the clones.

    Returns
    -------
    temperature : float
    reason : str
    """
    if not isinstance(estimator.temperature, str):
        return float(estimator.temperature), "given"
    if estimator.temperature == "auto":
        if estimator.teacher is None:
            return 1.0, "unchanged without a teacher"
        return TEMPERATURE_WITH_TEACHER, "chosen on other data sets"
    X = as_rows(X)
    indexable = X.tocsr() if is_sparse(X) else X  # some formats have no row indexing
    class_weight = None
    if data.class_weight is not None:  # those of all labels, in every fold
        class_weight = dict(enumerate(data.class_weight.tolist()))

    max_time = None if estimator.options is None else estimator.options.max_time
    if max_time is not None:  # the fit itself gets a share, too
        max_time = float(max_time) / (N_FOLDS + 1)

    def predict_held_out(codes: Array, rows: Array) -> Array:
        model: Any = clone(estimator).set_params(
            temperature=1.0,
            class_weight=class_weight,
            unlabeled=UNLABELED,
            warm_start=False,
            callbacks=None,
            checkpoint=None,
            random_state=seed,
            verbose=0,
        )
        if model.options is not None:
            model.set_params(options__labeled_validation_fraction=0.0)
        if max_time is not None:
            model.set_params(options__max_time=max_time)
        model.set_callbacks()
        with user_is_told():  # by the fit that this is part of
            model.fit(X, codes, sample_weight=sample_weight)
            # The shift is not meant for labelled rows, which set the temperature.
            model.log_prior_shift_ = None
            log_proba: Array = model.predict_log_proba(safe_indexing(indexable, rows))
        return log_proba

    with progress.step("temperature", "cross-fit", has_parts=True) as fold:
        codes = data.codes.astype(np.int64)
        temperature = cross_fitted_temperature(predict_held_out, codes, seed, fold)
    if np.bincount(data.codes[data.codes != UNLABELED]).max() == 1:
        return temperature, "chosen on other data sets, as no label can be held out"
    return temperature, "fitted to held-out labels"
