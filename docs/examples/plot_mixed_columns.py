"""
Mixed columns and missing values
================================

442 patients with diabetes, described by numeric columns and a category; the target is
whether the disease progresses. Thirty labels per class are known, and a sixth of the
cells is missing. The data frame needs no preparation, and `impute` returns a data frame
without missing values.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
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

clf = SSVAEClassifier(latent_size=5, random_state=0)
clf.fit(X.iloc[train], few)
print(f"\n{clf.likelihood_}")
print(f"accuracy on {len(test)} other patients: {clf.score(X.iloc[test], y[test]):.2f}")

# %%
# Errors of the imputed test cells: root mean square errors in standard deviations of
# the column, and for the category the fraction that is imputed correctly.
imputed = clf.impute(X.iloc[test])
numeric = [column for column in X if column != "sex"]
simple = SimpleImputer().fit(X.iloc[train][numeric])
by_mean = pd.DataFrame(
    simple.transform(X.iloc[test][numeric]), columns=numeric, index=imputed.index
)
truth = complete.iloc[test]
missing = pd.DataFrame(removed[test], columns=complete.columns, index=truth.index)
errors = {
    name: [
        np.sqrt(((frame[c] - truth[c])[missing[c]] ** 2).mean()) / complete[c].std()
        for c in numeric
    ]
    for name, frame in {"impute": imputed, "column mean": by_mean}.items()
}
correct = (imputed["sex"] == truth["sex"])[missing["sex"]].mean()
mode = X.iloc[train]["sex"].mode()[0]
by_mode = (truth["sex"] == mode)[missing["sex"]].mean()
print(f"sex imputed correctly: {correct:.2f}; by the most frequent one: {by_mode:.2f}")

# %%
# Columns that depend on each other, above all the blood values s1 to s6, are imputed
# much better than by their mean; age is not predictable from the other columns.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
positions = np.arange(len(numeric))
for i, (name, values) in enumerate(errors.items()):
    left.bar(positions + 0.4 * i - 0.2, values, width=0.38, label=name)
left.set_xticks(positions, numeric)
left.set_ylabel("root mean square error, standard deviations")
left.legend()
for column, colour in (("s1", "C0"), ("s2", "C1"), ("s4", "C2")):
    cells = missing[column]
    scale = complete[column].std()
    right.scatter(
        truth[column][cells] / scale,
        imputed[column][cells] / scale,
        color=colour,
        label=column,
    )
right.axline((3, 3), slope=1, color="0.6", linestyle=":")
right.set(xlabel="true value", ylabel="imputed value", title="in standard deviations")
right.legend()
plt.show()
