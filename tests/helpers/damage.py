"""Damage to files, and what strangers may write into them with the right checksum."""

import numpy as np


def flipped(data, place):
    """Return bytes with one bit of them flipped."""
    damaged = bytearray(data)
    damaged[place // 8] ^= 1 << (place % 8)
    return bytes(damaged)


def deep(depth):
    """Return lists in lists."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def set_at(*path):
    """Return what puts a value, the last argument, at a place in a header."""
    *places, value = path

    def change(header):
        part = header
        for place in places[:-1]:
            part = part[place]
        part[places[-1]] = value

    return change


HOSTILE = {
    "class": set_at("class", "SystemExit"),
    "no class": lambda header: header.pop("class"),
    "method": set_at("state", "fit", None),
    "dunder": set_at("state", "__class__", "x"),
    "depth": set_at("state", "classes_", deep(200)),
    "tag": set_at("state", "classes_", {"@": "eval", "value": "1/0"}),
    "two tags": set_at("state", "classes_", {"@": "dict", "value": [], "x": 1}),
    "array": set_at("state", "classes_", {"@": "array", "value": "../../etc/passwd"}),
    "record": set_at("state", "_table", {"@": "record", "value": ["Popen", {}]}),
    "dtype": set_at("state", "classes_", {"@": "dtype", "value": "V8"}),
    "cells": set_at("state", "classes_", {"@": "cells", "value": ["O", [9**9], []]}),
    "polars": set_at("state", "_table", {"@": "polars", "value": ["read_csv", "/x"]}),
    "pandas": set_at("state", "_table", {"@": "pandas", "value": ["X", "os.system"]}),
    "model": set_at("params", "model", "../m2"),
    "parameter": set_at("params", "__init__", 1),
    "huge": set_at("net", "made_with", "latent_size", 10**9),
    "huge layer": set_at(
        "net", "made_with", "hidden_sizes", {"@": "tuple", "value": [10**4] * 2}
    ),
    "negative": set_at("net", "made_with", "n_features", -4),
    "not a number": set_at("net", "made_with", "n_features", "4"),
    "history": set_at("net", "history", 3),
    "own": set_at("net", "own", "classifier_module"),
    "list": lambda header: header.clear(),
}
"""Changes of the header of a saved estimator."""

HOSTILE_STATES = {
    "no seed": lambda header: header.pop("seed"),
    "seed": set_at("seed", "x"),
    "no run": lambda header: header.pop("run"),
    "run": set_at("run", []),
    "no position": lambda header: header.pop("position"),
    "position": set_at("position", ["0", 1, 0]),
    "short position": set_at("position", [0]),
    "negative position": set_at("position", [0, -1, 0]),
    "no rollbacks": lambda header: header.pop("rollbacks"),
    "rollbacks": set_at("rollbacks", 3),
    "no history": lambda header: header.pop("history"),
    "history": set_at("history", 3),
    "tag": set_at("history", {"@": "eval", "value": "1/0"}),
    "depth": set_at("history", deep(200)),
    "stopper": set_at("stopper", 3),
    "array": set_at("stopper", {"@": "array", "value": "../../etc/passwd"}),
}
"""Changes of the header of a checkpoint of training that can be stopped early."""

HOSTILE_ARRAYS = {
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
"""Arrays of saved estimators and of checkpoints, as these never are."""
