"""Accuracy over the labelled rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.data.validation import check_weights
from sk_ssvae.utils.typing import Array

__all__ = ["labelled_accuracy"]


def labelled_accuracy(
    y: npt.ArrayLike,
    predicted: Array,
    classes: Array,
    sample_weight: npt.ArrayLike | None = None,
    unlabeled: Any = UNLABELED,
) -> float:
    """Return the accuracy over the labelled rows.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        True labels, with the marker in rows to leave out.
    predicted : ndarray of shape (n_rows,)
        Predicted classes.
    classes : ndarray of shape (n_classes,)
        The classes of the classifier.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows as the user passed them.
    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        The marker.

    Returns
    -------
    accuracy : float
        In [0, 1].

    Raises
    ------
    ValueError
        If no row is labelled, no labelled row has a positive weight, or the labels are
        strings and the classes are not, or vice versa.
    """
    truth = column_or_1d(as_label_array(y, unlabeled), warn=True)
    check_consistent_length(predicted, truth)
    labelled, labels = split_labels(truth, unlabeled, all_labelled=True)
    if not labelled.any():
        raise ValueError(
            f"score needs labelled rows, but y is {unlabeled!r} (unlabelled) in all "
            f"{len(truth)} rows."
        )
    if (labels.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
        raise ValueError(
            f"y has labels such as {labels.tolist()[0]!r}, but the classes are "
            f"{classes.tolist()}."
        )
    weight = None
    if sample_weight is not None:
        weight = check_weights(sample_weight, predicted)
        weight = (weight / weight.max())[labelled]
        if not weight.any():
            raise ValueError(
                "score needs labelled rows with a positive sample_weight, but it is 0 "
                f"for all {len(weight)} labelled rows."
            )
    predicted = predicted[labelled]
    if labels.dtype.kind != predicted.dtype.kind:  # e.g. str and bytes
        labels = labels.astype(object)
    # accuracy_score would take large floats without a fraction for continuous.
    return float(np.average(labels == predicted, weights=weight))
