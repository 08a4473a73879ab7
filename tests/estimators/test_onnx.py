"""ONNX graphs have the results of the estimators that they are exported from."""

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
from model_objects import make_spec
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.estimators.onnx_inputs import check_categories

onnxruntime = pytest.importorskip("onnxruntime")

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
X_MISSING = np.where(np.arange(600).reshape(150, 4) % 11, X, np.nan)
COUNTS = np.random.RandomState(0).poisson(np.exp(X - 3)).astype(float)
IN_ONE_UNIT = np.random.RandomState(0).randn(150, 40) * np.linspace(0.7, 1.4, 40)
IN_ONE_UNIT[:, :4] += (X - X.mean(axis=0)) / X.std(axis=0)
FRAME = pd.DataFrame(X[:, :2], columns=["height", "weight"]).assign(
    town=np.array(["Oslo", "Rome", "Lima"])[np.arange(150) * 7 % 3],
    floor=np.arange(150) // 3 % 4,
)
FRAME_MISSING = FRAME.mask(np.arange(600).reshape(150, 4) % 11 == 0)


class Convolution(nn.Sequential):
    """A convolutional network on rows as signals of one channel."""

    def __init__(self, in_features, out_features):
        super().__init__(
            nn.Unflatten(1, (1, in_features)),
            nn.Conv1d(1, 3, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(3 * in_features, out_features),
        )


ROLES = ("classifier_module", "encoder_module", "decoder_module")
CASES = {
    "m2": (X, {}),
    "no hidden layer": (X, {"hidden_sizes": (), "classifier_hidden_sizes": ()}),
    "single precision": (X.astype(np.float32), {}),
    "far from zero": (np.float32(1e5 + 10 * X), {}),
    "single precision, constant column": (
        np.c_[X.astype(np.float32), np.ones(150, np.float32)],
        {},
    ),
    "bernoulli": ((X.mean(0) < X).astype(float), {"likelihood": "bernoulli"}),
    "grey": (np.clip(X / 4 - 0.5, 0, 1), {"likelihood": "censored_logistic"}),
    "poisson": (COUNTS, {"likelihood": "poisson"}),
    "counts": (COUNTS, {"likelihood": "negative_binomial", "model": "m1+m2"}),
    "missing values": (X_MISSING, {}),
    "missing values, m1+m2": (X_MISSING, {"model": "m1+m2"}),
    "missing values, sdgm": (X_MISSING, {"model": "sdgm"}),
    "adgm": (X, {"model": "adgm"}),
    "shared unit": (IN_ONE_UNIT, {}),
    "shared unit, missing values": (
        np.where(X[:, :1] < 5, np.nan, IN_ONE_UNIT),
        {"model": "m1+m2"},
    ),
    "temperature": (X, {"temperature": 1.7}),
    "estimate": (X, {"class_prior": "estimate"}),
    "user networks": (X, dict.fromkeys(ROLES, BatchNormNetwork)),
    "user networks, sdgm": (
        X_MISSING,
        {"model": "sdgm", **dict.fromkeys(ROLES, BatchNormNetwork)},
    ),
    "convolution": (X, {"model": "m1+m2", "encoder_module": Convolution}),
    "frame": (FRAME_MISSING, {"categorical_features": ["floor"]}),
    "user networks, constant column": (
        np.insert(X, 2, 7.0, axis=1),
        dict.fromkeys(ROLES, BatchNormNetwork),
    ),
    "autoencoder": (X, None),
    "autoencoder, missing values": (X_MISSING, None),
}


def fitted(case):
    """Return the rows of a case and an estimator that is fitted to them."""
    rows, parameters = CASES[case]
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "max_epochs": 3,
        "random_state": 0,
    }
    if parameters is None:
        return rows, VariationalAutoencoder(**defaults).fit(rows)
    defaults |= {"teacher": None}
    model = make_spec(parameters.get("model", "m2"), inner_size=3, pretrain_epochs=2)
    y = np.array(["a", "b", "c"], dtype=object)[TRUTH]
    y[FEW < 0] = -1
    return rows, SSVAEClassifier(**(defaults | parameters | {"model": model})).fit(
        rows, y
    )


def graph_input(rows, session):
    """Return rows as a graph takes them: strings for categories, NaN for gaps."""
    if not isinstance(rows, pd.DataFrame):
        return {"X": rows}
    assert [node.name for node in session.get_inputs()] == list(rows.columns)
    values = {}
    for node in session.get_inputs():
        column = rows[node.name].to_numpy()[:, None]
        if node.type == "tensor(string)":
            values[node.name] = np.where(pd.isna(column), "", column).astype(object)
        else:
            values[node.name] = column.astype(float)
    return values


