"""Partially labelled data for the tests of splitters and scorers."""

import numpy as np
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from sk_ssvae.model_selection import mask_labels

IRIS_ROWS, IRIS_LABELS = load_iris(return_X_y=True)
FEW_IRIS = mask_labels(IRIS_LABELS, n_per_class=6, random_state=0)
"""Labels of the iris data set, all but six per class replaced by -1."""


@st.composite
def labels_and_n_splits(draw):
    """Labels with -1 and a number of folds that no class has fewer labels than."""
    n_classes = draw(st.integers(2, 4))
    n_splits = draw(st.integers(2, 4))
    counts = [draw(st.integers(n_splits, 7)) for _ in range(n_classes)]
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    labels += [-1] * draw(st.integers(0, 20))
    return np.array(draw(st.permutations(labels))), n_splits
