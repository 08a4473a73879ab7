"""
Classify with five labels per class
===================================

1,257 digits, of which 50 have a label. Classifiers are compared on 540 held-out digits,
and the model generates new digits and shows its latent space.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

# %%
# Intensities between 0 and 1; five labels per class are known, -1 marks the other rows.
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.3, stratify=y, random_state=0
)
y_few = mask_labels(y_train, n_per_class=5, random_state=0)
labelled = np.flatnonzero(y_few != -1)

# %%
# `SSVAEClassifier` with and without its teacher, label spreading, and an SVC.
ssvae = SSVAEClassifier(random_state=0).fit(X_train, y_few)
no_teacher = SSVAEClassifier(teacher=None, random_state=0).fit(X_train, y_few)
spreading = LabelSpreading(kernel="knn", n_neighbors=7, max_iter=200)
spreading.fit(X_train, y_few)
svc = SVC(C=10).fit(X_train[labelled], y_train[labelled])

n_unlabelled = len(y_few) - len(labelled)
print(f"{len(labelled)} labelled and {n_unlabelled} unlabelled rows, ", end="")
print(f"likelihood: {ssvae.likelihood_}. Accuracy on {len(y_test)} held-out digits:")
for name, model in {
    "SVC, labelled rows only": svc,
    "LabelSpreading (knn, 7)": spreading,
    "SSVAEClassifier(teacher=None)": no_teacher,
    "SSVAEClassifier": ssvae,
}.items():
    print(f"  {name:<40} {model.score(X_test, y_test):.3f}")

# %%
# Generated digits: z is drawn from p(z), and the image is the mean of p(x | y, z), with
# one row per class and one column per z. The right panel shows the latent means of the
# training rows; labelled rows have a black edge. z describes the style of a digit, its
# variation within the class.
styles = np.random.RandomState(1).randn(10, ssvae.latent_size)
images = np.stack([ssvae.inverse_transform(styles, y=k) for k in range(10)])
framed = np.pad(images.reshape(10, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
grid = framed.swapaxes(1, 2).reshape(100, 100)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
left.imshow(grid, cmap="gray_r")
left.set(xticks=[], yticks=np.arange(10) * 10 + 4.5, yticklabels=range(10))
left.set(title="Samples: one row per class, one column per z", ylabel="class")

latent = PCA(2).fit_transform(ssvae.transform(X_train))
colours = plt.get_cmap("tab10")(ssvae.transduction_)
right.scatter(*latent.T, c=colours, s=6, alpha=0.4)
for k in range(10):
    right.scatter([], [], color=plt.get_cmap("tab10")(k), s=30, label=k)
right.legend(title="class", fontsize=8)
right.scatter(*latent[labelled].T, c=colours[labelled], s=45, edgecolors="black")
right.set(title="Latent means, first two principal components")
right.set(xlabel="first", ylabel="second")
figure.savefig("digits.png", dpi=110)

# %%
# :doc:`/start` explains the first steps, :doc:`/comparison` has the results on more
# data.
