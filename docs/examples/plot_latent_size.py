"""
How many latent dimensions?
===========================

A grid search over `latent_size` on 398 tumours of which ten a class have a label: by
accuracy in labelled folds, and by the bound of rows without a label. Beside both, what
nobody knows: accuracy on 171 held-out tumours.

    python docs/examples/plot_latent_size.py [--out latent_size.png]
"""

import argparse
import time
from pathlib import Path

import matplotlib
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    UnlabeledKFold,
    bound_scorer,
    mask_labels,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description="How many latent dimensions?")
parser.add_argument("--out", type=Path, default=Path("latent_size.png"))
args = parser.parse_args()
torch.set_num_threads(1)  # faster than two for networks of this size
start = time.perf_counter()

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)
y_few = mask_labels(y_train, n_per_class=10, random_state=0)

# %%
# Plain M2 in a pipeline. Only labelled rows are dealt to the test folds of the first
# search, only unlabelled ones to those of the second.
pipeline = make_pipeline(
    StandardScaler(),
    SSVAEClassifier(teacher=None, max_epochs=60, n_threads=1, random_state=0),
)
grid = {"ssvaeclassifier__latent_size": [1, 2, 5, 20]}
by_labels = GridSearchCV(
    pipeline, grid, cv=LabeledStratifiedKFold(3, shuffle=True, random_state=0)
)
by_bound = GridSearchCV(
    pipeline,
    grid,
    scoring=bound_scorer,
    cv=UnlabeledKFold(2, shuffle=True, random_state=0),
)
by_labels.fit(X_train, y_few)
by_bound.fit(X_train, y_few)

# %%
# Accuracies on held-out rows of models fitted to all training rows.
sizes = grid["ssvaeclassifier__latent_size"]
truth = [
    pipeline.set_params(ssvaeclassifier__latent_size=size)
    .fit(X_train, y_few)
    .score(X_test, y_test)
    for size in sizes
]
found = (by_labels.best_params_, by_bound.best_params_)
for way, best in zip(("labelled folds", "bound"), found, strict=True):
    size = best["ssvaeclassifier__latent_size"]
    print(f"By {way}: {size}, accuracy {truth[sizes.index(size)]:.3f}")
print(f"Best of all: {sizes[truth.index(max(truth))]}, accuracy {max(truth):.3f}")

# %%
# Both curves, and the truth.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
accuracy = by_labels.cv_results_
left.errorbar(
    sizes,
    accuracy["mean_test_score"],
    accuracy["std_test_score"],
    marker="o",
    capsize=3,
    label="labelled folds",
)
left.plot(sizes, truth, marker="s", label="held-out rows")
left.set(xscale="log", xlabel="latent_size", ylabel="accuracy")
left.legend()
bound = by_bound.cv_results_
right.errorbar(
    sizes,
    bound["mean_test_score"],
    bound["std_test_score"],
    marker="o",
    capsize=3,
    color="C2",
)
right.set(xscale="log", xlabel="latent_size", ylabel="bound of log p(x), nats a row")
right.set_title("unlabelled rows held out", fontsize=10)
for axes in (left, right):
    axes.set_xticks(sizes, sizes)
    axes.minorticks_off()
args.out.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out, dpi=110)
print(f"Picture in {args.out}. {time.perf_counter() - start:.1f} s.")
