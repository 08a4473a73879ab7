"""With the rest of scikit-learn: pipelines, searches, copies, pickles."""

import io
import pickle

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading


def test_pipeline(quick, iris):
    X, y, truth = iris
    pipeline = make_pipeline(MinMaxScaler(), quick(teacher="pool", max_epochs=60))
    pipeline.fit(X, y)
    assert pipeline.score(X, truth) > 0.8
    assert pipeline.transform(X).shape == (150, 2)
    np.testing.assert_allclose(pipeline.predict_proba(X).sum(1), 1, atol=1e-6)


def test_as_a_step_before_another_classifier(quick, iris):
    X, _, truth = iris
    pipeline = make_pipeline(
        quick(max_epochs=200, learning_rate=0.01), LogisticRegression()
    )
    predicted = pipeline.fit(X, truth).predict(X)
    latent = clone(pipeline[0]).fit_transform(X, truth)
    by_hand = LogisticRegression().fit(latent, truth).predict(latent)
    np.testing.assert_array_equal(predicted, by_hand)
    union = FeatureUnion([("raw", StandardScaler()), ("latent", quick())])
    assert union.fit(X, truth).transform(X).shape == (150, 6)


def test_column_transformer(quick, iris):
    X, y, truth = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["kind"] = np.array(["x", "y", "z"])[np.arange(150) % 3]
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list("abcd")),
            ("kind", OneHotEncoder(), ["kind"]),
        ]
    )
    pipeline = make_pipeline(columns, quick(teacher="pool", max_epochs=60))
    assert pipeline.fit(frame, y).score(frame, truth) > 0.8
    assert pipeline[-1].n_features_in_ == 7


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_over_latent_size_with_hidden_labels(quick, iris, n_jobs):
    X, y, _ = iris
    search = GridSearchCV(
        make_pipeline(StandardScaler(), quick(max_epochs=30, learning_rate=0.01)),
        {"ssvaeclassifier__latent_size": [1, 2, 3]},
        cv=StratifiedKFold(3),
        n_jobs=n_jobs,
        error_score="raise",
    )
    with joblib.parallel_config(backend="threading"):
        search.fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert (scores > 0.6).all()  # -1 rows are not counted as errors
    assert search.best_params_["ssvaeclassifier__latent_size"] in (1, 2, 3)
    single = cross_val_score(
        search.estimator.set_params(ssvaeclassifier__latent_size=3),
        X,
        y,
        cv=StratifiedKFold(3),
    )
    assert scores[2] == single.mean()


def test_cross_val_predict(quick, iris):
    X, y, truth = iris
    clf = quick(max_epochs=60, learning_rate=0.01)
    predicted = cross_val_predict(clf, X, y, cv=StratifiedKFold(3))
    assert (predicted == truth).mean() > 0.8


def test_calibration_of_all_labels(quick, iris):
    X, _, truth = iris
    clf = CalibratedClassifierCV(quick(max_epochs=60, learning_rate=0.01), cv=3)
    assert clf.fit(X, truth).score(X, truth) > 0.9


ANSWERS = ("predict_proba", "transform", "score_samples")


def same_answers(a, b, X):
    for name in ANSWERS:
        np.testing.assert_array_equal(getattr(a, name)(X), getattr(b, name)(X))
    np.testing.assert_array_equal(a.sample(5)[0], b.sample(5)[0])
    np.testing.assert_array_equal(a.transduction_, b.transduction_)


def through_joblib(clf):
    file = io.BytesIO()
    joblib.dump(clf, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "copy",
    [
        lambda clf: pickle.loads(pickle.dumps(clf)),
        lambda clf: cloudpickle.loads(cloudpickle.dumps(clf)),
        through_joblib,
    ],
    ids=["pickle", "cloudpickle", "joblib"],
)
def test_copies(quick, iris, copy):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(teacher=teacher, batch_size=32, warm_start=True).fit(X, y)
    twin = copy(clf)
    same_answers(clf, twin, X)
    # the optimiser and the number of the epoch came along
    clf.fit(X, y)
    twin.fit(X, y)
    same_answers(clf, twin, X)
    unfitted = copy(quick())
    assert unfitted.get_params() == quick().get_params()


def test_clone(quick, iris):
    X, y, _ = iris
    clf = quick().fit(X, y)
    twin = clone(clf)
    assert not hasattr(twin, "net_")
    same_answers(clf, twin.fit(X, y), X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_global_output(quick, iris, library):
    X, y, _ = iris
    clf = quick().fit(X, y)
    with config_context(transform_output=library):
        latent = clf.transform(X)
        fitted = clone(clf).fit_transform(X, y)
    assert type(latent).__module__.split(".")[0] == library
    assert list(latent.columns) == ["ssvaeclassifier0", "ssvaeclassifier1"]
    np.testing.assert_array_equal(latent.to_numpy(), clf.transform(X))
    np.testing.assert_array_equal(latent.to_numpy(), fitted.to_numpy())


def test_metadata_routing(quick, iris):
    X, y, _ = iris
    weight = np.random.RandomState(0).rand(len(y))
    direct = make_pipeline(StandardScaler(), quick())
    direct.fit(X, y, ssvaeclassifier__sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        clf = quick().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, clf).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(direct.predict_proba(X), routed.predict_proba(X))
