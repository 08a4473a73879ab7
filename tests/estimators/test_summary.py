"""The summary of a fit, and the time of a fit."""

import pickle
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docstrings import documented_names
from format_1_files import FOLDER, OLD_FILES
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback
from summaries import SUMMARY

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.estimators.summary import FitSummary
from sk_ssvae.models import M1M2
from sk_ssvae.training import ClassifierOptions

FILES = Path(__file__).parents[1] / "files"
SPREADING = LabelSpreading(kernel="knn", n_neighbors=7)


def test_the_text():
    assert str(SUMMARY) == repr(SUMMARY)
    assert str(SUMMARY).splitlines() == [
        "SSVAEClassifier (m2)",
        "rows            150, 15 with labels",
        "columns         4, 1 of them constant, in several units",
        "likelihood      gaussian: 2 (p, q); poisson: 6",
        "class prior     the mean of labels and soft targets",
        "  class      labels  share  predicted  prior",
        "  a              10  0.667      0.550  0.600",
        "  long name       5  0.333      0.450  0.400",
        "teacher         OpinionPoolClassifier",
        "  view    weight  log-loss",
        "  forest    0.70      0.10",
        "  svm       0.30      1.25",
        "temperature     1.6: chosen on other data sets",
        "adversarial     1",
        "radius          0.81",
        "epochs          20 of 30, 25 in all",
        "loss, bound     12.5000, -3.2500",
        "held-out bound  -4.0000",
        "fit time        8.0 s on cpu",
        "warning         " + " ".join("x" * 32),
        "                " + " ".join("x" * 18) + " end",
    ]


def test_the_text_of_many_classes_and_views_and_of_one_likelihood():
    n = 13
    summary = replace(
        SUMMARY,
        n_constant=0,
        shares_unit=True,
        likelihood={"gaussian": [0, 1, 2, 3]},
        label_counts={i: i + 1 for i in range(n)},
        class_prior=dict.fromkeys(range(n), 1 / n),
        view_weights={f"view {i}": 0.125 for i in range(8)},
        view_log_loss={},
        n_iter=20,
        choices={},
        adversarial_weight=None,
        adversarial_radius=None,
        validation_bound=None,
        warnings=[],
    )
    assert str(summary).splitlines()[1:] == [
        "rows            150, 91 with labels",
        "columns         4, in one unit",
        "likelihood      gaussian",
        "classes         13, with 1 to 13 labels each",
        "teacher         OpinionPoolClassifier",
        "  view    weight",
        *[f"  view {i}    0.12" for i in range(5)],
        "  and 3 more",
        "temperature     1.6",
        "adversarial     0",
        "epochs          20 of 30",
        "loss, bound     12.5000, -3.2500",
        "fit time        8.0 s on cpu",
    ]


def test_every_field_is_documented_and_in_the_dict():
    names = [field.name for field in fields(FitSummary)]
    assert documented_names(FitSummary, "Attributes") == set(names)
    assert [*SUMMARY.to_dict()] == names
    assert FitSummary(**SUMMARY.to_dict()) == SUMMARY


def test_the_values_of_a_taught_classifier(quick, iris):
    X, y, _ = iris
    X = np.column_stack([X, np.ones(150)])
    y = np.array(["a", "b", "c"], dtype=object)[y]
    _, few, _ = iris
    y[few < 0] = -1
    weight = np.ones(150)
    weight[:10] = 0.0
    pool = OpinionPoolClassifier(views=["columns", "whitened", "forest"])
    options = ClassifierOptions(adversarial_weight=0.5, adversarial_radius=0.1)
    clf = quick(
        teacher=make_pipeline(MinMaxScaler(), pool),
        validation_fraction=0.1,
        options=options,
    )
    clf.fit(X, y, sample_weight=weight)
    summary = clf.summary()
    used = weight > 0
    labels = y[used & (few >= 0)]
    counts = {c: int(np.sum(labels == c)) for c in "abc"}
    assert counts["a"] < 5
    assert summary.label_counts == counts
    assert (summary.n_samples, summary.n_features, summary.n_constant) == (140, 5, 1)
    assert summary.likelihood == {"gaussian": [0, 1, 2, 3, 4]}
    assert summary.shares_unit is False
    assert summary.teacher == "OpinionPoolClassifier"
    assert [*summary.view_weights] == sorted(
        ("columns", "whitened", "forest"), key=lambda v: -summary.view_weights[v]
    )
    text = clf.choices_["teacher"]
    for name, value in summary.view_weights.items():
        assert f"{name} {value:.2f}" in text.partition(";")[0]
        assert f"{name} {summary.view_log_loss[name]:.2f}" in text.partition(";")[2]
    unlabeled = clf.label_distributions_[used & (few < 0)].mean(axis=0)
    assert [*summary.unlabeled_shares.values()] == pytest.approx(unlabeled)
    assert [*summary.class_prior.values()] == clf.class_prior_.tolist()
    expected = np.array([*counts.values()]) / sum(counts.values())
    assert [*summary.labeled_shares.values()] == pytest.approx(expected)
    assert [*summary.class_prior] == [*summary.labeled_shares] == ["a", "b", "c"]
    assert summary.temperature == clf.temperature_ == 1.6
    assert (summary.n_epochs, summary.max_epochs, summary.n_iter) == (4, 4, 4)
    assert (summary.adversarial_weight, summary.adversarial_radius) == (0.5, 0.1)
    assert summary.loss == clf.history_[-1]["train_loss"]
    assert summary.bound == clf.history_[-1]["bound"]
    assert summary.validation_bound == clf.validation_bound_
    assert summary.fit_time == clf.fit_time_ > 0
    assert summary.device == str(clf.device_)
    assert summary.choices == clf.choices_
    assert summary.warnings == []
    summary.choices.clear()
    summary.view_weights.clear()
    assert clf.choices_
    assert clf.summary().view_weights


