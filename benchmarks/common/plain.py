"""Parameters of the plain model M2, as the benchmarks compare it.

Like `SSVAEClassifier.plain`, it has no teacher, no entropy term, a uniform class prior
and a classifier of the size of the other networks. Unlike it, it has ``alpha=30``, the
default, and was measured with 100 epochs and a learning rate of 0.005.
"""

__all__ = ["plain_m2"]


def plain_m2(*, n_threads=None, **changes):
    """Return parameters of `SSVAEClassifier` for plain M2.

    Parameters
    ----------
    n_threads : int or None, default=None
        Number of threads of torch while training, as in
        `sk_ssvae.training.TrainingOptions`.
    **changes
        Parameters of `SSVAEClassifier` that replace or extend those of plain M2.

    Returns
    -------
    dict
    """
    from sk_ssvae.training import ClassifierOptions  # takes seconds to import

    options = ClassifierOptions(
        entropy_weight=0.0, bound_rows=None, n_threads=n_threads
    )
    return {
        "teacher": None,
        "class_prior": "uniform",
        "classifier_hidden_sizes": None,
        "max_epochs": 100,
        "learning_rate": 5e-3,
        "options": options,
    } | changes
