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
from sk_ssvae.model_selection.prediction import cross_val_predict_labeled
from sk_ssvae.model_selection.scorers import bound_scorer, labeled_scorer
from sk_ssvae.model_selection.shuffles import (
    LabeledShuffleSplit,
    LabeledStratifiedShuffleSplit,
)
from sk_ssvae.model_selection.thresholds import LabeledTunedThresholdClassifierCV

__all__ = [
    "LabeledKFold",
    "LabeledShuffleSplit",
    "LabeledStratifiedKFold",
    "LabeledStratifiedShuffleSplit",
    "LabeledTunedThresholdClassifierCV",
    "UnlabeledKFold",
    "bound_scorer",
    "cross_val_predict_labeled",
    "labeled_scorer",
    "mask_labels",
]
