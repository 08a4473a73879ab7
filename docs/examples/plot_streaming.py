"""
Learn from a stream of rows
===========================

Rows arrive in chunks and are not kept; a few of each chunk have a label. `partial_fit`
trains on one chunk after the other, and `score_samples` notices when the rows change.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sk_ssvae import SSVAEClassifier

X, y = load_digits(return_X_y=True)
X = X / 16
stream, held_out = np.arange(300, len(X)), np.arange(300)

# %%
# Chunks of 200 digits, ten of which have a label. The digits are drawn with
# replacement, because the data set is small. After 40 chunks the camera is turned by 90
# degrees.
rng = np.random.default_rng(0)
n_chunks, change = 50, 40


def read_chunk(i):
    """Return the rows and labels of a chunk."""
    rows = rng.choice(stream, 200)
    images = X[rows].reshape(-1, 8, 8)
    images = np.rot90(images, axes=(1, 2)) if i >= change else images
    labels = np.full(200, -1)
    labels[:10] = y[rows[:10]]
    return images.reshape(200, 64), labels


# %%
# Each chunk is scored before the model is trained on it. The first call fixes the
# classes and the scale of the columns.
clf = SSVAEClassifier(random_state=0)
accuracy, bound = [], []
for i in range(n_chunks):
    rows, labels = read_chunk(i)
    if i > 0:
        bound.append(clf.score_samples(rows, n_draws=5).mean())
    if i < change:
        clf.partial_fit(rows, labels, classes=range(10))
        accuracy.append(clf.score(X[held_out], y[held_out]))
print(f"accuracy on held-out digits after {change} chunks: {accuracy[-1]:.3f}")
print(f"score_samples before the change: {np.mean(bound[change - 6 : change - 1]):.0f}")
print(f"after it: {np.mean(bound[change - 1 :]):.0f} nats")

# %%
# The accuracy grows with the stream. At the change the mean of `score_samples` falls to
# where it started. Training stopped there, so that the model does not follow the
# camera.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(np.arange(1, change + 1), accuracy)
left.set(xlabel="chunk", ylabel="accuracy on held-out digits")
right.plot(np.arange(2, n_chunks + 1), bound, color="C2")
right.axvline(change + 0.5, color="0.5", linestyle=":")
right.set(xlabel="chunk", ylabel="mean of score_samples, nats")
right.set_title("Before the chunk is used for training", fontsize=10)
plt.show()

# %%
# `partial_fit` has no teacher: with all rows at hand, `fit` is more accurate.
# :doc:`/out_of_core` describes memory-mapped rows and streams.
