"""ONNX graphs answer as the estimators do that they come from."""

import copy
import json
import logging
import os
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from concurrency import BatchNormNetwork
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from torch import nn

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder

onnxruntime = pytest.importorskip("onnxruntime")

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
HOLED = np.where(np.arange(600).reshape(150, 4) % 11, X, np.nan)
COUNTS = np.random.RandomState(0).poisson(np.exp(X - 3)).astype(float)
PEOPLE = pd.DataFrame(X[:, :2], columns=["height", "weight"]).assign(
    town=np.array(["Oslo", "Rome", "Lima"])[np.arange(150) * 7 % 3],
    floor=np.arange(150) // 3 % 4,
)
MISSED = PEOPLE.mask(np.arange(600).reshape(150, 4) % 11 == 0)


class Convolution(nn.Sequential):
    """On rows as signals of one channel."""

    def __init__(self, in_features, out_features):
        super().__init__(
            nn.Unflatten(1, (1, in_features)),
            nn.Conv1d(1, 3, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(3 * in_features, out_features),
        )


OWN = ("classifier_module", "encoder_module", "decoder_module")
CASES = {
    "m2": (X, {}),
    "no hidden layer": (X, {"hidden_sizes": (), "classifier_hidden_sizes": ()}),
    "single precision": (X.astype(np.float32), {}),
    "far from zero": (np.float32(1e5 + 10 * X), {}),
    "single columns": (np.c_[X.astype(np.float32), np.ones(150, np.float32)], {}),
    "bernoulli": ((X.mean(0) < X).astype(float), {"likelihood": "bernoulli"}),
    "poisson": (COUNTS, {"likelihood": "poisson"}),
    "counts": (COUNTS, {"likelihood": "negative_binomial", "model": "m1+m2"}),
    "gaps": (HOLED, {}),
    "gaps, m1+m2": (HOLED, {"model": "m1+m2"}),
    "gaps, sdgm": (HOLED, {"model": "sdgm"}),
    "adgm": (X, {"model": "adgm"}),
    "temperature": (X, {"temperature": 1.7}),
    "estimate": (X, {"class_prior": "estimate"}),
    "own networks": (X, dict.fromkeys(OWN, BatchNormNetwork)),
    "own networks, sdgm": (
        HOLED,
        {"model": "sdgm", **dict.fromkeys(OWN, BatchNormNetwork)},
    ),
    "convolution": (X, {"model": "m1+m2", "encoder_module": Convolution}),
    "frame": (MISSED, {"categorical_features": ["floor"]}),
    "m1": (X, None),
    "m1, gaps": (HOLED, None),
}


def fitted(case):
    rows, parameters = CASES[case]
    given = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "max_epochs": 3,
        "random_state": 0,
    }
    if parameters is None:
        return rows, VariationalAutoencoder(**given).fit(rows)
    given |= {"teacher": None, "inner_size": 3, "pretrain_epochs": 2}
    y = np.array(["a", "b", "c"], dtype=object)[TRUTH]
    y[FEW < 0] = -1
    return rows, SSVAEClassifier(**(given | parameters)).fit(rows, y)


def cells(rows, columns):
    """Rows as a graph takes them, by what its metadata say."""
    if not isinstance(rows, pd.DataFrame):
        return rows
    out = []
    for column in columns:
        values = rows[column["name"]]
        if "categories" in column:
            values = values.map({c: i for i, c in enumerate(column["categories"])})
        out.append(values.to_numpy(dtype=float, na_value=np.nan))
    return np.stack(out, 1)


def agrees(case, path):
    rows, estimator = fitted(case)
    sk_ssvae.to_onnx(estimator, path)
    session = onnxruntime.InferenceSession(path)
    said = session.get_modelmeta().custom_metadata_map
    table = cells(rows, json.loads(said["columns"]))
    for n in (150, 1, 7):
        some = rows[:n]
        *proba, latent = session.run(None, {"X": table[:n]})
        assert latent.dtype == np.float32
        np.testing.assert_allclose(latent, estimator.transform(some), atol=1e-5)
        if isinstance(estimator, SSVAEClassifier):
            expected = estimator.predict_proba(some)
            np.testing.assert_allclose(proba[0], expected, atol=1e-5)
            assert json.loads(said["classes"]) == estimator.classes_.tolist()
        else:
            assert proba == []
            assert "classes" not in said
    assert json.loads(said["sk_ssvae"]) == sk_ssvae.__version__


@pytest.mark.parametrize("case", ["m2"])
def test_a_graph_answers_as_the_estimator(case, tmp_path):
    agrees(case, tmp_path / "graph.onnx")
    assert os.listdir(tmp_path) == ["graph.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "m2"])
def test_graphs_of_all_kinds_answer_as_the_estimators(case, tmp_path):
    agrees(case, tmp_path / "graph.onnx")


@pytest.mark.slow
def test_nothing_else_is_touched(tmp_path, global_generators, caplog):
    _, clf = fitted("own networks")
    clf.module_.train()
    before = (
        global_generators(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        logging.getLogger("torch.onnx").level,
        copy.deepcopy(clf.module_.state_dict()),
    )
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sk_ssvae.to_onnx(clf, tmp_path / "graph.onnx")
    assert [*map(str, warned)] == []
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    after = (
        global_generators(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        logging.getLogger("torch.onnx").level,
        clf.module_.state_dict(),
    )
    assert before[:-1] == after[:-1]
    assert all(torch.equal(before[-1][name], after[-1][name]) for name in after[-1])
    assert all(module.training for module in clf.module_.modules())


@pytest.mark.slow
def test_networks_that_cannot_be_followed(tmp_path):
    class Choosy(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1 if float(x.sum()) > 0 else 2)

    clf = SSVAEClassifier(
        latent_size=2, classifier_module=Choosy, teacher=None, max_epochs=1
    ).fit(X, FEW)
    with pytest.raises(ValueError) as error:
        sk_ssvae.to_onnx(clf, tmp_path / "graph.onnx")
    assert str(error.value).startswith(
        "Networks of your own cannot be exported: PyTorch has to follow them by "
        "torch.export, for any number of rows ("
    )
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_exported(tmp_path, quick):
    with pytest.raises(NotFittedError):
        sk_ssvae.to_onnx(quick(), tmp_path / "graph.onnx")
    with pytest.raises(TypeError) as error:
        sk_ssvae.to_onnx(OpinionPoolClassifier(), tmp_path / "graph.onnx")
    assert str(error.value) == (
        "to_onnx exports SSVAEClassifier and VariationalAutoencoder, got "
        "OpinionPoolClassifier()."
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", ["onnx.helper", "onnxscript"])
def test_missing_packages(tmp_path, quick, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError) as error:
        sk_ssvae.to_onnx(quick().fit(X, FEW), tmp_path / "graph.onnx")
    assert str(error.value) == (
        'Exporting estimators needs onnx and onnxscript: pip install "sk_ssvae[onnx]".'
    )
