"""A summary with a value for each attribute."""

from sk_ssvae.estimators.summary import FitSummary

SUMMARY = FitSummary(
    estimator="SSVAEClassifier",
    model="m2",
    n_samples=150,
    n_features=4,
    n_constant=1,
    label_counts={"a": 10, "long name": 5},
    likelihood={"gaussian": ["p", "q"], "poisson": [*"uvwxyz"]},
    shares_unit=False,
    teacher="OpinionPoolClassifier",
    view_weights={"forest": 0.7, "svm": 0.3},
    view_log_loss={"forest": 0.1, "svm": 1.25},
    class_prior={"a": 0.6, "long name": 0.4},
    labeled_shares={"a": 2 / 3, "long name": 1 / 3},
    unlabeled_shares={"a": 0.55, "long name": 0.45},
    temperature=1.6,
    n_epochs=20,
    max_epochs=30,
    n_iter=25,
    adversarial_weight=1.0,
    adversarial_radius=0.81,
    loss=12.5,
    bound=-3.25,
    validation_bound=-4.0,
    fit_time=8.04,
    device="cpu",
    choices={
        "class_prior": "the mean of labels and soft targets",
        "temperature": "1.6: chosen on other data sets",
    },
    warnings=["x " * 50 + "end"],
)
