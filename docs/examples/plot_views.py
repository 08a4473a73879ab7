"""
Add a classifier of your own to the teacher
===========================================

The pool of the default teacher weighs classifiers by how well they predict hidden
labels. Classifiers of your own can join it: here two that know that the columns are
pixels of an image, which the built-in views do not.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.model_selection import mask_labels

# %%
# The features are histograms of the directions of edges, in 16 cells of four pixels.


def edge_histograms(X):
    """Return the strength of edges in eight directions, summed over each cell."""
    dy, dx = np.gradient(X.reshape(-1, 8, 8), axis=(1, 2))
    direction = np.floor(np.arctan2(dy, dx) / (2 * np.pi) * 8).astype(int) % 8
    strength = np.hypot(dx, dy) * (direction == np.arange(8)[:, None, None, None])
    cells = strength.reshape(8, len(X), 4, 2, 4, 2).sum(axis=(3, 5))
    return np.sqrt(cells.swapaxes(0, 1).reshape(len(X), -1))


# %%
# Each view has a name and a scikit-learn classifier. The first is fitted to the
# labelled rows. The second is semi-supervised, and is fitted to all of them.
edges = FunctionTransformer(edge_histograms)
own = [
    (
        "edges",
        make_pipeline(edges, StandardScaler(), LogisticRegression(max_iter=1000)),
    ),
    (
        "edge_graph",
        make_pipeline(edges, LabelSpreading(kernel="knn", alpha=0.5, max_iter=200)),
    ),
]
built_in = ["columns", "pca-8", "pca-16", "logistic", "svm", "linear-generative"]
pools = {
    "built-in views": OpinionPoolClassifier(views=built_in, random_state=0),
    "and own": OpinionPoolClassifier(views=built_in + own, random_state=0),
}

# %%
# Held-out accuracy with five labels per class, for three choices of the labelled rows.
X, y = load_digits(return_X_y=True)
accuracy = {name: [] for name in pools}
for seed in range(3):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    few = mask_labels(y_train, n_per_class=5, random_state=seed)
    for name, pool in pools.items():
        accuracy[name].append(pool.fit(X_train, few).score(X_test, y_test))
for name, values in accuracy.items():
    print(f"{name:15s}", " ".join(f"{100 * value:.1f}" for value in values))

# %%
# The weights of the views, and how well each predicts the labels that were hidden from
# it, for the last choice. A pool is also a teacher:
# ``SSVAEClassifier(teacher=OpinionPoolClassifier(views=[...]))``. Searches reach the
# classifiers by their names, as in ``teacher__edges__logisticregression__C``.
pool = pools["and own"]
names = list(pool.weights_)
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.6), sharey=True, layout="constrained"
)
colours = ["tab:grey" if name in built_in else "tab:blue" for name in names]
left.barh(names, list(pool.weights_.values()), color=colours)
left.set(xlabel="weight in the pool")
right.barh(names, list(pool.held_out_log_loss_.values()), color=colours)
right.set(xlabel="log-loss on hidden labels in nats")
left.invert_yaxis()
plt.show()

# %%
# :doc:`/teacher` describes the pool, and which classifiers it takes.
