"""The weight of virtual adversarial training and the length of its perturbations."""

import numpy as np
import pytest
import scipy.stats
from exact_m2 import PRIOR
from model_objects import make_spec
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import nn

from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training import ClassifierOptions, adversarial_radius
from sk_ssvae.training.adversarial_radius import (
    MIN_DIMENSION,
    class_margin,
    effective_dimension,
    median_kurtosis,
    resolve_adversarial,
)
from sk_ssvae.training.rows import Rows


def weight_and_radius(*args, **kwargs):
    """Return `resolve_adversarial` without the reason."""
    return resolve_adversarial(*args, **kwargs)[:2]


def clusters(n_columns, n_classes, n_rows=120, seed=0):
    rng = np.random.RandomState(seed)
    codes = rng.randint(n_classes, size=n_rows)
    mixing = np.eye(n_columns) + 0.1 * rng.randn(n_columns, n_columns)
    x = rng.randn(n_rows, n_columns) @ mixing
    return x + rng.randn(n_classes, n_columns)[codes], codes


@pytest.mark.parametrize("n_columns", [1, 5, 300])  # more columns than rows, too
@pytest.mark.parametrize("n_classes", [2, 4])
def test_margin_is_the_distance_to_the_nearest_boundary_of_centroids(
    n_columns, n_classes
):
    x, codes = clusters(n_columns, n_classes)
    centroids = NearestCentroid().fit(x, codes).centroids_
    margins = []
    for row in x:
        # A step of this length along the line through two centroids ends halfway.
        nearest = np.linalg.norm(centroids - row, axis=1).argmin()
        steps = []
        for k in set(range(n_classes)) - {nearest}:
            line = centroids[k] - centroids[nearest]
            halfway = (centroids[k] + centroids[nearest]) / 2
            steps.append((halfway - row) @ line / np.linalg.norm(line))
        margins.append(min(steps))
    assert class_margin(x, codes) == pytest.approx(np.median(margins))


def test_a_step_of_the_margin_changes_the_class_of_half_of_the_rows():
    """If there are two classes, which have one boundary."""
    x, codes = clusters(6, 2)
    model = NearestCentroid().fit(x, codes)
    line = model.centroids_[1] - model.centroids_[0]
    direction = np.array([1, -1])[model.predict(x)][:, None] * line
    for factor, expected in [(0.999, 0.5), (1.001, 0.5), (0.01, 0), (100, 1)]:
        step = factor * class_margin(x, codes) / np.linalg.norm(line)
        changed = model.predict(x + step * direction) != model.predict(x)
        assert changed.mean() == pytest.approx(expected, abs=0.02)


def test_margin_has_the_units_of_the_rows_and_no_preferred_directions():
    x, codes = clusters(6, 3)
    margin = class_margin(x, codes)
    rotation = np.linalg.qr(np.random.RandomState(1).randn(6, 6))[0]
    assert class_margin(7 * x @ rotation + 2, codes + 5) == pytest.approx(7 * margin)


@pytest.mark.filterwarnings("error")
def test_margin_of_degenerate_rows():
    codes = np.array([0, 0, 1, 1, 2])
    assert class_margin(np.zeros((5, 8)), codes) == 0
    corners = np.eye(3)[codes]  # without variance within classes
    for scale in (1.0, 1e-9, 1e9):
        margin = class_margin(scale * corners, codes)
        assert margin == pytest.approx(scale / np.sqrt(2))


@pytest.mark.parametrize("shape", [(50, 4), (5, 40)])
def test_effective_dimension_is_the_participation_ratio(shape):
    x = np.random.RandomState(0).randn(*shape) * np.arange(1, shape[1] + 1) + 3
    variances = np.linalg.eigvalsh(np.corrcoef(x.T))
    expected = variances.sum() ** 2 / (variances**2).sum()
    assert effective_dimension(x) == pytest.approx(expected)
    with_constant = np.column_stack([x, np.full(len(x), 0.1)])
    assert effective_dimension(with_constant) == pytest.approx(expected)


def test_effective_dimension_of_simple_rows():
    assert effective_dimension(np.vstack([np.eye(7), -np.eye(7)])) == pytest.approx(7)
    line = np.outer(np.arange(5.0), np.arange(1, 9.0))
    assert effective_dimension(line + 3) == pytest.approx(1)
    assert effective_dimension(np.ones((4, 3))) == 0
    assert effective_dimension(np.ones((4, 0))) == 0


