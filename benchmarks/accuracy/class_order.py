"""How much label spreading depends on the order of classes that are imbalanced.

    python -m benchmarks accuracy.class_order

scikit-learn's `LabelSpreading` assigns rows that no label reaches to the first class.
In the sets of `imbalanced.py` with two classes the first has most rows, so that this is
an advantage. Prints its held-out accuracy on these sets as they are and with the two
classes exchanged, and the share of training rows that no label reaches, for 5 and 20
labels of each class, means of two seeds.
"""

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.accuracy.imbalanced import IMBALANCED
from benchmarks.accuracy.panel_data import prepared
from benchmarks.accuracy.panel_methods import METHODS
from benchmarks.common.command_line import make_parser
from benchmarks.common.data import hide_labels

SEEDS = (0, 1)
UNREACHED = 0.5
"""Rows of `label_distributions_` with a smaller sum are not reached: it is 0 or 1."""


def measure(name, n_labels, seed):
    """Return the accuracy as is and exchanged, and the share of unreached rows, in %.

    Parameters
    ----------
    name : str
        A set with two classes.
    n_labels : int
        Labels of each class.
    seed : int
        Seed for the split and the labels.

    Returns
    -------
    percentages : tuple of float
    """
    X, y = prepared(name)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed
    )
    labels = hide_labels(y[train], n_labels, 1000 + seed)
    accuracies = []
    for exchanged in (0, 1):
        spreading = METHODS["knn7_raw"](seed)
        spreading.fit(X[train], np.where(labels < 0, -1, labels ^ exchanged))
        hits = spreading.predict(X[test]) == (y[test] ^ exchanged)
        accuracies.append(100 * hits.mean())
    reached = spreading.label_distributions_.sum(axis=1) > UNREACHED
    return (*accuracies, 100 * (1 - reached.mean()))


def main(argv=None):
    """Run the benchmark."""
    make_parser("accuracy.class_order", __doc__).parse_args(argv)
    print("| | labels | first class largest | exchanged | rows not reached |")
    print("|---|---|---|---|---|")
    for name, kind in IMBALANCED.items():
        if not kind.two_classes:
            continue
        for n_labels in (5, 20):
            figures = np.mean([measure(name, n_labels, s) for s in SEEDS], axis=0)
            cells = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {name} | {n_labels} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
