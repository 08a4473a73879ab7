"""
Detect outliers
===============

`score_samples` is a lower bound of log p(x), which is low for rows unlike those of
`fit`. The model is fitted to the digits 0 to 8 and evaluated on held-out digits, nines,
digits upside down, and digits in black and white, in comparison with `IsolationForest`.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

X, y = load_digits(return_X_y=True)
X = X / 16
inliers = y < 9
X_train, X_test, y_train, y_test = train_test_split(
    X[inliers], y[inliers], stratify=y[inliers], random_state=0
)
few = mask_labels(y_train, n_per_class=5, random_state=0)
clf = SSVAEClassifier(random_state=0).fit(X_train, few)
forest = IsolationForest(random_state=0).fit(X_train)

# %%
# Upside down: the rows of pixels in reverse order. (0, 1 and 8 hardly change.) Black
# and white: every pixel is rounded to 0 or 1. The default likelihood for these data
# gives probabilities to the values 0 and 1, and a density to grey values.
flipped = X_test.reshape(-1, 8, 8)[:, ::-1].reshape(-1, 64)
data = {
    "held-out digits": X_test,
    "nines": X[~inliers],
    "upside down": flipped,
    "black and white": np.round(X_test),
}
scores = {name: clf.score_samples(rows) for name, rows in data.items()}

# %%
# The area under the ROC curve, in %: the probability that an outlier has a lower score
# than a held-out digit.
for name in list(data)[1:]:
    is_outlier = np.repeat([0, 1], [len(X_test), len(data[name])])
    vae_scores = np.concatenate([scores["held-out digits"], scores[name]])
    forest_scores = forest.score_samples(np.concatenate([X_test, data[name]]))
    vae_auc = roc_auc_score(is_outlier, -vae_scores)
    forest_auc = roc_auc_score(is_outlier, -forest_scores)
    print(f"{name}: score_samples {100 * vae_auc:.0f}, forest {100 * forest_auc:.0f}")

# %%
# The scores, and the held-out digits with the lowest ones.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
bins = np.linspace(-100, 10, 56)
for name, values in scores.items():
    left.hist(values.clip(-100, 10), bins, density=True, alpha=0.55, label=name)
left.set(xlabel="score_samples in nats", ylabel="density of rows")
left.legend()
lowest = np.argsort(scores["held-out digits"])[:12]
mosaic = np.pad(X_test[lowest].reshape(3, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
right.imshow(mosaic.swapaxes(1, 2).reshape(30, 40), cmap="gray_r")
right.set(xticks=[], yticks=[], title="Held-out digits with the lowest scores")
plt.show()

# %%
# `score_samples` is an estimate of a density in the units of X: see :doc:`/model`. A
# :doc:`stream <plot_streaming>` can be monitored by it.
