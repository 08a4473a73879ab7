"""What is recorded of a fit, and the summary of a fitted estimator."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.estimators.parameters import model_name, model_spec
from sk_ssvae.estimators.summary import FitSummary
from sk_ssvae.estimators.teaching import SoftTargets, TrainingData
from sk_ssvae.utils.typing import Array

__all__ = ["record_fit", "summarize"]


def record_fit(
    data: TrainingData,
    stages: Sequence[tuple[str, int]],
    n_epochs: int,
    warnings: Sequence[str],
    targets: SoftTargets | None = None,
    distributions: Array | None = None,
) -> dict[str, Any]:
    """Return what a summary has to know of a fit besides the fitted attributes.

    Parameters
    ----------
    data : TrainingData
        Rows and labels.
    stages : sequence of (str, int)
        The stages of training, and their numbers of epochs.
    n_epochs : int
        Number of epochs done.
    warnings : sequence of str
        Texts of the warnings.
    targets : SoftTargets, default=None
        What was estimated before training; None for an estimator without classes.
    distributions : ndarray of shape (n_rows, n_classes), default=None
        Class probabilities of the rows.

    Returns
    -------
    record : dict
        Plain values, which a file can hold.
    """
    used = slice(None) if data.used is None else data.used
    codes = data.codes[used]
    record: dict[str, Any] = {
        "n_samples": len(codes),
        "n_epochs": n_epochs,
        "max_epochs": sum(n for _, n in stages),
        "warnings": [*warnings],
    }
    if targets is None or distributions is None:
        return record
    n_classes = distributions.shape[1]
    hidden = codes == UNLABELED
    shares = None
    if hidden.any():
        shares = np.mean(
            distributions[used], axis=0, dtype=np.float64, where=hidden[:, None]
        ).tolist()
    weights = sorted(targets.view_weights.items(), key=lambda view: -view[1])
    losses = targets.view_log_loss
    return record | {
        "label_counts": np.bincount(codes[~hidden], minlength=n_classes).tolist(),
        "unlabeled_shares": shares,
        "teacher": targets.teacher_name,
        "view_weights": {name: float(weight) for name, weight in weights},
        "view_log_loss": {name: float(losses[name]) for name, _ in weights if losses},
    }


def summarize(estimator: Any) -> FitSummary:
    """Return the summary of a fitted estimator.

    Parameters
    ----------
    estimator : SSVAEClassifier or VariationalAutoencoder
        Fitted.

    Returns
    -------
    summary : FitSummary
    """
    record = getattr(estimator, "fit_record_", {})
    preprocessor = estimator.preprocessor_
    kinds = preprocessor.column_types.tolist()
    columns: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for kind, name in zip(kinds, preprocessor.schema.names, strict=True):
        columns[kind].append(name)
    history = estimator.history_
    last = history[-1] if len(history) else {}
    objective = estimator.net_.objective
    is_adversarial = bool(objective.adversarial_weight)
    classes = getattr(estimator, "classes_", None)

    def by_class(values: Any) -> dict[Any, Any] | None:
        if classes is None or values is None:
            return None
        return dict(zip(classes.tolist(), np.asarray(values).tolist(), strict=True))

    counts = record.get("label_counts")
    shares = None
    if counts is not None and sum(counts):
        shares = np.asarray(counts) / sum(counts)
    model = None
    if hasattr(estimator, "model"):
        current = model_name(model_spec(estimator))
        model = estimator.fixed_parameters_.get("model", current)
    return FitSummary(
        estimator=type(estimator).__name__,
        model=model,
        n_samples=record.get("n_samples"),
        n_features=estimator.n_features_in_,
        n_constant=estimator.n_features_in_ - preprocessor.n_kept,
        label_counts=by_class(counts),
        likelihood=columns,
        shares_unit=_shares_unit(preprocessor),
        teacher=record.get("teacher"),
        view_weights=dict(record.get("view_weights", {})),
        view_log_loss=dict(record.get("view_log_loss", {})),
        class_prior=None if classes is None else by_class(estimator.class_prior_),
        labeled_shares=by_class(shares),
        unlabeled_shares=by_class(record.get("unlabeled_shares")),
        temperature=_optional(getattr(estimator, "temperature_", None)),
        n_epochs=record.get("n_epochs"),
        max_epochs=record.get("max_epochs"),
        n_iter=estimator.n_iter_,
        adversarial_weight=objective.adversarial_weight if is_adversarial else None,
        adversarial_radius=objective.adversarial_radius if is_adversarial else None,
        loss=_optional(last.get("train_loss")),
        bound=_optional(last.get("bound")),
        validation_bound=_optional(estimator.validation_bound_),
        fit_time=getattr(estimator, "fit_time_", None),
        device=str(estimator.device_),
        choices=dict(getattr(estimator, "choices_", {})),
        warnings=[*record["warnings"]] if "warnings" in record else None,
    )


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _shares_unit(preprocessor: Any) -> bool | None:
    """Return whether the Gaussian columns share a unit, None if there are none."""
    if "gaussian" not in preprocessor.column_types[preprocessor.scaling.kept]:
        return None
    return preprocessor.layout.input_scale is not None
