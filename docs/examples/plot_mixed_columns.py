"""
Fill in a table with missing cells
==================================

A survey of 442 patients with diabetes has numbers and a category, and a sixth of its
cells is missing. The class, whether the disease progresses, is known for thirty
patients each. The data frame needs no preparation, and `impute` returns it without
missing cells, in comparison with scikit-learn's imputers.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.model_selection import train_test_split

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

data = load_diabetes(scaled=False, as_frame=True)
complete = data.data.assign(
    sex=data.data["sex"].map({1: "a", 2: "b"}).astype("category")
)
y = (data.target > data.target.median()).astype(int).to_numpy()

# %%
# Cells are removed at random, so that the true values are known.
rng = np.random.RandomState(0)
removed = rng.rand(*complete.shape) < 1 / 6
X = complete.mask(removed)
train, test = train_test_split(np.arange(len(y)), stratify=y, random_state=0)
few = mask_labels(y[train], n_per_class=30, random_state=0)
print(X.head())

clf = SSVAEClassifier(latent_size=5, teacher=None, max_epochs=200, random_state=0)
clf.fit(X.iloc[train], few)
print(f"\n{clf.likelihood_}")
print(f"accuracy on {len(test)} other patients: {clf.score(X.iloc[test], y[test]):.2f}")

# %%
# The other imputers take numbers only, so the category becomes a column of 0 and 1 for
# them. `IterativeImputer` is a linear regression of each column on the others.
imputed = {"impute": clf.impute(X.iloc[test])}
codes = X.assign(sex=X["sex"].cat.codes.where(X["sex"].notna()))
for name, imputer in {
    "IterativeImputer": IterativeImputer(max_iter=40, tol=0.01, random_state=0),
    "SimpleImputer": SimpleImputer(),
}.items():
    imputer.set_output(transform="pandas").fit(codes.iloc[train])
    frame = imputer.transform(codes.iloc[test])
    imputed[name] = frame.assign(sex=np.where(frame["sex"] < 0.5, "a", "b"))

# %%
# Errors of the imputed test cells: root mean square errors in standard deviations of
# the column, and for the category the fraction that is imputed correctly.
numeric = [column for column in X if column != "sex"]
truth = complete.iloc[test]
missing = pd.DataFrame(removed[test], columns=complete.columns, index=truth.index)
errors = {
    name: [
        np.sqrt(((frame[c] - truth[c])[missing[c]] ** 2).mean()) / complete[c].std()
        for c in numeric
    ]
    for name, frame in imputed.items()
}
for name, frame in imputed.items():
    correct = (frame["sex"] == truth["sex"])[missing["sex"]].mean()
    print(f"{name:16s} mean error {np.mean(errors[name]):.2f}, category {correct:.2f}")

# %%
# Columns that depend on each other, above all the blood values s1 to s6, are imputed
# much better than by their mean; age is not predictable from the other columns. These
# data are nearly linear, which suits the regressions. `impute` needs no codes for
# categories, and the same model classifies and draws new patients.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
positions = np.arange(len(numeric))
for i, (name, values) in enumerate(errors.items()):
    left.bar(positions + 0.28 * (i - 1), values, width=0.26, label=name)
left.set_xticks(positions, numeric)
left.set_ylabel("root mean square error, standard deviations")
left.set_ylim(0, 1.6)
left.legend(ncols=3)
for column, colour in (("s1", "C0"), ("s2", "C1"), ("s4", "C2")):
    cells = missing[column]
    scale = complete[column].std()
    right.scatter(
        truth[column][cells] / scale,
        imputed["impute"][column][cells] / scale,
        color=colour,
        label=column,
    )
right.axline((3, 3), slope=1, color="0.6", linestyle=":")
right.set(xlabel="true value", ylabel="imputed value", title="in standard deviations")
right.legend()
plt.show()

# %%
# :doc:`/columns` describes missing values and column likelihoods. A density needs more
# epochs than a classifier, hence ``max_epochs=200``.