def adversarial_case(n_columns=100, **options):
    """Return the resolved weight and radius, and the radius that "auto" stands for."""
    x, classes = clusters(n_columns, 3)
    codes = np.where(np.arange(len(x)) < 20, classes, -1)
    rows = Rows(x.astype(np.float32), codes, soft_targets=np.eye(3)[classes] * 0.9)
    model = M2Module(n_columns, PRIOR, 1, (), "gaussian", 3)
    settings = {"weight": "auto", "radius": "auto"} | options
    found = weight_and_radius(**settings, model=model, rows=rows)
    return found, class_margin(x.astype(np.float32).astype(float), classes)


def test_weight_and_radius_are_chosen_by_the_rows():
    found, radius = adversarial_case()
    assert found == (1.0, pytest.approx(radius))
    found, radius = adversarial_case(weight=2)
    assert found == (2.0, pytest.approx(radius))
    assert adversarial_case(radius=3)[0] == (1.0, 3.0)
    assert adversarial_case(weight=0.5, radius=3)[0] == (0.5, 3.0)
    assert adversarial_case(weight=0)[0][0] == 0


def test_few_effective_dimensions_turn_off_only_the_automatic_weight():
    assert adversarial_case(n_columns=4)[0] == (0.0, 1.0)
    found, radius = adversarial_case(n_columns=4, weight=1.0)
    assert found == (1.0, pytest.approx(radius))
    assert MIN_DIMENSION > 4


def test_the_radius_has_the_unit_of_the_inputs():
    x, classes = clusters(100, 3)
    x = x.astype(np.float32)
    scale = np.linspace(0.5, 2, 100)
    groups = (ColumnGroup("gaussian", np.arange(100)),)
    layout = Layout(groups, np.zeros(100), input_scale=scale)
    model = M2Module(100, PRIOR, 1, (), layout, 3)
    rows = Rows(x, np.full(120, -1), soft_targets=np.eye(3)[classes])
    found = weight_and_radius("auto", "auto", model, rows)
    radius = class_margin(x * scale, classes)
    assert found == (1.0, pytest.approx(radius, rel=1e-5))


def test_kurtosis_is_the_fourth_standardised_moment():
    x = np.random.RandomState(0).exponential(size=(50, 7)) * np.geomspace(1, 1e9, 7)
    expected = np.median(scipy.stats.kurtosis(x, axis=0, fisher=False))
    assert median_kurtosis(x) == pytest.approx(expected)
    with_constants = np.c_[x, np.full((50, 9), 5.0)]
    assert median_kurtosis(with_constants) == pytest.approx(expected)
    gaps = np.random.RandomState(1).rand(*x.shape) < 0.7
    gaps[:2] = False
    observed = np.where(gaps, np.nan, x)
    expected = np.median(
        scipy.stats.kurtosis(observed, fisher=False, nan_policy="omit")
    )
    assert median_kurtosis(observed) == pytest.approx(expected)
    assert median_kurtosis(np.full((5, 2), 5.0)) == 0
    assert median_kurtosis(np.full((5, 2), np.nan)) == 0
    assert median_kurtosis(np.empty((0, 3))) == 0
    for n_ones in (1, 5, 20):
        p = n_ones / 100
        x = np.arange(100)[:, None] < n_ones
        expected = (1 - 3 * p * (1 - p)) / (p * (1 - p))
        assert median_kurtosis(x.astype(float)) == pytest.approx(expected)


def test_heavy_tails_turn_off_only_the_automatic_weight():
    x, classes = clusters(100, 3)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)

    def resolved(x, **options):
        settings = {"weight": "auto", "radius": "auto"} | options
        rows = Rows(
            x.astype(np.float32),
            np.full(len(x), -1),
            soft_targets=np.eye(3)[classes],
        )
        return resolve_adversarial(model=model, rows=rows, **settings)

    rng = np.random.RandomState(0)
    tails = np.where(rng.rand(*x.shape) < 0.03, x + 10, 0.1 * x)
    value = median_kurtosis(tails.astype(np.float32).astype(float))
    reason = f"the columns have a median kurtosis of {value:.1f}, more than 13"
    assert resolved(tails) == (0.0, 1.0, reason)
    assert resolved(tails, radius=2.0) == (0.0, 2.0, reason)
    assert resolved(tails, weight=1.0).weight == 1
    half = np.hstack([tails[:, :49], x[:, 49:]])  # the median decides
    assert resolved(half).weight == 1


