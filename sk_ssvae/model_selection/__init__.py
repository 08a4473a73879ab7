"""Cross-validation and scoring with unlabelled rows.

scikit-learn's splitters and scorers treat -1 as a class: test folds contain unlabelled
rows, and these are scored as errors. The splitters here keep unlabelled rows in the
training sets, and the scorers ignore them. They work with every semi-supervised
estimator, including those of scikit-learn.
"""

from sk_ssvae.model_selection.folds import (
    LabeledKFold,
    LabeledStratifiedKFold,
    UnlabeledKFold,
)
from sk_ssvae.model_selection.masking import mask_labels
from sk_ssvae.model_selection.scorers import bound_scorer, labeled_scorer
from sk_ssvae.model_selection.shuffles import (
    LabeledShuffleSplit,
    LabeledStratifiedShuffleSplit,
)

__all__ = [
    "LabeledKFold",
    "LabeledShuffleSplit",
    "LabeledStratifiedKFold",
    "LabeledStratifiedShuffleSplit",
    "UnlabeledKFold",
    "bound_scorer",
    "labeled_scorer",
    "mask_labels",
]