def test_the_values_of_other_teachers(quick, iris):
    X, y, _ = iris
    named = make_pipeline(MinMaxScaler(), SPREADING)
    for teacher, name in ((None, None), (SPREADING, "LabelSpreading"), (named, None)):
        summary = quick(teacher=teacher).fit(X, y).summary()
        assert summary.teacher == ("LabelSpreading" if teacher is named else name)
        assert summary.view_weights == summary.view_log_loss == {}
    # A pool that the prior is estimated with is no teacher.
    assert quick(class_prior="estimate").fit(X, y).summary().teacher is None
    _, _, truth = iris
    full = quick(teacher=SPREADING).fit(X, truth).summary()
    assert full.teacher is None  # there is nothing to teach
    assert full.unlabeled_shares is None
    assert "predicted" not in str(full)
    assert full.label_counts == {0: 50, 1: 50, 2: 50}


def test_columns_of_several_kinds_and_units(quick):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 30)), columns=[f"g{i}" for i in range(30)])
    y = np.where(np.arange(60) < 10, np.arange(60) % 2, -1)
    assert quick(max_epochs=1).fit(X, y).summary().shares_unit is True
    X *= 10.0 ** np.arange(30)
    X["colour"] = pd.Categorical(rng.choice(["red", "green"], 60))
    summary = quick(max_epochs=1).fit(X, y).summary()
    assert summary.shares_unit is False
    assert summary.likelihood["categorical"] == ["colour"]
    assert summary.likelihood["gaussian"] == [f"g{i}" for i in range(30)]
    assert "likelihood      gaussian: 30; categorical: 1 (colour)" in str(summary)
    binary = (X[["g0", "g1"]] > 0).astype(float)
    assert quick(max_epochs=1).fit(binary, y).summary().shares_unit is None


def test_an_autoencoder_has_no_classes(iris):
    X, _, _ = iris
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=2, random_state=0)
    summary = vae.fit(X).summary()
    assert (summary.estimator, summary.model) == ("VariationalAutoencoder", None)
    assert (summary.n_samples, summary.n_epochs, summary.max_epochs) == (150, 2, 2)
    for name in ("label_counts", "class_prior", "labeled_shares", "unlabeled_shares"):
        assert getattr(summary, name) is None
    assert summary.teacher is summary.temperature is summary.adversarial_weight is None
    assert summary.choices == {}
    assert str(summary).startswith("VariationalAutoencoder\n")
    names = [line.partition("  ")[0] for line in str(summary).splitlines()]
    assert names[1:] == [
        *("rows", "columns", "likelihood", "epochs", "loss, bound", "fit time")
    ]


def test_a_loaded_estimator_has_the_same_summary(quick, iris, tmp_path):
    X, y, _ = iris
    model = M1M2(inner_size=3, pretrain_epochs=2)
    teacher = OpinionPoolClassifier(views=["columns", "whitened"])
    clf = quick(model=model, teacher=teacher).fit(X, y)
    with pytest.warns(UserWarning, match="cannot hold"):
        clf.save(tmp_path / "clf")
    loaded = sk_ssvae.load(tmp_path / "clf")
    assert loaded.fit_time_ == clf.fit_time_
    assert loaded.summary() == clf.summary()
    assert str(loaded.summary()) == str(clf.summary())
    assert pickle.loads(pickle.dumps(clf)).summary() == clf.summary()
    vae = VariationalAutoencoder(2, max_epochs=1).fit(X)
    vae.save(tmp_path / "vae")
    assert sk_ssvae.load(tmp_path / "vae").summary() == vae.summary()


