"""Figures of the benchmarks."""

__all__ = ["save_figure"]


def save_figure(figure, path):
    """Save a figure as PNG and close it, replacing an existing file atomically.

    An interrupted report leaves the existing picture as it is.

    Parameters
    ----------
    figure : matplotlib Figure
        The figure.
    path : Path
        File to write. Its folder is created if it does not exist.
    """
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    figure.savefig(partial, dpi=120, format="png")
    partial.replace(path)
    plt.close(figure)
