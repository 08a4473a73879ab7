"""Malicious files: valid checksums, but contents that sk_ssvae does not write."""

import numpy as np


def flip_bit(data, index):
    """Return bytes with one bit flipped."""
    flipped = bytearray(data)
    flipped[index // 8] ^= 1 << (index % 8)
    return bytes(flipped)


def nested_list(depth):
    """Return an empty list, nested `depth` times."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def set_entry(*path_and_value):
    """Return a function that sets the entry of a header at a path."""
    *path, value = path_and_value

    def change(header):
        parent = header
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value

    return change


MALICIOUS_HEADERS = {
    "class": set_entry("class", "SystemExit"),
    "no class": lambda header: header.pop("class"),
    "method": set_entry("state", "fit", None),
    "dunder": set_entry("state", "__class__", "x"),
    "depth": set_entry("state", "classes_", nested_list(200)),
    "tag": set_entry("state", "classes_", {"@": "eval", "value": "1/0"}),
    "two tags": set_entry("state", "classes_", {"@": "dict", "value": [], "x": 1}),
    "array": set_entry(
        "state", "classes_", {"@": "array", "value": "../../etc/passwd"}
    ),
    "record": set_entry(
        "state", "preprocessor_", {"@": "record", "value": ["Popen", {}]}
    ),
    "dtype": set_entry("state", "classes_", {"@": "dtype", "value": "V8"}),
    "cells": set_entry("state", "classes_", {"@": "cells", "value": ["O", [9**9], []]}),
    "polars": set_entry(
        "state", "preprocessor_", {"@": "polars", "value": ["read_csv", "/x"]}
    ),
    "pandas": set_entry(
        "state", "preprocessor_", {"@": "pandas", "value": ["X", "os.system"]}
    ),
    "model": set_entry("params", "model", "../m2"),
    "parameter": set_entry("params", "__init__", 1),
    "nested parameter": set_entry("params", "options____init__", 1),
    "huge": set_entry("net", "module", "latent_size", 10**9),
    "huge layer": set_entry(
        "net", "module", "hidden_sizes", {"@": "tuple", "value": [10**4] * 2}
    ),
    "negative": set_entry("net", "module", "n_features", -4),
    "not a number": set_entry("net", "module", "n_features", "4"),
    "module options": set_entry("net", "module_options", {"__class__": 1}),
    "objective": set_entry("net", "objective", "eval", 1),
    "history": set_entry("net", "history", 3),
    "user networks": set_entry("net", "user_networks", "classifier_module"),
    "list": lambda header: header.clear(),
}
"""Functions that change the header of a saved estimator."""

MALICIOUS_FORMAT_1_HEADERS = {
    name: MALICIOUS_HEADERS[name]
    for name in (
        *("class", "no class", "method", "dunder", "depth", "tag", "two tags", "array"),
        *("dtype", "cells", "model", "parameter", "history", "list"),
    )
} | {
    "record": set_entry("state", "_table", {"@": "record", "value": ["Popen", {}]}),
    "polars": set_entry(
        "state", "_table", {"@": "polars", "value": ["read_csv", "/x"]}
    ),
    "pandas": set_entry(
        "state", "_table", {"@": "pandas", "value": ["X", "os.system"]}
    ),
    "no table": lambda header: header["state"].pop("_table"),
    "no seed": lambda header: header["state"].pop("_seed"),
    "fixed parameters": set_entry("state", "_fixed", {"@": "dict", "value": 3}),
    "fixed parameters are a list": set_entry("state", "_fixed", []),
    "model is a list": set_entry("params", "model", []),
    "parameters are a number": set_entry("params", 3),
    "huge": set_entry("net", "made_with", "latent_size", 10**9),
    "huge layer": set_entry(
        "net", "made_with", "hidden_sizes", {"@": "tuple", "value": [10**4] * 2}
    ),
    "negative": set_entry("net", "made_with", "n_features", -4),
    "not a number": set_entry("net", "made_with", "n_features", "4"),
    "networks are a number": set_entry("net", "made_with", 4),
    "no objective": lambda header: header["net"].pop("trained_with"),
    "user networks": set_entry("net", "own", "classifier_module"),
}
"""Functions that change the header of an estimator that was saved in format 1."""

MALICIOUS_CHECKPOINTS = {
    "no seed": lambda header: header.pop("seed"),
    "seed": set_entry("seed", "x"),
    "no run": lambda header: header.pop("run"),
    "run is a list": set_entry("run", []),
    "no position": lambda header: header.pop("position"),
    "position": set_entry("position", ["0", 1, 0]),
    "short position": set_entry("position", [0]),
    "negative position": set_entry("position", [0, -1, 0]),
    "no rollbacks": lambda header: header.pop("rollbacks"),
    "rollbacks": set_entry("rollbacks", 3),
    "no history": lambda header: header.pop("history"),
    "history": set_entry("history", 3),
    "tag": set_entry("history", {"@": "eval", "value": "1/0"}),
    "depth": set_entry("history", nested_list(200)),
    "stopper": set_entry("stopper", 3),
    "array": set_entry("stopper", {"@": "array", "value": "../../etc/passwd"}),
}
"""Functions that change the header of a checkpoint with early stopping."""

MALICIOUS_ARRAYS = {
    "module.log_prior": np.zeros(77, dtype=np.float32),
    "module.none": np.zeros(1, dtype=np.float32),
    "optimizer.1.exp_avg": np.zeros(1, dtype=np.float32),
    "optimizer.1.exp_avg_sq": np.zeros((0,), dtype=np.float32),
    "optimizer.1.step": np.zeros(77, dtype=np.float32),
    "optimizer.1.max_exp_avg_sq": np.zeros(1, dtype=np.float32),
    "optimizer.-1.step": np.zeros((), dtype=np.float32),
    "optimizer.99.step": np.zeros((), dtype=np.float32),
    "optimizer.x.step": np.zeros((), dtype=np.float32),
    "optimizer.1": np.zeros((), dtype=np.float32),
}
"""Arrays with names or shapes that files and checkpoints do not have."""
