"""
Draw new rows of a class
========================

The model generates new digits of any class. Decoding the latent variable of one digit
with every class writes all digits in the style of that digit: the analogies of Kingma
et al. 2014, figure 1.
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
# The default likelihood for such data, the censored logistic, has a density for grey
# pixels and probabilities for black and white ones.
clf = SSVAEClassifier(latent_size=5, random_state=0).fit(X, few)

# %%
# Samples: z from its prior and pixels from p(x | y, z), for every class.
samples = SamplesDisplay.from_estimator(clf, image_shape=(8, 8), vmin=0, vmax=1)

# %%
# A traversal of one latent dimension, for every class. Since z is independent of y, a
# dimension has the same effect in all classes.
spread = clf.transform(X).std(axis=0)
print("Standard deviation of the latent means:", spread.round(2))
traversal = TraversalDisplay.from_estimator(
    clf, dimension=int(spread.argmax()), n_points=9, image_shape=(8, 8), vmin=0, vmax=1
)

# %%
# Analogies. The left column shows one row of the data per class; the other columns show
# all digits with its latent mean, decoded by `inverse_transform` with the given class.
rng = np.random.RandomState(0)
examples = np.array([rng.choice(np.flatnonzero(y == k)) for k in range(10)])
styles = clf.transform(X[examples])
decoded = np.stack([clf.inverse_transform(styles, y=k) for k in range(10)], axis=1)

figure, axes = plt.subplots(10, 11, figsize=(6.6, 6), layout="constrained")
for i, row in enumerate(axes):
    images = [X[examples[i]], *decoded[i]]
    for j, (ax, image) in enumerate(zip(row, images, strict=True)):
        cmap = "gray_r" if j else "Blues"
        ax.imshow(image.reshape(8, 8), cmap=cmap, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
figure.suptitle("Blue: from the data. Grey: all digits in the same style")
plt.show()

# %%
# :doc:`/model` has the generative process, :doc:`/latent_size` the number of
# dimensions.
