"""
Explain a prediction
====================

Why does the model call a tumour malignant? Three answers: which columns matter for all
rows, how the probability changes with one column, and how this tumour would look if it
were benign. The last one is specific to a generative model.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.model_selection import train_test_split

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

data = load_breast_cancer(as_frame=True)
X = data.data.iloc[:, :10].rename(columns=lambda name: name.removeprefix("mean "))
y = data.target_names[data.target]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
few = mask_labels(y_train, n_per_class=10, random_state=0)
clf = SSVAEClassifier(latent_size=3, max_epochs=20, random_state=0).fit(X_train, few)
print(f"accuracy on {len(y_test)} other tumours: {clf.score(X_test, y_test):.3f}")

# %%
# All rows: the loss of held-out log-likelihood if the cells of a column are shuffled.
importance = permutation_importance(
    clf, X_test, y_test, scoring="neg_log_loss", n_repeats=5, random_state=0
)
ranked = importance.importances_mean.argsort()[::-1]
for j in ranked[:4]:
    print(f"{X.columns[j]:16s} {importance.importances_mean[j]:.3f}")

# %%
# One row: the malignant tumour whose class is least certain. Its latent means, decoded
# as the other class, are a tumour of the same style that is benign: a counterfactual.
proba = clf.predict_proba(X_test)
predicted = clf.predict(X_test)
uncertain = np.where(predicted == "malignant", proba.max(axis=1), np.inf).argmin()
row = X_test.iloc[[uncertain]]
style = clf.transform(row)
as_is = clf.inverse_transform(style, y="malignant")
counterfactual = clf.inverse_transform(style, y="benign")
shift = ((counterfactual - as_is) / X_train.std()).iloc[0]
changed = row + (counterfactual.to_numpy() - as_is.to_numpy())
print(f"p(malignant) of the row: {proba[uncertain, 1]:.2f}")
print(f"changed like the counterfactual: {clf.predict_proba(changed)[0, 1]:.2f}")

# %%
# From left to right: columns by importance, the probability against the most important
# one, and what would have to change, in standard deviations of the columns.
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
axes[0].boxplot(importance.importances[ranked[::-1]].T, orientation="horizontal")
axes[0].set_yticks(range(1, 11), X.columns[ranked[::-1]])
axes[0].set(xlabel="increase of log-loss, nats", title="All rows: shuffled columns")
PartialDependenceDisplay.from_estimator(
    clf,
    X_test,
    [int(ranked[0])],
    kind="both",
    target="malignant",
    subsample=30,
    random_state=0,
    ax=axes[1],
)
axes[1].set_title("Probability of malignant")
shift.iloc[ranked[::-1]].plot.barh(ax=axes[2], color="C2")
axes[2].axvline(0, color="0.5", linewidth=0.8)
axes[2].set(xlabel="standard deviations", title="One row: to be benign")
plt.show()

# %%
# Explanations are those of the model, not of the disease: correlated columns share
# their importance. :doc:`/meta_estimators` lists further tools of scikit-learn that
# work.
