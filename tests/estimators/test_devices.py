"""Pickles, joblib files and own files that move between devices."""

import io
import pickle
import re

import joblib
import numpy as np
import pytest
import torch
from concurrency import FEW, X, make_classifier
from skorch.exceptions import DeviceWarning

import sk_ssvae

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
MODELS = ["m2", "m1+m2", "sdgm"]


def with_pickle(clf):
    return pickle.dumps(clf), pickle.loads


def with_joblib(clf):
    file = io.BytesIO()
    joblib.dump(clf, file)
    return file.getvalue(), lambda data: joblib.load(io.BytesIO(data))


@no_cuda
@pytest.mark.parametrize("dump", [with_pickle, with_joblib])
@pytest.mark.parametrize("model", MODELS)
def test_pickles_from_a_cuda_device_are_loaded_on_the_cpu(dump, model, monkeypatch):
    """The location of tensors in the pickles is that of a machine with CUDA."""
    clf = make_classifier(model=model).fit(X, FEW)
    expected = clf.predict_proba(X)
    with monkeypatch.context() as cuda_machine:
        cuda_machine.setattr(
            torch.serialization, "location_tag", lambda storage: "cuda:0"
        )
        clf.net_.device = "cuda:0"
        data, load = dump(clf)
        clf.net_.device = "cpu"
    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
        torch.load(io.BytesIO(torch_pickle(clf, monkeypatch)), weights_only=False)
    with pytest.warns(DeviceWarning) as warnings:
        moved = load(data)
    assert re.search("Loading on device .cpu. instead", str(warnings[0].message))
    assert moved.device_ == torch.device("cpu")
    assert moved.net_.device == "cpu"
    np.testing.assert_array_equal(moved.predict_proba(X), expected)
    moved.set_params(device="cpu")
    np.testing.assert_array_equal(
        moved.partial_fit(X, FEW).predict_proba(X),
        clf.partial_fit(X, FEW).predict_proba(X),
    )


def torch_pickle(clf, monkeypatch):
    """Return weights as `torch.save` writes them there, which cannot be loaded here."""
    with monkeypatch.context() as cuda_machine:
        cuda_machine.setattr(
            torch.serialization, "location_tag", lambda storage: "cuda:0"
        )
        file = io.BytesIO()
        torch.save(clf.module_.state_dict(), file)
    return file.getvalue()


@cuda
@pytest.mark.parametrize("model", MODELS)
def test_files_move_from_cuda_to_the_cpu_and_back(model, tmp_path):
    clf = make_classifier(model=model, device="cuda").fit(X, FEW)
    expected = clf.predict_proba(X)
    clf.save(tmp_path / "file")
    on_cpu = sk_ssvae.load(tmp_path / "file", device="cpu")
    assert on_cpu.device_.type == "cpu"
    np.testing.assert_allclose(on_cpu.predict_proba(X), expected, atol=1e-5)
    on_cpu.save(tmp_path / "file")
    back = sk_ssvae.load(tmp_path / "file", device="cuda")
    assert back.device_.type == "cuda"
    np.testing.assert_allclose(back.predict_proba(X), expected, atol=1e-5)
    for dump in (with_pickle, with_joblib):
        data, load = dump(clf)
        unpickled = load(data)
        assert unpickled.device_.type == "cuda"
        np.testing.assert_array_equal(unpickled.predict_proba(X), expected)
