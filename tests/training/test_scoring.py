"""Scores of skorch's callbacks: of the labelled rows, equal to those by hand."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from skorch.callbacks import BatchScoring, Callback, EpochScoring
from torch import nn

from sk_ssvae import OpinionPoolClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.models.sdgm import SDGMModule
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.rows import choose_held_out

HELD_OUT = ClassifierOptions(labeled_validation_fraction=0.4)

SCORES = {
    "accuracy": lambda y, p: accuracy_score(y, p.argmax(1)),
    "f1_macro": lambda y, p: f1_score(y, p.argmax(1), average="macro"),
    "neg_log_loss": lambda y, p: -log_loss(y, p),
    "roc_auc_ovr": lambda y, p: roc_auc_score(y, p, multi_class="ovr"),
}


def codes_of(rows):
    return rows.codes.numpy()


def proba_of(net, rows):
    """q(y | x) of the labelled rows, by the networks themselves."""
    x = rows.encoded(rows.order[: rows.n_labelled])
    with torch.no_grad():
        return net.module_.eval()(x).exp().numpy()


class ByHand(Callback):
    """Computes scores after each epoch from what the other callbacks do not see."""

    def __init__(self, score):
        self.score = score

    def initialize(self):
        self.train, self.valid = [], []
        self.seen = {True: [], False: []}
        self.seen_train, self.seen_valid, self.batches = [], [], []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.seen = {True: [], False: []}

    def on_batch_end(self, net, batch=None, y_pred=None, training=None, **kwargs):
        codes = batch[1].numpy()
        proba = y_pred.exp().numpy()[: len(codes)][codes >= 0]
        if (codes >= 0).any():
            self.seen[training].append((codes[codes >= 0], proba))

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        for rows, scores, seen, training in (
            (dataset_train, self.train, self.seen_train, True),
            (dataset_valid, self.valid, self.seen_valid, False),
        ):
            scores.append(self.score(codes_of(rows), proba_of(net, rows)))
            truth, proba = map(np.concatenate, zip(*self.seen[training], strict=True))
            seen.append(self.score(truth, proba))
            if not training and self.score is SCORES["accuracy"]:
                weights = [len(codes) for codes, _ in self.seen[False]]
                values = [self.score(*pair) for pair in self.seen[False]]
                self.batches.append(np.average(values, weights=weights))


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_epochs_equal_those_by_hand(quick, iris, name):
    X, y, truth = iris
    y = np.where(np.arange(150) % 3 == 0, truth, y)
    by_hand = ByHand(SCORES[name])
    settings = {
        f"{'train' if on_train else 'valid'} {use_caching}": (on_train, use_caching)
        for on_train in (True, False)
        for use_caching in (True, False)
    }
    callbacks = [
        EpochScoring(name, on_train=t, use_caching=c, name=key, lower_is_better=False)
        for key, (t, c) in settings.items()
    ]
    clf = quick(batch_size=20, options=HELD_OUT, callbacks=[*callbacks, by_hand])
    history = clf.fit(X, y).history_
    expected = {
        "train True": by_hand.seen_train,
        "train False": by_hand.train,
        "valid True": by_hand.seen_valid,
        "valid False": by_hand.valid,
    }
    for key, values in expected.items():
        np.testing.assert_allclose(history[:, key], values, rtol=1e-6, err_msg=key)
        is_best = [v > max(values[:i], default=-np.inf) for i, v in enumerate(values)]
        assert history[:, f"{key}_best"] == is_best
    np.testing.assert_allclose(by_hand.seen_valid, by_hand.valid, rtol=1e-6)
    assert len(set(by_hand.train)) > 1


@pytest.mark.parametrize("use_caching", [True, False])
def test_scores_of_minibatches_are_weighted_by_their_labelled_rows(
    quick, iris, use_caching
):
    X, y, truth = iris
    y = np.where(np.arange(150) % 3 == 0, truth, y)
    by_hand = ByHand(SCORES["accuracy"])
    score = BatchScoring(
        "accuracy", name="share", lower_is_better=False, use_caching=use_caching
    )
    clf = quick(
        batch_size=9,
        validation_fraction=0.2,
        options=HELD_OUT,
        callbacks=[score, by_hand],
    )
    history = clf.fit(X, y).history_
    np.testing.assert_allclose(history[:, "share"], by_hand.batches)
    np.testing.assert_allclose(history[:, "share"], by_hand.valid)
    plain = quick(batch_size=9, validation_fraction=0.2, options=HELD_OUT).fit(X, y)
    np.testing.assert_allclose(
        history[:, "valid_loss"], plain.history_[:, "valid_loss"], rtol=1e-6
    )


@pytest.mark.parametrize("use_caching", [True, False])
def test_scores_of_training_minibatches(quick, iris, use_caching):
    X, y, _ = iris
    values = []

    class Record(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            values.append(net.history[-1, "batches", -1, "accuracy"])

        def on_epoch_end(self, net, **kwargs):
            assert net.history[-1]["accuracy"] == pytest.approx(np.mean(values))
            values.clear()

    score = BatchScoring("accuracy", on_train=True, use_caching=use_caching)
    clf = quick(batch_size=20, callbacks=[score, Record()]).fit(X, y)
    assert 0.2 < clf.history_[-1]["accuracy"] <= 1


@pytest.mark.parametrize(
    "scoring", [None, accuracy_score, lambda net, X, y: (net.predict(X) == y).mean()]
)
@pytest.mark.parametrize("use_caching", [True, False])
def test_default_score_metrics_and_functions(quick, iris, scoring, use_caching):
    X, y, _ = iris
    options = {"on_train": True, "use_caching": use_caching}
    scores = [EpochScoring(scoring, name="own", **options)]
    scores.append(EpochScoring("accuracy", name="named", **options))
    history = quick(callbacks=scores).fit(X, y).history_
    assert history[:, "own"] == history[:, "named"]


def test_functions_get_the_labelled_rows_and_their_codes(quick, iris):
    X, y, _ = iris
    names = np.array(["x", "b", "a"], dtype=object)  # sorted: a, b, x
    few = np.where(y < 0, -1, names[y])
    seen = []

    def keep(net, rows, codes):
        seen.append((len(rows), codes, net.classes_, net.predict_proba(rows)))
        return 0.0

    clf = quick(callbacks=[EpochScoring(keep, on_train=True, use_caching=False)])
    clf.fit(X, few)
    n_rows, codes, classes, proba = seen[-1]
    assert n_rows == 15
    assert clf.classes_.tolist() == ["a", "b", "x"]
    np.testing.assert_array_equal(classes, [0, 1, 2])
    np.testing.assert_array_equal(clf.classes_[codes], few[y >= 0])
    expected = clf.set_params(temperature=1.0).predict_proba(X[y >= 0])
    np.testing.assert_allclose(proba, expected, rtol=1e-5)


def test_area_under_the_curve_of_two_classes(quick, iris):
    X, y, _ = iris
    X, y = X[50:], np.where(y[50:] < 0, -1, y[50:] - 1).astype(object)
    y[y != -1] = np.array(["no", "yes"])[y[y != -1].astype(int)]
    by_hand = ByHand(lambda codes, proba: roc_auc_score(codes, proba[:, 1]))
    scores = [
        EpochScoring(name, on_train=t, use_caching=False, name=f"{name} {t}")
        for name in ("roc_auc", "f1", "average_precision")
        for t in (True, False)
    ]
    clf = quick(options=HELD_OUT, callbacks=[*scores, by_hand]).fit(X, y)
    np.testing.assert_allclose(clf.history_[:, "roc_auc True"], by_hand.train)
    np.testing.assert_allclose(clf.history_[:, "roc_auc False"], by_hand.valid)
    assert "f1 True" in clf.history_[-1]


class Noisy(nn.Module):
    """A classifier that draws from torch's global generator, also in evaluation."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)
        self.norm = nn.BatchNorm1d(out_features)

    def forward(self, x):
        return self.norm(self.layer(x + 0.01 * torch.randn_like(x)))