def test_rows_without_targets_labels_or_movable_columns():
    x, classes = clusters(100, 3)
    x = x.astype(np.float32)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    few = np.where(np.arange(len(x)) < 60, classes, -1)
    without_teacher = Rows(x, few)
    assert weight_and_radius("auto", "auto", model, without_teacher)[0] == 0
    found = weight_and_radius(1.0, "auto", model, without_teacher)
    radius = class_margin(x[:60].astype(float), classes[:60])
    assert found == (1.0, pytest.approx(radius))
    # Rows that the teacher has no probabilities for do not count.
    silent = Rows(x, few, soft_targets=np.zeros((len(x), 3)))
    assert weight_and_radius(1.0, "auto", model, silent) == found
    for codes in (np.zeros(len(x), int), np.full(len(x), -1)):
        assert weight_and_radius(1.0, "auto", model, Rows(x, codes)) == (0.0, 1.0)
    # Each class with a single label
    y = np.full(len(x), -1)
    y[:3], x[:3] = [0, 1, 2], np.eye(3, 100)
    found = weight_and_radius(1.0, "auto", model, Rows(x, y))
    assert found == (1.0, pytest.approx(1 / np.sqrt(2)))
    model.inputs.movable.zero_()
    assert weight_and_radius(1.0, "auto", model, without_teacher) == (0.0, 1.0)
    assert weight_and_radius(1.0, 2.0, model, without_teacher) == (1.0, 2.0)


@pytest.mark.filterwarnings("error")
def test_rows_without_any_class_turn_off_the_automatic_weight():
    """Neither a label nor a probability of the teacher is known."""
    x = clusters(100, 3)[0].astype(np.float32)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    unknown = Rows(x, np.full(len(x), -1), soft_targets=np.zeros((len(x), 3)))
    assert weight_and_radius("auto", "auto", model, unknown) == (0.0, 1.0)


def test_missing_cells_are_means_in_the_margin():
    x, classes = clusters(100, 3)
    x = x.astype(np.float32)
    filled = x.copy()
    filled[::4, 2] = np.delete(x[:, 2], np.s_[::4]).mean()
    x[::4, 2] = np.nan
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    found, expected = (
        weight_and_radius(1.0, "auto", model, Rows(a, classes)) for a in (x, filled)
    )
    assert found == (1.0, pytest.approx(expected[1]))


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_MARGIN_ROWS", 30), ("MAX_MARGIN_CELLS", 3000)]
)
def test_many_rows_are_sampled_evenly(monkeypatch, limit, value):
    monkeypatch.setattr(adversarial_radius, limit, value)
    x, classes = clusters(100, 3)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    found = weight_and_radius(1.0, "auto", model, Rows(x, classes))
    radius = class_margin(x[::4], classes[::4])
    assert found == (1.0, pytest.approx(radius))


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_a_taught_classifier_is_trained_with_perturbations_by_default(quick, model):
    X, classes = clusters(100, 3)
    y = np.where(np.arange(len(X)) < 20, classes, -1)
    teacher = LogisticRegression()
    spec = make_spec(model, inner_size=4, pretrain_epochs=2)
    clf = quick(model=spec, teacher=SelfTrainingClassifier(teacher))
    assert clf.fit(X, y).history_[-1]["adversarial"] > 0
    assert clf.net_.objective.adversarial_weight == 1
    options = ClassifierOptions(adversarial_weight=0.0)
    off = clone(clf).set_params(options=options).fit(X, y)
    assert off.history_[-1]["adversarial"] == 0
    assert (
        clone(clf).set_params(teacher=None).fit(X, y).history_[-1]["adversarial"] == 0
    )
    own = clone(clf).set_params(classifier_module=nn.Linear)
    assert own.fit(X, y).history_[-1]["adversarial"] == 0


def test_sparse_rows_are_perturbed(quick):
    X, classes = clusters(100, 3)
    X[np.abs(X) < 0.5] = 0
    y = np.where(np.arange(len(X)) < 20, classes, -1)
    teacher = SelfTrainingClassifier(LogisticRegression())
    clf = quick(teacher=teacher, likelihood="gaussian")
    sparse = clf.fit(csr_array(X), y).net_.objective
    dense = clone(clf).fit(X, y).net_.objective
    assert sparse.adversarial_weight == dense.adversarial_weight == 1
    # They are scaled without centring, which does not change distances.
    assert sparse.adversarial_radius == pytest.approx(dense.adversarial_radius)


