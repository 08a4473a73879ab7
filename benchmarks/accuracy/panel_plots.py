"""Plots of the accuracy panel: mean ranks, and differences by setting."""

import numpy as np
from scipy.stats import studentized_range

from benchmarks.accuracy.panel_data import CHOSEN_ON, REPORTED_ON
from benchmarks.common.figures import save_figure

__all__ = ["plot_differences", "plot_ranks"]


def critical_distance(n_methods, n_sets, level=0.05):
    """Return Nemenyi's critical distance of mean ranks (Demsar, JMLR 2006)."""
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets))


def indistinguishable(ranks, distance):
    """Find the maximal runs of sorted ranks that span less than a distance.

    Returns
    -------
    list of (int, int)
        First and last index of each run of two or more ranks.
    """
    runs, end = [], 0
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + distance)) - 1
        if last > first and last > end:
            runs.append((first, last))
            end = last
    return runs


def plot_ranks(path, names, ranks, sets):
    """Plot mean ranks and their critical distance.

    Parameters
    ----------
    path : Path
        Image file to write.
    names : list of str
        Methods.
    ranks : ndarray of shape (n_settings, n_methods)
        Ranks within each setting.
    sets : ndarray of str of shape (n_settings,)
        Data sets. Settings of the same set are not independent, so the critical
        distance is computed for the number of sets.
    """
    if len(names) < 2:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    order = ranks.mean(axis=0).argsort(kind="stable")
    means, names = ranks.mean(axis=0)[order], [names[i] for i in order]
    n, n_sets = len(names), len(np.unique(sets))
    distance = critical_distance(n, n_sets)
    runs = indistinguishable(means, distance)
    half = (n + 1) // 2
    top = 0.9 + 0.35 * len(runs)  # position of the first name
    height = top + half - 0.5
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.3 * height), layout="constrained")
    low, high = 1, n
    axes.set(xlim=(low - 0.48 * n, high + 0.48 * n), ylim=(height, -1.9))
    axes.axis("off")
    axes.plot([low, high], [0, 0], "k", linewidth=1)
    for tick in range(1, n + 1):
        axes.plot([tick, tick], [0, -0.2], "k", linewidth=1)
        axes.text(tick, -0.3, tick, ha="center", va="bottom")
    axes.plot([low, low + distance], [-1.3, -1.3], "k", linewidth=2)
    text = f"critical distance {distance:.2f} (Nemenyi, 5 %, {n_sets} sets)"
    axes.text(low + distance + 0.15, -1.3, text, va="center")
    for i, (name, rank) in enumerate(zip(names, means, strict=True)):
        left = i < half
        y = top + (i if left else n - 1 - i)
        side = low - 0.3 if left else high + 0.3
        weight = "bold" if name.startswith("SSVAEClassifier") else "normal"
        axes.plot([rank, rank, side], [0, y, y], color="0.5", linewidth=0.8)
        axes.text(
            side + (-0.1 if left else 0.1),
            y,
            f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            fontweight=weight,
        )
    for i, (first, last) in enumerate(runs):
        y = 0.5 + 0.35 * i
        ends = [means[first] - 0.06, means[last] + 0.06]
        axes.plot(ends, [y, y], color="C0", linewidth=3.5, solid_capstyle="butt")
    axes.set_title(
        "Mean ranks of held-out accuracy; bars span less than the critical distance"
    )
    save_figure(figure, path)


def plot_differences(path, cells):
    """Plot the accuracy of SSVAEClassifier minus the best other, by setting.

    Parameters
    ----------
    path : Path
        Image file to write.
    cells : list of ((str, int), float, str)
        Data set and labels, difference in percentage points, and best other method.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    groups = (
        ("sets that constants were chosen on", CHOSEN_ON),
        ("sets that nothing was chosen on", REPORTED_ON),
    )
    present = {name for (name, _), _, _ in cells}
    groups = [(title, [s for s in sets if s in present]) for title, sets in groups]
    groups = [(title, sets) for title, sets in groups if sets]
    largest = max(len(sets) for _, sets in groups)
    figure, every = plt.subplots(
        1,
        len(groups),
        figsize=(5.6 * len(groups), 1.4 + 0.42 * largest),
        layout="constrained",
        squeeze=False,
    )
    limit = max(2, np.nanmax([abs(difference) for _, difference, _ in cells]))
    for axes, (title, sets) in zip(every[0], groups, strict=True):
        grid = np.full((len(sets), 2), np.nan)
        for (name, labels), difference, best in cells:
            if name not in sets:
                continue
            row, column = sets.index(name), int(labels != 5)
            grid[row, column] = difference
            # White text on dark cells.
            colour = "white" if abs(difference) > 0.7 * limit else "black"
            style = {"ha": "center", "color": colour}
            number = f"{round(difference, 1) + 0:+.1f}"  # no -0.0
            axes.text(column, row - 0.03, number, va="bottom", fontsize=10, **style)
            axes.text(column, row + 0.05, best, va="top", fontsize=7, **style)
        image = axes.imshow(grid, "RdBu", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_xticks([0, 1], ["5 labels a class", "20 (coil20, isolet1560: 10)"])
        axes.set_yticks(range(len(sets)), sets)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=10)
    bar = figure.colorbar(image, ax=every[0], fraction=0.03)
    bar.set_label("points")
    figure.suptitle("SSVAEClassifier minus the best of the others, held-out accuracy")
    save_figure(figure, path)
