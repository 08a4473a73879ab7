"""What a classifier is told before training, and how sure its answers may be."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.estimators.base import FittingMixin, TrainingData
from sk_ssvae.estimators.calibration import (
    TEMPERATURE_WITH_TEACHER,
    cross_fitted_temperature,
)
from sk_ssvae.teachers.class_priors import (
    estimate_prior_by_em,
    resolve_class_prior,
    reweight_posterior,
)
from sk_ssvae.teachers.features import dense_rows, network_inputs
from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.teachers.soft_targets import fit_soft_targets
from sk_ssvae.utils.chunks import is_sparse
from sk_ssvae.utils.typing import Array

__all__ = ["Guess", "TeachingMixin"]


class Guess(NamedTuple):
    """What is believed of the hidden labels before training.

    Attributes
    ----------
    labels : ndarray of float32 of shape (n_rows, n_classes) or None
        The teacher's probabilities; zeros where it has no answer.
    shares : ndarray of shape (n_classes,) or None
        Estimate of p(y).
    log_shift : ndarray of float32 of shape (n_classes,) or None
        What the classifier's answers are to be moved by, because nothing in training
        tells it of these shares.
    """

    labels: Array | None = None
    shares: Array | None = None
    log_shift: Array | None = None


class TeachingMixin(FittingMixin):
    """A teacher's guesses, an estimate of the prior, and a temperature."""

    teacher: Any
    class_prior: Any
    temperature: str | float

    def _guess(self, data: TrainingData, n_classes: int) -> Guess:
        """Ask the teacher for guesses, and estimate the prior by them, if asked to."""
        estimates = self._estimates_prior()
        which = np.arange(data.X.shape[0])
        if data.used is not None:
            which = np.flatnonzero(data.used)
        codes = data.codes[which]
        asked = self.teacher is not None or estimates
        if not asked or not (codes == UNLABELED).any():
            return Guess()
        rows = network_inputs(data.X[which], self._columns, self._layout)
        teacher: Any = self.teacher
        if teacher is None or teacher == "pool":
            teacher = OpinionPoolClassifier(
                views=["logistic"] if teacher is None else None,
                shares="labelled" if estimates else "estimated",
            )
            rows = dense_rows(rows, self._seed)
        found = fit_soft_targets(teacher, rows, codes, n_classes, self._seed)
        shares = None
        hidden = (found.sum(axis=1) > 0) & (codes == UNLABELED)
        labelled = np.bincount(codes[codes != UNLABELED], minlength=n_classes)
        # Where the teacher has no answers, or training goes on with fewer classes,
        # there is nothing to estimate by.
        if estimates and hidden.any() and labelled.all():
            # A teacher does not see weights, so that it answers for the shares that
            # labels have without them.
            before = resolve_class_prior("empirical", np.arange(n_classes), codes)
            shares = estimate_prior_by_em(
                found[hidden].astype(np.float64),
                before,
                None if data.weight is None else data.weight[which][hidden],
            )
            found[hidden] = reweight_posterior(found[hidden], before, shares)
            if self.teacher is None:
                # but the classifier sees them
                weight = None if data.weight is None else data.weight[which]
                learnt = resolve_class_prior(
                    "empirical", np.arange(n_classes), codes, weight
                )
                return Guess(None, shares, np.log(shares / learnt).astype(np.float32))
        if self.teacher is None:
            return Guess()
        guess = np.zeros((data.X.shape[0], n_classes), dtype=np.float32)
        guess[which] = found
        return Guess(guess, shares)

    def _estimates_prior(self) -> bool:
        return isinstance(self.class_prior, str) and self.class_prior == "estimate"

    def _temperature(self, X: Any, data: TrainingData) -> float:
        """T of the answers, from models of their own where labels are to be hidden."""
        if not isinstance(self.temperature, str):
            return float(self.temperature)
        if self.temperature == "auto":
            return 1.0 if self.teacher is None else TEMPERATURE_WITH_TEACHER
        cells = X.tocsr() if is_sparse(X) else X  # some forms have no rows to take

        def answer(codes: Array, rows: Array) -> Array:
            model = clone(self).set_params(
                temperature=1.0,
                unlabeled=UNLABELED,
                warm_start=False,
                callbacks=None,
                checkpoint=None,
                random_state=self._seed,
                verbose=0,
            )
            model.set_callbacks()
            model.fit(X, codes, sample_weight=data.weight)
            # T comes before the shift, which is not for rows that have labels.
            model._log_shift = None
            log_proba: Array = model.predict_log_proba(_safe_indexing(cells, rows))
            return log_proba

        return cross_fitted_temperature(answer, data.codes, self._seed)
