"""Scorers of ONNX graphs agree with the estimators, and do not need torch."""

import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mixed_rows import small_classifier
from saved_estimators import FEW, IRIS, make_estimator

import sk_ssvae
from sk_ssvae import Scorer, VariationalAutoencoder
from sk_ssvae.estimators import loaded_files, onnx_models
from sk_ssvae.estimators.onnx_models import OnnxClassifier

pytest.importorskip("onnxruntime")

METHODS = ("predict", "predict_proba", "predict_log_proba", "transform")
N = 150
TOWNS = np.array(["Oslo", "Rome", "Lima"])[np.arange(N) * 7 % 3]
FRAME = pd.DataFrame(IRIS[:, :2], columns=["height", "weight"]).assign(
    town=TOWNS, floor=pd.Categorical(np.arange(N) // 3 % 4)
)
NAMED = np.array(["left", "right", -1, -1, -1] * (N // 5), dtype=object)
HEAD = "from sk_ssvae import Scorer; import numpy as np, pickle, sys\n"


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """Return a classifier of arrays, and its graph."""
    path = tmp_path_factory.mktemp("graphs") / "iris.onnx"
    clf = make_estimator().fit(IRIS, FEW)
    sk_ssvae.to_onnx(clf, path)
    return clf, path


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a classifier of a data frame with labels of text, and its graph."""
    path = tmp_path_factory.mktemp("graphs") / "towns.onnx"
    clf = small_classifier().fit(FRAME, NAMED)
    sk_ssvae.to_onnx(clf, path)
    return clf, path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ["iris", "town"])
def test_results_are_those_of_the_estimator(case, method, request, monkeypatch):
    monkeypatch.setattr(onnx_models, "CHUNK_ROWS", 40)
    clf, path = request.getfixturevalue(case)
    rows = IRIS if case == "iris" else FRAME
    expected, scorer = getattr(clf, method)(rows), Scorer(path, method)
    found = scorer(rows)
    assert found.dtype == expected.dtype == scorer.meta.dtype
    if method == "predict":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert scorer.meta.shape[1:] == found.shape[1:]
    empty = scorer(rows[:0])
    assert empty.shape == scorer.meta.shape
    assert scorer.output_names == Scorer(clf, method).output_names


def test_an_autoencoder_has_latent_means_only(tmp_path):
    vae = VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(IRIS)
    sk_ssvae.to_onnx(vae, tmp_path / "vae.onnx")
    scorer = Scorer(tmp_path / "vae.onnx", "transform")
    np.testing.assert_allclose(scorer(IRIS), vae.transform(IRIS), atol=1e-5)
    assert scorer.output_names == list(vae.get_feature_names_out())
    with pytest.raises(ValueError) as error:
        Scorer(tmp_path / "vae.onnx")
    assert str(error.value) == (
        "method must be one of ['transform'] for OnnxAutoencoder, got 'predict_proba'."
    )


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_every_kind(town, method):
    clf, path = town
    scorer = Scorer(path, method)
    frame = FRAME[["town", "weight", "floor", "height"]].assign(key=np.arange(N))
    frame["floor"] = frame["floor"].astype(int)
    expected = Scorer(clf, method).batch(frame)[scorer.output_names]
    for batch in (
        frame,
        pa.Table.from_pandas(frame),
        pa.RecordBatch.from_pandas(frame),
        {name: frame[name].to_numpy() for name in frame},
    ):
        (found,) = scorer.batches([batch])
        assert type(found) is type(batch)
        for name in scorer.output_names:
            if method == "predict":
                assert [str(v) for v in found[name]] == expected[name].tolist()
            else:
                values = np.array(found[name], dtype=np.float64)
                np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_blocks_of_dask(iris):
    da = pytest.importorskip("dask.array")
    clf, path = iris
    X = da.from_array(IRIS, chunks=(40, -1))
    found = Scorer(path).map_blocks(X)
    assert found.chunks == ((40, 40, 40, 30), (3,))
    np.testing.assert_allclose(found.compute(), clf.predict_proba(IRIS), atol=1e-5)


def test_missing_cells_and_unknown_categories(iris, town):
    X = IRIS.copy()
    X[3, 1] = np.nan
    found = Scorer(iris[1])(X)
    assert np.isnan(found[3]).all()
    assert not np.isnan(np.delete(found, 3, axis=0)).any()
    frame = FRAME.head(3).assign(town=["Oslo", "Bonn", None])
    assert np.isnan(Scorer(town[1])(frame)).any(axis=1).tolist() == [False, True, True]
    with pytest.raises(ValueError) as error:
        Scorer(iris[1], "predict")(X)
    assert str(error.value) == (
        "Row 3 of X has missing cells, over which a graph cannot average. Fill them "
        "first, for example by impute, or score with a file that save has written."
    )


def run(code, **environment):
    """Run Python code in a new process, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code],
        env=os.environ | environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_scorer_in_another_process_does_not_import_torch(iris, tmp_path):
    clf, path = iris
    (tmp_path / "scorer.pickle").write_bytes(pickle.dumps(Scorer(path)))
    assert (tmp_path / "scorer.pickle").stat().st_size < 500
    np.save(tmp_path / "rows.npy", IRIS)
    folder = str(tmp_path)
    code = (
        f"folder = {folder!r}\n"
        "scorer = pickle.load(open(folder + '/scorer.pickle', 'rb'))\n"
        "rows = np.load(folder + '/rows.npy')\n"
        "np.save(folder + '/proba.npy', scorer(rows))\n"
        f"assert Scorer({str(path)!r}, 'predict')(rows).shape == (150,)\n"
        "heavy = ('torch', 'skorch', 'sklearn', 'scipy', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert run(code) == "[]"
    proba = np.load(tmp_path / "proba.npy")
    np.testing.assert_array_equal(proba, Scorer(path)(IRIS))
    np.testing.assert_allclose(proba, clf.predict_proba(IRIS), atol=1e-5)


def test_a_process_loads_a_graph_once_for_all_threads(iris, monkeypatch):
    loads, load = [], onnx_models.load_graph
    monkeypatch.setattr(
        loaded_files, "load_graph", lambda p: loads.append(p) or load(p)
    )
    monkeypatch.setattr(loaded_files, "_loaded", type(loaded_files._loaded)())
    scorers = [Scorer(iris[1], method) for method in METHODS]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda scorer: scorer(IRIS), scorers * 3))
    assert loads == [os.path.realpath(iris[1])]
    for found, expected in zip(results, results[:4] * 3, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_gets_a_session_of_its_own(iris):
    code = (
        "import os\n"
        f"scorer = Scorer({str(iris[1])!r})\n"
        "rows = np.zeros((20000, 4))\n"
        "expected = scorer(rows)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if (scorer(rows) == expected).all() else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run(code, OMP_NUM_THREADS="2") == "0"


def test_a_forked_process_keeps_the_sessions_of_its_parent(iris, tmp_path):
    """Their end would wait for threads that it does not have."""
    code = (
        "import os\n"
        "from sk_ssvae.estimators import loaded_files\n"
        f"Scorer({str(iris[1])!r})(np.zeros((20000, 4)))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    loaded_files._loaded.clear()\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run(code, OMP_NUM_THREADS="2") == "0"


@pytest.mark.parametrize(
    ("limit", "n"),
    [("1", 1), ("2", 2), ("500", 3), ("", 3), ("2,1", 2), ("²", 3)],
)
def test_threads_are_the_cores_up_to_omp_num_threads(limit, n, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5}, raising=False)
    assert onnx_models._n_threads() == n


def message_of(call, kind=ValueError):
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def test_masked_cells_are_missing(iris):
    clf, path = iris
    masked = np.ma.masked_array(IRIS[:5], mask=np.zeros((5, 4), dtype=bool))
    masked[2, 1] = np.ma.masked
    proba = Scorer(path)(masked)
    assert np.isnan(proba[2]).all()
    np.testing.assert_allclose(
        np.delete(proba, 2, 0), np.delete(clf.predict_proba(masked), 2, 0), rtol=1e-4
    )


def test_frames_with_numbered_columns(iris):
    _, path = iris
    scorer = Scorer(path)
    np.testing.assert_array_equal(scorer(pd.DataFrame(IRIS)), scorer(IRIS))


def test_the_name_of_a_link_tells_that_it_is_a_graph(iris, tmp_path):
    _, path = iris
    stored = tmp_path / "0123abc"
    stored.write_bytes(path.read_bytes())
    link = tmp_path / "model.onnx"
    link.symlink_to(stored)
    np.testing.assert_array_equal(Scorer(link)(IRIS), Scorer(path)(IRIS))


def test_one_column_of_text(tmp_path):
    frame = FRAME[["town"]]
    clf = make_estimator().fit(frame, FEW)
    sk_ssvae.to_onnx(clf, tmp_path / "town.onnx")
    scorer = Scorer(tmp_path / "town.onnx")
    expected = clf.predict_proba(frame)
    np.testing.assert_allclose(scorer(frame), expected, rtol=1e-4)
    np.testing.assert_array_equal(scorer(frame.to_numpy()), scorer(frame))


def test_errors_of_rows(iris, town):
    _, path = iris
    scorer = Scorer(path)
    expected = "X has 3 features, but OnnxClassifier is expecting 4 features as input."
    assert message_of(lambda: scorer(IRIS[:, :3])) == expected
    assert message_of(lambda: scorer(IRIS[:0, :3])) == expected
    assert message_of(lambda: scorer(IRIS[0])) == (
        "Expected 2D array, got 1D array instead: X has the shape (4,). Reshape it to "
        "(n_samples, n_features)."
    )
    X = IRIS.copy()
    X[7, 0] = np.inf
    assert message_of(lambda: scorer(X)) == (
        "Input X contains infinity or a value too large for dtype('float64')."
    )
    assert message_of(lambda: scorer(1j * IRIS)) == (
        "Complex data not supported: use separate columns for the real and imaginary "
        "parts."
    )
    assert message_of(lambda: scorer(np.full((2, 4), "a", dtype=object))) == (
        "X must hold numbers in columns that are no categories (could not convert "
        "string to float: 'a')."
    )
    assert message_of(lambda: Scorer(town[1])(FRAME.drop(columns="town"))) == (
        "The batch lacks the columns ['town'], with which OnnxClassifier was fitted. "
        "Its columns are ['height', 'weight', 'floor']."
    )
    assert message_of(lambda: scorer.batch(FRAME)) == (
        "OnnxClassifier was fitted without feature names, so that the columns of a "
        "batch cannot be selected by name. Fit it on a data frame, or call the Scorer "
        "with an array of rows."
    )


def test_errors_of_files(iris, tmp_path, monkeypatch):
    _, path = iris
    assert message_of(lambda: Scorer(path, "score_samples")) == (
        "method must be one of ['predict', 'predict_proba', 'predict_log_proba', "
        "'transform'] for OnnxClassifier, got 'score_samples'."
    )
    assert message_of(lambda: Scorer(path, device="cpu")) == (
        "device='cpu' is for files that save has written; ONNX graphs are computed on "
        "the CPU. Leave it out."
    )
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(path.read_bytes()[:-2000])
    assert message_of(lambda: Scorer(damaged)) == (
        f"{damaged} is damaged, or no ONNX graph (InvalidProtobuf). Export the "
        "estimator again by sk_ssvae.to_onnx."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/none.onnx")):
        Scorer(tmp_path / "none.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(loaded_files, "_loaded", type(loaded_files._loaded)())
    assert message_of(lambda: Scorer(path), ImportError) == (
        "Scoring with an ONNX graph needs onnxruntime: pip install onnxruntime."
    )


def test_a_graph_of_another_program(iris, tmp_path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(iris[1])
    del graph.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(graph, path)
    assert message_of(lambda: Scorer(path)) == (
        f"{path} is an ONNX graph that sk_ssvae.to_onnx has not written. Compute it "
        "with onnxruntime, or export the estimator by sk_ssvae.to_onnx."
    )


def test_a_graph_that_is_replaced(iris, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    path.write_bytes(iris[1].read_bytes())
    scorer = Scorer(path)
    assert isinstance(scorer.estimator, OnnxClassifier)
    graph = onnx.load(path)
    graph.doc_string = "another model"
    onnx.save(graph, path)
    assert message_of(lambda: scorer(IRIS)) == (
        f"{path} has been replaced since this Scorer was created, and blocks would be "
        "scored by different models. Create a new Scorer."
    )
