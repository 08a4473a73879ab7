"""
Odd rows
========

`score_samples` is a lower bound of log p(x): low for rows unlike those of `fit`. The
model learns the digits 0 to 8 and is then shown digits it knows, nines, and digits
upside down, beside `IsolationForest`, which is made for this.
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
known = y < 9
X_train, X_test, y_train, y_test = train_test_split(
    X[known], y[known], stratify=y[known], random_state=0
)
few = mask_labels(y_train, n_per_class=5, random_state=0)
clf = SSVAEClassifier(n_threads=1, random_state=0).fit(X_train, few)
forest = IsolationForest(random_state=0).fit(X_train)

# %%
# Upside down: the rows of pixels in reverse. (0, 1 and 8 are then much as before.)
flipped = X_test.reshape(-1, 8, 8)[:, ::-1].reshape(-1, 64)
shown = {"digits it knows": X_test, "nines": X[~known], "upside down": flipped}
scores = {name: clf.score_samples(rows) for name, rows in shown.items()}

# %%
# How often an odd row has a lower score than one of the known kind: the area under the
# ROC curve, in %.
for name in ("nines", "upside down"):
    odd = np.repeat([0, 1], [len(X_test), len(shown[name])])
    ours = roc_auc_score(
        odd, -np.concatenate([scores["digits it knows"], scores[name]])
    )
    rows = np.concatenate([X_test, shown[name]])
    theirs = roc_auc_score(odd, -forest.score_samples(rows))
    print(f"{name:12s} score_samples {100 * ours:.0f}, forest {100 * theirs:.0f}")

# %%
# The scores, and the oddest of the digits that it should know.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
bins = np.linspace(-45, -10, 45)
for name, values in scores.items():
    left.hist(values.clip(-45, -10), bins, density=True, alpha=0.55, label=name)
left.set(xlabel="score_samples, nats", ylabel="share of rows")
left.legend()
oddest = np.argsort(scores["digits it knows"])[:12]
mosaic = np.pad(X_test[oddest].reshape(3, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
right.imshow(mosaic.swapaxes(1, 2).reshape(30, 40), cmap="gray_r")
right.set(xticks=[], yticks=[], title="Held-out digits with the lowest scores")
plt.show()