@pytest.mark.parametrize("module", [None, Noisy])
def test_scores_do_not_change_training(quick, iris, global_generators, module):
    X, y, _ = iris
    scores = [
        kind("accuracy", on_train=t, use_caching=c, name=f"{kind.__name__} {t} {c}")
        for kind in (EpochScoring, BatchScoring)
        for t in (True, False)
        for c in (True, False)
    ]
    params = {"batch_size": 20, "options": HELD_OUT, "classifier_module": module}
    before = global_generators()
    clf = quick(callbacks=scores, **params).fit(X, y)
    if module is None:  # predictions of the other one draw from them
        assert global_generators() == before
    weights = clf.module_.state_dict()
    for name, weight in quick(**params).fit(X, y).module_.state_dict().items():
        assert torch.equal(weight, weights[name])


def test_nothing_is_scored_in_an_unsupervised_stage(quick, iris):
    X, y, _ = iris
    score = EpochScoring("accuracy", on_train=True)
    model = M1M2(inner_size=3, pretrain_epochs=2)
    options = ClassifierOptions(labeled_validation_fraction=0.2)
    history = quick(model=model, callbacks=[score], options=options).fit(X, y).history_
    assert ["accuracy" in epoch for epoch in history] == [False] * 2 + [True] * 4
    assert ["valid_acc" in epoch for epoch in history] == [False] * 2 + [True] * 4


def test_chunks_without_labels_are_not_scored(quick, iris):
    X, y, _ = iris
    score = EpochScoring("accuracy", on_train=True)
    clf = quick(callbacks=[score])
    for labels in (y, np.full(150, -1), y):
        clf.partial_fit(X, labels, classes=[0, 1, 2])
    assert ["accuracy" in epoch for epoch in clf.history_] == [True, False, True]


