"""Files of older versions are loaded: results, parameters, and further training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from format_1_files import FOLDER, OLD_FILES, continue_training, training_results
from malicious_files import MALICIOUS_FORMAT_1_HEADERS
from safetensors.numpy import load_file
from saved_estimators import NAMES, assert_identical, pandas_frame, results
from sklearn.base import clone

import sk_ssvae
from sk_ssvae.estimators.format_1 import convert_header
from sk_ssvae.estimators.parameters import fixed_parameters
from sk_ssvae.estimators.saving import FITTED_ATTRIBUTES
from sk_ssvae.training.objective import Objective
from sk_ssvae.utils.files import read_file, write_file

FILES = Path(__file__).parents[1] / "files"


def complete_rows(X):
    """Return which rows have no missing cells.

    Probabilities and latent means of the others were computed in another way by the
    versions that wrote the files.
    """
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    missing = pd.isna(X) if isinstance(X, pd.DataFrame | np.ndarray) else None
    if missing is None:  # sparse counts
        return np.ones(X.shape[0], dtype=bool)
    complete = ~np.asarray(missing).any(axis=1)
    assert complete.sum() > 3
    return complete


@pytest.mark.parametrize("version", ["1_0", "2_0"])
def test_the_golden_files_have_the_stored_results(version):
    """Written by version 0.1.0 and by the first version with format 2."""
    clf = sk_ssvae.load(FILES / f"golden_{version}.ssvae", device="cpu")
    expected = load_file(FILES / f"golden_{version}_results.safetensors")
    frame = pandas_frame()
    close = {"rtol": 1e-4, "atol": 1e-5}
    rows = complete_rows(frame)
    proba, Z = clf.predict_proba(frame), clf.transform(frame)
    np.testing.assert_allclose(proba[rows], expected["proba"][rows], **close)
    np.testing.assert_allclose(Z[rows], expected["transform"][rows], **close)
    np.testing.assert_allclose(clf.score_samples(frame), expected["scores"], **close)
    assert clf.classes_.tolist() == ["left", "right"]
    assert all(row["entropy"] > 0 and "confidence" not in row for row in clf.history_)
    assert clf.sample(5)[0].dtypes.equals(frame.dtypes)
    clf.partial_fit(frame, NAMES)
    assert repr(clone(clf).get_params()) == repr(clf.get_params())


# Format 1


def load_old(name):
    path = FOLDER / f"{name}.ssvae"
    return sk_ssvae.load(path, **OLD_FILES[name].user_networks)


@pytest.mark.parametrize("name", OLD_FILES)
def test_files_of_format_1_have_the_stored_results_and_continue_training(name):
    """The results are bit-identical on a processor like the one that wrote them."""
    X, y = OLD_FILES[name].X, OLD_FILES[name].y
    expected = load_file(FOLDER / "results.safetensors")
    estimator = load_old(name)
    averaged, rows = ("predict_proba", "transform"), complete_rows(X)[:20]
    for method, result in training_results(estimator, X).items():
        which = rows if method in averaged else slice(None)
        np.testing.assert_allclose(
            result[which], expected[f"{name}/{method}"][which], rtol=1e-4, atol=1e-5
        )
    continue_training(estimator, X, y)
    for method, result in training_results(estimator, X).items():
        which = rows if method in averaged else slice(None)
        stored = expected[f"{name}/continued {method}"]
        np.testing.assert_allclose(result[which], stored[which], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", OLD_FILES)
def test_files_of_format_1_have_the_corresponding_parameters_and_state(name):
    expected = OLD_FILES[name].expected
    estimator = load_old(name)
    assert type(estimator) is type(expected)
    assert repr(estimator.get_params()) == repr(expected.get_params())
    fixed, expected_fixed = (
        dict(sorted(params.items()))
        for params in (estimator.fixed_parameters_, fixed_parameters(expected))
    )
    assert repr(fixed) == repr(expected_fixed)
    public = {n for n in vars(estimator) if not n.startswith("_")}
    assert set(vars(estimator)) == public
    assert public - {"net_"} - set(estimator.get_params(deep=False)) <= (
        FITTED_ATTRIBUTES
    )


def test_the_objective_of_format_1_is_read():
    assert load_old("sdgm").net_.objective == Objective(
        alpha=30.0, teacher_weight=1.0, entropy_weight=0.1, top_k=2, bound_rows=8
    )
    assert load_old("m1m2").net_.objective == Objective(
        alpha=30.0, teacher_weight=1.0, entropy_weight=0.3, bound_rows=64
    )


@pytest.mark.parametrize(
    ("top_k", "n_summed", "expected"),
    [(8, None, "auto"), (3, None, "auto"), (8, 8, "auto"), (3, 3, 3)],
)
def test_marginalization_of_format_1_keeps_the_number_of_classes(
    top_k, n_summed, expected
):
    """It was a separate parameter, which "auto" used from 20 classes on."""
    header, _ = read_file(FOLDER / "sdgm.ssvae")
    header["params"] |= {"marginalization": "auto", "top_k": top_k}
    header["net"]["trained_with"]["top_k"] = n_summed
    params = convert_header(header)["params"]
    assert params["marginalization"] == expected
    assert "top_k" not in params


def test_network_parameters_of_files_of_format_1_cannot_change():
    clf = load_old("m1m2").set_params(model__inner_size=4)
    with pytest.raises(
        ValueError, match=r"^model__inner_size was 3 when the model was created"
    ):
        continue_training(clf, OLD_FILES["m1m2"].X, OLD_FILES["m1m2"].y)


@pytest.mark.parametrize("kind", MALICIOUS_FORMAT_1_HEADERS)
def test_malicious_headers_of_format_1_are_errors(kind, tmp_path):
    header, arrays = read_file(FOLDER / "estimated_prior.ssvae")
    MALICIOUS_FORMAT_1_HEADERS[kind](header)
    path = tmp_path / "file"
    write_file(path, header, arrays)
    with pytest.raises(ValueError) as error:
        sk_ssvae.load(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", OLD_FILES)
def test_files_of_format_1_can_be_saved_again(name, tmp_path):
    estimator = load_old(name)
    estimator.save(tmp_path / "file")
    again = sk_ssvae.load(tmp_path / "file", **OLD_FILES[name].user_networks)
    assert repr(again.get_params()) == repr(estimator.get_params())
    X = OLD_FILES[name].X
    assert_identical(results(again, X), results(estimator, X))
    header, _ = read_file(tmp_path / "file")
    assert convert_header(header) is header
