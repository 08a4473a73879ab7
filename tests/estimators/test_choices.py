"""The record of what `fit` chose by itself."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.teachers.description import describe_pool
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.adversarial_radius import effective_dimension

SELF_TRAINING = SelfTrainingClassifier(LogisticRegression())


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.where(np.arange(150) % 5, -1, y)


def test_each_automatic_parameter_has_an_entry(iris, tmp_path):
    X, y = iris
    clf = SSVAEClassifier(random_state=0).fit(X, y)
    assert [*clf.choices_] == [
        "likelihood",
        "class_prior",
        "teacher",
        "max_epochs",
        "alpha",
        "temperature",
        "marginalization",
        "options__bound_rows",
        "options__adversarial_weight",
    ]
    views = clf.choices_["teacher"].partition(";")[0]
    assert views.startswith("weights of 8 of 8 views: ")
    for name in ("unscaled", "min-max", "svm", "forest", "discriminant"):
        assert f"{name} 0." in views
    assert clf.choices_["likelihood"] == "gaussian"
    assert clf.choices_["class_prior"] == "the mean of labels and soft targets"
    assert clf.choices_["max_epochs"] == f"{clf.n_iter_} epochs of 150 rows"
    assert clf.choices_["alpha"] == "30, for 4 columns"
    assert clf.choices_["temperature"] == "1.6: chosen on other data sets"
    assert clf.choices_["marginalization"] == "all classes are summed"
    bound_rows = clf.net_.objective.bound_rows
    expected = f"{bound_rows} unlabelled rows of a minibatch"
    assert clf.choices_["options__bound_rows"] == expected
    assert clf.choices_["options__adversarial_weight"].startswith("0: the columns have")
    clf.save(tmp_path / "clf")
    assert sk_ssvae.load(tmp_path / "clf").choices_ == clf.choices_


def test_parameters_that_are_given_have_no_entry(iris):
    X, y = iris
    clf = SSVAEClassifier(
        teacher=SELF_TRAINING,
        likelihood="gaussian",
        class_prior="empirical",
        max_epochs=2,
        alpha=30.0,
        temperature=1.0,
        marginalization="exact",
        options=ClassifierOptions(bound_rows=None, adversarial_weight=0.0),
    )
    assert clf.fit(X, y).choices_ == {}


def test_choices_without_a_teacher_and_with_estimates(iris):
    X, y = iris
    clf = SSVAEClassifier(max_epochs=2, random_state=0)
    alone = clone(clf).set_params(teacher=None).fit(X, y).choices_
    assert "teacher" not in alone
    assert alone["class_prior"] == "uniform, because there are no soft targets"
    assert alone["temperature"] == "1: unchanged without a teacher"
    reason = "0: there are no soft targets"
    assert alone["options__adversarial_weight"] == reason
    params = {"teacher": SELF_TRAINING, "class_prior": "estimate"}
    estimated = clone(clf).set_params(temperature="cross-fit", **params).fit(X, y)
    alone = clone(clf).set_params(teacher=None, class_prior="estimate").fit(X, y)
    assert "teacher" not in alone.choices_  # though a pool estimated the prior
    assert alone.choices_["class_prior"] == "estimated from the unlabelled rows"
    choices = estimated.choices_
    assert choices["class_prior"] == "estimated from the unlabelled rows"
    expected = f"{estimated.temperature_:.3g}: fitted to held-out labels"
    assert choices["temperature"] == expected
    stacked = clone(clf).set_params(
        max_epochs="auto",
        teacher=SELF_TRAINING,
        model=M1M2(inner_size=3, pretrain_epochs=1, finetune_epochs=1),
    )
    assert (
        stacked.fit(X, y)
        .choices_["max_epochs"]
        .startswith("1 epochs of the stage 'm1', ")
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SSVAEClassifier(teacher=SELF_TRAINING, random_state=0), [5, 20, 60]),
        (SSVAEClassifier(teacher=None, random_state=0), [2, 7, 7]),
        (VariationalAutoencoder(random_state=0), [2, 7, 7]),
    ],
)
def test_few_and_many_epochs(iris, monkeypatch, model, expected):
    """An epoch has two minibatches here."""
    monkeypatch.setattr("sk_ssvae.training.batches.AUTO_EPOCHS", 2)
    monkeypatch.setattr("sk_ssvae.training.batches.AUTO_MIN_BATCHES", 14)
    monkeypatch.setattr("sk_ssvae.training.batches.TAUGHT_MIN_BATCHES", 20)
    X, y = iris
    epochs = [
        model.set_params(max_epochs=word).fit(X, y).n_iter_
        for word in ("few", "auto", "many")
    ]
    assert epochs == expected
    if isinstance(model, SSVAEClassifier):
        assert model.choices_["max_epochs"] == f"{epochs[-1]} epochs of 150 rows"
    with pytest.raises(ValueError, match=r"'max_epochs' parameter of .*\. Got 'more'"):
        model.set_params(max_epochs="more").fit(X, y)


def test_the_radius_and_its_evidence():
    X = np.random.RandomState(0).randn(200, 30)
    y = (X[:, 0] > 0).astype(int)
    y[20:] = -1
    clf = SSVAEClassifier(teacher=SELF_TRAINING, max_epochs=1).fit(X, y)
    expected = f"1: the columns have {effective_dimension(X):.1f} effective dimensions"
    assert clf.choices_["options__adversarial_weight"] == expected
    assert clf.choices_["options__adversarial_radius"] == (
        f"{clf.net_.objective.adversarial_radius:.3g}: the median distance to the "
        "nearest boundary between classes"
    )


def test_a_pool_is_described_by_weights_losses_and_sample(iris):
    X, y = iris
    pool = OpinionPoolClassifier(views=["columns", "svm"], random_state=0).fit(X, y)
    pool._pool.weights = {"columns": 0.001, "svm": 0.5}
    pool._pool.held_out_log_loss = {"columns": 0.25, "svm": 0.123}
    expected = "weights of 1 of 2 views: svm 0.50; log-loss on held-out labels: "
    assert describe_pool(pool) == f"{expected}svm 0.12"
    pool._pool.held_out_log_loss = {}
    pool._pool.weights["columns"] = 0.75
    pool.sample_indices_ = np.arange(40)
    expected = "weights of 2 of 2 views: columns 0.75, svm 0.50; fitted to a sample of"
    assert describe_pool(pool) == f"{expected} 40 of 150 rows"
    pool._pool.weights = {"latent-gaussian": 1.0}
    expected = "weights of 1 of 1 views: latent-gaussian 1.00; fitted to a sample of"
    end = "40 of 150 rows, views of latent means to all rows"
    assert describe_pool(pool) == f"{expected} {end}"


def test_further_training_keeps_what_it_does_not_choose(iris):
    X, y = iris
    clf = SSVAEClassifier(teacher=SELF_TRAINING, max_epochs=1, random_state=0)
    choices = clf.fit(X, y).choices_
    assert clf.partial_fit(X, y).choices_ == choices
    clf.set_params(warm_start=True, teacher=None).fit(X, y)
    prior = "the mean of labels and soft targets"
    assert clf.choices_["class_prior"] == choices["class_prior"] == prior
    assert clf.choices_["temperature"] == "1: unchanged without a teacher"
    online = SSVAEClassifier(max_epochs=1, random_state=0)
    model_choices = {
        "likelihood": "gaussian",
        "class_prior": "uniform, because there are no soft targets",
    }
    assert online.partial_fit(X, y, classes=[0, 1, 2]).choices_ == model_choices
    online.set_params(warm_start=True, teacher=SELF_TRAINING).fit(X, y)
    assert online.choices_.items() > model_choices.items()
    estimated = SSVAEClassifier(class_prior="estimate", likelihood="gaussian")
    choices = estimated.partial_fit(X, y, classes=[0, 1, 2]).choices_
    assert choices == {"class_prior": model_choices["class_prior"]}


def test_choices_for_single_labels_early_stopping_and_equal_class_means(iris):
    X, y = iris
    single = np.full(150, -1)
    single[[0, 50, 100]] = [0, 1, 2]
    clf = SSVAEClassifier(teacher=SELF_TRAINING, temperature="cross-fit", max_epochs=1)
    expected = "1.6: chosen on other data sets, as no label can be held out"
    assert clf.fit(X, single).choices_["temperature"] == expected
    clf = SSVAEClassifier(teacher=SELF_TRAINING, early_stopping=True, random_state=0)
    passes = clf.fit(X, y).choices_["max_epochs"]
    assert passes.startswith("at most ")
    assert int(passes.split()[2]) >= clf.n_iter_
    same = np.vstack([X[:50], X[:50], X[50:]])  # two classes with the same mean
    few = np.full(200, -1)
    few[:100] = np.repeat([0, 1], 50)
    options = ClassifierOptions(adversarial_weight=1.0)
    clf = SSVAEClassifier(teacher=None, max_epochs=1, options=options)
    assert clf.fit(same, few).choices_["options__adversarial_radius"] == (
        "no adversarial training: there is no boundary between classes"
    )
