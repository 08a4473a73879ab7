"""Parameters of classifiers in `views`: get_params, set_params, clones, searches."""

import pickle

import numpy as np
import pytest
import skops.io
from few_labels import hide
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.model_selection import LabeledStratifiedKFold


def trees(**params):
    return HistGradientBoostingClassifier(
        min_samples_leaf=2, **{"max_iter": 3} | params
    )


@pytest.fixture
def pool():
    views = ["columns", ("hgb", trees()), ("nb", GaussianNB(), "labelled")]
    return OpinionPoolClassifier(views=views, random_state=0)


def test_an_unknown_nested_parameter_changes_no_view(pool):
    wrong = (
        {"hgb__max_iter": 9, "nb__bad": 1},
        {"hgb__max_iter": 9, "hgb__bad": 1},
        {"max_rows": 50, "hgb__max_iter": 9, "nb__bad": 1},
    )
    before = repr(pool.get_params())
    for params in wrong:
        with pytest.raises(ValueError, match="Invalid parameter 'bad' for estimator"):
            pool.set_params(**params)
        assert repr(pool.get_params()) == before
    outer = sk_ssvae.SSVAEClassifier(teacher=pool)
    with pytest.raises(ValueError, match="Invalid parameter 'bad'"):
        outer.set_params(teacher__hgb__max_iter=9, teacher__hgb__bad=1)
    assert repr(pool.get_params()) == before


def test_an_array_of_views_has_the_parameters_of_a_list(pool):
    views = np.empty(2, dtype=object)
    views[:] = ["columns", ("nb", GaussianNB())]
    assert OpinionPoolClassifier(views=views).get_params()["nb__priors"] is None


def test_names_are_those_of_a_voting_classifier(pool):
    voting = VotingClassifier([("hgb", trees()), ("nb", GaussianNB())])
    own = OpinionPoolClassifier().get_params()
    expected = set(voting.get_params()) - set(VotingClassifier([]).get_params())
    assert set(pool.get_params()) - set(own) == expected
    assert set(pool.get_params(deep=False)) == set(own)
    assert pool.get_params()["hgb"] is pool.views[1][1]
    assert pool.get_params()["hgb__max_iter"] == 3


def test_parameters_of_a_classifier_are_set(pool):
    assert pool.set_params(hgb__max_iter=5, nb__var_smoothing=0.1, max_rows=50) is pool
    assert pool.views[1][1].max_iter == 5
    assert pool.views[2][1].var_smoothing == 0.1
    assert pool.max_rows == 50
    deep = OpinionPoolClassifier(
        views=[("own", make_pipeline(StandardScaler(), LogisticRegression()))]
    )
    deep.set_params(own__logisticregression__C=3)
    assert deep.get_params()["own__logisticregression__C"] == 3


def test_classifiers_are_replaced(pool):
    views = pool.views
    pool.set_params(nb__var_smoothing=0.5, nb=GaussianNB(), hgb=LogisticRegression())
    assert pool.views[0] == "columns"
    assert isinstance(pool.views[1][1], LogisticRegression)
    assert pool.views[2][1].var_smoothing == 0.5
    assert pool.views[2][2] == "labelled"
    assert isinstance(views[1][1], HistGradientBoostingClassifier)  # the user's list
    assert views[2][1].var_smoothing == 1e-9
    pool.set_params(views=[("a", GaussianNB())], a__var_smoothing=0.1)
    assert pool.views[0][1].var_smoothing == 0.1
    entry = ["a", GaussianNB()]  # scikit-learn takes lists as pairs, too
    pool.set_params(views=(entry,), a=LogisticRegression())
    assert isinstance(pool.views[0][1], LogisticRegression)
    assert isinstance(entry[1], GaussianNB)


def test_classifiers_are_dropped(pool, iris):
    X, y, _ = iris
    pool.set_params(hgb="drop").fit(X, y)
    assert list(pool.weights_) == ["columns", "nb"]
    pool.set_params(nb="drop").fit(X, y)
    alone = OpinionPoolClassifier(views=["columns"], random_state=0).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), pool.predict_proba(X))
    with pytest.raises(ValueError, match=r"at least one of .* Got \['whitened'\]"):
        pool.set_params(views=["whitened", ("a", "drop")]).fit(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"max_rows": 50, "hgb": GaussianNB(), "hbg__max_iter": 3},
            "Invalid parameter 'hbg' for estimator OpinionPoolClassifier(",
        ),
        (
            {"hgb": "drop", "hgb__max_iter": 3},
            "Invalid parameter 'hgb__max_iter' for estimator OpinionPoolClassifier: "
            "the view 'hgb' is 'drop', which has no parameters. Set hgb to a "
            "classifier first.",
        ),
        (
            {"views": None, "hgb__max_iter": 3},
            "Invalid parameter 'hgb' for estimator OpinionPoolClassifier(",
        ),
        ({"columns__n_neighbors": 3}, "Invalid parameter 'columns' for estimator"),
    ],
)
def test_invalid_names_change_nothing(pool, params, message):
    before = pool.get_params()
    with pytest.raises(ValueError) as error:
        pool.set_params(**params)
    assert str(error.value).startswith(message)
    assert pool.get_params() == before


