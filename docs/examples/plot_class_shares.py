"""
Tell the model how frequent the classes are
===========================================

As many rows of a rare class were labelled as of a frequent one, so the labels do not
say which class is rare. `class_prior` tells the model, or lets it estimate the shares
from the unlabelled rows. The task is to tell digits below five from the others, with
twenty labels of each kind.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

X, digits = load_digits(return_X_y=True)
X, y = X / 16, (digits >= 5).astype(int)
low, high = np.flatnonzero(y == 0), np.flatnonzero(y == 1)

# %%
# Training and test sets of 450 digits each, of which 10, 50 or 90 % are high.
shares = [0.1, 0.5, 0.9]


def draw_sets(share, seed):
    """Return the indices of training and test rows with a share of high digits."""
    rng = np.random.default_rng(seed)
    n_high = round(900 * share)
    drawn = rng.choice(low, 900 - n_high, False), rng.choice(high, n_high, False)
    train, test = zip(*(np.array_split(rows, 2) for rows in drawn), strict=True)
    return np.concatenate(train), np.concatenate(test)


# %%
# "uniform" takes the classes for equally frequent. "auto", the default, estimates the
# shares, and shrinks the estimate towards those among the labels. Means over two draws.
priors = ("uniform", "auto", "the true shares")
accuracy = np.zeros((2, len(priors), len(shares)))
for seed in range(2):
    for j, share in enumerate(shares):
        train, test = draw_sets(share, seed)
        few = mask_labels(y[train], n_per_class=20, random_state=seed)
        for i, name in enumerate(priors):
            prior = [1 - share, share] if name == "the true shares" else name
            clf = SSVAEClassifier(class_prior=prior, max_epochs=15, random_state=0)
            accuracy[seed, i, j] = clf.fit(X[train], few).score(X[test], y[test])
accuracy = accuracy.mean(axis=0)
print("share of high digits", " ".join(f"{share:5.2f}" for share in shares))
for name, values in zip(priors, accuracy, strict=True):
    print(f"{name:20s}", " ".join(f"{100 * value:5.1f}" for value in values))

# %%
# If the shares are those among the labels, nothing is gained. The further away they
# are, the more it helps to know them. The lines are the accuracy of the more frequent
# class.
figure, ax = plt.subplots(figsize=(6.8, 4.2), layout="constrained")
positions = np.arange(len(shares))
for i, (name, values) in enumerate(zip(priors, accuracy, strict=True)):
    ax.bar(positions + 0.27 * (i - 1), values, 0.25, label=f"class_prior: {name}")
for position, share in enumerate(shares):
    label = "always the more frequent class" if position == 0 else None
    most = max(share, 1 - share)
    ax.plot([position - 0.42, position + 0.42], [most, most], "k--", label=label)
ax.set_xticks(positions, [f"{100 * share:.0f} %" for share in shares])
ax.set(xlabel="share of high digits", ylabel="accuracy on held-out digits")
ax.set(ylim=(0.4, 1.25), yticks=np.linspace(0.4, 1, 7))
ax.legend(ncols=2)
plt.show()

# %%
# :doc:`/imbalance` has the results of benchmarks, and all settings for rare classes.
