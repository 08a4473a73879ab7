"""
Use a convolutional network
===========================

A convolutional network uses the neighbourhood of pixels, a perceptron does not. The
plain model, without a teacher, is fitted to 1,347 digits with ten labels per class,
with the built-in classifier network and with a convolutional one.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

# %%
# A network is a module class, or any factory, that takes its numbers of inputs and
# outputs, and keyword arguments that become parameters of the estimator. Its inputs are
# all columns, also those that are constant in `fit`.


class Convolutional(nn.Sequential):
    """Two convolutions with ReLU, max pooling, and a linear layer."""

    def __init__(self, in_features, out_features, channels=16):
        side = round(in_features**0.5)
        super().__init__(
            nn.Unflatten(1, (1, side, side)),
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (side // 2) ** 2, out_features),
        )


# %%
# Three choices of the labelled rows, the same for both networks.
X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
common = {"teacher": None, "max_epochs": 40, "random_state": 0}
accuracy = {"perceptron": [], "convolutional": []}
for seed in range(3):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, stratify=y, random_state=seed
    )
    few = mask_labels(y_train, n_per_class=10, random_state=seed)
    perceptron = SSVAEClassifier(**common)
    convolutional = SSVAEClassifier(
        **common,
        classifier_module=Convolutional,
        classifier_module__channels=16,
    )
    for name, model in zip(accuracy, (perceptron, convolutional), strict=True):
        accuracy[name].append(model.fit(X_train, few).score(X_test, y_test))
for name, values in accuracy.items():
    print(f"{name:14s}", " ".join(f"{100 * value:.1f}" for value in values))

# %%
# Keyword arguments of the network are ordinary parameters: a grid search can include
# ``classifier_module__channels``. The figure shows the strongest activations of the
# first layer for six digits.
network = convolutional.module_.classifier
layers = next(m for m in network.modules() if isinstance(m, Convolutional))
rows = torch.from_numpy(X_test[:6])
with torch.no_grad():
    activations = layers[2](layers[1](layers[0](rows))).numpy()
strongest = np.argsort(-activations.mean(axis=(0, 2, 3)))[:6]

figure, axes = plt.subplots(6, 7, figsize=(7, 6), layout="constrained")
for i, row in enumerate(axes):
    row[0].imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    for ax, channel in zip(row[1:], strongest, strict=True):
        ax.imshow(activations[i, channel], cmap="viridis")
    for ax in row:
        ax.set(xticks=[], yticks=[])
figure.suptitle("Digits, and activations of six filters of the first layer")
plt.show()

# %%
# :doc:`/networks` says what a network gets and returns, and has a convolutional encoder
# and decoder.