@pytest.mark.parametrize("name", ["golden_1_0", "golden_2_0"])
def test_files_of_versions_without_summaries(name):
    clf = sk_ssvae.load(FILES / f"{name}.ssvae", device="cpu")
    assert not hasattr(clf, "fit_time_")
    summary = clf.summary()
    for field in ("n_samples", "label_counts", "labeled_shares", "unlabeled_shares"):
        assert getattr(summary, field) is None
    assert summary.n_epochs is summary.fit_time is summary.warnings is None
    assert summary.n_iter == clf.n_iter_
    assert summary.loss == clf.history_[-1]["train_loss"]
    assert [*summary.class_prior] == ["left", "right"]
    lines = str(summary).splitlines()
    assert lines[1] == "rows            unknown"
    assert lines[-1] == "fit time        unknown on cpu"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ssvae")), ids=lambda p: p.stem)
def test_every_file_of_format_1_has_a_summary(path):
    estimator = sk_ssvae.load(path, **OLD_FILES[path.stem].user_networks)
    assert "fit time        unknown" in str(estimator.summary())


def test_the_summary_of_chunks_and_of_continued_training(quick, iris):
    X, y, _ = iris
    clf = quick().partial_fit(X, y, classes=[0, 1, 2])
    summary = clf.summary()
    assert summary.n_samples is summary.label_counts is summary.fit_time is None
    assert (summary.n_epochs, summary.n_iter) == (None, 1)
    assert "epochs          1" in str(summary).splitlines()
    clf.set_params(warm_start=True).fit(X, y)
    summary = clf.summary()
    assert (summary.n_epochs, summary.max_epochs, summary.n_iter) == (4, 4, 5)
    assert "epochs          4 of 4, 5 in all" in str(summary)
    before = clf.fit_time_
    later = clf.partial_fit(X[:50], y[:50]).summary()
    assert later.n_samples == 150  # of the last fit
    assert (later.n_epochs, later.n_iter, later.fit_time) == (4, 6, before)


def test_warnings_of_the_last_fit_are_listed(quick, iris):
    X, y, _ = iris
    frame = pd.DataFrame(X).astype(object)
    frame.iloc[3, 1] = "?"

    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    clf = quick(callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match=r"missing|interrupted") as issued:
        clf.fit(frame, y)
    texts = [str(w.message) for w in issued]
    assert len(texts) == 2
    assert clf.summary().warnings == texts
    assert (clf.summary().n_epochs, clf.summary().max_epochs) == (1, 4)
    assert clf.set_params(callbacks=None).fit(X, y).summary().warnings == []


@pytest.mark.parametrize("kind", [SSVAEClassifier, VariationalAutoencoder])
def test_the_summary_needs_a_fit(kind):
    with pytest.raises(NotFittedError):
        kind().summary()


def test_the_time_of_the_last_fit(quick, iris, monkeypatch):
    X, y, _ = iris
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class SlowTeacher(LabelSpreading):
        def fit(self, X, y):
            now[0] += 50.0
            return super().fit(X, y)

    class Epoch(Callback):
        def on_epoch_end(self, net, **kwargs):
            now[0] += 2.0

    clf = quick(teacher=SlowTeacher(kernel="knn"), callbacks=[Epoch()])
    assert not hasattr(clf, "fit_time_")
    assert clf.fit(X, y).fit_time_ == 50 + 4 * 2
    assert isinstance(clf.fit_time_, float)
    with pytest.raises(ValueError, match="range"):
        clf.set_params(max_epochs=0).fit(X, y)
    assert clf.fit_time_ == 58
    assert clf.set_params(teacher=None, max_epochs=3).fit(X, y).fit_time_ == 6
    assert clf.partial_fit(X, y).fit_time_ == 6
    vae = VariationalAutoencoder(2, max_epochs=5, callbacks=[Epoch()])
    assert vae.fit(X).fit_time_ == 10


class Fail(Callback):
    """Fails in the first epoch."""

    def on_epoch_end(self, net, **kwargs):
        raise OSError("no space")


def test_a_failed_continued_fit_changes_no_summary(iris):
    X, y, _ = iris
    options = ClassifierOptions(adversarial_weight=0)
    clf = SSVAEClassifier(
        teacher=None, max_epochs=2, options=options, warm_start=True, random_state=0
    ).fit(X, y)
    before, batch_size = clf.summary(), clf.net_.batch_size
    clf.set_params(
        options__adversarial_weight=0.7, batch_size=9, callbacks=[Fail()], max_epochs=1
    )
    with pytest.raises(OSError, match="no space"):
        clf.fit(X, y)
    assert clf.summary() == before
    assert clf.net_.batch_size == batch_size
    clf.set_params(callbacks=None).fit(X, y)
    assert clf.summary().adversarial_weight == 0.7
