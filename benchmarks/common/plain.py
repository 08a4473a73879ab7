"""The plain model of the paper, which the speed benchmarks and the panel take."""

PLAIN_M2 = {
    "teacher": None,
    "entropy_weight": 0.0,
    "class_prior": "uniform",
    "classifier_hidden_sizes": None,
    "max_epochs": 100,
    "learning_rate": 5e-3,
    "bound_rows": None,
}
"""Of `SSVAEClassifier`: no teacher, no entropy, networks of one shape."""