def check_graph(case, path):
    """Export an estimator, and compare its results with those of the graph."""
    rows, estimator = fitted(case)
    assert estimator.module_.inputs.shares_unit == ("shared unit" in case)
    sk_ssvae.to_onnx(estimator, path)
    session = onnxruntime.InferenceSession(path)
    metadata = session.get_modelmeta().custom_metadata_map
    columns = json.loads(metadata["columns"])
    for n in (150, 1, 7):
        *proba, latent = session.run(None, graph_input(rows[:n], session))
        assert latent.dtype == np.float32
        gaps = pd.DataFrame(rows[:n]).isna().any(axis=1).to_numpy()[:, None]
        expected = np.where(gaps, np.nan, estimator.transform(rows[:n]))
        np.testing.assert_allclose(latent, expected, atol=1e-5)
        if isinstance(estimator, SSVAEClassifier):
            expected = np.where(gaps, np.nan, estimator.predict_proba(rows[:n]))
            np.testing.assert_allclose(proba[0], expected, atol=1e-5)
            assert json.loads(metadata["classes"]) == estimator.classes_.tolist()
        else:
            assert proba == []
            assert "classes" not in metadata
    names = list(getattr(rows, "columns", range(rows.shape[1])))
    assert [column["name"] for column in columns] == names
    assert json.loads(metadata["sk_ssvae"]) == sk_ssvae.__version__


def test_a_graph_has_the_results_of_the_classifier(tmp_path):
    check_graph("m2", tmp_path / "graph.onnx")
    assert os.listdir(tmp_path) == ["graph.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "m2"])
def test_graphs_of_all_kinds_have_the_results_of_the_estimators(case, tmp_path):
    check_graph(case, tmp_path / "graph.onnx")


@pytest.mark.slow
def test_the_export_changes_neither_global_state_nor_the_estimator(
    tmp_path, global_generators, caplog
):
    _, clf = fitted("user networks")
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
def test_user_networks_that_torch_cannot_trace_are_errors(tmp_path):
    class DataDependent(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1 if float(x.sum()) > 0 else 2)

    clf = SSVAEClassifier(
        latent_size=2, classifier_module=DataDependent, teacher=None, max_epochs=1
    ).fit(X, FEW)
    with pytest.raises(ValueError) as error:
        sk_ssvae.to_onnx(clf, tmp_path / "graph.onnx")
    assert str(error.value).startswith(
        "User-supplied networks cannot be exported: torch.export must be able to trace "
        "them for any number of rows ("
    )
    assert os.listdir(tmp_path) == []


def test_unfitted_and_other_estimators_are_errors(tmp_path, quick):
    with pytest.raises(NotFittedError):
        sk_ssvae.to_onnx(quick(), tmp_path / "graph.onnx")
    with pytest.raises(TypeError) as error:
        sk_ssvae.to_onnx(OpinionPoolClassifier(), tmp_path / "graph.onnx")
    assert str(error.value) == (
        "to_onnx exports SSVAEClassifier and VariationalAutoencoder, got "
        "OpinionPoolClassifier()."
    )
    assert os.listdir(tmp_path) == []


def test_pipelines_are_errors(tmp_path, quick):
    pipeline = make_pipeline(StandardScaler(), quick()).fit(X, FEW)
    with pytest.raises(TypeError) as error:
        sk_ssvae.to_onnx(pipeline, tmp_path / "graph.onnx")
    assert str(error.value) == (
        "to_onnx exports single estimators, got a Pipeline. Export its last step, "
        "to_onnx(pipeline[-1], path), and pass it rows that the other steps have "
        "transformed, pipeline[:-1].transform(X), or join both graphs by "
        "onnx.compose.merge_models; skl2onnx exports pipeline[:-1]. Scaling, "
        "categories and missing cells need no step of a pipeline."
    )


def test_categories_that_a_graph_cannot_encode_are_errors(tmp_path, quick):
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical([2**24, 2**24 + 1] * 75)})
    with pytest.raises(ValueError) as error:
        sk_ssvae.to_onnx(quick().fit(frame, FEW), tmp_path / "graph.onnx")
    assert str(error.value) == (
        "The categories of column 'b' are numbers that single precision, which a graph "
        "uses for them, does not distinguish. Convert the column to strings before fit."
    )
    with pytest.raises(ValueError) as error:
        check_categories("c", ["a", b"a"])
    assert str(error.value) == (
        "The categories of column 'c' are of the types ['bytes', 'str'], but a graph "
        "takes strings or numbers. Convert the column to strings before fit."
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", ["onnx.helper", "onnxscript"])
def test_missing_packages_are_named(tmp_path, quick, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError) as error:
        sk_ssvae.to_onnx(quick().fit(X, FEW), tmp_path / "graph.onnx")
    assert str(error.value) == (
        'Exporting estimators needs onnx and onnxscript: pip install "sk_ssvae[onnx]".'
    )
