"""Whatever surrounds the caller, however parameters are spelt: the same model."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback, Checkpoint, TrainEndCheckpoint

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.utils.estimator import SITE
from sk_ssvae.utils.random import Stream, stream_seed


def answers(clf, X, y):
    clf.fit(X, y).partial_fit(X, y)
    return [
        clf.predict_proba(X),
        clf.transform(X),
        clf.score_samples(X),
        clf.sample(5)[0],
        clf.inverse_transform(clf.transform(X)),
    ]


@pytest.fixture
def default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_default_dtype(quick, iris, default_dtype, dtype):
    X, y, _ = iris
    expected = answers(quick(), X, y)
    default_dtype(dtype)
    same(expected, answers(quick(), X, y))


@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.device("meta"),
        torch.inference_mode,
        torch.no_grad,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["device", "inference_mode", "no_grad", "autocast"],
)
def test_inside_another_mode(quick, iris, context):
    X, y, _ = iris
    expected = answers(quick(device="cpu"), X, y)
    with context():
        same(expected, answers(quick(device="cpu"), X, y))


def test_numbers_of_numpy(quick, iris):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    plain = quick(teacher=teacher, batch_size=100, max_epochs=100)
    small = quick(
        teacher=teacher,
        batch_size=np.uint8(100),
        max_epochs=np.int8(100),
        latent_size=np.int16(2),
        hidden_sizes=np.array([16]),
        alpha=np.float32(30),
    )
    same([plain.fit(X, y).predict_proba(X)], [small.fit(X, y).predict_proba(X)])


def test_a_teacher_that_works_in_place(quick, iris):
    X, y, _ = iris
    X_before, y_before = X.copy(), y.copy()
    spreading = LabelSpreading(kernel="knn", max_iter=500)
    in_place = make_pipeline(StandardScaler(copy=False), spreading)
    clean = make_pipeline(StandardScaler(), spreading)
    a, b = quick(teacher=in_place).fit(X, y), quick(teacher=clean).fit(X, y)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    same([a.predict_proba(X)], [b.predict_proba(X)])


def test_the_trust_in_a_guess_arrives(quick, iris):
    X, y, _ = iris
    seen = []

    class Record(Callback):
        def on_train_begin(self, net, X=None, **kwargs):
            seen.append(X)

    teacher = LabelSpreading(kernel="knn", max_iter=500)
    quick(teacher=teacher, callbacks=[Record()]).fit(X, y)
    guess = teacher.fit(X, y).label_distributions_[y == -1]
    entropy = -(guess * np.log(np.where(guess > 0, guess, 1))).sum(1)
    (rows,) = seen
    n = rows.n_labelled
    certain = np.sqrt(1 - entropy / np.log(3))
    assert certain.std() > 0
    np.testing.assert_allclose(rows.soft_targets, certain[:, None] * guess, atol=1e-5)
    np.testing.assert_allclose(rows.target_weight[n:], 1 / len(guess), rtol=1e-5)


@pytest.mark.parametrize("teacher", [LogisticRegression, KMeans(3), StandardScaler()])
def test_what_cannot_teach(quick, iris, teacher):
    X, y, _ = iris
    with pytest.raises((TypeError, ValueError)) as error:
        quick(teacher=teacher).fit(X, y)
    assert "teacher" in str(error.value)
    assert str(getattr(teacher, "__name__", teacher)) in str(error.value)


def test_errors_of_a_teacher_name_it(quick, iris):
    X, y, _ = iris

    class Broken(LabelSpreading):
        def fit(self, X, y):
            raise RuntimeError("no chalk")

    with pytest.raises(RuntimeError, match="no chalk") as error:
        quick(teacher=Broken()).fit(X, y)
    assert error.value.__notes__ == ["This was raised by the teacher Broken()."]


def test_checkpoints_that_pickle_the_net(quick, iris, tmp_path):
    X, y, _ = iris
    callbacks = [
        Checkpoint(monitor="train_loss_best", f_pickle="net.pkl", dirname=tmp_path),
        TrainEndCheckpoint(f_pickle="end.pkl", dirname=tmp_path),
    ]
    clf = quick(validation_fraction=0.1, callbacks=callbacks).fit(X, y)
    (path,) = tmp_path.glob("*end.pkl")
    net = pickle.loads(path.read_bytes())
    rows = clf._columns.encode(X)
    np.testing.assert_allclose(net.predict_proba(rows), clf.predict_proba(X), rtol=1e-5)
    assert net.train_split is None
    names = [name for name, _ in net.callbacks_]
    assert "sklearn_tasks" not in names
    assert "Checkpoint" in names


@pytest.mark.parametrize("entry", [3, "x", print, None, (1, Callback()), ("a",)])
def test_what_is_no_callback(quick, iris, entry):
    X, y, _ = iris
    clf = quick(callbacks=[entry])
    with pytest.raises(TypeError) as error:
        clf.fit(X, y)
    assert str(error.value) == (
        "callbacks must hold skorch callbacks, or pairs of a name and a callback, but "
        f"holds {entry!r}. Pass scikit-learn's callbacks to set_callbacks."
    )
    assert not hasattr(clf, "net_")


def test_few_labels_of_many_classes_warn_of_nothing(quick):
    X = np.random.RandomState(0).randn(300, 4)
    y = np.concatenate([np.arange(22), np.full(278, -1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(X, y)
        quick().fit(X, y.astype(float))


@pytest.mark.parametrize("size", [1e-300, 1e-46, 1e14, 1e300])
def test_only_ratios_of_weights_matter(quick, iris, size):
    X, y, _ = iris
    X = np.column_stack([X, np.full(150, 0.3)])
    weight = np.random.RandomState(0).rand(150)
    plain = quick().fit(X, y, sample_weight=weight)
    sized = quick().fit(X, y, sample_weight=weight * size)
    np.testing.assert_allclose(
        plain.predict_proba(X), sized.predict_proba(X), atol=1e-5
    )
    score = plain.score(X, y, sample_weight=weight)
    assert plain.score(X, y, sample_weight=weight * size) == pytest.approx(score)


def test_one_row_that_weighs(quick, iris):
    X, y, _ = iris
    weight = np.zeros(150)
    weight[0] = 1
    message = (
        "^SSVAEClassifier needs at least 2 rows with a positive sample_weight, got 1 "
        "of 150.$"
    )
    with pytest.raises(ValueError, match=message):
        quick().partial_fit(X, y, classes=[0, 1, 2], sample_weight=weight)


def test_score_refuses_labels_of_another_kind(quick, iris):
    X, y, truth = iris
    clf = quick().fit(X, y)
    with pytest.raises(ValueError) as error:
        clf.score(X, truth.astype(str))
    assert str(error.value) == (
        "y has labels such as '0', but the classes are [0, 1, 2]."
    )
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        clf.score(X, truth, sample_weight=np.full(150, -1.0))


def test_streams_have_seeds_of_their_own():
    seeds = [
        stream_seed(seed, stream, step)
        for seed in range(3)
        for stream in Stream
        for step in range(200)
    ]
    assert len(set(seeds)) == len(seeds)


def test_the_posterior_of_z_has_bounded_scales(quick, iris):
    X, y, _ = iris
    model = quick().fit(X, y).module_
    x = torch.from_numpy(X.astype(np.float32))[:, None]
    with torch.no_grad():
        raw = model.encoder(x, model.classes).chunk(2, -1)[1]
        log_scale = model.posterior_z(x, model.classes).log_scale
        torch.testing.assert_close(log_scale, 5 * torch.tanh(raw / 5))
        huge = model.posterior_z(x * 1e6, model.classes).log_scale
    assert huge.abs().max() <= 5


@pytest.mark.parametrize(
    "estimator", [SSVAEClassifier(), VariationalAutoencoder(), OpinionPoolClassifier()]
)
def test_pictures_in_notebooks_link_to_the_reference(estimator):
    page = f"{SITE}/api/generated/sk_ssvae.{type(estimator).__name__}.html"
    assert f'href="{page}"' in estimator._repr_html_()
    assert f'href="{page}"' in make_pipeline(StandardScaler(), estimator)._repr_html_()

    class Elsewhere(type(estimator)):
        pass

    Elsewhere.__module__ = "elsewhere"
    assert SITE not in Elsewhere()._repr_html_()
