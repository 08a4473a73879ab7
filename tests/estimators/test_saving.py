"""Files: a loaded estimator has the results, parameters and state of the saved one."""

import pickle
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from saved_estimators import (
    CASES,
    FEW,
    IRIS,
    N,
    Network,
    assert_identical,
    make_estimator,
    results,
)
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.semi_supervised import LabelSpreading
from torch import nn

import sk_ssvae
from sk_ssvae.data.serialization import JSONEncoder
from sk_ssvae.estimators.saving import FITTED_ATTRIBUTES, TRANSIENT_ATTRIBUTES
from sk_ssvae.utils.files import read_file, write_file

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CASES)
def test_loaded_estimators_are_bit_identical_and_continue_training(name, tmp_path):
    saved, X, y = CASES[name]()
    saved.fit(X, y)
    assert saved.module_.inputs.shares_unit == (name == "shared unit")
    attributes = set(vars(saved)) - set(saved.get_params(deep=False))
    assert attributes - TRANSIENT_ATTRIBUTES - {"net_"} <= FITTED_ATTRIBUTES
    saved.save(tmp_path / "file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = sk_ssvae.load(tmp_path / "file")
    assert type(loaded) is type(saved)
    assert repr(loaded.get_params()) == repr(saved.get_params())
    assert_identical(results(saved, X), results(loaded, X))
    assert loaded.history_ == saved.history_
    assert loaded.n_iter_ == saved.n_iter_
    for attribute in FITTED_ATTRIBUTES & set(vars(saved)):
        assert_same_value(getattr(saved, attribute), getattr(loaded, attribute))
    copy = pickle.loads(pickle.dumps(loaded))
    for estimator in (saved, loaded, copy):
        if y is None:
            estimator.set_params(warm_start=True).fit(X)
        else:
            estimator.partial_fit(X, y)
    assert_identical(results(saved, X), results(loaded, X))
    assert_identical(results(saved, X), results(copy, X))


def assert_same_value(a, b):
    """Assert that fitted attributes are equal, with all arrays that they contain."""
    assert type(a) is type(b)
    (a, arrays_of_a), (b, arrays_of_b) = map(encode, (a, b))
    assert a == b
    assert arrays_of_a.keys() == arrays_of_b.keys()
    for name, array in arrays_of_a.items():
        assert_identical(array, arrays_of_b[name])


def encode(value):
    encoder = JSONEncoder()
    return encoder(value), encoder.arrays


def test_saving_twice_and_saving_a_loaded_estimator_give_the_same_contents(tmp_path):
    clf = make_estimator().fit(IRIS, FEW)
    clf.save(tmp_path / "a")
    clf.save(str(tmp_path / "b"))
    sk_ssvae.load(tmp_path / "a").save(tmp_path / "c")
    first = read_file(tmp_path / "a")
    for other in ("b", "c"):
        header, arrays = read_file(tmp_path / other)
        assert header == first[0]
        for key in arrays.keys() | first[1].keys():
            assert np.array_equal(arrays[key], first[1][key])


def test_load_takes_the_device(tmp_path):
    make_estimator().fit(IRIS, FEW).save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file", device="cpu")
    assert loaded.device == "cpu"
    assert str(loaded.device_) == "cpu"


def test_a_device_that_is_not_available_is_an_error_unless_another_is_passed(tmp_path):
    make_estimator().fit(IRIS, FEW).save(tmp_path / "original")
    header, arrays = read_file(tmp_path / "original")
    header["params"]["device"] = "cuda:77"
    path = tmp_path / "file"
    write_file(path, header, arrays)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} needs the device 'cuda:77', which is not available here. Pass "
        "another: sk_ssvae.load(path, device='cpu')."
    )
    loaded = sk_ssvae.load(path, device="cpu")
    original = sk_ssvae.load(tmp_path / "original")
    assert_identical(loaded.predict_proba(IRIS), original.predict_proba(IRIS))


