"""
A convolutional classifier on images
====================================

Train on 5,000 real images of 28 x 28 pixels of which 200 have a label, once with the
built-in networks and once with a convolutional classifier of our own, and print both
accuracies on 10,000 others.

    python docs/examples/convolution.py

MNIST comes from OpenML, or from the folder that SK_SSVAE_DATA names (a file mnist.npz
with arrays X and y).
"""

import os
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import fetch_openml
from torch import nn

from sk_ssvae import SSVAEClassifier

# %%
# A network is a module class, or any factory, that takes the sizes of its input and
# output, and keywords that become parameters of the estimator. It is shown rows as they
# come, without the columns that are constant: `Picture` puts those back.


class Picture(nn.Module):
    """Rows of pixels as pictures (n, 1, side, side)."""

    def __init__(self, varies):
        super().__init__()
        self.side = round(len(varies) ** 0.5)
        self.register_buffer("where", torch.from_numpy(np.flatnonzero(varies)))

    def forward(self, x):
        """Put the columns back, and shape the rows."""
        picture = x.new_zeros(len(x), self.side**2)
        picture[:, self.where] = x
        return picture.view(-1, 1, self.side, self.side)


class Convolutional(nn.Sequential):
    """Two convolutions, each with a rectifier and pooling, then a linear map."""

    def __init__(self, in_features, out_features, varies, channels=16):
        side = round(len(varies) ** 0.5)
        super().__init__(
            Picture(varies),
            nn.Conv2d(1, channels, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (side // 4) ** 2, out_features),
        )


# %%
# 20 labels a class; -1 marks the other images.
folder = os.environ.get("SK_SSVAE_DATA")
if folder and (Path(folder) / "mnist.npz").exists():
    with np.load(Path(folder) / "mnist.npz", allow_pickle=False) as arrays:
        X, y = arrays["X"], arrays["y"]
else:
    X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
X, y = (X / X.max()).astype(np.float32), y.astype(int)
rng = np.random.RandomState(0)
rows = rng.permutation(60_000)[:5000]
X_train, y_train, X_test, y_test = X[rows], y[rows], X[60_000:], y[60_000:]
known = np.concatenate(
    [rng.choice(np.flatnonzero(y_train == k), 20, replace=False) for k in range(10)]
)
y_few = np.full_like(y_train, -1)
y_few[known] = y_train[known]

# %%
# The encoder and the decoder stay as they are.
perceptron = SSVAEClassifier(max_epochs=30, random_state=0)
convolutional = SSVAEClassifier(
    max_epochs=30,
    random_state=0,
    classifier_module=Convolutional,
    classifier_module__varies=X_train.std(axis=0) > 0,
    classifier_module__channels=16,
)
for name, model in (("perceptron", perceptron), ("convolutional", convolutional)):
    accuracy = model.fit(X_train, y_few).score(X_test, y_test)
    print(f"{name:15s} {accuracy:.3f}")
