"""Files: round trips to the bit, damage, strangers' files, and writing as a whole."""

import errno
import json
import os
import pickle
import re
import stat
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from malicious_files import MALICIOUS_ARRAYS, MALICIOUS_HEADERS, flip_bit
from safetensors.numpy import load_file, save_file
from saved_estimators import (
    CASES,
    FEW,
    IRIS,
    NAMES,
    N,
    Network,
    assert_identical,
    make_estimator,
    pandas_frame,
    results,
)
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.semi_supervised import LabelSpreading
from torch import nn

import sk_ssvae
from sk_ssvae.estimators.saving import ASIDE, FITTED
from sk_ssvae.utils import files
from sk_ssvae.utils.files import read_file, write_file

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", CASES)
def test_what_is_loaded_answers_to_the_bit(name, tmp_path):
    saved, X, y = CASES[name]()
    saved.fit(X, y).save(tmp_path / "file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = sk_ssvae.load(tmp_path / "file")
    assert type(loaded) is type(saved)
    assert repr(loaded.get_params()) == repr(saved.get_params())
    assert_identical(results(saved, X), results(loaded, X))
    assert loaded.history_ == saved.history_
    assert loaded.n_iter_ == saved.n_iter_
    for attribute in FITTED & set(vars(saved)):
        if attribute.endswith("_") and attribute != "likelihood_":
            assert_identical(getattr(saved, attribute), getattr(loaded, attribute))
    assert loaded.likelihood_ == saved.likelihood_
    # and training goes on where it stopped, in the copy and in copies of it
    again = pickle.loads(pickle.dumps(loaded))
    for estimator in (saved, loaded, again):
        if y is None:
            estimator.set_params(warm_start=True).fit(X)
        else:
            estimator.partial_fit(X, y)
    assert_identical(results(saved, X), results(loaded, X))
    assert_identical(results(saved, X), results(again, X))


@pytest.mark.parametrize("name", CASES)
def test_a_file_holds_all_that_an_estimator_knows(name):
    estimator, X, y = CASES[name]()
    estimator.fit(X, y)
    known = set(vars(estimator)) - set(estimator.get_params(deep=False))
    assert known - ASIDE - {"net_"} <= FITTED


def test_a_file_is_the_same_twice(tmp_path):
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


def test_the_device_can_be_chosen(tmp_path):
    make_estimator().fit(IRIS, FEW).save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file", device="cpu")
    assert loaded.device == "cpu"
    assert str(loaded.device_) == "cpu"


def test_a_device_that_is_not_here(tmp_path, whole):
    header, arrays = read_file(_written(tmp_path / "whole", whole))
    header["params"]["device"] = "cuda:77"
    path = tmp_path / "file"
    write_file(path, header, arrays)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} wants the device 'cuda:77', which is not here. Pass another: "
        "sk_ssvae.load(path, device='cpu')."
    )
    loaded = sk_ssvae.load(path, device="cpu")
    reference = sk_ssvae.load(tmp_path / "whole")
    assert_identical(loaded.predict_proba(IRIS), reference.predict_proba(IRIS))


def test_networks_of_ones_own_are_given_to_load(tmp_path):
    path = tmp_path / "file"
    clf = make_estimator(classifier_module=Network, classifier_module__width=3).fit(
        IRIS, FEW
    )
    clf.save(path)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} was saved with a network of the user's own as classifier_module, and "
        "a file holds no code. Pass it: sk_ssvae.load(path, classifier_module=...)."
    )
    loaded = sk_ssvae.load(path, classifier_module=Network)
    assert_identical(results(clf, IRIS), results(loaded, IRIS))
    assert_identical(
        clf.partial_fit(IRIS, FEW).predict_proba(IRIS),
        loaded.partial_fit(IRIS, FEW).predict_proba(IRIS),
    )
    with pytest.raises(ValueError, match="cannot be read: it was not written by"):
        sk_ssvae.load(path, classifier_module=lambda a, b: nn.Linear(a, b))


def test_a_classifier_of_ones_own_smaller_than_the_default_one(tmp_path):
    clf = make_estimator(
        classifier_module=nn.Linear, classifier_hidden_sizes=(200, 200)
    )
    clf.fit(IRIS, FEW).save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file", classifier_module=nn.Linear)
    assert_identical(results(clf, IRIS), results(loaded, IRIS))


