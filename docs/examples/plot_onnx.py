"""
Serve predictions without PyTorch
=================================

`to_onnx` writes the probabilities and the latent means of a fitted model as a graph,
which ONNX Runtime evaluates without PyTorch and without this package. The example
compares the results, and the time for one row at a time.
"""

import json
import time

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sk_ssvae
from sk_ssvae.model_selection import mask_labels

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    (X / 16).astype(np.float32), y, stratify=y, random_state=0
)
few = mask_labels(y_train, n_per_class=5, random_state=0)
clf = sk_ssvae.SSVAEClassifier(max_epochs=10, random_state=0).fit(X_train, few)

# %%
# The graph contains the scaling of the columns and the temperature. Its input has the
# dtype of the rows of `fit`.
sk_ssvae.to_onnx(clf, "digits.onnx")

# %%
# The service: nothing but ONNX Runtime and numpy.
session = onnxruntime.InferenceSession("digits.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
proba, latent = session.run(None, {"X": X_test})
print("classes:", classes)
print(f"accuracy: {np.mean(np.take(classes, proba.argmax(axis=1)) == y_test):.3f}")
difference = np.abs(proba - clf.predict_proba(X_test)).max()
print(f"largest difference of a probability: {difference:.0e}")

# %%
# Milliseconds for one row, as a web service would be asked for.
milliseconds = {"predict_proba": [], "ONNX Runtime": []}
for i in range(200):
    row = X_test[i : i + 1]
    start = time.perf_counter()
    clf.predict_proba(row)
    middle = time.perf_counter()
    session.run(["probabilities"], {"X": row})
    end = time.perf_counter()
    milliseconds["predict_proba"].append(1000 * (middle - start))
    milliseconds["ONNX Runtime"].append(1000 * (end - middle))
for name, values in milliseconds.items():
    print(f"{name:14s} median {np.median(values):.2f} ms")

figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.boxplot(milliseconds.values(), orientation="horizontal", whis=(5, 95), sym="")
ax.set_yticks([1, 2], milliseconds)
ax.set(xscale="log", xlabel="milliseconds for one row (5th to 95th percentile)")
plt.show()

# %%
# :doc:`/saving` describes inputs of categories, missing values, and other ways to save.