def test_without_held_out_labels_the_error_says_what_to_set(quick, iris):
    X, y, _ = iris
    for score in (EpochScoring("accuracy"), BatchScoring(accuracy_score)):
        name = type(score).__name__
        clf = quick(teacher="pool", callbacks=[score], validation_fraction=0.2)
        with pytest.raises(ValueError) as error:
            clf.fit(X, y)
        assert str(error.value) == (
            f"The callback {name} scores held-out labelled rows (on_train=False), but "
            "no labelled rows are held out. Set "
            "options=ClassifierOptions(labeled_validation_fraction=0.2) (partial_fit "
            "holds out none), or on_train=True to score the labelled rows of training."
        )
        with pytest.raises(ValueError, match="no labelled rows are held out"):
            quick(callbacks=[score]).partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("use_caching", [True, False])
def test_functions_of_all_rows_without_classes(iris, use_caching):
    X, _, _ = iris
    seen = []

    def keep(net, rows, y):
        seen.append((len(rows), y))
        return net.history[-1, "bound"]

    def vae(score, **params):
        return VariationalAutoencoder(
            2, hidden_sizes=(8,), max_epochs=2, callbacks=[score], **params
        )

    score = EpochScoring(keep, use_caching=use_caching)
    vae(score.set_params(on_train=True) or score).fit(X)
    assert seen == [(150, None)] * 2
    score.set_params(on_train=False)
    vae(score, validation_fraction=0.2).fit(X)
    assert seen[2:] == [(30, None)] * 2
    with pytest.raises(ValueError) as error:
        vae(score).fit(X)
    assert str(error.value) == (
        "The callback EpochScoring scores held-out rows (on_train=False), but no rows "
        "are held out. Set validation_fraction, e.g. to 0.1, or on_train=True."
    )
    with pytest.raises(ValueError) as error:
        vae(EpochScoring("accuracy", on_train=True)).fit(X)
    assert str(error.value) == (
        "The callback EpochScoring scores classes (scoring='accuracy'), but the model "
        "has none. Pass a function of (net, X, y) as its scoring; y is None."
    )


def test_training_and_teacher_do_not_see_held_out_labels(quick, iris, monkeypatch):
    X, y, truth = iris
    held_out = choose_held_out(y, 0.0, 0, 0.4)
    assert np.bincount(y[held_out]).tolist() == [2, 2, 2]
    choose = "sk_ssvae.estimators.base.choose_held_out"
    monkeypatch.setattr(choose, lambda *args: held_out)
    pool = OpinionPoolClassifier(views=["columns", "logistic"])
    params = {"teacher": pool, "class_prior": "empirical", "options": HELD_OUT}
    clf = quick(**params).fit(X, y)
    other = quick(**params).fit(X, np.where(held_out, (y + 1) % 3, y))
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(clf.transform(X), other.transform(X))
    np.testing.assert_array_equal(clf.class_prior_, other.class_prior_)
    right = clf.predict(X[held_out]) == truth[held_out]
    assert clf.history_[-1]["valid_acc"] == right.mean()
    assert (clf.transduction_[held_out] == y[held_out]).all()


def test_accuracies_of_epochs_take_few_draws(quick, iris, monkeypatch):
    """All 512 per row would take as long as training."""
    X, y, _ = iris
    passes = set()
    original = SDGMModule.mean_log_q_y

    def recorded(self, x, draws):
        passes.add((len(x), len(draws)))
        return original(self, x, draws)

    monkeypatch.setattr(SDGMModule, "mean_log_q_y", recorded)
    clf = quick(model="sdgm", options=HELD_OUT).fit(X, y)
    assert "valid_acc" in clf.history_[-1]
    assert (6, 16) in passes  # the held-out labelled rows
    assert (6, 512) not in passes


def test_labels_to_hold_out():
    codes = np.repeat([-1, 0, 1, 2], [20, 10, 2, 1])
    plain = choose_held_out(codes, 0.25, 3)
    both = choose_held_out(codes, 0.25, 3, 0.31)
    assert plain.sum() == 5
    np.testing.assert_array_equal(plain[codes < 0], both[codes < 0])
    counts = [both[codes == code].sum() for code in (-1, 0, 1, 2)]
    assert counts == [5, 3, 1, 0]  # at least one, but not the only one
    assert choose_held_out(codes, 0.0, 3, 0.99)[codes == 0].sum() == 9
    with pytest.raises(ValueError) as error:
        choose_held_out(np.array([-1, 0, 1]), 0.0, 0, 0.5)
    assert str(error.value) == (
        "labeled_validation_fraction=0.5 needs a class with two labels, but each class "
        "has one. Set it to 0, or pass more labels."
    )


def test_repeated_epochs_are_scored_once(quick, iris):
    X, y, _ = iris

    class Diverge(Callback):
        def on_grad_computed(self, net, named_parameters=None, **kwargs):
            if len(net.history_) == 2 and not net.rollbacks_:
                for _, parameter in named_parameters:
                    parameter.grad.fill_(np.nan)

    sizes = []

    def count(net, rows, codes):
        sizes.append(len(codes))
        return 0.0

    score = EpochScoring(count, on_train=True)
    clf = quick(batch_size=50, callbacks=[score, Diverge()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training diverged
        clf.fit(X, y)
    assert clf.net_.rollbacks_
    assert len(set(sizes)) == 1