@pytest.mark.parametrize(
    "views", ["columns", 3, object(), np.array(3), [3, (1, 2)], ()]
)
def test_parameters_with_invalid_views(views):
    """Only `fit` validates them."""
    pool = OpinionPoolClassifier(views=views)
    assert set(pool.get_params()) == set(OpinionPoolClassifier().get_params())
    pool.set_params(views=views, max_rows=50)
    assert pool.max_rows == 50


def test_a_name_that_conflicts_hides_no_parameter():
    pool = OpinionPoolClassifier(views=[("max_rows", GaussianNB())], max_rows=30)
    assert pool.get_params()["max_rows"] == 30
    assert pool.set_params(max_rows=40).max_rows == 40
    assert isinstance(pool.views[0][1], GaussianNB)


def test_clones_and_pickles(pool, iris):
    X, y, _ = iris
    pool.set_params(views=tuple(pool.views))
    copy = clone(pool)
    assert copy.views[1][1] is not pool.views[1][1]
    assert repr(copy) == repr(pool)
    assert "('hgb'," in repr(pool)
    expected = pool.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(copy.fit(X, y).predict_proba(X), expected)
    read = pickle.loads(pickle.dumps(pool))
    np.testing.assert_array_equal(read.predict_proba(X), expected)
    assert read.weights_ == pool.weights_
    again = clone(pool).set_params(hgb=pool.views[1][1]).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    data = skops.io.dumps(pool)
    types = skops.io.get_untrusted_types(data=data)
    read = skops.io.loads(data, trusted=types)
    np.testing.assert_array_equal(read.predict_proba(X), expected)


def test_html_representation_shows_the_classifiers(pool, quick, iris):
    X, y, _ = iris
    for estimator in (pool, quick(teacher=pool, max_epochs=1)):
        for state in (estimator, clone(estimator).fit(X, y)):
            html = state._repr_html_()
            assert "HistGradientBoostingClassifier" in html
            assert "GaussianNB" in html


# In a search, and as a teacher.


def test_a_grid_search_over_a_classifier():
    X, truth = load_wine(return_X_y=True)
    pool = OpinionPoolClassifier(views=["columns", ("hgb", trees())], random_state=0)
    grid = {"hgb": ["drop", trees()], "hgb__max_iter": [1]}
    with pytest.raises(ValueError, match="the view 'hgb' is 'drop'"):
        GridSearchCV(pool, grid, cv=2, error_score="raise").fit(X, truth)
    grid = [{"hgb": ["drop"]}, {"hgb__max_iter": [1, 3]}]
    search = GridSearchCV(pool, grid, cv=LabeledStratifiedKFold(2))
    search.fit(X, hide(truth, 10))
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert pool.views[1][1].max_iter == 3
    assert search.best_estimator_.score(X, truth) > 0.8


def test_a_teacher(quick, iris, capsys):
    X, y, truth = iris
    clf = quick(
        teacher=OpinionPoolClassifier(views=["columns", ("hgb", trees())]), verbose=1
    )
    assert clf.get_params()["teacher__hgb__max_iter"] == 3
    copy = clone(clf).set_params(teacher__hgb__max_iter=2)
    assert clf.teacher.views[1][1].max_iter == 3
    first = clf.fit(X, y).predict_proba(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("teacher: hgb, 2 of 2, ")
    assert clf.teacher.views[1][1].random_state is None  # cloned, and seeded
    np.testing.assert_array_equal(clf.fit(X, y).predict_proba(X), first)
    assert not np.array_equal(copy.fit(X, y).predict_proba(X), first)
    search = GridSearchCV(
        clf.set_params(verbose=0, max_epochs=1),
        {"teacher__hgb__max_iter": [1, 2]},
        cv=LabeledStratifiedKFold(2),
    ).fit(X, np.where(np.arange(150) % 3, -1, truth))
    assert search.best_estimator_.teacher.views[1][1].max_iter in (1, 2)


def test_an_error_in_a_view_of_the_teacher_names_both(quick, iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=[("own", trees(max_iter=0))])
    with pytest.raises(ValueError, match="max_iter") as error:
        quick(teacher=pool).fit(X, y)
    view, teacher = error.value.__notes__
    assert view.startswith("This was raised by the view 'own' of the opinion pool, ")
    assert teacher.startswith("This was raised by the teacher OpinionPoolClassifier(")


def test_files_do_not_contain_the_teacher(quick, iris, tmp_path, pool):
    X, y, _ = iris
    clf = quick(teacher=pool, max_epochs=1).fit(X, y)
    with pytest.warns(UserWarning, match="'teacher'") as caught:
        clf.save(tmp_path / "clf")
    assert [str(warning.message) for warning in caught] == [
        "A file cannot hold the objects passed as ['teacher']: the loaded estimator "
        "will have the defaults of these parameters. Its predictions are the same."
    ]
    read = sk_ssvae.load(tmp_path / "clf")
    assert read.teacher == "pool"
    np.testing.assert_array_equal(read.predict_proba(X), clf.predict_proba(X))
    read = sk_ssvae.load(tmp_path / "clf", teacher=pool)
    assert read.get_params()["teacher__hgb__max_iter"] == 3
    np.testing.assert_array_equal(
        read.fit(X, y).predict_proba(X), clf.fit(X, y).predict_proba(X)
    )