def test_user_networks_are_passed_to_load(tmp_path):
    path = tmp_path / "file"
    clf = make_estimator(classifier_module=Network, classifier_module__width=3)
    clf.fit(IRIS, FEW).save(path)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} was saved with a user-supplied network as classifier_module, and a "
        "file holds no code. Pass it: sk_ssvae.load(path, classifier_module=...)."
    )
    loaded = sk_ssvae.load(path, classifier_module=Network)
    assert_identical(results(clf, IRIS), results(loaded, IRIS))
    assert_identical(
        clf.partial_fit(IRIS, FEW).predict_proba(IRIS),
        loaded.partial_fit(IRIS, FEW).predict_proba(IRIS),
    )
    with pytest.raises(ValueError, match="cannot be read: it was not written by"):
        sk_ssvae.load(path, classifier_module=lambda a, b: nn.Linear(a, b))


def test_a_user_classifier_may_be_smaller_than_the_built_in_one(tmp_path):
    """The check of layer sizes against the size of the file does not apply to it."""
    clf = make_estimator(
        classifier_module=nn.Linear, classifier_hidden_sizes=(200, 200)
    )
    clf.fit(IRIS, FEW).save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file", classifier_module=nn.Linear)
    assert_identical(results(clf, IRIS), results(loaded, IRIS))


def test_parameters_that_a_file_cannot_hold_are_named_in_a_warning(tmp_path):
    clf = make_estimator(
        teacher=LabelSpreading(),
        likelihood=[("gaussian", make_column_selector("p"))],
    )
    frame = pd.DataFrame(IRIS, columns=list("pqrs"))
    clf.fit(frame, FEW)
    with pytest.warns(UserWarning, match="A file cannot hold") as record:
        clf.save(tmp_path / "file")
    (warning,) = record
    assert str(warning.message) == (
        "A file cannot hold the objects passed as ['likelihood', 'teacher']: the "
        "loaded estimator will have the defaults of these parameters. Its predictions "
        "are the same."
    )
    assert warning.filename == __file__
    loaded = sk_ssvae.load(tmp_path / "file")
    assert loaded.teacher == "pool"
    assert_identical(results(clf, frame), results(loaded, frame))
    assert_identical(
        clf.partial_fit(frame, FEW).predict_proba(frame),
        loaded.partial_fit(frame, FEW).predict_proba(frame),
    )
    with_teacher = sk_ssvae.load(tmp_path / "file", teacher=LabelSpreading())
    assert isinstance(with_teacher.teacher, LabelSpreading)


def test_an_unfitted_estimator_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        make_estimator().save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_classes_of_another_byte_order(tmp_path):
    """The file format stores one byte order only, and the checksum is that of it."""
    X = np.random.RandomState(0).randn(N, 3)
    y = (np.arange(N) % 3).astype(np.dtype("i2").newbyteorder("S"))
    clf = make_estimator().fit(X, y)
    clf.save(tmp_path / "clf")
    loaded = sk_ssvae.load(tmp_path / "clf")
    assert loaded.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))


def test_saving_and_loading_without_safetensors_say_how_to_install_it(
    tmp_path, monkeypatch
):
    clf = make_estimator().fit(IRIS, FEW)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: clf.save(tmp_path / "file"), lambda: sk_ssvae.load("file")):
        with pytest.raises(ImportError) as error:
            call()
        assert str(error.value) == (
            "Saving and loading estimators needs safetensors: pip install "
            '"sk_ssvae[files]".'
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_examples_of_the_user_guide_run(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "saving.md").read_text()
    saving, export, serving, training = re.findall(
        r"```python\n(.*?)```", page, re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(
        saving.replace("random_state=0).fit", "random_state=0, max_epochs=1).fit"),
        names,
    )
    X, clf = names["X"], names["clf"]
    assert_identical(names["loaded"].predict_proba(X), clf.predict_proba(X))
    exec(export + serving, names)
    np.testing.assert_allclose(names["probabilities"], clf.predict_proba(X), atol=1e-5)
    assert names["classes"] == [0, 1, 2]
    exec(training.replace("random_state=0)", "random_state=0, max_epochs=1)"), names)
    assert_identical(names["clf"].predict_proba(X), clf.predict_proba(X))
