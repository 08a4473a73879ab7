"""Schedules of the learning rates, as factors of that of the optimizer."""

__all__ = [
    "DECAY",
    "LARGE_STEPS",
    "LARGE_STEPS_MANY_COLUMNS",
    "MANY_COLUMNS",
    "learning_rate_factors",
]

DECAY = 0.4
"""Fraction of the steps in which learning rates fall to zero at the end: those of all
networks in an unsupervised stage and in large steps, and that of the classifier in
small steps with soft targets. Without soft targets it did not improve predictions."""

LARGE_STEPS = (1.5, 2.0)
"""Factors of the classifier and of all other networks in training with large steps, in
which both fall to zero: about as accurate as half as many steps again of the learning
rate itself, and of about the same density (benchmarks/README, "Number of steps")."""

MANY_COLUMNS = 1500
LARGE_STEPS_MANY_COLUMNS = (1.5, 1.0)
"""The same with more columns. With a factor of 2 for the other networks the bound did
not converge on 7,000 words (benchmarks/README, "Many columns"), and collapsed in longer
training on 2,000 standardised genes; on 1,024 pixels the density was higher with 2, and
the accuracy the same ("Number of steps")."""


def learning_rate_factors(
    progress: float,
    *,
    unsupervised: bool,
    has_soft_targets: bool,
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
    has_soft_targets : bool
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
    if not has_soft_targets:
        return 1.0, 1.0
    if not large_steps:
        return decay, 1.0
    many = n_columns > MANY_COLUMNS
    classifier, others = LARGE_STEPS_MANY_COLUMNS if many else LARGE_STEPS
    return classifier * decay, others * decay
