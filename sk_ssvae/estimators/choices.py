"""What `fit` of a classifier chose by itself, and why, in words."""

from collections.abc import Sequence
from typing import Any

from sk_ssvae.estimators.teaching import SoftTargets
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.options import ClassifierOptions

__all__ = ["describe_model_choices", "describe_training_choices"]

MODEL_CHOICES = ("likelihood", "class_prior")
"""Parameters for which a value is chosen for a new model only."""


def describe_model_choices(
    estimator: Any, class_prior: Any, targets: SoftTargets
) -> dict[str, str]:
    """Describe the choices for a new model, which further training does not change.

    Parameters
    ----------
    estimator : SSVAEClassifier
        Its likelihood is chosen.
    class_prior : str or array-like
        The parameter, or its estimate.
    targets : SoftTargets
        What was estimated before training.

    Returns
    -------
    choices : dict of str to str
        By name of the parameter.
    """
    choices = {}
    if estimator.likelihood == "auto":
        choices["likelihood"] = _describe_likelihood(estimator.likelihood_)
    if targets.class_prior is not None:
        choices["class_prior"] = "estimated from the unlabelled rows"
    elif isinstance(class_prior, str) and class_prior == "auto":
        choices["class_prior"] = (
            "uniform, because there are no soft targets"
            if targets.probabilities is None
            else "the mean of labels and soft targets"
        )
    return choices


def describe_training_choices(
    estimator: Any,
    targets: SoftTargets,
    temperature_reason: str,
    stages: Sequence[tuple[str, int]],
    n_rows: int,
    objective: Objective,
    adversarial_reason: str,
) -> dict[str, str]:
    """Describe the choices of a call to `fit`, and keep those for its model.

    Parameters
    ----------
    estimator : SSVAEClassifier
        Its parameters and options say what is left to `fit`; its temperature is chosen,
        and its ``choices_`` are at least those of `describe_model_choices`.
    targets : SoftTargets
        What was estimated before training.
    temperature_reason : str
        What the temperature depends on.
    stages : list of (str, int)
        Names and numbers of epochs of the stages of training.
    n_rows : int
        Number of training rows.
    objective : Objective
        The loss.
    adversarial_reason : str
        What the weight of adversarial training depends on.

    Returns
    -------
    choices : dict of str to str
        By name of the parameter.
    """
    options = estimator.options or ClassifierOptions()
    before = estimator.choices_
    choices = {name: before[name] for name in MODEL_CHOICES if name in before}
    if targets.teacher:
        choices["teacher"] = targets.teacher
    if isinstance(estimator.max_epochs, str):
        is_limited = estimator.early_stopping or options.max_time is not None
        most = "at most " if is_limited else ""
        choices["max_epochs"] = f"{most}{_describe_epochs(stages)} of {n_rows} rows"
    if estimator.alpha == "auto":
        n_columns = estimator.preprocessor_.n_kept
        choices["alpha"] = f"{objective.alpha:.3g}, for {n_columns} columns"
    if isinstance(estimator.temperature, str):
        temperature = f"{estimator.temperature_:.3g}: {temperature_reason}"
        choices["temperature"] = temperature
    if estimator.marginalization == "auto":
        top_k = objective.top_k
        choices["marginalization"] = (
            "all classes are summed"
            if top_k is None
            else f"{top_k} classes are summed, and one is sampled"
        )
    if options.bound_rows == "auto":
        rows = f"{objective.bound_rows} unlabelled rows of a minibatch"
        choices["options__bound_rows"] = rows
    weight = objective.adversarial_weight
    if options.adversarial_weight == "auto":
        choices["options__adversarial_weight"] = f"{weight:.3g}: {adversarial_reason}"
    if options.adversarial_radius == "auto":
        if weight:
            choices["options__adversarial_radius"] = (
                f"{objective.adversarial_radius:.3g}: the median distance to the "
                "nearest boundary between classes"
            )
        elif options.adversarial_weight not in ("auto", 0):
            radius = f"no adversarial training: {adversarial_reason}"
            choices["options__adversarial_radius"] = radius
    return choices


def _describe_likelihood(likelihood: str | Sequence[tuple[str, Any]]) -> str:
    """Return the likelihood, with the number of columns if there are several."""
    if isinstance(likelihood, str):
        return likelihood
    return ", ".join(f"{kind}: {len(columns)} columns" for kind, columns in likelihood)


def _describe_epochs(stages: Sequence[tuple[str, int]]) -> str:
    """Return the number of epochs, for each stage if there are several."""
    if len(stages) == 1:
        return f"{stages[0][1]} epochs"
    named = (f"{n} epochs of the stage {name!r}" for name, n in stages if n > 0)
    return ", ".join(named)
