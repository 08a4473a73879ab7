"""The accuracy panel: splits, the choice of columns, and what the report counts."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.accuracy import many_rows, panel_data, panel_report, views
from benchmarks.accuracy.ablations import CachedPool, make_variant
from benchmarks.accuracy.imbalanced import IMBALANCED, Imbalance, without_most_of_half
from benchmarks.accuracy.panel_arrays import Panel, better_columns
from benchmarks.accuracy.panel_data import Split, split
from benchmarks.accuracy.panel_methods import FROM_SPLIT, METHODS, run_method
from benchmarks.accuracy.panel_results import Cell, update
from sk_ssvae import OpinionPoolClassifier


def cells(method, values, labels=5, dataset="digits", scheme="per_class"):
    """Return results of a method with one held-out accuracy for each seed."""
    return {
        Cell(scheme, 5000, dataset, labels, seed, method): {
            "held_out": value,
            "transductive": value / 2,
            "fit": 1.0,
            "predict": 0.0,
        }
        for seed, value in enumerate(values)
    }


def test_each_setting_has_the_better_of_standardised_columns_and_columns_as_they_are():
    results = (
        cells("lr", [0.5, 0.9])  # mean 0.70
        | cells("lr_raw", [0.8, 0.7])  # mean 0.75
        | cells("lr", [0.6, 0.6], labels=20)
        | cells("lr_raw", [0.9, 0.2], labels=20)
        | cells("ours", [0.4, 0.4])
    )
    chosen, raw = better_columns(results)
    assert raw == {"lr": {("digits", 5): True, ("digits", 20): False}}
    expected = cells("lr", [0.8, 0.7]) | cells("lr", [0.6, 0.6], labels=20)
    assert chosen == expected | cells("ours", [0.4, 0.4])


@pytest.mark.parametrize("n_seeds", [0, 1, 3])
def test_columns_with_other_seeds_are_not_compared(n_seeds):
    results = cells("lr", [0.5, 0.5]) | cells("lr_raw", [1.0] * n_seeds)
    chosen, raw = better_columns(results)
    assert chosen == cells("lr", [0.5, 0.5])
    assert raw == {}


def test_a_method_that_failed_on_one_kind_of_columns_has_the_other():
    failed = {Cell("per_class", 5000, "digits", 5, 0, "lr"): {"error": "no"}}
    chosen, _ = better_columns(failed | cells("lr_raw", [0.1]))
    assert chosen == cells("lr", [0.1])


def test_the_report_counts_settings_below_the_best_simple_method(tmp_path, capsys):
    results = {}
    for labels, ours, lr, lr_raw, majority in (
        (5, 0.80, 0.81, 0.85, 0.1),  # 5 below the better columns
        (10, 0.80, 0.70, 0.70, 0.82),  # 2 below the majority
        (20, 0.80, 0.70, 0.75, 0.1),
    ):
        for name, value in (
            ("ours", ours),
            ("lr", lr),
            ("lr_raw", lr_raw),
            ("majority", majority),
        ):
            for scheme in ("random", "imbalanced"):
                results |= cells(name, [value], labels, scheme=scheme)
    path = tmp_path / "panel.json"
    update(path, lambda content: content.update(results))
    panel_report.main([str(path), "--images", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("2 of 3 settings, 1 of them by more than 3 points") == 2
    row = "| digits | 5 | **-5.0** | LogisticRegression, labelled rows, columns as they"
    assert printed.count(row) == 2
    assert printed.count("| digits | 10 | -2.0 | majority class |") == 2
    last = printed.split("## No embarrassment")[1]
    for title in ("Labels drawn at random", "Labels by class, imbalanced classes"):
        assert f"| {title}, at most 5,000 rows | 3 | 2 | 1 | -5.0 (digits, 5" in last


def test_methods_without_results_of_the_classifier_are_reported(tmp_path, capsys):
    path = tmp_path / "panel.json"
    results = cells("lr", [0.5], scheme="imbalanced", dataset="optdigits_80_20")
    update(path, lambda content: content.update(results))
    panel_report.main([str(path), "--images", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "## Labels by class, imbalanced classes, at most 5,000 rows" in printed
    assert "Below the best" not in printed
    assert "No embarrassment" not in printed


def test_ranks_are_of_methods_that_do_not_use_true_labels():
    results = {}
    for name in ("ours", "lr", "gl_laplace", "gl_poisson_mbo", "oracle", "majority"):
        results |= cells(name, [0.5])
    assert Panel(results, "per_class", 5000).ranked == ["ours", "lr", "gl_laplace"]


@pytest.mark.parametrize("majority", [90, 80, 70])
@pytest.mark.parametrize("two_classes", [False, True])
def test_half_of_the_classes_has_the_share_in_the_name(majority, two_classes):
    y = np.random.RandomState(0).permutation(np.repeat(np.arange(5), 200))
    X = np.column_stack([y, np.arange(1000)])
    X_kept, y_kept = without_most_of_half(X, y, Imbalance("", majority, two_classes))
    first = X_kept[:, 0] < 2
    assert first.sum() == 400
    assert abs((~first).sum() - 400 * (100 - majority) / majority) <= 0.5
    assert (np.diff(X_kept[:, 1]) > 0).all()
    np.testing.assert_array_equal(y_kept, ~first if two_classes else X_kept[:, 0])
    assert y_kept.dtype == np.int64
    if not two_classes:
        sizes = np.bincount(y_kept)[2:]
        assert np.ptp(sizes) <= 1


def test_imbalanced_sets_have_a_scheme_of_their_own():
    assert IMBALANCED["satimage_halves_70_30"] == Imbalance("satimage", 70, True)
    for name, scheme in (("optdigits_80_20", "per_class"), ("digits", "imbalanced")):
        message = (
            f"The set {name!r} has no scheme {scheme!r}: the sets of the scheme "
            "'imbalanced' are those in IMBALANCED, and these have no other scheme."
        )
        with pytest.raises(ValueError) as error:
            split(name, 5, 0, scheme)
        assert str(error.value) == message


def test_odd_seeds_exchange_two_imbalanced_classes(monkeypatch):
    """Row i is of class i % 2, so that rows show which class they had."""
    X, y = np.arange(400.0)[:, None], np.arange(400) % 2
    monkeypatch.setattr(panel_data, "prepared", lambda name, rows: (X, y))
    for seed in range(4):
        for name in ("satimage_halves_70_30", "satimage_70_30"):
            parts = split(name, 5, seed, "imbalanced")
            exchanged = seed % 2 and "halves" in name
            for rows, codes in (
                (parts.X_train, parts.y_train),
                (parts.X_test, parts.y_test),
            ):
                np.testing.assert_array_equal(codes, (rows[:, 0] + exchanged) % 2)
            labelled = parts.y_few >= 0
            assert np.bincount(parts.y_few[labelled]).tolist() == [5, 5]
            assert (parts.y_few == parts.y_train)[labelled].all()


def test_rows_are_in_their_own_units_and_the_scaler_sees_training_rows_only():
    parts = split("digits", 5, 0)
    rows = np.concatenate([parts.X_train, parts.X_test])
    assert (rows.min(), rows.max()) == (0, 16)
    scaled = parts.standardised()
    varying = parts.X_train.std(axis=0) > 0
    np.testing.assert_allclose(scaled.X_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.X_train.std(axis=0)[varying], 1, rtol=1e-4)
    center = parts.X_train.mean(axis=0)
    scale = np.where(varying, parts.X_train.std(axis=0), 1)
    expected = (parts.X_test - center) / scale
    np.testing.assert_allclose(scaled.X_test, expected, rtol=1e-3, atol=1e-4)
    for name in ("y_few", "y_train", "y_test"):
        assert getattr(scaled, name) is getattr(parts, name)


@pytest.fixture
def two_groups():
    """Return a split of two groups of rows, in columns of very different scales."""
    random = np.random.RandomState(0)
    y = np.tile([0, 1], 100)
    X = np.column_stack([y + 0.1 * random.randn(200), 1000 * random.randn(200)])
    few = np.full(140, -1)
    few[:8] = y[:8]
    X = X.astype(np.float32)
    return Split(X[:140], few, y[:140], X[140:], y[140:])


def accuracy(name, parts):
    predictions = run_method(name, parts, seed=0)
    return (predictions.predicted == parts.y_test).mean()


def test_methods_see_the_columns_that_their_names_say(two_groups):
    assert accuracy("knn7", two_groups) > 0.9
    assert accuracy("knn7_raw", two_groups) < 0.7


def test_every_method_on_columns_as_they_are_is_also_on_standardised_ones():
    names = {*METHODS, *FROM_SPLIT}
    raw = {name for name in names if name.endswith("_raw")}
    assert len(raw) == 10
    assert {name.removesuffix("_raw") for name in raw} <= names


@pytest.mark.parametrize("name", ["gl_laplace", "gl_poisson", "gl_poisson_mbo"])
def test_graph_learning_labels_training_and_held_out_rows(name, two_groups):
    pytest.importorskip("graphlearning")
    predictions = run_method(name, two_groups, seed=0)
    assert (predictions.transduction == two_groups.y_train).mean() > 0.9
    assert (predictions.predicted == two_groups.y_test).mean() > 0.9


def test_views_are_compared_with_the_better_label_spreading():
    results = {}
    for seed, pool in enumerate([90.0, 92.0, 0.0]):
        key = f"digits / 5 / {seed} / "
        found = {"pool": pool, "forest": pool - 2, "ranks": pool + 1}
        results[key + "pool"] = {k: {"held_out": v} for k, v in found.items()}
        for name, value in zip(views.SPREADING, (80.0 + seed, 85.0), strict=True):
            results[key + name] = {name: {"held_out": value}}
    del results["digits / 5 / 2 / spreading, raw"]  # a split that is not complete
    settings = views.means(results, "held_out")
    assert list(settings) == [("digits", 5)]
    assert settings["digits", 5]["pool"] == 91
    assert views.compare(settings["digits", 5]) == ("ranks", -1.0, 6.0)


def test_a_view_alone_is_the_pool_of_this_view(two_groups):
    names = ["min-max", "logistic", "linear-generative", "whitened"]
    found = views.pool_and_views(two_groups, 0, names)
    assert list(found) == ["pool", *names]
    for name in names[:-1]:  # the last depends on the others
        alone = OpinionPoolClassifier(views=[name], random_state=0)
        alone.fit(two_groups.X_train, two_groups.y_few)
        predicted = alone.predict(two_groups.X_test)
        assert found[name] == views.score(two_groups, alone.transduction_, predicted)


def test_the_pool_alone_is_the_teacher_of_the_default(two_groups, monkeypatch):
    n_fits = []
    fit = OpinionPoolClassifier.fit

    def counted(self, X, y):
        n_fits.append(1)
        return fit(self, X, y)

    monkeypatch.setattr(OpinionPoolClassifier, "fit", counted)
    monkeypatch.setattr(CachedPool, "_last", {})
    X, y = two_groups.X_train, two_groups.y_few
    make_variant("default", 3).set_params(max_epochs=1).fit(X, y)
    alone = make_variant("pool alone", 3).fit(X, y)
    assert len(n_fits) == 1
    assert hasattr(alone, "transduction_")
    make_variant("pool alone", 4).fit(X, y)
    assert len(n_fits) == 2
    make_variant("default", 3).set_params(max_epochs=1).fit(X, y)
    assert len(n_fits) == 2
    # A pool with other constants is another pool; that of "standardised inputs" is not.
    for n in (3, 3):
        make_variant("pool, standardised", 4).fit(X, y)
        assert len(n_fits) == n
    variant = make_variant("standardised inputs", 3)
    variant.estimator.set_params(max_epochs=1)
    variant.fit(X, y)
    assert len(n_fits) == 3


def test_the_best_other_method_with_many_rows_is_told_nothing(tmp_path, capsys):
    held_out = {
        "default": 0.8,
        "pool alone": 0.75,
        "rf": 0.6,
        "lr": 0.3,
        "lr_raw": 0.7,
        "gl_poisson_mbo": 0.9,
    }
    found = {
        Cell("per_class", None, "usps", 20, 0, method): {"held_out": value}
        for method, value in held_out.items()
    }
    for scheme, labels in (("random", 20), ("per_class", 5)):  # other panels
        found[Cell(scheme, None, "usps", labels, 0, "rf")] = {"held_out": 1.0}
    path = tmp_path / "many_rows.json"
    update(path, lambda results: results.update(found))
    many_rows.main([str(path)])
    printed = capsys.readouterr().out
    assert "| usps | 80.0 | 75.0 | 60.0 | 70.0 | 90.0 | +10.0 | 1 |" in printed
    assert "| default minus teacher | +5.00 |" in printed
    assert "| default minus the best other method | +10.00 |" in printed
