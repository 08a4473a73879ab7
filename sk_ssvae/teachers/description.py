"""What a fitted opinion pool consists of, in words."""

from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.teachers.registry import ALL_ROWS_VIEWS

__all__ = ["describe_pool"]

MIN_WEIGHT = 0.005
"""Views of smaller weight are not listed."""


def describe_pool(pool: OpinionPoolClassifier) -> str:
    """Return which views a fitted pool uses, and what their weights depend on.

    Parameters
    ----------
    pool : OpinionPoolClassifier
        Fitted.

    Returns
    -------
    text : str
        Without a full stop.
    """
    weights = {name: w for name, w in pool.weights_.items() if w >= MIN_WEIGHT}
    names = sorted(weights, key=lambda name: -weights[name])
    listed = ", ".join(f"{name} {weights[name]:.2f}" for name in names)
    text = f"weights of {len(names)} of {len(pool.weights_)} views: {listed}"
    if pool.held_out_log_loss_:
        losses = ", ".join(f"{k} {pool.held_out_log_loss_[k]:.2f}" for k in names)
        text += f"; log-loss on held-out labels: {losses}"
    if pool.sample_indices_ is not None:
        n_rows = len(pool.label_distributions_)
        n_sampled = len(pool.sample_indices_)
        text += f"; fitted to a sample of {n_sampled} of {n_rows} rows"
        if not ALL_ROWS_VIEWS.isdisjoint(pool.weights_):
            text += ", views of latent means to all rows"
    return text
