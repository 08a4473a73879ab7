"""scikit-learn's own checks, over several configurations."""

import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_global_output_transform_pandas,
    check_global_set_output_transform_polars,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder


def quick(**params):
    return SSVAEClassifier(
        latent_size=2, hidden_sizes=(32,), max_epochs=5, learning_rate=0.01, **params
    )


CONFIGURATIONS = [
    quick(teacher=None),
    quick(alpha=0.5, batch_size=32, class_prior="empirical"),
    quick(teacher=LabelSpreading(kernel="knn", max_iter=500), batch_size=64),
    quick(teacher=SelfTrainingClassifier(LogisticRegression()), alpha=0.1),
    quick(model="sdgm", inner_size=4, teacher=None, classifier_module=torch.nn.Linear),
    quick(model="adgm", inner_size=4, teacher=None),
    VariationalAutoencoder(latent_size=2, hidden_sizes=(32,), max_epochs=5),
    OpinionPoolClassifier(views=("columns", "pca-4", "logistic", "whitened")),
]

LONGER_ONES = [
    quick(likelihood="gaussian").set_params(hidden_sizes=(), max_epochs=40),
    quick(
        model="m1+m2", inner_size=6, pretrain_epochs=5, finetune_epochs=40, teacher=None
    ),
]


def expected_failures(estimator):
    """Return the failures that the design allows, with their reasons."""
    if isinstance(estimator, VariationalAutoencoder):
        return {}
    return {
        "check_classifiers_classes": (
            "uses the labels [-1, 1], and -1 marks unlabelled rows; scikit-learn "
            "exempts its own semi-supervised classes from this half by name"
        ),
        "check_sample_weight_equivalence_on_dense_data": (
            "training is stochastic, as for SGDClassifier"
        ),
        "check_sample_weight_equivalence_on_sparse_data": (
            "training is stochastic, as for SGDClassifier"
        ),
    }


# Nothing is configured by a seed here: the checks set random_state themselves. The
# array API check needs an environment variable, and has a test of its own below.
ignored = pytest.mark.filterwarnings(
    "ignore:Can't check array API:sklearn.exceptions.SkipTestWarning",
    "ignore:y contains no unlabeled samples:UserWarning",
    "ignore:max_iter=500 was reached:sklearn.exceptions.ConvergenceWarning",
)


@ignored
@parametrize_with_checks(CONFIGURATIONS, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@ignored
@parametrize_with_checks(LONGER_ONES, expected_failed_checks=expected_failures)
def test_scikit_learns_checks_of_longer_training(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [quick(), OpinionPoolClassifier()])
@pytest.mark.filterwarnings(
    "ignore:Can't check array API:sklearn.exceptions.SkipTestWarning",
)
def test_scikit_learns_checks_of_the_whole_pool(estimator):
    results = check_estimator(
        estimator, expected_failed_checks=expected_failures(estimator), on_skip=None
    )
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed <= set(expected_failures(estimator))
    assert len(results) > 50


# The checks of set_output themselves fit on frames and transform arrays.
@pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names:UserWarning"
)
@pytest.mark.parametrize(
    "check",
    [
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_set_output_transform_polars,
        check_global_output_transform_pandas,
        check_global_set_output_transform_polars,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
        check_dataframe_column_names_consistency,
    ],
)
@pytest.mark.parametrize("estimator", [quick(), CONFIGURATIONS[-2]])
def test_checks_that_check_estimator_leaves_out(check, estimator):
    check(type(estimator).__name__, estimator)


def test_array_api_check():
    """In a process of its own: SCIPY_ARRAY_API is read when scipy is imported."""
    code = """
        import torch
        from sklearn.utils.estimator_checks import check_array_api_input
        from sk_ssvae import SSVAEClassifier

        torch.set_num_threads(1)
        check_array_api_input(
            "SSVAEClassifier",
            SSVAEClassifier(max_epochs=2, hidden_sizes=(8,)),
            array_namespace="numpy",
            expect_only_array_outputs=False,
        )
        print("checked")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "checked\n", done.stderr


@pytest.mark.parametrize("dtype", [object, str])
def test_string_labels(dtype):
    """The half of check_classifiers_classes that does not use -1."""
    X, codes = load_iris(return_X_y=True)
    names = np.array(["ant", "bee", "cat"], dtype=dtype)
    y = names[codes]
    clf = quick(random_state=0).set_params(max_epochs=40).fit(X, y)
    assert clf.classes_.tolist() == ["ant", "bee", "cat"]
    predicted = clf.predict(X)
    assert set(predicted) == set(names)
    assert (predicted == y).mean() > 0.83
    assert clf.score(X, y) == (predicted == y).mean()
    plain = quick(random_state=0).set_params(max_epochs=40).fit(X, codes)
    np.testing.assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))


def failed_checks(estimator):
    """Names of the checks that an estimator fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    return {result["check_name"] for result in results if result["status"] == "failed"}


def test_bernoulli_behind_a_scaler():
    """The Bernoulli refuses what is not in [0, 1], so a pipeline is checked."""
    scaler = MinMaxScaler(clip=True)
    bernoulli = quick(likelihood="bernoulli", random_state=0)
    ours = failed_checks(make_pipeline(scaler, bernoulli))
    of_any_pipeline = failed_checks(make_pipeline(scaler, LogisticRegression()))
    # A pipeline does not pass on that its steps allow NaN, and is to refuse it.
    expected = {"check_classifiers_classes", "check_estimators_nan_inf"}
    assert ours - of_any_pipeline == expected
