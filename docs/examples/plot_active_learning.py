"""
Choose which rows to label next
===============================

An active-learning loop: fit a model, ask for the labels of the rows of which it is
least certain, and repeat. It starts with one label for each of ten digits, and is
compared with labels for random rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1200, stratify=y, random_state=0
)


# %%
# In each round twenty rows get a label. In an application a person is asked for it;
# here it is `y_train`. Ten epochs are enough to choose rows.
def active_learning(choose, n_rounds=5):
    """Return the accuracy after each round, and the rows that were chosen in it."""
    labels = mask_labels(y_train, n_per_class=1, random_state=0)
    clf = SSVAEClassifier(max_epochs=10, random_state=0)
    rng = np.random.default_rng(0)
    accuracy, chosen = [], []
    for _ in range(n_rounds):
        clf.fit(X_train, labels)
        accuracy.append(clf.score(X_test, y_test))
        scores = np.where(labels == -1, choose(clf, rng), np.inf)
        chosen.append(scores.argsort()[:20])
        labels[chosen[-1]] = y_train[chosen[-1]]
    return accuracy, chosen


# %%
# The margin is the difference between the two largest probabilities of a row. It is
# small where the model hesitates between two classes.
def margin(clf, rng):
    """Return the margin of each row."""
    ordered = np.sort(clf.predict_proba(X_train), axis=1)
    return ordered[:, -1] - ordered[:, -2]


def random_number(clf, rng):
    """Return a random number for each row."""
    return rng.random(len(X_train))


# %%
# The accuracy on held-out digits, and the digits that were asked for. They are not the
# easiest ones to read. The first labels decide on the beginning of both curves; a study
# would take the mean over several choices.
accuracy, chosen = active_learning(margin)
at_random, _ = active_learning(random_number)
n_labels = 10 + 20 * np.arange(5)
for row in zip(n_labels, accuracy, at_random, strict=True):
    print("{} labels: by margin {:.3f}, random {:.3f}".format(*row))

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4), width_ratios=(3, 2), layout="constrained"
)
left.plot(n_labels, accuracy, marker="o", label="smallest margin")
left.plot(n_labels, at_random, marker="s", label="random rows")
left.set(xlabel="number of labels", ylabel="accuracy on held-out digits")
left.legend(title="labels for")
images = X_train[np.array(chosen)[:4, :10]].reshape(4, 10, 8, 8)
mosaic = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
right.imshow(mosaic.swapaxes(1, 2).reshape(40, 100), cmap="gray_r")
right.set(xticks=[], yticks=np.arange(4) * 10 + 4.5, yticklabels=range(1, 5))
right.set(ylabel="round", title="Ten of the digits that were asked for")
plt.show()

# %%
# :doc:`/active_learning` has other criteria, and the use with scikit-activeml.