def test_parameters_that_a_file_cannot_hold(tmp_path):
    clf = make_estimator(
        teacher=LabelSpreading(),
        likelihood=[("gaussian", make_column_selector("p"))],
    )
    frame = pd.DataFrame(IRIS, columns=list("pqrs"))
    clf.fit(frame, FEW)
    with pytest.warns(UserWarning, match="A file holds no objects") as record:
        clf.save(tmp_path / "file")
    (warning,) = record
    assert str(warning.message) == (
        "A file holds no objects such as those of the parameters ['likelihood', "
        "'teacher']: the loaded estimator will have their defaults. What it answers is "
        "the same."
    )
    assert warning.filename == __file__
    loaded = sk_ssvae.load(tmp_path / "file")
    assert loaded.teacher == "pool"
    assert_identical(results(clf, frame), results(loaded, frame))
    assert_identical(
        clf.partial_fit(frame, FEW).predict_proba(frame),
        loaded.partial_fit(frame, FEW).predict_proba(frame),
    )
    given = sk_ssvae.load(tmp_path / "file", teacher=LabelSpreading())
    assert isinstance(given.teacher, LabelSpreading)


def test_nothing_to_save(tmp_path):
    with pytest.raises(NotFittedError):
        make_estimator().save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


# Damage.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "file"
    make_estimator().fit(IRIS, FEW).save(path)
    return path.read_bytes()


def test_every_flipped_bit_is_seen(whole, tmp_path):
    """Of the metadata each thirty-first, of the rest two hundred."""
    path = tmp_path / "file"
    metadata = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.RandomState(0)
    places = [*range(0, 8 * metadata, 31), *rng.randint(8 * len(whole), size=200)]
    reference = sk_ssvae.load(_written(path, whole)).predict_proba(IRIS)
    for place in places:
        _written(path, flip_bit(whole, place))
        if whole[place // 8 : place // 8 + 1].isspace():  # fills the metadata up
            with suppress(ValueError):
                assert_identical(sk_ssvae.load(path).predict_proba(IRIS), reference)
            continue
        with pytest.raises(ValueError) as error:
            sk_ssvae.load(path)
        assert str(error.value).startswith(str(path))


def _written(path, data):
    path.write_bytes(data)
    return path


def test_every_cut_is_seen(whole, tmp_path):
    for length in [*range(0, 64), *range(64, len(whole), 997), len(whole) - 1]:
        path = _written(tmp_path / "file", whole[:length])
        with pytest.raises(ValueError) as error:
            sk_ssvae.load(path)
        assert str(error.value).startswith(f"{path} is damaged or is not an sk_ssvae")
    with pytest.raises(ValueError):
        sk_ssvae.load(_written(tmp_path / "file", whole + b"more"))


def test_other_files_are_refused(whole, tmp_path):
    path = tmp_path / "file"
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} is a safetensors file, but not of an sk_ssvae estimator."
    )
    path.write_bytes(pickle.dumps(make_estimator()))
    with pytest.raises(ValueError, match="is damaged or is not an sk_ssvae file"):
        sk_ssvae.load(path)
    with pytest.raises(FileNotFoundError):
        sk_ssvae.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        sk_ssvae.load(tmp_path)


@pytest.mark.parametrize("version", ["3.0", "17.3"])
def test_newer_formats_are_refused(version, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", tuple(map(int, version.split("."))))
    path = tmp_path / "file"
    make_estimator().fit(IRIS, FEW).save(path)
    monkeypatch.undo()
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value) == (
        f"{path} has format {version}; this version of sk_ssvae reads formats up to 2. "
        "Install a newer one."
    )


def test_smaller_changes_of_the_format_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", (2, 9))
    clf = make_estimator().fit(IRIS, FEW)
    clf.save(tmp_path / "file")
    monkeypatch.undo()
    assert_identical(sk_ssvae.load(tmp_path / "file").predict(IRIS), clf.predict(IRIS))


@pytest.mark.parametrize("kind", MALICIOUS_HEADERS)
def test_files_of_strangers_run_nothing(kind, whole, tmp_path):
    header, arrays = read_file(_written(tmp_path / "whole", whole))
    MALICIOUS_HEADERS[kind](header)
    path = tmp_path / "file"
    write_file(path, header, arrays)  # with the right checksum
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", MALICIOUS_ARRAYS)
def test_arrays_of_strangers_are_held_against_the_networks(name, whole, tmp_path):
    """Else the optimizer's kernel writes beyond their end when training goes on."""
    header, arrays = read_file(_written(tmp_path / "whole", whole))
    path = tmp_path / "file"
    write_file(path, header, arrays | {name: MALICIOUS_ARRAYS[name]})
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value).startswith(f"{path} cannot be read: it was not written by")


def test_headers_too_deep_for_the_parser(whole, tmp_path, monkeypatch):
    _, arrays = read_file(_written(tmp_path / "whole", whole))
    path = tmp_path / "file"
    monkeypatch.setattr(json, "dumps", lambda *a, **k: "[" * 10**6)
    write_file(path, None, arrays)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is damaged: its header is"):
        sk_ssvae.load(path)


