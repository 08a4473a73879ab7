"""Model selection where most rows have no label: splitters, scorers, hidden labels.

With -1 for unlabelled rows, scikit-learn's splitters take -1 for a class, its test
folds fill with rows without truth, and its scorers count those as errors. These leave
such rows to training. They serve every semi-supervised estimator, scikit-learn's too.
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
