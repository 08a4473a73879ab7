"""
Drawing digits to order, and in somebody's hand
===============================================

The model draws new digits of any class. Given the latent point of one digit, its
style, it writes all other digits in that style: the analogies of Kingma et al. 2014,
figure 1.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sk_ssvae import SSVAEClassifier
from sk_ssvae.display import SamplesDisplay, TraversalDisplay
from sk_ssvae.model_selection import mask_labels

X, y = load_digits(return_X_y=True)
X = X / 16
few = mask_labels(y, n_per_class=20, random_state=0)

# %%
# The normal likelihood puts more of a digit into z than the Bernoulli, which is the
# default for such rows and takes grey for a doubt between black and white.
clf = SSVAEClassifier(
    latent_size=5, likelihood="gaussian", n_threads=1, random_state=0
).fit(X, few)

# %%
# New rows: z from its prior, the class as asked for, pixels from p(x | y, z).
drawn = SamplesDisplay.from_estimator(clf, image_shape=(8, 8), vmin=0, vmax=1)

# %%
# From one end of a latent dimension to the other, for every class: what changes along
# it is the same for all, since z does not depend on y.
spread = clf.transform(X).std(axis=0)
print("Spread of the latent means:", spread.round(2))
along = TraversalDisplay.from_estimator(
    clf, dimension=int(spread.argmax()), n_points=9, image_shape=(8, 8), vmin=0, vmax=1
)

# %%
# Analogies. On the left rows of the data, one a class; beside each all digits with its
# latent mean, which `inverse_transform` decodes with the class that it is told.
rng = np.random.RandomState(0)
models = np.array([rng.choice(np.flatnonzero(y == k)) for k in range(10)])
styles = clf.transform(X[models])
written = np.stack([clf.inverse_transform(styles, y=k) for k in range(10)], axis=1)

figure, axes = plt.subplots(10, 11, figsize=(6.6, 6), layout="constrained")
for i, row in enumerate(axes):
    pictures = [X[models[i]], *written[i]]
    for j, (cell, picture) in enumerate(zip(row, pictures, strict=True)):
        colours = "gray_r" if j else "Blues"
        cell.imshow(picture.reshape(8, 8), cmap=colours, vmin=0, vmax=1)
        cell.set(xticks=[], yticks=[])
figure.suptitle("Blue: from the data. Beside it: all digits in its style")
plt.show()
