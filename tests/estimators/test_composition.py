"""Composition with scikit-learn: pipelines, searches, copies, output containers."""

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

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.utils.estimator import SITE


def test_a_pipeline_passes_unlabelled_rows_on(quick, iris):
    X, y, y_true = iris
    pipeline = make_pipeline(MinMaxScaler(), quick(teacher="pool", max_epochs=10))
    pipeline.fit(X, y)
    assert pipeline.score(X, y_true) > 0.8
    assert pipeline.transform(X).shape == (150, 2)
    np.testing.assert_allclose(pipeline.predict_proba(X).sum(1), 1, atol=1e-6)


def test_latent_means_are_the_input_of_later_steps(quick, iris):
    X, _, y_true = iris
    pipeline = make_pipeline(quick(), LogisticRegression())
    predicted = pipeline.fit(X, y_true).predict(X)
    latent = clone(pipeline[0]).fit_transform(X, y_true)
    expected = LogisticRegression().fit(latent, y_true).predict(latent)
    np.testing.assert_array_equal(predicted, expected)
    union = FeatureUnion([("raw", StandardScaler()), ("latent", quick())])
    assert union.fit(X, y_true).transform(X).shape == (150, 6)


def test_a_pipeline_with_a_column_transformer(quick, iris):
    X, y, y_true = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["kind"] = np.array(["x", "y", "z"])[np.arange(150) % 3]
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list("abcd")),
            ("kind", OneHotEncoder(), ["kind"]),
        ]
    )
    pipeline = make_pipeline(columns, quick(teacher="pool", max_epochs=20))
    assert pipeline.fit(frame, y).score(frame, y_true) > 0.8
    assert pipeline[-1].n_features_in_ == 7


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_with_unlabelled_rows(quick, iris, n_jobs):
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
    assert (scores > 0.6).all()  # unlabelled rows do not count
    assert search.best_params_["ssvaeclassifier__latent_size"] in (1, 2, 3)
    single = cross_val_score(
        search.estimator.set_params(ssvaeclassifier__latent_size=3),
        X,
        y,
        cv=StratifiedKFold(3),
    )
    assert scores[2] == single.mean()


def test_cross_val_predict_with_unlabelled_rows(quick, iris):
    X, y, y_true = iris
    clf = quick(max_epochs=60, learning_rate=0.01)
    predicted = cross_val_predict(clf, X, y, cv=StratifiedKFold(3))
    assert (predicted == y_true).mean() > 0.8


def test_calibrated_classifier_cv_with_all_labels(quick, iris):
    X, _, y_true = iris
    clf = CalibratedClassifierCV(quick(max_epochs=15, learning_rate=0.01), cv=3)
    assert clf.fit(X, y_true).score(X, y_true) > 0.9


def assert_same_results(a, b, X):
    for name in ("predict_proba", "transform", "score_samples"):
        np.testing.assert_array_equal(getattr(a, name)(X), getattr(b, name)(X))
    np.testing.assert_array_equal(a.sample(5)[0], b.sample(5)[0])
    np.testing.assert_array_equal(a.transduction_, b.transduction_)


def joblib_copy(clf):
    file = io.BytesIO()
    joblib.dump(clf, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "copy",
    [
        lambda clf: pickle.loads(pickle.dumps(clf)),
        lambda clf: cloudpickle.loads(cloudpickle.dumps(clf)),
        joblib_copy,
    ],
    ids=["pickle", "cloudpickle", "joblib"],
)
def test_copies_continue_training_with_bit_identical_results(quick, iris, copy):
    X, y, _ = iris
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(teacher=teacher, batch_size=32, warm_start=True).fit(X, y)
    copied = copy(clf)
    assert_same_results(clf, copied, X)
    # The copy includes the state of the optimizer and the number of the epoch.
    clf.fit(X, y)
    copied.fit(X, y)
    assert_same_results(clf, copied, X)
    unfitted = copy(quick())
    assert unfitted.get_params() == quick().get_params()


def test_a_clone_is_unfitted_and_fits_the_same_model(quick, iris):
    X, y, _ = iris
    clf = quick().fit(X, y)
    cloned = clone(clf)
    assert not hasattr(cloned, "net_")
    assert_same_results(clf, cloned.fit(X, y), X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_transform_returns_the_configured_container(quick, iris, library):
    X, y, _ = iris
    clf = quick().fit(X, y)
    with config_context(transform_output=library):
        latent = clf.transform(X)
        fitted = clone(clf).fit_transform(X, y)
    assert type(latent).__module__.split(".")[0] == library
    assert list(latent.columns) == ["ssvaeclassifier0", "ssvaeclassifier1"]
    np.testing.assert_array_equal(latent.to_numpy(), clf.transform(X))
    np.testing.assert_array_equal(latent.to_numpy(), fitted.to_numpy())


def test_sample_weights_are_routed(quick, iris):
    X, y, _ = iris
    weight = np.random.RandomState(0).rand(len(y))
    direct = make_pipeline(StandardScaler(), quick())
    direct.fit(X, y, ssvaeclassifier__sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        clf = quick().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, clf).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(direct.predict_proba(X), routed.predict_proba(X))


@pytest.mark.parametrize(
    "cls", [SSVAEClassifier, VariationalAutoencoder, OpinionPoolClassifier]
)
def test_html_representations_link_to_the_reference(cls):
    estimator = cls()
    page = f"{SITE}/api/generated/sk_ssvae.{cls.__name__}.html"
    assert f'href="{page}"' in estimator._repr_html_()
    assert f'href="{page}"' in make_pipeline(StandardScaler(), estimator)._repr_html_()

    class UserSubclass(cls):
        pass

    UserSubclass.__module__ = "user_package"
    assert SITE not in UserSubclass()._repr_html_()
