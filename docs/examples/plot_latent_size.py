"""
Search for the latent size
==========================

A grid search over `latent_size` on 398 tumours, with ten labels per class, by two
criteria: accuracy in labelled folds, and the bound of held-out unlabelled rows. They
are compared with the accuracy on 171 held-out tumours, which is not available in
practice.
"""

import matplotlib.pyplot as plt
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

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)
y_few = mask_labels(y_train, n_per_class=10, random_state=0)

# %%
# A pipeline with a model without a teacher. The test folds of the first search contain
# labelled rows only, those of the second unlabelled rows only.
pipeline = make_pipeline(
    StandardScaler(), SSVAEClassifier(teacher=None, max_epochs=60, random_state=0)
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
# Held-out accuracy of models fitted to all training rows.
sizes = grid["ssvaeclassifier__latent_size"]
held_out = [
    pipeline.set_params(ssvaeclassifier__latent_size=size)
    .fit(X_train, y_few)
    .score(X_test, y_test)
    for size in sizes
]
selected = {
    "labelled folds": by_labels.best_params_,
    "the bound": by_bound.best_params_,
}
for criterion, params in selected.items():
    size = params["ssvaeclassifier__latent_size"]
    accuracy = held_out[sizes.index(size)]
    print(f"Selected by {criterion}: {size}, accuracy {accuracy:.3f}")
best = sizes[held_out.index(max(held_out))]
print(f"Best of the grid: {best}, accuracy {max(held_out):.3f}")

# %%
# Both criteria and the held-out accuracy.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
results = by_labels.cv_results_
left.errorbar(
    sizes,
    results["mean_test_score"],
    results["std_test_score"],
    marker="o",
    capsize=3,
    label="labelled folds",
)
left.plot(sizes, held_out, marker="s", label="held-out rows")
left.set(xscale="log", xlabel="latent_size", ylabel="accuracy")
left.legend()
results = by_bound.cv_results_
right.errorbar(
    sizes,
    results["mean_test_score"],
    results["std_test_score"],
    marker="o",
    capsize=3,
    color="C2",
)
right.set(xscale="log", xlabel="latent_size", ylabel="bound of log p(x), nats per row")
right.set_title("held-out unlabelled rows", fontsize=10)
for ax in (left, right):
    ax.set_xticks(sizes, sizes)
    ax.minorticks_off()
plt.show()

# %%
# :doc:`/latent_size` and :doc:`/model_selection` compare both criteria on more data.
