"""
The latent space, with and without classes
==========================================

Latent means of 1,797 digits, of which ten a class have a label: once of
`VariationalAutoencoder`, which knows no classes, once of `SSVAEClassifier`, whose
latent variable holds what the class does not say.
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
# Two latent dimensions, so that the picture shows all there is.
vae = VariationalAutoencoder(latent_size=2, n_threads=1, random_state=0).fit(X)
ssvae = SSVAEClassifier(latent_size=2, n_threads=1, random_state=0).fit(X, few)

# %%
# How well can the class be read off the latent means, given *all* labels? The
# autoencoder has nowhere else to keep it. The semi-supervised one has y, and of z needs
# only what varies within a class: digits of all classes share the plane. The class
# itself is q(y | x).
read_off = LogisticRegression(max_iter=1000)
for name, model in {"VariationalAutoencoder": vae, "SSVAEClassifier": ssvae}.items():
    accuracy = cross_val_score(read_off, model.transform(X), y).mean()
    print(f"{name}: class read off two latent means in {100 * accuracy:.0f} % of rows")
print(f"SSVAEClassifier: q(y | x) right in {100 * ssvae.score(X, y):.0f} % of rows")

# %%
# Rows with a label are marked; the others are faint, grey where nobody says a class.
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
LatentSpaceDisplay.from_estimator(vae, X, few, ax=axes[0])
LatentSpaceDisplay.from_estimator(ssvae, X, few, ax=axes[1])
axes[0].set_title("VariationalAutoencoder: classes apart")
axes[1].set_title("SSVAEClassifier: styles, whatever the class")
plt.show()
