"""Scorers return what the estimator's method returns, wherever they are sent."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from mixed_rows import N_TOWNS, TOWN_LABELS, small_classifier, towns
from saved_estimators import CASES, FEW, IRIS, Network, assert_identical, make_estimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_ssvae
from sk_ssvae import Scorer, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.estimators import loaded_files
from sk_ssvae.estimators.row_methods import METHODS

NAMED = np.array(["left", "right", -1, -1] * (N_TOWNS // 4), dtype=object)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def iris(folder):
    """Return a classifier of arrays, and its file."""
    clf = make_estimator().fit(IRIS, FEW)
    clf.save(folder / "iris.ssvae")
    return clf, folder / "iris.ssvae"


@pytest.fixture(scope="module")
def town(folder):
    """Return a classifier of a data frame with labels of text, and its file."""
    clf = small_classifier().fit(towns(), NAMED)
    clf.save(folder / "towns.ssvae")
    return clf, folder / "towns.ssvae"


@pytest.fixture
def loads(monkeypatch):
    """Return the list of the paths that are loaded from now on."""
    paths, load = [], loaded_files.load

    def recorded(path, **parameters):
        paths.append(path)
        return load(path, **parameters)

    monkeypatch.setattr(loaded_files, "load", recorded)
    monkeypatch.setattr(loaded_files, "_loaded", type(loaded_files._loaded)())
    return paths


def message_of(error, call, *args, **kwargs):
    """Return the message of the error that a call raises."""
    with pytest.raises(error) as raised:
        call(*args, **kwargs)
    return str(raised.value)


# Results


@pytest.mark.parametrize(
    "case",
    [
        *("m1+m2", "polars", "sparse counts", "estimated prior", "missing labels"),
        *("array of objects", "autoencoder"),
    ],
)
def test_blocks_have_the_results_of_the_method(case, tmp_path):
    estimator, X, y = CASES[case]()
    estimator.fit(X, y)
    estimator.save(tmp_path / "model.ssvae")
    for method in METHODS:
        if not hasattr(estimator, method):
            continue
        for model in (estimator, tmp_path / "model.ssvae"):
            scorer = Scorer(model, method)
            for block in (X[:1], X[1:27]):
                result = scorer(block)
                assert type(result) is np.ndarray
                assert_identical(result, getattr(estimator, method)(block))
                assert result.dtype == scorer.meta.dtype
                assert result.shape[1:] == scorer.meta.shape[1:]
            assert scorer.n_outputs == (result.shape[1] if result.ndim == 2 else 1)
            assert len(scorer.output_names) == scorer.n_outputs
            empty = scorer(X[:0])
            assert_identical(empty, result[:0])
            assert scorer.meta.shape[0] == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_results_of_chunks_are_those_of_all_rows(iris, method):
    clf, path = iris
    scorer = Scorer(path, method)
    parts = np.concatenate([scorer(part) for part in np.array_split(IRIS, 7)])
    whole = getattr(clf, method)(IRIS)
    assert parts.dtype == whole.dtype
    # The rounding of matrix products depends on their shape.
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_a_pipeline_is_scored_as_a_whole():
    X = pd.DataFrame(IRIS, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), make_estimator()).fit(X, FEW)
    for method in METHODS:
        scorer = pickle.loads(pickle.dumps(Scorer(pipeline, method)))
        assert_identical(scorer(X), getattr(pipeline, method)(X))
        assert_identical(scorer(X[:0]), scorer(X)[:0])
        batch = scorer.batch({name: X[name].to_numpy() for name in "dcba"})
        columns = np.stack([batch[name] for name in scorer.output_names])
        assert_identical(columns.T.squeeze(), scorer(X))


def test_frames_of_transform_become_arrays(town):
    clf = pickle.loads(pickle.dumps(town[0])).set_output(transform="pandas")
    assert isinstance(clf.transform(towns()), pd.DataFrame)
    assert_identical(Scorer(clf, "transform")(towns()), town[0].transform(towns()))


def test_output_names():
    clf, vae = make_estimator(), make_estimator(VariationalAutoencoder)
    y = np.where(FEW == -1, -1, FEW + 10)
    clf.fit(IRIS, y)
    vae.fit(IRIS)
    names = {method: Scorer(clf, method).output_names for method in METHODS}
    assert names == {
        "predict": ["prediction"],
        "predict_proba": ["proba_10", "proba_11", "proba_12"],
        "predict_log_proba": ["log_proba_10", "log_proba_11", "log_proba_12"],
        "transform": ["ssvaeclassifier0", "ssvaeclassifier1"],
        "score_samples": ["score_samples"],
    }
    assert Scorer(vae, "transform").output_names == list(vae.get_feature_names_out())


# Batches


def batches_of(X):
    """Return a frame with another column in batches of each kind."""
    frame = X[["town", "weight", "height"]].assign(key=np.arange(100, 100 + len(X)))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "dict": {name: frame[name].to_numpy() for name in frame},
        "pandas": frame.set_index(np.arange(len(X))[::-1]),
        "polars": pl.from_pandas(frame),
        "table": table,
        "record batch": table.combine_chunks().to_batches()[0],
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "table", "record batch"])
def test_batches_get_the_results_as_columns(town, kind, method):
    clf, path = town
    scorer = Scorer(path, method)
    batch = batches_of(towns())[kind]
    out = scorer.batch(batch)
    assert type(out) is type(batch)
    expected = getattr(clf, method)(towns()).reshape(N_TOWNS, -1)
    for name, values in zip(scorer.output_names, expected.T, strict=True):
        assert np.asarray(out[name]).tolist() == values.tolist()
        if expected.dtype == np.float32:
            column = np.asarray(out[name].to_numpy() if kind != "dict" else out[name])
            assert column.dtype == np.float32
    assert np.asarray(out["key"]).tolist() == list(range(100, 100 + N_TOWNS))
    if kind == "pandas":
        assert out.index.equals(batch.index)
    empty = {k: v[:0] for k, v in batch.items()} if kind == "dict" else batch[:0]
    assert column_types(scorer.batch(empty)) == column_types(out)


def column_types(batch):
    """Return the type of each column of a batch."""
    if hasattr(batch, "schema"):
        return (
            dict(zip(batch.schema.names, batch.schema.types, strict=True))
            if (isinstance(batch, pa.Table | pa.RecordBatch))
            else dict(batch.schema)
        )
    return {name: values.dtype for name, values in batch.items()}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_dicts_are_scored_as_frames_of_the_library_of_fit(library):
    X = towns()
    rows = {"pandas": X, "polars": pl.from_pandas(X), "pyarrow": pa.table(dict(X))}
    clf = small_classifier().fit(rows[library], TOWN_LABELS)
    out = Scorer(clf).batch({name: X[name].to_numpy() for name in X})
    assert_identical(
        np.stack([out["proba_0"], out["proba_1"]], axis=1),
        clf.predict_proba(rows[library]),
    )


def test_an_iterator_of_batches_is_scored_one_by_one(town):
    frame = towns()
    read = []

    def batches():
        for start in (0, 15, 15, 30):
            read.append(start)
            yield frame[start : start + 15]

    scorer = Scorer(town[1])
    out = scorer.batches(batches())
    assert read == []
    pd.testing.assert_frame_equal(next(out), scorer.batch(frame[:15]))
    assert read == [0]
    assert [len(batch) for batch in out] == [15, 15, 10]
    table = pa.Table.from_pandas(frame)
    scored = list(scorer.batches(table.to_batches(max_chunksize=16)))
    assert [batch.num_rows for batch in scored] == [16, 16, 8]
    proba = pa.Table.from_batches(scored).select(scorer.output_names).to_pandas()
    parts = [town[0].predict_proba(frame[i : i + 16]) for i in (0, 16, 32)]
    assert_identical(proba.to_numpy(), np.concatenate(parts))


# Processes and threads


def test_a_scorer_of_a_file_is_pickled_without_the_model(iris):
    clf, path = iris
    small, large = pickle.dumps(Scorer(path)), pickle.dumps(Scorer(clf))
    assert len(small) < 300 + len(str(path))
    assert len(large) > path.stat().st_size / 2
    for text in (small, large):
        assert_identical(pickle.loads(text)(IRIS), clf.predict_proba(IRIS))


def test_a_file_is_loaded_once_for_all_scorers_and_threads(iris, loads, monkeypatch):
    clf, path = iris
    text = pickle.dumps(Scorer(path))
    monkeypatch.chdir(path.parent)
    assert loads == [str(path)]
    loaded_files._loaded.clear()
    expected = clf.predict_proba(IRIS[:50])
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda i: pickle.loads(text)(IRIS[:50]), range(32))
    assert all(np.array_equal(result, expected) for result in results)
    (path.parent / "link").symlink_to(path)
    Scorer(path.name, "transform")(IRIS)
    Scorer(path.parent / "link", "predict")(IRIS)
    assert loads == [str(path)] * 2
    Scorer(path, device="cpu")
    assert len(loads) == 3


def test_the_estimators_used_last_are_kept(iris, loads, tmp_path, monkeypatch):
    path = iris[1]
    monkeypatch.setattr(loaded_files, "MAX_FILES", 2)
    paths = [tmp_path / name for name in "abc"]
    for p in paths:
        p.write_bytes(path.read_bytes())
    a, b, c = [str(p) for p in paths]
    for name in (a, b, a, c, a, b):
        Scorer(name)
    assert loads == [a, b, c, b]


@pytest.mark.slow
def test_a_process_without_the_model_loads_it_from_the_file(iris, tmp_path):
    clf, path = iris
    np.save(tmp_path / "X.npy", IRIS)
    (tmp_path / "scorer").write_bytes(pickle.dumps(Scorer(path)))
    program = (
        "import pickle, numpy as np\n"
        "scorer = pickle.load(open('scorer', 'rb'))\n"
        "np.save('proba.npy', scorer(np.load('X.npy')))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(sk_ssvae.__file__).parents[1])}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True
    )
    assert_identical(np.load(tmp_path / "proba.npy"), clf.predict_proba(IRIS))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("holds_lock", [False, True])
def test_a_forked_process_uses_the_model_of_its_parent(iris, loads, holds_lock):
    clf, path = iris
    scorer = Scorer(path)
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)

    def child():
        sender.send((scorer(IRIS), list(loads)))

    process = fork.Process(target=child)
    if holds_lock:
        with ThreadPoolExecutor(1) as pool, loaded_files._LOCK.taken():
            pool.submit(process.start).result()
    else:
        process.start()
    try:
        assert receiver.poll(60)
        result, paths = receiver.recv()
    finally:
        process.kill()
        process.join()
    assert_identical(result, clf.predict_proba(IRIS))
    assert paths == [str(path)]


# Replaced, missing and damaged files


def test_a_replaced_file_is_loaded_again_by_new_scorers_only(tmp_path):
    path = tmp_path / "model.ssvae"
    old, new = (make_estimator(random_state=seed).fit(IRIS, FEW) for seed in (0, 1))
    old.save(path)
    before = Scorer(path)
    assert_identical(before(IRIS), old.predict_proba(IRIS))
    old.save(path)  # the same contents
    assert_identical(before(IRIS), old.predict_proba(IRIS))
    new.save(path)
    assert_identical(Scorer(path)(IRIS), new.predict_proba(IRIS))
    expected = (
        f"{path} has been replaced since this Scorer was created, and blocks would be "
        "scored by different models. Create a new Scorer."
    )
    for call in (before, before.batch, pickle.loads(pickle.dumps(before))):
        assert message_of(ValueError, call, IRIS) == expected
    old.save(path)
    assert_identical(before(IRIS), old.predict_proba(IRIS))


def test_a_file_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    path = tmp_path / "model.ssvae"
    old, new = (make_estimator(random_state=seed).fit(IRIS, FEW) for seed in (0, 1))
    old.save(path)
    load = loaded_files.load

    def slow_load(*args, **kwargs):
        estimator = load(*args, **kwargs)
        new.save(path)
        return estimator

    monkeypatch.setattr(loaded_files, "load", slow_load)
    assert_identical(Scorer(path)(IRIS), new.predict_proba(IRIS))


@pytest.mark.parametrize("name", ["golden_1_0.ssvae", "golden_2_0.ssvae"])
def test_files_of_every_format_are_scored(name):
    path = Path(__file__).parents[1] / "files" / name
    loaded = sk_ssvae.load(path)
    X, _ = loaded.sample(5)
    scorer = pickle.loads(pickle.dumps(Scorer(path)))
    assert_identical(scorer(X), loaded.predict_proba(X))


def test_a_missing_file(iris, tmp_path):
    path = tmp_path / "model.ssvae"
    expected = (
        "[Errno 2] No such file. Every process that uses a Scorer must be able to read "
        f"the file of its model: {str(path)!r}"
    )
    assert message_of(FileNotFoundError, Scorer, path) == expected
    path.write_bytes(iris[1].read_bytes())
    scorer = Scorer(path)
    scorer(IRIS)
    path.unlink()
    assert message_of(FileNotFoundError, scorer, IRIS) == expected


def test_a_damaged_file(iris, tmp_path):
    path = tmp_path / "model.ssvae"
    path.write_bytes(iris[1].read_bytes())
    scorer = Scorer(path)
    content = bytearray(iris[1].read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    expected = (
        f"{path} is damaged: its contents do not match its checksum. Copy it again "
        "from an intact source."
    )
    for call in (lambda: Scorer(path), lambda: scorer(IRIS), lambda: scorer.meta):
        assert message_of(ValueError, call) == expected


def test_a_file_with_user_supplied_networks_needs_the_estimator(tmp_path):
    path = tmp_path / "model.ssvae"
    clf = make_estimator(classifier_module=Network).fit(IRIS, FEW)
    clf.save(path)
    assert message_of(ValueError, Scorer, path) == (
        f"{path} was saved with a user-supplied network as classifier_module, and a "
        "file holds no code. Pass it: sk_ssvae.load(path, classifier_module=...)."
    )
    loaded = sk_ssvae.load(path, classifier_module=Network)
    scorer = pickle.loads(pickle.dumps(Scorer(loaded)))
    assert_identical(scorer(IRIS), clf.predict_proba(IRIS))


# Invalid arguments


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        ("predict", VariationalAutoencoder),
        ("decision_function", VariationalAutoencoder),
        (None, VariationalAutoencoder),
        ("fit", SSVAEClassifier),
        (["predict"], SSVAEClassifier),
    ],
)
def test_an_invalid_method(method, estimator):
    y = None if estimator is VariationalAutoencoder else FEW
    model = make_estimator(estimator).fit(IRIS, y)
    methods = [
        *("predict", "predict_proba", "predict_log_proba", "transform", "score_samples")
    ]
    if y is None:
        methods = methods[3:]
    assert message_of(ValueError, Scorer, model, method) == (
        f"method must be one of {methods} for {estimator.__name__}, got {method!r}."
    )


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        SSVAEClassifier,
        None,
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SSVAEClassifier(), "passthrough"),
    ],
)
def test_a_model_of_another_kind(model):
    assert message_of(TypeError, Scorer, model) == (
        "model must be the path of a file that save or to_onnx has written, a fitted "
        "SSVAEClassifier or VariationalAutoencoder, or a pipeline that ends in one, "
        f"got {model!r}."
    )


def test_a_model_that_is_not_fitted():
    for model in (
        SSVAEClassifier(),
        make_pipeline(StandardScaler(), SSVAEClassifier()),
    ):
        assert message_of(NotFittedError, Scorer, model) == (
            f"This {type(model).__name__} instance is not fitted yet. Call 'fit' with "
            "appropriate arguments before using this estimator."
        )


def test_a_device_for_an_estimator(iris):
    assert message_of(ValueError, Scorer, iris[0], device="cpu") == (
        "device='cpu' is for files; the estimator is on 'cpu' already. Leave it out."
    )


def test_blocks_with_other_columns(iris, town):
    scorer = Scorer(iris[1])
    for block in (IRIS[:5, :3], IRIS[:0, :3]):
        assert message_of(ValueError, scorer, block) == (
            "X has 3 features, but SSVAEClassifier is expecting 4 features as input."
        )
    scorer = Scorer(town[1])
    assert message_of(ValueError, scorer, towns()[["weight", "height", "town"]]) == (
        "The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order as they were in fit.\n"
    )
    batch = towns().drop(columns=["weight"])
    for n_rows in (5, 0):
        assert message_of(ValueError, scorer.batch, batch[:n_rows]) == (
            "The batch lacks the columns ['weight'], with which SSVAEClassifier was "
            "fitted. Its columns are ['height', 'town']."
        )


def test_blocks_with_other_dtypes(iris, town):
    words = np.array([["a", "1", "2", "3"]] * 4, dtype=object)
    assert message_of(ValueError, Scorer(iris[1]), words) == (
        "X has 'a' of type str in row 0, column 0. Arrays must hold numbers, except in "
        "columns named in categorical_features. Name the column there, pass a data "
        "frame, or convert the value (argument must be a string or a number)."
    )
    dates = towns().assign(weight=pd.Timestamp("2020-01-01"))
    expected = message_of(TypeError, town[0].predict, dates)
    assert "'weight'" in expected
    scorer = Scorer(town[1])
    assert message_of(TypeError, scorer.batch, dates) == expected
    assert message_of(TypeError, scorer, dates) == expected


def test_a_batch_for_an_estimator_without_feature_names(iris):
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    assert message_of(ValueError, Scorer(iris[1]).batch, frame) == (
        "SSVAEClassifier was fitted without feature names, so that the columns of a "
        "batch cannot be selected by name. Fit it on a data frame, or call the Scorer "
        "with an array of rows."
    )


def test_a_batch_with_columns_of_the_names_of_the_results(town):
    scorer = Scorer(town[1])
    for batch in batches_of(towns()).values():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scored = scorer.batch(batch)
        assert message_of(ValueError, scorer.batch, scored) == (
            "The batch already has columns of the names ['proba_left', 'proba_right'], "
            "which method='predict_proba' would add. Rename or drop them."
        )


def test_only_dask_arrays_have_blocks(iris):
    assert message_of(TypeError, Scorer(iris[1]).map_blocks, IRIS) == (
        "X must be a Dask array, got an object of type ndarray. Call the Scorer with "
        "rows in memory. For Dask data frames, use X.map_partitions(scorer.batch, "
        "meta=scorer.batch(X._meta))."
    )


def test_repr(iris, town):
    assert repr(Scorer(iris[1], "predict")) == f"Scorer({str(iris[1])!r}, 'predict')"
    assert repr(Scorer(iris[0])) == f"Scorer({iris[0]!r}, 'predict_proba')"