def test_the_radius_is_that_of_rows_as_often_as_their_weight():
    x, classes = clusters(100, 3)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    weight = np.tile([1.0, 3.0], 60)
    repeated = np.repeat(np.arange(120), weight.astype(int))
    weighted = Rows(x, classes, weight=weight)
    expected = []
    for n in (120, 240):  # of the weighted rows there are at most 120
        order = repeated[:: 240 // n]
        expected.append(
            weight_and_radius(1.0, "auto", model, Rows(x[order], classes[order]))[1]
        )
    found = weight_and_radius(1.0, "auto", model, weighted)[1]
    assert found == pytest.approx(expected[0], rel=0.02)
    assert found == pytest.approx(expected[1], rel=0.15)


def test_extreme_rows_of_negligible_weight_have_no_effect():
    x, classes = clusters(100, 3)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)
    plain = weight_and_radius("auto", "auto", model, taught(x, classes))
    for value in (1e5, 1e30):
        rows = x.copy()
        rows[50, :3] = value
        weight = np.ones(len(x))
        weight[50] = 1e-12
        found = weight_and_radius("auto", "auto", model, taught(rows, classes, weight))
        assert found == (1.0, pytest.approx(plain[1], rel=0.05))


def taught(x, classes, weight=None):
    few = np.where(np.arange(len(x)) < 20, classes, -1)
    return Rows(x, few, soft_targets=np.eye(3)[classes], weight=weight)


def test_the_margin_is_less_than_the_spread_of_the_rows():
    """Also if the means of the classes are almost equal."""
    x = np.random.RandomState(0).randn(400, 30)
    classes = (np.arange(400) % 20 == 0).astype(int)
    x -= np.stack([x[classes == k].mean(0) for k in (0, 1)])[classes]
    x[classes == 1] += 1e-9 * np.eye(30)[0]
    assert 0 < class_margin(x, classes) < np.sqrt(x.var(0).sum())


def test_models_of_the_user_are_not_perturbed_by_default():
    """Their q(y | x) need not be differentiable in x."""

    class OwnModule(M2Module):
        pass

    x, classes = clusters(100, 3)
    rows = taught(x, classes)
    own = OwnModule(100, PRIOR, 1, (), "gaussian", 3)
    assert weight_and_radius("auto", "auto", own, rows)[0] == 0
    assert weight_and_radius(1.0, "auto", own, rows)[0] == 1


def test_the_reason_for_the_weight_is_stated():
    """Of the effective dimension, and of what made training without perturbations."""
    x, classes = clusters(100, 3)
    model = M2Module(100, PRIOR, 1, (), "gaussian", 3)

    def reason(weight="auto", radius="auto", rows=None, model=model):
        rows = taught(x, classes) if rows is None else rows
        return resolve_adversarial(weight, radius, model, rows).reason

    dimension = f"{effective_dimension(x.astype(np.float32).astype(float)):.1f}"
    has_dimensions = f"the columns have {dimension} effective dimensions"
    assert reason() == reason(radius=1.0) == has_dimensions
    assert reason(weight=1.0) == reason(weight=0.0) == ""
    assert reason(rows=Rows(x, classes)) == "there are no soft targets"
    one_class = Rows(x, np.zeros(len(x), int))
    assert reason(1.0, rows=one_class) == "there is no boundary between classes"
    x, classes = clusters(4, 3)
    model = M2Module(4, PRIOR, 1, (), "gaussian", 3)
    assert reason(model=model).endswith("effective dimensions, fewer than 17")


def test_indicators_beside_measurements_have_no_dimensions():
    """They count if all columns have two values, and in the radius in any case."""
    rng = np.random.RandomState(0)
    classes = rng.randint(2, size=200)
    indicators = (rng.rand(200, 60) < 0.3) * 2.0 - 0.5
    indicators[:, 0] = classes
    measurements = rng.randn(200, 5) + classes[:, None]

    def resolved(x, weight="auto"):
        model = M2Module(x.shape[1], (0.5, 0.5), 1, (), "gaussian", 3)
        few = np.where(np.arange(200) < 20, classes, -1)
        rows = Rows(x, few, soft_targets=np.eye(2)[classes])
        return resolve_adversarial(weight, "auto", model, rows)

    assert resolved(indicators).weight == 1
    both = np.hstack([indicators, measurements])
    choice = resolved(both)
    dimension = effective_dimension(measurements.astype(np.float32).astype(float))
    assert choice.weight == 0
    assert choice.reason == (
        f"the columns have {dimension:.1f} effective dimensions, fewer than 17"
    )
    margin = class_margin(both.astype(np.float32).astype(float), classes)
    assert resolved(both, weight=1.0).radius == pytest.approx(margin)
    wide = np.hstack([indicators, rng.randn(200, 40)])
    assert resolved(wide).weight == 1
