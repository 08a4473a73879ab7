"""Schedules of the learning rates, as factors of that of the optimizer."""

__all__ = [
    "DECAY",
    "LARGE_STEPS",
    "MANY_COLUMNS",
    "large_step_factors",
    "learning_rate_factors",
]

DECAY = 0.4
"""Fraction of the steps in which the learning rate falls to zero at the end: of all
networks in an unsupervised stage, and of the classifier if it has soft targets. Without
soft targets it did not improve predictions."""

LARGE_STEPS = (1.5, 2.0)
"""Factors of the classifier and of all other networks in training with large steps, in
which both fall to zero: about as accurate as half as many steps again of the learning
rate itself, and of about the same density (`python -m benchmarks accuracy.steps`)."""

MANY_COLUMNS = 1500
"""With more columns than this, the factor of the other networks is 1. With 2, the bound
did not converge on 7,000 words, and collapsed in longer training on 2,000 standardised
genes. On 1,024 pixels the density was higher with 2, and the accuracy the same (`python
-m benchmarks accuracy.steps --others 1 2`)."""


def large_step_factors(n_columns: int) -> tuple[float, float]:
    """Return the factors of large steps, before they fall.

    Parameters
    ----------
    n_columns : int
        Number of columns in the bound.

    Returns
    -------
    classifier, others : float
        Factors of the classifier and of all other networks.
    """
    classifier, others = LARGE_STEPS
    return classifier, others if n_columns <= MANY_COLUMNS else 1.0


def learning_rate_factors(
    progress: float,
    *,
    unsupervised: bool,
    taught: bool,
    large_steps: bool,
    n_columns: int,
) -> tuple[float, float]:
    """Return factors for the learning rates of a step.

    Parameters
    ----------
    progress : float in [0, 1)
        Fraction of the training steps done.
    unsupervised : bool
        Whether the model is in an unsupervised stage, in which the others have no
        effect.
    taught : bool
        Whether the minibatch has soft targets with a weight. Without them, rates are
        constant.
    large_steps : bool
        Whether steps with soft targets are large. In small ones only the rate of the
        classifier falls.
    n_columns : int
        Number of columns in the bound.

    Returns
    -------
    classifier, others : float
        Factors of the classifier and of all other networks.
    """
    decay = min(1.0, (1 - progress) / DECAY)
    if unsupervised:
        return decay, decay
    if not taught:
        return 1.0, 1.0
    if not large_steps:
        return decay, 1.0
    classifier, others = large_step_factors(n_columns)
    return classifier * decay, others * decay
