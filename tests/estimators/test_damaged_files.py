"""Damaged, foreign, newer and malicious files raise errors that name the file."""

import json
import pickle
from contextlib import suppress

import numpy as np
import pytest
from malicious_files import MALICIOUS_ARRAYS, MALICIOUS_HEADERS, flip_bit
from safetensors.numpy import save_file
from saved_estimators import FEW, IRIS, assert_identical, make_estimator

import sk_ssvae
from sk_ssvae.utils import files
from sk_ssvae.utils.files import read_file, write_file


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Return the contents of a valid file."""
    path = tmp_path_factory.mktemp("intact") / "file"
    make_estimator().fit(IRIS, FEW).save(path)
    return path.read_bytes()


def write(path, data):
    path.write_bytes(data)
    return path


def test_flipped_bits_are_detected(intact, tmp_path):
    """Every 31st bit of the metadata and 200 random ones of the whole file."""
    path = tmp_path / "file"
    n_metadata = 8 + int.from_bytes(intact[:8], "little")
    rng = np.random.RandomState(0)
    bits = [*range(0, 8 * n_metadata, 31), *rng.randint(8 * len(intact), size=200)]
    expected = sk_ssvae.load(write(path, intact)).predict_proba(IRIS)
    for bit in bits:
        write(path, flip_bit(intact, bit))
        if intact[bit // 8 : bit // 8 + 1].isspace():  # padding of the metadata
            with suppress(ValueError):
                assert_identical(sk_ssvae.load(path).predict_proba(IRIS), expected)
            continue
        with pytest.raises(ValueError) as error:
            sk_ssvae.load(path)
        assert str(error.value).startswith(str(path))


def test_truncated_and_extended_files_are_detected(intact, tmp_path):
    for length in [*range(0, 64), *range(64, len(intact), 997), len(intact) - 1]:
        path = write(tmp_path / "file", intact[:length])
        with pytest.raises(ValueError) as error:
            sk_ssvae.load(path)
        assert str(error.value).startswith(f"{path} is damaged or is not an sk_ssvae")
    with pytest.raises(ValueError):
        sk_ssvae.load(write(tmp_path / "file", intact + b"more"))


def test_files_of_other_formats_and_missing_files_are_errors(tmp_path):
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
def test_a_higher_major_version_of_the_format_is_an_error(
    version, tmp_path, monkeypatch
):
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


def test_a_higher_minor_version_of_the_format_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", (2, 9))
    clf = make_estimator().fit(IRIS, FEW)
    clf.save(tmp_path / "file")
    monkeypatch.undo()
    assert_identical(sk_ssvae.load(tmp_path / "file").predict(IRIS), clf.predict(IRIS))


@pytest.mark.parametrize("kind", MALICIOUS_HEADERS)
def test_malicious_headers_are_errors(kind, intact, tmp_path):
    header, arrays = read_file(write(tmp_path / "intact", intact))
    MALICIOUS_HEADERS[kind](header)
    path = tmp_path / "file"
    write_file(path, header, arrays)  # with a valid checksum
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", MALICIOUS_ARRAYS)
def test_arrays_that_do_not_fit_the_networks_are_errors(name, intact, tmp_path):
    """Otherwise the optimizer's kernel would write beyond their end in training."""
    header, arrays = read_file(write(tmp_path / "intact", intact))
    path = tmp_path / "file"
    write_file(path, header, arrays | {name: MALICIOUS_ARRAYS[name]})
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value).startswith(f"{path} cannot be read: it was not written by")


def test_headers_nested_too_deep_for_the_parser_are_errors(
    intact, tmp_path, monkeypatch
):
    _, arrays = read_file(write(tmp_path / "intact", intact))
    path = tmp_path / "file"
    monkeypatch.setattr(json, "dumps", lambda *a, **k: "[" * 10**6)
    write_file(path, None, arrays)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is damaged: its header is"):
        sk_ssvae.load(path)
