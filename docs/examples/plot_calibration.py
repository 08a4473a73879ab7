"""
Check the calibration of the probabilities
==========================================

Calibration curves of semi-supervised classifiers on 569 tumours, with ten labels per
class. Half of the rows are held out.
"""

import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
few = mask_labels(y_train, n_per_class=10, random_state=0)

# %%
# By default, q(y | x) is softened with a temperature of 1.6. (`temperature="cross-fit"`
# fits the temperature to the data by hiding labels, in four times the time.)
models = {
    "default": SSVAEClassifier(random_state=0),
    "temperature=1": SSVAEClassifier(temperature=1, random_state=0),
    "LabelSpreading": make_pipeline(
        StandardScaler(), LabelSpreading(kernel="knn", n_neighbors=7, max_iter=200)
    ),
    "SelfTraining": make_pipeline(
        StandardScaler(), SelfTrainingClassifier(LogisticRegression())
    ),
}

# %%
# One split of one data set is weak evidence: `benchmarks/accuracy/calibration.py` uses
# ten data sets.
figure, ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
for name, model in models.items():
    probabilities = model.fit(X_train, few).predict_proba(X_test)
    accuracy = (probabilities.argmax(axis=1) == y_test).mean()
    loss = log_loss(y_test, probabilities)
    print(f"{name:14s} log-loss {loss:.2f} nats, accuracy {accuracy:.3f}")
    CalibrationDisplay.from_predictions(
        y_test, probabilities[:, 1], n_bins=6, strategy="quantile", name=name, ax=ax
    )
ax.set(xlabel="predicted probability of a benign tumour")
ax.set(ylabel="fraction of benign tumours")
plt.show()

# %%
# :doc:`/calibration` has the results on ten data sets, and says how to set the
# temperature.
