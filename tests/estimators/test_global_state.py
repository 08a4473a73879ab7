"""Global settings of torch, types of numbers, and teachers do not change the model."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading


def fit_and_call(clf, X, y):
    """Fit in two ways, and return the results of methods."""
    clf.fit(X, y).partial_fit(X, y)
    return [
        clf.predict_proba(X),
        clf.transform(X),
        clf.score_samples(X),
        clf.sample(5)[0],
        clf.inverse_transform(clf.transform(X)),
    ]


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture
def set_default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_the_default_dtype_of_torch_has_no_effect(
    quick, iris, set_default_dtype, dtype
):
    X, y, _ = iris
    expected = fit_and_call(quick(), X, y)
    set_default_dtype(dtype)
    assert_equal(expected, fit_and_call(quick(), X, y))


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
def test_context_managers_of_torch_have_no_effect(quick, iris, context):
    X, y, _ = iris
    expected = fit_and_call(quick(device="cpu"), X, y)
    with context():
        assert_equal(expected, fit_and_call(quick(device="cpu"), X, y))


def test_parameters_may_be_small_numpy_numbers(quick, iris):
    """Arithmetic with them would overflow: 100 epochs of 100 rows exceed int8."""
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
    assert_equal([plain.fit(X, y).predict_proba(X)], [small.fit(X, y).predict_proba(X)])


def test_teachers_that_modify_their_rows_get_a_copy(quick, iris):
    X, y, _ = iris
    X_before, y_before = X.copy(), y.copy()
    spreading = LabelSpreading(kernel="knn", max_iter=500)
    in_place = make_pipeline(StandardScaler(copy=False), spreading)
    copying = make_pipeline(StandardScaler(), spreading)
    a, b = quick(teacher=in_place).fit(X, y), quick(teacher=copying).fit(X, y)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    assert_equal([a.predict_proba(X)], [b.predict_proba(X)])


def test_errors_of_a_teacher_have_a_note_that_names_it(quick, iris):
    X, y, _ = iris

    class Broken(LabelSpreading):
        def fit(self, X, y):
            raise RuntimeError("the kernel failed")

    with pytest.raises(RuntimeError, match="the kernel failed") as error:
        quick(teacher=Broken()).fit(X, y)
    assert error.value.__notes__ == ["This was raised by the teacher Broken()."]


def test_one_label_for_each_of_many_classes_issues_no_warning(quick):
    X = np.random.RandomState(0).randn(300, 4)
    y = np.concatenate([np.arange(22), np.full(278, -1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(X, y)
        quick().fit(X, y.astype(float))


@pytest.mark.parametrize("factor", [1e-300, 1e-46, 1e14, 1e300])
def test_a_common_factor_of_sample_weights_has_no_effect(quick, iris, factor):
    X, y, _ = iris
    X = np.column_stack([X, np.full(150, 0.3)])
    weight = np.random.RandomState(0).rand(150)
    plain = quick().fit(X, y, sample_weight=weight)
    scaled = quick().fit(X, y, sample_weight=weight * factor)
    np.testing.assert_allclose(
        plain.predict_proba(X), scaled.predict_proba(X), atol=1e-5
    )
    score = plain.score(X, y, sample_weight=weight)
    assert plain.score(X, y, sample_weight=weight * factor) == pytest.approx(score)
