"""Scorers of Dask arrays, of Dask data frames, and on a cluster of two workers."""

import numpy as np
import pytest
from mixed_rows import small_classifier, towns
from saved_estimators import FEW, IRIS, assert_identical, make_estimator

from sk_ssvae import Scorer
from sk_ssvae.estimators.row_methods import METHODS

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

CHUNKS = (40, 50, 0, 60)
NAMED = np.array(["left", "right", -1, -1] * 10, dtype=object)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def iris(folder):
    """Return the file of a classifier of arrays."""
    make_estimator().fit(IRIS, FEW).save(folder / "iris.ssvae")
    return folder / "iris.ssvae"


@pytest.fixture(scope="module")
def town(folder):
    """Return the file of a classifier of a data frame with labels of text."""
    small_classifier().fit(towns(), NAMED).save(folder / "towns.ssvae")
    return folder / "towns.ssvae"


@pytest.fixture(params=["synchronous", "threads"])
def scheduler(request):
    with dask.config.set(scheduler=request.param):
        yield


def in_blocks(scorer):
    """Return the results for the blocks of the iris data set."""
    return np.concatenate([scorer(x) for x in np.split(IRIS, np.cumsum(CHUNKS)[:-1])])


@pytest.mark.parametrize("method", METHODS)
def test_arrays_are_scored_block_by_block(iris, scheduler, method):
    scorer = Scorer(iris, method)
    X = da.from_array(IRIS, chunks=(CHUNKS, 4))
    result, expected = scorer.map_blocks(X), in_blocks(scorer)
    assert result.chunks[0] == CHUNKS
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert type(result._meta) is np.ndarray
    assert_identical(result.compute(), expected)
    # The blocks have the shapes that their array states.
    assert_identical(result[45:130].compute(), expected[45:130])
    assert_identical(result.blocks[1].compute(), expected[40:90])


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_unknown_sizes(iris, scheduler, method):
    scorer = Scorer(iris, method)
    X = da.from_array(IRIS, chunks=(CHUNKS, 4))
    X = X[X[:, 0] > 5.5]
    result = scorer.map_blocks(X)
    assert np.isnan(result.shape[0])
    assert result.shape[1:] == scorer.meta.shape[1:]
    parts = np.split(IRIS, np.cumsum(CHUNKS)[:-1])
    expected = [scorer(part[part[:, 0] > 5.5]) for part in parts]
    assert_identical(result.compute(), np.concatenate(expected))


def test_nothing_is_computed_before_it_is_asked_for(iris):
    def read(block):
        raise AssertionError("a block was read")

    X = da.from_array(IRIS, chunks=(50, 4)).map_blocks(read, dtype=float)
    result = Scorer(iris).map_blocks(X)
    with pytest.raises(AssertionError, match="a block was read"):
        result.compute()


def test_map_blocks_of_dask_takes_a_scorer(iris, scheduler):
    X = da.from_array(IRIS, chunks=(CHUNKS, 4))
    for method in ("predict_proba", "score_samples"):
        scorer = Scorer(iris, method)
        if scorer.meta.ndim == 1:
            result = X.map_blocks(scorer, drop_axis=1, meta=scorer.meta)
        else:
            chunks = (X.chunks[0], (scorer.n_outputs,))
            result = X.map_blocks(scorer, chunks=chunks, meta=scorer.meta)
        assert_identical(result.compute(), scorer.map_blocks(X).compute())


@pytest.mark.parametrize("method", METHODS)
def test_data_frames_are_scored_by_partitions(town, scheduler, method):
    frame = towns()
    X = dd.from_pandas(frame, npartitions=3)
    scorer = Scorer(town, method)
    out = X.map_partitions(scorer.batch, meta=scorer.batch(X._meta))
    assert list(out.columns) == [*frame, *scorer.output_names]
    got = out.compute()
    assert got.dtypes.equals(out.dtypes)
    parts = [scorer.batch(X.partitions[i].compute()) for i in range(3)]
    for name in scorer.output_names:
        values = [value for part in parts for value in part[name]]
        assert got[name].tolist() == values
    assert got.index.equals(frame.index)
    array = X.map_partitions(scorer, meta=scorer.meta)
    assert array.ndim == scorer.meta.ndim
    columns = got[scorer.output_names].to_numpy()
    assert array.compute().tolist() == columns.reshape(array.compute().shape).tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: da.from_array(IRIS, chunks=(50, (1, 3))),
            "X is chunked along columns, into chunks of (1, 3). A block must have all "
            "columns: X.rechunk({1: -1}).",
        ),
        (
            lambda: da.from_array(IRIS[:, :3], chunks=50),
            "X has 3 features, but SSVAEClassifier is expecting 4 features as input.",
        ),
        (
            lambda: da.from_array(IRIS[0], chunks=2),
            "Expected a Dask array of two dimensions, got one of 1.",
        ),
    ],
)
def test_arrays_of_other_shapes_are_refused(iris, make, message):
    with pytest.raises(ValueError) as error:
        Scorer(iris).map_blocks(make())
    assert str(error.value) == message


def test_a_data_frame_is_refused_by_map_blocks(town):
    with pytest.raises(TypeError) as error:
        Scorer(town).map_blocks(dd.from_pandas(towns(), npartitions=2))
    assert str(error.value) == (
        "X must be a Dask array, got an object of type DataFrame. Call the Scorer with "
        "rows in memory. For Dask data frames, use X.map_partitions(scorer.batch, "
        "meta=scorer.batch(X._meta))."
    )


def test_each_worker_of_a_cluster_loads_the_file_once(iris):
    def count_loads():
        from sk_ssvae.estimators import loaded_files

        load, paths = loaded_files.load, []

        def counted(path, **parameters):
            paths.append(path)
            return load(path, **parameters)

        loaded_files.load, loaded_files.paths = counted, paths

    def loaded_paths():
        from sk_ssvae.estimators import loaded_files

        return loaded_files.paths

    scorer = Scorer(iris)
    X = da.from_array(np.tile(IRIS, (20, 1)), chunks=(150, 4))
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(count_loads)
        result = scorer.map_blocks(X).compute()
        again = scorer.map_blocks(X[:450]).compute()
        paths = client.run(loaded_paths).values()
    assert_identical(result, np.tile(scorer(IRIS), (20, 1)))
    assert_identical(again, result[:450])
    assert all(found in ([], [str(iris)]) for found in paths)
    assert any(paths)
