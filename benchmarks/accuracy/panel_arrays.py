"""Results of the accuracy panel as arrays, and means of them."""

import warnings

import numpy as np
from scipy.stats import rankdata

from benchmarks.accuracy.imbalanced import IMBALANCED
from benchmarks.accuracy.panel_data import MANY_ROWS, PANEL

__all__ = ["NAMES", "REFERENCES", "Panel", "better_columns", "mean", "mean_and_error"]

NAMES = {
    "ours": "SSVAEClassifier",
    "m2": "SSVAEClassifier(teacher=None)",
    "network": "SSVAEClassifier(teacher=None), labelled rows",
    "rf": "RandomForest(200), labelled rows",
    "self_lr": "SelfTraining(LogisticRegression)",
    "self_svc": "SelfTraining(SVC)",
    "lr": "LogisticRegression, labelled rows",
    "svc": "SVC(C=10), labelled rows",
    "boosting": "HistGradientBoosting, labelled rows",
    "knn20": "LabelSpreading (min-max, knn, 20)",
    "knn7": "LabelSpreading (knn, 7)",
    "spreading": "LabelSpreading (rbf, as shipped)",
    "propagation": "LabelPropagation (knn, 7)",
    "gl_laplace": "Laplace learning (knn, 10)",
    "gl_poisson": "Poisson learning (knn, 10)",
    "ours_told": "SSVAEClassifier, told the true class shares",
    "gl_poisson_mbo": "Poisson-MBO, told the true class sizes",
    "pyroved": "pyroVED ssiVAE",
    "oracle": "LabelSpreading, best of 36 by the true labels",
    "majority": "majority class",
}
"""Methods as the tables call them, in the order of the tables."""

REFERENCES = ("ours_told", "gl_poisson_mbo", "oracle", "majority")
"""Methods that use true classes of unlabelled or held-out rows; they are not ranked."""

RAW = "_raw"
"""End of the names of methods that see the columns as they are."""

ORDER = {
    name: i for i, name in enumerate(dict.fromkeys((*PANEL, *MANY_ROWS, *IMBALANCED)))
}


class Panel:
    """Results of one scheme and one limit of rows, as arrays.

    Of a method that was run on standardised columns and on the columns as they are,
    each setting has the one with the higher held-out accuracy.

    Parameters
    ----------
    results : dict of Cell to dict
        All results of a file.
    scheme, rows
        Scheme and limit of rows of the panel; other results are ignored.

    Attributes
    ----------
    settings : list of (str, int)
        Data set and labels of each class.
    seeds : list of int
        Seeds.
    methods : list of str
        Methods with results.
    complete : list of str
        Methods that were run on all settings.
    ranked : list of str
        Methods among them that do not use the true labels.
    few : ndarray of bool of shape (n_settings,)
        Settings with 5 labels of each class.
    raw : dict of str to dict of (str, int) to bool
        Whether the columns as they are were better, by method and by setting in which
        it was run on both.
    """

    def __init__(self, results, scheme, rows):
        chosen = {
            cell: result
            for cell, result in results.items()
            if (cell.scheme, cell.rows) == (scheme, rows)
        }
        self.results, self.raw = better_columns(chosen)
        cells = self.results
        settings = {(cell.dataset, cell.labels) for cell in cells}
        self.settings = sorted(settings, key=lambda s: (ORDER.get(s[0], 99), *s))
        self.seeds = sorted({cell.seed for cell in cells})
        present = {cell.method for cell in cells}
        self.methods = [name for name in NAMES if name in present]
        run = {(cell.method, cell.dataset, cell.labels) for cell in cells}
        self.complete = [
            name
            for name in self.methods
            if all((name, *setting) in run for setting in self.settings)
        ]
        self.ranked = [name for name in self.complete if name not in REFERENCES]
        self.few = np.array([labels == 5 for _, labels in self.settings])

    def among(self, sets):
        """Return a mask of the settings of these data sets."""
        return np.array([name in sets for name, _ in self.settings])

    def values(self, key):
        """Return values by method, of shape (n_settings, n_seeds); NaN if missing."""
        shape = len(self.settings), len(self.seeds)
        arrays = {name: np.full(shape, np.nan) for name in self.methods}
        for cell, result in self.results.items():
            i = self.settings.index((cell.dataset, cell.labels))
            value = result.get(key)
            if value is not None:
                arrays[cell.method][i, self.seeds.index(cell.seed)] = value
        return arrays

    def ranks(self, key="held_out"):
        """Return ranks of shape (n_settings, n_ranked); 1 is the largest value."""
        values = self.values(key)
        means = np.column_stack([mean(values[name]) for name in self.ranked])
        return rankdata(-np.nan_to_num(means, nan=-1), axis=1)


def better_columns(results):
    """Choose between standardised columns and columns as they are, by setting.

    Parameters
    ----------
    results : dict of Cell to dict
        Results of one scheme and one limit of rows. Methods whose names end with `RAW`
        have the columns as they are.

    Returns
    -------
    results : dict of Cell to dict
        For each method and setting the results with the higher mean of the held-out
        accuracy over seeds, under the name without `RAW`. Both must have the same
        seeds; otherwise the standardised columns are chosen.
    raw : dict of str to dict of (str, int) to bool
        Whether the columns as they are were chosen, by method and by setting in which
        there was a choice.
    """
    groups = {}
    for cell in results:
        name, raw = cell.method.removesuffix(RAW), cell.method.endswith(RAW)
        pair = groups.setdefault((name, cell.dataset, cell.labels), ({}, {}))
        pair[raw][cell.seed] = cell
    chosen, better = {}, {}
    for (name, *setting), (standardised, raw) in groups.items():
        cells = standardised or raw
        if standardised.keys() == raw.keys():
            first, second = (
                np.mean([results[cell].get("held_out", 0.0) for cell in both.values()])
                for both in (standardised, raw)
            )
            cells = raw if second > first else standardised
            better.setdefault(name, {})[tuple(setting)] = bool(second > first)
        for cell in cells.values():
            chosen[cell._replace(method=name)] = results[cell]
    return chosen, better


def mean(values):
    """Return the mean over seeds by setting; NaN where there are no values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=1)


def mean_and_error(values, chosen, factor=100, digits=1):
    """Format the mean over settings and its standard error over seeds."""
    values = factor * values[chosen]
    values = values[~np.isnan(values).all(axis=1)]
    if not len(values):
        return ""
    text = f"{mean(values).mean():.{digits}f}"
    # Effect of each seed on the mean over settings; a setting may lack some seeds.
    by_seed = values - mean(values)[:, None]
    by_seed = mean(by_seed[:, ~np.isnan(values).all(axis=0)].T)
    if len(by_seed) < 2:
        return text
    return f"{text} ± {by_seed.std(ddof=1) / np.sqrt(len(by_seed)):.{digits}f}"
