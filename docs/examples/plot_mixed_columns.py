"""
Measurements, categories and gaps
=================================

442 patients with diabetes: measurements, a category, and the question whether the
disease will progress. Thirty labels a class are known, and every sixth cell is
missing. The frame goes in as it is; `impute` gives it back with the gaps filled.
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
whole = data.data.assign(sex=data.data["sex"].map({1: "a", 2: "b"}).astype("category"))
y = (data.target > data.target.median()).astype(int).to_numpy()

# %%
# Cells are taken out at random, after the fact, so that we know what was there.
rng = np.random.RandomState(0)
gaps = rng.rand(*whole.shape) < 1 / 6
X = whole.mask(gaps)
train, test = train_test_split(np.arange(len(y)), stratify=y, random_state=0)
few = mask_labels(y[train], n_per_class=30, random_state=0)
print(X.head())

clf = SSVAEClassifier(latent_size=5, n_threads=1, random_state=0)
clf.fit(X.iloc[train], few)
print(f"\n{clf.likelihood_}")
print(f"accuracy on {len(test)} other patients: {clf.score(X.iloc[test], y[test]):.2f}")

# %%
# Gaps of the test rows, against what was there: in standard deviations of the column,
# and for the category in shares of gaps that are filled rightly.
filled = clf.impute(X.iloc[test])
numbers = [column for column in X if column != "sex"]
simple = SimpleImputer().fit(X.iloc[train][numbers])
by_mean = pd.DataFrame(
    simple.transform(X.iloc[test][numbers]), columns=numbers, index=filled.index
)
truth, holes = whole.iloc[test], pd.DataFrame(gaps[test], columns=whole.columns)
holes.index = truth.index
errors = {
    name: [
        np.sqrt(((table[c] - truth[c])[holes[c]] ** 2).mean()) / whole[c].std()
        for c in numbers
    ]
    for name, table in {"impute": filled, "mean of the column": by_mean}.items()
}
right = (filled["sex"] == truth["sex"])[holes["sex"]].mean()
most = (truth["sex"] == X.iloc[train]["sex"].mode()[0])[holes["sex"]].mean()
print(f"sex filled rightly: {right:.2f}; by the most frequent one: {most:.2f}")

# %%
# Where columns depend on each other, most of all the blood values s1 to s6, gaps are
# filled much better than by a mean; age nobody can guess.
figure, (left, right_axes) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
places = np.arange(len(numbers))
for i, (name, values) in enumerate(errors.items()):
    left.bar(places + 0.4 * i - 0.2, values, width=0.38, label=name)
left.set_xticks(places, numbers)
left.set_ylabel("root mean square error, standard deviations")
left.legend()
for column, colour in (("s1", "C0"), ("s2", "C1"), ("s4", "C2")):
    there = holes[column]
    scale = whole[column].std()
    right_axes.scatter(
        truth[column][there] / scale,
        filled[column][there] / scale,
        color=colour,
        label=column,
    )
right_axes.axline((3, 3), slope=1, color="0.6", linestyle=":")
right_axes.set(xlabel="was there", ylabel="filled in", title="in standard deviations")
right_axes.legend()
plt.show()
