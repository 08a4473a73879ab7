"""Splitters, scorers and searches where most rows have no label."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import (
    LabeledKFold,
    LabeledShuffleSplit,
    LabeledStratifiedKFold,
    LabeledStratifiedShuffleSplit,
    UnlabeledKFold,
    bound_scorer,
    labeled_scorer,
    mask_labels,
)

X, Y = load_iris(return_X_y=True)
FEW = mask_labels(Y, n_per_class=6, random_state=0)

SPLITTERS = [
    LabeledKFold(3),
    LabeledKFold(3, shuffle=True, random_state=0),
    LabeledStratifiedKFold(3),
    LabeledStratifiedKFold(3, shuffle=True, random_state=0),
    LabeledShuffleSplit(3, test_size=0.3, random_state=0),
    LabeledStratifiedShuffleSplit(3, test_size=0.3, random_state=0),
]
FOLDS = SPLITTERS[:4]
by_name = pytest.mark.parametrize("cv", SPLITTERS, ids=repr)


def tiny(**parameters):
    given = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "teacher": None,
        "max_epochs": 3,
        "random_state": 0,
    }
    return SSVAEClassifier(**(given | parameters))


@st.composite
def few_labels(draw):
    n_classes = draw(st.integers(2, 4))
    n_splits = draw(st.integers(2, 4))
    counts = [draw(st.integers(n_splits, 7)) for _ in range(n_classes)]
    codes = [c for c, n in enumerate(counts) for _ in range(n)]
    codes += [-1] * draw(st.integers(0, 20))
    return np.array(draw(st.permutations(codes))), n_splits


@given(few_labels(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_labelled_row_is_tested_once_and_the_others_always_train(case, shuffle):
    y, n_splits = case
    everything = np.arange(len(y))
    for kind in (LabeledKFold, LabeledStratifiedKFold):
        cv = kind(n_splits, shuffle=shuffle, random_state=3 if shuffle else None)
        splits = list(cv.split(np.zeros((len(y), 1)), y))
        assert len(splits) == n_splits == cv.get_n_splits()
        tested = np.concatenate([test for _, test in splits])
        assert sorted(tested) == np.flatnonzero(y != -1).tolist()
        for train, test in splits:
            assert len(test) > 0
            assert np.array_equal(np.union1d(train, test), everything)
            assert len(train) + len(test) == len(y)
            if kind is LabeledStratifiedKFold:
                assert set(y[train]) - {-1} == set(y[test]) == set(y) - {-1}
        if kind is LabeledStratifiedKFold:
            counts = [np.bincount(y[test]) for _, test in splits]
            assert np.ptp(counts, axis=0).max() <= 1


@given(few_labels(), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_rows_of_a_group_are_never_on_both_sides(case, seed):
    y, n_splits = case
    groups = np.random.RandomState(seed).randint(8, size=len(y))
    assume(len(np.unique(groups[y != -1])) >= n_splits)
    for cv in (
        LabeledKFold(n_splits),
        LabeledShuffleSplit(n_splits, test_size=1, random_state=seed),
    ):
        for train, test in cv.split(y, y, groups):
            assert not set(groups[train]) & set(groups[test])
            assert (y[test] != -1).all()
            others = ~np.isin(groups, groups[test])
            if isinstance(cv, LabeledKFold):
                assert np.array_equal(train, np.flatnonzero(others))


@pytest.mark.parametrize(
    ("ours", "parent"),
    [
        (LabeledKFold(4), KFold(4)),
        (
            LabeledKFold(4, shuffle=True, random_state=5),
            KFold(4, shuffle=True, random_state=5),
        ),
        (LabeledStratifiedKFold(4), StratifiedKFold(4)),
        (
            LabeledStratifiedKFold(4, shuffle=True, random_state=5),
            StratifiedKFold(4, shuffle=True, random_state=5),
        ),
    ],
    ids=repr,
)
def test_with_all_labels_folds_are_the_parents(ours, parent):
    for (train, test), (of_parent, test_of_parent) in zip(
        ours.split(X, Y), parent.split(X, Y), strict=True
    ):
        assert np.array_equal(train, of_parent)
        assert np.array_equal(test, test_of_parent)


@pytest.mark.parametrize(
    ("ours", "parent"),
    [
        (LabeledShuffleSplit, ShuffleSplit),
        (LabeledStratifiedShuffleSplit, StratifiedShuffleSplit),
    ],
)
@pytest.mark.parametrize(
    "sizes", [{}, {"test_size": 0.4}, {"train_size": 9, "test_size": 6}]
)
def test_random_splits_deal_as_their_parents(ours, parent, sizes):
    labelled = np.flatnonzero(FEW != -1)
    if ours is LabeledStratifiedShuffleSplit and not sizes:
        sizes = {"test_size": 0.2}
    cv = ours(3, random_state=0, **sizes)
    found = list(cv.split(X, FEW))
    of_parent = parent(3, random_state=0, **sizes).split(labelled, FEW[labelled])
    for (train, test), (known, tested) in zip(found, of_parent, strict=True):
        assert np.array_equal(test, labelled[tested])
        assert set(train) == set(labelled[known]) | set(np.flatnonzero(FEW == -1))
    assert cv.get_n_splits() == 3
    again = [list(train) for train, _ in cv.split(X, FEW)]
    assert again == [list(train) for train, _ in found]
    assert again[1] != again[0]


def test_rows_of_random_splits_are_in_random_order():
    """learning_curve takes the first ones."""
    train, _ = next(LabeledShuffleSplit(1, random_state=0).split(X, FEW))
    assert (np.diff(train) < 0).any()


def test_unlabelled_folds_leave_all_labels_to_training():
    labelled = np.flatnonzero(FEW != -1)
    cv = UnlabeledKFold(4, shuffle=True, random_state=0)
    tested = []
    for train, test in cv.split(X, FEW):
        assert set(labelled) <= set(train)
        assert not set(train) & set(test)
        assert len(train) + len(test) == len(X)
        tested += list(test)
    assert sorted(tested) == np.flatnonzero(FEW == -1).tolist()


@by_name
def test_they_are_splitters_of_scikit_learn(cv):
    assert eval(repr(cv)).__dict__ == cv.__dict__
    assert type(pickle.loads(pickle.dumps(cv))) is type(cv)
    if cv.random_state is not None:
        first, second = (
            [test.tolist() for _, test in cv.split(X, FEW)] for _ in range(2)
        )
        assert first == second


@by_name
def test_labels_may_be_strings_or_missing(cv):
    names = np.array(["a", "b", "c", -1], dtype=object)[FEW]
    expected = [test.tolist() for _, test in cv.split(X, FEW)]
    assert [test.tolist() for _, test in cv.split(X, names)] == expected
    parameters = {k: v for k, v in cv.__dict__.items() if not k.startswith("_")}
    missing = pd.Series(names).replace(-1, None).astype("category")
    other = type(cv)(**parameters | {"unlabeled": None})
    assert [test.tolist() for _, test in other.split(X, missing)] == expected


@by_name
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.full(150, -1),
            "{} needs labelled rows, but y is -1 (unlabelled) in all 150 rows.",
        ),
        (
            np.where(Y == 1, 1, -1),
            "{} needs labelled rows of at least 2 classes, but the labelled rows of y "
            "hold one class only: [1].",
        ),
        (
            None,
            "The 'y' parameter should not be None: {} deals rows according to their "
            "labels.",
        ),
        (
            np.where(FEW == 0, "a", "-1"),
            "y is an array of strings that contains '-1'. To mark unlabelled rows "
            "among strings, use an array of dtype object that holds strings and the "
            "integer -1, e.g. np.array(['a', 'b', -1], dtype=object).",
        ),
        (
            FEW == 0,
            "y is boolean, which cannot hold -1: assigning -1 to a boolean array "
            "stores True. Use integers: y.astype(int), with -1 for unlabelled rows.",
        ),
        (
            np.stack([FEW, FEW], axis=1),
            "y should be a 1d array, got an array of shape (150, 2) instead.",
        ),
    ],
    ids=["none labelled", "one class", "None", "strings", "booleans", "2d"],
)
def test_labels_that_cannot_be_dealt(cv, y, message):
    with pytest.raises(ValueError) as error:
        next(cv.split(X, y))
    assert str(error.value) == message.format(type(cv).__name__)


def test_too_few_labels_for_the_folds():
    rare = FEW.copy()
    rare[np.flatnonzero(rare == 2)[2:]] = -1
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedKFold(3).split(X, rare))
    assert str(error.value) == (
        "LabeledStratifiedKFold needs at least 3 labelled rows of each class, but "
        "class 2 has 2. Use n_splits=2 or fewer."
    )
    single = FEW.copy()
    single[np.flatnonzero(single == 2)[1:]] = -1
    for cv, needed in (
        (LabeledStratifiedKFold(3), 3),
        (LabeledStratifiedShuffleSplit(), 2),
    ):
        with pytest.raises(ValueError) as error:
            next(cv.split(X, single))
        assert str(error.value) == (
            f"{type(cv).__name__} needs at least {needed} labelled rows of each class, "
            "but class 2 has 1. Label another row of it, or mark this one as "
            "unlabelled."
        )
    with pytest.raises(ValueError) as error:
        next(LabeledKFold(19).split(X, FEW))
    assert str(error.value) == (
        "n_splits=19 is more than the number of labelled rows, 18: a test fold would "
        "be empty. Use a smaller n_splits."
    )
    with pytest.raises(ValueError) as error:
        next(UnlabeledKFold(5).split(X[:20], np.repeat([0, 1], [12, 8])))
    assert str(error.value) == (
        "n_splits=5 is more than the number of unlabelled rows, 0: a test fold would "
        "be empty. Use a smaller n_splits."
    )
    one_out = list(LabeledKFold(18).split(X, FEW))
    assert [len(test) for _, test in one_out] == [1] * 18


def test_groups_that_leave_a_fold_empty():
    groups = np.where(FEW == -1, np.arange(150), Y % 2)
    for cv in (LabeledKFold(3), LabeledStratifiedKFold(3)):
        with pytest.raises(ValueError) as error:
            next(cv.split(X, FEW, groups))
        assert str(error.value) == (
            "n_splits=3 is more than the number of groups that hold labelled rows, 2: "
            "a test fold would be empty. Use a smaller n_splits."
        )
    with pytest.raises(ValueError) as error:
        list(LabeledStratifiedKFold(3).split(X, FEW, Y))
    assert str(error.value) == (
        "With these groups there is a fold under test that holds all labelled rows of "
        "a class. Use a smaller n_splits, or LabeledKFold."
    )
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedShuffleSplit().split(X, FEW, groups))
    assert str(error.value) == (
        "LabeledStratifiedShuffleSplit takes no groups. Use LabeledShuffleSplit, or "
        "LabeledStratifiedKFold with shuffle=True."
    )


@pytest.mark.parametrize("hole", [None, np.nan])
def test_rows_without_a_group(hole):
    groups = np.array(["a", "b", "c"] * 50, dtype=object)
    groups[7] = hole
    for cv in (LabeledKFold(3), LabeledShuffleSplit(random_state=0)):
        with pytest.raises(ValueError) as error:
            next(cv.split(X, FEW, groups))
        assert str(error.value) == (
            "groups has a missing value in row 7. Give rows that belong to no group a "
            "group of their own."
        )


def test_groups_are_routed():
    groups = np.arange(150) % 6
    expected = [list(s[1]) for s in LabeledKFold(3).split(X, FEW, groups)]
    of_labelled = np.flatnonzero(FEW != -1)
    parent = GroupKFold(3).split(of_labelled, groups=groups[of_labelled])
    assert expected == [list(of_labelled[test]) for _, test in parent]
    scores = cross_val_score(
        LabelSpreading(), X, FEW, cv=LabeledKFold(3), groups=groups
    )
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(
            LabelSpreading(),
            X,
            FEW,
            cv=LabeledKFold(3),
            params={"groups": groups},
            return_indices=True,
        )
        without = LabeledKFold(3).set_split_request(groups=False)
        plain = cross_validate(LabelSpreading(), X, FEW, cv=without)
    assert [list(test) for test in routed["indices"]["test"]] == expected
    assert np.array_equal(routed["test_score"], scores)
    assert len(plain["test_score"]) == 3


@pytest.mark.parametrize("n_splits", [1, 0, 2.0])
def test_numbers_of_folds_are_refused_as_the_parents_do(n_splits):
    with pytest.raises(ValueError) as of_parent:
        KFold(n_splits)
    for kind in (LabeledKFold, LabeledStratifiedKFold, UnlabeledKFold):
        with pytest.raises(ValueError) as error:
            kind(n_splits)
        assert str(error.value) == str(of_parent.value)


SEMI_SUPERVISED = [
    LabelSpreading(),
    SelfTrainingClassifier(LogisticRegression()),
    tiny(),
]


@pytest.mark.parametrize("estimator", SEMI_SUPERVISED, ids=lambda e: type(e).__name__)
def test_a_labelled_scorer_is_the_scorer_on_labelled_rows(estimator):
    fitted = clone(estimator).fit(X, FEW)
    known = FEW != -1
    weight = np.random.RandomState(0).rand(150)
    for name in ("accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"):
        ours, theirs = labeled_scorer(name), get_scorer(name)
        assert ours(fitted, X, FEW) == theirs(fitted, X[known], FEW[known])
        weighted = ours(fitted, X, FEW, sample_weight=weight)
        assert weighted == theirs(
            fitted, X[known], FEW[known], sample_weight=weight[known]
        )
    expected = accuracy_score(FEW[known], fitted.predict(X[known]))
    assert labeled_scorer()(fitted, X, FEW) == expected
    assert labeled_scorer(lambda e, rows, y: len(y))(fitted, X, FEW) == known.sum()
    both = labeled_scorer(["accuracy", "f1_macro"])
    assert list(both) == ["accuracy", "f1_macro"]
    assert both["accuracy"](fitted, X, FEW) == expected
    given_dict = labeled_scorer({"a": "accuracy", "b": make_scorer(accuracy_score)})
    assert given_dict["b"](fitted, X, FEW) == expected


def test_a_labelled_scorer_with_strings_and_frames():
    names = np.array(["a", "b", "c", -1], dtype=object)[FEW]
    frame = pd.DataFrame(X, columns=list("pqrs"))
    fitted = tiny().fit(frame, names)
    known = FEW != -1
    score = labeled_scorer("f1_macro")(fitted, frame, names)
    predicted = fitted.predict(frame[known])
    assert score == f1_score(names[known].astype(str), predicted, average="macro")
    missing = pd.Series(names).replace(-1, None)
    other = labeled_scorer("f1_macro", unlabeled=None)
    assert other(fitted, frame, missing) == score


@pytest.mark.parametrize("estimator", SEMI_SUPERVISED, ids=lambda e: type(e).__name__)
def test_named_scorers_in_cross_validation(estimator):
    cv = KFold(3, shuffle=True, random_state=0)  # deals unlabelled rows, too
    scores = cross_validate(
        estimator, X, FEW, cv=cv, scoring=labeled_scorer(["accuracy"])
    )["test_accuracy"]
    for (train, test), score in zip(cv.split(X), scores, strict=True):
        fitted = clone(estimator).fit(X[train], FEW[train])
        known = test[FEW[test] != -1]
        assert score == accuracy_score(FEW[known], fitted.predict(X[known]))


def test_weights_are_routed_to_labelled_scorers():
    weight = np.random.RandomState(0).rand(150)
    cv = LabeledStratifiedKFold(2)
    with config_context(enable_metadata_routing=True):
        scorer = labeled_scorer("accuracy").set_score_request(sample_weight=True)
        estimator = tiny().set_fit_request(sample_weight=True)
        search = GridSearchCV(estimator, {"alpha": [1.0]}, scoring=scorer, cv=cv)
        search.fit(X, FEW, sample_weight=weight)
    scores = []
    for train, test in cv.split(X, FEW):
        fitted = tiny(alpha=1.0).fit(X[train], FEW[train], sample_weight=weight[train])
        scores.append(fitted.score(X[test], FEW[test], sample_weight=weight[test]))
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(np.mean(scores))


def test_labelled_scorers_print_and_pickle():
    assert repr(labeled_scorer("accuracy")) == "labeled_scorer('accuracy')"
    assert repr(labeled_scorer()) == "labeled_scorer()"
    twin = labeled_scorer("f1_macro", unlabeled="?")
    assert repr(twin) == "labeled_scorer('f1_macro', unlabeled='?')"
    fitted = LabelSpreading().fit(X, FEW)
    scorer = labeled_scorer("f1_macro")
    copied = pickle.loads(pickle.dumps(scorer))
    assert copied(fitted, X, FEW) == scorer(fitted, X, FEW)
    assert labeled_scorer(scorer) is scorer


def test_scorers_that_cannot_be():
    fitted = LabelSpreading().fit(X, FEW)
    with pytest.raises(ValueError) as error:
        labeled_scorer("accuracy")(fitted, X, np.full(150, -1))
    assert str(error.value) == (
        "labeled_scorer('accuracy') needs labelled rows, but y is -1 (unlabelled) in "
        "all 150 rows. Use a splitter that deals labelled rows to the test folds, such "
        "as LabeledStratifiedKFold."
    )
    with pytest.raises(TypeError) as error:
        labeled_scorer(3)
    assert str(error.value) == (
        "scoring must be a name, a scorer, several of them or None, got 3."
    )
    with pytest.raises(ValueError) as error:
        labeled_scorer(["accuracy", "accuracy"])
    assert str(error.value) == (
        "scoring must hold names of scorers that differ, got ['accuracy', 'accuracy']. "
        "Use a dict of names and scorers for others."
    )
    with pytest.raises(TypeError) as error:
        labeled_scorer(lambda *a: 0).set_score_request(sample_weight=True)
    assert str(error.value).endswith(
        "has no metadata requests to set: make it of the name of a scorer, or of what "
        "sklearn.metrics.make_scorer returns."
    )
    with pytest.raises(ValueError, match="looks like it is a metric function"):
        labeled_scorer(accuracy_score)
    with pytest.raises(ValueError, match="'acuracy' is not a valid scoring value"):
        labeled_scorer("acuracy")
    with pytest.raises(TypeError) as error:
        bound_scorer(fitted, X)
    assert str(error.value) == (
        "LabelSpreading has no score_samples, so that it gives no bound of log p(x). "
        "Use labeled_scorer and a splitter of labelled rows."
    )


@given(
    st.lists(st.integers(-1, 3), min_size=8, max_size=40),
    st.integers(1, 3),
    st.floats(0.05, 1),
    st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_masked_labels_are_some_of_the_labels(y, n, fraction, seed):
    y = np.array(y)
    counts = np.bincount(y[y != -1], minlength=4)
    assume((y != -1).any())
    before = y.copy()
    few = mask_labels(y, fraction=fraction, random_state=seed)
    assert np.array_equal(y, before)
    assert ((few == y) | (few == -1)).all()
    kept = np.bincount(few[few != -1], minlength=4)
    expected = [max(1, round(fraction * c)) if c else 0 for c in counts]
    assert kept.tolist() == expected
    if counts[counts > 0].min() >= n:
        few = mask_labels(y, n_per_class=n, random_state=seed)
        assert ((few == y) | (few == -1)).all()
        kept = np.bincount(few[few != -1], minlength=4)
        assert kept.tolist() == [n if c else 0 for c in counts]


def test_masked_labels_keep_their_type_where_it_has_room():
    assert mask_labels(Y.astype(np.int8), n_per_class=1).dtype == np.int8
    assert mask_labels(Y.astype(np.uint8), n_per_class=1).dtype == np.int16
    few = mask_labels(np.array(["a", "b"])[Y % 2], n_per_class=1, random_state=0)
    assert few.dtype == object
    assert sorted(map(str, few))[-2:] == ["a", "b"]
    series = mask_labels(pd.Series(Y, index=Y + 7), n_per_class=1, random_state=0)
    assert np.array_equal(series, mask_labels(Y, n_per_class=1, random_state=0))


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        (
            {},
            ValueError,
            "mask_labels takes either n_per_class or fraction, got n_per_class=None "
            "and fraction=None.",
        ),
        (
            {"n_per_class": 1, "fraction": 0.5},
            ValueError,
            "mask_labels takes either n_per_class or fraction, got n_per_class=1 and "
            "fraction=0.5.",
        ),
        ({"n_per_class": 0}, ValueError, "n_per_class must be at least 1, got 0."),
        (
            {"n_per_class": 1.0},
            TypeError,
            "n_per_class must be an integer, got 1.0 of type float.",
        ),
        (
            {"n_per_class": 51},
            ValueError,
            "n_per_class=51 is more than the 50 labels of class 0.",
        ),
        (
            {"fraction": 1.5},
            ValueError,
            "fraction must be above 0 and at most 1, got 1.5.",
        ),
        (
            {"fraction": "half"},
            TypeError,
            "fraction must be a number, got 'half' of type str.",
        ),
    ],
)
def test_labels_that_cannot_be_masked(parameters, kind, message):
    with pytest.raises(kind) as error:
        mask_labels(Y, **parameters)
    assert str(error.value) == message
    with pytest.raises(ValueError) as nothing:
        mask_labels(np.full(3, -1), n_per_class=1)
    assert str(nothing.value) == "y is -1 (unlabelled) in all 3 rows."


PIPELINE = make_pipeline(StandardScaler(), tiny())
STEP = "ssvaeclassifier__"
GRID = {f"{STEP}latent_size": [1, 3], f"{STEP}alpha": [1.0, 30.0]}
CV = LabeledStratifiedKFold(2, shuffle=True, random_state=0)


def searched(kind, **parameters):
    search = kind(PIPELINE, GRID, cv=CV, **parameters).fit(X, FEW)
    scores = search.cv_results_["mean_test_score"]
    return [scores, search.predict_proba(X), str(search.best_params_)]


SEARCHES = {
    "grid": lambda **p: searched(GridSearchCV, **p),
    "sizes": lambda **p: searched(
        lambda e, g, **q: GridSearchCV(
            e, {f"{STEP}hidden_sizes": [(4,), (8, 4)], f"{STEP}n_threads": [1]}, **q
        ),
        **p,
    ),
    "randomized": lambda **p: searched(
        RandomizedSearchCV, n_iter=2, random_state=0, **p
    ),
    "halving": lambda **p: searched(
        HalvingGridSearchCV,
        resource=f"{STEP}max_epochs",
        max_resources=4,
        min_resources=1,
        factor=2,
        random_state=0,
        **p,
    ),
    "bound": lambda **p: searched(
        lambda e, g, **q: GridSearchCV(
            e, g, **(q | {"cv": UnlabeledKFold(2), "scoring": bound_scorer})
        ),
        **p,
    ),
    "cross_validate": lambda **p: [
        cross_validate(
            PIPELINE, X, FEW, cv=CV, scoring=labeled_scorer("neg_log_loss"), **p
        )["test_score"]
    ],
    "learning_curve": lambda **p: learning_curve(
        PIPELINE,
        X,
        FEW,
        cv=CV,
        train_sizes=[0.5, 1.0],
        shuffle=True,
        random_state=0,
        scoring=labeled_scorer("accuracy"),
        **p,
    ),
    "validation_curve": lambda **p: validation_curve(
        PIPELINE,
        X,
        FEW,
        param_name=f"{STEP}latent_size",
        param_range=[1, 4],
        cv=CV,
        scoring=labeled_scorer("neg_log_loss"),
        **p,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("name", SEARCHES)
def test_two_jobs_find_what_one_finds(name, backend):
    alone = SEARCHES[name](n_jobs=1)
    with joblib.parallel_config(backend):
        together = SEARCHES[name](n_jobs=2)
    for one, two in zip(alone, together, strict=True):
        assert np.array_equal(one, two)
        if not isinstance(one, str):
            assert np.isfinite(one).all()
