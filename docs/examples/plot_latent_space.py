"""
Look at the latent space, with and without classes
==================================================

Latent means of 1,797 digits, with ten labels per class: of `VariationalAutoencoder`, a
model without classes, and of `SSVAEClassifier`, whose latent variable describes the
variation within the classes.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.display import LatentSpaceDisplay
from sk_ssvae.model_selection import mask_labels

X, y = load_digits(return_X_y=True)
X = X / 16
few = mask_labels(y, n_per_class=10, random_state=0)

# %%
# Two latent dimensions, so that the figure shows the complete latent space.
vae = VariationalAutoencoder(latent_size=2, random_state=0).fit(X)
ssvae = SSVAEClassifier(latent_size=2, random_state=0).fit(X, few)

# %%
# How well can the class be predicted from the latent means, given *all* labels? The
# autoencoder has no other variable that could represent it. In the semi-supervised
# model y represents the class, and z the variation within a class, so that all classes
# overlap in the latent space. The class is predicted by q(y | x).
classifier = LogisticRegression(max_iter=1000)
for name, model in {"VariationalAutoencoder": vae, "SSVAEClassifier": ssvae}.items():
    accuracy = cross_val_score(classifier, model.transform(X), y).mean()
    print(f"{name}: accuracy from two latent means {100 * accuracy:.0f} %")
print(f"SSVAEClassifier: accuracy of q(y | x) {100 * ssvae.score(X, y):.0f} %")

# %%
# Labelled rows have a black edge. Other rows are drawn lightly, in the colour of their
# predicted class; in grey if there are no predictions.
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
LatentSpaceDisplay.from_estimator(vae, X, few, ax=axes[0])
LatentSpaceDisplay.from_estimator(ssvae, X, few, ax=axes[1])
axes[0].set_title("VariationalAutoencoder: separate classes")
axes[1].set_title("SSVAEClassifier: styles, independent of the class")
plt.show()

# %%
# :doc:`/latent_size` shows how to see which dimensions are used.