# Writing as a whole.


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "builtins.open"])
def test_a_failing_disk_leaves_the_old_file(step, whole, tmp_path, monkeypatch):
    path = _written(tmp_path / "file", whole)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    clf = make_estimator(alpha=1.0).fit(IRIS, FEW)
    with monkeypatch.context() as patch:
        patch.setattr(step, full)
        with pytest.raises(OSError, match="No space left"):
            clf.save(path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]
    clf.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert_identical(sk_ssvae.load(path).predict(IRIS), clf.predict(IRIS))


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_what_killed_writers_have_left_goes(whole, tmp_path):
    """But what a living one has, and what is another file's or nobody's, stays."""
    path = tmp_path / "a.b"
    left = tmp_path / ".a.b.0123abcd.partial"
    alive = tmp_path / ".a.b.89abcdef.partial"
    others = [
        tmp_path / name
        for name in (
            ".a.0123abcd.partial",
            ".a.b.c.0123abcd.partial",
            ".axb.0123abcd.partial",
            ".a.b.0123abcd.partial.txt",
            ".a.b.report.partial",
        )
    ]
    for one in (left, alive, *others):
        one.write_bytes(whole[:100])
    clf = make_estimator().fit(IRIS, FEW)
    with alive.open("ab") as file:
        assert files._lock(file)
        clf.save(path)
        assert set(tmp_path.iterdir()) == {path, alive, *others}
    clf.save(path)
    assert set(tmp_path.iterdir()) == {path, *others}


def test_a_folder_that_cannot_be_listed_or_flushed(tmp_path, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    clf, path = make_estimator().fit(IRIS, FEW), tmp_path / "file"
    monkeypatch.setattr(os, "listdir", denied)
    monkeypatch.setattr(os, "open", denied)
    clf.save(path)
    monkeypatch.undo()
    assert_identical(sk_ssvae.load(path).predict(IRIS), clf.predict(IRIS))


def test_writers_at_once_keep_the_process_s_permissions(whole, tmp_path, monkeypatch):
    """And do not take each other's unfinished files for left over."""
    umask = os.umask

    def slow(mask):  # between setting it and setting it back another thread may come
        time.sleep(1e-3)
        return umask(mask)

    monkeypatch.setattr(os, "umask", slow)
    header, arrays = read_file(_written(tmp_path / "whole", whole))
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(write_file, path, header, arrays) for _ in range(64)]
        for job in jobs:
            job.result()
        after = os.umask(0o027)
    finally:
        os.umask(before)
    assert after == 0o027
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {one.name for one in tmp_path.iterdir()} == {"file", "whole"}
    assert read_file(path)[0] == header


def test_folders_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        make_estimator().fit(IRIS, FEW).save(tmp_path / "nowhere" / "file")


def test_without_safetensors(tmp_path, monkeypatch):
    clf = make_estimator().fit(IRIS, FEW)
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    for call in (lambda: clf.save(tmp_path / "file"), lambda: sk_ssvae.load("file")):
        with pytest.raises(ImportError) as error:
            call()
        assert str(error.value) == (
            "Saving and loading estimators needs safetensors: pip install "
            '"sk_ssvae[files]".'
        )
    assert list(tmp_path.iterdir()) == []


def test_the_golden_file_of_format_1():
    """Written by version 0.1.0; it must load for ever."""
    clf = sk_ssvae.load(HERE.parent / "files" / "golden_1_0.ssvae", device="cpu")
    expected = load_file(HERE.parent / "files" / "golden_1_0_answers.safetensors")
    frame = pandas_frame()
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(clf.predict_proba(frame), expected["proba"], **close)
    np.testing.assert_allclose(clf.transform(frame), expected["transform"], **close)
    np.testing.assert_allclose(clf.score_samples(frame), expected["scores"], **close)
    assert clf.classes_.tolist() == ["left", "right"]
    assert clf.sample(5)[0].dtypes.equals(frame.dtypes)
    clf.partial_fit(frame, NAMES)
    assert clone(clf).get_params() == clf.get_params()


@pytest.mark.slow
def test_the_example_of_the_document_runs(tmp_path, monkeypatch):
    page = (HERE.parent / "docs" / "saving.md").read_text()
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
    assert_identical(names["twin"].predict_proba(X), clf.predict_proba(X))
    exec(export + serving, names)
    np.testing.assert_allclose(names["probabilities"], clf.predict_proba(X), atol=1e-5)
    assert names["classes"] == [0, 1, 2]
    exec(training.replace("random_state=0)", "random_state=0, max_epochs=1)"), names)
    assert_identical(names["clf"].predict_proba(X), clf.predict_proba(X))


def test_classes_in_the_other_order_of_bytes(tmp_path):
    """Files have one order; the checksum was of the other."""
    X = np.random.RandomState(0).randn(N, 3)
    y = (np.arange(N) % 3).astype(np.dtype("i2").newbyteorder("S"))
    clf = make_estimator().fit(X, y)
    clf.save(tmp_path / "clf")
    loaded = sk_ssvae.load(tmp_path / "clf")
    assert loaded.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
