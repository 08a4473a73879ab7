"""Steps that `speed.scaling` measures, as changes of `step_times.DEFAULTS`."""

__all__ = ["LARGE", "LEFT_OUT", "SETTINGS"]

SETTINGS = {
    "batch 16": {"batch_size": 16},
    "batch 64": {"batch_size": 64},
    "default": {},
    "batch 256": {"batch_size": 256},
    "batch 512": {"batch_size": 512},
    "batch 1024": {"batch_size": 1024},
    "batch 4096": {"batch_size": 4096},
    "10 columns": {"columns": 10},
    "784 columns": {"columns": 784},
    "200 columns, batch 1024": {"columns": 200, "batch_size": 1024},
    "2 classes": {"classes": 2},
    "10 classes": {"classes": 10},
    "100 classes": {"classes": 100},
    "narrow": {"hidden": 32, "classifier_hidden": 50},
    "wide": {"hidden": 512, "classifier_hidden": 512},
    "wide, batch 1024": {
        "hidden": 512,
        "classifier_hidden": 512,
        "batch_size": 1024,
    },
    "batch 16, not adversarial": {"batch_size": 16, "adversarial": False},
    "not adversarial": {"adversarial": False},
    "batch 1024, not adversarial": {"batch_size": 1024, "adversarial": False},
    "784 columns, not adversarial": {"columns": 784, "adversarial": False},
    "all in bound, not adversarial": {"bound_rows": None, "adversarial": False},
    "all in bound, batch 1024, 10 classes": {
        "bound_rows": None,
        "batch_size": 1024,
        "classes": 10,
    },
}
"""Steps that the model is fitted to."""

LEFT_OUT = {
    "batch 32, 20 columns, 3 classes": {"batch_size": 32, "columns": 20, "classes": 3},
    "batch 200, 100 columns, 8 classes": {
        "batch_size": 200,
        "columns": 100,
        "classes": 8,
    },
    "batch 2048": {"batch_size": 2048},
    "batch 512, 10 columns, 2 classes": {
        "batch_size": 512,
        "columns": 10,
        "classes": 2,
    },
    "batch 256, 400 columns, 4 classes": {
        "batch_size": 256,
        "columns": 400,
        "classes": 4,
    },
    "batch 768, 30 columns, 2 classes, not adversarial": {
        "batch_size": 768,
        "columns": 30,
        "classes": 2,
        "adversarial": False,
    },
    "hidden layers of 256 and 300": {"hidden": 256, "classifier_hidden": 300},
    "batch 512, 100 columns, 50 classes": {
        "batch_size": 512,
        "columns": 100,
        "classes": 50,
    },
    "batch 256, 10 classes, all in bound, not adversarial": {
        "batch_size": 256,
        "classes": 10,
        "bound_rows": None,
        "adversarial": False,
    },
}
"""Steps that the model is compared with."""

LARGE = {
    "batch 8192, half in bound": {"batch_size": 8192, "bound_rows": 4096},
    "wide, batch 1024, all in bound, not adversarial": {
        "hidden": 512,
        "classifier_hidden": 512,
        "batch_size": 1024,
        "bound_rows": None,
        "adversarial": False,
    },
    "batch 4096, half in bound": {"batch_size": 4096, "bound_rows": 2048},
    "batch 2048, 100 columns, hidden layers of 512, all in bound, not adversarial": {
        "batch_size": 2048,
        "columns": 100,
        "hidden": 512,
        "bound_rows": None,
        "adversarial": False,
    },
}
"""Steps with arrays that exceed the caches; the model is fitted to the first two."""
