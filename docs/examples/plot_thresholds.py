"""
Choose a decision threshold by costs
====================================

To miss a patient whose disease progresses costs four times as much as a false alarm.
The threshold of the classifier should reflect this: by theory, for calibrated
probabilities, or tuned on the sixty patients that have a label.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import confusion_matrix, make_scorer
from sklearn.model_selection import train_test_split

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import LabeledTunedThresholdClassifierCV, mask_labels

X, y = load_diabetes(return_X_y=True)
y = (y > np.quantile(y, 0.6)).astype(int)  # 1: the disease progresses
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
few = mask_labels(y_train, n_per_class=30, random_state=0)

# %%
# The mean cost of a patient. By theory it is smallest at the threshold 1 / (4 + 1):
# there the expected costs of both decisions are equal.
MISSED, FALSE_ALARM = 4, 1


def cost(y_true, y_pred):
    """Return the mean cost of a patient."""
    (_, false_alarms), (missed, _) = confusion_matrix(y_true, y_pred, labels=[0, 1])
    return (MISSED * missed + FALSE_ALARM * false_alarms) / len(y_true)


by_theory = FALSE_ALARM / (MISSED + FALSE_ALARM)

# %%
# `LabeledTunedThresholdClassifierCV` predicts each labelled row by a model that was
# fitted without its label, and takes the threshold with the smallest cost on these
# predictions. scikit-learn's `TunedThresholdClassifierCV` refuses unlabelled rows.
tuned = LabeledTunedThresholdClassifierCV(
    SSVAEClassifier(max_epochs=20, random_state=0),
    scoring=make_scorer(cost, greater_is_better=False),
    cv=3,
)
tuned.fit(X_train, few)
proba = tuned.predict_proba(X_test)[:, 1]
thresholds = {
    "default": 0.5,
    "by theory": by_theory,
    "tuned": tuned.best_threshold_,
}
for name, threshold in thresholds.items():
    predicted = (proba >= threshold).astype(int)
    (_, false_alarms), (missed, _) = confusion_matrix(y_test, predicted)
    print(
        f"{name:10s} threshold {threshold:.3f}: {missed} missed, {false_alarms} false "
        f"alarms, mean cost {cost(y_test, predicted):.3f}"
    )

# %%
# The cost of all thresholds on held-out rows, which is not available in practice, and
# the probabilities of both classes.
grid = np.linspace(0.005, 0.995, 199)
costs = [cost(y_test, (proba >= threshold).astype(int)) for threshold in grid]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(grid, costs, color="0.5")
for (name, threshold), marker in zip(thresholds.items(), "os^", strict=True):
    value = cost(y_test, (proba >= threshold).astype(int))
    left.plot(threshold, value, marker, markersize=9, label=name)
left.set(
    xlabel="threshold on the probability of progress", ylabel="mean cost of a patient"
)
left.legend()
bins = np.linspace(0, 1, 21)
for k, name in enumerate(("no progress", "progress")):
    right.hist(proba[y_test == k], bins, alpha=0.6, label=name)
right.set(xlabel="probability of progress", ylabel="held-out rows")
right.legend()
plt.show()

# %%
# The two ways need different things: the first one calibrated probabilities, the second
# one enough labels of both classes. See :doc:`/imbalance` and :doc:`/calibration`.
